//! What is asked of the origin under a write's permit, before the write is forwarded: whether the resource
//! exists, whether its values are taken, which state it is in.

use crate::http1::fields::Fields;
use crate::http1::message::RequestParts as Parts;
use http::uri::PathAndQuery;

use super::admit::Judged;
use super::ask::{Ask, Named};
use super::pass::log_no_answer;
use super::probe;
use super::rules::{LookUp, Move};
use super::write::show;
use crate::decide::claim::Claim;
use crate::decide::create;
use crate::decide::policy::Reveal;
use crate::decide::say;
use crate::decide::unique::{Availability, Taken};
use crate::decide::verdict::Refusal;
use crate::identify::content::{Content, Place};
use crate::request::method::Effect;
use crate::request::version_tag::ResourceKey;

/// Whether the origin has to be asked anything.
pub fn asks(judged: &Judged) -> bool {
    let Judged { claim, rules, .. } = judged;
    claim.probe.is_needed() || !rules.look_ups.is_empty() || rules.moving.is_some()
}

/// Asks for everything, in its order: the preconditions, the values, the state.
///
/// # Errors
/// The first refusal; in observe mode none: there each is counted, and the write goes on.
pub async fn check(ask: &Ask, parts: &Parts, effect: Effect, judged: &Judged) -> Result<(), Refusal> {
    let Judged { named, claim, rules, .. } = judged;
    let goes_on = |judged: Result<(), Refusal>| match judged {
        Err(refusal) if ask.observes() => {
            ask.note_conflict(&parts.headers, Some(named), &refusal);
            Ok(())
        }
        judged => judged,
    };
    if claim.probe.is_needed() {
        let shown = show(ask, named, parts, effect, claim).await;
        goes_on(
            shown
                .and_then(|()| not_there_yet(ask, named, claim))
                .map_err(|refusal| if rules.only_creates { create::told(refusal) } else { refusal }),
        )?;
    }
    for look_up in &rules.look_ups {
        goes_on(is_free(ask, parts, look_up).await)?;
    }
    if let Some(moving) = &rules.moving {
        goes_on(may_move(ask, named, parts, moving).await)?;
    }
    Ok(())
}

/// R13: what was created within `read_lag` may not show yet.
fn not_there_yet(ask: &Ask, named: &Named, claim: &Claim) -> Result<(), Refusal> {
    if claim.probe.must_not_exist && lags(ask, named.key) { Err(say::already_there()) } else { Ok(()) }
}

fn lags(ask: &Ask, key: ResourceKey) -> bool {
    let ledger = &ask.gateway.ledger;
    ledger.may_lag(key) || ask.route.whole.is_some_and(|whole| ledger.may_lag(whole))
}

/// Whether the origin says that no record has the value.
async fn is_free(ask: &Ask, parts: &Parts, look_up: &LookUp) -> Result<(), Refusal> {
    let Some(rule) = ask.policy().unique.get(look_up.rule) else { return Ok(()) };
    // R13: whoever took it last may not show yet.
    if ask.gateway.ledger.may_lag(look_up.key) {
        return Err(say::value_reserved(&rule.place, None));
    }
    let Some(asked) = &rule.look_up else { return Ok(()) };
    for target in &look_up.targets {
        match availability(ask, parts, &asked.taken, target.clone()).await {
            Availability::Free => {}
            Availability::Taken => return Err(say::value_taken(&rule.place)),
            Availability::Unclear => return Err(say::look_failed()),
        }
    }
    Ok(())
}

async fn availability(ask: &Ask, parts: &Parts, taken: &Taken, target: PathAndQuery) -> Availability {
    match probe::current(ask, parts, Some(target)).await {
        Ok(current) => {
            let content = content(&current.fields, current.content.as_deref());
            let found = taken.judge(current.status, content.as_ref());
            if found == Availability::Unclear {
                log_useless(ask, "unique", current.status.as_u16());
            }
            found
        }
        Err(no_answer) => {
            log_no_answer(ask, &no_answer);
            Availability::Unclear
        }
    }
}

/// Whether the state that the origin shows may be followed by the one that the write moves to.
async fn may_move(ask: &Ask, named: &Named, parts: &Parts, moving: &Move) -> Result<(), Refusal> {
    let Some(rule) = &ask.policy().transitions else { return Ok(()) };
    // R13: the state that it shows may be an earlier one.
    if lags(ask, named.key) {
        return Err(say::look_failed());
    }
    let current = probe::current(ask, parts, moving.look.clone()).await.map_err(|no_answer| {
        log_no_answer(ask, &no_answer);
        say::look_failed()
    })?;
    // There is nothing to move: the origin says so in its own words.
    if matches!(current.status.as_u16(), 404 | 410) {
        return Ok(());
    }
    let state = content(&current.fields, current.content.as_deref())
        .filter(|_| current.status.is_success())
        .and_then(|content| content.value(&Place::Json(rule.field.clone())).ok().flatten());
    let Some(state) = state else {
        log_useless(ask, "transitions", current.status.as_u16());
        return Err(say::look_failed());
    };
    if rule.allows(&state, &moving.to) {
        return Ok(());
    }
    let told = (ask.policy().reveal == Reveal::CurrentTag).then_some(state.as_str());
    Err(say::transition_not_allowed(&rule.field, told, &moving.to))
}

fn content<'c>(fields: &'c Fields, bytes: Option<&'c [u8]>) -> Option<Content<'c>> {
    bytes.map(|bytes| Content::of(fields, bytes))
}

/// For whoever runs it: the rule, or the origin, is to be mended.
fn log_useless(ask: &Ask, rule: &str, status: u16) {
    tracing::warn!(route = &*ask.policy().name, rule, status, "a rule's look at the origin told nothing");
}
