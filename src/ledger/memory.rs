//! The ledger in this process's memory: the slots of [`protocol`](super::protocol) behind locks.

mod restart;
mod shards;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

pub use super::begin::{BeginWrite, Begun, NotBegun, Place};
use super::keyed_hash::{Parts, keyed_hash, keyed_hash_64};
use super::names::{Epoch, Names, NamesInForce, SavedNames};
use super::permit::WritePermit;
use super::protocol::{BegunAt, Busy, Ending, Millis, NoRoom, Owed, SavedHold};
use super::views::ViewKey;
use super::waiting::Waiting;
use crate::decide::claim::HoldMode;
use crate::decide::naming::{Affected, Naming};
use crate::decide::read::ReadStamp;
use crate::identify::resource_id::ResourceId;
use crate::request::version_tag::{Incarnation, ResourceKey, Variant, Version};

pub use restart::{Closed, Saved};
use shards::{Locked, Shards};

/// What a ledger is made with.
#[derive(Clone, Copy, Debug)]
pub struct LedgerLimits {
    /// The most resources that have an entry of their own.
    pub max_resources: usize,
    /// How long a write of unknown outcome may still be applied.
    pub settle: Duration,
    /// How long after its start the ledger judges no writes, because writes of an earlier life may
    /// still be applied (rule R10).
    pub start_hold: Duration,
}

/// Versions in memory. One unbroken life, if need be over several processes, one after the other; a new
/// one has a new [`Incarnation`].
pub struct MemoryLedger {
    incarnation: Incarnation,
    keys: HashKeys,
    began: Instant,
    opens: Millis,
    opened: AtomicU64,
    /// The one sequence of versions (rule R1).
    sequence: AtomicU64,
    shards: Shards,
    settle: Duration,
    evictions: AtomicU64,
    waiting: Waiting,
    /// R11: nothing is judged, drawn or freed any more. Set while every shard is locked.
    closed: AtomicBool,
    /// What was occupied when the process before ended, until somebody sees to its end.
    restored: Mutex<Vec<SavedHold>>,
    /// 1 until all of that is settled, and reads have caught up with it.
    restored_under_way: Arc<AtomicUsize>,
    /// How long that takes after the settle time.
    restored_lag: Duration,
    names: Names,
    /// Those that the next process gets: the ones of the moment at which this ledger was closed.
    names_at_close: OnceLock<SavedNames>,
}

/// Secret keys of the hashes, so that nobody can aim a name at another resource's slot.
#[derive(Clone, Copy)]
struct HashKeys(u64, u64);

/// The slots of one upstream's resources.
pub struct KeysOf {
    upstream: Box<str>,
    /// What all of their hashes begin with.
    parts: Parts,
}

impl KeysOf {
    /// The slot of a resource, by the names that its request began with.
    pub fn key(&self, names: &NamesInForce, name: &ResourceId) -> ResourceKey {
        self.key_in(names.epoch(&self.upstream, name.as_str()), name)
    }

    /// The same for a write that observe mode lets through while nothing is judged by these names yet: the slot
    /// that they are judged by once the writes of before have ended, for it may end later.
    pub fn key_once_open(&self, names: &NamesInForce, name: &ResourceId) -> ResourceKey {
        self.key_in(names.epoch_once_open(&self.upstream, name.as_str()), name)
    }

    fn key_in(&self, epoch: Epoch, name: &ResourceId) -> ResourceKey {
        let named = self.parts.and(&[name.as_str().as_bytes()]);
        ResourceKey(match epoch {
            Epoch(None) => named.hash(),
            Epoch(Some((era, open))) => named.and(&[&era.to_be_bytes(), &[u8::from(open)]]).hash(),
        })
    }
}

/// What is known of one resource, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Its current version.
    pub version: Version,
    /// How many writes occupy it.
    pub holders: u32,
    /// Whether one of them has an unknown outcome.
    pub unsettled: bool,
}

impl MemoryLedger {
    /// A new life: a random name, no entries, every resource at version 1.
    pub fn new(limits: LedgerLimits) -> Arc<Self> {
        let name = Incarnation(rand::random());
        let keys = HashKeys(rand::random(), rand::random());
        Arc::new(Self::at_rest(limits, name, keys, Version(1)))
    }

