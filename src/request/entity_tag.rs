//! Entity-tags and lists of them (RFC 9110 section 8.8.3 and 13.1.1).

use std::fmt;

use memchr::memchr;
use smallvec::SmallVec;

/// An entity-tag as a peer wrote it: opaque bytes, weak or strong (RFC 9110 section 8.8.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag {
    weak: bool,
    opaque: SmallVec<[u8; USUAL_LENGTH]>,
}

/// As long as tags of ours are, with a few suffixes and some more; a longer one costs an allocation.
const USUAL_LENGTH: usize = 48;

/// What `If-Match` or `If-None-Match` states: any current representation, or one of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagCondition {
    /// `*`
    Any,
    /// One or more entity-tags; never empty.
    Tags(Vec<EntityTag>),
}

/// Why a field's value is not what the grammar allows. The text is for the client that sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedTags {
    /// What was found, and where in the value.
    pub found: String,
    /// What the grammar wants there.
    pub expected: &'static str,
}

impl EntityTag {
    /// A strong tag with this opaque part. `None` if a byte may not stand in a tag.
    pub fn strong(opaque: &[u8]) -> Option<Self> {
        all_etagc(opaque).then(|| EntityTag { weak: false, opaque: opaque.into() })
    }

    /// Whether it is written `W/"..."`.
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// The bytes between the quotes.
    pub fn opaque(&self) -> &[u8] {
        &self.opaque
    }

    /// As it stands in a field.
    pub fn field_value(&self) -> Vec<u8> {
        let prefix: &[u8] = if self.weak { b"W/\"" } else { b"\"" };
        [prefix, &self.opaque, b"\""].concat()
    }

    /// Strong comparison (RFC 9110 section 8.8.3.2): both strong, and the same bytes.
    pub fn strong_eq(&self, other: &EntityTag) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Weak comparison (RFC 9110 section 8.8.3.2): the same bytes.
    pub fn weak_eq(&self, other: &EntityTag) -> bool {
        self.opaque == other.opaque
    }

    /// One strong tag and nothing else, which is what nearly every field states.
    fn alone(value: &[u8]) -> Option<Self> {
        let opaque = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        all_etagc(opaque).then(|| EntityTag { weak: false, opaque: opaque.into() })
    }

    /// Parses exactly one entity-tag, as `If-Range` and `ETag` carry it.
    ///
    /// # Errors
    /// Says what stands where the grammar wants something else.
    pub fn parse(value: &[u8]) -> Result<Self, MalformedTags> {
        let mut cursor = Cursor::new(value);
        cursor.skip_blanks();
        let tag = cursor.entity_tag()?;
        cursor.skip_blanks();
        if cursor.rest().is_empty() { Ok(tag) } else { Err(cursor.malformed("the end of the value")) }
    }
}

/// As it was written, where that was UTF-8.
impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.weak { "W/" } else { "" };
        write!(f, "{prefix}\"{}\"", String::from_utf8_lossy(&self.opaque))
    }
}

impl TagCondition {
    /// Parses a field's lines, in their order, as one list (RFC 9110 section 5.3).
    ///
    /// A comma may stand inside a tag. Empty list elements are skipped, as section 5.6.1.2 asks; a
    /// list of nothing but those is malformed, for it states nothing.
    ///
    /// # Errors
    /// On anything else that the grammar does not allow, `*` beside a tag included: a value is never
    /// guessed at and no part of it is skipped.
    pub fn parse<'v>(lines: impl IntoIterator<Item = &'v [u8]>) -> Result<Self, MalformedTags> {
        let mut lines = lines.into_iter();
        let (first, second) = (lines.next(), lines.next());
        if let (Some(tag), None) = (first.and_then(EntityTag::alone), second) {
            return Ok(TagCondition::Tags(vec![tag]));
        }
        let mut tags = Vec::new();
        let mut any = false;
        for line in first.into_iter().chain(second).chain(lines) {
            let mut cursor = Cursor::new(line);
            loop {
                cursor.skip_blanks();
                match cursor.rest().first() {
                    None => break,
                    Some(b',') => {
                        cursor.advance(1);
                        continue;
                    }
                    Some(b'*') if !any && tags.is_empty() => {
                        cursor.advance(1);
                        any = true;
                    }
                    Some(_) if any => return Err(cursor.malformed("`*` alone, or entity-tags without it")),
                    Some(_) => tags.push(cursor.entity_tag()?),
                }
                cursor.skip_blanks();
                match cursor.rest().first() {
                    None => break,
                    Some(b',') => cursor.advance(1),
                    Some(_) => return Err(cursor.malformed("a comma or the end of the value")),
                }
            }
        }
        match (any, tags.is_empty()) {
            (true, _) => Ok(TagCondition::Any),
            (false, false) => Ok(TagCondition::Tags(tags)),
            (false, true) => Err(MalformedTags {
                found: "an empty list".into(),
                expected: "`*` or at least one entity-tag",
            }),
        }
    }
}

