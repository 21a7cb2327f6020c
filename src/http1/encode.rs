//! A body on its way: put into frames, and kept until a stream has taken it.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, header};
use smallvec::SmallVec;

use super::field_line::{FieldValue, write_line};
use super::fields::Fields;

/// What a stream has still to take, in its order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// A head, and what of its body is small enough to stand behind it.
    head: Vec<u8>,
    /// How much of that was taken.
    head_taken: usize,
    parts: VecDeque<Bytes>,
    /// Bytes in `parts`.
    parts_len: usize,
}

/// So many parts are handed over in one go.
const SLICES: usize = 16;
/// What may wait to be taken, beyond the piece that goes over it.
const MOST_BYTES: usize = 64 * 1024;
const MOST_PARTS: usize = 4 * SLICES;
/// Room that a head keeps for the next one.
const ROOM_KEPT: usize = 4 * 1024;

impl Outbox {
    /// Where a head is written. Nothing else may be here yet.
    pub fn head(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.is_empty(), "a message begins behind the end of another one");
        self.head.clear();
        self.head_taken = 0;
        &mut self.head
    }

    /// Whether all was taken.
    pub fn is_empty(&self) -> bool {
        self.head_taken == self.head.len() && self.parts.is_empty()
    }

    /// Whether more may be put here before some of it is taken: neither many bytes wait, nor many small parts.
    pub fn has_room(&self) -> bool {
        self.head.len() - self.head_taken + self.parts_len < MOST_BYTES && self.parts.len() < MOST_PARTS
    }

    fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.parts_len += part.len();
            self.parts.push_back(part);
        }
    }

    fn push_small(&mut self, small: &[u8]) {
        if self.parts.is_empty() {
            self.head.extend_from_slice(small);
        } else {
            self.push(Bytes::copy_from_slice(small));
        }
    }

    /// All that is here, where that is in one piece: to send it takes the kernel less than to gather it.
    pub fn only(&self) -> Option<&[u8]> {
        if self.parts.is_empty() { self.head.get(self.head_taken..) } else { None }
    }

    /// What comes first, as a stream takes it.
    pub fn slices(&self) -> SmallVec<[IoSlice<'_>; SLICES]> {
        let head = self.head.get(self.head_taken..).filter(|head| !head.is_empty());
        let parts = self.parts.iter().map(|part| &part[..]);
        head.into_iter().chain(parts).take(SLICES).map(IoSlice::new).collect()
    }

    /// So many bytes were taken.
    pub fn advance(&mut self, mut taken: usize) {
        let of_head = taken.min(self.head.len() - self.head_taken);
        self.head_taken += of_head;
        taken -= of_head;
        self.parts_len = self.parts_len.saturating_sub(taken);
        while let Some(part) = self.parts.front_mut() {
            if taken < part.len() {
                part.advance(taken);
                return;
            }
            taken -= part.len();
            self.parts.pop_front();
        }
    }

    /// Forgets what is here: nobody takes it any more.
    pub fn clear(&mut self) {
        self.parts.clear();
        self.parts_len = 0;
        self.head.clear();
        self.head_taken = 0;
    }

    /// Gives back more room than a message as a rule needs. To be called between messages.
    pub fn rest(&mut self) {
        self.clear();
        if self.head.capacity() > ROOM_KEPT {
            self.head = Vec::new();
        }
        if self.parts.capacity() > SLICES {
            self.parts = VecDeque::new();
        }
    }
}

/// Puts a body into frames.
#[derive(Debug, PartialEq, Eq)]
pub enum Encoder {
    /// There is none; what there is of it stays behind.
    Nothing,
    /// So many bytes are still to come.
    Exact(u64),
    /// In chunks; and these trailer fields were announced.
    Chunked(SmallVec<[HeaderName; 2]>),
    /// Until the connection ends.
    UntilClose,
}

/// A body had another length than was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength;

