//! Requests that are passed on as they are: routes with `mode = "off"`, and OPTIONS and TRACE.

use std::sync::Arc;

use crate::http1::message::{Answer, OriginRequest, RequestParts as Parts};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use smallvec::SmallVec;

use super::ask::Ask;
use super::body::{AnswerBody, OriginBody};
use super::client_body::ClientBody;
use super::client_tunnel::ClientUpgrade;
use super::fields::{RequestEdit, to_client, to_origin, upgrade_of};
use super::observe;
use super::origin::exchange::{NoAnswer, exchange};
use super::origin::pool::Over;
use super::outgoing::OutgoingBody;
use super::tunnel::tunnel;
use super::unjudged::Unjudged;
use crate::boxed::boxed;
use crate::decide::outcome::{WriteEnd, outcome};
use crate::decide::policy::Mode;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::request::preconditions::CONDITIONAL_FIELDS;

/// Passes a request on, and its upgrade too where the route is not managed. A write comes `unjudged`.
pub async fn pass(
    ask: Arc<Ask>,
    parts: Box<Parts>,
    mut body: ClientBody,
    unjudged: Option<Unjudged>,
) -> (Answer<AnswerBody>, &'static str) {
    let upgrade = match ask.policy().mode {
        Mode::Enforce => None,
        Mode::Observe | Mode::Off => upgrade_of(&parts.headers, ask.route.beside_managed),
    };
    let client_side = upgrade.as_ref().and_then(|_| body.upgrade());
    let bodiless = http_body::Body::is_end_stream(&body);
    let sent_at = std::time::Instant::now();
    let answered = if bodiless && matches!(ask.method, Method::GET | Method::HEAD) && upgrade.is_none() {
        let without = stays_behind(&ask, &parts);
        send_read(&ask, &parts, &without).await
    } else {
        let without = stays_behind(&ask, &parts);
        let outgoing = OutgoingBody::from_client(body, &ask.bounds);
        let request = onward(&ask, &parts, &without, upgrade.clone(), outgoing);
        exchange(&ask.route.pool, request, &ask.bounds, Over::Quiet).await
    };
    ask.route.metrics.upstream_duration.observe(sent_at.elapsed());
    if let Some(unjudged) = unjudged {
        match &answered {
            Ok(answer) => {
                let ended = outcome(WriteEnd::Answered(answer.status()), ask.policy());
                unjudged.answered(ended, answer.body().request_end());
            }
            Err(no_answer) => unjudged.ended(outcome(no_answer.end, ask.policy())),
        }
    }
    answer(&ask, &parts, client_side, answered)
}

/// Our tags never reach the origin, not even in a request that no condition applies to.
pub fn stays_behind(ask: &Ask, parts: &Parts) -> SmallVec<[HeaderName; 6]> {
    match ask.policy().mode {
        Mode::Enforce => CONDITIONAL_FIELDS.iter().cloned().collect(),
        Mode::Observe => observe::stays_behind(&parts.headers),
        Mode::Off => SmallVec::new(),
    }
}

/// What of an answer stays behind on its way to the client: where a route enforces, the only tags are ours.
pub fn origins_own(ask: &Ask) -> &'static [HeaderName] {
    match ask.policy().mode {
        Mode::Enforce => &[header::ETAG],
        Mode::Observe | Mode::Off => &[],
    }
}

/// Passes a request on whose body was read already, in part at least.
pub async fn pass_read(
    ask: Arc<Ask>,
    parts: Box<Parts>,
    body: OutgoingBody,
) -> (Answer<AnswerBody>, &'static str) {
    let without = stays_behind(&ask, &parts);
    let request = onward(&ask, &parts, &without, None, body);
    let answered = exchange(&ask.route.pool, request, &ask.bounds, Over::Quiet).await;
    answer(&ask, &parts, None, answered)
}

/// What the client gets of what came of a request that was passed on.
pub(super) fn answer(
    ask: &Ask,
    parts: &Parts,
    client_side: Option<ClientUpgrade>,
    answered: Result<Answer<OriginBody>, NoAnswer>,
) -> (Answer<AnswerBody>, &'static str) {
    match answered {
        Ok(mut answer) => {
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                tunnel(ask, client_side, answer.body_mut().tunnel(&ask.bounds));
            }
            (to_answer(ask, answer, origins_own(ask)), "answered")
        }
        Err(no_answer) => {
            log_no_answer(ask, &no_answer);
            let outcome = if no_answer.end == WriteEnd::NotSent { "unreachable" } else { "unknown" };
            let safe = ask.method.is_safe();
            (
                ask.refuse(&parts.headers, None, &unanswered(no_answer.end, safe)),
                if safe { "unreachable" } else { outcome },
            )
        }
    }
}

