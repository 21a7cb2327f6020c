//! Refusals as answers: `application/problem+json` (RFC 9457).

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::body::AnswerBody;
use crate::decide::policy::StatusMapping;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::request::version_tag::VersionTag;

/// RFC 9457 section 6.1.
const MEDIA_TYPE: &str = "application/problem+json";
/// Where the kinds are explained; the kind is appended. Stable: clients compare it.
const TYPES: &str = "https://ifmatch.dev/problems/";

#[derive(Serialize)]
struct Problem<'p> {
    r#type: String,
    title: &'p str,
    status: u16,
    detail: &'p str,
    instance: &'p str,
    /// The last part of `type`, for those who do not want to take a URI apart.
    kind: &'p str,
    /// What clients of many legacy APIs look for.
    error: &'p str,
    message: &'p str,
}

/// The answer that a refusal makes. `instance` is the request's path.
pub fn refuse(
    refusal: &Refusal,
    statuses: StatusMapping,
    instance: &str,
    current: Option<VersionTag>,
) -> Response<AnswerBody> {
    let status = refusal.kind.status(statuses);
    let mut answer = Response::new(AnswerBody::fixed(problem(refusal, status, instance)));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = refusal.retry_after {
        fields.insert(header::RETRY_AFTER, HeaderValue::from(seconds(after)));
    }
    if refusal.kind == RefusalKind::RequestTimeout {
        // RFC 9110 section 15.5.9: what is still to come of this request is not waited for.
        fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(tag) = current.and_then(|tag| HeaderValue::try_from(tag.to_string()).ok()) {
        fields.insert(header::ETAG, tag);
    }
    answer
}

/// A refusal as a whole message, for a connection that is closed and has no request to answer.
pub fn last_word(refusal: &Refusal) -> Vec<u8> {
    let status = refusal.kind.status(StatusMapping::default());
    let problem = problem(refusal, status, "");
    let retry =
        refusal.retry_after.map_or(String::new(), |after| format!("Retry-After: {}\r\n", seconds(after)));
    let head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {MEDIA_TYPE}\r\nCache-Control: no-store\r\n{retry}\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        status.as_u16(),
        title(status),
        problem.len()
    );
    [head.into_bytes(), problem].concat()
}

/// Whole seconds (RFC 9110 section 10.2.3), rounded up: too early is refused again.
fn seconds(after: Duration) -> u64 {
    (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1)
}

fn problem(refusal: &Refusal, status: StatusCode, instance: &str) -> Vec<u8> {
    let kind = refusal.kind.name();
    let problem = Problem {
        r#type: format!("{TYPES}{kind}"),
        title: title(status),
        status: status.as_u16(),
        detail: &refusal.detail,
        instance,
        kind,
        error: title(status),
        message: &refusal.detail,
    };
    // Plain strings and numbers cannot fail to be written; without a body the status still says it.
    serde_json::to_vec(&problem).unwrap_or_default()
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Refused")
}
