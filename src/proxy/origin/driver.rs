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
struct Waiting(Mutex<Option<Waker>>);

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(task) = &*self.0.lock() {
            task.wake_by_ref();
        }
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
        self.waiting.0.lock().take();
    }

    /// Works as far as the socket allows, and then polls what this may have made ready.
    pub fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Some(work) = &mut self.work else { return result(cx) };
        let mut waiting = self.waiting.0.lock();
        if !waiting.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *waiting = Some(cx.waker().clone());
        }
        drop(waiting);
        if work.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
            self.work = None;
        }
        // Only our own polling makes it ready: woken by it, this task would be polled once more for nothing.
        result(&mut Context::from_waker(Waker::noop()))
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
}
