//! Messages: whatever pieces they come in, they are read alike; each byte was taken or is left; and what was read is
//! what the grammar of RFC 9112 says of those bytes, and is written so that it is read as the same again.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Version, header};
use ifmatch::http1::decode::{BadBody, Decoded, Decoder};
use ifmatch::http1::encode::{Encoder, Outbox};
use ifmatch::http1::fields::Fields;
use ifmatch::http1::framing::BodyLength;
use ifmatch::http1::head::{AnswerHead, BadHead, HeadLimits, RequestHead, take_answer, take_request};
use ifmatch::http1::head_out::{AnswerToWrite, OwnLength, write_answer, write_request};
use ifmatch::http1::message::OriginRequest;

use super::grammar;

/// Takes the first line for how the rest is read: `r` for requests, `a` for answers, `h` for those to HEAD, in upper
/// case with small limits; each byte behind that is the length of a piece, counted from the sign `0`.
pub(crate) fn check(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (Some(how), Some(bytes)) = (parts.next(), parts.next()) else { return };
    let kind = how.first().copied().unwrap_or_default();
    let side = match kind.to_ascii_lowercase() {
        b'a' => Side::Answers(Method::GET),
        b'h' => Side::Answers(Method::HEAD),
        _ => Side::Requests,
    };
    let limits = match kind.is_ascii_uppercase() {
        true => HeadLimits { bytes: 128, fields: 4 },
        false => HeadLimits { bytes: 4096, fields: 120 },
    };
    let at_once = read(&side, [bytes], limits);
    at_once.adds_up(bytes);
    let lengths: Vec<usize> =
        how.iter().skip(1).map(|byte| usize::from(byte.wrapping_sub(b'0')).max(1)).collect();
    for lengths in [&lengths[..], &[1]] {
        let in_pieces = read(&side, pieces(bytes, lengths), limits);
        in_pieces.adds_up(bytes);
        at_once.is_like(&in_pieces, bytes);
    }
    let whole = at_once.messages.len() - usize::from(at_once.end.is_in_a_body());
    for (at, message) in at_once.messages.iter().enumerate() {
        let body = (at < whole).then(|| &bytes[message.head_at.end..message.end]);
        grammar::is_kept(&side, &bytes[message.head_at.clone()], body, message);
        if at < whole {
            written_again(&side, message);
        }
    }
}

/// Who reads.
pub(crate) enum Side {
    Requests,
    /// To requests with this method.
    Answers(Method),
}

pub(crate) enum Head {
    Request(Box<RequestHead>),
    Answer(Box<AnswerHead>),
}

impl Head {
    pub(crate) fn length(&self) -> BodyLength {
        match self {
            Head::Request(head) => head.length,
            Head::Answer(head) => head.length,
        }
    }

    pub(crate) fn persists(&self) -> bool {
        match self {
            Head::Request(head) => head.persists,
            Head::Answer(head) => head.persists,
        }
    }

    pub(crate) fn fields(&self) -> &Fields {
        match self {
            Head::Request(head) => &head.request.headers,
            Head::Answer(head) => &head.answer.headers,
        }
    }

    /// All of it, to compare.
    fn shown(&self) -> String {
        match self {
            Head::Request(head) => format!("{head:?}"),
            Head::Answer(head) => format!("{head:?}"),
        }
    }
}

/// A message, as far as it came.
pub(crate) struct Message {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    /// Where its head stands.
    pub(crate) head_at: Range<usize>,
    /// Behind its body.
    pub(crate) end: usize,
}

/// Why no further message was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The bytes ended before another head did.
    InAHead,
    Refused(BadHead),
    /// The bytes ended before the last message's body did.
    InABody,
    /// The last message's body is none.
    Broken(BadBody),
    /// Its sender does not go on after the last message.
    Over,
}

impl End {
    pub(crate) fn is_in_a_body(self) -> bool {
        match self {
            End::InABody | End::Broken(_) => true,
            End::InAHead | End::Refused(_) | End::Over => false,
        }
    }
}

pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    pub(crate) end: End,
    came: usize,
    /// How much was not taken.
    left: usize,
}

