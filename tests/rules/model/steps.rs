//! What can happen in a state, by the rules or with one of them broken.

use std::fmt;

use ifmatch::decide::claim::{HoldMode, VersionCondition};
use ifmatch::request::version_tag::Version;

use super::real::{MODES, Real, Step};
use super::state::{Client, Doing, Fate, Image, KEYS, Pair, Reach, SLOTS, State, WHOLE, Write};

/// A rule that is broken. The steps of the ledger stay the real ones; what is broken is how they are
/// put together, or what is left of the slots after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Nothing,
    /// R2: both keys are one resource at the origin.
    TwoSlotsForOneResource,
    /// R3
    TagCapturedWhenTheAnswerArrives,
    /// R4
    TagWithoutContent,
    /// R4
    TagToAnOverlappedWriter,
    /// R5
    JudgedAndOccupiedInTwoSteps,
    /// R5
    WaiterNotJudgedAgain,
    /// R5
    UnconditionalWritesDoNotOccupy,
    /// R5
    SharedHoldersDoNotExclude,
    /// R5
    AlsoChangedNotOccupied,
    /// R5
    MembersDoNotExcludeAWriteToAll,
    /// R6
    ReleasedWhenTheClientLeaves,
    /// R6
    SentAgainAfterALoss,
    /// R7
    AcceptedOnlyTakenAsApplied,
    /// R7
    VersionKeptOnUnknown,
    /// R7
    VersionOfTheWholeNotJudged,
    /// R8
    FreshNumberAtTheStartAndFreed,
    /// R8
    FreshNumberAtTheStartAndHeld,
    /// R9
    FloorNotRaised,
    /// R9
    FloorAssigned,
    /// R9
    OccupiedEntriesForgotten,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protocol {
    pub(super) broken: Broken,
    pub(super) clients: usize,
    pub(super) keys: usize,
    /// Writes under way at a time.
    pub(super) writes: usize,
    pub(super) unconditional: bool,
    pub(super) unknown: bool,
    pub(super) leaving: bool,
    pub(super) forgetting: bool,
    pub(super) touching: bool,
    /// Writes that change both keys.
    pub(super) also: bool,
    /// Writes that change everything, and every write a member of the whole.
    pub(super) whole: bool,
}

/// What happened. Clients, keys and numbers are those of the run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    ReadBegins { client: usize, key: usize, stamp: Option<u8> },
    OriginReads { client: usize, content: u8 },
    ReadEnds { client: usize, pair: Pair },
    WriteBegins { client: usize, write: Write, tag: Option<u8> },
    Judged { client: usize, key: usize, waits: bool },
    Admitted { client: usize, write: Write },
    TagOnARefusal { client: usize, tag: u8 },
    ClientLeaves { client: usize },
    Applied { write: Write, over: u8 },
    OriginRefuses { write: Write },
    Answered { write: Write, tag: Option<u8> },
    AnswerLost { write: Write },
    Accepted { write: Write, tag: u8 },
    SettleEnds { write: Write },
    Forgotten { slot: usize },
    Touched { key: usize },
}

/// Whose write something happens to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Author {
    Client(usize),
    Gone(usize),
}

