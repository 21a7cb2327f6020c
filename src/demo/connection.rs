//! One client's connection: kept alive, opened again when it is gone, never sending anything twice.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Far more than a counter or a problem document needs; what is longer did not come from them.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// A client's one connection to its target.
pub(super) struct Connection {
    target: SocketAddr,
    host: HeaderValue,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// `Retry-After` in seconds; its form as a date is not used by what the storm talks to.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

/// No whole answer came.
#[derive(Debug)]
pub(super) struct ConnectionLost {
    /// Whether the request may have reached the target.
    pub(super) delivery: Delivery,
    /// What happened, for a person.
    pub(super) why: String,
}

/// What is known of a request that got no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Not a byte of it left.
    NotSent,
    /// It may have been applied.
    MayHaveArrived,
}

fn not_sent(what: &str, error: &dyn std::error::Error) -> ConnectionLost {
    ConnectionLost { delivery: Delivery::NotSent, why: format!("{what}: {error}") }
}

fn maybe_arrived(what: &str, error: &dyn std::error::Error) -> ConnectionLost {
    ConnectionLost { delivery: Delivery::MayHaveArrived, why: format!("{what}: {error}") }
}

impl Connection {
    /// A connection that opens with its first request.
    pub(super) fn new(target: SocketAddr, host: HeaderValue) -> Self {
        Connection { target, host, sender: None }
    }

    /// Sends one request and reads its answer. After an error the next one opens a new connection.
    pub(super) async fn exchange(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Answer, ConnectionLost> {
        request.headers_mut().insert(HOST, self.host.clone());
        // Closing a connection after an answer is a server's right and no error.
        let mut sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => self.open().await?,
        };
        sender.ready().await.map_err(|error| not_sent("the connection closed", &error))?;
        let answer =
            sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
                Some(_) => not_sent("the connection closed", error.error()),
                None => maybe_arrived("the connection was lost before the answer", error.error()),
            })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER)
            .collect()
            .await
            .map_err(|error| maybe_arrived("the connection was lost within the answer", error.as_ref()))?;
        self.sender = Some(sender);
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, ConnectionLost> {
        let stream =
            TcpStream::connect(self.target).await.map_err(|error| not_sent("no connection", &error))?;
        // Head and body of a PUT may leave in two segments; the second must not wait for the first's ACK.
        stream.set_nodelay(true).map_err(|error| not_sent("no connection", &error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| not_sent("no connection", &error))?;
        // It ends when the sender is dropped or the peer closes; the sender hears of any error.
        tokio::spawn(connection);
        Ok(sender)
    }
}
