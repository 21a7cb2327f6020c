//! The search, breadth first, so that the first run found is a shortest one.

use std::collections::hash_map::Entry;

use ifmatch::decide::claim::HoldMode;

use super::protocol::Protocol;
use super::quick::QuickMap;
use super::real::Real;
use super::state::{By, Client, Doing, Image, Pair, Stage, State, WHOLE};
use super::steps::Successors;
use super::told::Event;

/// What a search came to.
pub(super) struct Searched {
    pub(super) states: usize,
    pub(super) transitions: usize,
    pub(super) violation: Option<Violation>,
}

/// What must not be, and the shortest run to it.
pub(super) struct Violation {
    pub(super) what: What,
    pub(super) trace: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A write replaced what its author never saw.
    LostUpdate,
    /// A version went back, or a write that may have changed the origin ended with a used number.
    Inv1,
    /// Somebody holds the current version of a resource at rest with another content.
    Inv2,
}

/// Beside lost updates: whether the two invariants are asked of every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invariants {
    Asked,
    NotAsked,
}

/// Searches everything that can happen, until something is wrong.
pub(super) fn search(protocol: Protocol, invariants: Invariants) -> Searched {
    let mut real = Real::default();
    let repeat = protocol.numbers_repeat();
    let first = State::first(protocol.clients).canonical(repeat);
    let mut seen: QuickMap<State, u32> = QuickMap::default();
    seen.insert(first.clone(), 0);
    let mut states: Vec<(State, u32)> = vec![(first, 0)];
    let (mut at, mut transitions) = (0, 0);
    while at < states.len() {
        let state = states[at].0.clone();
        let Successors { found, lost, .. } = Successors::of(protocol, &mut real, state.clone());
        let mut wrong = lost.map(|event| (What::LostUpdate, Some(event)));
        if wrong.is_none() && invariants == Invariants::Asked {
            wrong = untrue(protocol, &mut real, &state, &found);
        }
        if let Some((what, event)) = wrong {
            let trace = trace(protocol, &mut real, &states, at, event);
            let violation = Some(Violation { what, trace });
            return Searched { states: states.len(), transitions, violation };
        }
        for (_, to) in found {
            transitions += 1;
            if let Entry::Vacant(vacant) = seen.entry(to.canonical(repeat)) {
                states.push((vacant.key().clone(), at as u32));
                vacant.insert(states.len() as u32 - 1);
            }
        }
        at += 1;
    }
    Searched { states: states.len(), transitions, violation: None }
}

/// The first invariant that does not hold in a state, or over a step out of it.
fn untrue(
    protocol: Protocol,
    real: &mut Real,
    state: &State,
    found: &[(Event, State)],
) -> Option<(What, Option<Event>)> {
    if holds_another_content(protocol, real, state) {
        return Some((What::Inv2, None));
    }
    let before = image_of_all(state)?;
    let keys = if protocol.renaming { state.named.slot..state.named.slot + 1 } else { 0..protocol.keys };
    for key in keys {
        let was = Successors::version(protocol, real, before, key);
        for (event, to) in found {
            let Some(after) = image_of_all(to).filter(|after| *after != before) else { continue };
            if state.named != to.named {
                // The resource has another slot now.
                continue;
            }
            let is = Successors::version(protocol, real, after, key);
            let used = event.published() == Some(key) && state.old.is_none() && is <= state.sequence;
            if is < was || used {
                return Some((What::Inv1, Some(*event)));
            }
        }
    }
    None
}

/// The newest slots, be they in a process or in the file.
fn image_of_all(state: &State) -> Option<Image> {
    state.image_of(By::Newest).or(state.file.map(|file| file.image))
}

/// INV2: whoever holds, or is being sent, the current version of a resource that no write occupies holds
/// the origin's current content.
fn holds_another_content(protocol: Protocol, real: &mut Real, state: &State) -> bool {
    let in_hand = |client: &Client| match client.doing {
        Doing::Reading { key, stamp: Some(tag), content: Some(content), .. } => {
            Some(Pair { key, content, tag })
        }
        Doing::Waiting { pair, .. } => Some(pair),
        Doing::Reading { .. } | Doing::Nothing | Doing::Judged { .. } | Doing::Writing(_) => None,
    };
    // While a process starts, what an earlier one sent occupies everything.
    let newest = image_of_all(state).filter(|_| state.stage != Stage::Starting && state.named.open);
    let mut wrong = false;
    for image in newest.into_iter().chain(state.old) {
        let whole = image.holds[WHOLE].is_some_and(|hold| hold.mode != HoldMode::Member);
        let pairs = state.clients.iter().flat_map(|client| [client.knows, in_hand(client)]);
        let of_a_name = |pair: &Pair| !protocol.renaming || pair.key == state.named.slot;
        let content_of = |key: usize| if protocol.renaming { 0 } else { key };
        let at_rest = |pair: &Pair| !whole && image.holds[pair.key].is_none();
        for pair in pairs.flatten().filter(|pair| of_a_name(pair) && at_rest(pair)) {
            let current = Successors::version(protocol, real, image, pair.key);
            wrong |= pair.tag == current && pair.content != state.origin[content_of(pair.key)];
        }
    }
    wrong
}

/// The run that leads to a state, in one set of names from its beginning to its end.
fn trace(
    protocol: Protocol,
    real: &mut Real,
    states: &[(State, u32)],
    mut at: usize,
    last: Option<Event>,
) -> Vec<String> {
    let repeat = protocol.numbers_repeat();
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
            .find(|(_, to)| to.clone().canonical(repeat) == *next)
            .expect("the same steps lead to the same states");
        told.push(event.to_string());
        run = to;
    }
    match (last, Successors::of(protocol, real, run).lost) {
        (Some(_), Some(lost)) => told.push(lost.to_string()),
        (Some(event), None) => told.push(event.to_string()),
        (None, _) => {}
    }
    if protocol.renaming {
        // Both slots are of one resource.
        told.iter_mut().for_each(|line| *line = line.replace("the list", "the order"));
    }
    told
}
