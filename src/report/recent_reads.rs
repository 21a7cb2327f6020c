//! How long ago a version was last read: for `read_to_write_seconds`, in bounded memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::request::version_tag::{ResourceKey, Version};

/// A fixed table of the last reads, a line of it for each resource: whatever versions a resource goes through, they
/// stay in one place of the processor's cache. Versions that meet in one slot overwrite each other; a look-up that
/// finds another one finds nothing, so a figure is missed now and then and never wrong by more than the table's
/// clock.
pub struct RecentReads {
    began: Instant,
    lines: Box<[Line]>,
}

/// As much as a processor's cache fetches at a time.
#[derive(Default)]
#[repr(align(64))]
struct Line([AtomicU64; SLOTS]);

/// Half a mebibyte: enough for the reads of a busy minute.
const LINES: usize = 1 << 13;
/// The last versions of one resource, or of a few that share the line.
const SLOTS: usize = 8;
/// The low bits of a slot: milliseconds since the table began, enough for 34 years.
const TIME_BITS: u32 = 40;

impl RecentReads {
    /// An empty table.
    pub fn new() -> Self {
        RecentReads { began: Instant::now(), lines: (0..LINES).map(|_| Line::default()).collect() }
    }

    /// A read was stamped with this version, now.
    pub fn note(&self, key: ResourceKey, version: Version, now: Instant) {
        if let Some((slot, check)) = self.slot(key, version) {
            slot.store(check << TIME_BITS | self.clock(now).max(1), Ordering::Relaxed);
        }
    }

    /// How long before `now` this version was last read, if that is still known.
    pub fn age(&self, key: ResourceKey, version: Version, now: Instant) -> Option<Duration> {
        let (slot, check) = self.slot(key, version)?;
        let found = slot.load(Ordering::Relaxed);
        let at = found & ((1 << TIME_BITS) - 1);
        (found >> TIME_BITS == check && at > 0)
            .then(|| Duration::from_millis(self.clock(now).saturating_sub(at)))
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash choose a line, and a slot in it")]
    fn slot(&self, key: ResourceKey, version: Version) -> Option<(&AtomicU64, u64)> {
        let (line, mixed) = (self.lines.get(key.0 as usize % LINES)?, mix(key, version));
        Some((line.0.get(mixed as usize % SLOTS)?, mixed >> TIME_BITS))
    }

    fn clock(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
            & ((1 << TIME_BITS) - 1)
    }
}

/// One word for a version of a resource: the version is spread over it, so that neighbours differ in the
/// high bits, which tell slots' owners apart, as well as in the low ones, which choose a slot.
pub(super) fn mix(key: ResourceKey, version: Version) -> u64 {
    key.0 ^ version.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Default for RecentReads {
    fn default() -> Self {
        RecentReads::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_that_was_read_has_an_age() {
        let (reads, now) = (RecentReads::new(), Instant::now() + Duration::from_secs(1));
        let age = |key, version| reads.age(ResourceKey(key), Version(version), now + Duration::from_secs(3));
        reads.note(ResourceKey(5), Version(9), now);
        assert_eq!(age(5, 9), Some(Duration::from_secs(3)));
        assert_eq!(age(5, 10), None);
        assert_eq!(age(6, 9), None);
        assert_eq!(age(5 | 1 << 60, 9), None, "in the same line");
        reads.note(ResourceKey(5), Version(10), now);
        assert_eq!((age(5, 9), age(5, 10)), (Some(Duration::from_secs(3)), Some(Duration::from_secs(3))));
    }
}
