//! What a write asks of the ledger, and what it is told.

use std::time::Duration;

use smallvec::SmallVec;

use super::permit::WritePermit;
use crate::decide::claim::{HoldMode, VersionCondition};
use crate::decide::verdict::Refusal;
use crate::request::version_tag::ResourceKey;

/// How many resources a write occupies nearly always: its own, and perhaps the upstream as a whole. More cost an
/// allocation.
pub(super) const USUAL_PLACES: usize = 2;

/// What a write occupies.
pub(super) type Places = SmallVec<[Place; USUAL_PLACES]>;

/// A resource, and how a write wants to occupy it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The resource.
    pub key: ResourceKey,
    /// How.
    pub mode: HoldMode,
}

/// A write that asks to be let through.
#[derive(Clone, Copy, Debug)]
pub struct BeginWrite<'w> {
    /// The resource that the write names.
    pub target: Place,
    /// The upstream as a whole, where a route changes all of it: every write takes part in it.
    pub whole: Option<Place>,
    /// Further resources that it changes.
    pub others: &'w [Place],
    /// What must be true of the target's version.
    pub condition: &'w VersionCondition,
    /// Until when reads of the changed resources may lag, counted from the settlement.
    pub read_lag: Duration,
    /// Observe mode: let through whatever is found.
    pub observe: bool,
}

/// Why a write is not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotBegun {
    /// The ledger judges no writes for this long yet.
    Starting(Duration),
    /// The place is occupied: by a write in flight, or for this long by one of unknown outcome.
    Occupied {
        /// Where.
        key: ResourceKey,
        /// `None`: a write in flight.
        unsettled_for: Option<Duration>,
    },
    /// The condition is false.
    Stale(Refusal),
    /// Every entry is occupied.
    NoRoom,
    /// The process ends: its ledger judges no writes any more.
    Closed,
}

/// A write that was let through.
pub struct Begun {
    /// The right to forward it.
    pub permit: WritePermit,
    /// In observe mode: why it would not have been let through.
    pub observed: Option<NotBegun>,
}

/// States nothing of the version.
static NOTHING: VersionCondition = VersionCondition { any_of: None, none_of: Vec::new() };

impl BeginWrite<'_> {
    /// A write to one resource, whose reads do not lag and that states nothing of its version.
    pub fn to(target: Place) -> Self {
        BeginWrite {
            target,
            whole: None,
            others: &[],
            condition: &NOTHING,
            read_lag: Duration::ZERO,
            observe: false,
        }
    }

    /// Every place once: the target first, then the upstream as a whole, then the others.
    pub(super) fn places(&self) -> Places {
        let mut places = Places::new();
        places.push(self.target);
        for place in self.whole.iter().chain(self.others) {
            if places.iter().all(|p| p.key != place.key) {
                places.push(*place);
            }
        }
        places
    }
}
