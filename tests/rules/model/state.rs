//! A state of the whole world: the process or processes, the state file, the origin, the clients, and
//! the writes under way.

use std::hash::{Hash, Hasher};

use ifmatch::decide::claim::HoldMode;

/// Slots 0 and 1 are resources; this one stands for the upstream as a whole.
pub(super) const WHOLE: usize = 2;
pub(super) const SLOTS: usize = 3;
pub(super) const KEYS: usize = 2;

/// Everything that the real slots hold, as plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) floor: u8,
    pub(super) entries: [Option<u8>; SLOTS],
    pub(super) holds: [Option<HoldImage>; SLOTS],
    /// The older number that reads get.
    pub(super) lags: [Option<u8>; SLOTS],
}

impl Hash for Image {
    /// In two words: images are hashed all the time.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c] = self.entries.map(|version| version.unwrap_or(0));
        let [d, e, f] = self.lags.map(|older| older.unwrap_or(0));
        state.write_u64(u64::from_le_bytes([self.floor, a, b, c, d, e, f, 0]));
        let [g, h, i] = self.holds.map(|hold| {
            hold.map_or(0, |HoldImage { mode, holders, overlapped }| {
                u64::from(holders) << 8 | (mode as u64) << 1 | u64::from(overlapped)
            })
        });
        state.write_u64(g | h << 16 | i << 32);
    }
}

impl Image {
    /// A new life of the ledger. Its numbers are others than those of any life before (rule R1).
    pub(super) fn new_life(floor: u8) -> Self {
        Image { floor, entries: [None; SLOTS], holds: [None; SLOTS], lags: [None; SLOTS] }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct HoldImage {
    pub(super) mode: HoldMode,
    pub(super) holders: u8,
    pub(super) overlapped: bool,
}

/// What stands in a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Saved {
    pub(super) image: Image,
    pub(super) sequence: u8,
}

/// A tag in somebody's hand, and the content that it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) key: usize,
    pub(super) content: u8,
    pub(super) tag: u8,
}

/// Which process something goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum By {
    /// The one there is, or the successor of the old one.
    Newest,
    Old,
    /// It has ended. What it had sent may still be applied.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Doing {
    Nothing,
    /// `stamp`: `None` in the protocol that stamps too late; `content`: once the origin has answered.
    Reading {
        by: By,
        key: usize,
        stamp: Option<u8>,
        content: Option<u8>,
    },
    /// Waits for its turn.
    Waiting {
        by: By,
        pair: Pair,
    },
    /// Judged, and not yet holding what it was judged for: a broken protocol of rule R5.
    Judged {
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
    pub(super) by: By,
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

impl Write {
    pub(super) fn changes(&self, key: usize) -> bool {
        key == self.key || self.reach != Reach::One
    }
}

/// How far the newest process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// There is none.
    Down,
    /// It serves reads, and judges no writes yet (rule R10).
    Starting,
    Judging,
}

/// R14: which slot the first resource has, where it is renamed. Two are enough: a slot that nobody has a tag
/// of and nobody occupies any more is as good as a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub(super) slot: usize,
    /// The writes of before have ended.
    pub(super) open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) stage: Stage,
    /// The slots of the newest process.
    pub(super) image: Image,
    /// Those of the one before it, which has not ended yet.
    pub(super) old: Option<Image>,
    pub(super) file: Option<Saved>,
    pub(super) named: Named,
    /// What the newest process has taken up as occupied, and has not settled yet.
    pub(super) restored: [Option<HoldMode>; SLOTS],
    /// The last number that was drawn.
    pub(super) sequence: u8,
    pub(super) origin: [u8; KEYS],
    /// An earlier content that a lagging read may still show. One is enough: what a client that holds
    /// one of them may do and what may happen to it is the same for all.
    pub(super) stale: [Option<u8>; KEYS],
    /// The slots whose reads may lag, in the order in which that will end.
    pub(super) lagging: Vec<usize>,
    /// The last content that was made.
    pub(super) contents: u8,
    pub(super) clients: Vec<Client>,
    /// Writes that have no client any more.
    pub(super) orphans: Vec<Write>,
}

impl State {
    pub(super) fn first(clients: usize) -> Self {
        State {
            stage: Stage::Judging,
            image: Image::new_life(1),
            old: None,
            file: None,
            named: Named { slot: 0, open: true },
            restored: [None; SLOTS],
            sequence: 1,
            origin: [0; KEYS],
            stale: [None; KEYS],
            lagging: Vec::new(),
            contents: 0,
            clients: vec![Client { knows: None, doing: Doing::Nothing }; clients],
            orphans: Vec::new(),
        }
    }

    pub(super) fn writes(&self) -> impl Iterator<Item = &Write> {
        let theirs = self.clients.iter().filter_map(|client| match &client.doing {
            Doing::Writing(write) => Some(write),
            Doing::Nothing | Doing::Reading { .. } | Doing::Waiting { .. } | Doing::Judged { .. } => None,
        });
        theirs.chain(&self.orphans)
    }

    /// A fresh number.
    pub(super) fn draw(&mut self) -> u8 {
        self.sequence += 1;
        self.sequence
    }

    pub(super) fn image_of(&self, by: By) -> Option<Image> {
        match by {
            By::Newest => (self.stage != Stage::Down).then_some(self.image),
            By::Old => self.old,
            By::Ended => None,
        }
    }

    pub(super) fn set_image(&mut self, by: By, image: Image) {
        match by {
            By::Newest => self.image = image,
            By::Old => self.old = Some(image),
            By::Ended => {}
        }
    }

    /// What went through this process goes through that one now, or through none.
    pub(super) fn pass_on(&mut self, from: By, to: By) {
        for client in &mut self.clients {
            let doing = &mut client.doing;
            match doing {
                Doing::Reading { by, .. } | Doing::Waiting { by, .. } if *by == from => {
                    *by = to;
                    if to == By::Ended {
                        *doing = Doing::Nothing;
                    }
                }
                Doing::Writing(write) if write.by == from => {
                    write.by = to;
                    if to == By::Ended {
                        self.orphans.push(*write);
                        *doing = Doing::Nothing;
                    }
                }
                Doing::Judged { .. } if to == By::Ended => *doing = Doing::Nothing,
                Doing::Nothing
                | Doing::Reading { .. }
                | Doing::Waiting { .. }
                | Doing::Judged { .. }
                | Doing::Writing(_) => {}
            }
        }
        for write in &mut self.orphans {
            if write.by == from || write.by == to {
                write.by = to;
                if to == By::Ended {
                    (write.unknown, write.holds) = (true, false);
                }
            }
        }
        // What the origin has done with cannot do anything any more.
        self.orphans.retain(|write| write.by != By::Ended || write.fate == Fate::Pending);
    }
}
