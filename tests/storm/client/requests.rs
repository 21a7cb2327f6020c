//! The requests of a client, what it makes of their answers, and what it writes down of them.

use std::io::Write as _;
use std::sync::atomic::Ordering;

use rand::Rng;
use serde_json::Value;

use super::connection::{Connection, Life, Manner, Outcome};
use super::spelling::Resource;
use super::tally::Group;
use super::{Client, Memory, Seen, Went};
use crate::message::{Head, Trouble};
use crate::record::{ABSENT, Claim, Kind, WriteId, now};

impl Client {
    /// What is there: `Some(None)` is nothing, `None` is not known.
    pub(super) fn read(&mut self, at: usize) -> Option<Option<Seen>> {
        let seen = self.ask(at, "", "read")?;
        self.remember(at, seen.clone());
        Some(seen)
    }

    /// A 304 says that what is remembered is still so.
    pub(super) fn revalidate(&mut self, at: usize) {
        let Some(Memory { now: Some(seen), .. }) = self.memory.get(at).cloned() else { return };
        if seen.tag.is_empty() {
            return;
        }
        if let Some(found) = self.ask(at, &format!("If-None-Match: {}\r\n", seen.tag), "revalidation") {
            self.remember(at, found);
        }
    }

    fn ask(&mut self, at: usize, fields: &str, what: &str) -> Option<Option<Seen>> {
        let path = self.field.resources.get(at)?.spell(&mut self.chance);
        let Life { number: life, fresh_since, .. } = self.connected()?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: storm.example\r\n{fields}\r\n");
        let (began, answered) = (now(), self.exchange(&head, &[], what));
        let (status, head, body) = match answered {
            Outcome::Answer { status, head, body: Ok(body) } => (status, head, body),
            Outcome::Answer { body: Err(trouble), .. } | Outcome::Lost(trouble) => {
                self.lost(&trouble);
                return None;
            }
            Outcome::Left => return None,
        };
        let tag = head.field("etag").unwrap_or_default().to_owned();
        let content = match status {
            200 => id_in(&body)?,
            304 => {
                let known = self.memory.get(at).and_then(|memory| memory.now.clone());
                if known.as_ref().is_some_and(|seen| seen.life < fresh_since) {
                    self.tally.count(Group::DeadTag, "304 TO A DEAD TAG");
                }
                self.note(at, began, &format!("{what} {path} life {life} -> 304 {tag}"));
                return known.map(Some);
            }
            404 if !is_problem(&head) => ABSENT,
            _ => {
                if let Some(kind) = problem(&head, &body) {
                    self.tally.count(Group::Refused, &kind);
                }
                return None;
            }
        };
        self.note(at, began, &format!("{what} {path} life {life} -> {status} {content} {tag}"));
        if content == ABSENT {
            return Some(None);
        }
        if tag.is_empty() && self.field.guarded {
            self.tally.count(Group::Told, "read without a tag");
            return None;
        }
        Some(Some(Seen { content, tag, life }))
    }

    pub(super) fn write(&mut self, at: usize, kind: Kind, known: &[Seen]) -> Went {
        let (Some(resource), Some(life)) = (self.field.resources.get(at).cloned(), self.connected()) else {
            return Went::NotSent;
        };
        self.writes += 1;
        let id = WriteId((u64::from(self.number) + 1) << 40 | self.writes);
        let claim = match kind {
            Kind::Put | Kind::Delete => Claim(known.iter().map(|seen| seen.content).collect()),
            Kind::Create => Claim(vec![ABSENT]),
            Kind::Post | Kind::Blind => Claim(Vec::new()),
        };
        let path = resource.spell(&mut self.chance);
        let stated = self.stated(kind, known);
        let (head, body) = self.request(kind, &path, &stated, id, &claim);
        let dead = !known.is_empty()
            && known.iter().all(|seen| seen.life < life.fresh_since && !seen.tag.is_empty());
        if dead {
            self.tally.with_dead_tags.push(id);
        }
        let began = now();
        let outcome = self.exchange(&head, &body, kind.name());
        let mut tag = String::new();
        let (went, told) = match outcome {
            Outcome::Answer { status, head, body } => {
                tag = head.field("etag").unwrap_or_default().to_owned();
                let kind_of_problem = problem(&head, body.as_deref().unwrap_or_default());
                let went = self.answered(status, kind_of_problem, kind, id);
                (went, status.to_string())
            }
            Outcome::Left => (Went::Unknown, "left".to_owned()),
            Outcome::Lost(trouble) => {
                self.lost(&trouble);
                (Went::Unknown, trouble.name().to_owned())
            }
        };
        let line = format!(
            "{} {path} life {} id {id} claims {claim} {} -> {told} {went:?} {tag}",
            kind.name(),
            life.number,
            stated.trim()
        );
        self.note(at, began, &line);
        let carried = known.iter().any(|seen| seen.life < life.number && seen.life >= life.fresh_since);
        if carried && went != Went::NotSent {
            let how = match &went {
                Went::Acknowledged => "good: acknowledged",
                Went::Refused(kind) => kind.as_str(),
                Went::Told | Went::Unknown | Went::NotSent => "let through, or unknown",
            };
            self.tally.count(Group::CarriedTag, how);
        }
        self.learn(at, kind, id, &went, tag, life.number);
        went
    }

