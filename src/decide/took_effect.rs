//! Whether a write of unknown outcome took effect, as far as a look at the origin afterwards shows
//! (`verify_unknown`).
//!
//! What is compared is what the resource reads as now with what the write asked for; what it read as
//! before is not known. So a write that asked for nothing new reads as done in any case.
//!
//! | the write | yes | no |
//! |---|---|---|
//! | DELETE | 404 or 410 | 200, with content that says something |
//! | PUT of a whole representation | 200 with the bytes that were sent; or both are JSON, and every member that was sent reads back equal (origins add members) | 404 or 410 |
//! | PATCH with a JSON merge patch (`application/merge-patch+json`, or an object as `application/json`) | 200, and every member that the patch states reads back as stated; null: it is null or missing | never |
//! | any other | never | never |
//!
//! Everything else is unclear: origins may change what they are sent, and nobody but they can say what came
//! of it.

use http::{HeaderName, Method, StatusCode, header};
use serde_json::Value;

use crate::http1::fields::Fields;

/// What a look shows of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TookEffect {
    /// The resource reads as the write asked.
    Yes,
    /// It surely does not.
    No,
    /// Nothing is proved.
    Unclear,
}

impl TookEffect {
    /// The metrics label; `report::names::TOOK_EFFECT` lists the same.
    pub fn name(self) -> &'static str {
        match self {
            TookEffect::Yes => "yes",
            TookEffect::No => "no",
            TookEffect::Unclear => "unclear",
        }
    }
}

/// How a write's content is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Nothing a look could show would prove anything.
    Nothing,
    /// The resource should be gone.
    Absence,
    /// It should hold these bytes.
    Bytes,
    /// It should hold these bytes, or a JSON document with every member that was sent.
    Members,
    /// It should be a JSON document that the merge patch (RFC 7396) changes nothing of.
    MergePatch,
}

impl Comparison {
    /// How a write with this method and these fields is compared. `overridden`: it names a second method,
    /// and nobody knows which one the origin went by.
    pub fn of(method: &Method, fields: &Fields, overridden: bool) -> Self {
        let coded = fields.contains_key(header::CONTENT_ENCODING);
        match *method {
            _ if overridden || fields.contains_key(header::CONTENT_RANGE) => Comparison::Nothing,
            Method::DELETE => Comparison::Absence,
            Method::PUT if !coded && is_json(fields) => Comparison::Members,
            Method::PUT => Comparison::Bytes,
            Method::PATCH if !coded && patches_by_members(fields) => Comparison::MergePatch,
            _ => Comparison::Nothing,
        }
    }

    /// Whether the bytes themselves are needed for it, and not their digest alone.
    pub fn needs_content(self) -> bool {
        match self {
            Comparison::Members | Comparison::MergePatch => true,
            Comparison::Nothing | Comparison::Absence | Comparison::Bytes => false,
        }
    }
}

/// What the origin showed, beside what it had been sent.
#[derive(Clone, Copy, Debug)]
pub struct ReadBack<'c> {
    /// The answer's status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: &'c Fields,
    /// Its content, if that is short enough to be looked at.
    pub content: Option<&'c [u8]>,
    /// Whether it is what was sent, byte for byte, and all of that was sent.
    pub same_bytes: bool,
    /// What was sent, if all of it was, and if it is short enough.
    pub sent: Option<&'c [u8]>,
}

/// What a look proves.
pub fn took_effect(comparison: Comparison, seen: &ReadBack<'_>) -> TookEffect {
    let gone = matches!(seen.status, StatusCode::NOT_FOUND | StatusCode::GONE);
    let there = seen.status == StatusCode::OK;
    let plain = there && !seen.fields.contains_key(header::CONTENT_ENCODING);
    let documents = || {
        let (sent, found) = (seen.sent?, seen.content.filter(|_| plain && is_json(seen.fields))?);
        Some((parsed(sent)?, parsed(found)?))
    };
    match comparison {
        Comparison::Absence if gone => TookEffect::Yes,
        // Many an API shows what is gone as 200 with nothing in it.
        Comparison::Absence if there && !seen.content.is_some_and(says_nothing) => TookEffect::No,
        Comparison::Bytes | Comparison::Members if gone => TookEffect::No,
        Comparison::Bytes | Comparison::Members if plain && seen.same_bytes => TookEffect::Yes,
        Comparison::Members if documents().is_some_and(|(sent, found)| reads_back(&sent, &found)) => {
            TookEffect::Yes
        }
        Comparison::MergePatch if documents().is_some_and(|(patch, found)| is_merged(&patch, &found)) => {
            TookEffect::Yes
        }
        Comparison::Nothing
        | Comparison::Absence
        | Comparison::Bytes
        | Comparison::Members
        | Comparison::MergePatch => TookEffect::Unclear,
    }
}

