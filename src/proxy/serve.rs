//! pingora hands over a stream, which becomes a client's connection.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::client::{Client, ClientStream};
use super::connection::Connection;
use super::gateway::Gateway;
use super::patience::Pace;
use super::refuse::last_word;
use crate::decide::say;
use crate::report::limits_hit::Limit;

/// The proxy, as pingora's listeners see it.
pub struct Proxy(Arc<Gateway>);

impl Proxy {
    /// Serves with this gateway.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Proxy(gateway)
    }
}

#[async_trait]
impl ServerApp for Proxy {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let gateway = self.0.clone();
        let limits = gateway.live.load().limits.clone();
        let hits = gateway.metrics.limits;
        let Some(counted) = gateway.connections.enter(limits.max_connections) else {
            gateway.metrics.client_connections_refused.inc();
            hits.hit(Limit::Connections);
            turn_away(stream).await;
            return None;
        };
        let peer = stream
            .get_socket_digest()
            .and_then(|digest| digest.peer_addr().and_then(|address| address.as_inet().map(SocketAddr::ip)));
        let client = Client::new(peer, Pace::new(limits.body_idle_timeout, hits));
        let stream = ClientStream::new(stream, client.clone(), counted);
        Connection::new(gateway, limits, client, stream, shutdown.clone()).serve().await;
        None
    }
}

/// 503, without waiting for a request.
static TOO_MANY: LazyLock<Vec<u8>> = LazyLock::new(|| last_word(&say::too_many_connections()));

/// Tells a client that there is no room for its connection, and closes it.
///
/// Waits for so long at most until the client has closed its side: unread bytes would turn the end into a
/// reset, which can overtake the answer. Only so many wait at a time; the others are closed at once.
async fn turn_away(mut stream: Stream) {
    const FOR: Duration = Duration::from_millis(250);
    static PLACES: Semaphore = Semaphore::const_new(64);
    let Ok(_place) = PLACES.try_acquire() else { return };
    let told = async {
        stream.write_all(&TOO_MANY).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Best effort: whatever comes of it, the connection is closed.
    let _told_or_not = tokio::time::timeout(FOR, told).await;
}
