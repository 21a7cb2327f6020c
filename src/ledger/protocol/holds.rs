//! Who occupies which resources of a shard.

use std::collections::HashMap;

use super::Hold;
use super::entries::ByKey;
use crate::request::version_tag::ResourceKey;

/// At most one hold for each key.
///
/// A shard rarely has more than one at a time: that one stands here, beside what else is looked at then. The others
/// are in a table elsewhere in memory, which is made for the first of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds {
    one: Option<(ResourceKey, Hold)>,
    /// Never the key of `one`.
    others: Option<Box<Others>>,
}

type Others = HashMap<ResourceKey, Hold, ByKey>;

impl Holds {
    pub(super) fn get(&self, key: ResourceKey) -> Option<&Hold> {
        match &self.one {
            Some((occupied, hold)) if *occupied == key => Some(hold),
            Some(_) | None => self.others.as_ref()?.get(&key),
        }
    }

    pub(super) fn get_mut(&mut self, key: ResourceKey) -> Option<&mut Hold> {
        match &mut self.one {
            Some((occupied, hold)) if *occupied == key => Some(hold),
            Some(_) | None => self.others.as_mut()?.get_mut(&key),
        }
    }

    /// The hold of a key, which is this one if there was none.
    pub(super) fn get_or_insert(&mut self, key: ResourceKey, hold: Hold) -> &mut Hold {
        let stands_here = match &self.one {
            Some((occupied, _)) => *occupied == key,
            None => !self.others.as_ref().is_some_and(|others| others.contains_key(&key)),
        };
        if stands_here {
            &mut self.one.get_or_insert((key, hold)).1
        } else {
            self.others.get_or_insert_default().entry(key).or_insert(hold)
        }
    }

    pub(super) fn remove(&mut self, key: ResourceKey) {
        match &self.one {
            Some((occupied, _)) if *occupied == key => self.one = None,
            Some(_) | None => {
                self.others.as_mut().and_then(|others| others.remove(&key));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.one.is_some()) + self.others.as_ref().map_or(0, |others| others.len())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ResourceKey, &Hold)> {
        let one = self.one.iter().map(|(key, hold)| (*key, hold));
        one.chain(self.others.iter().flat_map(|others| others.iter()).map(|(key, hold)| (*key, hold)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::decide::claim::HoldMode;
    use crate::ledger::protocol::Owed;

    fn hold(holders: u32) -> Hold {
        let owed = Owed::default();
        Hold { mode: HoldMode::Shared, holders, overlapped: false, unsettled_until: None, owed }
    }

    /// All sequences of six steps on three keys, beside a plain map.
    #[test]
    fn holds_are_a_map_whichever_of_them_stands_alone() {
        const STEPS: u32 = 6;
        for sequence in 0..9_u32.pow(STEPS) {
            let (mut holds, mut plain) = (Holds::default(), BTreeMap::new());
            for at in 0..STEPS {
                let step = sequence / 9_u32.pow(at) % 9;
                let key = ResourceKey(u64::from(step % 3));
                match step / 3 {
                    0 => {
                        let inserted = holds.get_or_insert(key, hold(at)).holders;
                        assert_eq!(inserted, *plain.entry(key).or_insert(at));
                    }
                    1 => {
                        holds.remove(key);
                        plain.remove(&key);
                    }
                    _ => {
                        let both = (holds.get_mut(key), plain.get_mut(&key));
                        if let (Some(held), Some(number)) = both {
                            held.holders += 10;
                            *number += 10;
                        }
                    }
                }
                assert_eq!(holds.get(key).map(|hold| hold.holders), plain.get(&key).copied());
                assert_eq!(holds.len(), plain.len());
            }
            let held: BTreeMap<_, _> = holds.iter().map(|(key, hold)| (key, hold.holders)).collect();
            assert_eq!(held, plain, "{sequence}");
        }
    }
}
