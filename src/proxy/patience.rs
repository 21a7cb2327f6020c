//! How long a peer is waited for: for its next step, and for all of them together.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep};

use crate::report::limits_hit::{Limit, LimitsHit};

/// The end of something as a whole, for all who wait for a part of it.
#[derive(Clone)]
pub struct Total(Arc<End>);

struct End {
    at: Instant,
    limit: Limit,
    counted: AtomicBool,
    hits: LimitsHit,
}

impl Total {
    /// It ends then, because of this limit.
    pub fn new(at: Instant, limit: Limit, hits: LimitsHit) -> Self {
        Total(Arc::new(End { at, limit, counted: AtomicBool::new(false), hits }))
    }

    /// When.
    pub fn at(&self) -> Instant {
        self.0.at
    }

    /// Whether that is over.
    pub fn is_over(&self) -> bool {
        self.0.at <= Instant::now()
    }

    /// It was not finished then. Several may see it; it is counted once.
    pub fn hit(&self) -> Limit {
        if !self.0.counted.swap(true, Ordering::AcqRel) {
            self.0.hits.hit(self.0.limit);
        }
        self.0.limit
    }
}

/// How long a peer is waited for.
#[derive(Clone)]
pub struct Patience {
    /// For its next step.
    pub silence: Duration,
    /// For all of them.
    pub total: Option<Total>,
    /// Counts the limits that are hit.
    pub hits: LimitsHit,
}

/// What one request and its exchanges with the origin are given.
#[derive(Clone)]
pub struct Bounds {
    /// How long a peer may take for the next piece of a body.
    pub silence: Duration,
    /// How long a request's whole body may take, from when it begins to be sent.
    pub upload: Duration,
    /// When the request must be over.
    pub total: Total,
    /// Counts the limits that are hit.
    pub hits: LimitsHit,
}

impl Bounds {
    /// The patience with a peer until then.
    pub fn patience(&self, total: Option<Total>) -> Patience {
        Patience { silence: self.silence, total, hits: self.hits }
    }

    /// The patience with somebody who sends or takes an answer.
    pub fn of_the_answer(&self) -> Patience {
        self.patience(Some(self.total.clone()))
    }

    /// When a request's body must be complete that begins now.
    pub fn end_of_upload(&self, now: Instant) -> Total {
        match now.checked_add(self.upload) {
            Some(end) if end < self.total.at() => Total::new(end, Limit::UploadTime, self.hits),
            Some(_) | None => self.total.clone(),
        }
    }
}

impl Patience {
    fn end(&self, since: Instant) -> Instant {
        let silent = since.checked_add(self.silence);
        let all = self.total.as_ref().map(Total::at);
        silent.into_iter().chain(all).min().unwrap_or_else(|| {
            // Nobody set a limit: long after this process.
            const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
            Instant::now() + YEAR
        })
    }

    fn hit(&self) -> Limit {
        match self.total.as_ref().filter(|total| total.is_over()) {
            Some(total) => total.hit(),
            None => {
                self.hits.hit(Limit::BodySilence);
                Limit::BodySilence
            }
        }
    }
}

/// A timer that runs while a peer is waited for.
#[derive(Default)]
pub struct Clock(Option<Running>);

struct Running {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    /// The peer did something.
    pub fn heard(&mut self) {
        self.0 = None;
    }

    /// Ready when patience is at its end, which is counted. To be polled whenever the peer was found to keep us waiting.
    pub fn poll_out(&mut self, patience: &Patience, cx: &mut Context<'_>) -> Poll<Limit> {
        let running = self.0.get_or_insert_with(|| {
            let since = Instant::now();
            Running { since, timer: Box::pin(tokio::time::sleep_until(patience.end(since))) }
        });
        loop {
            // Where data flows without end, the task's share of the runtime is used up whenever it gets here.
            ready!(pin!(unconstrained(running.timer.as_mut())).poll(cx));
            // It may have become longer since the timer was set: another request has begun.
            let end = patience.end(running.since);
            if end <= Instant::now() {
                return Poll::Ready(patience.hit());
            }
            running.timer.as_mut().reset(end);
        }
    }
}

/// The patience with whoever takes what is written to a stream, set by those who write to it.
///
/// A body that nobody polls, because the stream is full, has no timer that runs: so the stream has one.
pub struct Pace(Mutex<Patience>);

