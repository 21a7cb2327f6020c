//! A client's connection: its stream, and what its requests know of it.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::in_flight::InFlight;
use super::patience::{Pace, Paced};
use crate::ledger::views::{Expected, ViewKey, Views};
use crate::report::journal::ClientId;
use crate::request::version_tag::Version;

/// What a connection and its requests know of each other.
pub struct Client {
    /// Its address, as it is passed on.
    pub address: Option<HeaderValue>,
    /// What logs call it where nothing else tells clients apart: a hash of its address, made when it is first asked for.
    pub id: OnceLock<ClientId>,
    /// How long it is waited for while it is sent something.
    pub pace: Arc<Pace>,
    /// Whether `handed_over` holds any.
    has_handed_over: AtomicBool,
    /// What answers leave that were taken whole, and may not be written out yet.
    handed_over: Mutex<Vec<Expected>>,
}

impl Client {
    /// One that has not asked anything yet.
    pub fn new(address: Option<IpAddr>, pace: Arc<Pace>) -> Arc<Self> {
        Arc::new(Client {
            address: address.and_then(|ip| HeaderValue::try_from(ip.to_string()).ok()),
            id: OnceLock::new(),
            pace,
            has_handed_over: AtomicBool::new(false),
            handed_over: Mutex::default(),
        })
    }

    /// All that answers have given so far is written out.
    pub fn written_out(&self) {
        // Few answers leave anything.
        if self.has_handed_over.load(Ordering::Acquire) && self.has_handed_over.swap(false, Ordering::AcqRel)
        {
            self.handed_over.lock().drain(..).for_each(Expected::written_out);
        }
    }
}

/// Goes with an answer's body, and has a view stored when all of it was written out (rules I1 and I3): the body was
/// taken to its end, and what was taken was then flushed. What is dropped before leaves nothing.
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
    /// All of the answer was taken.
    pub fn taken_whole(self) {
        let Delivery { client, views, key, version } = self;
        client.handed_over.lock().push(Expected::new(views, key, version));
        client.has_handed_over.store(true, Ordering::Release);
    }
}

/// A client's stream: a client that takes nothing of what it is sent has its connection broken, so that it cannot keep
/// an origin's connection and a place among the requests in flight for ever, and it counts until it is closed, also
/// when it has become a tunnel.
pub struct ClientStream<S: AsyncRead + AsyncWrite + Unpin> {
    stream: S,
    client: Arc<Client>,
    paced: Paced,
    _counted: InFlight,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    /// The stream of this client.
    pub fn new(stream: S, client: Arc<Client>, counted: InFlight) -> Self {
        let paced = Paced::new(client.pace.clone());
        ClientStream { stream, client, paced, _counted: counted }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for ClientStream<S> {
    fn drop(&mut self) {
        // What was not written out by now never is.
        self.client.handed_over.lock().clear();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.paced.taken(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.paced.taken(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.paced.taken(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.paced.taken(cx, shut)
    }
}
