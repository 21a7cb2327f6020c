//! Heads as they come: the bytes of a message up to its body, read into the types of the crate `http`.

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
use httparse::{Header, Status};

use super::field_line::{FieldValue, Place};
use super::fields::Fields;
use super::framing::{BodyLength, Framing, Keep, NoLength, ToPassOn};
use super::message::{AnswerParts, Reason, RequestParts};
use crate::boxed::boxed;

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of its line and fields.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

/// So many fields find room on the stack, which costs nothing to speak of.
const USUAL_FIELDS: usize = 100;

/// A target beyond this has never been sent in earnest.
const LONGEST_TARGET: usize = 65_534;

/// A request's head.
#[derive(Debug)]
pub struct RequestHead {
    /// Its line and fields. In a box: they are handed on from stage to stage, and would be copied each time.
    pub request: Box<RequestParts>,
    /// How long its body is.
    pub length: BodyLength,
    /// Whether the client goes on after it.
    pub persists: bool,
    /// Whether the client waits for 100 (Continue) before it sends the body.
    pub awaits_continue: bool,
    /// Whether it has a field that says that, or something else of the kind.
    pub expects: bool,
}

/// An answer's head.
#[derive(Debug)]
pub struct AnswerHead {
    /// Its line and fields.
    pub answer: AnswerParts,
    /// How long its body is.
    pub length: BodyLength,
    /// Whether the connection can carry another request after it.
    pub persists: bool,
}

/// Why the bytes are no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHead {
    /// They are not what the grammar allows, or say two things at once.
    Malformed,
    /// The target is too long.
    TargetTooLong,
    /// More fields than are allowed.
    TooManyFields,
    /// Longer than is allowed.
    TooLong,
    /// A length of the body that nobody can mean.
    BodyTooLong,
}

/// Reads a request's head from the beginning of what has come, and takes it out of that. `None`: there is more to come
/// of it. `seen`: how much of this was looked at before without an end.
///
/// # Errors
/// If that is no head, or too large a one. The connection is of no use after that.
pub fn take_request(
    come: &mut BytesMut,
    seen: usize,
    limits: HeadLimits,
) -> Result<Option<RequestHead>, BadHead> {
    if !may_be_whole(come, seen) {
        return within(come, limits).map(|()| None);
    }
    match read_request(come, limits, 0) {
        Err(BadHead::TooManyFields) if limits.fields > USUAL_FIELDS => {
            read_request(come, limits, limits.fields)
        }
        read => read,
    }
}

