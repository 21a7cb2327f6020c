//! The rules of the ledger for a set of resources, as plain data and steps.
//!
//! Each method is one atomic step: whoever shares a [`Slots`] runs every step under one lock. The
//! rule names (R3, R5, R7, R8, R9, R13) are those of [the ledger's text](super); an exhaustive search in
//! `tests/rules/model.rs` runs these very steps.

mod entries;
mod holds;
mod saved;

use std::collections::HashMap;
use std::time::Duration;

use self::entries::{ByKey, Entries, Entry};
use self::holds::Holds;
use crate::decide::claim::HoldMode;
use crate::decide::read::ReadStamp;
use crate::request::version_tag::{ResourceKey, Version};

pub use saved::{SavedEntry, SavedHold, SavedLag};

/// Milliseconds since the ledger began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// Seconds since 1970 at which a write that may have changed a resource began; 0: none seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BegunAt(pub u32);

impl BegunAt {
    fn oldest(self, other: BegunAt) -> BegunAt {
        match (self, other) {
            (BegunAt(0), seen) | (seen, BegunAt(0)) => seen,
            (one, another) => one.min(another),
        }
    }
}

/// The slots of many resources: a version each, and who occupies it.
///
/// A resource without an entry is at rest, at the version `floor`.
///
/// In this order in memory: with the lock in front of it, what every step looks at is in one cache line, and who
/// occupies a resource in the next.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Slots {
    entries: Entries,
    floor: Version,
    capacity: usize,
    holds: Holds,
    /// The oldest [`BegunAt`] among forgotten entries.
    floor_begun: BegunAt,
    /// R13: what reads of a lagging origin get instead of the current version, and until when.
    lagging: HashMap<ResourceKey, (Version, Millis), ByKey>,
}

/// Who occupies a resource.
#[derive(Clone, Copy, Debug)]
struct Hold {
    mode: HoldMode,
    holders: u32,
    /// Whether there was ever more than one holder, or a change from elsewhere: then no holder knows
    /// what the content is at its end. Members among themselves do not count: none of them changes
    /// the whole.
    overlapped: bool,
    /// When the last of the unknown outcomes among the holders is settled.
    unsettled_until: Option<Millis>,
    owed: Owed,
}

/// What the end of a hold has to know of its holders, for when the process ends before it (rule R11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// When the first of them began.
    pub begun: BegunAt,
    /// The longest time for which reads may lag behind one of them.
    pub read_lag: Duration,
}

/// Why a resource cannot be occupied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Another write is being forwarded.
    InFlight,
    /// An earlier write's outcome is unknown until then.
    UnsettledUntil(Millis),
}

/// How a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Surely not applied: the version is kept.
    Kept,
    /// It may have been applied: this number, never used before, becomes the version (rule R7). Drawn
    /// in the same step, at the end of the hold and of `settle`.
    Changed {
        /// The fresh number.
        fresh: Version,
        /// When the write began.
        begun: BegunAt,
        /// Until when reads may lag behind this write; `None` where they do not.
        lags_until: Option<Millis>,
    },
}

/// What is left after a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Nobody else occupied or changed the resource while this hold lasted, so its author knows what
    /// the version stands for.
    pub alone: bool,
    /// Nobody occupies the resource any more.
    pub freed: bool,
    /// The resource's version from now on.
    pub version: Version,
}

