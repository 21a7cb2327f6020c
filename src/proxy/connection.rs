//! A client's connection: heads are read from it one after the other, and each is answered before the next.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode, Version, header};
use http_body::Body;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::time::Instant;

use super::body::AnswerBody;
use super::client::{Client, ClientStream};
use super::client_body::{Behind, ClientBody};
use super::date::date;
use super::gateway::Gateway;
use super::handle::{Answering, handle};
use super::lazy_timer::LazyTimer;
use super::refuse::last_word;
use super::stopping::Stopping;
use super::turn::Turn;
use super::wire::{Hold, Taken, Wire};
use crate::config::checked::Limits;
use crate::decide::say;
use crate::http1::encode::{Encoder, Outbox};
use crate::http1::fields::Fields;
use crate::http1::framing::asks_to_close;
use crate::http1::head::{BadHead, HeadLimits, RequestHead, take_request};
use crate::http1::head_out::{AnswerToWrite, OwnLength, write_answer};
use crate::http1::message::Answer;
use crate::report::limits_hit::Limit;

/// A connection that is served.
pub struct Connection {
    gateway: Arc<Gateway>,
    limits: Limits,
    client: Arc<Client>,
    wire: Hold,
    stopping: Stopping,
    out: Outbox,
    /// Since when the client has been waited for.
    quiet_since: Instant,
    head_timer: LazyTimer,
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// All has been said.
    Done,
    /// The client has left, or cannot be reached.
    Gone,
    /// What came is no request; this is the answer's status.
    BadRequest(StatusCode),
    /// What came is not to be answered.
    Silent,
    /// A head did not come in time.
    HeadTooSlow,
    /// Bytes go both ways now.
    Tunnel,
}

impl Connection {
    /// Serves this client.
    pub fn new(
        gateway: Arc<Gateway>,
        limits: Limits,
        client: Arc<Client>,
        stream: ClientStream<Stream>,
        shutdown: ShutdownWatch,
    ) -> Self {
        Connection {
            gateway,
            limits,
            client,
            wire: Hold::Alone(Wire::new(stream)),
            stopping: Stopping::new(shutdown),
            out: Outbox::default(),
            quiet_since: Instant::now(),
            head_timer: LazyTimer::default(),
        }
    }

