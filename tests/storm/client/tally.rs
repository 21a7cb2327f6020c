//! What the clients count, and what they remember for the checker.

use std::collections::BTreeMap;

use crate::record::WriteId;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Requests that were sent, by kind.
    Sent,
    /// 2xx to writes, by kind.
    Acknowledged,
    /// The proxy's own answers, by kind.
    Refused,
    /// The origin's answers to writes that are no 2xx, by status.
    Told,
    /// Requests without a whole answer, by what happened.
    Lost,
    /// What clients did wrong on purpose.
    Fault,
    /// The first answer that says something of a tag of a life whose ledger is gone.
    DeadTag,
    /// Answers to tags of an earlier process, whose ledger lives on.
    CarriedTag,
}

#[derive(Default, Debug)]
pub struct Tally {
    counts: BTreeMap<(Group, String), u64>,
    /// Writes that were answered with 2xx.
    pub acknowledged: Vec<WriteId>,
    /// Writes with nothing but tags of ledgers that are gone: the origin must never see them.
    pub with_dead_tags: Vec<WriteId>,
}

impl Tally {
    pub fn count(&mut self, group: Group, what: &str) {
        *self.counts.entry((group, what.to_owned())).or_default() += 1;
    }

    pub fn add(&mut self, other: Tally) {
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
        self.acknowledged.extend(other.acknowledged);
        self.with_dead_tags.extend(other.with_dead_tags);
    }

    /// Everything in a group, by name.
    pub fn of(&self, group: Group) -> impl Iterator<Item = (&str, u64)> {
        self.counts
            .iter()
            .filter(move |((of, _), _)| *of == group)
            .map(|((_, what), count)| (what.as_str(), *count))
    }

    pub fn sum(&self, group: Group) -> u64 {
        self.of(group).map(|(_, count)| count).sum()
    }

    pub fn get(&self, group: Group, what: &str) -> u64 {
        self.counts.get(&(group, what.to_owned())).copied().unwrap_or(0)
    }
}
