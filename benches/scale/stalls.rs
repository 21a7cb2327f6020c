//! The slowest single steps: a table that grows makes one write pay for it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use ifmatch::decide::outcome::WriteOutcome;
use ifmatch::ledger::memory::MemoryLedger;

use crate::ledgers::{begin, full, limits, run};
use crate::{Outcome, table};

const RESOURCES: u64 = 10_000_000;
const EVICTING: u64 = 3_000_000;
/// Its shards are as large as any: 15,625 resources each, of at most 16,384.
const DEFAULT_LIMIT: u64 = 1_000_000;
/// The same steps, each time from the start.
const RUNS: usize = 3;

/// A step's time is the least that it took in any of the runs: what the ledger does comes again at the
/// same step, what else the machine does comes at another one.
pub(crate) fn print() -> Outcome<()> {
    let text = format!(
        "Microseconds that a single begin takes, the least of {RUNS} runs of the same {}, {} and {} steps.",
        table::count(RESOURCES),
        table::count(DEFAULT_LIMIT),
        table::count(EVICTING)
    );
    table::begin(
        "Stalls",
        &text,
        &["", "half are below", "99 %", "99.9 %", "99.99 %", "the slowest", "the slowest of one run alone"],
    );
    row("growing from nothing", |least| {
        let ledger = MemoryLedger::new(limits(2 * RESOURCES)?);
        steps(&ledger, 0..RESOURCES, least)
    })?;
    row("growing to the default limit, a million", |least| {
        steps(&MemoryLedger::new(limits(DEFAULT_LIMIT)?), 0..DEFAULT_LIMIT, least)
    })?;
    row("full, each forgets another", |least| {
        steps(&full(RESOURCES)?, 2 * RESOURCES..2 * RESOURCES + EVICTING, least)
    })
}

fn row(name: &str, mut run_once: impl FnMut(&mut Vec<u32>) -> Outcome<u32>) -> Outcome<()> {
    let mut least = Vec::new();
    let mut alone = 0;
    for _ in 0..RUNS {
        alone = alone.max(run_once(&mut least)?);
    }
    least.sort_unstable();
    let micros = |nanos: u32| format!("{:.1}", f64::from(nanos) / 1000.0);
    let at = |per_mille: usize, of: usize| {
        let place = least.len().saturating_mul(per_mille) / of;
        micros(least.get(place).copied().unwrap_or_default())
    };
    let slowest = micros(least.last().copied().unwrap_or_default());
    table::row(&[
        name.into(),
        at(1, 2),
        at(99, 100),
        at(999, 1000),
        at(9999, 10_000),
        slowest,
        micros(alone),
    ]);
    Ok(())
}

/// Takes the steps, and keeps the lesser of each one's time and what is there. Returns the slowest.
fn steps(ledger: &Arc<MemoryLedger>, resources: Range<u64>, least: &mut Vec<u32>) -> Outcome<u32> {
    let steps = usize::try_from(resources.end - resources.start)?;
    least.resize(steps, u32::MAX);
    run(async {
        let mut slowest = 0;
        for (resource, least) in resources.zip(least) {
            let begun = Instant::now();
            let permit = begin(ledger, resource).await?;
            let took = u32::try_from(begun.elapsed().as_nanos())?;
            permit.settle(WriteOutcome::Applied).await;
            *least = took.min(*least);
            slowest = slowest.max(took);
        }
        Ok(slowest)
    })
}
