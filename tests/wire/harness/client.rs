//! A client that sends the bytes it is told to and reads what comes.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::HANG;
use super::message::{Message, Reader, framing_of_answer};

/// An answer, and the request that it is for.
#[derive(Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// `HTTP/1.1`
    pub version: String,
    /// All of it.
    pub message: Message,
    /// What was asked.
    pub asked: String,
}

impl std::ops::Deref for Answer {
    type Target = Message;
    fn deref(&self) -> &Message {
        &self.message
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "---- request\n{}\n---- answer\n{}\n----", self.asked, self.message)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Answer {
    /// Fails, with everything, unless this is the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "another status than expected\n{self}");
        self
    }

    /// Fails unless it is a refusal of this status and kind; see `refusals.rs` for the rest of its form.
    #[track_caller]
    pub fn expect_refusal(self, status: u16, kind: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.json()["kind"], kind, "another kind than expected\n{answer}");
        answer
    }

    /// The entity-tag; fails without one.
    #[track_caller]
    pub fn tag(&self) -> String {
        self.field("ETag").unwrap_or_else(|| panic!("no ETag\n{self}")).to_owned()
    }
}

/// A request that is being put together.
#[derive(Clone, Debug)]
pub struct RequestText {
    method: String,
    target: String,
    version: String,
    fields: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    host: bool,
}

/// A request for `target`.
pub fn request(method: &str, target: &str) -> RequestText {
    RequestText {
        method: method.to_owned(),
        target: target.to_owned(),
        version: "HTTP/1.1".to_owned(),
        fields: Vec::new(),
        body: None,
        host: true,
    }
}

impl RequestText {
    /// Adds a field line.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds `If-Match`.
    pub fn if_match(self, tag: &str) -> Self {
        self.field("If-Match", tag)
    }

    /// Adds `If-None-Match`.
    pub fn if_none_match(self, tag: &str) -> Self {
        self.field("If-None-Match", tag)
    }

    /// Sends this body, with its length.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    /// Sends no field Host but those that are added.
    pub fn without_host(mut self) -> Self {
        self.host = false;
        self
    }

