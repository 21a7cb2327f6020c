//! Bodies that are read before anything is decided: by a rule that needs what is in them, and forms, which some
//! frameworks take the method from.

use crate::http1::fields::{FieldValue, Fields};
use crate::http1::message::RequestParts as Parts;
use http::{HeaderMap, Method, header};
use http_body::Body;

use super::ask::Ask;
use super::client_body::ClientBody;
use super::outgoing::{NotRead, OutgoingBody, ReadUpTo, WholeBody, read_beginning, read_up_to};
use super::patience::Bounds;
use super::twice;
use crate::decide::say;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::report::limits_hit::Limit;
use crate::request::hidden_method::{FormKind, HiddenMethod};
use crate::request::method::is_spelled_as;

/// A request's body, as far as it was read. Small, for most are not: what is handed on would be copied each time.
pub enum RequestBody {
    /// Not read.
    Unread(ClientBody),
    /// Read whole.
    Read(Box<Known>),
    /// Read in part: its beginning, and the rest, which is looked at as it passes. Not to observe: a form that
    /// states a method there is broken off, or passes.
    Begun(Box<Known>, ClientBody, Option<Box<HiddenMethod>>),
    /// Longer than a rule may read: what was read of it, and the rest.
    TooLong(Vec<u8>, ClientBody),
}

/// What was read of a body.
pub struct Known {
    bytes: Vec<u8>,
    /// The trailer fields of one that came in chunks, as it goes on.
    in_chunks: Option<HeaderMap>,
    is_form: bool,
    /// Whether it states a method in a way that is not taken apart here.
    hides_a_method: bool,
}

impl RequestBody {
    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        match self {
            RequestBody::Unread(body) => body.is_end_stream(),
            RequestBody::Read(known) => known.bytes.is_empty(),
            RequestBody::Begun(..) | RequestBody::TooLong(..) => false,
        }
    }

    /// It whole, if it was read whole, or there is none.
    pub fn whole(&self) -> Option<&[u8]> {
        match self {
            RequestBody::Unread(body) => body.is_end_stream().then_some(&[]),
            RequestBody::Read(known) => Some(&known.bytes),
            RequestBody::Begun(..) | RequestBody::TooLong(..) => None,
        }
    }

    /// What was read of it, if some framework takes it for a form.
    pub fn form(&self) -> &[u8] {
        match self {
            RequestBody::Read(known) | RequestBody::Begun(known, ..) if known.is_form => &known.bytes,
            RequestBody::Unread(_)
            | RequestBody::TooLong(..)
            | RequestBody::Read(_)
            | RequestBody::Begun(..) => &[],
        }
    }

    /// Whether it states a method, whatever that is: to be judged as one that needs a precondition.
    pub fn hides_a_method(&self) -> bool {
        match self {
            RequestBody::Unread(_) | RequestBody::TooLong(..) => false,
            RequestBody::Read(known) | RequestBody::Begun(known, ..) => known.hides_a_method,
        }
    }

    /// The body as it goes on: unchanged, byte for byte.
    pub fn into_outgoing(self, bounds: &Bounds) -> OutgoingBody {
        match self {
            RequestBody::Unread(body) => OutgoingBody::from_client(body, bounds),
            RequestBody::Read(known) => {
                let Known { bytes, in_chunks, .. } = *known;
                OutgoingBody::read(WholeBody { bytes, in_chunks })
            }
            RequestBody::Begun(known, rest, watch) => {
                let begun = OutgoingBody::from_client_begun(known.bytes.into(), rest, bounds);
                match watch {
                    Some(watch) => begun.watched(*watch),
                    None => begun,
                }
            }
            RequestBody::TooLong(begun, rest) => OutgoingBody::from_client_begun(begun.into(), rest, bounds),
        }
    }

    /// What is still to come of it.
    pub fn into_rest(self) -> Option<ClientBody> {
        match self {
            RequestBody::Read(_) => None,
            RequestBody::Unread(rest) | RequestBody::Begun(_, rest, _) | RequestBody::TooLong(_, rest) => {
                Some(rest)
            }
        }
    }

    /// Why a request with this body cannot be judged.
    pub fn refusal(&self, ask: &Ask) -> Option<Refusal> {
        let limit = ask.route.route.body_limit;
        match self {
            RequestBody::Unread(_) | RequestBody::Read(_) | RequestBody::Begun(..) => None,
            RequestBody::TooLong(..) => Some(Refusal::new(
                RefusalKind::ContentTooLarge,
                format!(
                    "This content is longer than the {limit} bytes that a rule of this gateway reads of it. Send less."
                ),
            )),
        }
    }
}

/// Whether there is no body, or nobody here needs to know what is in it.
pub fn stays_unread(ask: &Ask, parts: &Parts, body: &ClientBody) -> bool {
    Body::is_end_stream(body) || (ask.method != Method::POST && !is_for_a_rule(ask, parts))
}

