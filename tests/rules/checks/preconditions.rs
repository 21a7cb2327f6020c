//! Entity-tags, lists of them and the five fields of RFC 9110 section 13.1, against oracles that were
//! written from its grammar.

use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, header};
use ifmatch::http1::fields::Fields;
use ifmatch::request::entity_tag::{EntityTag, TagCondition};
use ifmatch::request::preconditions::{IfRange, Preconditions};
use ifmatch::request::version_tag::{Incarnation, ResourceKey, VersionTag};

use super::civil;

/// Takes the bytes for a header block: a line without one of the names is one of `If-Match`.
pub(crate) fn check(data: &[u8]) {
    let lines = named_lines(data);
    for (_, value) in &lines {
        one_tag(value);
        one_date(value);
    }
    for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
        let values: Vec<&[u8]> = values_of(&lines, &name);
        list(&values);
    }
    block(&lines);
}

type Line<'d> = (HeaderName, &'d [u8]);

fn named_lines(data: &[u8]) -> Vec<Line<'_>> {
    let names = [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::IF_MODIFIED_SINCE,
        header::IF_RANGE,
        header::RANGE,
    ];
    let named = |line| {
        let with_name = |name: &HeaderName| {
            let (head, value) = split_at_colon(line)?;
            head.eq_ignore_ascii_case(name.as_str().as_bytes()).then(|| (name.clone(), value))
        };
        names.iter().find_map(with_name).unwrap_or((header::IF_MATCH, line))
    };
    data.split(|byte| *byte == b'\n').map(named).collect()
}

fn split_at_colon(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..at], &line[at + 1..]))
}

fn values_of<'d>(lines: &[Line<'d>], wanted: &HeaderName) -> Vec<&'d [u8]> {
    lines.iter().filter(|(name, _)| name == wanted).map(|(_, value)| *value).collect()
}

// Section 8.8.3: entity-tag = [ weak ] opaque-tag; weak = %s"W/"; opaque-tag = DQUOTE *etagc DQUOTE;
// etagc = %x21 / %x23-7E / obs-text; obs-text = %x80-FF.

/// A tag: whether it is weak, and what stands between its quotes.
type Tag = (bool, Vec<u8>);

fn tag_by_grammar(element: &[u8]) -> Option<Tag> {
    let (weak, quoted) = match element.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, element),
    };
    let opaque = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let etagc = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff);
    opaque.iter().all(etagc).then(|| (weak, opaque.to_vec()))
}

/// Section 5.6.3: OWS = *( SP / HTAB )
fn without_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// `Some(None)` for the star.
fn list_by_grammar(value: &[u8]) -> Option<Option<Vec<Tag>>> {
    let mut in_quotes = false;
    // A comma within quotes belongs to the tag.
    let elements = value.split(|byte| {
        in_quotes ^= *byte == b'"';
        *byte == b',' && !in_quotes
    });
    // Section 5.6.1.2: a recipient parses and ignores empty elements.
    let elements: Vec<&[u8]> = elements.map(without_ows).filter(|element| !element.is_empty()).collect();
    match elements.as_slice() {
        [] => None,
        [b"*"] => Some(None),
        tags => tags.iter().map(|tag| tag_by_grammar(tag)).collect::<Option<_>>().map(Some),
    }
}

fn written((weak, opaque): &Tag) -> Vec<u8> {
    [if *weak { &b"W/\""[..] } else { b"\"" }, opaque, b"\""].concat()
}

fn taken_apart(tag: &EntityTag) -> Tag {
    (tag.is_weak(), tag.opaque().to_vec())
}

fn meaning(condition: &TagCondition) -> Option<Vec<Tag>> {
    match condition {
        TagCondition::Any => None,
        TagCondition::Tags(tags) => Some(tags.iter().map(taken_apart).collect()),
    }
}

