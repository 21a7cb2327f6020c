//! The real steps of the ledger, each run once for every image of the slots in which it is asked for.

use std::time::Duration;

use ifmatch::decide::claim::HoldMode;
use ifmatch::ledger::names::SavedNames;
use ifmatch::ledger::protocol::{BegunAt, Ending, Millis, Owed, SavedLag, Slots};
use ifmatch::ledger::snapshot::{Head, Reader, Record, Writer};
use ifmatch::request::version_tag::{Incarnation, ResourceKey, Version};

use super::quick::QuickMap;
use super::state::{HoldImage, Image, SLOTS, Saved};

pub(super) const MODES: [HoldMode; 3] = [HoldMode::Exclusive, HoldMode::Shared, HoldMode::Member];

/// When everything happens here, and until when what lags does.
const NOW: Millis = Millis(5);
const LAGS_UNTIL: Millis = Millis(10);
const BEGUN: BegunAt = BegunAt(7);
const OWED: Owed = Owed { begun: BEGUN, read_lag: Duration::from_millis(5) };

/// A step of [`Slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Occupy(usize, HoldMode),
    Unsettle(usize),
    EndKept(usize),
    EndChanged(usize, u8, Lag),
    Forget(usize),
    Touch(usize, u8, Lag),
    RaiseFloor(u8),
    LagEnds(usize),
}

/// Whether the origin's reads may lag behind a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lag {
    None,
    Some,
}

/// How a process takes up what another one saved. All that it does not take up is a broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TakeUp {
    All,
    NoHolds,
    NoLags,
}

/// What the slots tell without changing.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) version: [u8; SLOTS],
    /// What reads are stamped with.
    pub(super) stamp: [u8; SLOTS],
    /// By slot and by mode, in the order of [`MODES`].
    pub(super) busy: [[bool; 3]; SLOTS],
}

#[derive(Default)]
pub(super) struct Real {
    steps: QuickMap<(Image, Step), (Image, bool)>,
    views: QuickMap<Image, View>,
    restarts: QuickMap<(Saved, TakeUp), Saved>,
}

impl Real {
    /// Runs a step. Beside the slots after it: whether a hold that ended was alone.
    pub(super) fn step(&mut self, image: Image, step: Step) -> (Image, bool) {
        *self.steps.entry((image, step)).or_insert_with(|| {
            let mut slots = build(&image);
            let alone = run(&mut slots, step);
            (read(&slots), alone)
        })
    }

    pub(super) fn view(&mut self, image: Image) -> View {
        *self.views.entry(image).or_insert_with(|| {
            let slots = build(&image);
            assert_eq!(read(&slots), image, "the image says all that the slots hold");
            let keys: [ResourceKey; SLOTS] = std::array::from_fn(key);
            for key in keys {
                let stamp = slots.observe(key);
                assert_eq!(stamp.version, slots.version(key));
                assert_eq!(stamp.at_rest, slots.busy(key, HoldMode::Member).is_none());
            }
            View {
                version: keys.map(|key| number(slots.version(key))),
                stamp: keys.map(|key| number(slots.lagging(key, NOW).unwrap_or(slots.observe(key).version))),
                busy: keys.map(|key| MODES.map(|mode| slots.busy(key, mode).is_some())),
            }
        })
    }

    /// What a process that ends writes down, as bytes, and what the next one makes of them.
    pub(super) fn restart(&mut self, saved: Saved, take_up: TakeUp) -> Saved {
        *self.restarts.entry((saved, take_up)).or_insert_with(|| {
            let bytes = write_down(&build(&saved.image), saved.sequence);
            let (slots, sequence) = go_on(&bytes, take_up);
            Saved { image: read(&slots), sequence }
        })
    }
}

fn run(slots: &mut Slots, step: Step) -> bool {
    match step {
        Step::Occupy(slot, mode) => {
            occupy(slots, slot, mode);
            false
        }
        Step::Unsettle(slot) => {
            slots.unsettle(key(slot), Millis(1));
            false
        }
        Step::EndKept(slot) => slots.end(key(slot), Ending::Kept).alone,
        Step::EndChanged(slot, fresh, lag) => slots.end(key(slot), changed(fresh, lag)).alone,
        Step::Forget(slot) => {
            slots.forget(key(slot)).expect("at rest");
            false
        }
        Step::Touch(slot, fresh, lag) => slots.touch(key(slot), Version(fresh.into()), BEGUN, until(lag)),
        Step::RaiseFloor(floor) => {
            slots.raise_floor(Version(floor.into()));
            false
        }
        Step::LagEnds(slot) => {
            let lag = slots.saved_lag(NOW).find(|lag| lag.key == key(slot)).expect("it lags");
            slots.restore_lag(SavedLag { left: Duration::from_millis(1), ..lag }, NOW);
            slots.forget_lag(Millis(NOW.0 + 1));
            false
        }
    }
}

