//! A TCP connection to the origin that can be looked at while hyper owns it.
//!
//! An origin that has said its last word may hang up on a body that is still coming. hyper takes the
//! error of the write that meets the reset for the end, with the answer unread in the kernel. So the read
//! side decides here: once a write has failed, whatever else is written is dropped, what has arrived is
//! still read, and then reading fails with the write's error. It never waits and never ends cleanly, so
//! nothing can hang on it or look whole; [`Liveness::has_failed`] tells that the request may lack its end.

use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use prometheus::IntGauge;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::proxy::patience::{Pace, Paced};

/// The half that hyper reads and writes.
pub struct OriginStream {
    socket: Arc<TcpStream>,
    /// An origin that takes nothing of what it is sent has its connection broken.
    paced: Paced,
    open: IntGauge,
    state: Arc<State>,
    /// What the first write that failed failed with.
    cause: io::ErrorKind,
}

/// The half that the pool looks at.
pub struct Liveness {
    socket: Arc<TcpStream>,
    state: Arc<State>,
}

/// What both halves know.
#[derive(Default)]
struct State {
    /// A write has failed.
    failed: AtomicBool,
    /// The last write found no room.
    blocked: AtomicBool,
}

/// Wraps a connected socket; `open` counts it while it lives, and `pace` is what is expected of the origin
/// while it is sent something.
pub fn share(socket: TcpStream, open: IntGauge, pace: Arc<Pace>) -> (OriginStream, Liveness) {
    open.inc();
    let socket = Arc::new(socket);
    let state = Arc::<State>::default();
    let stream = OriginStream {
        socket: socket.clone(),
        paced: Paced::new(pace),
        open,
        state: state.clone(),
        cause: io::ErrorKind::ConnectionReset,
    };
    (stream, Liveness { socket, state })
}

impl Liveness {
    /// Whether the origin has neither closed the unused connection nor sent anything on it. One
    /// system call; asks the kernel, not the reactor, which may not have heard of it yet.
    pub fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        match SockRef::from(&*self.socket).peek(&mut byte) {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock && !self.has_failed(),
        }
    }

    /// Whether a write has failed: what was sent over the connection last may lack its end.
    pub fn has_failed(&self) -> bool {
        self.state.failed.load(Ordering::Acquire)
    }

    /// Whether the last write found no room: hyper has more to send, which somebody has to poll it for.
    pub fn is_blocked(&self) -> bool {
        self.state.blocked.load(Ordering::Acquire)
    }
}

/// Whether a write failed because the origin has hung up.
fn is_end(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl OriginStream {
    fn has_failed(&self) -> bool {
        self.state.failed.load(Ordering::Acquire)
    }

    /// Reads what had arrived before the origin hung up; asks the kernel, not the reactor, which may not
    /// have heard of it yet. All of it has: a reset counts only behind the last byte before it.
    fn read_rest(&self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        match (&*SockRef::from(&*self.socket)).read(buf.initialize_unfilled()) {
            Ok(0) => Err(self.cause.into()),
            Ok(n) => {
                buf.advance(n);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(self.cause.into()),
            Err(error) => Err(error),
        }
    }

    /// Reads what has arrived. Where that leaves room in the buffer the socket is empty, and says so to the
    /// reactor at once: hyper asks again after every read, which would cost a system call to learn the same.
    fn try_read(&self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let room = buf.remaining();
        let mut read = 0;
        let tried = self.socket.try_io(Interest::READABLE, || {
            read = self.socket.try_read_buf(buf)?;
            if (1..room).contains(&read) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if read > 0 { Ok(()) } else { tried }
    }

    fn write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_write_ready(cx))?;
            match self.socket.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl Drop for OriginStream {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl AsyncRead for OriginStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.has_failed() {
            return Poll::Ready(self.read_rest(buf));
        }
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            match self.try_read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncWrite for OriginStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let dropped = slices.iter().map(|slice| slice.len()).sum();
        if self.has_failed() {
            return Poll::Ready(Ok(dropped));
        }
        let written = self.write(cx, slices);
        self.state.blocked.store(written.is_pending(), Ordering::Release);
        if let Poll::Ready(Err(error)) = &written
            && is_end(error.kind())
        {
            self.cause = error.kind();
            self.state.failed.store(true, Ordering::Release);
            // The read side has the last word, and has to be asked for it.
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(dropped));
        }
        self.paced.taken(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.socket).shutdown(Shutdown::Write))
    }
}