fn essence(fields: &Fields, name: &HeaderName) -> String {
    let written = fields.get(name).map(|value| value.as_bytes()).unwrap_or_default();
    let essence = written.split(|b| *b == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence.trim_ascii()).to_ascii_lowercase()
}

fn is_json(fields: &Fields) -> bool {
    let media_type = essence(fields, &header::CONTENT_TYPE);
    media_type == "application/json" || media_type.ends_with("+json")
}

fn patches_by_members(fields: &Fields) -> bool {
    matches!(
        essence(fields, &header::CONTENT_TYPE).as_str(),
        "application/merge-patch+json" | "application/json"
    )
}

fn parsed(content: &[u8]) -> Option<Value> {
    serde_json::from_slice(content).ok()
}

fn says_nothing(content: &[u8]) -> bool {
    match parsed(content) {
        Some(Value::Null) => true,
        Some(Value::Array(elements)) => elements.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => false,
        None => content.trim_ascii().is_empty(),
    }
}

/// Whether a document that was sent reads back: every member that was sent is there, and equal.
fn reads_back(sent: &Value, found: &Value) -> bool {
    match (sent, found) {
        // No member at all proves nothing about those that were not sent.
        (Value::Object(sent), Value::Object(found)) if sent.is_empty() => found.is_empty(),
        (Value::Object(sent), Value::Object(found)) => {
            sent.iter().all(|(name, value)| found.get(name).is_some_and(|f| reads_back(value, f)))
        }
        (Value::Array(sent), Value::Array(found)) => {
            sent.len() == found.len() && sent.iter().zip(found).all(|(s, f)| reads_back(s, f))
        }
        (sent, found) => is_same(sent, found),
    }
}

/// Whether a merge patch that states something would change nothing of the document.
fn is_merged(patch: &Value, found: &Value) -> bool {
    let (Value::Object(patch), Value::Object(found)) = (patch, found) else { return false };
    !patch.is_empty()
        && patch.iter().all(|(name, stated)| match (stated, found.get(name)) {
            (Value::Null, None | Some(Value::Null)) => true,
            (Value::Object(_), Some(inner)) => is_merged(stated, inner),
            (_, Some(value)) => is_same(stated, value),
            (_, None) => false,
        })
}

/// Equal, and not only because a number was too long to be kept whole.
fn is_same(one: &Value, other: &Value) -> bool {
    one == other && is_exact(one)
}

