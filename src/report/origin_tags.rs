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

impl OriginTags {
    /// An empty table.
    pub fn new() -> Self {
        OriginTags { slots: (0..SLOTS).map(|_| Slot::default()).collect() }
    }

    /// Notes a read of a resource at rest: a hash of all its validators, and one of its entity-tag if it
    /// has one.
    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash choose a slot")]
    pub fn note(
        &self,
        key: ResourceKey,
        version: Version,
        of: Variant,
        all: u64,
        tag: Option<u64>,
    ) -> Validated {
        let mixed = mix(key, version);
        let whose = (mixed >> 40) << VARIANT_BITS | u64::from(of.0) >> (32 - VARIANT_BITS);
        let word = |hash: u64| whose << VALIDATOR_BITS | (hash >> (64 - VALIDATOR_BITS)).max(1);
        let Some(slot) = self.slots.get(mixed as usize % SLOTS) else {
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
}
