//! An answer's body on its way to the client: streamed, with limits on how long the origin may take.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::in_flight::InFlight;
use super::noted::Noted;
use super::origin::pool::Lease;
use super::outgoing::BodyProgress;
use super::patience::{Bounds, Clock, Patience};

/// What a body ends with when it does not end well.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The origin's answer on its way to the client. Read to its end, it puts the connection back.
pub struct OriginBody {
    incoming: Incoming,
    lease: Option<Lease>,
    request: Arc<BodyProgress>,
    patience: Patience,
    clock: Clock,
    broken: Option<BodyError>,
    /// What it broke with while it was read ahead.
    breaks_later: Option<BodyError>,
    tag_stays: bool,
}

impl OriginBody {
    /// An answer's body, the connection that it comes over, and how far the request's body has got.
    pub fn new(incoming: Incoming, lease: Lease, request: Arc<BodyProgress>, bounds: &Bounds) -> Self {
        let mut body = OriginBody {
            incoming,
            lease: Some(lease),
            request,
            patience: bounds.of_the_answer(),
            clock: Clock::default(),
            broken: None,
            breaks_later: None,
            tag_stays: false,
        };
        if body.incoming.is_end_stream() {
            body.put_back();
        }
        body
    }

    /// Leaves an `ETag` behind that comes as a trailer field (RFC 9110 section 8.8.3).
    pub fn without_tag(mut self) -> Self {
        self.tag_stays = true;
        self
    }

    /// To be called when all of it was read.
    fn put_back(&mut self) {
        // A request that is still being sent occupies the connection beyond the answer.
        if self.request_is_sent()
            && let Some(lease) = self.lease.take()
        {
            lease.put_back();
        }
    }

    /// How far the request's body has got that this answers.
    pub fn request_progress(&self) -> Arc<BodyProgress> {
        self.request.clone()
    }

    /// Whether the request that this answers was sent to its end. Not so where the origin hung up on it:
    /// what was sent after that was dropped.
    pub fn request_is_sent(&self) -> bool {
        self.request.is_sent() && !self.lease.as_ref().is_some_and(Lease::has_failed)
    }

