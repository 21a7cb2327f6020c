//! What there is at a moment, and the names that do not matter in it.

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

    /// What can never match again is one: a version that is not its slot's current one, for numbers never repeat, and
    /// a content that the origin does not have and that no write under way puts there.
    pub(super) fn canonical(mut self, world: World) -> State {
        let versions = self.versions;
        let known = |version: &mut u8, key: usize| *version = u8::from(*version == versions[world.slot(key)]);
        let mut names = [[None; 3]; KEYS];
        for (key, names) in names.iter_mut().enumerate() {
            let puts = self
                .writes
                .iter()
                .flatten()
                .flatten()
                .filter(|write| write.key == key)
                .map(|write| write.puts);
            let contents = std::iter::once(self.origin[key]).chain(puts);
            names.iter_mut().zip(contents).for_each(|(name, content)| *name = Some(content));
        }
        let rename = |content: &mut u8, key: usize| {
            *content =
                names[key].iter().position(|name| *name == Some(*content)).map_or(0, |at| at as u8 + 1);
        };
        for views in &mut self.views {
            views.iter_mut().enumerate().for_each(|(key, view)| view.iter_mut().for_each(|v| known(v, key)));
        }
        for client in &mut self.clients {
            for shown in [&mut client.holds, &mut client.before] {
                shown
                    .iter_mut()
                    .enumerate()
                    .for_each(|(key, held)| held.iter_mut().for_each(|c| rename(c, key)));
            }
            match &mut client.doing {
                Doing::Reading { key, stamp, content } => {
                    known(stamp, *key);
                    content.iter_mut().for_each(|content| rename(content, *key));
                }
                Doing::Told { key, gives, content } => {
                    gives.iter_mut().for_each(|version| known(version, *key));
                    content.iter_mut().for_each(|content| rename(content, *key));
                }
                Doing::Nothing | Doing::Writing => {}
            }
        }
        for write in self.writes.iter_mut().flatten().flatten() {
            write.saw.iter_mut().for_each(|content| rename(content, write.key));
            rename(&mut write.puts, write.key);
        }
        for (key, content) in self.origin.iter_mut().enumerate() {
            rename(content, key);
        }
        self.versions = [1; KEYS];
        self.without_what_is_over(world);
        self
    }

    /// A view that can never match again is no view, unless forgotten ones are broken; a content that is over is none,
    /// unless a client may go back to it; and of a write that was applied nobody asks any more what its author saw.
    fn without_what_is_over(&mut self, world: World) {
        const OVER: Option<u8> = Some(0);
        if world.broken != Some(Broken::ForgottenIsTheFloor) {
            self.views.iter_mut().flatten().filter(|view| **view == OVER).for_each(|view| *view = None);
        }
        if !world.back {
            let held = self.clients.iter_mut().flat_map(|client| &mut client.holds);
            held.filter(|held| **held == OVER).for_each(|held| *held = None);
        }
        for client in &mut self.clients {
            if let Doing::Told { gives, .. } = &mut client.doing
                && *gives == OVER
            {
                *gives = None;
            }
        }
        for write in self.writes.iter_mut().flatten().flatten() {
            if write.saw == OVER || matches!(write.at, At::Applied | At::Unknown { applied: true }) {
                write.saw = None;
            }
            if matches!(write.at, At::Unknown { .. }) {
                write.unknowing = false;
            }
        }
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
