//! What the origin does with one request, drawn from its seed: usually what it should.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::plan::{APPLIES_WITHIN, RESPONSE_TIMEOUT};

/// When a write is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    Never,
    /// After this time, and then it is answered.
    Before(Duration),
    /// It is answered, and after this time applied.
    After(Duration),
}

/// How much of a request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Whole,
    /// In pieces, slowly.
    Slowly,
    /// The head alone; then comes the answer.
    Head,
    /// The head and a little of the body; then comes the answer.
    Part,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What is true.
    Plain,
    /// This status, whatever is true.
    Status(u16),
    /// These bytes.
    Garbage(&'static str),
    /// An interim answer and nothing else.
    Interim,
    Nothing,
    /// What is true, up to a byte between its first and its last.
    Cut,
    /// What is true, with a body that ends before its stated length.
    Short,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Keep,
    /// Closed without a word, after this time.
    Close(Duration),
    Reset,
}

#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// For the account; empty where nothing is wrong.
    pub name: &'static str,
    pub reading: Reading,
    pub apply: Apply,
    /// Between applying and answering.
    pub wait: Duration,
    pub answer: Answer,
    pub then: Then,
}

/// The most that an honest read-modify-write takes.
const WORK: u64 = 15;
const NOT_APPLIED: [u16; 5] = [400, 403, 409, 422, 429];
const SOMEBODY_ELSE: [u16; 5] = [408, 499, 502, 503, 504];
const GARBAGE: [&str; 5] = [
    "\0\u{1}nonsense\r\n\r\n",
    "HTTP/1.1 abc\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
];

impl Script {
    /// A request that is done as it should be.
    pub fn plain(chance: &mut StdRng) -> Self {
        Script {
            name: "",
            reading: Reading::Whole,
            apply: Apply::Before(up_to(chance, WORK)),
            // So that writes are not answered in the order in which they were applied.
            wait: up_to(chance, WORK),
            answer: Answer::Plain,
            then: Then::Keep,
        }
    }

    /// What becomes of a write.
    pub fn of_write(chance: &mut StdRng) -> Self {
        let plain = Script::plain(chance);
        if !chance.random_bool(0.06) {
            return keep_alive_trouble(plain, chance);
        }
        let late = Apply::After(late(chance));
        let late_or_never = if chance.random_bool(0.7) { late } else { Apply::Never };
        let lost = Script { answer: Answer::Nothing, then: Then::Reset, ..plain };
        let gateway = Answer::Status(*SOMEBODY_ELSE.choose(chance).unwrap_or(&502));
        let garbage = Answer::Garbage(GARBAGE.choose(chance).unwrap_or(&""));
        let close = Then::Close(Duration::ZERO);
        let not_applied = Answer::Status(*NOT_APPLIED.choose(chance).unwrap_or(&400));
        let too_long = RESPONSE_TIMEOUT + up_to(chance, 600);
        match chance.random_range(0..24) {
            0 => {
                Script { name: "reset before the body", reading: Reading::Head, apply: Apply::Never, ..lost }
            }
            1 => {
                Script { name: "reset within the body", reading: Reading::Part, apply: Apply::Never, ..lost }
            }
            2 => Script { name: "applied, then reset", ..lost },
            3 => Script { name: "reset, then applied", apply: late, ..lost },
            4 => Script { name: "closed, then applied", apply: late, then: close, ..lost },
            5 => Script { name: "reset within the answer", answer: Answer::Cut, ..lost },
            6 => Script { name: "closed within the answer", answer: Answer::Cut, then: close, ..plain },
            7 => Script { name: "body shorter than stated", answer: Answer::Short, then: close, ..plain },
            8 => Script { name: "applied, then garbage", answer: garbage, then: close, ..plain },
            9 => Script {
                name: "garbage, then applied",
                answer: garbage,
                then: close,
                apply: late_or_never,
                ..plain
            },
            10 => Script { name: "applied, answered too late", wait: too_long, ..plain },
            11 => Script {
                name: "applied late, answered too late",
                apply: Apply::Before(self::late(chance)),
                wait: up_to(chance, 400),
                ..plain
            },
            12 => Script { name: "500 after applying", answer: Answer::Status(500), ..plain },
            13 => {
                Script { name: "500, not applied", answer: Answer::Status(500), apply: Apply::Never, ..plain }
            }
            14 => Script { name: "408 499 502 503 504 after applying", answer: gateway, ..plain },
            15 | 16 => Script {
                name: "408 499 502 503 504, then applied or not",
                answer: gateway,
                apply: late_or_never,
                ..plain
            },
            17 | 18 => Script {
                name: "202, then applied or not",
                answer: Answer::Status(202),
                apply: late_or_never,
                ..plain
            },
            19 => Script { name: "4xx, not applied", answer: not_applied, apply: Apply::Never, ..plain },
            20 => Script {
                name: "4xx before the body",
                answer: not_applied,
                apply: Apply::Never,
                reading: Reading::Head,
                then: close,
                ..plain
            },
            21 => Script { name: "303 after applying", answer: Answer::Status(303), ..plain },
            22 => {
                Script { name: "1xx and nothing else", answer: Answer::Interim, apply: late_or_never, ..lost }
            }
            _ => Script { name: "read slowly", reading: Reading::Slowly, ..plain },
        }
    }

    /// What becomes of a read. Never a lie about whether something is there: no proxy could know better.
    pub fn of_read(chance: &mut StdRng) -> Self {
        let plain = Script::plain(chance);
        if !chance.random_bool(0.05) {
            return keep_alive_trouble(plain, chance);
        }
        let garbage = Answer::Garbage(GARBAGE.choose(chance).unwrap_or(&""));
        let close = Then::Close(Duration::ZERO);
        match chance.random_range(0..7) {
            0 => Script { name: "read: reset", answer: Answer::Nothing, then: Then::Reset, ..plain },
            1 => Script {
                name: "read: reset within the answer",
                answer: Answer::Cut,
                then: Then::Reset,
                ..plain
            },
            2 => Script { name: "read: closed within the answer", answer: Answer::Cut, then: close, ..plain },
            3 => {
                Script { name: "read: body shorter than stated", answer: Answer::Short, then: close, ..plain }
            }
            4 => Script { name: "read: garbage", answer: garbage, then: close, ..plain },
            5 => Script {
                name: "read: answered too late",
                wait: RESPONSE_TIMEOUT + up_to(chance, 300),
                ..plain
            },
            _ => Script { name: "read: 500", answer: Answer::Status(500), ..plain },
        }
    }
}

/// An honest answer after which the connection is not what it seems.
fn keep_alive_trouble(plain: Script, chance: &mut StdRng) -> Script {
    match chance.random_range(0..200) {
        0..2 => Script { name: "closed after the answer", then: Then::Close(Duration::ZERO), ..plain },
        2..4 => Script { name: "closed while idle", then: Then::Close(up_to(chance, 60)), ..plain },
        4 => Script { name: "reset after the answer", then: Then::Reset, ..plain },
        _ => plain,
    }
}

fn up_to(chance: &mut StdRng, millis: u64) -> Duration {
    Duration::from_millis(chance.random_range(0..=millis))
}

/// Any time at which a write may still be applied; often the last moment.
fn late(chance: &mut StdRng) -> Duration {
    let last = u64::try_from(APPLIES_WITHIN.as_millis()).unwrap_or(0).saturating_sub(10);
    Duration::from_millis(if chance.random_bool(0.3) { last } else { chance.random_range(0..=last) })
}
