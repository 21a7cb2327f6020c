//! The real decision and the real ledger beside a naive one: every verdict is the same, but for a refusal
//! too many after something was forgotten; and no write ever replaces what its author has not seen.

mod begin;
mod naive;
mod origin;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use ifmatch::decide::claim::HoldMode;
use ifmatch::decide::outcome::{WriteEnd, WriteOutcome, outcome};
use ifmatch::decide::policy::{RoutePolicy, WeakIfMatch};
use ifmatch::decide::read::{ReadAnswer, ReadVerdict, TagsOf, judge_read};
use ifmatch::http1::fields::Fields;
use ifmatch::ledger::memory::{LedgerLimits, MemoryLedger};
use ifmatch::ledger::permit::{Settlement, WritePermit};
use ifmatch::ledger::protocol::BegunAt;
use ifmatch::ledger::snapshot::Reader;
use ifmatch::request::preconditions::Preconditions;
use ifmatch::request::version_tag::{Incarnation, ResourceKey, Variant, Version, VersionTag};
use tokio::time::Instant;

use super::ops::{ENDS, Form, KEYS, Named, Op, Pick, Proves, Setting, Told};
use naive::{Changes, Naive};
use origin::Origin;

/// The place of the upstream as a whole, behind the resources.
const WHOLE: usize = KEYS;
pub(crate) const SETTLE: Duration = Duration::from_secs(5);
/// No multiple of it is a settle time or a lag, so no two things happen in the same instant.
const WAIT: Duration = Duration::from_millis(3001);

/// How often each thing happened, so that nothing is green because it never did.
#[derive(Default)]
pub(crate) struct Counts {
    counts: [Cell<u32>; COUNTED.len()],
}

/// What is counted.
pub(crate) const COUNTED: [&str; 21] = [
    "begun",
    "accepted by tag",
    "stale",
    "refused with a current tag",
    "in flight",
    "unsettled",
    "no room",
    "observed",
    "tags withheld",
    "settled late",
    "evicted",
    "malformed",
    "precondition required",
    "starting",
    "created",
    "refused by the origin's state",
    "not modified",
    "stamped while lagging",
    "restarted",
    "crashed",
    "applied late",
];

impl Counts {
    fn add(&self, what: &str, times: u32) {
        let at = COUNTED.iter().position(|counted| *counted == what).expect("one of them");
        self.counts[at].set(self.counts[at].get() + times);
    }

    fn count(&self, what: &str) {
        self.add(what, 1);
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u32)> {
        COUNTED.into_iter().zip(self.counts.iter().map(Cell::get))
    }
}

/// A stamp, and what the naive model knew of the resource when it was made.
#[derive(Clone, Copy, Debug)]
struct Stamped {
    key: usize,
    version: Version,
    life: Incarnation,
    changes: Changes,
    forgotten: u32,
}

#[derive(Clone, Copy, Debug)]
struct Tag {
    stamp: Stamped,
    variant: Variant,
    content: u32,
}

/// A write under way.
struct Underway {
    /// `None`: its outcome is unknown, or the process that it belongs to has ended.
    permit: Option<WritePermit>,
    places: Vec<(usize, HoldMode)>,
    /// What its author has seen, if it goes by that.
    saw: Option<Vec<u32>>,
    /// Its author wants nothing to be there.
    creates: bool,
    content: u32,
    applied: bool,
    ends_at: Option<Instant>,
    /// The process that it was begun by has ended, and what it held is not its own any more.
    orphan: bool,
}

pub(crate) struct World<'c> {
    counts: &'c Counts,
    setting: Setting,
    policy: RoutePolicy,
    ledger: Arc<MemoryLedger>,
    naive: Naive,
    origin: Origin,
    /// Evictions, and touches that found no room: each may raise the version of what has no entry.
    forgotten: u32,
    last: [Version; KEYS],
    newest: Version,
    stamps: Vec<Stamped>,
    tags: Vec<Tag>,
    writes: Vec<Underway>,
    /// What was held when the process before ended, and until when.
    restored: Option<(Instant, Vec<(usize, HoldMode)>)>,
}

