//! Which representation an answer carries: what goes into the variant of its tag.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, header};

use crate::ledger::memory::MemoryLedger;
use crate::request::version_tag::Variant;

/// The variant of an answer to `target` (path and query as spelled).
///
/// Beside media type, coding, language and target, the client's credentials are part of it: behind one
/// URI two users may see two documents, and a browser that changes users must not be told that the
/// former user's copy is still good.
pub fn variant(ledger: &MemoryLedger, target: &str, request: &HeaderMap, answer: &HeaderMap) -> Variant {
    let of = |fields: &HeaderMap, name: HeaderName| {
        fields.get_all(name).iter().map(|v| v.as_bytes()).collect::<Vec<_>>().join(&b","[..])
    };
    ledger.variant(&[
        target.as_bytes(),
        &media_type(answer),
        &of(answer, header::CONTENT_ENCODING),
        &of(answer, header::CONTENT_LANGUAGE),
        &of(request, header::AUTHORIZATION),
        &of(request, header::COOKIE),
    ])
}

/// The media type in one spelling; UTF-8 is what is meant where nothing is said.
fn media_type(fields: &HeaderMap) -> Vec<u8> {
    let written = fields.get(header::CONTENT_TYPE).map(|v| v.as_bytes()).unwrap_or_default();
    let parts = written.split(|b| *b == b';').map(|part| part.trim_ascii().to_ascii_lowercase());
    let says_something = |part: &Vec<u8>| {
        !part.is_empty() && !matches!(part.as_slice(), b"charset=utf-8" | b"charset=\"utf-8\"")
    };
    parts.filter(says_something).collect::<Vec<_>>().join(&b";"[..])
}

/// A hash of the origin's own validators, and one of its entity-tag if it sends one; `None` without any.
pub fn validators(ledger: &MemoryLedger, answer: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let of = |name: HeaderName| answer.get(name).map(|value| value.as_bytes());
    let (tag, date) = (of(header::ETAG), of(header::LAST_MODIFIED));
    tag.or(date)?;
    let all = ledger.hash_of(&[tag.unwrap_or_default(), b" ", date.unwrap_or_default()].concat());
    Some((all, tag.map(|tag| ledger.hash_of(tag))))
}

/// The answer's `Last-Modified`.
pub fn last_modified(answer: &HeaderMap) -> Option<SystemTime> {
    date(answer, &header::LAST_MODIFIED)
}

/// The field's date, if it is one.
pub fn date(fields: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(fields.get(name)?.to_str().ok()?).ok()
}
