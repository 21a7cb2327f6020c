//! A request comes in: which route, which resource, which way.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::body::{AnswerBody, drain_request};
use super::gateway::{Gateway, Live, LiveRoute};
use super::in_flight::InFlight;
use super::refuse::refuse;
use super::target::Target;
use super::{admit, pass, read, write};
use crate::decide::policy::{Mode, Principal, RoutePolicy, StatusMapping};
use crate::decide::verdict::{Refusal, RefusalKind, say};
use crate::identify::query;
use crate::identify::resource_id::ResourceId;
use crate::report::journal::Conflict;
use crate::report::request_report::{AccessLog, RequestReport};
use crate::request::method::{Effect, OVERRIDE_PARAMETER, overrides_in_fields};
use crate::request::version_tag::{ResourceKey, VersionTag};

/// A request that has found its route.
pub struct Ask {
    /// What all requests share.
    pub gateway: Arc<Gateway>,
    /// The configuration that it began with.
    pub live: Arc<Live>,
    /// Its route.
    pub route: Arc<LiveRoute>,
    /// Its method.
    pub method: Method,
    /// Its target.
    pub target: Target,
    /// Its client.
    pub peer: Option<SocketAddr>,
    /// Counts it as in flight.
    pub in_flight: Arc<InFlight>,
}

/// A resource, named.
pub struct Named {
    /// For people.
    pub id: ResourceId,
    /// For the ledger.
    pub key: ResourceKey,
}

impl Ask {
    /// Its route's policy.
    pub fn policy(&self) -> &RoutePolicy {
        &self.route.route.policy
    }

    /// The answer that a refusal makes; a conflict is counted, kept and logged.
    pub fn refuse(
        &self,
        fields: &HeaderMap,
        resource: Option<&Named>,
        refusal: &Refusal,
    ) -> Response<AnswerBody> {
        self.note_conflict(fields, resource, refusal);
        let current = resource
            .filter(|_| self.policy().reveal == crate::decide::policy::Reveal::CurrentTag)
            .filter(|_| refusal.kind == RefusalKind::PreconditionFailed)
            .map(|named| {
                let ledger = &self.gateway.ledger;
                let version = ledger.version(named.key, self.route.whole);
                VersionTag::new(ledger.incarnation(), named.key, version, ledger.variant(&[b"current"]))
            });
        refuse(refusal, self.policy().statuses, self.target.spelled.path(), current)
    }

    /// Counts, keeps and logs a conflict, refused or only observed.
    pub fn note_conflict(&self, fields: &HeaderMap, resource: Option<&Named>, refusal: &Refusal) {
        if !refusal.kind.is_conflict() {
            return;
        }
        let mode = if self.policy().mode == Mode::Observe { "observe" } else { "enforce" };
        let kind = refusal.kind.name();
        self.route.metrics.conflict(kind, mode);
        let conflict = Conflict {
            time: std::time::SystemTime::now(),
            route: self.policy().name.clone(),
            resource: resource.map_or_else(|| self.target.path.routed(), |named| named.id.to_string()),
            kind,
            status: refusal.kind.status(self.policy().statuses).as_u16(),
            method: self.method.to_string(),
            mode,
            client: format!("{:016x}", self.client_id(fields)),
        };
        tracing::warn!(
            target: "ifmatch::conflict",
            route = &*conflict.route,
            resource = conflict.resource,
            kind,
            status = conflict.status,
            method = conflict.method,
            mode,
            client = conflict.client,
            "conflict"
        );
        self.gateway.journal.add(conflict);
    }

    fn client_id(&self, fields: &HeaderMap) -> u64 {
        let stated = match &self.policy().principal {
            Some(Principal::Header(name)) => fields.get(name).map(|value| value.as_bytes().to_vec()),
            Some(Principal::Cookie(name)) => cookie(fields, name).map(Vec::from),
            None => None,
        };
        let address = || self.peer.map(|peer| peer.ip().to_string().into_bytes()).unwrap_or_default();
        self.gateway.ledger.client_id(&stated.unwrap_or_else(address))
    }
}

