//! Requests that carry a key of their own, so that they can be sent again
//! (draft-ietf-httpapi-idempotency-key-header-07). Pure: what of such a request counts.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode};

use super::outcome::WriteOutcome;

use crate::http1::fields::Fields;

/// The field that carries the key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `true` on an answer that was given before.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// `[routes.idempotency]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyPolicy {
    /// Whether a request without a key is refused.
    pub required: bool,
    /// The methods whose requests have a key.
    pub methods: Vec<Method>,
    /// How long the first answer is kept, from when it was given.
    pub lifetime: Duration,
    /// Whether an answer of 5xx counts as the first answer.
    pub keep_5xx: bool,
}

impl IdempotencyPolicy {
    /// The key of a request by this method, which is looked at where the route's methods have one.
    ///
    /// # Errors
    /// If there is none and there must be one, or the field is not what the grammar allows.
    pub fn key(&self, method: &Method, fields: &Fields) -> Result<Option<String>, NoKey> {
        if !self.methods.contains(method) {
            return Ok(None);
        }
        match read_key(fields)? {
            None if self.required => Err(NoKey::Missing),
            read => Ok(read),
        }
    }

    /// What is kept of a request that the origin has answered.
    pub fn keeps(&self, status: StatusCode, outcome: WriteOutcome) -> Keeping {
        match outcome {
            // The origin has said what it will say: who lost this answer needs it to find the rest.
            WriteOutcome::Unknown(_) if status == StatusCode::ACCEPTED => Keeping::Answer,
            WriteOutcome::Unknown(_) => Keeping::Unknown,
            WriteOutcome::Applied | WriteOutcome::NotApplied
                if status.is_server_error() && !self.keep_5xx =>
            {
                Keeping::Nothing
            }
            WriteOutcome::Applied | WriteOutcome::NotApplied => Keeping::Answer,
        }
    }
}

/// What is kept of an answered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Its answer, for whoever sends it again.
    Answer,
    /// Nothing: it may be sent again.
    Nothing,
    /// That nobody knows what became of it.
    Unknown,
}

/// What is known of the first of two requests that are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentBefore {
    /// It was answered.
    Answered,
    /// It is in flight.
    InFlight,
    /// It was another one, under the same key.
    OtherRequest,
    /// Nobody knows what became of it.
    Unknown,
    /// It is the last applied write to its resource (`already_applied`).
    AlreadyApplied,
}

impl SentBefore {
    /// The metrics label; `report::names::SENT_BEFORE` lists the same.
    pub fn name(self) -> &'static str {
        match self {
            SentBefore::Answered => "answered",
            SentBefore::InFlight => "in-flight",
            SentBefore::OtherRequest => "other-request",
            SentBefore::Unknown => "unknown",
            SentBefore::AlreadyApplied => "already-applied",
        }
    }
}

/// Why a request has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The field is missing.
    Missing,
    /// It is there more than once.
    Repeated,
    /// It is not in quotes.
    Unquoted,
    /// It begins with a quote and does not end with one.
    Unclosed,
    /// Something comes after the closing quote.
    Trailing,
    /// There is a character in it that a Structured Field String has not.
    Character,
    /// There is nothing between the quotes.
    Empty,
}

