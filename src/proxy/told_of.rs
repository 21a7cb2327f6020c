//! Telling those who wait of something that nearly always happens while nobody waits for it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use tokio::sync::Notify;

/// As a [`Notify`], which takes a lock to find out that nobody waits; this one looks.
#[derive(Default)]
pub struct ToldOf {
    awaited: AtomicBool,
    waiting: Notify,
}

impl ToldOf {
    /// It has happened: whoever waits looks again. To be called when it can be seen.
    pub fn tell(&self) {
        // Either this sees that somebody waits, or whoever waits sees what has happened.
        fence(Ordering::SeqCst);
        if self.awaited.load(Ordering::Relaxed) {
            self.waiting.notify_waiters();
        }
    }

    /// Waits until it can be seen to have happened.
    pub async fn wait_until(&self, has_happened: impl Fn() -> bool) {
        self.awaited.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        loop {
            let mut told = pin!(self.waiting.notified());
            told.as_mut().enable();
            if has_happened() {
                return;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use tokio::runtime::Builder;

    use super::*;

    // Two threads at the same moment, again and again: whoever waits is told or sees it.
    #[test]
    fn nobody_waits_for_what_has_happened() {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        for _ in 0..2000 {
            let told = Arc::new((ToldOf::default(), AtomicBool::new(false)));
            let tells = told.clone();
            let telling = thread::spawn(move || {
                tells.1.store(true, Ordering::Release);
                tells.0.tell();
            });
            runtime.block_on(told.0.wait_until(|| told.1.load(Ordering::Acquire)));
            telling.join().expect("it was told");
        }
    }
}
