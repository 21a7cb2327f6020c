//! A body, taken out of what has come on a connection.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::framing::BodyLength;
use super::head::read_trailers;

/// Takes a body's frames out of what has come.
#[derive(Debug)]
pub struct Decoder(State);

#[derive(Debug)]
enum State {
    Exact(u64),
    Chunked(Box<Chunks>),
    UntilClose,
    Ended,
}

/// What is known of the chunks so far.
#[derive(Debug, Default)]
struct Chunks {
    at: At,
    /// Bytes of extensions, in all chunks: they carry nothing.
    extensions: usize,
    /// White space and zeros around the present chunk's size.
    padding: usize,
    trailers: Vec<u8>,
}

/// What comes next of a chunked body (RFC 9112 section 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// The first digit of a size.
    #[default]
    Size,
    /// Another digit, or what ends the size.
    MoreOfSize(u64),
    /// White space behind a size.
    BehindSize(u64),
    Extension(u64),
    /// The line feed behind a size's line.
    EndOfSize(u64),
    Data(u64),
    EndOfData,
    LastOfData,
    Trailers,
}

/// The most bytes of extensions in all chunks together. Nobody needs any.
const MOST_EXTENSIONS: usize = 16 * 1024;
/// The most that a size is padded with, in each chunk: old servers fill up eight characters with zeros or blanks, in
/// however many chunks.
const MOST_PADDING: usize = 64;
/// The most bytes of trailer fields.
const MOST_TRAILERS: usize = 16 * 1024;

/// What was taken out of a body.
#[derive(Debug)]
pub enum Decoded {
    /// Content; never empty.
    Data(Bytes),
    /// The fields behind it. Nothing comes after them.
    Trailers(HeaderMap),
    /// Its end.
    End,
    /// More has to come first.
    Needs,
}

/// What came is no body of this kind: what, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBody(pub &'static str);

impl std::fmt::Display for BadBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadBody {}

impl Decoder {
    /// For a body of this length.
    pub fn new(length: BodyLength) -> Self {
        Decoder(match length {
            BodyLength::Exact(0) => State::Ended,
            BodyLength::Exact(length) => State::Exact(length),
            BodyLength::Chunked => State::Chunked(Box::default()),
            BodyLength::UntilClose => State::UntilClose,
        })
    }

    /// Whether all of it was taken out.
    pub fn is_over(&self) -> bool {
        matches!(self.0, State::Ended)
    }

