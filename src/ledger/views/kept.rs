//! A bounded map of views that forgets the oldest. Pure: time comes in as an argument.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::ViewKey;
use crate::ledger::protocol::Millis;
use crate::request::version_tag::Version;

/// Views in two generations. A view goes into the young one; when that holds half of all, the old one is dropped
/// as a whole and the young one takes its place. So what is kept is at least the newest half, without a list of
/// ages: 32 bytes a view, some 40 to 75 with the maps' own room.
pub struct Kept {
    young: Generation,
    old: Generation,
    /// The most in each.
    at_most: usize,
}

#[derive(Default)]
struct Generation {
    views: HashMap<ViewKey, (Version, Millis), BuildHasherDefault<Hashed>>,
    /// When its newest came in.
    newest: Millis,
}

impl Kept {
    /// None yet, and at most so many ever; at least two.
    pub fn new(at_most: usize) -> Self {
        Kept { young: Generation::default(), old: Generation::default(), at_most: (at_most / 2).max(1) }
    }

    /// Keeps a view in place of an earlier one. Returns how many others it took the room of.
    pub fn keep(&mut self, key: ViewKey, version: Version, now: Millis) -> usize {
        self.old.views.remove(&key);
        let full = self.young.views.len() >= self.at_most && !self.young.views.contains_key(&key);
        let evicted = if full { self.grow_older() } else { 0 };
        self.young.views.insert(key, (version, now));
        self.young.newest = now;
        evicted
    }

    /// Forgets a view.
    pub fn forget(&mut self, key: ViewKey) {
        self.young.views.remove(&key);
        self.old.views.remove(&key);
    }

    /// The version that was kept last, if it is there and younger than `lifetime`.
    pub fn version(&self, key: ViewKey, now: Millis, lifetime: Millis) -> Option<Version> {
        let (version, since) = self.young.views.get(&key).or_else(|| self.old.views.get(&key))?;
        (now.0.saturating_sub(since.0) < lifetime.0).then_some(*version)
    }

    /// How many are kept, those included whose time is over and that were not freed yet.
    pub fn len(&self) -> usize {
        self.young.views.len() + self.old.views.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees generations whose time is over, with the room that they took.
    pub fn expire(&mut self, now: Millis, lifetime: Millis) {
        for generation in [&mut self.old, &mut self.young] {
            if !generation.views.is_empty() && now.0.saturating_sub(generation.newest.0) >= lifetime.0 {
                *generation = Generation::default();
            }
        }
    }

    fn grow_older(&mut self) -> usize {
        let evicted = self.old.views.len();
        std::mem::swap(&mut self.young, &mut self.old);
        // Its room is used again.
        self.young.views.clear();
        evicted
    }
}

/// A key is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not called for a `u128`; correct all the same.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Millis = Millis(100);

    fn found(kept: &Kept, key: u128, now: u64) -> Option<u64> {
        kept.version(ViewKey(key), Millis(now), LIFE).map(|version| version.0)
    }

    #[test]
    fn the_last_view_is_found_until_it_is_forgotten_or_its_time_is_over() {
        let mut kept = Kept::new(10);
        kept.keep(ViewKey(1), Version(5), Millis(0));
        kept.keep(ViewKey(1), Version(4), Millis(7));
        assert_eq!((found(&kept, 1, 106), found(&kept, 1, 107)), (Some(4), None));
        assert_eq!(found(&kept, 2, 7), None);
        kept.forget(ViewKey(1));
        assert_eq!((found(&kept, 1, 8), kept.len()), (None, 0));
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for_and_the_newest_half_always_is() {
        for room in [2, 3, 10, 64] {
            let mut kept = Kept::new(room);
            let mut evicted = 0;
            for key in 0..500u128 {
                evicted += kept.keep(ViewKey(key << 64 | key), Version(7), Millis(0));
                assert!(kept.len() <= room, "{} of {room}", kept.len());
                assert_eq!(kept.len() + evicted, usize::try_from(key).expect("few") + 1);
                for newer in (0..=key).rev().take(room / 2) {
                    assert_eq!(found(&kept, newer << 64 | newer, 1), Some(7), "{newer} after {key}");
                }
            }
        }
    }

    /// The old generation must never show through a view that was kept again or forgotten.
    #[test]
    fn what_was_kept_before_never_comes_back() {
        let mut kept = Kept::new(2);
        kept.keep(ViewKey(1), Version(9), Millis(0));
        kept.keep(ViewKey(2), Version(9), Millis(0));
        kept.keep(ViewKey(1), Version(3), Millis(0));
        assert_eq!(found(&kept, 1, 0), Some(3));
        kept.keep(ViewKey(4), Version(9), Millis(0));
        assert_eq!(found(&kept, 1, 0), Some(3));
        kept.forget(ViewKey(1));
        assert_eq!(found(&kept, 1, 0), None);
    }

    #[test]
    fn what_is_over_is_freed() {
        let mut kept = Kept::new(4);
        for (key, now) in [(1, 0), (2, 0), (3, 60)] {
            kept.keep(ViewKey(key), Version(1), Millis(now));
        }
        kept.expire(Millis(100), LIFE);
        assert_eq!(kept.len(), 1, "the generation of the last one");
        kept.expire(Millis(160), LIFE);
        assert!(kept.is_empty());
    }
}
