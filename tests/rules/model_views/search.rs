//! The search, breadth first, so that the first run found is a shortest one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::state::{State, World};
use super::steps::Next;

/// What a search came to.
pub(super) struct Found {
    pub(super) states: usize,
    pub(super) transitions: usize,
    /// The shortest run to a lost update.
    pub(super) broken: Option<Vec<String>>,
}

/// Searches everything that can happen, until an update is lost.
pub(super) fn search(world: World) -> Found {
    let first = State::first().canonical();
    let mut seen = HashMap::from([(first.clone(), 0)]);
    let mut states: Vec<(State, usize, String)> = vec![(first, 0, String::new())];
    let (mut at, mut transitions) = (0, 0);
    while at < states.len() {
        let state = states[at].0.clone();
        let Next { found, lost, .. } = Next::of(world, &state);
        if let Some(last) = lost {
            let mut steps = vec![last];
            while at != 0 {
                steps.push(states[at].2.clone());
                at = states[at].1;
            }
            steps.reverse();
            return Found { states: states.len(), transitions, broken: Some(steps) };
        }
        for (told, to) in found {
            transitions += 1;
            if let Entry::Vacant(vacant) = seen.entry(to.canonical()) {
                states.push((vacant.key().clone(), at, told));
                vacant.insert(states.len() - 1);
            }
        }
        at += 1;
    }
    Found { states: states.len(), transitions, broken: None }
}
