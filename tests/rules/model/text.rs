//! What `src/ledger/traces.md` says of the search, made by the search.

use std::fmt::Write;

use super::search::{Invariants, Searched, search};
use super::table::Mutation;

pub(super) const TRACES: &str = include_str!("../../../src/ledger/traces.md");

/// The text between two marks.
pub(super) fn section(mark: &str) -> &'static str {
    let (from, to) = (format!("<!-- {mark} -->"), format!("<!-- end of {mark} -->"));
    let (_, rest) = TRACES.split_once(&from).unwrap_or_else(|| panic!("src/ledger/traces.md has no {from}"));
    rest.split_once(&to).unwrap_or_else(|| panic!("src/ledger/traces.md has no {to}")).0.trim()
}

/// A table of what was broken, and the shortest run of each that loses an update.
pub(super) fn told(mutations: &[Mutation], first_column: &str) -> String {
    let mut table = format!("| {first_column} | instead | steps | states |\n|---|---|---|---|\n");
    let mut runs = String::new();
    for Mutation { rule, instead, protocol } in mutations {
        let Searched { states, violation, .. } = search(*protocol, Invariants::NotAsked);
        let violation = violation.unwrap_or_else(|| panic!("{rule}, {instead}: nothing is lost"));
        let steps = violation.trace.len();
        writeln!(table, "| {rule} | {instead} | {steps} | {states} |").expect("memory");
        writeln!(runs, "\n### {rule}: {instead}\n").expect("memory");
        for (at, line) in violation.trace.iter().enumerate() {
            writeln!(runs, "{}. {line}", at + 1).expect("memory");
        }
    }
    format!("{}\n{}", table.trim_end(), runs.trim_end())
}
