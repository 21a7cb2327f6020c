//! What can happen to a guarded API, as plain data: random ones and a fuzzer's make the same sequences.

use std::time::Duration;

use http::StatusCode;
use ifmatch::decide::outcome::WriteEnd;
use ifmatch::decide::policy::{Unconditional, WeakIfMatch};

/// Resources that are read and written.
pub(crate) const KEYS: usize = 4;

/// What stays as it is over a sequence.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Entries of the ledger.
    pub(crate) capacity: usize,
    /// Whether some route changes the whole upstream.
    pub(crate) whole: bool,
    /// How far the origin's reads lag behind its writes.
    pub(crate) lag: Duration,
    pub(crate) unconditional: Unconditional,
    pub(crate) weak: WeakIfMatch,
}

/// One of those that are there, whatever their number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pick(pub(crate) u16);

impl Pick {
    pub(crate) fn of(self, length: usize) -> usize {
        usize::from(self.0) % length.max(1)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A read is about to be forwarded.
    Stamp(usize),
    /// The origin answers one of the reads, which may have stated what its client has.
    Serve {
        which: Pick,
        known: Option<Named>,
        /// By a replica that is as far behind as it may be.
        lagging: bool,
    },
    Begin(Begin),
    /// The origin applies one of the writes.
    Apply(Pick),
    Settle(Pick, Told),
    Touch(usize),
    Wait,
    /// The process is stopped cleanly, and the next one goes on from its state file.
    Restart,
    /// The process is killed, and the next one knows nothing.
    Crash,
}

#[derive(Clone, Debug)]
pub(crate) struct Begin {
    /// `None`: the resource of the first tag that it states.
    pub(crate) key: Option<usize>,
    /// Its method is guarded; or it is a POST.
    pub(crate) guarded: bool,
    pub(crate) if_match: Option<Condition>,
    pub(crate) if_none_match: Option<Condition>,
    /// It deletes.
    pub(crate) deletes: bool,
    pub(crate) also: Option<usize>,
    /// It changes everything.
    pub(crate) all: bool,
    pub(crate) observe: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Any,
    Tags(Vec<Named>),
    /// What is no list of tags.
    Malformed,
}

/// A tag that was handed out, as a client presents it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    pub(crate) tag: Pick,
    pub(crate) form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    AsGiven,
    /// `W/` before it.
    Weak,
    /// `W/` before it and `-gzip` behind it.
    Gzipped,
    /// `-gzip` behind it.
    Suffixed,
    /// Of another representation.
    OtherVariant,
    /// Of another life of the ledger.
    OtherLife,
    /// Of somebody else's making.
    Foreign,
}

pub(crate) const FORMS: [Form; 7] = [
    Form::AsGiven,
    Form::Weak,
    Form::Gzipped,
    Form::Suffixed,
    Form::OtherVariant,
    Form::OtherLife,
    Form::Foreign,
];

/// How a write ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    End(usize),
    /// The permit is dropped, as by a panic.
    Nothing,
}

/// What an end proves (rule R7 and its table in the README).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proves {
    Applied,
    NotApplied,
    Nothing,
}

/// Every kind of end, and what the rules say that it proves.
pub(crate) const ENDS: [(WriteEnd, Proves); 22] = [
    (WriteEnd::Answered(StatusCode::OK), Proves::Applied),
    (WriteEnd::Answered(StatusCode::CREATED), Proves::Applied),
    (WriteEnd::Answered(StatusCode::NO_CONTENT), Proves::Applied),
    (WriteEnd::Answered(StatusCode::SEE_OTHER), Proves::Applied),
    (WriteEnd::Answered(StatusCode::INTERNAL_SERVER_ERROR), Proves::Applied),
    (WriteEnd::Answered(StatusCode::NOT_IMPLEMENTED), Proves::Applied),
    (WriteEnd::Answered(StatusCode::BAD_REQUEST), Proves::NotApplied),
    (WriteEnd::Answered(StatusCode::NOT_FOUND), Proves::NotApplied),
    (WriteEnd::Answered(StatusCode::CONFLICT), Proves::NotApplied),
    (WriteEnd::Answered(StatusCode::UNPROCESSABLE_ENTITY), Proves::NotApplied),
    (WriteEnd::NotSent, Proves::NotApplied),
    (WriteEnd::Answered(StatusCode::ACCEPTED), Proves::Nothing),
    (WriteEnd::Answered(StatusCode::REQUEST_TIMEOUT), Proves::Nothing),
    (WriteEnd::Answered(StatusCode::BAD_GATEWAY), Proves::Nothing),
    (WriteEnd::Answered(StatusCode::SERVICE_UNAVAILABLE), Proves::Nothing),
    (WriteEnd::Answered(StatusCode::GATEWAY_TIMEOUT), Proves::Nothing),
    (WriteEnd::ConnectionLost, Proves::Nothing),
    (WriteEnd::NoAnswerInTime, Proves::Nothing),
    (WriteEnd::BadAnswer, Proves::Nothing),
    (WriteEnd::RequestIncomplete, Proves::Nothing),
    (WriteEnd::Abandoned, Proves::Nothing),
    (WriteEnd::Answered(StatusCode::PARTIAL_CONTENT), Proves::Applied),
];
