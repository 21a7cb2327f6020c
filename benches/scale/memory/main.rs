//! What the allocator gives a ledger for each written resource. Beside `benches/scale`, and a program of its
//! own: an allocator that counts takes time.

#[path = "../key.rs"]
mod key;

use std::error::Error;
use std::time::Duration;

use ifmatch::ledger::memory::{LedgerLimits, MemoryLedger};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// A table grows by doubling, so the dearest moment of each doubling is looked for as well.
fn main() -> Result<(), Box<dyn Error>> {
    println!("| written resources | bytes each | the most since the row before, bytes each |");
    println!("|---|---|---|");
    let limits = LedgerLimits {
        max_resources: 20_000_000,
        settle: Duration::from_secs(5),
        start_hold: Duration::ZERO,
    };
    let before = ALLOCATOR.current_usage();
    let ledger = MemoryLedger::new(limits);
    let mut written = 0;
    for size in [1_000_u32, 10_000, 100_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 20_000_000] {
        let mut most = 0.0_f64;
        while written < size {
            ledger.touch_now(key::key(written.into()), Duration::ZERO);
            written += 1;
            if written.is_multiple_of(1000) {
                most = most.max(each(before, written));
            }
        }
        println!("| {size} | {:.1} | {most:.1} |", each(before, size));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn each(before: usize, written: u32) -> f64 {
    (ALLOCATOR.current_usage() - before) as f64 / f64::from(written)
}
