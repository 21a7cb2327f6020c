//! An exhaustive search of the protocol, breadth first, that runs the real steps of
//! [`Slots`](ifmatch::ledger::protocol::Slots).
//!
//! In a state stand the slots of one or two resources (and of their upstream as a whole), the origin,
//! two or three clients and the writes under way. Reads are stamped, served and delivered; writes with
//! or without a tag begin, are applied or refused by the origin, answered, or lost and applied late
//! within `settle`; clients leave; entries at rest are forgotten in any order. The number of each of
//! these is not bounded: states that differ in names only are one, so the space is finite and all of it
//! is searched. Bounded are resources, clients, and the writes under way at a time.
//!
//! What is asked of every application of a conditional write: the origin's content just before it is
//! what its author saw. Beside it INV1 and INV2, of every state.
//!
//! Each rule is broken in turn, in how the steps are put together, never in the steps. The shortest run
//! that then loses an update (`--nocapture` prints it), and the states searched until it was found:
//!
//! | rule | broken by | steps | states |
//! |---|---|---|---|
//! | R2 | [`TwoSlotsForOneResource`](Broken::TwoSlotsForOneResource) | 10 | 207 |
//! | R3 | [`TagCapturedWhenTheAnswerArrives`](Broken::TagCapturedWhenTheAnswerArrives) | 11 | 67 |
//! | R4 | [`TagWithoutContent`](Broken::TagWithoutContent) | 12 | 88 |
//! | R4 | [`TagToAnOverlappedWriter`](Broken::TagToAnOverlappedWriter) | 8 | 242 |
//! | R5 | [`JudgedAndOccupiedInTwoSteps`](Broken::JudgedAndOccupiedInTwoSteps) | 12 | 79 |
//! | R5 | [`WaiterNotJudgedAgain`](Broken::WaiterNotJudgedAgain) | 12 | 99 |
//! | R5 | [`UnconditionalWritesDoNotOccupy`](Broken::UnconditionalWritesDoNotOccupy) | 7 | 122 |
//! | R5 | [`SharedHoldersDoNotExclude`](Broken::SharedHoldersDoNotExclude) | 7 | 143 |
//! | R5 | [`AlsoChangedNotOccupied`](Broken::AlsoChangedNotOccupied) | 10 | 367 |
//! | R5 | [`MembersDoNotExcludeAWriteToAll`](Broken::MembersDoNotExcludeAWriteToAll) | 10 | 504 |
//! | R6 | [`ReleasedWhenTheClientLeaves`](Broken::ReleasedWhenTheClientLeaves) | 11 | 618 |
//! | R6 | [`SentAgainAfterALoss`](Broken::SentAgainAfterALoss) | 7 | 50 |
//! | R7 | [`AcceptedOnlyTakenAsApplied`](Broken::AcceptedOnlyTakenAsApplied) | 7 | 61 |
//! | R7 | [`VersionKeptOnUnknown`](Broken::VersionKeptOnUnknown) | 9 | 154 |
//! | R7 | [`VersionOfTheWholeNotJudged`](Broken::VersionOfTheWholeNotJudged) | 11 | 706 |
//! | R8 | [`FreshNumberAtTheStartAndFreed`](Broken::FreshNumberAtTheStartAndFreed) | 11 | 668 |
//! | R8 | [`FreshNumberAtTheStartAndHeld`](Broken::FreshNumberAtTheStartAndHeld) | 12 | 860 |
//! | R9 | [`FloorNotRaised`](Broken::FloorNotRaised) | 12 | 339 |
//! | R9 | [`FloorAssigned`](Broken::FloorAssigned) | 19 | 1295 |
//! | R9 | [`OccupiedEntriesForgotten`](Broken::OccupiedEntriesForgotten) | 9 | 246 |
//!
//! With the rules as they are nothing is lost:
//!
//! | explored | states | transitions |
//! |---|---|---|
//! | one key, three clients | 512 | 1711 |
//! | one key, all that can happen | 9821 | 62533 |
//! | two keys | 1734 | 6832 |
//! | two keys, unknown outcomes | 28097 | 145962 |
//! | two keys, blind writes | 29179 | 105648 |
//! | two keys, touches | 5590 | 32658 |
//! | a write to both keys | 65826 | 229579 |
//! | a write to both keys, forgetting | 2731 | 10370 |
//! | a write to everything | 133266 | 444780 |
//! | a write to everything, forgetting | 20210 | 85030 |
//!
//! Larger ones, of minutes: `IFMATCH_MODEL=large`. Not here: the locks of several shards (the ledger
//! takes all of a write at once), `read_lag`, observe mode, and what the README says no proxy can prevent.

mod real;
mod state;
mod steps;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Instant;

use ifmatch::decide::claim::HoldMode;

use real::Real;
use state::{Doing, State, WHOLE};
use steps::{Broken, Event, Protocol, Successors};

/// What a search came to.
struct Searched {
    states: usize,
    transitions: usize,
    depth: usize,
    violation: Option<Violation>,
}