/// There is no room for another entry: every one of them is occupied (rule R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Slots {
    /// No entries yet, and at most `capacity` of them ever. Every resource is at `floor`.
    pub fn new(floor: Version, capacity: usize) -> Self {
        Slots {
            floor,
            floor_begun: BegunAt::default(),
            entries: Entries::default(),
            capacity: capacity.max(1),
            holds: Holds::default(),
            lagging: HashMap::default(),
        }
    }

    /// The current version (INV1: it never goes back).
    pub fn version(&self, key: ResourceKey) -> Version {
        self.entries.get(key).map_or(self.floor, |entry| entry.version)
    }

    /// R3: what a read that is about to be forwarded may be stamped with. Inserts nothing.
    pub fn observe(&self, key: ResourceKey) -> ReadStamp {
        // Members of a whole change nothing of it.
        let changing = self.holds.get(key).is_some_and(|hold| hold.mode != HoldMode::Member);
        ReadStamp { version: self.version(key), at_rest: !changing }
    }

    /// R13: what a read gets instead, where the origin may still show what was there before a change.
    pub fn lagging(&self, key: ResourceKey, now: Millis) -> Option<Version> {
        self.lagging.get(&key).filter(|(_, until)| now < *until).map(|(older, _)| *older)
    }

    /// When the first write that may have changed the resource began, as far as one was seen; for a
    /// resource without an entry, a time that is no later. Nothing that was seen changed it earlier.
    pub fn changes_seen_since(&self, key: ResourceKey) -> BegunAt {
        self.entries.get(key).map_or(self.floor_begun, |entry| entry.begun)
    }

    /// Whether a write could occupy the resource in this mode.
    pub fn busy(&self, key: ResourceKey, mode: HoldMode) -> Option<Busy> {
        let hold = self.holds.get(key)?;
        match (hold.unsettled_until, mode) {
            (_, HoldMode::Shared | HoldMode::Member) if hold.mode == mode => None,
            (Some(until), _) => Some(Busy::UnsettledUntil(until)),
            (None, _) => Some(Busy::InFlight),
        }
    }

    /// Whether so many resources that nobody occupies now can be occupied at once.
    pub fn has_room_for(&self, resources: usize) -> bool {
        // Every other entry is at rest and can be forgotten.
        self.holds.len() + resources <= self.capacity
    }

    /// R5, the second half: occupies the resource, in the same step in which it was judged.
    ///
    /// The caller has found it free for `mode`; in observe mode it joins whoever is there. `owed` is what the end
    /// of this holder's hold will have to know (rule R11).
    ///
    /// # Errors
    /// If there is no room for its entry and none can be forgotten. Nothing has changed then.
    pub fn occupy(&mut self, key: ResourceKey, mode: HoldMode, owed: Owed) -> Result<Occupied, NoRoom> {
        let evicted = if self.entries.get(key).is_some() { false } else { self.insert(key, self.floor)? };
        let nobody =
            Hold { mode, holders: 0, overlapped: false, unsettled_until: None, owed: Owed::default() };
        let hold = self.holds.get_or_insert(key, nobody);
        if hold.holders > 0 {
            hold.overlapped |= (hold.mode, mode) != (HoldMode::Member, HoldMode::Member);
            // Observe mode let another kind of write in: whoever comes now may be judged against a
            // state that one of the holders is about to replace.
            if hold.mode != mode {
                hold.mode = HoldMode::Exclusive;
            }
        }
        hold.holders += 1;
        hold.owed.begun = hold.owed.begun.oldest(owed.begun);
        hold.owed.read_lag = hold.owed.read_lag.max(owed.read_lag);
        Ok(Occupied { evicted })
    }

    /// R8: a holder's outcome is unknown until `until`. Nothing else changes: the hold goes on, reads
    /// go on with the old number.
    pub fn unsettle(&mut self, key: ResourceKey, until: Millis) {
        if let Some(hold) = self.holds.get_mut(key) {
            hold.unsettled_until = hold.unsettled_until.max(Some(until));
        }
    }

    /// R7: ends one hold: publishes the fresh number, if any, and frees the resource, in one step.
    pub fn end(&mut self, key: ResourceKey, ending: Ending) -> Ended {
        let version = match ending {
            Ending::Changed { fresh, begun, lags_until } => self.publish(key, fresh, begun, lags_until),
            Ending::Kept => self.version(key),
        };
        let Some(hold) = self.holds.get_mut(key) else {
            return Ended { alone: false, freed: true, version };
        };
        hold.holders -= 1;
        let (alone, freed) = (!hold.overlapped, hold.holders == 0);
        if freed {
            self.holds.remove(key);
            // An entry that says no more than the floor does was inserted by a write that came to nothing.
            // One below the floor says more: the tags of its version are still good.
            if version == self.floor {
                self.entries.remove(key);
            }
        }
        Ended { alone, freed, version }
    }

    /// A change that came with a write to another resource, such as the one that a 201 names. Occupies
    /// nothing. Without room for an entry the floor rises instead, which is safe for everybody.
    ///
    /// Returns whether an entry had to be forgotten for it.
    pub fn touch(
        &mut self,
        key: ResourceKey,
        fresh: Version,
        begun: BegunAt,
        lags_until: Option<Millis>,
    ) -> bool {
        let before = self.version(key);
        if let Some(hold) = self.holds.get_mut(key) {
            hold.overlapped = true;
        }
        let evicted = if self.entries.get(key).is_some() {
            false
        } else if let Ok(evicted) = self.insert(key, self.floor) {
            evicted
        } else {
            self.floor = self.floor.max(fresh);
            self.floor_begun = self.floor_begun.oldest(begun);
            self.lag(key, before, lags_until);
            return false;
        };
        self.publish(key, fresh, begun, lags_until);
        evicted
    }

    /// Whether the resource has an entry of its own.
    pub fn is_tracked(&self, key: ResourceKey) -> bool {
        self.entries.get(key).is_some()
    }

    /// How many resources have an entry.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no resource has an entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The version of whatever has no entry.
    pub fn floor(&self) -> Version {
        self.floor
    }

    /// R10: lifts every resource to `floor`, a number drawn in this very step. One that has an entry
    /// already got it by a change that nobody judged; what was read since may be as old as any.
    pub fn raise_floor(&mut self, floor: Version) {
        self.floor = self.floor.max(floor);
        for entry in self.entries.iter_mut() {
            entry.version = floor.max(entry.version);
        }
    }

    /// How many writes occupy the resource.
    pub fn holders(&self, key: ResourceKey) -> u32 {
        self.holds.get(key).map_or(0, |hold| hold.holders)
    }

    /// R9: forgets one entry at rest, the oldest among a few in turn.
    ///
    /// # Errors
    /// If every entry is occupied.
    pub fn evict(&mut self) -> Result<(), NoRoom> {
        /// Enough to prefer old entries, few enough to cost nothing.
        const LOOKED_AT: usize = 8;
        let mut oldest: Option<Entry> = None;
        let mut at_rest = 0;
        for _ in 0..self.entries.len() {
            let Some(entry) = self.entries.next() else { break };
            let key = entry.key;
            if self.holds.get(key).is_some() {
                continue;
            }
            let (version, found) = (entry.version, oldest.map(|o| o.version));
            if found.is_none_or(|found| version < found) {
                oldest = Some(entry);
            }
            at_rest += 1;
            if at_rest == LOOKED_AT {
                break;
            }
        }
        self.forget(oldest.ok_or(NoRoom)?.key)
    }

    /// R9: forgets the entry of a resource at rest, in whatever order: the floor becomes the maximum of
    /// itself and the entry's version.
    ///
    /// # Errors
    /// If the resource is occupied or has no entry. Nothing has changed then.
    pub fn forget(&mut self, key: ResourceKey) -> Result<(), NoRoom> {
        if self.holds.get(key).is_some() {
            return Err(NoRoom);
        }
        let Entry { version, begun, .. } = self.entries.get(key).copied().ok_or(NoRoom)?;
        self.floor = self.floor.max(version);
        self.floor_begun = self.floor_begun.oldest(begun);
        self.entries.remove(key);
        Ok(())
    }

    /// Returns the version from then on.
    fn publish(
        &mut self,
        key: ResourceKey,
        fresh: Version,
        begun: BegunAt,
        lags_until: Option<Millis>,
    ) -> Version {
        let (before, version) = match self.entries.get_mut(key) {
            Some(entry) => {
                let before = entry.version;
                entry.version = fresh;
                entry.begun = entry.begun.oldest(begun);
                (before, fresh)
            }
            None => (self.floor, self.floor),
        };
        self.lag(key, before, lags_until);
        version
    }

    /// R13: until then, reads may still show what was there at `before`, or at an older version.
    fn lag(&mut self, key: ResourceKey, before: Version, lags_until: Option<Millis>) {
        if let Some(until) = lags_until {
            let lagging = self.lagging.entry(key).or_insert((before, until));
            *lagging = (before, until.max(lagging.1));
        }
    }

    /// Forgets what no read can be affected by any more.
    pub fn forget_lag(&mut self, now: Millis) {
        self.lagging.retain(|_, (_, until)| now < *until);
    }

    /// Inserts an entry that is not there. Returns whether another one had to be forgotten for it.
    fn insert(&mut self, key: ResourceKey, version: Version) -> Result<bool, NoRoom> {
        let full = self.entries.len() >= self.capacity;
        let begun = self.floor_begun;
        if full {
            self.evict()?;
        }
        // The floor may have risen: the entry starts at what the resource's version is now.
        let version = version.max(self.floor);
        self.entries.insert(Entry { key, version, begun });
        Ok(full)
    }
}

/// A resource was occupied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupied {
    /// Another entry had to be forgotten for it.
    pub evicted: bool,
}
