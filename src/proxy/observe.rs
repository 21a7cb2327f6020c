//! Observe mode: the origin gets what its client sent, the client what the origin answered, and what would
//! have been decided is only told.
//!
//! Clients learn no tags of ours here. What they state are the origin's own, if anything, and the one that
//! the origin last showed for the current version counts as what the client of an enforced route would have
//! stated in its place: ours, for that version. Any other one counts as stale, as it would be.

use std::borrow::Cow;
use std::time::Instant;

use http::{HeaderName, StatusCode, header};
use smallvec::SmallVec;

use super::ask::{Ask, Named};
use super::body::{AnswerBody, OriginBody};
use super::pass::to_answer;
use super::representation::validators;
use crate::decide::claim::Claim;
use crate::decide::read::ReadVerdict;
use crate::http1::fields::Fields;
use crate::http1::message::Answer;
use crate::request::entity_tag::TagCondition;
use crate::request::preconditions::{Preconditions, is_ours_alone};
use crate::request::version_tag::{Version, VersionTag};

/// What does not go on to the origin: conditions with tags that clients still have from a time in which the
/// route enforced.
///
/// Such a tag means nothing to the origin, so its condition could only fail there. A field that has others
/// beside it goes on as it is. A `Range` that depends on our tag stays behind with it: the part could be one
/// of newer content than the client has, and whoever asks for a part may get the whole
/// (RFC 9110 section 14.2).
pub fn stays_behind(fields: &Fields) -> SmallVec<[HeaderName; 6]> {
    let mut without: SmallVec<[HeaderName; 6]> = [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_RANGE]
        .into_iter()
        .filter(|name| is_ours_alone(fields, name))
        .collect();
    if without.contains(&header::IF_RANGE) {
        without.push(header::RANGE);
    }
    without
}

/// The status that the answer to a read would have without the conditions that went on with it: on an
/// enforced route they do not, and are judged by what the origin shows.
pub fn without_conditions(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED => StatusCode::OK,
        other => other,
    }
}

/// What a read states, less an `If-Match` that names the current version by the origin's own tag of it.
pub fn to_judge<'s>(ask: &Ask, named: &Named, stated: &'s Preconditions) -> Cow<'s, Preconditions> {
    match names_current(ask, named, stated) {
        Some(_) => Cow::Owned(Preconditions { if_match: None, ..stated.clone() }),
        None => Cow::Borrowed(stated),
    }
}

/// The status by which a client's view of a resource goes: the origin's own 304 shows as much as its content.
pub fn shows(status: StatusCode) -> StatusCode {
    if status == StatusCode::NOT_MODIFIED { StatusCode::OK } else { status }
}

/// Passes the answer to a read on, and tells what would have become of it, and its tag if it had gone out.
pub fn answer_read(
    ask: &Ask,
    named: &Named,
    fields: &Fields,
    verdict: ReadVerdict,
    answer: Answer<OriginBody>,
) -> (Answer<AnswerBody>, &'static str, Option<VersionTag>) {
    let tag = match verdict {
        ReadVerdict::Answer(tag) | ReadVerdict::NotModified(tag) => tag,
        ReadVerdict::Refuse(refusal) => {
            ask.note_conflict(fields, Some(named), &refusal);
            None
        }
    };
    let tag = tag.filter(|_| answer.status() != StatusCode::PRECONDITION_FAILED);
    if let Some(tag) = tag {
        ask.gateway.reads.note(named.key, tag.version, Instant::now());
    }
    (to_answer(ask, answer, &[]), "answered", tag)
}

/// Lets a claim name the current version by the origin's own tag of it.
pub fn count_origins_tag(ask: &Ask, named: &Named, fields: &Fields, claim: &mut Claim) {
    let Some(versions) = &mut claim.condition.any_of else { return };
    let stated = Preconditions::read(fields).unwrap_or_default();
    if let Some(current) = names_current(ask, named, &stated) {
        versions.push(current);
    }
}

/// The current version, if `If-Match` states the tag that the origin last showed for it.
fn names_current(ask: &Ask, named: &Named, stated: &Preconditions) -> Option<Version> {
    let Some(TagCondition::Tags(tags)) = &stated.if_match else { return None };
    let ledger = &ask.gateway.ledger;
    let current = ledger.version(named.key, ask.route.whole);
    let was_shown = |hash| ask.gateway.origin_tags.is_last_seen(named.key, current, hash);
    tags.iter().any(|tag| was_shown(ledger.hash_of(tag.to_string().as_bytes(), b""))).then_some(current)
}

/// Notes the tag that the origin's answer to a write gave to the version that the write left behind.
pub fn note_written(ask: &Ask, named: &Named, version: Version, answer: &Fields) {
    if let Some((_, Some(tag))) = validators(&ask.gateway.ledger, answer) {
        ask.gateway.origin_tags.note_written(named.key, version, tag);
        ask.gateway.reads.note(named.key, version, Instant::now());
    }
}
