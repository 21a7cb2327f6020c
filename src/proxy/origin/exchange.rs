//! One request, sent at most once, and the head of its answer.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{StatusCode, header};
use tokio::time::Instant;

use super::connection::NoHead;
use super::pool::{Lease, NoConnection, Over, Pool};
use super::upload::{NotSent, RequestEnd};
use crate::decide::outcome::WriteEnd;
use crate::http1::framing::asks_to_close;
use crate::http1::head::AnswerHead;
use crate::http1::head_out::{OwnLength, write_request};
use crate::http1::message::{Answer, OriginRequest};
use crate::proxy::body::OriginBody;
use crate::proxy::lazy_timer::LazyTimer;
use crate::proxy::outgoing::{BodyProgress, OutgoingBody};
use crate::proxy::patience::Bounds;
use crate::proxy::turn::Turn;
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
/// A request of which no byte has left, because its connection was found dead, is sent over a new connection; one of
/// which a byte may have left is never sent again (rule R6).
///
/// # How long it takes at most
///
/// | wait | bound |
/// |---|---|
/// | for the others that are ready, once | what they do without waiting |
/// | for a connection to come free | `connect_timeout` |
/// | for a connection to be made | `connect_timeout` for each server of the upstream |
/// | for the client to send its body, and the origin to take it meanwhile | `upload_timeout` |
/// | for the origin to take the next of what is here already | `body_idle_timeout` |
/// | for the answer's head after that | `response_timeout` |
///
/// All of it together, and the answer's body too, is bounded by `request_timeout`. A connection that
/// proves to be dead before a byte has left begins the first two again; an idle one is tried at most
/// once each, a new one once.
///
/// # Errors
/// Says how far the request got.
pub fn exchange<'a>(
    pool: &'a Arc<Pool>,
    (head, mut body): (Box<OriginRequest>, OutgoingBody),
    bounds: &'a Bounds,
    mut over: Over,
) -> impl Future<Output = Result<Answer<OriginBody>, NoAnswer>> + Send + 'a {
    let asks = Asks {
        to_upgrade: head.headers.contains_key(header::UPGRADE),
        to_close: asks_to_close(&head.headers),
    };
    // Not an `async fn`, which would keep the request twice. What is rarely waited for is in boxes.
    async move {
        // Before a connection is looked at: what is known of it would grow old.
        Turn::default().await;
        loop {
            let now = Instant::now();
            if bounds.total.at() <= now {
                return Err(out_of_time(bounds));
            }
            let mut lease = match pool.lease_idle(over, now) {
                Some(lease) => lease,
                None => Box::pin(lease_in_time(pool, over, bounds)).await?,
            };
            let progress = body.progress().clone();
            progress.begin(|| bounds.end_of_upload(now));
            let response_timeout = pool.upstream().response_timeout;
            let connection = &mut *lease.connection;
            let length = OwnLength::of(&body);
            connection.upload.begin(|out| write_request(&head, length, out));
            let driven = {
                let mut timer = std::mem::take(&mut connection.timer);
                let driven = {
                    let mut overdue = pin!(overdue(&progress, bounds, response_timeout, &mut timer, now));
                    // Most requests are sent as soon as they are begun, and then need only one timer.
                    poll_fn(|cx| match connection.poll_exchange(cx, &head.method, &mut body, bounds) {
                        Poll::Ready(answered) => Poll::Ready(answered.map_err(Lost::Failed)),
                        Poll::Pending => overdue.as_mut().poll(cx).map(|limit| Err(Lost::Overdue(limit))),
                    })
                    .await
                };
                connection.timer = timer;
                driven
            };
            match driven {
                Ok(answer) => return answered(answer, lease, body, bounds, asks),
                Err(lost) => may_go_on(lost, lease.reused, &body)?,
            }
            over = Over::New;
        }
    }
}

/// A connection, no later than the request must be over.
async fn lease_in_time(pool: &Arc<Pool>, over: Over, bounds: &Bounds) -> Result<Lease, NoAnswer> {
    tokio::time::timeout_at(bounds.total.at(), pool.lease(over))
        .await
        .map_err(|_| out_of_time(bounds))?
        .map_err(not_sent)
}

