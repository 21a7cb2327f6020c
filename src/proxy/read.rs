//! Reads of managed resources: stamped with the version that was current before they were forwarded.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use crate::http1::fields::FieldValue;
use crate::http1::message::{Answer, RequestParts as Parts};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::ask::{Ask, Named};
use super::body::{AnswerBody, OriginBody};
use super::handle::refused;
use super::observe;
use super::origin::exchange::{NoAnswer, exchange};
use super::origin::pool::Over;
use super::pass::{log_no_answer, onward, send_read, to_answer, unanswered};
use super::representation::{last_modified, validators, variant};
use super::request_body::RequestBody;
use super::shown_read;
use super::views::{View, keep_from_caches};
use crate::decide::policy::Mode;
use crate::decide::read::{RangePlan, ReadAnswer, ReadStamp, ReadVerdict, TagsOf, judge_read, plan_range};
use crate::decide::say;
use crate::decide::validator::Validator;
use crate::decide::verdict::Refusal;
use crate::decide::views::read_shows;
use crate::identify::content::Content;
use crate::request::preconditions::{CONDITIONAL_FIELDS, IfRange, Preconditions};
use crate::request::version_tag::{Variant, VersionTag};

/// Fields that describe a content which a 304 does not have (RFC 9110 section 15.4.5).
pub(super) const OF_THE_CONTENT: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::TRAILER,
    header::ETAG,
];

/// Forwards a read and stamps its answer.
pub async fn read(
    ask: Arc<Ask>,
    named: Named,
    parts: Box<Parts>,
    body: RequestBody,
) -> (Answer<AnswerBody>, &'static str) {
    if !matches!(ask.policy().validator, Validator::Version) {
        // In a box, like all that most requests never wait for: a request takes the room of its longest way.
        return Box::pin(shown_read::read(ask, named, parts, body)).await;
    }
    let Asked { stated, stamp, plan, view, decided_at: sent_at } = match decide(&ask, &named, &parts, &body) {
        Ok(asked) => asked,
        Err(refusal) => return refused(&ask, &parts, body, Some(&named), &refusal),
    };
    let answered = ask_origin(&ask, &named, &parts, body, &stated, stamp, plan).await;
    let answered_at = answered.as_ref().map_or_else(|_| Instant::now(), |(_, seen)| seen.at);
    ask.route.metrics.upstream_duration.observe(answered_at - sent_at);
    match answered {
        Ok((answer, seen)) => {
            let seen = Seen { view, ..seen };
            stamped(&ask, &named, &parts, &stated, stamp, answer, seen)
        }
        Err(no_answer) => {
            log_no_answer(&ask, &no_answer);
            (ask.refuse(&parts.headers, Some(&named), &unanswered(no_answer.end, true)), "unreachable")
        }
    }
}

/// A read that may go out.
struct Asked {
    stated: Preconditions,
    /// What its answer may be stamped with.
    stamp: ReadStamp,
    plan: RangePlan,
    /// Its client's view of the resource, where the route infers.
    view: Option<View>,
    decided_at: Instant,
}

/// What is to be known of a read before it goes out.
///
/// # Errors
/// 400 for a field that cannot be read.
fn decide(ask: &Ask, named: &Named, parts: &Parts, body: &RequestBody) -> Result<Asked, Refusal> {
    let stated = stated(ask, named, parts)?;
    let content = body.whole().map(|bytes| Content::of(&parts.headers, bytes));
    let view = View::of(ask, &parts.headers, named, content.as_ref());
    let ledger = &ask.gateway.ledger;
    // R3: before the request goes out; a number fetched later could be put on older content.
    let stamp = ledger.observe(named.key, ask.route.whole, ask.route.route.upstream.read_lag);
    let plan = match ask.policy().mode {
        Mode::Observe => RangePlan::AsAsked,
        Mode::Enforce | Mode::Off => plan_range(&stated, stamp, ledger.incarnation(), named.key),
    };
    let decided_at = Instant::now();
    ask.gateway.metrics.decision_duration.observe(decided_at - ask.started);
    Ok(Asked { stated, stamp, plan, view, decided_at })
}

