//! Requests that are sent twice: those with an idempotency key, and the last applied write sent again.
//!
//! A key is looked up, and taken, before preconditions are read and before the ledger is asked: whoever sends a
//! request again has a tag that its own first one made stale. The write's own task holds the key from then on
//! (see [`outlive`](super::outlive)), reads the answer's content before it passes it on, and keeps it, whether or not
//! its client is still there.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::http1::fields::{FieldValue, Fields};
use crate::http1::message::{Answer, RequestParts as Parts};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use parking_lot::Mutex;

use super::ask::{Ask, Named};
use super::body::AnswerBody;
use super::outlive::Carried;
use crate::config::checked::Ledger;
use crate::decide::already_applied::{LastWrite, WriteDigest};
use crate::decide::idempotency::{
    IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED, IdempotencyPolicy, Keeping, SentBefore,
};
use crate::decide::outcome::WriteOutcome;
use crate::decide::policy::AlreadyApplied;
use crate::decide::say;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::identify::content::Content;
use crate::identify::resource_id::ResourceId;
use crate::ledger::first_answers::{Ending, Fingerprint, FirstAnswers, Found, KeyHash, Room, Ticket};
use crate::ledger::keyed_hash::keyed_hash;
use crate::ledger::protocol::Millis;
use crate::request::method::overrides_in_fields;
use crate::request::version_tag::{ResourceKey, Version};

/// What is known of requests that may be sent again.
pub struct SentTwice {
    hash_keys: (u64, u64),
    began: Instant,
    first_answers: Mutex<FirstAnswers<Arc<FirstAnswer>>>,
    last_writes: OnceLock<Box<[LastWriteSlot]>>,
}

type LastWriteSlot = Mutex<Option<(ResourceKey, LastWrite)>>;

/// Resources whose last write is known; those that meet in one slot overwrite each other, and a write sent again
/// then hears that it is stale. As many as are written to while a client waits and tries again.
const LAST_WRITES: usize = 1 << 14;

/// An answer as its client got it.
struct FirstAnswer {
    status: StatusCode,
    fields: Fields,
    content: Bytes,
}

/// What an answer takes beside its content and the text of its fields, roughly.
const OVERHEAD: usize = 256;

