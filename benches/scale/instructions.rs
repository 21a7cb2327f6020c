//! Instructions and cache misses a step, counted by valgrind, which runs this program.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use crate::key::key;
use crate::ledgers::{Random, SIZES, full, run, with_room, write};
use crate::{Outcome, table};

/// The argument of a process that repeats a step.
pub(crate) const REPEAT: &str = "--repeat";

const READ: &str = "read";
const WRITE: &str = "write";
const FORGET: &str = "forget";

/// What cachegrind tells of a run.
#[derive(Clone, Copy)]
struct Counted {
    instructions: f64,
    first_level: f64,
    last_level: f64,
}

/// Each figure is the difference of two runs, one with more steps than the other, by the number of these
/// more: what else the process does is the same in both.
pub(crate) fn print() -> Outcome<()> {
    table::begin(
        "Instructions and cache misses",
        "A step, as cachegrind counts: instructions, misses of a first-level data cache of 32 KiB, and of a \
         last-level cache of 32 MiB.",
        &["written resources", "read stamp", "begin + settle", "begin + settle, forgetting another"],
    );
    for size in SIZES {
        let mut cells = vec![table::count(size)];
        for step in [READ, WRITE, FORGET] {
            let Counted { instructions, first_level, last_level } = a_step(step, size)?;
            cells.push(format!("{instructions:.0}, {first_level:.1}, {last_level:.2}"));
        }
        table::row(&cells);
    }
    Ok(())
}

fn a_step(step: &str, size: u64) -> Outcome<Counted> {
    const FEW: u32 = 20_000;
    const MANY: u32 = 120_000;
    let (few, many) = (counted(step, size, FEW)?, counted(step, size, MANY)?);
    let each = |many: f64, few: f64| (many - few) / f64::from(MANY - FEW);
    Ok(Counted {
        instructions: each(many.instructions, few.instructions),
        first_level: each(many.first_level, few.first_level),
        last_level: each(many.last_level, few.last_level),
    })
}

fn counted(step: &str, size: u64, times: u32) -> Outcome<Counted> {
    let told = env::temp_dir().join(format!("ifmatch-scale-{}", std::process::id()));
    let ran = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=yes", "--LL=33554432,16,64"])
        .arg(format!("--cachegrind-out-file={}", told.display()))
        .arg(env::current_exe()?)
        .args([REPEAT, step, &size.to_string(), &times.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).into());
    }
    let text = fs::read_to_string(&told)?;
    fs::remove_file(&told)?;
    // `events: Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw`, and the sums in the same order.
    let line =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).ok_or("valgrind told nothing");
    let events: Vec<&str> = line("events:")?.split_whitespace().collect();
    let sums = line("summary:")?.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let sum =
        |event: &str| events.iter().zip(&sums).find(|(name, _)| **name == event).map_or(0.0, |(_, sum)| *sum);
    Ok(Counted {
        instructions: sum("Ir"),
        first_level: sum("D1mr") + sum("D1mw"),
        last_level: sum("DLmr") + sum("DLmw"),
    })
}

/// Repeats a step so often.
pub(crate) fn repeat(step: &str, size: u64, times: u64) -> Outcome<()> {
    let mut existing = Random::new(size);
    match step {
        READ => {
            let ledger = with_room(size)?;
            for _ in 0..times {
                black_box(ledger.observe(key(existing.next()), None, Duration::ZERO));
            }
            Ok(())
        }
        WRITE => {
            let ledger = with_room(size)?;
            run(async {
                for _ in 0..times {
                    write(&ledger, existing.next()).await?;
                }
                Ok(())
            })
        }
        FORGET => {
            let ledger = full(size)?;
            run(async {
                for resource in 2 * size..2 * size + times {
                    write(&ledger, resource).await?;
                }
                Ok(())
            })
        }
        unknown => Err(format!("no step is called {unknown}").into()),
    }
}