    /// Reads and drops what is left, if that is little and comes soon: cheaper than another connection.
    pub fn discard(self) {
        const LITTLE: u64 = 64 * 1024;
        if self.incoming.is_end_stream() || self.incoming.size_hint().lower() > LITTLE {
            return;
        }
        let at_most = self.patience.silence;
        tokio::spawn(async move {
            let mut body = pin!(self);
            let read = async {
                let mut seen = 0;
                while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                    seen += frame.data_ref().map_or(0, |data| data.len() as u64);
                    if seen > LITTLE {
                        return;
                    }
                }
            };
            // Whatever came of it: nobody waits for it.
            let _in_time = tokio::time::timeout(at_most, read).await;
        });
    }

    /// Reads it to its end and notes it there.
    ///
    /// # Errors
    /// If it breaks.
    pub async fn note_in(self, mut content: Noted) -> Result<Noted, BodyError> {
        let mut body = pin!(self);
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            if let Some(data) = frame?.data_ref() {
                content.note(data);
            }
        }
        Ok(content)
    }

    /// Reads it to its end, or until it proves to be longer than `limit` bytes.
    ///
    /// # Errors
    /// If it breaks. What had come is lost, for who reads it does so because nothing of it may be passed on unread.
    pub async fn read_up_to(mut self, limit: usize) -> Result<AnswerContent, BodyError> {
        let mut bytes = BytesMut::new();
        if self.size_hint().lower() > limit as u64 {
            return Ok(AnswerContent::Longer(bytes.freeze(), self));
        }
        while let Some(frame) = poll_fn(|cx| self.poll(cx)).await {
            if let Some(data) = frame?.data_ref() {
                bytes.extend_from_slice(data);
            }
            if bytes.len() > limit {
                return Ok(AnswerContent::Longer(bytes.freeze(), self));
            }
        }
        Ok(AnswerContent::Whole(bytes.freeze()))
    }

    /// The same for an answer that is passed on whatever comes of it. One that breaks off is never whole: what
    /// had come of it goes out, and then it breaks off there too.
    pub async fn read_to_keep(mut self, limit: usize) -> AnswerContent {
        let mut bytes = BytesMut::new();
        if self.size_hint().lower() > limit as u64 {
            return AnswerContent::Longer(bytes.freeze(), self);
        }
        while let Some(frame) = poll_fn(|cx| self.poll(cx)).await {
            match frame {
                // Trailer fields may be dropped on the way (RFC 9110 section 6.5.1), and are not kept.
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Err(error) => {
                    self.breaks_later = Some(error);
                    return AnswerContent::Longer(bytes.freeze(), self);
                }
            }
            if bytes.len() > limit {
                return AnswerContent::Longer(bytes.freeze(), self);
            }
        }
        AnswerContent::Whole(bytes.freeze())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.breaks_later.take() {
            // As below: what goes before it is flushed first.
            self.broken = Some(error);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let incoming = Pin::new(&mut self.incoming);
        let next = match &mut self.lease {
            Some(lease) => lease.connection.driver.poll_with(cx, |cx| incoming.poll_frame(cx)),
            // All of it was read, and hyper's end of it is not polled any more.
            None => Poll::Ready(None),
        };
        match next {
            Poll::Ready(Some(Ok(frame))) => {
                self.clock.heard();
                // Nothing comes after trailers, and hyper asks for nothing after them.
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.put_back();
                }
                let frame = match frame.into_trailers() {
                    Ok(mut trailers) => {
                        if self.tag_stays {
                            trailers.remove(header::ETAG);
                        }
                        Frame::trailers(trailers)
                    }
                    Err(data) => data,
                };
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.put_back();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                // hyper hangs up on a broken body with all that it has not flushed yet, the head too, and
                // flushes while it waits: so the client learns the status, and then that the body broke.
                self.broken = Some(error.into());
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => {
                let limit = ready!(self.clock.poll_out(&self.patience, cx));
                Poll::Ready(Some(Err(format!("the origin took too long: {}", limit.key()).into())))
            }
        }
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.get_mut().poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// What was read of an answer's body.
pub enum AnswerContent {
    /// All of it.
    Whole(Bytes),
    /// So much, and it is longer than was wanted: the rest is still to come.
    Longer(Bytes, OriginBody),
}

/// The body of an answer to the client. Whoever counts requests in flight counts it until it is gone.
pub struct AnswerBody {
    content: Content,
    _in_flight: Option<Arc<InFlight>>,
}

enum Content {
    Fixed(Option<Bytes>),
    Origin(OriginBody),
    /// Of which so much was read already.
    Begun(Option<Bytes>, OriginBody),
}

impl AnswerBody {
    /// A body that is in memory.
    pub fn fixed(bytes: impl Into<Bytes>) -> Self {
        AnswerBody { content: Content::Fixed(Some(bytes.into()).filter(|b| !b.is_empty())), _in_flight: None }
    }

    /// The origin's.
    pub fn origin(body: OriginBody) -> Self {
        AnswerBody { content: Content::Origin(body), _in_flight: None }
    }

    /// The origin's, as far as it was read.
    pub fn read(content: AnswerContent) -> Self {
        match content {
            AnswerContent::Whole(bytes) => AnswerBody::fixed(bytes),
            AnswerContent::Longer(bytes, rest) => AnswerBody {
                content: Content::Begun(Some(bytes).filter(|b| !b.is_empty()), rest),
                _in_flight: None,
            },
        }
    }

    /// Reads it up to a limit, if it is the origin's, before it goes out. Also tells its content, if that was
    /// all of it.
    pub async fn read_to_keep(self, limit: usize) -> (Self, Option<Bytes>) {
        match self.content {
            Content::Origin(body) => {
                let content = body.read_to_keep(limit).await;
                let whole = match &content {
                    AnswerContent::Whole(bytes) => Some(bytes.clone()),
                    AnswerContent::Longer(..) => None,
                };
                (AnswerBody::read(content), whole)
            }
            Content::Fixed(bytes) => {
                let whole = bytes.clone().unwrap_or_default();
                (AnswerBody { content: Content::Fixed(bytes), _in_flight: self._in_flight }, Some(whole))
            }
            begun @ Content::Begun(..) => (AnswerBody { content: begun, _in_flight: self._in_flight }, None),
        }
    }

    /// Counts as in flight until it is gone.
    pub fn counted(mut self, in_flight: Arc<InFlight>) -> Self {
        self._in_flight = Some(in_flight);
        self
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().content {
            Content::Fixed(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Begun(begun @ Some(_), _) => {
                Poll::Ready(begun.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            Content::Origin(body) | Content::Begun(None, body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Fixed(bytes) => bytes.is_none(),
            Content::Origin(body) => body.is_end_stream(),
            Content::Begun(begun, body) => begun.is_none() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Fixed(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Content::Origin(body) => body.size_hint(),
            Content::Begun(begun, body) => match body.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(rest + begun.as_ref().map_or(0, |b| b.len() as u64)),
                None => SizeHint::new(),
            },
        }
    }
}
