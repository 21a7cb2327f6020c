//! R11: what of the slots is written down when a process ends, and how the next one takes it up.

use std::time::Duration;

use super::{BegunAt, Entry, Hold, Millis, Owed, Slots};
use crate::decide::claim::HoldMode;
use crate::request::version_tag::{ResourceKey, Version};

/// A resource with a version of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedEntry {
    /// The resource.
    pub key: ResourceKey,
    /// Its version.
    pub version: Version,
    /// When the first write that may have changed it began.
    pub begun: BegunAt,
}

/// A resource that writes occupied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedHold {
    /// The resource.
    pub key: ResourceKey,
    /// How they occupied it.
    pub mode: HoldMode,
    /// What its end has to know.
    pub owed: Owed,
}

/// A resource whose reads may lag (rule R13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedLag {
    /// The resource.
    pub key: ResourceKey,
    /// What its reads get meanwhile.
    pub older: Version,
    /// For how long yet.
    pub left: Duration,
}

impl Slots {
    /// The oldest [`BegunAt`] among the resources without an entry.
    pub fn floor_begun(&self) -> BegunAt {
        self.floor_begun
    }

    /// The resources with an entry; as many as [`Slots::len`].
    pub fn saved_entries(&self) -> impl Iterator<Item = SavedEntry> {
        self.entries.iter().map(|entry| {
            let Entry { key, version, begun } = *entry;
            SavedEntry { key, version, begun }
        })
    }

    /// The resources that writes occupy, in flight or of unknown outcome: whoever comes next knows of
    /// none of them what became of it.
    pub fn saved_holds(&self) -> impl Iterator<Item = SavedHold> {
        self.holds.iter().map(|(key, hold)| SavedHold { key, mode: hold.mode, owed: hold.owed })
    }

    /// The resources whose reads may lag at `now`.
    pub fn saved_lag(&self, now: Millis) -> impl Iterator<Item = SavedLag> {
        self.lagging.iter().filter(move |(_, (_, until))| now < *until).map(move |(key, (older, until))| {
            SavedLag { key: *key, older: *older, left: Duration::from_millis(until.0.saturating_sub(now.0)) }
        })
    }

    /// Takes up the floor of slots that some of these resources were in.
    pub fn restore_floor(&mut self, floor: Version, begun: BegunAt) {
        self.floor = self.floor.max(floor);
        self.floor_begun = self.floor_begun.oldest(begun);
    }

    /// Makes room for so many entries, or for as many as there may be.
    pub fn expect(&mut self, entries: usize) {
        self.entries.reserve(entries.min(self.capacity));
    }

    /// Takes up an occupied resource: as one of unknown outcome until then, never as one at rest. To be
    /// ended like any other hold.
    ///
    /// Never forgotten, so it is taken up even beyond the capacity, and before the entries at rest.
    pub fn restore_hold(&mut self, hold: SavedHold, until: Millis) {
        let SavedHold { key, mode, owed } = hold;
        if self.entries.get(key).is_none() {
            self.entries.insert(Entry { key, version: self.floor, begun: self.floor_begun });
        }
        let restored = Hold { mode, holders: 1, overlapped: false, unsettled_until: Some(until), owed };
        *self.holds.get_or_insert(key, restored) = restored;
    }

    /// Takes up an entry. One that finds no room is forgotten by R9, or another one for it.
    ///
    /// Returns whether one was forgotten.
    pub fn restore_entry(&mut self, saved: SavedEntry) -> bool {
        let SavedEntry { key, version, begun } = saved;
        if let Some(entry) = self.entries.get_mut(key) {
            // An occupied one, which stands at the floor until its own version comes.
            entry.version = version;
            entry.begun = begun;
            return false;
        }
        let full = self.entries.len() >= self.capacity;
        if full && self.evict().is_err() {
            self.restore_floor(version, begun);
        } else {
            self.entries.insert(Entry { key, version, begun });
        }
        full
    }

    /// Takes up a lag, counted from `now`.
    pub fn restore_lag(&mut self, lag: SavedLag, now: Millis) {
        let left = u64::try_from(lag.left.as_millis()).unwrap_or(u64::MAX);
        self.lagging.insert(lag.key, (lag.older, Millis(now.0.saturating_add(left))));
    }
}
