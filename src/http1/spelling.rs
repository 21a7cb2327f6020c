//! The names of fields as they were sent.
//!
//! Names are the same in any letter case (RFC 9110 section 5.1), and a `HeaderMap` keeps them in lower case. What
//! passes through is to arrive as it was sent, for there are peers that know only one spelling.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// The names in a head, in their order, as they were spelled.
#[derive(Clone, Debug, Default)]
pub struct Spelling {
    head: Bytes,
    names: SmallVec<[(u32, u32); 16]>,
}

impl Spelling {
    /// Of the names that stand at these places of the head.
    pub(super) fn new(head: Bytes, names: SmallVec<[(u32, u32); 16]>) -> Self {
        Spelling { head, names }
    }

    fn at(&self, index: usize) -> Option<&[u8]> {
        let (begin, end) = *self.names.get(index)?;
        self.head.get(begin as usize..end as usize)
    }
}

/// Says how each field of a map was spelled, in the order of the map.
pub struct Speller<'s> {
    spelling: Option<&'s Spelling>,
    /// Behind the last one that was found.
    next: usize,
    /// Behind the last one that was the first of its name.
    first: usize,
}

impl<'s> Speller<'s> {
    /// By this spelling; without one all names are in lower case.
    pub fn new(spelling: Option<&'s Spelling>) -> Self {
        Speller { spelling, next: 0, first: 0 }
    }

    /// The spelling of the next field: of the first one with this name, or of `another` one after it.
    pub fn spell<'n>(&mut self, name: &'n HeaderName, another: bool) -> &'n [u8]
    where
        's: 'n,
    {
        let Some(spelling) = self.spelling else { return name.as_str().as_bytes() };
        // As a rule the map has its fields in the order of the head, so that the first look finds it.
        let found = |mut range: Range<usize>| range.find(|index| is_at(spelling, *index, name));
        let spelled = match another {
            true => found(self.next..spelling.names.len()),
            false => found(self.first..spelling.names.len()).or_else(|| found(0..self.first)),
        };
        match spelled {
            Some(index) => {
                self.next = index + 1;
                if !another {
                    self.first = self.next;
                }
                spelling.at(index).unwrap_or(name.as_str().as_bytes())
            }
            None => name.as_str().as_bytes(),
        }
    }
}

fn is_at(spelling: &Spelling, index: usize, name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    spelling.at(index).is_some_and(|spelled| spells(spelled, name))
}

/// Whether a name, which is in lower case, is spelled like this: eight letters at a time, the last ones of them twice.
fn spells(spelled: &[u8], name: &[u8]) -> bool {
    if spelled.len() != name.len() {
        return false;
    }
    let (Some(spelled_end), Some(name_end)) = (spelled.last_chunk::<8>(), name.last_chunk::<8>()) else {
        return spelled.eq_ignore_ascii_case(name);
    };
    let same = |spelled: [u8; 8], name: [u8; 8]| {
        in_lower_case(u64::from_le_bytes(spelled)) == u64::from_le_bytes(name)
    };
    let (spelled, _) = spelled.as_chunks::<8>();
    let (name, _) = name.as_chunks::<8>();
    same(*spelled_end, *name_end) && spelled.iter().zip(name).all(|(spelled, name)| same(*spelled, *name))
}

/// Eight bytes of text with their capital letters made small.
fn in_lower_case(text: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let low_bits = text & !HIGH;
    // The high bit of each byte: from `A` on, and beyond `Z`.
    let from_a = low_bits + (0x80 - u64::from(b'A')) * EACH;
    let beyond_z = low_bits + (0x80 - u64::from(b'Z') - 1) * EACH;
    let capital = from_a & !beyond_z & !text & HIGH;
    text | (capital >> 2)
}

/// Calls `each` for all fields, with their names as they are to be spelled.
pub fn each_spelled(fields: &HeaderMap, spelling: Option<&Spelling>, mut each: impl FnMut(&[u8], &[u8])) {
    let mut speller = Speller::new(spelling);
    let mut last = None;
    for (name, value) in fields {
        // A map gives all values of a name one after the other.
        let another = last == Some(name);
        each(speller.spell(name, another), value.as_bytes());
        last = Some(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn spelled(head: &str) -> (HeaderMap, Spelling) {
        let (mut fields, mut names) = (HeaderMap::new(), SmallVec::new());
        let mut at = 0;
        for name in head.split_inclusive(' ') {
            let trimmed = name.trim();
            names.push((at, at + trimmed.len() as u32));
            at += name.len() as u32;
            let value = HeaderValue::try_from(trimmed).expect("a value");
            fields.append(HeaderName::try_from(trimmed).expect("a name"), value);
        }
        (fields, Spelling::new(Bytes::copy_from_slice(head.as_bytes()), names))
    }

    #[test]
    fn each_field_has_its_own_spelling_wherever_the_map_puts_it() {
        let (all, spelling) = spelled("Host X-TWICE aCCept x-Twice X-tWICE ETag");
        let mut fields = HeaderMap::new();
        for (name, value) in all.iter().filter(|(name, _)| *name != "accept") {
            fields.append(name, value.clone());
        }
        fields.insert("via", HeaderValue::from_static("via"));
        let mut seen = Vec::new();
        each_spelled(&fields, Some(&spelling), |name, value| {
            assert_eq!(name, value, "each is its own value here");
            seen.push(String::from_utf8_lossy(name).into_owned());
        });
        assert_eq!(seen, ["Host", "X-TWICE", "x-Twice", "X-tWICE", "ETag", "via"]);
    }

    /// Behind the second `b` stood the second `a`, and was taken for the first one.
    #[test]
    fn a_name_that_comes_again_behind_another_one_has_its_first_spelling_first() {
        let (fields, spelling) = spelled("b A a B A");
        let mut seen = Vec::new();
        each_spelled(&fields, Some(&spelling), |name, _| {
            seen.push(String::from_utf8_lossy(name).into_owned())
        });
        assert_eq!(seen, ["b", "B", "A", "a", "A"]);
    }

    #[test]
    fn every_byte_is_made_small_as_ascii_has_it_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut text = *b"Az-^~_@[";
                text[at] = byte;
                let small = in_lower_case(u64::from_le_bytes(text)).to_le_bytes();
                assert_eq!(small, text.map(|byte| byte.to_ascii_lowercase()), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn a_name_of_any_length_is_spelled_by_itself_and_by_no_other() {
        let name = b"x-a^b~c_d0e9-content-length";
        for length in 1..=name.len() {
            let name = &name[..length];
            assert!(spells(&name.to_ascii_uppercase(), name) && !spells(&name[1..], name));
            for at in 0..length {
                let mut other = name.to_ascii_uppercase();
                other[at] ^= 0x01;
                assert!(!spells(&other, name), "{length}, {at}");
                other[at] ^= 0x01 | 0x20;
                assert_eq!(spells(&other, name), other[at].is_ascii_alphabetic(), "{length}, {at}");
            }
        }
    }

    #[test]
    fn without_a_spelling_names_are_in_lower_case() {
        let (fields, _) = spelled("Host ETag");
        let mut seen = Vec::new();
        each_spelled(&fields, None, |name, _| seen.push(name.to_vec()));
        assert_eq!(seen, [b"host".to_vec(), b"etag".to_vec()]);
    }
}
