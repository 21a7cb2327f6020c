//! A connection to the origin, which carries one request at a time.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use http::{Method, StatusCode};
use prometheus::IntGauge;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::pool::Lease;
use super::upload::{Beside, NotSent, Upload};
use crate::http1::head::{AnswerHead, BadHead, HeadLimits, take_answer};
use crate::proxy::lazy_timer::LazyTimer;
use crate::proxy::outgoing::OutgoingBody;
use crate::proxy::patience::{Bounds, Clock, Patience};
use crate::proxy::reading::Room;

/// As much as is read of an answer's head: more than servers send.
const ANSWER: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 100 };
/// The most interim answers (RFC 9110 section 15.2) to one request: an origin that sends them without end is not answering.
const MOST_INTERIM: u8 = 100;

/// An open connection.
pub struct Connection {
    socket: Arc<TcpStream>,
    open: IntGauge,
    /// What has come and was not taken yet.
    pub come: BytesMut,
    /// How much of that was looked at for the end of a head.
    seen: usize,
    /// Interim answers to the present request.
    interim: u8,
    room: Room,
    /// What goes out.
    pub upload: Upload,
    /// What still goes out beside the answer.
    pub beside: Option<Arc<Beside>>,
    /// When the answer to its last request was due.
    pub timer: LazyTimer,
    /// Whether the origin goes on after its last answer.
    pub persists: bool,
}

/// Why there is no answer's head.
#[derive(Debug)]
pub enum NoHead {
    /// The request was not sent to its end.
    NotSent(NotSent),
    /// The connection ended, or was broken.
    Lost(io::Error),
    /// What came is no answer.
    Bad(BadHead),
}

impl Connection {
    /// Over a connected socket; `open` counts it while it lives.
    pub fn new(socket: TcpStream, open: IntGauge) -> Self {
        open.inc();
        let socket = Arc::new(socket);
        Connection {
            upload: Upload::new(socket.clone()),
            socket,
            open,
            come: BytesMut::new(),
            seen: 0,
            interim: 0,
            room: Room::default(),
            beside: None,
            timer: LazyTimer::default(),
            persists: true,
        }
    }