struct Violation {
    what: &'static str,
    trace: Vec<String>,
}

/// Searches everything that can happen, until something is lost.
fn search(protocol: Protocol) -> Searched {
    let mut real = Real::default();
    let first = State::first(protocol.clients).canonical();
    let mut seen: HashMap<State, u32> = HashMap::from([(first.clone(), 0)]);
    let mut states: Vec<(State, u32, usize)> = vec![(first, 0, 0)];
    let (mut at, mut transitions, mut depth) = (0, 0, 0);
    while at < states.len() {
        let (state, _, steps) = states[at].clone();
        depth = depth.max(steps);
        let successors = Successors::of(protocol, &mut real, state.clone());
        let (found, lost) = (successors.found, successors.lost);
        let mut violation = lost.map(|event| ("a write replaced what its author never saw", Some(event)));
        if protocol.broken == Broken::Nothing {
            if holds_another_content(protocol, &mut real, &state) {
                violation = Some(("INV2: the current tag of a resource at rest with another content", None));
            }
            for (event, to) in &found {
                let back = |real: &mut Real, key| {
                    Successors::version(protocol, real, to.image, key)
                        < Successors::version(protocol, real, state.image, key)
                };
                if (0..protocol.keys).any(|key| back(&mut real, key)) {
                    violation = Some(("INV1: a version went back", Some(*event)));
                }
            }
        }
        if let Some((what, event)) = violation {
            let trace = trace(protocol, &mut real, &states, at, event);
            let violation = Some(Violation { what, trace });
            return Searched { states: states.len(), transitions, depth, violation };
        }
        for (_, to) in found {
            transitions += 1;
            let to = to.canonical();
            if let Entry::Vacant(vacant) = seen.entry(to) {
                states.push((vacant.key().clone(), at as u32, steps + 1));
                vacant.insert(states.len() as u32 - 1);
            }
        }
        at += 1;
    }
    Searched { states: states.len(), transitions, depth, violation: None }
}

/// INV2: whoever holds, or is being sent, the current version of a resource that no write occupies holds
/// the origin's current content.
fn holds_another_content(protocol: Protocol, real: &mut Real, state: &State) -> bool {
    let in_hand = |client: &state::Client| match client.doing {
        Doing::Reading { key, stamp: Some(tag), content: Some(content) } => {
            Some(state::Pair { key, content, tag })
        }
        Doing::Reading { .. } | Doing::Nothing | Doing::Judged { .. } | Doing::Writing(_) => None,
    };
    let pairs = state.clients.iter().flat_map(|client| [client.knows, in_hand(client)]).flatten();
    let occupied = |key: usize| {
        let whole = state.image.holds[WHOLE].is_some_and(|hold| hold.mode != HoldMode::Member);
        state.image.holds[key].is_some() || whole
    };
    let mut wrong = false;
    for pair in pairs {
        let current = Successors::version(protocol, real, state.image, pair.key);
        wrong |= !occupied(pair.key) && pair.tag == current && pair.content != state.origin[pair.key];
    }
    wrong
}

/// The run that leads to a state, in one set of names from its beginning to its end.
fn trace(
    protocol: Protocol,
    real: &mut Real,
    states: &[(State, u32, usize)],
    mut at: usize,
    last: Option<Event>,
) -> Vec<String> {
    let mut path = Vec::new();
    while at != 0 {
        path.push(&states[at].0);
        at = states[at].1 as usize;
    }
    let mut run = State::first(protocol.clients);
    let mut told = Vec::new();
    for next in path.into_iter().rev() {
        let found = Successors::of(protocol, real, run.clone()).found;
        let (event, to) = found
            .into_iter()
            .find(|(_, to)| to.clone().canonical() == *next)
            .expect("the same steps lead to the same states");
        told.push(event.to_string());
        run = to;
    }
    if last.is_some()
        && let Some(event) = Successors::of(protocol, real, run).lost
    {
        told.push(event.to_string());
    }
    told
}

const BASE: Protocol = Protocol {
    broken: Broken::Nothing,
    clients: 2,
    keys: 1,
    writes: 2,
    unconditional: false,
    unknown: false,
    leaving: false,
    forgetting: false,
    touching: false,
    also: false,
    whole: false,
};

fn tell(name: &str, protocol: Protocol) -> Searched {
    let began = Instant::now();
    let searched = search(protocol);
    let Searched { states, transitions, depth, violation } = &searched;
    let found = violation.as_ref().map_or("safe".to_owned(), |v| format!("{} steps", v.trace.len()));
    println!("| {name} | {found} | {states} | {transitions} | {depth} | {} ms", began.elapsed().as_millis());
    for (i, line) in violation.iter().flat_map(|violation| &violation.trace).enumerate() {
        println!("    {}. {line}", i + 1);
    }
    searched
}

fn is_safe(name: &str, protocol: Protocol) {
    let searched = tell(name, protocol);
    if let Some(Violation { what, trace }) = searched.violation {
        panic!("{name}: {what}\n{}", trace.join("\n"));
    }
}

