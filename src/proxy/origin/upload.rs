//! A request on its way to the origin: how much of it has left.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker, ready};

use http_body::Body;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::http1::encode::{Encoder, Outbox};
use crate::proxy::outgoing::OutgoingBody;
use crate::proxy::patience::{Bounds, Clock};
use crate::proxy::told_of::ToldOf;

/// The writing half of a connection to the origin.
///
/// An origin that has said its last word may hang up on a body that is still coming. So a write that fails like this is
/// not the end: what else is to be sent is dropped from then on, and what has arrived is still read.
pub struct Upload {
    socket: Arc<TcpStream>,
    out: Outbox,
    encoder: Encoder,
    /// Whether more of the body is to be asked for.
    fills: bool,
    /// Bytes of the present request that the kernel has taken.
    left: u64,
    failed: Option<io::ErrorKind>,
    /// Who is told, once this goes on beside the answer.
    told: Option<Arc<Beside>>,
    /// Runs while the origin takes nothing of what it is sent.
    clock: Clock,
}

/// Why a request was not sent to its end.
#[derive(Debug)]
pub enum NotSent {
    /// No byte of it has left: the connection was dead.
    Unsent(io::Error),
    /// Its own body broke off.
    Broken(String),
    /// The origin has taken nothing for too long.
    TooSlow(io::Error),
}

impl Upload {
    /// Over this socket.
    pub fn new(socket: Arc<TcpStream>) -> Self {
        Upload {
            socket,
            out: Outbox::default(),
            encoder: Encoder::Nothing,
            fills: false,
            left: 0,
            failed: None,
            told: None,
            clock: Clock::default(),
        }
    }

    /// Begins a request: `write` writes its head.
    pub fn begin(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Encoder) {
        self.encoder = write(self.out.head());
        self.fills = self.encoder != Encoder::Nothing;
        self.left = 0;
    }

    /// Why what was sent last may lack its end: a write has failed.
    pub fn failed(&self) -> Option<io::ErrorKind> {
        self.failed
    }

    /// Whether all of the request has left.
    pub fn is_done(&self) -> bool {
        !self.fills && self.out.is_empty() && self.failed.is_none()
    }

    /// Gives back room that the next request does not need.
    pub fn rest(&mut self) {
        self.out.rest();
    }