/// What a read states. Observe mode goes on without what cannot be read, and counts it.
///
/// # Errors
/// 400 for a field that cannot be read.
pub(super) fn stated(ask: &Ask, named: &Named, parts: &Parts) -> Result<Preconditions, Refusal> {
    Preconditions::read(&parts.headers).or_else(|malformed| {
        let refusal = say::malformed(&malformed);
        if ask.lets_by(&parts.headers, Some(named), &refusal) {
            Ok(Preconditions::default())
        } else {
            Err(refusal)
        }
    })
}

/// What an answer was found to be.
struct Seen {
    variant: Variant,
    still_at_rest: bool,
    /// When.
    at: Instant,
    /// The view that the answer may become.
    view: Option<View>,
}

async fn ask_origin(
    ask: &Ask,
    named: &Named,
    parts: &Parts,
    body: RequestBody,
    stated: &Preconditions,
    stamp: ReadStamp,
    plan: RangePlan,
) -> Result<(Answer<OriginBody>, Seen), NoAnswer> {
    let bodiless = body.is_empty();
    let without = match ask.policy().mode {
        Mode::Observe => Cow::Owned(observe::stays_behind(&parts.headers).to_vec()),
        Mode::Enforce | Mode::Off => stays_behind(stated, plan),
    };
    let mut answer = if bodiless {
        send_read(ask, parts, &without).await?
    } else {
        let outgoing = body.into_outgoing(&ask.bounds);
        let request = onward(ask, parts, &without, None, outgoing);
        Box::pin(exchange(&ask.route.pool, request, &ask.bounds, Over::Quiet)).await?
    };
    let mut seen = see(ask, named, parts, stamp, &answer);
    let of_another_variant =
        |seen: &Seen| matches!(plan, RangePlan::IfVariant(wanted) if wanted != seen.variant);
    let unsafe_part =
        of_another_variant(&seen) || (matches!(plan, RangePlan::IfVariant(_)) && !seen.still_at_rest);
    if answer.status() == StatusCode::PARTIAL_CONTENT && bodiless && unsafe_part {
        // The part is not of what the client has the other parts of: it gets the whole instead.
        answer.into_body().discard();
        answer = Box::pin(send_read(ask, parts, &stays_behind(stated, RangePlan::Whole))).await?;
        seen = see(ask, named, parts, stamp, &answer);
    }
    Ok((answer, seen))
}

fn see(ask: &Ask, named: &Named, parts: &Parts, stamp: ReadStamp, answer: &Answer<OriginBody>) -> Seen {
    let ledger = &ask.gateway.ledger;
    let now = ledger.observe(named.key, ask.route.whole, ask.route.route.upstream.read_lag);
    let still_at_rest = now.at_rest && now.version == stamp.version;
    let mut variant = variant(ledger, ask.target.spelled.as_str(), &parts.headers, answer.headers());
    let succeeded = matches!(answer.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    let at_rest = stamp.at_rest && still_at_rest && succeeded;
    // An origin's own validators that move on while its resource is at rest in one version: it changed by
    // itself, or somebody wrote past us. Such content gets a tag of its own, or whoever has the former
    // one would hear 304 for ever.
    if let Some((all, tag)) = validators(ledger, answer.headers()).filter(|_| at_rest) {
        let validated = ask.gateway.origin_tags.note(named.key, stamp.version, variant, all, tag);
        if validated.tag_moved {
            ask.route.metrics.bypass_writes.inc();
        }
        if !validated.as_at_first {
            variant = ledger.variant(&[&variant.0.to_be_bytes(), &all.to_be_bytes()]);
        }
    }
    Seen { variant, still_at_rest, at: Instant::now(), view: None }
}

/// The conditional fields that the origin does not get: those with tags, which are ours, and those
/// that are judged here. A date in `If-Modified-Since` or `If-Range` is the origin's own and goes on.
fn stays_behind(stated: &Preconditions, plan: RangePlan) -> Cow<'static, [HeaderName]> {
    let goes = |name: &HeaderName| {
        (*name == header::IF_MODIFIED_SINCE && stated.if_modified_since.is_some())
            || (*name == header::IF_RANGE && matches!(stated.if_range, Some(IfRange::Date)))
    };
    let range = (plan == RangePlan::Whole).then_some(header::RANGE);
    if range.is_none() && !CONDITIONAL_FIELDS.iter().any(goes) {
        return Cow::Borrowed(&CONDITIONAL_FIELDS);
    }
    CONDITIONAL_FIELDS.iter().filter(|name| !goes(name)).cloned().chain(range).collect()
}

