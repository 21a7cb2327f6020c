//! How much memory a written resource takes, as the system sees it.

use ifmatch::ledger::memory::MemoryLedger;

use crate::ledgers::{SIZES, limits, write};
use crate::process::resident;
use crate::{Outcome, table};

/// One ledger grows through all sizes. `cargo bench --bench scale_memory` tells what the allocator gave.
pub(crate) async fn print() -> Outcome<()> {
    table::begin(
        "Memory",
        "Growth of the process's resident memory while one ledger of at most 20,000,000 resources is filled.",
        &["written resources", "MiB", "bytes each"],
    );
    let before = resident()?;
    let ledger = MemoryLedger::new(limits(20_000_000)?);
    let mut written = 0;
    for size in SIZES {
        for resource in written..size {
            write(&ledger, resource).await?;
        }
        written = size;
        let grown = resident()? - before;
        #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
        let (mib, each) = (grown as f64 / 1_048_576.0, grown as f64 / size as f64);
        table::row(&[table::count(size), format!("{mib:.1}"), format!("{each:.1}")]);
    }
    Ok(())
}
