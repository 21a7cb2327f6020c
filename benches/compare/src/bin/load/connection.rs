//! One keep-alive connection: a request out, its answer in.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// What a client remembers of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) tag: Option<Box<[u8]>>,
}

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    line: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), request: Vec::new(), line: Vec::new() })
    }

    /// An empty buffer for what `exchange` sends.
    pub(crate) fn request(&mut self) -> &mut Vec<u8> {
        self.request.clear();
        &mut self.request
    }

    /// Sends what stands in `request` and reads the whole answer, which must state its length.
    pub(crate) async fn exchange(&mut self) -> io::Result<Answer> {
        self.stream.get_mut().write_all(&self.request).await?;
        self.read_line().await?;
        let status = number(self.line.split(|&byte| byte == b' ').nth(1).unwrap_or_default())?;
        let mut tag = None;
        let mut length = 0;
        loop {
            self.read_line().await?;
            if self.line.is_empty() {
                break;
            }
            if let Some(value) = field(&self.line, b"etag:") {
                tag = Some(value.into());
            } else if let Some(value) = field(&self.line, b"content-length:") {
                length = number(value)?;
            } else if field(&self.line, b"transfer-encoding:").is_some() {
                return Err(io::Error::new(ErrorKind::InvalidData, "an answer in chunks"));
            }
        }
        self.skip(length).await?;
        Ok(Answer { status, tag })
    }

    async fn read_line(&mut self) -> io::Result<()> {
        self.line.clear();
        if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the connection ended in place of an answer",
            ));
        }
        self.line.truncate(self.line.trim_ascii_end().len());
        Ok(())
    }

    async fn skip(&mut self, mut bytes: usize) -> io::Result<()> {
        while bytes > 0 {
            let taken = bytes.min(self.stream.fill_buf().await?.len());
            if taken == 0 {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the connection ended inside an answer",
                ));
            }
            self.stream.consume(taken);
            bytes -= taken;
        }
        Ok(())
    }
}

/// The value of the field with this name and colon, if the line is one.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn number<N: std::str::FromStr>(text: &[u8]) -> io::Result<N> {
    let number = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a status or a length that is no number"))
}
