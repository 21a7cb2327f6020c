//! What can happen in a state, by the rules or with one of them broken: clients, reads, and the
//! beginning of writes.

use ifmatch::decide::claim::{HoldMode, VersionCondition};
use ifmatch::request::version_tag::Version;

use super::protocol::{Broken, Protocol};
use super::real::{Lag, MODES, Real, Step};
use super::state::{By, Client, Doing, Fate, Image, Named, Pair, Reach, Stage, State, WHOLE, Write};
use super::told::Event;

/// The successors of one state.
pub(super) struct Successors<'r> {
    pub(super) protocol: Protocol,
    pub(super) real: &'r mut Real,
    pub(super) from: State,
    pub(super) found: Vec<(Event, State)>,
    /// An application over a content that its author did not see.
    pub(super) lost: Option<Event>,
}

impl<'r> Successors<'r> {
    pub(super) fn of(protocol: Protocol, real: &'r mut Real, from: State) -> Self {
        let mut this = Successors { protocol, real, from, found: Vec::new(), lost: None };
        for client in 0..this.from.clients.len() {
            this.client_steps(client);
        }
        this.all_write_steps();
        this.slot_steps();
        this.origin_steps();
        this.life_steps();
        this.name_steps();
        this
    }

    pub(super) fn broken(&self, broken: Broken) -> bool {
        self.protocol.is_broken(broken)
    }

    pub(super) fn go(&mut self, event: Event, to: State) {
        self.found.push((event, to));
    }

    /// The version of a key as writes see it.
    pub(super) fn version(protocol: Protocol, real: &mut Real, image: Image, key: usize) -> u8 {
        let view = real.view(image);
        if protocol.whole && !protocol.is_broken(Broken::VersionOfTheWholeNotJudged) {
            view.version[key].max(view.version[WHOLE])
        } else {
            view.version[key]
        }
    }

    /// What a read is stamped with.
    fn stamp(&mut self, image: Image, key: usize) -> u8 {
        if !self.protocol.lag || self.broken(Broken::LaggingReadsStampedAsCurrent) {
            return Self::version(self.protocol, self.real, image, key);
        }
        let view = self.real.view(image);
        if self.protocol.whole { view.stamp[key].max(view.stamp[WHOLE]) } else { view.stamp[key] }
    }

    /// The processes that serve reads.
    fn serving(&self) -> impl Iterator<Item = (By, Image)> + use<> {
        [By::Newest, By::Old].map(|by| self.from.image_of(by).map(|image| (by, image))).into_iter().flatten()
    }

    /// The processes that judge writes.
    fn judging(&self) -> impl Iterator<Item = (By, Image)> + use<> {
        let newest = self.from.stage == Stage::Judging && self.from.named.open;
        // Before its successor judges, as R12 has it, the old one may.
        let old = !newest || self.broken(Broken::SuccessorJudgesBesideTheOldOne);
        self.serving().filter(move |(by, _)| if *by == By::Newest { newest } else { old })
    }

    pub(super) fn content_of(&self, key: usize) -> usize {
        if self.protocol.renaming || self.broken(Broken::TwoSlotsForOneResource) { 0 } else { key }
    }

    /// The slots that clients' requests name.
    fn keys(&self) -> std::ops::Range<usize> {
        let Named { slot, .. } = self.from.named;
        if self.protocol.renaming { slot..slot + 1 } else { 0..self.protocol.keys }
    }

    fn client_steps(&mut self, client: usize) {
        let Client { knows, doing } = self.from.clients[client];
        match doing {
            Doing::Nothing => {
                // A protocol in which names keep their slots stamps nothing until they open.
                let stamps = self.from.named.open || !self.broken(Broken::NameComesBackWithItsVersions);
                for (by, image) in self.serving().filter(|_| stamps) {
                    for key in self.keys() {
                        self.begin_read(client, by, image, key);
                    }
                }
                for (by, image) in self.judging() {
                    if let Some(pair) = knows.filter(|pair| self.keys().contains(&pair.key)) {
                        self.write_with_tag(client, by, image, pair);
                    }
                    self.write_blindly(client, by);
                }
            }
            Doing::Reading { content: None, key, .. } => self.origin_reads(client, key, doing),
            Doing::Reading { by, key, stamp, content: Some(content) } => {
                let image = self.from.image_of(by).expect("its process is there");
                let tag = stamp.unwrap_or_else(|| Self::version(self.protocol, self.real, image, key));
                let mut to = self.doing(client, Doing::Nothing);
                let pair = Pair { key, content, tag };
                to.clients[client].knows = Some(pair);
                self.go(Event::ReadEnds { client, pair }, to);
            }
            Doing::Waiting { by, pair } => self.turn_comes(client, by, pair),
            Doing::Judged { key, saw } => {
                if self.has_room() {
                    let places = self.places(key, Reach::One, true);
                    let write = self.new_write(By::Newest, key, Reach::One, Some(saw));
                    let to = self.occupy(client, write, &places);
                    self.go(Event::Admitted { client, write }, to);
                }
            }
            Doing::Writing(write) => {
                if self.protocol.leaving {
                    self.leave(client, write);
                }
            }
        }
    }

