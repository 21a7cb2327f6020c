//! One request, sent at most once, and the head of its answer.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::pool::{Lease, NoConnection, Pool};
use crate::decide::outcome::WriteEnd;
use crate::proxy::body::{BodyProgress, OriginBody, OutgoingBody};

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
/// # Errors
/// Says how far the request got.
pub async fn exchange(
    pool: &Arc<Pool>,
    mut request: Request<OutgoingBody>,
    body_silence: Duration,
    mut fresh: bool,
) -> Result<Response<OriginBody>, NoAnswer> {
    let asks_to_upgrade = request.headers().contains_key(header::UPGRADE);
    loop {
        let mut lease = pool.lease(fresh).await.map_err(not_sent)?;
        let reused = lease.reused;
        if let Err(error) = lease.connection.sender.ready().await {
            if reused {
                continue;
            }
            return Err(NoAnswer { end: WriteEnd::NotSent, reused, cause: error.to_string() });
        }
        let progress = request.body().progress();
        let sending = lease.connection.sender.try_send_request(request);
        let answered = tokio::select! {
            answered = sending => answered,
            () = overdue(&progress, pool.upstream().response_timeout) => {
                let cause = "no answer in time".to_owned();
                return Err(NoAnswer { end: WriteEnd::NoAnswerInTime, reused, cause });
            }
        };
        match answered {
            // Nobody asked for another protocol: what comes next on this connection means nothing.
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS && !asks_to_upgrade => {
                let cause = "101 to a request that asked for no upgrade".to_owned();
                return Err(NoAnswer { end: WriteEnd::BadAnswer, reused, cause });
            }
            Ok(answer) => return Ok(with_lease(answer, lease, progress, body_silence)),
            Err(mut unsent) => match unsent.take_message() {
                Some(given_back) if reused => {
                    request = given_back;
                    fresh = true;
                }
                Some(_) => {
                    return Err(NoAnswer {
                        end: WriteEnd::NotSent,
                        reused,
                        cause: unsent.error().to_string(),
                    });
                }
                None => {
                    let end = end_of(unsent.error(), &progress);
                    return Err(NoAnswer { end, reused, cause: describe(unsent.error()) });
                }
            },
        }
    }
}

fn with_lease(
    answer: Response<Incoming>,
    lease: Lease,
    progress: Arc<BodyProgress>,
    silence: Duration,
) -> Response<OriginBody> {
    answer.map(|incoming| OriginBody::new(incoming, lease, progress, silence))
}

/// Over when the origin has had the whole request for `response_timeout` without answering. While the
/// client is still sending, the limit on its silence holds instead.
async fn overdue(progress: &BodyProgress, response_timeout: Duration) {
    progress.over().await;
    tokio::time::sleep(response_timeout).await;
}

fn end_of(error: &hyper::Error, progress: &BodyProgress) -> WriteEnd {
    if progress.is_broken() {
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
    NoAnswer { end: WriteEnd::NotSent, reused: false, cause }
}
