//! An origin that costs little beside any proxy, and knows nothing of entity-tags.
//!
//! `origin` listens on a free port of the loopback address and prints it. One thread. `GET /1k/...` and `GET /100k/...` are
//! answered with JSON of so many bytes; `PUT` and `POST` with a few bytes once the whole body, of a stated length or in chunks, was
//! read. It reads what proxies and load generators send, and closes the connection at anything else.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// More than any head with a body of 1 KiB: a request is one read.
const READ_BUFFER: usize = 8 * 1024;

/// All connections of the largest case at once: with the usual 128 some would be opened a second later.
const BACKLOG: u32 = 4096;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("{}", listener.local_addr()?);
    let answers: &'static Answers = Box::leak(Box::new(Answers::new()));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // How a connection ends is its client's affair: the drivers count what they miss.
        tokio::spawn(async move { serve(stream, answers).await.ok() });
    }
}

/// Every answer there is, head and content, ready to be sent.
struct Answers {
    small: Vec<u8>,
    large: Vec<u8>,
    written: Vec<u8>,
    missing: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        Self {
            small: answer("200 OK", &json(1024)),
            large: answer("200 OK", &json(100 * 1024)),
            written: answer("200 OK", "{\"written\":true}"),
            missing: answer("404 Not Found", ""),
        }
    }

    fn to(&self, method: Method, path: &[u8]) -> &[u8] {
        match method {
            Method::Get if path.starts_with(b"/1k/") => &self.small,
            Method::Get if path.starts_with(b"/100k/") => &self.large,
            Method::Get => &self.missing,
            Method::Write => &self.written,
        }
    }
}

fn answer(status: &str, content: &str) -> Vec<u8> {
    let length = content.len();
    format!(
        "HTTP/1.1 {status}\r\nserver: origin\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{content}"
    )
    .into_bytes()
}

/// A JSON object of exactly so many bytes.
fn json(bytes: usize) -> String {
    let frame = "{\"text\":\"\"}".len();
    format!("{{\"text\":\"{}\"}}", "x".repeat(bytes.saturating_sub(frame)))
}

#[derive(Clone, Copy)]
enum Method {
    Get,
    Write,
}

#[derive(Clone, Copy)]
enum Body {
    Length(u64),
    Chunks,
}

type Incoming = BufReader<TcpStream>;

async fn serve(stream: TcpStream, answers: &Answers) -> io::Result<()> {
    let mut incoming = BufReader::with_capacity(READ_BUFFER, stream);
    let mut line = Vec::new();
    while read_line(&mut incoming, &mut line).await? {
        let (method, path) = request_line(&line)?;
        let answer = answers.to(method, path);
        match read_fields(&mut incoming, &mut line).await? {
            Body::Length(bytes) => skip(&mut incoming, bytes).await?,
            Body::Chunks => skip_chunks(&mut incoming, &mut line).await?,
        }
        incoming.get_mut().write_all(answer).await?;
    }
    Ok(())
}

/// The next line without its end; false where the connection ended in place of one.
async fn read_line(incoming: &mut Incoming, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    if incoming.read_until(b'\n', line).await? == 0 {
        return Ok(false);
    }
    line.truncate(line.trim_ascii_end().len());
    Ok(true)
}

fn request_line(line: &[u8]) -> io::Result<(Method, &[u8])> {
    let mut words = line.split(|&byte| byte == b' ');
    match (words.next(), words.next()) {
        (Some(b"GET"), Some(path)) => Ok((Method::Get, path)),
        (Some(b"PUT" | b"POST"), Some(path)) => Ok((Method::Write, path)),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// The fields up to the empty line, of which the body's framing alone matters.
async fn read_fields(incoming: &mut Incoming, line: &mut Vec<u8>) -> io::Result<Body> {
    let mut body = Body::Length(0);
    while read_line(incoming, line).await? {
        if line.is_empty() {
            return Ok(body);
        }
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            return Err(ErrorKind::InvalidData.into());
        };
        if name.eq_ignore_ascii_case(b"content-length") {
            body = Body::Length(number(value, 10)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            body = Body::Chunks;
        }
    }
    Err(ErrorKind::UnexpectedEof.into())
}

fn number(text: &[u8], radix: u32) -> io::Result<u64> {
    let text = str::from_utf8(text.trim_ascii()).map_err(|_| ErrorKind::InvalidData)?;
    u64::from_str_radix(text, radix).map_err(|_| ErrorKind::InvalidData.into())
}

async fn skip(incoming: &mut Incoming, mut bytes: u64) -> io::Result<()> {
    while bytes > 0 {
        let there = incoming.fill_buf().await?.len();
        if there == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let taken = usize::try_from(bytes).unwrap_or(usize::MAX).min(there);
        incoming.consume(taken);
        bytes -= taken as u64;
    }
    Ok(())
}

/// Chunks without extensions, as load generators and proxies send them, and the trailer section.
async fn skip_chunks(incoming: &mut Incoming, line: &mut Vec<u8>) -> io::Result<()> {
    loop {
        read_line(incoming, line).await?;
        let size = number(line, 16)?;
        if size == 0 {
            break;
        }
        skip(incoming, size).await?;
        incoming.read_u16().await?;
    }
    while read_line(incoming, line).await? && !line.is_empty() {}
    Ok(())
}
