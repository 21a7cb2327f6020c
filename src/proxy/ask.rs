//! A request that has found its route, and what every way of answering it needs.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{HeaderValue, Method, StatusCode, header};

use super::body::AnswerBody;
use super::client::Client;
use super::gateway::{Gateway, Live, LiveRoute};
use super::in_flight::InFlight;
use super::patience::Bounds;
use super::refuse::refuse;
use super::target::Target;
use crate::decide::policy::{Mode, OnUnreadable, Principal, Reveal, RoutePolicy};
use crate::decide::say;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::http1::fields::{FieldValue, Fields};
use crate::http1::message::Answer;
use crate::identify::resource_id::ResourceId;
use crate::ledger::names::UnderWay;
use crate::report::journal::{ClientId, Conflict};
use crate::request::version_tag::{ResourceKey, VersionTag};

/// How much of a method is kept and logged with a conflict: more than any registered one has, and little
/// enough for whoever sends methods as long as a head may be.
const LONGEST_METHOD: usize = 32;

/// A request that has found its route.
pub struct Ask {
    /// When its head had arrived.
    pub started: Instant,
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
    pub client: Arc<Client>,
    /// How long it and its exchanges with the origin may take.
    pub bounds: Bounds,
    /// Counts it as in flight.
    pub in_flight: Arc<InFlight>,
    /// The values of our own cookies, which nobody else gets to see.
    pub own_cookies: Vec<Vec<u8>>,
}

/// A resource, named.
#[derive(Clone)]
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

    /// Whether its route only observes.
    pub fn observes(&self) -> bool {
        self.policy().mode == Mode::Observe
    }

    /// A resource of its route's upstream.
    pub fn named(&self, id: ResourceId) -> Named {
        Named { key: self.route.keys.key(&self.live.names, &id), id }
    }

    /// The same for a write, which observe mode lets through even while these names are not judged by.
    pub fn named_to_write(&self, id: ResourceId) -> Named {
        if !self.observes() {
            return self.named(id);
        }
        Named { key: self.route.keys.key_once_open(&self.live.names, &id), id }
    }

    /// R14: whether a write to it can be judged by the names that the request began with.
    ///
    /// # Errors
    /// The refusal, if not.
    pub fn in_force(&self, under_way: &UnderWay, id: &ResourceId) -> Result<(), Refusal> {
        under_way
            .admits(&self.live.names, &self.policy().upstream, id.as_str())
            .map_err(|_| say::names_changed())
    }

    /// What the origin is called where its client does not say.
    pub fn own_host(&self) -> Option<&str> {
        self.route.route.upstream.servers.first().map(|server| &**server)
    }

    /// The answer that a refusal makes; a conflict is counted, kept and logged.
    pub fn refuse(&self, fields: &Fields, resource: Option<&Named>, refusal: &Refusal) -> Answer<AnswerBody> {
        self.note_conflict(fields, resource, refusal);
        self.route.metrics.refusals.refused(refusal.kind);
        let current = resource
            .filter(|_| self.policy().reveal == Reveal::CurrentTag)
            .filter(|_| refusal.kind == RefusalKind::PreconditionFailed)
            .map(|named| {
                let ledger = &self.gateway.ledger;
                let version = ledger.version(named.key, self.route.whole);
                VersionTag::new(ledger.incarnation(), named.key, version, ledger.variant(&[b"current"]))
            });
        refuse(refusal, self.policy().statuses, self.target.spelled.path(), current)
    }

    /// Whether a request goes on where this refusal would stop it: where the route only observes, which counts
    /// it, or lets bodies by that its rules cannot read.
    pub fn lets_by(&self, fields: &Fields, resource: Option<&Named>, refusal: &Refusal) -> bool {
        if self.observes() && refusal.kind.is_conflict() {
            self.note_conflict(fields, resource, refusal);
            return true;
        }
        refusal.kind == RefusalKind::UnreadableContent && self.policy().unreadable == OnUnreadable::Forward
    }

    /// Counts and keeps a conflict, refused or only observed, and logs it if a line is due: one for each
    /// would cost half as much again as all the rest of a refusal.
    pub fn note_conflict(&self, fields: &Fields, resource: Option<&Named>, refusal: &Refusal) {
        if !refusal.kind.is_conflict() {
            return;
        }
        let kind = refusal.kind.name();
        let status = refusal.kind.status(self.policy().statuses);
        let conflict = self.conflict(fields, resource, kind, status);
        let due = self.route.metrics.refusals.conflict(refusal.kind, conflict.mode, Instant::now());
        if let Some(left_out) = due {
            tracing::warn!(
                target: "ifmatch::conflict",
                route = &*conflict.route,
                resource = conflict.resource,
                kind,
                status = conflict.status,
                method = &*conflict.method,
                mode = conflict.mode,
                client = %conflict.client,
                more = (left_out > 0).then_some(left_out),
                "conflict"
            );
        }
        self.gateway.journal.add(conflict);
    }

    /// What `/conflicts` tells of this request, decided now.
    pub fn conflict(
        &self,
        fields: &Fields,
        resource: Option<&Named>,
        kind: &'static str,
        status: StatusCode,
    ) -> Conflict {
        Conflict {
            time: SystemTime::now(),
            route: self.policy().name.clone(),
            resource: resource
                .map_or_else(|| self.target.path.routed().into_owned(), |named| named.id.as_str().to_owned()),
            kind,
            status: status.as_u16(),
            method: method_told(&self.method),
            mode: if self.observes() { "observe" } else { "enforce" },
            took_effect: None,
            client: self.client_id(fields),
        }
    }

    /// What the request states of who its client is, where the route says how clients are told apart. Never
    /// empty: an empty field tells nobody apart.
    pub fn principal<'f>(&self, fields: &'f Fields) -> Option<&'f [u8]> {
        principal_in(self.policy().principal.as_ref()?, fields)
    }

    fn client_id(&self, fields: &Fields) -> ClientId {
        let hashed = |identity: &[u8]| ClientId(self.gateway.ledger.client_id(identity));
        match self.principal(fields) {
            Some(principal) => hashed(principal),
            None => *self.client.id.get_or_init(|| {
                hashed(self.client.address.as_ref().map(HeaderValue::as_bytes).unwrap_or_default())
            }),
        }
    }
}

/// What a request states of who its client is. Never empty.
pub fn principal_in<'f>(principal: &Principal, fields: &'f Fields) -> Option<&'f [u8]> {
    let stated = match principal {
        Principal::Header(name) => fields.get(name).map(FieldValue::as_bytes),
        Principal::Cookie(name) => cookie(fields, name),
    };
    stated.filter(|stated| !stated.is_empty())
}

fn method_told(method: &Method) -> Cow<'static, str> {
    match *method {
        Method::PUT => "PUT".into(),
        Method::POST => "POST".into(),
        Method::PATCH => "PATCH".into(),
        Method::DELETE => "DELETE".into(),
        _ => method.as_str().chars().take(LONGEST_METHOD).collect(),
    }
}

fn cookie<'f>(fields: &'f Fields, name: &str) -> Option<&'f [u8]> {
    fields
        .get_all(header::COOKIE)
        .flat_map(|line| line.as_bytes().split(|b| *b == b';'))
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .next()
}
