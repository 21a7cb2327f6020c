//! The preconditions of a request (RFC 9110 section 13.1), read once.

use std::time::SystemTime;

use http::{HeaderName, header};

use super::entity_tag::{EntityTag, MalformedTags, TagCondition};
use super::version_tag::VersionTag;

use crate::http1::fields::{FieldValue, Fields};

/// What a request states about the resource, in the field's own terms.
///
/// A field that RFC 9110 tells a recipient to ignore is not here: what is ignored does not count as a
/// precondition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// `If-Match`
    pub if_match: Option<TagCondition>,
    /// `If-None-Match`
    pub if_none_match: Option<TagCondition>,
    /// `If-Unmodified-Since`, unless `If-Match` is there (section 13.1.4) or the date is invalid.
    pub if_unmodified_since: Option<SystemTime>,
    /// `If-Modified-Since`, unless `If-None-Match` is there (section 13.1.3) or the date is invalid.
    pub if_modified_since: Option<SystemTime>,
    /// `If-Range`, beside a `Range` only (section 13.1.5).
    pub if_range: Option<IfRange>,
}

/// What `If-Range` compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// An entity-tag, compared strongly.
    Tag(EntityTag),
    /// A date; ifmatch leaves it to the origin, whose date it is.
    Date,
}

/// A precondition field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedPrecondition {
    /// The field.
    pub field: HeaderName,
    /// What is wrong with its value.
    pub problem: MalformedTags,
}

/// The fields of RFC 9110 section 13.1. On an enforced route none of them reaches the origin with a tag in it.
pub static CONDITIONAL_FIELDS: [HeaderName; 5] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::IF_MODIFIED_SINCE,
    header::IF_RANGE,
];

impl Preconditions {
    /// Reads the preconditions out of a request's fields.
    ///
    /// # Errors
    /// If `If-Match`, `If-None-Match` or an `If-Range` that is no date is not what the grammar allows.
    /// An invalid date is ignored, as RFC 9110 asks.
    pub fn read(fields: &Fields) -> Result<Self, MalformedPrecondition> {
        let there = There::in_the(fields);
        if there == There::default() {
            return Ok(Preconditions::default());
        }
        let tags = |there: bool, name| there.then(|| tag_condition(fields, name)).transpose();
        let date = |there: bool, name| there.then(|| date(fields, name)).flatten();
        Ok(Preconditions {
            if_match: tags(there.if_match, header::IF_MATCH)?,
            if_none_match: tags(there.if_none_match, header::IF_NONE_MATCH)?,
            if_unmodified_since: date(
                there.if_unmodified_since && !there.if_match,
                &header::IF_UNMODIFIED_SINCE,
            ),
            if_modified_since: date(
                there.if_modified_since && !there.if_none_match,
                &header::IF_MODIFIED_SINCE,
            ),
            if_range: if there.if_range { if_range(fields)? } else { None },
        })
    }

    /// States `If-Match`, as if it had come in its field.
    pub fn state_if_match(&mut self, tags: TagCondition) {
        self.if_match = Some(tags);
        self.if_unmodified_since = None;
    }
}

/// Which of the fields are there, told by one walk over all of them: most requests have none, and to look each
/// of them up takes longer.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct There {
    if_match: bool,
    if_none_match: bool,
    if_unmodified_since: bool,
    if_modified_since: bool,
    if_range: bool,
}

impl There {
    fn in_the(fields: &Fields) -> Self {
        let mut there = There::default();
        for name in fields.keys() {
            match *name {
                header::IF_MATCH => there.if_match = true,
                header::IF_NONE_MATCH => there.if_none_match = true,
                header::IF_UNMODIFIED_SINCE => there.if_unmodified_since = true,
                header::IF_MODIFIED_SINCE => there.if_modified_since = true,
                header::IF_RANGE => there.if_range = true,
                _ => {}
            }
        }
        there
    }
}

/// Whether a field of tags states tags, and all of them are of our making, in whatever life of the ledger.
///
/// A field that cannot be read is not.
pub fn is_ours_alone(fields: &Fields, name: &HeaderName) -> bool {
    if !fields.contains_key(name) {
        return false;
    }
    let lines = fields.get_all(name).map(FieldValue::as_bytes);
    match TagCondition::parse(lines) {
        Ok(TagCondition::Tags(tags)) => tags.iter().all(|tag| VersionTag::read_with_suffix(tag).is_some()),
        Ok(TagCondition::Any) | Err(_) => false,
    }
}

