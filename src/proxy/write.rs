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
//! | the look for the tag that the origin shows (`validator = "content"` and `"origin"`): GET, its body too | `response_timeout` |
//! | what is left of a look's answer | nobody waits for it; it is dropped after `body_idle_timeout` |
//! | the looks of `unique` and `transitions`, one after the other | `response_timeout` for each |
//! | the write itself | an exchange: `connect_timeout` for each of its steps, `upload_timeout`, `response_timeout` |
//! | the rest of a body that was answered early | the same `upload_timeout`, from when the body began to be sent |
//! | an answer's body that a `translate` rule reads | `body_idle_timeout` for each piece |
//! | the read-back of `etag_on_put = "verified"`, its body too | `response_timeout` |
//! | the settlement | none: it takes a lock and no more |
//!
//! The exchanges are together bounded by `request_timeout`, counted from the request's head. The settle time
//! of a write of unknown outcome comes on top (rule R8), and the look of `verify_unknown` after it, which
//! takes `response_timeout` at most.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::http1::fields::Fields;
use crate::http1::message::{Answer, OriginRequest, RequestParts as Parts};
use http::{HeaderValue, Method, StatusCode, header};

use super::admit::{Admitted, Judged, Right, give_up};
use super::ask::{Ask, Named};
use super::body::{AnswerBody, OriginBody};
use super::changes;
use super::gateway::Gateway;
use super::in_flight::InFlight;
use super::observe;
use super::origin::exchange::{NoAnswer, exchange};
use super::origin::pool::Over;
use super::outgoing::OutgoingBody;
use super::outlive::{Answered, Carried, Teller, Told};
use super::pass::{log_no_answer, onward, origins_own, to_answer, unanswered};
use super::probe;
use super::refuse::refuse;
use super::representation::variant;
use super::shown_tag;
use super::translate;
use super::twice::{self, Twice};
use super::under_permit;
use super::verify::Sent;
use super::views::View;
use crate::boxed::boxed;
use crate::decide::claim::{Claim, judge_shown};
use crate::decide::outcome::{WriteEnd, WriteOutcome, outcome};
use crate::decide::policy::EtagOnPut;
use crate::decide::say;
use crate::decide::validator::Validator;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::decide::views::{settlement_forgets, write_shows};
use crate::identify::resource_id::ResourceId;
use crate::ledger::permit::{Look, Settlement};
use crate::report::metrics::RouteMetrics;
use crate::request::entity_tag::EntityTag;
use crate::request::method::Effect;
use crate::request::version_tag::{Version, VersionTag};

/// Forwards an admitted write, which outlives its client, and hands its answer on.
///
/// Neither this nor what it calls is an `async fn` where its arguments are large: it would keep them twice.
pub fn forward(
    ask: Arc<Ask>,
    effect: Effect,
    parts: Box<Parts>,
    body: OutgoingBody,
    admitted: Admitted,
    twice: Twice,
    forwarding: InFlight,
) -> impl Future<Output = Answered> + Send {
    let judged = &admitted.judged;
    let (resource, names_a_state) = (judged.named.id.clone(), judged.claim.names_a_state());
    let teller = Teller::of(Forwarded { ask: ask.clone(), resource, names_a_state });
    // In a box of its own: it is large, and would be copied each time that it is handed on.
    let work = Box::into_pin(boxed(|| carry(ask, effect, parts, body, admitted, twice, forwarding)));
    teller.outlive(work, |Forwarded { ask, names_a_state, .. }| {
        let abandoned = unheard(&ask.gateway, WriteEnd::Abandoned, *names_a_state);
        (refuse(&abandoned, ask.policy().statuses, ask.target.spelled.path(), None), "unknown")
    })
}

/// A write that is forwarded.
struct Forwarded {
    ask: Arc<Ask>,
    resource: ResourceId,
    names_a_state: bool,
}

impl Told for Forwarded {
    fn metrics(&self) -> &RouteMetrics {
        &self.ask.route.metrics
    }

    fn route(&self) -> &str {
        &self.ask.policy().name
    }

    fn method(&self) -> &Method {
        &self.ask.method
    }

    fn resource(&self) -> &ResourceId {
        &self.resource
    }
}

