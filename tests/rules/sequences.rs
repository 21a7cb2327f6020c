//! Random operation sequences on the real ledger, with so little room that entries are forgotten all the
//! time, against a naive model that forgets nothing.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ifmatch::decide::claim::{HoldMode, VersionCondition};
use ifmatch::decide::outcome::{UnknownCause, WriteOutcome};
use ifmatch::ledger::memory::{BeginWrite, LedgerLimits, MemoryLedger, NotBegun, Place};
use ifmatch::ledger::permit::{Settlement, WritePermit};
use ifmatch::ledger::protocol::BegunAt;
use ifmatch::request::version_tag::{ResourceKey, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::time::Instant;

use crate::seeded;

const KEYS: usize = 4;
/// The place of the upstream as a whole, behind the resources.
const WHOLE: usize = KEYS;
const SETTLE: Duration = Duration::from_secs(5);
/// No multiple of it is a settle time, so no two things happen in the same instant.
const WAIT: Duration = Duration::from_millis(3001);

#[derive(Clone, Debug)]
enum Op {
    /// A read is about to be forwarded.
    Stamp(usize),
    /// The origin answers one of the reads.
    Serve(Index),
    Begin {
        key: usize,
        shared: bool,
        tag: Option<Index>,
        also: Option<usize>,
        all: bool,
        observe: bool,
    },
    /// The origin applies one of the writes.
    Apply(Index),
    Settle(Index, Told),
    Touch(usize),
    Wait,
}

#[derive(Clone, Copy, Debug)]
enum Told {
    Applied,
    NotApplied,
    Unknown,
    /// The permit is dropped, as by a panic.
    Nothing,
}

fn op() -> impl Strategy<Value = Op> {
    let told = prop_oneof![
        4 => Just(Told::Applied),
        2 => Just(Told::NotApplied),
        1 => Just(Told::Unknown),
        1 => Just(Told::Nothing)
    ];
    let begin = (
        0..KEYS,
        any::<bool>(),
        proptest::option::weighted(0.7, any::<Index>()),
        proptest::option::weighted(0.2, 0..KEYS),
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.05),
    )
        .prop_map(|(key, shared, tag, also, all, observe)| Op::Begin {
            key,
            shared,
            tag,
            also,
            all,
            observe,
        });
    prop_oneof![
        3 => (0..KEYS).prop_map(Op::Stamp),
        3 => any::<Index>().prop_map(Op::Serve),
        6 => begin,
        3 => any::<Index>().prop_map(Op::Apply),
        4 => (any::<Index>(), told).prop_map(|(at, told)| Op::Settle(at, told)),
        1 => (0..KEYS).prop_map(Op::Touch),
        1 => Just(Op::Wait),
    ]
}

/// How often each thing happened, so that nothing is green because it never did.
#[derive(Default)]
struct Counts {
    begun: Cell<u32>,
    accepted_by_tag: Cell<u32>,
    stale: Cell<u32>,
    spurious: Cell<u32>,
    occupied: Cell<u32>,
    unsettled: Cell<u32>,
    no_room: Cell<u32>,
    observed: Cell<u32>,
    withheld: Cell<u32>,
    settled_late: Cell<u32>,
    evicted: Cell<u32>,
}

fn count(cell: &Cell<u32>) {
    cell.set(cell.get() + 1);
}

/// A stamp, and what the naive model knew of the resource when it was made.
#[derive(Clone, Copy, Debug)]
struct Stamped {
    key: usize,
    version: Version,
    changes: u32,
    forgotten: u32,
}

#[derive(Clone, Copy, Debug)]
struct Tag {
    stamp: Stamped,
    content: u32,
}

/// A write under way.
struct Underway {
    permit: Option<WritePermit>,
    places: Vec<(usize, HoldMode)>,
    saw: Option<u32>,
    content: u32,
    applied: bool,
    ends_at: Option<Instant>,
}

