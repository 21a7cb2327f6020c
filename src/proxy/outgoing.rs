//! A request's body on its way to the origin: streamed, with limits on how long its client may take.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::body::{BodyError, NextFrame};
use super::client_body::ClientBody;
use super::fields::trailers_to_origin;
use super::noted::SharedNoted;
use super::patience::{Bounds, Clock, Patience, Total};
use super::told_of::ToldOf;
use crate::boxed::boxed;
use crate::report::limits_hit::Limit;
use crate::request::hidden_method::HiddenMethod;

/// How far a request's body has got. `None`: it was here as a whole before it was sent.
#[derive(Clone)]
pub struct BodyProgress(Option<Arc<Passing>>);

/// A body that is taken off its client as it is sent.
#[derive(Default)]
struct Passing {
    state: AtomicU8,
    changed: ToldOf,
    /// When it must be complete; from when it begins to be sent.
    must_end: OnceLock<Total>,
}

const SENDING: u8 = 0;
const SENT: u8 = 1;
/// The client's side broke, fell silent or was too slow.
const BROKEN: u8 = 2;
/// The origin's connection ended first. Not the client's doing: the cause of a lost write is told by it.
const UNFINISHED: u8 = 3;

impl BodyProgress {
    fn state(&self) -> u8 {
        self.0.as_ref().map_or(SENT, |passing| passing.state.load(Ordering::Acquire))
    }

    /// Whether more of it may come.
    pub fn is_sending(&self) -> bool {
        self.state() == SENDING
    }

    /// Whether the whole body was handed over, or was in memory before.
    pub fn is_sent(&self) -> bool {
        self.state() == SENT
    }

    /// Whether the client's side of it broke, fell silent or was too slow.
    pub fn is_broken(&self) -> bool {
        self.state() == BROKEN
    }

    /// It begins to be sent, and must be complete by then. The first call counts.
    pub fn begin(&self, must_end: impl FnOnce() -> Total) {
        if let Some(passing) = &self.0 {
            passing.must_end.get_or_init(must_end);
        }
    }

    /// When it must be complete, if it has begun to be sent.
    pub fn must_end(&self) -> Option<&Total> {
        self.0.as_ref()?.must_end.get()
    }

    /// Whether it was not complete when it had to be.
    pub fn overran(&self) -> bool {
        !self.is_sent() && self.must_end().is_some_and(Total::is_over)
    }

    /// Waits until nothing more of the body will come; no longer than until it must be complete.
    ///
    /// # Errors
    /// If it still is not complete then.
    pub async fn over(&self) -> Result<(), Limit> {
        let Some(passing) = self.0.as_ref().filter(|_| self.is_sending()) else { return Ok(()) };
        let ended = passing.changed.wait_until(|| !self.is_sending());
        let Some(total) = passing.must_end.get() else {
            ended.await;
            return Ok(());
        };
        tokio::time::timeout_at(total.at(), ended).await.map_err(|_| total.hit())
    }

    fn set(&self, state: u8) {
        if let Some(passing) = &self.0 {
            passing.state.store(state, Ordering::Release);
            passing.changed.tell();
        }
    }
}

/// A gate that the origin opens with 100 (Continue) (RFC 9110 section 10.1.1).
#[derive(Default)]
struct ContinueGate(Notify);

/// A gate in front of a body, and the wait for it.
struct Gated {
    gate: Arc<ContinueGate>,
    opened: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

/// A request's body on its way to the origin.
///
/// What is large of it is in boxes: it is handed on from stage to stage, and would be copied each time.
pub struct OutgoingBody {
    source: Source,
    gate: Option<Box<Gated>>,
    /// Whether anything of it was taken.
    taken: bool,
    progress: BodyProgress,
    noted: Option<SharedNoted>,
}

enum Source {
    Client(Box<FromClient>),
    Fixed(Option<Bytes>),
    /// Came in chunks and was read whole: it goes on in chunks, with its trailer fields.
    Chunked(Box<(Option<Bytes>, Option<HeaderMap>)>),
}

struct FromClient {
    /// What was read of it already, and goes first.
    begun: Option<Bytes>,
    body: ClientBody,
    patience: Patience,
    clock: Clock,
    watch: Option<HiddenMethod>,
}

/// How long an origin may take over `Expect: 100-continue` before the body is sent anyway: an origin
/// that does not know the field never answers it (RFC 9110 section 10.1.1).
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

impl OutgoingBody {
    /// The client's body: streamed, where it is not here as a whole.
    pub fn from_client(mut body: ClientBody, bounds: &Bounds) -> Self {
        if let Some(whole) = body.take_whole() {
            return Self::fixed(whole);
        }
        if body.is_end_stream() {
            return Self::empty();
        }
        Self::streamed(None, body, bounds)
    }

    fn streamed(begun: Option<Bytes>, body: ClientBody, bounds: &Bounds) -> Self {
        let (patience, clock) = (bounds.patience(None), Clock::default());
        Self::new(Source::Client(boxed(|| FromClient { begun, body, patience, clock, watch: None })))
    }