/// Reads what comes in these pieces, as a proxy does: all that has come, before it waits for more.
pub(crate) fn read<'p>(
    side: &Side,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    limits: HeadLimits,
) -> Reading {
    let mut reader = Reader { come: BytesMut::new(), came: 0, pieces: pieces.into_iter() };
    let mut messages = Vec::new();
    let end = loop {
        if let Err(end) = reader.message(side, limits, &mut messages) {
            break end;
        }
    };
    while reader.fill() {}
    Reading { messages, end, came: reader.came, left: reader.come.len() }
}

struct Reader<P> {
    come: BytesMut,
    came: usize,
    pieces: P,
}

impl<'p, P: Iterator<Item = &'p [u8]>> Reader<P> {
    fn fill(&mut self) -> bool {
        let Some(piece) = self.pieces.next() else { return false };
        self.come.extend_from_slice(piece);
        self.came += piece.len();
        true
    }

    fn taken(&self) -> usize {
        self.came - self.come.len()
    }

    fn message(&mut self, side: &Side, limits: HeadLimits, messages: &mut Vec<Message>) -> Result<(), End> {
        let begin = self.taken();
        let head = self.head(side, limits)?;
        let head_at = begin..self.taken();
        let mut decoder = Decoder::new(head.length());
        let mut message = Message { head, body: Vec::new(), trailers: None, head_at, end: 0 };
        let taken = self.body(&mut decoder, &mut message);
        message.end = self.taken();
        let goes_on = match &message.head {
            Head::Answer(head) if head.answer.status == StatusCode::SWITCHING_PROTOCOLS => false,
            // Before an answer, whatever it says of the connection.
            Head::Answer(head) if head.answer.status.is_informational() => true,
            Head::Request(_) | Head::Answer(_) => message.head.persists(),
        };
        messages.push(message);
        taken?;
        if goes_on { Ok(()) } else { Err(End::Over) }
    }

    fn head(&mut self, side: &Side, limits: HeadLimits) -> Result<Head, End> {
        let mut seen = 0;
        loop {
            let before = self.come.len();
            let head = match side {
                Side::Requests => take_request(&mut self.come, seen, limits)
                    .map(|head| head.map(|head| Head::Request(Box::new(head)))),
                Side::Answers(method) => take_answer(&mut self.come, seen, limits, method)
                    .map(|head| head.map(|head| Head::Answer(Box::new(head)))),
            };
            if let Some(head) = head.map_err(End::Refused)? {
                return Ok(head);
            }
            assert_eq!(self.come.len(), before, "nothing is taken of a head that is not whole");
            seen = before;
            if !self.fill() {
                return Err(End::InAHead);
            }
        }
    }

    fn body(&mut self, decoder: &mut Decoder, message: &mut Message) -> Result<(), End> {
        loop {
            match decoder.take(&mut self.come).map_err(End::Broken)? {
                Decoded::Data(data) => {
                    assert!(!data.is_empty(), "no frame is empty");
                    message.body.extend_from_slice(&data);
                }
                Decoded::Trailers(fields) => message.trailers = Some(fields),
                Decoded::End => break,
                Decoded::Needs => {
                    assert!(self.come.is_empty() && !decoder.is_over(), "all that has come is looked at");
                    if !self.fill() && decoder.close().is_err() {
                        return Err(End::InABody);
                    }
                }
            }
        }
        assert!(decoder.is_over() && decoder.close().is_ok());
        Ok(())
    }
}

