//! A client's connection as two read and write it: its own task, and whoever takes a request's body.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use pingora::protocols::Stream;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::sync::oneshot;

use super::body::BodyError;
use super::client::ClientStream;
use super::client_tunnel::ClientUpgrade;
use super::reading::Room;
use crate::http1::decode::{BadBody, Decoded, Decoder};
use crate::http1::encode::Outbox;
use crate::http1::framing::BodyLength;

/// What a connection is read and written with. Nobody keeps it locked while waiting.
pub type SharedWire = Arc<Mutex<Wire>>;

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
    pub fn new(stream: ClientStream<Stream>) -> SharedWire {
        Arc::new(Mutex::new(Wire {
            stream: Some(stream),
            come: BytesMut::new(),
            room: Room::default(),
            body: Upload::new(Decoder::new(BodyLength::Exact(0)), b""),
            is_a_tunnel: false,
        }))
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
            let taken = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &out.slices()))?;
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

    /// Whether the rest of the present request's body [goes nowhere](ClientBody::goes_nowhere).
    pub fn body_goes_nowhere(&self) -> bool {
        self.body.goes_nowhere
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

    /// The same, when nobody is at it any more.
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

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decoded, BodyError>> {
        let next = self.poll_decoded(cx);
        self.body.reader = next.is_pending().then(|| cx.waker().clone());
        if matches!(next, Poll::Ready(Err(_))) {
            self.body.broken = true;
        }
        if (self.body.broken || self.body.decoder.is_over())
            && let Some(waits) = self.body.waits_for_end.take()
        {
            waits.wake();
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

/// A request's body, as it comes. Dropped before its end, the rest is nobody's.
pub struct ClientBody {
    /// `None`: all of it was taken.
    wire: Option<SharedWire>,
    rest: Option<u64>,
    /// Whether the connection may become a tunnel.
    can_upgrade: Option<SharedWire>,
}

/// What a request's head says of what comes behind it.
#[derive(Clone, Copy)]
pub struct Behind {
    /// How long the body is.
    pub length: BodyLength,
    /// Whether the client waits for 100 (Continue) before it sends it.
    pub awaits_continue: bool,
    /// Whether another protocol may follow.
    pub may_upgrade: bool,
}

impl ClientBody {
    /// The body of the request whose head was just taken.
    pub fn begin(wire: &SharedWire, behind: Behind) -> Self {
        let decoder = Decoder::new(behind.length);
        let rest = decoder.rest();
        let can_upgrade = behind.may_upgrade.then(|| wire.clone());
        if decoder.is_over() {
            return ClientBody { wire: None, rest, can_upgrade };
        }
        let invitation = if behind.awaits_continue { INVITATION } else { b"" };
        wire.lock().body = Upload::new(decoder, invitation);
        ClientBody { wire: Some(wire.clone()), rest, can_upgrade }
    }

    /// None.
    pub fn none() -> Self {
        ClientBody { wire: None, rest: Some(0), can_upgrade: None }
    }

    /// Whoever has it only drops what still comes: who waits for its end need not.
    pub fn goes_nowhere(&self) {
        let Some(wire) = &self.wire else { return };
        let mut wire = wire.lock();
        wire.body.goes_nowhere = true;
        if let Some(waits) = wire.body.waits_for_end.take() {
            waits.wake();
        }
    }

    /// What the connection becomes, if the request is answered with 101.
    pub fn upgrade(&mut self) -> Option<ClientUpgrade> {
        let wire = self.can_upgrade.take()?;
        let (told, upgraded) = oneshot::channel();
        wire.lock().body.upgrade = Some(told);
        Some(ClientUpgrade { upgraded, wire })
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(wire) = &self.wire else { return Poll::Ready(None) };
        let mut wire = wire.lock();
        let frame = match ready!(wire.poll_body(cx)) {
            Ok(Decoded::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Decoded::Trailers(fields)) => Some(Ok(Frame::trailers(fields))),
            Ok(Decoded::End | Decoded::Needs) => None,
            Err(error) => Some(Err(error)),
        };
        let (over, rest) = (wire.body.decoder.is_over(), wire.body.decoder.rest());
        drop(wire);
        self.rest = rest;
        if over || matches!(frame, Some(Err(_))) {
            self.wire = None;
            self.rest = Some(0);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.wire.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        let Some(wire) = &self.wire else { return };
        let mut wire = wire.lock();
        wire.body.left = true;
        if let Some(waits) = wire.body.waits_for_end.take() {
            waits.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use prometheus::{IntCounterVec, Opts};
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::proxy::client::Client;
    use crate::proxy::in_flight::Counter;
    use crate::proxy::patience::Pace;
    use crate::report::limits_hit::LimitsHit;

    /// A wire, and its client's end of it.
    fn wire() -> (SharedWire, DuplexStream) {
        let (near, far) = duplex(1024 * 1024);
        let hits =
            LimitsHit::new(&IntCounterVec::new(Opts::new("hits", "hits"), &["limit"]).expect("counts"));
        let counted = Counter::new().enter(1).expect("one");
        let client = Client::new(None, Pace::new(Duration::MAX, hits));
        (Wire::new(ClientStream::new(Box::new(near), client, counted)), far)
    }

    // A client may be sending without end what nobody wants.
    #[tokio::test]
    async fn what_nobody_wants_is_dropped_a_read_at_a_time_and_what_comes_behind_it_is_kept() {
        const LONG: usize = 900_000;
        let (wire, mut client) = wire();
        let length = BodyLength::Exact(LONG as u64);
        drop(ClientBody::begin(&wire, Behind { length, awaits_continue: true, may_upgrade: false }));
        client.write_all(&[&[b'x'; LONG], &b"GET"[..]].concat()).await.expect("room for it");
        let mut longest = 0;
        poll_fn(|cx| {
            let mut wire = wire.lock();
            assert!(wire.poll_left(cx).is_pending());
            longest = longest.max(wire.come.len());
            if wire.taken() == Taken::Whole { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(longest <= 128 * 1024, "{longest} at a time");
        assert_eq!(&wire.lock().come[..], b"GET");
        // Nor was anybody invited to send it.
        wire.lock().close();
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.expect("the end");
        assert!(told.is_empty(), "{}", String::from_utf8_lossy(&told));
    }
}
