//! A message's fields, in their order and as they were sent.
//!
//! The map of the crate `http` hashes a name for every question, moves fields of one name together and forgets how names
//! were spelled. A message has ten fields or so: to look through a list of them takes less than to hash one name.

use std::borrow::Borrow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

pub use super::field_line::{FieldValue, Line, NotText};
use super::field_line::{Place, line_as_sent, write_line};

/// Fields in their order.
///
/// What came in a message stays where it stands in the message's head; what was put in has a value of its own. One that
/// was removed leaves its place and its spelling behind, for another one that is put in under the same name.
#[derive(Clone, Default)]
pub struct Fields {
    head: Bytes,
    list: Vec<Field>,
}

#[derive(Clone)]
struct Field {
    name: HeaderName,
    /// Empty: in lower case.
    spelled: Place,
    value: Stored,
}

#[derive(Clone)]
enum Stored {
    Came(Place),
    PutIn(HeaderValue),
    Removed,
}

impl Fields {
    /// None.
    pub fn new() -> Self {
        Fields::default()
    }

    /// None yet, with room for so many.
    pub fn with_capacity(count: usize) -> Self {
        Fields { head: Bytes::new(), list: Vec::with_capacity(count) }
    }

    /// They stand in this head.
    pub(super) fn came_in(&mut self, head: Bytes) {
        self.head = head;
    }

    /// One that stands at these places of a head that is still to be [told](Self::came_in).
    pub(super) fn comes(&mut self, name: HeaderName, spelled: Place, value: Place) {
        self.list.push(Field { name, spelled, value: Stored::Came(value) });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { head: &self.head, list: self.list.iter() }
    }

    /// Their names, each as often as it is there.
    pub fn keys(&self) -> impl Iterator<Item = &HeaderName> {
        self.iter().map(|(name, _)| name)
    }

    /// Whether one of them has this name.
    pub fn contains_key(&self, name: impl Borrow<HeaderName>) -> bool {
        self.get(name).is_some()
    }

    /// The first value of this name.
    pub fn get(&self, name: impl Borrow<HeaderName>) -> Option<FieldValue<'_>> {
        self.get_all(name).next()
    }

    /// The values of this name, in their order.
    pub fn get_all<N: Borrow<HeaderName>>(
        &self,
        name: N,
    ) -> impl Iterator<Item = FieldValue<'_>> + use<'_, N> {
        let of_name = move |field: &&Field| field.is(name.borrow());
        self.list.iter().filter(of_name).filter_map(|field| field.value(&self.head))
    }

    /// A copy of the first value of this name.
    pub fn get_owned(&self, name: impl Borrow<HeaderName>) -> Option<HeaderValue> {
        self.get(name).and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok())
    }

    /// Puts in a value in place of all that this name has.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        let mut value = Some(value);
        for field in self.list.iter_mut().filter(|field| field.is(&name)) {
            field.value = value.take().map_or(Stored::Removed, Stored::PutIn);
        }
        if let Some(value) = value {
            self.append(name, value);
        }
    }

    /// Puts in a value behind all others.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.list.push(Field { name, spelled: Place::default(), value: Stored::PutIn(value) });
    }

    /// Removes what has this name.
    pub fn remove(&mut self, name: impl Borrow<HeaderName>) {
        let name = name.borrow();
        self.remove_where(|other| other == name);
    }

    /// Removes what has such a name.
    pub fn remove_where(&mut self, mut goes: impl FnMut(&HeaderName) -> bool) {
        for field in &mut self.list {
            if !field.is_removed() && goes(&field.name) {
                field.value = Stored::Removed;
            }
        }
    }

    /// Puts another value in the place of each one of this name; or none, which removes it.
    pub fn change(
        &mut self,
        name: impl Borrow<HeaderName>,
        mut other: impl FnMut(FieldValue<'_>) -> Option<HeaderValue>,
    ) {
        let name = name.borrow();
        for field in self.list.iter_mut().filter(|field| field.is(name)) {
            if let Some(value) = field.value(&self.head) {
                field.value = other(value).map_or(Stored::Removed, Stored::PutIn);
            }
        }
    }

    /// A copy that keeps nothing alive but its own bytes.
    pub fn to_be_kept(&self) -> Self {
        let (mut head, mut kept) = (Vec::new(), Fields::with_capacity(self.list.len()));
        for line in self.lines() {
            let begin = head.len();
            write_line(line.spelled, line.value.as_bytes(), &mut head);
            let spelled = Place::between(begin, begin + line.spelled.len());
            kept.comes(
                line.name.clone(),
                spelled,
                Place::between(begin + line.spelled.len() + 2, head.len() - 2),
            );
        }
        kept.came_in(head.into());
        kept
    }

    /// A copy, with room for so many more.
    pub fn clone_with_room(&self, more: usize) -> Self {
        let mut list = Vec::with_capacity(self.list.len() + more);
        list.extend_from_slice(&self.list);
        Fields { head: self.head.clone(), list }
    }

    /// How they are written, in their order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.list.iter().filter_map(|field| field.line(&self.head))
    }

    /// How the name of one is written that may have been removed.
    pub fn spelling<'f>(&'f self, name: &'f HeaderName) -> &'f [u8] {
        let known = self.list.iter().find(|field| field.is(name));
        known.map_or(name.as_str().as_bytes(), |field| field.spelled(&self.head))
    }
}