#[derive(Clone, Copy)]
struct NaiveHold {
    mode: HoldMode,
    holders: u32,
    overlapped: bool,
}

struct World<'c> {
    counts: &'c Counts,
    ledger: Arc<MemoryLedger>,
    capacity: usize,
    whole: bool,
    /// How often each place has changed: what versions stand for, without numbers.
    changes: [u32; KEYS + 1],
    holds: [Option<NaiveHold>; KEYS + 1],
    origin: [u32; KEYS],
    contents: u32,
    /// Evictions, and touches that found no room: each may raise the version of what has no entry.
    forgotten: u32,
    last: [Version; KEYS],
    newest: Version,
    stamps: Vec<Stamped>,
    tags: Vec<Tag>,
    writes: Vec<Underway>,
}

/// With room for thousands, each place is in a shard of its own.
fn key(place: usize) -> ResourceKey {
    ResourceKey((place as u64) << 40 | (place as u64 + 1))
}

impl<'c> World<'c> {
    fn new(capacity: usize, whole: bool, counts: &'c Counts) -> Self {
        let limits = LedgerLimits { max_resources: capacity, settle: SETTLE, start_hold: Duration::ZERO };
        World {
            counts,
            ledger: MemoryLedger::new(limits),
            capacity,
            whole,
            changes: [0; KEYS + 1],
            holds: [None; KEYS + 1],
            origin: [0; KEYS],
            contents: 0,
            forgotten: 0,
            last: [Version(0); KEYS],
            newest: Version(1),
            stamps: Vec::new(),
            tags: Vec::new(),
            writes: Vec::new(),
        }
    }

    fn whole_key(&self) -> Option<ResourceKey> {
        self.whole.then_some(key(WHOLE))
    }

    fn changes_of(&self, of: usize) -> u32 {
        self.changes[of] + if self.whole { self.changes[WHOLE] } else { 0 }
    }

    fn forgotten(&self) -> u32 {
        self.forgotten + u32::try_from(self.ledger.evictions()).expect("few")
    }

    fn version(&self, of: usize) -> Version {
        self.ledger.version(key(of), self.whole_key())
    }

    async fn run(&mut self, op: Op) {
        match op {
            Op::Stamp(of) => {
                let stamp = self.ledger.observe(key(of), self.whole_key(), Duration::ZERO);
                assert_eq!(stamp.version, self.version(of), "R3: published");
                assert_eq!(stamp.at_rest, self.is_free(of), "at rest");
                self.stamps.push(Stamped {
                    key: of,
                    version: stamp.version,
                    changes: self.changes_of(of),
                    forgotten: self.forgotten(),
                });
            }
            Op::Serve(at) if !self.stamps.is_empty() => {
                let stamp = self.stamps.swap_remove(at.index(self.stamps.len()));
                self.tags.push(Tag { stamp, content: self.origin[stamp.key] });
            }
            Op::Begin { key, shared, tag, also, all, observe } => {
                self.begin(key, shared, tag, also, all, observe).await;
            }
            Op::Apply(at) if !self.writes.is_empty() => {
                let at = at.index(self.writes.len());
                self.apply(at);
            }
            Op::Settle(at, told) if !self.writes.is_empty() => {
                let at = at.index(self.writes.len());
                self.settle(at, told).await;
            }
            Op::Touch(of) => self.touch(of),
            Op::Wait => self.wait().await,
            Op::Serve(_) | Op::Apply(_) | Op::Settle(..) => {}
        }
        self.check();
    }

    fn is_free(&self, of: usize) -> bool {
        let changing = |hold: &NaiveHold| hold.mode != HoldMode::Member;
        self.holds[of].is_none() && !self.holds[WHOLE].as_ref().is_some_and(changing)
    }

    fn is_busy(&self, places: &[(usize, HoldMode)]) -> bool {
        places.iter().any(|(place, mode)| {
            self.holds[*place].is_some_and(|hold| hold.mode != *mode || *mode == HoldMode::Exclusive)
        })
    }

