//! Tags that stand for what the origin shows (`validator = "content"` and `"origin"`): the look under a write's
//! permit, and what of a write goes on and comes back.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::http1::fields::Fields;
use crate::http1::message::{Answer, AnswerParts, RequestParts as Parts};
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};

use super::ask::{Ask, Named};
use super::body::{AnswerBody, AnswerContent, BodyError, OriginBody};
use super::fields::to_client;
use super::observe;
use super::origin::exchange::NoAnswer;
use super::pass::to_answer;
use super::probe::{self, Look};
use super::representation::{date, last_modified, variant};
use crate::decide::claim::Shown;
use crate::decide::precondition_from::PreconditionFrom;
use crate::decide::validator::Validator;
use crate::identify::route_table::canonical_host;
use crate::request::entity_tag::EntityTag;
use crate::request::preconditions::CONDITIONAL_FIELDS;
use crate::request::version_tag::Version;

/// Reads the resource as the origin shows it now, under the permit of the write that asks (rule K1).
///
/// # Errors
/// If the origin does not answer.
pub async fn look(ask: &Ask, named: &Named, parts: &Parts) -> Result<Look, NoAnswer> {
    let current = probe::current(ask, parts, None).await?;
    let tag = ask.policy().validator.tag_of(current.status, &current.fields, current.content.as_deref());
    if let Some(tag) = &tag {
        let version = ask.gateway.ledger.version(named.key, ask.route.whole);
        note(ask, named, parts, &current.fields, version, tag);
    }
    let shown =
        Shown { exists: probe::exists(current.status), last_modified: last_modified(&current.fields), tag };
    let origin_time = date(&current.fields, &header::DATE).unwrap_or_else(SystemTime::now);
    Ok(Look { shown, origin_time })
}

/// Notes the tag of a resource at rest in a version. Another one than before: somebody wrote past us.
pub fn note(ask: &Ask, named: &Named, parts: &Parts, answer: &Fields, version: Version, tag: &EntityTag) {
    let ledger = &ask.gateway.ledger;
    let variant = variant(ledger, ask.target.spelled.as_str(), &parts.headers, answer);
    let hash = ledger.hash_of(tag.opaque(), b"");
    if ask.gateway.origin_tags.note(named.key, version, variant, hash, Some(hash)).tag_moved {
        ask.route.metrics.bypass_writes.inc();
    }
}

/// Whether the origin's tags are left alone: it compares them itself, or nothing is to be changed.
pub fn are_left_alone(ask: &Ask) -> bool {
    match ask.policy().validator {
        Validator::Version => false,
        Validator::Content { .. } | Validator::Origin { .. } => ask.observes(),
        Validator::Enforced => true,
    }
}

/// The fields of a write that the origin does not get.
pub fn stays_behind(ask: &Ask, parts: &Parts) -> Cow<'static, [HeaderName]> {
    if ask.observes() {
        return Cow::Owned(observe::stays_behind(&parts.headers).into_vec());
    }
    if are_left_alone(ask) {
        return Cow::Borrowed(&[]);
    }
    let validator = &ask.policy().validator;
    // The answer may be the representation that a tag is made of, and reads get it without a coding.
    let coding = validator.reads_content().then_some(header::ACCEPT_ENCODING);
    let states = match (&ask.policy().precondition_from, validator) {
        (Some(PreconditionFrom::Header(name)), Validator::Version | Validator::Content { .. }) => {
            Some(name.clone())
        }
        _ => None,
    };
    if coding.is_none() && states.is_none() {
        return Cow::Borrowed(&CONDITIONAL_FIELDS);
    }
    CONDITIONAL_FIELDS.iter().cloned().chain(coding).chain(states).collect()
}

/// Passes on what another place than `If-Match` states, where the origin compares tags itself.
pub fn translate(fields: &mut Fields, stated: Option<&EntityTag>) {
    if let Some(value) = stated.and_then(|tag| HeaderValue::from_bytes(&tag.field_value()).ok()) {
        fields.insert(header::IF_MATCH, value);
    }
}

/// The answer to a write as its client gets it. `settled`: it was applied, and nobody else's write with it.
///
/// Rule K2: a tag of ours goes out only where the answer's content is the new representation. The origin's own
/// tags are its own word.
///
/// # Errors
/// If the answer's content breaks off while it is read.
pub async fn answer(
    ask: &Ask,
    answer: Answer<OriginBody>,
    settled: bool,
) -> Result<Answer<AnswerBody>, BodyError> {
    if are_left_alone(ask) || !ask.policy().validator.reads_content() {
        return Ok(to_answer(ask, answer, &[]));
    }
    if !settled || !is_the_representation(ask, &answer) {
        return Ok(to_answer(ask, answer, &[header::ETAG]));
    }
    let (head, body) = answer.into_parts();
    let content = body.read_up_to(ask.route.route.body_limit).await?;
    let tag = tag_of(ask, head.status, &head.headers, &content);
    Ok(with_tag(ask, head, content, &[header::ETAG], tag.as_ref()))
}

/// RFC 9110 section 8.7: with the target in `Content-Location`, a 200 or 201 has the new representation.
fn is_the_representation(ask: &Ask, answer: &Answer<OriginBody>) -> bool {
    let located = || answer.headers().get(header::CONTENT_LOCATION)?.to_str().ok()?.parse::<Uri>().ok();
    matches!(answer.status(), StatusCode::OK | StatusCode::CREATED)
        && located().is_some_and(|uri| {
            let same_host = uri.authority().is_none_or(|authority| {
                let asked_for = ask.target.host().map(canonical_host);
                asked_for == Some(canonical_host(authority.as_str()))
            });
            same_host && uri.path_and_query() == Some(&ask.target.spelled)
        })
}

/// The tag of an answer's content, as far as it was read.
pub fn tag_of(ask: &Ask, status: StatusCode, fields: &Fields, content: &AnswerContent) -> Option<EntityTag> {
    let whole = match content {
        AnswerContent::Whole(bytes) => Some(&bytes[..]),
        AnswerContent::Longer(..) => None,
    };
    ask.policy().validator.tag_of(status, fields, whole)
}

/// An answer whose content was looked at, with this tag.
pub fn with_tag(
    ask: &Ask,
    mut head: AnswerParts,
    content: AnswerContent,
    without: &[HeaderName],
    tag: Option<&EntityTag>,
) -> Answer<AnswerBody> {
    head.headers = to_client(head.headers, head.version, without, false, &ask.live.server);
    head.version = http::Version::HTTP_11;
    let content = match content {
        AnswerContent::Whole(bytes) => {
            // Nothing comes behind a content that was read whole.
            head.headers.remove(header::TRAILER);
            AnswerContent::Whole(bytes)
        }
        AnswerContent::Longer(bytes, rest) if without.contains(&header::ETAG) => {
            AnswerContent::Longer(bytes, rest.without_tag())
        }
        longer @ AnswerContent::Longer(..) => longer,
    };
    if let Some(value) = tag.and_then(|tag| HeaderValue::from_bytes(&tag.field_value()).ok()) {
        head.headers.insert(header::ETAG, value);
    }
    Answer::from_parts(head, AnswerBody::read(content))
}
