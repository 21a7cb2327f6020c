//! Refusals: the closed list of kinds, and the one table of their statuses.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use super::policy::StatusMapping;

/// Why a request is answered by ifmatch instead of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// A guarded write without a precondition.
    PreconditionRequired,
    /// The stated precondition is false.
    PreconditionFailed,
    /// Another write to the resource is being forwarded.
    WriteInFlight,
    /// An earlier write's outcome is unknown and its settle time has not passed.
    Unsettled,
    /// A precondition field that cannot be read.
    MalformedPrecondition,
    /// A target that could mean another resource to the origin than to us.
    AmbiguousTarget,
    /// A body that a rule has to read is over the route's limit.
    ContentTooLarge,
    /// A target over `limits.max_target_bytes`.
    TargetTooLong,
    /// A request's line and fields are over `limits.max_header_bytes` or `limits.max_header_count`.
    FieldsTooLarge,
    /// A head, or a body that a rule has to read, did not come in time. Nothing was forwarded.
    RequestTimeout,
    /// Forwarded, and the connection was lost before a final answer.
    OutcomeUnknown,
    /// Forwarded, and no final answer came in time.
    OutcomeUnknownInTime,
    /// Surely not delivered; or a read whose answer was lost, which changes nothing either.
    OriginUnreachable,
    /// A read that the origin did not answer in time.
    OriginSilent,
    /// Guarded writes are not judged yet.
    Starting,
    /// The ledger cannot take another write now.
    LedgerUnavailable,
    /// More connections, requests or writes than `limits` allows.
    Overloaded,
    /// No configured route matches.
    NoRoute,
}

impl RefusalKind {
    /// Every kind.
    pub const ALL: [RefusalKind; 18] = [
        RefusalKind::PreconditionRequired,
        RefusalKind::PreconditionFailed,
        RefusalKind::WriteInFlight,
        RefusalKind::Unsettled,
        RefusalKind::MalformedPrecondition,
        RefusalKind::AmbiguousTarget,
        RefusalKind::ContentTooLarge,
        RefusalKind::TargetTooLong,
        RefusalKind::FieldsTooLarge,
        RefusalKind::RequestTimeout,
        RefusalKind::OutcomeUnknown,
        RefusalKind::OutcomeUnknownInTime,
        RefusalKind::OriginUnreachable,
        RefusalKind::OriginSilent,
        RefusalKind::Starting,
        RefusalKind::LedgerUnavailable,
        RefusalKind::Overloaded,
        RefusalKind::NoRoute,
    ];

    /// The name in answers, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            RefusalKind::PreconditionRequired => "precondition-required",
            RefusalKind::PreconditionFailed => "precondition-failed",
            RefusalKind::WriteInFlight => "write-in-flight",
            RefusalKind::Unsettled => "unsettled",
            RefusalKind::MalformedPrecondition => "malformed-precondition",
            RefusalKind::AmbiguousTarget => "ambiguous-target",
            RefusalKind::ContentTooLarge => "content-too-large",
            RefusalKind::TargetTooLong => "target-too-long",
            RefusalKind::FieldsTooLarge => "fields-too-large",
            RefusalKind::RequestTimeout => "request-timeout",
            RefusalKind::OutcomeUnknown | RefusalKind::OutcomeUnknownInTime => "outcome-unknown",
            RefusalKind::OriginUnreachable | RefusalKind::OriginSilent => "origin-unreachable",
            RefusalKind::Starting => "starting",
            RefusalKind::LedgerUnavailable => "ledger-unavailable",
            RefusalKind::Overloaded => "overloaded",
            RefusalKind::NoRoute => "no-route",
        }
    }

    /// The status of the answer.
    pub fn status(self, mapping: StatusMapping) -> StatusCode {
        match self {
            RefusalKind::PreconditionRequired => mapping.precondition_required,
            RefusalKind::PreconditionFailed => mapping.precondition_failed,
            RefusalKind::WriteInFlight | RefusalKind::Unsettled => StatusCode::CONFLICT,
            RefusalKind::MalformedPrecondition | RefusalKind::AmbiguousTarget => StatusCode::BAD_REQUEST,
            RefusalKind::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RefusalKind::TargetTooLong => StatusCode::URI_TOO_LONG,
            RefusalKind::FieldsTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            RefusalKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            RefusalKind::OutcomeUnknown | RefusalKind::OriginUnreachable => StatusCode::BAD_GATEWAY,
            RefusalKind::OutcomeUnknownInTime | RefusalKind::OriginSilent => StatusCode::GATEWAY_TIMEOUT,
            RefusalKind::Starting | RefusalKind::LedgerUnavailable | RefusalKind::Overloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            RefusalKind::NoRoute => StatusCode::NOT_FOUND,
        }
    }

    /// Whether it is told before anything was forwarded, so that observe mode can let the request
    /// through instead.
    pub fn is_conflict(self) -> bool {
        match self {
            RefusalKind::PreconditionRequired
            | RefusalKind::PreconditionFailed
            | RefusalKind::WriteInFlight
            | RefusalKind::Unsettled
            | RefusalKind::MalformedPrecondition
            | RefusalKind::AmbiguousTarget
            | RefusalKind::ContentTooLarge => true,
            RefusalKind::TargetTooLong
            | RefusalKind::FieldsTooLarge
            | RefusalKind::RequestTimeout
            | RefusalKind::OutcomeUnknown
            | RefusalKind::OutcomeUnknownInTime
            | RefusalKind::OriginUnreachable
            | RefusalKind::OriginSilent
            | RefusalKind::Starting
            | RefusalKind::LedgerUnavailable
            | RefusalKind::Overloaded
            | RefusalKind::NoRoute => false,
        }
    }
}

