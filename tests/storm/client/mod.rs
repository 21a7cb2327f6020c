//! An honest client: it puts a tag on a write only beside the content that it got together with that tag.

pub mod connection;
mod requests;
pub mod spelling;
pub mod tally;

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use self::connection::{Connection, Lives};
use self::spelling::Resource;
use self::tally::{Group, Tally};
use crate::record::{Kind, WriteId};

/// What all clients share.
pub struct Field {
    pub lives: Lives,
    pub resources: Vec<Resource>,
    /// So many of them, from the first one, are for everybody.
    pub shared: usize,
    pub guarded: bool,
    pub over: AtomicBool,
    /// For the progress line.
    pub acknowledged: AtomicU64,
}

/// A content, and the tag that it came with; the tag is empty where no guard is.
#[derive(Clone, Debug)]
struct Seen {
    content: WriteId,
    tag: String,
    /// The life of the proxy that gave it.
    life: u32,
}

/// What a client remembers of a resource.
#[derive(Clone, Default, Debug)]
struct Memory {
    now: Option<Seen>,
    before: Option<Seen>,
}

/// How a write went.
#[derive(Debug, PartialEq, Eq)]
pub enum Went {
    Acknowledged,
    Refused(String),
    /// The origin's answer that is no 2xx.
    Told,
    Unknown,
    NotSent,
}

pub struct Client {
    number: u32,
    field: Arc<Field>,
    chance: StdRng,
    connection: Option<Connection>,
    memory: Vec<Memory>,
    writes: u64,
    /// Since which life every tag is known to be dead.
    tried_since: u32,
    /// Whether it leaves and dawdles.
    pub well_behaved: bool,
    journal: BufWriter<File>,
    pub tally: Tally,
}

impl Client {
    /// Client `number`, whose journal stands in the folder.
    pub fn new(number: u32, seed: u64, field: Arc<Field>, folder: &Path) -> io::Result<Self> {
        let journal = File::create(Self::journal(folder, number))?;
        Ok(Client {
            number,
            chance: StdRng::seed_from_u64(seed ^ (u64::from(number) << 40)),
            connection: None,
            memory: vec![Memory::default(); field.resources.len()],
            field,
            writes: 0,
            tried_since: 0,
            well_behaved: false,
            journal: BufWriter::new(journal),
            tally: Tally::default(),
        })
    }

    pub fn journal(folder: &Path, number: u32) -> PathBuf {
        folder.join(format!("client-{number:03}.log"))
    }

    /// Works until the storm is over.
    pub fn run(mut self) -> Tally {
        while !self.field.over.load(Ordering::Relaxed) {
            self.turn();
            self.pause(0..20);
        }
        drop(self.journal.flush());
        self.tally
    }

    /// Writes to a resource until one write is acknowledged, for as long as `tries` last.
    pub fn write_at_last(&mut self, at: usize, tries: u32) -> bool {
        for _ in 0..tries {
            match self.read(at) {
                Some(Some(_)) => match self.put(at) {
                    Went::Acknowledged => return true,
                    Went::Refused(_) | Went::Told | Went::Unknown | Went::NotSent => {}
                },
                Some(None) if self.write(at, Kind::Create, &[]) == Went::Acknowledged => return true,
                Some(None) | None => {}
            }
            self.pause(50..100);
        }
        drop(self.journal.flush());
        false
    }

    /// PUT with the tag that is remembered, if there is one.
    pub fn put(&mut self, at: usize) -> Went {
        let Some(Memory { now: Some(seen), before }) = self.memory.get(at).cloned() else {
            return Went::NotSent;
        };
        match before {
            Some(before) if self.chance.random_bool(0.1) => self.write(at, Kind::Put, &[seen, before]),
            Some(_) | None => self.write(at, Kind::Put, &[seen]),
        }
    }

    /// A new connection for the next request.
    pub fn reconnect(&mut self) {
        self.connection = None;
    }

    pub fn remembers(&self, at: usize) -> bool {
        self.memory.get(at).is_some_and(|memory| memory.now.is_some())
    }

    fn turn(&mut self) {
        if self.connected().is_none() {
            return self.pause(5..30);
        }
        self.try_dead_tag();
        let resources = self.field.shared;
        // Half of it on a few resources, so that clients do meet.
        let most = if self.chance.random_bool(0.5) { resources.min(7) } else { resources };
        let at = self.chance.random_range(0..most);
        let open = self.field.resources.get(at).is_some_and(|resource| resource.open);
        let went = match self.chance.random_range(0..100) {
            0..15 => return drop(self.read(at)),
            15..20 => return self.revalidate(at),
            20..25 => self.write(at, Kind::Post, &[]),
            25..65 if open => self.write(at, Kind::Blind, &[]),
            25..30 => self.change(at, Kind::Delete),
            30..34 => self.write(at, Kind::Create, &[]),
            _ => self.change(at, Kind::Put),
        };
        match went {
            Went::Refused(kind) if kind == "starting" => self.pause(50..150),
            Went::Refused(_) | Went::Unknown => self.pause(5..40),
            // At once on the tag of the answer, before anybody else comes.
            Went::Acknowledged if self.chance.random_bool(0.4) => drop(self.put(at)),
            Went::Acknowledged | Went::Told | Went::NotSent => {}
        }
    }

    /// A conditional write on what is remembered, or else on what a read finds.
    fn change(&mut self, at: usize, kind: Kind) -> Went {
        if !self.remembers(at) || self.chance.random_bool(0.3) {
            match self.read(at) {
                Some(Some(_)) => {}
                Some(None) => return self.write(at, Kind::Create, &[]),
                None => return Went::NotSent,
            }
        }
        match kind {
            Kind::Delete => {
                let Some(seen) = self.memory.get(at).and_then(|memory| memory.now.clone()) else {
                    return Went::NotSent;
                };
                self.write(at, Kind::Delete, &[seen])
            }
            Kind::Put | Kind::Create | Kind::Post | Kind::Blind => self.put(at),
        }
    }

    /// Once in each new life of the ledger: a tag of the one before, without reading first.
    fn try_dead_tag(&mut self) {
        let Some(life) = self.connected() else { return };
        if self.tried_since == life.fresh_since || !self.field.guarded {
            return;
        }
        self.tried_since = life.fresh_since;
        let dead: Vec<(usize, Seen)> = self
            .memory
            .iter()
            .enumerate()
            .filter_map(|(at, memory)| Some((at, memory.now.clone()?)))
            .filter(|(_, seen)| seen.life < life.fresh_since)
            .collect();
        let Some((at, seen)) = dead.choose(&mut self.chance).cloned() else { return };
        let mut last = "nothing that was heard".to_owned();
        for _ in 0..60 {
            if self.connected().is_none_or(|now| now.fresh_since != life.fresh_since) {
                return self.tally.count(Group::DeadTag, "the proxy ended first");
            }
            match self.write(at, Kind::Put, std::slice::from_ref(&seen)) {
                Went::Refused(kind) if kind == "precondition-failed" => {
                    return self.tally.count(Group::DeadTag, "refused: precondition-failed");
                }
                Went::Acknowledged | Went::Told => {
                    return self.tally.count(Group::DeadTag, "ANSWERED BY THE ORIGIN");
                }
                Went::Refused(kind) => last = kind,
                Went::Unknown | Went::NotSent => {}
            }
            self.pause(50..100);
            if self.field.over.load(Ordering::Relaxed) {
                break;
            }
        }
        self.tally.count(Group::DeadTag, &format!("refused otherwise, to the end: {last}"));
    }

    pub fn pause(&mut self, millis: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.chance.random_range(millis)));
    }
}
