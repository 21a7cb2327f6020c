//! A client's connection that becomes a tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::wire::SharedWire;

/// A client's connection that may become a tunnel.
pub struct ClientUpgrade {
    /// Told when it has.
    pub upgraded: oneshot::Receiver<()>,
    /// What it is read and written with.
    pub wire: SharedWire,
}

impl ClientUpgrade {
    /// The connection, when its client has been told. `None` if that came to nothing.
    pub async fn tunnel(self) -> Option<ClientTunnel> {
        self.upgraded.await.ok().map(|()| ClientTunnel(self.wire))
    }
}

/// A connection that has become a tunnel: what came behind the request comes first.
pub struct ClientTunnel(SharedWire);

impl AsyncRead for ClientTunnel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.lock();
        if !wire.come.is_empty() {
            let here = wire.come.len().min(buf.remaining());
            buf.put_slice(wire.come.get(..here).unwrap_or_default());
            wire.come.advance(here);
            return Poll::Ready(Ok(()));
        }
        wire.poll_stream(|stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for ClientTunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().poll_stream(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_stream(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_stream(|stream| stream.poll_shutdown(cx))
    }
}