/// Cuts into pieces of these lengths, again and again; of one byte each, if there are none.
fn pieces<'b>(mut bytes: &'b [u8], lengths: &[usize]) -> impl Iterator<Item = &'b [u8]> {
    let lengths = if lengths.is_empty() { &[1] } else { lengths };
    let mut lengths = lengths.iter().cycle().copied();
    std::iter::from_fn(move || {
        let length = lengths.next()?.min(bytes.len());
        let (piece, rest) = bytes.split_at(length);
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

impl Reading {
    /// Each byte was taken by one message, or is left.
    fn adds_up(&self, bytes: &[u8]) {
        let mut at = 0;
        for message in &self.messages {
            assert_eq!(message.head_at.start, at, "a message begins where the one before it ends");
            assert!(message.head_at.end > at && message.end >= message.head_at.end);
            at = message.end;
        }
        assert_eq!(self.came, bytes.len());
        match self.end {
            // What is refused is of no use, and neither is how much of it was looked at.
            End::Refused(_) => assert!(at + self.left <= bytes.len()),
            End::InAHead | End::InABody | End::Broken(_) | End::Over => {
                assert_eq!(at + self.left, bytes.len(), "{:?}", self.end);
            }
        }
    }

    /// Whether the same was read out of the same bytes, which came in pieces.
    fn is_like(&self, in_pieces: &Reading, bytes: &[u8]) {
        let ends = (self.end, in_pieces.end);
        assert_eq!(self.messages.len(), in_pieces.messages.len(), "{ends:?}");
        for (one, another) in self.messages.iter().zip(&in_pieces.messages) {
            assert_eq!(one.head.shown(), another.head.shown());
            assert_eq!((&one.head_at, one.end), (&another.head_at, another.end));
            assert_eq!((&one.body, &one.trailers), (&another.body, &another.trailers));
        }
        match ends {
            // A head that drips in is looked at when it is whole, or has become too long.
            (End::Refused(_), End::InAHead) => {
                let rest = &bytes[self.messages.last().map_or(0, |message| message.end)..];
                assert!(!grammar::has_an_end(rest), "it was whole");
            }
            (End::Refused(_), End::Refused(BadHead::TooLong)) => {}
            (one, another) => assert_eq!(one, another),
        }
    }
}

/// What was read is written, and read as the same.
fn written_again(side: &Side, message: &Message) {
    // A writer adds some fields, and no more than a hundred of an answer's are read.
    if message.head.fields().len() > 90 {
        return;
    }
    let mut out = Outbox::default();
    let length = match message.head.length() {
        BodyLength::Exact(0) => OwnLength::None,
        BodyLength::Exact(length) => OwnLength::Exact(length),
        BodyLength::Chunked | BodyLength::UntilClose => OwnLength::Unknown,
    };
    let mut encoder = match (&message.head, side) {
        (Head::Request(head), _) => {
            // A proxy refuses any other coding, for it would not be undone.
            if !grammar::is_chunked_at_most(&head.request.headers) {
                return;
            }
            let request = OriginRequest {
                method: head.request.method.clone(),
                target: PathAndQuery::from_static("/a?b"),
                headers: head.request.headers.clone(),
            };
            write_request(&request, length, out.head())
        }
        (Head::Answer(head), Side::Answers(method)) => {
            let status = head.answer.status;
            if status.is_informational() || !grammar::is_chunked_at_most(&head.answer.headers) {
                return;
            }
            let answer = AnswerToWrite {
                method,
                version: Version::HTTP_11,
                status,
                reason: head.answer.reason.as_deref(),
                fields: &head.answer.headers,
                length,
                persists: head.persists,
                date: "Thu, 01 Jan 1970 00:00:00 GMT",
            };
            write_answer(&answer, out.head())
        }
        (Head::Answer(_), Side::Requests) => unreachable!("requests are no answers"),
    };
    assert_ne!(encoder, Encoder::UntilClose, "HTTP/1.1 has chunks");
    encoder.data(Bytes::copy_from_slice(&message.body), &mut out);
    assert_eq!(encoder.end(message.trailers.clone(), &mut out), Ok(()), "as long as was said");
    let written: Vec<u8> = out.slices().iter().flat_map(|slice| slice.to_vec()).collect();
    let again = read(side, [&written[..]], HeadLimits { bytes: 64 * 1024, fields: 200 });
    let text = String::from_utf8_lossy(&written);
    let [same] = &again.messages[..] else { panic!("{} messages: {text:?}", again.messages.len()) };
    assert!(again.left == 0 && !again.end.is_in_a_body(), "{:?}: {text:?}", again.end);
    assert_eq!(same.body, message.body, "{text:?}");
    match (&message.head, &same.head) {
        (Head::Request(one), Head::Request(another)) => {
            assert_eq!(one.request.method, another.request.method)
        }
        (Head::Answer(one), Head::Answer(another)) => {
            assert_eq!(one.answer.status, another.answer.status);
            assert_eq!(one.persists, another.persists, "{text:?}");
        }
        (Head::Request(_), Head::Answer(_)) | (Head::Answer(_), Head::Request(_)) => unreachable!(),
    }
    for (name, value) in message.head.fields() {
        let of_one_connection = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];
        if !of_one_connection.contains(name) && *name != header::TRAILER {
            let kept = same.head.fields().get_all(name).any(|kept| kept == value);
            assert!(kept, "{name} is lost: {text:?}");
        }
    }
}
