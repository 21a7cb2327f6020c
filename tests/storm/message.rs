//! HTTP/1.1 off a socket, just enough for both ends of a storm: independent of the proxy's own code.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Instant;

/// Larger than anything that is sent here.
const LIMIT: usize = 4 << 20;

/// Why a message could not be read.
#[derive(Debug)]
pub enum Trouble {
    /// The peer ended the connection within a message, or before it.
    Ended,
    Io(io::Error),
    /// What is not as it should be.
    Malformed(&'static str),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

impl Trouble {
    /// For the account.
    pub fn name(&self) -> &'static str {
        match self {
            Trouble::Ended => "ended",
            Trouble::Io(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                "timed out"
            }
            Trouble::Io(_) => "reset",
            Trouble::Malformed(what) => what,
        }
    }
}

/// A message's first line and fields.
#[derive(Debug, Default)]
pub struct Head {
    pub first: String,
    fields: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Result<Self, Trouble> {
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) =
                line.split_once(':').ok_or(Trouble::Malformed("malformed: a field without a colon"))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Head { first, fields })
    }

    /// The first field of this name (in lower case).
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether the sender closes the connection after this message.
    pub fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    fn framing(&self) -> Result<Framing, Trouble> {
        if self.field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Ok(Framing::Chunked);
        }
        match self.field("content-length") {
            None => Ok(Framing::Length(0)),
            Some(text) => {
                text.parse().map(Framing::Length).map_err(|_| Trouble::Malformed("malformed: a length"))
            }
        }
    }
}

enum Framing {
    Length(usize),
    Chunked,
}

/// One end of a connection.
pub struct Peer {
    pub stream: TcpStream,
    buffer: Vec<u8>,
    /// When the last byte came in.
    pub last_byte: Instant,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Self {
        Peer { stream, buffer: Vec::new(), last_byte: Instant::now() }
    }

    /// The next message's head; `None` if the peer ended the connection before it.
    pub fn head(&mut self) -> Result<Option<Head>, Trouble> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let text = String::from_utf8(self.take(end + 4))
                    .map_err(|_| Trouble::Malformed("malformed: bytes"))?;
                return Head::parse(&text).map(Some);
            }
            if !self.more()? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(Trouble::Ended) };
            }
        }
    }

    /// The body that belongs to the head.
    pub fn body(&mut self, head: &Head) -> Result<Vec<u8>, Trouble> {
        match head.framing()? {
            Framing::Length(length) => self.exactly(length),
            Framing::Chunked => self.chunked(),
        }
    }

    /// Waits until so many bytes of what comes are there.
    pub fn some(&mut self, length: usize) -> Result<(), Trouble> {
        while self.buffer.len() < length {
            if !self.more()? {
                return Err(Trouble::Ended);
            }
        }
        Ok(())
    }

    fn chunked(&mut self) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim().to_owned();
            let size = usize::from_str_radix(&size, 16)
                .map_err(|_| Trouble::Malformed("malformed: a chunk's size"))?;
            if size == 0 {
                // No trailers are sent here, but they would be skipped.
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(size)?);
            self.line()?;
        }
    }

    fn line(&mut self) -> Result<String, Trouble> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = self.take(end + 2);
                return String::from_utf8(line)
                    .map(|line| line.trim_end().to_owned())
                    .map_err(|_| Trouble::Malformed("malformed: bytes"));
            }
            if !self.more()? {
                return Err(Trouble::Ended);
            }
        }
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Trouble> {
        self.some(length)?;
        Ok(self.take(length))
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    fn more(&mut self) -> Result<bool, Trouble> {
        let mut piece = [0; 16 * 1024];
        let read = loop {
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if read == 0 {
            return Ok(false);
        }
        self.last_byte = Instant::now();
        self.buffer.extend(piece.iter().take(read));
        if self.buffer.len() > LIMIT {
            return Err(Trouble::Malformed("malformed: too long"));
        }
        Ok(true)
    }
}

/// Ends a connection with a reset instead of a FIN.
pub fn reset(stream: &TcpStream) {
    // Nothing is to be done about a socket that is gone already.
    drop(socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)));
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
