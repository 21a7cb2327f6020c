//! A client's connection: the stream that hyper reads, and what its requests know of it.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};

use http::{HeaderValue, Request};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::in_flight::InFlight;
use super::patience::{Pace, Paced};
use super::request_line::{Lines, Suspects};
use crate::ledger::views::{Expected, ViewKey, Views};
use crate::request::version_tag::Version;

/// What a connection's stream and its requests know of each other.
pub struct Client {
    /// Its address, as it is passed on.
    pub address: Option<HeaderValue>,
    /// How long it is waited for while it is sent something.
    pub pace: Arc<Pace>,
    suspects: Suspects,
    has_asked: AtomicBool,
    /// What was read since the last request began or was answered: of a head, as a rule.
    unasked: AtomicUsize,
    /// What that was before the last answer.
    before_answer: AtomicUsize,
    last_word: OnceLock<&'static [u8]>,
    /// Whether `handed_over` holds any.
    has_handed_over: AtomicBool,
    /// What answers leave that hyper has taken whole, and may not have written out yet.
    handed_over: Mutex<Vec<Expected>>,
}

impl Client {
    /// One that has not asked anything yet.
    pub fn new(address: Option<IpAddr>, pace: Arc<Pace>) -> Arc<Self> {
        Arc::new(Client {
            address: address.and_then(|ip| HeaderValue::try_from(ip.to_string()).ok()),
            pace,
            suspects: Suspects::default(),
            has_asked: AtomicBool::new(false),
            unasked: AtomicUsize::new(0),
            before_answer: AtomicUsize::new(0),
            last_word: OnceLock::new(),
            has_handed_over: AtomicBool::new(false),
            handed_over: Mutex::default(),
        })
    }

    /// To be called for each request in turn.
    pub fn asks<B>(&self, request: &mut Request<B>) {
        self.has_asked.store(true, Ordering::Relaxed);
        self.unasked.store(0, Ordering::Relaxed);
        self.suspects.mark(request);
    }

    /// All that hyper has taken is written out.
    fn written_out(&self) {
        // Few answers leave anything.
        if self.has_handed_over.swap(false, Ordering::AcqRel) {
            self.handed_over.lock().drain(..).for_each(Expected::written_out);
        }
    }

    /// Whether there was a request.
    pub fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// How many bytes came that are no request yet.
    pub fn unasked(&self) -> usize {
        self.unasked.load(Ordering::Relaxed)
    }

    /// How many bytes came that were no request yet when hyper answered by itself.
    pub fn refused_by_hyper(&self) -> usize {
        self.unasked().max(self.before_answer.load(Ordering::Relaxed))
    }

    /// What the client is sent when the connection ends, if its socket takes it at once.
    pub fn last_word(&self, words: &'static [u8]) {
        // Only the first one is meant.
        let _said_already = self.last_word.set(words);
    }
}

/// Goes with an answer's body, and has a view stored when all of it was written out (rules I1 and I3): hyper has
/// taken the body to its end, and has then flushed what it had buffered. What is dropped before leaves nothing.
pub struct Delivery {
    /// To whom.
    pub client: Arc<Client>,
    /// Where the view is kept.
    pub views: Arc<Views>,
    /// Whose it is.
    pub key: ViewKey,
    /// What it becomes.
    pub version: Version,
}

impl Delivery {
    /// hyper has all of the answer now.
    pub fn taken_whole(self) {
        let Delivery { client, views, key, version } = self;
        client.handed_over.lock().push(Expected::new(views, key, version));
        client.has_handed_over.store(true, Ordering::Release);
    }
}

/// A client's stream: its request lines are looked at, a client that takes nothing of what it is sent has
/// its connection broken, so that it cannot keep an origin's connection and a place among the requests in
/// flight for ever, and it counts until it is closed, also when it has become a tunnel.
pub struct ClientStream<S: AsyncRead + AsyncWrite + Unpin> {
    stream: S,
    client: Arc<Client>,
    lines: Lines,
    paced: Paced,
    _counted: InFlight,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    /// The stream of this client.
    pub fn new(stream: S, client: Arc<Client>, counted: InFlight) -> Self {
        let (lines, paced) = (Lines::new(client.suspects.clone()), Paced::new(client.pace.clone()));
        ClientStream { stream, client, lines, paced, _counted: counted }
    }

    fn answered(&mut self) {
        let unasked = self.client.unasked.swap(0, Ordering::Relaxed);
        if unasked > 0 {
            self.client.before_answer.store(unasked, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for ClientStream<S> {
    fn drop(&mut self) {
        // What was not written out by now never is.
        self.client.handed_over.lock().clear();
        let Some(words) = self.client.last_word.get() else { return };
        let mut cx = Context::from_waker(Waker::noop());
        let stream = Pin::new(&mut self.stream);
        if let Poll::Ready(Ok(_)) = stream.poll_write(&mut cx, words) {
            // Now or never: nobody waits for a connection that has ended.
            let _sent_or_not = Pin::new(&mut self.stream).poll_flush(&mut cx);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        self.lines.look(read);
        self.client.unasked.fetch_add(read.len(), Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answered();
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.paced.taken(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.answered();
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.paced.taken(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        // hyper flushes its stream only when its own buffer is empty.
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.client.written_out();
        }
        self.paced.taken(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.paced.taken(cx, shut)
    }
}