    async fn begin(
        &mut self,
        of: usize,
        shared: bool,
        tag: Option<Index>,
        also: Option<usize>,
        all: bool,
        observe: bool,
    ) {
        let tag = tag.filter(|_| !self.tags.is_empty()).map(|at| *at.get(&self.tags));
        let of = tag.map_or(of, |tag| tag.stamp.key);
        let mode = if tag.is_some() || !shared { HoldMode::Exclusive } else { HoldMode::Shared };
        let mut places = vec![(of, mode)];
        if self.whole {
            places.push((WHOLE, if all { mode } else { HoldMode::Member }));
        }
        places.extend(also.filter(|also| *also != of).map(|also| (also, mode)));
        let place = |(place, mode): &(usize, HoldMode)| Place { key: key(*place), mode: *mode };
        let write = BeginWrite {
            target: place(&places[0]),
            whole: self.whole.then(|| place(&places[1])),
            others: places.iter().skip(1 + usize::from(self.whole)).map(place).collect(),
            condition: VersionCondition { any_of: tag.map(|t| vec![t.stamp.version]), none_of: Vec::new() },
            read_lag: Duration::ZERO,
            observe,
        };
        let is_stale = tag.is_some_and(|tag| tag.stamp.changes != self.changes_of(of));
        let is_busy = self.is_busy(&places);
        let held = (0..=KEYS).filter(|place| self.holds[*place].is_some());
        let needed: BTreeSet<usize> = held.chain(places.iter().map(|(place, _)| *place)).collect();
        let forgotten = self.forgotten();
        match self.ledger.begin(&write).await {
            Ok(begun) => {
                count(&self.counts.begun);
                assert!(needed.len() <= self.capacity, "R9: no entry that is occupied was forgotten");
                assert!(observe || !is_busy, "R5: {places:?}");
                assert!(observe || !is_stale, "a stale tag was accepted: {tag:?}");
                if begun.observed.is_some() {
                    count(&self.counts.observed);
                }
                assert!(begun.observed.is_some() || (!is_busy && !is_stale), "observe mode tells");
                if let Some(tag) = tag.filter(|_| !observe) {
                    count(&self.counts.accepted_by_tag);
                    assert_eq!(tag.content, self.origin[of], "the promise, at the begin");
                }
                self.contents += 1;
                for (place, mode) in &places {
                    self.hold(*place, *mode);
                }
                self.writes.push(Underway {
                    permit: Some(begun.permit),
                    places,
                    saw: tag.filter(|_| !observe).map(|tag| tag.content),
                    content: self.contents,
                    applied: false,
                    ends_at: None,
                });
            }
            Err(NotBegun::Occupied { key: at, unsettled_for }) => {
                assert!(is_busy && !observe);
                let of_it = |write: &&Underway| {
                    write.ends_at.is_some() && write.places.iter().any(|(place, _)| key(*place) == at)
                };
                let unsettled = self.writes.iter().any(|write| of_it(&write));
                assert_eq!(unsettled_for.is_some(), unsettled, "who is told to wait out settle");
                count(if unsettled { &self.counts.unsettled } else { &self.counts.occupied });
            }
            Err(NotBegun::Stale(_)) => {
                assert!(!is_busy && !observe, "409 comes before 412");
                if is_stale {
                    count(&self.counts.stale);
                } else {
                    let tag = tag.expect("no write without a condition is stale");
                    assert_ne!(tag.stamp.forgotten, forgotten, "refused with the current tag: {tag:?}");
                    count(&self.counts.spurious);
                }
            }
            Err(NotBegun::NoRoom) => {
                assert!(needed.len() > self.capacity, "refused although there was room");
                count(&self.counts.no_room);
            }
            Err(NotBegun::Starting(_)) => panic!("there was no start hold"),
            Err(NotBegun::Closed) => panic!("nobody closed the ledger"),
        }
    }

