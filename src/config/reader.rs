//! Walks over the parsed text and collects what is wrong, instead of stopping at the first mistake.
//!
//! Every reading returns `None` after it has told a problem, so that a caller reads all of its keys
//! first and then puts them together.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use http::StatusCode;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Absent, KeyDoc, Kind, Section, keys_of};
use super::nearest::{nearest, nearest_with_similarity};
use super::problem::{Cause, Place, Problem};
use super::values::{Mistake, duration, quote, size};
use super::words::{expected, expected_element, one_of};

/// Where problems go.
pub(super) struct Sink<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Sink<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Sink { text, problems: RefCell::default() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    pub(super) fn tell(&self, cause: Cause, path: &str, span: Range<usize>, mistake: Mistake) {
        let Mistake { found, expected, nearest } = mistake;
        let place = Some(Place::of(span, self.text));
        let problem = Problem {
            path: on_one_line(path.to_owned()),
            place,
            found: on_one_line(found),
            expected: expected.map(on_one_line),
            nearest: nearest.map(on_one_line),
            cause,
        };
        self.problems.borrow_mut().push(problem);
    }
}

/// A key, and what the parser says, can hold anything that a file can; a problem is one line of a log.
fn on_one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// One table of the file, whose keys are those of its section.
pub(super) struct Table<'t> {
    pub(super) sink: &'t Sink<'t>,
    pub(super) path: String,
    span: Range<usize>,
    section: Section,
    entries: &'t DeTable<'t>,
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct Value<'t> {
    pub(super) sink: &'t Sink<'t>,
    pub(super) path: String,
    span: Range<usize>,
    kind: Kind,
    is_element: bool,
    value: &'t DeValue<'t>,
}

/// Whether a list may be empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// It may: it says "none", and so does its absence.
    Allowed,
    /// It may not: nobody can tell "none" from "all".
    Refused,
}

impl<'t> Table<'t> {
    /// Opens a table and tells every key that its section has not.
    pub(super) fn open(
        sink: &'t Sink<'t>,
        path: String,
        span: Range<usize>,
        section: Section,
        entries: &'t DeTable<'t>,
    ) -> Self {
        let table = Table { sink, path, span, section, entries };
        for (key, _) in entries.iter() {
            let name: &str = key.get_ref();
            if !keys_of(section).any(|doc| doc.key == name) {
                table.tell_unknown(name, key.span());
            }
        }
        table
    }

    fn tell_unknown(&self, name: &str, span: Range<usize>) {
        /// A key of another section has to be nearer by as much, and this near, to be meant.
        const CLEARLY: f64 = 0.05;
        const VERY_NEAR: f64 = 0.9;
        let names = |section| keys_of(section).map(|doc| doc.key);
        let here = nearest_with_similarity(name, names(self.section));
        let elsewhere = Section::ALL
            .into_iter()
            .filter_map(|section| Some((nearest_with_similarity(name, names(section))?, section)))
            .filter(|((similarity, _), _)| *similarity >= VERY_NEAR)
            .filter(|((similarity, _), _)| here.is_none_or(|(here, _)| *similarity > here + CLEARLY))
            .max_by(|((a, _), _), ((b, _), _)| a.total_cmp(b));
        let mistake = Mistake::found("unknown key");
        let mistake = match (here, elsewhere) {
            (_, Some(((_, near), Section::Root))) => {
                mistake.expected(format!("{} at the top of the file", quote(near)))
            }
            (_, Some(((_, near), home))) => mistake.expected(format!("{} in {home}", quote(near))),
            (Some((_, near)), None) => mistake.meant(Some(quote(near))),
            (None, None) => mistake.expected(one_of(names(self.section))),
        };
        self.sink.tell(Cause::Wrong, &self.path_of(name), span, mistake);
    }

    /// The path of a key of this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Reads a key that has a default or must be there.
    pub(super) fn read<T>(&self, key: &str, take: impl FnOnce(&Value<'_>) -> Option<T>) -> Option<T> {
        let doc = self.doc(key)?;
        if let Some(value) = self.given(key) {
            return take(&value);
        }
        match doc.absent {
            Absent::Default(text) => {
                let value = DeValue::parse(text).ok()?;
                let sink = Sink::new(text);
                take(&Value::new(&sink, self.path_of(key), doc.kind, &value))
            }
            Absent::Mistake | Absent::Means(_) => {
                let mistake = Mistake::found("missing").expected(expected(doc.kind));
                self.sink.tell(Cause::Missing, &self.path_of(key), self.span.clone(), mistake);
                None
            }
        }
    }

    /// [`Table::read`] of `true` or `false`.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.read(key, |value| value.flag())
    }

