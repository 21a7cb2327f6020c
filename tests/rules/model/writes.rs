//! What can happen to a write that was let through, to the slots, and at the origin.

use ifmatch::decide::claim::HoldMode;

use super::protocol::Broken;
use super::real::{Lag, Step};
use super::state::{By, Doing, Fate, KEYS, Pair, Reach, SLOTS, Stage, State, WHOLE, Write};
use super::steps::Successors;
use super::told::Event;

/// Whose write something happens to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Author {
    Client(usize),
    Gone(usize),
}

impl Successors<'_> {
    pub(super) fn all_write_steps(&mut self) {
        let clients = (0..self.from.clients.len()).map(Author::Client);
        for author in clients.chain((0..self.from.orphans.len()).map(Author::Gone)) {
            if let Some(write) = self.write_of(author) {
                self.write_steps(author, write);
            }
        }
    }

    fn write_of(&self, author: Author) -> Option<Write> {
        match author {
            Author::Gone(at) => Some(self.from.orphans[at]),
            Author::Client(client) => match self.from.clients[client].doing {
                Doing::Writing(write) => Some(write),
                Doing::Nothing | Doing::Reading { .. } | Doing::Waiting { .. } | Doing::Judged { .. } => None,
            },
        }
    }

    /// The state with this write in another stage, or gone.
    fn with(&self, author: Author, write: Option<Write>) -> State {
        let mut to = self.from.clone();
        match (author, write) {
            (Author::Client(client), None) => to.clients[client].doing = Doing::Nothing,
            (Author::Client(client), Some(write)) => to.clients[client].doing = Doing::Writing(write),
            (Author::Gone(at), None) => drop(to.orphans.remove(at)),
            (Author::Gone(at), Some(write)) => to.orphans[at] = write,
        }
        to
    }

    fn write_steps(&mut self, author: Author, write: Write) {
        if write.fate == Fate::Pending {
            self.apply(author, write);
        }
        if write.by == By::Ended {
            // The time in which it may be applied ends with the hold of the next process.
            return;
        }
        if write.unknown {
            self.settle_ends(author, write);
            return;
        }
        match write.fate {
            Fate::Pending => {
                let to = self.with(author, Some(Write { fate: Fate::Refused, ..write }));
                self.go(Event::OriginRefuses { write }, to);
                if self.broken(Broken::AcceptedOnlyTakenAsApplied) {
                    self.accept(author, write);
                }
            }
            Fate::Applied | Fate::Refused => self.answer(author, write),
        }
        if self.protocol.unknown {
            self.lose_answer(author, write);
        }
    }

    fn settle_ends(&mut self, author: Author, write: Write) {
        let late = self.broken(Broken::AppliedAfterSettle);
        if late && !write.holds {
            return;
        }
        let still_there = late && write.fate == Fate::Pending;
        let mut to = self.with(author, still_there.then_some(Write { holds: false, ..write }));
        if write.holds {
            let kept = self.broken(Broken::VersionKeptOnUnknown)
                || self.broken(Broken::FreshNumberAtTheStartAndHeld);
            self.end(&mut to, &write, !kept);
        }
        self.go(Event::SettleEnds { write }, to);
    }

    fn apply(&mut self, author: Author, write: Write) {
        let gone = write.by == By::Ended;
        let mut to = self.with(author, (!gone).then_some(Write { fate: Fate::Applied, ..write }));
        let target = self.content_of(write.key);
        let over = self.from.origin[target];
        let event = Event::Applied { write, over };
        if write.conditional && write.saw != Some(over) {
            self.lost = Some(event);
        }
        if let Some(content) = write.content {
            let beside = |key: &usize| !self.protocol.renaming && write.changes(*key);
            for key in (0..KEYS).filter(|key| *key == target || beside(key)) {
                if self.protocol.lag {
                    to.stale[key].get_or_insert(to.origin[key]);
                }
                to.origin[key] = content;
            }
        }
        self.go(event, to);
    }

    fn answer(&mut self, author: Author, write: Write) {
        let mut to = self.with(author, None);
        let applied = write.fate == Fate::Applied;
        let mut tag = None;
        if write.holds {
            tag = self.end(&mut to, &write, applied);
        } else if self.broken(Broken::UnconditionalWritesDoNotOccupy)
            || self.broken(Broken::WritesDoNotOccupy)
        {
            self.touch(&mut to, write.by, write.key);
        }
        tag = tag.filter(|_| applied);
        give_tag(author, &write, tag, &mut to);
        self.go(Event::Answered { write, tag }, to);
        if applied && self.broken(Broken::VersionKeptOnAnError) {
            let mut to = self.with(author, None);
            self.end(&mut to, &write, false);
            self.go(Event::ErrorAnswered { write }, to);
        }
        if applied && self.broken(Broken::RefusedThoughApplied) {
            let mut to = self.with(author, None);
            self.end(&mut to, &write, false);
            self.go(Event::RefusalAnswered { write }, to);
        }
    }

    /// 202, taken for an answer that says "applied".
    fn accept(&mut self, author: Author, write: Write) {
        let mut to = self.with(author, None);
        if let Some(tag) = self.end(&mut to, &write, true) {
            give_tag(author, &write, Some(tag), &mut to);
            to.orphans.push(Write { unknown: true, holds: false, ..write });
            self.go(Event::Accepted { write, tag }, to);
        }
    }

    fn lose_answer(&mut self, author: Author, write: Write) {
        let mut lost = Write { unknown: true, ..write };
        let mut to = self.from.clone();
        if self.broken(Broken::FreshNumberAtTheStartAndFreed) {
            self.end(&mut to, &write, true);
            lost.holds = false;
        } else if self.broken(Broken::FreshNumberAtTheStartAndHeld) {
            self.touch(&mut to, write.by, write.key);
        } else if self.broken(Broken::SentAgainAfterALoss) {
            if write.fate == Fate::Pending {
                to.orphans.push(Write { unknown: true, holds: false, ..write });
                self.go(Event::SentAgain { write }, to);
            }
            return;
        }
        for (slot, _) in self.places(write.key, write.reach, write.conditional) {
            if write.holds {
                self.step(&mut to, write.by, Step::Unsettle(slot));
            }
        }
        match author {
            // Its author hears 502 or 504, and may go on.
            Author::Client(client) => {
                to.clients[client].doing = Doing::Nothing;
                to.orphans.push(lost);
            }
            Author::Gone(at) => to.orphans[at] = lost,
        }
        self.go(Event::AnswerLost { write }, to);
    }

    fn lag(&self) -> Lag {
        if self.protocol.lag { Lag::Some } else { Lag::None }
    }

    fn touch(&mut self, to: &mut State, by: By, key: usize) {
        let fresh = to.draw();
        self.step(to, by, Step::Touch(key, fresh, self.lag()));
    }

    /// R7: all places in one step. The tag for the answer, where the author knows what it stands for.
    pub(super) fn end(&mut self, to: &mut State, write: &Write, changed: bool) -> Option<u8> {
        let mut alone = true;
        for (slot, mode) in self.places(write.key, write.reach, write.conditional).into_iter().rev() {
            let was_alone = self.end_one(to, write.by, slot, mode, changed);
            alone &= was_alone || !(slot == write.key || slot == WHOLE);
        }
        if changed && write.reach == Reach::Both && self.broken(Broken::AlsoChangedNotOccupied) {
            self.touch(to, write.by, 1 - write.key);
        }
        let given = alone || self.broken(Broken::TagToAnOverlappedWriter);
        let image = to.image_of(write.by).filter(|_| given && changed)?;
        Some(Self::version(self.protocol, self.real, image, write.key))
    }

    pub(super) fn end_one(
        &mut self,
        to: &mut State,
        by: By,
        slot: usize,
        mode: HoldMode,
        changed: bool,
    ) -> bool {
        let step = if changed && mode != HoldMode::Member {
            Step::EndChanged(slot, to.draw(), self.lag())
        } else {
            Step::EndKept(slot)
        };
        self.step(to, by, step)
    }

    pub(super) fn slot_steps(&mut self) {
        if self.from.stage == Stage::Down {
            return;
        }
        for slot in 0..SLOTS {
            let Some(version) = self.from.image.entries[slot].filter(|_| self.protocol.forgetting) else {
                continue;
            };
            let mut to = self.from.clone();
            if to.image.holds[slot].is_some() {
                if !self.broken(Broken::OccupiedEntriesForgotten) {
                    continue;
                }
                to.image.holds[slot] = None;
            }
            self.step(&mut to, By::Newest, Step::Forget(slot));
            if self.broken(Broken::FloorNotRaised) {
                to.image.floor = self.from.image.floor;
            } else if self.broken(Broken::FloorAssigned) {
                to.image.floor = version;
            }
            self.go(Event::Forgotten { slot }, to);
        }
        let touched = self.protocol.touching && self.from.stage == Stage::Judging;
        for key in 0..if touched { self.protocol.keys } else { 0 } {
            let mut to = self.from.clone();
            self.touch(&mut to, By::Newest, key);
            self.go(Event::Touched { key }, to);
        }
    }

    pub(super) fn origin_steps(&mut self) {
        if self.broken(Broken::WriterThatBypasses) {
            let mut to = self.from.clone();
            to.contents += 1;
            to.origin[0] = to.contents;
            self.go(Event::Bypassed { key: 0, content: to.contents }, to);
        }
        if let Some(slot) = self.from.lagging.first().copied().filter(|_| self.from.stage != Stage::Down) {
            self.lag_ends(slot);
        }
    }

    /// R13: so long after a settlement, reads show what was written.
    fn lag_ends(&mut self, slot: usize) {
        let mut to = self.from.clone();
        to.lagging.remove(0);
        self.step(&mut to, By::Newest, Step::LagEnds(slot));
        let whole = self.from.restored[WHOLE].is_some_and(|mode| mode != HoldMode::Member);
        for key in (0..KEYS).filter(|key| *key == self.content_of(slot) || slot == WHOLE) {
            // What was settled later lags longer, and so does what was applied and is not settled yet.
            let shows = |slot: usize| self.content_of(slot) == key || slot == WHOLE;
            let changes = |write: &Write| self.content_of(write.key) == key || write.reach != Reach::One;
            let lags = to.lagging.iter().any(|slot| shows(*slot))
                || whole
                || (0..KEYS).any(|slot| shows(slot) && self.from.restored[slot].is_some())
                || self.from.writes().any(|write| write.fate == Fate::Applied && changes(write));
            if !lags && !self.broken(Broken::LagsLongerThanTold) {
                to.stale[key] = None;
            }
        }
        self.go(Event::LagEnds { slot }, to);
    }
}

fn give_tag(author: Author, write: &Write, tag: Option<u8>, to: &mut State) {
    if let (Author::Client(client), Some(tag), Some(content)) = (author, tag, write.content) {
        to.clients[client].knows = Some(Pair { key: write.key, content, tag });
    }
}