fn one_tag(value: &[u8]) {
    let read = EntityTag::parse(value);
    let told = read.as_ref().ok().map(taken_apart);
    assert_eq!(told, tag_by_grammar(without_ows(value)), "one tag: {}", value.escape_ascii());
    let Ok(tag) = read else { return };
    assert_eq!(EntityTag::parse(&written(&taken_apart(&tag))), Ok(tag.clone()), "printed and read again");
    assert_eq!(EntityTag::strong(tag.opaque()).is_some_and(|strong| strong == tag), !tag.is_weak());
    if std::str::from_utf8(tag.opaque()).is_ok() {
        assert_eq!(tag.to_string().into_bytes(), written(&taken_apart(&tag)));
    }
    ours(&tag);
}

/// `<16 hex>.<8 hex>.<hex without leading zeros>.<8 hex>`, all in lower case: a tag has one spelling.
fn ours(tag: &EntityTag) {
    let read = VersionTag::read(tag);
    let text = std::str::from_utf8(tag.opaque()).unwrap_or_default();
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let parts: Vec<&str> = text.split('.').collect();
    let by_grammar = match parts.as_slice() {
        [life, resource, version, variant] => {
            let lengths = [life.len(), resource.len(), variant.len()] == [16, 8, 8];
            let plain = (1..=16).contains(&version.len()) && (*version == "0" || !version.starts_with('0'));
            lengths && plain && parts.iter().all(|part| hex(part))
        }
        _ => false,
    };
    assert_eq!(read.is_some(), by_grammar, "ours: {text}");
    let with_suffix = VersionTag::read_with_suffix(tag);
    let Some(read) = read else {
        if let Some(weakened) = with_suffix {
            // It is one of ours, and something that is none of it.
            let bare = weakened.to_string();
            assert!(text.starts_with(bare.trim_matches('"')) && text.len() > bare.len() - 2, "{text}");
        }
        return;
    };
    assert_eq!(read.to_string(), format!("\"{text}\""), "one spelling");
    assert_eq!(with_suffix, Some(read));
    assert!(read.is_of(read.incarnation, ResourceKey(u64::from(read.resource))));
    assert!(!read.is_of(Incarnation(!read.incarnation.0), ResourceKey(u64::from(read.resource))));
    assert!(!read.is_of(read.incarnation, ResourceKey(u64::from(!read.resource))));
}

fn list(values: &[&[u8]]) {
    let told = TagCondition::parse(values.iter().copied());
    // Section 5.3: field lines are one list, joined by a comma and a blank.
    let joined = values.join(&b", "[..]);
    let shown = joined.escape_ascii();
    let by_grammar = list_by_grammar(&joined);
    assert_eq!(told.as_ref().ok().map(meaning), by_grammar, "the list: {shown}");
    assert_eq!(TagCondition::parse([&joined[..]]).ok(), told.clone().ok(), "joined: {shown}");
    let Ok(condition) = told else { return };
    // Without the blank a broken tag could be mended by the next line, never the other way round.
    let bare = values.join(&b","[..]);
    assert_eq!(TagCondition::parse([&bare[..]]), Ok(condition.clone()), "joined by a comma: {shown}");
    let printed = match meaning(&condition) {
        None => b"*".to_vec(),
        Some(tags) => tags.iter().map(written).collect::<Vec<_>>().join(&b","[..]),
    };
    assert_eq!(TagCondition::parse([&printed[..]]), Ok(condition.clone()), "printed: {shown}");
    if let TagCondition::Tags(tags) = condition {
        compared(&tags);
    }
}

/// Section 8.8.3.2, and its table.
fn compared(tags: &[EntityTag]) {
    const ENOUGH: usize = 8;
    for one in tags.iter().take(ENOUGH) {
        for other in tags.iter().take(ENOUGH) {
            let (mine, theirs) = (taken_apart(one), taken_apart(other));
            assert_eq!(one.weak_eq(other), mine.1 == theirs.1);
            assert_eq!(one.strong_eq(other), mine == theirs && !mine.0);
        }
    }
}