/// A refusal: what was found, and what to do next. A normal value, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub kind: RefusalKind,
    /// For the person who reads it: what was found, and what to do next. Names no internals.
    pub detail: Cow<'static, str>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal that is not worth trying again unchanged.
    pub fn new(kind: RefusalKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Refusal { kind, detail: detail.into(), retry_after: None }
    }

    /// A refusal that is worth trying again after this time.
    pub fn later(kind: RefusalKind, after: Duration, detail: impl Into<Cow<'static, str>>) -> Self {
        Refusal { kind, detail: detail.into(), retry_after: Some(after) }
    }
}

/// What the texts of refusals say; kept together so that they stay alike.
pub mod say {
    use std::time::Duration;

    use super::{Refusal, RefusalKind};
    use crate::request::preconditions::MalformedPrecondition;

    /// How soon a write in flight is usually over. A guess: nobody knows when the origin answers.
    const SOON: Duration = Duration::from_secs(1);

    /// A guarded write that states nothing.
    pub fn precondition_required() -> Refusal {
        Refusal::new(
            RefusalKind::PreconditionRequired,
            "This request changes a resource and states no precondition. Read the resource with GET, and \
             send the ETag of that answer back in If-Match (or If-None-Match: * to create it).",
        )
    }

    /// A tag that is not the current one.
    pub fn stale() -> Refusal {
        Refusal::new(
            RefusalKind::PreconditionFailed,
            "The resource has changed since the state that If-Match names was read, or the tag is not one of \
             this server's. Read the resource again, apply your change to what you find, and send the new ETag.",
        )
    }

    /// A list in `If-None-Match` that names the current state.
    pub fn still_matches() -> Refusal {
        Refusal::new(
            RefusalKind::PreconditionFailed,
            "The resource is still in a state that If-None-Match names. Nothing was changed.",
        )
    }

    /// `If-Match: *` on nothing.
    pub fn does_not_exist() -> Refusal {
        Refusal::new(
            RefusalKind::PreconditionFailed,
            "If-Match: * asks for a resource that exists, and the origin does not show one here. To create it, \
             send If-None-Match: * instead.",
        )
    }

    /// `If-None-Match: *` on something.
    pub fn already_there() -> Refusal {
        Refusal::new(
            RefusalKind::PreconditionFailed,
            "If-None-Match: * asks for a resource that does not exist yet, and the origin has one here or does \
             not say. To change it, read it and send its ETag in If-Match.",
        )
    }

    /// `If-Unmodified-Since` that is false, or cannot be shown to be true.
    pub fn modified_since() -> Refusal {
        Refusal::new(
            RefusalKind::PreconditionFailed,
            "The resource was modified after the date in If-Unmodified-Since, or within its second. Read it \
             again, and prefer its ETag in If-Match: dates cannot tell two changes within a second apart.",
        )
    }

    /// Another write is being forwarded.
    pub fn in_flight() -> Refusal {
        Refusal::later(
            RefusalKind::WriteInFlight,
            SOON,
            "Another write to this resource is on its way to the origin. Wait for it, read the resource again, \
             and send your change with the new ETag.",
        )
    }

    /// An earlier write may still be applied.
    pub fn unsettled(left: Duration) -> Refusal {
        Refusal::later(
            RefusalKind::Unsettled,
            left,
            "The outcome of an earlier write to this resource is unknown: it may still be applied. Try again \
             after the time in Retry-After, with a fresh read.",
        )
    }

