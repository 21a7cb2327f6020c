//! What became of requests that carry an idempotency key: the state machine. Pure: the time comes in as an
//! argument, and what an answer is made of is its owner's business.
//!
//! | state of a key | what a request with it hears | ends with |
//! |---|---|---|
//! | none | nothing: it is the first, and the key is in flight in the same step | |
//! | in flight | that it is in flight | [`Ending`], always: neither time nor want of room ends it |
//! | answered | the first answer | its lifetime, or want of room |
//! | not kept | that it was answered, and the answer is not kept | its lifetime, or want of room |
//! | unknown | that nobody knows what became of it | its lifetime alone |
//!
//! **No two requests with one key are forwarded while the key has an entry.** A key belongs to one request: another
//! one under it hears so in every state. `tests/rules/model_twice.rs` searches every run of a few clients for a
//! second one, and finds one as soon as one of these lines is not kept to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::protocol::Millis;

/// What tells keys apart: whose it is, its route, its method and itself, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub u128);

/// What tells requests apart that carry one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

/// The right to forward the first request with a key. To be ended once.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Ticket(KeyHash);

impl Ticket {
    /// A copy: for a search that follows every run.
    #[must_use]
    pub fn for_another_run(&self) -> Self {
        Ticket(self.0)
    }
}

/// How many keys there are at most, and how many bytes of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Room {
    /// Keys.
    pub keys: usize,
    /// Bytes of the answers together.
    pub bytes: usize,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<A> {
    /// Nothing: this is the first request with it. It is in flight from now on.
    First(Ticket),
    /// The first is in flight.
    InFlight,
    /// It belongs to another request.
    OtherRequest,
    /// The first was answered like this.
    Answered(A),
    /// The first was answered; its answer is not kept.
    NotKept,
    /// Nobody knows what became of the first.
    Unknown,
    /// There is no room for another key.
    Full,
}

/// How a first request ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending<A> {
    /// It was surely not applied, or may be sent again: the key is free.
    Free,
    /// It was answered.
    Answered {
        /// Like this.
        answer: A,
        /// How much of the room that takes.
        bytes: usize,
    },
    /// It was answered, by something that cannot be kept.
    NotKept,
    /// Nobody knows.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State<A> {
    InFlight,
    /// `order` is its place among those that may be forgotten.
    Answered {
        answer: A,
        bytes: usize,
        order: u64,
    },
    NotKept {
        order: u64,
    },
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry<A> {
    fingerprint: Fingerprint,
    state: State<A>,
    /// When it is over; never while it is in flight.
    until: Option<Millis>,
}

/// The keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FirstAnswers<A> {
    room: Room,
    entries: BTreeMap<KeyHash, Entry<A>>,
    /// Those that may be forgotten, in the order in which they ended.
    finished: BTreeMap<u64, KeyHash>,
    /// Those that will be over.
    ends: BTreeSet<(Millis, KeyHash)>,
    bytes: usize,
    order: u64,
    forgotten: u64,
}

