//! An answer's body on its way to the client: streamed, with limits on how long the origin may take.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::header;
use http_body::{Body, Frame, SizeHint};

use super::client::Delivery;
use super::in_flight::InFlight;
use super::noted::Noted;
use super::origin::connection::OriginTunnel;
use super::origin::pool::Lease;
use super::origin::upload::RequestEnd;
use super::patience::{Bounds, Clock, Patience};
use crate::boxed::boxed;
use crate::http1::decode::{Decoded, Decoder, take_whole};
use crate::http1::framing::BodyLength;
use crate::http1::message::Answer;
use crate::report::limits_hit::Limit;

/// What a body ends with when it does not end well.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The origin's answer on its way to the client. The connection is put back once all of it is here.
///
/// What is large of it is in a box: an answer is handed on from stage to stage, and its body would be copied each time.
pub struct OriginBody(Source);

enum Source {
    /// It came with its head, as a whole, and its request has left: the connection is back already. `None`: all of it
    /// was taken.
    Here(Option<Bytes>),
    /// It is still to come, or part of it.
    Comes(Box<Coming>),
}

struct Coming {
    decoder: Decoder,
    /// Whether its length was stated.
    has_length: bool,
    /// `None`: all of it was taken, or the rest is of no use.
    lease: Option<Lease>,
    request: RequestEnd,
    patience: Patience,
    clock: Clock,
    tag_stays: bool,
    /// In a box: hardly any answer is read ahead.
    ahead: Option<Box<Ahead>>,
}

/// What was read ahead, and is still to come.
#[derive(Default)]
struct Ahead {
    frames: VecDeque<Frame<Bytes>>,
    /// What comes after them, if it broke.
    breaks: Option<BodyError>,
}