fn carry(
    ask: Arc<Ask>,
    effect: Effect,
    parts: Box<Parts>,
    body: OutgoingBody,
    admitted: Admitted,
    mut twice: Twice,
    forwarding: InFlight,
) -> impl Future<Output = Carried> + Send {
    let verified =
        ask.policy().etag_on_put == EtagOnPut::Verified && ask.method == Method::PUT && !ask.observes();
    let mut sent = Sent::of(&ask, &parts, &body, verified);
    let Admitted { permit, judged, decided_at } = admitted;
    sent.digest = twice.digest;
    let body = match &sent.content {
        Some(content) => body.noted_in(content.clone()),
        None => body,
    };
    async move {
        // Until it is settled.
        let _forwarding = forwarding;
        let mut sent_at = decided_at;
        if under_permit::asks(&judged) {
            if let Err(refusal) = Box::pin(under_permit::check(&ask, &parts, effect, &judged)).await {
                Box::pin(give_up(permit)).await;
                let outcome = if refusal.kind.is_conflict() { "refused" } else { "unreachable" };
                let answered = (ask.refuse(&parts.headers, Some(&judged.named), &refusal), outcome);
                return Carried { answered, outcome: None };
            }
            sent_at = Instant::now();
        }
        let request = onward_as_judged(&ask, &parts, body, judged.translated.as_deref());
        twice.forwards();
        let answered = exchange(&ask.route.pool, request, &ask.bounds, Over::Quiet).await;
        let answered_at = Instant::now();
        ask.route.metrics.upstream_duration.observe(answered_at - sent_at);
        match answered {
            Ok(answer) => {
                let carried =
                    settle_answered(&ask, &parts, (answer, answered_at), permit, &judged, &sent).await;
                if twice.keeps_answers() { Box::pin(twice.keep(&ask, carried)).await } else { carried }
            }
            Err(no_answer) => {
                let settled = settle_unanswered(&ask, &parts, &no_answer, permit, &judged, &sent);
                let carried = Box::pin(settled).await;
                twice.unanswered(outcome(no_answer.end, ask.policy()));
                carried
            }
        }
    }
}

/// The request, with what its tag is compared by where the origin compares it.
fn onward_as_judged(
    ask: &Ask,
    parts: &Parts,
    body: OutgoingBody,
    translated: Option<&EntityTag>,
) -> (Box<OriginRequest>, OutgoingBody) {
    let without = shown_tag::stays_behind(ask, parts);
    let (mut request, body) = onward(ask, parts, &without, None, body);
    if matches!(ask.policy().validator, Validator::Enforced) {
        shown_tag::translate(&mut request.headers, translated);
    }
    (request, body)
}

