//! A state of the whole world: the slots, the origin, clients and the writes under way; and the one
//! spelling of all states that differ in names only.

use ifmatch::decide::claim::HoldMode;

/// Slots 0 and 1 are resources; this one stands for the upstream as a whole.
pub(super) const WHOLE: usize = 2;
pub(super) const SLOTS: usize = 3;
pub(super) const KEYS: usize = 2;

/// Everything that the real slots hold, as plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Image {
    pub(super) floor: u8,
    pub(super) entries: [Option<u8>; SLOTS],
    pub(super) holds: [Option<HoldImage>; SLOTS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct HoldImage {
    pub(super) mode: HoldMode,
    pub(super) holders: u8,
    pub(super) overlapped: bool,
}

/// A tag in somebody's hand, and the content that it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) key: usize,
    pub(super) content: u8,
    pub(super) tag: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Doing {
    Nothing,
    /// `stamp`: `None` in the protocol that stamps too late; `content`: once the origin has answered.
    Reading {
        key: usize,
        stamp: Option<u8>,
        content: Option<u8>,
    },
    /// Judged, and not yet holding what it was judged for: the broken protocols of rule R5.
    Judged {
        waits: bool,
        key: usize,
        saw: u8,
    },
    Writing(Write),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Client {
    pub(super) knows: Option<Pair>,
    pub(super) doing: Doing,
}

/// Which resources a write changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Reach {
    One,
    /// `also_changes`: the other key as well.
    Both,
    /// `also_changes = ["*"]`
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Fate {
    Pending,
    Applied,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Write {
    pub(super) key: usize,
    pub(super) reach: Reach,
    pub(super) conditional: bool,
    /// What its author saw; `None` if it claims nothing, or where it does not matter any more.
    pub(super) saw: Option<u8>,
    /// What it writes; `None` where it does not matter any more.
    pub(super) content: Option<u8>,
    pub(super) fate: Fate,
    /// Its answer is lost.
    pub(super) unknown: bool,
    /// It has a permit.
    pub(super) holds: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) image: Image,
    /// The last number that was drawn.
    pub(super) sequence: u8,
    pub(super) origin: [u8; KEYS],
    /// The last content that was made.
    pub(super) contents: u8,
    pub(super) clients: Vec<Client>,
    /// Writes whose client has left.
    pub(super) orphans: Vec<Write>,
}

impl State {
    pub(super) fn first(clients: usize) -> Self {
        State {
            image: Image { floor: 1, entries: [None; SLOTS], holds: [None; SLOTS] },
            sequence: 1,
            origin: [0; KEYS],
            contents: 0,
            clients: vec![Client { knows: None, doing: Doing::Nothing }; clients],
            orphans: Vec::new(),
        }
    }

    pub(super) fn writes(&self) -> impl Iterator<Item = &Write> {
        let theirs = self.clients.iter().filter_map(|client| match &client.doing {
            Doing::Writing(write) => Some(write),
            Doing::Nothing | Doing::Reading { .. } | Doing::Judged { .. } => None,
        });
        theirs.chain(&self.orphans)
    }

    /// The state that stands for all that differ from this one in names only: numbers are renamed to
    /// their rank, contents by their order of appearance, clients are sorted. A tag whose number no slot
    /// has any more is dropped: numbers enter the slots by being drawn or copied from a slot, so it will
    /// never be current again, whether the protocol is right or wrong.
    pub(super) fn canonical(mut self) -> State {
        let mut numbers: Vec<u8> = self.image.entries.iter().flatten().copied().collect();
        numbers.push(self.image.floor);
        numbers.sort_unstable();
        numbers.dedup();
        let rank = |number: u8| numbers.binary_search(&number).ok().map(|at| at as u8 + 1);
        self.image.floor = rank(self.image.floor).unwrap_or(0);
        for entry in self.image.entries.iter_mut().flatten() {
            *entry = rank(*entry).unwrap_or(0);
        }
        self.sequence = numbers.len() as u8;
        for client in &mut self.clients {
            client.knows = client.knows.and_then(|pair| rank(pair.tag).map(|tag| Pair { tag, ..pair }));
            if let Doing::Reading { key, stamp: Some(stamp), content } = client.doing {
                client.doing = match rank(stamp) {
                    Some(stamp) => Doing::Reading { key, stamp: Some(stamp), content },
                    None => Doing::Nothing,
                };
            }
        }
        // Twice: the first renaming settles the order in which the second one goes.
        for _ in 0..2 {
            self.rename_contents();
            self.clients.sort_unstable();
            self.orphans.sort_unstable();
        }
        self
    }

    fn rename_contents(&mut self) {
        let mut names: Vec<u8> = Vec::with_capacity(8);
        let mut rename = |content: &mut u8| {
            let at = names.iter().position(|name| name == content).unwrap_or_else(|| {
                names.push(*content);
                names.len() - 1
            });
            *content = at as u8;
        };
        self.origin.iter_mut().for_each(&mut rename);
        let rename_write = |write: &mut Write, rename: &mut dyn FnMut(&mut u8)| {
            if write.fate != Fate::Pending {
                write.saw = None;
            }
            if write.fate == Fate::Refused || (write.unknown && write.fate == Fate::Applied) {
                write.content = None;
            }
            write.saw.iter_mut().for_each(&mut *rename);
            write.content.iter_mut().for_each(&mut *rename);
        };
        for client in &mut self.clients {
            if let Some(pair) = &mut client.knows {
                rename(&mut pair.content);
            }
            match &mut client.doing {
                Doing::Nothing => {}
                Doing::Reading { content, .. } => content.iter_mut().for_each(&mut rename),
                Doing::Judged { saw, .. } => rename(saw),
                Doing::Writing(write) => rename_write(write, &mut rename),
            }
        }
        for write in &mut self.orphans {
            rename_write(write, &mut rename);
        }
        self.contents = names.len() as u8 - 1;
    }
}
