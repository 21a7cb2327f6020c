//! How much is going on: what limits, draining and gauges look at.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::told_of::ToldOf;

/// A count of things in flight, with somebody waiting for none.
///
/// There for as long as the process is: a count of who has it would be written to as often as itself.
#[derive(Default)]
pub struct Counter {
    count: AtomicUsize,
    none: ToldOf,
}

/// One of them, until it is dropped.
pub struct InFlight(&'static Counter);

impl Counter {
    /// None yet. To be made once: its memory is never given back.
    pub fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    /// One more, unless there are `at_most` already.
    pub fn enter(&'static self, at_most: usize) -> Option<InFlight> {
        let one_more = |count: usize| (count < at_most).then_some(count + 1);
        self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(InFlight(self))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until there are none.
    pub async fn none(&self) {
        self.none.wait_until(|| self.count() == 0).await;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.tell();
        }
    }
}
