//! What an entity-tag stands for, and the tag of what an origin shows, where that is not the ledger's version.
//!
//! These tags come from an answer alone, so they are the same in every process and after a restart (rule K3),
//! and a change that did not come through the proxy changes them too.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use http::{StatusCode, header};

use super::digest::digest;
use super::policy::WeakIfMatch;
use crate::http1::fields::Fields;
use crate::identify::content::{Content, Place};
use crate::request::entity_tag::EntityTag;
use crate::request::json::Pointer;
use crate::request::preconditions::date;
use crate::request::version_tag::without_coding_suffix;

/// What an entity-tag stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// A version that the ledger keeps.
    Version,
    /// The representation itself, by its digest.
    Content {
        /// Members of a JSON representation that do not count.
        ignore: Vec<Pointer>,
    },
    /// What the origin says of its own: a field of its JSON, or its `ETag`, else its `Last-Modified`.
    Origin {
        /// The field.
        version_field: Option<Place>,
    },
    /// The origin's `ETag`, which the origin itself compares with `If-Match`.
    Enforced,
}

impl Validator {
    /// Whether stated tags are compared with what the origin shows under the permit (rule K1).
    pub fn is_shown(&self) -> bool {
        match self {
            Validator::Content { .. } | Validator::Origin { .. } => true,
            Validator::Version | Validator::Enforced => false,
        }
    }

    /// Whether a tag is made from the whole content of an answer.
    pub fn reads_content(&self) -> bool {
        match self {
            Validator::Content { .. } | Validator::Origin { version_field: Some(_) } => true,
            Validator::Version | Validator::Origin { version_field: None } | Validator::Enforced => false,
        }
    }

    /// The tag of what a 200 to GET shows, or the answer to a write that says it is the new representation.
    /// `None` where there is none: no content was read, or the origin says nothing that tells states apart.
    pub fn tag_of(&self, status: StatusCode, fields: &Fields, content: Option<&[u8]>) -> Option<EntityTag> {
        if !matches!(status, StatusCode::OK | StatusCode::CREATED) {
            return None;
        }
        match self {
            Validator::Version => None,
            Validator::Content { ignore } => digest(fields, content?, ignore),
            Validator::Origin { version_field: Some(place) } => {
                let value = Content::of(fields, content?).value(place).ok().flatten()?;
                value_tag(&value)
            }
            Validator::Origin { version_field: None } => own_tag(fields).or_else(|| date_tag(fields)),
            Validator::Enforced => own_tag(fields),
        }
    }

    /// The tag that a value means which a client sent in another place than `If-Match`: with its quotes as the
    /// tag that it is, without them as what stands between them, or as the value of the version's field.
    /// `None`: no tag, so it matches nothing.
    pub fn tag_of_stated(&self, value: &str) -> Option<EntityTag> {
        if let Ok(tag) = EntityTag::parse(value.as_bytes()) {
            return Some(tag);
        }
        match self {
            Validator::Origin { version_field: Some(_) } => value_tag(value),
            Validator::Version
            | Validator::Content { .. }
            | Validator::Origin { version_field: None }
            | Validator::Enforced => EntityTag::strong(value.as_bytes()),
        }
    }
}

/// Whether a stated tag is the one that is shown, for `If-Match`: strongly compared (RFC 9110 section 13.1.1),
/// unless the route takes weak forms; then also what compressors on the way make of a tag.
pub fn satisfies(stated: &EntityTag, shown: &EntityTag, weak: WeakIfMatch) -> bool {
    match weak {
        WeakIfMatch::Refuse => stated.strong_eq(shown),
        WeakIfMatch::Accept => is_same(stated, shown, weak),
    }
}

/// Weak comparison (RFC 9110 section 13.1.2), for `If-None-Match`.
pub fn is_same(stated: &EntityTag, shown: &EntityTag, weak: WeakIfMatch) -> bool {
    let bare = |tag: &EntityTag| match weak {
        WeakIfMatch::Refuse => None,
        WeakIfMatch::Accept => Some(without_coding_suffix(tag.opaque()).to_vec()),
    };
    stated.weak_eq(shown) || bare(stated).is_some_and(|stated| Some(stated) == bare(shown))
}

/// The origin's own tag. A field that holds none, or that is there twice, is no tag: nobody could send it back.
pub fn own_tag(fields: &Fields) -> Option<EntityTag> {
    let mut lines = fields.get_all(header::ETAG);
    match (lines.next(), lines.next()) {
        (Some(line), None) => EntityTag::parse(line.as_bytes()).ok(),
        (_, _) => None,
    }
}

/// A tag for `Last-Modified`, once its second is over by the origin's own clock (RFC 9110 section 8.8.2.2).
///
/// Within that second the resource may change again and keep its date; so there is no tag, and a write that
/// states the date's tag fails.
fn date_tag(fields: &Fields) -> Option<EntityTag> {
    const RESOLUTION: Duration = Duration::from_secs(1);
    let (modified, now) = (date(fields, &header::LAST_MODIFIED)?, date(fields, &header::DATE)?);
    (now >= modified + RESOLUTION).then_some(())?;
    let seconds = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    EntityTag::strong(format!("lm-{seconds}").as_bytes())
}

