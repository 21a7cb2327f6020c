//! The names of fields as they were sent.
//!
//! Names are the same in any letter case (RFC 9110 section 5.1), and a `HeaderMap` keeps them in lower case. What
//! passes through is to arrive as it was sent, for there are peers that know only one spelling.

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
}

impl<'s> Speller<'s> {
    /// By this spelling; without one all names are in lower case.
    pub fn new(spelling: Option<&'s Spelling>) -> Self {
        Speller { spelling, next: 0 }
    }

    /// The spelling of the next field: of the first one with this name, or of `another` one after it.
    pub fn spell<'n>(&mut self, name: &'n HeaderName, another: bool) -> &'n [u8]
    where
        's: 'n,
    {
        let Some(spelling) = self.spelling else { return name.as_str().as_bytes() };
        // As a rule the map has its fields in the order of the head.
        let spelled = match self.is_at(spelling, self.next, name) {
            true => Some(self.next),
            false => {
                let from = if another { self.next } else { 0 };
                (from..spelling.names.len()).find(|index| self.is_at(spelling, *index, name))
            }
        };
        match spelled {
            Some(index) => {
                self.next = index + 1;
                spelling.at(index).unwrap_or(name.as_str().as_bytes())
            }
            None => name.as_str().as_bytes(),
        }
    }

    fn is_at(&self, spelling: &Spelling, index: usize, name: &HeaderName) -> bool {
        spelling.at(index).is_some_and(|spelled| spelled.eq_ignore_ascii_case(name.as_str().as_bytes()))
    }
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

    #[test]
    fn without_a_spelling_names_are_in_lower_case() {
        let (fields, _) = spelled("Host ETag");
        let mut seen = Vec::new();
        each_spelled(&fields, None, |name, _| seen.push(name.to_vec()));
        assert_eq!(seen, [b"host".to_vec(), b"etag".to_vec()]);
    }
}
