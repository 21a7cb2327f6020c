//! What happened, in words.

use std::fmt;

use ifmatch::decide::claim::HoldMode;

use super::state::{By, KEYS, Pair, Reach, Stage, Write};

/// What happened. Clients, keys and numbers are those of the run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    ReadBegins { client: usize, by: By, key: usize, stamp: Option<u8> },
    OriginReads { client: usize, content: u8 },
    OriginReadsLate { client: usize, content: u8 },
    NotModified { client: usize, content: u8 },
    ReadEnds { client: usize, pair: Pair },
    WriteBegins { client: usize, write: Write, tag: Option<u8> },
    Waits { client: usize, pair: Pair },
    RefusedInTheEnd { client: usize },
    Judged { client: usize, key: usize },
    Admitted { client: usize, write: Write },
    TagOnARefusal { client: usize, tag: u8 },
    ClientLeaves { client: usize },
    Applied { write: Write, over: u8 },
    OriginRefuses { write: Write },
    Answered { write: Write, tag: Option<u8> },
    ErrorAnswered { write: Write },
    RefusalAnswered { write: Write },
    AnswerLost { write: Write },
    SentAgain { write: Write },
    Accepted { write: Write, tag: u8 },
    SettleEnds { write: Write },
    Forgotten { slot: usize },
    Touched { key: usize },
    LagEnds { slot: usize },
    Bypassed { key: usize, content: u8 },
    Killed { by: By },
    SavesAndEnds,
    SavesAndServesOn,
    StartsWithoutState { floor: u8, judges: Stage },
    GoesOnFromTheFile,
    RestoredSettles { slot: usize, mode: HoldMode },
    Opens { floor: u8 },
    SuccessorStarts { floor: u8 },
    OldEnds,
    Renamed,
    NamesOpen,
}

impl Event {
    /// The resource whose hold ended with a fresh number.
    pub(super) fn published(&self) -> Option<usize> {
        match self {
            Event::Answered { write, .. } => {
                (write.fate == super::state::Fate::Applied && write.holds).then_some(write.key)
            }
            Event::SettleEnds { write } => write.holds.then_some(write.key),
            Event::RestoredSettles { slot, mode } => {
                (*mode != HoldMode::Member && *slot < KEYS).then_some(*slot)
            }
            Event::ReadBegins { .. }
            | Event::OriginReads { .. }
            | Event::OriginReadsLate { .. }
            | Event::NotModified { .. }
            | Event::ReadEnds { .. }
            | Event::WriteBegins { .. }
            | Event::Waits { .. }
            | Event::RefusedInTheEnd { .. }
            | Event::Judged { .. }
            | Event::Admitted { .. }
            | Event::TagOnARefusal { .. }
            | Event::ClientLeaves { .. }
            | Event::Applied { .. }
            | Event::OriginRefuses { .. }
            | Event::ErrorAnswered { .. }
            | Event::RefusalAnswered { .. }
            | Event::AnswerLost { .. }
            | Event::SentAgain { .. }
            | Event::Accepted { .. }
            | Event::Forgotten { .. }
            | Event::Touched { .. }
            | Event::LagEnds { .. }
            | Event::Bypassed { .. }
            | Event::Killed { .. }
            | Event::SavesAndEnds
            | Event::SavesAndServesOn
            | Event::StartsWithoutState { .. }
            | Event::GoesOnFromTheFile
            | Event::Opens { .. }
            | Event::SuccessorStarts { .. }
            | Event::OldEnds
            | Event::Renamed
            | Event::NamesOpen => None,
        }
    }
}

/// Contents are letters, to be told from numbers, which are tags.
struct Content(u8);

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "content {}", char::from(b'a' + self.0))
    }
}

struct Client(usize);

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0 + 1)
    }
}

fn slot_name(slot: usize) -> &'static str {
    ["the order", "the list"].get(slot).copied().unwrap_or("the upstream as a whole")
}

struct Tag(Option<u8>);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(tag) => write!(f, "tag {tag}"),
            None => f.write_str("no tag"),
        }
    }
}

/// "the write of content b"
struct Named<'w>(&'w Write);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.content {
            Some(content) => write!(f, "the write of {}", Content(content)),
            None => f.write_str("the write"),
        }
    }
}

/// "content b to the order"
struct What<'w>(&'w Write);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Write { key, reach, content, .. } = self.0;
        write!(f, "{} to {}", Content(content.unwrap_or_default()), slot_name(*key))?;
        match reach {
            Reach::One => Ok(()),
            Reach::Both => write!(f, " and {}", slot_name(1 - key)),
            Reach::All => f.write_str(" and everything else of its upstream"),
        }
    }
}

