//! An origin that does what a test says: a small store, and scripts for single requests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::HANG;
use super::client::reset;
use super::message::{Framing, Message, Reader, framing_of_request};

/// A request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The number of the connection that it came over, from 0.
    pub connection: usize,
    /// Its method.
    pub method: String,
    /// Its target, as it was sent.
    pub target: String,
    /// All of it. The body is there once it was read.
    pub message: Message,
}

impl std::ops::Deref for Seen {
    type Target = Message;
    fn deref(&self) -> &Message {
        &self.message
    }
}

/// What the store holds.
#[derive(Clone, Debug)]
struct Document {
    body: Vec<u8>,
    media_type: String,
    serial: usize,
}

/// A running origin; stops when dropped. A failing test prints what it saw.
///
/// Without a script it is a small store: GET, HEAD (both with `Range`), PUT, PATCH (appends), DELETE, and
/// POST to a collection. Its answers carry an ETag of its own and, unless told otherwise, `Last-Modified`.
pub struct Origin {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    stopped: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    documents: BTreeMap<String, Document>,
    serial: usize,
    last_modified: Option<String>,
    rules: Vec<Rule>,
    seen: Vec<Seen>,
    connections: Vec<Connection>,
}

struct Connection {
    stream: Option<TcpStream>,
    idle: bool,
}

struct Rule {
    method: String,
    path: String,
    times: usize,
    act: Act,
}

type Act = Arc<dyn Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync>;

/// One request at the origin, in the hands of a script. The head is read; the body is not.
pub struct Exchange<'e> {
    reader: &'e mut Reader,
    shared: &'e Arc<Shared>,
    index: usize,
    /// The request; its body is there after [`Exchange::read_body`].
    pub request: Message,
    /// Its method.
    pub method: String,
    /// Its target.
    pub target: String,
    body_read: bool,
    close: bool,
}

/// An exchange that a test holds: see [`Origin::hold`].
pub struct Held {
    arrived: Receiver<()>,
    go: Sender<Release>,
}