    /// Serves it to its end; when the server stops, to the end of the request that it is in.
    pub async fn serve(mut self) {
        let end = loop {
            match self.one_request().await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        match end {
            End::Tunnel | End::Gone | End::Silent => {}
            End::Done => self.shut_down().await,
            End::BadRequest(status) => {
                self.out.clear();
                write_bad_request(status, self.out.head());
                // Best effort: whatever comes of it, the connection is closed.
                let _told_or_not = poll_fn(|cx| self.poll_write_out(cx)).await;
                self.shut_down().await;
            }
            End::HeadTooSlow => self.wire.with(|wire| wire.last_word(&TOO_SLOW)),
        }
    }

    async fn one_request(&mut self) -> Result<(), End> {
        let RequestHead { request, length, persists, expects, awaits_continue } = self.next_head().await?;
        let (method, version) = (request.method.clone(), request.version);
        let may_upgrade = version == Version::HTTP_11 && request.headers.contains_key(header::UPGRADE);
        let body =
            ClientBody::begin(&mut self.wire, Behind { length, expects, awaits_continue, may_upgrade });
        let mut answering = handle(self.gateway.clone(), request, body, self.client.clone());
        let this = &mut *self;
        let answer = poll_fn(|cx| this.poll_answer(&mut answering, cx)).await?;
        drop(answering);
        Turn::default().await;
        let persists = persists && !self.stopping.is_stopping();
        self.send(&method, version, answer, persists).await
    }

    /// The next request's head.
    async fn next_head(&mut self) -> Result<RequestHead, End> {
        let due = self.quiet_since + self.limits.idle_timeout;
        let limits = self.limits_of_heads();
        let mut seen = 0;
        poll_fn(|cx| {
            let begun = match self.wire.with(|wire| poll_head(wire, &mut seen, limits, cx)) {
                Poll::Ready(Ok(head)) => return Poll::Ready(Ok(head)),
                Poll::Ready(Err(none)) => return Poll::Ready(Err(self.without_head(none))),
                Poll::Pending => seen > 0,
            };
            // A request that is here already counts. Part of one would hold the end up for as long as it likes.
            if self.stopping.poll(cx).is_ready() {
                return Poll::Ready(Err(End::Done));
            }
            ready!(self.head_timer.poll_until(due, cx));
            if !begun {
                return Poll::Ready(Err(End::Gone));
            }
            self.gateway.metrics.limits.hit(Limit::HeadTime);
            Poll::Ready(Err(End::HeadTooSlow))
        })
        .await
    }

    /// How a connection ends on which no head came.
    fn without_head(&self, why: NoHead) -> End {
        match why {
            NoHead::Done => End::Done,
            NoHead::Gone => End::Gone,
            NoHead::Http2 => End::Silent,
            NoHead::Bad(bad) => self.refused(bad),
        }
    }

    /// Somewhat more than clients may send, so that who sends a little too much is told what to do by [`handle`];
    /// beyond that the answer has no text.
    fn limits_of_heads(&self) -> HeadLimits {
        let somewhat_more = |limit: usize| limit.saturating_add(limit / 4);
        HeadLimits {
            bytes: somewhat_more(self.limits.max_header_bytes),
            // Up to so many cost nothing.
            fields: somewhat_more(self.limits.max_header_count).max(100),
        }
    }

    fn refused(&self, bad: BadHead) -> End {
        let hits = &self.gateway.metrics.limits;
        End::BadRequest(match bad {
            BadHead::Malformed => StatusCode::BAD_REQUEST,
            BadHead::TargetTooLong => {
                hits.hit(Limit::TargetBytes);
                StatusCode::URI_TOO_LONG
            }
            BadHead::TooManyFields => {
                hits.hit(Limit::HeaderCount);
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            BadHead::TooLong => {
                hits.hit(Limit::HeaderBytes);
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            BadHead::BodyTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        })
    }

    /// The answer; or the client has left, which nobody can know of while its request's body is still to be read.
    fn poll_answer(
        &mut self,
        answering: &mut Answering,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer<AnswerBody>, End>> {
        if let Poll::Ready(answer) = answering.as_mut().poll(cx) {
            return Poll::Ready(answer.map_err(|_| End::Gone));
        }
        self.wire.with(|wire| wire.poll_left(cx)).map(|()| Err(End::Gone))
    }

    async fn send(
        &mut self,
        method: &Method,
        version: Version,
        answer: Answer<AnswerBody>,
        persists: bool,
    ) -> Result<(), End> {
        let (head, mut body) = answer.into_parts();
        let upgraded = head.status == StatusCode::SWITCHING_PROTOCOLS;
        if upgraded {
            self.client.pace.becomes_a_tunnel();
        }
        let length = OwnLength::of(&body);
        let persists = persists && !asks_to_close(&head.headers) && self.goes_on_behind_the_body();
        let now = Instant::now();
        let mut encoder = date(now.into_std(), |date| {
            let answer = AnswerToWrite {
                method,
                version,
                status: head.status,
                reason: head.reason.as_deref(),
                fields: &head.headers,
                length,
                persists,
                date,
            };
            write_answer(&answer, self.out.head())
        });
        drop(head);
        let until_close = encoder == Encoder::UntilClose;
        encoder.text(body.take_text(), &mut self.out);
        let mut sending = Sending { body: Some(body), encoder, broke: false };
        let mut waited = false;
        let sent = poll_fn(|cx| {
            let sent = self.poll_send(&mut sending, cx);
            waited |= sent.is_pending();
            sent
        });
        sent.await?;
        self.client.written_out();
        self.out.rest();
        if upgraded {
            return Err(if self.wire.with(Wire::becomes_a_tunnel) { End::Tunnel } else { End::Gone });
        }
        if !persists || until_close {
            return Err(End::Done);
        }
        waited |= self.end_request().await?;
        self.quiet_since = if waited { Instant::now() } else { now };
        Ok(())
    }

    /// Whether the next request can be found behind this one's body, as far as is known by now.
    fn goes_on_behind_the_body(&mut self) -> bool {
        match self.wire.with(|wire| wire.taken()) {
            Taken::Whole | Taken::NotYet | Taken::Left => true,
            Taken::Broken => false,
        }
    }

    /// Sends the head that was written, and the body behind it.
    fn poll_send(&mut self, sending: &mut Sending, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            let filled = sending.fill(&mut self.out, cx);
            ready!(self.poll_write_out(cx)).map_err(|_| End::Gone)?;
            match filled {
                Filled::Whole => return Poll::Ready(Ok(())),
                Filled::Broken => return Poll::Ready(Err(End::Gone)),
                Filled::InPart => {}
                Filled::Waits => return self.wire.with(|wire| wire.poll_left(cx)).map(|()| Err(End::Gone)),
            }
        }
    }

    /// Waits until the request's body is out of the way of the next request; no longer than until the server stops, where
    /// that only has to be dropped. Whether there was anything to wait for.
    async fn end_request(&mut self) -> Result<bool, End> {
        let Connection { wire, stopping, .. } = self;
        let mut waited = false;
        poll_fn(|cx| {
            wire.with(|wire| {
                let taken = stopping.poll_taken(wire, cx);
                waited |= taken.is_pending();
                Poll::Ready(match ready!(taken) {
                    Taken::Whole => {
                        wire.rest();
                        Ok(())
                    }
                    Taken::Left if wire.drop_rest(cx) => Ok(()),
                    Taken::Left | Taken::NotYet | Taken::Broken => Err(End::Done),
                })
            })
        })
        .await?;
        wire.take_back();
        Ok(waited)
    }

    /// Writes what goes out to its end, and has it sent on.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let out = &mut self.out;
        self.wire.with(|wire| {
            ready!(wire.poll_write_out(cx, out))?;
            wire.poll_flush(cx)
        })
    }

    /// Ends the connection so that what was sent reaches the client.
    ///
    /// Bytes that nobody reads would turn the end into a reset, which can overtake the answer. So they are read for a
    /// while, until the client has closed its side.
    async fn shut_down(&mut self) {
        const FOR: Duration = Duration::from_secs(1);
        let Connection { wire, stopping, .. } = self;
        // Somebody may still read the request's body, to send it on behind an early answer: its times are limited.
        poll_fn(|cx| wire.with(|wire| stopping.poll_taken(wire, cx)).map(drop)).await;
        // Best effort: whatever comes of it, the connection is closed.
        let _shut_or_not = poll_fn(|cx| wire.with(|wire| wire.poll_shutdown(cx))).await;
        if wire.with(|wire| wire.has_all_been_read()) {
            return;
        }
        let read = poll_fn(|cx| wire.with(|wire| poll_dropped(wire, cx)));
        let _in_time = tokio::time::timeout(FOR, read).await;
    }
}

impl Drop for Connection {
    /// Also where its task is dropped: whoever reads its request's body would wait for ever.
    fn drop(&mut self) {
        self.wire.with(Wire::close);
    }
}

/// Why no request's head came.
enum NoHead {
    /// The client has said all.
    Done,
    /// The connection is broken.
    Gone,
    /// It is the beginning of HTTP/2.
    Http2,
    /// It is none.
    Bad(BadHead),
}

/// A head, which ends behind the `seen` bytes that were looked at already. Nothing was begun where none were seen.
fn poll_head(
    wire: &mut Wire,
    seen: &mut usize,
    limits: HeadLimits,
    cx: &mut Context<'_>,
) -> Poll<Result<RequestHead, NoHead>> {
    loop {
        match take_request(&mut wire.come, *seen, limits) {
            Ok(Some(head)) => return Poll::Ready(Ok(head)),
            Ok(None) => *seen = wire.come.len(),
            Err(bad) => {
                wire.is_no_request();
                let is_http_2 = wire.come.starts_with(b"PRI * HTTP/2.0\r\n");
                return Poll::Ready(Err(if is_http_2 { NoHead::Http2 } else { NoHead::Bad(bad) }));
            }
        }
        match ready!(wire.poll_fill(cx)) {
            Ok(0) => return Poll::Ready(Err(NoHead::Done)),
            Ok(_) => {}
            Err(_) => return Poll::Ready(Err(NoHead::Gone)),
        }
    }
}

/// Reads what comes and drops it, to the end of the connection.
fn poll_dropped(wire: &mut Wire, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        wire.come.clear();
        match ready!(wire.poll_fill(cx)) {
            Ok(0) | Err(_) => return Poll::Ready(()),
            Ok(_) => {}
        }
    }
}

/// An answer's body on its way.
struct Sending {
    /// Until all of it was taken.
    body: Option<AnswerBody>,
    encoder: Encoder,
    /// Whether it ended before its end: what was taken goes out, and then the client learns of that.
    broke: bool,
}

impl Sending {
    /// Takes what there is of the body, as long as there is room for it.
    fn fill(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Filled {
        while let Some(body) = &mut self.body {
            if !out.has_room() {
                return Filled::InPart;
            }
            let trailers = if self.encoder == Encoder::Nothing || body.is_end_stream() {
                None
            } else {
                match Pin::new(body).poll_frame(cx) {
                    Poll::Pending => return Filled::Waits,
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => {
                            self.encoder.data(data, out);
                            continue;
                        }
                        Err(frame) => frame.into_trailers().ok(),
                    },
                    Poll::Ready(None) => None,
                    Poll::Ready(Some(Err(error))) => {
                        tracing::debug!(%error, "an answer broke off");
                        self.broke = true;
                        None
                    }
                }
            };
            // Whoever waits for its end hears of it now.
            self.body = None;
            self.broke = self.broke || self.encoder.end(trailers, out).is_err();
        }
        if self.broke { Filled::Broken } else { Filled::Whole }
    }
}

/// How much of an answer's body was taken.
enum Filled {
    Whole,
    /// It broke off.
    Broken,
    /// There is more, and no room for it.
    InPart,
    /// More is to come.
    Waits,
}

/// An answer to what is no request. It has no text: what to say would be a guess.
fn write_bad_request(status: StatusCode, out: &mut Vec<u8>) {
    let fields = Fields::new();
    date(Instant::now().into_std(), |date| {
        let answer = AnswerToWrite {
            method: &Method::GET,
            version: Version::HTTP_11,
            status,
            reason: None,
            fields: &fields,
            length: OwnLength::None,
            persists: false,
            date,
        };
        write_answer(&answer, out)
    });
}

/// 408, for a head that was begun.
static TOO_SLOW: LazyLock<Vec<u8>> = LazyLock::new(|| last_word(&say::head_too_slow()));

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    // Where the client had no room for the last of an answer that broke off, the next call took it for whole.
    #[test]
    fn an_answer_that_broke_off_stays_broken_while_its_client_is_slow() {
        let broken = AnswerBody::fixed("two");
        let mut sending = Sending { body: Some(broken), encoder: Encoder::Exact(5), broke: false };
        let (mut out, mut cx) = (Outbox::default(), Context::from_waker(Waker::noop()));
        for _ in 0..3 {
            assert!(matches!(sending.fill(&mut out, &mut cx), Filled::Broken));
            assert!(!out.is_empty());
        }
    }
}
