//! What the texts of refusals say; kept together so that they stay alike.

use std::time::Duration;

use super::idempotency::NoKey;
use super::verdict::{Refusal, RefusalKind};
use crate::identify::content::{Place, Unreadable};
use crate::identify::look::NoTarget;
use crate::identify::resource_id::NoName;
use crate::request::json::Pointer;
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

/// A guarded write that states nothing, of whose author's reading nothing is known.
pub fn not_read() -> Refusal {
    Refusal::new(
        RefusalKind::PreconditionRequired,
        "This request changes a resource, and it is not known what its author last read of it. Read it first with \
         GET, to the end, and send this again after that (or send the ETag in If-Match, or If-None-Match: * to \
         create it).",
    )
}

/// A guarded write that states nothing, whose author last read an older version.
pub fn stale_view() -> Refusal {
    Refusal::new(
        RefusalKind::StaleView,
        "The resource has changed since you last read it. Read it again, apply your change to what you find, and \
         send that.",
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

/// Tags that are compared with what the origin shows, and it shows nothing to compare with.
pub fn not_shown() -> Refusal {
    Refusal::new(
        RefusalKind::PreconditionFailed,
        "This gateway asked the origin for the current state of the resource, to compare it with the stated \
         precondition, and the origin did not show it. Nothing was changed. Read the resource to see why.",
    )
}

/// A precondition that comes from elsewhere than a field of its own, and is there twice.
pub fn stated_twice(name: &str) -> Refusal {
    Refusal::new(
        RefusalKind::MalformedPrecondition,
        format!(
            "This request has {name} more than once, which states the version that it replaces. Send it once."
        ),
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

/// A PUT to what exists, where the route lets it only create.
pub fn already_exists() -> Refusal {
    Refusal::new(
        RefusalKind::AlreadyExists,
        "PUT only creates here, and the origin has something under this name already or does not say. Nothing was \
         changed. Choose another name, or read what is there.",
    )
}

/// A unique value that some record has.
pub fn value_taken(place: &Place) -> Refusal {
    Refusal::new(
        RefusalKind::DuplicateValue,
        format!(
            "The value of {place} has to be unique and is taken. Nothing was forwarded; send another one."
        ),
    )
}

/// A unique value that another write is about to take: in flight, or unsettled for so long.
pub fn value_reserved(place: &Place, unsettled_for: Option<Duration>) -> Refusal {
    Refusal::later(
        RefusalKind::DuplicateValue,
        unsettled_for.unwrap_or(SOON),
        format!(
            "The value of {place} has to be unique, and another write with it is on its way or has only just \
             ended. Nothing was forwarded; send another one, or try again to learn what became of that write."
        ),
    )
}

/// A look-up that a request makes no target for.
pub fn cannot_look(why: &NoTarget, place: &Place) -> Refusal {
    match why {
        NoTarget::Missing(why) => no_name(why),
        NoTarget::AnotherPath => Refusal::new(
            RefusalKind::UnreadableContent,
            format!(
                "The value of {place} is none that the origin could be asked for. Nothing was forwarded; send another one."
            ),
        ),
    }
}

/// A look at the origin that a rule needs, and that tells nothing.
pub fn look_failed() -> Refusal {
    Refusal::later(
        RefusalKind::LookFailed,
        SOON,
        "A rule of this gateway has to ask the API behind it before this write can go on, and got no answer that it \
         can go by. Nothing was forwarded; try again.",
    )
}

/// A move of the state that may not follow the present one, which only who may see it is told.
pub fn transition_not_allowed(field: &Pointer, from: Option<&str>, to: &str) -> Refusal {
    /// A state is a word; what is longer is cut.
    const SHOWN: usize = 60;
    let shown = |state: &str| state.chars().take(SHOWN).collect::<String>();
    let to = shown(to);
    let detail = match from {
        Some(from) => format!(
            "The resource is in the state {:?} ({field}), from where a move to {to:?} is not allowed. Nothing was forwarded.",
            shown(from)
        ),
        None => format!(
            "The resource's present state does not allow a move to {to:?}. Nothing was forwarded; read the \
             resource to see which moves are left."
        ),
    };
    Refusal::new(RefusalKind::TransitionNotAllowed, detail)
}

/// An answer of the origin that means a conflict. What it says of it may be internal, and is not told.
pub fn origin_conflict() -> Refusal {
    Refusal::new(
        RefusalKind::OriginConflict,
        "The API behind this gateway answered this write with an error that means a conflict with what is there \
         already, such as a value in use. Read what is there, and change the request before sending it again.",
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
