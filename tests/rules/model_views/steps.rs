//! What can happen in a state.

use http::{Method, StatusCode};
use ifmatch::decide::claim::HoldMode;
use ifmatch::decide::outcome::{UnknownCause, WriteOutcome};
use ifmatch::decide::policy::{RoutePolicy, Unconditional};
use ifmatch::decide::read::ReadVerdict;
use ifmatch::decide::views::{claim_of, read_shows, settlement_forgets, write_shows};
use ifmatch::ledger::protocol::{BegunAt, Ending, Millis, Owed, Slots};
use ifmatch::ledger::views::{Kept, ViewKey};
use ifmatch::request::method::Effect;
use ifmatch::request::preconditions::Preconditions;
use ifmatch::request::version_tag::{Incarnation, ResourceKey, Variant, Version, VersionTag};

use super::state::{At, Broken, Doing, State, World, Write};

const SLOT: ResourceKey = ResourceKey(9);
const LIFE: Incarnation = Incarnation(1);
const NOW: Millis = Millis(0);
const LIFETIME: Millis = Millis(1000);
/// Room for all of them: what is forgotten, a step of the search forgets.
const ROOM: usize = 64;

/// What follows a state.
pub(super) struct Next<'w> {
    world: World,
    from: &'w State,
    pub(super) found: Vec<(String, State)>,
    /// A write that replaced what its author does not hold.
    pub(super) lost: Option<String>,
}

fn name(client: usize) -> &'static str {
    ["Ann", "Bob", "Cid"][client]
}

fn resource(key: usize) -> &'static str {
    ["the order", "the other one"][key]
}

impl<'w> Next<'w> {
    pub(super) fn of(world: World, from: &'w State) -> Self {
        let mut next = Next { world, from, found: Vec::new(), lost: None };
        for client in 0..world.clients {
            next.client(client);
        }
        for slot in 0..from.writes.len() {
            for place in 0..2 {
                if let Some(write) = from.writes[slot][place] {
                    next.write(slot, place, write);
                }
            }
        }
        for identity in 0..world.clients {
            for key in 0..world.keys {
                if from.views[identity][key].is_some() {
                    let mut to = from.clone();
                    next.keep(&mut to, identity, key, None);
                    next.go(
                        format!("the view that {} has of {} is forgotten", name(identity), resource(key)),
                        to,
                    );
                }
            }
        }
        next
    }

    fn go(&mut self, told: String, to: State) {
        self.found.push((told, to));
    }

    fn is_broken(&self, broken: Broken) -> bool {
        self.world.broken == Some(broken)
    }

    /// The ledger's slot of a resource, as it is now.
    fn slots(&self, key: usize) -> Slots {
        let slot = self.world.slot(key);
        let mut slots = Slots::new(Version(self.from.versions[slot].into()), 4);
        for _ in self.from.writes[slot].iter().flatten() {
            slots.occupy(SLOT, HoldMode::Exclusive, Owed::default()).expect("there is room");
        }
        slots
    }

    fn view_key(&self, identity: usize, key: usize) -> ViewKey {
        let identity = if self.is_broken(Broken::FoundByAnybody) { 0 } else { identity };
        let key = if self.is_broken(Broken::FoundByTheSlot) { self.world.slot(key) } else { key };
        ViewKey((identity * 10 + key) as u128)
    }

    /// The store with the views of a state.
    fn kept(&self, state: &State) -> Kept {
        let mut kept = Kept::new(ROOM);
        for (identity, views) in state.views.iter().enumerate() {
            for (key, view) in views.iter().enumerate() {
                if let Some(version) = view {
                    kept.keep(ViewKey((identity * 10 + key) as u128), Version((*version).into()), NOW);
                }
            }
        }
        kept
    }

    fn found_view(&self, state: &State, identity: usize, key: usize) -> Option<Version> {
        self.kept(state).version(self.view_key(identity, key), NOW, LIFETIME)
    }

    /// Stores a view, or forgets it.
    fn keep(&self, state: &mut State, identity: usize, key: usize, version: Option<Version>) {
        let mut kept = self.kept(state);
        let at = self.view_key(identity, key);
        match version {
            Some(version) => drop(kept.keep(at, version, NOW)),
            None => kept.forget(at),
        }
        for (identity, views) in state.views.iter_mut().enumerate() {
            for (key, view) in views.iter_mut().enumerate() {
                let found = kept.version(ViewKey((identity * 10 + key) as u128), NOW, LIFETIME);
                *view = found.map(|version| version.0 as u8);
            }
        }
    }

