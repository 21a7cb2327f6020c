//! The real steps of the ledger, each run once for every image of the slots in which it is asked for.

use std::collections::HashMap;

use ifmatch::decide::claim::HoldMode;
use ifmatch::ledger::protocol::{BegunAt, Ending, Millis, Slots};
use ifmatch::request::version_tag::{ResourceKey, Version};

use super::state::{HoldImage, Image, SLOTS};

pub(super) const MODES: [HoldMode; 3] = [HoldMode::Exclusive, HoldMode::Shared, HoldMode::Member];

/// A step of [`Slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Occupy(usize, HoldMode),
    Unsettle(usize),
    EndKept(usize),
    EndChanged(usize, u8),
    Forget(usize),
    Touch(usize, u8),
}

/// What the slots tell without changing.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) version: [u8; SLOTS],
    /// By slot and by mode, in the order of [`MODES`].
    pub(super) busy: [[bool; 3]; SLOTS],
}

#[derive(Default)]
pub(super) struct Real {
    steps: HashMap<(Image, Step), (Image, bool)>,
    views: HashMap<Image, View>,
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
                busy: keys.map(|key| MODES.map(|mode| slots.busy(key, mode).is_some())),
            }
        })
    }
}

fn run(slots: &mut Slots, step: Step) -> bool {
    match step {
        Step::Occupy(slot, mode) => {
            slots.occupy(key(slot), mode).expect("room for all of them");
            false
        }
        Step::Unsettle(slot) => {
            slots.unsettle(key(slot), Millis(1));
            false
        }
        Step::EndKept(slot) => slots.end(key(slot), Ending::Kept).alone,
        Step::EndChanged(slot, fresh) => slots.end(key(slot), changed(fresh)).alone,
        Step::Forget(slot) => {
            slots.forget(key(slot)).expect("at rest");
            false
        }
        Step::Touch(slot, fresh) => slots.touch(key(slot), Version(fresh.into()), BegunAt(0), None),
    }
}

/// Real slots that hold what the image says, made by real steps.
fn build(image: &Image) -> Slots {
    let mut slots = Slots::new(Version(0), 16);
    for (slot, version) in image.entries.iter().enumerate() {
        if let Some(version) = version {
            slots.occupy(key(slot), HoldMode::Exclusive).expect("room");
            slots.end(key(slot), changed(*version));
        }
    }
    slots.restore_floor(Version(image.floor.into()), BegunAt::default());
    for (slot, hold) in image.holds.iter().enumerate() {
        let Some(hold) = hold else { continue };
        for _ in 0..hold.holders {
            slots.occupy(key(slot), hold.mode).expect("room");
        }
        if hold.overlapped && hold.holders == 1 {
            slots.occupy(key(slot), hold.mode).expect("room");
            slots.end(key(slot), Ending::Kept);
        }
    }
    slots
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
    Image {
        floor: number(slots.floor()),
        entries: std::array::from_fn(|slot| {
            slots.is_tracked(key(slot)).then(|| number(slots.version(key(slot))))
        }),
        holds: std::array::from_fn(hold),
    }
}

fn changed(fresh: u8) -> Ending {
    Ending::Changed { fresh: Version(fresh.into()), begun: BegunAt(0), lags_until: None }
}

fn key(slot: usize) -> ResourceKey {
    ResourceKey(slot as u64 + 1)
}

fn number(version: Version) -> u8 {
    u8::try_from(version.0).expect("few numbers at a time")
}
