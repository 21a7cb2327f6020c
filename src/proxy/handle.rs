//! A request comes in: which route, which resource, which way.

use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use crate::http1::message::{Answer, RequestParts as Parts};
use http::{HeaderValue, Method, StatusCode, header};
use http_body::Body;

use super::admit::NotAdmitted;
use super::ask::{Ask, Named};
use super::body::AnswerBody;
use super::client::Client;
use super::client_body::ClientBody;
use super::cors::{self, Page};
use super::fields::upgrade_of;
use super::gateway::Gateway;
use super::head;
use super::outgoing::drain_request;
use super::patience::{Bounds, Total};
use super::refuse::refuse;
use super::request_body::{RequestBody, read_body, stays_unread};
use super::slips_by::slips_by;
use super::target::{Target, is_chunked_at_most};
use super::twice::{self, Again};
use super::unjudged::Unjudged;
use super::{admit, pass, read, views, write};
use crate::boxed::boxed;
use crate::config::checked::Limits;
use crate::decide::aim;
use crate::decide::policy::StatusMapping;
use crate::decide::say;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::identify::content::Content;
use crate::identify::fold::Fold;
use crate::identify::resource_id::ResourceId;
use crate::report::limits_hit::Limit;
use crate::report::request_report::{AccessLog, RequestReport};
use crate::request::method::Effect;

/// An answer, to come. An error ends its connection.
pub type Answering = Pin<Box<dyn Future<Output = io::Result<Answer<AnswerBody>>> + Send>>;

/// Answers one request. Never fails: every trouble is an answer.
///
/// In a box, or every idle connection would keep the room that a request takes. And no `async fn` before its route is
/// found: that would keep the request beside what is made of it.
pub fn handle(gateway: Arc<Gateway>, parts: Box<Parts>, body: ClientBody, client: Arc<Client>) -> Answering {
    match find_way(gateway, parts, body, client) {
        Ok(found) => Box::into_pin(boxed(|| found.answer())),
        Err(answer) => Box::pin(ready(Ok(*answer))),
    }
}

/// A request that has found its route.
struct Found {
    ask: Arc<Ask>,
    // In a box: it is handed on from stage to stage, and would be copied each time.
    parts: Box<Parts>,
    body: ClientBody,
    page: Option<Box<Page>>,
    report: RequestReport,
}

impl Found {
    fn answer(self) -> impl Future<Output = io::Result<Answer<AnswerBody>>> + Send {
        let Found { ask, parts, body, page, report } = self;
        let in_flight = ask.in_flight.clone();
        async move {
            let (mut answer, outcome) = take_way(ask, parts, body).await;
            if let Some(page) = page {
                page.tell(&mut answer, outcome);
            }
            report.end(outcome, answer.status());
            answer.body_mut().counted(in_flight);
            Ok(answer)
        }
    }
}

/// Finds the request's route, or its answer.
fn find_way(
    gateway: Arc<Gateway>,
    mut parts: Box<Parts>,
    body: ClientBody,
    client: Arc<Client>,
) -> Result<Found, Box<Answer<AnswerBody>>> {
    let live = gateway.live.load_full();
    let now = tokio::time::Instant::now();
    let started = now.into_std();
    let bounds = bounds(&live.limits, &gateway, now);
    client.pace.set(bounds.of_the_answer());
    let target = head::check(&parts, &live.limits, &bounds.hits).and_then(|()| Target::read(&parts));
    let own_cookies =
        if live.has_own_cookies { views::take_own_cookies(&mut parts.headers) } else { Vec::new() };
    let found = match &target {
        Ok(target) => live.routes.find(target.host(), &target.path).cloned(),
        Err(_) => None,
    };
    let access_log = if live.server.access_log { AccessLog::On } else { AccessLog::Off };
    let path = if access_log == AccessLog::On { parts.uri.path().to_owned() } else { String::new() };
    let metrics = found.as_ref().map_or(&live.no_route, |route| &route.metrics).clone();
    let report = RequestReport::new(metrics, parts.method.clone(), path, access_log, started);
    let entered = gateway.requests.enter(live.limits.max_requests_in_flight).map(Arc::new);
    let (target, route, in_flight) = match (target, found, entered) {
        (Ok(target), Some(route), Some(in_flight)) => (target, route, in_flight),
        (target, found, _) => {
            let refusal = no_way(&parts, target.err(), found.is_some());
            return Err(Box::new(turned_back(refusal, parts, body, &bounds, report)));
        }
    };
    let method = parts.method.clone();
    let ask = Ask { started, gateway, live, route, method, target, client, bounds, in_flight, own_cookies };
    let page = Page::of(&ask, &parts.headers).map(Box::new);
    Ok(Found { ask: Arc::new(ask), parts, body, page, report })
}

