//! One request, sent at most once, and the head of its answer.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use super::pool::{Connection, Lease, NoConnection, Over, Pool};
use crate::decide::outcome::WriteEnd;
use crate::proxy::body::OriginBody;
use crate::proxy::lazy_timer::LazyTimer;
use crate::proxy::outgoing::{BodyProgress, OutgoingBody};
use crate::proxy::patience::Bounds;
use crate::report::limits_hit::Limit;

/// Why there is no answer.
#[derive(Debug)]
pub struct NoAnswer {
    /// What is known of the request's fate; never [`WriteEnd::Answered`].
    pub end: WriteEnd,
    /// Whether the connection had carried a request before, so that the origin may just have closed it.
    pub reused: bool,
    /// For the log.
    pub cause: String,
}

impl NoAnswer {
    /// Whether a request without a body that changes nothing should be sent once more over a new
    /// connection: the one that it was sent on had been used before and ended without an answer, so the
    /// origin had most likely just closed it (RFC 9110 section 9.2.2). Never true of a write's fate.
    pub fn suggests_another_read(&self) -> bool {
        self.reused && self.end == WriteEnd::ConnectionLost
    }
}

/// Sends a request and waits for its answer's head.
///
/// A request that hyper gives back, because no byte of it left, is sent over a new connection; one of
/// which a byte may have left is never sent again (rule R6).
///
/// # How long it takes at most
///
/// | wait | bound |
/// |---|---|
/// | for a connection to come free | `connect_timeout` |
/// | for a connection to be made | `connect_timeout` for each server of the upstream |
/// | for hyper to take the request | `connect_timeout` |
/// | for the origin to take the request, and the client to send its body | `upload_timeout` |
/// | for the answer's head after that | `response_timeout` |
///
/// All of it together, and the answer's body too, is bounded by `request_timeout`. A connection that
/// proves to be dead before a byte has left begins the first three again; an idle one is tried at most
/// once each, a new one once.
///
/// # Errors
/// Says how far the request got.
pub fn exchange<'a>(
    pool: &'a Arc<Pool>,
    mut request: Request<OutgoingBody>,
    bounds: &'a Bounds,
    mut over: Over,
) -> impl Future<Output = Result<Response<OriginBody>, NoAnswer>> + Send + 'a {
    let asks_to_upgrade = request.headers().contains_key(header::UPGRADE);
    // Not an `async fn`, which would keep the request twice. What is rarely waited for is in boxes.
    async move {
        loop {
            let now = Instant::now();
            if bounds.total.at() <= now {
                return Err(out_of_time(bounds));
            }
            let mut lease = match pool.lease_idle(over, now) {
                Some(lease) if lease.is_ready() => lease,
                found => Box::pin(ready_lease(pool, found, over, bounds)).await?,
            };
            let progress = request.body().progress();
            let total =
                if progress.is_sent() { &bounds.total } else { progress.begin(bounds.end_of_upload(now)) };
            lease.connection.pace.set(bounds.patience(Some(total.clone())));
            let response_timeout = pool.upstream().response_timeout;
            let driven = {
                let Connection { sender, driver, timer, .. } = &mut *lease.connection;
                let mut sent = pin!(sender.try_send_request(request));
                let mut overdue = pin!(overdue(&progress, bounds, response_timeout, timer, now));
                // Most requests are sent as soon as they are driven, and then need only one timer.
                poll_fn(|cx| match driver.poll_with(cx, |cx| sent.as_mut().poll(cx)) {
                    Poll::Ready(answered) => {
                        Poll::Ready(answered.map_err(|failed| Lost::Failed(Box::new(failed))))
                    }
                    Poll::Pending => overdue.as_mut().poll(cx).map(|limit| Err(Lost::Overdue(limit))),
                })
                .await
            };
            match driven {
                Ok(answer) => return answered(answer, lease, progress, bounds, asks_to_upgrade),
                Err(lost) => request = given_back(lost, lease.reused, &progress)?,
            }
            over = Over::New;
        }
    }
}

