//! Writes to managed resources: admitted by the ledger, forwarded once, settled, then answered.
//!
//! # How long a permit is held at most
//!
//! Whatever a client or an origin does, each wait between the ledger's `begin` and the settlement ends:
//!
//! | wait, in its order | bound |
//! |---|---|
//! | for a place among the writes in flight | none: there is one, or the write is refused |
//! | the look at the origin (`If-Match: *` and the like): HEAD, and GET after a HEAD that failed | each an exchange without a body: see [`exchange`]; once more where a connection proves to be dead |
//! | what is left of a look's answer | nobody waits for it; it is dropped after `body_idle_timeout` |
//! | the write itself | an exchange: `connect_timeout` for each of its steps, `upload_timeout`, `response_timeout` |
//! | the rest of a body that was answered early | the same `upload_timeout`, from when the body began to be sent |
//! | the read-back of `etag_on_put = "verified"`, its body too | `response_timeout` |
//! | the settlement | none: it takes a lock and no more |
//!
//! The exchanges are together bounded by `request_timeout`, counted from the request's head. The settle time
//! of a write of unknown outcome comes on top (rule R8).

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use parking_lot::Mutex;
use siphasher::sip128::SipHasher13;
use tokio::sync::oneshot;

use super::admit::{Admitted, give_up};
use super::ask::{Ask, Named};
use super::body::{AnswerBody, OriginBody};
use super::changes;
use super::in_flight::InFlight;
use super::origin::exchange::exchange;
use super::outgoing::{OutgoingBody, SharedDigest};
use super::pass::{log_no_answer, onward, to_answer, unanswered};
use super::probe;
use super::representation::variant;
use super::unjudged::Unjudged;
use crate::decide::claim::{Claim, judge_shown};
use crate::decide::outcome::{UnknownCause, WriteEnd, WriteOutcome, outcome};
use crate::decide::policy::{EtagOnPut, Mode};
use crate::decide::verdict::Refusal;
use crate::ledger::permit::{Settlement, WritePermit};
use crate::request::method::Effect;
use crate::request::preconditions::CONDITIONAL_FIELDS;
use crate::request::version_tag::{Version, VersionTag};

type Answered = (Response<AnswerBody>, &'static str);

/// Forwards an admitted write in a task of its own, which outlives the client, and hands its answer on.
pub async fn forward(
    ask: Ask,
    named: Named,
    effect: Effect,
    parts: Parts,
    body: OutgoingBody,
    admitted: Admitted,
    forwarding: InFlight,
) -> Answered {
    let (tell, told) = oneshot::channel();
    let metrics = ask.route.metrics.clone();
    let statuses = ask.policy().statuses;
    let path = ask.target.spelled.path().to_owned();
    tokio::spawn(async move {
        let answered = carry(ask, named, effect, parts, body, admitted).await;
        drop(forwarding);
        // A client that has left gets no answer; what was settled stays settled.
        drop(tell.send(answered));
    });
    match told.await {
        Ok(answered) => answered,
        // The task panicked. Its permit went down with it, which holds the resource for the settle time.
        Err(_) => {
            metrics.unknown_outcome(UnknownCause::Abandoned.name());
            tracing::error!("the task that forwarded a write ended without a word");
            (super::refuse::refuse(&unanswered(WriteEnd::Abandoned, false), statuses, &path, None), "unknown")
        }
    }
}

async fn carry(
    ask: Ask,
    named: Named,
    effect: Effect,
    parts: Parts,
    mut body: OutgoingBody,
    admitted: Admitted,
) -> Answered {
    let Admitted { permit, claim, .. } = admitted;
    if claim.probe.is_needed() {
        let shown = show(&ask, &named, &parts, effect, &claim).await;
        match shown {
            Ok(()) => {}
            Err(refusal) if ask.policy().mode == Mode::Observe && refusal.kind.is_conflict() => {
                ask.note_conflict(&parts.headers, Some(&named), &refusal);
            }
            Err(refusal) => {
                give_up(permit).await;
                let outcome = if refusal.kind.is_conflict() { "refused" } else { "unreachable" };
                return (ask.refuse(&parts.headers, Some(&named), &refusal), outcome);
            }
        }
    }
    let verified = ask.policy().etag_on_put == EtagOnPut::Verified && ask.method == Method::PUT;
    let digest = verified.then(Digest::new);
    if let Some(digest) = &digest {
        body = body.digested(digest.sent.clone());
    }
    let request = onward(&ask, &parts, &CONDITIONAL_FIELDS, None, body);
    let sent_at = Instant::now();
    let answered = exchange(&ask.route.pool, request, &ask.bounds, false).await;
    ask.route.metrics.upstream_duration.observe(sent_at.elapsed().as_secs_f64());
    match answered {
        Ok(answer) => settle_answered(&ask, &named, &parts, answer, permit, &claim, digest).await,
        Err(no_answer) => {
            log_no_answer(&ask, &no_answer);
            let settlement = settle(&ask, &named, permit, outcome(no_answer.end, ask.policy())).await;
            let told =
                if matches!(settlement, Some(Settlement::NotApplied)) { "unreachable" } else { "unknown" };
            (ask.refuse(&parts.headers, Some(&named), &unanswered(no_answer.end, false)), told)
        }
    }
}

/// Asks the origin what the preconditions want to know, under the permit, and judges it.
async fn show(ask: &Ask, named: &Named, parts: &Parts, effect: Effect, claim: &Claim) -> Result<(), Refusal> {
    let look = probe::look(ask, parts).await.map_err(|no_answer| {
        log_no_answer(ask, &no_answer);
        unanswered(no_answer.end, true)
    })?;
    // The ledger's times are ours and the modification date is the origin's: compare on its clock.
    let seen_since =
        ask.gateway.ledger.changes_seen_since(named.key, ask.route.whole).map(
            |begun| match SystemTime::now().duration_since(begun) {
                Ok(ago) => look.origin_time.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH),
                Err(_) => look.origin_time,
            },
        );
    judge_shown(claim, look.shown, seen_since, effect, ask.policy())
}

