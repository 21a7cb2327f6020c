//! Writes: begin and settle, alone, beside another thread, and in a ledger that is full.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use criterion::Criterion;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Throughput};
use ifmatch::decide::claim::{HoldMode, VersionCondition};
use ifmatch::decide::outcome::WriteOutcome;
use ifmatch::ledger::memory::{BeginWrite, LedgerLimits, MemoryLedger, Place};
use ifmatch::request::version_tag::{ResourceKey, Version};
use tokio::runtime::{Builder, Runtime};

/// Few enough to be at home in the caches; `benches/scale` measures what more of them cost.
const RESOURCES: u64 = 100_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    if let Ok(runtime) = Builder::new_current_thread().build() {
        alone(&mut group, &runtime);
        forgetting(&mut group, &runtime);
    }
    contended(&mut group);
    group.finish();
}

fn alone(group: &mut BenchmarkGroup<'_, WallTime>, runtime: &Runtime) {
    let ledger = with_written(2 * RESOURCES);
    let known = key(17);
    group.bench_function("begin + settle", |bencher| {
        bencher.iter(|| runtime.block_on(settled(&ledger, &blind(black_box(known)))));
    });
    group.bench_function("begin + settle, If-Match", |bencher| {
        bencher.iter(|| {
            let current = is(ledger.version(known, None));
            let write = BeginWrite { condition: &current, ..blind(known) };
            runtime.block_on(settled(&ledger, &write))
        });
    });
    group.bench_function("begin + settle, three places", |bencher| {
        let whole = Place { key: ledger.whole_key("upstream"), mode: HoldMode::Member };
        let other = Place { key: key(18), mode: HoldMode::Exclusive };
        let write = BeginWrite { whole: Some(whole), others: &[other], ..blind(known) };
        bencher.iter(|| runtime.block_on(settled(&ledger, &write)));
    });
    group.bench_function("begin refused, stale", |bencher| {
        let never = is(Version(0));
        let stale = BeginWrite { condition: &never, ..blind(known) };
        bencher.iter(|| runtime.block_on(ledger.begin(black_box(&stale))).is_err());
    });
}

fn forgetting(group: &mut BenchmarkGroup<'_, WallTime>, runtime: &Runtime) {
    let full = with_written(RESOURCES);
    // A quarter more, for every shard to be full.
    let mut fresh = (RESOURCES..).map(key);
    for key in fresh.by_ref().take(25_000) {
        full.touch_now(key, Duration::ZERO);
    }
    group.bench_function("begin + settle, forgetting another", |bencher| {
        bencher.iter(|| fresh.next().map(|key| runtime.block_on(settled(&full, &blind(key)))));
    });
}

/// Two threads, neither of which writes the other's resources: that would be refused. The time is what
/// one thread's step takes.
fn contended(group: &mut BenchmarkGroup<'_, WallTime>) {
    let ledger = with_written(2 * RESOURCES);
    let everywhere = [0, 1].map(|thread| (0..10_000).map(|i| key(2 * i + thread)).collect());
    // The shard is told by the bits from 40 on.
    let one_shard = everywhere.clone().map(|keys: Vec<ResourceKey>| {
        keys.into_iter().map(|ResourceKey(key)| ResourceKey(key & !(0xffff << 40))).collect()
    });
    group.throughput(Throughput::Elements(2));
    for (what, keys) in [("all over", everywhere), ("in one shard", one_shard)] {
        group.bench_function(format!("begin + settle, two threads, {what}"), |bencher| {
            bencher.iter_custom(|times| side_by_side(&ledger, &keys, times));
        });
    }
}

/// How long the threads take for so many writes each.
fn side_by_side(ledger: &Arc<MemoryLedger>, keys: &[Vec<ResourceKey>; 2], times: u64) -> Duration {
    let start = Barrier::new(keys.len());
    let one_thread = |keys: &[ResourceKey]| {
        let runtime = Builder::new_current_thread().build().ok()?;
        start.wait();
        let begun = Instant::now();
        runtime.block_on(async {
            for (_, key) in (0..times).zip(keys.iter().cycle()) {
                black_box(settled(ledger, &blind(*key)).await);
            }
        });
        Some(begun.elapsed())
    };
    thread::scope(|scope| {
        let threads = keys.each_ref().map(|keys| scope.spawn(|| one_thread(keys)));
        let took = threads.into_iter().filter_map(|thread| thread.join().ok().flatten());
        took.max().unwrap_or_default()
    })
}

/// As even as a keyed hash, and each number has its own (Fibonacci hashing).
pub(crate) fn key(number: u64) -> ResourceKey {
    let key = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ResourceKey(key ^ (key >> 32))
}

/// A ledger with room for so many resources, of which so many as there may be are written.
pub(crate) fn with_written(max_resources: u64) -> Arc<MemoryLedger> {
    let ledger = MemoryLedger::new(LedgerLimits {
        max_resources: usize::try_from(max_resources).unwrap_or(usize::MAX),
        settle: Duration::from_secs(5),
        start_hold: Duration::ZERO,
    });
    for resource in 0..RESOURCES {
        ledger.touch_now(key(resource), Duration::ZERO);
    }
    ledger
}

fn blind(key: ResourceKey) -> BeginWrite<'static> {
    BeginWrite::to(Place { key, mode: HoldMode::Exclusive })
}

fn is(version: Version) -> VersionCondition {
    VersionCondition { any_of: Some([version].into()), none_of: Vec::new() }
}

async fn settled(ledger: &Arc<MemoryLedger>, write: &BeginWrite<'_>) -> bool {
    match ledger.begin(write).await {
        Ok(begun) => {
            begun.permit.settle(WriteOutcome::Applied).await;
            true
        }
        Err(_) => false,
    }
}
