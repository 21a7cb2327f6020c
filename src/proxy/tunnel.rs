//! Upgraded connections: bytes go both ways, and their protocol is none of our business.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::ask::Ask;
use super::client_tunnel::ClientUpgrade;
use super::origin::connection::OriginTunnel;
use crate::report::limits_hit::Limit;

/// Passes bytes both ways until one side ends, or neither has sent anything for `tunnel_idle_timeout`. It
/// counts as a request in flight meanwhile.
pub fn tunnel(ask: &Ask, client: Option<ClientUpgrade>, origin: Option<OriginTunnel>) {
    let (Some(client), Some(origin)) = (client, origin) else { return };
    let (in_flight, hits) = (ask.in_flight.clone(), ask.bounds.hits);
    let at_most = ask.live.limits.tunnel_idle_timeout;
    tokio::spawn(async move {
        let _counted = in_flight;
        let Some(client) = client.tunnel().await else {
            return tracing::debug!("an upgrade came to nothing: its client has left");
        };
        let heard = Arc::new(Mutex::new(Instant::now()));
        let (mut client, mut origin) = (Side::new(client, &heard), Side::new(origin, &heard));
        tokio::select! {
            copied = tokio::io::copy_bidirectional(&mut client, &mut origin) => {
                if let Err(error) = copied {
                    tracing::debug!(%error, "an upgraded connection ended");
                }
            }
            () = unused(&heard, at_most) => hits.hit(Limit::TunnelIdle),
        }
    });
}

/// Over when nothing was heard for so long.
async fn unused(heard: &Mutex<Instant>, at_most: Duration) {
    loop {
        let end = *heard.lock() + at_most;
        if end <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(end).await;
    }
}

/// One side of a tunnel, which notes when it was heard last.
struct Side<S> {
    stream: S,
    heard: Arc<Mutex<Instant>>,
}

impl<S> Side<S> {
    fn new(stream: S, heard: &Arc<Mutex<Instant>>) -> Self {
        Side { stream, heard: heard.clone() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Side<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            *self.heard.lock() = Instant::now();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Side<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
