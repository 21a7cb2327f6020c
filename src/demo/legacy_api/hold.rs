//! Holding one write at a point of its work: what is a race elsewhere then happens in one order, every time.

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Where a write can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) enum Point {
    /// What the API looks at first has been looked at, and nothing is stored yet.
    BeforeStoring,
    /// The write is stored, and nothing is answered yet.
    BeforeAnswering,
}

/// The hold on the next write that passes a point. Dropping it lets the write go on.
pub(in crate::demo) struct Held {
    reached: Option<oneshot::Receiver<()>>,
    _go_on: oneshot::Sender<()>,
}

impl Held {
    /// Waits until a write stands at the point.
    pub(in crate::demo) async fn reached(&mut self) {
        // The other end goes only after it has told.
        if let Some(reached) = self.reached.take() {
            let _told = reached.await;
        }
    }
}

/// The hold that no write has come to yet.
#[derive(Default)]
pub(super) struct NextHold(Mutex<Option<Waiting>>);

struct Waiting {
    at: Point,
    reached: oneshot::Sender<()>,
    go_on: oneshot::Receiver<()>,
}

impl NextHold {
    /// Holds the next write that passes the point, and no other.
    pub(super) fn at(&self, at: Point) -> Held {
        let (reached, told) = oneshot::channel();
        let (release, go_on) = oneshot::channel();
        *self.0.lock() = Some(Waiting { at, reached, go_on });
        Held { reached: Some(told), _go_on: release }
    }

    /// Passes a point, after the hold on it if there is one.
    pub(super) async fn pass(&self, point: Point) {
        let waiting = self.0.lock().take_if(|waiting| waiting.at == point);
        if let Some(Waiting { reached, go_on, .. }) = waiting {
            let _nobody_waits = reached.send(());
            // Dropped is released.
            let _released = go_on.await;
        }
    }
}