    fn hold(&mut self, place: usize, mode: HoldMode) {
        let joined = self.holds[place].map(|hold| NaiveHold {
            mode: if hold.mode == mode { mode } else { HoldMode::Exclusive },
            holders: hold.holders + 1,
            overlapped: hold.overlapped || hold.mode != mode || mode != HoldMode::Member,
        });
        let alone = NaiveHold { mode, holders: 1, overlapped: false };
        self.holds[place] = Some(joined.unwrap_or(alone));
    }

    fn apply(&mut self, at: usize) {
        let write = &mut self.writes[at];
        if write.applied {
            return;
        }
        write.applied = true;
        let (content, saw, places) = (write.content, write.saw, write.places.clone());
        let target = places[0].0;
        // A write that observe mode let in beside this one may have replaced anything.
        let met = |place: usize| self.holds[place].is_some_and(|hold| hold.overlapped);
        if let Some(saw) = saw.filter(|_| !met(target) && !met(WHOLE)) {
            assert_eq!(saw, self.origin[target], "the promise, at the application");
        }
        for (place, mode) in places {
            match (place, mode) {
                (_, HoldMode::Member) => {}
                (WHOLE, _) => self.origin = [content; KEYS],
                (place, _) => self.origin[place] = content,
            }
        }
    }

