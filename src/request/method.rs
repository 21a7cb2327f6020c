//! What a method means for the resource (RFC 9110 section 9.2.1), after any override.

use http::{HeaderName, Method};

use crate::http1::fields::Fields;

/// What a request does to the resource that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// OPTIONS and TRACE: neither reads nor changes it. Never conditional, so that a CORS preflight
    /// never hears 428.
    Neither,
    /// Reads it; answers are stamped.
    Read,
    /// May change it and needs no precondition, but occupies the resource all the same: every method
    /// that is not known to be safe.
    Write,
    /// May change it and needs a precondition.
    GuardedWrite,
}

impl Effect {
    /// Whether the resource may be another one afterwards.
    pub fn writes(self) -> bool {
        match self {
            Effect::Write | Effect::GuardedWrite => true,
            Effect::Neither | Effect::Read => false,
        }
    }
}

/// Which methods a route takes as reads and which it guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodPolicy {
    /// `reads`, default GET and HEAD.
    pub reads: Vec<Method>,
    /// `guard`, default PUT, PATCH and DELETE.
    pub guard: Vec<Method>,
}

impl Default for MethodPolicy {
    fn default() -> Self {
        MethodPolicy {
            reads: vec![Method::GET, Method::HEAD],
            guard: vec![Method::PUT, Method::PATCH, Method::DELETE],
        }
    }
}

impl MethodPolicy {
    /// Whether a request with this method is a guarded write, whatever else it states: there is nothing stricter.
    pub fn guards(&self, method: &Method) -> bool {
        self.guard.contains(method)
    }

    /// The effect of a request with this method and these overrides: the strictest of all of them,
    /// whether or not the origin heeds an override, so that no write slips by.
    pub fn effect<'m>(&self, method: &Method, overrides: impl IntoIterator<Item = &'m [u8]>) -> Effect {
        let stated = self.effect_of(method.as_str().as_bytes());
        overrides
            .into_iter()
            .flat_map(|stated| [stated].into_iter().chain(words(stated)))
            .map(|name| self.effect_of(name))
            .fold(stated, Effect::max)
    }

    /// Methods are case-sensitive (RFC 9110 section 9.1), but some servers fold them: a guarded name
    /// in any case is guarded, while only the exact spelling of a read is one.
    fn effect_of(&self, name: &[u8]) -> Effect {
        if self.guard.iter().any(|m| m.as_str().as_bytes().eq_ignore_ascii_case(name)) {
            Effect::GuardedWrite
        } else if self.reads.iter().any(|m| m.as_str().as_bytes() == name) {
            Effect::Read
        } else if matches!(name, b"OPTIONS" | b"TRACE") {
            Effect::Neither
        } else {
            Effect::Write
        }
    }
}

/// What a lenient reader may take for a method in an override: blanks, quotes and parameters around one
/// are not part of it.
fn words(stated: &[u8]) -> impl Iterator<Item = &[u8]> {
    let outside = |b: &u8| !b.is_ascii_alphanumeric() && !matches!(b, b'-' | b'_');
    stated.split(outside).filter(move |word| word.len() < stated.len() && !word.is_empty())
}

/// The fields that some frameworks take the method from.
const OVERRIDE_FIELDS: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Whether some framework takes the method from this field.
pub fn is_override_field(name: &HeaderName) -> bool {
    is_spelled_as_one_of(name, &OVERRIDE_FIELDS)
}

/// Whether a field has this name to a server behind CGI or WSGI, where an underscore is a hyphen.
pub fn is_spelled_as(name: &HeaderName, field: &str) -> bool {
    is_spelled_as_one_of(name, &[field])
}

/// The same for any of these names.
pub fn is_spelled_as_one_of(name: &HeaderName, fields: &[&str]) -> bool {
    let name = name.as_str();
    let hyphened = |byte| if byte == b'_' { b'-' } else { byte };
    let is = |field: &&str| name.len() == field.len() && field.bytes().eq(name.bytes().map(hyphened));
    fields.iter().any(is)
}

/// The query or form parameter that some frameworks take the method from.
pub const OVERRIDE_PARAMETER: &str = "_method";

/// The method names that override fields state, each list member on its own.
pub fn overrides_in_fields(fields: &Fields) -> impl Iterator<Item = &[u8]> {
    fields
        .iter()
        .filter(|(name, _)| is_override_field(name))
        .map(|(_, value)| value)
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_method_counts() {
        let policy = MethodPolicy::default();
        let none: [&[u8]; 0] = [];
        assert_eq!(policy.effect(&Method::GET, none), Effect::Read);
        assert_eq!(policy.effect(&Method::POST, [&b"put"[..]]), Effect::GuardedWrite);
        assert_eq!(policy.effect(&Method::GET, [&b"POST"[..]]), Effect::Write);
        assert_eq!(policy.effect(&Method::DELETE, [&b"GET"[..]]), Effect::GuardedWrite);
        assert_eq!(policy.effect(&Method::OPTIONS, none), Effect::Neither);
    }

    #[test]
    fn a_method_is_found_in_an_override_whatever_stands_around_it() {
        let policy = MethodPolicy::default();
        for stated in ["put", " PUT ", "\"PUT\"", "'Delete'", "PUT;q=1", "PUT HTTP/1.1", "PATCH\0", "a,PUT"] {
            assert_eq!(policy.effect(&Method::GET, [stated.as_bytes()]), Effect::GuardedWrite, "{stated:?}");
        }
        for stated in ["PUTT", "X-PUT", "\u{e9}", "PUT_", "?"] {
            assert_eq!(policy.effect(&Method::GET, [stated.as_bytes()]), Effect::Write, "{stated:?}");
        }
        assert_eq!(policy.effect(&Method::GET, [&b"GET"[..]]), Effect::Read);
    }

    #[test]
    fn an_unknown_or_oddly_spelled_method_is_a_write() {
        let policy = MethodPolicy::default();
        for (name, effect) in [
            ("put", Effect::GuardedWrite),
            ("get", Effect::Write),
            ("PURGE", Effect::Write),
            ("options", Effect::Write),
        ] {
            let method = Method::from_bytes(name.as_bytes()).expect("a token");
            assert_eq!(policy.effect(&method, []), effect, "{name}");
        }
    }
}
