//! What a step costs by the number of written resources, and how much of that is the memory's doing.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ifmatch::ledger::memory::MemoryLedger;

use crate::key::key;
use crate::ledgers::{Random, SIZES, full, run, with_room, write};
use crate::{Outcome, table};

/// Odd, for there to be a middle one.
const ROUNDS: usize = 21;
/// Long beside a timer's reading and the first misses of caches that the round before has filled.
const STEPS: u64 = 50_000;
/// About what the ledger's tables take of memory for each resource.
const BYTES_EACH: usize = 40;

/// Everything that is measured at one size.
struct Subject {
    ledger: Arc<MemoryLedger>,
    existing: Random,
    full: Arc<MemoryLedger>,
    /// The next resource that the full ledger has not seen.
    fresh: u64,
    memory: Chain,
}

/// Nanoseconds a step.
#[derive(Clone, Copy)]
struct Round([f64; 4]);

const STEP_NAMES: [&str; 4] =
    ["read stamp", "begin + settle", "begin + settle, forgetting another", "plain memory access"];

/// The sizes take turns, so that what else the machine does meets all of them.
pub(crate) fn print() -> Outcome<()> {
    let mut subjects = SIZES.into_iter().map(Subject::new).collect::<Outcome<Vec<_>>>()?;
    let mut rounds = vec![Vec::new(); SIZES.len()];
    for _ in 0..ROUNDS {
        for (subject, rounds) in subjects.iter_mut().zip(&mut rounds) {
            rounds.push(subject.round()?);
        }
    }
    let text = format!(
        "Nanoseconds a step, one thread, on resources chosen at random: the median of {ROUNDS} rounds of \
         {} steps, the sizes in turn. A plain memory access reads a place that the one before has told, in \
         {BYTES_EACH} bytes a resource. The last column: by how many such accesses a step at this size is \
         dearer than at the first one.",
        table::count(STEPS)
    );
    let mut columns = vec!["written resources"];
    columns.extend(STEP_NAMES);
    columns.push("dearer by accesses (read stamp, begin + settle, forgetting)");
    table::begin("Time", &text, &columns);
    let mut first = None;
    for (size, rounds) in SIZES.into_iter().zip(&rounds) {
        let median_of =
            |step: fn(&Round) -> f64| table::median(&mut rounds.iter().map(step).collect::<Vec<_>>());
        let now = [
            median_of(|Round([ns, ..])| *ns),
            median_of(|Round([_, ns, ..])| *ns),
            median_of(|Round([_, _, ns, _])| *ns),
            median_of(|Round([.., ns])| *ns),
        ];
        let [read_0, write_0, forget_0, memory_0] = *first.get_or_insert(now);
        let [read, write, forget, memory] = now;
        let accesses = |ns: f64, ns_0: f64| (ns - ns_0) / (memory - memory_0);
        let mut cells = vec![table::count(size)];
        cells.extend(now.map(|ns| format!("{ns:.0}")));
        cells.push(if memory > memory_0 {
            format!(
                "{:.1}, {:.1}, {:.1}",
                accesses(read, read_0),
                accesses(write, write_0),
                accesses(forget, forget_0)
            )
        } else {
            "".into()
        });
        table::row(&cells);
    }
    Ok(())
}

impl Subject {
    fn new(size: u64) -> Outcome<Self> {
        Ok(Subject {
            ledger: with_room(size)?,
            existing: Random::new(size),
            full: full(size)?,
            fresh: 2 * size,
            memory: Chain::new(usize::try_from(size)? * BYTES_EACH),
        })
    }

    fn round(&mut self) -> Outcome<Round> {
        let Subject { ledger, existing, full, fresh, memory } = self;
        let read = timed(|| {
            for _ in 0..STEPS {
                black_box(ledger.observe(key(existing.next()), None, Duration::ZERO));
            }
            Ok(())
        })?;
        let write_existing = timed(|| {
            run(async {
                for _ in 0..STEPS {
                    write(ledger, existing.next()).await?;
                }
                Ok(())
            })
        })?;
        let forgotten = full.evictions();
        let forget = timed(|| {
            run(async {
                for _ in 0..STEPS {
                    write(full, *fresh).await?;
                    *fresh += 1;
                }
                Ok(())
            })
        })?;
        if full.evictions() - forgotten < STEPS {
            return Err("a write to another resource has forgotten none in a full ledger".into());
        }
        let access = timed(|| {
            memory.follow(STEPS);
            Ok(())
        })?;
        Ok(Round([read, write_existing, forget, access]))
    }
}

fn timed(steps: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let begun = Instant::now();
    steps()?;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    Ok(begun.elapsed().as_secs_f64() * 1e9 / STEPS as f64)
}

/// Memory, read at random: where the next access goes depends on what the last one found.
struct Chain {
    words: Vec<u64>,
    at: u64,
}

impl Chain {
    fn new(bytes: usize) -> Self {
        // Written, so that each page is the process's own.
        Chain { words: (1..=bytes as u64 / 8).collect(), at: 0 }
    }

    fn follow(&mut self, times: u64) {
        let below = self.words.len() as u128;
        for _ in 0..times {
            let mixed = key(self.at).0;
            let place = usize::try_from((u128::from(mixed) * below) >> 64).unwrap_or_default();
            self.at = self.at.wrapping_add(self.words.get(place).copied().unwrap_or_default());
        }
        black_box(self.at);
    }
}