impl Field {
    fn is(&self, name: &HeaderName) -> bool {
        self.name == *name
    }

    fn is_removed(&self) -> bool {
        matches!(self.value, Stored::Removed)
    }

    fn value<'f>(&'f self, head: &'f [u8]) -> Option<FieldValue<'f>> {
        match &self.value {
            Stored::Came(place) => Some(FieldValue::parsed(place.within(head))),
            Stored::PutIn(value) => Some(value.into()),
            Stored::Removed => None,
        }
    }

    fn spelled<'f>(&'f self, head: &'f [u8]) -> &'f [u8] {
        match self.spelled.within(head) {
            [] => self.name.as_str().as_bytes(),
            spelled => spelled,
        }
    }

    fn line<'f>(&'f self, head: &'f [u8]) -> Option<Line<'f>> {
        let value = self.value(head)?;
        let as_sent = match &self.value {
            Stored::Came(place) => line_as_sent(head, self.spelled, *place),
            Stored::PutIn(_) | Stored::Removed => None,
        };
        Some(Line { name: &self.name, spelled: self.spelled(head), value, as_sent })
    }
}

/// Fields one after the other.
#[derive(Clone)]
pub struct Iter<'f> {
    head: &'f [u8],
    list: std::slice::Iter<'f, Field>,
}

impl<'f> Iterator for Iter<'f> {
    type Item = (&'f HeaderName, FieldValue<'f>);

    fn next(&mut self) -> Option<Self::Item> {
        self.list.find_map(|field| Some((&field.name, field.value(self.head)?)))
    }
}

impl<'f> IntoIterator for &'f Fields {
    type Item = (&'f HeaderName, FieldValue<'f>);
    type IntoIter = Iter<'f>;

