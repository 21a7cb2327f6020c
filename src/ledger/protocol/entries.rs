//! Resources with a version of their own: a table, and a hand that goes around it.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashTable;

use super::BegunAt;
use crate::request::version_tag::{ResourceKey, Version};

/// 20 bytes: at ten million resources every byte is ten megabytes.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub(super) struct Entry {
    pub(super) key: ResourceKey,
    pub(super) version: Version,
    pub(super) begun: BegunAt,
}

/// At most one entry for each key.
///
/// They stand in the table itself: what a step looks at is in two cache lines, however many there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    table: HashTable<Entry>,
    hand: usize,
}

impl Entries {
    pub(super) fn get(&self, key: ResourceKey) -> Option<&Entry> {
        self.table.find(key.0, is_of(key))
    }

    pub(super) fn get_mut(&mut self, key: ResourceKey) -> Option<&mut Entry> {
        self.table.find_mut(key.0, is_of(key))
    }

    /// Of a key that has none.
    pub(super) fn insert(&mut self, entry: Entry) {
        let key = entry.key;
        self.table.insert_unique(key.0, entry, hash);
    }

    pub(super) fn remove(&mut self, key: ResourceKey) {
        if let Ok(found) = self.table.find_entry(key.0, is_of(key)) {
            found.remove();
        }
    }

    /// The next one in turn: as many calls as there are entries come by each of them once.
    pub(super) fn next(&mut self) -> Option<Entry> {
        let buckets = self.table.num_buckets();
        for _ in 0..buckets {
            self.hand = if self.hand + 1 < buckets { self.hand + 1 } else { 0 };
            if let Some(entry) = self.table.get_bucket(self.hand) {
                return Some(*entry);
            }
        }
        None
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.table.iter_mut()
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.table.reserve(more, hash);
    }
}

fn is_of(key: ResourceKey) -> impl Fn(&Entry) -> bool {
    move |entry| { entry.key } == key
}

fn hash(entry: &Entry) -> u64 {
    { entry.key }.0
}

/// For maps by a [`ResourceKey`], which is a keyed hash already.
pub(super) type ByKey = BuildHasherDefault<KeyHasher>;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}