/// Reads it with room for so many fields, or for the usual ones.
fn read_request(
    come: &mut BytesMut,
    limits: HeadLimits,
    fields: usize,
) -> Result<Option<RequestHead>, BadHead> {
    let mut usual = [const { MaybeUninit::<Header<'_>>::uninit() }; USUAL_FIELDS];
    let mut unusual = vec![MaybeUninit::<Header<'_>>::uninit(); fields];
    let room = match unusual.is_empty() {
        true => usual.get_mut(..limits.fields.min(USUAL_FIELDS)).unwrap_or_default(),
        false => &mut unusual,
    };
    let (bytes, base) = (&come[..], come.as_ptr() as usize);
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, room) {
        Ok(Status::Complete(length)) if length > limits.bytes => return Err(BadHead::TooLong),
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return within(come, limits).map(|()| None),
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooManyFields),
        Err(_) => return Err(BadHead::Malformed),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(BadHead::Malformed);
    };
    if target.len() > LONGEST_TARGET {
        return Err(BadHead::TargetTooLong);
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| BadHead::Malformed)?;
    let has_fragment = memchr::memchr(b'#', target.as_bytes()).is_some();
    let target = Place::of(target.as_bytes(), base);
    let version = version_of(minor);
    let (mut framing, mut expects, mut awaits_continue) = (Framing::default(), false, false);
    let mut headers = read_fields(base, parsed.headers, |name, value| match *name {
        header::CONTENT_LENGTH => framing.content_length(value, false),
        header::TRANSFER_ENCODING => {
            framing.transfer_encoding(value);
            Keep::Field
        }
        header::CONNECTION => {
            framing.connection(value);
            Keep::Field
        }
        header::EXPECT => {
            expects = true;
            awaits_continue = value.as_bytes().eq_ignore_ascii_case(b"100-continue");
            Keep::Field
        }
        _ => Keep::Field,
    })?;
    if framing.says_both() {
        // RFC 9112 section 6.3: the coding counts, and the length is not passed on.
        headers.remove(header::CONTENT_LENGTH);
    }
    let head = come.split_to(length).freeze();
    let uri = Uri::from_maybe_shared(target.slice(&head)).map_err(|_| BadHead::Malformed)?;
    headers.came_in(head);
    // After the target: one that is none is malformed, whatever its length.
    let length = framing.of_request(version)?;
    Ok(Some(RequestHead {
        request: boxed(|| RequestParts { method, uri, has_fragment, version, headers }),
        length,
        persists: framing.persists(version) && !framing.says_both(),
        expects,
        awaits_continue: awaits_continue && version == Version::HTTP_11 && length != BodyLength::Exact(0),
    }))
}

/// Reads an answer's head from the beginning of what has come, and takes it out of that. `None`: there is more to come
/// of it. `seen`: how much of this was looked at before without an end. No more than 100 fields are read, whatever is
/// allowed.
///
/// # Errors
/// If that is no head, or too large a one.
pub fn take_answer(
    come: &mut BytesMut,
    seen: usize,
    limits: HeadLimits,
    method: &Method,
) -> Result<Option<AnswerHead>, BadHead> {
    if !may_be_whole(come, seen) {
        return within(come, limits).map(|()| None);
    }
    let mut room = [const { MaybeUninit::<Header<'_>>::uninit() }; USUAL_FIELDS];
    let room = room.get_mut(..limits.fields.min(USUAL_FIELDS)).unwrap_or_default();
    let (bytes, base) = (&come[..], come.as_ptr() as usize);
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, bytes, room) {
        Ok(Status::Complete(length)) if length > limits.bytes => return Err(BadHead::TooLong),
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return within(come, limits).map(|()| None),
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooManyFields),
        Err(_) => return Err(BadHead::Malformed),
    };
    let (Some(code), Some(minor)) = (parsed.code, parsed.version) else { return Err(BadHead::Malformed) };
    let status = StatusCode::from_u16(code).map_err(|_| BadHead::Malformed)?;
    let reason = parsed.reason.unwrap_or_default();
    let reason = (status.canonical_reason() != Some(reason)).then(|| Place::of(reason.as_bytes(), base));
    let version = version_of(minor);
    let mut framing = Framing::default();
    let mut headers = read_fields(base, parsed.headers, |name, value| {
        match *name {
            header::CONTENT_LENGTH => return framing.content_length(value, true),
            header::TRANSFER_ENCODING => framing.transfer_encoding(value),
            header::CONNECTION => framing.connection(value),
            _ => {}
        }
        Keep::Field
    })?;
    match framing.length_to_pass_on() {
        ToPassOn::AsSent => {}
        ToPassOn::Only(length) => headers.insert(header::CONTENT_LENGTH, length.into()),
        ToPassOn::Nothing => headers.remove(header::CONTENT_LENGTH),
    }
    let head = come.split_to(length).freeze();
    let reason = reason.map(|reason| Box::new(Reason(reason.slice(&head))));
    headers.came_in(head);
    let length = framing.of_answer(method, status, version)?;
    let persists = framing.persists(version) && length != BodyLength::UntilClose && !framing.says_both();
    let answer = AnswerParts { status, reason, version, headers };
    Ok(Some(AnswerHead { answer, length, persists }))
}

/// Reads the fields behind a body (RFC 9112 section 7.1.2): all of these bytes.
///
/// # Errors
/// If they are none, or too many.
pub(super) fn read_trailers(section: &[u8]) -> Result<HeaderMap, BadHead> {
    let mut room = [httparse::EMPTY_HEADER; USUAL_FIELDS];
    let parsed = match httparse::parse_headers(section, &mut room) {
        Ok(Status::Complete((_, fields))) => fields,
        Ok(Status::Partial) => return Err(BadHead::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooManyFields),
        Err(_) => return Err(BadHead::Malformed),
    };
    let mut fields = HeaderMap::with_capacity(parsed.len());
    for Header { name, value } in parsed {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadHead::Malformed)?;
        fields.append(name, HeaderValue::from_bytes(value).map_err(|_| BadHead::Malformed)?);
    }
    Ok(fields)
}

impl From<NoLength> for BadHead {
    fn from(why: NoLength) -> Self {
        match why {
            NoLength::Malformed | NoLength::Coding => BadHead::Malformed,
            NoLength::TooLong => BadHead::BodyTooLong,
        }
    }
}

/// Whether an end of a head is among what was not looked at yet. A head that drips in would otherwise be read anew for
/// each of its bytes.
fn may_be_whole(come: &[u8], seen: usize) -> bool {
    if seen == 0 {
        return !come.is_empty();
    }
    let new = come.get(seen.saturating_sub(3)..).unwrap_or_default();
    memchr::memchr_iter(b'\n', new).any(|end| {
        let after = new.get(end + 1..).unwrap_or_default();
        after.starts_with(b"\n") || after.starts_with(b"\r\n")
    })
}

fn within(come: &[u8], limits: HeadLimits) -> Result<(), BadHead> {
    if come.len() < limits.bytes { Ok(()) } else { Err(BadHead::TooLong) }
}

fn version_of(minor: u8) -> Version {
    if minor == 1 { Version::HTTP_11 } else { Version::HTTP_10 }
}

/// Reads a head's fields, which begins at this address; `note` is told of each, and says whether it is kept.
fn read_fields(
    base: usize,
    parsed: &[Header<'_>],
    mut note: impl FnMut(&HeaderName, FieldValue<'_>) -> Keep,
) -> Result<Fields, BadHead> {
    // With room for what a proxy adds.
    const ADDED: usize = 4;
    let mut fields = Fields::with_capacity(parsed.len() + ADDED);
    for Header { name: spelled, value } in parsed {
        let name = HeaderName::from_bytes(spelled.as_bytes()).map_err(|_| BadHead::Malformed)?;
        let is_kept = note(&name, FieldValue::parsed(value)) == Keep::Field;
        if is_kept {
            fields.comes(name, Place::of(spelled.as_bytes(), base), Place::of(value, base));
        }
    }
    Ok(fields)
}