    fn into_iter(self) -> Iter<'f> {
        self.iter()
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let put_in = |(name, value)| Field { name, spelled: Place::default(), value: Stored::PutIn(value) };
        Fields { head: Bytes::new(), list: fields.into_iter().map(put_in).collect() }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name.as_str(), value))).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    /// Fields as they come in a head like this.
    fn came(text: &'static str) -> Fields {
        let head = Bytes::from_static(text.as_bytes());
        let base = head.as_ptr() as usize;
        let mut fields = Fields::new();
        for line in text.lines() {
            let (name, value) = line.split_once(':').expect("a field");
            let place = |part: &str| Place::of(part.as_bytes(), base);
            fields.comes(HeaderName::try_from(name).expect("a name"), place(name), place(value.trim()));
        }
        fields.came_in(head);
        fields
    }

    fn written(fields: &Fields) -> String {
        let mut out = Vec::new();
        fields.lines().for_each(|line| line.write(&mut out));
        String::from_utf8(out).expect("text")
    }

    fn values<'f>(fields: &'f Fields, name: &'static str) -> Vec<&'f str> {
        let values = fields.get_all(HeaderName::from_static(name));
        values.map(|value| value.to_str().expect("text")).collect()
    }

    #[test]
    fn they_are_written_as_they_came_but_for_blanks_and_ends_of_lines() {
        let plain = "Host: h\r\nX-TWICE: 1\r\naCCept: */*\r\nx-Twice: 2\r\n";
        assert_eq!(written(&came(plain)), plain);
        assert_eq!(
            written(&came("A:1\r\nB:\t 2 \r\nC:\r\nD: 4\nE: 5")),
            "A: 1\r\nB: 2\r\nC: \r\nD: 4\r\nE: 5\r\n"
        );
    }

    #[test]
    fn a_name_has_its_values_in_their_order_wherever_they_stand() {
        let fields = came("A: 1\r\nB: 2\r\na: 3\r\nB: 4\r\nA: 5\r\n");
        assert_eq!(values(&fields, "a"), ["1", "3", "5"]);
        assert_eq!(values(&fields, "b"), ["2", "4"]);
        assert_eq!(values(&fields, "c"), [""; 0]);
        assert_eq!(fields.get(HeaderName::from_static("b")).map(FieldValue::as_bytes), Some(&b"2"[..]));
        assert_eq!(fields.len(), 5);
    }

    #[test]
    fn one_that_is_put_in_has_the_place_and_the_spelling_of_what_it_replaces() {
        let mut fields = came("A: 1\r\nETag: 2\r\nB: 3\r\netag: 4\r\n");
        fields.insert(header::ETAG, HeaderValue::from_static("5"));
        assert_eq!(written(&fields), "A: 1\r\nETag: 5\r\nB: 3\r\n");
        fields.insert(header::VIA, HeaderValue::from_static("6"));
        assert_eq!(written(&fields), "A: 1\r\nETag: 5\r\nB: 3\r\nvia: 6\r\n");
        fields.append(header::ETAG, HeaderValue::from_static("7"));
        assert_eq!(values(&fields, "etag"), ["5", "7"]);
    }

    #[test]
    fn what_was_removed_is_not_there_any_more_and_leaves_its_place_and_its_spelling() {
        let mut fields = came("A: 1\r\nETag: 2\r\nB: 3\r\nETAG: 4\r\n");
        fields.remove(header::ETAG);
        assert!(!fields.contains_key(header::ETAG) && fields.get(header::ETAG).is_none());
        assert!(fields.get_owned(header::ETAG).is_none() && values(&fields, "etag").is_empty());
        assert!(fields.keys().all(|name| *name != header::ETAG));
        assert_eq!((fields.len(), fields.is_empty()), (2, false));
        assert_eq!(written(&fields), "A: 1\r\nB: 3\r\n");
        assert_eq!(fields.spelling(&header::ETAG), b"ETag");
        let mut seen = 0;
        fields.remove_where(|_| {
            seen += 1;
            false
        });
        assert_eq!(seen, 2, "nobody is asked twice whether it goes");
        fields.change(header::ETAG, |_| panic!("there is none"));
        fields.insert(header::ETAG, HeaderValue::from_static("5"));
        assert_eq!(written(&fields), "A: 1\r\nETag: 5\r\nB: 3\r\n");
        fields.remove_where(|_| true);
        assert!(fields.is_empty());
    }

    #[test]
    fn each_value_is_changed_or_removed_by_itself() {
        let mut fields = came("Cookie: a\r\nX: b\r\ncookie: c\r\n");
        fields.change(header::COOKIE, |value| {
            (value.as_bytes() == b"a").then(|| HeaderValue::from_static("d"))
        });
        assert_eq!(written(&fields), "Cookie: d\r\nX: b\r\n");
    }

    #[test]
    fn a_copy_says_the_same() {
        let mut fields = came("A: 1\r\nETag: 2\r\nB: 3\r\n");
        fields.remove(HeaderName::from_static("b"));
        fields.insert(header::VIA, HeaderValue::from_static("4"));
        for copy in [fields.clone(), fields.to_be_kept(), fields.clone_with_room(9)] {
            assert_eq!(written(&copy), written(&fields));
        }
    }
}
