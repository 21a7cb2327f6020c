//! The slots of all resources, in shards with a lock each.

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::Place;
use crate::ledger::begin::USUAL_PLACES;
use crate::ledger::protocol::Slots;
use crate::ledger::snapshot::MAX_SHARDS;
use crate::request::version_tag::{ResourceKey, Version};

/// A power of two of them; a resource's key tells its shard.
pub(super) struct Shards(Box<[Shard]>);

/// Begins where a pair of cache lines does, which many processors fetch together.
#[repr(align(128))]
struct Shard(Mutex<Slots>);

impl Shards {
    /// No entries; every resource at `floor`.
    pub(super) fn new(max_resources: usize, floor: Version) -> Self {
        /// Few enough to cost nothing at rest, enough that two cores seldom meet in one.
        const ENOUGH: usize = 64;
        /// Below this many resources a shard, one shard keeps the limit exact.
        const AT_LEAST: usize = 1 << 10;
        /// A table that grows moves all that it has while a write waits for it: so many in some
        /// tenths of a millisecond at most (benches/scale).
        const AT_MOST: usize = 1 << 14;
        let by_room = (max_resources / AT_LEAST).clamp(1, ENOUGH);
        let count = by_room.max(max_resources.div_ceil(AT_MOST)).next_power_of_two().min(MAX_SHARDS);
        let capacity = max_resources.div_ceil(count);
        Shards((0..count).map(|_| Shard(Mutex::new(Slots::new(floor, capacity)))).collect())
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = MutexGuard<'_, Slots>> {
        self.0.iter().map(|shard| shard.0.lock())
    }

    /// Every shard at a time.
    pub(super) fn lock_all(&self) -> Vec<MutexGuard<'_, Slots>> {
        self.iter().collect()
    }

    /// The one that a resource is in.
    #[expect(
        clippy::indexing_slicing,
        reason = "the mask keeps the index below the number of shards, a power of two"
    )]
    pub(super) fn lock_of(&self, key: ResourceKey) -> MutexGuard<'_, Slots> {
        self.0[self.index(key)].0.lock()
    }

    /// Those of some places, in the order of their index, so that no two writers wait for each other.
    pub(super) fn lock(&self, places: &[Place]) -> Locked<'_> {
        let mut guards = SmallVec::new();
        if let [only] = places {
            guards.push((self.index(only.key), self.lock_of(only.key)));
            return Locked { shards: self, guards };
        }
        let mut indexes: SmallVec<[usize; USUAL_PLACES]> =
            places.iter().map(|place| self.index(place.key)).collect();
        indexes.sort_unstable();
        indexes.dedup();
        let lock = |index: usize| self.0.get(index).map(|shard| (index, shard.0.lock()));
        guards.extend(indexes.into_iter().filter_map(lock));
        Locked { shards: self, guards }
    }

    /// While the ledger is nobody else's yet.
    pub(super) fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Slots> {
        self.0.iter_mut().map(|shard| shard.0.get_mut())
    }

    /// While the ledger is nobody else's yet.
    #[expect(
        clippy::indexing_slicing,
        reason = "the mask keeps the index below the number of shards, a power of two"
    )]
    pub(super) fn get_mut(&mut self, key: ResourceKey) -> &mut Slots {
        let index = self.index(key);
        self.0[index].0.get_mut()
    }

    fn index(&self, key: ResourceKey) -> usize {
        // The table within a shard uses the low and the topmost bits; these are others.
        (key.0 >> 40) as usize & (self.0.len() - 1)
    }
}

/// The shards of some places, locked.
pub(super) struct Locked<'l> {
    shards: &'l Shards,
    guards: SmallVec<[(usize, MutexGuard<'l, Slots>); USUAL_PLACES]>,
}

impl Locked<'_> {
    /// The shard of a resource, if it is one of those.
    pub(super) fn of(&mut self, key: ResourceKey) -> Option<&mut Slots> {
        let index = self.shards.index(key);
        self.guards.iter_mut().find(|(i, _)| *i == index).map(|(_, guard)| &mut **guard)
    }

    pub(super) fn peek(&self, key: ResourceKey) -> Option<&Slots> {
        let index = self.shards.index(key);
        self.guards.iter().find(|(i, _)| *i == index).map(|(_, guard)| &**guard)
    }

    /// R5, all or nothing: whether every place finds room in its shard.
    pub(super) fn have_room_for(&self, places: &[Place]) -> bool {
        self.guards.iter().all(|(index, slots)| {
            let new =
                |place: &&Place| self.shards.index(place.key) == *index && slots.holders(place.key) == 0;
            slots.has_room_for(places.iter().filter(new).count())
        })
    }
}
