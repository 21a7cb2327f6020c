//! Who is ready to send lets the others get that far first.
//!
//! What is sent wakes whoever reads it, if that has fallen asleep meanwhile: it takes an interrupt to another core, and in
//! a virtual machine its host's help, which is more than most of what a request is made of takes. What is sent one after
//! the other, with nothing in between, finds its reader awake.

use std::cell::OnceCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Ready when all tasks that were ready before have had their turn.
///
/// At once on a runtime of several threads, where a task that is woken has threads woken that have nothing to do.
#[derive(Default)]
pub struct Turn {
    waited: bool,
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.waited || !runs_all_tasks() {
            return Poll::Ready(());
        }
        self.waited = true;
        // Behind those that are ready. Tokio's own `yield_now` would ask the kernel for news first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Whether this thread is its runtime's only one.
fn runs_all_tasks() -> bool {
    thread_local! {
        // A worker stays its runtime's, and to ask for that counts its users up and down.
        static ALONE: OnceCell<bool> = const { OnceCell::new() };
    }
    ALONE.with(|alone| {
        *alone.get_or_init(|| {
            Handle::try_current()
                .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use parking_lot::Mutex;

    use super::*;

    /// What two tasks did that both send something, in its order.
    async fn two_that_send() -> Vec<&'static str> {
        let done = Arc::new(Mutex::new(Vec::new()));
        let sends = |judges, sends| {
            let done = done.clone();
            async move {
                done.lock().push(judges);
                Turn::default().await;
                done.lock().push(sends);
            }
        };
        let (one, other) = (
            tokio::spawn(sends("one judges", "one sends")),
            tokio::spawn(sends("other judges", "other sends")),
        );
        one.await.expect("the one");
        other.await.expect("the other");
        std::mem::take(&mut *done.lock())
    }

    #[tokio::test]
    async fn both_are_judged_before_either_is_sent() {
        assert_eq!(two_that_send().await, ["one judges", "other judges", "one sends", "other sends"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn where_others_could_take_a_task_it_is_not_put_off() {
        let polled = Pin::new(&mut Turn::default()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_ready());
    }
}
