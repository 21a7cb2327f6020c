//! The entity-tag of a content: a digest of it, without a key, so that every process makes the same.

use std::fmt::Write;

use http::header;
use sha2::{Digest, Sha256};

use crate::http1::fields::{FieldValue, Fields};
use crate::identify::content::Content;
use crate::request::entity_tag::EntityTag;
use crate::request::json::{Json, Pointer};

/// So much of the digest is enough for nobody to find two contents with one tag by chance, and for those who
/// try it is 2^64 digests of work.
const TAG_BYTES: usize = 16;
/// Programs that read numbers as doubles cannot tell all of them apart from here on: what follows this one is
/// read as this one.
const NO_LONGER_EXACT: f64 = 9_007_199_254_740_992.0;

/// The tag of a representation with these fields. What `ignore` points to in a JSON document does not count.
///
/// JSON that has one reading is digested without its spelling: the order of members, white space and escapes
/// do not count; numbers do, as they are written. Everything else, and a document with a number that some
/// programs cannot read exactly, is digested byte for byte. So two documents with one tag are the same to
/// every reader, but for what is ignored.
pub fn digest(fields: &Fields, content: &[u8], ignore: &[Pointer]) -> Option<EntityTag> {
    let canonical = json_type(fields).and_then(|essence| {
        let body = Content::of(fields, content);
        let mut digest = Sha256::new();
        put(&mut digest, b'j', essence.as_bytes());
        let ignored: Vec<&[String]> = ignore.iter().map(Pointer::tokens).collect();
        put_json(&mut digest, body.json().ok()?, &ignored).ok()?;
        Some(digest)
    });
    let digest = canonical.unwrap_or_else(|| of_bytes(fields, content));
    let mut opaque = String::from("c-");
    for byte in digest.finalize().iter().take(TAG_BYTES) {
        write!(opaque, "{byte:02x}").ok()?;
    }
    EntityTag::strong(opaque.as_bytes())
}

fn of_bytes(fields: &Fields, content: &[u8]) -> Sha256 {
    let mut digest = Sha256::new();
    // What a reader makes of the bytes depends on these.
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        let lines: Vec<&[u8]> = fields.get_all(name).map(FieldValue::as_bytes).collect();
        put(&mut digest, b'b', &lines.join(&b", "[..]));
    }
    put(&mut digest, b'b', content);
    digest
}

/// The media type without its parameters, if that is one of JSON in UTF-8.
fn json_type(fields: &Fields) -> Option<String> {
    let mut lines = fields.get_all(header::CONTENT_TYPE);
    let (line, None) = (lines.next()?.to_str().ok()?, lines.next()) else { return None };
    let mut parts = line.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next()?;
    let utf_8 = |part: String| match part.strip_prefix("charset=") {
        Some(charset) => matches!(charset.trim_matches('"'), "utf-8" | "utf8"),
        None => true,
    };
    ((essence == "application/json" || essence.ends_with("+json")) && parts.all(utf_8)).then_some(essence)
}

/// A number that is not read the same by everybody.
struct Inexact;

fn put_json(digest: &mut Sha256, json: &Json<'_>, ignored: &[&[String]]) -> Result<(), Inexact> {
    match json {
        Json::Null => put(digest, b'n', b""),
        Json::Bool(value) => put(digest, b't', &[u8::from(*value)]),
        Json::Number(text) => {
            text.parse::<f64>().ok().filter(|number| number.abs() < NO_LONGER_EXACT).ok_or(Inexact)?;
            put(digest, b'd', text.as_bytes());
        }
        Json::String(text) => put(digest, b's', text.as_bytes()),
        Json::Array(elements) => {
            put(digest, b'[', &elements.len().to_be_bytes());
            for (i, element) in elements.iter().enumerate() {
                match below(ignored, &i.to_string()) {
                    // Its place counts, or what comes after it would be another element.
                    None => put(digest, b'-', b""),
                    Some(ignored) => put_json(digest, element, &ignored)?,
                }
            }
        }
        Json::Object(members) => {
            let kept = members.iter().filter_map(|(name, value)| Some((name, value, below(ignored, name)?)));
            let mut kept: Vec<_> = kept.collect();
            kept.sort_unstable_by_key(|(name, _, _)| *name);
            put(digest, b'{', &kept.len().to_be_bytes());
            for (name, value, ignored) in kept {
                put(digest, b's', name.as_bytes());
                put_json(digest, value, &ignored)?;
            }
        }
    }
    Ok(())
}

