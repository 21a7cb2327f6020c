//! How long a peer is waited for: for its next step, and for all of them together.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

use crate::report::limits_hit::{Limit, LimitsHit};

/// How long a peer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For its next step.
    pub silence: Duration,
    /// For all of them; the limit that this comes from.
    pub until: Option<(Instant, Limit)>,
}

/// What one request and its exchanges with the origin are given.
#[derive(Clone)]
pub struct Bounds {
    /// How long a peer may take for the next piece of a body.
    pub silence: Duration,
    /// How long a request's whole body may take, from when it begins to be sent.
    pub upload: Duration,
    /// When the request must be over.
    pub until: Instant,
    /// Counts the limits that are hit.
    pub hits: LimitsHit,
}

impl Bounds {
    /// The patience with somebody who sends or takes an answer.
    pub fn of_the_answer(&self) -> Patience {
        Patience { silence: self.silence, until: Some((self.until, Limit::RequestTime)) }
    }

    /// When a request's body must be complete that begins now, and which limit says so.
    pub fn end_of_upload(&self) -> (Instant, Limit) {
        match Instant::now().checked_add(self.upload) {
            Some(end) if end < self.until => (end, Limit::UploadTime),
            Some(_) | None => (self.until, Limit::RequestTime),
        }
    }
}

impl Patience {
    fn end(&self, since: Instant) -> Instant {
        let silent = since.checked_add(self.silence);
        let all = self.until.map(|(until, _)| until);
        silent.into_iter().chain(all).min().unwrap_or_else(|| {
            // Nobody set a limit: long after this process.
            const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
            Instant::now() + YEAR
        })
    }

    fn limit_at(&self, now: Instant) -> Limit {
        self.until.filter(|(until, _)| *until <= now).map_or(Limit::BodySilence, |(_, limit)| limit)
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

    /// Ready when patience is at its end. To be polled whenever the peer was found to keep us waiting.
    pub fn poll_out(&mut self, patience: &Patience, cx: &mut Context<'_>) -> Poll<Limit> {
        let running = self.0.get_or_insert_with(|| {
            let since = Instant::now();
            Running { since, timer: Box::pin(tokio::time::sleep_until(patience.end(since))) }
        });
        loop {
            ready!(running.timer.as_mut().poll(cx));
            // It may have become longer since the timer was set: another request has begun.
            let (now, end) = (Instant::now(), patience.end(running.since));
            if end <= now {
                return Poll::Ready(patience.limit_at(now));
            }
            running.timer.as_mut().reset(end);
        }
    }
}

/// The patience with whoever takes what is written to a stream, set by those who write to it.
///
/// A body that nobody polls, because the stream is full, has no timer that runs: so the stream has one.
pub struct Pace {
    patience: Mutex<Patience>,
    totals: Totals,
    hits: LimitsHit,
}

/// Who counts it when the total is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Totals {
    /// The stream, since nobody else sees it.
    CountedHere,
    /// Somebody else, since the total is not the stream's own.
    CountedElsewhere,
}

impl Pace {
    /// A stream's pace until something else is set.
    pub fn new(silence: Duration, totals: Totals, hits: LimitsHit) -> Arc<Self> {
        Arc::new(Pace { patience: Mutex::new(Patience { silence, until: None }), totals, hits })
    }

    /// The patience from now on.
    pub fn set(&self, patience: Patience) {
        *self.patience.lock() = patience;
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
        let patience = *self.pace.patience.lock();
        let limit = ready!(self.clock.poll_out(&patience, cx));
        if limit == Limit::BodySilence || self.pace.totals == Totals::CountedHere {
            self.pace.hits.hit(limit);
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_and_the_total_each_end_patience_and_say_which_it_was() {
        let start = Instant::now();
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(10));
        let total = |after| Some((start + after, Limit::RequestTime));
        for (silence, until, limit) in [
            (short, None, Limit::BodySilence),
            (short, total(long), Limit::BodySilence),
            (Duration::MAX, total(long), Limit::RequestTime),
        ] {
            let patience = Patience { silence, until };
            let mut clock = Clock::default();
            assert_eq!(poll_fn(|cx| clock.poll_out(&patience, cx)).await, limit);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_drips_is_heard_and_still_runs_into_the_total() {
        let start = Instant::now();
        let until = Some((start + Duration::from_secs(10), Limit::UploadTime));
        let patience = Patience { silence: Duration::from_secs(2), until };
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
        let start = Instant::now();
        let until = |seconds| Some((start + Duration::from_secs(seconds), Limit::RequestTime));
        let mut patience = Patience { silence: Duration::MAX, until: until(1) };
        let mut clock = Clock::default();
        poll_fn(|cx| {
            assert!(clock.poll_out(&patience, cx).is_pending());
            Poll::Ready(())
        })
        .await;
        patience.until = until(5);
        poll_fn(|cx| clock.poll_out(&patience, cx)).await;
        assert!(start.elapsed() >= Duration::from_secs(5));
    }
}