fn cookie<'f>(fields: &'f HeaderMap, name: &str) -> Option<&'f [u8]> {
    fields
        .get_all(header::COOKIE)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|b| *b == b';'))
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .next()
}

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
        (target, found, entered) => {
            let refusal = no_way(&parts, target.err(), found.is_some(), entered.is_some());
            let mut answer = match refusal {
                Some(refusal) => refuse(&refusal, StatusMapping::default(), parts.uri.path(), None),
                // `OPTIONS *` asks about the server as a whole (RFC 9110 section 9.3.7).
                None => {
                    let mut answer = Response::new(AnswerBody::fixed(""));
                    *answer.status_mut() = StatusCode::NO_CONTENT;
                    answer
                }
            };
            settle_unread_body(&parts, body, &mut answer, &live);
            report.end("refused", answer.status());
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
fn no_way(parts: &Parts, target: Option<Refusal>, found: bool, entered: bool) -> Option<Refusal> {
    const SOON: std::time::Duration = std::time::Duration::from_secs(1);
    match target {
        Some(_) if parts.method == Method::OPTIONS && parts.uri.path() == "*" => None,
        Some(refusal) => Some(refusal),
        None if !found => Some(Refusal::new(
            RefusalKind::NoRoute,
            "No route is configured for this host and path. Check the spelling, or ask whoever runs this gateway.",
        )),
        None => {
            debug_assert!(!entered, "a request with a target, a route and a place has a way");
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
        return pass::pass(ask, parts, body).await;
    }
    let form = match read_form(&ask, &parts, body).await {
        Ok(form) => form,
        Err(refusal) => return (ask.refuse(&parts.headers, None, &refusal), "refused"),
    };
    let effect = effect_of(&ask, &parts, form.overrides());
    if effect == Effect::Neither {
        return match form {
            Form::Unread(body) => pass::pass(ask, parts, body).await,
            Form::Read(bytes) => pass::pass_fixed(ask, parts, bytes).await,
        };
    }
    let observed = policy.mode == Mode::Observe;
    let named = match name_resource(&ask) {
        Ok(named) => named,
        Err(refusal) if observed => {
            ask.note_conflict(&parts.headers, None, &refusal);
            let id = ResourceId::from(ask.target.path.routed());
            Named { key: ask.gateway.ledger.key(&policy.upstream, &id), id }
        }
        Err(refusal) => return refused(&ask, &parts, form, None, &refusal),
    };
    match (effect, form) {
        (Effect::Read, Form::Unread(body)) => read::read(ask, named, parts, body, started).await,
        (_, form) => match admit::admit(&ask, &named, effect, &parts).await {
            Ok(admitted) => {
                let decided = write::without_waiting(started.elapsed(), admitted.waited);
                ask.gateway.metrics.decision_duration.observe(decided);
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

fn refused(
    ask: &Ask,
    parts: &Parts,
    form: Form,
    resource: Option<&Named>,
    refusal: &Refusal,
) -> (Response<AnswerBody>, &'static str) {
    let mut answer = ask.refuse(&parts.headers, resource, refusal);
    if let Form::Unread(body) = form {
        settle_unread_body(parts, body, &mut answer, &ask.live);
    }
    (answer, "refused")
}

/// A refused request's body is read and dropped so that the connection stays usable; where the client
/// waits for 100 (Continue) it will not send one, and the connection is closed instead.
pub fn settle_unread_body(parts: &Parts, body: Incoming, answer: &mut Response<AnswerBody>, live: &Live) {
    if http_body::Body::is_end_stream(&body) {
        return;
    }
    if parts.headers.contains_key(header::EXPECT) {
        answer.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("close"));
    } else {
        drain_request(body, live.limits.body_idle_timeout);
    }
}

/// A request's body, which a form that may hold a method override is read from.
pub enum Form {
    /// Not read.
    Unread(Incoming),
    /// Read whole.
    Read(Vec<u8>),
}

impl Form {
    fn overrides(&self) -> Vec<Vec<u8>> {
        match self {
            Form::Unread(_) => Vec::new(),
            Form::Read(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                query::values(&text, OVERRIDE_PARAMETER)
                    .map(|value| value.into_owned().into_bytes())
                    .collect()
            }
        }
    }

    fn into_outgoing(self, silence: std::time::Duration) -> super::body::OutgoingBody {
        match self {
            Form::Unread(body) => super::body::OutgoingBody::from_client(body, silence),
            Form::Read(bytes) => super::body::OutgoingBody::fixed(bytes.into()),
        }
    }
}

/// Reads a URL-encoded form that was sent with POST: some frameworks take the method from it. The
/// request goes on unchanged, byte for byte.
async fn read_form(ask: &Ask, parts: &Parts, body: Incoming) -> Result<Form, Refusal> {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let essence = |value: &http::HeaderValue| {
        value
            .as_bytes()
            .split(|b| *b == b';')
            .next()
            .is_some_and(|t| t.trim_ascii().eq_ignore_ascii_case(FORM))
    };
    let is_form = parts.headers.get_all(header::CONTENT_TYPE).iter().any(essence);
    if ask.method != Method::POST || !is_form || http_body::Body::is_end_stream(&body) {
        return Ok(Form::Unread(body));
    }
    let limit = ask.route.route.body_limit;
    let outgoing = super::body::OutgoingBody::from_client(body, ask.live.limits.body_idle_timeout);
    match super::body::read_to_end(outgoing, limit).await {
        Ok(Some(bytes)) => Ok(Form::Read(bytes)),
        Ok(None) => Err(Refusal::new(
            RefusalKind::ContentTooLarge,
            format!(
                "This form is longer than the {limit} bytes that the gateway reads to learn its method. Send less."
            ),
        )),
        Err(_) => Err(say::ambiguous("a body that ended early beside it")),
    }
}

fn effect_of(ask: &Ask, parts: &Parts, in_form: Vec<Vec<u8>>) -> Effect {
    let in_query: Vec<Vec<u8>> = query::values(ask.target.query().unwrap_or_default(), OVERRIDE_PARAMETER)
        .map(|value| value.into_owned().into_bytes())
        .collect();
    let overrides = overrides_in_fields(&parts.headers)
        .chain(in_query.iter().map(Vec::as_slice))
        .chain(in_form.iter().map(Vec::as_slice))
        .filter(|name| !name.is_empty());
    ask.policy().methods.effect(&ask.method, overrides)
}

/// Names the resource of a request on a managed route.
fn name_resource(ask: &Ask) -> Result<Named, Refusal> {
    let (policy, target) = (ask.policy(), &ask.target);
    if !target.origin_form {
        return Err(say::ambiguous("another form than a path"));
    }
    if let Some(ambiguity) = target.path.ambiguity() {
        return Err(say::ambiguous(ambiguity));
    }
    for held in &policy.params {
        let value = target.path.spelled_segments().nth(held.segment).unwrap_or_default();
        if !held.pattern.is_match(value) {
            return Err(say::ambiguous(format_args!(
                "a value for `{}` that is not spelled as its resources are here",
                held.name
            )));
        }
    }
    let id = policy.resource.name(&target.path, target.query(), policy.fold).map_err(say::ambiguous)?;
    Ok(Named { key: ask.gateway.ledger.key(&policy.upstream, &id), id })
}
