//! The store behind the origin: the content of a resource is the id of the write that made it, and every
//! applied write stands in the log before anybody hears of it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::plan::{APPLIES_WITHIN, OUTSIDE_AFTER, SETTLE};
use crate::record::{ABSENT, Applied, Claim, Kind, Record, WriteId, changed_by, now};

/// The file of one life of the origin.
pub fn log_file(folder: &Path, life: u32) -> PathBuf {
    folder.join(format!("origin-{life:05}.log"))
}

/// A write as it came in.
#[derive(Clone, Debug)]
pub struct Write {
    pub resource: String,
    pub id: WriteId,
    pub claim: Claim,
    pub kind: Kind,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Created,
    Replaced,
    Deleted,
    NothingToDelete,
    /// Nothing: it would have been later than [`APPLIES_WITHIN`].
    TooLate,
}

pub struct Store {
    contents: Mutex<BTreeMap<String, WriteId>>,
    log: File,
    pulse: Arc<Pulse>,
}

impl Store {
    /// Goes on from the log of the life before.
    pub fn open(folder: &Path, life: u32) -> io::Result<Self> {
        let contents = match life.checked_sub(1) {
            Some(before) => replay(&std::fs::read_to_string(log_file(folder, before))?)?,
            None => BTreeMap::new(),
        };
        let log = OpenOptions::new().create_new(true).append(true).open(log_file(folder, life))?;
        let store = Store { contents: Mutex::new(contents), log, pulse: Pulse::start() };
        for (resource, content) in &*store.contents.lock() {
            store.note(&Record::Found { resource: resource.clone(), content: *content })?;
        }
        Ok(store)
    }

    /// Writes a line, in one call of the system: what was killed leaves no half of one.
    pub fn note(&self, record: &Record) -> io::Result<()> {
        let line = format!("{record}\n");
        let written = (&self.log).write(line.as_bytes())?;
        if written == line.len() { Ok(()) } else { Err(io::Error::other("half a line in the log")) }
    }

    pub fn content(&self, resource: &str) -> WriteId {
        self.contents.lock().get(resource).copied().unwrap_or(ABSENT)
    }

    /// Applies a write, unless it is too late for that: `had` is when the origin had the request. What it
    /// replaces is not looked at by anybody but the log.
    pub fn apply(&self, write: &Write, had: Instant) -> io::Result<Done> {
        let mut contents = self.contents.lock();
        let replaced = contents.get(&write.resource).copied().unwrap_or(ABSENT);
        if write.kind == Kind::Delete && replaced == ABSENT {
            return Ok(Done::NothingToDelete);
        }
        let Write { resource, id, claim, kind } = write.clone();
        let record = Record::Applied(Applied { resource, id, replaced, claim, kind, at: now() });
        if had.elapsed() > APPLIES_WITHIN {
            return Ok(Done::TooLate);
        }
        self.note(&record)?;
        if had.elapsed() > OUTSIDE_AFTER || self.pulse.has_stood_still() {
            self.note(&Record::Outside { id })?;
        }
        contents.extend(changed_by(&write.resource, kind, id));
        Ok(match (kind, replaced) {
            (Kind::Delete, _) => Done::Deleted,
            (Kind::Put | Kind::Create | Kind::Post | Kind::Blind, ABSENT) => Done::Created,
            (Kind::Put | Kind::Create | Kind::Post | Kind::Blind, _) => Done::Replaced,
        })
    }
}

fn replay(log: &str) -> io::Result<BTreeMap<String, WriteId>> {
    let mut contents = BTreeMap::new();
    for line in log.lines() {
        match Record::parse(line) {
            Some(Record::Found { resource, content }) => drop(contents.insert(resource, content)),
            Some(Record::Applied(Applied { resource, id, kind, .. })) => {
                contents.extend(changed_by(&resource, kind, id));
            }
            Some(
                Record::Received { .. }
                | Record::Outside { .. }
                | Record::Damaged { .. }
                | Record::Fault { .. },
            ) => {}
            None => return Err(io::Error::other(format!("not a line of the log: {line}"))),
        }
    }
    Ok(contents)
}

/// Notices that this process got no time to run: it cannot keep to any time then.
struct Pulse(Mutex<Beat>);

struct Beat {
    last: Instant,
    /// When the last long silence ended.
    stood_still: Option<Instant>,
}

impl Pulse {
    const EVERY: Duration = Duration::from_millis(20);
    /// Together with [`APPLIES_WITHIN`] still less than [`SETTLE`].
    const SILENCE: Duration = Duration::from_millis(400);

    fn start() -> Arc<Self> {
        let pulse = Arc::new(Pulse(Mutex::new(Beat { last: Instant::now(), stood_still: None })));
        let beating = pulse.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Self::EVERY);
                let mut beat = beating.0.lock();
                if beat.last.elapsed() > Self::SILENCE {
                    beat.stood_still = Some(Instant::now());
                }
                beat.last = Instant::now();
            }
        });
        pulse
    }

    fn has_stood_still(&self) -> bool {
        let beat = self.0.lock();
        beat.last.elapsed() > Self::SILENCE || beat.stood_still.is_some_and(|ended| ended.elapsed() < SETTLE)
    }
}
