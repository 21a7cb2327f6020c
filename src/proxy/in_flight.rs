//! How much is going on: what limits, draining and gauges look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;
use tokio::sync::Notify;

/// A count of things in flight, with somebody waiting for none.
pub struct Counter {
    count: AtomicUsize,
    none: Notify,
    gauge: IntGauge,
}

/// One of them, until it is dropped.
pub struct InFlight(Arc<Counter>);

impl Counter {
    /// None yet; `gauge` shows the count.
    pub fn new(gauge: IntGauge) -> Arc<Self> {
        Arc::new(Counter { count: AtomicUsize::new(0), none: Notify::new(), gauge })
    }

    /// One more, unless there are `at_most` already.
    pub fn enter(self: &Arc<Self>, at_most: usize) -> Option<InFlight> {
        let one_more = |count: usize| (count < at_most).then_some(count + 1);
        self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        self.gauge.inc();
        Some(InFlight(self.clone()))
    }

    /// Waits until there are none.
    pub async fn none(&self) {
        loop {
            let mut none = std::pin::pin!(self.none.notified());
            none.as_mut().enable();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.gauge.dec();
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}