    fn client(&mut self, client: usize) {
        let identity = self.world.identity(client);
        match self.from.clients[client].doing {
            Doing::Nothing => {
                for key in 0..self.world.keys {
                    self.begin_read(client, identity, key);
                    for unknowing in [false, true] {
                        self.begin_write(client, identity, key, unknowing);
                    }
                    self.go_back(client, key);
                }
            }
            Doing::Reading { key, stamp, content } => self.read(client, identity, key, stamp, content),
            Doing::Writing => {
                let mut to = self.from.clone();
                to.clients[client].doing = Doing::Nothing;
                let of_it = |write: &&mut Write| write.author == client;
                to.writes
                    .iter_mut()
                    .flatten()
                    .flatten()
                    .filter(|w| w.heard)
                    .find(of_it)
                    .expect("its write")
                    .heard = false;
                self.go(format!("{} leaves, and its write goes on", name(client)), to);
            }
            Doing::Told { key, gives, content } => {
                let mut to = self.from.clone();
                to.clients[client].doing = Doing::Nothing;
                let lost = to.clone();
                if let Some(version) = gives {
                    self.keep(&mut to, identity, key, Some(Version(version.into())));
                }
                if let Some(content) = content {
                    show(&mut to, client, key, content, self.world);
                }
                self.go(format!("the answer to its write is written out to {}", name(client)), to);
                self.go(format!("the answer to its write never reaches {}", name(client)), lost);
            }
        }
    }

    fn begin_read(&mut self, client: usize, identity: usize, key: usize) {
        let stamp = self.slots(key).observe(SLOT).version;
        let mut to = self.from.clone();
        to.clients[client].doing = Doing::Reading { key, stamp: stamp.0 as u8, content: None };
        if self.is_broken(Broken::StoredAtTheStart) {
            self.keep(&mut to, identity, key, Some(stamp));
        }
        self.go(format!("{} begins to read {}", name(client), resource(key)), to);
    }

    fn read(&mut self, client: usize, identity: usize, key: usize, stamp: u8, content: Option<u8>) {
        let Some(content) = content else {
            let mut to = self.from.clone();
            let served = Some(self.from.origin[key]);
            to.clients[client].doing = Doing::Reading { key, stamp, content: served };
            self.go(format!("the origin answers {} with what {} is", name(client), resource(key)), to);
            self.break_off(client);
            return;
        };
        let stamp = match self.is_broken(Broken::CapturedAtTheAnswer) {
            true => self.slots(key).version(SLOT),
            false => Version(stamp.into()),
        };
        let tag = VersionTag::new(LIFE, SLOT, stamp, Variant(1));
        let shows = read_shows(&Method::GET, StatusCode::OK, &ReadVerdict::Answer(Some(tag)));
        let mut to = self.from.clone();
        to.clients[client].doing = Doing::Nothing;
        if let Some(version) = shows {
            self.keep(&mut to, identity, key, Some(version));
        }
        if self.world.lost_unnoticed {
            self.go(format!("the answer is written out, and never reaches {}", name(client)), to.clone());
        }
        if self.is_broken(Broken::StoredAlthoughBrokenOff) {
            self.go(format!("{} breaks off its read", name(client)), to.clone());
        } else {
            self.break_off(client);
        }
        show(&mut to, client, key, content, self.world);
        self.go(format!("the answer is written out to {}", name(client)), to);
    }

    fn break_off(&mut self, client: usize) {
        let mut to = self.from.clone();
        to.clients[client].doing = Doing::Nothing;
        self.go(format!("{} breaks off its read", name(client)), to);
    }

    fn go_back(&mut self, client: usize, key: usize) {
        if self.world.back && self.from.clients[client].before[key].is_some() {
            let mut to = self.from.clone();
            to.clients[client].holds[key] = to.clients[client].before[key].take();
            self.go(format!("{} goes back to what it showed of {} before", name(client), resource(key)), to);
        }
    }

    /// Judged, and let through or refused.
    fn begin_write(&mut self, client: usize, identity: usize, key: usize, unknowing: bool) {
        let mut policy = RoutePolicy::with_defaults("r", "u");
        policy.unconditional = Unconditional::Infer;
        let slots = self.slots(key);
        let mut viewed = self.found_view(self.from, identity, key);
        if self.is_broken(Broken::ForgottenIsTheFloor) {
            viewed = viewed.or(Some(slots.version(SLOT)));
        }
        let stated = Preconditions::default();
        let Ok(claim) = claim_of(Effect::GuardedWrite, &stated, &policy, LIFE, SLOT, viewed) else { return };
        let busy = slots.busy(SLOT, claim.hold).is_some() && !self.is_broken(Broken::OccupiesNothing);
        if busy || claim.condition.judge(slots.version(SLOT)).is_err() {
            return;
        }
        let slot = self.world.slot(key);
        let Some(place) = self.from.writes[slot].iter().position(Option::is_none) else { return };
        let mut to = self.from.clone();
        to.clients[client].doing = Doing::Writing;
        to.writes[slot][place] = Some(Write {
            author: client,
            key,
            saw: self.from.clients[client].holds[key],
            puts: self.from.fresh_content(),
            unknowing,
            at: At::Sent,
            heard: true,
        });
        let what = if unknowing { " a part of" } else { "" };
        self.go(format!("{} writes{what} {}, and is let through", name(client), resource(key)), to);
    }

