//! Forms, which some frameworks take the method from.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body;
use hyper::body::Incoming;

use super::ask::Ask;
use super::outgoing::{NotRead, OutgoingBody, ReadUpTo, read_up_to};
use super::patience::Bounds;
use crate::decide::verdict::{Refusal, RefusalKind, say};
use crate::report::limits_hit::Limit;
use crate::request::method::is_spelled_as;

/// A request's body, which a form that may hold a method override is read from.
pub enum Form {
    /// Not read.
    Unread(Incoming),
    /// Read whole.
    Read(Vec<u8>),
    /// Longer than a rule may read: what was read of it, and the rest.
    TooLong(Vec<u8>, Incoming),
}

impl Form {
    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        match self {
            Form::Unread(body) => body.is_end_stream(),
            Form::Read(bytes) => bytes.is_empty(),
            Form::TooLong(..) => false,
        }
    }

    /// What was read, if it was read whole.
    pub fn read_bytes(&self) -> &[u8] {
        match self {
            Form::Unread(_) | Form::TooLong(..) => &[],
            Form::Read(bytes) => bytes,
        }
    }

    /// The body as it goes on: unchanged, byte for byte.
    pub fn into_outgoing(self, bounds: &Bounds) -> OutgoingBody {
        match self {
            Form::Unread(body) => OutgoingBody::from_client(body, bounds),
            Form::Read(bytes) => OutgoingBody::fixed(bytes.into()),
            Form::TooLong(begun, rest) => OutgoingBody::from_client_begun(begun.into(), rest, bounds),
        }
    }

    /// Why a request with this form cannot be judged.
    pub fn refusal(&self, ask: &Ask) -> Option<Refusal> {
        let limit = ask.route.route.body_limit;
        match self {
            Form::Unread(_) | Form::Read(_) => None,
            Form::TooLong(..) => Some(Refusal::new(
                RefusalKind::ContentTooLarge,
                format!(
                    "This form is longer than the {limit} bytes that the gateway reads to learn its method. Send less."
                ),
            )),
        }
    }
}

/// Reads a URL-encoded form that was sent with POST: some frameworks take the method from it. The
/// request goes on unchanged, byte for byte.
///
/// # Errors
/// If it breaks, or does not come in time.
pub async fn read_form(ask: &Ask, parts: &Parts, body: Incoming) -> Result<Form, Refusal> {
    if ask.method != Method::POST || Body::is_end_stream(&body) || !may_be_form(&parts.headers) {
        return Ok(Form::Unread(body));
    }
    match read_up_to(body, ask.route.route.body_limit, &ask.bounds).await {
        Ok(ReadUpTo::End(bytes)) => Ok(Form::Read(bytes)),
        Ok(ReadUpTo::Limit(begun, rest)) => {
            ask.bounds.hits.hit(Limit::BodyToRead);
            Ok(Form::TooLong(begun, rest))
        }
        Err(NotRead::TooSlow) => Err(say::body_too_slow()),
        Err(NotRead::Broken) => Err(say::ambiguous("a body that ended early beside it")),
    }
}

/// Whether some framework takes the content for a form: its type may be one of several, to those that
/// read up to a comma or a semicolon, or that take an underscore for a hyphen.
fn may_be_form(fields: &HeaderMap) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let names_it = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|b| matches!(b, b',' | b';' | b' ' | b'\t'))
            .any(|t| t.eq_ignore_ascii_case(FORM))
    };
    fields.iter().any(|(name, value)| is_spelled_as(name, "content-type") && names_it(value))
}
