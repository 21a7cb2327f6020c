//! What there is at a moment, and the names that do not matter in it.

use std::collections::BTreeMap;

/// At most so many resources and clients.
pub(super) const KEYS: usize = 2;
pub(super) const CLIENTS: usize = 3;

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    pub(super) clients: usize,
    pub(super) keys: usize,
    /// Both resources are folded into one name.
    pub(super) one_slot: bool,
    /// The first two clients are one principal.
    pub(super) tabs: bool,
    /// The route tells tabs apart (`view_per`).
    pub(super) per_tab: bool,
    /// Clients go back to what they showed before.
    pub(super) back: bool,
    /// Answers to reads are lost after they were written out.
    pub(super) lost_unnoticed: bool,
    pub(super) broken: Option<Broken>,
}

impl World {
    pub(super) const LEAST: World = World {
        clients: 2,
        keys: 1,
        one_slot: false,
        tabs: false,
        per_tab: false,
        back: false,
        lost_unnoticed: false,
        broken: None,
    };

    pub(super) const fn with(self, broken: Broken) -> World {
        World { broken: Some(broken), ..self }
    }

    pub(super) fn slot(self, key: usize) -> usize {
        if self.one_slot { 0 } else { key }
    }

    /// Whose view it is.
    pub(super) fn identity(self, client: usize) -> usize {
        if self.tabs && !self.per_tab && client == 1 { 0 } else { client }
    }
}

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    StoredAtTheStart,
    StoredAlthoughBrokenOff,
    CapturedAtTheAnswer,
    FoundByTheSlot,
    FoundByAnybody,
    AdvancedAtSettlement,
    AdvancedUnknowing,
    ForgottenIsTheFloor,
    OccupiesNothing,
}

/// What a client is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Doing {
    Nothing,
    /// For the answer to a read: the version captured for it, and the content once the origin served it.
    Reading {
        key: usize,
        stamp: u8,
        content: Option<u8>,
    },
    /// For its write to come to an end.
    Writing,
    /// For the answer to a settled write: the version that it gives, if its author knows the content then.
    Told {
        key: usize,
        gives: Option<u8>,
        content: Option<u8>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Client {
    /// What it shows of each resource.
    pub(super) holds: [Option<u8>; KEYS],
    /// What it showed before.
    pub(super) before: [Option<u8>; KEYS],
    pub(super) doing: Doing,
}

/// Where a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum At {
    Sent,
    Applied,
    /// Its answer is lost; it was applied, or may still be.
    Unknown {
        applied: bool,
    },
}

/// A write that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Write {
    pub(super) author: usize,
    pub(super) key: usize,
    /// What its author held when it was written.
    pub(super) saw: Option<u8>,
    /// What it puts there.
    pub(super) puts: u8,
    /// A part of the content is not its author's (a POST, or a PUT that the origin changes).
    pub(super) unknowing: bool,
    pub(super) at: At,
    /// Whether its author still waits.
    pub(super) heard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct State {
    pub(super) versions: [u8; KEYS],
    pub(super) origin: [u8; KEYS],
    /// By slot; only a broken rule has two at a time in one.
    pub(super) writes: [[Option<Write>; 2]; KEYS],
    /// By identity and resource.
    pub(super) views: [[Option<u8>; KEYS]; CLIENTS],
    pub(super) clients: [Client; CLIENTS],
}

impl State {
    pub(super) fn first() -> State {
        let client = Client { holds: [None; KEYS], before: [None; KEYS], doing: Doing::Nothing };
        State {
            versions: [1; KEYS],
            origin: [0, 1],
            writes: [[None; 2]; KEYS],
            views: [[None; KEYS]; CLIENTS],
            clients: [client; CLIENTS],
        }
    }

    /// A number that was never drawn, as far as anybody remembers one.
    pub(super) fn fresh_version(&self) -> u8 {
        let mut most = 0;
        self.clone().each_version(&mut |version| most = most.max(*version));
        most + 1
    }

    /// A content that nobody holds.
    pub(super) fn fresh_content(&self) -> u8 {
        let mut most = 0;
        self.clone().each_content(&mut |content| most = most.max(*content));
        most + 1
    }

    /// Names numbers by their rank, and contents in the order in which they stand here.
    pub(super) fn canonical(mut self) -> State {
        let mut ranks = BTreeMap::new();
        self.each_version(&mut |version| drop(ranks.insert(*version, 0)));
        for (rank, name) in (1..).zip(ranks.values_mut()) {
            *name = rank;
        }
        self.each_version(&mut |version| *version = ranks[version]);
        let mut names = BTreeMap::new();
        self.each_content(&mut |content| {
            let next = names.len() as u8;
            *content = *names.entry(*content).or_insert(next);
        });
        self
    }

    fn each_version(&mut self, see: &mut dyn FnMut(&mut u8)) {
        self.versions.iter_mut().for_each(&mut *see);
        self.views.iter_mut().flatten().flatten().for_each(&mut *see);
        for client in &mut self.clients {
            match &mut client.doing {
                Doing::Reading { stamp, .. } => see(stamp),
                Doing::Told { gives: Some(version), .. } => see(version),
                Doing::Nothing | Doing::Writing | Doing::Told { gives: None, .. } => {}
            }
        }
    }

    fn each_content(&mut self, see: &mut dyn FnMut(&mut u8)) {
        self.origin.iter_mut().for_each(&mut *see);
        for client in &mut self.clients {
            client.holds.iter_mut().chain(&mut client.before).flatten().for_each(&mut *see);
            match &mut client.doing {
                Doing::Reading { content, .. } | Doing::Told { content, .. } => {
                    content.iter_mut().for_each(&mut *see);
                }
                Doing::Nothing | Doing::Writing => {}
            }
        }
        for write in self.writes.iter_mut().flatten().flatten() {
            write.saw.iter_mut().for_each(&mut *see);
            see(&mut write.puts);
        }
    }
}
