//! The server's stop, as a connection sees it.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pingora::server::ShutdownWatch;

use super::wire::{Taken, Wire};

/// The server's stop, for one task that asks for it again and again.
pub struct Stopping {
    shutdown: ShutdownWatch,
    begun: bool,
    waits: Option<Waits>,
}

struct Waits {
    /// Kept, for it wakes nobody once it is dropped.
    _stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Who is woken by it. Asked anew, it would take a lock that all connections share.
    task: Waker,
}

impl Stopping {
    /// As pingora tells it.
    pub fn new(shutdown: ShutdownWatch) -> Self {
        let begun = *shutdown.borrow();
        Stopping { shutdown, begun, waits: None }
    }

    /// Whether it has begun.
    pub fn is_stopping(&mut self) -> bool {
        // To ask whether there is anything new takes no lock, which all connections share.
        if !self.begun && !matches!(self.shutdown.has_changed(), Ok(false)) {
            self.begun = *self.shutdown.borrow_and_update();
        }
        self.begun
    }

    /// Ready when it has begun.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_stopping() {
            return Poll::Ready(());
        }
        if self.waits.as_ref().is_some_and(|waits| waits.task.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let mut shutdown = self.shutdown.clone();
        let mut stop: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            // An error means that whoever could stop us is gone: then nobody will.
            if shutdown.wait_for(|stopping| *stopping).await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        if stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        self.waits = Some(Waits { _stop: stop, task: cx.waker().clone() });
        Poll::Pending
    }

    /// How far a request's body was taken, when nobody is at it any more. A write under way is ended, and what goes
    /// nowhere is cut off by the stop.
    pub fn poll_taken(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Taken> {
        let taken = wire.poll_taken(cx);
        if taken.is_pending() && wire.body_goes_nowhere() && self.poll(cx).is_ready() {
            wire.cut_body();
            return Poll::Ready(Taken::Broken);
        }
        taken
    }
}