    /// The precondition of a write: one tag, or two in a list or in two fields.
    fn stated(&mut self, kind: Kind, known: &[Seen]) -> String {
        let tags: Vec<&str> =
            known.iter().map(|seen| seen.tag.as_str()).filter(|tag| !tag.is_empty()).collect();
        match kind {
            Kind::Create => "If-None-Match: *\r\n".to_owned(),
            Kind::Post | Kind::Blind => String::new(),
            Kind::Put | Kind::Delete if tags.is_empty() => String::new(),
            Kind::Put | Kind::Delete if self.chance.random_bool(0.5) => {
                tags.iter().map(|tag| format!("If-Match: {tag}\r\n")).collect()
            }
            Kind::Put | Kind::Delete => format!("If-Match: {}\r\n", tags.join(", ")),
        }
    }

    fn request(
        &mut self,
        kind: Kind,
        path: &str,
        stated: &str,
        id: WriteId,
        claim: &Claim,
    ) -> (String, Vec<u8>) {
        let method = match kind {
            Kind::Put | Kind::Create | Kind::Blind => "PUT",
            Kind::Delete => "DELETE",
            Kind::Post => "POST",
        };
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: storm.example\r\nX-Write-Id: {id}\r\nX-Write-Claim: {claim}\r\n{stated}"
        );
        if kind == Kind::Delete {
            return (head + "\r\n", Vec::new());
        }
        let length = match self.chance.random_range(0..100) {
            0 => 300_000,
            1..5 => 20_000,
            _ => self.chance.random_range(1..300),
        };
        let mut body = format!("{{\"id\":\"{id}\",\"base\":\"{claim}\",\"pad\":\"{}\"}}", "x".repeat(length));
        if self.chance.random_bool(0.1) {
            head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        } else {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        }
        (head, body.into_bytes())
    }

    fn answered(&mut self, status: u16, problem: Option<String>, kind: Kind, id: WriteId) -> Went {
        match (status, problem) {
            (_, Some(problem)) => {
                self.tally.count(Group::Refused, &problem);
                if problem == "outcome-unknown" { Went::Unknown } else { Went::Refused(problem) }
            }
            (200..=299, None) if status != 202 => {
                self.tally.count(Group::Acknowledged, kind.name());
                self.tally.acknowledged.push(id);
                self.field.acknowledged.fetch_add(1, Ordering::Relaxed);
                Went::Acknowledged
            }
            (_, None) => {
                self.tally.count(Group::Told, &status.to_string());
                Went::Told
            }
        }
    }

    /// What a client knows after a write.
    fn learn(&mut self, at: usize, kind: Kind, id: WriteId, went: &Went, tag: String, life: u32) {
        let forgets = !self.well_behaved && self.chance.random_bool(0.5);
        let chains = self.well_behaved || self.chance.random_bool(0.8);
        let Some(memory) = self.memory.get_mut(at) else { return };
        match went {
            Went::Acknowledged => {
                let replaces = matches!(kind, Kind::Put | Kind::Create | Kind::Blind);
                let usable = replaces && chains && (!tag.is_empty() || !self.field.guarded);
                memory.before = memory.now.take();
                memory.now = usable.then_some(Seen { content: id, tag, life });
            }
            // An old tag may be tried again: it is for the guard to know whether it is still good.
            Went::Refused(_) | Went::Told | Went::Unknown if forgets => memory.now = None,
            Went::Refused(_) | Went::Told | Went::Unknown | Went::NotSent => {}
        }
    }

    fn remember(&mut self, at: usize, seen: Option<Seen>) {
        if let Some(memory) = self.memory.get_mut(at) {
            memory.before = std::mem::replace(&mut memory.now, seen);
        }
    }

    pub(super) fn connected(&mut self) -> Option<Life> {
        if self.connection.is_none() {
            self.connection = Connection::open(&self.field.lives);
        }
        self.connection.as_ref().map(|connection| connection.life)
    }

    fn exchange(&mut self, head: &str, body: &[u8], what: &str) -> Outcome {
        let manner =
            if self.well_behaved { Manner::Well } else { Manner::draw(&mut self.chance, !body.is_empty()) };
        self.tally.count(Group::Sent, what);
        if let Some(fault) = manner.fault() {
            self.tally.count(Group::Fault, fault);
        }
        let Some(mut connection) = self.connection.take() else { return Outcome::Lost(Trouble::Ended) };
        let (outcome, good) = connection.exchange(head, body, manner, &mut self.chance);
        let leaves = !self.well_behaved && self.chance.random_bool(0.02);
        self.connection = (good && !leaves).then_some(connection);
        outcome
    }

    fn lost(&mut self, trouble: &Trouble) {
        self.tally.count(Group::Lost, trouble.name());
    }

    fn note(&mut self, at: usize, began: u64, line: &str) {
        let name = self.field.resources.get(at).map(Resource::name).unwrap_or_default();
        // For the story of a loss; without it the checker is none the worse.
        drop(writeln!(self.journal, "{began} {} {name} client {} {line}", now(), self.number));
    }
}

fn is_problem(head: &Head) -> bool {
    head.field("content-type").is_some_and(|kind| kind.starts_with("application/problem+json"))
}

/// The kind of a refusal; `None` if it is the origin's own answer.
fn problem(head: &Head, body: &[u8]) -> Option<String> {
    let told = is_problem(head).then(|| serde_json::from_slice::<Value>(body).ok());
    let kind = told?.as_ref().and_then(|body| body.get("kind")?.as_str().map(str::to_owned));
    Some(kind.unwrap_or_else(|| "a refusal without a kind".to_owned()))
}

fn id_in(body: &[u8]) -> Option<WriteId> {
    let body: Value = serde_json::from_slice(body).ok()?;
    WriteId::parse(body.get("id")?.as_str()?)
}
