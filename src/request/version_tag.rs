//! The entity-tags that ifmatch makes: which life of the ledger, which version of which resource, and
//! on which representation.

use std::fmt::{self, Write};

use smallvec::SmallVec;

use super::entity_tag::EntityTag;

/// A number from one sequence that only grows and never repeats within an [`Incarnation`] (rule R1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A random name for one unbroken life of a ledger. Versions of two incarnations never compare equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(pub u64);

/// The ledger's slot of a resource: a keyed hash of its name.
///
/// Two resources in one slot are safe: a spurious refusal at worst (rule R2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey(pub u64);

/// Which representation a tag was put on: a hash over media type, coding, language, target and the
/// credentials that chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant(pub u32);

/// A tag of ours, taken apart.
///
/// The resource's key is part of it, so that a tag is of no use on another resource even while both
/// stand at the same version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionTag {
    /// The ledger's life that made it.
    pub incarnation: Incarnation,
    /// The resource that it was read from; the low half of the key is enough.
    pub resource: u32,
    /// The version that was current before the read was forwarded.
    pub version: Version,
    /// The representation that it was put on.
    pub variant: Variant,
}

/// What some compressors and servers on the way append to a tag that they weaken. Understood only
/// where a route says `weak_if_match = "accept"`. Apache writes `-gzip`, Jetty `--gzip`, others `;br`.
const CODING_SUFFIXES: [&[u8]; 10] =
    [b"--gzip", b"--br", b"-gzip", b"-br", b"-deflate", b"-zstd", b";gzip", b";br", b":gzip", b":br"];

/// A tag's opaque part without the suffix that a compressor on the way is known to append.
pub fn without_coding_suffix(opaque: &[u8]) -> &[u8] {
    CODING_SUFFIXES.iter().find_map(|suffix| opaque.strip_suffix(*suffix)).unwrap_or(opaque)
}

impl VersionTag {
    /// A tag of `resource` at `version`.
    pub fn new(incarnation: Incarnation, resource: ResourceKey, version: Version, variant: Variant) -> Self {
        VersionTag { incarnation, resource: low_half(resource), version, variant }
    }

    /// Whether it was made for this resource by this life of the ledger.
    pub fn is_of(&self, incarnation: Incarnation, resource: ResourceKey) -> bool {
        self.incarnation == incarnation && self.resource == low_half(resource)
    }

    /// Reads a tag back. `None` if it is not of our making.
    pub fn read(tag: &EntityTag) -> Option<Self> {
        Self::read_opaque(tag.opaque())
    }

    /// Like [`VersionTag::read`], also with a suffix that a compressor on the way is known to append.
    pub fn read_with_suffix(tag: &EntityTag) -> Option<Self> {
        Self::read_opaque(without_coding_suffix(tag.opaque()))
    }

    fn read_opaque(opaque: &[u8]) -> Option<Self> {
        let mut parts = opaque.split(|b| *b == b'.');
        let incarnation = Incarnation(lower_hex(parts.next()?, 16)?);
        let resource = u32::try_from(lower_hex(parts.next()?, 8)?).ok()?;
        let written = parts.next()?;
        let version = Version(lower_hex(written, written.len())?);
        let variant = Variant(u32::try_from(lower_hex(parts.next()?, 8)?).ok()?);
        let tag = VersionTag { incarnation, resource, version, variant };
        // A tag has one spelling: leading zeros of the version are not another one.
        (parts.next().is_none() && (written == b"0" || !written.starts_with(b"0"))).then_some(tag)
    }

    /// The field value, with its quotes: `"<incarnation>.<resource>.<version>.<variant>"`, the version without
    /// leading zeros.
    pub fn field_value(&self) -> SmallVec<[u8; LONGEST]> {
        let leading_zeros = self.version.0.max(1).leading_zeros() as usize / 4;
        let mut value = SmallVec::new();
        value.push(b'"');
        push_hex(&mut value, self.incarnation.0, 16);
        value.push(b'.');
        push_hex(&mut value, u64::from(self.resource), 8);
        value.push(b'.');
        push_hex(&mut value, self.version.0, 16 - leading_zeros);
        value.push(b'.');
        push_hex(&mut value, u64::from(self.variant.0), 8);
        value.push(b'"');
        value
    }
}

/// Two quotes, three dots, and all digits of every part.
const LONGEST: usize = 2 + 3 + 16 + 8 + 16 + 8;

/// Appends the last so many digits of a number. Every answer has some, and formatting takes ten times as long.
fn push_hex(text: &mut SmallVec<[u8; LONGEST]>, number: u64, digits: usize) {
    let mut all = [0; 16];
    for (place, digit) in all.iter_mut().rev().enumerate() {
        let value = (number >> (4 * place)).to_le_bytes()[0] & 0xf;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
    }
    text.extend_from_slice(all.get(all.len().saturating_sub(digits)..).unwrap_or_default());
}

impl fmt::Display for VersionTag {
    /// Its field value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.field_value().iter().try_for_each(|b| f.write_char(char::from(*b)))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low_half(key: ResourceKey) -> u32 {
    key.0 as u32
}

fn lower_hex(text: &[u8], digits: usize) -> Option<u64> {
    if text.len() != digits || text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0, |number, b| {
        let value = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> VersionTag {
        VersionTag::new(Incarnation(7), ResourceKey(0xaaaa_bbbb_cccc_dddd), Version(0x1f), Variant(3))
    }

    #[test]
    fn a_tag_is_read_back_as_it_was_written() {
        let parsed = EntityTag::parse(example().to_string().as_bytes()).expect("grammar");
        assert_eq!(VersionTag::read(&parsed), Some(example()));
    }

    #[test]
    fn a_tag_is_written_in_hexadecimal_without_leading_zeros_of_the_version() {
        for (version, written) in [(0, "0"), (0xf, "f"), (0x10, "10"), (u64::MAX, "ffffffffffffffff")] {
            let tag = VersionTag { version: Version(version), ..example() };
            assert_eq!(tag.to_string(), format!("\"0000000000000007.ccccdddd.{written}.00000003\""));
        }
    }

    #[test]
    fn other_peoples_tags_and_other_spellings_are_not_ours() {
        for foreign in [
            "\"abc\"",
            "\"0000000000000007.ccccdddd.01f.00000003\"",
            "\"0000000000000007.CCCCDDDD.1f.00000003\"",
            "\"0000000000000007.ccccdddd.1f.00000003.1\"",
            "\"0000000000000007.ccccdddd.1f.00000003-gzip\"",
        ] {
            let parsed = EntityTag::parse(foreign.as_bytes()).expect("grammar");
            assert_eq!(VersionTag::read(&parsed), None, "{foreign}");
        }
    }

    #[test]
    fn a_coding_suffix_is_read_only_where_asked_for() {
        let weakened = format!("W/{}", example().to_string().replace("3\"", "3-gzip\""));
        let parsed = EntityTag::parse(weakened.as_bytes()).expect("grammar");
        assert_eq!(VersionTag::read(&parsed), None);
        assert_eq!(VersionTag::read_with_suffix(&parsed), Some(example()));
    }
}