/// Said only where there are two processes.
fn process(by: By) -> &'static str {
    match by {
        By::Newest => "",
        By::Old | By::Ended => ", through the old process",
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Event::ReadBegins { client, by, key, stamp } => {
                write!(f, "{} reads {}{}", Client(client), slot_name(key), process(by))?;
                match stamp {
                    Some(stamp) => write!(f, ": to be stamped with tag {stamp}"),
                    None => f.write_str(": to be stamped when the answer is there"),
                }
            }
            Event::OriginReads { client, content } => {
                write!(f, "the origin answers {} with {}", Client(client), Content(content))
            }
            Event::OriginReadsLate { client, content } => {
                write!(f, "the origin's reads lag: it answers {} with {}", Client(client), Content(content))
            }
            Event::NotModified { client, content } => write!(
                f,
                "the origin goes by the date and answers {} with 304, not modified: {} is good still",
                Client(client),
                Content(content)
            ),
            Event::ReadEnds { client, pair } => {
                write!(f, "{} gets {} with tag {}", Client(client), Content(pair.content), pair.tag)
            }
            Event::WriteBegins { client, ref write, tag } => {
                write!(f, "{} writes {} with {}", Client(client), What(write), Tag(tag))?;
                write!(f, "{}: let through", process(write.by))
            }
            Event::Waits { client, pair } => {
                write!(f, "{} wants to write to {} with ", Client(client), slot_name(pair.key))?;
                write!(f, "tag {}, and waits for its turn", pair.tag)
            }
            Event::RefusedInTheEnd { client } => {
                write!(f, "{} is judged again and refused", Client(client))
            }
            Event::Judged { client, key } => {
                write!(f, "{} is found to hold the current tag of {}", Client(client), slot_name(key))
            }
            Event::Admitted { client, ref write } => {
                write!(f, "{} writes {}: let through as judged before", Client(client), What(write))
            }
            Event::TagOnARefusal { client, tag } => {
                write!(f, "{} is refused, and the refusal carries tag {tag}", Client(client))
            }
            Event::ClientLeaves { client } => write!(f, "{} leaves", Client(client)),
            Event::Applied { ref write, over } => {
                write!(f, "the origin applies {}, over {}", Named(write), Content(over))?;
                match write.saw {
                    Some(saw) if saw != over => write!(f, "; its author saw {}", Content(saw)),
                    Some(_) | None => Ok(()),
                }
            }
            Event::OriginRefuses { ref write } => write!(f, "the origin refuses {}", Named(write)),
            Event::Answered { ref write, tag } => {
                write!(f, "{} is answered, with {}", Named(write), Tag(tag))
            }
            Event::ErrorAnswered { ref write } => {
                write!(f, "{} is answered with 500, and the version is kept", Named(write))
            }
            Event::RefusalAnswered { ref write } => {
                write!(f, "{} is answered with 400, and the version is kept", Named(write))
            }
            Event::AnswerLost { ref write } => write!(f, "the answer to {} is lost", Named(write)),
            Event::SentAgain { ref write } => {
                write!(f, "a connection is lost and {} is sent again", Named(write))
            }
            Event::Accepted { ref write, tag } => {
                write!(f, "{} is answered with 202, and with tag {tag}", Named(write))
            }
            Event::SettleEnds { ref write } => write!(f, "the settle time of {} ends", Named(write)),
            Event::Forgotten { slot } => write!(f, "the entry of {} is forgotten", slot_name(slot)),
            Event::Touched { key } => write!(f, "a write to something else changes {}", slot_name(key)),
            Event::LagEnds { slot } => write!(f, "the read lag of {} ends", slot_name(slot)),
            Event::Bypassed { key, content } => {
                write!(f, "somebody writes {} to {} past ifmatch", Content(content), slot_name(key))
            }
            Event::Killed { by: By::Newest } => f.write_str("the process is killed"),
            Event::Killed { by: By::Old | By::Ended } => f.write_str("the old process is killed"),
            Event::SavesAndEnds => f.write_str("the process saves its state and ends"),
            Event::SavesAndServesOn => f.write_str("the process saves its state and serves on"),
            Event::StartsWithoutState { floor, judges } => {
                write!(f, "a process starts without a state, at version {floor}")?;
                f.write_str(if judges == Stage::Judging { ", and judges at once" } else { "" })
            }
            Event::GoesOnFromTheFile => f.write_str("a process starts and goes on from the state file"),
            Event::RestoredSettles { slot, .. } => {
                write!(f, "the settle time of what was held on {} ends", slot_name(slot))
            }
            Event::Opens { floor } => {
                write!(f, "the start's hold ends, at version {floor}: writes are judged now")
            }
            Event::SuccessorStarts { floor } => {
                write!(f, "a second process starts beside the old one, at version {floor}")
            }
            Event::Renamed => f.write_str("the configuration is changed, and the order has another name"),
            Event::NamesOpen => {
                f.write_str("writes under the name of before have ended: those under the new one are judged")
            }
            Event::OldEnds => f.write_str("the old process holds nothing any more, and ends"),
        }
    }
}
