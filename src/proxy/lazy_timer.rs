//! A timer for ends that are put off with every request, and hardly ever come.
//!
//! A timer of the runtime is entered and taken out again, or moved, for each end that is set. This one stays where it
//! was entered first; when it goes off, it looks whether the end has been put off meanwhile.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// One timer, for one end at a time.
#[derive(Default)]
pub struct LazyTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Who is woken when it goes off.
    task: Option<Waker>,
}

impl LazyTimer {
    /// Ready from then on.
    pub fn poll_until(&mut self, end: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if end < sleep.deadline() {
            sleep.as_mut().reset(end);
            self.task = None;
        }
        loop {
            let is_awaited = self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker()));
            if is_awaited && !sleep.is_elapsed() {
                return Poll::Pending;
            }
            self.task = Some(cx.waker().clone());
            // Where data flows without end, the task's share of the runtime is used up whenever it gets here.
            ready!(pin!(unconstrained(sleep.as_mut())).poll(cx));
            self.task = None;
            if sleep.deadline() >= end {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    async fn until(timer: &mut LazyTimer, end: Instant) {
        poll_fn(|cx| timer.poll_until(end, cx)).await;
    }

    /// It was looked at once, and is then forgotten, as with a request that is answered.
    async fn begin(timer: &mut LazyTimer, end: Instant) {
        let looked = poll_fn(|cx| Poll::Ready(timer.poll_until(end, cx))).await;
        assert!(looked.is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_is_put_off_or_moved_up_comes_when_it_is_due() {
        let mut timer = LazyTimer::default();
        for (first, then) in [(10, 10), (10, 30), (30, 10), (1, 100), (100, 1), (5, 0)] {
            begin(&mut timer, after(first)).await;
            let begun = Instant::now();
            until(&mut timer, after(then)).await;
            let took = begun.elapsed();
            let due = Duration::from_secs(then);
            assert!(due <= took && took < due + Duration::from_millis(5), "{first}, then {then}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_now_is_woken_whoever_waited_before() {
        let mut timer = LazyTimer::default();
        let end = after(10);
        begin(&mut timer, end).await;
        tokio::spawn(async move { until(&mut timer, end).await }).await.expect("woken");
        assert!(end <= Instant::now());
    }
}