/// A tag for the value of a version's field: the value, and percent-encoded what may not stand in a tag. An
/// empty one tells nothing.
fn value_tag(value: &str) -> Option<EntityTag> {
    if value.is_empty() {
        return None;
    }
    let mut opaque = String::with_capacity(value.len());
    for byte in value.bytes() {
        // A percent sign too, so that no two values have one tag.
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%') {
            opaque.push(char::from(byte));
        } else {
            write!(opaque, "%{byte:02X}").ok()?;
        }
    }
    EntityTag::strong(opaque.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.append(http::HeaderName::from_static(name), http::HeaderValue::from_static(value));
        }
        fields
    }

    fn tag_of(validator: &Validator, lines: &[(&'static str, &'static str)], body: &str) -> Option<String> {
        validator.tag_of(StatusCode::OK, &fields(lines), Some(body.as_bytes())).map(|tag| tag.to_string())
    }

    const ORIGIN: Validator = Validator::Origin { version_field: None };
    const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");

    #[test]
    fn an_origins_own_tag_goes_before_its_date() {
        let dated = [("etag", "W/\"a\""), MODIFIED, ("date", "Sun, 06 Nov 1994 08:49:39 GMT")];
        assert_eq!(tag_of(&ORIGIN, &dated, ""), Some("W/\"a\"".into()));
        for malformed in [&[("etag", "abc")][..], &[("etag", "\"a\""), ("etag", "\"b\"")]] {
            assert_eq!(tag_of(&ORIGIN, malformed, ""), None);
            assert_eq!(
                tag_of(&ORIGIN, &[malformed, &dated[1..]].concat(), ""),
                Some("\"lm-784111777\"".into())
            );
        }
    }

    #[test]
    fn a_date_is_a_tag_when_its_second_is_over() {
        for (date, tag) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("Sun, 06 Nov 1994 08:49:38 GMT", Some("\"lm-784111777\"".into())),
        ] {
            assert_eq!(tag_of(&ORIGIN, &[MODIFIED, ("date", date)], ""), tag, "{date}");
        }
        assert_eq!(tag_of(&ORIGIN, &[MODIFIED], ""), None, "nobody says what time it is");
    }

    #[test]
    fn a_field_of_the_body_is_the_tag_where_the_route_names_one() {
        let place = Place::Json(Pointer::parse("/version").expect("a pointer"));
        let field = Validator::Origin { version_field: Some(place) };
        let json = [("content-type", "application/json"), ("etag", "\"other\"")];
        for (body, tag) in [
            (r#"{"version":7}"#, Some("\"7\"")),
            (r#"{"version":"7"}"#, Some("\"7\"")),
            (r#"{"version":9007199254740993}"#, Some("\"9007199254740993\"")),
            (r#"{"version":"2026-01-05 10:00"}"#, Some("\"2026-01-05%2010:00\"")),
            (r#"{"version":"a%20\"é"}"#, Some("\"a%2520%22%C3%A9\"")),
            (r#"{"version":""}"#, None),
            (r#"{"version":null}"#, None),
            (r#"{"version":[7]}"#, None),
            (r#"{"version":7,"version":8}"#, None),
            ("{}", None),
            ("", None),
        ] {
            assert_eq!(tag_of(&field, &json, body).as_deref(), tag, "{body}");
        }
        let stated = |value| field.tag_of_stated(value).map(|tag| tag.to_string());
        assert_eq!(stated("2026-01-05 10:00").as_deref(), Some("\"2026-01-05%2010:00\""));
        assert_eq!(stated("\"2026-01-05%2010:00\"").as_deref(), Some("\"2026-01-05%2010:00\""));
    }

    #[test]
    fn a_stated_value_is_a_tag_with_or_without_its_quotes() {
        let stated = |value| ORIGIN.tag_of_stated(value).map(|tag| tag.to_string());
        for (value, tag) in [
            ("a", Some("\"a\"")),
            ("\"a\"", Some("\"a\"")),
            ("W/\"a\"", Some("W/\"a\"")),
            ("*", Some("\"*\"")),
            ("a b", None),
        ] {
            assert_eq!(stated(value).as_deref(), tag, "{value}");
        }
    }

    #[test]
    fn only_a_whole_representation_has_a_tag() {
        let dated = fields(&[("etag", "\"a\"")]);
        for (status, has) in
            [(200, true), (201, true), (204, false), (206, false), (404, false), (500, false)]
        {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(ORIGIN.tag_of(status, &dated, None).is_some(), has, "{status}");
        }
    }

    #[test]
    fn weak_forms_satisfy_where_the_route_takes_them() {
        let tag = |text: &str| EntityTag::parse(text.as_bytes()).expect("a tag");
        for (stated, shown, strictly, leniently) in [
            ("\"a\"", "\"a\"", true, true),
            ("W/\"a\"", "\"a\"", false, true),
            ("W/\"a\"", "W/\"a\"", false, true),
            ("\"a\"", "W/\"a\"", false, true),
            ("\"a-gzip\"", "\"a\"", false, true),
            ("\"b\"", "\"a\"", false, false),
        ] {
            let (stated, shown) = (tag(stated), tag(shown));
            assert_eq!(satisfies(&stated, &shown, WeakIfMatch::Refuse), strictly, "{stated} {shown}");
            assert_eq!(satisfies(&stated, &shown, WeakIfMatch::Accept), leniently, "{stated} {shown}");
        }
    }
}
