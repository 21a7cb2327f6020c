//! A client that does nothing wrong: it reads the counter, adds one, and writes the sum back. Guarded,
//! it says in If-Match which state it read; refused, it reads again.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use serde_json::{Value, json};

use super::connection::{Answer, Connection, Delivery};
use super::storm::{StormError, StormPlan};
use crate::decide::verdict::RefusalKind;

/// Refusals that come with a 5xx status and yet say that the write was not applied.
const SURELY_NOT_APPLIED: [RefusalKind; 4] = [
    RefusalKind::OriginUnreachable,
    RefusalKind::Starting,
    RefusalKind::LedgerUnavailable,
    RefusalKind::Overloaded,
];

/// One client of the storm.
pub(super) struct HonestClient {
    connection: Connection,
    path: Uri,
}

/// What a read found.
pub(super) struct Seen {
    /// The counter's value.
    pub(super) value: i64,
    /// The answer's entity-tag.
    pub(super) tag: Option<HeaderValue>,
}

/// What came of a write that was answered.
pub(super) enum Written {
    /// 2xx: the client believes that its increment is in.
    Acknowledged,
    /// Refused; the increment is to be tried again with what a new read finds.
    Refused {
        /// The problem's kind.
        kind: String,
        /// How long to wait first, where reading again at once is certain to be in vain.
        wait: Option<Duration>,
    },
}

/// Why a read or a write brought nothing.
pub(super) enum Trouble {
    /// Another try may go better.
    Passing {
        /// What happened, for a person.
        why: String,
        /// Whether a write may have been applied.
        delivery: Delivery,
        /// What the answer asks to wait.
        wait: Option<Duration>,
    },
    /// Trying again would change nothing.
    Lasting(StormError),
}

impl HonestClient {
    /// A client for the plan's counter; its connection opens with the first request.
    pub(super) fn new(plan: &StormPlan) -> Result<Self, StormError> {
        let host = HeaderValue::from_str(&plan.host).map_err(|_| {
            StormError::Plan(format!("host {:?} cannot stand in a Host field; expected host:port", plan.host))
        })?;
        let path = plan.path.parse().map_err(|_| {
            StormError::Plan(format!("{:?} is no path; expected one like \"/counters/demo\"", plan.path))
        })?;
        Ok(HonestClient { connection: Connection::new(plan.target, host), path })
    }

    /// GET.
    pub(super) async fn read(&mut self) -> Result<Seen, Trouble> {
        let answer = self.send(Method::GET, None, Full::default()).await?;
        match answer.status {
            StatusCode::OK => {
                let value = member(&answer.body, "value").as_ref().and_then(Value::as_i64);
                let value = value.ok_or_else(|| Trouble::unexpected("GET", &answer))?;
                Ok(Seen { value, tag: answer.headers.get(ETAG).cloned() })
            }
            status if status.is_server_error() => Err(Trouble::from_server("GET", &answer)),
            _ => Err(Trouble::unexpected("GET", &answer)),
        }
    }

    /// PUT, with If-Match where a tag is given.
    pub(super) async fn write(&mut self, value: i64, tag: Option<HeaderValue>) -> Result<Written, Trouble> {
        let document = json!({ "value": value }).to_string();
        let answer = self.send(Method::PUT, tag, Full::from(document)).await?;
        match answer.status {
            status if status.is_success() => Ok(Written::Acknowledged),
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED | StatusCode::PRECONDITION_REQUIRED => {
                let kind = problem_kind(&answer);
                // A write in flight is over in a moment, whatever Retry-After guesses; an unknown
                // outcome is not.
                let wait = if kind == RefusalKind::Unsettled.name() { answer.retry_after() } else { None };
                Ok(Written::Refused { kind, wait })
            }
            status if status.is_server_error() => {
                let kind = problem_kind(&answer);
                if SURELY_NOT_APPLIED.iter().any(|sure| sure.name() == kind) {
                    let why = format!("PUT was answered with {status} ({kind})");
                    Err(Trouble::Passing { why, delivery: Delivery::NotSent, wait: answer.retry_after() })
                } else {
                    Err(Trouble::from_server("PUT", &answer))
                }
            }
            _ => Err(Trouble::unexpected("PUT", &answer)),
        }
    }

    async fn send(
        &mut self,
        method: Method,
        tag: Option<HeaderValue>,
        body: Full<Bytes>,
    ) -> Result<Answer, Trouble> {
        let mut request = Request::new(body);
        if method == Method::PUT {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        *request.method_mut() = method;
        *request.uri_mut() = self.path.clone();
        if let Some(tag) = tag {
            request.headers_mut().insert(IF_MATCH, tag);
        }
        self.connection.exchange(request).await.map_err(|lost| Trouble::Passing {
            why: lost.why,
            delivery: lost.delivery,
            wait: None,
        })
    }
}

impl Trouble {
    fn from_server(method: &str, answer: &Answer) -> Self {
        let why = format!("{method} was answered with {} ({})", answer.status, problem_kind(answer));
        Trouble::Passing { why, delivery: Delivery::MayHaveArrived, wait: answer.retry_after() }
    }

    fn unexpected(method: &'static str, answer: &Answer) -> Self {
        Trouble::Lasting(StormError::UnexpectedAnswer {
            method,
            status: answer.status,
            kind: problem_kind(answer),
        })
    }
}

fn member(body: &[u8], name: &str) -> Option<Value> {
    let document: Value = serde_json::from_slice(body).ok()?;
    document.get(name).cloned()
}

/// The last segment of a problem's `type`; without one the member `error`, as legacy clients read it;
/// without that the status. Never empty.
pub(super) fn problem_kind(answer: &Answer) -> String {
    let text = |name| member(&answer.body, name).and_then(|value| value.as_str().map(str::to_owned));
    let from_type = text("type")
        .and_then(|uri| uri.trim_end_matches('/').rsplit(['/', '#', ':']).next().map(str::to_owned))
        .filter(|kind| !kind.is_empty() && kind != "blank");
    from_type
        .or_else(|| text("error").filter(|error| !error.is_empty()))
        .unwrap_or_else(|| answer.status.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(body: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        problem_kind(&Answer { status: StatusCode::CONFLICT, headers: http::HeaderMap::new(), body })
    }

    #[test]
    fn a_kind_is_the_last_segment_of_the_type() {
        assert_eq!(kind_of(r#"{"type": "https://x.example/problems/stale-view"}"#), "stale-view");
        assert_eq!(kind_of(r#"{"type": "https://x.example/problems#stale-view"}"#), "stale-view");
        assert_eq!(kind_of(r#"{"type": "urn:ifmatch:problem:stale-view"}"#), "stale-view");
        assert_eq!(kind_of(r#"{"type": "stale-view/"}"#), "stale-view");
    }

    #[test]
    fn an_answer_without_a_type_still_has_a_kind() {
        assert_eq!(kind_of(r#"{"type": "about:blank", "error": "Conflict"}"#), "Conflict");
        assert_eq!(kind_of(r#"{"error": "Conflict"}"#), "Conflict");
        assert_eq!(kind_of(r#"{"error": ""}"#), "409");
        assert_eq!(kind_of("no JSON"), "409");
    }
}