impl Encoder {
    /// In chunks, with the trailer fields that a message's fields announce (RFC 9110 section 6.6.2): others stay
    /// behind, for nobody expects them.
    pub fn chunked(fields: &Fields) -> Self {
        let names = |value: FieldValue<'_>| -> SmallVec<[HeaderName; 2]> {
            value
                .as_bytes()
                .split(|byte| *byte == b',')
                .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
                .collect()
        };
        Encoder::Chunked(fields.get_all(header::TRAILER).flat_map(names).collect())
    }

    /// Whether the message's end is known to be there once so much was sent.
    pub fn is_complete(&self) -> bool {
        matches!(self, Encoder::Nothing | Encoder::Exact(0))
    }

    /// Puts content on its way.
    pub fn data(&mut self, mut data: Bytes, out: &mut Outbox) {
        if data.is_empty() {
            return;
        }
        match self {
            Encoder::Nothing => {}
            Encoder::UntilClose => out.push(data),
            Encoder::Exact(left) => {
                data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
                out.push(data);
            }
            Encoder::Chunked(_) => {
                out.push_small(size_line(data.len()).as_slice());
                out.push(data);
                out.push(Bytes::from_static(b"\r\n"));
            }
        }
    }

    /// Puts content on its way that is ours, and so little that it is copied behind its head.
    pub fn text(&mut self, text: Vec<u8>, out: &mut Outbox) {
        match self {
            Encoder::Exact(left) if text.len() as u64 <= *left => {
                *left -= text.len() as u64;
                out.push_small(&text);
            }
            Encoder::Nothing | Encoder::Exact(_) | Encoder::Chunked(_) | Encoder::UntilClose => {
                self.data(text.into(), out);
            }
        }
    }

    /// Puts the end of the body on its way, with what of these trailer fields may go.
    ///
    /// # Errors
    /// If there was less than had been said.
    pub fn end(&mut self, trailers: Option<HeaderMap>, out: &mut Outbox) -> Result<(), WrongLength> {
        match self {
            Encoder::Nothing | Encoder::UntilClose | Encoder::Exact(0) => Ok(()),
            Encoder::Exact(_) => Err(WrongLength),
            Encoder::Chunked(announced) => {
                let mut last = b"0\r\n".to_vec();
                for (name, value) in trailers.iter().flatten() {
                    if announced.contains(name) && may_trail(name) {
                        write_line(name.as_str().as_bytes(), value.as_bytes(), &mut last);
                    }
                }
                last.extend_from_slice(b"\r\n");
                *self = Encoder::Nothing;
                out.push_small(&last);
                Ok(())
            }
        }
    }
}

/// Not what decides how the message itself is read (RFC 9110 section 6.5.1).
fn may_trail(name: &HeaderName) -> bool {
    ![
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::HOST,
        header::MAX_FORWARDS,
        header::SET_COOKIE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
    ]
    .contains(name)
}

fn size_line(size: usize) -> SmallVec<[u8; 20]> {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    let digit = |at: u32| {
        let nibble = (size >> (4 * at)) & 0xf;
        char::from_digit(nibble as u32, 16).map_or(b'0', |digit| digit.to_ascii_uppercase() as u8)
    };
    (0..digits).rev().map(digit).chain(*b"\r\n").collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn sent(out: &Outbox) -> Vec<u8> {
        out.slices().iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn chunks_say_their_size_in_hexadecimal() {
        for (size, line) in [(1, "1"), (10, "A"), (15, "F"), (16, "10"), (1024, "400"), (65_535, "FFFF")] {
            assert_eq!(size_line(size).as_slice(), format!("{line}\r\n").as_bytes());
        }
    }

    #[test]
    fn a_body_in_chunks_ends_with_the_trailers_that_were_announced() {
        let mut fields = Fields::new();
        fields.insert(header::TRAILER, HeaderValue::from_static("X-Sum , content-length"));
        let (mut encoder, mut out) = (Encoder::chunked(&fields), Outbox::default());
        out.head().extend_from_slice(b"head;");
        encoder.data(Bytes::from_static(b"hello"), &mut out);
        encoder.data(Bytes::new(), &mut out);
        encoder.data(Bytes::from_static(b"!"), &mut out);
        let mut trailers = HeaderMap::new();
        for (name, value) in [("x-sum", "6"), ("x-other", "7"), ("content-length", "8")] {
            trailers.insert(name, HeaderValue::from_static(value));
        }
        assert_eq!(encoder.end(Some(trailers), &mut out), Ok(()));
        assert_eq!(sent(&out), b"head;5\r\nhello\r\n1\r\n!\r\n0\r\nx-sum: 6\r\n\r\n");
    }

    #[test]
    fn what_is_taken_is_gone_wherever_it_ends() {
        for step in 1..12 {
            let (mut encoder, mut out) = (Encoder::Exact(10), Outbox::default());
            out.head().extend_from_slice(b"head;");
            for part in [&b"abc"[..], b"d", b"efghij"] {
                encoder.data(Bytes::from_static(part), &mut out);
            }
            let mut seen = Vec::new();
            while !out.is_empty() {
                let all = sent(&out);
                let taken = step.min(all.len());
                seen.extend_from_slice(&all[..taken]);
                out.advance(taken);
            }
            assert_eq!(seen, b"head;abcdefghij");
        }
    }

    #[test]
    fn a_body_is_never_longer_than_was_said_and_a_shorter_one_is_told() {
        let (mut encoder, mut out) = (Encoder::Exact(3), Outbox::default());
        encoder.data(Bytes::from_static(b"ab"), &mut out);
        assert_eq!(encoder.end(None, &mut out), Err(WrongLength));
        encoder.data(Bytes::from_static(b"cd"), &mut out);
        assert_eq!(encoder.end(None, &mut out), Ok(()));
        assert_eq!(sent(&out), b"abc");
    }
}
