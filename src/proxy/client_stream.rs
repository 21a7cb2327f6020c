//! A client's connection that is watched while hyper waits for an answer to send.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The half that hyper reads and writes.
pub struct ClientStream<S>(Arc<Mutex<Shared<S>>>);

/// The half that tells when the client is gone.
pub struct Watch<S>(Arc<Mutex<Shared<S>>>);

struct Shared<S> {
    stream: S,
    /// What the watch has read and hyper has not asked for yet.
    ahead: Bytes,
    ended: bool,
}

/// Takes a connection apart. Both halves are to be polled by one task.
pub fn watch<S>(stream: S) -> (ClientStream<S>, Watch<S>) {
    let shared = Arc::new(Mutex::new(Shared { stream, ahead: Bytes::new(), ended: false }));
    (ClientStream(shared.clone()), Watch(shared))
}

impl<S: AsyncRead + Unpin> Watch<S> {
    /// Ready when the connection is broken, as by a client that resets it.
    ///
    /// A client that closes its side may still wait for its answer (RFC 9112 section 9.6), for which
    /// reason hyper does not look at the connection while it has a request in hand, and this does. Looks
    /// no further than one piece of the next request. To be polled after hyper has had its turn.
    pub async fn broken(&self) -> io::Error {
        poll_fn(|cx| {
            /// Enough to see that there is something; most clients send nothing before their answer.
            const LOOK: usize = 256;
            let mut shared = self.0.lock();
            if shared.ended || !shared.ahead.is_empty() {
                return Poll::Pending;
            }
            let mut space = [MaybeUninit::uninit(); LOOK];
            let mut found = ReadBuf::uninit(&mut space);
            match Pin::new(&mut shared.stream).poll_read(cx, &mut found) {
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
            }
            shared.ended = found.filled().is_empty();
            shared.ahead = Bytes::copy_from_slice(found.filled());
            // hyper may have begun to wait for just this in the same turn.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.0.lock();
        if !shared.ahead.is_empty() {
            let ready = shared.ahead.len().min(buf.remaining());
            buf.put_slice(&shared.ahead.split_to(ready));
            return Poll::Ready(Ok(()));
        }
        if shared.ended {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut shared.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_shutdown(cx)
    }
}
