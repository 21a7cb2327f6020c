//! An exhaustive search of views (rules I1 to I3), breadth first, that runs the real steps: the rule of
//! [`views`](ifmatch::decide::views), the store [`Kept`](ifmatch::ledger::views::Kept), and the ledger's
//! [`Slots`](ifmatch::ledger::protocol::Slots).
//!
//! In a state stand one or two resources, in slots of their own or, folded into one name, in one slot; two or
//! three clients that never state a precondition; the views of their identities; and the writes under way.
//! Clients read and break off, write and leave; answers are lost; writes are refused by the origin, or of unknown
//! outcome and applied late within `settle`; views are forgotten at any moment. How often is not bounded:
//! states that differ only in what can never match again are one, so all of the space is searched.
//!
//! What is asked of every application of a write: the origin's content just before it is what the write's author
//! holds, its own earlier writes included.
//!
//! What it finds stands in `src/ledger/view_traces.md`, which the tests below hold to it.

mod search;
mod state;
mod steps;

use search::{Found, search};
use state::{Broken, World};

const TEXT: &str = include_str!("../../src/ledger/view_traces.md");

const SAFE: &[(&str, World)] = &[("one resource, two clients", World { clients: 2, ..World::LEAST })];

/// Half a minute together when optimised: searched with `IFMATCH_MODEL=large`.
const SAFE_AT_LENGTH: &[(&str, World)] = &[
    ("one resource, three clients", World { clients: 3, ..World::LEAST }),
    ("two resources, two clients", World { keys: 2, ..World::LEAST }),
    ("two resources that are folded into one slot, two clients", FOLDED),
    (
        "two tabs of one identity, told apart by `view_per`, and another client",
        World { clients: 3, tabs: true, per_tab: true, ..World::LEAST },
    ),
];

const TWO: World = World { clients: 2, ..World::LEAST };
const FOLDED: World = World { clients: 2, keys: 2, one_slot: true, ..World::LEAST };

const BROKEN: &[(&str, World)] = &[
    ("I1: the view is stored at the start of the read", TWO.with(Broken::StoredAtTheStart)),
    ("I1: the view is stored although the client broke off", TWO.with(Broken::StoredAlthoughBrokenOff)),
    ("I1: the version is captured when the answer comes", TWO.with(Broken::CapturedAtTheAnswer)),
    ("I2: a view is found again under another resource of its slot", FOLDED.with(Broken::FoundByTheSlot)),
    ("I2: a view is found again by another identity", TWO.with(Broken::FoundByAnybody)),
    (
        "I3: the view becomes the new version when the write is settled, told or not",
        TWO.with(Broken::AdvancedAtSettlement),
    ),
    (
        "I3: a write after which its author does not know the content gives it the new version",
        TWO.with(Broken::AdvancedUnknowing),
    ),
    ("a forgotten view is read as the version of what has no entry", TWO.with(Broken::ForgottenIsTheFloor)),
    ("a write that goes by a view occupies nothing", TWO.with(Broken::OccupiesNothing)),
];

const BEYOND: &[(&str, World)] = &[
    ("two tabs share a view", World { clients: 2, tabs: true, ..World::LEAST }),
    ("the browser goes back to an older form", World { clients: 2, back: true, ..World::LEAST }),
    (
        "an answer is lost after it was written out, and nobody notices",
        World { clients: 2, lost_unnoticed: true, ..World::LEAST },
    ),
];

fn section(heading: &str) -> &'static str {
    let start = format!("# {heading}\n\n");
    let from = TEXT.find(&start).unwrap_or_else(|| panic!("no section {heading}")) + start.len();
    let rest = &TEXT[from..];
    rest[..rest.find("\n# ").map_or(rest.len(), |end| end + 1)].trim_end()
}

fn runs(of: &[(&str, World)]) -> String {
    let run = |(name, world): &(&str, World)| {
        let Found { states, broken, .. } = search(*world);
        let steps = broken.unwrap_or_else(|| panic!("{name}: nothing is lost in {states} states"));
        println!("{name}: {} steps, {states} states", steps.len());
        let lines: Vec<String> =
            steps.iter().enumerate().map(|(i, step)| format!("{}. {step}", i + 1)).collect();
        format!("## {name}\n\n{}\n", lines.join("\n"))
    };
    of.iter().map(run).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

#[track_caller]
fn expect(heading: &str, found: &str) {
    assert!(section(heading) == found, "{heading}, in src/ledger/view_traces.md; it should be:\n\n{found}\n");
}

#[test]
fn the_rules_of_views_lose_nothing() {
    let at_length = std::env::var("IFMATCH_MODEL").is_ok_and(|bound| bound == "large");
    let more = if at_length { SAFE_AT_LENGTH } else { &[] };
    for (name, world) in SAFE.iter().chain(more) {
        let Found { states, transitions, broken } = search(*world);
        assert!(broken.is_none(), "{name}:\n{}", broken.unwrap_or_default().join("\n"));
        let row = format!("| {name} | {states} | {transitions} |");
        println!("{row}");
        let told = section("Explored").lines().find(|line| line.starts_with(&format!("| {name} |")));
        assert!(told.is_none_or(|told| told == row), "src/ledger/view_traces.md is to have the row\n{row}");
        assert!(told.is_some() || at_length, "src/ledger/view_traces.md is to have the row\n{row}");
    }
}

#[test]
fn every_broken_rule_of_views_loses_an_update_as_the_text_tells() {
    expect("Broken rules", &runs(BROKEN));
}

#[test]
fn what_views_cannot_protect_loses_an_update_as_the_text_tells() {
    expect("What no view can tell", &runs(BEYOND));
}
