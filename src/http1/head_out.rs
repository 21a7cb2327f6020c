//! Heads on their way out.

use http::{Method, StatusCode, Version, header};

use super::encode::Encoder;
use super::field_line::{FieldValue, write_line};
use super::fields::Fields;
use super::framing::{digits, has_no_body, has_token};
use super::message::{OriginRequest, Reason};

/// How long the body behind a head is, as far as its sender knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnLength {
    /// There is none.
    None,
    /// So many bytes.
    Exact(u64),
    /// Known when it ends.
    Unknown,
}

impl OwnLength {
    /// Of this body.
    pub fn of(body: &impl http_body::Body) -> Self {
        if body.is_end_stream() {
            return OwnLength::None;
        }
        body.size_hint().exact().map_or(OwnLength::Unknown, OwnLength::Exact)
    }
}

/// Writes a request's head, and says how its body is sent. A `Content-Length` that is there stays as it is spelled; in
/// front of chunks there is none.
pub fn write_request(request: &OriginRequest, length: OwnLength, out: &mut Vec<u8>) -> Encoder {
    let OriginRequest { method, target, headers: fields } = request;
    let target = target.as_str();
    out.reserve(room_for(fields) + target.len());
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let encoder = match length {
        OwnLength::None => Encoder::Nothing,
        OwnLength::Exact(length) => Encoder::Exact(length),
        OwnLength::Unknown => Encoder::chunked(fields),
    };
    let in_chunks = length == OwnLength::Unknown;
    let (mut says_length, mut says_coding) = (false, false);
    for line in fields.lines() {
        match *line.name {
            header::CONTENT_LENGTH if in_chunks || says_length => continue,
            header::CONTENT_LENGTH => says_length = true,
            header::TRANSFER_ENCODING if !in_chunks || says_coding => continue,
            header::TRANSFER_ENCODING => says_coding = true,
            _ => {}
        }
        line.write(out);
    }
    match length {
        OwnLength::Exact(length) if !says_length => {
            write_line(b"content-length", number(length).as_bytes(), out)
        }
        OwnLength::Unknown if !says_coding => write_line(b"transfer-encoding", b"chunked", out),
        OwnLength::None | OwnLength::Exact(_) | OwnLength::Unknown => {}
    }
    out.extend_from_slice(b"\r\n");
    encoder
}

/// An answer to be written, and what of its request decides about that.
pub struct AnswerToWrite<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's version, which is the answer's too.
    pub version: Version,
    /// Its status.
    pub status: StatusCode,
    /// Its own words for that.
    pub reason: Option<&'a Reason>,
    /// Its fields. Those of one connection are nobody's but ours.
    pub fields: &'a Fields,
    /// How long its body is.
    pub length: OwnLength,
    /// Whether the connection is to carry another request.
    pub persists: bool,
    /// The time for `Date` (RFC 9110 section 6.6.1), where the answer has none.
    pub date: &'a str,
}

/// Writes an answer's head, and says how its body is sent. A body that lasts until the connection ends is one that this
/// client cannot be told the length of.
pub fn write_answer(answer: &AnswerToWrite<'_>, out: &mut Vec<u8>) -> Encoder {
    let AnswerToWrite { method, version, status, fields, length, .. } = *answer;
    out.reserve(room_for(fields));
    status_line(answer, out);
    let bodiless = has_no_body(method, status);
    let knows_chunks = version == Version::HTTP_11;
    let mut wrote_length = false;
    let mut wrote_date = false;
    // Nothing but the end of the connection tells such a client the end of the body.
    let until_close = length == OwnLength::Unknown && !bodiless && !knows_chunks;
    for line in fields.lines() {
        match *line.name {
            // Without a body only HEAD says how long it would be.
            header::CONTENT_LENGTH if length == OwnLength::None && *method != Method::HEAD => continue,
            header::CONTENT_LENGTH if wrote_length || !agrees(line.value, length) => continue,
            header::CONTENT_LENGTH => wrote_length = true,
            header::TRANSFER_ENCODING => continue,
            header::TRAILER if bodiless || !knows_chunks => continue,
            header::DATE => wrote_date = true,
            _ => {}
        }
        line.write(out);
    }
    connection(answer, answer.persists && !until_close, out);
    let encoder = match length {
        OwnLength::Unknown if bodiless => Encoder::Nothing,
        OwnLength::Unknown if until_close => Encoder::UntilClose,
        OwnLength::Unknown => {
            write_line(fields.spelling(&header::TRANSFER_ENCODING), b"chunked", out);
            Encoder::chunked(fields)
        }
        OwnLength::None | OwnLength::Exact(_) => {
            let exact = if let OwnLength::Exact(exact) = length { exact } else { 0 };
            // HEAD says nothing of a length that nobody stated.
            let may_say = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
                && !status.is_informational()
                && (exact > 0 || *method != Method::HEAD);
            if may_say && !wrote_length {
                write_line(fields.spelling(&header::CONTENT_LENGTH), number(exact).as_bytes(), out);
            }
            if bodiless { Encoder::Nothing } else { Encoder::Exact(exact) }
        }
    };
    if !wrote_date {
        write_line(b"date", answer.date.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
    encoder
}

fn status_line(answer: &AnswerToWrite<'_>, out: &mut Vec<u8>) {
    if answer.version == Version::HTTP_11 && answer.status == StatusCode::OK && answer.reason.is_none() {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    let version: &[u8] = if answer.version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
    // Clients expect some words, though they mean nothing (RFC 9112 section 4).
    let usual = || answer.status.canonical_reason().unwrap_or("<none>").as_bytes();
    let reason = answer.reason.map_or_else(usual, |reason| &reason.0);
    for part in [version, answer.status.as_str().as_bytes(), b" ", reason, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// What the connection's other end is told of its future (RFC 9112 section 9.3).
fn connection(answer: &AnswerToWrite<'_>, persists: bool, out: &mut Vec<u8>) {
    let says = |token| answer.fields.get_all(header::CONNECTION).any(|value| has_token(value, token));
    if answer.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    match (answer.version == Version::HTTP_10, persists) {
        (true, true) if !says("keep-alive") => write_line(b"connection", b"keep-alive", out),
        (false, false) if !says("close") => write_line(b"connection", b"close", out),
        (true | false, _) => {}
    }
}

/// Whether a stated length is the one that is sent; of no body HEAD may state any.
fn agrees(stated: FieldValue<'_>, length: OwnLength) -> bool {
    match length {
        OwnLength::None => true,
        OwnLength::Exact(length) => digits(stated.as_bytes()) == Some(length),
        OwnLength::Unknown => false,
    }
}

fn number(length: u64) -> String {
    http::HeaderValue::from(length).to_str().unwrap_or_default().to_owned()
}

/// As much as fields take, as a rule.
fn room_for(fields: &Fields) -> usize {
    const EACH: usize = 40;
    128 + EACH * fields.len()
}
