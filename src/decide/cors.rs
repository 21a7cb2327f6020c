//! What pages of other origins have to be told (the Fetch standard's CORS protocol) so that they can send
//! preconditions and keys, and read tags. Pure: lists of field names, and how they are merged.

use http::{HeaderName, HeaderValue};

use crate::http1::fields::Fields;

/// Fields of requests that only ifmatch asks for, so the API's own list has none of them.
const OURS: [&str; 4] = ["If-Match", "If-None-Match", "If-Unmodified-Since", "Idempotency-Key"];

/// Fields of answers that a page needs for its next request.
pub const EXPOSED: [&str; 3] = ["ETag", "Retry-After", "Idempotent-Replayed"];

/// Which of our fields a preflight asks for.
pub fn asked_of_ours(fields: &Fields, list: &HeaderName) -> Vec<&'static str> {
    let asked = |ours: &&str| names(fields, list).any(|name| name.eq_ignore_ascii_case(ours));
    OURS.into_iter().filter(asked).collect()
}

/// The list in a field with these names in it too. `*` stays what it is, beside them: where a request has
/// credentials it is a name like any other.
pub fn with_names(fields: &Fields, list: &HeaderName, more: &[&str]) -> Option<HeaderValue> {
    let mut all: Vec<&str> = names(fields, list).collect();
    for name in more {
        if !all.iter().any(|there| there.eq_ignore_ascii_case(name)) {
            all.push(name);
        }
    }
    HeaderValue::try_from(all.join(", ")).ok()
}

fn names<'f>(fields: &'f Fields, list: &HeaderName) -> impl Iterator<Item = &'f str> {
    let lines = fields.get_all(list).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS as EXPOSE, ACCESS_CONTROL_REQUEST_HEADERS as ASKED};

    use super::*;

    fn fields(name: HeaderName, lines: &[&'static str]) -> Fields {
        let mut fields = Fields::new();
        for line in lines {
            fields.append(name.clone(), HeaderValue::from_static(line));
        }
        fields
    }

    #[test]
    fn our_fields_are_found_in_any_case_and_over_several_lines() {
        let asked = fields(ASKED, &["content-type,if-match", "IDEMPOTENCY-KEY"]);
        assert_eq!(asked_of_ours(&asked, &ASKED), ["If-Match", "Idempotency-Key"]);
        assert!(asked_of_ours(&fields(ASKED, &["content-type, x-if-match"]), &ASKED).is_empty());
    }

    #[test]
    fn a_list_gets_what_it_lacks() {
        let merged = |lines: &[&'static str]| with_names(&fields(EXPOSE, lines), &EXPOSE, &EXPOSED);
        let is = |text: &'static str| Some(HeaderValue::from_static(text));
        assert_eq!(merged(&[]), is("ETag, Retry-After, Idempotent-Replayed"));
        assert_eq!(merged(&["X-Total, etag"]), is("X-Total, etag, Retry-After, Idempotent-Replayed"));
        assert_eq!(merged(&["X-A", "X-B"]), is("X-A, X-B, ETag, Retry-After, Idempotent-Replayed"));
        assert_eq!(merged(&["*"]), is("*, ETag, Retry-After, Idempotent-Replayed"));
    }
}
