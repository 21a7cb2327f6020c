//! What a rule reads in a body: a member of a JSON document, or a field of a form.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use http::header;

use super::query;
use crate::http1::fields::Fields;
use crate::request::json::{Json, NotJson, Pointer};

/// Where a value stands in a body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a JSON document.
    Json(Pointer),
    /// In a URL-encoded form, under this name.
    Form(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Json(pointer) => pointer.fmt(f),
            Place::Form(name) => f.write_str(name),
        }
    }
}

/// Why a value is not found in a body. The text is for the client that sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is coded, such as by gzip.
    Coded,
    /// A rule asks for JSON, and it is none that has one reading.
    Json(NotJson),
    /// There is an object or an array where a rule asks for one value.
    NotOneValue(Place),
    /// The form has the field more than once, and programs differ in which one they take.
    Repeated(String),
    /// A rule asks for a form, and it is none.
    NotAForm,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Coded => f.write_str("is coded (Content-Encoding)"),
            Unreadable::Json(why) => why.fmt(f),
            Unreadable::NotOneValue(place) => write!(f, "has no single value at {place}"),
            Unreadable::Repeated(name) => write!(f, "has the field {name:?} more than once"),
            Unreadable::NotAForm => f.write_str("is not a URL-encoded form"),
        }
    }
}

/// A body that was read whole. What it is follows from what a rule asks for: origins differ in how much
/// they make of Content-Type.
pub struct Content<'b> {
    bytes: &'b [u8],
    fields: &'b Fields,
    json: OnceLock<Result<Json<'b>, NotJson>>,
}

impl<'b> Content<'b> {
    /// The body of a message with these fields.
    pub fn of(fields: &'b Fields, bytes: &'b [u8]) -> Self {
        Content { bytes, fields, json: OnceLock::new() }
    }

    /// The bytes.
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// It as JSON.
    ///
    /// # Errors
    /// If it is coded, or no JSON that has one reading.
    pub fn json(&self) -> Result<&Json<'b>, Unreadable> {
        self.plain()?;
        let read = self.json.get_or_init(|| Json::read(self.bytes));
        read.as_ref().map_err(|why| Unreadable::Json(why.clone()))
    }

    /// It as text; bytes that are no UTF-8 stand as replacement characters.
    ///
    /// # Errors
    /// If it is coded.
    pub fn text(&self) -> Result<Cow<'b, str>, Unreadable> {
        self.plain()?;
        Ok(String::from_utf8_lossy(self.bytes))
    }

    /// The value at a place, as text. `None`: there is no body, no such member, or null.
    ///
    /// # Errors
    /// If nobody can tell.
    pub fn value(&self, place: &Place) -> Result<Option<String>, Unreadable> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        match place {
            Place::Json(pointer) => match self.json()?.at(pointer) {
                None | Some(Json::Null) => Ok(None),
                Some(found) => {
                    let value = found.scalar().ok_or_else(|| Unreadable::NotOneValue(place.clone()))?;
                    Ok(Some(value.to_owned()))
                }
            },
            Place::Form(name) => self.form_field(name),
        }
    }

    fn form_field(&self, name: &str) -> Result<Option<String>, Unreadable> {
        self.plain()?;
        let text = std::str::from_utf8(self.bytes).map_err(|_| Unreadable::NotAForm)?;
        // One that says it is something else is none, or a document would be searched for separators.
        if !self.may_be_a_form() {
            return Err(Unreadable::NotAForm);
        }
        let mut values = query::values(text, name);
        match (values.next(), values.next()) {
            (found, None) => Ok(found.map(Cow::into_owned)),
            (_, Some(_)) => Err(Unreadable::Repeated(name.to_owned())),
        }
    }

    fn may_be_a_form(&self) -> bool {
        const FORM: &str = "application/x-www-form-urlencoded";
        self.fields.get(header::CONTENT_TYPE).is_none_or(|value| {
            let named = value.as_bytes().split(|b| matches!(b, b';' | b',')).next().unwrap_or_default();
            named.trim_ascii().eq_ignore_ascii_case(FORM.as_bytes())
        })
    }

    fn plain(&self) -> Result<(), Unreadable> {
        let coded = self.fields.get(header::CONTENT_ENCODING);
        let coded = coded.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if coded { Err(Unreadable::Coded) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_place(text: &str) -> Place {
        Place::Json(Pointer::parse(text).expect("a pointer"))
    }

    #[test]
    fn values_are_found_in_json_and_in_forms() {
        let none = Fields::new();
        let json = Content::of(&none, br#"{"order":{"id":5,"tags":[],"gone":null}}"#);
        assert_eq!(json.value(&json_place("/order/id")), Ok(Some("5".into())));
        assert_eq!(json.value(&json_place("/order/gone")), Ok(None));
        assert_eq!(json.value(&json_place("/order/x")), Ok(None));
        let tags = json_place("/order/tags");
        assert_eq!(json.value(&tags), Err(Unreadable::NotOneValue(tags)));
        let form = Content::of(&none, b"orderId=5&x=1&x=2");
        assert_eq!(form.value(&Place::Form("orderid".into())), Ok(Some("5".into())));
        assert_eq!(form.value(&Place::Form("y".into())), Ok(None));
        assert_eq!(form.value(&Place::Form("x".into())), Err(Unreadable::Repeated("x".into())));
        assert_eq!(Content::of(&none, b"").value(&json_place("/a")), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let coded: Fields =
            [(header::CONTENT_ENCODING, "gzip".parse().expect("a value"))].into_iter().collect();
        assert_eq!(Content::of(&coded, b"{}").value(&json_place("/a")), Err(Unreadable::Coded));
        let json: Fields =
            [(header::CONTENT_TYPE, "application/json".parse().expect("a value"))].into_iter().collect();
        let form = Place::Form("a".into());
        assert_eq!(Content::of(&json, b"{\"a\":1}").value(&form), Err(Unreadable::NotAForm));
        let broken = Content::of(&json, b"{\"a\":");
        assert_eq!(broken.value(&json_place("/a")), Err(Unreadable::Json(NotJson::Malformed)));
    }
}