/// With room for thousands, each place is in a shard of its own.
fn key(place: usize) -> ResourceKey {
    ResourceKey((place as u64) << 40 | (place as u64 + 1))
}

impl<'c> World<'c> {
    pub(crate) fn new(setting: Setting, counts: &'c Counts) -> Self {
        let mut policy = RoutePolicy::with_defaults("r", "u");
        policy.unconditional = setting.unconditional;
        policy.weak_if_match = setting.weak;
        policy.read_lag = setting.lag;
        World {
            counts,
            policy,
            ledger: MemoryLedger::new(limits(&setting, Duration::ZERO)),
            naive: Naive::new(setting.lag),
            setting,
            origin: Origin::default(),
            forgotten: 0,
            last: [Version(0); KEYS],
            newest: Version(1),
            stamps: Vec::new(),
            tags: Vec::new(),
            writes: Vec::new(),
            restored: None,
        }
    }

    /// Does one thing, and checks what must hold after it.
    pub(crate) async fn run(&mut self, op: Op) {
        match op {
            Op::Stamp(of) => self.stamp(of),
            Op::Serve { which, known, lagging } if !self.stamps.is_empty() => {
                self.serve(which, known, lagging);
            }
            Op::Begin(begin) => self.begin(&begin).await,
            Op::Apply(at) if !self.writes.is_empty() => self.apply(at.of(self.writes.len())),
            Op::Settle(at, told) if !self.writes.is_empty() => {
                self.settle(at.of(self.writes.len()), told).await;
            }
            Op::Touch(of) => self.touch(of),
            Op::Wait => self.wait().await,
            Op::Restart => self.restart().await,
            Op::Crash => self.crash(),
            Op::Serve { .. } | Op::Apply(_) | Op::Settle(..) => {}
        }
        self.check();
    }

    fn whole_key(&self) -> Option<ResourceKey> {
        self.setting.whole.then_some(key(WHOLE))
    }

    fn forgotten(&self) -> u32 {
        self.forgotten + u32::try_from(self.ledger.evictions()).expect("few")
    }

    fn version(&self, of: usize) -> Version {
        self.ledger.version(key(of), self.whole_key())
    }

    fn is_current(&self, tag: &Tag) -> bool {
        tag.stamp.changes == self.naive.changes(tag.stamp.key)
    }

    fn stamped(&self, of: usize, version: Version, changes: Changes) -> Stamped {
        let life = self.ledger.incarnation();
        Stamped { key: of, version, life, changes, forgotten: self.forgotten() }
    }

    fn stamp(&mut self, of: usize) {
        self.naive.note_opening();
        let stamp = self.ledger.observe(key(of), self.whole_key(), self.setting.lag);
        let is_lagging = self.naive.is_lagging(of);
        assert!(stamp.version <= self.version(of), "R3: published");
        assert!(is_lagging || stamp.version == self.version(of), "R3: the newest");
        assert_eq!(stamp.at_rest, self.naive.is_free(of) && !is_lagging, "at rest");
        if is_lagging {
            self.counts.count("stamped while lagging");
        }
        self.stamps.push(self.stamped(of, stamp.version, self.naive.stamped(of)));
    }

    fn named(&self, named: Named) -> Option<Tag> {
        (!self.tags.is_empty()).then(|| self.tags[named.tag.of(self.tags.len())])
    }

