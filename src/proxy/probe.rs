//! Asking the origin about a resource under the permit of a write to it, with the client's own
//! credentials.

use std::time::SystemTime;

use http::request::Parts;
use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderName, Method, Request, Response, StatusCode, Version, header};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::ask::Ask;
use super::body::{OriginBody, OutgoingBody};
use super::fields::{RequestEdit, to_origin};
use super::origin::exchange::{NoAnswer, exchange};
use super::representation::{date, last_modified};
use crate::decide::claim::Shown;
use crate::decide::outcome::WriteEnd;
use crate::identify::query;
use crate::request::method::{OVERRIDE_PARAMETER, is_override_field};
use crate::request::preconditions::CONDITIONAL_FIELDS;

/// What describes the write's own body, or asks for a part.
const OF_THE_WRITE: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::EXPECT,
    header::RANGE,
    header::TRAILER,
    header::ACCEPT_ENCODING,
    HeaderName::from_static("x-http-method-override"),
];

/// What the origin showed, and how far its clock is ahead of ours.
pub struct Look {
    /// What it showed.
    pub shown: Shown,
    /// The origin's `Date`, or our time where it sends none.
    pub origin_time: SystemTime,
}

/// Asks whether the resource exists and when it was modified.
///
/// # Errors
/// If the origin does not answer.
pub async fn look(ask: &Ask, parts: &Parts) -> Result<Look, NoAnswer> {
    let mut answer = send(ask, parts, Method::HEAD).await?;
    // Many a legacy API knows GET alone, and says 404, 405 or 501 to HEAD.
    if !answer.status().is_success() {
        answer.into_body().discard();
        answer = send(ask, parts, Method::GET).await?;
    }
    let exists = match answer.status() {
        status if status.is_success() => Some(true),
        StatusCode::NOT_FOUND | StatusCode::GONE => Some(false),
        _ => None,
    };
    let origin_time = date(answer.headers(), &header::DATE).unwrap_or_else(SystemTime::now);
    let shown = Shown { exists, last_modified: last_modified(answer.headers()) };
    answer.into_body().discard();
    Ok(Look { shown, origin_time })
}

/// Whether the resource now reads as what was sent, whose digest is given (`etag_on_put = "verified"`).
pub async fn reads_back(ask: &Ask, parts: &Parts, key: (u64, u64), sent: &SipHasher13) -> bool {
    let Ok(answer) = send(ask, parts, Method::GET).await else { return false };
    if answer.status() != StatusCode::OK || answer.headers().contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    let fresh = SipHasher13::new_with_keys(key.0, key.1);
    answer.into_body().digest(fresh).await.is_ok_and(|read| read.finish128() == sent.finish128())
}

/// The target without a parameter that would make another method of the question.
fn without_override(spelled: &PathAndQuery) -> Result<PathAndQuery, InvalidUri> {
    let overridden =
        spelled.query().filter(|query| query::values(query, OVERRIDE_PARAMETER).next().is_some());
    let Some(query) = overridden else { return Ok(spelled.clone()) };
    let rest = query::without(query, OVERRIDE_PARAMETER);
    let target =
        if rest.is_empty() { spelled.path().to_owned() } else { format!("{}?{rest}", spelled.path()) };
    PathAndQuery::try_from(target)
}

async fn send(ask: &Ask, parts: &Parts, method: Method) -> Result<Response<OriginBody>, NoAnswer> {
    let without: Vec<HeaderName> = CONDITIONAL_FIELDS
        .iter()
        .cloned()
        .chain(OF_THE_WRITE)
        .chain(parts.headers.keys().filter(|name| is_override_field(name)).cloned())
        .collect();
    let edit = RequestEdit {
        without: &without,
        managed: true,
        upgrade: None,
        last: false,
        peer: ask.peer.map(|peer| peer.ip()),
        host: ask.target.host.as_deref(),
        own_host: ask.own_host(),
        version: parts.version,
        server: &ask.live.server,
    };
    let target = without_override(&ask.target.spelled).map_err(|error| NoAnswer {
        end: WriteEnd::NotSent,
        reused: false,
        cause: error.to_string(),
    })?;
    let request = || {
        let mut request = Request::new(OutgoingBody::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.clone().into();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = to_origin(&parts.headers, &edit);
        request
    };
    let silence = ask.live.limits.body_idle_timeout;
    match exchange(&ask.route.pool, request(), silence, false).await {
        Err(lost) if lost.suggests_another_read() => {
            exchange(&ask.route.pool, request(), silence, true).await
        }
        answered => answered,
    }
}
