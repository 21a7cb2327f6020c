//! An exhaustive search of the rules about values and states, breadth first, on the real slots of the ledger, the
//! real normalisation, the real reading of a look-up's answer, and the real table of moves.
//!
//! In a state stand the records and the order at the origin, what its reads show of them, two or three clients who
//! each want one thing (a record with a value; a move of the order), and the writes that have lost them. Each
//! write reserves, looks, is sent; is applied or refused by an origin that checks nothing; is answered, or its
//! answer is lost and it is applied at any time until it is settled. Clients leave and come again, records are
//! deleted, the process is killed, or stops and hands on what is held. None of it is bounded but the clients and
//! the writes that have lost theirs: states are finitely many, and all are searched.
//!
//! What is asked of every application: no record has that value already, and the table allows that move from
//! the state as it is.
//!
//! `model_reservations.md` has the figures, and the shortest run that breaks each rule; it is held to the search.

mod run;
mod world;

use std::collections::HashMap;
use std::fmt::Write as _;

use world::{Breaks, Job, State, World};

/// What a search came to: how many states, and the shortest run to something that must not be.
struct Searched {
    states: usize,
    run: Option<Vec<String>>,
}

fn search(world: &World) -> Searched {
    let first = State::first(world);
    let mut number: HashMap<State, usize> = HashMap::from([(first.clone(), 0)]);
    let mut states = vec![(first, 0, String::new())];
    let mut at = 0;
    while at < states.len() {
        for (event, next) in world.successors(&states[at].0.clone()) {
            let Some(next) = next else {
                let mut run = vec![event];
                let mut back = at;
                while back > 0 {
                    run.push(states[back].2.clone());
                    back = states[back].1;
                }
                run.reverse();
                return Searched { states: states.len(), run: Some(run) };
            };
            if !number.contains_key(&next) {
                number.insert(next.clone(), states.len());
                states.push((next, at, event));
            }
        }
        at += 1;
    }
    Searched { states: states.len(), run: None }
}

const BOB: Job = Job::Create("Bob");
const SPELLED: Job = Job::Create(" bo\u{62} ");
const ROB: Job = Job::Create("rob");
const PAY: Job = Job::Move("paid");
const SHIP: Job = Job::Move("shipped");
const CANCEL: Job = Job::Move("cancelled");

const WORLDS: [(&str, &[Job]); 6] = [
    ("two creators of one value", &[BOB, SPELLED]),
    ("three creators of one value", &[BOB, SPELLED, BOB]),
    ("three creators, two of one value", &[BOB, SPELLED, ROB]),
    ("two moves", &[SHIP, CANCEL]),
    ("three moves", &[PAY, SHIP, CANCEL]),
    ("two creators of one value and a move", &[BOB, SPELLED, CANCEL]),
];

/// Each rule, what is done in its place, and by whom it is broken.
const BROKEN: [(&str, Breaks, &[Job]); 18] = [
    ("R5: nothing is reserved", Breaks::NothingReserved, &[BOB, SPELLED]),
    ("R5: reserved after the look", Breaks::ReservedAfterTheLook, &[BOB, SPELLED]),
    ("R2: reserved as spelled, looked up as normalised", Breaks::ReservedAsSpelled, &[BOB, SPELLED]),
    ("R6: freed when the client leaves", Breaks::FreedWhenTheClientLeaves, &[BOB, SPELLED]),
    ("R6: sent again when its answer is lost", Breaks::SentAgain, &[BOB]),
    ("R8: freed at once when its answer is lost", Breaks::FreedWhenUnknown, &[BOB, SPELLED]),
    ("R10: no hold after a crash", Breaks::NoStartHold, &[BOB, SPELLED]),
    ("R11: what was held comes back as free", Breaks::RestoredAsFree, &[BOB, SPELLED]),
    ("R13: looks are believed while reads may lag", Breaks::LagIgnored, &[BOB, SPELLED]),
    ("R5: a move is not held", Breaks::NothingReserved, &[SHIP, CANCEL]),
    ("R5: held after the look at the state", Breaks::ReservedAfterTheLook, &[SHIP, CANCEL]),
    ("R5: moves share the resource", Breaks::MovesShare, &[SHIP, CANCEL]),
    ("R6: a move is freed when the client leaves", Breaks::FreedWhenTheClientLeaves, &[SHIP, CANCEL]),
    ("R8: a move is freed when its answer is lost", Breaks::FreedWhenUnknown, &[SHIP, CANCEL]),
    ("R10: no hold after a crash, moves", Breaks::NoStartHold, &[SHIP, CANCEL]),
    ("R11: a move that was held comes back as free", Breaks::RestoredAsFree, &[SHIP, CANCEL]),
    ("R13: a state is believed while reads may lag", Breaks::LagIgnored, &[SHIP, CANCEL]),
    ("no look at the state before a move", Breaks::NoLook, &[CANCEL, SHIP]),
];

/// What no proxy can prevent.
const ASSUMED: [(&str, Breaks, &[Job]); 4] = [
    ("the origin applies a write after its settle time", Breaks::AppliedAfterSettle, &[BOB, SPELLED]),
    (
        "the look-up tells spellings apart that `normalise` does not",
        Breaks::LookUpIsFiner,
        &[BOB, Job::Create("BOB")],
    ),
    (
        "the origin says \"not applied\" of what it applied, and its look-up lags",
        Breaks::RefusedWhatItApplied,
        &[BOB, SPELLED],
    ),
    ("the origin applies a move after its settle time", Breaks::AppliedAfterSettle, &[SHIP, CANCEL]),
];

fn told(rows: &[(&str, Breaks, &'static [Job])]) -> String {
    let mut text = String::new();
    for (name, breaks, jobs) in rows {
        let world = World { jobs, breaks: *breaks, lags: breaks.needs_lag() };
        let Searched { states, run } = search(&world);
        let run = run.unwrap_or_else(|| panic!("{name}: nothing is broken in {states} states"));
        writeln!(text, "**{name}**: {} steps, {states} states.\n", run.len()).expect("a string");
        for (i, step) in run.iter().enumerate() {
            writeln!(text, "{}. {step}", i + 1).expect("a string");
        }
        text.push('\n');
    }
    text
}

/// The part of the text behind a headline.
fn section(name: &str) -> &'static str {
    let text = include_str!("model_reservations.md");
    let (_, rest) = text.split_once(&format!("# {name}\n")).expect("a headline");
    rest.split("\n# ").next().unwrap_or_default().trim()
}

#[track_caller]
fn expect_told(name: &str, told: &str) {
    assert!(
        section(name) == told.trim(),
        "{name} in tests/rules/model_reservations.md; it should be:\n{told}"
    );
}

#[test]
fn no_two_records_have_one_value_and_no_forbidden_move_is_applied() {
    let mut table = "| what happens at once | states | states where reads lag |\n|---|---|---|\n".to_owned();
    for (name, jobs) in WORLDS {
        let states = [false, true].map(|lags| {
            let world = World { jobs, breaks: Breaks::Nothing, lags };
            let Searched { states, run } = search(&world);
            assert!(run.is_none(), "{name}: {run:#?}");
            states
        });
        writeln!(table, "| {name} | {} | {} |", states[0], states[1]).expect("a string");
    }
    expect_told("What was searched", &table);
}

#[test]
fn each_broken_rule_is_told_with_its_shortest_run() {
    expect_told("Rules broken", &told(&BROKEN));
}

#[test]
fn each_broken_assumption_is_told_with_its_shortest_run() {
    expect_told("Assumptions broken", &told(&ASSUMED));
}