/// RFC 9110 section 8.8.3: any visible character but the double quote, and obs-text.
fn is_etagc(byte: u8) -> bool {
    byte > b' ' && byte != b'"' && byte != 0x7f
}

/// Looks at all of them to the end, which compilers turn into a few instructions for many bytes.
fn all_etagc(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |so_far, byte| so_far & is_etagc(*byte))
}

struct Cursor<'v> {
    value: &'v [u8],
    at: usize,
}

impl<'v> Cursor<'v> {
    fn new(value: &'v [u8]) -> Self {
        Cursor { value, at: 0 }
    }

    fn rest(&self) -> &'v [u8] {
        self.value.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, by: usize) {
        self.at += by;
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    }

    fn entity_tag(&mut self) -> Result<EntityTag, MalformedTags> {
        const EXPECTED: &str = "an entity-tag like \"abc\" or W/\"abc\"";
        let (weak, quoted) = match self.rest() {
            [b'W', b'/', quoted @ ..] => (true, quoted),
            quoted => (false, quoted),
        };
        let Some(inner) = quoted.strip_prefix(b"\"") else { return Err(self.malformed(EXPECTED)) };
        let end = memchr(b'"', inner);
        let Some(opaque) = end.and_then(|end| inner.get(..end)).filter(|opaque| all_etagc(opaque)) else {
            return Err(self.malformed("an entity-tag that ends with a double quote"));
        };
        self.advance(self.rest().len() - inner.len() + opaque.len() + 1);
        Ok(EntityTag { weak, opaque: opaque.into() })
    }

    fn malformed(&self, expected: &'static str) -> MalformedTags {
        /// Enough to recognise the place, too little to fill a log.
        const SHOWN: usize = 24;
        let rest = self.rest();
        let shown = rest.get(..SHOWN).unwrap_or(rest);
        let more = if rest.len() > SHOWN { "..." } else { "" };
        let found = if rest.is_empty() {
            format!("the end of the value after byte {}", self.at)
        } else {
            format!("`{}{more}` at byte {}", shown.escape_ascii(), self.at)
        };
        MalformedTags { found, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(lines: &[&[u8]]) -> Result<Vec<String>, MalformedTags> {
        Ok(match TagCondition::parse(lines.iter().copied())? {
            TagCondition::Any => vec!["*".into()],
            TagCondition::Tags(tags) => tags.iter().map(EntityTag::to_string).collect(),
        })
    }

    #[test]
    fn a_comma_may_stand_inside_a_tag() {
        assert_eq!(tags(&[b"\"a,b\", W/\"c\""]), Ok(vec!["\"a,b\"".into(), "W/\"c\"".into()]));
    }

    #[test]
    fn several_lines_are_one_list() {
        assert_eq!(tags(&[b"\"a\"", b" , \"b\" ,"]), Ok(vec!["\"a\"".into(), "\"b\"".into()]));
    }

    #[test]
    fn malformed_values_say_what_was_found_and_where() {
        for value in [
            &b"abc"[..],
            b"\"a\" \"b\"",
            b"\"a",
            b"w/\"a\"",
            b"*, \"a\"",
            b"\"a\", *",
            b"",
            b" , ",
            b"\"a b\"",
            b"**",
        ] {
            let malformed = tags(&[value]).expect_err("not the grammar");
            assert!(!malformed.found.is_empty() && !malformed.expected.is_empty());
        }
        assert_eq!(tags(&[b"\"a\", oops"]).expect_err("no tag").found, "`oops` at byte 5");
    }

    #[test]
    fn star_is_not_split_over_lines() {
        assert!(tags(&[b"*", b"\"a\""]).is_err());
        assert!(tags(&[b"*", b"*"]).is_err());
        assert_eq!(tags(&[b" * "]), Ok(vec!["*".into()]));
    }
}
