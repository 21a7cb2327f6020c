//! What the texts of refusals say; kept together so that they stay alike.

use std::time::Duration;

use super::idempotency::NoKey;
use super::verdict::{Refusal, RefusalKind};
use crate::identify::content::Unreadable;
use crate::identify::resource_id::NoName;
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

/// A request that names no resource.
pub fn no_name(why: &NoName) -> Refusal {
    match why {
        NoName::MissingParameter(_) | NoName::RepeatedParameter(_) => ambiguous(why),
        NoName::Unreadable(why) => unreadable(why),
        NoName::MissingValue(place) => Refusal::new(
            RefusalKind::UnreadableContent,
            format!(
                "This request's content has no value at {place}, which names the resource here. Nothing was \
                 forwarded; send it."
            ),
        ),
    }
}

/// Content that a rule has to read, and cannot.
pub fn unreadable(why: &Unreadable) -> Refusal {
    Refusal::new(
        RefusalKind::UnreadableContent,
        format!(
            "This request's content {why}. A rule of this gateway has to read it, so nothing was forwarded."
        ),
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

/// A request that needs an idempotency key and has none, or one that cannot be read.
pub fn no_idempotency_key(why: NoKey) -> Refusal {
    let found = match why {
        NoKey::Missing => "is missing",
        NoKey::Repeated => "came more than once",
        NoKey::Unquoted => "holds something that is not in double quotes",
        NoKey::Unclosed => "holds a string without its closing quote",
        NoKey::Trailing => "holds more than one string",
        NoKey::Character => "holds a character or an escape that such a string has not",
        NoKey::Empty => "holds an empty string",
    };
    Refusal::new(
        RefusalKind::IdempotencyKeyMissing,
        format!(
            "The field Idempotency-Key {found}; expected one string of printable ASCII in double quotes, such as \
             a random UUID, that is new for each new request and the same when one is sent again."
        ),
    )
}

/// The first request with this key is in flight.
pub fn idempotency_key_in_use() -> Refusal {
    Refusal::later(
        RefusalKind::IdempotencyKeyInUse,
        SOON,
        "The first request with this Idempotency-Key is on its way to the origin. Send this one again later to \
         hear its answer; it is not forwarded twice.",
    )
}

/// The first request with this key was answered, and the answer is not kept.
pub fn first_answer_not_kept() -> Refusal {
    Refusal::new(
        RefusalKind::IdempotencyKeyInUse,
        "The first request with this Idempotency-Key was answered, and its answer is not kept: it was too long, \
         or broke off. It is not forwarded twice; read what it changed.",
    )
}

/// The key belongs to another request.
pub fn idempotency_key_reused() -> Refusal {
    Refusal::new(
        RefusalKind::IdempotencyKeyReused,
        "This Idempotency-Key was sent before, with another target or other content. Send a new request under a \
         new key, or the same request again.",
    )
}

/// Nobody knows what became of the first request with this key.
pub fn first_outcome_unknown() -> Refusal {
    Refusal::new(
        RefusalKind::OutcomeUnknown,
        "The first request with this Idempotency-Key was forwarded, and no final answer to it was seen: it may \
         have been applied. It is not forwarded twice; read what it would have changed, and use a new key to \
         send it all the same.",
    )
}

/// No room for another idempotency key.
pub fn too_many_keys() -> Refusal {
    Refusal::later(
        RefusalKind::Overloaded,
        SOON,
        "More requests with an Idempotency-Key are in flight, or of unknown outcome, than this gateway takes. \
         Nothing was forwarded; try again, with the same key.",
    )
}
