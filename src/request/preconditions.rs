//! The preconditions of a request (RFC 9110 section 13.1), read once.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, header};

use super::entity_tag::{EntityTag, MalformedTags, TagCondition};
use super::version_tag::VersionTag;

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
    pub fn read(fields: &HeaderMap) -> Result<Self, MalformedPrecondition> {
        let if_match = tag_condition(fields, header::IF_MATCH)?;
        let if_none_match = tag_condition(fields, header::IF_NONE_MATCH)?;
        let if_unmodified_since = match if_match {
            Some(_) => None,
            None => date(fields, &header::IF_UNMODIFIED_SINCE),
        };
        let if_modified_since = match if_none_match {
            Some(_) => None,
            None => date(fields, &header::IF_MODIFIED_SINCE),
        };
        let if_range = if_range(fields)?;
        Ok(Preconditions { if_match, if_none_match, if_unmodified_since, if_modified_since, if_range })
    }

    /// States `If-Match`, as if it had come in its field.
    pub fn state_if_match(&mut self, tags: TagCondition) {
        self.if_match = Some(tags);
        self.if_unmodified_since = None;
    }
}

/// Whether a field of tags states tags, and all of them are of our making, in whatever life of the ledger.
///
/// A field that cannot be read is not.
pub fn is_ours_alone(fields: &HeaderMap, name: &HeaderName) -> bool {
    if !fields.contains_key(name) {
        return false;
    }
    let lines = fields.get_all(name).iter().map(http::HeaderValue::as_bytes);
    match TagCondition::parse(lines) {
        Ok(TagCondition::Tags(tags)) => tags.iter().all(|tag| VersionTag::read_with_suffix(tag).is_some()),
        Ok(TagCondition::Any) | Err(_) => false,
    }
}

fn tag_condition(
    fields: &HeaderMap,
    name: HeaderName,
) -> Result<Option<TagCondition>, MalformedPrecondition> {
    if !fields.contains_key(&name) {
        return Ok(None);
    }
    let lines = fields.get_all(&name).iter().map(http::HeaderValue::as_bytes);
    TagCondition::parse(lines).map(Some).map_err(|problem| MalformedPrecondition { field: name, problem })
}

/// The date in a field. What is not one valid HTTP-date is ignored, a repeated one too (RFC 9110 sections 13.1.3
/// and 13.1.4).
pub fn date(fields: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut lines = fields.get_all(name).iter();
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    httpdate::parse_http_date(line.to_str().ok()?.trim()).ok()
}

fn if_range(fields: &HeaderMap) -> Result<Option<IfRange>, MalformedPrecondition> {
    let mut lines = fields.get_all(header::IF_RANGE).iter();
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

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, http::HeaderValue::from_static(value));
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
