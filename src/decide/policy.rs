//! What a route asks for, checked: the configuration's `[[routes]]` after parsing.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use regex::Regex;

use super::idempotency::IdempotencyPolicy;
use super::precondition_from::PreconditionFrom;
use super::transitions::Transitions;
use super::translate::Translate;
use super::unique::Unique;
use super::validator::Validator;
use super::views::ViewPolicy;
use crate::identify::fold::Fold;
use crate::identify::resource_id::NameTemplate;
use crate::request::method::MethodPolicy;

/// Whether refusals are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Conflicts are refused.
    Enforce,
    /// Nothing is refused; what would have been is counted and logged.
    Observe,
    /// The route is forwarded as it is: no versions, no tags, conditions pass through untouched.
    Off,
}

/// What happens to a guarded write that states no precondition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unconditional {
    /// Refused with 428.
    Require,
    /// Let through, unless any other write to the resource is in flight: then 409.
    Overlap,
    /// Let through, also beside others without a precondition.
    Allow,
    /// Judged by what its author last read, as far as that was seen (rules I1 to I3).
    Infer,
}

/// What happens to a write that meets another one in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Refused with 409.
    Refuse,
    /// Waits for the other one to end and is judged again.
    Wait {
        /// The longest that a write waits.
        at_most: Duration,
        /// The most writes that wait for one resource.
        waiters: usize,
    },
}

/// When the answer to a PUT or PATCH carries the resource's new tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtagOnPut {
    /// Always: the origin stores what it is sent (RFC 9110 section 9.3.4).
    Always,
    /// To a PUT, when a read-back under the permit equals what was sent.
    Verified,
    /// Never: a client reads again to get a tag.
    Never,
}

/// Whether a weak form of our own tag satisfies `If-Match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeakIfMatch {
    /// No: `If-Match` compares strongly (RFC 9110 section 13.1.1).
    Refuse,
    /// Yes, for caches and compressors on the way that weaken tags.
    Accept,
}

/// Whether a write of unknown outcome is looked at, once it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyUnknown {
    /// No.
    No,
    /// The origin is asked after the settle time what the resource reads as, under the hold.
    AfterSettle,
}

/// Whether a refusal may tell the current tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reveal {
    /// No: a client that has not read the resource learns nothing of it.
    Nothing,
    /// `ETag` on a 412.
    CurrentTag,
}

/// Where a client's identity is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The value of a field.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
}

/// A path parameter held to a pattern, on its value as the client spelled it (decoded).
#[derive(Clone, Debug)]
pub struct ParameterPattern {
    /// The parameter's name, for messages.
    pub name: String,
    /// The index of its segment.
    pub segment: usize,
    /// Matches the whole value.
    pub pattern: Regex,
}

/// Which further resources a write changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlsoChanges {
    /// These.
    Listed(Vec<NameTemplate>),
    /// `["*"]`: every resource of the upstream.
    WholeUpstream,
}

/// Statuses that stand in for 412 and 428, for clients that know only others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusMapping {
    /// Instead of 412 (`stale_status`).
    pub precondition_failed: StatusCode,
    /// Instead of 428 (`missing_status`).
    pub precondition_required: StatusCode,
}

impl Default for StatusMapping {
    fn default() -> Self {
        StatusMapping {
            precondition_failed: StatusCode::PRECONDITION_FAILED,
            precondition_required: StatusCode::PRECONDITION_REQUIRED,
        }
    }
}

/// What becomes of a request whose body a rule has to read, and cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnreadable {
    /// Refused with 400.
    Refuse,
    /// Forwarded without that rule.
    Forward,
}

/// What a PUT may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Create or replace.
    Any,
    /// Create: what exists is not replaced.
    Only,
}

/// What becomes of a stale write that is the last applied one, sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlreadyApplied {
    /// Refused, as every stale write.
    Refuse,
    /// Answered as it was.
    Answer,
}

/// What pages of other origins learn (the Fetch standard's CORS protocol).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cors {
    /// What the API tells them.
    AsOrigin,
    /// Those that the API lets in: our tags and refusals too, and how to send preconditions and keys.
    Extended,
}

