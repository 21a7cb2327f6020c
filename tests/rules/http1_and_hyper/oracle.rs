//! hyper on one end of a pipe, with the bytes on the other: what it makes of them.
//!
//! Nothing here waits: all the bytes are there before anybody asks for them, so that whoever is not done after many turns
//! will never be.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::{client, server, service};
use hyper_util::rt::TokioIo;
use ifmatch::http1::head::HeadLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// A message, in a form that both sides are brought to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Method and target, or status and the words for it.
    pub(super) line: (String, String),
    pub(super) version: Version,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<Vec<(String, Vec<u8>)>>,
    pub(super) state: State,
}

/// What became of a message's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Whole,
    /// The connection ended before it did.
    Cut,
    /// It is none.
    Broken,
}

/// What became of what stands behind the last message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing is left, or nobody looks at it.
    Done,
    /// A head without an end.
    InAHead,
    /// No head; this is the answer to it, if hyper has one.
    Refused(Option<u16>),
}

pub(super) fn listed(fields: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

const TURNS: usize = 300;

fn driven<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut cx = Context::from_waker(Waker::noop());
    (0..TURNS).find_map(|_| match future.as_mut().poll(&mut cx) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    })
}

fn now<T>(future: impl Future<Output = T>) -> T {
    driven(pin!(future)).expect("nobody has to wait for this")
}

/// Reads a body to its end, into the message that it belongs to.
async fn read_body(mut body: Incoming, into: impl Fn(&dyn Fn(&mut Seen))) {
    loop {
        match body.frame().await {
            None => return into(&|seen| seen.state = State::Whole),
            Some(Ok(frame)) => into(&|seen| match frame.data_ref() {
                Some(data) => seen.body.extend_from_slice(data),
                None => seen.trailers = frame.trailers_ref().map(listed),
            }),
            Some(Err(error)) => {
                let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
                let cut = error.is_incomplete_message()
                    || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof);
                return into(&|seen| seen.state = if cut { State::Cut } else { State::Broken });
            }
        }
    }
}

/// The requests that hyper's server takes out of these bytes.
pub(super) fn requests(bytes: &[u8], limits: HeadLimits) -> (Vec<Seen>, Rest) {
    let (mut peer, stream) = duplex(1 << 20);
    now(async {
        peer.write_all(bytes).await.expect("there is room");
        peer.shutdown().await.expect("open until now");
    });
    let heard: Rc<RefCell<Vec<Seen>>> = Rc::default();
    let hears = heard.clone();
    let service = service::service_fn(move |request: Request<Incoming>| {
        let heard = hears.clone();
        async move {
            let (head, body) = request.into_parts();
            heard.borrow_mut().push(Seen {
                line: (head.method.to_string(), format!("{:?}", head.uri)),
                version: head.version,
                fields: listed(&head.headers),
                body: Vec::new(),
                trailers: None,
                state: State::Cut,
            });
            read_body(body, |note| heard.borrow_mut().last_mut().into_iter().for_each(note)).await;
            let mut answer = Response::new(Empty::<Bytes>::new());
            // A success would make a tunnel of what CONNECT was sent on.
            *answer.status_mut() = StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(answer)
        }
    });
    let mut server = server::conn::http1::Builder::new();
    server.half_close(true).preserve_header_case(true).header_read_timeout(None);
    server.max_headers(limits.fields).max_header_size(limits.bytes);
    let served = driven(Box::pin(server.serve_connection(TokioIo::new(stream), service)).as_mut())
        .expect("the connection has ended");
    let mut answers = Vec::new();
    now(peer.read_to_end(&mut answers)).expect("what was answered");
    let heard = heard.take();
    let rest = match served {
        _ if heard.last().is_some_and(|last| last.state != State::Whole) => Rest::Done,
        Ok(()) => Rest::Done,
        Err(error) if error.is_incomplete_message() => Rest::InAHead,
        Err(error) if error.is_parse() => Rest::Refused(last_status(&answers)),
        Err(error) => panic!("{error:?}"),
    };
    (heard, rest)
}

