//! Reads of routes whose tags stand for what the origin shows: a digest of the content, or what the origin says
//! of its own.

use std::sync::Arc;
use std::time::Instant;

use crate::http1::message::{Answer, AnswerParts, RequestParts as Parts};
use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};

use super::ask::{Ask, Named};
use super::body::{AnswerBody, AnswerContent, OriginBody};
use super::handle::refused;
use super::origin::exchange::{NoAnswer, exchange};
use super::origin::pool::Over;
use super::pass::{log_no_answer, onward, send_read, to_answer, unanswered};
use super::read::{OF_THE_CONTENT, stated};
use super::representation::last_modified;
use super::request_body::RequestBody;
use super::shown_tag::{are_left_alone, note, tag_of, with_tag};
use crate::decide::outcome::WriteEnd;
use crate::decide::read::ReadStamp;
use crate::decide::shown_read::{ShownRead, judge};
use crate::decide::validator::{Validator, own_tag};
use crate::request::entity_tag::EntityTag;
use crate::request::preconditions::{CONDITIONAL_FIELDS, Preconditions};

/// Forwards a read and puts its tag on the answer.
pub async fn read(
    ask: Arc<Ask>,
    named: Named,
    parts: Box<Parts>,
    body: RequestBody,
) -> (Answer<AnswerBody>, &'static str) {
    let stated = if ask.policy().validator == Validator::Enforced {
        // The origin's own business: its tags are left alone.
        Preconditions::default()
    } else {
        match stated(&ask, &named, &parts) {
            Ok(stated) => stated,
            Err(refusal) => return refused(&ask, &parts, body, Some(&named), &refusal),
        }
    };
    let stamp = observe(&ask, &named);
    ask.gateway.metrics.decision_duration.observe(ask.started.elapsed());
    let sent_at = Instant::now();
    let answered = ask_origin(&ask, &parts, body).await;
    ask.route.metrics.upstream_duration.observe(sent_at.elapsed());
    match answered {
        Ok(answer) if are_left_alone(&ask) => {
            if let Some(tag) = own_tag(answer.headers()).filter(|_| is_at_rest(&ask, &named, stamp)) {
                note(&ask, &named, &parts, answer.headers(), stamp.version, &tag);
            }
            (to_answer(&ask, answer, &[]), "answered")
        }
        Ok(answer) => tagged(&ask, &named, &parts, &stated, stamp, answer).await,
        Err(no_answer) => unread(&ask, &named, &parts, &no_answer),
    }
}

fn unread(
    ask: &Ask,
    named: &Named,
    parts: &Parts,
    no_answer: &NoAnswer,
) -> (Answer<AnswerBody>, &'static str) {
    log_no_answer(ask, no_answer);
    (ask.refuse(&parts.headers, Some(named), &unanswered(no_answer.end, true)), "unreachable")
}

fn observe(ask: &Ask, named: &Named) -> ReadStamp {
    ask.gateway.ledger.observe(named.key, ask.route.whole, ask.route.route.upstream.read_lag)
}

/// Whether no write that we know of can have come between `stamp` and now.
fn is_at_rest(ask: &Ask, named: &Named, stamp: ReadStamp) -> bool {
    let now = observe(ask, named);
    stamp.at_rest && now.at_rest && now.version == stamp.version
}

async fn ask_origin(ask: &Ask, parts: &Parts, body: RequestBody) -> Result<Answer<OriginBody>, NoAnswer> {
    let without = stays_behind(ask);
    if body.is_empty() {
        return send_read(ask, parts, &without).await;
    }
    let outgoing = body.into_outgoing(&ask.bounds);
    exchange(&ask.route.pool, onward(ask, parts, &without, None, outgoing), &ask.bounds, Over::Quiet).await
}

/// The fields that the origin does not get. Where a tag is made of the whole content, that is asked for whole,
/// whatever the client has. The origin's own tags may differ between codings, and the look under a write's
/// permit asks for none, so reads do not either.
fn stays_behind(ask: &Ask) -> Vec<HeaderName> {
    let mut without = Vec::new();
    if are_left_alone(ask) {
        return without;
    }
    without.push(header::ACCEPT_ENCODING);
    if ask.policy().validator.reads_content() {
        without.extend(CONDITIONAL_FIELDS.iter().cloned());
        without.push(header::RANGE);
    }
    without
}

async fn tagged(
    ask: &Ask,
    named: &Named,
    parts: &Parts,
    stated: &Preconditions,
    stamp: ReadStamp,
    answer: Answer<OriginBody>,
) -> (Answer<AnswerBody>, &'static str) {
    let reads_content = ask.policy().validator.reads_content();
    let (head, body) = answer.into_parts();
    // HEAD has no content to make a tag of, and a date's tag is of no use without its content: only GET.
    let is_whole = ask.method == Method::GET && head.status == StatusCode::OK;
    let content = if is_whole && reads_content {
        match body.read_up_to(ask.route.route.body_limit).await {
            Ok(content) => content,
            Err(cause) => {
                let no_answer =
                    NoAnswer { end: WriteEnd::ConnectionLost, reused: false, cause: cause.to_string() };
                return unread(ask, named, parts, &no_answer);
            }
        }
    } else {
        AnswerContent::Longer(Bytes::new(), body)
    };
    if is_whole && reads_content && matches!(content, AnswerContent::Longer(..)) {
        ask.route.metrics.untagged_reads.inc();
    }
    let at_rest = is_at_rest(ask, named, stamp);
    let is_own = !reads_content && own_tag(&head.headers).is_some();
    let tag = if is_whole { tag_of(ask, head.status, &head.headers, &content) } else { None };
    // A date that was read while somebody wrote may be that of an earlier content of its second.
    let tag = tag.filter(|_| reads_content || is_own || at_rest);
    if let Some(tag) = tag.as_ref().filter(|_| at_rest) {
        note(ask, named, parts, &head.headers, stamp.version, tag);
    }
    if is_own || (!reads_content && tag.is_none()) {
        // The origin's own tag and conditions: nothing of it is ours.
        return (with_tag(ask, head, content, &[], None), "answered");
    }
    let modified = last_modified(&head.headers);
    let weak = ask.policy().weak_if_match;
    match judge(&ask.method, stated, head.status, tag.as_ref(), modified, weak) {
        ShownRead::Answer => (with_tag(ask, head, content, &[header::ETAG], tag.as_ref()), "answered"),
        ShownRead::NotModified => (not_modified(ask, head, content, tag.as_ref()), "not-modified"),
        ShownRead::NotModifiedSince => (not_modified(ask, head, content, None), "not-modified"),
        ShownRead::Refuse(refusal) => {
            discard(content);
            (ask.refuse(&parts.headers, Some(named), &refusal), "refused")
        }
    }
}

fn not_modified(
    ask: &Ask,
    mut head: AnswerParts,
    content: AnswerContent,
    tag: Option<&EntityTag>,
) -> Answer<AnswerBody> {
    discard(content);
    let mut without = OF_THE_CONTENT.to_vec();
    if tag.is_some() {
        without.push(header::LAST_MODIFIED);
    }
    head.status = StatusCode::NOT_MODIFIED;
    // The origin's own words for its own status.
    head.reason = None;
    with_tag(ask, head, AnswerContent::Whole(Bytes::new()), &without, tag)
}

fn discard(content: AnswerContent) {
    match content {
        AnswerContent::Whole(_) => {}
        AnswerContent::Longer(_, rest) => rest.discard(),
    }
}