/// A route's policy.
#[derive(Clone, Debug)]
pub struct RoutePolicy {
    /// The metrics label.
    pub name: Arc<str>,
    /// The upstream that its resources belong to.
    pub upstream: Arc<str>,
    /// Whether refusals are carried out.
    pub mode: Mode,
    /// How its resource is named.
    pub resource: NameTemplate,
    /// Which spellings of a path are one resource.
    pub fold: Fold,
    /// Parameters that are held to a pattern.
    pub params: Vec<ParameterPattern>,
    /// Which methods read and which are guarded.
    pub methods: MethodPolicy,
    /// A guarded write without a precondition.
    pub unconditional: Unconditional,
    /// A write that meets another one.
    pub overlap: Overlap,
    /// Further resources that a write changes.
    pub also_changes: AlsoChanges,
    /// How far the origin's reads may lag behind its writes (rule R13).
    pub read_lag: Duration,
    /// Tags on answers to writes.
    pub etag_on_put: EtagOnPut,
    /// Weak forms of our tags.
    pub weak_if_match: WeakIfMatch,
    /// What a refusal tells.
    pub reveal: Reveal,
    /// Statuses for clients that know only others.
    pub statuses: StatusMapping,
    /// 4xx and 5xx of this origin that prove a write was not applied, beside the default's 4xx.
    pub not_applied: Vec<StatusCode>,
    /// 4xx of this origin that do not prove it.
    pub maybe_applied: Vec<StatusCode>,
    /// Writes of unknown outcome.
    pub verify_unknown: VerifyUnknown,
    /// Who a client is.
    pub principal: Option<Principal>,
    /// Bodies that a rule cannot read.
    pub unreadable: OnUnreadable,
    /// What a PUT may do.
    pub create: Create,
    /// Values that no two records may share.
    pub unique: Vec<Unique>,
    /// Which state may follow which.
    pub transitions: Option<Transitions>,
    /// Answers to writes that mean a conflict.
    pub translate: Vec<Translate>,
    /// What tags stand for.
    pub validator: Validator,
    /// Where else a precondition may come from.
    pub precondition_from: Option<PreconditionFrom>,
    /// What clients have read; for [`Unconditional::Infer`] alone.
    pub views: ViewPolicy,
    /// Requests with an idempotency key.
    pub idempotency: Option<IdempotencyPolicy>,
    /// The last applied write, sent again.
    pub already_applied: AlreadyApplied,
    /// Pages of other origins.
    pub cors: Cors,
}

impl RoutePolicy {
    /// A policy with every default, for the one route of `run --upstream` and for tests.
    pub fn with_defaults(name: &str, upstream: &str) -> Self {
        RoutePolicy {
            name: name.into(),
            upstream: upstream.into(),
            mode: Mode::Enforce,
            resource: NameTemplate::CanonicalPath,
            fold: Fold::default(),
            params: Vec::new(),
            methods: MethodPolicy::default(),
            unconditional: Unconditional::Require,
            overlap: Overlap::Refuse,
            also_changes: AlsoChanges::Listed(Vec::new()),
            read_lag: Duration::ZERO,
            etag_on_put: EtagOnPut::Always,
            weak_if_match: WeakIfMatch::Refuse,
            reveal: Reveal::Nothing,
            statuses: StatusMapping::default(),
            not_applied: Vec::new(),
            maybe_applied: Vec::new(),
            verify_unknown: VerifyUnknown::No,
            principal: None,
            unreadable: OnUnreadable::Refuse,
            create: Create::Any,
            unique: Vec::new(),
            transitions: None,
            translate: Vec::new(),
            validator: Validator::Version,
            precondition_from: None,
            views: ViewPolicy::default(),
            idempotency: None,
            already_applied: AlreadyApplied::Refuse,
            cors: Cors::AsOrigin,
        }
    }

    /// Whether some rule has to read the bodies of requests.
    pub fn reads_bodies(&self) -> bool {
        let further = match &self.also_changes {
            AlsoChanges::Listed(templates) => templates.iter().any(NameTemplate::reads_body),
            AlsoChanges::WholeUpstream => false,
        };
        let moves = self.transitions.as_ref().is_some_and(Transitions::reads_body);
        let stated = matches!(self.precondition_from, Some(PreconditionFrom::Body(_)));
        further || stated || moves || self.resource.reads_body() || !self.unique.is_empty()
    }

    /// Whether ifmatch keeps versions for this route's resources.
    pub fn is_managed(&self) -> bool {
        self.mode != Mode::Off
    }
}