/// Larger searches, which take minutes in a debug build: `IFMATCH_MODEL=large`.
fn large() -> bool {
    std::env::var("IFMATCH_MODEL").is_ok_and(|bound| bound == "large")
}

#[test]
fn the_rules_as_they_are_lose_nothing_on_one_resource() {
    let all = Protocol {
        unconditional: true,
        unknown: true,
        leaving: true,
        forgetting: true,
        touching: true,
        ..BASE
    };
    is_safe("one key, three clients", Protocol { clients: 3, writes: 3, ..BASE });
    is_safe("one key, all that can happen", all);
    if large() {
        is_safe("one key, three clients, all that can happen", Protocol { clients: 3, writes: 3, ..all });
    }
}

#[test]
fn the_rules_as_they_are_lose_nothing_on_two_resources() {
    let two = Protocol { keys: 2, forgetting: true, ..BASE };
    is_safe("two keys", two);
    is_safe("two keys, unknown outcomes", Protocol { unknown: true, ..two });
    is_safe("two keys, blind writes", Protocol { unconditional: true, ..two });
    is_safe("two keys, touches", Protocol { touching: true, ..two });
    if large() {
        is_safe(
            "two keys, unknown outcomes, blind writes",
            Protocol { unknown: true, unconditional: true, ..two },
        );
        is_safe(
            "two keys, leaving, touches, unknown",
            Protocol { unknown: true, leaving: true, touching: true, ..two },
        );
        is_safe("two keys, three clients", Protocol { clients: 3, unconditional: true, ..two });
    }
}

#[test]
fn the_rules_as_they_are_lose_nothing_where_a_write_changes_several_resources() {
    let two = Protocol { keys: 2, unconditional: true, ..BASE };
    is_safe("a write to both keys", Protocol { also: true, ..two });
    is_safe(
        "a write to both keys, forgetting",
        Protocol { also: true, unconditional: false, forgetting: true, ..two },
    );
    is_safe("a write to everything", Protocol { whole: true, ..two });
    is_safe(
        "a write to everything, forgetting",
        Protocol { whole: true, unconditional: false, forgetting: true, ..two },
    );
    if large() {
        is_safe(
            "both keys, unknown, forgetting",
            Protocol { also: true, unknown: true, forgetting: true, ..two },
        );
        is_safe(
            "everything, unknown, forgetting",
            Protocol { whole: true, unknown: true, forgetting: true, ..two },
        );
        is_safe("everything, three clients", Protocol { whole: true, clients: 3, ..two });
    }
}

#[test]
fn every_broken_rule_loses_an_update() {
    let three = Protocol { clients: 3, writes: 3, ..BASE };
    let two_keys = Protocol { keys: 2, forgetting: true, ..BASE };
    let blind = Protocol { unconditional: true, ..BASE };
    let unknown = Protocol { unknown: true, ..three };
    let table = [
        ("R2", Broken::TwoSlotsForOneResource, 10, Protocol { keys: 2, ..BASE }),
        ("R3", Broken::TagCapturedWhenTheAnswerArrives, 11, BASE),
        ("R4", Broken::TagWithoutContent, 12, BASE),
        ("R4", Broken::TagToAnOverlappedWriter, 8, blind),
        ("R5", Broken::JudgedAndOccupiedInTwoSteps, 12, BASE),
        ("R5", Broken::WaiterNotJudgedAgain, 12, BASE),
        ("R5", Broken::UnconditionalWritesDoNotOccupy, 7, blind),
        ("R5", Broken::SharedHoldersDoNotExclude, 7, blind),
        ("R5", Broken::AlsoChangedNotOccupied, 10, Protocol { keys: 2, also: true, ..BASE }),
        ("R5", Broken::MembersDoNotExcludeAWriteToAll, 10, Protocol { keys: 2, whole: true, ..BASE }),
        ("R6", Broken::ReleasedWhenTheClientLeaves, 11, Protocol { leaving: true, ..three }),
        ("R6", Broken::SentAgainAfterALoss, 7, unknown),
        ("R7", Broken::AcceptedOnlyTakenAsApplied, 7, three),
        ("R7", Broken::VersionKeptOnUnknown, 9, unknown),
        ("R7", Broken::VersionOfTheWholeNotJudged, 11, Protocol { keys: 2, whole: true, ..BASE }),
        ("R8", Broken::FreshNumberAtTheStartAndFreed, 11, unknown),
        ("R8", Broken::FreshNumberAtTheStartAndHeld, 12, unknown),
        ("R9", Broken::FloorNotRaised, 12, two_keys),
        ("R9", Broken::FloorAssigned, 19, two_keys),
        ("R9", Broken::OccupiedEntriesForgotten, 9, two_keys),
    ];
    for (rule, broken, steps, protocol) in table {
        let searched = tell(&format!("{rule} | {broken:?}"), Protocol { broken, ..protocol });
        let found = searched.violation.map(|violation| violation.trace.len());
        assert_eq!(found, Some(steps), "{rule}, {broken:?}: the shortest run that loses an update");
    }
}