    /// [`Table::read`] of a whole number.
    pub(super) fn count(&self, key: &str) -> Option<usize> {
        self.read(key, |value| value.count())
    }

    /// [`Table::read`] of a duration.
    pub(super) fn span(&self, key: &str) -> Option<Duration> {
        self.read(key, |value| value.span())
    }

    /// [`Table::read`] of a size in bytes.
    pub(super) fn size(&self, key: &str) -> Option<usize> {
        self.read(key, |value| value.size())
    }

    /// [`Table::read`] of a status.
    pub(super) fn status(&self, key: &str) -> Option<StatusCode> {
        self.read(key, |value| value.status())
    }

    /// Reads a key whose absence means something of its own: `Some(None)`.
    pub(super) fn read_if_given<T>(
        &self,
        key: &str,
        take: impl FnOnce(&Value<'t>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.given(key) {
            Some(value) => take(&value).map(Some),
            None => Some(None),
        }
    }

    /// The value of a key, if the file has it.
    pub(super) fn given(&self, key: &str) -> Option<Value<'t>> {
        let doc = self.doc(key)?;
        let value = self.entries.get(key)?;
        Some(Value::new(self.sink, self.path_of(key), doc.kind, value))
    }

    fn doc(&self, key: &str) -> Option<&'static KeyDoc> {
        let doc = keys_of(self.section).find(|doc| doc.key == key);
        debug_assert!(doc.is_some(), "{key} is not in the table of keys");
        doc
    }
}

impl<'t> Value<'t> {
    fn new(sink: &'t Sink<'t>, path: String, kind: Kind, value: &'t Spanned<DeValue<'t>>) -> Self {
        Value { sink, path, span: value.span(), kind, is_element: false, value: value.get_ref() }
    }

    /// Tells a problem of this value. Always `None`, for the caller to return.
    pub(super) fn tell<T>(&self, mistake: Mistake) -> Option<T> {
        let known = if self.is_element { expected_element(self.kind) } else { expected(self.kind) };
        let expected = mistake.expected.or(Some(known));
        self.sink.tell(Cause::Wrong, &self.path, self.span.clone(), Mistake { expected, ..mistake });
        None
    }

    /// Tells a problem of this value's name, in a table of names.
    pub(super) fn tell_name(&self, span: Range<usize>, mistake: Mistake) {
        self.sink.tell(Cause::Wrong, &self.path, span, mistake);
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        let DeValue::Boolean(flag) = self.value else { return self.tell(self.wrong_type()) };
        Some(*flag)
    }

    /// A whole number within the limits of its key.
    pub(super) fn count(&self) -> Option<usize> {
        let Kind::Count { min, max } = self.kind else { return self.tell(self.wrong_type()) };
        self.number(min, max).and_then(|number| usize::try_from(number).ok())
    }

