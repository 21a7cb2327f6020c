//! Heads on their way out.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

use super::encode::Encoder;
use super::framing::{digits, has_no_body, has_token};
use super::message::{OriginRequest, Reason};
use super::spelling::{Speller, Spelling, each_spelled};

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
    let OriginRequest { method, target, headers: fields, spelling } = request;
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
    let mut says_length = false;
    let mut says_coding = false;
    each_spelled(fields, spelling.as_deref(), |name, value| {
        if name.len() == CONTENT_LENGTH.len() && name.eq_ignore_ascii_case(CONTENT_LENGTH) {
            if in_chunks || says_length {
                return;
            }
            says_length = true;
        } else if name.len() == TRANSFER_ENCODING.len() && name.eq_ignore_ascii_case(TRANSFER_ENCODING) {
            if !in_chunks || says_coding {
                return;
            }
            says_coding = true;
        }
        line(out, name, value);
    });
    match length {
        OwnLength::Exact(length) if !says_length => line(out, CONTENT_LENGTH, number(length).as_bytes()),
        OwnLength::Unknown if !says_coding => line(out, TRANSFER_ENCODING, b"chunked"),
        OwnLength::None | OwnLength::Exact(_) | OwnLength::Unknown => {}
    }
    out.extend_from_slice(b"\r\n");
    encoder
}

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";

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
    pub fields: &'a HeaderMap,
    /// How their names are spelled.
    pub spelling: Option<&'a Spelling>,
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
    let AnswerToWrite { method, version, status, fields, spelling, length, .. } = *answer;
    out.reserve(room_for(fields));
    status_line(answer, out);
    let bodiless = has_no_body(method, status);
    let knows_chunks = version == Version::HTTP_11;
    let mut wrote_length = false;
    let mut wrote_date = false;
    let mut speller = Speller::new(spelling);
    let (mut last, mut open_list) = (None::<&HeaderName>, false);
    // Nothing but the end of the connection tells such a client the end of the body.
    let until_close = length == OwnLength::Unknown && !bodiless && !knows_chunks;
    for (name, value) in fields {
        let another = last == Some(name);
        last = Some(name);
        if open_list && !another {
            out.extend_from_slice(b"\r\n");
            open_list = false;
        }
        match *name {
            // Without a body only HEAD says how long it would be.
            header::CONTENT_LENGTH if length == OwnLength::None && *method != Method::HEAD => continue,
            header::CONTENT_LENGTH if wrote_length || !agrees(value, length) => continue,
            header::CONTENT_LENGTH => wrote_length = true,
            header::TRANSFER_ENCODING => continue,
            header::TRAILER if bodiless || !knows_chunks => continue,
            header::DATE => wrote_date = true,
            header::CONNECTION => {
                if another {
                    out.extend_from_slice(b", ");
                } else {
                    out.extend_from_slice(speller.spell(name, another));
                    out.extend_from_slice(b": ");
                }
                out.extend_from_slice(value.as_bytes());
                open_list = true;
                continue;
            }
            _ => {}
        }
        line(out, speller.spell(name, another), value.as_bytes());
    }
    if open_list {
        out.extend_from_slice(b"\r\n");
    }
    connection(answer, answer.persists && !until_close, out);
    let encoder = match length {
        OwnLength::Unknown if bodiless => Encoder::Nothing,
        OwnLength::Unknown if until_close => Encoder::UntilClose,
        OwnLength::Unknown => {
            line(out, speller.spell(&header::TRANSFER_ENCODING, false), b"chunked");
            Encoder::chunked(fields)
        }
        OwnLength::None | OwnLength::Exact(_) => {
            let exact = if let OwnLength::Exact(exact) = length { exact } else { 0 };
            // HEAD says nothing of a length that nobody stated.
            let may_say = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
                && !status.is_informational()
                && (exact > 0 || *method != Method::HEAD);
            if may_say && !wrote_length {
                line(out, speller.spell(&header::CONTENT_LENGTH, false), number(exact).as_bytes());
            }
            if bodiless { Encoder::Nothing } else { Encoder::Exact(exact) }
        }
    };
    if !wrote_date {
        line(out, b"date", answer.date.as_bytes());
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
    let says = |token| answer.fields.get_all(header::CONNECTION).iter().any(|value| has_token(value, token));
    if answer.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    match (answer.version == Version::HTTP_10, persists) {
        (true, true) if !says("keep-alive") => line(out, b"connection", b"keep-alive"),
        (false, false) if !says("close") => line(out, b"connection", b"close"),
        (true | false, _) => {}
    }
}

/// Whether a stated length is the one that is sent; of no body HEAD may state any.
fn agrees(stated: &HeaderValue, length: OwnLength) -> bool {
    match length {
        OwnLength::None => true,
        OwnLength::Exact(length) => digits(stated.as_bytes()) == Some(length),
        OwnLength::Unknown => false,
    }
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn number(length: u64) -> String {
    HeaderValue::from(length).to_str().unwrap_or_default().to_owned()
}

/// As much as fields take, as a rule.
fn room_for(fields: &HeaderMap) -> usize {
    const EACH: usize = 40;
    128 + EACH * fields.len()
}