impl Pace {
    /// A stream's pace until something else is set.
    pub fn new(silence: Duration, hits: LimitsHit) -> Arc<Self> {
        Arc::new(Pace(Mutex::new(Patience { silence, total: None, hits })))
    }

    /// The patience from now on.
    pub fn set(&self, patience: Patience) {
        *self.0.lock() = patience;
    }

    /// What is sent from now on belongs to no request, whose total would end it.
    pub fn becomes_a_tunnel(&self) {
        self.0.lock().total = None;
    }
}

/// A stream's writing half, as far as its peer's slowness goes.
pub struct Paced {
    pace: Arc<Pace>,
    clock: Clock,
}

impl Paced {
    /// Held to this pace.
    pub fn new(pace: Arc<Pace>) -> Self {
        Paced { pace, clock: Clock::default() }
    }

    /// What became of writing: an error if the peer has taken nothing for too long.
    pub fn taken<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.clock.heard();
            return written;
        }
        let patience = self.pace.0.lock().clone();
        ready!(self.clock.poll_out(&patience, cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use prometheus::{IntCounterVec, Opts};

    use super::*;

    /// A family of counters, and what counts in it.
    fn counts() -> (IntCounterVec, LimitsHit) {
        let family = IntCounterVec::new(Opts::new("hits", "hits"), &["limit"]).expect("a family");
        let hits = LimitsHit::new(&family);
        (family, hits)
    }

    fn in_seconds(seconds: u64, limit: Limit, hits: LimitsHit) -> Total {
        Total::new(Instant::now() + Duration::from_secs(seconds), limit, hits)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_the_total_each_end_patience_and_say_which_it_was() {
        let (family, hits) = counts();
        for (silence, total, limit) in [
            (1, None, Limit::BodySilence),
            (1, Some(10), Limit::BodySilence),
            (u64::MAX, Some(10), Limit::RequestTime),
        ] {
            let total = total.map(|seconds| in_seconds(seconds, Limit::RequestTime, hits));
            let patience = Patience { silence: Duration::from_secs(silence), total, hits };
            let mut clock = Clock::default();
            assert_eq!(poll_fn(|cx| clock.poll_out(&patience, cx)).await, limit);
        }
        let count = |limit: Limit| family.with_label_values(&[limit.key()]).get();
        assert_eq!((count(Limit::BodySilence), count(Limit::RequestTime)), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_drips_is_heard_and_still_runs_into_the_total() {
        let (_family, hits) = counts();
        let total = Some(in_seconds(10, Limit::UploadTime, hits));
        let patience = Patience { silence: Duration::from_secs(2), total, hits };
        let mut clock = Clock::default();
        let mut steps = 0;
        let limit = loop {
            let waiting = poll_fn(|cx| clock.poll_out(&patience, cx));
            match tokio::time::timeout(Duration::from_secs(1), waiting).await {
                Ok(limit) => break limit,
                Err(_) => clock.heard(),
            }
            steps += 1;
        };
        assert_eq!((limit, steps), (Limit::UploadTime, 9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_total_that_is_put_off_counts_from_then_on() {
        let (_family, hits) = counts();
        let start = Instant::now();
        let total = |seconds| Some(in_seconds(seconds, Limit::RequestTime, hits));
        let mut patience = Patience { silence: Duration::MAX, total: total(1), hits };
        let mut clock = Clock::default();
        poll_fn(|cx| {
            assert!(clock.poll_out(&patience, cx).is_pending());
            Poll::Ready(())
        })
        .await;
        patience.total = total(5);
        poll_fn(|cx| clock.poll_out(&patience, cx)).await;
        assert!(start.elapsed() >= Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_total_that_several_see_is_counted_once() {
        let (family, hits) = counts();
        let total = in_seconds(1, Limit::UploadTime, hits);
        let patience = Patience { silence: Duration::MAX, total: Some(total.clone()), hits };
        let (mut here, mut there) = (Clock::default(), Clock::default());
        poll_fn(|cx| here.poll_out(&patience, cx)).await;
        poll_fn(|cx| there.poll_out(&patience, cx)).await;
        total.hit();
        assert_eq!(family.with_label_values(&[Limit::UploadTime.key()]).get(), 1);
    }
}
