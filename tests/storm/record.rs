//! The origin's log, one line a fact: what it is, and how it is written and read back.
//!
//! A life of the origin has a file of its own, which begins with the state that it found. A line is one
//! `write(2)`, so a process that is killed leaves whole lines only.

use std::fmt;

/// The name of a write: unique over all clients. 0 stands for "nothing is there".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriteId(pub u64);

/// No content: never written, or deleted.
pub const ABSENT: WriteId = WriteId(0);

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl WriteId {
    pub fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(WriteId)
    }
}

/// The one list: it shows every member, so each write to a member changes it.
pub const LIST: (&str, u32) = ("lists", 7);

/// What holds other content after a write: its resource, and the list if that is a member.
pub fn changed_by(resource: &str, kind: Kind, id: WriteId) -> impl Iterator<Item = (String, WriteId)> {
    let left = if kind == Kind::Delete { ABSENT } else { id };
    let list = resource.starts_with("members/").then(|| (format!("{}/{}", LIST.0, LIST.1), id));
    std::iter::once((resource.to_owned(), left)).chain(list)
}

/// What a write is, as its author means it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// PUT with If-Match.
    Put,
    /// PUT with If-None-Match: *.
    Create,
    /// DELETE with If-Match.
    Delete,
    /// POST: claims nothing.
    Post,
    /// PUT without a precondition, where the route allows it: claims nothing.
    Blind,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Put, Kind::Create, Kind::Delete, Kind::Post, Kind::Blind];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Put => "put",
            Kind::Create => "create",
            Kind::Delete => "delete",
            Kind::Post => "post",
            Kind::Blind => "blind",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.name() == text)
    }

    /// Whether its author says what it replaces.
    pub fn claims(self) -> bool {
        match self {
            Kind::Put | Kind::Create | Kind::Delete => true,
            Kind::Post | Kind::Blind => false,
        }
    }
}

/// The contents that a write's author has seen, any of which it replaces knowingly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim(pub Vec<WriteId>);

impl Claim {
    pub fn parse(text: &str) -> Option<Self> {
        if text == "-" {
            return Some(Claim(Vec::new()));
        }
        text.split('|').map(WriteId::parse).collect::<Option<_>>().map(Claim)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        let ids: Vec<String> = self.0.iter().map(WriteId::to_string).collect();
        f.write_str(&ids.join("|"))
    }
}

/// A write that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub resource: String,
    pub id: WriteId,
    /// What stood there just before.
    pub replaced: WriteId,
    pub claim: Claim,
    pub kind: Kind,
    /// Microseconds since 1970.
    pub at: u64,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// What the origin found of a resource when it began.
    Found {
        resource: String,
        content: WriteId,
    },
    /// A write's head came in.
    Received {
        resource: String,
        id: WriteId,
        at: u64,
    },
    Applied(Applied),
    /// That write was applied outside of the assumption on `settle`.
    Outside {
        id: WriteId,
    },
    /// A write's body was not the one that its author sent.
    Damaged {
        id: WriteId,
    },
    /// The origin did something nasty.
    Fault {
        name: String,
    },
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Found { resource, content } => write!(f, "found {resource} {content}"),
            Record::Received { resource, id, at } => write!(f, "received {resource} {id} {at}"),
            Record::Applied(Applied { resource, id, replaced, claim, kind, at }) => {
                write!(f, "applied {resource} {id} {replaced} {claim} {} {at}", kind.name())
            }
            Record::Outside { id } => write!(f, "outside {id}"),
            Record::Damaged { id } => write!(f, "damaged {id}"),
            Record::Fault { name } => write!(f, "fault {name}"),
        }
    }
}

impl Record {
    /// `None` if the line is not one of the log's.
    pub fn parse(line: &str) -> Option<Self> {
        let (what, rest) = line.split_once(' ')?;
        let mut parts = rest.split(' ');
        let mut next = || parts.next();
        Some(match what {
            "found" => Record::Found { resource: next()?.to_owned(), content: WriteId::parse(next()?)? },
            "received" => Record::Received {
                resource: next()?.to_owned(),
                id: WriteId::parse(next()?)?,
                at: next()?.parse().ok()?,
            },
            "applied" => Record::Applied(Applied {
                resource: next()?.to_owned(),
                id: WriteId::parse(next()?)?,
                replaced: WriteId::parse(next()?)?,
                claim: Claim::parse(next()?)?,
                kind: Kind::parse(next()?)?,
                at: next()?.parse().ok()?,
            }),
            "outside" => Record::Outside { id: WriteId::parse(next()?)? },
            "damaged" => Record::Damaged { id: WriteId::parse(next()?)? },
            "fault" => Record::Fault { name: rest.to_owned() },
            _ => return None,
        })
    }
}

/// Microseconds since 1970, for people who read the logs side by side.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