    /// The client's body, of which this much was read already.
    pub fn from_client_begun(begun: Bytes, rest: ClientBody, bounds: &Bounds) -> Self {
        if rest.is_end_stream() {
            return Self::fixed(begun);
        }
        Self::streamed(Some(begun).filter(|b| !b.is_empty()), rest, bounds)
    }

    /// A body that is in memory already.
    pub fn fixed(bytes: Bytes) -> Self {
        Self::new(Source::Fixed(Some(bytes).filter(|b| !b.is_empty())))
    }

    /// A client's body that was read whole.
    pub fn read(whole: WholeBody) -> Self {
        let WholeBody { bytes, in_chunks } = whole;
        match in_chunks {
            Some(trailers) if !bytes.is_empty() => {
                let trailers = Some(trailers_to_origin(&trailers)).filter(|trailers| !trailers.is_empty());
                Self::new(Source::Chunked(Box::new((Some(bytes.into()), trailers))))
            }
            Some(_) | None => Self::fixed(bytes.into()),
        }
    }

    /// No body.
    pub fn empty() -> Self {
        Self::fixed(Bytes::new())
    }

    fn new(source: Source) -> Self {
        let progress = BodyProgress(match source {
            Source::Client(_) => Some(Arc::default()),
            Source::Fixed(_) | Source::Chunked(..) => None,
        });
        OutgoingBody { source, gate: None, taken: false, progress, noted: None }
    }

    /// Tells how far it has got.
    pub fn progress(&self) -> &BodyProgress {
        &self.progress
    }

    /// Breaks it off before a method that it hides: nobody judged that.
    pub fn watched(mut self, watch: HiddenMethod) -> Self {
        if let Source::Client(client) = &mut self.source {
            client.watch = Some(watch);
        }
        self
    }

    /// Notes it there as it passes.
    pub fn noted_in(mut self, content: SharedNoted) -> Self {
        self.noted = Some(content);
        self
    }

    /// Holds it back until the origin [asks for it](Self::is_asked_for), or has kept silent over it for a while.
    pub fn until_asked_for(mut self) -> Self {
        let gate = Arc::<ContinueGate>::default();
        let closed = gate.clone();
        let opened = Box::pin(async move {
            let _opened_or_not = tokio::time::timeout(CONTINUE_PATIENCE, closed.0.notified()).await;
        });
        self.gate = Some(Box::new(Gated { gate, opened }));
        self
    }

    /// The origin said 100 (Continue).
    pub fn is_asked_for(&self) {
        if let Some(gated) = &self.gate {
            gated.gate.0.notify_one();
        }
    }

    /// The origin has hung up: what still comes of it is only taken off its client.
    pub fn goes_nowhere(&self) {
        if let Source::Client(client) = &self.source {
            client.body.goes_nowhere();
        }
    }

    /// Whether nothing of it was taken, so that it can be sent from its beginning.
    pub fn is_untouched(&self) -> bool {
        !self.taken
    }
}

impl Drop for OutgoingBody {
    /// The connection ended before the body was sent: nothing more of it will come.
    fn drop(&mut self) {
        if self.progress.is_sending() {
            self.progress.set(UNFINISHED);
        }
    }
}

fn noted_frame(noted: &Option<SharedNoted>, bytes: Bytes) -> Frame<Bytes> {
    if let Some(content) = noted {
        content.lock().note(&bytes);
    }
    Frame::data(bytes)
}

impl FromClient {
    fn poll(&mut self, cx: &mut Context<'_>, progress: &BodyProgress) -> NextFrame {
        // A client that always has something to send is held to the total too: from then on its write
        // counts as of unknown outcome, and nothing more of it may reach the origin.
        let total = progress.must_end();
        if let Some(total) = total.filter(|total| total.is_over()) {
            return broken(progress, too_slow(total.hit()));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.clock.heard();
                if let (Some(watch), Some(data)) = (&mut self.watch, frame.data_ref())
                    && watch.is_in(data)
                {
                    return broken(
                        progress,
                        "the form states a method behind its beginning, which was judged",
                    );
                }
                if self.body.is_end_stream() {
                    progress.set(SENT);
                }
                Poll::Ready(Some(Ok(match frame.into_trailers() {
                    Ok(trailers) => Frame::trailers(trailers_to_origin(&trailers)),
                    Err(data) => data,
                })))
            }
            Poll::Ready(None) => {
                progress.set(SENT);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => broken(progress, error),
            Poll::Pending => {
                if self.patience.total.is_none() {
                    self.patience.total = total.cloned();
                }
                let limit = ready!(self.clock.poll_out(&self.patience, cx));
                broken(progress, too_slow(limit))
            }
        }
    }
}

fn too_slow(limit: Limit) -> String {
    format!("the client took too long: {}", limit.key())
}

fn broken(progress: &BodyProgress, why: impl Into<BodyError>) -> NextFrame {
    progress.set(BROKEN);
    Poll::Ready(Some(Err(why.into())))
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> NextFrame {
        let this = self.get_mut();
        if let Some(gate) = &mut this.gate {
            ready!(gate.opened.as_mut().poll(cx));
            this.gate = None;
        }
        this.taken = true;
        match &mut this.source {
            Source::Fixed(bytes) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(noted_frame(&this.noted, bytes))))
            }
            Source::Chunked(rest) => Poll::Ready(match rest.0.take() {
                Some(bytes) => Some(Ok(noted_frame(&this.noted, bytes))),
                None => rest.1.take().map(|trailers| Ok(Frame::trailers(trailers))),
            }),
            Source::Client(client) => {
                if let Some(bytes) = client.begun.take() {
                    return Poll::Ready(Some(Ok(noted_frame(&this.noted, bytes))));
                }
                let next = ready!(client.poll(cx, &this.progress));
                if let (Some(content), Some(Ok(frame))) = (&this.noted, &next)
                    && let Some(data) = frame.data_ref()
                {
                    content.lock().note(data);
                }
                Poll::Ready(next)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Client(client) => client.begun.is_none() && client.body.is_end_stream(),
            Source::Fixed(bytes) => bytes.is_none(),
            Source::Chunked(rest) => rest.0.is_none() && rest.1.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, |b| b.len() as u64);
        match &self.source {
            Source::Client(client) => {
                let (rest, begun) = (client.body.size_hint(), length(&client.begun));
                match rest.exact() {
                    Some(exact) => SizeHint::with_exact(begun + exact),
                    None => SizeHint::new(),
                }
            }
            Source::Fixed(bytes) => SizeHint::with_exact(length(bytes)),
            Source::Chunked(..) => SizeHint::new(),
        }
    }
}