/// The successors of one state.
pub(super) struct Successors<'r> {
    pub(super) protocol: Protocol,
    real: &'r mut Real,
    from: State,
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
        let authors = (0..this.from.clients.len()).map(Author::Client);
        for author in authors.chain((0..this.from.orphans.len()).map(Author::Gone)) {
            if let Some(write) = this.write_of(author) {
                this.write_steps(author, write);
            }
        }
        this.slot_steps();
        this
    }

    fn broken(&self, broken: Broken) -> bool {
        self.protocol.broken == broken
    }

    fn go(&mut self, event: Event, to: State) {
        self.found.push((event, to));
    }

    /// The version of a key as reads and writes see it.
    pub(super) fn version(protocol: Protocol, real: &mut Real, image: Image, key: usize) -> u8 {
        let view = real.view(image);
        if protocol.whole && protocol.broken != Broken::VersionOfTheWholeNotJudged {
            view.version[key].max(view.version[WHOLE])
        } else {
            view.version[key]
        }
    }

    fn current(&mut self, key: usize) -> u8 {
        Self::version(self.protocol, self.real, self.from.image, key)
    }

    fn content_of(&self, key: usize) -> usize {
        if self.broken(Broken::TwoSlotsForOneResource) { 0 } else { key }
    }

    fn client_steps(&mut self, client: usize) {
        let Client { knows, doing } = self.from.clients[client];
        match doing {
            Doing::Nothing => {
                for key in 0..self.protocol.keys {
                    self.begin_read(client, key);
                }
                let room = self.from.writes().count() < self.protocol.writes;
                if let Some(pair) = knows {
                    self.write_with_tag(client, pair, room);
                }
                if self.protocol.unconditional && room {
                    for key in 0..self.protocol.keys {
                        self.begin_write(client, key, Reach::One, None);
                        if self.protocol.also {
                            self.begin_write(client, key, Reach::Both, None);
                        }
                        if self.protocol.whole {
                            self.begin_write(client, key, Reach::All, None);
                        }
                    }
                }
            }
            Doing::Reading { key, stamp, content: None } => {
                let content = self.from.origin[self.content_of(key)];
                let to = self.doing(client, Doing::Reading { key, stamp, content: Some(content) });
                self.go(Event::OriginReads { client, content }, to);
            }
            Doing::Reading { key, stamp, content: Some(content) } => {
                let tag = stamp.unwrap_or_else(|| self.current(key));
                let mut to = self.doing(client, Doing::Nothing);
                let pair = Pair { key, content, tag };
                to.clients[client].knows = Some(pair);
                self.go(Event::ReadEnds { client, pair }, to);
            }
            Doing::Judged { waits, key, saw } => {
                let places = self.places(key, Reach::One, true);
                if self.from.writes().count() < self.protocol.writes && !(waits && self.is_busy(&places)) {
                    let write = self.new_write(key, Reach::One, Some(saw));
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

    fn begin_read(&mut self, client: usize, key: usize) {
        let late = self.broken(Broken::TagCapturedWhenTheAnswerArrives);
        let stamp = if late { None } else { Some(self.current(key)) };
        let mut to = self.doing(client, Doing::Reading { key, stamp, content: None });
        to.clients[client].knows = None;
        self.go(Event::ReadBegins { client, key, stamp }, to);
    }

    fn write_with_tag(&mut self, client: usize, pair: Pair, room: bool) {
        let current = self.current(pair.key);
        let places = self.places(pair.key, Reach::One, true);
        let busy = self.is_busy(&places);
        if self.broken(Broken::TagWithoutContent) && current != pair.tag {
            let mut to = self.from.clone();
            to.clients[client].knows = Some(Pair { tag: current, ..pair });
            self.go(Event::TagOnARefusal { client, tag: current }, to);
        }
        let steps = self.broken(Broken::JudgedAndOccupiedInTwoSteps) && !busy;
        let waits = self.broken(Broken::WaiterNotJudgedAgain) && busy;
        if (steps || waits) && current == pair.tag {
            let to = self.doing(client, Doing::Judged { waits, key: pair.key, saw: pair.content });
            self.go(Event::Judged { client, key: pair.key, waits }, to);
        }
        if !room || steps {
            return;
        }
        self.begin_write(client, pair.key, Reach::One, Some(pair));
        if self.protocol.also && pair.key == 0 {
            self.begin_write(client, pair.key, Reach::Both, Some(pair));
        }
        if self.protocol.whole {
            self.begin_write(client, pair.key, Reach::All, Some(pair));
        }
    }

    /// Every slot that a write occupies: the target first, as the ledger does.
    fn places(&self, key: usize, reach: Reach, conditional: bool) -> Vec<(usize, HoldMode)> {
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

    fn is_busy(&mut self, places: &[(usize, HoldMode)]) -> bool {
        let view = self.real.view(self.from.image);
        places.iter().any(|(slot, mode)| {
            let held = self.from.image.holds[*slot].map(|hold| hold.mode);
            let blind = match (held, mode) {
                (Some(HoldMode::Shared), HoldMode::Exclusive) => {
                    self.protocol.broken == Broken::SharedHoldersDoNotExclude
                }
                (Some(HoldMode::Member), HoldMode::Exclusive | HoldMode::Shared)
                | (Some(HoldMode::Exclusive | HoldMode::Shared), HoldMode::Member) => {
                    self.protocol.broken == Broken::MembersDoNotExcludeAWriteToAll
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

    fn begin_write(&mut self, client: usize, key: usize, reach: Reach, seen: Option<Pair>) {
        let write = self.new_write(key, reach, seen.map(|pair| pair.content));
        let condition =
            VersionCondition { any_of: seen.map(|pair| vec![Version(pair.tag.into())]), none_of: Vec::new() };
        let free = seen.is_none() && self.broken(Broken::UnconditionalWritesDoNotOccupy);
        let places = if free { Vec::new() } else { self.places(key, reach, seen.is_some()) };
        let current = self.current(key);
        if self.is_busy(&places) || condition.judge(Version(current.into())).is_err() {
            return;
        }
        let write = Write { holds: !free, ..write };
        let to = self.occupy(client, write, &places);
        self.go(Event::WriteBegins { client, write, tag: seen.map(|pair| pair.tag) }, to);
    }

    fn new_write(&self, key: usize, reach: Reach, saw: Option<u8>) -> Write {
        Write {
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
            to.image = self.real.step(to.image, Step::Occupy(*slot, *mode)).0;
        }
        to
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

    fn doing(&self, client: usize, doing: Doing) -> State {
        let mut to = self.from.clone();
        to.clients[client].doing = doing;
        to
    }

    fn write_of(&self, author: Author) -> Option<Write> {
        match author {
            Author::Gone(at) => Some(self.from.orphans[at]),
            Author::Client(client) => match self.from.clients[client].doing {
                Doing::Writing(write) => Some(write),
                Doing::Nothing | Doing::Reading { .. } | Doing::Judged { .. } => None,
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
        if write.unknown {
            let mut to = self.with(author, None);
            if write.holds {
                let kept = self.broken(Broken::VersionKeptOnUnknown)
                    || self.broken(Broken::FreshNumberAtTheStartAndHeld);
                self.end(&mut to, &write, !kept);
            }
            self.go(Event::SettleEnds { write }, to);
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

    fn apply(&mut self, author: Author, write: Write) {
        let mut to = self.with(author, Some(Write { fate: Fate::Applied, ..write }));
        let target = self.content_of(write.key);
        let over = self.from.origin[target];
        let event = Event::Applied { write, over };
        if write.conditional && write.saw != Some(over) {
            self.lost = Some(event);
        }
        if let Some(content) = write.content {
            match write.reach {
                Reach::One => to.origin[target] = content,
                Reach::Both | Reach::All => to.origin = [content; KEYS],
            }
        }
        self.go(event, to);
    }

    fn answer(&mut self, author: Author, write: Write) {
        let mut to = self.with(author, None);
        let mut tag = None;
        if write.holds {
            tag = self.end(&mut to, &write, write.fate == Fate::Applied);
        } else if self.broken(Broken::UnconditionalWritesDoNotOccupy) {
            to.sequence += 1;
            to.image = self.real.step(to.image, Step::Touch(write.key, to.sequence)).0;
        }
        tag = tag.filter(|_| write.fate == Fate::Applied);
        self.give_tag(author, &write, tag, &mut to);
        self.go(Event::Answered { write, tag }, to);
    }

    fn give_tag(&self, author: Author, write: &Write, tag: Option<u8>, to: &mut State) {
        if let (Author::Client(client), Some(tag), Some(content)) = (author, tag, write.content) {
            to.clients[client].knows = Some(Pair { key: write.key, content, tag });
        }
    }

    /// 202, taken for an answer that says "applied".
    fn accept(&mut self, author: Author, write: Write) {
        let mut to = self.with(author, None);
        if let Some(tag) = self.end(&mut to, &write, true) {
            self.give_tag(author, &write, Some(tag), &mut to);
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
            to.sequence += 1;
            to.image = self.real.step(to.image, Step::Touch(write.key, to.sequence)).0;
        } else if self.broken(Broken::SentAgainAfterALoss) {
            if write.fate != Fate::Pending {
                return;
            }
            to.orphans.push(Write { unknown: true, holds: false, ..write });
            self.go(Event::AnswerLost { write }, to);
            return;
        }
        for (slot, _) in self.places(write.key, write.reach, write.conditional) {
            if write.holds {
                to.image = self.real.step(to.image, Step::Unsettle(slot)).0;
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

    /// R7: all places in one step. The tag for the answer, where the author knows what it stands for.
    fn end(&mut self, to: &mut State, write: &Write, changed: bool) -> Option<u8> {
        let mut alone = true;
        for (slot, mode) in self.places(write.key, write.reach, write.conditional).into_iter().rev() {
            let step = if changed && mode != HoldMode::Member {
                to.sequence += 1;
                Step::EndChanged(slot, to.sequence)
            } else {
                Step::EndKept(slot)
            };
            let (image, was_alone) = self.real.step(to.image, step);
            to.image = image;
            alone &= was_alone || !(slot == write.key || slot == WHOLE);
        }
        if changed && write.reach == Reach::Both && self.broken(Broken::AlsoChangedNotOccupied) {
            to.sequence += 1;
            to.image = self.real.step(to.image, Step::Touch(1 - write.key, to.sequence)).0;
        }
        let given = alone || self.broken(Broken::TagToAnOverlappedWriter);
        (given && changed).then(|| Self::version(self.protocol, self.real, to.image, write.key))
    }

    fn slot_steps(&mut self) {
        for slot in 0..SLOTS {
            let Image { floor, entries, holds } = self.from.image;
            let Some(version) = entries[slot].filter(|_| self.protocol.forgetting) else { continue };
            let mut to = self.from.clone();
            if holds[slot].is_some() {
                if !self.broken(Broken::OccupiedEntriesForgotten) {
                    continue;
                }
                to.image.holds[slot] = None;
            }
            to.image = self.real.step(to.image, Step::Forget(slot)).0;
            if self.broken(Broken::FloorNotRaised) {
                to.image.floor = floor;
            } else if self.broken(Broken::FloorAssigned) {
                to.image.floor = version;
            }
            self.go(Event::Forgotten { slot }, to);
        }
        for key in 0..if self.protocol.touching { self.protocol.keys } else { 0 } {
            let mut to = self.from.clone();
            to.sequence += 1;
            to.image = self.real.step(to.image, Step::Touch(key, to.sequence)).0;
            self.go(Event::Touched { key }, to);
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |write: &Write| {
            let content = write.content.map_or("?".to_owned(), |content| format!("c{content}"));
            let beside = match write.reach {
                Reach::One => "",
                Reach::Both => " (and the other key)",
                Reach::All => " (and everything)",
            };
            format!("the write of {content} to key {}{beside}", write.key)
        };
        let tagged = |tag: &Option<u8>| tag.map_or("no tag".to_owned(), |tag| format!("tag {tag}"));
        match self {
            Event::ReadBegins { client, key, stamp: Some(stamp) } => {
                write!(f, "client {client} reads key {key}: stamp {stamp}")
            }
            Event::ReadBegins { client, key, stamp: None } => {
                write!(f, "client {client} reads key {key}: no stamp yet")
            }
            Event::OriginReads { client, content } => {
                write!(f, "the origin reads c{content} for client {client}")
            }
            Event::ReadEnds { client, pair } => {
                write!(f, "client {client} gets c{} with tag {}", pair.content, pair.tag)
            }
            Event::WriteBegins { client, write, tag } => {
                write!(f, "client {client} begins {} with {}", named(write), tagged(tag))
            }
            Event::Judged { client, key, waits } => {
                let how = if *waits { "waits for" } else { "is judged for" };
                write!(f, "client {client} {how} key {key}")
            }
            Event::Admitted { client, write } => {
                write!(f, "client {client} is let through with {}", named(write))
            }
            Event::TagOnARefusal { client, tag } => write!(f, "client {client} is refused, with tag {tag}"),
            Event::ClientLeaves { client } => write!(f, "client {client} leaves"),
            Event::Applied { write, over } => write!(f, "the origin applies {} over c{over}", named(write)),
            Event::OriginRefuses { write } => write!(f, "the origin refuses {}", named(write)),
            Event::Answered { write, tag } => write!(f, "{} is answered, {}", named(write), tagged(tag)),
            Event::AnswerLost { write } => write!(f, "the answer to {} is lost", named(write)),
            Event::Accepted { write, tag } => write!(f, "202 to {}, with tag {tag}", named(write)),
            Event::SettleEnds { write } => write!(f, "the settle time of {} ends", named(write)),
            Event::Forgotten { slot } => write!(f, "slot {slot} is forgotten"),
            Event::Touched { key } => write!(f, "key {key} is touched"),
        }
    }
}
