//! What a client last read of a resource, for clients that never say so (`unconditional = "infer"`).
//!
//! A view is the version that a client read last, whole. It stands in for the precondition that the client
//! does not send, so it must never be newer than what the client holds:
//!
//! | rule | |
//! |---|---|
//! | I1 reads | the version is captured before the read is forwarded (R3), and becomes the view when the answer was written out whole; an answer that was not leaves the view as it is |
//! | I2 exact | a view is found again by its client, its resource and the name as it was spelled: what is folded into one slot (R2) may be several resources to the origin. Compared exactly |
//! | I3 own writes | a write that may have been applied takes its author's view away when it is settled, and gives it the new version when its answer was written out, if that answer tells its author the content |
//!
//! A view that was forgotten, for want of room or because its time is over, is an unknown one.

use http::{HeaderName, Method, StatusCode};
use smallvec::smallvec;

use super::claim::{Claim, HoldMode, Patience, Probe, VersionCondition, claim};
use super::outcome::WriteOutcome;
use super::policy::{RoutePolicy, Unconditional};
use super::read::ReadVerdict;
use super::say;
use super::verdict::Refusal;
use crate::request::method::Effect;
use crate::request::preconditions::Preconditions;
use crate::request::version_tag::{Incarnation, ResourceKey, Version};

/// What happens to a guarded write of whose author's reading nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnknown {
    /// Refused with 428.
    Require,
    /// Let through, unless any other write to the resource is in flight: then 409.
    Overlap,
    /// Let through, also beside others without a precondition.
    Allow,
}

/// What tells apart the views of one principal, such as the tabs of a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewPer {
    /// The value of a field.
    Header(HeaderName),
    /// The value of a query parameter.
    Query(String),
}

/// Where views are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewIn {
    /// Here, for each principal.
    Memory,
    /// By the client, in a cookie for the resource's path.
    Cookie,
}

/// How a route infers what its clients have read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewPolicy {
    /// Where nothing is known.
    pub when_unknown: WhenUnknown,
    /// What tells one principal's views apart.
    pub per: Option<ViewPer>,
    /// Where views are kept.
    pub kept: ViewIn,
}

impl Default for ViewPolicy {
    fn default() -> Self {
        ViewPolicy { when_unknown: WhenUnknown::Require, per: None, kept: ViewIn::Memory }
    }
}

/// I1: the view that a read leaves, to be stored when its answer was written out whole. `status` is the
/// origin's. A part, a HEAD and an answer without our tag show no state; our own 304 confirms the one that the
/// client holds.
pub fn read_shows(method: &Method, status: StatusCode, verdict: &ReadVerdict) -> Option<Version> {
    match verdict {
        ReadVerdict::Answer(Some(tag)) if *method == Method::GET && status == StatusCode::OK => {
            Some(tag.version)
        }
        ReadVerdict::NotModified(Some(tag)) if *method == Method::GET => Some(tag.version),
        ReadVerdict::Answer(_) | ReadVerdict::NotModified(_) | ReadVerdict::Refuse(_) => None,
    }
}

/// I3, the first half: whether a write's settlement takes its author's view away.
pub fn settlement_forgets(outcome: WriteOutcome) -> bool {
    match outcome {
        WriteOutcome::Applied | WriteOutcome::Unknown(_) => true,
        WriteOutcome::NotApplied => false,
    }
}

/// I3, the second half: the view that a settled write leaves, to be stored when its answer was written out.
/// `settled` is the version that it made, if no other write overlapped; `told` whether its answer carries that
/// version's tag. Who deleted a resource knows what there is now.
pub fn write_shows(
    method: &Method,
    status: StatusCode,
    settled: Option<Version>,
    told: bool,
) -> Option<Version> {
    let deleted = *method == Method::DELETE && matches!(status, StatusCode::OK | StatusCode::NO_CONTENT);
    settled.filter(|_| told || deleted)
}