type Release = Box<dyn FnOnce(&mut Exchange<'_>) -> io::Result<()> + Send>;

impl Origin {
    /// Starts an empty one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state =
            State { last_modified: Some("Mon, 05 Jan 2026 10:00:00 GMT".to_owned()), ..State::default() };
        let shared = Arc::new(Shared {
            address,
            stopped: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stopped.load(Ordering::Acquire) {
                    return;
                }
                let shared = accepting.clone();
                std::thread::spawn(move || serve(&shared, stream));
            }
        });
        Origin { shared }
    }

    /// Starts one that holds `/items/1` with the body `one`.
    pub fn with_item() -> Self {
        let origin = Origin::start();
        origin.store("/items/1", "one");
        origin
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Stores a document, as a writer does that bypasses the proxy.
    pub fn store(&self, path: &str, body: &str) {
        self.state().put(path, body.as_bytes(), "application/json");
    }

    /// The body of a document.
    pub fn stored(&self, path: &str) -> Option<String> {
        self.state().documents.get(path).map(|d| String::from_utf8_lossy(&d.body).into_owned())
    }

    /// The `Last-Modified` of all documents from now on; `None`: no such field.
    pub fn last_modified(&self, date: Option<&str>) {
        self.state().last_modified = date.map(str::to_owned);
    }

    /// The next request with this method and path (without a query) goes by a script.
    pub fn once(
        &self,
        method: &str,
        path: &str,
        act: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) {
        self.rule(method, path, 1, Arc::new(act));
    }

    /// Every request with this method and path goes by a script; `*` as method or path: any.
    pub fn always(
        &self,
        method: &str,
        path: &str,
        act: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) {
        self.rule(method, path, usize::MAX, Arc::new(act));
    }

    fn rule(&self, method: &str, path: &str, times: usize, act: Act) {
        let rule = Rule { method: method.to_owned(), path: path.to_owned(), times, act };
        self.state().rules.push(rule);
    }

    /// The next such request is answered with these bytes, after its body was read.
    pub fn answer_once(&self, method: &str, path: &str, answer: impl AsRef<[u8]>) {
        let answer = answer.as_ref().to_vec();
        self.once(method, path, move |exchange| {
            exchange.read_body()?;
            exchange.write(&answer)
        });
    }

    /// Every such request is answered with these bytes, after its body was read.
    pub fn answer_always(&self, method: &str, path: &str, answer: impl AsRef<[u8]>) {
        let answer = answer.as_ref().to_vec();
        self.always(method, path, move |exchange| {
            exchange.read_body()?;
            exchange.write(&answer)
        });
    }

    /// The next such request is read, body and all, and then held until the test releases it.
    pub fn hold(&self, method: &str, path: &str) -> Held {
        let (tell, arrived) = channel();
        let (go, released) = channel::<Release>();
        let channels = Mutex::new((tell, released));
        self.once(method, path, move |exchange| {
            exchange.read_body()?;
            let channels = channels.lock().expect("used once");
            // A test that is over no longer listens, and releases nothing.
            if channels.0.send(()).is_err() {
                return exchange.close();
            }
            match channels.1.recv() {
                Ok(release) => release(exchange),
                Err(_) => exchange.close(),
            }
        });
        Held { arrived, go }
    }

    /// Everything that was seen, in the order in which the heads arrived.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// How many requests were seen.
    pub fn seen_count(&self) -> usize {
        self.state().seen.len()
    }

    /// What was seen after the first `n` requests.
    pub fn seen_since(&self, n: usize) -> Vec<Seen> {
        self.state().seen.get(n..).unwrap_or_default().to_vec()
    }

    /// The requests with this method and target path that were seen.
    pub fn seen_to(&self, method: &str, path: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|s| s.method == method && path_of(&s.target) == path).collect()
    }

    /// The one request with this method and target path; fails if there were none or more.
    #[track_caller]
    pub fn only(&self, method: &str, path: &str) -> Seen {
        let mut seen = self.seen_to(method, path);
        assert_eq!(seen.len(), 1, "requests {method} {path}, expected one\n{}", self.story());
        seen.remove(0)
    }

    /// Waits until so many requests were seen.
    #[track_caller]
    pub fn await_seen(&self, n: usize) {
        self.await_state(&format!("{n} requests"), |state| state.seen.len() >= n);
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.state().connections.len()
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.state().connections.iter().filter(|c| c.stream.is_some()).count()
    }

    /// Waits until so many connections are open.
    #[track_caller]
    pub fn await_open_connections(&self, n: usize) {
        let open = |state: &State| state.connections.iter().filter(|c| c.stream.is_some()).count();
        self.await_state(&format!("{n} open connections"), |state| open(state) == n);
    }

    #[track_caller]
    fn await_state(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let began = Instant::now();
        let mut state = self.state();
        while !holds(&state) {
            let left = HANG.saturating_sub(began.elapsed());
            if left.is_zero() {
                drop(state);
                panic!("the origin never has {what}\n{}", self.story());
            }
            state = self.shared.changed.wait_timeout(state, left).expect("the origin").0;
        }
    }

    /// Closes every connection, once each has sent its answer and waits for a request. Not to be called
    /// while the test holds one.
    #[track_caller]
    pub fn close_idle(&self) {
        self.await_state("idle connections only", |state| {
            state.connections.iter().all(|c| c.idle || c.stream.is_none())
        });
        for connection in self.state().connections.iter().filter(|c| c.idle) {
            if let Some(stream) = &connection.stream {
                // It may be closed already.
                let _closed = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// All that was seen, for people.
    pub fn story(&self) -> String {
        let mut text = "---- what the origin saw\n".to_owned();
        for seen in self.seen() {
            let _written = writeln!(text, "[connection {}] {}\n", seen.connection, seen.message);
        }
        text + "----"
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.story());
        }
        self.shared.stopped.store(true, Ordering::Release);
        for connection in &self.state().connections {
            if let Some(stream) = &connection.stream {
                let _closed = stream.shutdown(Shutdown::Both);
            }
        }
        // Wakes the accepting thread, which then sees that it is over.
        let _woken = TcpStream::connect(self.shared.address);
    }
}

impl Held {
    /// Waits until the request is there.
    #[track_caller]
    pub fn arrived(&self) -> &Self {
        self.arrived.recv_timeout(HANG).expect("the request reaches the origin");
        self
    }

    /// Lets it go on as if it had come only now.
    pub fn release(self) {
        self.release_by(|exchange| exchange.serve());
    }

    /// Answers it with these bytes; the store does not change.
    pub fn answer(self, answer: impl AsRef<[u8]>) {
        let answer = answer.as_ref().to_vec();
        self.release_by(move |exchange| exchange.write(&answer));
    }

