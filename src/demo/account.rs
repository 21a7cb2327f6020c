//! The account of a storm: what its numbers prove, and why there may be none.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// The account of a storm.
#[derive(Clone, Debug)]
pub struct StormResult {
    /// Increments that were answered with 2xx: the plan's number.
    pub acknowledged: u64,
    /// The counter before the first increment.
    pub initial_value: i64,
    /// The counter after the last one.
    pub final_value: i64,
    /// `acknowledged - (final_value - initial_value)`. Below zero, the counter grew by more than was
    /// acknowledged: see [`StormResult::finding`].
    pub lost: i64,
    /// Refusals (409, 412, 428) by the problem's kind.
    pub refused_by_kind: BTreeMap<String, u64>,
    /// PUTs that were tried.
    pub attempts: u64,
    /// Reads and writes that brought no answer, or one with 5xx.
    pub errors: u64,
    /// Writes among the errors that may have been applied all the same.
    pub unknown: u64,
    /// From the first client's start to the last one's end.
    pub elapsed: Duration,
    /// The entity-tag of the state before the storm, which no later state has.
    pub first_tag: Option<String>,
}

/// What the account of a storm says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Every acknowledged increment is in the counter.
    Kept,
    /// At least this many acknowledged increments are gone.
    Lost(u64),
    /// The counter holds as many as were acknowledged, and yet one may be gone: writes of unknown
    /// outcome, or somebody else's, may stand in for it.
    Unclear,
}

impl StormResult {
    /// What the numbers prove, and no more.
    ///
    /// No write adds more than one to the highest value there ever was, so the counter grows by at most
    /// `acknowledged + unknown`, and by exactly that only if nothing was lost.
    pub fn finding(&self) -> Finding {
        match u64::try_from(self.lost) {
            Ok(0) if self.unknown == 0 => Finding::Kept,
            Ok(0) => Finding::Unclear,
            Ok(lost) => Finding::Lost(lost),
            Err(_) if self.lost.unsigned_abs() == self.unknown => Finding::Kept,
            Err(_) => Finding::Unclear,
        }
    }
}

/// Why there is no account of a storm, or why it is a bad one.
#[derive(Debug)]
pub enum StormError {
    /// The plan cannot be carried out.
    Plan(String),
    /// A client had nothing but failures.
    GaveUp {
        /// How many in a row.
        failures: u32,
        /// The last one.
        last: String,
    },
    /// Nothing was acknowledged for too long.
    Stalled {
        /// How long.
        patience: Duration,
        /// What had been acknowledged before.
        acknowledged: u64,
    },
    /// A read through the guard came without an entity-tag.
    NoEntityTag,
    /// An answer that an honest client has no use for.
    UnexpectedAnswer {
        /// To which method.
        method: &'static str,
        /// Its status.
        status: StatusCode,
        /// Its problem's kind, or the status again.
        kind: String,
    },
    /// A client's task ended by a defect of ours.
    ClientDied(String),
    /// The guard let updates be lost: it is broken.
    GuardLostUpdates(u64),
    /// The guarded run proves nothing, because the outcome of writes is unknown.
    Inconclusive {
        /// How many.
        unknown: u64,
    },
    /// The result could not be written out.
    Output(std::io::Error),
}

impl fmt::Display for StormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StormError::Plan(wrong) => f.write_str(wrong),
            StormError::GaveUp { failures, last } => {
                write!(f, "a client gave up after {failures} failures in a row; the last one: {last}")
            }
            StormError::Stalled { patience, acknowledged } => {
                write!(f, "no increment was acknowledged for {patience:?}, after {acknowledged} that were")
            }
            StormError::NoEntityTag => {
                f.write_str("a read came without ETag; is the route guarded, and its mode not \"off\"?")
            }
            StormError::UnexpectedAnswer { method, status, kind } => {
                write!(f, "{method} of the counter was answered with {status} ({kind})")
            }
            StormError::ClientDied(why) => write!(f, "a client of the storm died: {why}"),
            StormError::GuardLostUpdates(lost) => {
                write!(f, "{lost} acknowledged increments were lost behind the guard")
            }
            StormError::Inconclusive { unknown } => write!(
                f,
                "the run behind the guard proves nothing: the outcome of {unknown} writes is unknown, or \
                 somebody else wrote the counter"
            ),
            StormError::Output(_) => f.write_str("the result could not be written out"),
        }
    }
}

impl std::error::Error for StormError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StormError::Output(error) => Some(error),
            StormError::Plan(_)
            | StormError::GaveUp { .. }
            | StormError::Stalled { .. }
            | StormError::NoEntityTag
            | StormError::UnexpectedAnswer { .. }
            | StormError::ClientDied(_)
            | StormError::GuardLostUpdates(_)
            | StormError::Inconclusive { .. } => None,
        }
    }
}