fn tag_condition(fields: &Fields, name: HeaderName) -> Result<TagCondition, MalformedPrecondition> {
    let lines = fields.get_all(&name).map(FieldValue::as_bytes);
    TagCondition::parse(lines).map_err(|problem| MalformedPrecondition { field: name, problem })
}

/// The date in a field. What is not one valid HTTP-date is ignored, a repeated one too (RFC 9110 sections 13.1.3
/// and 13.1.4).
pub fn date(fields: &Fields, name: &HeaderName) -> Option<SystemTime> {
    let mut lines = fields.get_all(name);
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    httpdate::parse_http_date(line.to_str().ok()?.trim()).ok()
}

fn if_range(fields: &Fields) -> Result<Option<IfRange>, MalformedPrecondition> {
    let mut lines = fields.get_all(header::IF_RANGE);
    let (Some(line), true) = (lines.next(), fields.contains_key(header::RANGE)) else { return Ok(None) };
    let malformed = |problem| MalformedPrecondition { field: header::IF_RANGE, problem };
    if lines.next().is_some() {
        return Err(malformed(MalformedTags {
            found: "two field lines".into(),
            expected: "one entity-tag or date",
        }));
    }
    if line.to_str().is_ok_and(|text| httpdate::parse_http_date(text.trim()).is_ok()) {
        return Ok(Some(IfRange::Date));
    }
    EntityTag::parse(line.as_bytes()).map(|tag| Some(IfRange::Tag(tag))).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.append(HeaderName::from_static(name), http::HeaderValue::from_static(value));
        }
        fields
    }

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn a_date_beside_its_tag_field_is_ignored() {
        let read = Preconditions::read(&fields(&[("if-match", "*"), ("if-unmodified-since", DATE)]))
            .expect("well-formed");
        assert_eq!(read.if_unmodified_since, None);
        let read = Preconditions::read(&fields(&[("if-none-match", "*"), ("if-modified-since", DATE)]))
            .expect("well-formed");
        assert_eq!(read.if_modified_since, None);
    }

    #[test]
    fn an_invalid_or_repeated_date_is_ignored() {
        for lines in [
            &[("if-unmodified-since", "yesterday")][..],
            &[("if-unmodified-since", DATE), ("if-unmodified-since", DATE)],
        ] {
            assert_eq!(Preconditions::read(&fields(lines)), Ok(Preconditions::default()));
        }
    }

    #[test]
    fn if_range_counts_only_beside_range() {
        assert_eq!(Preconditions::read(&fields(&[("if-range", "\"a\"")])).expect("ignored").if_range, None);
        let read =
            Preconditions::read(&fields(&[("if-range", DATE), ("range", "bytes=0-")])).expect("well-formed");
        assert_eq!(read.if_range, Some(IfRange::Date));
    }

    #[test]
    fn a_field_is_ours_alone_where_every_tag_in_it_is() {
        const OURS: &str = "\"0000000000000007.ccccdddd.1f.00000003\"";
        const WEAKENED: &str = "W/\"0000000000000008.ccccdddd.20.00000003-gzip\"";
        let is_ours =
            |lines: &[(&'static str, &'static str)]| is_ours_alone(&fields(lines), &header::IF_MATCH);
        assert!(is_ours(&[("if-match", OURS)]));
        assert!(is_ours(&[("if-match", OURS), ("if-match", WEAKENED)]));
        for other in ["\"theirs\"", "*", "oops"] {
            assert!(!is_ours(&[("if-match", other)]), "{other}");
            assert!(!is_ours(&[("if-match", OURS), ("if-match", other)]), "{other} beside ours");
        }
        assert!(!is_ours(&[("if-none-match", OURS)]), "another field");
    }

    #[test]
    fn a_malformed_field_is_named() {
        let malformed = Preconditions::read(&fields(&[("if-none-match", "oops")])).expect_err("no tag");
        assert_eq!(malformed.field, header::IF_NONE_MATCH);
    }
}