/// The answer to a request that goes nowhere.
fn turned_back(
    refusal: Option<Refusal>,
    parts: Box<Parts>,
    body: ClientBody,
    bounds: &Bounds,
    report: RequestReport,
) -> Answer<AnswerBody> {
    let (mut answer, outcome) = match refusal {
        Some(refusal) => {
            /// A longer one is not sent back.
            const LONGEST: usize = 1024;
            let path = parts.uri.path();
            let instance = if path.len() > LONGEST { "/" } else { path };
            if refusal.kind == RefusalKind::Overloaded {
                bounds.hits.hit(Limit::RequestsInFlight);
            }
            report.refused(refusal.kind);
            (refuse(&refusal, StatusMapping::default(), instance, None), "refused")
        }
        // `OPTIONS *` asks about the server as a whole (RFC 9110 section 9.3.7).
        None => {
            let mut answer = Answer::new(AnswerBody::fixed(""));
            *answer.status_mut() = StatusCode::NO_CONTENT;
            (answer, "answered")
        }
    };
    settle_unread_body(&parts, body, &mut answer, bounds);
    report.end(outcome, answer.status());
    answer
}

fn bounds(limits: &Limits, gateway: &Gateway, now: tokio::time::Instant) -> Bounds {
    Bounds {
        silence: limits.body_idle_timeout,
        upload: limits.upload_timeout,
        total: Total::new(now + limits.request_timeout, Limit::RequestTime, gateway.metrics.limits),
        hits: gateway.metrics.limits,
    }
}

/// Why a request goes nowhere; `None` is the question about the server as a whole.
fn no_way(parts: &Parts, target: Option<Refusal>, found: bool) -> Option<Refusal> {
    match target {
        Some(refusal)
            if refusal.kind == RefusalKind::AmbiguousTarget
                && parts.method == Method::OPTIONS
                && parts.uri.path() == "*" =>
        {
            None
        }
        Some(refusal) => Some(refusal),
        None if !found => Some(Refusal::new(
            RefusalKind::NoRoute,
            "No route is configured for this host and path. Check the spelling, or ask whoever runs this gateway.",
        )),
        None => Some(say::too_many_requests()),
    }
}

/// The one switch: unmanaged, neither, read or write.
async fn take_way(ask: Arc<Ask>, parts: Box<Parts>, body: ClientBody) -> (Answer<AnswerBody>, &'static str) {
    if !ask.policy().is_managed() {
        return match slips_by(&ask, &parts) {
            Some(refusal) => refused(&ask, &parts, RequestBody::Unread(body), None, &refusal),
            None if ask.method.is_safe() => Box::into_pin(boxed(|| pass::pass(ask, parts, body, None))).await,
            None => match Unjudged::begin(&ask) {
                Ok(unjudged) => Box::into_pin(boxed(|| pass::pass(ask, parts, body, Some(unjudged)))).await,
                Err(refusal) => refused(&ask, &parts, RequestBody::Unread(body), None, &refusal),
            },
        };
    }
    if ask.observes() && asks_to_upgrade(&ask, &parts) {
        return Box::pin(pass::pass(ask, parts, body, None)).await;
    }
    let body = if stays_unread(&ask, &parts, &body) {
        RequestBody::Unread(body)
    } else {
        match Box::pin(read_body(&ask, &parts, body)).await {
            Ok(body) => body,
            Err(refusal) => return (ask.refuse(&parts.headers, None, &refusal), "refused"),
        }
    };
    if let Some(refusal) = body.refusal(&ask) {
        if !ask.observes() {
            return refused(&ask, &parts, body, None, &refusal);
        }
        ask.note_conflict(&parts.headers, None, &refusal);
    }
    let mut effect = effect_of(&ask, &parts, body.form());
    if body.hides_a_method() {
        effect = effect.max(Effect::GuardedWrite);
    }
    if effect == Effect::Neither {
        return match body {
            RequestBody::Unread(body) => Box::pin(cors::pass(ask, parts, body)).await,
            body @ (RequestBody::Read(_) | RequestBody::Begun(..) | RequestBody::TooLong(..)) => {
                let body = body.into_outgoing(&ask.bounds);
                Box::pin(pass::pass_read(ask, parts, body)).await
            }
        };
    }
    let content = body.whole().map(|bytes| Content::of(&parts.headers, bytes));
    let id = match name_resource(&ask, content.as_ref()) {
        Ok(id) => id,
        Err(refusal) if ask.lets_by(&parts.headers, None, &refusal) => {
            ResourceId::of_path(&ask.target.path, Fold::default())
        }
        Err(refusal) => return refused(&ask, &parts, body, None, &refusal),
    };
    if effect.writes() {
        write_way(ask, id, effect, parts, body).await
    } else {
        let named = ask.named(id);
        read::read(ask, named, parts, body).await
    }
}