fn stamped(
    ask: &Ask,
    named: &Named,
    parts: &Parts,
    stated: &Preconditions,
    stamp: ReadStamp,
    answer: Answer<OriginBody>,
    seen: Seen,
) -> (Answer<AnswerBody>, &'static str) {
    let is_multipart = |kind: FieldValue<'_>| {
        const PARTS: &[u8] = b"multipart/byteranges";
        kind.as_bytes().get(..PARTS.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(PARTS))
    };
    let observes = ask.observes();
    let facts = ReadAnswer {
        status: if observes { observe::without_conditions(answer.status()) } else { answer.status() },
        variant: seen.variant,
        last_modified: last_modified(answer.headers()),
        still_at_rest: seen.still_at_rest,
        multipart: answer.headers().get(header::CONTENT_TYPE).is_some_and(is_multipart),
    };
    let of = TagsOf {
        incarnation: ask.gateway.ledger.incarnation(),
        resource: named.key,
        weak: ask.policy().weak_if_match,
    };
    let stated = if observes { observe::to_judge(ask, named, stated) } else { Cow::Borrowed(stated) };
    let verdict = judge_read(&ask.method, &stated, stamp, &facts, of);
    let shows = if observes { observe::shows(answer.status()) } else { answer.status() };
    let shown = read_shows(&ask.method, shows, &verdict).and(seen.view);
    let (mut answer, outcome, tag) = match verdict {
        verdict if observes => observe::answer_read(ask, named, &parts.headers, verdict, answer),
        ReadVerdict::Answer(tag) => {
            let mut answer = to_answer(ask, answer, &[header::ETAG]);
            put_tag(ask, named, &mut answer, tag, seen.at);
            (answer, "answered", tag)
        }
        ReadVerdict::NotModified(tag) => {
            (not_modified(ask, named, answer, tag, seen.at), "not-modified", tag)
        }
        ReadVerdict::Refuse(refusal) => {
            answer.into_body().discard();
            return (ask.refuse(&parts.headers, Some(named), &refusal), "refused");
        }
    };
    keep_from_caches(ask, answer.headers_mut());
    if let Some((view, tag)) = shown.zip(tag) {
        view.becomes(ask, tag, &mut answer);
    }
    (answer, outcome)
}

fn not_modified(
    ask: &Ask,
    named: &Named,
    answer: Answer<OriginBody>,
    tag: Option<VersionTag>,
    now: Instant,
) -> Answer<AnswerBody> {
    let mut without = OF_THE_CONTENT.to_vec();
    if tag.is_some() {
        without.push(header::LAST_MODIFIED);
    }
    let (mut head, body) = answer.into_parts();
    body.discard();
    head.status = StatusCode::NOT_MODIFIED;
    head.headers = super::fields::to_client(head.headers, head.version, &without, false, &ask.live.server);
    // The origin's own words for its own status.
    head.reason = None;
    let mut answer = Answer::from_parts(head, AnswerBody::fixed(""));
    put_tag(ask, named, &mut answer, tag, now);
    answer
}

fn put_tag(ask: &Ask, named: &Named, answer: &mut Answer<AnswerBody>, tag: Option<VersionTag>, now: Instant) {
    let Some(tag) = tag else { return };
    if let Ok(value) = HeaderValue::from_bytes(&tag.field_value()) {
        answer.headers_mut().insert(header::ETAG, value);
        ask.gateway.reads.note(named.key, tag.version, now);
    }
}