    /// How much is still to come, where that is known.
    pub fn rest(&self) -> Option<u64> {
        match self.0 {
            State::Exact(rest) => Some(rest),
            State::Ended => Some(0),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// Takes the next frame out of what has come.
    ///
    /// # Errors
    /// If that is no body of this kind. There is no going on after that.
    pub fn take(&mut self, come: &mut BytesMut) -> Result<Decoded, BadBody> {
        match &mut self.0 {
            State::Ended => Ok(Decoded::End),
            State::Exact(_) | State::UntilClose if come.is_empty() => Ok(Decoded::Needs),
            State::UntilClose => Ok(Decoded::Data(come.split().freeze())),
            State::Exact(rest) => {
                let data = take_up_to(come, rest);
                if *rest == 0 {
                    self.0 = State::Ended;
                }
                Ok(Decoded::Data(data))
            }
            State::Chunked(chunks) => {
                let decoded = chunks.take(come)?;
                if matches!(decoded, Decoded::End | Decoded::Trailers(_)) {
                    self.0 = State::Ended;
                }
                Ok(decoded)
            }
        }
    }

    /// The connection has ended, and nothing more will come.
    ///
    /// # Errors
    /// If the body lacks its end.
    pub fn close(&mut self) -> Result<(), BadBody> {
        match self.0 {
            State::Ended => Ok(()),
            State::UntilClose => {
                self.0 = State::Ended;
                Ok(())
            }
            State::Exact(_) | State::Chunked(_) => Err(BadBody("the connection ended before the body did")),
        }
    }
}

/// A body of this length, if all of it has come: taken out of that.
pub fn take_whole(length: BodyLength, come: &mut BytesMut) -> Option<Bytes> {
    match length {
        BodyLength::Exact(0) => Some(Bytes::new()),
        BodyLength::Exact(mut length) if length <= come.len() as u64 => Some(take_up_to(come, &mut length)),
        BodyLength::Exact(_) | BodyLength::Chunked | BodyLength::UntilClose => None,
    }
}

fn take_up_to(come: &mut BytesMut, rest: &mut u64) -> Bytes {
    let here = usize::try_from(*rest).unwrap_or(usize::MAX).min(come.len());
    *rest -= here as u64;
    if here == come.len() { come.split().freeze() } else { come.split_to(here).freeze() }
}

impl Chunks {
    fn take(&mut self, come: &mut BytesMut) -> Result<Decoded, BadBody> {
        loop {
            match &mut self.at {
                At::Data(rest) => {
                    if come.is_empty() {
                        return Ok(Decoded::Needs);
                    }
                    let data = take_up_to(come, rest);
                    if *rest == 0 {
                        self.at = At::EndOfData;
                    }
                    return Ok(Decoded::Data(data));
                }
                At::Trailers => {
                    let Some(end) = self.take_trailers(come)? else { return Ok(Decoded::Needs) };
                    return Ok(end);
                }
                At::Size
                | At::MoreOfSize(_)
                | At::BehindSize(_)
                | At::Extension(_)
                | At::EndOfSize(_)
                | At::EndOfData
                | At::LastOfData => {
                    let Some(byte) = come.first().copied() else { return Ok(Decoded::Needs) };
                    self.at = self.step(byte)?;
                    come.advance(1);
                }
            }
        }
    }

    fn step(&mut self, byte: u8) -> Result<At, BadBody> {
        const SIZE: BadBody = BadBody("a chunk's size is no number");
        Ok(match (self.at, byte) {
            (At::Size, _) => {
                self.padding = 0;
                At::MoreOfSize(hex(byte).ok_or(SIZE)?)
            }
            (At::MoreOfSize(size), _) if byte.is_ascii_hexdigit() => {
                let digit = hex(byte).ok_or(SIZE)?;
                if size == 0 {
                    self.pad()?;
                }
                At::MoreOfSize(size.checked_mul(16).and_then(|size| size.checked_add(digit)).ok_or(SIZE)?)
            }
            (At::MoreOfSize(size) | At::BehindSize(size), b' ' | b'\t') => {
                self.pad()?;
                At::BehindSize(size)
            }
            (At::MoreOfSize(size) | At::BehindSize(size), b';') => At::Extension(size),
            (At::MoreOfSize(size) | At::BehindSize(size) | At::Extension(size), b'\r') => At::EndOfSize(size),
            (At::MoreOfSize(_) | At::BehindSize(_), _) => return Err(SIZE),
            // Who ends lines with it alone would take what follows for the chunk.
            (At::Extension(_), b'\n') => return Err(BadBody("a line feed in a chunk's extension")),
            (At::Extension(size), _) => {
                self.extensions += 1;
                if self.extensions >= MOST_EXTENSIONS {
                    return Err(BadBody("too many chunk extensions"));
                }
                At::Extension(size)
            }
            (At::EndOfSize(0), b'\n') => At::Trailers,
            (At::EndOfSize(size), b'\n') => At::Data(size),
            (At::EndOfData, b'\r') => At::LastOfData,
            (At::LastOfData, b'\n') => At::Size,
            (At::EndOfSize(_) | At::EndOfData | At::LastOfData, _) => {
                return Err(BadBody("a chunk does not end where it said"));
            }
            (At::Data(_) | At::Trailers, _) => return Err(BadBody("a chunk out of its place")),
        })
    }

    /// One byte that says nothing of a size.
    fn pad(&mut self) -> Result<(), BadBody> {
        self.padding += 1;
        if self.padding > MOST_PADDING { Err(BadBody("too much around a chunk's size")) } else { Ok(()) }
    }

    /// The end of the body, with the fields before it.
    fn take_trailers(&mut self, come: &mut BytesMut) -> Result<Option<Decoded>, BadBody> {
        while let Some(byte) = come.first().copied() {
            // Who ends lines with a line feed alone would find the end of the body, and another request, elsewhere.
            if (self.trailers.last() == Some(&b'\r')) != (byte == b'\n') {
                return Err(BadBody("a line of the trailer section does not end in CR LF"));
            }
            come.advance(1);
            self.trailers.push(byte);
            if self.trailers.len() >= MOST_TRAILERS {
                return Err(BadBody("the trailer section is too long"));
            }
            if self.trailers == b"\r\n" {
                return Ok(Some(Decoded::End));
            }
            if self.trailers.ends_with(b"\r\n\r\n") {
                let trailers = std::mem::take(&mut self.trailers);
                let fields = read_trailers(&trailers).map_err(|_| BadBody("trailer fields that are none"))?;
                return Ok(Some(Decoded::Trailers(fields)));
            }
        }
        Ok(None)
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
