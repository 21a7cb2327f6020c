//! An exhaustive search of requests with idempotency keys, breadth first, that runs the real steps of
//! [`FirstAnswers`].
//!
//! In a state stand the keys, the clock, the requests under way and the version of one resource. Clients send
//! requests again and again, under one key or several, with the tag that they read at first; the proxy looks the key
//! up, judges the tag, forwards; the origin applies, refuses, fails, or never hears of it; answers come, too long to
//! be kept or not, or are lost; clients leave; time passes; answers are forgotten for want of room.
//!
//! Beside the keys stands what is true of them, kept by other means: what was forwarded and applied under each,
//! until when that counts, and in which order answered ones may be forgotten.
//!
//! Each line of the table in `src/ledger/first_answers.rs` is broken in turn, in how the steps are put together,
//! never in the steps. `model_twice.txt` has the shortest run for each, and the numbers of states.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use ifmatch::ledger::first_answers::{Ending, Fingerprint, FirstAnswers, Found, KeyHash, Room, Ticket};
use ifmatch::ledger::protocol::Millis;

const TOLD: &str = include_str!("model_twice.txt");
const LIFETIME: u64 = 2;

/// What may be sent: its key, what it is, and the version that it states, if it states one.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    key: u128,
    is: u128,
    tag: Option<u8>,
}

/// A request without a tag, and another one under the same key.
const PAY: Kind = Kind { name: "pay", key: 1, is: 1, tag: None };
const OTHER: Kind = Kind { name: "other", key: 1, is: 2, tag: None };
/// A request that states the first version.
const EDIT: Kind = Kind { name: "edit", key: 2, is: 3, tag: Some(0) };

/// What is searched whole.
struct Bounds {
    name: &'static str,
    kinds: &'static [Kind],
    room: Room,
    sends: u8,
    at_once: usize,
    until: u64,
}

const ROOMY: Room = Room { keys: 4, bytes: 4 };
const TIGHT: Room = Room { keys: 1, bytes: 1 };

const CONFIGURATIONS: [Bounds; 4] = [
    Bounds { name: "retries", kinds: &[PAY, EDIT], room: ROOMY, sends: 5, at_once: 2, until: 0 },
    Bounds {
        name: "one key, two requests",
        kinds: &[PAY, OTHER],
        room: ROOMY,
        sends: 4,
        at_once: 2,
        until: 0,
    },
    Bounds { name: "time", kinds: &[PAY], room: ROOMY, sends: 4, at_once: 2, until: 4 },
    Bounds { name: "want of room", kinds: &[PAY, EDIT], room: TIGHT, sends: 5, at_once: 2, until: 0 },
];

/// A rule that is not kept to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// Looking a key up and taking it are two steps.
    TakenLater,
    /// A client that leaves frees its key.
    FreedByLeaving,
    /// An unknown outcome frees the key.
    UnknownFreed,
    /// What is in flight makes room.
    InFlightForgotten,
    /// What is unknown makes room.
    UnknownForgotten,
    /// What is in flight ends with time.
    InFlightExpires,
    /// An answer is not kept for its lifetime.
    AnswerNotKept,
    /// An answer that is too long frees the key.
    LongAnswerFreed,
    /// Requests are not told apart.
    FingerprintIgnored,
    /// The tag is judged before the key is looked up.
    PreconditionsFirst,
    /// A refusal before anything was forwarded keeps the key.
    RefusalKeepsKey,
}

/// Each with the worst that comes of it.
const MUTATIONS: [(Broken, Violation); 11] = [
    (Broken::TakenLater, Violation::TwoApplications),
    (Broken::FreedByLeaving, Violation::TwoApplications),
    (Broken::UnknownFreed, Violation::UnknownRepeated),
    (Broken::InFlightForgotten, Violation::TwoApplications),
    (Broken::UnknownForgotten, Violation::UnknownRepeated),
    (Broken::InFlightExpires, Violation::TwoApplications),
    (Broken::AnswerNotKept, Violation::TwoApplications),
    (Broken::LongAnswerFreed, Violation::TwoApplications),
    (Broken::FingerprintIgnored, Violation::ForeignAnswer),
    (Broken::PreconditionsFirst, Violation::OwnWriteInTheWay),
    (Broken::RefusalKeepsKey, Violation::KeyLost),
];