async fn settle_answered(
    ask: &Ask,
    named: &Named,
    parts: &Parts,
    answer: Response<OriginBody>,
    permit: Result<WritePermit, Unjudged>,
    claim: &Claim,
    digest: Option<Digest>,
) -> Answered {
    let status = answer.status();
    let mut ended = outcome(WriteEnd::Answered(status), ask.policy());
    if ended == WriteOutcome::Applied {
        // An origin may answer before it has read the whole body: it can still be applying it.
        let progress = answer.body().request_progress();
        let over = progress.over().await;
        if over.is_err() || !progress.is_sent() {
            ended = outcome(WriteEnd::RequestIncomplete, ask.policy());
        }
    }
    let describes_content = answers_with_tag(ask, status, claim)
        && match digest {
            // Still under the permit, so that nothing comes between the write and this look.
            Some(digest) if ended == WriteOutcome::Applied => digest.reads_back(ask, parts).await,
            Some(_) => false,
            None => true,
        };
    if ended == WriteOutcome::Applied
        && let Ok(permit) = &permit
    {
        changes::touch_named_by(ask, answer.headers(), status, permit);
    }
    let settlement = settle(ask, named, permit, ended).await;
    let tag = match settlement {
        Some(Settlement::Applied { version: Some(version) }) if describes_content => Some(version),
        Some(Settlement::Applied { .. } | Settlement::NotApplied | Settlement::Unknown(_)) | None => None,
    };
    let tag = tag.map(|version| tag_of(ask, named, parts, answer.headers(), version));
    let mut answer = to_answer(ask, answer, &[header::ETAG]);
    if let Some(tag) = tag
        && let Ok(value) = HeaderValue::try_from(tag.to_string())
    {
        answer.headers_mut().insert(header::ETAG, value);
        ask.gateway.reads.note(named.key, tag.version);
    }
    (answer, "answered")
}

/// R4: which answers to a write describe the content that it left behind.
fn answers_with_tag(ask: &Ask, status: StatusCode, claim: &Claim) -> bool {
    // Who patches without having seen the rest does not know what the whole is now.
    let saw_the_rest = claim.condition.any_of.is_some();
    let replaces = ask.method == Method::PUT || (ask.method == Method::PATCH && saw_the_rest);
    let complete = matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT);
    replaces
        && complete
        && match ask.policy().etag_on_put {
            EtagOnPut::Always => true,
            EtagOnPut::Verified => ask.method == Method::PUT,
            EtagOnPut::Never => false,
        }
}

async fn settle(
    ask: &Ask,
    named: &Named,
    permit: Result<WritePermit, Unjudged>,
    ended: WriteOutcome,
) -> Option<Settlement> {
    let permit = match permit {
        Ok(permit) => permit,
        Err(unjudged) => {
            if ended != WriteOutcome::NotApplied {
                ask.gateway.ledger.touch_now(named.key, ask.route.route.upstream.read_lag);
            }
            match ended {
                WriteOutcome::Applied | WriteOutcome::NotApplied => unjudged.ended(),
                WriteOutcome::Unknown(_) => drop(unjudged),
            }
            return None;
        }
    };
    let settlement = permit.settle(ended).await;
    if let Settlement::Unknown(cause) = settlement {
        ask.route.metrics.unknown_outcome(cause.name());
    }
    Some(settlement)
}

/// The fresh tag. Its variant is that of the read that most likely follows: the answer's own
/// representation, or else the one that was sent.
fn tag_of(ask: &Ask, named: &Named, parts: &Parts, answer: &HeaderMap, version: Version) -> VersionTag {
    let ledger = &ask.gateway.ledger;
    let described = if answer.contains_key(header::CONTENT_TYPE) { answer } else { &parts.headers };
    let variant = variant(ledger, ask.target.spelled.as_str(), &parts.headers, described);
    VersionTag::new(ledger.incarnation(), named.key, version, variant)
}

/// What was sent, digested on its way, to compare with a read-back.
struct Digest {
    key: (u64, u64),
    sent: SharedDigest,
}

impl Digest {
    fn new() -> Self {
        let key = (rand::random(), rand::random());
        Digest { key, sent: Arc::new(Mutex::new(SipHasher13::new_with_keys(key.0, key.1))) }
    }

    async fn reads_back(&self, ask: &Ask, parts: &Parts) -> bool {
        let sent = *self.sent.lock();
        probe::reads_back(ask, parts, self.key, &sent).await
    }
}
