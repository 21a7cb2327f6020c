//! Writes that go through without a permit: those of routes with `mode = "off"`, and those that observe
//! mode lets through where the ledger cannot take them. Nobody judges them; a change of names waits for
//! them all the same (rule R14), or a route that is guarded from now on would not know of them.

use std::time::Duration;

use super::ask::Ask;
use crate::decide::verdict::{Refusal, say};
use crate::ledger::names::UnderWay;

/// A write without a permit. Dropped before it is known to have ended, as when its client leaves, it counts
/// as under way for the settle time.
pub struct Unjudged {
    under_way: Option<UnderWay>,
    settle: Duration,
}

impl Unjudged {
    /// Counts it.
    pub fn new(ask: &Ask, under_way: UnderWay) -> Self {
        Unjudged { under_way: Some(under_way), settle: ask.gateway.ledger.settle_time() }
    }

    /// Counts a write on a route that is not managed.
    ///
    /// # Errors
    /// If another configuration has come into force since the request began: its route may be guarded now.
    pub fn begin(ask: &Ask) -> Result<Self, Refusal> {
        let under_way = ask.gateway.ledger.names().begin(&ask.policy().upstream);
        if under_way.is_in_force(&ask.live.names) {
            Ok(Self::new(ask, under_way))
        } else {
            Err(say::names_changed())
        }
    }

    /// It can no longer be applied.
    pub fn ended(mut self) {
        self.under_way = None;
    }
}

impl Drop for Unjudged {
    fn drop(&mut self) {
        if let (Some(under_way), Ok(runtime)) = (self.under_way.take(), tokio::runtime::Handle::try_current())
        {
            let settle = self.settle;
            runtime.spawn(async move {
                tokio::time::sleep(settle).await;
                drop(under_way);
            });
        }
    }
}