impl<A: Clone> FirstAnswers<A> {
    /// None, with room for so many.
    pub fn new(room: Room) -> Self {
        FirstAnswers {
            room,
            entries: BTreeMap::new(),
            finished: BTreeMap::new(),
            ends: BTreeSet::new(),
            bytes: 0,
            order: 0,
            forgotten: 0,
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many answered ones were forgotten before their time, for want of room.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// A request with this key. Looking it up and taking it is one step.
    pub fn begin(&mut self, key: KeyHash, fingerprint: Fingerprint, now: Millis) -> Found<A> {
        self.expire(now);
        if let Some(entry) = self.entries.get(&key) {
            if entry.fingerprint != fingerprint {
                return Found::OtherRequest;
            }
            return match &entry.state {
                State::InFlight => Found::InFlight,
                State::Answered { answer, .. } => Found::Answered(answer.clone()),
                State::NotKept { .. } => Found::NotKept,
                State::Unknown => Found::Unknown,
            };
        }
        if self.entries.len() >= self.room.keys && !self.forget_oldest() {
            return Found::Full;
        }
        self.entries.insert(key, Entry { fingerprint, state: State::InFlight, until: None });
        Found::First(Ticket(key))
    }

    /// The first request with a key has ended; what is kept of it is kept for `lifetime`.
    pub fn end(&mut self, ticket: &Ticket, ending: Ending<A>, now: Millis, lifetime: Duration) {
        self.expire(now);
        let key = ticket.0;
        let Some(entry) = self.entries.remove(&key) else { return };
        let order = self.order;
        let state = match ending {
            Ending::Free => return,
            Ending::Answered { answer, bytes } if bytes <= self.room.bytes => {
                while self.bytes.saturating_add(bytes) > self.room.bytes && self.forget_oldest() {}
                self.bytes = self.bytes.saturating_add(bytes);
                State::Answered { answer, bytes, order }
            }
            Ending::Answered { .. } | Ending::NotKept => State::NotKept { order },
            Ending::Unknown => State::Unknown,
        };
        if !matches!(state, State::Unknown) {
            self.finished.insert(order, key);
            self.order = order.saturating_add(1);
        }
        let lifetime = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let until = Millis(now.0.saturating_add(lifetime));
        self.ends.insert((until, key));
        self.entries.insert(key, Entry { fingerprint: entry.fingerprint, state, until: Some(until) });
    }

    /// Forgets what is over.
    pub fn expire(&mut self, now: Millis) {
        while let Some((_, key)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.remove(key);
        }
    }

    /// Makes room, if anything may go: neither what is in flight nor what is unknown.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, key)) = self.finished.first_key_value() else { return false };
        self.remove(*key);
        self.forgotten = self.forgotten.saturating_add(1);
        true
    }

    fn remove(&mut self, key: KeyHash) {
        let Some(entry) = self.entries.remove(&key) else { return };
        if let Some(until) = entry.until {
            self.ends.remove(&(until, key));
        }
        match entry.state {
            State::Answered { bytes, order, .. } => {
                self.bytes = self.bytes.saturating_sub(bytes);
                self.finished.remove(&order);
            }
            State::NotKept { order } => {
                self.finished.remove(&order);
            }
            State::InFlight | State::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_millis(100);
    const ONE: Fingerprint = Fingerprint(1);

    fn table(keys: usize, bytes: usize) -> FirstAnswers<&'static str> {
        FirstAnswers::new(Room { keys, bytes })
    }

    fn first(table: &mut FirstAnswers<&'static str>, key: u128, now: u64) -> Ticket {
        let found = table.begin(KeyHash(key), ONE, Millis(now));
        let Found::First(ticket) = found else { panic!("not the first: {found:?}") };
        ticket
    }

    fn answered(table: &mut FirstAnswers<&'static str>, key: u128, now: u64, bytes: usize) {
        let ticket = first(table, key, now);
        table.end(&ticket, Ending::Answered { answer: "a", bytes }, Millis(now), LIFE);
    }

    #[test]
    fn a_key_is_taken_once_and_its_answer_is_given_again_for_its_lifetime() {
        let mut table = table(8, 100);
        let ticket = first(&mut table, 7, 0);
        assert_eq!(table.begin(KeyHash(7), ONE, Millis(1_000_000)), Found::InFlight);
        assert_eq!(table.begin(KeyHash(7), Fingerprint(2), Millis(1_000_000)), Found::OtherRequest);
        table.end(&ticket, Ending::Answered { answer: "a", bytes: 1 }, Millis(1_000_000), LIFE);
        assert_eq!(table.begin(KeyHash(7), ONE, Millis(1_000_099)), Found::Answered("a"));
        assert!(matches!(table.begin(KeyHash(7), ONE, Millis(1_000_100)), Found::First(_)));
    }

    #[test]
    fn what_ended_freely_is_the_first_again_and_what_is_unknown_stays_so() {
        let mut table = table(8, 100);
        let ticket = first(&mut table, 7, 0);
        table.end(&ticket, Ending::Free, Millis(0), LIFE);
        let ticket = first(&mut table, 7, 0);
        table.end(&ticket, Ending::Unknown, Millis(0), LIFE);
        assert_eq!(table.begin(KeyHash(7), ONE, Millis(99)), Found::Unknown);
        assert!(matches!(table.begin(KeyHash(7), ONE, Millis(100)), Found::First(_)));
    }

    #[test]
    fn the_oldest_answer_goes_first_for_want_of_keys_and_neither_flight_nor_doubt_ever_goes() {
        let mut table = table(3, 100);
        let _in_flight = first(&mut table, 1, 0);
        let lost = first(&mut table, 2, 0);
        table.end(&lost, Ending::Unknown, Millis(0), LIFE);
        answered(&mut table, 3, 0, 1);
        answered(&mut table, 4, 0, 1);
        assert_eq!((table.len(), table.forgotten()), (3, 1));
        let _held = first(&mut table, 3, 0);
        assert_eq!(table.begin(KeyHash(5), ONE, Millis(0)), Found::Full);
        assert_eq!(table.begin(KeyHash(2), ONE, Millis(0)), Found::Unknown);
        assert_eq!(table.begin(KeyHash(1), ONE, Millis(0)), Found::InFlight);
    }

    #[test]
    fn answers_together_are_no_longer_than_the_room_for_them() {
        let mut table = table(8, 10);
        answered(&mut table, 1, 0, 6);
        answered(&mut table, 2, 0, 4);
        answered(&mut table, 3, 0, 5);
        assert_eq!(table.forgotten(), 1);
        assert_eq!(table.begin(KeyHash(2), ONE, Millis(0)), Found::Answered("a"));
        assert_eq!(table.begin(KeyHash(3), ONE, Millis(0)), Found::Answered("a"));
        answered(&mut table, 4, 0, 11);
        assert_eq!(table.begin(KeyHash(4), ONE, Millis(0)), Found::NotKept);
        table.expire(Millis(100));
        assert_eq!((table.len(), table.bytes), (0, 0));
        assert!(table.finished.is_empty() && table.ends.is_empty());
    }
}
