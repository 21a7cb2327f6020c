//! Which representation an answer carries: what goes into the variant of its tag.

use std::borrow::Cow;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::ledger::memory::MemoryLedger;
use crate::request::version_tag::Variant;

/// The variant of an answer to `target` (path and query as spelled).
///
/// Beside media type, coding, language and target, the client's credentials are part of it: behind one
/// URI two users may see two documents, and a browser that changes users must not be told that the
/// former user's copy is still good.
pub fn variant(ledger: &MemoryLedger, target: &str, request: &HeaderMap, answer: &HeaderMap) -> Variant {
    ledger.variant(&[
        target.as_bytes(),
        &media_type(answer),
        &joined(answer, header::CONTENT_ENCODING),
        &joined(answer, header::CONTENT_LANGUAGE),
        &joined(request, header::AUTHORIZATION),
        &joined(request, header::COOKIE),
    ])
}

/// A field's value, over all its lines; copied only where there is more than one.
fn joined(fields: &HeaderMap, name: HeaderName) -> Cow<'_, [u8]> {
    let mut lines = fields.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = lines.next().unwrap_or_default();
    lines.fold(Cow::Borrowed(first), |all, line| Cow::Owned([&all, &b","[..], line].concat()))
}

/// The media type in one spelling; UTF-8 is what is meant where nothing is said.
fn media_type(fields: &HeaderMap) -> Cow<'_, [u8]> {
    let written = fields.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let in_one_spelling = |b: &u8| b.is_ascii_graphic() && !b.is_ascii_uppercase() && *b != b';';
    if written.iter().all(in_one_spelling) {
        return Cow::Borrowed(written);
    }
    let parts = written.split(|b| *b == b';').map(|part| part.trim_ascii().to_ascii_lowercase());
    let says_something = |part: &Vec<u8>| {
        !part.is_empty() && !matches!(part.as_slice(), b"charset=utf-8" | b"charset=\"utf-8\"")
    };
    Cow::Owned(parts.filter(says_something).collect::<Vec<_>>().join(&b";"[..]))
}

/// A hash of the origin's own validators, and one of its entity-tag if it sends one; `None` without any.
pub fn validators(ledger: &MemoryLedger, answer: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let of = |name: HeaderName| answer.get(name).map(|value| value.as_bytes());
    let (tag, date) = (of(header::ETAG), of(header::LAST_MODIFIED));
    tag.or(date)?;
    let all = ledger.hash_of(tag.unwrap_or_default(), date.unwrap_or_default());
    Some((all, tag.map(|tag| ledger.hash_of(tag, b""))))
}

/// The answer's `Last-Modified`.
pub fn last_modified(answer: &HeaderMap) -> Option<SystemTime> {
    date(answer, &header::LAST_MODIFIED)
}

/// The field's date, if it is one.
pub fn date(fields: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(fields.get(name)?.to_str().ok()?).ok()
}
