//! JSON that has one reading (RFC 8259), numbers kept as they are written, and pointers into it (RFC 6901).

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Deeper than any document that people edit, and little enough for a stack. Each level is looked through
/// once more, so this also bounds what a hostile text costs.
const DEEPEST: usize = 48;

/// A JSON text, read strictly: whoever reads it finds the same in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json<'t> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written: a double would not keep all of it.
    Number(&'t str),
    /// A string, decoded.
    String(String),
    /// An array.
    Array(Vec<Json<'t>>),
    /// An object, in its own order. Its names differ.
    Object(Vec<(String, Json<'t>)>),
}

/// Why a text is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotJson {
    /// It is no JSON text.
    Malformed,
    /// An object has this name twice, and programs differ in which one they take.
    RepeatedName(String),
    /// It is nested too deeply.
    TooDeep,
}

impl fmt::Display for NotJson {
    /// For the client that sent it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotJson::Malformed => f.write_str("is not a JSON text"),
            NotJson::RepeatedName(name) => write!(f, "has the member {name:?} twice in one object"),
            NotJson::TooDeep => write!(f, "is nested more than {DEEPEST} levels deep"),
        }
    }
}

impl<'t> Json<'t> {
    /// Reads a JSON text in UTF-8.
    ///
    /// # Errors
    /// If it is none, or can be read in more than one way.
    pub fn read(text: &'t [u8]) -> Result<Self, NotJson> {
        let raw: &RawValue = serde_json::from_slice(text).map_err(|_| NotJson::Malformed)?;
        Self::of(raw, DEEPEST)
    }

    fn of(raw: &'t RawValue, deepest: usize) -> Result<Self, NotJson> {
        let text = raw.get();
        let inner = || deepest.checked_sub(1).ok_or(NotJson::TooDeep);
        let malformed = |_| NotJson::Malformed;
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text).map_err(malformed)?;
                if let Some(name) = repeated(&members) {
                    return Err(NotJson::RepeatedName(name.to_owned()));
                }
                let deepest = inner()?;
                let read = members.into_iter().map(|(name, raw)| Ok((name, Self::of(raw, deepest)?)));
                Json::Object(read.collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(malformed)?;
                let deepest = inner()?;
                Json::Array(elements.into_iter().map(|raw| Self::of(raw, deepest)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Json::String(serde_json::from_str(text).map_err(malformed)?),
            Some(b't') => Json::Bool(true),
            Some(b'f') => Json::Bool(false),
            Some(b'n') => Json::Null,
            Some(_) => Json::Number(text),
            None => return Err(NotJson::Malformed),
        })
    }

    /// What a pointer points to, if that is there.
    pub fn at(&self, pointer: &Pointer) -> Option<&Self> {
        pointer.0.iter().try_fold(self, |found, token| match found {
            Json::Object(members) => members.iter().find(|(name, _)| name == token).map(|(_, value)| value),
            // RFC 6901 section 4: no leading zeros.
            Json::Array(elements) if token == "0" || !token.starts_with('0') => {
                let index = token.bytes().all(|b| b.is_ascii_digit()).then(|| token.parse::<usize>().ok());
                elements.get(index.flatten()?)
            }
            Json::Array(_) | Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        })
    }

    /// A string, a number or a truth value as text; `None` for the rest.
    pub fn scalar(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            Json::Number(text) => Some(text),
            Json::Bool(true) => Some("true"),
            Json::Bool(false) => Some("false"),
            Json::Null | Json::Array(_) | Json::Object(_) => None,
        }
    }
}

fn repeated<'m>(members: &'m [(String, &RawValue)]) -> Option<&'m str> {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    })
}

/// An object's members in their order, repeated ones too.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Members<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Each).map(Members)
    }
}

/// A JSON pointer (RFC 6901), such as `/order/id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer; `None` where the text is none. The empty one, the whole document, is none either:
    /// nothing that a rule asks for stands there.
    pub fn parse(text: &str) -> Option<Self> {
        let tokens = text.strip_prefix('/')?.split('/').map(|token| {
            let escapes = token.split('~').skip(1);
            escapes
                .into_iter()
                .all(|after| after.starts_with(['0', '1']))
                .then(|| token.replace("~1", "/").replace("~0", "~"))
        });
        tokens.collect::<Option<_>>().map(Pointer)
    }

    /// Its tokens, unescaped.
    pub fn tokens(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).expect("a pointer")
    }

    #[test]
    fn numbers_are_kept_as_they_are_written() {
        let json = Json::read(b"{\"a\": [1.0, 12345678901234567890123, 1e400]}").expect("JSON");
        for (at, text) in [("/a/0", "1.0"), ("/a/1", "12345678901234567890123"), ("/a/2", "1e400")] {
            assert_eq!(json.at(&pointer(at)), Some(&Json::Number(text)));
        }
    }

    #[test]
    fn what_programs_read_differently_is_not_read() {
        let repeated = NotJson::RepeatedName("a".into());
        assert_eq!(Json::read(br#"{"a":1,"b":{"c":1},"a":2}"#), Err(repeated.clone()));
        assert_eq!(Json::read(br#"{"x":{"a":1,"\u0061":2}}"#), Err(repeated));
        let deep = "[".repeat(DEEPEST + 1) + &"]".repeat(DEEPEST + 1);
        assert_eq!(Json::read(deep.as_bytes()), Err(NotJson::TooDeep));
        let just = "[".repeat(DEEPEST) + &"]".repeat(DEEPEST);
        assert!(Json::read(just.as_bytes()).is_ok());
        for text in ["", "{", "{'a':1}", "[1,]", "01", "NaN", "{} {}", "\"\\ud800\"", "\u{feff}{}"] {
            assert_eq!(Json::read(text.as_bytes()), Err(NotJson::Malformed), "{text}");
        }
        assert_eq!(Json::read(b"\"\xff\""), Err(NotJson::Malformed), "not UTF-8");
    }

    #[test]
    fn a_pointer_finds_members_and_elements() {
        let json = Json::read(br#"{"a":{"b/c":[10,{"~":"x"}],"":true},"n":null}"#).expect("JSON");
        for (at, found) in [
            ("/a/b~1c/0", Some("10")),
            ("/a/b~1c/1/~0", Some("x")),
            ("/a/", Some("true")),
            ("/n", None),
            ("/a/b~1c/00", None),
            ("/a/b~1c/2", None),
            ("/a/b~1c/-", None),
            ("/z", None),
        ] {
            assert_eq!(json.at(&pointer(at)).and_then(Json::scalar), found, "{at}");
        }
        for text in ["", "a", "/~", "/~2", "/a~"] {
            assert_eq!(Pointer::parse(text), None, "{text}");
        }
        assert_eq!(pointer("/a~1b/~0").to_string(), "/a~1b/~0");
    }
}