/// Whether a read asks for another protocol, which a route passes on where it does not enforce.
fn asks_to_upgrade(ask: &Ask, parts: &Parts) -> bool {
    upgrade_of(&parts.headers, ask.route.beside_managed).is_some()
        && effect_of(ask, parts, &[]) == Effect::Read
}

async fn write_way(
    ask: Arc<Ask>,
    id: ResourceId,
    effect: Effect,
    parts: Box<Parts>,
    body: RequestBody,
) -> (Answer<AnswerBody>, &'static str) {
    // Before anything else is judged: the first of two may have made the tag of the second stale.
    let twice = match twice::take_key(&ask, &id, &parts, body.whole()) {
        Ok(twice) => twice,
        Err(Again::Answered(answer)) => return (*answer, "replayed"),
        Err(Again::Refused(refusal)) => {
            let named = ask.named(id);
            return refused(&ask, &parts, body, Some(&named), &refusal);
        }
    };
    let content = body.whole().map(|bytes| Content::of(&parts.headers, bytes));
    match admit::admit(&ask, id, effect, &parts, content.as_ref()).await {
        Ok(admitted) => {
            let Some(forwarding) = ask.gateway.writes.enter(ask.live.limits.max_writes_in_flight) else {
                ask.bounds.hits.hit(Limit::WritesInFlight);
                admit::give_up(admitted.permit).await;
                return refused(&ask, &parts, body, Some(&admitted.judged.named), &say::too_many_writes());
            };
            let outgoing = body.into_outgoing(&ask.bounds);
            write::forward(ask, effect, parts, outgoing, admitted, twice, forwarding).await
        }
        Err(NotAdmitted { named, refusal }) => {
            ask.gateway.metrics.decision_duration.observe(ask.started.elapsed());
            match twice::already_applied(&ask, &named, &refusal, twice.digest) {
                Some(answer) => (answer, "replayed"),
                None => refused(&ask, &parts, body, Some(&named), &refusal),
            }
        }
    }
}

/// The answer to a refused request whose body may still be coming.
pub fn refused(
    ask: &Ask,
    parts: &Parts,
    body: RequestBody,
    resource: Option<&Named>,
    refusal: &Refusal,
) -> (Answer<AnswerBody>, &'static str) {
    let mut answer = ask.refuse(&parts.headers, resource, refusal);
    if let Some(rest) = body.into_rest() {
        settle_unread_body(parts, rest, &mut answer, &ask.bounds);
    }
    (answer, "refused")
}

/// A refused request's body is read and dropped so that the connection stays usable; where the client
/// waits for 100 (Continue) it will not send one, and the connection is closed instead. So it is where
/// somebody on the way may see another end of the body than we do (RFC 9112 section 6.3).
pub fn settle_unread_body(parts: &Parts, body: ClientBody, answer: &mut Answer<AnswerBody>, bounds: &Bounds) {
    if body.is_end_stream() {
        return;
    }
    if parts.headers.contains_key(header::EXPECT) || !is_chunked_at_most(&parts.headers) {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    } else {
        drain_request(body, bounds);
    }
}

/// What a request does, by the strictest of the methods that it states.
pub(super) fn effect_of(ask: &Ask, parts: &Parts, body: &[u8]) -> Effect {
    if ask.policy().methods.guards(&ask.method) {
        return Effect::GuardedWrite;
    }
    aim::effect(ask.policy(), &ask.method, &aim::overrides(&parts.headers, ask.target.query(), body))
}

fn name_resource(ask: &Ask, content: Option<&Content<'_>>) -> Result<ResourceId, Refusal> {
    if !ask.target.origin_form {
        return Err(say::ambiguous("another form than a path"));
    }
    aim::resource(ask.policy(), &ask.target.path, ask.target.query(), content)
}
