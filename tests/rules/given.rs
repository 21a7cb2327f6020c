//! What several of these tests start from.

use ifmatch::decide::claim::HoldMode;
use ifmatch::ledger::memory::{BeginWrite, Place};
use ifmatch::request::version_tag::ResourceKey;

/// A write to one resource that states nothing of its version.
pub(crate) fn write(key: ResourceKey, mode: HoldMode) -> BeginWrite<'static> {
    BeginWrite::to(Place { key, mode })
}