/// A connection that takes a request at once: the one that was `found`, or another.
async fn ready_lease(
    pool: &Arc<Pool>,
    mut found: Option<Lease>,
    over: Over,
    bounds: &Bounds,
) -> Result<Lease, NoAnswer> {
    loop {
        if bounds.total.is_over() {
            return Err(out_of_time(bounds));
        }
        let mut lease = match found.take() {
            Some(lease) => lease,
            None => tokio::time::timeout_at(bounds.total.at(), pool.lease(over))
                .await
                .map_err(|_| out_of_time(bounds))?
                .map_err(not_sent)?,
        };
        match tokio::time::timeout(pool.upstream().connect_timeout, lease.ready()).await {
            Ok(Ok(())) => return Ok(lease),
            Ok(Err(_)) | Err(_) if lease.reused => {}
            Ok(Err(error)) => return Err(not_delivered(error.to_string())),
            Err(_) => return Err(not_delivered("a new connection took no request".to_owned())),
        }
    }
}

/// Why no answer came to a request that was handed to hyper.
enum Lost {
    Overdue(Limit),
    Failed(Box<TrySendError<Request<OutgoingBody>>>),
}

/// The request, if no byte of it has left and another connection may take it.
fn given_back(lost: Lost, reused: bool, progress: &BodyProgress) -> Result<Request<OutgoingBody>, NoAnswer> {
    match lost {
        Lost::Overdue(limit) => {
            let end = if progress.is_sent() { WriteEnd::NoAnswerInTime } else { WriteEnd::RequestIncomplete };
            Err(NoAnswer { end, reused, cause: format!("no answer in time: {}", limit.key()) })
        }
        Lost::Failed(mut failed) => match failed.take_message() {
            Some(request) if reused => Ok(request),
            Some(_) => Err(not_delivered(failed.error().to_string())),
            None => {
                let end = end_of(failed.error(), progress);
                Err(NoAnswer { end, reused, cause: describe(failed.error()) })
            }
        },
    }
}

fn answered(
    answer: Response<Incoming>,
    mut lease: Lease,
    progress: Arc<BodyProgress>,
    bounds: &Bounds,
    asks_to_upgrade: bool,
) -> Result<Response<OriginBody>, NoAnswer> {
    let upgraded = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    if upgraded && !asks_to_upgrade {
        // Nobody asked for another protocol: what comes next on this connection means nothing.
        let cause = "101 to a request that asked for no upgrade".to_owned();
        return Err(NoAnswer { end: WriteEnd::BadAnswer, reused: lease.reused, cause });
    }
    if upgraded {
        lease.connection.pace.becomes_a_tunnel();
    }
    // The rest of the request is sent beside its answer, and whatever becomes of that.
    if upgraded || !progress.is_sent() || lease.is_blocked() {
        lease.connection.driver.detach();
    }
    Ok(answer.map(|incoming| OriginBody::new(incoming, lease, progress, bounds)))
}

/// Over when the request was not sent in time, or the origin has had all of it for `response_timeout`
/// without answering, or the request as a whole is over. While the client is still sending, the limit on
/// its silence holds too.
async fn overdue(
    progress: &BodyProgress,
    bounds: &Bounds,
    response_timeout: Duration,
    timer: &mut LazyTimer,
    mut now: Instant,
) -> Limit {
    if progress.is_sending() {
        if let Err(limit) = Box::pin(progress.over()).await {
            return limit;
        }
        now = Instant::now();
    }
    let answered_by = now + response_timeout;
    let ends = answered_by.min(bounds.total.at());
    poll_fn(|cx| timer.poll_until(ends, cx)).await;
    if answered_by < bounds.total.at() {
        bounds.hits.hit(Limit::ResponseTime);
        return Limit::ResponseTime;
    }
    bounds.total.hit()
}

fn out_of_time(bounds: &Bounds) -> NoAnswer {
    bounds.total.hit();
    not_delivered("request_timeout is over".to_owned())
}

fn not_delivered(cause: String) -> NoAnswer {
    NoAnswer { end: WriteEnd::NotSent, reused: false, cause }
}

fn end_of(error: &hyper::Error, progress: &BodyProgress) -> WriteEnd {
    // Whoever saw it first: the body, or the connection that had no room for it.
    if progress.is_broken() || progress.overran() {
        WriteEnd::RequestIncomplete
    } else if error.is_parse() {
        WriteEnd::BadAnswer
    } else {
        WriteEnd::ConnectionLost
    }
}

fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn not_sent(reason: NoConnection) -> NoAnswer {
    let cause = match reason {
        NoConnection::AllInUse => "all connections that max_connections allows are in use".to_owned(),
        NoConnection::Unreachable(error) => error.to_string(),
    };
    not_delivered(cause)
}
