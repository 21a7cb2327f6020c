//! A small HTTP/1.1 reader of its own, so that nothing under test judges itself.

use std::fmt;
use std::io::{self, Read};
use std::net::TcpStream;

/// How a message's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none, and no field that says so: a request without a body, a 204, an answer to HEAD.
    None,
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// A message, byte for byte.
#[derive(Clone)]
pub struct Message {
    /// The first line, without its line end.
    pub start_line: String,
    /// The fields as they came: names in their letter case, in their order.
    pub fields: Vec<(String, String)>,
    /// The head's bytes, to the empty line.
    pub raw_head: Vec<u8>,
    /// The body's content.
    pub body: Vec<u8>,
    /// The body's bytes as they came, chunk sizes and all.
    pub raw_body: Vec<u8>,
    /// The trailer fields.
    pub trailers: Vec<(String, String)>,
    /// How the body was framed.
    pub framing: Framing,
    /// Whether the body came to its end.
    pub complete: bool,
}

impl Message {
    /// A message of which only the head was read.
    pub fn of_head(raw_head: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&raw_head).into_owned();
        let mut lines = text.split("\r\n");
        let start_line = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter(|line| !line.is_empty()).map(field_of).collect();
        Message {
            start_line,
            fields,
            raw_head,
            body: Vec::new(),
            raw_body: Vec::new(),
            trailers: Vec::new(),
            framing: Framing::None,
            complete: false,
        }
    }

    /// The value of a field; panics if it came more than once.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let all = self.fields_named(name);
        assert!(all.len() < 2, "{name} came {} times in\n{self}", all.len());
        all.first().copied()
    }

    /// The values of a field's lines.
    pub fn fields_named(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// Whether a field came.
    pub fn has(&self, name: &str) -> bool {
        !self.fields_named(name).is_empty()
    }

    /// The field names as they came.
    pub fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in the body of\n{self}"))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 2000;
        let body = &self.raw_body[..self.raw_body.len().min(SHOWN)];
        let more = if self.raw_body.len() > SHOWN {
            format!("... ({} bytes)", self.raw_body.len())
        } else {
            String::new()
        };
        write!(f, "{}{}{more}", String::from_utf8_lossy(&self.raw_head), String::from_utf8_lossy(body))?;
        if !self.complete {
            write!(f, " [cut off]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn field_of(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim().to_owned())
}

/// Reads messages off a stream.
pub struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads from this stream.
    pub fn new(stream: TcpStream) -> Self {
        Reader { stream, buffer: Vec::new() }
    }

    /// The stream, to write to.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// The stream, to look at.
    pub fn stream_ref(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads what there is; 0 at the end of the stream.
    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        let n = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..n]);
        Ok(n)
    }

    /// Reads one head. `None` if the stream ends before its first byte.
    ///
    /// # Errors
    /// If the stream breaks, or ends within the head.
    pub fn head(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let head = self.buffer.drain(..at + 4).collect();
                return Ok(Some(Message::of_head(head)));
            }
            if self.fill()? == 0 {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                let rest = String::from_utf8_lossy(&self.buffer).into_owned();
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("cut off within a head: {rest:?}"),
                ));
            }
        }
    }

    /// Reads a body into `message`, framed like this. What came is kept when it breaks.
    ///
    /// # Errors
    /// If the stream breaks, or ends within it.
    pub fn body(&mut self, message: &mut Message, framing: Framing) -> io::Result<()> {
        message.framing = framing;
        match framing {
            Framing::None => {}
            Framing::Length(length) => {
                while message.body.len() < length {
                    let piece = self.some(length - message.body.len())?;
                    message.body.extend_from_slice(&piece);
                    message.raw_body.extend_from_slice(&piece);
                }
            }
            Framing::Close => loop {
                match self.some(usize::MAX) {
                    Ok(piece) => {
                        message.body.extend_from_slice(&piece);
                        message.raw_body.extend_from_slice(&piece);
                    }
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                    Err(error) => return Err(error),
                }
            },
            Framing::Chunked => loop {
                let line = self.line(message)?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16)
                    .map_err(|_| io::Error::other(format!("{line:?} is no chunk size")))?;
                if size == 0 {
                    loop {
                        let line = self.line(message)?;
                        if line.is_empty() {
                            break;
                        }
                        message.trailers.push(field_of(&line));
                    }
                    break;
                }
                let mut left = size;
                while left > 0 {
                    let piece = self.some(left)?;
                    left -= piece.len();
                    message.body.extend_from_slice(&piece);
                    message.raw_body.extend_from_slice(&piece);
                }
                if !self.line(message)?.is_empty() {
                    return Err(io::Error::other("a chunk is longer than its size"));
                }
            },
        }
        message.complete = true;
        Ok(())
    }

    /// One to `at_most` bytes.
    ///
    /// # Errors
    /// If the stream breaks or is at its end.
    pub fn some(&mut self, at_most: usize) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() && self.fill()? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the end of the stream"));
        }
        let n = self.buffer.len().min(at_most);
        Ok(self.buffer.drain(..n).collect())
    }

    fn line(&mut self, message: &mut Message) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                message.raw_body.extend_from_slice(&line);
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if self.fill()? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "cut off within a chunked body"));
            }
        }
    }

    /// Whether bytes are here that were not read yet.
    pub fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }
}

/// How a request's body is framed.
pub fn framing_of_request(head: &Message) -> Framing {
    framed_by_fields(head).unwrap_or(Framing::None)
}

/// How the body of an answer with this status to a request with this method is framed.
pub fn framing_of_answer(head: &Message, status: u16, method: &str) -> Framing {
    if method == "HEAD" || (100..200).contains(&status) || status == 204 || status == 304 {
        return Framing::None;
    }
    framed_by_fields(head).unwrap_or(Framing::Close)
}

fn framed_by_fields(head: &Message) -> Option<Framing> {
    let chunked =
        head.fields_named("Transfer-Encoding").iter().any(|v| v.to_ascii_lowercase().contains("chunked"));
    if chunked {
        return Some(Framing::Chunked);
    }
    head.fields_named("Content-Length").first().and_then(|v| v.parse().ok()).map(Framing::Length)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
