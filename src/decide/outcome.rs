//! What became of a forwarded write: every way it can end, and what each way proves.
//!
//! | how it ends | [`WriteEnd`] | [`WriteOutcome`] | what its client gets |
//! |---|---|---|---|
//! | connecting is refused or takes too long; every connection is in use; the request is given back unsent | `NotSent` | not applied | 502 `origin-unreachable` |
//! | the client's body ends early, breaks, or comes no further | `RequestIncomplete` | unknown | 502 `outcome-unknown`, if it is still there |
//! | end of the connection, or a reset, anywhere before the end of an answer's head, 1xx before it or not | `ConnectionLost` | unknown | 502 `outcome-unknown` |
//! | nothing, or nothing but 1xx, for `response_timeout` | `NoAnswerInTime` | unknown | 504 `outcome-unknown` |
//! | bytes that are no HTTP answer; 101 to a request that asked for no upgrade | `BadAnswer` | unknown | 502 `outcome-unknown` |
//! | 4xx, but for those below | `Answered` | not applied | the answer |
//! | 2xx, 3xx, 5xx, but for those below | `Answered` | applied, or so it must be taken | the answer |
//! | 202, 408, 499, 502, 503, 504 | `Answered` | unknown | the answer |
//! | a status of `not_applied` | `Answered` | not applied | the answer |
//! | a status of `maybe_applied` | `Answered` | applied, or so it must be taken | the answer |
//! | an answer whose body is cut off | `Answered` | by its status | the answer, cut off as it was: never a clean end |
//! | an answer that means "applied" before the request's body was over, which then never came to its end | `RequestIncomplete` | unknown | the answer |
//! | a panic in the task that forwards it | `Abandoned` | unknown | 502 `outcome-unknown` |
//! | the end of the process: `drain_timeout` is over, or a second SIGTERM | none: the hold is saved as it is | unsettled in the next process (rules R10 and R11) | a cut connection |
//!
//! A handshake of TLS that fails will be `NotSent`, as no byte of a request leaves before it: there is no
//! TLS to the origin yet. The client's leaving is no end: the write goes on, and ends in one of these.
//!
//! `tests/wire/fates.rs` goes through the table with the real binary: what the client gets, what the next
//! writer hears, what is counted, and that the origin never sees a write twice. A panic cannot be provoked
//! over the wire: `proxy::outlive` has its test. The end of the process is in `tests/wire/restart.rs`.

use http::StatusCode;

use super::policy::RoutePolicy;

/// How a permit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteEnd {
    /// No byte of the request left: connecting failed (a handshake of TLS would be part of that), or it
    /// was given back unsent.
    NotSent,
    /// A final answer's head arrived. The status decides, also if the answer's body is cut off.
    Answered(StatusCode),
    /// The connection ended or broke before a final answer; 1xx may have come.
    ConnectionLost,
    /// No final answer within the upstream's time.
    NoAnswerInTime,
    /// Something that is not an HTTP answer.
    BadAnswer,
    /// The client's body ended early or broke: the origin has a part of the request.
    RequestIncomplete,
    /// The task that forwarded it ended without a word: a panic. (At the end of the process nobody is
    /// left to say so: what is held is saved as held.)
    Abandoned,
}

/// What a [`WriteEnd`] proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It may have been applied, and will not be applied any more from now on.
    Applied,
    /// Surely not applied.
    NotApplied,
    /// It may have been applied, or still be (rule R8).
    Unknown(UnknownCause),
}

impl WriteOutcome {
    /// The metrics label; `report::names::WRITE_OUTCOMES` lists the same.
    pub fn name(self) -> &'static str {
        match self {
            WriteOutcome::Applied => "applied",
            WriteOutcome::NotApplied => "not-applied",
            WriteOutcome::Unknown(_) => "unknown",
        }
    }

    /// Why it is unknown, if it is.
    pub fn unknown_cause(self) -> Option<UnknownCause> {
        match self {
            WriteOutcome::Applied | WriteOutcome::NotApplied => None,
            WriteOutcome::Unknown(cause) => Some(cause),
        }
    }
}

/// Why an outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCause {
    /// 202: accepted, to be applied later.
    AcceptedOnly,
    /// 502, 503, 504: somebody between us and the resource answered in its place.
    AnsweredByGateway,
    /// 408 or 499: the origin, or somebody before it, gave up on the request.
    RequestTimeoutAnswer,
    /// See [`WriteEnd::NoAnswerInTime`].
    NoAnswerInTime,
    /// See [`WriteEnd::ConnectionLost`].
    ConnectionLost,
    /// See [`WriteEnd::BadAnswer`].
    BadAnswer,
    /// See [`WriteEnd::RequestIncomplete`].
    RequestIncomplete,
    /// See [`WriteEnd::Abandoned`].
    Abandoned,
}

