//! What a client's connection is read and written with: by its own task, and by whoever takes a request's body.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use parking_lot::Mutex;
use pingora::protocols::Stream;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::sync::oneshot;

use super::body::BodyError;
use super::client::ClientStream;
use super::reading::Room;
use crate::http1::decode::{BadBody, Decoded, Decoder};
use crate::http1::encode::Outbox;
use crate::http1::framing::BodyLength;

/// What a connection is read and written with, where a request's body is still to come or the connection may become a
/// tunnel. Nobody keeps it locked while waiting.
pub type SharedWire = Arc<Mutex<Wire>>;

/// A connection's hold on its wire. Most requests are here as a whole once their heads are: then nobody shares it.
pub enum Hold {
    /// Nobody else reads it.
    Alone(Wire),
    /// Somebody takes a request's body, or the whole connection.
    Shared(SharedWire),
}

impl Default for Hold {
    /// On nothing.
    fn default() -> Self {
        Hold::Alone(Wire::closed())
    }
}

impl Hold {
    /// Does this with the wire.
    pub fn with<T>(&mut self, act: impl FnOnce(&mut Wire) -> T) -> T {
        match self {
            Hold::Alone(wire) => act(wire),
            Hold::Shared(wire) => act(&mut wire.lock()),
        }
    }

    /// The wire for somebody else too.
    pub fn share(&mut self) -> SharedWire {
        let shared = match std::mem::take(self) {
            Hold::Alone(wire) => Arc::new(Mutex::new(wire)),
            Hold::Shared(shared) => shared,
        };
        *self = Hold::Shared(shared.clone());
        shared
    }

    /// Nobody needs it but the connection any more, as far as that is known: between requests.
    pub fn take_back(&mut self) {
        if let Hold::Shared(_) = self {
            *self = match std::mem::take(self) {
                Hold::Shared(shared) => {
                    Arc::try_unwrap(shared).map_or_else(Hold::Shared, |wire| Hold::Alone(wire.into_inner()))
                }
                alone @ Hold::Alone(_) => alone,
            };
        }
    }
}

/// A client's stream, and what has come on it.
pub struct Wire {
    /// `None`: it is closed.
    stream: Option<ClientStream<Stream>>,
    /// What has come and was not taken yet.
    pub come: BytesMut,
    room: Room,
    body: Upload,
    is_a_tunnel: bool,
}

/// The body of the present request.
struct Upload {
    decoder: Decoder,
    /// What of 100 (Continue) the client still has to be sent before its body is waited for.
    invitation: &'static [u8],
    broken: bool,
    /// Nobody wants the rest of it.
    left: bool,
    /// Whoever takes the rest of it drops it.
    goes_nowhere: bool,
    /// Woken when nothing more of it will be taken.
    waits_for_end: Option<Waker>,
    /// Who waits for more of it.
    reader: Option<Waker>,
    /// Told when the connection has become a tunnel.
    upgrade: Option<oneshot::Sender<()>>,
}

impl Upload {
    fn new(decoder: Decoder, invitation: &'static [u8]) -> Self {
        Upload {
            decoder,
            invitation,
            broken: false,
            left: false,
            goes_nowhere: false,
            waits_for_end: None,
            reader: None,
            upgrade: None,
        }
    }

    fn wake_who_waits(&mut self) {
        if let Some(waits) = self.waits_for_end.take() {
            waits.wake();
        }
    }
}

/// RFC 9110 section 15.2.1.
const INVITATION: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How far a request's body has been taken, as its connection sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// All of it: the next request stands behind it.
    Whole,
    /// Somebody is still at it.
    NotYet,
    /// Nobody takes the rest.
    Left,
    /// It broke off, or was none.
    Broken,
}

impl Wire {
    /// Over this stream.
    pub fn new(stream: ClientStream<Stream>) -> Self {
        Wire { stream: Some(stream), ..Wire::closed() }
    }