/// Fields that belong to the moment or the connection of an answer, and to its framing.
const OF_THE_MOMENT: [HeaderName; 8] = [
    header::DATE,
    header::VIA,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Why a request with a key does not go on.
pub enum Again {
    /// It was answered before, like this.
    Answered(Box<Answer<AnswerBody>>),
    /// It is refused.
    Refused(Refusal),
}

/// What an admitted write leaves behind for when it is sent again.
#[derive(Default)]
pub struct Twice {
    turn: Option<Box<Turn>>,
    /// What the write is recognised by.
    pub digest: Option<WriteDigest>,
}

/// A key that was taken for the first request with it. Dropped before anything was forwarded, it frees the key;
/// after that, as by a panic, nobody knows what became of the request.
struct Turn {
    sent: Arc<SentTwice>,
    /// Until it is ended.
    ticket: Option<Ticket>,
    policy: IdempotencyPolicy,
    forwarded: bool,
}

impl SentTwice {
    /// Nothing is known; keys and answers are kept within these limits.
    pub fn new(limits: &Ledger) -> Arc<Self> {
        let room = Room { keys: limits.max_idempotency_keys, bytes: limits.max_idempotency_bytes };
        Arc::new(SentTwice {
            hash_keys: (rand::random(), rand::random()),
            began: Instant::now(),
            first_answers: Mutex::new(FirstAnswers::new(room)),
            last_writes: OnceLock::new(),
        })
    }

    /// How many keys are known, and how many were forgotten before their time.
    pub fn keys_and_forgotten(&self) -> (usize, u64) {
        let first_answers = self.first_answers.lock();
        (first_answers.len(), first_answers.forgotten())
    }

    /// Forgets what is over.
    pub fn tidy(&self) {
        self.first_answers.lock().expire(self.now());
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// 128 bits: two requests that were taken for one would lose the second.
    fn hash(&self, parts: &[&[u8]]) -> u128 {
        keyed_hash(self.hash_keys, parts)
    }

    fn last_write(&self, of: ResourceKey) -> Option<&LastWriteSlot> {
        let slots = self.last_writes.get_or_init(|| (0..LAST_WRITES).map(|_| Mutex::default()).collect());
        let at = usize::try_from(of.0 % LAST_WRITES as u64).ok()?;
        slots.get(at)
    }
}

/// Whether a rule about requests that are sent twice has to read this one's content.
pub fn needs_content(ask: &Ask, fields: &Fields) -> bool {
    let has_key = || {
        let of_method = |policy: &IdempotencyPolicy| policy.methods.contains(&ask.method);
        ask.policy().idempotency.as_ref().is_some_and(of_method) && fields.contains_key(IDEMPOTENCY_KEY)
    };
    has_key() || principal_of_write(ask, fields).is_some()
}

/// Takes the key of a request, if it has one, or tells why there is nothing to forward.
///
/// # Errors
/// What the client hears.
pub fn take_key(ask: &Ask, id: &ResourceId, parts: &Parts, content: Option<&[u8]>) -> Result<Twice, Again> {
    let digest = content.and_then(|content| digest(ask, &parts.headers, content));
    let without_key = Twice { turn: None, digest };
    let Some(policy) = &ask.policy().idempotency else { return Ok(without_key) };
    let key = match policy.key(&ask.method, &parts.headers) {
        Ok(Some(key)) => key,
        Ok(None) => return Ok(without_key),
        Err(why) => return go_on(ask, id, parts, say::no_idempotency_key(why), without_key),
    };
    // Read whole, but where observe mode lets more by than a rule may read.
    let Some(content) = content else { return Ok(without_key) };
    let sent = &ask.gateway.sent_twice;
    let fingerprint = Fingerprint(fingerprint(ask, &parts.headers, content));
    let found = {
        let mut first_answers = sent.first_answers.lock();
        first_answers.begin(key_hash(ask, &parts.headers, &key), fingerprint, sent.now())
    };
    let refusal = match found {
        Found::First(ticket) => {
            let (sent, policy) = (sent.clone(), policy.clone());
            let turn = Turn { sent, ticket: Some(ticket), policy, forwarded: false };
            return Ok(Twice { turn: Some(Box::new(turn)), digest });
        }
        Found::Full => {
            let full = say::too_many_keys();
            return if ask.observes() { Ok(without_key) } else { Err(Again::Refused(full)) };
        }
        Found::Answered(first) => {
            told(ask, SentBefore::Answered);
            return if ask.observes() { Ok(without_key) } else { Err(Again::Answered(first.again())) };
        }
        Found::InFlight => {
            told(ask, SentBefore::InFlight);
            say::idempotency_key_in_use()
        }
        Found::NotKept => {
            told(ask, SentBefore::Answered);
            say::first_answer_not_kept()
        }
        Found::OtherRequest => {
            told(ask, SentBefore::OtherRequest);
            say::idempotency_key_reused()
        }
        Found::Unknown => {
            told(ask, SentBefore::Unknown);
            say::first_outcome_unknown()
        }
    };
    go_on(ask, id, parts, refusal, without_key)
}

/// A conflict stops the request, but for observe mode, which counts it.
fn go_on(ask: &Ask, id: &ResourceId, parts: &Parts, refusal: Refusal, twice: Twice) -> Result<Twice, Again> {
    if !ask.observes() {
        return Err(Again::Refused(refusal));
    }
    ask.note_conflict(&parts.headers, Some(&ask.named(id.clone())), &refusal);
    Ok(twice)
}

fn told(ask: &Ask, before: SentBefore) {
    ask.route.metrics.sent_twice(before, if ask.observes() { "observe" } else { "enforce" });
}

/// Without a principal, by configuration or because the request states none, the key alone tells requests apart.
fn key_hash(ask: &Ask, fields: &Fields, key: &str) -> KeyHash {
    let principal = ask.principal(fields);
    let stated: &[u8] = if principal.is_some() { b"stated" } else { b"nobody" };
    KeyHash(ask.gateway.sent_twice.hash(&[
        b"key",
        stated,
        principal.unwrap_or_default(),
        ask.policy().name.as_bytes(),
        ask.method.as_str().as_bytes(),
        key.as_bytes(),
    ]))
}

/// What makes two requests the same one. The host is part of it, so that no answer goes to another one's client,
/// and so is what the content is coded with and every other method that is stated.
fn fingerprint(ask: &Ask, fields: &Fields, content: &[u8]) -> u128 {
    let host = ask.target.host().map(str::to_ascii_lowercase).unwrap_or_default();
    let mut parts = vec![
        b"request".as_slice(),
        host.as_bytes(),
        ask.method.as_str().as_bytes(),
        ask.target.spelled.as_str().as_bytes(),
        content,
    ];
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        let before = parts.len();
        parts.extend(fields.get_all(&name).map(FieldValue::as_bytes));
        // Where the one ends and the other begins.
        parts.push(if parts.len() == before { b"none" } else { b"end" });
    }
    parts.extend(overrides_in_fields(fields));
    ask.gateway.sent_twice.hash(&parts)
}

/// Who sends a conditional write that is to be recognised when it is sent again.
fn principal_of_write<'f>(ask: &Ask, fields: &'f Fields) -> Option<&'f [u8]> {
    let answers = ask.policy().already_applied == AlreadyApplied::Answer;
    if !answers || !fields.contains_key(header::IF_MATCH) { None } else { ask.principal(fields) }
}

fn digest(ask: &Ask, fields: &Fields, content: &[u8]) -> Option<WriteDigest> {
    let principal = principal_of_write(ask, fields)?;
    let request = fingerprint(ask, fields, content).to_be_bytes();
    let mut parts = vec![b"write".as_slice(), principal, &request];
    parts.extend(fields.get_all(header::IF_MATCH).map(FieldValue::as_bytes));
    Some(WriteDigest(ask.gateway.sent_twice.hash(&parts)))
}