    /// Ends its connection without an answer.
    pub fn die(self) {
        self.release_by(|exchange| exchange.close());
    }

    /// Ends it by a script.
    pub fn release_by(self, act: impl FnOnce(&mut Exchange<'_>) -> io::Result<()> + Send + 'static) {
        // The exchange may have ended with its connection.
        let _gone = self.go.send(Box::new(act));
    }
}

impl Exchange<'_> {
    /// Reads the request's body, if that was not done yet.
    ///
    /// # Errors
    /// If it breaks; what came of it is kept.
    pub fn read_body(&mut self) -> io::Result<()> {
        if self.body_read {
            return Ok(());
        }
        self.body_read = true;
        let framing = framing_of_request(&self.request);
        let read = self.reader.body(&mut self.request, framing);
        self.shared.update(self.index, &self.request);
        read
    }

    /// Reads this many bytes of the request's body and no more.
    ///
    /// # Errors
    /// If the connection ends before.
    pub fn read_some(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < n {
            bytes.extend(self.reader.some(n - bytes.len())?);
        }
        Ok(bytes)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the proxy has hung up.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.stream().write_all(bytes.as_ref())
    }

    /// Answers as the store does.
    ///
    /// # Errors
    /// If the proxy has hung up.
    pub fn serve(&mut self) -> io::Result<()> {
        self.read_body()?;
        let answer = self.shared.lock().serve(&self.method, &self.target, &self.request);
        self.write(answer)
    }

    /// Applies the request to the store without a word.
    ///
    /// # Errors
    /// If its body breaks.
    pub fn apply(&mut self) -> io::Result<()> {
        self.read_body()?;
        let _unsent = self.shared.lock().serve(&self.method, &self.target, &self.request);
        Ok(())
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// Never; for the end of a script.
    pub fn close(&mut self) -> io::Result<()> {
        self.close = true;
        Ok(())
    }

    /// Closes the connection with RST.
    ///
    /// # Errors
    /// Never; for the end of a script.
    pub fn reset(&mut self) -> io::Result<()> {
        reset(self.reader.stream());
        self.close()
    }

    /// Waits until the proxy hangs up; whether it did within the time.
    pub fn hung_up_within(&mut self, at_most: Duration) -> bool {
        self.reader.stream().set_read_timeout(Some(at_most)).expect("a deadline");
        let ended = match self.reader.some(1) {
            Ok(_) => false,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        };
        self.reader.stream().set_read_timeout(Some(HANG)).expect("a deadline");
        ended
    }

    /// The raw stream, for other protocols.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.reader.stream()
    }

    /// The next bytes, whatever they are.
    ///
    /// # Errors
    /// If the connection ends.
    pub fn raw(&mut self, at_most: usize) -> io::Result<Vec<u8>> {
        self.reader.some(at_most)
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn update(&self, index: usize, request: &Message) {
        if let Some(seen) = self.lock().seen.get_mut(index) {
            seen.message = request.clone();
        }
        self.changed.notify_all();
    }
}

fn serve(shared: &Arc<Shared>, stream: TcpStream) {
    stream.set_read_timeout(Some(HANG)).expect("a deadline");
    stream.set_nodelay(true).expect("no delay");
    let number = {
        let mut state = shared.lock();
        let stream = Some(stream.try_clone().expect("another handle"));
        state.connections.push(Connection { stream, idle: true });
        state.connections.len() - 1
    };
    shared.changed.notify_all();
    let mut reader = Reader::new(stream);
    // A connection that breaks, or is closed by the other side, has ended.
    let _ended = converse(shared, number, &mut reader);
    shared.lock().connections[number].stream = None;
    drop(reader);
    shared.changed.notify_all();
}

fn converse(shared: &Arc<Shared>, number: usize, reader: &mut Reader) -> io::Result<()> {
    while let Some(request) = reader.head()? {
        let mut words = request.start_line.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default().to_owned();
        let (act, index) = {
            let mut state = shared.lock();
            state.connections[number].idle = false;
            state.seen.push(Seen {
                connection: number,
                method: method.clone(),
                target: target.clone(),
                message: request.clone(),
            });
            (state.act_for(&method, path_of(&target)), state.seen.len() - 1)
        };
        shared.changed.notify_all();
        let mut exchange =
            Exchange { reader, shared, index, request, method, target, body_read: false, close: false };
        match act {
            Some(act) => act(&mut exchange)?,
            None => exchange.serve()?,
        }
        if exchange.close {
            return Ok(());
        }
        shared.lock().connections[number].idle = true;
        shared.changed.notify_all();
    }
    Ok(())
}

/// The path of a target, without its query.
fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

impl State {
    fn act_for(&mut self, method: &str, path: &str) -> Option<Act> {
        let fits = |wanted: &str, found: &str| wanted == "*" || wanted == found;
        let at = self.rules.iter().position(|r| fits(&r.method, method) && fits(&r.path, path))?;
        let act = self.rules[at].act.clone();
        self.rules[at].times -= 1;
        if self.rules[at].times == 0 {
            self.rules.remove(at);
        }
        Some(act)
    }

