//! hyper's work on a connection to the origin, done where its result is waited for.
//!
//! hyper gives a connection in two halves: one takes requests, and the other reads and writes the socket
//! while somebody polls it. In a task of its own that half costs two switches between tasks for every
//! message. So the request's own task polls it, from the request to the end of its answer; only what goes
//! on beyond that, or beside it, is given a task.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// The half of a connection that reads and writes.
pub struct Driver {
    /// `None` where it has a task of its own, or is over.
    work: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    waiting: Arc<Waiting>,
    waker: Waker,
}

/// Who is woken when the connection can go on: whoever polled it last, and nobody while it is idle. A
/// request or a body's end would otherwise wake a task that is just being polled, or has long gone on.
#[derive(Default)]
struct Waiting(Mutex<Waits>);

#[derive(Default)]
struct Waits {
    task: Option<Waker>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// It is being polled, or idle: whatever becomes ready now is found without a call.
    #[default]
    Up,
    /// Something became ready after it was looked for.
    Missed,
    /// The task is to be woken.
    Asleep,
    /// It was.
    Woken,
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut waits = self.0.lock();
        waits.state = match waits.state {
            State::Up | State::Missed => State::Missed,
            State::Asleep | State::Woken => State::Woken,
        };
        if waits.state == State::Woken
            && let Some(task) = &waits.task
        {
            task.wake_by_ref();
        }
    }
}

impl Waiting {
    fn is_asleep(&self, task: &Waker) -> bool {
        let waits = self.0.lock();
        waits.state == State::Asleep && waits.task.as_ref().is_some_and(|known| known.will_wake(task))
    }

    fn gets_up(&self) {
        self.0.lock().state = State::Up;
    }

    /// `false` if there is something to do already.
    fn falls_asleep(&self, task: &Waker) -> bool {
        let mut waits = self.0.lock();
        if waits.state == State::Missed {
            return false;
        }
        if !waits.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            waits.task = Some(task.clone());
        }
        waits.state = State::Asleep;
        true
    }
}

impl Driver {
    /// Nobody polls it yet.
    pub fn new(work: impl Future<Output = ()> + Send + Sync + 'static) -> Self {
        let waiting = Arc::<Waiting>::default();
        Driver { work: Some(Box::pin(work)), waker: waiting.clone().into(), waiting }
    }

    /// Gives it a task of its own.
    pub fn detach(&mut self) {
        if let Some(work) = self.work.take() {
            tokio::spawn(work);
        }
    }

    /// Nobody waits for it any more. Whoever polls it next finds what has happened meanwhile.
    pub fn rest(&mut self) {
        *self.waiting.0.lock() = Waits::default();
    }

    /// Works as far as the socket allows, and then polls what this may have made ready.
    pub fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut result: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // The task was woken for something else: the other end's part of the same message, as a rule.
        if self.work.is_some() && self.waiting.is_asleep(cx.waker()) {
            return Poll::Pending;
        }
        // Once more for what the result asked of the connection; whoever wants to go on beyond that takes turns
        // with other tasks, or one that has used up its turn would spin here.
        for _ in 0..2 {
            let Some(work) = &mut self.work else { return result(cx) };
            self.waiting.gets_up();
            if work.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
                self.work = None;
            }
            // Only our own polling makes it ready: woken by it, this task would be polled once more for nothing.
            if let Poll::Ready(ready) = result(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(ready);
            }
            if self.work.is_some() && self.waiting.falls_asleep(cx.waker()) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_polled_last_is_woken_and_nobody_at_rest() {
        let inner = Arc::new(Mutex::new(None::<Waker>));
        let seen = inner.clone();
        let mut driver = Driver::new(poll_fn(move |cx| {
            *seen.lock() = Some(cx.waker().clone());
            Poll::Pending
        }));
        let counts = [(); 2].map(|()| Arc::new(Counted(AtomicUsize::new(0))));
        let wake = || inner.lock().clone().expect("polled").wake();
        let woken = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        for count in &counts {
            let waker = Waker::from(count.clone());
            assert!(driver.poll_with(&mut Context::from_waker(&waker), |_| Poll::<()>::Pending).is_pending());
            wake();
        }
        assert_eq!(woken(), [1, 1]);
        driver.rest();
        wake();
        assert_eq!(woken(), [1, 1]);
    }

    /// Ready for ever, and never at an end.
    fn restless(cx: &mut Context<'_>) -> Poll<()> {
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    #[test]
    fn what_looking_for_the_result_asks_of_the_work_is_done_at_once_and_wakes_nobody() {
        let (asked, seen) = (Arc::new(Mutex::new(None::<Waker>)), Arc::new(AtomicUsize::new(0)));
        let (asks, sees) = (asked.clone(), seen.clone());
        let mut driver = Driver::new(poll_fn(move |cx| {
            sees.fetch_add(1, Ordering::Relaxed);
            *asks.lock() = Some(cx.waker().clone());
            Poll::Pending
        }));
        let count = Arc::new(Counted(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let looked = driver.poll_with(&mut cx, |_| {
            if seen.load(Ordering::Relaxed) == 2 {
                return Poll::Ready(());
            }
            asked.lock().clone().expect("polled").wake();
            Poll::Pending
        });
        assert!(looked.is_ready());
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn work_that_was_not_woken_is_left_alone() {
        let polls = Arc::new(AtomicUsize::new(0));
        let seen = polls.clone();
        let mut driver = Driver::new(poll_fn(move |_| {
            seen.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        }));
        let waker = Waker::from(Arc::new(Counted(AtomicUsize::new(0))));
        for _ in 0..3 {
            assert!(driver.poll_with(&mut Context::from_waker(&waker), |_| Poll::<()>::Pending).is_pending());
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        // Another task knows nothing of that, and is to be woken from now on.
        let other = Waker::from(Arc::new(Counted(AtomicUsize::new(0))));
        assert!(driver.poll_with(&mut Context::from_waker(&other), |_| Poll::<()>::Pending).is_pending());
        assert_eq!(polls.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn work_that_always_wants_to_go_on_takes_turns_with_other_tasks() {
        let mut driver = Driver::new(poll_fn(restless));
        let count = Arc::new(Counted(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        assert!(driver.poll_with(&mut Context::from_waker(&waker), |_| Poll::<()>::Pending).is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