/// The request as the origin gets it: the client's method, target and fields, less what stays behind.
pub fn onward(
    ask: &Ask,
    parts: &Parts,
    without: &[HeaderName],
    upgrade: Option<HeaderValue>,
    mut body: OutgoingBody,
) -> (Box<OriginRequest>, OutgoingBody) {
    let edit = RequestEdit {
        without,
        managed: ask.route.beside_managed,
        upgrade,
        last: body_may_stay_unread(&parts.method) && !http_body::Body::is_end_stream(&body),
        peer: ask.client.address.as_ref(),
        host: ask.target.host.as_ref(),
        own_host: ask.own_host(),
        version: parts.version,
        server: &ask.live.server,
    };
    let expects =
        parts.headers.get(header::EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if expects && !http_body::Body::is_end_stream(&body) {
        body = body.until_asked_for();
    }
    let mut headers = to_origin(&parts.headers, &edit);
    if is_in_chunks(&body) {
        // As its client spelled the name.
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let (method, target) = (parts.method.clone(), ask.target.spelled.clone());
    (boxed(|| OriginRequest { method, target, headers }), body)
}

fn is_in_chunks(body: &OutgoingBody) -> bool {
    !http_body::Body::is_end_stream(body) && http_body::Body::size_hint(body).exact().is_none()
}

/// Methods whose content has no generally defined semantics (RFC 9110 sections 9.3.1, 9.3.2, 9.3.5, 9.3.7
/// and 9.3.8). Some origins leave it unread and take it for the next request on the connection: a write
/// hidden in it would be one that nobody judged.
fn body_may_stay_unread(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method)
}

/// Sends a request without a body that changes nothing; once more if its connection proves to be dead.
///
/// # Errors
/// If the origin does not answer.
pub async fn send_read(
    ask: &Ask,
    parts: &Parts,
    without: &[HeaderName],
) -> Result<Answer<OriginBody>, NoAnswer> {
    let request = onward(ask, parts, without, None, OutgoingBody::empty());
    match exchange(&ask.route.pool, request, &ask.bounds, Over::Any).await {
        Err(lost) if lost.suggests_another_read() => {
            let again = onward(ask, parts, without, None, OutgoingBody::empty());
            Box::pin(exchange(&ask.route.pool, again, &ask.bounds, Over::New)).await
        }
        answered => answered,
    }
}

/// The answer as the client gets it.
pub fn to_answer(ask: &Ask, answer: Answer<OriginBody>, without: &[HeaderName]) -> Answer<AnswerBody> {
    let (mut parts, body) = answer.into_parts();
    let upgraded = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    parts.headers = to_client(parts.headers, parts.version, without, upgraded, &ask.live.server);
    parts.version = Version::HTTP_11;
    let body = if without.contains(&header::ETAG) { body.without_tag() } else { body };
    Answer::from_parts(parts, AnswerBody::origin(body))
}

/// What the client is told when there is no answer.
pub fn unanswered(end: WriteEnd, safe: bool) -> Refusal {
    const NOT_DELIVERED: &str =
        "The API behind this gateway cannot be reached; the request was not delivered. Try again later.";
    const UNKNOWN: &str = "The request was forwarded and no final answer came back: it may have been applied, or still be. \
                           Read the resource before you try again.";
    const INCOMPLETE: &str = "This request's content broke off or took too long, after a part of it was forwarded: it may have \
                              been applied. Read the resource before you try again.";
    const READ_LOST: &str =
        "The API behind this gateway did not answer this read. Nothing was changed; try again.";
    match (end, safe) {
        (WriteEnd::NotSent, _) => Refusal::new(RefusalKind::OriginUnreachable, NOT_DELIVERED),
        (WriteEnd::NoAnswerInTime, true) => Refusal::new(RefusalKind::OriginSilent, READ_LOST),
        (WriteEnd::NoAnswerInTime, false) => Refusal::new(RefusalKind::OutcomeUnknownInTime, UNKNOWN),
        (WriteEnd::RequestIncomplete, false) => Refusal::new(RefusalKind::OutcomeUnknown, INCOMPLETE),
        (
            WriteEnd::Answered(_)
            | WriteEnd::ConnectionLost
            | WriteEnd::BadAnswer
            | WriteEnd::RequestIncomplete
            | WriteEnd::Abandoned,
            safe,
        ) => {
            if safe {
                Refusal::new(RefusalKind::OriginUnreachable, READ_LOST)
            } else {
                Refusal::new(RefusalKind::OutcomeUnknown, UNKNOWN)
            }
        }
    }
}

/// The cause is for the operator's log; the client is told what it means.
pub fn log_no_answer(ask: &Ask, no_answer: &NoAnswer) {
    tracing::warn!(
        route = &*ask.policy().name,
        upstream = &*ask.policy().upstream,
        method = ask.method.as_str(),
        end = ?no_answer.end,
        cause = no_answer.cause,
        "no answer from the origin"
    );
}
