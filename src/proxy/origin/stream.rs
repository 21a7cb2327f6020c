//! A TCP connection to the origin that can be looked at while hyper owns it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use prometheus::IntGauge;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::proxy::patience::{Pace, Paced};

/// The half that hyper reads and writes.
pub struct OriginStream {
    socket: Arc<TcpStream>,
    /// An origin that takes nothing of what it is sent has its connection broken.
    paced: Paced,
    open: IntGauge,
}

/// The half that the pool looks at.
#[derive(Clone)]
pub struct Liveness(Arc<TcpStream>);

/// Wraps a connected socket; `open` counts it while it lives, and `pace` is what is expected of the origin
/// while it is sent something.
pub fn share(socket: TcpStream, open: IntGauge, pace: Arc<Pace>) -> (OriginStream, Liveness) {
    open.inc();
    let socket = Arc::new(socket);
    (OriginStream { socket: socket.clone(), paced: Paced::new(pace), open }, Liveness(socket))
}

impl Liveness {
    /// Whether the origin has neither closed the unused connection nor sent anything on it. One
    /// system call; asks the kernel, not the reactor, which may not have heard of it yet.
    pub fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        match SockRef::from(&*self.0).peek(&mut byte) {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

impl OriginStream {
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
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            match self.socket.try_read_buf(buf) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
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
        let written = self.write(cx, slices);
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