fn is_for_a_rule(ask: &Ask, parts: &Parts) -> bool {
    // What asks before it sends is never refused, so nothing of it is read.
    let asks = matches!(ask.method, Method::OPTIONS | Method::TRACE);
    !asks && (ask.policy().reads_bodies() || twice::needs_content(ask, &parts.headers))
}

/// Reads a body that does not [stay unread](stays_unread): whole where some rule of the route needs it. Else a form that was sent with POST, for its
/// method: a URL-encoded one whole; of another one of known length the beginning, where a form has such a field, and the rest is looked
/// at as it passes. The request goes on unchanged, byte for byte.
///
/// # Errors
/// If it breaks, or does not come in time.
pub async fn read_body(ask: &Ask, parts: &Parts, body: ClientBody) -> Result<RequestBody, Refusal> {
    /// What a form has before its files, and little enough to wait for.
    const BEGINNING: usize = 64 * 1024;
    let for_a_rule = is_for_a_rule(ask, parts);
    let kind = form_kind(&ask.method, &parts.headers);
    if for_a_rule || kind == Some(PostedForm::UrlEncoded) {
        let read = read_up_to(body, ask.route.route.body_limit, &ask.bounds).await.map_err(not_read)?;
        return Ok(match read {
            ReadUpTo::End(WholeBody { bytes, in_chunks }) => {
                let hides_a_method = match kind {
                    Some(PostedForm::Watched(kind)) => HiddenMethod::new(kind).is_in(&bytes),
                    Some(PostedForm::UrlEncoded) | None => false,
                };
                let is_form = kind.is_some();
                RequestBody::Read(Box::new(Known { bytes, in_chunks, is_form, hides_a_method }))
            }
            ReadUpTo::Limit(begun, rest) => {
                ask.bounds.hits.hit(Limit::BodyToRead);
                RequestBody::TooLong(begun, rest)
            }
        });
    }
    let Some(PostedForm::Watched(kind)) = kind else { return Ok(RequestBody::Unread(body)) };
    let mut watch = HiddenMethod::new(kind);
    // Whoever waits for 100 (Continue) is to hear it from the origin, not because of us; and what comes in
    // chunks goes on in chunks, trailers and all, so nothing of it is taken out.
    let passes = parts.headers.contains_key(header::EXPECT) || body.size_hint().exact().is_none();
    let beginning = if passes { 0 } else { BEGINNING };
    let read = read_beginning(body, beginning, &ask.bounds).await.map_err(not_read)?;
    let (ReadUpTo::End(WholeBody { bytes, .. }) | ReadUpTo::Limit(bytes, _)) = &read;
    let hides_a_method = watch.is_in(bytes);
    Ok(match read {
        ReadUpTo::End(WholeBody { bytes, in_chunks }) => {
            RequestBody::Read(Box::new(Known { bytes, in_chunks, is_form: true, hides_a_method }))
        }
        ReadUpTo::Limit(bytes, rest) => {
            let known = Box::new(Known { bytes, in_chunks: None, is_form: true, hides_a_method });
            RequestBody::Begun(known, rest, Some(Box::new(watch)).filter(|_| !ask.observes()))
        }
    })
}

fn not_read(why: NotRead) -> Refusal {
    match why {
        NotRead::TooSlow => say::body_too_slow(),
        NotRead::Broken => say::ambiguous("a body that ended early beside it"),
    }
}

/// What some framework may take the content of a POST for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PostedForm {
    /// A form of a few fields, which is read whole.
    UrlEncoded,
    /// One that may have files in it.
    Watched(FormKind),
}

fn form_kind(method: &Method, fields: &Fields) -> Option<PostedForm> {
    if method != Method::POST {
        None
    } else if may_be(fields, b"application/x-www-form-urlencoded") {
        Some(PostedForm::UrlEncoded)
    } else if may_be(fields, b"multipart/form-data") {
        Some(PostedForm::Watched(FormKind::Multipart))
    } else if fields.keys().any(|name| is_spelled_as(name, "content-type")) {
        None
    } else {
        Some(PostedForm::Watched(FormKind::Untyped))
    }
}

/// Whether some framework takes the content for one of this type: it may be one of several, to those that
/// read up to a comma or a semicolon, or that take an underscore for a hyphen.
fn may_be(fields: &Fields, form: &[u8]) -> bool {
    let names_it = |value: FieldValue<'_>| {
        value
            .as_bytes()
            .split(|b| matches!(b, b',' | b';' | b' ' | b'\t'))
            .any(|t| t.eq_ignore_ascii_case(form))
    };
    fields.iter().any(|(name, value)| is_spelled_as(name, "content-type") && names_it(value))
}
