//! Refusals as answers: `application/problem+json` (RFC 9457).

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::body::AnswerBody;
use crate::decide::policy::StatusMapping;
use crate::decide::verdict::Refusal;
use crate::request::version_tag::VersionTag;

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
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut answer = Response::new(AnswerBody::fixed(body));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = refusal.retry_after {
        // Whole seconds (RFC 9110 section 10.2.3), rounded up: too early is refused again.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        fields.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if let Some(tag) = current.and_then(|tag| HeaderValue::try_from(tag.to_string()).ok()) {
        fields.insert(header::ETAG, tag);
    }
    answer
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Refused")
}