/// The status of an answer that is not the service's own.
fn last_status(answers: &[u8]) -> Option<u16> {
    let answers = String::from_utf8_lossy(answers);
    let at = answers.rfind("HTTP/1.1 ")?;
    answers.get(at + 9..at + 12)?.parse().ok().filter(|status| *status != 404)
}

/// What hyper's client makes of the answer to one request.
pub(super) struct Answered {
    pub(super) seen: Option<Seen>,
    pub(super) rest: Rest,
    /// Whether the body was known to be whole before the connection ended.
    pub(super) without_the_end: bool,
    /// Whether the connection could carry another request.
    pub(super) goes_on: bool,
}

/// The answer that hyper's client takes out of these bytes.
pub(super) fn answer(method: &Method, bytes: &[u8], limits: HeadLimits) -> Answered {
    let (mut peer, stream) = duplex(1 << 20);
    let mut client = client::conn::http1::Builder::new();
    client.preserve_header_case(true).max_headers(limits.fields).max_header_size(limits.bytes);
    let (mut sender, connection) =
        now(client.handshake::<_, Empty<Bytes>>(TokioIo::new(stream))).expect("a connection");
    let mut connection = Some(Box::pin(connection));
    let request = Request::builder().method(method).uri("/").header("host", "a").body(Empty::new());
    let sent = sender.send_request(request.expect("a request"));
    let heard: RefCell<Option<Seen>> = RefCell::default();
    let mut reads = Box::pin(async {
        let (head, body) = sent.await?.into_parts();
        let usual = || Bytes::from_static(head.status.canonical_reason().unwrap_or_default().as_bytes());
        let words = head.extensions.get::<ReasonPhrase>();
        let words = words.map_or_else(usual, |words| Bytes::copy_from_slice(words.as_bytes()));
        *heard.borrow_mut() = Some(Seen {
            line: (head.status.to_string(), String::from_utf8_lossy(&words).into_owned()),
            version: head.version,
            fields: listed(&head.headers),
            body: Vec::new(),
            trailers: None,
            state: State::Cut,
        });
        read_body(body, |note| heard.borrow_mut().iter_mut().for_each(note)).await;
        Ok::<(), hyper::Error>(())
    });
    let mut done = None;
    let mut turns = || {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..TURNS {
            if connection.as_mut().is_some_and(|connection| connection.as_mut().poll(&mut cx).is_ready()) {
                connection = None;
            }
            if done.is_none()
                && let Poll::Ready(read) = reads.as_mut().poll(&mut cx)
            {
                done = Some(read);
            }
        }
        done.is_some()
    };
    turns();
    read_request(&mut peer);
    now(peer.write_all(bytes)).expect("there is room");
    let without_the_end = turns();
    let mut cx = Context::from_waker(Waker::noop());
    let is_ready = matches!(pin!(poll_fn(|cx| sender.poll_ready(cx))).poll(&mut cx), Poll::Ready(Ok(())));
    let _open_or_not = now(peer.shutdown());
    assert!(turns(), "there is nothing more to wait for");
    drop(reads);
    let rest = match done {
        Some(Ok(())) => Rest::Done,
        Some(Err(error)) if error.is_parse() => Rest::Refused(None),
        Some(Err(error)) if error.is_incomplete_message() => Rest::InAHead,
        other => panic!("{other:?}"),
    };
    let seen = heard.into_inner();
    let without_the_end = without_the_end && seen.as_ref().is_some_and(|seen| seen.state == State::Whole);
    Answered { goes_on: is_ready && without_the_end, without_the_end, seen, rest }
}

fn read_request(peer: &mut DuplexStream) {
    let mut buffer = [0; 1024];
    let read = now(peer.read(&mut buffer)).expect("a request");
    assert!(buffer[..read].ends_with(b"\r\n\r\n"), "all of it");
}
