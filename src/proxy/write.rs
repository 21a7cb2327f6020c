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
//! of a write of unknown outcome comes on top (rule R8), and the look of `verify_unknown` after it, which
//! takes `response_timeout` at most.

use std::time::{Instant, SystemTime};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::admit::{Admitted, give_up};
use super::ask::{Ask, Named};
use super::body::{AnswerBody, OriginBody};
use super::changes;
use super::gateway::Gateway;
use super::in_flight::InFlight;
use super::origin::exchange::exchange;
use super::outgoing::OutgoingBody;
use super::outlive::{Carried, Teller};
use super::pass::{log_no_answer, onward, to_answer, unanswered};
use super::probe;
use super::refuse::refuse;
use super::representation::variant;
use super::twice;
use super::unjudged::Unjudged;
use super::verify::Sent;
use crate::decide::claim::{Claim, judge_shown};
use crate::decide::outcome::{WriteEnd, WriteOutcome, outcome};
use crate::decide::policy::{EtagOnPut, Mode};
use crate::decide::say;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::ledger::permit::{Look, Settlement, WritePermit};
use crate::request::method::Effect;
use crate::request::preconditions::CONDITIONAL_FIELDS;
use crate::request::version_tag::{Version, VersionTag};

type Answered = (Response<AnswerBody>, &'static str);

/// Forwards an admitted write, which outlives its client, and hands its answer on.
pub async fn forward(
    ask: Box<Ask>,
    named: Named,
    effect: Effect,
    parts: Box<Parts>,
    body: OutgoingBody,
    admitted: Admitted,
    forwarding: InFlight,
) -> Answered {
    let statuses = ask.policy().statuses;
    let (gateway, names_a_state) = (ask.gateway.clone(), admitted.claim.names_a_state());
    let target = ask.target.spelled.clone();
    let teller = Teller::new(
        ask.route.metrics.clone(),
        ask.policy().name.clone(),
        ask.method.clone(),
        named.id.clone(),
    );
    // In a box of its own: it is large, and would be copied each time that it is handed on.
    let work = Box::pin(async move {
        let carried = carry(ask, named, effect, parts, body, admitted).await;
        drop(forwarding);
        carried
    });
    let answered = teller.outlive(work).await;
    answered.unwrap_or_else(|| {
        let abandoned = unheard(&gateway, WriteEnd::Abandoned, names_a_state);
        (refuse(&abandoned, statuses, target.path(), None), "unknown")
    })
}

async fn carry(
    ask: Box<Ask>,
    named: Named,
    effect: Effect,
    parts: Box<Parts>,
    mut body: OutgoingBody,
    admitted: Admitted,
) -> Carried {
    let Admitted { permit, claim, mut twice, .. } = admitted;
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
                let answered = (ask.refuse(&parts.headers, Some(&named), &refusal), outcome);
                return Carried { answered, outcome: None };
            }
        }
    }
    let verified = ask.policy().etag_on_put == EtagOnPut::Verified && ask.method == Method::PUT;
    let mut sent = Sent::of(&ask, &parts, &body, verified);
    sent.digest = twice.digest;
    if let Some(content) = &sent.content {
        body = body.noted_in(content.clone());
    }
    let request = onward(&ask, &parts, &CONDITIONAL_FIELDS, None, body);
    twice.forwards();
    let sent_at = Instant::now();
    let answered = exchange(&ask.route.pool, request, &ask.bounds, false).await;
    ask.route.metrics.upstream_duration.observe(sent_at.elapsed().as_secs_f64());
    match answered {
        Ok(answer) => {
            let carried = settle_answered(&ask, &named, &parts, answer, permit, &claim, &sent).await;
            twice.keep(&ask, carried).await
        }
        Err(no_answer) => {
            log_no_answer(&ask, &no_answer);
            let ended = outcome(no_answer.end, ask.policy());
            let told = if ended == WriteOutcome::NotApplied { "unreachable" } else { "unknown" };
            let unheard = unheard(&ask.gateway, no_answer.end, claim.names_a_state());
            let refusal = ask.refuse(&parts.headers, Some(&named), &unheard);
            let look = || sent.look(&ask, &named, &parts, refusal.status());
            settle(&ask, &named, permit, ended, look).await;
            twice.unanswered(ended);
            Carried { answered: (refusal, told), outcome: Some(ended) }
        }
    }
}

