//! What several of these tests start from.

use std::time::Duration;

use ifmatch::decide::claim::{HoldMode, VersionCondition};
use ifmatch::ledger::memory::{BeginWrite, Place};
use ifmatch::request::version_tag::ResourceKey;

/// A write to one resource that states nothing of its version.
pub(crate) fn write(key: ResourceKey, mode: HoldMode) -> BeginWrite {
    BeginWrite {
        target: Place { key, mode },
        whole: None,
        others: Vec::new(),
        condition: VersionCondition::default(),
        read_lag: Duration::ZERO,
        observe: false,
    }
}
