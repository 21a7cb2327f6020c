//! One request, sent at most once, and the head of its answer.

use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response, StatusCode, header};
use tokio::time::{Instant, Sleep, sleep_until};

use super::pool::{NoConnection, Pool};
use crate::decide::outcome::WriteEnd;
use crate::proxy::body::OriginBody;
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
/// `fresh` asks for a new connection from the start.
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
pub async fn exchange(
    pool: &Arc<Pool>,
    mut request: Request<OutgoingBody>,
    bounds: &Bounds,
    mut fresh: bool,
) -> Result<Response<OriginBody>, NoAnswer> {
    let asks_to_upgrade = request.headers().contains_key(header::UPGRADE);
    loop {
        if bounds.total.is_over() {
            return Err(out_of_time(bounds));
        }
        let mut lease = tokio::time::timeout_at(bounds.total.at(), pool.lease(fresh))
            .await
            .map_err(|_| out_of_time(bounds))?
            .map_err(not_sent)?;
        let reused = lease.reused;
        match tokio::time::timeout(pool.upstream().connect_timeout, lease.ready()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) if reused => continue,
            Ok(Err(error)) => return Err(not_delivered(error.to_string())),
            Err(_) => return Err(not_delivered("a new connection took no request".to_owned())),
        }
        let progress = request.body().progress();
        let total =
            if progress.is_sent() { &bounds.total } else { progress.begin(bounds.end_of_upload()) }.clone();
        lease.connection.pace.set(bounds.patience(Some(total)));
        let sending = lease.connection.sender.try_send_request(request);
        let mut timer = lease.connection.timer.take();
        let answered = tokio::select! {
            // Most requests are sent as soon as they are driven, and then need only one timer.
            biased;
            answered = lease.drive(sending) => answered,
            limit = overdue(&progress, bounds, pool, &mut timer) => {
                return Err(NoAnswer {
                    end: if progress.is_sent() { WriteEnd::NoAnswerInTime } else { WriteEnd::RequestIncomplete },
                    reused,
                    cause: format!("no answer in time: {}", limit.key()),
                });
            }
        };
        match answered {
            // Nobody asked for another protocol: what comes next on this connection means nothing.
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS && !asks_to_upgrade => {
                let cause = "101 to a request that asked for no upgrade".to_owned();
                return Err(NoAnswer { end: WriteEnd::BadAnswer, reused, cause });
            }
            Ok(answer) => {
                lease.connection.timer = timer;
                let upgraded = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
                if upgraded {
                    lease.connection.pace.becomes_a_tunnel();
                }
                // The rest of the request is sent beside its answer, and whatever becomes of that.
                if upgraded || !progress.is_sent() || lease.is_blocked() {
                    lease.connection.driver.detach();
                }
                return Ok(answer.map(|incoming| OriginBody::new(incoming, lease, progress, bounds)));
            }
            Err(mut unsent) => match unsent.take_message() {
                Some(given_back) if reused => {
                    request = given_back;
                    fresh = true;
                }
                Some(_) => return Err(not_delivered(unsent.error().to_string())),
                None => {
                    let end = end_of(unsent.error(), &progress);
                    return Err(NoAnswer { end, reused, cause: describe(unsent.error()) });
                }
            },
        }
    }
}

/// Over when the request was not sent in time, or the origin has had all of it for `response_timeout`
/// without answering, or the request as a whole is over. While the client is still sending, the limit on
/// its silence holds too.
async fn overdue(
    progress: &BodyProgress,
    bounds: &Bounds,
    pool: &Pool,
    timer: &mut Option<Pin<Box<Sleep>>>,
) -> Limit {
    if let Err(limit) = progress.over().await {
        return limit;
    }
    let answered_by = Instant::now() + pool.upstream().response_timeout;
    let ends = answered_by.min(bounds.total.at());
    // The connection's own, which each request puts off: a new one would be entered and taken out each time.
    match timer {
        Some(timer) => timer.as_mut().reset(ends),
        None => *timer = Some(Box::pin(sleep_until(ends))),
    }
    if let Some(timer) = timer {
        timer.await;
    }
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