    /// Sends as far as the body and the socket allow. Ready when there is nothing more to be sent, also because the
    /// origin has hung up.
    ///
    /// # Errors
    /// If it cannot be sent to its end.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut OutgoingBody,
        bounds: &Bounds,
    ) -> Poll<Result<(), NotSent>> {
        loop {
            self.fill(cx, body)?;
            if self.out.is_empty() {
                return if self.fills { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
            ready!(self.poll_write(cx, body, bounds))?;
        }
    }

    /// Takes what there is of the body, as long as there is room for it.
    fn fill(&mut self, cx: &mut Context<'_>, body: &mut OutgoingBody) -> Result<(), NotSent> {
        while self.fills && self.out.has_room() {
            let trailers = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Err(error))) => {
                    self.fills = false;
                    self.out.clear();
                    return Err(NotSent::Broken(error.to_string()));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        if self.failed.is_none() {
                            self.encoder.data(data, &mut self.out);
                        }
                        if !body.is_end_stream() {
                            continue;
                        }
                        None
                    }
                    Err(frame) => frame.into_trailers().ok(),
                },
                Poll::Ready(None) => None,
            };
            self.fills = false;
            if self.failed.is_none() && self.encoder.end(trailers, &mut self.out).is_err() {
                self.out.clear();
                return Err(NotSent::Broken("the body was shorter than had been said".to_owned()));
            }
        }
        Ok(())
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        body: &OutgoingBody,
        bounds: &Bounds,
    ) -> Poll<Result<(), NotSent>> {
        let told = self.told.clone();
        while !self.out.is_empty() {
            // Until a failure is told.
            let _writing = told.as_ref().map(|told| told.writing.lock());
            let written = match self.out.only() {
                Some(bytes) => self.socket.try_write(bytes),
                None => self.socket.try_write_vectored(&self.out.slices()),
            };
            match written {
                Ok(taken) => {
                    self.clock.heard();
                    self.left += taken as u64;
                    self.out.advance(taken);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Poll::Ready(ready) = self.socket.poll_write_ready(cx) {
                        if let Err(error) = ready {
                            return Poll::Ready(self.fail(error, body));
                        }
                        continue;
                    }
                    let total = body.progress().must_end().unwrap_or(&bounds.total).clone();
                    ready!(self.clock.poll_out(&bounds.patience(Some(total)), cx));
                    return Poll::Ready(Err(NotSent::TooSlow(io::ErrorKind::TimedOut.into())));
                }
                Err(error) => return Poll::Ready(self.fail(error, body)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn fail(&mut self, error: io::Error, body: &OutgoingBody) -> Result<(), NotSent> {
        self.out.clear();
        self.failed = Some(error.kind());
        // At once: whoever reads the answer would take the end of the connection for a good one.
        if let Some(told) = &self.told {
            told.tell(FAILED);
        }
        if self.left == 0 {
            return Err(NotSent::Unsent(error));
        }
        body.goes_nowhere();
        Ok(())
    }

    /// Goes on in a task of its own, beside the answer that came early, and whatever becomes of that: to the end of the
    /// body, or, where the origin has hung up, only to take that off its client.
    pub fn beside(&mut self, mut body: OutgoingBody, bounds: Bounds) -> Arc<Beside> {
        let beside = Arc::<Beside>::default();
        let idle = Upload { failed: self.failed, ..Upload::new(self.socket.clone()) };
        let mut upload = std::mem::replace(self, idle);
        upload.told = Some(beside.clone());
        // Told also where the task is dropped.
        let told = Told(beside.clone());
        tokio::spawn(async move {
            let sent = poll_fn(|cx| upload.poll_send(cx, &mut body, &bounds)).await;
            if sent.is_ok() && upload.is_done() {
                told.0.tell(ENDED_WELL);
            }
            drop(told);
        });
        beside
    }
}

/// A request that goes on beside its answer.
#[derive(Default)]
pub struct Beside {
    state: AtomicU8,
    /// Held from a write until it is told that it failed.
    writing: Mutex<()>,
    /// Who waits for more of the answer.
    reader: Mutex<Option<Waker>>,
    ended: ToldOf,
}

const GOING_ON: u8 = 0;
const ENDED_WELL: u8 = 1;
const FAILED: u8 = 2;

impl Beside {
    /// The first word counts.
    fn tell(&self, state: u8) {
        let _told_already = self.state.compare_exchange(GOING_ON, state, Ordering::AcqRel, Ordering::Acquire);
        self.ended.tell();
        let reader = self.reader.lock().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether it may lack its end; wakes the task when that is told later.
    pub fn fails_beside(&self, cx: &Context<'_>) -> bool {
        *self.reader.lock() = Some(cx.waker().clone());
        self.has_failed()
    }

    /// Whether it may lack its end.
    pub fn has_failed(&self) -> bool {
        self.state.load(Ordering::Acquire) == FAILED
    }

    /// The same, also where that is about to be told. A reset is told to whoever asks the socket first: where that is a
    /// write, a read finds a good end.
    pub fn has_failed_by_now(&self) -> bool {
        drop(self.writing.lock());
        self.has_failed()
    }

    /// Whether all of it has left.
    pub fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == ENDED_WELL
    }

    async fn ended(&self) {
        self.ended.wait_until(|| self.state.load(Ordering::Acquire) != GOING_ON).await;
    }
}

/// Says that it failed, unless something else was said.
struct Told(Arc<Beside>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.tell(FAILED);
    }
}

/// What becomes of a request's end, for whoever has its answer.
#[derive(Clone)]
pub enum RequestEnd {
    /// It was known when the answer came: whether all of the request has left.
    Known(bool),
    /// It still goes on.
    Beside(Arc<Beside>),
}

impl RequestEnd {
    /// Whether all of the request has left, as far as is known by now.
    pub fn has_left(&self) -> bool {
        match self {
            RequestEnd::Known(left) => *left,
            RequestEnd::Beside(beside) => beside.is_done(),
        }
    }

    /// Whether all of the request has left; waits for it. Whatever sends it gives up when it must be over.
    pub async fn leaves(&self) -> bool {
        if let RequestEnd::Beside(beside) = self {
            beside.ended().await;
        }
        self.has_left()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::channel;
    use std::task::Wake;
    use std::time::Duration;

    use prometheus::{IntCounterVec, IntGauge, Opts};
    use socket2::SockRef;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::super::connection::Connection;
    use super::*;
    use crate::proxy::patience::Total;
    use crate::report::limits_hit::{Limit, LimitsHit};

    /// A connection that something goes on beside, and the origin's end of it.
    async fn connected() -> (Connection, Arc<Beside>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a listener");
        let (far, _) = listener.accept().await.expect("a client");
        let mut connection = Connection::new(near, IntGauge::new("open", "open").expect("a gauge"));
        let beside = Arc::<Beside>::default();
        connection.beside = Some(beside.clone());
        (connection, beside, far)
    }

    /// Whoever reads the answer.
    struct Reader {
        beside: Arc<Beside>,
        /// That what is beside it has failed.
        told: AtomicBool,
        /// While nobody else could ask for it.
        first: AtomicBool,
    }

    impl Reader {
        fn new(beside: &Arc<Beside>) -> Arc<Self> {
            Arc::new(Reader {
                beside: beside.clone(),
                told: AtomicBool::default(),
                first: AtomicBool::default(),
            })
        }
    }

    impl Wake for Reader {
        fn wake(self: Arc<Self>) {
            self.told.store(self.beside.has_failed(), Ordering::Release);
            self.first.store(self.beside.writing.is_locked(), Ordering::Release);
        }
    }

    // A request that its client breaks off fails without a word from the origin's socket. Whoever had asked just before
    // waited for the answer's next byte.
    #[tokio::test]
    async fn who_waits_for_an_answer_is_woken_when_its_request_fails_beside_it() {
        let (mut connection, beside, _origin) = connected().await;
        let reader = Reader::new(&beside);
        let waker = reader.clone().into();
        let mut cx = Context::from_waker(&waker);
        assert!(connection.poll_fill(&mut cx).is_pending());
        drop(Told(beside));
        assert!(reader.told.load(Ordering::Acquire));
        assert!(matches!(connection.poll_fill(&mut cx), Poll::Ready(Err(_))));
    }

    // A reset is told to whoever asks the socket first. Where that was a write, a read beside it found a good end of the
    // answer before the write had told what it knew.
    #[tokio::test]
    async fn a_write_tells_of_its_failure_before_anybody_else_may_ask() {
        const MORE_THAN_SOCKETS_TAKE: usize = 16 * 1024 * 1024;
        let (mut connection, beside, origin) = connected().await;
        let reader = Reader::new(&beside);
        assert!(!beside.fails_beside(&Context::from_waker(&reader.clone().into())));
        let hits =
            LimitsHit::new(&IntCounterVec::new(Opts::new("hits", "hits"), &["limit"]).expect("counts"));
        let ends = Instant::now() + Duration::from_secs(3600);
        let total = Total::new(ends, Limit::RequestTime, hits);
        let bounds = Bounds { silence: Duration::MAX, upload: Duration::MAX, total, hits };
        let mut body = OutgoingBody::fixed(vec![b'x'; MORE_THAN_SOCKETS_TAKE].into());
        let upload = &mut connection.upload;
        upload.told = Some(beside);
        upload.begin(|_| Encoder::Exact(MORE_THAN_SOCKETS_TAKE as u64));
        SockRef::from(&origin).set_linger(Some(Duration::ZERO)).expect("a socket");
        drop(origin);
        let _sent_or_not = poll_fn(|cx| upload.poll_send(cx, &mut body, &bounds)).await;
        assert!(upload.failed().is_some());
        assert!(reader.told.load(Ordering::Acquire) && reader.first.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn the_end_of_an_answer_is_not_good_where_a_write_is_about_to_tell_that_it_failed() {
        let (mut connection, beside, origin) = connected().await;
        drop(origin);
        let (writes, is_writing) = channel();
        let writer = std::thread::spawn(move || {
            let _writing = beside.writing.lock();
            writes.send(()).expect("the test waits");
            // Gives the reader a chance to be first. It is to say the same if it takes none.
            for _ in 0..1000 {
                std::thread::yield_now();
            }
            beside.tell(FAILED);
        });
        is_writing.recv().expect("the writer says so");
        assert!(poll_fn(|cx| connection.poll_fill(cx)).await.is_err());
        writer.join().expect("it only tells");
    }
}