    fn write(&mut self, slot: usize, place: usize, write: Write) {
        let at = |at| {
            let mut to = self.from.clone();
            to.writes[slot][place] = Some(Write { at, ..write });
            to
        };
        let whose = format!("{}'s write", name(write.author));
        match write.at {
            At::Sent => {
                let lost = self.is_lost(&write);
                let mut to = at(At::Applied);
                to.origin[write.key] = write.puts;
                let applied = format!("the origin applies {whose}");
                if lost {
                    self.lost =
                        Some(format!("{applied}: it replaces what {} does not show", name(write.author)));
                }
                let unknown = self.without_answer(at(At::Unknown { applied: false }), write);
                self.go(applied, to);
                self.go(format!("{whose} is lost, and may still be applied"), unknown);
                let mut refused = self.from.clone();
                refused.writes[slot][place] = None;
                self.settled(&mut refused, write, WriteOutcome::NotApplied, slot);
                self.go(format!("the origin refuses {whose}"), refused);
            }
            At::Applied => {
                let unknown = self.without_answer(at(At::Unknown { applied: true }), write);
                self.go(format!("the answer to {whose} is lost on the way here"), unknown);
                let mut to = self.from.clone();
                to.writes[slot][place] = None;
                self.settled(&mut to, write, WriteOutcome::Applied, slot);
                self.go(format!("{whose} is settled"), to);
            }
            At::Unknown { applied } => {
                if !applied {
                    let mut to = at(At::Unknown { applied: true });
                    to.origin[write.key] = write.puts;
                    let late = format!("the origin applies {whose}, late");
                    if self.is_lost(&write) {
                        self.lost =
                            Some(format!("{late}: it replaces what {} does not show", name(write.author)));
                    }
                    self.go(late, to);
                }
                let mut to = self.from.clone();
                to.writes[slot][place] = None;
                to.versions[slot] = self.end(write.key);
                self.go(format!("the settle time of {whose} is over"), to);
            }
        }
    }

    fn is_lost(&self, write: &Write) -> bool {
        write.saw != Some(self.from.origin[write.key])
    }

    /// The version after the end of a hold whose write may have been applied.
    fn end(&self, key: usize) -> u8 {
        let mut slots = self.slots(key);
        let fresh = Version(self.from.fresh_version().into());
        slots.end(SLOT, Ending::Changed { fresh, begun: BegunAt(0), lags_until: None });
        slots.version(SLOT).0 as u8
    }

    /// R8: its author hears that nobody knows, and the hold goes on.
    fn without_answer(&self, mut to: State, write: Write) -> State {
        let outcome = WriteOutcome::Unknown(UnknownCause::ConnectionLost);
        if settlement_forgets(outcome) {
            self.keep(&mut to, self.world.identity(write.author), write.key, None);
        }
        if write.heard {
            to.clients[write.author].doing = Doing::Nothing;
            let mut writes = to.writes.iter_mut().flatten().flatten();
            if let Some(mine) = writes.find(|other| other.author == write.author && other.puts == write.puts)
            {
                mine.heard = false;
            }
        }
        to
    }

    /// R7, and what becomes of the author's view.
    fn settled(&self, to: &mut State, write: Write, outcome: WriteOutcome, slot: usize) {
        let identity = self.world.identity(write.author);
        let mut gives = None;
        if settlement_forgets(outcome) {
            self.keep(to, identity, write.key, None);
            let version = self.end(write.key);
            to.versions[slot] = version;
            let told = !write.unknowing || self.is_broken(Broken::AdvancedUnknowing);
            gives = write_shows(&Method::PUT, StatusCode::OK, Some(Version(version.into())), told);
            if self.is_broken(Broken::AdvancedAtSettlement) && gives.is_some() {
                self.keep(to, identity, write.key, gives);
            }
        }
        if write.heard {
            let knows = outcome == WriteOutcome::Applied && !write.unknowing;
            to.clients[write.author].doing = match outcome {
                WriteOutcome::Applied => Doing::Told {
                    key: write.key,
                    gives: gives.map(|version| version.0 as u8),
                    content: knows.then_some(write.puts),
                },
                WriteOutcome::NotApplied | WriteOutcome::Unknown(_) => Doing::Nothing,
            };
        }
    }
}

/// The client shows this now.
fn show(state: &mut State, client: usize, key: usize, content: u8, world: World) {
    let shown = &mut state.clients[client];
    if world.back {
        shown.before[key] = shown.holds[key].filter(|before| *before != content);
    }
    shown.holds[key] = Some(content);
}