/// Reads the field: one Structured Field String (RFC 8941 section 3.3.3), without parameters. `None` without the
/// field.
///
/// # Errors
/// If it is anything else.
pub fn read_key(fields: &Fields) -> Result<Option<String>, NoKey> {
    let mut lines = fields.get_all(IDEMPOTENCY_KEY);
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(NoKey::Repeated);
    }
    let spaces = |b: &u8| *b == b' ';
    let value = line.as_bytes();
    let begin = value.iter().take_while(|b| spaces(b)).count();
    let end = value.iter().rev().take_while(|b| spaces(b)).count();
    let value = value.get(begin..value.len().saturating_sub(end)).unwrap_or_default();
    let Some(quoted) = value.strip_prefix(b"\"") else { return Err(NoKey::Unquoted) };
    let mut key = String::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    loop {
        match bytes.next() {
            None => return Err(NoKey::Unclosed),
            Some(b'"') if bytes.as_slice().is_empty() && key.is_empty() => return Err(NoKey::Empty),
            Some(b'"') if bytes.as_slice().is_empty() => return Ok(Some(key)),
            Some(b'"') => return Err(NoKey::Trailing),
            Some(b'\\') => match bytes.next() {
                Some(escaped @ (b'"' | b'\\')) => key.push(char::from(*escaped)),
                Some(_) => return Err(NoKey::Character),
                None => return Err(NoKey::Unclosed),
            },
            Some(plain @ 0x20..=0x7e) => key.push(char::from(*plain)),
            Some(_) => return Err(NoKey::Character),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::decide::outcome::UnknownCause;

    fn read(lines: &[&[u8]]) -> Result<Option<String>, NoKey> {
        let mut fields = Fields::new();
        for line in lines {
            fields.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(line).expect("a value"));
        }
        read_key(&fields)
    }

    #[test]
    fn a_key_is_one_structured_field_string() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"\"8e03978e-40d5\""]), Ok(Some("8e03978e-40d5".into())));
        assert_eq!(read(&[b" \"a b\" "]), Ok(Some("a b".into())));
        assert_eq!(read(&[br#""a\"b\\c""#]), Ok(Some("a\"b\\c".into())));
        let wrong: [(&[&[u8]], NoKey); 11] = [
            (&[b"8e03978e"], NoKey::Unquoted),
            (&[b""], NoKey::Unquoted),
            (&[b"'a'"], NoKey::Unquoted),
            (&[b"\"a"], NoKey::Unclosed),
            (&[b"\"a\\\""], NoKey::Unclosed),
            (&[b"\"\""], NoKey::Empty),
            (&[b"\"a\", \"b\""], NoKey::Trailing),
            (&[b"\"a\";p=1"], NoKey::Trailing),
            (&[b"\"a\\n\""], NoKey::Character),
            (&[b"\"\xc3\xa9\""], NoKey::Character),
            (&[b"\"a\"", b"\"a\""], NoKey::Repeated),
        ];
        for (lines, why) in wrong {
            assert_eq!(read(lines), Err(why), "{lines:?}");
        }
    }

    #[test]
    fn everything_that_can_be_known_is_a_label_of_the_closed_list() {
        use SentBefore::{AlreadyApplied, Answered, InFlight, OtherRequest, Unknown};
        let all = [Answered, InFlight, OtherRequest, Unknown, AlreadyApplied];
        assert_eq!(all.map(SentBefore::name), crate::report::names::SENT_BEFORE);
    }

    #[test]
    fn what_is_kept_follows_from_the_answer_and_from_what_it_proves() {
        let policy = |keep_5xx| IdempotencyPolicy {
            required: false,
            methods: vec![Method::POST],
            lifetime: Duration::from_secs(1),
            keep_5xx,
        };
        let unknown = WriteOutcome::Unknown(UnknownCause::AnsweredByGateway);
        let rows = [
            (201, WriteOutcome::Applied, Keeping::Answer, Keeping::Answer),
            (422, WriteOutcome::NotApplied, Keeping::Answer, Keeping::Answer),
            (500, WriteOutcome::Applied, Keeping::Nothing, Keeping::Answer),
            (501, WriteOutcome::NotApplied, Keeping::Nothing, Keeping::Answer),
            (503, unknown, Keeping::Unknown, Keeping::Unknown),
            (408, unknown, Keeping::Unknown, Keeping::Unknown),
            (202, unknown, Keeping::Answer, Keeping::Answer),
            (201, unknown, Keeping::Unknown, Keeping::Unknown),
        ];
        for (status, outcome, usually, with_5xx) in rows {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(policy(false).keeps(status, outcome), usually, "{status}");
            assert_eq!(policy(true).keeps(status, outcome), with_5xx, "{status}");
        }
    }
}
