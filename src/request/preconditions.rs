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
        let Some(stated) = Stated::in_the(fields) else { return Ok(Preconditions::default()) };
        let unless = |beside, date: Lines<'_>| if beside == Lines::None { date.date() } else { None };
        Ok(Preconditions {
            if_match: stated.if_match.tags(fields, &header::IF_MATCH)?,
            if_none_match: stated.if_none_match.tags(fields, &header::IF_NONE_MATCH)?,
            if_unmodified_since: unless(stated.if_match, stated.if_unmodified_since),
            if_modified_since: unless(stated.if_none_match, stated.if_modified_since),
            if_range: stated.if_range.range(fields)?,
        })
    }

    /// States `If-Match`, as if it had come in its field.
    pub fn state_if_match(&mut self, tags: TagCondition) {
        self.if_match = Some(tags);
        self.if_unmodified_since = None;
    }
}

/// The fields as they were sent, found by one walk over all of a request's: most have none of them, and to look for
/// each takes longer.
#[derive(Default)]
struct Stated<'f> {
    if_match: Lines<'f>,
    if_none_match: Lines<'f>,
    if_unmodified_since: Lines<'f>,
    if_modified_since: Lines<'f>,
    if_range: Lines<'f>,
}

impl<'f> Stated<'f> {
    /// `None`: not one of them.
    fn in_the(fields: &'f Fields) -> Option<Self> {
        let (mut stated, mut any) = (Stated::default(), false);
        for (name, value) in fields {
            let lines = match *name {
                header::IF_MATCH => &mut stated.if_match,
                header::IF_NONE_MATCH => &mut stated.if_none_match,
                header::IF_UNMODIFIED_SINCE => &mut stated.if_unmodified_since,
                header::IF_MODIFIED_SINCE => &mut stated.if_modified_since,
                header::IF_RANGE => &mut stated.if_range,
                _ => continue,
            };
            *lines = if *lines == Lines::None { Lines::One(value) } else { Lines::Several };
            any = true;
        }
        any.then_some(stated)
    }
}

/// What a request has of one field.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Lines<'f> {
    #[default]
    None,
    One(FieldValue<'f>),
    Several,
}

impl Lines<'_> {
    fn tags(self, fields: &Fields, name: &HeaderName) -> Result<Option<TagCondition>, MalformedPrecondition> {
        let tags = match self {
            Lines::None => return Ok(None),
            Lines::One(line) => TagCondition::parse([line.as_bytes()]),
            Lines::Several => TagCondition::parse(fields.get_all(name).map(FieldValue::as_bytes)),
        };
        tags.map(Some).map_err(|problem| MalformedPrecondition { field: name.clone(), problem })
    }

    fn date(self) -> Option<SystemTime> {
        if let Lines::One(line) = self { date_in(line) } else { None }
    }

    fn range(self, fields: &Fields) -> Result<Option<IfRange>, MalformedPrecondition> {
        if self == Lines::None || !fields.contains_key(header::RANGE) {
            return Ok(None);
        }
        let malformed = |problem| MalformedPrecondition { field: header::IF_RANGE, problem };
        let Lines::One(line) = self else {
            return Err(malformed(MalformedTags {
                found: "two field lines".into(),
                expected: "one entity-tag or date",
            }));
        };
        if self.date().is_some() {
            return Ok(Some(IfRange::Date));
        }
        let tag = EntityTag::parse(line.as_bytes()).map_err(malformed)?;
        Ok(Some(IfRange::Tag(tag)))
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

/// The date in a field. What is not one valid HTTP-date is ignored, a repeated one too (RFC 9110 sections 13.1.3
/// and 13.1.4).
pub fn date(fields: &Fields, name: &HeaderName) -> Option<SystemTime> {
    let mut lines = fields.get_all(name);
    match (lines.next(), lines.next()) {
        (Some(line), None) => date_in(line),
        (None | Some(_), _) => None,
    }
}

fn date_in(line: FieldValue<'_>) -> Option<SystemTime> {
    httpdate::parse_http_date(line.to_str().ok()?.trim()).ok()
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
