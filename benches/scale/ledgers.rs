//! Ledgers with so many written resources.

use std::sync::Arc;
use std::time::Duration;

use ifmatch::decide::claim::HoldMode;
use ifmatch::decide::outcome::WriteOutcome;
use ifmatch::ledger::memory::{BeginWrite, LedgerLimits, MemoryLedger, Place};
use ifmatch::ledger::permit::WritePermit;

use crate::Outcome;
use crate::key::key;

/// How many written resources everything is measured at.
pub(crate) const SIZES: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The limits of a ledger that judges writes at once.
pub(crate) fn limits(max_resources: u64) -> Outcome<LedgerLimits> {
    Ok(LedgerLimits {
        max_resources: usize::try_from(max_resources)?,
        settle: Duration::from_secs(5),
        start_hold: Duration::ZERO,
    })
}

/// A ledger in which so many resources have been written, and no room is wanting: the default limit, or
/// twice as many.
pub(crate) fn with_room(resources: u64) -> Outcome<Arc<MemoryLedger>> {
    /// The default of `ledger.max_resources`.
    const DEFAULT: u64 = 1_000_000;
    let ledger = MemoryLedger::new(limits(DEFAULT.max(2 * resources))?);
    fill(&ledger, 0..resources);
    Ok(ledger)
}

/// A ledger at its limit: every write to another resource makes it forget one.
pub(crate) fn full(resources: u64) -> Outcome<Arc<MemoryLedger>> {
    let ledger = MemoryLedger::new(limits(resources)?);
    // A quarter more, for every shard to be full.
    fill(&ledger, 0..resources + resources / 4);
    Ok(ledger)
}

/// As many writes, in the step that leaves the least to wait for.
pub(crate) fn fill(ledger: &MemoryLedger, resources: std::ops::Range<u64>) {
    for resource in resources {
        ledger.touch_now(key(resource), Duration::ZERO);
    }
}

/// Resources below a number, each as likely as any other, in an order that is the same each time.
pub(crate) struct Random {
    state: u64,
    below: u64,
}

impl Random {
    pub(crate) fn new(below: u64) -> Self {
        Random { state: 1, below }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state += 1;
        let bits = key(self.state.rotate_left(32)).0;
        // The upper half of the product: a number below, without a division.
        u64::try_from((u128::from(bits) * u128::from(self.below)) >> 64).unwrap_or_default()
    }
}

/// A write that one client alone makes.
pub(crate) async fn begin(ledger: &Arc<MemoryLedger>, resource: u64) -> Outcome<WritePermit> {
    let write = BeginWrite::to(Place { key: key(resource), mode: HoldMode::Exclusive });
    match ledger.begin(&write).await {
        Ok(begun) => Ok(begun.permit),
        Err(refused) => Err(format!("a write was refused: {refused:?}").into()),
    }
}

/// The write and its settlement.
pub(crate) async fn write(ledger: &Arc<MemoryLedger>, resource: u64) -> Outcome<()> {
    begin(ledger, resource).await?.settle(WriteOutcome::Applied).await;
    Ok(())
}

/// Runs steps of a ledger in memory, which waits for nothing.
pub(crate) fn run<T>(steps: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(steps)
}
