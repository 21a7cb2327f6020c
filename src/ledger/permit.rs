//! The right to forward one write, ended by exactly one settlement.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::begin::Places;
use super::memory::{EndWrite, HoldEnding, MemoryLedger};
use super::names::UnderWay;
use super::protocol::BegunAt;
use crate::boxed::boxed;
use crate::decide::outcome::{UnknownCause, WriteOutcome};
use crate::request::version_tag::{ResourceKey, Version};

/// The right to forward one write. Holding it occupies the write's resources.
///
/// [`WritePermit::settle`] consumes it. Dropping it without that, as a panic does, is the settlement
/// "unknown": the hold goes on for the settle time.
///
/// In a box: it is handed on from stage to stage, and would be copied each time.
pub struct WritePermit(Box<Held>);

/// What a write occupies. Dropped, as only the end of the runtime does, it stays occupied for good.
struct Held {
    ledger: Arc<MemoryLedger>,
    places: Places,
    target: ResourceKey,
    /// The slot of the upstream as a whole, where the write takes part in it.
    whole: Option<ResourceKey>,
    begun: BegunAt,
    read_lag: Duration,
    /// Told once, when the places are free again.
    on_end: Option<Arc<dyn OnEnd>>,
    /// What counts the write for changes of names, until then.
    under_way: Option<UnderWay>,
    look: Option<Look>,
}

/// Somebody who wants to know when a write's places are free again.
pub trait OnEnd: Send + Sync {
    /// They are.
    fn places_are_free(&self);
}

/// Looks at what a write of unknown outcome left behind; see [`WritePermit::look_before_end`].
pub type Look = Pin<Box<dyn Future<Output = Told> + Send>>;

/// Tells what a look showed.
pub type Told = Box<dyn FnOnce(Company) + Send>;

/// Whether anybody else occupied or changed a write's resource while it was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nobody that the ledger knows of.
    Alone,
    /// Somebody may have: what is there now may be another write's doing.
    Others,
}

/// What a permit ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Applied, or so it must be taken.
    Applied {
        /// The target's fresh version, if this write's author knows what it stands for (rule R4):
        /// nobody else occupied or changed the resource meanwhile.
        version: Option<Version>,
    },
    /// Not applied: the version is kept.
    NotApplied,
    /// The resources stay occupied for the settle time, and get a fresh version at its end.
    Unknown(UnknownCause),
}

impl WritePermit {
    pub(super) fn new(
        ledger: Arc<MemoryLedger>,
        places: Places,
        target: ResourceKey,
        whole: Option<ResourceKey>,
        begun: BegunAt,
        read_lag: Duration,
    ) -> Self {
        WritePermit(boxed(|| Held {
            ledger,
            places,
            target,
            whole,
            begun,
            read_lag,
            on_end: None,
            under_way: None,
            look: None,
        }))
    }

    /// When the write began, for changes that come with it.
    pub fn begun(&self) -> BegunAt {
        self.0.begun
    }

    /// Whether this resource is one of its own, and gets a fresh version by its settlement.
    pub fn occupies(&self, key: ResourceKey) -> bool {
        self.0.places.iter().any(|place| place.key == key)
    }

    /// Asks to be told when the places are free again: after the settle time where the outcome is
    /// unknown.
    pub fn on_end(&mut self, told: Arc<dyn OnEnd>) {
        self.0.on_end = Some(told);
    }

    /// Keeps the write counted as under way until its places are free again, and reads have caught up with it.
    pub fn keep_counted(&mut self, under_way: UnderWay) {
        self.0.under_way = Some(under_way);
    }

    /// Asks for a look if the outcome is unknown: begun when the settle time is over and while the places
    /// are still occupied, so that nothing comes between. What it gives back is called when they are
    /// free. The hold lasts as long as the look, so the look must have a limit of its own.
    pub fn look_before_end(&mut self, look: Look) {
        self.0.look = Some(look);
    }

    /// Ends the permit.
    ///
    /// To be called when the origin cannot apply the write any more, and before its answer goes out
    /// (rule R7). Where the outcome is unknown the hold goes on by itself (rule R8).
    pub async fn settle(mut self, outcome: WriteOutcome) -> Settlement {
        match outcome {
            WriteOutcome::NotApplied => {
                self.0.end(HoldEnding::Kept);
                Settlement::NotApplied
            }
            WriteOutcome::Applied => Settlement::Applied { version: self.0.end(self.0.changed()) },
            WriteOutcome::Unknown(cause) => {
                self.0.hold_for_settle_time();
                Settlement::Unknown(cause)
            }
        }
    }
}

impl Held {
    fn changed(&self) -> HoldEnding {
        HoldEnding::Changed { begun: self.begun, read_lag: self.read_lag }
    }

    fn end(&mut self, ending: HoldEnding) -> Option<Version> {
        let places = std::mem::take(&mut self.places);
        let known =
            self.ledger.end(&EndWrite { places: &places, target: self.target, whole: self.whole, ending });
        if let Some(told) = self.on_end.take() {
            told.places_are_free();
        }
        if let Some(under_way) = self.under_way.take() {
            under_way.ended(self.read_lag);
        }
        known
    }

    fn hold_for_settle_time(&mut self) {
        let mut held = Held {
            ledger: self.ledger.clone(),
            places: std::mem::take(&mut self.places),
            target: self.target,
            whole: self.whole,
            begun: self.begun,
            read_lag: self.read_lag,
            on_end: self.on_end.take(),
            under_way: self.under_way.take(),
            look: self.look.take(),
        };
        held.ledger.unsettle(&held.places);
        let settle = held.ledger.settle_time();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    tokio::time::sleep(settle).await;
                    // In a task of its own: a panic in it must not keep the places occupied.
                    let told = match held.look.take() {
                        Some(look) => tokio::spawn(look).await.ok(),
                        None => None,
                    };
                    let ending = held.changed();
                    let company = match held.end(ending) {
                        Some(_) => Company::Alone,
                        None => Company::Others,
                    };
                    if let Some(told) = told {
                        told(company);
                    }
                });
            }
            // The process is going down: nobody will be let through any more, so nothing has to end.
            Err(_) => drop(held),
        }
    }
}

impl Drop for WritePermit {
    fn drop(&mut self) {
        if !self.0.places.is_empty() {
            self.0.hold_for_settle_time();
        }
    }
}
