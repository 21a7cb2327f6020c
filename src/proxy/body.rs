//! Bodies on their way: streamed in both directions, with a limit on how long a peer may be silent.

use std::future::poll_fn;
use std::hash::Hasher;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use siphasher::sip128::SipHasher13;
use tokio::sync::Notify;
use tokio::time::Sleep;

use super::fields::trailers_to_origin;
use super::in_flight::InFlight;
use super::origin::pool::Lease;

/// What a body ends with when it does not end well.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A timer that runs while a peer is silent.
pub(super) struct Silence {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    pub(super) fn new(limit: Duration) -> Self {
        Silence { limit, timer: None }
    }

    pub(super) fn heard(&mut self) {
        self.timer = None;
    }

    /// Ready when the peer was silent for too long.
    pub(super) fn poll_too_long(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(cx)
    }
}

/// How far a request's body has got.
#[derive(Default)]
pub struct BodyProgress {
    state: AtomicU8,
    changed: Notify,
}

const SENDING: u8 = 0;
const SENT: u8 = 1;
/// The client's side broke or fell silent.
const BROKEN: u8 = 2;
/// The origin's connection ended first. Not the client's doing: the cause of a lost write is told by it.
const UNFINISHED: u8 = 3;

impl BodyProgress {
    /// Whether the whole body was handed over.
    pub fn is_sent(&self) -> bool {
        self.state.load(Ordering::Acquire) == SENT
    }

    /// Whether the client's side of it broke or fell silent.
    pub fn is_broken(&self) -> bool {
        self.state.load(Ordering::Acquire) == BROKEN
    }

    /// Waits until nothing more of the body will come.
    pub async fn over(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.state.load(Ordering::Acquire) != SENDING {
                return;
            }
            changed.await;
        }
    }

    fn set(&self, state: u8) {
        self.state.store(state, Ordering::Release);
        self.changed.notify_waiters();
    }
}

/// A gate that the origin opens with 100 (Continue) (RFC 9110 section 10.1.1).
#[derive(Default)]
pub struct ContinueGate(Notify);

impl ContinueGate {
    /// The origin asked for the body.
    pub fn open(&self) {
        self.0.notify_one();
    }
}

/// A request's body on its way to the origin.
pub struct OutgoingBody {
    /// What was read of it already, and goes first.
    begun: Option<Bytes>,
    source: Source,
    gate: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    progress: Arc<BodyProgress>,
    silence: Silence,
    digest: Option<SharedDigest>,
}

/// A digest of what has passed so far. Keyed with a random key, so that nobody can make two bodies of
/// one digest.
pub type SharedDigest = Arc<Mutex<SipHasher13>>;

enum Source {
    Client(Incoming),
    Fixed(Option<Bytes>),
}

/// How long an origin may take over `Expect: 100-continue` before the body is sent anyway: an origin
/// that does not know the field never answers it (RFC 9110 section 10.1.1).
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

impl OutgoingBody {
    /// The client's body, streamed.
    pub fn from_client(body: Incoming, silence: Duration) -> Self {
        let ended = body.is_end_stream();
        Self::new(if ended { Source::Fixed(None) } else { Source::Client(body) }, silence)
    }

    /// The client's body, of which this much was read already.
    pub fn from_client_begun(begun: Bytes, rest: Incoming, silence: Duration) -> Self {
        let mut body = Self::new(Source::Client(rest), silence);
        body.begun = Some(begun).filter(|b| !b.is_empty());
        body
    }

    /// A body that is in memory already.
    pub fn fixed(bytes: Bytes) -> Self {
        Self::new(Source::Fixed(Some(bytes).filter(|b| !b.is_empty())), Duration::MAX)
    }

    /// No body.
    pub fn empty() -> Self {
        Self::fixed(Bytes::new())
    }

    fn new(source: Source, silence: Duration) -> Self {
        let progress = Arc::new(BodyProgress::default());
        if matches!(source, Source::Fixed(_)) {
            progress.set(SENT);
        }
        OutgoingBody {
            begun: None,
            source,
            gate: None,
            progress,
            silence: Silence::new(silence),
            digest: None,
        }
    }

    /// Tells how far it has got.
    pub fn progress(&self) -> Arc<BodyProgress> {
        self.progress.clone()
    }