    /// No entries; every resource at `floor`, the last number that was drawn.
    fn at_rest(limits: LedgerLimits, incarnation: Incarnation, keys: HashKeys, floor: Version) -> Self {
        MemoryLedger {
            incarnation,
            keys,
            began: Instant::now(),
            opens: Millis(millis(limits.start_hold)),
            opened: AtomicU64::new(u64::from(limits.start_hold.is_zero())),
            sequence: AtomicU64::new(floor.0),
            shards: Shards::new(limits.max_resources, floor),
            settle: limits.settle,
            evictions: AtomicU64::new(0),
            waiting: Waiting::default(),
            closed: AtomicBool::new(false),
            restored: Mutex::default(),
            restored_under_way: Arc::default(),
            restored_lag: Duration::ZERO,
            names: Names::new(),
            names_at_close: OnceLock::new(),
        }
    }

    /// The name of this life.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// How long a write of unknown outcome may still be applied.
    pub fn settle_time(&self) -> Duration {
        self.settle
    }

    /// Writes that wait for a resource.
    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Names and the writes under way (rule R14).
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// R14: puts the names of another configuration in force. Returns what it changes.
    pub fn rename(&self, naming: Naming) -> Vec<Affected> {
        self.names.change(naming, &self.restored_under_way)
    }

    /// The slots of an upstream's resources.
    pub fn keys_of(&self, upstream: &str) -> KeysOf {
        let parts = Parts::under((self.keys.0, self.keys.1)).and(&[b"r", upstream.as_bytes()]);
        KeysOf { upstream: upstream.into(), parts }
    }

    /// The slot that stands for all resources of an upstream.
    pub fn whole_key(&self, upstream: &str) -> ResourceKey {
        self.hash(&[b"u", upstream.as_bytes()])
    }

    /// The variant that these facts about a representation make.
    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    pub fn variant(&self, facts: &[&[u8]]) -> Variant {
        Variant(self.hash(facts).0 as u32)
    }

    /// A keyed hash of two things that are to be compared and not kept.
    pub fn hash_of(&self, one: &[u8], other: &[u8]) -> u64 {
        self.hash(&[b"h", one, other]).0
    }

    /// The slot of a value that no two records of an upstream may share. It is occupied by writes with that value.
    pub fn value_key(&self, upstream: &str, scope: &str, value: &str) -> ResourceKey {
        self.hash(&[b"unique", upstream.as_bytes(), scope.as_bytes(), value.as_bytes()])
    }

    /// R13: whether reads may still show what was there before the last write to this slot.
    pub fn may_lag(&self, key: ResourceKey) -> bool {
        self.shards.lock_of(key).lagging(key, self.now()).is_some()
    }

    /// A client's identity, hashed, for logs.
    pub fn client_id(&self, identity: &[u8]) -> u64 {
        self.hash(&[b"c", identity]).0
    }

    /// The view of one client of one resource, named by these facts and found again by nothing else (rule I2).
    pub fn view_key(&self, facts: &[&[u8]]) -> ViewKey {
        ViewKey(keyed_hash((self.keys.0, self.keys.1), facts))
    }

    fn hash(&self, parts: &[&[u8]]) -> ResourceKey {
        ResourceKey(keyed_hash_64((self.keys.0, self.keys.1), parts))
    }

    /// R3: what a read may be stamped with. To be called before the request is forwarded.
    pub fn observe(&self, key: ResourceKey, whole: Option<ResourceKey>, lag: Duration) -> ReadStamp {
        // Draws the floor where the start hold is over: a read after its end is not to get a tag from before.
        let _opened = self.open_in();
        let look = |key| {
            let slots = self.shards.lock_of(key);
            let older = if lag.is_zero() { None } else { slots.lagging(key, self.now()) };
            (slots.observe(key), older)
        };
        let (mut stamp, mut older) = look(key);
        if let Some((of_all, all_older)) = whole.map(look) {
            stamp.version = stamp.version.max(of_all.version);
            stamp.at_rest &= of_all.at_rest;
            // The smaller one: a number that a forgotten entry has lifted is no older one.
            older = older.into_iter().chain(all_older).min();
        }
        older.map_or(stamp, |version| ReadStamp { version, at_rest: false })
    }

