//! The ledger at a thousand to ten million written resources: memory, time, stalls, restart.
//!
//! `cargo bench --bench scale` prints the tables of `README.md` beside this file; with `-- --instructions`
//! those of instructions and cache misses, which valgrind counts.

mod instructions;
mod key;
mod latency;
mod ledgers;
mod process;
mod restart;
mod sizes;
mod stalls;
mod table;

use std::error::Error;
use std::path::Path;

/// What goes wrong is told, and ends the program.
type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        [] => {
            ledgers::run(sizes::print())?;
            latency::print()?;
            stalls::print()?;
            restart::print()
        }
        ["--instructions"] => instructions::print(),
        // What it starts itself as.
        [instructions::REPEAT, step, resources, times] => {
            instructions::repeat(step, resources.parse()?, times.parse()?)
        }
        [restart::START, state_file] => restart::start(Path::new(state_file)),
        _ => Err("expected nothing, or --instructions".into()),
    }
}