/// A client's body, read whole.
pub struct WholeBody {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its trailer fields, if it came in chunks.
    pub in_chunks: Option<HeaderMap>,
}

/// How much of a body was read.
pub enum ReadUpTo {
    /// All of it.
    End(WholeBody),
    /// So much, and it is longer than was wanted: the rest is still to come.
    Limit(Vec<u8>, ClientBody),
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// It broke.
    Broken,
    /// It did not come in time.
    TooSlow,
}

/// Reads a client's body to its end, or until it proves to be longer than `limit` bytes.
///
/// # Errors
/// If it breaks, or the client is silent for too long or takes too long as a whole.
pub async fn read_up_to(body: ClientBody, limit: usize, bounds: &Bounds) -> Result<ReadUpTo, NotRead> {
    if body.size_hint().lower() > limit as u64 {
        return Ok(ReadUpTo::Limit(Vec::new(), body));
    }
    read_beginning(body, limit, bounds).await
}

/// Reads a client's body to its end, or until more than so many bytes have come.
///
/// # Errors
/// If it breaks, or the client is silent for too long or takes too long as a whole.
pub async fn read_beginning(
    mut body: ClientBody,
    at_least: usize,
    bounds: &Bounds,
) -> Result<ReadUpTo, NotRead> {
    let mut bytes = Vec::new();
    if at_least == 0 {
        return Ok(ReadUpTo::Limit(bytes, body));
    }
    let mut in_chunks = body.size_hint().exact().is_none().then(HeaderMap::new);
    let patience = bounds.patience(Some(bounds.end_of_upload(Instant::now())));
    let mut clock = Clock::default();
    loop {
        let next = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(next) => Poll::Ready(Ok(next)),
            Poll::Pending => clock.poll_out(&patience, cx).map(Err),
        });
        match next.await {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => in_chunks = frame.into_trailers().ok().or(in_chunks),
            },
            Ok(None) => return Ok(ReadUpTo::End(WholeBody { bytes, in_chunks })),
            Ok(Some(Err(_))) => return Err(NotRead::Broken),
            Err(_) => return Err(NotRead::TooSlow),
        }
        clock.heard();
        if bytes.len() > at_least {
            return Ok(ReadUpTo::Limit(bytes, body));
        }
    }
}

/// Reads and drops what a refused request's client is still sending, so that its connection stays
/// usable; a body that is longer than that, or takes longer than one silence may as a whole, costs the
/// client its connection.
pub fn drain_request(mut body: ClientBody, bounds: &Bounds) {
    // What is here already, as a rule all of it, is not worth a task.
    let mut now = Context::from_waker(Waker::noop());
    let mut seen = 0;
    while !body.is_end_stream() {
        match Pin::new(&mut body).poll_frame(&mut now) {
            Poll::Ready(Some(Ok(frame))) => seen += frame.data_ref().map_or(0, Bytes::len),
            Poll::Ready(Some(Err(_)) | None) => return,
            Poll::Pending => return drain_what_comes(body, seen, bounds),
        }
    }
}

fn drain_what_comes(mut body: ClientBody, mut seen: usize, bounds: &Bounds) {
    const AT_MOST: usize = 1024 * 1024;
    let (at_most, hits) = (bounds.silence, bounds.hits);
    body.goes_nowhere();
    tokio::spawn(async move {
        let drained = async {
            while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                seen += frame.data_ref().map_or(0, Bytes::len);
                if seen > AT_MOST {
                    return;
                }
            }
        };
        if tokio::time::timeout(at_most, drained).await.is_err() {
            hits.hit(Limit::BodySilence);
        }
    });
}
