//! The proof: what the origin's log and the clients' memories say about the promise.
//!
//! A write that claims something was let through because its author saw the state that it replaces. So for
//! every such write in the log, what stood there just before must be what its author claims.

mod story;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use crate::origin::store::log_file;
use crate::record::{ABSENT, Applied, Kind, Record, WriteId, changed_by};

pub use story::tell;

/// What the clients know of their writes.
#[derive(Clone, Copy, Default)]
pub struct Remembered<'a> {
    /// Answered with 2xx.
    pub acknowledged: &'a [WriteId],
    /// Sent with nothing but tags of ledgers that are gone.
    pub with_dead_tags: &'a [WriteId],
}

/// A write that replaced what its author had not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss(pub Applied);

/// What was found.
#[derive(Default, Debug)]
pub struct Findings {
    pub applied: BTreeMap<Kind, u64>,
    pub received: u64,
    pub faults: BTreeMap<String, u64>,
    pub lost: Vec<Loss>,
    /// Losses that a write outside of the assumption on `settle` took part in.
    pub excused: Vec<Loss>,
    /// Writes outside of that assumption, in all.
    pub outside: u64,
    /// Everything else that must not be, in words.
    pub broken: Vec<String>,
}

/// Goes through the log, line by line.
#[derive(Default)]
pub struct Checker {
    contents: HashMap<String, WriteId>,
    /// How often each write came in and was applied.
    seen: HashMap<WriteId, Times>,
    outside: HashSet<WriteId>,
    suspects: Vec<Loss>,
    findings: Findings,
}

#[derive(Default, Clone, Copy)]
struct Times {
    received: u8,
    applied: u8,
}

impl Checker {
    /// Reads the log of every life of the origin, and judges.
    pub fn check_folder(folder: &Path, lives: u32, remembered: Remembered<'_>) -> io::Result<Findings> {
        let mut checker = Checker::default();
        for life in 0..lives {
            for line in BufReader::new(File::open(log_file(folder, life))?).lines() {
                checker.line(&line?);
            }
        }
        Ok(checker.judge(remembered))
    }

    pub fn line(&mut self, line: &str) {
        match Record::parse(line) {
            Some(record) => self.record(record),
            None => self.broken(format!("not a line of the log: {line:?}")),
        }
    }

    fn record(&mut self, record: Record) {
        match record {
            Record::Found { resource, content } => {
                let known = self.contents.get(&resource).copied().unwrap_or(ABSENT);
                if known != content {
                    self.broken(format!("the origin began with {content} in {resource}, which held {known}"));
                }
            }
            Record::Received { id, .. } => {
                self.findings.received += 1;
                let times = self.seen.entry(id).or_default();
                times.received = times.received.saturating_add(1);
                if times.received > 1 {
                    self.broken(format!("write {id} was sent to the origin more than once"));
                }
            }
            Record::Applied(applied) => self.applied(applied),
            Record::Outside { id } => {
                self.findings.outside += 1;
                self.outside.insert(id);
            }
            Record::Damaged { id } => {
                self.broken(format!("the origin got another body for write {id} than was sent"))
            }
            Record::Fault { name } => *self.findings.faults.entry(name).or_default() += 1,
        }
    }

    fn applied(&mut self, applied: Applied) {
        *self.findings.applied.entry(applied.kind).or_default() += 1;
        let times = self.seen.entry(applied.id).or_default();
        times.applied = times.applied.saturating_add(1);
        if times.applied > 1 {
            self.broken(format!("write {} was applied more than once", applied.id));
        }
        let known = self.contents.get(&applied.resource).copied().unwrap_or(ABSENT);
        if known != applied.replaced {
            let Applied { id, resource, replaced, .. } = &applied;
            self.broken(format!(
                "write {id} says that it replaced {replaced} in {resource}, which held {known}"
            ));
        }
        self.contents.extend(changed_by(&applied.resource, applied.kind, applied.id));
        if applied.kind.claims() && !applied.claim.0.contains(&applied.replaced) {
            self.suspects.push(Loss(applied));
        }
    }

    /// The verdict, at the end of the log.
    pub fn judge(mut self, remembered: Remembered<'_>) -> Findings {
        for loss in std::mem::take(&mut self.suspects) {
            let Loss(Applied { id, replaced, .. }) = &loss;
            if self.outside.contains(id) || self.outside.contains(replaced) {
                self.findings.excused.push(loss);
            } else {
                self.findings.lost.push(loss);
            }
        }
        let mut once = HashSet::new();
        for id in remembered.acknowledged {
            if !once.insert(*id) {
                self.broken(format!("the clients have two writes {id}: a mistake of the storm's own"));
            }
            if self.seen.get(id).is_none_or(|times| times.applied == 0) {
                self.broken(format!("write {id} was acknowledged and never applied"));
            }
        }
        for id in remembered.with_dead_tags {
            if self.seen.contains_key(id) {
                self.broken(format!("write {id} came through with a tag of a ledger that is gone"));
            }
        }
        self.findings
    }

    fn broken(&mut self, what: String) {
        self.findings.broken.push(what);
    }
}