    /// Adds to what a write's client is told of an unknown outcome when it is settled. A write that names
    /// the state it replaces may be sent again as it is, by a program too: if it was applied, that state is
    /// over. No other is told when to try again.
    pub fn settles_in(unknown: Refusal, settle: Duration, names_a_state: bool) -> Refusal {
        let seconds = settle.as_secs() + u64::from(settle.subsec_nanos() > 0);
        let detail = format!("{} What you find after {seconds} s is settled.", unknown.detail);
        Refusal { detail: detail.into(), retry_after: names_a_state.then_some(settle), ..unknown }
    }

    /// Another configuration names the resource in another way, or treats it so.
    pub fn names_changed() -> Refusal {
        Refusal::later(
            RefusalKind::Starting,
            SOON,
            "This gateway's configuration has just changed how this resource is named or treated, and writes of \
             before are still on their way. Try again, with a fresh read.",
        )
    }

    /// A field that cannot be read.
    pub fn malformed(field: &MalformedPrecondition) -> Refusal {
        let MalformedPrecondition { field, problem } = field;
        Refusal::new(
            RefusalKind::MalformedPrecondition,
            format!("The field {field} holds {}; expected {}.", problem.found, problem.expected),
        )
    }

    /// A target that is longer than `limits.max_target_bytes`.
    pub fn target_too_long(limit: usize) -> Refusal {
        Refusal::new(
            RefusalKind::TargetTooLong,
            format!(
                "This request's target is longer than the {limit} bytes that this gateway takes. Send what is \
                 long in the content of a POST, or ask for less."
            ),
        )
    }

    /// A line and fields that are larger than `limits.max_header_bytes`.
    pub fn fields_too_large(limit: usize) -> Refusal {
        Refusal::new(
            RefusalKind::FieldsTooLarge,
            format!(
                "This request's line and fields are together larger than the {limit} bytes that this gateway takes. \
                 Send fewer or shorter fields; cookies are the usual cause."
            ),
        )
    }

    /// More fields than `limits.max_header_count`.
    pub fn too_many_fields(limit: usize) -> Refusal {
        Refusal::new(
            RefusalKind::FieldsTooLarge,
            format!("This request has more than the {limit} fields that this gateway takes. Send fewer."),
        )
    }

    /// A body that has to be read before anything is forwarded, and does not come.
    pub fn body_too_slow() -> Refusal {
        Refusal::new(
            RefusalKind::RequestTimeout,
            "This request's content did not arrive in time, and nothing was forwarded. Send it again, faster.",
        )
    }

    /// A head that was begun and did not come to its end.
    pub fn head_too_slow() -> Refusal {
        Refusal::new(
            RefusalKind::RequestTimeout,
            "This request's line and fields did not arrive in time. Send it again, faster, over a new connection.",
        )
    }

    /// More connections than `limits.max_connections`.
    pub fn too_many_connections() -> Refusal {
        Refusal::later(
            RefusalKind::Overloaded,
            SOON,
            "More connections are open than this gateway takes at a time. Try again, and keep connections \
             for several requests.",
        )
    }

    /// More writes than `limits.max_writes_in_flight`.
    pub fn too_many_writes() -> Refusal {
        Refusal::later(
            RefusalKind::Overloaded,
            SOON,
            "More writes are on their way to the origin than this gateway takes at a time. Nothing was \
             forwarded; try again, with the same tag.",
        )
    }

    /// More requests than `limits.max_requests_in_flight`.
    pub fn too_many_requests() -> Refusal {
        Refusal::later(
            RefusalKind::Overloaded,
            SOON,
            "More requests are in flight than this gateway takes at a time. Try again.",
        )
    }

    /// A target that means different things to different servers.
    pub fn ambiguous(found: impl std::fmt::Display) -> Refusal {
        Refusal::new(
            RefusalKind::AmbiguousTarget,
            format!(
                "The request's target has {found}. Servers differ in which resource that is, so it is not \
                 forwarded here. Spell the target plainly."
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_statuses_is_the_documented_one() {
        let table = [
            ("precondition-required", 428),
            ("precondition-failed", 412),
            ("write-in-flight", 409),
            ("unsettled", 409),
            ("malformed-precondition", 400),
            ("ambiguous-target", 400),
            ("content-too-large", 413),
            ("target-too-long", 414),
            ("fields-too-large", 431),
            ("request-timeout", 408),
            ("outcome-unknown", 502),
            ("outcome-unknown", 504),
            ("origin-unreachable", 502),
            ("origin-unreachable", 504),
            ("starting", 503),
            ("ledger-unavailable", 503),
            ("overloaded", 503),
            ("no-route", 404),
        ];
        let actual =
            RefusalKind::ALL.map(|kind| (kind.name(), kind.status(StatusMapping::default()).as_u16()));
        assert_eq!(actual, table);
    }
}
