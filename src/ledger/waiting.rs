//! Writes that wait for a resource to be free (`overlap = "wait"`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::request::version_tag::ResourceKey;

/// Who waits for what. Resources that nobody waits for have no entry.
#[derive(Default)]
pub struct Waiting {
    queues: DashMap<ResourceKey, Arc<Queue>>,
    /// How many wait for anything. Whether there are queues at all takes a lock for each part of their map, of
    /// which there are four a core.
    all: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    woken: Notify,
    waiters: AtomicUsize,
}

/// A place in the queue of one resource; left by dropping it.
pub struct Waiter<'w> {
    waiting: &'w Waiting,
    key: ResourceKey,
    queue: Arc<Queue>,
}

impl Waiting {
    /// Joins the queue of a resource, unless `at_most` are waiting already.
    pub fn join(&self, key: ResourceKey, at_most: usize) -> Option<Waiter<'_>> {
        let entry = self.queues.entry(key).or_default();
        // The entry is ours alone: nobody joins between the look and the count.
        if entry.waiters.load(Ordering::Acquire) >= at_most {
            return None;
        }
        entry.waiters.fetch_add(1, Ordering::AcqRel);
        self.all.fetch_add(1, Ordering::AcqRel);
        let queue = entry.value().clone();
        drop(entry);
        Some(Waiter { waiting: self, key, queue })
    }

    /// Wakes everybody who waits for the resource; each is judged again. To be called after the step that freed it:
    /// whoever waits had joined, and was counted, before it found the resource occupied.
    pub fn wake(&self, key: ResourceKey) {
        if self.all.load(Ordering::Acquire) == 0 {
            return;
        }
        if let Some(queue) = self.queues.get(&key) {
            queue.woken.notify_waiters();
        }
    }
}

impl Waiter<'_> {
    /// What it waits for.
    pub fn key(&self) -> ResourceKey {
        self.key
    }

    /// The next wake-up. To be enabled before an attempt, so that one that falls between the attempt and
    /// the wait is not missed.
    pub fn woken(&self) -> Notified<'_> {
        self.queue.woken.notified()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiting.all.fetch_sub(1, Ordering::AcqRel);
        self.queue.waiters.fetch_sub(1, Ordering::AcqRel);
        self.waiting.queues.remove_if(&self.key, |_, queue| queue.waiters.load(Ordering::Acquire) == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_has_a_limit_and_leaves_nothing_behind() {
        let waiting = Waiting::default();
        let key = ResourceKey(1);
        let first = waiting.join(key, 1);
        assert!(first.is_some());
        assert!(waiting.join(key, 1).is_none());
        drop(first);
        assert!(waiting.queues.is_empty());
        assert_eq!(waiting.all.into_inner(), 0);
    }
}