/// What must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Violation {
    /// Two applications under one key while its first request counts.
    TwoApplications,
    /// A request of unknown outcome is forwarded again.
    UnknownRepeated,
    /// A request hears the answer to another one.
    ForeignAnswer,
    /// A request hears that its tag is stale, because of what itself was applied.
    OwnWriteInTheWay,
    /// Nothing was forwarded under a key, or what was counts no more, and yet it is not free.
    KeyLost,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// Looked up, and not taken: only where that is two steps.
    Looked,
    Taken,
    Sent,
    Applied,
    Refused,
    Failed,
}

#[derive(PartialEq, Eq, Hash)]
struct Exchange {
    kind: usize,
    ticket: Ticket,
    stage: Stage,
    client_is_here: bool,
    began: u64,
}

impl Clone for Exchange {
    fn clone(&self) -> Self {
        Exchange { ticket: self.ticket.for_another_run(), ..*self }
    }
}

/// What is true of a key under which something was forwarded.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Truth {
    applied: bool,
    unknown: bool,
    /// Which of its requests it was.
    is: u128,
    /// Its place among the answered ones.
    answered: Option<u64>,
    until: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    keys: FirstAnswers<u128>,
    now: u64,
    version: u8,
    sends: u8,
    under_way: Vec<Exchange>,
    truth: BTreeMap<u128, Truth>,
    /// Keys of unknown outcome, which only a broken rule ends.
    lost: Vec<u128>,
    ended: u64,
}

type Step = (String, Result<State, Violation>);

struct Model<'b> {
    bounds: &'b Bounds,
    broken: Broken,
}