fn is_exact(value: &Value) -> bool {
    /// Up to here a double keeps whole numbers whole.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(n) => n.is_i64() || n.is_u64() || n.as_f64().is_some_and(|n| n.abs() < EXACT),
        Value::Array(elements) => elements.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::names::TOOK_EFFECT;

    const JSON: &str = "application/json";

    fn fields(pairs: &[(HeaderName, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    fn of(method: &Method, media_type: &str) -> Comparison {
        Comparison::of(method, &fields(&[(header::CONTENT_TYPE, media_type)]), false)
    }

    /// What is proved by this answer, of this media type, to what was sent.
    fn proved(comparison: Comparison, sent: &str, status: u16, media_type: &str, found: &str) -> TookEffect {
        let fields = fields(&[(header::CONTENT_TYPE, media_type)]);
        let seen = ReadBack {
            status: StatusCode::from_u16(status).expect("a status"),
            fields: &fields,
            content: Some(found.as_bytes()),
            same_bytes: sent == found,
            sent: Some(sent.as_bytes()),
        };
        took_effect(comparison, &seen)
    }

    #[test]
    fn what_is_compared_goes_by_the_method_and_the_media_type() {
        for (method, media_type, comparison) in [
            (Method::DELETE, "", Comparison::Absence),
            (Method::PUT, "text/plain", Comparison::Bytes),
            (Method::PUT, "", Comparison::Bytes),
            (Method::PUT, "application/json; charset=utf-8", Comparison::Members),
            (Method::PUT, "application/vnd.shop+json", Comparison::Members),
            (Method::PATCH, "Application/Merge-Patch+JSON", Comparison::MergePatch),
            (Method::PATCH, JSON, Comparison::MergePatch),
            (Method::PATCH, "application/json-patch+json", Comparison::Nothing),
            (Method::PATCH, "text/plain", Comparison::Nothing),
            (Method::POST, JSON, Comparison::Nothing),
        ] {
            assert_eq!(of(&method, media_type), comparison, "{method} {media_type}");
        }
        let coded = fields(&[(header::CONTENT_TYPE, JSON), (header::CONTENT_ENCODING, "gzip")]);
        assert_eq!(Comparison::of(&Method::PUT, &coded, false), Comparison::Bytes);
        assert_eq!(Comparison::of(&Method::PATCH, &coded, false), Comparison::Nothing);
        let part = fields(&[(header::CONTENT_RANGE, "bytes 0-1/2")]);
        assert_eq!(Comparison::of(&Method::PUT, &part, false), Comparison::Nothing);
        assert_eq!(Comparison::of(&Method::PUT, &fields(&[]), true), Comparison::Nothing, "an override");
    }

    #[test]
    fn a_deletion_is_proved_by_absence_and_refuted_by_content() {
        for (status, found, proves) in [
            (404, "", TookEffect::Yes),
            (410, "gone", TookEffect::Yes),
            (200, "{\"a\":1}", TookEffect::No),
            (200, "text", TookEffect::No),
            (200, " ", TookEffect::Unclear),
            (200, "null", TookEffect::Unclear),
            (200, "[]", TookEffect::Unclear),
            (200, "{ }", TookEffect::Unclear),
            (204, "", TookEffect::Unclear),
            (301, "", TookEffect::Unclear),
            (401, "", TookEffect::Unclear),
            (403, "", TookEffect::Unclear),
            (500, "", TookEffect::Unclear),
        ] {
            assert_eq!(proved(Comparison::Absence, "", status, JSON, found), proves, "{status} {found:?}");
        }
    }

    #[test]
    fn the_bytes_of_a_put_prove_it_and_absence_refutes_it() {
        for (sent, status, found, proves) in [
            ("one", 200, "one", TookEffect::Yes),
            ("one", 200, "two", TookEffect::Unclear),
            ("one", 404, "one", TookEffect::No),
            ("one", 410, "", TookEffect::No),
            ("one", 206, "one", TookEffect::Unclear),
            ("one", 403, "one", TookEffect::Unclear),
            ("one", 503, "", TookEffect::Unclear),
        ] {
            for comparison in [Comparison::Bytes, Comparison::Members] {
                assert_eq!(proved(comparison, sent, status, "text/plain", found), proves, "{status}");
            }
        }
    }

    #[test]
    fn coded_content_proves_nothing() {
        let coded = fields(&[(header::CONTENT_ENCODING, "gzip")]);
        let seen = ReadBack {
            status: StatusCode::OK,
            fields: &coded,
            content: Some(b"x"),
            same_bytes: true,
            sent: Some(b"x"),
        };
        assert_eq!(took_effect(Comparison::Bytes, &seen), TookEffect::Unclear);
    }

    #[test]
    fn every_member_that_was_sent_has_to_read_back() {
        for (sent, found, proves) in [
            (r#"{"a":1,"b":[1,2]}"#, r#"{ "b" : [1, 2], "a" : 1 }"#, TookEffect::Yes),
            (r#"{"a":1}"#, r#"{"id":7,"a":1,"at":"now"}"#, TookEffect::Yes),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"b":1,"c":2}}"#, TookEffect::Yes),
            (r#"[{"a":1}]"#, r#"[{"a":1,"id":1}]"#, TookEffect::Yes),
            (r#"{"a":1}"#, r#"{"a":2}"#, TookEffect::Unclear),
            (r#"{"a":1}"#, r#"{"a":"1"}"#, TookEffect::Unclear),
            (r#"{"a":1}"#, r#"{"b":1}"#, TookEffect::Unclear),
            (r#"{"a":null}"#, r#"{"b":1}"#, TookEffect::Unclear),
            (r#"{"a":[1]}"#, r#"{"a":[1,2]}"#, TookEffect::Unclear),
            (r#"{"a":{}}"#, r#"{"a":{"b":1}}"#, TookEffect::Unclear),
            (r#"{}"#, r#"{"a":1}"#, TookEffect::Unclear),
            (r#"{"a":1}"#, r#"[{"a":1}]"#, TookEffect::Unclear),
            (r#"{"a":1}"#, r#"{"a":1"#, TookEffect::Unclear),
            (r#"{"n":123456789012345678901}"#, r#"{ "n":123456789012345678902}"#, TookEffect::Unclear),
        ] {
            assert_eq!(proved(Comparison::Members, sent, 200, JSON, found), proves, "{sent} {found}");
        }
        let elsewhere = proved(Comparison::Members, r#"{"a":1}"#, 200, "text/html", r#"{ "a":1}"#);
        assert_eq!(elsewhere, TookEffect::Unclear, "what is no JSON to the origin is none");
    }

    #[test]
    fn a_merge_patch_is_proved_by_every_member_that_it_states() {
        for (patch, found, proves) in [
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, TookEffect::Yes),
            (r#"{"a":null}"#, r#"{"b":2}"#, TookEffect::Yes),
            (r#"{"a":null}"#, r#"{"a":null}"#, TookEffect::Yes),
            (r#"{"a":{"b":null,"c":1}}"#, r#"{"a":{"c":1,"d":2}}"#, TookEffect::Yes),
            (r#"{"a":[1,{"b":1}]}"#, r#"{"a":[1,{"b":1}]}"#, TookEffect::Yes),
            (r#"{"a":[1,{"b":1}]}"#, r#"{"a":[1,{"b":1,"c":1}]}"#, TookEffect::Unclear),
            (r#"{"a":1}"#, r#"{"a":2}"#, TookEffect::Unclear),
            (r#"{"a":1}"#, r#"{}"#, TookEffect::Unclear),
            (r#"{"a":null}"#, r#"{"a":1}"#, TookEffect::Unclear),
            (r#"{}"#, r#"{"a":1}"#, TookEffect::Unclear),
            (r#"{"a":{}}"#, r#"{"a":{}}"#, TookEffect::Unclear),
            (r#"[1]"#, r#"[1]"#, TookEffect::Unclear),
        ] {
            assert_eq!(proved(Comparison::MergePatch, patch, 200, JSON, found), proves, "{patch} {found}");
        }
        for status in [404, 410, 204, 500] {
            let after = proved(Comparison::MergePatch, r#"{"archived":true}"#, status, JSON, "{}");
            assert_eq!(after, TookEffect::Unclear, "{status}");
        }
    }

    #[test]
    fn what_was_not_kept_whole_proves_only_by_its_bytes() {
        let json = fields(&[(header::CONTENT_TYPE, JSON)]);
        let seen = |same_bytes, sent, content| ReadBack {
            status: StatusCode::OK,
            fields: &json,
            content,
            same_bytes,
            sent,
        };
        assert_eq!(took_effect(Comparison::Members, &seen(true, None, None)), TookEffect::Yes);
        assert_eq!(took_effect(Comparison::Members, &seen(false, None, Some(b"{}"))), TookEffect::Unclear);
        assert_eq!(took_effect(Comparison::MergePatch, &seen(true, None, None)), TookEffect::Unclear);
        assert_eq!(
            took_effect(Comparison::Absence, &seen(false, None, None)),
            TookEffect::No,
            "too long to be nothing"
        );
    }

    #[test]
    fn every_finding_is_a_label_of_the_closed_list() {
        let findings = [TookEffect::Yes, TookEffect::No, TookEffect::Unclear];
        assert_eq!(findings.map(TookEffect::name), TOOK_EFFECT);
    }
}