/// Notes an applied write that left this version behind, and how it was answered.
pub fn note_applied(
    ask: &Ask,
    named: &Named,
    digest: Option<WriteDigest>,
    left: Option<Version>,
    answer: &Answer<AnswerBody>,
) {
    let Some((digest, left)) = digest.zip(left) else { return };
    let field = |name| answer.headers().get_owned(name);
    let last = LastWrite::new(digest, left, answer.status(), field(header::ETAG), field(header::LOCATION));
    if let Some(slot) = ask.gateway.sent_twice.last_write(named.key) {
        *slot.lock() = last.map(|last| (named.key, last));
    }
}

/// The answer to a write that was refused like this, if it is the last applied one.
pub fn already_applied(
    ask: &Ask,
    named: &Named,
    refusal: &Refusal,
    digest: Option<WriteDigest>,
) -> Option<Answer<AnswerBody>> {
    let last = found_applied(ask, named, refusal, digest)?;
    let mut answer = Answer::new(AnswerBody::fixed(""));
    *answer.status_mut() = last.status;
    let fields = [(header::ETAG, last.etag), (header::LOCATION, last.location)];
    for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        answer.headers_mut().insert(name, value);
    }
    mark(&mut answer);
    Some(answer)
}

/// The same for observe mode, which only counts it.
pub fn would_be_answered(
    ask: &Ask,
    named: &Named,
    refusal: &Refusal,
    fields: &Fields,
    content: Option<&Content<'_>>,
) -> bool {
    let digest = content.and_then(|content| digest(ask, fields, content.bytes()));
    found_applied(ask, named, refusal, digest).is_some()
}

fn found_applied(
    ask: &Ask,
    named: &Named,
    refusal: &Refusal,
    digest: Option<WriteDigest>,
) -> Option<LastWrite> {
    let digest = digest.filter(|_| refusal.kind == RefusalKind::PreconditionFailed)?;
    let slot = ask.gateway.sent_twice.last_write(named.key)?;
    let (_, last) = slot.lock().clone().filter(|(key, _)| *key == named.key)?;
    // Looked up last: a version that is still the current one was so all the time.
    let current = ask.gateway.ledger.version(named.key, ask.route.whole);
    if !last.is(digest, current) {
        return None;
    }
    told(ask, SentBefore::AlreadyApplied);
    Some(last)
}

fn mark(answer: &mut Answer<AnswerBody>) {
    answer.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
}

impl FirstAnswer {
    fn again(&self) -> Box<Answer<AnswerBody>> {
        let mut answer = Answer::new(AnswerBody::fixed(self.content.clone()));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.fields.clone();
        mark(&mut answer);
        Box::new(answer)
    }

    fn bytes(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        OVERHEAD.saturating_add(fields).saturating_add(self.content.len())
    }
}

impl Twice {
    /// Whether its answer is to be kept.
    pub fn keeps_answers(&self) -> bool {
        self.turn.is_some()
    }

    /// The request is forwarded from here on.
    pub fn forwards(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.forwarded = true;
        }
    }

    /// No answer came, and this is what that means.
    pub fn unanswered(mut self, outcome: WriteOutcome) {
        if let Some(turn) = self.turn.take() {
            turn.end(match outcome {
                WriteOutcome::NotApplied => Ending::Free,
                WriteOutcome::Applied | WriteOutcome::Unknown(_) => Ending::Unknown,
            });
        }
    }

    /// Keeps the origin's answer, as it goes out to the client.
    pub async fn keep(mut self, ask: &Ask, carried: Carried) -> Carried {
        let Some(turn) = self.turn.take() else { return carried };
        let Carried { answered: (answer, ended_as), outcome } = carried;
        let status = answer.status();
        let ended = outcome.unwrap_or(WriteOutcome::NotApplied);
        let answer = match turn.policy.keeps(status, ended) {
            Keeping::Nothing => {
                turn.end(Ending::Free);
                answer
            }
            Keeping::Unknown => {
                turn.end(Ending::Unknown);
                answer
            }
            // Nobody hears it again.
            Keeping::Answer if ask.observes() => {
                turn.end(Ending::NotKept);
                answer
            }
            Keeping::Answer => {
                let (head, mut body) = answer.into_parts();
                let content = body.read_ahead(ask.route.route.body_limit).await;
                turn.end(match content {
                    Some(content) => {
                        let mut fields = head.headers.to_be_kept();
                        for name in OF_THE_MOMENT {
                            fields.remove(name);
                        }
                        let first = FirstAnswer { status, fields, content };
                        Ending::Answered { bytes: first.bytes(), answer: Arc::new(first) }
                    }
                    None => Ending::NotKept,
                });
                Answer::from_parts(head, body)
            }
        };
        Carried { answered: (answer, ended_as), outcome }
    }
}

impl Turn {
    fn end(mut self, ending: Ending<Arc<FirstAnswer>>) {
        self.ends(ending);
    }

    fn ends(&mut self, ending: Ending<Arc<FirstAnswer>>) {
        if let Some(ticket) = self.ticket.take() {
            let mut first_answers = self.sent.first_answers.lock();
            first_answers.end(&ticket, ending, self.sent.now(), self.policy.lifetime);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.ends(if self.forwarded { Ending::Unknown } else { Ending::Free });
    }
}