    fn begin_read(&mut self, client: usize, by: By, image: Image, key: usize) {
        let current = self.stamp(image, key);
        let held = image.holds[key].is_some();
        let mut stamps = vec![Some(current)];
        if self.broken(Broken::TagCapturedWhenTheAnswerArrives) {
            stamps = vec![None];
        } else if self.broken(Broken::StampedWithTheNumberToCome) && held {
            stamps = vec![Some(self.from.sequence + 1)];
        } else if self.protocol.older_stamps {
            let published = image.entries.into_iter().flatten().chain([image.floor]);
            stamps.extend(published.filter(|number| *number < current).map(Some));
        }
        for stamp in stamps {
            let mut to = self.doing(client, Doing::Reading { by, key, stamp, content: None });
            if !self.broken(Broken::TagOnAWeak304) {
                to.clients[client].knows = None;
            }
            self.go(Event::ReadBegins { client, by, key, stamp }, to);
        }
    }

    fn origin_reads(&mut self, client: usize, key: usize, doing: Doing) {
        let Doing::Reading { by, stamp, .. } = doing else { return };
        let resource = self.content_of(key);
        let reads = |content| Doing::Reading { by, key, stamp, content: Some(content) };
        let content = self.from.origin[resource];
        let to = self.doing(client, reads(content));
        self.go(Event::OriginReads { client, content }, to);
        if let Some(content) = self.from.stale[resource] {
            let to = self.doing(client, reads(content));
            self.go(Event::OriginReadsLate { client, content }, to);
        }
        let has = self.from.clients[client].knows.filter(|pair| pair.key == key);
        if let Some(Pair { content, .. }) = has.filter(|_| self.broken(Broken::TagOnAWeak304)) {
            let to = self.doing(client, reads(content));
            self.go(Event::NotModified { client, content }, to);
        }
    }

    fn has_room(&self) -> bool {
        self.from.writes().count() < self.protocol.writes
    }

    fn write_with_tag(&mut self, client: usize, by: By, image: Image, pair: Pair) {
        let current = Self::version(self.protocol, self.real, image, pair.key);
        let busy = self.is_busy(image, &self.places(pair.key, Reach::One, true));
        if self.broken(Broken::TagWithoutContent) && current != pair.tag {
            let mut to = self.from.clone();
            to.clients[client].knows = Some(Pair { tag: current, ..pair });
            self.go(Event::TagOnARefusal { client, tag: current }, to);
        }
        if self.protocol.waiting && busy {
            let to = self.doing(client, Doing::Waiting { by, pair });
            self.go(Event::Waits { client, pair }, to);
        }
        if self.broken(Broken::JudgedAndOccupiedInTwoSteps) {
            if !busy && current == pair.tag {
                let to = self.doing(client, Doing::Judged { key: pair.key, saw: pair.content });
                self.go(Event::Judged { client, key: pair.key }, to);
            }
            return;
        }
        self.begin_write(client, by, pair.key, Reach::One, Some(pair));
        if self.protocol.also && pair.key == 0 {
            self.begin_write(client, by, pair.key, Reach::Both, Some(pair));
        }
        if self.protocol.whole {
            self.begin_write(client, by, pair.key, Reach::All, Some(pair));
        }
    }

    fn write_blindly(&mut self, client: usize, by: By) {
        if !self.protocol.unconditional {
            return;
        }
        for key in self.keys() {
            self.begin_write(client, by, key, Reach::One, None);
            if self.protocol.also {
                self.begin_write(client, by, key, Reach::Both, None);
            }
            if self.protocol.whole {
                self.begin_write(client, by, key, Reach::All, None);
            }
        }
    }

    /// R5: who waited is judged again, in the step that occupies.
    fn turn_comes(&mut self, client: usize, by: By, pair: Pair) {
        if !self.from.named.open || !self.keys().contains(&pair.key) {
            return;
        }
        let image = self.from.image_of(by).expect("its process is there");
        let places = self.places(pair.key, Reach::One, true);
        if self.is_busy(image, &places) || !self.has_room() {
            return;
        }
        let write = self.new_write(by, pair.key, Reach::One, Some(pair.content));
        if self.broken(Broken::WaiterNotJudgedAgain) {
            let to = self.occupy(client, write, &places);
            self.go(Event::Admitted { client, write }, to);
        } else if Self::version(self.protocol, self.real, image, pair.key) == pair.tag {
            self.begin_write(client, by, pair.key, Reach::One, Some(pair));
        } else {
            let to = self.doing(client, Doing::Nothing);
            self.go(Event::RefusedInTheEnd { client }, to);
        }
    }