/// Whether a write is judged by its author's view: a guarded one that states no precondition.
pub fn goes_by_view(effect: Effect, stated: &Preconditions, policy: &RoutePolicy) -> bool {
    policy.unconditional == Unconditional::Infer
        && effect == Effect::GuardedWrite
        && stated.if_match.is_none()
        && stated.if_none_match.is_none()
        && stated.if_unmodified_since.is_none()
}

/// A write's claim, by what it states, or by what its author last read where it states nothing and the route
/// infers.
///
/// # Errors
/// 428 where a precondition is required, or nothing is known and the route requires that.
pub fn claim_of(
    effect: Effect,
    stated: &Preconditions,
    policy: &RoutePolicy,
    incarnation: Incarnation,
    resource: ResourceKey,
    viewed: Option<Version>,
) -> Result<Claim, Refusal> {
    match viewed.filter(|_| goes_by_view(effect, stated, policy)) {
        Some(version) => Ok(by_view(version)),
        None => claim(effect, stated, policy, incarnation, resource),
    }
}

/// The claim of a write whose author last read this version.
pub fn by_view(version: Version) -> Claim {
    Claim {
        hold: HoldMode::Exclusive,
        condition: VersionCondition { any_of: Some(smallvec![version]), none_of: Vec::new() },
        probe: Probe::default(),
        patience: Patience::AsRoute,
        is_override: false,
        states_only_a_date: false,
        by_view: true,
        lists_tags: false,
    }
}

/// How a write goes on of whose author's reading nothing is known.
///
/// # Errors
/// 428 where the route requires that something is.
pub fn unknown(when_unknown: WhenUnknown) -> Result<(HoldMode, Patience), Refusal> {
    match when_unknown {
        WhenUnknown::Require => Err(say::not_read()),
        WhenUnknown::Overlap => Ok((HoldMode::Exclusive, Patience::Never)),
        WhenUnknown::Allow => Ok((HoldMode::Shared, Patience::AsRoute)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::version_tag::{Variant, VersionTag};

    #[test]
    fn only_a_whole_answer_to_a_get_or_our_own_304_shows_a_state() {
        let tag = Some(VersionTag::new(Incarnation(1), ResourceKey(2), Version(3), Variant(4)));
        let shows = |method: Method, status, verdict| read_shows(&method, status, &verdict);
        let (ok, part) = (StatusCode::OK, StatusCode::PARTIAL_CONTENT);
        assert_eq!(shows(Method::GET, ok, ReadVerdict::Answer(tag)), Some(Version(3)));
        assert_eq!(shows(Method::GET, ok, ReadVerdict::NotModified(tag)), Some(Version(3)));
        for (method, status, verdict) in [
            (Method::HEAD, ok, ReadVerdict::Answer(tag)),
            (Method::HEAD, ok, ReadVerdict::NotModified(tag)),
            (Method::GET, part, ReadVerdict::Answer(tag)),
            (Method::GET, ok, ReadVerdict::Answer(None)),
            (Method::GET, ok, ReadVerdict::NotModified(None)),
            (Method::GET, ok, ReadVerdict::Refuse(say::stale())),
        ] {
            assert_eq!(read_shows(&method, status, &verdict), None, "{method} {status} {verdict:?}");
        }
    }

    #[test]
    fn a_write_shows_its_author_what_it_put_there_or_took_away() {
        let new = Some(Version(9));
        let shows = |method: Method, told| write_shows(&method, StatusCode::NO_CONTENT, new, told);
        assert_eq!(shows(Method::PUT, true), new);
        assert_eq!(shows(Method::DELETE, false), new);
        assert_eq!(shows(Method::PUT, false), None);
        assert_eq!(shows(Method::POST, false), None);
        assert_eq!(write_shows(&Method::PUT, StatusCode::OK, None, true), None, "another write overlapped");
        assert_eq!(write_shows(&Method::DELETE, StatusCode::SEE_OTHER, new, false), None);
    }
}
