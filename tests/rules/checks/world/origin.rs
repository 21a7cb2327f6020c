//! What the origin holds: a content a resource, each with a number of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::checks::ops::KEYS;

#[derive(Default)]
pub(super) struct Origin {
    /// Every content that a resource ever had, and since when.
    history: [Vec<(Instant, u32)>; KEYS],
    deletions: BTreeSet<u32>,
    contents: u32,
}

impl Origin {
    /// What a write is about to leave behind.
    pub(super) fn invent(&mut self, deletes: bool) -> u32 {
        self.contents += 1;
        if deletes {
            self.deletions.insert(self.contents);
        }
        self.contents
    }

    pub(super) fn change(&mut self, of: usize, content: u32) {
        self.history[of].push((Instant::now(), content));
    }

    /// What it was at the beginning has the number 0.
    pub(super) fn now(&self, of: usize) -> u32 {
        self.history[of].last().map_or(0, |(_, content)| *content)
    }

    /// What a replica shows that is as far behind as that.
    pub(super) fn shown(&self, of: usize, behind: Duration) -> u32 {
        let now = Instant::now();
        let seen = self.history[of].iter().rev().find(|(since, _)| *since + behind <= now);
        seen.map_or(0, |(_, content)| *content)
    }

    pub(super) fn exists(&self, content: u32) -> bool {
        !self.deletions.contains(&content)
    }
}
