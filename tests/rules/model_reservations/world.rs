//! Who does what, and the state of the world.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use ifmatch::decide::claim::HoldMode;
use ifmatch::decide::transitions::{MoveTo, Transitions};
use ifmatch::decide::unique::{Availability, Normalise, Taken};
use ifmatch::http1::fields::Fields;
use ifmatch::identify::content::{Content, Place};
use ifmatch::ledger::protocol::{BegunAt, Ending, Millis, Owed, Slots};
use ifmatch::request::json::Pointer;
use ifmatch::request::version_tag::{ResourceKey, Version};

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Job {
    /// A record with this value.
    Create(&'static str),
    /// The order in this state.
    Move(&'static str),
}

/// Which rule, or which assumption, is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaks {
    Nothing,
    NothingReserved,
    ReservedAfterTheLook,
    ReservedAsSpelled,
    FreedWhenTheClientLeaves,
    FreedWhenUnknown,
    SentAgain,
    NoStartHold,
    RestoredAsFree,
    LagIgnored,
    MovesShare,
    NoLook,
    AppliedAfterSettle,
    LookUpIsFiner,
    RefusedWhatItApplied,
}

impl Breaks {
    /// Whether it shows only where reads lag behind.
    pub(super) fn needs_lag(self) -> bool {
        matches!(self, Breaks::LagIgnored | Breaks::RefusedWhatItApplied)
    }
}

/// What is searched.
pub(super) struct World {
    pub(super) jobs: &'static [Job],
    pub(super) breaks: Breaks,
    /// Whether the origin's reads may lag behind its writes.
    pub(super) lags: bool,
}

/// A write at the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Fate {
    Pending,
    Applied,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Doing {
    Nothing,
    /// Let in: it may look.
    Begun,
    /// It saw that nothing is in its way.
    Looked,
    Sent(Fate),
}

/// A write whose client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Orphan {
    pub(super) job: Job,
    pub(super) fate: Fate,
    /// Its answer is lost.
    pub(super) unknown: bool,
    pub(super) held: bool,
}

/// What the origin has, or shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Store {
    pub(super) records: Vec<&'static str>,
    pub(super) order: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// Whether writes are judged; else the start's hold is on.
    pub(super) judging: bool,
    pub(super) clients: Vec<Doing>,
    pub(super) orphans: Vec<Orphan>,
    pub(super) store: Store,
    /// What reads show.
    pub(super) shown: Store,
    /// Slots whose reads may lag.
    pub(super) lagging: BTreeSet<u64>,
}

/// Where the order starts.
const NEW: &str = "paid";

impl State {
    pub(super) fn first(world: &World) -> Self {
        let new = world.jobs.contains(&Job::Move("paid"));
        let store = Store { records: Vec::new(), order: if new { "new" } else { NEW } };
        State {
            judging: true,
            clients: vec![Doing::Nothing; world.jobs.len()],
            orphans: Vec::new(),
            shown: store.clone(),
            store,
            lagging: BTreeSet::new(),
        }
    }
}

pub(super) fn normal(value: &str) -> String {
    Normalise { trim: true, case: true, nfc: true }.apply(value)
}

fn table() -> Transitions {
    let list = |states: &[&str]| states.iter().map(|state| (*state).to_owned()).collect::<Vec<_>>();
    Transitions {
        field: Pointer::parse("/state").expect("a pointer"),
        to: MoveTo::Body(Place::Form("state".to_owned())),
        look: None,
        allowed: vec![
            ("new".to_owned(), list(&["paid", "cancelled"])),
            ("paid".to_owned(), list(&["shipped", "cancelled"])),
        ],
    }
}

impl World {
    pub(super) fn is(&self, breaks: Breaks) -> bool {
        self.breaks == breaks
    }

    /// The slot that a job occupies: of its value, or of the order.
    pub(super) fn key(&self, job: Job) -> ResourceKey {
        let number = |text: &str| text.bytes().fold(7u64, |sum, b| sum.wrapping_mul(31) + u64::from(b));
        match job {
            Job::Create(value) if self.is(Breaks::ReservedAsSpelled) => ResourceKey(number(value)),
            Job::Create(value) => ResourceKey(number(&normal(value))),
            Job::Move(_) => ResourceKey(1),
        }
    }