    /// Every slot that a write occupies: the target first, as the ledger does.
    pub(super) fn places(&self, key: usize, reach: Reach, conditional: bool) -> Vec<(usize, HoldMode)> {
        let mode = if conditional { HoldMode::Exclusive } else { HoldMode::Shared };
        let mut places = vec![(key, mode)];
        if self.protocol.whole {
            places.push((WHOLE, if reach == Reach::All { mode } else { HoldMode::Member }));
        }
        if reach == Reach::Both && !self.broken(Broken::AlsoChangedNotOccupied) {
            places.push((1 - key, mode));
        }
        places
    }

    fn is_busy(&mut self, image: Image, places: &[(usize, HoldMode)]) -> bool {
        let view = self.real.view(image);
        places.iter().any(|(slot, mode)| {
            let held = image.holds[*slot].map(|hold| hold.mode);
            let blind = match (held, mode) {
                (Some(HoldMode::Shared), HoldMode::Exclusive) => {
                    self.protocol.is_broken(Broken::SharedHoldersDoNotExclude)
                }
                (Some(HoldMode::Member), HoldMode::Exclusive | HoldMode::Shared)
                | (Some(HoldMode::Exclusive | HoldMode::Shared), HoldMode::Member) => {
                    self.protocol.is_broken(Broken::MembersDoNotExcludeAWriteToAll)
                }
                (Some(HoldMode::Exclusive), HoldMode::Exclusive | HoldMode::Shared)
                | (Some(HoldMode::Shared), HoldMode::Shared)
                | (Some(HoldMode::Member), HoldMode::Member)
                | (None, _) => false,
            };
            let at = MODES.iter().position(|known| known == mode).expect("all modes");
            view.busy[*slot][at] && !blind
        })
    }

    /// R5: judges a write and occupies its places, in one step.
    fn begin_write(&mut self, client: usize, by: By, key: usize, reach: Reach, seen: Option<Pair>) {
        let image = self.from.image_of(by).expect("its process is there");
        let write = self.new_write(by, key, reach, seen.map(|pair| pair.content));
        let condition = VersionCondition {
            any_of: seen.map(|pair| [Version(pair.tag.into())].into()),
            none_of: Vec::new(),
        };
        let free = self.broken(Broken::WritesDoNotOccupy)
            || (seen.is_none() && self.broken(Broken::UnconditionalWritesDoNotOccupy));
        let places = if free { Vec::new() } else { self.places(key, reach, seen.is_some()) };
        let current = Self::version(self.protocol, self.real, image, key);
        if !self.has_room()
            || self.is_busy(image, &places)
            || condition.judge(Version(current.into())).is_err()
        {
            return;
        }
        let write = Write { holds: !free, ..write };
        let to = self.occupy(client, write, &places);
        self.go(Event::WriteBegins { client, write, tag: seen.map(|pair| pair.tag) }, to);
    }

    fn new_write(&self, by: By, key: usize, reach: Reach, saw: Option<u8>) -> Write {
        Write {
            by,
            key,
            reach,
            conditional: saw.is_some(),
            saw,
            content: Some(self.from.contents + 1),
            fate: Fate::Pending,
            unknown: false,
            holds: true,
        }
    }

    fn occupy(&mut self, client: usize, write: Write, places: &[(usize, HoldMode)]) -> State {
        let mut to = self.doing(client, Doing::Writing(write));
        to.contents += 1;
        for (slot, mode) in places {
            self.step(&mut to, write.by, Step::Occupy(*slot, *mode));
        }
        to
    }

    /// Runs a real step on the slots of a process. Whether a hold that ended was alone.
    pub(super) fn step(&mut self, to: &mut State, by: By, step: Step) -> bool {
        let Some(image) = to.image_of(by) else { return false };
        let (after, alone) = self.real.step(image, step);
        to.set_image(by, after);
        if let Step::EndChanged(slot, _, Lag::Some) | Step::Touch(slot, _, Lag::Some) = step {
            to.lagging.retain(|other| *other != slot);
            to.lagging.push(slot);
        }
        alone
    }

    fn leave(&mut self, client: usize, write: Write) {
        let mut to = self.doing(client, Doing::Nothing);
        let mut left = write;
        if self.broken(Broken::ReleasedWhenTheClientLeaves) && write.holds {
            self.end(&mut to, &write, true);
            left.holds = false;
        }
        to.orphans.push(left);
        self.go(Event::ClientLeaves { client }, to);
    }

    pub(super) fn doing(&self, client: usize, doing: Doing) -> State {
        let mut to = self.from.clone();
        to.clients[client].doing = doing;
        to
    }
}