    fn serve(&mut self, which: Pick, known: Option<Named>, lagging: bool) {
        let stamp = self.stamps.swap_remove(which.of(self.stamps.len()));
        // The reads of a process that has ended went down with it.
        if stamp.life != self.ledger.incarnation() {
            return;
        }
        let behind = if lagging { self.setting.lag } else { Duration::ZERO };
        let content = self.origin.shown(stamp.key, behind);
        let exists = self.origin.exists(content);
        let variant = Variant(content % 2);
        let known = known.and_then(|named| Some((named.form, self.named(named)?)));
        let mut fields = Fields::new();
        if let Some((form, tag)) = &known {
            fields.insert(http::header::IF_NONE_MATCH, written(tag, *form).parse().expect("a field's value"));
        }
        let stated = Preconditions::read(&fields).expect("one tag");
        let status = if exists { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let answer =
            ReadAnswer { status, variant, last_modified: None, still_at_rest: true, multipart: false };
        let life = self.ledger.incarnation();
        let of = TagsOf { incarnation: life, resource: key(stamp.key), weak: self.setting.weak };
        let given = ifmatch::decide::read::ReadStamp { version: stamp.version, at_rest: true };
        let told = judge_read(&Method::GET, &stated, given, &answer, of);
        // RFC 9110 section 13.1.2: weak comparison, with the very tag that would go out.
        let has = known.is_some_and(|(form, tag)| {
            let same = tag.stamp.key == stamp.key && tag.stamp.version == stamp.version;
            let understood = match form {
                Form::AsGiven | Form::Weak => true,
                Form::Gzipped | Form::Suffixed => self.setting.weak == WeakIfMatch::Accept,
                Form::OtherVariant | Form::OtherLife | Form::Foreign => false,
            };
            same && understood && tag.stamp.life == life && tag.variant == variant
        });
        let fresh = VersionTag::new(life, key(stamp.key), stamp.version, variant);
        let expected = match (exists, has) {
            (false, _) => ReadVerdict::Answer(None),
            (true, true) => ReadVerdict::NotModified(Some(fresh)),
            (true, false) => ReadVerdict::Answer(Some(fresh)),
        };
        assert_eq!(told, expected, "{known:?} for {stamp:?}");
        if has && exists {
            self.counts.count("not modified");
        } else if exists {
            self.tags.push(Tag { stamp, variant, content });
        }
    }

    fn apply(&mut self, at: usize) {
        let write = &mut self.writes[at];
        if write.applied {
            return;
        }
        write.applied = true;
        if write.orphan {
            self.counts.count("applied late");
        }
        let (content, places) = (write.content, write.places.clone());
        let target = places[0].0;
        if !is_broken(&self.naive, &places) {
            let now = self.origin.now(target);
            let seen = write.saw.as_ref().is_none_or(|saw| saw.contains(&now));
            assert!(seen, "the promise, at the application: {:?} and {now}", write.saw);
            assert!(!write.creates || !self.origin.exists(now), "what was not to be there");
        }
        for (place, mode) in places {
            match (place, mode) {
                (_, HoldMode::Member) => {}
                (WHOLE, _) => (0..KEYS).for_each(|of| self.origin.change(of, content)),
                (place, _) => self.origin.change(place, content),
            }
        }
    }

    async fn settle(&mut self, at: usize, told: Told) {
        let Some(permit) = self.writes[at].permit.take() else { return };
        let (end, proves) = match told {
            Told::End(which) => ENDS[which % ENDS.len()],
            Told::Nothing => (WriteEnd::Abandoned, Proves::Nothing),
        };
        // No origin says that it has not applied what it has.
        let lies = self.writes[at].applied && proves == Proves::NotApplied;
        let (end, proves) = if lies { ENDS[0] } else { (end, proves) };
        let ended = outcome(end, &self.policy);
        match proves {
            Proves::Applied => {
                assert_eq!(ended, WriteOutcome::Applied, "{end:?}");
                let failed = matches!(end, WriteEnd::Answered(status) if status.is_server_error());
                if !failed {
                    self.apply(at);
                }
                let write = self.writes.swap_remove(at);
                let settled = permit.settle(ended).await;
                let Settlement::Applied { version } = settled else { panic!("{settled:?}") };
                self.applied(&write, version);
            }
            Proves::NotApplied => {
                assert_eq!(ended, WriteOutcome::NotApplied, "{end:?}");
                let write = self.writes.swap_remove(at);
                assert_eq!(permit.settle(ended).await, Settlement::NotApplied);
                self.naive.keep(&write.places);
            }
            Proves::Nothing => {
                let until = Instant::now() + SETTLE;
                self.writes[at].ends_at = Some(until);
                self.naive.unsettle(&self.writes[at].places, until);
                if matches!(told, Told::Nothing) {
                    drop(permit);
                } else {
                    let settled = permit.settle(ended).await;
                    assert!(matches!(settled, Settlement::Unknown(_)), "{end:?}: {settled:?}");
                }
                // Its settle time begins when the runtime first comes to it.
                tokio::task::yield_now().await;
            }
        }
    }

    fn applied(&mut self, write: &Underway, version: Option<Version>) {
        let alone = self.naive.change(&write.places, Instant::now());
        let target = write.places[0].0;
        assert_eq!(version.is_some(), alone, "R4: a tag only for who knows what it stands for");
        self.note_fresh(&write.places);
        let Some(version) = version else { return self.counts.count("tags withheld") };
        assert_eq!(version, self.ledger.version(key(target), None));
        // What a write that failed has left behind is not what was sent.
        let (of, content) = (self.origin.now(target), write.content);
        if of == content && self.origin.exists(content) && version == self.version(target) {
            let stamp = self.stamped(target, version, self.naive.changes(target));
            self.tags.push(Tag { stamp, variant: Variant(content % 2), content });
        }
    }

    fn note_fresh(&mut self, places: &[(usize, HoldMode)]) {
        let changed = places.iter().filter(|(_, mode)| *mode != HoldMode::Member);
        let mut fresh: Vec<Version> =
            changed.map(|(place, _)| self.ledger.version(key(*place), None)).collect();
        fresh.sort_unstable();
        assert!(fresh.first() > Some(&self.newest), "INV1: numbers never used before");
        assert!(fresh.windows(2).all(|two| two[0] < two[1]), "R1: one number a resource");
        self.newest = fresh.last().copied().unwrap_or(self.newest);
    }

    fn touch(&mut self, of: usize) {
        let held = self.naive.held().count();
        self.ledger.touch(key(of), BegunAt(1), self.setting.lag);
        if held >= self.setting.capacity && self.naive.hold(of).is_none() {
            self.forgotten += 1;
        }
        self.naive.touch(of);
        let fresh = self.ledger.version(key(of), None);
        assert!(fresh > self.newest, "INV1: a number never used before");
        self.newest = fresh;
    }

    async fn wait(&mut self) {
        tokio::time::sleep(WAIT).await;
        let now = Instant::now();
        let over = |ends_at: Instant| ends_at <= now;
        let (ended, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.writes).into_iter().partition(|write| write.ends_at.is_some_and(over));
        self.writes = rest;
        let settled = ended.iter().filter(|write| !write.orphan);
        let mut places: Vec<_> = settled.filter_map(|w| Some((w.ends_at?, w.places.clone()))).collect();
        if let Some((ends_at, restored)) = self.restored.take_if(|(ends_at, _)| over(*ends_at)) {
            places.extend(restored.into_iter().map(|place| (ends_at, vec![place])));
        }
        let before = self.newest;
        for (ended_at, places) in &places {
            self.counts.count("settled late");
            self.naive.change(places, *ended_at);
            for (place, _) in places.iter().filter(|(_, mode)| *mode != HoldMode::Member) {
                let fresh = self.ledger.version(key(*place), None);
                assert!(fresh > before, "R8: the fresh number is drawn at the end");
                self.newest = self.newest.max(fresh);
            }
        }
    }

    /// What was in flight may be applied for the settle time yet, and nobody will be told.
    fn orphan_all(&mut self) {
        let until = Instant::now() + SETTLE;
        for write in &mut self.writes {
            drop(write.permit.take());
            write.ends_at = Some(until);
            write.orphan = true;
        }
    }

    /// R11
    async fn restart(&mut self) {
        self.naive.note_opening();
        let Some(closed) = self.ledger.close() else {
            assert!(!self.naive.opens_in().is_zero(), "R10: its writes of the life before are settled");
            return self.crash();
        };
        let mut bytes = Vec::new();
        closed.write_to(&mut bytes).expect("memory takes everything");
        let evicted = self.forgotten();
        let reader = Reader::open(&bytes[..], bytes.len() as u64).expect("a whole state");
        let restored = MemoryLedger::restore(limits(&self.setting, Duration::ZERO), reader);
        self.ledger = restored.expect("a whole state");
        assert_eq!(self.ledger.evictions(), 0, "there is as much room as before");
        self.orphan_all();
        self.forgotten = evicted;
        let until = Instant::now() + SETTLE;
        self.restored = Some((until, self.naive.restart(until)));
        tokio::spawn(self.ledger.clone().settle_restored());
        tokio::task::yield_now().await;
        self.counts.count("restarted");
    }

    /// R10: the late writes of the life before are over, and shown by every replica, at the end of the hold.
    fn crash(&mut self) {
        let hold = SETTLE + self.setting.lag;
        for write in &mut self.writes {
            // Whom observe mode let in beside it may come late too.
            if is_broken(&self.naive, &write.places) {
                (write.saw, write.creates) = (None, false);
            }
        }
        self.orphan_all();
        self.forgotten = self.forgotten();
        self.ledger = MemoryLedger::new(limits(&self.setting, hold));
        self.naive.crash(hold);
        (self.last, self.newest) = ([Version(0); KEYS], Version(1));
        self.restored = None;
        self.counts.count("crashed");
    }

    fn check(&mut self) {
        for of in 0..KEYS {
            let version = self.version(of);
            assert!(version >= self.last[of], "INV1: the version of {of} went back");
            self.last[of] = version;
        }
        for place in 0..=KEYS {
            let holders = self.ledger.inspect(key(place), None).holders;
            assert_eq!(holders, self.naive.hold(place).map_or(0, |hold| hold.holders), "holders of {place}");
        }
        assert!(self.ledger.len() <= self.setting.capacity, "R9: never more entries than that");
        let life = self.ledger.incarnation();
        for tag in self.tags.iter().filter(|tag| self.naive.is_open() && tag.stamp.life == life) {
            if self.naive.is_free(tag.stamp.key) && tag.stamp.version == self.version(tag.stamp.key) {
                assert_eq!(tag.content, self.origin.now(tag.stamp.key), "INV2: {tag:?}");
            }
        }
    }

    /// To be called at the end of a sequence.
    pub(crate) fn finish(&self) {
        self.counts.add("evicted", self.forgotten());
    }
}

/// A write that observe mode let in beside this one may have replaced anything.
fn is_broken(naive: &Naive, places: &[(usize, HoldMode)]) -> bool {
    let target = places.first().map(|(place, _)| *place);
    let holds = target.into_iter().chain([WHOLE]).filter_map(|place| naive.hold(place));
    holds.into_iter().any(|hold| hold.broken)
}

fn limits(setting: &Setting, start_hold: Duration) -> LedgerLimits {
    LedgerLimits { max_resources: setting.capacity, settle: SETTLE, start_hold }
}

/// A tag as a client presents it.
fn written(tag: &Tag, form: Form) -> String {
    let Stamped { key: of, version, life, .. } = tag.stamp;
    let life = if form == Form::OtherLife { Incarnation(!life.0) } else { life };
    let variant = if form == Form::OtherVariant { Variant(!tag.variant.0) } else { tag.variant };
    let as_given = VersionTag::new(life, key(of), version, variant).to_string();
    let suffixed = format!("{}-gzip\"", as_given.trim_end_matches('"'));
    match form {
        Form::AsGiven | Form::OtherVariant | Form::OtherLife => as_given,
        Form::Weak => format!("W/{as_given}"),
        Form::Suffixed => suffixed,
        Form::Gzipped => format!("W/{suffixed}"),
        Form::Foreign => format!("\"{version:?}\""),
    }
}