    /// Another version than `HTTP/1.1`.
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.to_owned();
        self
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The bytes that are sent.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version);
        let has_host = self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        if self.host && !has_host {
            head += "Host: api.example.com\r\n";
        }
        for (name, value) in &self.fields {
            head += &format!("{name}: {value}\r\n");
        }
        let framed = ["content-length", "transfer-encoding"];
        let is_framed =
            self.fields.iter().any(|(name, _)| framed.contains(&name.to_ascii_lowercase().as_str()));
        if let Some(body) = self.body.as_ref().filter(|_| !is_framed) {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// A connection to the proxy.
pub struct Client {
    reader: Reader,
    sent: Vec<u8>,
    /// The methods of the requests that were sent and not answered.
    methods: VecDeque<String>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, HANG).expect("a connection to the proxy");
        stream.set_read_timeout(Some(HANG)).expect("a deadline");
        stream.set_write_timeout(Some(HANG)).expect("a deadline");
        stream.set_nodelay(true).expect("no delay");
        Client { reader: Reader::new(stream), sent: Vec::new(), methods: VecDeque::new() }
    }

    /// The client's own address.
    pub fn address(&self) -> SocketAddr {
        self.stream_ref().local_addr().expect("a connected socket")
    }

    fn stream_ref(&self) -> &TcpStream {
        self.reader.stream_ref()
    }

    /// Sends bytes as they are. If a request line is in front, its method counts for its answer.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes.as_ref()).expect("the proxy takes what is sent");
        self
    }

    /// Like [`Client::send`], where the proxy may have closed the connection already.
    ///
    /// # Errors
    /// If it has.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent.extend_from_slice(bytes);
        self.reader.stream().write_all(bytes)
    }

    /// Says which method the next answer is for, where bytes were sent as they are.
    pub fn expect_answer_to(&mut self, method: &str) {
        self.methods.push_back(method.to_owned());
    }

    /// Sends a request.
    #[track_caller]
    pub fn request(&mut self, request: &RequestText) -> &mut Self {
        self.methods.push_back(request.method().to_owned());
        self.send(request.bytes())
    }

    /// Sends requests in one write.
    #[track_caller]
    pub fn pipeline(&mut self, requests: &[RequestText]) -> &mut Self {
        self.methods.extend(requests.iter().map(|request| request.method().to_owned()));
        self.send(requests.iter().flat_map(RequestText::bytes).collect::<Vec<u8>>())
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn ask(&mut self, request: &RequestText) -> Answer {
        self.request(request);
        self.answer()
    }

    /// Reads the next final answer; what comes before it (1xx) is passed over.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        loop {
            let answer = self.any_answer();
            if answer.status >= 200 || answer.status == 101 {
                return answer;
            }
        }
    }

    /// Reads the next answer, which may be a 1xx.
    #[track_caller]
    pub fn any_answer(&mut self) -> Answer {
        match self.try_answer() {
            Ok(answer) => {
                assert!(answer.complete, "the answer was cut off\n{answer}");
                answer
            }
            Err(error) => panic!("no answer: {error}\n---- request\n{}\n----", self.asked()),
        }
    }

    /// Reads the next answer; one that is cut off within its body is not `complete`.
    ///
    /// # Errors
    /// If the connection ends or breaks before its head is complete.
    pub fn try_answer(&mut self) -> io::Result<Answer> {
        let mut message = self
            .reader
            .head()?
            .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"))?;
        let mut words = message.start_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status: u16 = words.next().and_then(|w| w.parse().ok()).unwrap_or_default();
        let reason = words.next().unwrap_or_default().to_owned();
        let method = if status >= 200 { self.methods.pop_front() } else { self.methods.front().cloned() };
        let framing = framing_of_answer(&message, status, method.as_deref().unwrap_or_default());
        // Cut off: the answer says so itself.
        let _complete = self.reader.body(&mut message, framing);
        Ok(Answer { status, reason, version, message, asked: self.asked() })
    }

    fn asked(&self) -> String {
        const SHOWN: usize = 4000;
        let from = self.sent.len().saturating_sub(SHOWN);
        String::from_utf8_lossy(&self.sent[from..]).into_owned()
    }

    /// The next bytes, whatever they are, until there are `n`.
    #[track_caller]
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < n {
            let more = self.reader.some(n - bytes.len());
            bytes.extend(more.unwrap_or_else(|error| panic!("{error} after {bytes:?}")));
        }
        bytes
    }

    /// All bytes up to the end of the connection.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            match self.reader.some(usize::MAX) {
                Ok(more) => bytes.extend(more),
                Err(error) if is_end(&error) => return bytes,
                Err(error) => panic!("no end: {error} after {} bytes", bytes.len()),
            }
        }
    }

    /// Fails unless the proxy closes the connection without another byte.
    #[track_caller]
    pub fn expect_close(&mut self) {
        match self.reader.some(usize::MAX) {
            Err(error) if is_end(&error) => {}
            Err(error) => panic!("the connection stays open: {error}\n---- request\n{}\n----", self.asked()),
            Ok(bytes) => panic!("{:?} instead of the end", String::from_utf8_lossy(&bytes)),
        }
    }

    /// Whether bytes have come that belong to no answer that was read.
    pub fn has_more(&self) -> bool {
        self.reader.has_more()
    }

    /// Sends this again and again, a piece at a time, until the proxy says something or hangs up.
    #[track_caller]
    pub fn drip(&mut self, piece: impl AsRef<[u8]>) -> &mut Self {
        /// Short beside every limit that a test sets.
        const PACE: Duration = Duration::from_millis(5);
        let began = Instant::now();
        self.deadline(PACE);
        while matches!(self.stream_ref().peek(&mut [0]), Err(error) if !is_end(&error)) {
            assert!(began.elapsed() < HANG, "nobody minds\n---- request\n{}\n----", self.asked());
            if self.try_send(piece.as_ref()).is_err() {
                break;
            }
        }
        self.deadline(HANG);
        self
    }

    /// Closes the sending side.
    pub fn finish(&mut self) {
        self.try_finish().expect("an open connection");
    }

    /// Like [`Client::finish`], where the proxy may have closed the connection already.
    ///
    /// # Errors
    /// If it has.
    pub fn try_finish(&mut self) -> io::Result<()> {
        self.stream_ref().shutdown(Shutdown::Write)
    }

    /// Leaves with FIN: the connection is closed both ways.
    pub fn leave(self) {
        drop(self);
    }

    /// Leaves with RST.
    pub fn reset(self) {
        reset(self.stream_ref());
    }

    /// Reads bytes of the answer as they come, without parsing them.
    pub fn read_raw(&mut self, at_most: usize) -> io::Result<Vec<u8>> {
        self.reader.some(at_most)
    }

    /// Shrinks what the kernel buffers for this client, so that a slow reader is felt soon.
    pub fn small_buffers(&self) {
        socket2::SockRef::from(self.stream_ref()).set_recv_buffer_size(64 * 1024).expect("a smaller buffer");
    }

    /// Waits at most so long for each write from now on.
    pub fn send_timeout(&self, at_most: Duration) {
        self.stream_ref().set_write_timeout(Some(at_most)).expect("a deadline");
    }

    /// Waits at most so long for each read from now on.
    pub fn deadline(&self, at_most: Duration) {
        self.stream_ref().set_read_timeout(Some(at_most)).expect("a deadline");
    }
}

/// Makes the kernel send RST when the last handle of this socket is closed.
pub fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

/// Whether an error is the peer's end of the connection.
pub fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
    )
}

/// A request that was sent over a connection of its own and whose answer is not read yet.
pub struct Pending(Client);

impl Pending {
    /// A request under way on this connection.
    pub fn new(client: Client) -> Self {
        Pending(client)
    }

    /// Its answer.
    #[track_caller]
    pub fn answer(mut self) -> Answer {
        self.0.answer()
    }

    /// The connection.
    pub fn client(self) -> Client {
        self.0
    }
}
