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
    /// No precondition stated, and the author last read an older version.
    StaleView,
    /// Another write to the resource is being forwarded.
    WriteInFlight,
    /// An earlier write's outcome is unknown and its settle time has not passed.
    Unsettled,
    /// A precondition field that cannot be read.
    MalformedPrecondition,
    /// A PUT to what exists, where the route lets it only create.
    AlreadyExists,
    /// A value that has to be unique and is taken, or is being taken.
    DuplicateValue,
    /// A move of the resource's state that may not follow the present one.
    TransitionNotAllowed,
    /// The origin answered with a conflict that it told badly.
    OriginConflict,
    /// A target that could mean another resource to the origin than to us.
    AmbiguousTarget,
    /// A body that a rule has to read is over the route's limit.
    ContentTooLarge,
    /// Content that a rule has to read, and cannot.
    UnreadableContent,
    /// The route asks for an idempotency key, and there is none, or none that can be read.
    IdempotencyKeyMissing,
    /// The first request with this idempotency key is in flight, or its answer is not kept.
    IdempotencyKeyInUse,
    /// This idempotency key belongs to another request.
    IdempotencyKeyReused,
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
    /// A look at the origin that a rule needs failed, so nothing was forwarded.
    LookFailed,
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
    pub const ALL: [RefusalKind; 28] = [
        RefusalKind::PreconditionRequired,
        RefusalKind::PreconditionFailed,
        RefusalKind::StaleView,
        RefusalKind::WriteInFlight,
        RefusalKind::Unsettled,
        RefusalKind::MalformedPrecondition,
        RefusalKind::AlreadyExists,
        RefusalKind::DuplicateValue,
        RefusalKind::TransitionNotAllowed,
        RefusalKind::OriginConflict,
        RefusalKind::AmbiguousTarget,
        RefusalKind::ContentTooLarge,
        RefusalKind::UnreadableContent,
        RefusalKind::IdempotencyKeyMissing,
        RefusalKind::IdempotencyKeyInUse,
        RefusalKind::IdempotencyKeyReused,
        RefusalKind::TargetTooLong,
        RefusalKind::FieldsTooLarge,
        RefusalKind::RequestTimeout,
        RefusalKind::OutcomeUnknown,
        RefusalKind::OutcomeUnknownInTime,
        RefusalKind::OriginUnreachable,
        RefusalKind::OriginSilent,
        RefusalKind::LookFailed,
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
            RefusalKind::StaleView => "stale-view",
            RefusalKind::WriteInFlight => "write-in-flight",
            RefusalKind::Unsettled => "unsettled",
            RefusalKind::MalformedPrecondition => "malformed-precondition",
            RefusalKind::AlreadyExists => "already-exists",
            RefusalKind::DuplicateValue => "duplicate-value",
            RefusalKind::TransitionNotAllowed => "transition-not-allowed",
            RefusalKind::OriginConflict => "origin-conflict",
            RefusalKind::AmbiguousTarget => "ambiguous-target",
            RefusalKind::ContentTooLarge => "content-too-large",
            RefusalKind::UnreadableContent => "unreadable-content",
            RefusalKind::IdempotencyKeyMissing => "idempotency-key-missing",
            RefusalKind::IdempotencyKeyInUse => "idempotency-key-in-use",
            RefusalKind::IdempotencyKeyReused => "idempotency-key-reused",
            RefusalKind::TargetTooLong => "target-too-long",
            RefusalKind::FieldsTooLarge => "fields-too-large",
            RefusalKind::RequestTimeout => "request-timeout",
            RefusalKind::OutcomeUnknown | RefusalKind::OutcomeUnknownInTime => "outcome-unknown",
            RefusalKind::OriginUnreachable | RefusalKind::OriginSilent | RefusalKind::LookFailed => {
                "origin-unreachable"
            }
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
            RefusalKind::StaleView
            | RefusalKind::WriteInFlight
            | RefusalKind::Unsettled
            | RefusalKind::AlreadyExists
            | RefusalKind::DuplicateValue
            | RefusalKind::TransitionNotAllowed
            | RefusalKind::OriginConflict => StatusCode::CONFLICT,
            RefusalKind::MalformedPrecondition
            | RefusalKind::AmbiguousTarget
            | RefusalKind::UnreadableContent => StatusCode::BAD_REQUEST,
            RefusalKind::IdempotencyKeyMissing => StatusCode::BAD_REQUEST,
            RefusalKind::IdempotencyKeyInUse => StatusCode::CONFLICT,
            RefusalKind::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            RefusalKind::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RefusalKind::TargetTooLong => StatusCode::URI_TOO_LONG,
            RefusalKind::FieldsTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            RefusalKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            RefusalKind::OutcomeUnknown | RefusalKind::OriginUnreachable => StatusCode::BAD_GATEWAY,
            RefusalKind::OutcomeUnknownInTime | RefusalKind::OriginSilent => StatusCode::GATEWAY_TIMEOUT,
            RefusalKind::LookFailed
            | RefusalKind::Starting
            | RefusalKind::LedgerUnavailable
            | RefusalKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            RefusalKind::NoRoute => StatusCode::NOT_FOUND,
        }
    }

    /// Whether it is because of the resource's state or of how the request asks for it: told before anything was
    /// forwarded, so that observe mode can let the request through instead, or found by the origin itself.
    pub fn is_conflict(self) -> bool {
        match self {
            RefusalKind::PreconditionRequired
            | RefusalKind::PreconditionFailed
            | RefusalKind::StaleView
            | RefusalKind::WriteInFlight
            | RefusalKind::Unsettled
            | RefusalKind::MalformedPrecondition
            | RefusalKind::AlreadyExists
            | RefusalKind::DuplicateValue
            | RefusalKind::TransitionNotAllowed
            | RefusalKind::OriginConflict
            | RefusalKind::AmbiguousTarget
            | RefusalKind::ContentTooLarge
            | RefusalKind::UnreadableContent
            | RefusalKind::IdempotencyKeyMissing
            | RefusalKind::IdempotencyKeyInUse
            | RefusalKind::IdempotencyKeyReused => true,
            RefusalKind::TargetTooLong
            | RefusalKind::FieldsTooLarge
            | RefusalKind::RequestTimeout
            | RefusalKind::OutcomeUnknown
            | RefusalKind::OutcomeUnknownInTime
            | RefusalKind::OriginUnreachable
            | RefusalKind::OriginSilent
            | RefusalKind::LookFailed
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_statuses_is_the_documented_one() {
        let table = [
            ("precondition-required", 428),
            ("precondition-failed", 412),
            ("stale-view", 409),
            ("write-in-flight", 409),
            ("unsettled", 409),
            ("malformed-precondition", 400),
            ("already-exists", 409),
            ("duplicate-value", 409),
            ("transition-not-allowed", 409),
            ("origin-conflict", 409),
            ("ambiguous-target", 400),
            ("content-too-large", 413),
            ("unreadable-content", 400),
            ("idempotency-key-missing", 400),
            ("idempotency-key-in-use", 409),
            ("idempotency-key-reused", 422),
            ("target-too-long", 414),
            ("fields-too-large", 431),
            ("request-timeout", 408),
            ("outcome-unknown", 502),
            ("outcome-unknown", 504),
            ("origin-unreachable", 502),
            ("origin-unreachable", 504),
            ("origin-unreachable", 503),
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