/// What is read is one of the spellings of that time, and each of those is read.
fn one_date(value: &[u8]) {
    const BEFORE_2070: u64 = 3_155_760_000;
    let Some(seconds) = date_of(value) else { return };
    let mut text = String::from_utf8_lossy(without_ows(value)).into_owned();
    let spellings = civil::spellings(seconds);
    // httpdate takes any character between the year and the hour of RFC 850: a date more that counts.
    if let Some((head, clock)) = text.clone().split_at_checked(text.len().saturating_sub(13))
        && head.contains("day, ")
    {
        text = format!("{head} {}", clock.get(1..).unwrap_or_default());
    }
    assert!(spellings.contains(&text), "{text} was read as {spellings:?}");
    for spelling in spellings.iter().filter(|_| seconds < BEFORE_2070) {
        assert_eq!(date_of(spelling.as_bytes()), Some(seconds), "{spelling}");
    }
}

fn date_of(value: &[u8]) -> Option<u64> {
    let mut fields = Fields::new();
    fields.insert(header::IF_UNMODIFIED_SINCE, HeaderValue::from_bytes(value).ok()?);
    let read = Preconditions::read(&fields).expect("a date is never malformed, it is ignored");
    let since = read.if_unmodified_since?.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Some(since.as_secs())
}

/// Section 13.1: which fields count beside which, and which of them is malformed.
fn block(lines: &[Line<'_>]) {
    let mut fields = Fields::new();
    let mut sent: Vec<Line<'_>> = Vec::new();
    for (name, value) in lines {
        let Ok(field) = HeaderValue::from_bytes(value) else { continue };
        fields.append(name.clone(), field);
        sent.push((name.clone(), value));
    }
    let of = |name: &HeaderName| values_of(&sent, name);
    // `None`: not there. `Some(None)`: malformed.
    let condition = |name: &HeaderName| {
        let values = of(name);
        (!values.is_empty()).then(|| list_by_grammar(&values.join(&b", "[..])))
    };
    let (matches, none_match) = (condition(&header::IF_MATCH), condition(&header::IF_NONE_MATCH));
    let range = match (of(&header::RANGE).as_slice(), of(&header::IF_RANGE).as_slice()) {
        ([], _) | (_, []) => None,
        (_, [one]) if date_of(one).is_some() => Some(Some(None)),
        (_, [one]) => Some(tag_by_grammar(without_ows(one)).map(Some)),
        (_, _) => Some(None),
    };
    let malformed = [
        (header::IF_MATCH, matches == Some(None)),
        (header::IF_NONE_MATCH, none_match == Some(None)),
        (header::IF_RANGE, range == Some(None)),
    ];
    let read = match Preconditions::read(&fields) {
        Ok(read) => read,
        Err(told) => {
            assert!(malformed.contains(&(told.field, true)), "{:?}", told.problem);
            return;
        }
    };
    assert!(malformed.iter().all(|(_, is)| !is), "accepted: {malformed:?}");
    assert_eq!(read.if_match.as_ref().map(meaning), matches.flatten());
    assert_eq!(read.if_none_match.as_ref().map(meaning), none_match.flatten());
    let tag_of = |range: &IfRange| match range {
        IfRange::Tag(tag) => Some(taken_apart(tag)),
        IfRange::Date => None,
    };
    assert_eq!(read.if_range.as_ref().map(tag_of), range.flatten());
    // Sections 13.1.3 and 13.1.4: ignored beside the tag's field, and where it is not one valid date.
    let date = |name: &HeaderName, beside: bool| match of(name).as_slice() {
        [one] if !beside => date_of(one).map(|at| SystemTime::UNIX_EPOCH + Duration::from_secs(at)),
        _ => None,
    };
    assert_eq!(read.if_unmodified_since, date(&header::IF_UNMODIFIED_SINCE, read.if_match.is_some()));
    assert_eq!(read.if_modified_since, date(&header::IF_MODIFIED_SINCE, read.if_none_match.is_some()));
}
