//! Which representation an answer carries: what goes into the variant of its tag.

use std::borrow::Cow;
use std::time::SystemTime;

use http::{HeaderName, header};

use crate::http1::fields::{FieldValue, Fields};
use crate::ledger::memory::MemoryLedger;
use crate::request::version_tag::Variant;

/// The variant of an answer to `target` (path and query as spelled).
///
/// Beside media type, coding, language and target, the client's credentials are part of it: behind one
/// URI two users may see two documents, and a browser that changes users must not be told that the
/// former user's copy is still good.
pub fn variant(ledger: &MemoryLedger, target: &str, request: &Fields, answer: &Fields) -> Variant {
    // Few messages have any of these four, and to look each of them up takes longer than a walk over all names.
    let (mut coding, mut language, mut authorization, mut cookie) = (false, false, false, false);
    for name in answer.keys() {
        match *name {
            header::CONTENT_ENCODING => coding = true,
            header::CONTENT_LANGUAGE => language = true,
            _ => {}
        }
    }
    for name in request.keys() {
        match *name {
            header::AUTHORIZATION => authorization = true,
            header::COOKIE => cookie = true,
            _ => {}
        }
    }
    let (target, media_type) = (target.as_bytes(), &*media_type(answer));
    if !(coding || language || authorization || cookie) {
        return ledger.variant(&[target, media_type]);
    }
    ledger.variant(&[
        target,
        media_type,
        &joined(answer, header::CONTENT_ENCODING),
        &joined(answer, header::CONTENT_LANGUAGE),
        &joined(request, header::AUTHORIZATION),
        &joined(request, header::COOKIE),
    ])
}

/// A field's value, over all its lines; copied only where there is more than one.
fn joined(fields: &Fields, name: HeaderName) -> Cow<'_, [u8]> {
    let mut lines = fields.get_all(name).map(FieldValue::as_bytes);
    let first = lines.next().unwrap_or_default();
    lines.fold(Cow::Borrowed(first), |all, line| Cow::Owned([&all, &b","[..], line].concat()))
}

/// The media type in one spelling; UTF-8 is what is meant where nothing is said.
fn media_type(fields: &Fields) -> Cow<'_, [u8]> {
    let written = fields.get(header::CONTENT_TYPE).map(FieldValue::as_bytes).unwrap_or_default();
    let in_one_spelling = |b: &u8| b.is_ascii_graphic() && !b.is_ascii_uppercase() && *b != b';';
    // Looked at to its end, which compilers turn into a few instructions for many bytes.
    if written.iter().fold(true, |so_far, b| so_far & in_one_spelling(b)) {
        return Cow::Borrowed(written);
    }
    let parts = written.split(|b| *b == b';').map(|part| part.trim_ascii().to_ascii_lowercase());
    let says_something = |part: &Vec<u8>| {
        !part.is_empty() && !matches!(part.as_slice(), b"charset=utf-8" | b"charset=\"utf-8\"")
    };
    Cow::Owned(parts.filter(says_something).collect::<Vec<_>>().join(&b";"[..]))
}

/// A hash of the origin's own validators, and one of its entity-tag if it sends one; `None` without any.
pub fn validators(ledger: &MemoryLedger, answer: &Fields) -> Option<(u64, Option<u64>)> {
    let (mut tag, mut date) = (None, None);
    for (name, value) in answer {
        match *name {
            header::ETAG => tag = tag.or(Some(value.as_bytes())),
            header::LAST_MODIFIED => date = date.or(Some(value.as_bytes())),
            _ => {}
        }
    }
    tag.or(date)?;
    let all = ledger.hash_of(tag.unwrap_or_default(), date.unwrap_or_default());
    Some((all, tag.map(|tag| ledger.hash_of(tag, b""))))
}

/// The answer's `Last-Modified`.
pub fn last_modified(answer: &Fields) -> Option<SystemTime> {
    date(answer, &header::LAST_MODIFIED)
}

/// The field's date, if it is one.
pub fn date(fields: &Fields, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(fields.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ledger::memory::LedgerLimits;

    fn fields(lines: &[(HeaderName, &'static str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.append(name.clone(), http::HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn every_line_of_what_tells_representations_apart_counts_and_nothing_else() {
        let limits = LedgerLimits { max_resources: 1, settle: Duration::ZERO, start_hold: Duration::ZERO };
        let ledger = MemoryLedger::new(limits);
        let of = |request: &[_], answer: &[_]| variant(&ledger, "/a", &fields(request), &fields(answer));
        let bare = of(&[], &[]);
        for name in [header::AUTHORIZATION, header::COOKIE] {
            let (one, two) = (of(&[(name.clone(), "x")], &[]), [(name.clone(), "x"), (name.clone(), "y")]);
            assert_ne!(bare, one, "{name}");
            assert_ne!(one, of(&two, &[]), "{name}");
            assert_eq!(of(&[(name, "x,y")], &[]), of(&two, &[]));
        }
        for name in [header::CONTENT_ENCODING, header::CONTENT_LANGUAGE] {
            let (one, two) = (of(&[], &[(name.clone(), "x")]), [(name.clone(), "x"), (name.clone(), "y")]);
            assert_ne!(bare, one, "{name}");
            assert_ne!(one, of(&[], &two), "{name}");
            assert_eq!(of(&[], &[(name, "x,y")]), of(&[], &two));
        }
        let json = of(&[], &[(header::CONTENT_TYPE, "application/json")]);
        assert_ne!(bare, json);
        assert_eq!(json, of(&[], &[(header::CONTENT_TYPE, "Application/JSON; charset=UTF-8")]));
        assert_eq!(bare, of(&[(header::ACCEPT, "*/*")], &[(header::SERVER, "x")]));
    }
}