    /// Whether writes are judged already (rule R10).
    pub fn is_open(&self) -> bool {
        self.open_in().is_none() && !self.is_closed()
    }

    /// R10: at the end of the hold, and not before, every slot gets a floor that no read was stamped
    /// with before it.
    fn open_in(&self) -> Option<Duration> {
        if self.opened.load(Ordering::Acquire) == 1 {
            return None;
        }
        let (now, opens) = (self.now(), self.opens);
        if now < opens {
            return Some(Duration::from_millis(opens.0 - now.0));
        }
        let mut all = self.shards.lock_all();
        if self.is_closed() {
            return Some(Duration::ZERO);
        }
        if self.opened.load(Ordering::Acquire) == 0 {
            let floor = self.draw();
            for slots in &mut all {
                slots.raise_floor(floor);
            }
            self.opened.store(1, Ordering::Release);
        }
        None
    }

    /// R5: judges a write and occupies its places in one step, all of them or none.
    ///
    /// # Errors
    /// Says what stands in the way. Nothing has changed then.
    pub async fn begin(self: &Arc<Self>, write: &BeginWrite<'_>) -> Result<Begun, NotBegun> {
        // What is only observed is forwarded all the same, so it occupies all the same (rule R5).
        if let Some(left) = self.open_in()
            && !write.observe
        {
            return Err(NotBegun::Starting(left));
        }
        let places = write.places();
        let mut locked = self.shards.lock(&places);
        if self.is_closed() {
            return Err(NotBegun::Closed);
        }
        let mut observed = None;
        if let Err(refused) = self.judge(write, &places, &locked) {
            if !write.observe {
                return Err(refused);
            }
            observed = Some(refused);
        }
        if !locked.have_room_for(&places) {
            return Err(NotBegun::NoRoom);
        }
        let begun = seconds(SystemTime::now());
        for place in &places {
            let Some(slots) = locked.of(place.key) else { continue };
            // There is room. If there were none, what is occupied by now would stay so: a refusal.
            let owed = Owed { begun, read_lag: write.read_lag };
            let occupied = slots.occupy(place.key, place.mode, owed).map_err(|NoRoom| NotBegun::NoRoom)?;
            if occupied.evicted {
                self.evictions.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(locked);
        let permit = WritePermit::new(
            self.clone(),
            places,
            write.target.key,
            write.whole.map(|whole| whole.key),
            begun,
            write.read_lag,
        );
        Ok(Begun { permit, observed })
    }

    fn judge(&self, write: &BeginWrite<'_>, places: &[Place], locked: &Locked<'_>) -> Result<(), NotBegun> {
        for place in places {
            let busy = locked.peek(place.key).and_then(|slots| slots.busy(place.key, place.mode));
            match busy {
                None => {}
                Some(Busy::InFlight) => {
                    return Err(NotBegun::Occupied { key: place.key, unsettled_for: None });
                }
                Some(Busy::UnsettledUntil(until)) => {
                    // A time that is over: what is left of the hold are others, still in flight.
                    let left = Duration::from_millis(until.0.saturating_sub(self.now().0));
                    let unsettled_for = Some(left).filter(|left| !left.is_zero());
                    return Err(NotBegun::Occupied { key: place.key, unsettled_for });
                }
            }
        }
        let version = |key| locked.peek(key).map(|slots| slots.version(key));
        // All tags of an upstream die at once when the version of the whole overtakes them.
        let current = version(write.target.key).max(write.whole.and_then(|whole| version(whole.key)));
        write.condition.judge(current.unwrap_or(Version(0))).map_err(NotBegun::Stale)
    }

    /// The current version of a resource, for an answer to the write that holds its permit.
    pub fn version(&self, key: ResourceKey, whole: Option<ResourceKey>) -> Version {
        let of = |key| self.shards.lock_of(key).version(key);
        of(key).max(whole.map_or(Version(0), of))
    }

    /// When the first write that may have changed the resource began, as far as one was seen.
    pub fn changes_seen_since(&self, key: ResourceKey, whole: Option<ResourceKey>) -> Option<SystemTime> {
        let of = |key: ResourceKey| self.shards.lock_of(key).changes_seen_since(key);
        let seen = [Some(key), whole].into_iter().flatten().map(of).filter(|BegunAt(at)| *at > 0);
        let BegunAt(oldest) = seen.min()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(oldest)))
    }

