//! `[[routes.unique]]`: values that no two records may share.
//!
//! A value is reserved while a write with it is under way, and the origin is asked for it under the permit, so
//! that of two concurrent creates with one value exactly one is forwarded.

use http::{Method, StatusCode};
use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use crate::identify::content::{Content, Place};
use crate::identify::look::LookTemplate;
use crate::request::json::{Json, Pointer};

/// A value that has to be unique.
#[derive(Clone, Debug)]
pub struct Unique {
    /// Where it stands in the body.
    pub place: Place,
    /// Which spellings are one value.
    pub normalise: Normalise,
    /// What it is unique among: rules of one upstream with one scope reserve the same values.
    pub scope: String,
    /// The methods that it is asked of.
    pub methods: Vec<Method>,
    /// How the origin tells whether it is taken.
    pub look_up: Option<LookUp>,
}

impl Unique {
    /// Whether it is asked of a request with this method; `overrides` are those that it states beside it.
    pub fn applies(&self, method: &Method, overrides: &[Vec<u8>]) -> bool {
        let stated =
            |one: &Method| overrides.iter().any(|name| name.eq_ignore_ascii_case(one.as_str().as_bytes()));
        self.methods.iter().any(|one| one == method || stated(one))
    }

    /// The spellings that the origin is asked for: the one that is reserved and, if it differs, the one that was
    /// sent, for the origin may keep either.
    pub fn spellings(&self, sent: &str) -> Vec<String> {
        let normal = self.normalise.apply(sent);
        let further = (normal != sent).then(|| sent.to_owned());
        std::iter::once(normal).chain(further).collect()
    }
}

/// Which spellings are one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Normalise {
    /// White space around it is dropped.
    pub trim: bool,
    /// Letter case does not count.
    pub case: bool,
    /// Canonically equivalent characters are one (Unicode NFC).
    pub nfc: bool,
}

impl Normalise {
    /// The one spelling that stands for all that are this value.
    pub fn apply(self, value: &str) -> String {
        let mut value = if self.trim { value.trim().to_owned() } else { value.to_owned() };
        if self.nfc {
            value = value.nfc().collect();
        }
        if self.case {
            // By way of the upper case: letters with several lower-case forms (sigma) are then one.
            value = value.to_uppercase().to_lowercase();
        }
        if self.nfc && self.case { value.nfc().collect() } else { value }
    }
}

/// How the origin is asked whether a value is taken.
#[derive(Clone, Debug)]
pub struct LookUp {
    /// What it is asked for.
    pub target: LookTemplate,
    /// Which answer means "taken".
    pub taken: Taken,
}

/// Which answer to a look-up means that the value is taken: all that is given has to be so.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The status.
    pub status: StatusCode,
    /// A member of a JSON body that is there, and neither null nor empty.
    pub field: Option<Pointer>,
    /// Found in the body's text.
    pub pattern: Option<Regex>,
}

/// What an answer to a look-up says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// A record has the value.
    Taken,
    /// None has.
    Free,
    /// It does not say.
    Unclear,
}

impl Taken {
    /// Judges an answer. `content` is `None` where it is too long to be read.
    pub fn judge(&self, status: StatusCode, content: Option<&Content<'_>>) -> Availability {
        let fits = if status == self.status { self.fits(content) } else { Some(false) };
        match fits {
            Some(true) => Availability::Taken,
            Some(false) if status.is_success() => Availability::Free,
            Some(false) if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) => Availability::Free,
            Some(false) | None => Availability::Unclear,
        }
    }

    /// `None`: nobody can tell.
    fn fits(&self, content: Option<&Content<'_>>) -> Option<bool> {
        let member = match &self.field {
            Some(field) => is_there(content?.json().ok()?.at(field)),
            None => true,
        };
        let text = match &self.pattern {
            Some(pattern) => pattern.is_match(&content?.text().ok()?),
            None => true,
        };
        Some(member && text)
    }
}

fn is_there(found: Option<&Json<'_>>) -> bool {
    match found {
        None | Some(Json::Null) => false,
        Some(Json::String(text)) => !text.is_empty(),
        Some(Json::Array(elements)) => !elements.is_empty(),
        Some(Json::Object(members)) => !members.is_empty(),
        Some(Json::Bool(_) | Json::Number(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use crate::http1::fields::Fields;

    use super::*;

    const ALL: Normalise = Normalise { trim: true, case: true, nfc: true };

    #[test]
    fn spellings_of_one_value_are_one() {
        for (one, other) in [
            (" Bob@X.org\u{a0}", "bob@x.org"),
            ("Zo\u{eb}", "ZOE\u{308}"),
            ("\u{212b}ngstr\u{f6}m", "\u{e5}ngstr\u{f6}m"),
            ("\u{39f}\u{394}\u{39f}\u{3a3}", "\u{3bf}\u{3b4}\u{3bf}\u{3c3}"),
        ] {
            assert_eq!(ALL.apply(one), ALL.apply(other), "{one} {other}");
            assert_eq!(ALL.apply(&ALL.apply(one)), ALL.apply(one), "{one}: applied twice");
        }
        assert_eq!(Normalise::default().apply(" A "), " A ");
        assert_ne!(ALL.apply("bob@x.org"), ALL.apply("rob@x.org"));
    }

    fn taken(field: Option<&str>, pattern: Option<&str>) -> Taken {
        Taken {
            status: StatusCode::OK,
            field: field.map(|text| Pointer::parse(text).expect("a pointer")),
            pattern: pattern.map(|text| Regex::new(text).expect("a pattern")),
        }
    }

    #[test]
    fn an_answer_says_taken_free_or_nothing() {
        use Availability::{Free, Taken as IsTaken, Unclear};
        let none = Fields::new();
        let (by_status, by_member, by_text) =
            (taken(None, None), taken(Some("/0"), None), taken(None, Some("\"total\": *[1-9]")));
        let both = taken(Some("/items"), Some("bob"));
        for (rule, status, body, says) in [
            (&by_status, 200, "", IsTaken),
            (&by_status, 404, "", Free),
            (&by_status, 410, "", Free),
            (&by_status, 204, "", Free),
            (&by_status, 302, "", Unclear),
            (&by_status, 401, "", Unclear),
            (&by_status, 500, "", Unclear),
            (&by_member, 200, "[]", Free),
            (&by_member, 200, "[{\"id\":1}]", IsTaken),
            (&by_member, 200, "[null]", Free),
            (&by_member, 200, "[", Unclear),
            (&by_member, 500, "[{}]", Unclear),
            (&by_text, 200, "{\"total\": 0}", Free),
            (&by_text, 200, "{\"total\": 3}", IsTaken),
            (&both, 200, "{\"items\":[\"bob\"]}", IsTaken),
            (&both, 200, "{\"items\":[],\"q\":\"bob\"}", Free),
            (&both, 200, "{\"items\":[\"rob\"]}", Free),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let content = Content::of(&none, body.as_bytes());
            assert_eq!(rule.judge(status, Some(&content)), says, "{rule:?} {status} {body}");
        }
        assert_eq!(by_member.judge(StatusCode::OK, None), Unclear);
        assert_eq!(by_status.judge(StatusCode::OK, None), IsTaken);
    }
}
