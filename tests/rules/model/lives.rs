//! How processes end, and how others take their place.

use super::protocol::Broken;
use super::real::{Step, TakeUp};
use super::state::{By, Image, KEYS, SLOTS, Saved, Stage, State};
use super::steps::Successors;
use super::told::Event;

impl Successors<'_> {
    pub(super) fn life_steps(&mut self) {
        match self.from.stage {
            Stage::Down => self.start(),
            Stage::Starting => {
                self.open();
                self.crash();
            }
            Stage::Judging => {
                self.settle_restored();
                self.crash();
                self.save();
                self.hand_over();
            }
        }
        if self.from.old.is_some() {
            self.old_ends();
        }
    }

    /// Killed. What it had sent may still be applied.
    fn crash(&mut self) {
        if self.protocol.crashes && self.from.old.is_none() {
            let to = self.ended();
            self.go(Event::Killed { by: By::Newest }, to);
        }
    }

    fn ended(&self) -> State {
        let mut to = self.from.clone();
        to.pass_on(By::Newest, By::Ended);
        to.stage = Stage::Down;
        to.image = Image::new_life(0);
        to.restored = [None; SLOTS];
        to
    }

    /// R11: the last act. It may cut off what is in flight.
    fn save(&mut self) {
        if !self.protocol.stops || self.from.old.is_some() {
            return;
        }
        let file = Some(Saved { image: self.from.image, sequence: self.from.sequence });
        if self.broken(Broken::ServesOnAfterSaving) {
            let to = State { file, ..self.from.clone() };
            self.go(Event::SavesAndServesOn, to);
        } else {
            let to = State { file, ..self.ended() };
            self.go(Event::SavesAndEnds, to);
        }
    }

    fn start(&mut self) {
        if let Some(saved) = self.from.file {
            self.go_on_from(saved);
        } else {
            let to = self.new_life();
            self.go(Event::StartsWithoutState { floor: to.image.floor, judges: to.stage }, to);
        }
    }

    fn go_on_from(&mut self, saved: Saved) {
        let take_up = if self.broken(Broken::HeldRestoredAsIdle) {
            TakeUp::NoHolds
        } else if self.broken(Broken::LagNotSaved) {
            TakeUp::NoLags
        } else {
            TakeUp::All
        };
        let Saved { image, sequence } = self.real.restart(saved, take_up);
        let mut to = self.from.clone();
        (to.stage, to.image, to.sequence) = (Stage::Judging, image, sequence);
        to.restored = image.holds.map(|hold| hold.map(|hold| hold.mode));
        to.lagging.retain(|slot| image.lags[*slot].is_some());
        if !self.broken(Broken::FileKeptAfterItWasLoaded) {
            to.file = None;
        }
        self.go(Event::GoesOnFromTheFile, to);
    }

    /// R1: a random name, so that no tag of an earlier life is ever current again. Here that is a number
    /// which nobody has seen, which comes to the same: numbers of two lives are never compared.
    fn new_life(&self) -> State {
        let mut to = self.from.clone();
        if self.broken(Broken::NumbersRepeatAfterACrash) {
            to.sequence = 0;
        }
        to.image = Image::new_life(to.draw());
        to.lagging.clear();
        to.named = State::first(0).named;
        let holds = !self.broken(Broken::NoHoldAfterACrash);
        to.stage = if holds { Stage::Starting } else { Stage::Judging };
        to
    }

    /// R10: the time is over in which writes of an earlier life may be applied, and in which reads may
    /// lag behind them.
    fn open(&mut self) {
        if let Some(old) = self.from.old {
            let held = old.holds.iter().any(Option::is_some);
            let beside = self.broken(Broken::SuccessorJudgesBesideTheOldOne) && !held;
            let early = self.broken(Broken::SuccessorJudgesWhileTheOldOneHolds) && held;
            if !beside && !early {
                return;
            }
        }
        let mut to = self.from.clone();
        to.orphans.retain(|write| write.by != By::Ended);
        if !self.broken(Broken::HoldWithoutTheReadLag) {
            to.stale = [None; KEYS];
        }
        to.stage = Stage::Judging;
        if !self.broken(Broken::FloorDrawnAtTheStartOfTheHold) {
            let floor = to.draw();
            self.step(&mut to, By::Newest, Step::RaiseFloor(floor));
        }
        self.go(Event::Opens { floor: to.image.floor }, to);
    }

    /// R11, R8: what was held when the process before ended is settled by now.
    fn settle_restored(&mut self) {
        for slot in 0..SLOTS {
            let Some(mode) = self.from.restored[slot] else { continue };
            let mut to = self.from.clone();
            to.orphans.retain(|write| write.by != By::Ended);
            to.restored[slot] = None;
            self.end_one(&mut to, By::Newest, slot, mode, true);
            self.go(Event::RestoredSettles { slot, mode }, to);
        }
    }

    fn hand_over(&mut self) {
        if !self.protocol.handover || self.from.old.is_some() {
            return;
        }
        let mut to = self.from.clone();
        to.pass_on(By::Newest, By::Old);
        to.old = Some(to.image);
        to.image = Image::new_life(to.draw());
        to.stage = Stage::Starting;
        self.go(Event::SuccessorStarts { floor: to.image.floor }, to);
    }

    fn old_ends(&mut self) {
        let mut to = self.from.clone();
        let held = to.old.is_some_and(|old| old.holds.iter().any(Option::is_some));
        to.pass_on(By::Old, By::Ended);
        to.old = None;
        self.go(if held { Event::Killed { by: By::Old } } else { Event::OldEnds }, to);
    }
}
