//! An exhaustive search of the protocol, breadth first, that runs the real steps of
//! [`Slots`](ifmatch::ledger::protocol::Slots), and the real bytes of the state file.
//!
//! What it finds is written down for readers in `src/ledger/traces.md`, which is part of the ledger's
//! documentation and held to the search by the tests below.
//!
//! In a state stand the slots of one or two resources (and of their upstream as a whole), the state file,
//! the origin, two or three clients and the writes under way. Reads are stamped, served (late, where
//! they may lag) and delivered; writes with or without a tag begin or wait for their turn, are applied
//! or refused by the origin, answered, or lost and applied late within `settle`; clients leave; entries
//! at rest are forgotten in any order; processes are killed, or save their state and end, and others take
//! their place. The number of each of these is not bounded: states that differ in names only are one, so
//! the space is finite and all of it is searched. Bounded are resources, clients, and the writes under
//! way at a time.
//!
//! What is asked of every application of a conditional write: the origin's content just before it is
//! what its author saw. Beside it INV1 and INV2, of every state.
//!
//! Each rule is broken in turn, in how the steps are put together, never in the steps.

mod canonical;
mod lives;
mod names;
mod protocol;
mod quick;
mod real;
mod search;
mod state;
mod steps;
mod table;
mod text;
mod told;
mod writes;

use std::time::Instant;

use protocol::Broken;
use search::{Invariants, Searched, Violation, What, search};
use table::{Configuration, Size};

/// Searches whole what is of this size, and finds nothing wrong but what the text says of it.
fn are_safe(configurations: &[Configuration]) {
    let mut missing = Vec::new();
    for Configuration { name, size, protocol } in configurations {
        if *size == Size::Large && !large() {
            continue;
        }
        let began = Instant::now();
        let Searched { states, transitions, violation } = search(*protocol, Invariants::Asked);
        if let Some(Violation { what, trace }) = violation {
            panic!("{name}: {what:?}\n{}", trace.join("\n"));
        }
        let row = format!("| {name} | {states} | {transitions} |");
        println!("{row} {} ms", began.elapsed().as_millis());
        let table = text::section(match size {
            Size::Small => "explored",
            Size::Large => "explored at length",
        });
        if std::env::var_os("TMPX").is_some() {
            continue;
        }
        if !table.lines().any(|line| line == row) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "src/ledger/traces.md is to have the rows\n{}", missing.join("\n"));
}

/// Larger searches, which take minutes: `IFMATCH_MODEL=large`.
fn large() -> bool {
    std::env::var("IFMATCH_MODEL").is_ok_and(|bound| bound == "large")
}

#[test]
fn the_rules_as_they_are_lose_nothing_on_one_resource() {
    are_safe(table::ONE_RESOURCE);
}

#[test]
fn the_rules_as_they_are_lose_nothing_on_two_resources() {
    are_safe(table::TWO_RESOURCES);
}

#[test]
fn the_rules_as_they_are_lose_nothing_where_a_write_changes_several_resources() {
    are_safe(table::SEVERAL_AT_ONCE);
}

#[test]
fn the_rules_as_they_are_lose_nothing_over_crashes_and_restarts() {
    are_safe(table::RESTARTS);
}

#[test]
fn the_rules_as_they_are_lose_nothing_where_reads_lag() {
    are_safe(table::LAGS);
}

#[test]
fn the_rules_as_they_are_lose_nothing_where_names_change() {
    are_safe(table::NAMES);
}

#[test]
fn the_text_names_what_is_explored_and_no_more() {
    for (section, size) in [("explored", Size::Small), ("explored at length", Size::Large)] {
        let named: Vec<&str> = text::section(section)
            .lines()
            .skip(2)
            .filter_map(|row| row.strip_prefix("| ")?.split(" |").next())
            .collect();
        let all = table::ALL.iter().copied().flatten();
        let explored: Vec<&str> = all.filter(|one| one.size == size).map(|one| one.name).collect();
        assert_eq!(named, explored, "the table of what is {section} in src/ledger/traces.md");
    }
}

#[test]
fn every_broken_rule_loses_an_update_as_the_text_tells() {
    let told = text::told(table::MUTATIONS, "rule");
    assert!(
        text::section("broken rules") == told,
        "the broken rules in src/ledger/traces.md; it should be:\n{told}\n"
    );
}

#[test]
fn what_no_proxy_can_prevent_loses_an_update_as_the_text_tells() {
    let told = text::told(table::ASSUMPTIONS, "assumption");
    assert!(
        text::section("broken assumptions") == told,
        "the broken assumptions in src/ledger/traces.md; it should be:\n{told}\n"
    );
}

#[test]
fn every_rule_has_a_mutation() {
    let rules = include_str!("../../src/ledger/mod.rs");
    let named = rules.lines().filter_map(|line| line.strip_prefix("//! | R")?.split(' ').next());
    let named: Vec<String> = named.map(|number| format!("R{number}")).collect();
    assert!(named.len() >= 13, "the table of rules is where it was");
    for rule in named {
        assert!(table::MUTATIONS.iter().any(|mutation| mutation.rule == rule), "{rule} is never broken");
    }
}

/// An invariant that nothing can break asks nothing.
#[test]
fn the_invariants_notice_a_broken_rule_before_an_update_is_lost() {
    for (broken, what) in [
        (Broken::TagCapturedWhenTheAnswerArrives, What::Inv2),
        (Broken::FloorAssigned, What::Inv1),
        (Broken::NumbersRepeatAfterACrash, What::Inv2),
        (Broken::FileKeptAfterItWasLoaded, What::Inv1),
        (Broken::FloorDrawnAtTheStartOfTheHold, What::Inv2),
        (Broken::HeldRestoredAsIdle, What::Inv2),
        (Broken::LaggingReadsStampedAsCurrent, What::Inv2),
    ] {
        let mutation = table::MUTATIONS.iter().find(|mutation| mutation.protocol.is_broken(broken));
        let protocol = mutation.expect("a mutation of it").protocol;
        let steps = |found: Searched| found.violation.map(|found| (found.what, found.trace.len()));
        let (noticed, at) = steps(search(protocol, Invariants::Asked)).expect("something is wrong");
        let (_, lost_at) = steps(search(protocol, Invariants::NotAsked)).expect("something is lost");
        assert_eq!(noticed, what, "{broken:?}");
        assert!(at < lost_at, "{broken:?}: noticed after {at} steps, lost after {lost_at}");
    }
}
