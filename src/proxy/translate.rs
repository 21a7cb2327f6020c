//! Answers to writes that mean a conflict (`[[routes.translate]]`).

use http::StatusCode;

use super::ask::Ask;
use super::body::OriginBody;
use crate::decide::translate::Translate;
use crate::http1::message::Answer;
use crate::identify::content::Content;

/// Whether an answer with this status may mean a conflict.
pub fn is_judged(ask: &Ask, status: StatusCode) -> bool {
    ask.policy().translate.iter().any(|rule| rule.statuses.contains(&status))
}

/// The rule by which this [judged](is_judged) answer means a conflict, if one does. Its body is read for it, and is all still to come.
///
/// One that is coded, or longer than `body_limit`, is not judged; nor is one that breaks.
pub async fn conflict<'a>(ask: &'a Ask, answer: &mut Answer<OriginBody>) -> Option<&'a Translate> {
    let status = answer.status();
    let bytes = answer.body_mut().read_ahead(ask.route.route.body_limit).await?;
    let content = Content::of(answer.headers(), &bytes);
    ask.policy().translate.iter().find(|rule| rule.fits(status, &content))
}
