//! Heads as they come: the bytes of a message up to its body, read into the types of the crate `http`.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
use httparse::{Header, Status};
use smallvec::SmallVec;

use super::framing::{BodyLength, Framing, Keep, NoLength, ToPassOn};
use super::message::{AnswerParts, Reason, RequestParts};
use super::spelling::Spelling;

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

/// Where a field's name and value stand in a head.
#[derive(Clone, Copy)]
struct Place {
    name: (u32, u32),
    value: (u32, u32),
}

type Places = SmallVec<[Place; 24]>;

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
    let target = place(base, target.as_bytes());
    let version = version_of(minor);
    let places = places(base, parsed.headers);
    let head = come.split_to(length).freeze();
    let uri = Uri::from_maybe_shared(at(&head, target)).map_err(|_| BadHead::Malformed)?;

    let (headers, spelling) = (HeaderMap::new(), None);
    let mut request = Box::new(RequestParts { method, uri, has_fragment, version, headers, spelling });
    let (mut framing, mut awaits_continue) = (Framing::default(), false);
    request.spelling = fill(&mut request.headers, &head, &places, |name, value| match *name {
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
            awaits_continue = value.as_bytes().eq_ignore_ascii_case(b"100-continue");
            Keep::Field
        }
        _ => Keep::Field,
    })?;
    let length = framing.of_request(version)?;
    if framing.says_both() {
        // RFC 9112 section 6.3: the coding counts, and the length is not passed on.
        remove_length(&mut request.headers);
    }
    Ok(Some(RequestHead {
        request,
        length,
        persists: framing.persists(version) && !framing.says_both(),
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
    let reason = (status.canonical_reason() != Some(reason)).then(|| place(base, reason.as_bytes()));
    let version = version_of(minor);
    let places = places(base, parsed.headers);
    let head = come.split_to(length).freeze();

    let reason = reason.map(|reason| Reason(at(&head, reason)));
    let mut answer = AnswerParts { status, reason, version, headers: HeaderMap::new(), spelling: None };
    let mut framing = Framing::default();
    answer.spelling = fill(&mut answer.headers, &head, &places, |name, value| {
        match *name {
            header::CONTENT_LENGTH => return framing.content_length(value, true),
            header::TRANSFER_ENCODING => framing.transfer_encoding(value),
            header::CONNECTION => framing.connection(value),
            _ => {}
        }
        Keep::Field
    })?;
    let length = framing.of_answer(method, status, version)?;
    match framing.length_to_pass_on() {
        ToPassOn::AsSent => {}
        ToPassOn::Only(length) => drop(answer.headers.insert(header::CONTENT_LENGTH, length.into())),
        ToPassOn::Nothing => remove_length(&mut answer.headers),
    }
    let persists = framing.persists(version) && length != BodyLength::UntilClose && !framing.says_both();
    Ok(Some(AnswerHead { answer, length, persists }))
}

/// Leaves the others in their order: the map's own way would put the last one into the gap.
#[cold]
fn remove_length(fields: &mut HeaderMap) {
    let mut last = None;
    for (name, value) in std::mem::take(fields) {
        last = name.or(last);
        if let Some(name) = last.as_ref().filter(|name| **name != header::CONTENT_LENGTH) {
            fields.append(name.clone(), value);
        }
    }
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

/// Where a part stands in the bytes that begin there. No head is 4 GiB long.
fn place(base: usize, part: &[u8]) -> (u32, u32) {
    // Where there are no words for a status, or none in ASCII, httparse gives an empty part that is not of these bytes.
    if part.is_empty() {
        return (0, 0);
    }
    let begin = (part.as_ptr() as usize).wrapping_sub(base) as u32;
    (begin, begin.wrapping_add(part.len() as u32))
}

fn places(base: usize, fields: &[Header<'_>]) -> Places {
    let of = |field: &Header<'_>| Place {
        name: place(base, field.name.as_bytes()),
        value: place(base, field.value),
    };
    fields.iter().map(of).collect()
}

fn at(head: &Bytes, (begin, end): (u32, u32)) -> Bytes {
    // A slice that `place` has told of the same bytes.
    head.slice(begin as usize..end as usize)
}

/// Fills a map with a head's fields; gives their spelling, unless all names are in lower case.
fn fill(
    fields: &mut HeaderMap,
    head: &Bytes,
    places: &Places,
    mut note: impl FnMut(&HeaderName, &HeaderValue) -> Keep,
) -> Result<Option<Box<Spelling>>, BadHead> {
    // With room for what a proxy adds.
    const ADDED: usize = 4;
    fields.reserve(places.len() + ADDED);
    let mut spelled = false;
    for Place { name: (begin, end), value } in places {
        let as_sent = head.get(*begin as usize..*end as usize).unwrap_or_default();
        let name = HeaderName::from_bytes(as_sent).map_err(|_| BadHead::Malformed)?;
        let value = HeaderValue::from_maybe_shared(at(head, *value)).map_err(|_| BadHead::Malformed)?;
        spelled |= name.as_str().as_bytes() != as_sent;
        if note(&name, &value) == Keep::Field {
            fields.append(name, value);
        }
    }
    let spelling = || Box::new(Spelling::new(head.clone(), places.iter().map(|place| place.name).collect()));
    Ok(spelled.then(spelling))
}