async fn settle_unanswered(
    ask: &Ask,
    parts: &Parts,
    no_answer: &NoAnswer,
    permit: Right,
    judged: &Judged,
    sent: &Sent,
) -> Carried {
    log_no_answer(ask, no_answer);
    let ended = outcome(no_answer.end, ask.policy());
    let told = if ended == WriteOutcome::NotApplied { "unreachable" } else { "unknown" };
    let unheard = unheard(&ask.gateway, no_answer.end, judged.claim.names_a_state());
    let named = &judged.named;
    let refusal = ask.refuse(&parts.headers, Some(named), &unheard);
    settle(ask, named, permit, ended, || sent.look(ask, named, parts, refusal.status())).await;
    forget(ask, judged.view, ended);
    Carried { answered: (refusal, told), outcome: Some(ended) }
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
pub(super) async fn show(
    ask: &Ask,
    named: &Named,
    parts: &Parts,
    effect: Effect,
    claim: &Claim,
) -> Result<(), Refusal> {
    let looked = match claim.probe.tags.is_some() {
        true => shown_tag::look(ask, named, parts).await,
        false => probe::look(ask, parts).await,
    };
    let look = looked.map_err(|no_answer| {
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
    judge_shown(claim, &look.shown, seen_since, effect, ask.policy())
}

async fn settle_answered(
    ask: &Ask,
    parts: &Parts,
    (mut answer, answered_at): (Answer<OriginBody>, Instant),
    permit: Right,
    judged: &Judged,
    sent: &Sent,
) -> Carried {
    let Judged { named, claim, view, .. } = judged;
    let view = *view;
    let status = answer.status();
    let mut ended = outcome(WriteEnd::Answered(status), ask.policy());
    // An origin may answer before it has read the whole body: it can still be applying it.
    if ended == WriteOutcome::Applied && !has_left(answer.body()).await {
        ended = outcome(WriteEnd::RequestIncomplete, ask.policy());
    }
    let conflict = match translate::is_judged(ask, status) {
        true => Box::pin(translate::conflict(ask, &mut answer)).await,
        false => None,
    };
    if conflict.is_some_and(|rule| rule.not_applied) {
        ended = WriteOutcome::NotApplied;
    }
    let describes_content = conflict.is_none()
        && answers_with_tag(ask, status, claim)
        && match &sent.to_verify {
            // Still under the permit, so that nothing comes between the write and this look.
            Some(content) if ended == WriteOutcome::Applied => {
                Box::pin(probe::reads_back(ask, parts, content)).await
            }
            Some(_) => false,
            None => true,
        };
    if ended == WriteOutcome::Applied
        && let Ok(permit) = &permit
    {
        changes::touch_named_by(ask, answer.headers(), status, permit);
    }
    let settlement = settle(ask, named, permit, ended, || sent.look(ask, named, parts, status)).await;
    forget(ask, view, ended);
    if conflict.is_some() {
        let refusal = say::origin_conflict();
        if !ask.observes() {
            answer.into_body().discard();
            let told = ask.refuse(&parts.headers, Some(named), &refusal);
            return Carried { answered: (told, "answered"), outcome: Some(ended) };
        }
        ask.note_conflict(&parts.headers, Some(named), &refusal);
    }
    let settled = match settlement {
        Some(Settlement::Applied { version }) => version,
        Some(Settlement::NotApplied | Settlement::Unknown(_)) | None => None,
    };
    if !matches!(ask.policy().validator, Validator::Version) {
        let answer = Box::pin(answer_as_shown(ask, named, parts, answer, settled.is_some())).await;
        return Carried { answered: (answer, "answered"), outcome: Some(ended) };
    }
    let tag_of = |version| tag_of(ask, named, parts, answer.headers(), version);
    let shown = view.and_then(|view| {
        let version = write_shows(&ask.method, status, settled, describes_content)?;
        Some((view, tag_of(version)))
    });
    let described = settled.filter(|_| describes_content);
    if let Some(version) = described.filter(|_| ask.observes()) {
        observe::note_written(ask, named, version, answer.headers());
    }
    let tag = described.filter(|_| !ask.observes()).map(tag_of);
    let mut answer = to_answer(ask, answer, origins_own(ask));
    if let Some(tag) = tag
        && let Ok(value) = HeaderValue::from_bytes(&tag.field_value())
    {
        answer.headers_mut().insert(header::ETAG, value);
        ask.gateway.reads.note(named.key, tag.version, answered_at);
    }
    if let Some((view, tag)) = shown {
        view.becomes(ask, tag, &mut answer);
    }
    twice::note_applied(ask, named, sent.digest, settled, &answer);
    Carried { answered: (answer, "answered"), outcome: Some(ended) }
}

/// Whether the request that this answers has left as a whole; waits while it goes on beside its answer.
async fn has_left(answer: &OriginBody) -> bool {
    let end = answer.request_end();
    end.has_left() || Box::pin(end.leaves()).await
}

/// The answer where tags stand for what the origin shows.
async fn answer_as_shown(
    ask: &Ask,
    named: &Named,
    parts: &Parts,
    answer: Answer<OriginBody>,
    settled: bool,
) -> Answer<AnswerBody> {
    match shown_tag::answer(ask, answer, settled).await {
        Ok(answer) => answer,
        Err(cause) => {
            tracing::warn!(route = &*ask.policy().name, %cause, "an answer to a write broke off");
            // It was applied, and what its client would have read of it is lost.
            ask.refuse(&parts.headers, Some(named), &unanswered(WriteEnd::ConnectionLost, false))
        }
    }
}

/// I3: until the answer is written out, nobody knows what the write's author knows of it.
fn forget(ask: &Ask, view: Option<View>, ended: WriteOutcome) {
    if let Some(view) = view.filter(|_| settlement_forgets(ended)) {
        view.forget(ask);
    }
}

/// R4: which answers to a write describe the content that it left behind.
fn answers_with_tag(ask: &Ask, status: StatusCode, claim: &Claim) -> bool {
    // Who patches without having seen the rest does not know what the whole is now.
    let replaces = ask.method == Method::PUT || (ask.method == Method::PATCH && claim.saw_a_state());
    let complete = matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT);
    matches!(ask.policy().validator, Validator::Version)
        && replaces
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
    permit: Right,
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
fn tag_of(ask: &Ask, named: &Named, parts: &Parts, answer: &Fields, version: Version) -> VersionTag {
    let ledger = &ask.gateway.ledger;
    let described = if answer.contains_key(header::CONTENT_TYPE) { answer } else { &parts.headers };
    let variant = variant(ledger, ask.target.spelled.as_str(), &parts.headers, described);
    VersionTag::new(ledger.incarnation(), named.key, version, variant)
}