    /// A whole number.
    pub(super) fn number(&self, min: u64, max: u64) -> Option<u64> {
        let DeValue::Integer(integer) = self.value else { return self.tell(self.wrong_type()) };
        match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if number < i128::from(min) => {
                self.tell(Mistake::found(format!("{number} is too small")))
            }
            Ok(number) if number > i128::from(max) => {
                self.tell(Mistake::found(format!("{number} is too large")))
            }
            Ok(number) => u64::try_from(number).ok(),
            Err(_) => self.tell(Mistake::found(format!("{} is too large", integer.as_str()))),
        }
    }

    /// A status within the limits of its key.
    pub(super) fn status(&self) -> Option<StatusCode> {
        let (Kind::Status { min, max } | Kind::Statuses { min, max }) = self.kind else {
            return self.tell(self.wrong_type());
        };
        let number = self.number(min.into(), max.into())?;
        u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok())
    }

    /// A duration within the limits of its key.
    pub(super) fn span(&self) -> Option<Duration> {
        let Kind::Span { min, max } = self.kind else { return self.tell(self.wrong_type()) };
        self.within(min, max, "s", duration)
    }

    /// A size within the limits of its key, in bytes.
    pub(super) fn size(&self) -> Option<usize> {
        let Kind::Size { min, max } = self.kind else { return self.tell(self.wrong_type()) };
        self.within(min, max, "B", size).and_then(|bytes| usize::try_from(bytes).ok())
    }

    fn within<T: Ord>(
        &self,
        min: T,
        max: T,
        unit: &str,
        parse: impl FnOnce(&str) -> Result<T, Mistake>,
    ) -> Option<T> {
        if let DeValue::Integer(bare) = self.value {
            let meant = Some(quote(&format!("{}{unit}", bare.as_str())));
            return self.tell(Mistake::found(format!("{} is a bare number", bare.as_str())).meant(meant));
        }
        let text = self.text()?;
        match parse(text) {
            Ok(value) if value < min => self.tell(Mistake::found(format!("{} is too small", quote(text)))),
            Ok(value) if value > max => self.tell(Mistake::found(format!("{} is too large", quote(text)))),
            Ok(value) => Some(value),
            Err(mistake) => self.tell(mistake),
        }
    }

    /// One of the names of its key.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*chosen);
        }
        let Kind::Choice { names, later } = self.kind else { return self.tell(self.wrong_type()) };
        if later.contains(&text) {
            return self.tell(Mistake::found(format!("{} is not in this version", quote(text))));
        }
        let meant = nearest(text, names.iter().copied()).map(quote);
        self.tell(Mistake::found(format!("{} is not known", quote(text))).meant(meant))
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&'t str> {
        match self.plain_text() {
            Some(text) => Some(text),
            None => self.tell(self.wrong_type()),
        }
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, Mistake>) -> Option<T> {
        parse(self.text()?).map_or_else(|mistake| self.tell(mistake), Some)
    }

    /// The text, if it is one; tells nothing.
    pub(super) fn plain_text(&self) -> Option<&'t str> {
        let DeValue::String(text) = self.value else { return None };
        Some(text)
    }

    /// Whether it is written as a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// The elements of a list.
    pub(super) fn elements(&self) -> Option<Vec<Value<'t>>> {
        let DeValue::Array(array) = self.value else { return self.tell(self.wrong_type()) };
        let element = |(i, value): (usize, &'t Spanned<DeValue<'t>>)| Value {
            is_element: true,
            ..Value::new(self.sink, format!("{}[{i}]", self.path), self.kind, value)
        };
        Some(array.iter().enumerate().map(element).collect())
    }

    /// A list of different values; every element is looked at, also behind a wrong one.
    pub(super) fn list<T: PartialEq>(
        &self,
        empty: Empty,
        take: impl Fn(&Value<'t>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let elements = self.elements()?;
        if elements.is_empty() && empty == Empty::Refused {
            return self.tell(Mistake::found("an empty list"));
        }
        let mut taken = Vec::with_capacity(elements.len());
        let mut complete = true;
        for element in &elements {
            match take(element) {
                Some(value) if taken.contains(&value) => {
                    complete = false;
                    element.tell::<()>(
                        Mistake::found(format!("{} stands in the list twice", element.shown()))
                            .expected("each value once"),
                    );
                }
                Some(value) => taken.push(value),
                None => complete = false,
            }
        }
        complete.then_some(taken)
    }

    /// A table whose keys are those of `section`.
    pub(super) fn table(&self, section: Section) -> Option<Table<'t>> {
        let entries = self.entries()?;
        Some(Table::open(self.sink, self.path.clone(), self.span.clone(), section, entries))
    }

    /// A table whose keys are names of the operator's choice, in the order of the file.
    pub(super) fn named(&self) -> Option<Vec<(&'t str, Range<usize>, Value<'t>)>> {
        let entries = self.entries()?;
        let mut named: Vec<_> = entries
            .iter()
            .map(|(key, value)| {
                let path = join(&self.path, key.get_ref());
                let name: &str = key.get_ref();
                let value = Value { is_element: true, ..Value::new(self.sink, path, self.kind, value) };
                (name, key.span(), value)
            })
            .collect();
        named.sort_by_key(|(_, span, _)| span.start);
        Some(named)
    }

    fn entries(&self) -> Option<&'t DeTable<'t>> {
        let DeValue::Table(entries) = self.value else { return self.tell(self.wrong_type()) };
        Some(entries)
    }

    fn wrong_type(&self) -> Mistake {
        Mistake::found(match self.value {
            DeValue::String(_) => format!("{} is a text", self.shown()),
            DeValue::Integer(_) => format!("{} is a number", self.shown()),
            DeValue::Float(_) => format!("{} is a number with a fraction", self.shown()),
            DeValue::Boolean(_) => format!("{} is a boolean", self.shown()),
            DeValue::Datetime(_) => format!("{} is a date", self.shown()),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        })
    }

    fn shown(&self) -> String {
        match self.value {
            DeValue::String(text) => quote(text),
            DeValue::Integer(integer) => integer.to_string(),
            DeValue::Float(float) => float.as_str().to_owned(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }
}

/// A key below a path, as it would be written in the file.
fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let key = if bare { key.to_owned() } else { quote(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
