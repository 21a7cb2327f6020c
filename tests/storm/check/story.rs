//! The whole story of a resource around a lost update, for the person who has to find the cause.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use super::Loss;
use crate::origin::store::log_file;
use crate::record::{Applied, Record};

/// How much of the past and of the future is told, in microseconds.
const BEFORE: u64 = 4_000_000;
const AFTER: u64 = 1_000_000;

/// Everything that origin and clients wrote down about the resource, in the order of time.
pub fn tell(
    folder: &Path,
    origin_lives: u32,
    clients: &[std::path::PathBuf],
    loss: &Loss,
) -> io::Result<String> {
    let Loss(Applied { resource, id, replaced, claim, at, .. }) = loss;
    let mut lines = Vec::new();
    let around = |time: u64| time + BEFORE > *at && time < at + AFTER;
    for life in 0..origin_lives {
        for line in BufReader::new(File::open(log_file(folder, life))?).lines() {
            let line = line?;
            let (of, time) = match Record::parse(&line) {
                Some(Record::Applied(applied)) => (applied.resource, applied.at),
                Some(Record::Received { resource, at, .. }) => (resource, at),
                Some(
                    Record::Found { .. }
                    | Record::Outside { .. }
                    | Record::Damaged { .. }
                    | Record::Fault { .. },
                )
                | None => continue,
            };
            if of == *resource && around(time) {
                lines.push((time, format!("{time} origin {life}: {line}")));
            }
        }
    }
    for journal in clients {
        for line in BufReader::new(File::open(journal)?).lines() {
            let line = line?;
            let mut words = line.split(' ');
            let time = words.next().and_then(|time| time.parse().ok()).unwrap_or(0);
            if words.nth(1) == Some(resource) && around(time) {
                lines.push((time, line));
            }
        }
    }
    lines.sort();
    let told: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    Ok(format!(
        "LOST UPDATE in {resource}: write {id} replaced {replaced}, and its author has seen {claim}\n{}\n",
        told.join("\n")
    ))
}