    /// Whether the origin has neither closed the unused connection nor sent anything on it. One system call; asks
    /// the kernel, not the reactor, which may not have heard of it yet.
    pub fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        match SockRef::from(&*self.socket).peek(&mut byte) {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// The same as far as the reactor has heard: no system call while there is nothing.
    pub fn seems_quiet(&mut self) -> bool {
        self.come.is_empty()
            && matches!(self.try_fill(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether it can carry another request: this one has left, all of its answer was taken, nothing came after
    /// that, and neither side means to close it.
    pub fn is_reusable(&self) -> bool {
        let sent = match &self.beside {
            Some(beside) => beside.is_done(),
            None => self.upload.is_done(),
        };
        sent && self.persists && self.come.is_empty()
    }

    /// Whether a write has failed: what was sent over the connection last may lack its end.
    pub fn has_failed(&self) -> bool {
        self.upload.failed().is_some() || self.beside.as_ref().is_some_and(|beside| beside.has_failed())
    }

    /// Nobody waits for anything on it.
    pub fn rest(&mut self) {
        self.beside = None;
        self.seen = 0;
        self.interim = 0;
        self.upload.rest();
        self.room.rest(&mut self.come);
    }

    /// Sends a request that was begun, and reads the head of its answer, which may come before all of it was sent.
    ///
    /// # Errors
    /// If there is none.
    pub fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        body: &mut OutgoingBody,
        bounds: &Bounds,
    ) -> Poll<Result<AnswerHead, NoHead>> {
        if let Poll::Ready(Err(not_sent)) = self.upload.poll_send(cx, body, bounds) {
            return Poll::Ready(Err(NoHead::NotSent(not_sent)));
        }
        loop {
            match take_answer(&mut self.come, self.seen, ANSWER, method).map_err(NoHead::Bad)? {
                Some(head) => {
                    self.seen = 0;
                    let status = head.answer.status;
                    if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                        return Poll::Ready(Ok(head));
                    }
                    self.interim = self.interim.saturating_add(1);
                    if self.interim > MOST_INTERIM {
                        return Poll::Ready(Err(NoHead::Bad(BadHead::Malformed)));
                    }
                    if status == StatusCode::CONTINUE {
                        // Wakes whoever waits for that.
                        body.is_asked_for();
                    }
                }
                None => {
                    self.seen = self.come.len();
                    if ready!(self.poll_fill(cx)).map_err(NoHead::Lost)? == 0 {
                        let ended =
                            io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without an answer");
                        return Poll::Ready(Err(NoHead::Lost(ended)));
                    }
                }
            }
        }
    }

    /// Reads what comes; `0` at the end.
    ///
    /// # Errors
    /// If the connection is broken; with what a write failed with, once all that had arrived before was read.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // What is sent beside it may fail of something that no socket tells, such as a client that breaks off.
        if self.upload.failed().is_some()
            || self.beside.as_ref().is_some_and(|beside| beside.fails_beside(cx))
        {
            return Poll::Ready(
                self.read_rest(self.upload.failed().unwrap_or(io::ErrorKind::ConnectionReset)),
            );
        }
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            match self.try_fill() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) if self.beside.as_ref().is_some_and(|beside| beside.has_failed_by_now()) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                done => return Poll::Ready(done),
            }
        }
    }

    /// Reads what has arrived. Where that leaves room in the buffer the socket is empty, and says so to the reactor at
    /// once: to ask again would cost a system call to learn the same.
    fn try_fill(&mut self) -> io::Result<usize> {
        let room = self.room.make(&mut self.come);
        let mut read = 0;
        let (socket, come) = (&self.socket, &mut self.come);
        let tried = socket.try_io(Interest::READABLE, || {
            read = socket.try_read_buf(come)?;
            if (1..room).contains(&read) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        self.room.was_read(read, room);
        if read > 0 { Ok(read) } else { tried.map(|()| 0) }
    }

    /// Reads what had arrived before the origin hung up; asks the kernel, not the reactor, which may not have heard of
    /// it yet. All of it has: a reset counts only behind the last byte before it.
    fn read_rest(&mut self, cause: io::ErrorKind) -> io::Result<usize> {
        let mut buffer = [0; 8 * 1024];
        match (&*SockRef::from(&*self.socket)).read(&mut buffer) {
            Ok(0) => Err(cause.into()),
            Ok(read) => {
                self.come.extend_from_slice(buffer.get(..read).unwrap_or_default());
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(cause.into()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// A connection that has become a tunnel: what came behind the answer comes first.
pub struct OriginTunnel {
    lease: Lease,
    /// How long the origin may take nothing of what it is sent.
    patience: Patience,
    clock: Clock,
}

impl OriginTunnel {
    /// Of an answered request's connection.
    pub fn new(lease: Lease, bounds: &Bounds) -> Self {
        OriginTunnel { lease, patience: bounds.patience(None), clock: Clock::default() }
    }
}

impl AsyncRead for OriginTunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Connection { socket, come, .. } = &mut *self.lease.connection;
        if !come.is_empty() {
            let here = come.len().min(buf.remaining());
            buf.put_slice(come.get(..here).unwrap_or_default());
            come.advance(here);
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(socket.poll_read_ready(cx))?;
            match socket.try_read(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for OriginTunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let socket = &this.lease.connection.socket;
        loop {
            match socket.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    this.clock.heard();
                    return Poll::Ready(done);
                }
            }
            if socket.poll_write_ready(cx)?.is_pending() {
                ready!(this.clock.poll_out(&this.patience, cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.lease.connection.socket).shutdown(Shutdown::Write))
    }
}