impl Model<'_> {
    fn first(&self) -> State {
        State {
            keys: FirstAnswers::new(self.bounds.room),
            now: 0,
            version: 0,
            sends: self.bounds.sends,
            under_way: Vec::new(),
            truth: BTreeMap::new(),
            lost: Vec::new(),
            ended: 0,
        }
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == broken
    }

    fn fingerprint(&self, kind: Kind) -> Fingerprint {
        Fingerprint(if self.is(Broken::FingerprintIgnored) { 0 } else { kind.is })
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        if state.sends > 0 {
            for (at, kind) in self.bounds.kinds.iter().enumerate() {
                if state.under_way.len() < self.bounds.at_once {
                    let mut next = state.clone();
                    next.sends -= 1;
                    let (heard, end) = self.send(&mut next, at, *kind);
                    steps.push((format!("{} is sent: {heard}", kind.name), end.map(|()| next)));
                }
            }
        }
        for at in 0..state.under_way.len() {
            self.go_on(state, at, &mut steps);
        }
        if state.now < self.bounds.until {
            let mut next = state.clone();
            next.now += 1;
            if self.is(Broken::InFlightExpires) {
                for exchange in next.under_way.clone() {
                    if next.now >= exchange.began + LIFETIME {
                        self.end(&mut next, &exchange, Ending::Free, LIFETIME);
                    }
                }
            }
            next.keys.expire(Millis(next.now));
            next.forget_what_is_over();
            steps.push(("time passes".to_owned(), Ok(next)));
        }
        steps
    }

    /// What a request hears at once, if it is not forwarded.
    fn send(&self, state: &mut State, at: usize, kind: Kind) -> (&'static str, Result<(), Violation>) {
        let stale = kind.tag.is_some_and(|tag| tag != state.version);
        if self.is(Broken::PreconditionsFirst) && stale {
            return ("its tag is stale", state.may_be_stale(kind));
        }
        let (key, fingerprint, now) = (KeyHash(kind.key), self.fingerprint(kind), Millis(state.now));
        let mut found = if self.is(Broken::TakenLater) {
            state.keys.clone().begin(key, fingerprint, now)
        } else {
            let forgotten = state.keys.forgotten();
            let found = state.keys.begin(key, fingerprint, now);
            state.forget_oldest(state.keys.forgotten() - forgotten);
            found
        };
        if found == Found::Full && self.makes_room(state) {
            found = state.keys.begin(key, fingerprint, now);
        }
        match found {
            Found::First(ticket) => {
                let mut exchange = Exchange {
                    kind: at,
                    ticket,
                    stage: if self.is(Broken::TakenLater) { Stage::Looked } else { Stage::Taken },
                    client_is_here: true,
                    began: state.now,
                };
                if !stale {
                    state.under_way.push(exchange);
                    return ("it is the first", Ok(()));
                }
                if !self.is(Broken::RefusalKeepsKey) {
                    exchange.stage = Stage::Taken;
                    self.end(state, &exchange, Ending::Free, LIFETIME);
                }
                ("its tag is stale", state.may_be_stale(kind))
            }
            Found::Answered(to) if to == kind.is => ("the first answer", Ok(())),
            Found::Answered(_) => ("the answer to another one", Err(Violation::ForeignAnswer)),
            Found::InFlight => ("the first is in flight", Ok(())),
            Found::OtherRequest => ("the key is another one's", Ok(())),
            Found::NotKept => ("the answer is not kept", Ok(())),
            Found::Unknown => ("nobody knows", Ok(())),
            Found::Full => ("there is no room", Ok(())),
        }
    }

    fn makes_room(&self, state: &mut State) -> bool {
        let ticket = match self.broken {
            Broken::InFlightForgotten => state.under_way.first().map(|e| e.ticket.for_another_run()),
            Broken::UnknownForgotten => state.lost.pop().map(|key| self.ticket_of(state, key)),
            Broken::Nothing
            | Broken::TakenLater
            | Broken::FreedByLeaving
            | Broken::UnknownFreed
            | Broken::InFlightExpires
            | Broken::AnswerNotKept
            | Broken::LongAnswerFreed
            | Broken::FingerprintIgnored
            | Broken::PreconditionsFirst
            | Broken::RefusalKeepsKey => None,
        };
        let Some(ticket) = ticket else { return false };
        state.keys.end(&ticket, Ending::Free, Millis(state.now), Duration::ZERO);
        true
    }

    /// A ticket for a key whose own was ended: made where the key is free.
    fn ticket_of(&self, state: &State, key: u128) -> Ticket {
        let mut new = FirstAnswers::<u128>::new(ROOMY);
        let found = new.begin(KeyHash(key), Fingerprint(0), Millis(state.now));
        let Found::First(ticket) = found else { panic!("a new table knows of {found:?}") };
        ticket
    }

    /// What can become of a request under way.
    fn go_on(&self, state: &State, at: usize, steps: &mut Vec<Step>) {
        let exchange = state.under_way[at].clone();
        let kind = self.bounds.kinds[exchange.kind];
        let name = kind.name;
        let mut step = |what: &str, act: &dyn Fn(&mut State) -> Result<(), Violation>| {
            let mut next = state.clone();
            let end = act(&mut next);
            steps.push((format!("{name} {what}"), end.map(|()| next)));
        };
        let to = |stage: Stage| {
            move |next: &mut State| {
                next.under_way[at].stage = stage;
                Ok(())
            }
        };
        if exchange.client_is_here {
            step("is left by its client", &|next| {
                next.under_way[at].client_is_here = false;
                if self.is(Broken::FreedByLeaving) {
                    self.end(next, &exchange, Ending::Free, LIFETIME);
                }
                Ok(())
            });
        }
        match exchange.stage {
            Stage::Looked => step("is taken", &|next| {
                // Whatever that finds: it was looked up before.
                let _found = next.keys.begin(KeyHash(kind.key), self.fingerprint(kind), Millis(next.now));
                next.under_way[at].stage = Stage::Taken;
                Ok(())
            }),
            Stage::Taken => step("is forwarded", &|next| {
                next.under_way[at].stage = Stage::Sent;
                let truth = next.truth.entry(kind.key).or_insert(Truth { is: kind.is, ..Truth::default() });
                if truth.unknown { Err(Violation::UnknownRepeated) } else { Ok(()) }
            }),
            Stage::Sent => {
                step("is applied", &|next| {
                    next.under_way[at].stage = Stage::Applied;
                    next.version += 1;
                    let truth = next.truth.entry(kind.key).or_default();
                    let before = std::mem::replace(&mut truth.applied, true);
                    if before { Err(Violation::TwoApplications) } else { Ok(()) }
                });
                step("is refused by the origin", &to(Stage::Refused));
                step("fails at the origin", &to(Stage::Failed));
                step("never reaches the origin", &|next| {
                    self.over(next, at, Ending::Free);
                    Ok(())
                });
                step("is lost", &|next| {
                    self.over(next, at, Ending::Unknown);
                    Ok(())
                });
            }
            Stage::Applied | Stage::Refused => {
                step("is answered", &|next| {
                    self.over(next, at, Ending::Answered { answer: kind.is, bytes: 1 });
                    Ok(())
                });
                step("is answered at length", &|next| {
                    self.over(next, at, Ending::NotKept);
                    Ok(())
                });
                step("is answered, and the answer lost", &|next| {
                    self.over(next, at, Ending::Unknown);
                    Ok(())
                });
            }
            Stage::Failed => step("is answered with 500", &|next| {
                self.over(next, at, Ending::Free);
                Ok(())
            }),
        }
    }

    /// A request has ended, and what is true of its key is noted.
    fn over(&self, state: &mut State, at: usize, ending: Ending<u128>) {
        let exchange = state.under_way.remove(at);
        let key = self.bounds.kinds[exchange.kind].key;
        let until = Some(state.now + LIFETIME);
        match &ending {
            Ending::Free => drop(state.truth.remove(&key)),
            Ending::Unknown => {
                let truth = state.truth.entry(key).or_default();
                (truth.unknown, truth.until) = (true, until);
                state.lost.push(key);
            }
            Ending::Answered { .. } | Ending::NotKept => {
                let truth = state.truth.entry(key).or_default();
                (truth.answered, truth.until) = (Some(state.ended), until);
                state.ended += 1;
            }
        }
        let ending = match (self.broken, ending) {
            (Broken::UnknownFreed, Ending::Unknown) | (Broken::LongAnswerFreed, Ending::NotKept) => {
                Ending::Free
            }
            (_, ending) => ending,
        };
        let answered = matches!(ending, Ending::Answered { .. });
        let lifetime = if answered && self.is(Broken::AnswerNotKept) { 0 } else { LIFETIME };
        let forgotten = state.keys.forgotten();
        self.end(state, &exchange, ending, lifetime);
        state.forget_oldest(state.keys.forgotten() - forgotten);
    }

    fn end(&self, state: &mut State, exchange: &Exchange, ending: Ending<u128>, lifetime: u64) {
        let lifetime = Duration::from_millis(lifetime);
        state.keys.end(&exchange.ticket, ending, Millis(state.now), lifetime);
    }

    /// Whether a key is taken that nothing counts under.
    fn loses_a_key(&self, state: &State) -> bool {
        self.bounds.kinds.iter().any(|kind| {
            let in_flight = state.under_way.iter().any(|e| self.bounds.kinds[e.kind].key == kind.key);
            let found = state.keys.clone().begin(KeyHash(kind.key), Fingerprint(kind.is), Millis(state.now));
            let free = matches!(found, Found::First(_) | Found::Full);
            !free && !in_flight && !state.truth.contains_key(&kind.key)
        })
    }
}

