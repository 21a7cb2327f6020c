//! pingora hands over a stream; hyper reads requests from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;

use super::gateway::Gateway;
use super::handle::handle;
use super::request_line::{Suspects, Watched};

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
        let Some(_connection) = gateway.connections.enter(limits.max_connections) else {
            gateway.metrics.client_connections_refused.inc();
            return None;
        };
        let peer = stream
            .get_socket_digest()
            .and_then(|digest| digest.peer_addr().and_then(|address| address.as_inet().copied()));
        let suspects = Suspects::default();
        let watched = Watched::new(stream, suspects.clone(), limits.body_idle_timeout);
        let asked = Arc::new(AtomicBool::new(false));
        let has_asked = asked.clone();
        let service = service_fn(move |mut request| {
            asked.store(true, Ordering::Relaxed);
            suspects.mark(&mut request);
            handle(gateway.clone(), request, peer)
        });
        let connection = http_builder(limits.max_header_bytes, limits.max_header_count, limits.idle_timeout)
            .serve_connection(TokioIo::new(watched), service)
            .with_upgrades();
        drive(connection, &has_asked, shutdown.clone()).await;
        None
    }
}

/// How connections are read, on every listener.
pub fn http_builder(max_header_bytes: usize, max_headers: usize, idle_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .max_header_size(max_header_bytes)
        .max_headers(max_headers)
        .header_read_timeout(idle_timeout)
        .preserve_header_case(true);
    builder
}

/// Runs a connection to its end; when the server stops, to the end of the request that it is in.
async fn drive<S>(
    connection: http1::UpgradeableConnection<TokioIo<Watched<Stream>>, S>,
    has_asked: &AtomicBool,
    mut shutdown: ShutdownWatch,
) where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = super::body::AnswerBody> + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        // A request that is here already counts.
        biased;
        ended = connection.as_mut() => ended,
        () = stopping(&mut shutdown) => {
            // Part of a first request's head would hold the end up for as long as it likes.
            if !has_asked.load(Ordering::Relaxed) {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client connection ended");
    }
}

async fn stopping(shutdown: &mut ShutdownWatch) {
    // An error means that whoever could stop us is gone: then nobody will.
    if shutdown.wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending::<()>().await;
    }
}