    /// Digests it as it passes.
    pub fn digested(mut self, digest: SharedDigest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Holds it back until the gate opens, or the origin has kept silent over it for a while.
    pub fn behind(mut self, gate: Arc<ContinueGate>) -> Self {
        self.gate = Some(Box::pin(async move {
            let _opened_or_not = tokio::time::timeout(CONTINUE_PATIENCE, gate.0.notified()).await;
        }));
        self
    }
}

impl Drop for OutgoingBody {
    /// The connection ended before the body was sent: nothing more of it will come.
    fn drop(&mut self) {
        if self.progress.state.load(Ordering::Acquire) == SENDING {
            self.progress.set(UNFINISHED);
        }
    }
}

fn digest_frame(digest: &Option<SharedDigest>, bytes: Bytes) -> Frame<Bytes> {
    if let Some(digest) = digest {
        digest.lock().write(&bytes);
    }
    Frame::data(bytes)
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(gate) = &mut this.gate {
            ready!(gate.as_mut().poll(cx));
            this.gate = None;
        }
        let client = match &mut this.source {
            Source::Client(_) if this.begun.is_some() => {
                return Poll::Ready(this.begun.take().map(|bytes| Ok(digest_frame(&this.digest, bytes))));
            }
            Source::Fixed(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(digest_frame(&this.digest, bytes))));
            }
            Source::Client(client) => client,
        };
        match Pin::new(&mut *client).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.silence.heard();
                if let (Some(digest), Some(data)) = (&this.digest, frame.data_ref()) {
                    digest.lock().write(data);
                }
                if client.is_end_stream() {
                    this.progress.set(SENT);
                }
                let frame = match frame.into_trailers() {
                    Ok(trailers) => Frame::trailers(trailers_to_origin(&trailers)),
                    Err(data) => data,
                };
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.progress.set(SENT);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                this.progress.set(BROKEN);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Pending => {
                ready!(this.silence.poll_too_long(cx));
                this.progress.set(BROKEN);
                Poll::Ready(Some(Err("the client was silent for too long".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Client(client) => self.begun.is_none() && client.is_end_stream(),
            Source::Fixed(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, |b| b.len() as u64);
        match &self.source {
            Source::Client(client) => {
                let (rest, begun) = (client.size_hint(), length(&self.begun));
                match rest.exact() {
                    Some(exact) => SizeHint::with_exact(begun + exact),
                    None => SizeHint::new(),
                }
            }
            Source::Fixed(bytes) => SizeHint::with_exact(length(bytes)),
        }
    }
}

/// The origin's answer on its way to the client. Read to its end, it puts the connection back.
pub struct OriginBody {
    incoming: Incoming,
    lease: Option<Lease>,
    request: Arc<BodyProgress>,
    silence: Silence,
    tag_stays: bool,
}

impl OriginBody {
    /// An answer's body, the connection that it comes over, and how far the request's body has got.
    pub fn new(incoming: Incoming, lease: Lease, request: Arc<BodyProgress>, silence: Duration) -> Self {
        let silence = Silence::new(silence);
        let mut body = OriginBody { incoming, lease: Some(lease), request, silence, tag_stays: false };
        body.put_back_at_end();
        body
    }

    /// Leaves an `ETag` behind that comes as a trailer field (RFC 9110 section 8.8.3).
    pub fn without_tag(mut self) -> Self {
        self.tag_stays = true;
        self
    }

    fn put_back_at_end(&mut self) {
        // A request that is still being sent occupies the connection beyond the answer.
        if self.incoming.is_end_stream()
            && self.request.is_sent()
            && let Some(lease) = self.lease.take()
        {
            lease.put_back();
        }
    }

    /// How far the request's body has got that this answers.
    pub fn request_progress(&self) -> Arc<BodyProgress> {
        self.request.clone()
    }

    /// Reads and drops what is left, if that is little: cheaper than another connection.
    pub fn discard(self) {
        const LITTLE: u64 = 64 * 1024;
        if self.incoming.is_end_stream() || self.incoming.size_hint().lower() > LITTLE {
            return;
        }
        tokio::spawn(async move {
            let mut body = pin!(self);
            let mut seen = 0;
            while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                seen += frame.data_ref().map_or(0, |data| data.len() as u64);
                if seen > LITTLE {
                    return;
                }
            }
        });
    }

    /// Reads it to its end and digests it.
    ///
    /// # Errors
    /// If it breaks.
    pub async fn digest(self, mut digest: SipHasher13) -> Result<SipHasher13, BodyError> {
        let mut body = pin!(self);
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            if let Some(data) = frame?.data_ref() {
                digest.write(data);
            }
        }
        Ok(digest)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.silence.heard();
                self.put_back_at_end();
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
                self.put_back_at_end();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Pending => {
                ready!(self.silence.poll_too_long(cx));
                Poll::Ready(Some(Err("the origin was silent for too long".into())))
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

/// How much of a body was read.
pub enum ReadUpTo {
    /// All of it.
    End(Vec<u8>),
    /// So much, and it is longer than was wanted: the rest is still to come.
    Limit(Vec<u8>, Incoming),
}

/// Reads a client's body to its end, or until it proves to be longer than `limit` bytes.
///
/// # Errors
/// If it breaks, or the client is silent for too long.
pub async fn read_up_to(mut body: Incoming, limit: usize, silence: Duration) -> Result<ReadUpTo, BodyError> {
    let mut bytes = Vec::new();
    if body.size_hint().lower() > limit as u64 {
        return Ok(ReadUpTo::Limit(bytes, body));
    }
    let next = |body: &mut Incoming, cx: &mut Context<'_>| Pin::new(body).poll_frame(cx);
    while let Some(frame) = tokio::time::timeout(silence, poll_fn(|cx| next(&mut body, cx))).await? {
        bytes.extend_from_slice(frame?.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > limit {
            return Ok(ReadUpTo::Limit(bytes, body));
        }
    }
    Ok(ReadUpTo::End(bytes))
}

/// The body of an answer to the client. Whoever counts requests in flight counts it until it is gone.
pub struct AnswerBody {
    content: Content,
    _in_flight: Option<Arc<InFlight>>,
}

enum Content {
    Fixed(Option<Bytes>),
    Origin(OriginBody),
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
            Content::Origin(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Fixed(bytes) => bytes.is_none(),
            Content::Origin(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Fixed(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Content::Origin(body) => body.size_hint(),
        }
    }
}

/// Reads and drops what a refused request's client is still sending, so that its connection stays
/// usable; a body that is longer than that costs the client its connection.
pub fn drain_request(body: Incoming, silence: Duration) {
    const AT_MOST: usize = 1024 * 1024;
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        let mut body = pin!(OutgoingBody::from_client(body, silence));
        let mut seen = 0;
        while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > AT_MOST {
                return;
            }
        }
    });
}