/// What a write's client is told when there is no answer.
fn unheard(gateway: &Gateway, end: WriteEnd, names_a_state: bool) -> Refusal {
    let refusal = unanswered(end, false);
    if !matches!(refusal.kind, RefusalKind::OutcomeUnknown | RefusalKind::OutcomeUnknownInTime) {
        return refusal;
    }
    say::settles_in(refusal, gateway.ledger.settle_time(), names_a_state)
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
    sent: &Sent,
) -> Carried {
    let status = answer.status();
    let mut ended = outcome(WriteEnd::Answered(status), ask.policy());
    if ended == WriteOutcome::Applied {
        // An origin may answer before it has read the whole body: it can still be applying it.
        let over = answer.body().request_progress().over().await;
        if over.is_err() || !answer.body().request_is_sent() {
            ended = outcome(WriteEnd::RequestIncomplete, ask.policy());
        }
    }
    let describes_content = answers_with_tag(ask, status, claim)
        && match &sent.to_verify {
            // Still under the permit, so that nothing comes between the write and this look.
            Some(content) if ended == WriteOutcome::Applied => probe::reads_back(ask, parts, content).await,
            Some(_) => false,
            None => true,
        };
    if ended == WriteOutcome::Applied
        && let Ok(permit) = &permit
    {
        changes::touch_named_by(ask, answer.headers(), status, permit);
    }
    let settlement = settle(ask, named, permit, ended, || sent.look(ask, named, parts, status)).await;
    let left = match settlement {
        Some(Settlement::Applied { version }) => version,
        Some(Settlement::NotApplied | Settlement::Unknown(_)) | None => None,
    };
    let tag = left
        .filter(|_| describes_content)
        .map(|version| tag_of(ask, named, parts, answer.headers(), version));
    let mut answer = to_answer(ask, answer, &[header::ETAG]);
    if let Some(tag) = tag
        && let Ok(value) = HeaderValue::from_bytes(&tag.field_value())
    {
        answer.headers_mut().insert(header::ETAG, value);
        ask.gateway.reads.note(named.key, tag.version);
    }
    twice::note_applied(ask, named, sent.digest, left, &answer);
    Carried { answered: (answer, "answered"), outcome: Some(ended) }
}

/// R4: which answers to a write describe the content that it left behind.
fn answers_with_tag(ask: &Ask, status: StatusCode, claim: &Claim) -> bool {
    // Who patches without having seen the rest does not know what the whole is now.
    let replaces = ask.method == Method::PUT || (ask.method == Method::PATCH && claim.names_a_state());
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
    look: impl FnOnce() -> Option<Look>,
) -> Option<Settlement> {
    let mut permit = match permit {
        Ok(permit) => permit,
        Err(unjudged) => {
            if ended != WriteOutcome::NotApplied {
                ask.gateway.ledger.touch_now(named.key, ask.route.route.upstream.read_lag);
            }
            unjudged.ended(ended);
            return None;
        }
    };
    if matches!(ended, WriteOutcome::Unknown(_))
        && let Some(look) = look()
    {
        permit.look_before_end(look);
    }
    Some(permit.settle(ended).await)
}

/// The fresh tag. Its variant is that of the read that most likely follows: the answer's own
/// representation, or else the one that was sent.
fn tag_of(ask: &Ask, named: &Named, parts: &Parts, answer: &HeaderMap, version: Version) -> VersionTag {
    let ledger = &ask.gateway.ledger;
    let described = if answer.contains_key(header::CONTENT_TYPE) { answer } else { &parts.headers };
    let variant = variant(ledger, ask.target.spelled.as_str(), &parts.headers, described);
    VersionTag::new(ledger.incarnation(), named.key, version, variant)
}