    fn put(&mut self, path: &str, body: &[u8], media_type: &str) -> bool {
        self.serial += 1;
        let document =
            Document { body: body.to_vec(), media_type: media_type.to_owned(), serial: self.serial };
        self.documents.insert(path.to_owned(), document).is_none()
    }

    fn serve(&mut self, method: &str, target: &str, request: &Message) -> Vec<u8> {
        let path = path_of(target).to_owned();
        let media_type = request.field("Content-Type").unwrap_or("application/json").to_owned();
        match method {
            "GET" | "HEAD" => self.read(&path, request, method == "GET"),
            "PUT" => {
                let created = self.put(&path, &request.body, &media_type);
                empty(if created { "201 Created" } else { "204 No Content" }, &[])
            }
            "PATCH" => match self.documents.get(&path).cloned() {
                Some(before) => {
                    let body = [before.body, request.body.clone()].concat();
                    self.put(&path, &body, &before.media_type);
                    empty("204 No Content", &[])
                }
                None => empty("404 Not Found", &[]),
            },
            "DELETE" => match self.documents.remove(&path) {
                Some(_) => empty("204 No Content", &[]),
                None => empty("404 Not Found", &[]),
            },
            "POST" => {
                self.serial += 1;
                let made = format!("{}/{}", path.trim_end_matches('/'), 1000 + self.serial);
                self.put(&made, &request.body, &media_type);
                empty("201 Created", &[("Location", &made)])
            }
            "OPTIONS" => empty("204 No Content", &[("Allow", "GET, PUT")]),
            _ => empty("200 OK", &[]),
        }
    }

    fn read(&self, path: &str, request: &Message, with_content: bool) -> Vec<u8> {
        let Some(document) = self.documents.get(path) else { return empty("404 Not Found", &[]) };
        let mut head = String::new();
        if let Some(date) = &self.last_modified {
            head += &format!("Last-Modified: {date}\r\n");
        }
        head += &format!(
            "Content-Type: {}\r\nETag: \"origin-{}\"\r\nAccept-Ranges: bytes\r\n",
            document.media_type, document.serial
        );
        if request.field("If-Modified-Since").is_some_and(|date| Some(date) == self.last_modified.as_deref())
        {
            return format!("HTTP/1.1 304 Not Modified\r\n{head}\r\n").into_bytes();
        }
        let whole = document.body.len();
        let part = request.field("Range").filter(|_| with_content && request.field("If-Range").is_none());
        let part = part.and_then(|range| {
            let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
            let from: usize = from.parse().ok()?;
            let to = to.parse().unwrap_or(whole - 1).min(whole - 1);
            (from <= to).then_some((from, to))
        });
        let (status, content) = match part {
            Some((from, to)) => {
                head += &format!("Content-Range: bytes {from}-{to}/{whole}\r\n");
                ("206 Partial Content", &document.body[from..=to])
            }
            None => ("200 OK", &document.body[..]),
        };
        let mut answer =
            format!("HTTP/1.1 {status}\r\n{head}Content-Length: {}\r\n\r\n", content.len()).into_bytes();
        if with_content {
            answer.extend_from_slice(content);
        }
        answer
    }
}

/// An answer without a body.
pub fn empty(status: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in fields {
        head += &format!("{name}: {value}\r\n");
    }
    if !status.starts_with("204") && !status.starts_with('1') && !status.starts_with("304") {
        head += "Content-Length: 0\r\n";
    }
    (head + "\r\n").into_bytes()
}

/// An answer with a body of this media type.
pub fn with_body(status: &str, media_type: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}
