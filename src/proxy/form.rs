//! Forms, which some frameworks take the method from.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body::Body;
use hyper::body::Incoming;

use super::ask::Ask;
use super::outgoing::{NotRead, OutgoingBody, ReadUpTo, read_beginning, read_up_to};
use super::patience::Bounds;
use crate::decide::say;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::report::limits_hit::Limit;
use crate::request::hidden_method::{FormKind, HiddenMethod};
use crate::request::method::is_spelled_as;

/// A request's body, which a form that may hold a method override is read from.
pub enum Form {
    /// Not read.
    Unread(Incoming),
    /// Read whole.
    Read(Known),
    /// Read in part: its beginning, and the rest, which is looked at as it passes.
    Begun(Known, Incoming, HiddenMethod),
    /// Longer than a rule may read: what was read of it, and the rest.
    TooLong(Vec<u8>, Incoming),
}

/// What was read of a form.
pub struct Known {
    bytes: Vec<u8>,
    /// Whether it states a method in a way that is not taken apart here.
    hides_a_method: bool,
}

impl Form {
    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        match self {
            Form::Unread(body) => body.is_end_stream(),
            Form::Read(known) => known.bytes.is_empty(),
            Form::Begun(..) | Form::TooLong(..) => false,
        }
    }

    /// What was read of it.
    pub fn read_bytes(&self) -> &[u8] {
        match self {
            Form::Unread(_) | Form::TooLong(..) => &[],
            Form::Read(known) | Form::Begun(known, ..) => &known.bytes,
        }
    }

    /// Whether it states a method, whatever that is: to be judged as one that needs a precondition.
    pub fn hides_a_method(&self) -> bool {
        match self {
            Form::Unread(_) | Form::TooLong(..) => false,
            Form::Read(known) | Form::Begun(known, ..) => known.hides_a_method,
        }
    }

    /// The body as it goes on: unchanged, byte for byte.
    pub fn into_outgoing(self, bounds: &Bounds) -> OutgoingBody {
        match self {
            Form::Unread(body) => OutgoingBody::from_client(body, bounds),
            Form::Read(known) => OutgoingBody::fixed(known.bytes.into()),
            Form::Begun(known, rest, watch) => {
                OutgoingBody::from_client_begun(known.bytes.into(), rest, bounds).watched(watch)
            }
            Form::TooLong(begun, rest) => OutgoingBody::from_client_begun(begun.into(), rest, bounds),
        }
    }

    /// What is still to come of it.
    pub fn into_rest(self) -> Option<Incoming> {
        match self {
            Form::Read(_) => None,
            Form::Unread(rest) | Form::Begun(_, rest, _) | Form::TooLong(_, rest) => Some(rest),
        }
    }

    /// Why a request with this form cannot be judged.
    pub fn refusal(&self, ask: &Ask) -> Option<Refusal> {
        let limit = ask.route.route.body_limit;
        match self {
            Form::Unread(_) | Form::Read(_) | Form::Begun(..) => None,
            Form::TooLong(..) => Some(Refusal::new(
                RefusalKind::ContentTooLarge,
                format!(
                    "This form is longer than the {limit} bytes that the gateway reads to learn its method. Send less."
                ),
            )),
        }
    }
}

/// Reads a form that was sent with POST: some frameworks take the method from it. A URL-encoded one is read
/// whole; of another one of known length the beginning, where a form has such a field, and the rest is looked
/// at as it passes. The request goes on unchanged, byte for byte.
///
/// # Errors
/// If it breaks, or does not come in time.
pub async fn read_form(ask: &Ask, parts: &Parts, body: Incoming) -> Result<Form, Refusal> {
    /// What a form has before its files, and little enough to wait for.
    const BEGINNING: usize = 64 * 1024;
    if ask.method != Method::POST || Body::is_end_stream(&body) {
        return Ok(Form::Unread(body));
    }
    let failed = |why| match why {
        NotRead::TooSlow => say::body_too_slow(),
        NotRead::Broken => say::ambiguous("a body that ended early beside it"),
    };
    if may_be(&parts.headers, b"application/x-www-form-urlencoded") {
        return Ok(
            match read_up_to(body, ask.route.route.body_limit, &ask.bounds).await.map_err(failed)? {
                ReadUpTo::End(bytes) => Form::Read(Known { bytes, hides_a_method: false }),
                ReadUpTo::Limit(begun, rest) => {
                    ask.bounds.hits.hit(Limit::BodyToRead);
                    Form::TooLong(begun, rest)
                }
            },
        );
    }
    let kind = if may_be(&parts.headers, b"multipart/form-data") {
        FormKind::Multipart
    } else if parts.headers.keys().any(|name| is_spelled_as(name, "content-type")) {
        return Ok(Form::Unread(body));
    } else {
        FormKind::Untyped
    };
    let mut watch = HiddenMethod::new(kind);
    // Whoever waits for 100 (Continue) is to hear it from the origin, not because of us; and what comes in
    // chunks goes on in chunks, trailers and all, so nothing of it is taken out.
    let passes = parts.headers.contains_key(header::EXPECT) || body.size_hint().exact().is_none();
    let beginning = if passes { 0 } else { BEGINNING };
    let read = read_beginning(body, beginning, &ask.bounds).await.map_err(failed)?;
    let (ReadUpTo::End(bytes) | ReadUpTo::Limit(bytes, _)) = &read;
    let hides_a_method = watch.is_in(bytes);
    Ok(match read {
        ReadUpTo::End(bytes) => Form::Read(Known { bytes, hides_a_method }),
        ReadUpTo::Limit(bytes, rest) => Form::Begun(Known { bytes, hides_a_method }, rest, watch),
    })
}

/// Whether some framework takes the content for one of this type: it may be one of several, to those that
/// read up to a comma or a semicolon, or that take an underscore for a hyphen.
fn may_be(fields: &HeaderMap, form: &[u8]) -> bool {
    let names_it = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|b| matches!(b, b',' | b';' | b' ' | b'\t'))
            .any(|t| t.eq_ignore_ascii_case(form))
    };
    fields.iter().any(|(name, value)| is_spelled_as(name, "content-type") && names_it(value))
}