    /// A change that came with a write to another resource (RFC 9111 section 4.4).
    pub fn touch(&self, key: ResourceKey, begun: BegunAt, read_lag: Duration) {
        let mut slots = self.shards.lock_of(key);
        if self.is_closed() {
            return;
        }
        let evicted = slots.touch(key, self.draw(), begun, self.lags_until(read_lag));
        self.evictions.fetch_add(u64::from(evicted), Ordering::Relaxed);
    }

    /// The same for a write that observe mode let through without a permit.
    pub fn touch_now(&self, key: ResourceKey, read_lag: Duration) {
        self.touch(key, seconds(SystemTime::now()), read_lag);
    }

    /// R8, the first half: marks the places of a permit as unsettled.
    pub(super) fn unsettle(&self, places: &[Place]) {
        let until = Millis(self.now().0 + millis(self.settle));
        for place in places {
            self.shards.lock_of(place.key).unsettle(place.key, until);
        }
    }

    /// R7: ends the holds of a write, all of them in one step; the numbers are drawn in it. The target
    /// gets the newest.
    ///
    /// Returns the target's version, if nobody else occupied or changed it meanwhile, itself or with
    /// the whole: then the write's author knows what it stands for.
    pub(super) fn end(&self, ended: &EndWrite<'_>) -> Option<Version> {
        let mut locked = self.shards.lock(ended.places);
        if self.is_closed() {
            // What is held was saved as held; a number that is drawn now would be drawn again.
            return None;
        }
        let mut known = None;
        let mut alone = true;
        // The target is the first of the places, so it is the last to get its number here.
        for place in ended.places.iter().rev() {
            let ending = match ended.ending {
                // Taking part in an upstream as a whole changes nothing of it.
                HoldEnding::Changed { begun, read_lag } if place.mode != HoldMode::Member => {
                    Ending::Changed { fresh: self.draw(), begun, lags_until: self.lags_until(read_lag) }
                }
                HoldEnding::Changed { .. } | HoldEnding::Kept => Ending::Kept,
            };
            let Some(slots) = locked.of(place.key) else { continue };
            let end = slots.end(place.key, ending);
            if place.key == ended.target {
                known = Some(end.version);
            }
            if place.key == ended.target || Some(place.key) == ended.whole {
                alone &= end.alone;
            }
        }
        drop(locked);
        for place in ended.places {
            self.waiting.wake(place.key);
        }
        known.filter(|_| alone)
    }

    /// What is known of a resource.
    pub fn inspect(&self, key: ResourceKey, whole: Option<ResourceKey>) -> Inspection {
        let version = self.version(key, whole);
        let slots = self.shards.lock_of(key);
        let unsettled = matches!(slots.busy(key, HoldMode::Exclusive), Some(Busy::UnsettledUntil(_)));
        Inspection { version, holders: slots.holders(key), unsettled }
    }

    /// How many resources have an entry.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|slots| slots.len()).sum()
    }

    /// Whether no resource has an entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries were forgotten to make room.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Forgets what only matters for a while. To be called now and then.
    pub fn tidy(&self) {
        let now = self.now();
        for mut slots in self.shards.iter() {
            slots.forget_lag(now);
        }
    }

    fn draw(&self) -> Version {
        Version(self.sequence.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn now(&self) -> Millis {
        Millis(millis(self.began.elapsed()))
    }

    fn lags_until(&self, read_lag: Duration) -> Option<Millis> {
        (!read_lag.is_zero()).then(|| Millis(self.now().0.saturating_add(millis(read_lag))))
    }
}

/// The end of a write's holds.
pub(super) struct EndWrite<'p> {
    pub(super) places: &'p [Place],
    pub(super) target: ResourceKey,
    pub(super) whole: Option<ResourceKey>,
    pub(super) ending: HoldEnding,
}

/// How the holds of a write end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HoldEnding {
    Kept,
    Changed { begun: BegunAt, read_lag: Duration },
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(time: SystemTime) -> BegunAt {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    BegunAt(u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
}
