//! A process that ends, and the next one: the state file of ten million resources.

use std::path::Path;
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use ifmatch::server::state_file::StateFile;

use crate::key::key;
use crate::ledgers::{SIZES, limits, with_room};
use crate::process::{peak, resident};
use crate::{Outcome, table};

/// The argument of a process that starts from a state file.
pub(crate) const START: &str = "--start";

/// Saves as a process that ends does, and starts as the next one does.
pub(crate) fn print() -> Outcome<()> {
    table::begin(
        "Restart",
        "`write`: the last act of a process, until the file is on disk. `read`: until the next process judges \
         writes, the file just written and in the page cache.",
        &[
            "written resources",
            "file, MB",
            "write, s",
            "write, MiB more memory",
            "read, s",
            "read, peak of the process, MiB",
        ],
    );
    for size in SIZES {
        row(size)?;
    }
    Ok(())
}

fn row(size: u64) -> Outcome<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("scale-{}", std::process::id()));
    let file = StateFile::claim(&path).map_err(|error| error.to_string())?;
    let ledger = with_room(size)?;
    let before = resident()?;
    let begun = Instant::now();
    file.save(&ledger)?;
    let written = begun.elapsed();
    let more = resident()?.saturating_sub(before);
    drop((file, ledger));
    let bytes = fs::metadata(&path)?.len();
    let started = Command::new(env::current_exe()?).arg(START).arg(&path).output()?;
    fs::remove_file(folder.join(format!("scale-{}.lock", std::process::id())))?;
    if !started.status.success() {
        return Err(String::from_utf8_lossy(&started.stderr).into());
    }
    let told = String::from_utf8(started.stdout)?;
    let (read, peak) = told.trim().split_once(' ').ok_or("the next process has told nothing")?;
    table::row(&[
        table::count(size),
        format!("{}.{:03}", bytes / 1_000_000, bytes / 1000 % 1000),
        format!("{:.3}", written.as_secs_f64()),
        mib(more),
        read.into(),
        mib(peak.parse()?),
    ]);
    Ok(())
}

/// The next process: tells how many seconds it took, and its peak in bytes.
pub(crate) fn start(path: &Path) -> Outcome<()> {
    let file = StateFile::claim(path).map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let ledger = file.take(limits(20_000_000)?).map_err(|error| error.to_string())?;
    let took = begun.elapsed();
    if ledger.is_empty() || ledger.version(key(0), None).0 < 2 {
        return Err("the state was not taken up".into());
    }
    println!("{:.3} {}", took.as_secs_f64(), peak()?);
    Ok(())
}

fn mib(bytes: u64) -> String {
    (bytes >> 20).to_string()
}
