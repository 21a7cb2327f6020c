//! What an origin's own validators say of a version: changes that did not come through us.

use std::sync::atomic::{AtomicU64, Ordering};

use super::recent_reads::mix;
use crate::request::version_tag::{ResourceKey, Variant, Version};

/// A fixed table of the validators (`ETag`, `Last-Modified`) that versions at rest were read with.
///
/// If a representation carries other ones than before while its resource stayed at rest in one version,
/// it changed without a write that came through the proxy. Resources that meet in one slot overwrite each
/// other: a change is missed now and then. One is seen where there was none only if hashes agree that
/// should not.
pub struct OriginTags {
    slots: Box<[Slot]>,
}

#[derive(Default)]
struct Slot {
    /// The validators of the first read of the version.
    first: AtomicU64,
    /// The entity-tag of the last one.
    last: AtomicU64,
}

/// What a read's validators say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validated {
    /// They are those of the first read of this version that is remembered.
    pub as_at_first: bool,
    /// The origin's own entity-tag is another one than on the last read.
    pub tag_moved: bool,
}

/// A mebibyte: the reads of a busy minute.
const SLOTS: usize = 1 << 16;
/// A word: which resource and version (24 bits), which representation (16), which validator (24, never
/// zero).
const VALIDATOR_BITS: u32 = 24;
const VARIANT_BITS: u32 = 16;
/// Every bit of a representation; and the one that stands for the answers to writes.
const REPRESENTATION: u64 = (1 << VARIANT_BITS) - 1;
const NO_READ: u64 = REPRESENTATION;

/// A resource's version, and a representation of it.
fn whose(mixed: u64, representation: u64) -> u64 {
    (mixed >> 40) << VARIANT_BITS | representation
}

fn word(whose: u64, hash: u64) -> u64 {
    whose << VALIDATOR_BITS | (hash >> (64 - VALIDATOR_BITS)).max(1)
}

impl OriginTags {
    /// An empty table.
    pub fn new() -> Self {
        OriginTags { slots: (0..SLOTS).map(|_| Slot::default()).collect() }
    }

    /// Notes a read of a resource at rest: a hash of all its validators, and one of its entity-tag if it
    /// has one.
    pub fn note(
        &self,
        key: ResourceKey,
        version: Version,
        of: Variant,
        all: u64,
        tag: Option<u64>,
    ) -> Validated {
        let mixed = mix(key, version);
        let whose = whose(mixed, u64::from(of.0) >> (32 - VARIANT_BITS));
        let word = |hash| word(whose, hash);
        let Some(slot) = self.slot(mixed) else {
            return Validated { as_at_first: true, tag_moved: false };
        };
        let first = slot.first.load(Ordering::Relaxed);
        let is_known = first != 0 && first >> VALIDATOR_BITS == whose;
        if !is_known {
            slot.first.store(word(all), Ordering::Relaxed);
        }
        let moved = tag.is_some_and(|tag| {
            let last = slot.last.swap(word(tag), Ordering::Relaxed);
            last != 0 && last >> VALIDATOR_BITS == whose && last != word(tag)
        });
        Validated { as_at_first: !is_known || first == word(all), tag_moved: moved }
    }

    /// Notes the entity-tag that an answer to a write gave to the version that it left behind.
    ///
    /// No read is held to it: an origin may give an answer to a write another one than to a read.
    pub fn note_written(&self, key: ResourceKey, version: Version, tag: u64) {
        let mixed = mix(key, version);
        if let Some(slot) = self.slot(mixed) {
            slot.last.store(word(whose(mixed, NO_READ), tag), Ordering::Relaxed);
        }
    }

    /// Whether this entity-tag is the last one that was seen of this version, on whatever representation.
    pub fn is_last_seen(&self, key: ResourceKey, version: Version, tag: u64) -> bool {
        let mixed = mix(key, version);
        let asked = word(whose(mixed, NO_READ), tag);
        let of_any_representation = |word: u64| word & !(REPRESENTATION << VALIDATOR_BITS);
        let last = self.slot(mixed).map_or(0, |slot| slot.last.load(Ordering::Relaxed));
        last != 0 && of_any_representation(last) == of_any_representation(asked)
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash choose a slot")]
    fn slot(&self, mixed: u64) -> Option<&Slot> {
        self.slots.get(mixed as usize % SLOTS)
    }
}

impl Default for OriginTags {
    fn default() -> Self {
        OriginTags::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u64 = 1 << 60;
    const OTHER: u64 = 2 << 60;

    #[test]
    fn another_validator_in_one_version_of_one_representation_is_a_change() {
        let tags = OriginTags::new();
        let at = |version, variant: u32, hash| {
            let key = ResourceKey(7 << 50);
            let seen = tags.note(key, Version(version), Variant(variant << 20), hash, Some(hash));
            (seen.as_at_first, seen.tag_moved)
        };
        assert_eq!(at(1, 1, ONE), (true, false), "the first one");
        assert_eq!(at(1, 1, ONE), (true, false), "the same");
        assert_eq!(at(1, 1, OTHER), (false, true), "another one");
        assert_eq!(at(1, 1, OTHER), (false, false), "that one again");
        assert_eq!(at(1, 2, ONE), (true, false), "of another representation");
        assert_eq!(at(2, 2, OTHER), (true, false), "after a write that was seen");
    }

    #[test]
    fn the_tag_that_was_seen_last_is_known_and_no_other() {
        let tags = OriginTags::new();
        let key = ResourceKey(7 << 50);
        let is_last = |version, tag| tags.is_last_seen(key, Version(version), tag);
        assert!(!is_last(1, ONE), "nothing was seen");
        tags.note(key, Version(1), Variant(1 << 20), ONE, Some(ONE));
        assert!(is_last(1, ONE) && !is_last(1, OTHER) && !is_last(2, ONE));
        tags.note(key, Version(1), Variant(2 << 20), OTHER, Some(OTHER));
        assert!(is_last(1, OTHER), "of whatever representation");
        tags.note_written(key, Version(2), ONE);
        assert!(is_last(2, ONE) && !is_last(2, OTHER));
        let read = tags.note(key, Version(2), Variant(1 << 20), OTHER, Some(OTHER));
        assert!(!read.tag_moved && is_last(2, OTHER), "a read is not held to the answer of a write");
    }
}