/// R11, the last act: as the ledger puts it together, with one shard.
fn write_down(slots: &Slots, sequence: u8) -> Vec<u8> {
    let holds: Vec<_> = slots.saved_holds().collect();
    let lags: Vec<_> = slots.saved_lag(NOW).collect();
    let head = Head {
        incarnation: Incarnation(1),
        hash_keys: (2, 3),
        sequence: sequence.into(),
        names: SavedNames::default(),
        floors: vec![(slots.floor(), slots.floor_begun())],
        holds: holds.len() as u64,
        lags: lags.len() as u64,
        entries: slots.len() as u64,
    };
    let mut writer = Writer::begin(Vec::new(), &head).expect("memory");
    let held = holds.into_iter().map(Record::Hold);
    for record in held.chain(lags.into_iter().map(Record::Lag)) {
        writer.record(&record).expect("memory");
    }
    for entry in slots.saved_entries() {
        writer.record(&Record::Entry(entry)).expect("memory");
    }
    writer.finish().expect("memory")
}

/// R11, the next process.
fn go_on(bytes: &[u8], take_up: TakeUp) -> (Slots, u8) {
    let mut reader = Reader::open(bytes, bytes.len() as u64).expect("a state");
    let sequence = u8::try_from(reader.head().sequence).expect("few numbers at a time");
    let mut slots = Slots::new(Version(0), 16);
    let (floor, begun) = reader.head().floors[0];
    slots.restore_floor(floor, begun);
    while let Some(record) = reader.record().expect("whole") {
        match record {
            Record::Hold(_) if take_up == TakeUp::NoHolds => {}
            Record::Hold(hold) => {
                assert_eq!(hold.owed, OWED, "its end knows what it owes");
                slots.restore_hold(hold, LAGS_UNTIL);
            }
            Record::Lag(_) if take_up == TakeUp::NoLags => {}
            Record::Lag(lag) => slots.restore_lag(lag, NOW),
            Record::Entry(entry) => {
                let forgotten = slots.restore_entry(entry);
                assert!(!forgotten, "there is room");
            }
        }
    }
    (slots, sequence)
}

/// Real slots that hold what the image says, made by real steps.
fn build(image: &Image) -> Slots {
    let mut slots = Slots::new(Version(0), 16);
    for (slot, version) in image.entries.iter().enumerate() {
        if let Some(version) = version {
            slots.occupy(key(slot), HoldMode::Exclusive, Owed::default()).expect("room");
            slots.end(key(slot), changed(*version, Lag::None));
        }
    }
    slots.restore_floor(Version(image.floor.into()), BegunAt::default());
    for (slot, hold) in image.holds.iter().enumerate() {
        let Some(hold) = hold else { continue };
        for _ in 0..hold.holders {
            occupy(&mut slots, slot, hold.mode);
        }
        if hold.overlapped && hold.holders == 1 {
            occupy(&mut slots, slot, hold.mode);
            slots.end(key(slot), Ending::Kept);
        }
    }
    for (slot, older) in image.lags.iter().enumerate() {
        let Some(older) = older else { continue };
        let left = Duration::from_millis(LAGS_UNTIL.0 - NOW.0);
        slots.restore_lag(SavedLag { key: key(slot), older: Version((*older).into()), left }, NOW);
    }
    slots
}

fn occupy(slots: &mut Slots, slot: usize, mode: HoldMode) {
    slots.occupy(key(slot), mode, OWED).expect("room for all of them");
}

fn read(slots: &Slots) -> Image {
    let hold = |slot| {
        let holders = u8::try_from(slots.holders(key(slot))).expect("few");
        let joined = |mode: &HoldMode| slots.busy(key(slot), *mode).is_none();
        (holders > 0).then(|| HoldImage {
            mode: MODES.into_iter().find(joined).unwrap_or(HoldMode::Exclusive),
            holders,
            overlapped: !slots.clone().end(key(slot), Ending::Kept).alone,
        })
    };
    let mut lags = [None; SLOTS];
    for lag in slots.saved_lag(NOW) {
        let slot = (0..SLOTS).find(|slot| key(*slot) == lag.key).expect("a slot");
        lags[slot] = Some(number(lag.older));
    }
    Image {
        floor: number(slots.floor()),
        entries: std::array::from_fn(|slot| {
            slots.is_tracked(key(slot)).then(|| number(slots.version(key(slot))))
        }),
        holds: std::array::from_fn(hold),
        lags,
    }
}

fn changed(fresh: u8, lag: Lag) -> Ending {
    Ending::Changed { fresh: Version(fresh.into()), begun: BEGUN, lags_until: until(lag) }
}

fn until(lag: Lag) -> Option<Millis> {
    match lag {
        Lag::None => None,
        Lag::Some => Some(LAGS_UNTIL),
    }
}

fn key(slot: usize) -> ResourceKey {
    ResourceKey(slot as u64 + 1)
}

fn number(version: Version) -> u8 {
    u8::try_from(version.0).expect("few numbers at a time")
}