    async fn settle(&mut self, at: usize, told: Told) {
        let Some(permit) = self.writes[at].permit.take() else { return };
        let told =
            if self.writes[at].applied && matches!(told, Told::NotApplied) { Told::Applied } else { told };
        match told {
            Told::Applied => {
                self.apply(at);
                let write = self.writes.swap_remove(at);
                let Settlement::Applied { version } = permit.settle(WriteOutcome::Applied).await else {
                    panic!("it was applied")
                };
                let alone = self.ended(&write.places, true);
                let target = write.places[0].0;
                assert_eq!(version.is_some(), alone, "R4: a tag only for who knows what it stands for");
                match version {
                    Some(version) => {
                        assert_eq!(version, self.version(target));
                        let stamp = Stamped {
                            key: target,
                            version,
                            changes: self.changes_of(target),
                            forgotten: self.forgotten(),
                        };
                        self.tags.push(Tag { stamp, content: write.content });
                    }
                    None => count(&self.counts.withheld),
                }
            }
            Told::NotApplied => {
                let write = self.writes.swap_remove(at);
                assert_eq!(permit.settle(WriteOutcome::NotApplied).await, Settlement::NotApplied);
                self.ended(&write.places, false);
            }
            Told::Unknown | Told::Nothing => {
                self.writes[at].ends_at = Some(Instant::now() + SETTLE);
                if matches!(told, Told::Unknown) {
                    let cause = UnknownCause::ConnectionLost;
                    let settled = permit.settle(WriteOutcome::Unknown(cause)).await;
                    assert_eq!(settled, Settlement::Unknown(cause));
                } else {
                    drop(permit);
                }
                // Its settle time begins when the runtime first comes to it.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Returns whether nobody was there beside the write.
    fn ended(&mut self, places: &[(usize, HoldMode)], changed: bool) -> bool {
        let mut alone = true;
        for (at, (place, mode)) in places.iter().enumerate() {
            let hold = self.holds[*place].expect("held until now");
            alone &= !hold.overlapped || (at != 0 && *place != WHOLE);
            self.holds[*place] =
                (hold.holders > 1).then_some(NaiveHold { holders: hold.holders - 1, ..hold });
            if changed && *mode != HoldMode::Member {
                self.changes[*place] += 1;
                let fresh = self.ledger.version(key(*place), None);
                assert!(fresh > self.newest || places.len() > 1, "INV1: a number never used before");
            }
        }
        if changed {
            let numbers = places.iter().filter(|(_, mode)| *mode != HoldMode::Member);
            let mut fresh: Vec<Version> =
                numbers.map(|(place, _)| self.ledger.version(key(*place), None)).collect();
            fresh.sort_unstable();
            assert!(fresh.first() > Some(&self.newest), "INV1: numbers never used before");
            assert!(fresh.windows(2).all(|two| two[0] < two[1]), "R1: one number a resource");
            self.newest = fresh.last().copied().unwrap_or(self.newest);
        }
        alone
    }

    fn touch(&mut self, of: usize) {
        let held = self.holds.iter().flatten().count();
        self.ledger.touch(key(of), BegunAt(1), Duration::ZERO);
        if held >= self.capacity && self.holds[of].is_none() {
            self.forgotten += 1;
        }
        self.changes[of] += 1;
        if let Some(hold) = &mut self.holds[of] {
            hold.overlapped = true;
        }
        let fresh = self.ledger.version(key(of), None);
        assert!(fresh > self.newest, "INV1: a number never used before");
        self.newest = fresh;
    }

    async fn wait(&mut self) {
        tokio::time::sleep(WAIT).await;
        let now = Instant::now();
        let (ended, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.writes)
            .into_iter()
            .partition(|write| write.ends_at.is_some_and(|ends_at| ends_at <= now));
        self.writes = rest;
        let before = self.newest;
        for write in &ended {
            count(&self.counts.settled_late);
            for (place, mode) in &write.places {
                let hold = self.holds[*place].expect("held until now");
                self.holds[*place] =
                    (hold.holders > 1).then_some(NaiveHold { holders: hold.holders - 1, ..hold });
                if *mode != HoldMode::Member {
                    self.changes[*place] += 1;
                    let fresh = self.ledger.version(key(*place), None);
                    assert!(fresh > before, "R8: the fresh number is drawn at the end");
                    self.newest = self.newest.max(fresh);
                }
            }
        }
    }

    fn check(&mut self) {
        for of in 0..KEYS {
            let version = self.version(of);
            assert!(version >= self.last[of], "INV1: the version of {of} went back");
            self.last[of] = version;
        }
        for place in 0..=KEYS {
            let holders = self.ledger.inspect(key(place), None).holders;
            assert_eq!(holders, self.holds[place].map_or(0, |hold| hold.holders), "holders of {place}");
        }
        assert!(self.ledger.len() <= self.capacity, "R9: never more entries than that");
        for tag in &self.tags {
            if self.is_free(tag.stamp.key) && tag.stamp.version == self.version(tag.stamp.key) {
                assert_eq!(tag.content, self.origin[tag.stamp.key], "INV2: {tag:?}");
            }
        }
    }
}

#[test]
fn the_ledger_does_what_a_naive_one_that_forgets_nothing_would_allow() {
    let counts = Counts::default();
    let sequences = (prop_oneof![1..6usize, Just(4096)], any::<bool>(), vec(op(), 1..120));
    seeded::check(500, sequences, |(capacity, whole, ops)| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new(capacity, whole, &counts);
            for op in ops {
                world.run(op).await;
            }
            let evicted = u32::try_from(world.ledger.evictions()).expect("few");
            counts.evicted.set(counts.evicted.get() + evicted);
        });
        Ok(())
    });
    let Counts {
        begun,
        accepted_by_tag,
        stale,
        spurious,
        occupied,
        unsettled,
        no_room,
        observed,
        withheld,
        settled_late,
        evicted,
    } = counts;
    for (what, often) in [
        ("begun", begun),
        ("accepted by tag", accepted_by_tag),
        ("stale", stale),
        ("refused with a current tag", spurious),
        ("in flight", occupied),
        ("unsettled", unsettled),
        ("no room", no_room),
        ("observed", observed),
        ("tags withheld", withheld),
        ("settled late", settled_late),
        ("evicted", evicted),
    ] {
        println!("{what}: {}", often.get());
        assert!(often.get() > 0, "{what} never happened");
    }
}