/// What a body is found to have next.
pub type NextFrame = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl OriginBody {
    /// An answer's body, the connection that it comes over, and how far the request's body has got.
    pub fn new(length: BodyLength, mut lease: Lease, request: RequestEnd, bounds: &Bounds) -> Self {
        // A request that is still being sent occupies the connection beyond the answer.
        if let RequestEnd::Known(true) = request
            && let Some(whole) = take_whole(length, &mut lease.connection.come)
        {
            lease.put_back();
            return OriginBody(Source::Here(Some(whole).filter(|whole| !whole.is_empty())));
        }
        let mut coming = Coming::new(length, lease, request, bounds);
        if coming.decoder.is_over() {
            coming.put_back();
        }
        OriginBody(Source::Comes(coming))
    }

    /// The body of an answer that makes a [tunnel](Self::tunnel) of its connection: none.
    pub fn of_tunnel(lease: Lease, request: RequestEnd, bounds: &Bounds) -> Self {
        OriginBody(Source::Comes(Coming::new(BodyLength::Exact(0), lease, request, bounds)))
    }

    /// What an answer of 101 has made of its connection.
    pub fn tunnel(&mut self, bounds: &Bounds) -> Option<OriginTunnel> {
        let Source::Comes(coming) = &mut self.0 else { return None };
        coming.lease.take().map(|lease| OriginTunnel::new(lease, bounds))
    }

    /// Leaves an `ETag` behind that comes as a trailer field (RFC 9110 section 8.8.3).
    pub fn without_tag(mut self) -> Self {
        if let Source::Comes(coming) = &mut self.0 {
            coming.tag_stays = true;
        }
        self
    }

    /// What becomes of the end of the request that this answers.
    pub fn request_end(&self) -> &RequestEnd {
        match &self.0 {
            Source::Here(_) => &RequestEnd::Known(true),
            Source::Comes(coming) => &coming.request,
        }
    }

    /// Reads and drops what is left, if that is little and comes soon: cheaper than another connection.
    pub fn discard(self) {
        if let Source::Comes(coming) = self.0 {
            coming.discard();
        }
    }

    /// Reads it to its end and notes it there.
    ///
    /// # Errors
    /// If it breaks.
    pub async fn note_in(mut self, mut content: Noted) -> Result<Noted, BodyError> {
        while let Some(frame) = poll_fn(|cx| self.poll(cx)).await {
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

    /// Reads ahead to its end, and gives what was read, which is all still to come to whoever reads it after
    /// this: also where it breaks, or proves to be longer than `limit` bytes. Then there is nothing to give.
    pub async fn read_ahead(&mut self, limit: usize) -> Option<Bytes> {
        if self.size_hint().lower() > limit as u64 {
            return None;
        }
        match &mut self.0 {
            Source::Here(whole) => Some(whole.clone().unwrap_or_default()),
            Source::Comes(coming) => coming.read_ahead(limit).await,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> NextFrame {
        match &mut self.0 {
            Source::Here(whole) => Poll::Ready(whole.take().map(|whole| Ok(Frame::data(whole)))),
            Source::Comes(coming) => coming.poll(cx),
        }
    }
}

impl Coming {
    fn new(length: BodyLength, lease: Lease, request: RequestEnd, bounds: &Bounds) -> Box<Self> {
        boxed(|| Coming {
            decoder: Decoder::new(length),
            has_length: matches!(length, BodyLength::Exact(_)),
            lease: Some(lease),
            request,
            patience: bounds.of_the_answer(),
            clock: Clock::default(),
            tag_stays: false,
            ahead: None,
        })
    }

    /// To be called when all of it was read.
    fn put_back(&mut self) {
        // A request that is still being sent occupies the connection beyond the answer.
        if self.request.has_left()
            && let Some(lease) = self.lease.take()
        {
            lease.put_back();
        }
    }

    fn discard(mut self: Box<Self>) {
        const LITTLE: usize = 64 * 1024;
        if self.decoder.rest().unwrap_or(0) > LITTLE as u64 {
            return;
        }
        // What is here already, as a rule all of it, is not worth a task.
        let mut now = Context::from_waker(Waker::noop());
        let mut seen = 0;
        while !self.decoder.is_over() {
            match self.poll_origin(&mut now) {
                Poll::Ready(Some(Ok(frame))) => seen += frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(Some(Err(_)) | None) => return,
                Poll::Pending => return self.discard_what_comes(seen, LITTLE),
            }
        }
    }

    fn discard_what_comes(mut self: Box<Self>, mut seen: usize, at_most: usize) {
        let silence = self.patience.silence;
        tokio::spawn(async move {
            let read = async {
                while let Some(Ok(frame)) = poll_fn(|cx| self.poll(cx)).await {
                    seen += frame.data_ref().map_or(0, Bytes::len);
                    if seen > at_most {
                        return;
                    }
                }
            };
            // Whatever came of it: nobody waits for it.
            let _in_time = tokio::time::timeout(silence, read).await;
        });
    }

    async fn read_ahead(&mut self, limit: usize) -> Option<Bytes> {
        let mut ahead = Box::<Ahead>::default();
        let mut bytes = BytesMut::new();
        while ahead.breaks.is_none()
            && bytes.len() <= limit
            && let Some(frame) = poll_fn(|cx| self.poll_origin(cx)).await
        {
            match frame {
                Ok(frame) => {
                    bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                    ahead.frames.push_back(frame);
                }
                Err(error) => ahead.breaks = Some(error),
            }
        }
        let whole = ahead.breaks.is_none() && bytes.len() <= limit;
        self.ahead = Some(ahead);
        whole.then(|| bytes.freeze())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> NextFrame {
        let next = match self.ahead.as_mut().and_then(|ahead| ahead.frames.pop_front()) {
            Some(frame) => Some(Ok(frame)),
            None => ready!(self.poll_origin(cx)),
        };
        Poll::Ready(next.map(|frame| frame.map(|frame| self.passed_on(frame))))
    }

    fn passed_on(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_trailers() {
            Ok(mut trailers) => {
                if self.tag_stays {
                    trailers.remove(header::ETAG);
                }
                Frame::trailers(trailers)
            }
            Err(data) => data,
        }
    }

    fn poll_origin(&mut self, cx: &mut Context<'_>) -> NextFrame {
        if let Some(error) = self.ahead.as_mut().and_then(|ahead| ahead.breaks.take()) {
            return Poll::Ready(Some(Err(error)));
        }
        let Some(lease) = &mut self.lease else { return Poll::Ready(None) };
        let connection = &mut *lease.connection;
        let frame = loop {
            match self.decoder.take(&mut connection.come)? {
                Decoded::Data(data) => break Some(Frame::data(data)),
                Decoded::Trailers(fields) => break Some(Frame::trailers(fields)),
                Decoded::End => break None,
                Decoded::Needs => match connection.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => self.decoder.close()?,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    Poll::Pending => {
                        let limit = ready!(self.clock.poll_out(&self.patience, cx));
                        return Poll::Ready(Some(Err(too_long(limit))));
                    }
                },
            }
        };
        self.clock.heard();
        if self.decoder.is_over() {
            self.put_back();
        } else if let Some(total) = self.patience.total.as_ref().filter(|total| total.is_over()) {
            // Also of an origin that never lets its client wait.
            return Poll::Ready(Some(Err(too_long(total.hit()))));
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_over(&self) -> bool {
        let come = |ahead: &Ahead| ahead.frames.is_empty() && ahead.breaks.is_none();
        self.decoder.is_over() && self.ahead.as_deref().is_none_or(come)
    }

    /// What is still to come, where that is known.
    fn rest(&self) -> Option<u64> {
        let frames = self.ahead.iter().flat_map(|ahead| &ahead.frames);
        let ahead: usize = frames.filter_map(Frame::data_ref).map(Bytes::len).sum();
        self.decoder.rest().filter(|_| self.has_length).map(|rest| rest + ahead as u64)
    }
}

fn too_long(limit: Limit) -> BodyError {
    format!("the origin took too long: {}", limit.key()).into()
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> NextFrame {
        self.get_mut().poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Here(whole) => whole.is_none(),
            Source::Comes(coming) => coming.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.0 {
            Source::Here(whole) => Some(whole.as_ref().map_or(0, |whole| whole.len() as u64)),
            Source::Comes(coming) => coming.rest(),
        };
        rest.map_or_else(SizeHint::new, SizeHint::with_exact)
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
    delivery: Option<Box<Delivery>>,
    _in_flight: Option<Arc<InFlight>>,
}

/// An answer is moved a dozen times on its way, and what is larger than this by a call.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Answer<AnswerBody>>() <= 128);

enum Content {
    /// Our own words; none, once they were taken.
    Text(Vec<u8>),
    Fixed(Option<Bytes>),
    Origin(OriginBody),
    /// Of which so much was read already.
    Begun(Box<(Bytes, OriginBody)>),
}

impl AnswerBody {
    /// A body that is in memory.
    pub fn fixed(bytes: impl Into<Bytes>) -> Self {
        AnswerBody::of(Content::Fixed(Some(bytes.into()).filter(|b| !b.is_empty())))
    }

    /// Our own words: so few that they are copied behind their head.
    pub fn text(text: Vec<u8>) -> Self {
        AnswerBody::of(Content::Text(text))
    }

    /// All of them, if it is these.
    pub fn take_text(&mut self) -> Vec<u8> {
        match &mut self.content {
            Content::Text(text) => std::mem::take(text),
            Content::Fixed(_) | Content::Origin(_) | Content::Begun(_) => Vec::new(),
        }
    }

    /// The origin's.
    pub fn origin(body: OriginBody) -> Self {
        AnswerBody::of(match body.0 {
            Source::Here(whole) => Content::Fixed(whole),
            Source::Comes(_) => Content::Origin(body),
        })
    }

    /// The origin's, as far as it was read.
    pub fn read(content: AnswerContent) -> Self {
        match content {
            AnswerContent::Whole(bytes) => AnswerBody::fixed(bytes),
            AnswerContent::Longer(bytes, rest) => AnswerBody::of(Content::Begun(Box::new((bytes, rest)))),
        }
    }

    fn of(content: Content) -> Self {
        AnswerBody { content, delivery: None, _in_flight: None }
    }

    /// Hands this over when all of it was taken; never, if it is dropped before its end.
    pub fn hands_over(&mut self, delivery: Delivery) {
        self.delivery = Some(Box::new(delivery));
    }

    /// Reads ahead what is the origin's, and gives the content if that is all of it. Nothing of it is lost to
    /// the client that it goes out to after this.
    pub async fn read_ahead(&mut self, limit: usize) -> Option<Bytes> {
        match &mut self.content {
            Content::Origin(body) => body.read_ahead(limit).await,
            Content::Fixed(bytes) => Some(bytes.clone().unwrap_or_default()),
            Content::Text(text) => Some(Bytes::copy_from_slice(text)),
            Content::Begun(..) => None,
        }
    }

    /// Counts as in flight until it is gone.
    pub fn counted(&mut self, in_flight: Arc<InFlight>) {
        self._in_flight = Some(in_flight);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> NextFrame {
        let this = self.get_mut();
        let next = match &mut this.content {
            Content::Text(text) if text.is_empty() => Poll::Ready(None),
            Content::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text).into())))),
            Content::Fixed(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Begun(begun) if !begun.0.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut begun.0)))))
            }
            Content::Begun(begun) => begun.1.poll(cx),
            Content::Origin(body) => body.poll(cx),
        };
        // Nothing comes after trailers, and nobody asks for anything after them.
        let is_over = match &next {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if is_over {
            this.content = Content::Fixed(None);
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_empty(),
            Content::Fixed(bytes) => bytes.is_none(),
            Content::Origin(body) => body.is_end_stream(),
            Content::Begun(begun) => begun.0.is_empty() && begun.1.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
            Content::Fixed(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Content::Origin(body) => body.size_hint(),
            Content::Begun(begun) => match begun.1.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(rest + begun.0.len() as u64),
                None => SizeHint::new(),
            },
        }
    }
}

impl Drop for AnswerBody {
    /// A body is dropped as soon as its end was taken, or when nobody is left to send it to.
    fn drop(&mut self) {
        let whole = self.is_end_stream();
        if let Some(delivery) = self.delivery.take().filter(|_| whole) {
            delivery.taken_whole();
        }
    }
}