    /// Over none.
    fn closed() -> Self {
        Wire {
            stream: None,
            come: BytesMut::new(),
            room: Room::default(),
            body: Upload::new(Decoder::new(BodyLength::Exact(0)), b""),
            is_a_tunnel: false,
        }
    }

    /// Reads what comes; `0` at the end.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(closed())) };
        let room = self.room.make(&mut self.come);
        let read = ready!(pin!(stream.read_buf(&mut self.come)).poll(cx))?;
        self.room.was_read(read, room);
        Poll::Ready(Ok(read))
    }

    /// Writes what goes out, to its end.
    ///
    /// # Errors
    /// If the connection is broken, or the client has taken nothing for too long.
    pub fn poll_write_out(&mut self, cx: &mut Context<'_>, out: &mut Outbox) -> Poll<io::Result<()>> {
        // From the answer's first byte on there is nothing to invite to; what was begun is ended.
        if self.body.invitation.len() < INVITATION.len() {
            ready!(self.poll_invite(cx))?;
        }
        self.body.invitation = b"";
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(closed())) };
        while !out.is_empty() {
            let stream = Pin::new(&mut *stream);
            let taken = ready!(match out.only() {
                Some(bytes) => stream.poll_write(cx, bytes),
                None => stream.poll_write_vectored(cx, &out.slices()),
            })?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.advance(taken);
        }
        Poll::Ready(Ok(()))
    }

    /// Has the stream send on what it was given.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_stream(|stream| stream.poll_flush(cx))
    }

    /// Does this with the stream.
    ///
    /// # Errors
    /// If that fails, or it is closed.
    pub fn poll_stream<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut ClientStream<Stream>>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.stream {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(closed())),
        }
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Closes it, unless it is a tunnel now. Whoever still reads or writes it is told so.
    pub fn close(&mut self) {
        if self.is_a_tunnel {
            return;
        }
        self.stream = None;
        self.body.upgrade = None;
        self.cut_body();
    }

    /// Whoever still takes the present request's body finds it broken.
    pub fn cut_body(&mut self) {
        self.body.broken = true;
        if let Some(reader) = self.body.reader.take() {
            reader.wake();
        }
    }

    /// A body of the request whose head was just taken begins to come, which its client may wait to be invited to send.
    pub fn begins_body(&mut self, decoder: Decoder, awaits_continue: bool) {
        self.body = Upload::new(decoder, if awaits_continue { INVITATION } else { b"" });
    }

    /// Whoever has the present request's body only drops what still comes of it: who waits for its end need not.
    pub fn body_will_go_nowhere(&mut self) {
        self.body.goes_nowhere = true;
        self.body.wake_who_waits();
    }

    /// Whether it does.
    pub fn body_goes_nowhere(&self) -> bool {
        self.body.goes_nowhere
    }

    /// Nobody wants the rest of the present request's body.
    pub fn leave_body(&mut self) {
        self.body.left = true;
        self.body.wake_who_waits();
    }

    /// How much of the present request's body is still to come, where that is known.
    pub fn rest_of_body(&self) -> Option<u64> {
        self.body.decoder.rest()
    }

    /// Whether all of the present request's body was taken.
    pub fn body_is_over(&self) -> bool {
        self.body.decoder.is_over()
    }

    /// Tells that one when the connection has become a tunnel.
    pub fn tells_of_tunnel(&mut self, taker: oneshot::Sender<()>) {
        self.body.upgrade = Some(taker);
    }

    /// Sends the client a last word, if its socket takes it at once: nobody waits for a connection that has ended.
    pub fn last_word(&mut self, words: &[u8]) {
        let Some(stream) = &mut self.stream else { return };
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(_)) = Pin::new(&mut *stream).poll_write(&mut cx, words) {
            let _sent_or_not = Pin::new(stream).poll_flush(&mut cx);
        }
    }

    /// The connection has become a tunnel. Whether anybody takes it as one.
    pub fn becomes_a_tunnel(&mut self) -> bool {
        self.is_a_tunnel = self.body.upgrade.take().is_some_and(|taker| taker.send(()).is_ok());
        self.is_a_tunnel
    }

    /// How far the present request's body has been taken.
    pub fn taken(&self) -> Taken {
        match &self.body {
            Upload { broken: true, .. } => Taken::Broken,
            Upload { decoder, .. } if decoder.is_over() => Taken::Whole,
            Upload { left: true, .. } => Taken::Left,
            Upload { .. } => Taken::NotYet,
        }
    }

    /// What came is no request: where it ends is not known.
    pub fn is_no_request(&mut self) {
        self.body.broken = true;
    }

    /// Whether the client has nothing under way, as far as is known.
    pub fn has_all_been_read(&self) -> bool {
        self.taken() == Taken::Whole && self.come.is_empty()
    }

    /// How far the present request's body has been taken, when nobody is at it any more.
    pub fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<Taken> {
        match self.taken() {
            Taken::NotYet => {
                self.body.waits_for_end = Some(cx.waker().clone());
                Poll::Pending
            }
            taken @ (Taken::Whole | Taken::Left | Taken::Broken) => Poll::Ready(taken),
        }
    }

    /// Ready when the client has left. What it sends meanwhile is kept: the next request. What belongs to a body that
    /// nobody wants is dropped, a read at a time: there may be no end of it, and others have their turn in between.
    pub fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Where somebody else reads, that is where it is seen first; when that has ended, it is looked for here.
            let dropped = match ready!(self.poll_taken(cx)) {
                Taken::Whole if self.come.is_empty() => false,
                Taken::Left => match self.drop_come() {
                    Ok(true) => continue,
                    Ok(false) => true,
                    Err(_) => return Poll::Ready(()),
                },
                Taken::Whole | Taken::NotYet | Taken::Broken => return Poll::Pending,
            };
            match ready!(self.poll_fill(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) if dropped => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(_) => {}
            }
        }
    }

    /// Takes what there is by now of a body that nobody wants, and drops it. Whether that was all of it.
    pub fn drop_rest(&mut self, cx: &mut Context<'_>) -> bool {
        while let Ok(over) = self.drop_come() {
            if over || !matches!(self.poll_fill(cx), Poll::Ready(Ok(1..))) {
                return over;
            }
        }
        false
    }

    /// Drops what has come of a body. Whether that was the end of it.
    fn drop_come(&mut self) -> Result<bool, BadBody> {
        while !self.body.decoder.is_over() {
            if matches!(self.body.decoder.take(&mut self.come)?, Decoded::Needs) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives back what a message took. To be called between messages.
    pub fn rest(&mut self) {
        self.room.rest(&mut self.come);
    }

    /// The next piece of the present request's body.
    ///
    /// # Errors
    /// If it breaks off, or is none.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decoded, BodyError>> {
        let next = self.poll_decoded(cx);
        self.body.reader = next.is_pending().then(|| cx.waker().clone());
        if matches!(next, Poll::Ready(Err(_))) {
            self.body.broken = true;
        }
        if self.body.broken || self.body.decoder.is_over() {
            self.body.wake_who_waits();
        }
        next
    }

    fn poll_decoded(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decoded, BodyError>> {
        if self.body.broken {
            return Poll::Ready(Err(closed().into()));
        }
        loop {
            match self.body.decoder.take(&mut self.come)? {
                Decoded::Needs => {
                    ready!(self.poll_invite(cx))?;
                    if ready!(self.poll_fill(cx))? == 0 {
                        self.body.decoder.close()?;
                    }
                }
                decoded @ (Decoded::Data(_) | Decoded::Trailers(_) | Decoded::End) => {
                    return Poll::Ready(Ok(decoded));
                }
            }
        }
    }

    fn poll_invite(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.body.invitation.is_empty() {
            let Some(stream) = &mut self.stream else { return Poll::Ready(Err(closed())) };
            let sent = ready!(Pin::new(stream).poll_write(cx, self.body.invitation))?;
            self.body.invitation = self.body.invitation.get(sent..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }
}

fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl From<BadBody> for io::Error {
    fn from(bad: BadBody) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, bad)
    }
}
