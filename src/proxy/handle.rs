//! A request comes in: which route, which resource, which way.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use hyper::body::Incoming;

use super::ask::{Ask, Named};
use super::body::{AnswerBody, drain_request};
use super::form::{Form, read_form};
use super::gateway::{Gateway, Live};
use super::refuse::refuse;
use super::slips_by::slips_by;
use super::target::{Target, is_chunked_at_most};
use super::{admit, pass, read, write};
use crate::decide::aim;
use crate::decide::policy::{Mode, StatusMapping};
use crate::decide::verdict::{Refusal, RefusalKind, say};
use crate::identify::resource_id::ResourceId;
use crate::report::request_report::{AccessLog, RequestReport};
use crate::request::method::Effect;

/// Answers one request. Never fails: every trouble is an answer.
pub async fn handle(
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    peer: Option<SocketAddr>,
) -> Result<Response<AnswerBody>, Infallible> {
    let live = gateway.live.load_full();
    let (parts, body) = request.into_parts();
    let probe = Request::from_parts(parts, ());
    let target = Target::read(&probe);
    let (parts, ()) = probe.into_parts();
    let found = match &target {
        Ok(target) => live.routes.find(target.host.as_deref(), &target.path).cloned(),
        Err(_) => None,
    };
    let access_log = if live.server.access_log { AccessLog::On } else { AccessLog::Off };
    let path = if access_log == AccessLog::On { parts.uri.path().to_owned() } else { String::new() };
    let (metrics, name) = match &found {
        Some(route) => (route.metrics.clone(), route.route.policy.name.clone()),
        None => (live.no_route.clone(), "none".into()),
    };
    let report = RequestReport::new(metrics, name, parts.method.clone(), path, access_log);
    let entered = gateway.requests.enter(live.limits.max_requests_in_flight).map(Arc::new);
    let (target, route, in_flight) = match (target, found, entered) {
        (Ok(target), Some(route), Some(in_flight)) => (target, route, in_flight),
        (target, found, _) => {
            let (mut answer, outcome) = match no_way(&parts, target.err(), found.is_some()) {
                Some(refusal) => {
                    (refuse(&refusal, StatusMapping::default(), parts.uri.path(), None), "refused")
                }
                // `OPTIONS *` asks about the server as a whole (RFC 9110 section 9.3.7).
                None => {
                    let mut answer = Response::new(AnswerBody::fixed(""));
                    *answer.status_mut() = StatusCode::NO_CONTENT;
                    (answer, "answered")
                }
            };
            settle_unread_body(&parts, body, &mut answer, &live);
            report.end(outcome, answer.status());
            return Ok(answer);
        }
    };
    let ask = Ask {
        gateway,
        live,
        route,
        method: parts.method.clone(),
        target,
        peer,
        in_flight: in_flight.clone(),
    };
    let (answer, outcome) = take_way(ask, parts, body, report.started()).await;
    report.end(outcome, answer.status());
    Ok(answer.map(|body| body.counted(in_flight)))
}

/// Why a request goes nowhere; `None` is the question about the server as a whole.
fn no_way(parts: &Parts, target: Option<Refusal>, found: bool) -> Option<Refusal> {
    const SOON: Duration = Duration::from_secs(1);
    match target {
        Some(_) if parts.method == Method::OPTIONS && parts.uri.path() == "*" => None,
        Some(refusal) => Some(refusal),
        None if !found => Some(Refusal::new(
            RefusalKind::NoRoute,
            "No route is configured for this host and path. Check the spelling, or ask whoever runs this gateway.",
        )),
        None => {
            let detail = "More requests are in flight than this gateway takes at a time. Try again.";
            Some(Refusal::later(RefusalKind::Overloaded, SOON, detail))
        }
    }
}

