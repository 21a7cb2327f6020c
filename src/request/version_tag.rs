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
        VersionTag { incarnation, resource: low_half(resource.0), version, variant }
    }

    /// Whether it was made for this resource by this life of the ledger.
    pub fn is_of(&self, incarnation: Incarnation, resource: ResourceKey) -> bool {
        self.incarnation == incarnation && self.resource == low_half(resource.0)
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
        let (incarnation, opaque) = opaque.split_first_chunk::<16>()?;
        let (resource, opaque) = opaque.strip_prefix(b".")?.split_first_chunk::<8>()?;
        let (version, variant) = opaque.strip_prefix(b".")?.split_last_chunk::<8>()?;
        let version = version.strip_suffix(b".")?;
        let mut padded = [b'0'; 16];
        padded.get_mut(16_usize.checked_sub(version.len())?..)?.copy_from_slice(version);
        let tag = VersionTag {
            incarnation: Incarnation(read_16(*incarnation)?),
            resource: read_8(*resource)?,
            version: Version(read_16(padded)?),
            variant: Variant(read_8(*variant)?),
        };
        // A tag has one spelling: leading zeros of the version are not another one, nor is none at all.
        (version.len() == tag.version_digits()).then_some(tag)
    }

    /// The field value, with its quotes: `"<incarnation>.<resource>.<version>.<variant>"`, the version without
    /// leading zeros.
    pub fn field_value(&self) -> SmallVec<[u8; LONGEST]> {
        let digits = self.version_digits();
        let mut value = [b'.'; LONGEST];
        value[0] = b'"';
        value[1..17].copy_from_slice(&written_16(self.incarnation.0));
        value[18..26].copy_from_slice(&written_8(self.resource));
        // From its first digit on; what follows it is overwritten.
        value[27..43].copy_from_slice(&written_16(self.version.0 << (4 * (16 - digits))));
        let end = 27 + digits + 1 + 8;
        if let Some([dot, variant @ .., quote]) = value.get_mut(27 + digits..=end) {
            *dot = b'.';
            variant.copy_from_slice(&written_8(self.variant.0));
            *quote = b'"';
        }
        SmallVec::from_buf_and_len(value, end + 1)
    }

    /// How many digits its version is written with: between 1 and 16.
    fn version_digits(&self) -> usize {
        16 - self.version.0.max(1).leading_zeros() as usize / 4
    }
}

/// Two quotes, three dots, and all digits of every part.
const LONGEST: usize = 2 + 3 + 16 + 8 + 16 + 8;

/// In hexadecimal, all digits at once, each in a byte of one word: every answer has some, and formatting takes
/// many times as long.
fn written_8(number: u32) -> [u8; 8] {
    let mut digits = u64::from(number);
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    text_of(digits).to_be_bytes()
}

/// Reads back what [`written_8`] has written, and nothing else.
fn read_8(text: [u8; 8]) -> Option<u32> {
    let text = u64::from_be_bytes(text);
    // `a` to `f` have a bit that `0` to `9` have not, and 1 to 6 in the low half.
    let letters = text >> 6 & ONES;
    let digits = (text & (ONES * 0xf)) + letters * 9;
    if digits & (ONES * 0xf0) != 0 || text_of(digits) != text {
        return None;
    }
    let pairs = (digits | digits >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    Some(low_half(fours | fours >> 16))
}

/// The characters of digits, each in its byte.
fn text_of(digits: u64) -> u64 {
    // 1 in each byte whose digit is a letter: one that six more carry over 15.
    let letters = (digits + ONES * 6) >> 4 & ONES;
    digits + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)
}

fn written_16(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    let (high, low) = text.split_at_mut(8);
    high.copy_from_slice(&written_8(low_half(number >> 32)));
    low.copy_from_slice(&written_8(low_half(number)));
    text
}

fn read_16(text: [u8; 16]) -> Option<u64> {
    let (high, rest) = text.split_first_chunk()?;
    let (low, _) = rest.split_first_chunk()?;
    Some(u64::from(read_8(*high)?) << 32 | u64::from(read_8(*low)?))
}

/// 1 in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

impl fmt::Display for VersionTag {
    /// Its field value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.field_value().iter().try_for_each(|b| f.write_char(char::from(*b)))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low_half(number: u64) -> u32 {
    number as u32
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
            "\"0000000000000007.ccccdddd..00000003\"",
            "\"0000000000000007.ccccdddd.00000003\"",
            "\"0000000000000007.ccccdddd.1.f.00000003\"",
            "\"0000000000000007.ccccdddd.10123456789abcdef.00000003\"",
            "\"0000000000000007-ccccdddd.1f.00000003\"",
            "\"\"",
        ] {
            let parsed = EntityTag::parse(foreign.as_bytes()).expect("grammar");
            assert_eq!(VersionTag::read(&parsed), None, "{foreign}");
        }
    }

    #[test]
    fn a_number_is_read_from_its_lower_case_digits_alone() {
        for digit in 0..16 {
            for place in 0..8 {
                let number = digit << (4 * place);
                assert_eq!(written_8(number), *format!("{number:08x}").as_bytes());
                assert_eq!(read_8(written_8(number)), Some(number));
            }
        }
        for place in 0..8 {
            for byte in u8::MIN..=u8::MAX {
                let mut text = *b"90afbe18";
                *text.get_mut(place).expect("a place") = byte;
                let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                assert_eq!(read_8(text).is_some(), is_digit, "{byte:#x} at {place}");
            }
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
