//! Reads where tags stand for what the origin shows: when the content is not needed at all.

use std::time::SystemTime;

use http::{Method, StatusCode};

use super::policy::WeakIfMatch;
use super::say;
use super::validator::{is_same, satisfies};
use super::verdict::Refusal;
use crate::request::entity_tag::{EntityTag, TagCondition};
use crate::request::preconditions::Preconditions;

/// What the client of such a read gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShownRead {
    /// The answer, with its tag if it has one.
    Answer,
    /// 304, with the tag that the client stated.
    NotModified,
    /// 304 without a tag: a date is a weak validator, and must not give an older content this tag.
    NotModifiedSince,
    /// 412.
    Refuse(Refusal),
}

/// Judges the preconditions of a read against an answer and its tag (RFC 9110 section 13.2.2). They count only
/// where the answer without them is a success (section 13.2.1).
pub fn judge(
    method: &Method,
    stated: &Preconditions,
    status: StatusCode,
    tag: Option<&EntityTag>,
    last_modified: Option<SystemTime>,
    weak: WeakIfMatch,
) -> ShownRead {
    if !status.is_success() {
        return ShownRead::Answer;
    }
    if let Some(TagCondition::Tags(tags)) = &stated.if_match
        && !tag.is_some_and(|shown| tags.iter().any(|stated| satisfies(stated, shown, weak)))
    {
        return ShownRead::Refuse(say::stale());
    }
    if stated.if_unmodified_since.zip(last_modified).is_some_and(|(date, modified)| modified > date) {
        return ShownRead::Refuse(say::modified_since());
    }
    let retrieval = matches!(*method, Method::GET | Method::HEAD);
    let matches = match &stated.if_none_match {
        Some(TagCondition::Any) => true,
        Some(TagCondition::Tags(tags)) => {
            tag.is_some_and(|shown| tags.iter().any(|stated| is_same(stated, shown, weak)))
        }
        None => false,
    };
    match (matches, retrieval) {
        (true, true) => return ShownRead::NotModified,
        (true, false) => return ShownRead::Refuse(say::still_matches()),
        (false, _) => {}
    }
    let since = stated.if_modified_since.zip(last_modified);
    if retrieval && since.is_some_and(|(date, modified)| modified <= date) {
        return ShownRead::NotModifiedSince;
    }
    ShownRead::Answer
}
