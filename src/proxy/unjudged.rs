//! Writes that go through without a permit: those of routes with `mode = "off"`, and those that observe
//! mode lets through where the ledger cannot take them. Nobody judges them; a change of names waits for
//! them all the same (rule R14), or a route that is guarded from now on would not know of them.

use std::time::Duration;

use super::ask::Ask;
use super::origin::upload::RequestEnd;
use crate::decide::outcome::WriteOutcome;
use crate::decide::say;
use crate::decide::verdict::Refusal;
use crate::ledger::names::UnderWay;

/// A write without a permit. Dropped before it is known to have ended, as when its client leaves, it counts
/// as under way for the settle time.
pub struct Unjudged {
    under_way: Option<UnderWay>,
    settle: Duration,
    read_lag: Duration,
}

impl Unjudged {
    /// Counts it.
    pub fn new(ask: &Ask, under_way: UnderWay) -> Self {
        Unjudged {
            under_way: Some(under_way),
            settle: ask.gateway.ledger.settle_time(),
            read_lag: ask.route.route.upstream.read_lag,
        }
    }

    /// Counts a write on a route that is not managed.
    ///
    /// # Errors
    /// If another configuration has come into force since the request began: its route may be guarded now.
    pub fn begin(ask: &Ask) -> Result<Self, Refusal> {
        let under_way = ask.gateway.ledger.names().begin(&ask.policy().upstream);
        if under_way.is_in_force(&ask.live.names, &ask.policy().upstream) {
            Ok(Self::new(ask, under_way))
        } else {
            Err(say::names_changed())
        }
    }

    /// It has ended like this. One of unknown outcome counts for the settle time.
    pub fn ended(mut self, outcome: WriteOutcome) {
        match outcome {
            WriteOutcome::Applied | WriteOutcome::NotApplied => {
                if let Some(under_way) = self.under_way.take() {
                    under_way.ended(self.read_lag);
                }
            }
            WriteOutcome::Unknown(_) => drop(self),
        }
    }

    /// It was answered, perhaps before its body was over, which the origin may apply at its end: so long it
    /// counts as under way.
    pub fn answered(self, outcome: WriteOutcome, request: &RequestEnd) {
        if request.has_left() || outcome == WriteOutcome::NotApplied {
            return self.ended(outcome);
        }
        let request = request.clone();
        tokio::spawn(async move {
            // Sent late or never: in either case nobody can say when it is applied.
            let _late_or_never = request.leaves().await;
            drop(self);
        });
    }
}

impl Drop for Unjudged {
    fn drop(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            under_way.ended(self.settle.saturating_add(self.read_lag));
        }
    }
}