/// What is ignored below a member; `None` if the member is.
fn below<'p>(ignored: &[&'p [String]], name: &str) -> Option<Vec<&'p [String]>> {
    let mut deeper = Vec::new();
    for tokens in ignored {
        match tokens.split_first() {
            Some((first, [])) if first == name => return None,
            Some((first, rest)) if first == name => deeper.push(rest),
            Some(_) | None => {}
        }
    }
    Some(deeper)
}

/// One piece, with its kind and length, so that no two sequences of pieces are one text.
fn put(digest: &mut Sha256, kind: u8, bytes: &[u8]) {
    digest.update([kind]);
    digest.update((bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_type(media_type: &'static str, body: &str, ignore: &[&str]) -> String {
        let fields =
            [(header::CONTENT_TYPE, http::HeaderValue::from_static(media_type))].into_iter().collect();
        let ignore: Vec<Pointer> =
            ignore.iter().map(|text| Pointer::parse(text).expect("a pointer")).collect();
        digest(&fields, body.as_bytes(), &ignore).expect("a tag").to_string()
    }

    fn of(body: &str) -> String {
        of_type("application/json", body, &[])
    }

    #[test]
    fn a_tag_is_the_same_in_every_process() {
        assert_eq!(of(r#"{"a":1}"#), "\"c-bb239967d948af3c1f6ec5be2dec0228\"");
    }

    #[test]
    fn the_spelling_of_json_does_not_count() {
        let tag = of(r#"{"a":[1,"x"],"b":{"c":null,"é":true}}"#);
        assert_eq!(of("{ \"b\":\t{\"\\u00e9\":true,\"c\":null},\r\n\"a\":[1, \"\\u0078\"] }"), tag);
        assert_eq!(of_type("Application/JSON; charset=\"UTF-8\"", r#"{"a":1}"#, &[]), of(r#"{"a":1}"#));
    }

    #[test]
    fn different_documents_have_different_tags() {
        let documents = [
            r#"{"a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":"1"}"#,
            r#"{"a":true}"#,
            r#"{"a":null}"#,
            "{}",
            "[]",
            "[[]]",
            "[[],[]]",
            "[{}]",
            r#"["a",1]"#,
            r#"["a1"]"#,
            r#"[1,2]"#,
            r#"[2,1]"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":2,"a":1}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"a":9007199254740993}"#,
            r#"{"a":9007199254740994}"#,
            r#"{"a":1e400}"#,
            r#"{"a":1e401}"#,
            r#"{"a":1"#,
            "",
            " ",
        ];
        for (i, one) in documents.iter().enumerate() {
            for other in documents.iter().skip(i + 1) {
                assert_ne!(of(one), of(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_some_programs_cannot_read_exactly_counts_byte_for_byte() {
        for (one, other) in [
            (r#"{"a":9007199254740993,"b":1}"#, r#"{"b":1,"a":9007199254740993}"#),
            (r#"{"a":1,"a":1}"#, r#"{"a":1, "a":1}"#),
        ] {
            assert_ne!(of(one), of(other), "{one} {other}");
        }
        let stamped = |at: &str| of_type("application/json", &format!(r#"{{"at":{at},"a":1}}"#), &["/at"]);
        assert_eq!(
            stamped("1769800000000000001"),
            stamped("1769800000000000002"),
            "what is ignored is not read"
        );
    }

    #[test]
    fn a_media_type_is_part_of_the_tag() {
        let tags = ["application/json", "application/hal+json", "text/plain", "text/plain;charset=latin1"]
            .map(|media_type| of_type(media_type, "{}", &[]));
        for (i, tag) in tags.iter().enumerate() {
            assert!(!tags[..i].contains(tag), "{tags:?}");
        }
    }

    #[test]
    fn what_is_ignored_does_not_count_whether_it_is_there_or_not() {
        let of = |body| of_type("application/json", body, &["/at", "/a/0/at", "/list/1"]);
        let tag = of(r#"{"at":1,"a":[{"at":1,"b":2}],"list":[1,2,3]}"#);
        assert_eq!(of(r#"{"at":{"x":9},"a":[{"b":2}],"list":[1,9,3]}"#), tag);
        assert_eq!(of(r#"{"a":[{"b":2}],"list":[1,[],3]}"#), tag);
        for other in [
            r#"{"a":[{"b":3}],"list":[1,2,3]}"#,
            r#"{"a":[{"b":2},{"at":1}],"list":[1,2,3]}"#,
            r#"{"a":[{"b":2}],"list":[1,3]}"#,
            r#"{"a":[{"b":2}],"list":[1,2,3],"x":{"at":1}}"#,
        ] {
            assert_ne!(of(other), tag, "{other}");
        }
    }
}
