//! What became of a forwarded write: every way it can end, and what each way proves.

use http::StatusCode;

use super::policy::RoutePolicy;

/// How a permit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteEnd {
    /// No byte of the request left: connecting failed, or it was given back unsent.
    NotSent,
    /// A final answer's head arrived.
    Answered(StatusCode),
    /// The connection ended or broke before a final answer.
    ConnectionLost,
    /// No final answer within the upstream's time.
    NoAnswerInTime,
    /// Something that is not an HTTP answer.
    BadAnswer,
    /// The client's body ended early or broke: the origin has a part of the request.
    RequestIncomplete,
    /// The task that forwarded it ended without a word: a panic, or the runtime going down.
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
    use crate::report::names::UNKNOWN_CAUSES;

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