impl State {
    /// 412, which may not be because of what the request itself has done.
    fn may_be_stale(&self, kind: Kind) -> Result<(), Violation> {
        let own = self.truth.get(&kind.key).is_some_and(|truth| truth.applied && truth.is == kind.is);
        if own { Err(Violation::OwnWriteInTheWay) } else { Ok(()) }
    }

    fn forget_what_is_over(&mut self) {
        let now = self.now;
        self.truth.retain(|_, truth| truth.until.is_none_or(|until| until > now));
    }

    /// So many answered ones went for want of room: the oldest.
    fn forget_oldest(&mut self, many: u64) {
        for _ in 0..many {
            let oldest = self.truth.iter().filter_map(|(key, truth)| Some((truth.answered?, *key))).min();
            let (_, key) = oldest.expect("an answered one goes where one is forgotten");
            self.truth.remove(&key);
        }
    }
}

struct Searched {
    states: usize,
    violation: Option<(Violation, Vec<String>)>,
}

/// Until something is wrong, or until this is.
fn search(bounds: &Bounds, broken: Broken, wanted: Option<Violation>) -> Searched {
    let model = Model { bounds, broken };
    let mut runs: Vec<(Option<usize>, String)> = vec![(None, String::new())];
    let mut seen = HashSet::from([model.first()]);
    let mut next = VecDeque::from([(model.first(), 0usize)]);
    let run = |runs: &[(Option<usize>, String)], last: usize, step: String| {
        let mut trace = vec![step];
        let mut at = last;
        while let (Some(before), what) = &runs[at] {
            trace.push(what.clone());
            at = *before;
        }
        trace.reverse();
        trace
    };
    while let Some((state, at)) = next.pop_front() {
        for (step, end) in model.steps(&state) {
            let end = match end {
                Ok(state) if seen.contains(&state) => continue,
                Ok(state) if model.loses_a_key(&state) => Err(Violation::KeyLost),
                end => end,
            };
            match end {
                Err(other) if wanted.is_some_and(|wanted| wanted != other) => {}
                Err(violation) => {
                    let trace = run(&runs, at, step);
                    return Searched { states: seen.len(), violation: Some((violation, trace)) };
                }
                Ok(state) => {
                    runs.push((Some(at), step));
                    seen.insert(state.clone());
                    next.push_back((state, runs.len() - 1));
                }
            }
        }
    }
    Searched { states: seen.len(), violation: None }
}

#[test]
fn no_request_with_a_key_is_applied_twice_and_what_is_told_of_it_is_true() {
    let mut told = String::from("## explored\n");
    for bounds in &CONFIGURATIONS {
        let Searched { states, violation } = search(bounds, Broken::Nothing, None);
        if let Some((violation, trace)) = violation {
            panic!("{}: {violation:?}\n{}", bounds.name, trace.join("\n"));
        }
        told += &format!("{}: {states} states\n", bounds.name);
    }
    assert!(TOLD.contains(&told), "model_twice.txt is to have\n{told}");
}

#[test]
fn every_broken_rule_is_found_by_its_shortest_run() {
    let mut told = String::from("## broken rules\n");
    for (broken, worst) in MUTATIONS {
        let mut found =
            CONFIGURATIONS.iter().filter_map(|bounds| search(bounds, broken, Some(worst)).violation);
        let (violation, trace) = found.next().unwrap_or_else(|| panic!("{broken:?} breaks nothing"));
        told += &format!("{broken:?}: {violation:?}\n");
        for step in trace {
            told += &format!("    {step}\n");
        }
    }
    assert!(TOLD.contains(&told), "model_twice.txt is to have\n{told}");
}