    fn mode(&self, job: Job) -> HoldMode {
        match job {
            Job::Move(_) if self.is(Breaks::MovesShare) => HoldMode::Shared,
            Job::Create(_) | Job::Move(_) => HoldMode::Exclusive,
        }
    }

    /// The real slots, as they are in this state.
    fn slots(&self, state: &State) -> Slots {
        let mut slots = Slots::new(Version(1), 64);
        let lagging = Some(Millis(9));
        for key in &state.lagging {
            let key = ResourceKey(*key);
            slots.occupy(key, HoldMode::Exclusive, Owed::default()).expect("there is room");
            let fresh = Ending::Changed { fresh: Version(2), begun: BegunAt(1), lags_until: lagging };
            slots.end(key, fresh);
        }
        let late = self.is(Breaks::ReservedAfterTheLook);
        let holds = |doing: &Doing| match doing {
            Doing::Nothing => false,
            Doing::Begun | Doing::Looked => !late,
            Doing::Sent(_) => true,
        };
        let clients = self.jobs.iter().zip(&state.clients).filter(|(_, doing)| holds(doing));
        let clients = clients.map(|(job, _)| (*job, false));
        let orphans =
            state.orphans.iter().filter(|orphan| orphan.held).map(|orphan| (orphan.job, orphan.unknown));
        for (job, unknown) in clients.chain(orphans) {
            if self.is(Breaks::NothingReserved) {
                continue;
            }
            let key = self.key(job);
            let owed = Owed { begun: BegunAt(1), read_lag: Duration::ZERO };
            slots.occupy(key, self.mode(job), owed).expect("there is room");
            if unknown {
                slots.unsettle(key, Millis(5));
            }
        }
        slots
    }

    /// R5: whether a write may begin.
    pub(super) fn is_free(&self, state: &State, job: Job) -> bool {
        state.judging && self.slots(state).busy(self.key(job), self.mode(job)).is_none()
    }

    /// Whether nothing that the origin shows is in the way.
    pub(super) fn finds_the_way_clear(&self, state: &State, job: Job) -> bool {
        if self.is(Breaks::NoLook) {
            return true;
        }
        let lags = self.slots(state).lagging(self.key(job), Millis(1)).is_some();
        if lags && !self.is(Breaks::LagIgnored) {
            return false;
        }
        match job {
            Job::Create(value) => {
                let same = |record: &&&str| match self.is(Breaks::LookUpIsFiner) {
                    true => **record == value || **record == normal(value),
                    false => normal(record) == normal(value),
                };
                let found: Vec<&&str> = state.shown.records.iter().filter(same).collect();
                let body = serde_json::to_vec(&found).expect("JSON");
                let field = Pointer::parse("/0");
                let taken = Taken { status: StatusCode::OK, field, pattern: None };
                let fields = Fields::new();
                let said = taken.judge(StatusCode::OK, Some(&Content::of(&fields, &body)));
                said == Availability::Free
            }
            Job::Move(to) => table().allows(state.shown.order, to),
        }
    }

    /// The origin applies a write, and checks nothing. `None`: what must not be.
    pub(super) fn apply(&self, mut state: State, job: Job) -> Option<State> {
        match job {
            Job::Create(value) => {
                if state.store.records.iter().any(|record| normal(record) == normal(value)) {
                    return None;
                }
                state.store.records.push(value);
                state.store.records.sort_unstable();
            }
            Job::Move(to) => {
                if !table().allows(state.store.order, to) {
                    return None;
                }
                state.store.order = to;
            }
        }
        Some(self.seen(state))
    }

    /// Reads show it at once, or later.
    pub(super) fn seen(&self, mut state: State) -> State {
        if !self.lags {
            state.shown = state.store.clone();
        }
        state
    }

    /// R7, R13: a write that may have been applied has ended.
    pub(super) fn ended(&self, mut state: State, job: Job) -> State {
        if self.lags && state.shown != state.store {
            state.lagging.insert(self.key(job).0);
        }
        state
    }
}