/// The one switch: unmanaged, neither, read or write.
async fn take_way(
    ask: Ask,
    parts: Parts,
    body: Incoming,
    started: Instant,
) -> (Response<AnswerBody>, &'static str) {
    let policy = ask.route.route.policy.clone();
    if !policy.is_managed() {
        return match slips_by(&ask, &parts) {
            Some(refusal) => refused(&ask, &parts, Form::Unread(body), None, &refusal),
            None => pass::pass(ask, parts, body).await,
        };
    }
    let form = match read_form(&ask, &parts, body).await {
        Ok(form) => form,
        Err(refusal) => return (ask.refuse(&parts.headers, None, &refusal), "refused"),
    };
    let observed = policy.mode == Mode::Observe;
    if let Some(refusal) = form.refusal(&ask) {
        if !observed {
            return refused(&ask, &parts, form, None, &refusal);
        }
        ask.note_conflict(&parts.headers, None, &refusal);
    }
    let effect = effect_of(&ask, &parts, form.read_bytes());
    if effect == Effect::Neither {
        let silence = ask.live.limits.body_idle_timeout;
        return match form {
            Form::Unread(body) => pass::pass(ask, parts, body).await,
            form @ (Form::Read(_) | Form::TooLong(..)) => {
                pass::pass_read(ask, parts, form.into_outgoing(silence)).await
            }
        };
    }
    let named = match name_resource(&ask) {
        Ok(named) => named,
        Err(refusal) if observed => {
            ask.note_conflict(&parts.headers, None, &refusal);
            let id = ResourceId::from(ask.target.path.routed());
            Named { key: ask.gateway.ledger.key(&policy.upstream, &id), id }
        }
        Err(refusal) => return refused(&ask, &parts, form, None, &refusal),
    };
    match effect {
        Effect::Neither | Effect::Read => read::read(ask, named, parts, form, started).await,
        Effect::Write | Effect::GuardedWrite => match admit::admit(&ask, &named, effect, &parts).await {
            Ok(admitted) => {
                ask.gateway.metrics.decision_duration.observe(admitted.decided_in(started));
                let live = ask.live.clone();
                let outgoing = form.into_outgoing(live.limits.body_idle_timeout);
                write::forward(ask, named, effect, parts, outgoing, admitted).await
            }
            Err(refusal) => {
                ask.gateway.metrics.decision_duration.observe(started.elapsed().as_secs_f64());
                refused(&ask, &parts, form, Some(&named), &refusal)
            }
        },
    }
}

/// The answer to a refused request whose body may still be coming.
pub fn refused(
    ask: &Ask,
    parts: &Parts,
    form: Form,
    resource: Option<&Named>,
    refusal: &Refusal,
) -> (Response<AnswerBody>, &'static str) {
    let mut answer = ask.refuse(&parts.headers, resource, refusal);
    match form {
        Form::Unread(rest) | Form::TooLong(_, rest) => {
            settle_unread_body(parts, rest, &mut answer, &ask.live);
        }
        Form::Read(_) => {}
    }
    (answer, "refused")
}

/// A refused request's body is read and dropped so that the connection stays usable; where the client
/// waits for 100 (Continue) it will not send one, and the connection is closed instead. So it is where
/// somebody on the way may see another end of the body than we do (RFC 9112 section 6.3).
pub fn settle_unread_body(parts: &Parts, body: Incoming, answer: &mut Response<AnswerBody>, live: &Live) {
    if body.is_end_stream() {
        return;
    }
    if parts.headers.contains_key(header::EXPECT) || !is_chunked_at_most(&parts.headers) {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    } else {
        drain_request(body, live.limits.body_idle_timeout);
    }
}

/// What a request does, by the strictest of the methods that it states.
pub(super) fn effect_of(ask: &Ask, parts: &Parts, form: &[u8]) -> Effect {
    aim::effect(ask.policy(), &ask.method, &aim::overrides(&parts.headers, ask.target.query(), form))
}

fn name_resource(ask: &Ask) -> Result<Named, Refusal> {
    if !ask.target.origin_form {
        return Err(say::ambiguous("another form than a path"));
    }
    let id = aim::resource(ask.policy(), &ask.target.path, ask.target.query())?;
    Ok(Named { key: ask.gateway.ledger.key(&ask.policy().upstream, &id), id })
}