impl UnknownCause {
    /// The metrics label; `report::names::UNKNOWN_CAUSES` lists the same.
    pub fn name(self) -> &'static str {
        match self {
            UnknownCause::AcceptedOnly => "accepted-only",
            UnknownCause::AnsweredByGateway => "answered-by-gateway",
            UnknownCause::RequestTimeoutAnswer => "request-timeout-answer",
            UnknownCause::NoAnswerInTime => "no-answer-in-time",
            UnknownCause::ConnectionLost => "connection-lost",
            UnknownCause::BadAnswer => "bad-answer",
            UnknownCause::RequestIncomplete => "request-incomplete",
            UnknownCause::Abandoned => "abandoned",
        }
    }
}

/// The table of rule R7.
pub fn outcome(end: WriteEnd, policy: &RoutePolicy) -> WriteOutcome {
    match end {
        WriteEnd::NotSent => WriteOutcome::NotApplied,
        WriteEnd::Answered(status) => outcome_of_status(status, policy),
        WriteEnd::ConnectionLost => WriteOutcome::Unknown(UnknownCause::ConnectionLost),
        WriteEnd::NoAnswerInTime => WriteOutcome::Unknown(UnknownCause::NoAnswerInTime),
        WriteEnd::BadAnswer => WriteOutcome::Unknown(UnknownCause::BadAnswer),
        // A correct origin does not apply a request whose body is incomplete (RFC 9112 section 8); one
        // that reads "what there is" does. A doubt, so: unknown.
        WriteEnd::RequestIncomplete => WriteOutcome::Unknown(UnknownCause::RequestIncomplete),
        WriteEnd::Abandoned => WriteOutcome::Unknown(UnknownCause::Abandoned),
    }
}

fn outcome_of_status(status: StatusCode, policy: &RoutePolicy) -> WriteOutcome {
    if policy.not_applied.contains(&status) {
        return WriteOutcome::NotApplied;
    }
    if policy.maybe_applied.contains(&status) {
        return WriteOutcome::Applied;
    }
    match status.as_u16() {
        202 => WriteOutcome::Unknown(UnknownCause::AcceptedOnly),
        408 | 499 => WriteOutcome::Unknown(UnknownCause::RequestTimeoutAnswer),
        502..=504 => WriteOutcome::Unknown(UnknownCause::AnsweredByGateway),
        400..=499 => WriteOutcome::NotApplied,
        // 2xx and 3xx (RFC 9111 section 4.4); 5xx is final too, but proves nothing: a fresh version. A
        // 101 hands the connection to another protocol, and whatever comes next may change anything.
        _ => WriteOutcome::Applied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::names::{UNKNOWN_CAUSES, WRITE_OUTCOMES};

    fn of(status: u16, policy: &RoutePolicy) -> WriteOutcome {
        outcome(WriteEnd::Answered(StatusCode::from_u16(status).expect("a status")), policy)
    }

    #[test]
    fn a_route_may_say_what_its_origin_means() {
        let mut policy = RoutePolicy::with_defaults("r", "u");
        assert_eq!(of(500, &policy), WriteOutcome::Applied);
        assert_eq!(of(409, &policy), WriteOutcome::NotApplied);
        policy.not_applied = vec![StatusCode::INTERNAL_SERVER_ERROR];
        policy.maybe_applied = vec![StatusCode::CONFLICT];
        assert_eq!(of(500, &policy), WriteOutcome::NotApplied);
        assert_eq!(of(409, &policy), WriteOutcome::Applied);
    }

    #[test]
    fn every_outcome_is_a_label_of_the_closed_list() {
        let outcomes = [
            WriteOutcome::Applied,
            WriteOutcome::NotApplied,
            WriteOutcome::Unknown(UnknownCause::ConnectionLost),
        ];
        assert_eq!(outcomes.map(WriteOutcome::name), WRITE_OUTCOMES);
    }

    #[test]
    fn every_cause_is_a_label_of_the_closed_list() {
        let causes = [
            UnknownCause::AcceptedOnly,
            UnknownCause::AnsweredByGateway,
            UnknownCause::RequestTimeoutAnswer,
            UnknownCause::NoAnswerInTime,
            UnknownCause::ConnectionLost,
            UnknownCause::BadAnswer,
            UnknownCause::RequestIncomplete,
            UnknownCause::Abandoned,
        ];
        assert_eq!(causes.map(UnknownCause::name), UNKNOWN_CAUSES);
    }
}
