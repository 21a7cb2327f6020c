//! pingora hands over a stream; hyper reads requests from it.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::client::{Client, ClientStream};
use super::gateway::Gateway;
use super::handle::handle;
use super::lazy_timer::HeadTimer;
use super::patience::Pace;
use super::refuse::last_word;
use super::request_body::invite;
use crate::config::checked::Limits;
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
        let hits = gateway.metrics.limits.clone();
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
        let (asking, asked) = (client.clone(), gateway.clone());
        let service = service_fn(move |mut request| {
            asking.asks(&mut request);
            match invite(&mut request) {
                Ok(()) => handle(asked.clone(), request, asking.clone()),
                Err(lost) => Box::pin(ready(Err(lost))),
            }
        });
        let connection = http_builder(HeadLimits::of_clients(&limits))
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        // Before its stream is dropped, so that who sees the connection end sees the count too.
        let note = |error: &hyper::Error| {
            tracing::debug!(%error, "a client connection ended");
            note_head(&gateway, &limits, &client, error);
        };
        drive(connection, &client, shutdown.clone(), note).await;
        None
    }
}

/// How much of a request's head hyper reads, and how long it waits for one.
pub struct HeadLimits {
    /// Bytes of its line and fields.
    pub bytes: usize,
    /// Fields; `None`: hyper's own 100.
    pub fields: Option<usize>,
    /// For a head, and between requests.
    pub idle: Duration,
}

/// hyper's own limit, which costs nothing. Any other one, the same number included, makes it fill two
/// lists of so many entries for each request: 0.2 us (measured, with 100 as with 128), 1.2 us with 1000.
const HYPERS_FIELDS: usize = 100;

impl HeadLimits {
    /// Somewhat more than clients may send, so that who sends a little too much is told what to do by
    /// [`handle`]; beyond that hyper answers by itself, without a text.
    fn of_clients(limits: &Limits) -> Self {
        let somewhat_more = |limit: usize| limit.saturating_add(limit / 4);
        HeadLimits {
            bytes: somewhat_more(limits.max_header_bytes),
            fields: (limits.max_header_count >= HYPERS_FIELDS)
                .then(|| somewhat_more(limits.max_header_count)),
            idle: limits.idle_timeout,
        }
    }
}

/// What hyper may buffer of a message in each direction, beyond a head that may be larger: enough that
/// large bodies lose nothing, and a sixth of its own limit, which slow peers would make it keep.
pub const MOST_BUFFERED: usize = 64 * 1024;

/// How a connection is read, on every listener. One for each: its timer serves one head at a time.
pub fn http_builder(head: HeadLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(HeadTimer::default())
        .max_header_size(head.bytes)
        .max_buf_size(head.bytes.max(MOST_BUFFERED))
        // For the whole head, from the end of the request before it: a client that drips is not heard.
        .header_read_timeout(head.idle)
        .preserve_header_case(true);
    if let Some(fields) = head.fields {
        builder.max_headers(fields);
    }
    builder
}

/// Runs a connection to its end; when the server stops, to the end of the request that it is in.
async fn drive<S>(
    connection: http1::UpgradeableConnection<TokioIo<ClientStream<Stream>>, S>,
    client: &Client,
    mut shutdown: ShutdownWatch,
    note: impl FnOnce(&hyper::Error),
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
            if !client.has_asked() {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = ended {
        note(&error);
    }
}

/// Counts a head that hyper refused by itself, or that did not end in time: hyper has no answer to that.
fn note_head(gateway: &Gateway, limits: &Limits, client: &Client, error: &hyper::Error) {
    let hits = &gateway.metrics.limits;
    if error.is_timeout() {
        if client.unasked() > 0 {
            hits.hit(Limit::HeadTime);
            // Said when the stream is dropped.
            client.last_word(&TOO_SLOW);
        }
    } else if error.is_parse_too_large() {
        // The one of hyper's three limits that has another text.
        if error.to_string().contains("URI") {
            hits.hit(Limit::TargetBytes);
        } else if client.refused_by_hyper() > limits.max_header_bytes {
            hits.hit(Limit::HeaderBytes);
        } else {
            hits.hit(Limit::HeaderCount);
        }
    }
}

/// 503, without waiting for a request.
static TOO_MANY: LazyLock<Vec<u8>> = LazyLock::new(|| last_word(&say::too_many_connections()));
/// 408, for a head that was begun.
static TOO_SLOW: LazyLock<Vec<u8>> = LazyLock::new(|| last_word(&say::head_too_slow()));

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

async fn stopping(shutdown: &mut ShutdownWatch) {
    // An error means that whoever could stop us is gone: then nobody will.
    if shutdown.wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending::<()>().await;
    }
}