/// Why no answer came to a request that was begun.
enum Lost {
    Overdue(Limit),
    Failed(NoHead),
}

/// Whether the request may go out over another connection: no byte of it has left.
fn may_go_on(lost: Lost, reused: bool, body: &OutgoingBody) -> Result<(), NoAnswer> {
    let progress = body.progress();
    let failed = match lost {
        Lost::Overdue(limit) => {
            let end = if progress.is_sent() { WriteEnd::NoAnswerInTime } else { WriteEnd::RequestIncomplete };
            return Err(NoAnswer { end, reused, cause: format!("no answer in time: {}", limit.key()) });
        }
        Lost::Failed(failed) => failed,
    };
    // Whoever saw it first: the body, or the connection that had no room for it.
    let incomplete = progress.is_broken() || progress.overran();
    let (end, cause) = match failed {
        // Of a body that was begun to be taken nothing can be taken again.
        NoHead::NotSent(NotSent::Unsent(_)) if reused && body.is_untouched() => return Ok(()),
        NoHead::NotSent(NotSent::Unsent(error)) => (WriteEnd::NotSent, error.to_string()),
        NoHead::NotSent(NotSent::Broken(cause)) => (WriteEnd::RequestIncomplete, cause),
        NoHead::NotSent(NotSent::TooSlow(error)) | NoHead::Lost(error) => {
            (WriteEnd::ConnectionLost, describe(&error))
        }
        NoHead::Bad(bad) => (WriteEnd::BadAnswer, format!("what came is no answer: {bad:?}")),
    };
    let end = if incomplete && end != WriteEnd::NotSent { WriteEnd::RequestIncomplete } else { end };
    Err(NoAnswer { end, reused, cause })
}

fn describe(error: &io::Error) -> String {
    format!("the connection to the origin ended: {error}")
}

/// What a request asks of its connection.
#[derive(Clone, Copy)]
struct Asks {
    to_upgrade: bool,
    to_close: bool,
}

fn answered(
    head: AnswerHead,
    mut lease: Lease,
    body: OutgoingBody,
    bounds: &Bounds,
    asks: Asks,
) -> Result<Answer<OriginBody>, NoAnswer> {
    let AnswerHead { answer, length, persists } = head;
    let upgraded = answer.status == StatusCode::SWITCHING_PROTOCOLS;
    if upgraded && !asks.to_upgrade {
        // Nobody asked for another protocol: what comes next on this connection means nothing.
        let cause = "101 to a request that asked for no upgrade".to_owned();
        return Err(NoAnswer { end: WriteEnd::BadAnswer, reused: lease.reused, cause });
    }
    lease.connection.persists = persists && !asks.to_close && !upgraded;
    let connection = &mut *lease.connection;
    let (sent, failed) = (connection.upload.is_done(), connection.has_failed());
    if upgraded && !sent {
        // The rest of its body would be taken for what the new protocol begins with.
        let cause = "101 before the request had been sent to its end".to_owned();
        return Err(NoAnswer { end: WriteEnd::BadAnswer, reused: lease.reused, cause });
    }
    // The rest of the request is sent beside its answer, and whatever becomes of that; or only taken off its client,
    // where the origin has hung up.
    let end = if body.progress().is_sending() || !(sent || failed) {
        let beside = connection.upload.beside(body, bounds.clone());
        connection.beside = Some(beside.clone());
        RequestEnd::Beside(beside)
    } else {
        RequestEnd::Known(sent && body.progress().is_sent())
    };
    let content = match upgraded {
        true => OriginBody::of_tunnel(lease, end, bounds),
        false => OriginBody::new(length, lease, end, bounds),
    };
    Ok(Answer::from_parts(answer, content))
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

fn not_sent(reason: NoConnection) -> NoAnswer {
    let cause = match reason {
        NoConnection::AllInUse => "all connections that max_connections allows are in use".to_owned(),
        NoConnection::Unreachable(error) => error.to_string(),
    };
    not_delivered(cause)
}
