//! Changes that did not come through us, as far as an origin's own entity-tags show them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::request::version_tag::{ResourceKey, Variant, Version};

/// A fixed table of the origin's own tags, as they were on the last reads.
///
/// If a representation carries another tag than before while its resource stayed at rest in one version,
/// somebody has written past the proxy. Resources that meet in one slot overwrite each other: a change is
/// missed now and then. One is seen where there was none only if three hashes agree that should not.
pub struct OriginTags {
    slots: Box<[AtomicU64]>,
}

/// Half a mebibyte: the reads of a busy minute.
const SLOTS: usize = 1 << 16;
/// A slot: which resource and version (24 bits), which variant (16), which tag (24, never zero).
const TAG_BITS: u32 = 24;
const VARIANT_BITS: u32 = 16;

impl OriginTags {
    /// An empty table.
    pub fn new() -> Self {
        OriginTags { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Notes the tag that a read of a resource at rest carried, as a hash. Whether it is another one than
    /// the last time, in the same version and on the same representation.
    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash choose a slot")]
    pub fn changed(&self, key: ResourceKey, version: Version, variant: Variant, tag: u64) -> bool {
        // Spread the version over the word, so that neighbours differ in the check too.
        let mixed = key.0 ^ version.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let Some(slot) = self.slots.get(mixed as usize % SLOTS) else { return false };
        let whose = (mixed >> 40) << VARIANT_BITS | u64::from(variant.0) >> (32 - VARIANT_BITS);
        let tag = (tag >> (64 - TAG_BITS)).max(1);
        let before = slot.swap(whose << TAG_BITS | tag, Ordering::Relaxed);
        let same_one = before >> TAG_BITS == whose && before != 0;
        same_one && before & ((1 << TAG_BITS) - 1) != tag
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
    fn another_tag_in_one_version_of_one_representation_is_a_change() {
        let tags = OriginTags::new();
        let at = |version, variant, tag| {
            tags.changed(ResourceKey(7 << 50), Version(version), Variant(variant), tag)
        };
        assert!(!at(1, 1 << 20, ONE), "the first one");
        assert!(!at(1, 1 << 20, ONE), "the same");
        assert!(at(1, 1 << 20, OTHER), "another one");
        assert!(!at(1, 2 << 20, ONE), "of another representation");
        assert!(!at(2, 2 << 20, OTHER), "after a write that was seen");
    }
}
