//! R14: which slot a name has, while configurations come and go.
//!
//! A name keeps its slot as long as no configuration changes what it stands for. Where one does, the name
//! gets a slot of its own, which nobody has a tag of; writes to it wait until every write of before has
//! ended, and then it gets another one, so that what was read meanwhile is stale too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::decide::naming::{Affected, Naming};
use crate::identify::by_text::ByText;

/// Names and their slots, and the writes under way to each upstream.
pub struct Names(RwLock<Arc<NamesInForce>>);

/// The names of one configuration. A request goes by those of the configuration that it began with.
#[derive(Default)]
pub struct NamesInForce {
    era: u64,
    naming: Naming,
    changed: Vec<Changed>,
    /// Names that the process before had changed, and whose slots it had not opened.
    left_over: Vec<Affected>,
    /// The writes under way, by upstream; counted anew once names of the upstream have changed.
    writes: ByText<Arc<AtomicUsize>>,
    /// By upstream, the number of the last configuration that has changed names because of its routes, or
    /// names of its resources.
    concerned: ByText<u64>,
}

/// Names that a configuration has changed.
#[derive(Clone)]
struct Changed {
    affected: Affected,
    /// The configuration's number; none is given twice in the life of a ledger.
    era: u64,
    opening: Arc<Opening>,
}

/// The moment from which writes to changed names are judged.
struct Opening {
    /// Writes of before that may still be under way.
    before: Vec<Arc<AtomicUsize>>,
    open: AtomicBool,
}

/// What tells a name's slot from the ones that it had before. `None`: it never had another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub Option<(u64, bool)>);

/// Why a write cannot be judged by the names of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotInForce {
    /// Writes from before the last change are still under way.
    Waiting,
    /// Another configuration has changed them since the request began.
    Superseded,
}

/// A write that is counted as under way until this is dropped.
pub struct UnderWay {
    names: Arc<NamesInForce>,
    count: Arc<AtomicUsize>,
}

/// What a process leaves of its names to the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedNames {
    era: u64,
    naming: Naming,
    changed: Vec<SavedChange>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedChange {
    affected: Affected,
    era: u64,
    open: bool,
}

impl SavedNames {
    /// Whether a ledger may have left it: no change is newer than the newest configuration, or nothing
    /// named by it could ever be written again, and there are numbers left for configurations to come.
    pub fn is_possible(&self) -> bool {
        const MAX_ERA: u64 = 1 << 63;
        self.era < MAX_ERA && self.changed.iter().all(|change| change.era <= self.era)
    }
}

impl Names {
    /// Nothing is named yet.
    pub(super) fn new() -> Self {
        Names(RwLock::default())
    }

    /// Goes on from another process. [`Names::change`] to the present configuration has to follow.
    pub(super) fn restore(saved: SavedNames) -> Self {
        let SavedNames { era, naming, changed } = saved;
        let (opened, unopened): (Vec<_>, Vec<_>) = changed.into_iter().partition(|change| change.open);
        let left_over = unopened.into_iter().map(|change| change.affected).collect();
        let opening = Arc::new(Opening { before: Vec::new(), open: AtomicBool::new(true) });
        let changed = opened.into_iter().map(|SavedChange { affected, era, open: _ }| Changed {
            affected,
            era,
            opening: opening.clone(),
        });
        let changed = changed.collect();
        let (writes, concerned) = (ByText::default(), ByText::default());
        Names(RwLock::new(Arc::new(NamesInForce { era, naming, changed, left_over, writes, concerned })))
    }

    /// The names of the newest configuration.
    pub fn in_force(&self) -> Arc<NamesInForce> {
        self.0.read().clone()
    }

    /// Puts the names of another configuration in force. What it changes gets new slots, which open when
    /// the writes of before, and those that `restored` counts, have ended. Returns what it changes.
    pub(super) fn change(&self, naming: Naming, restored: &Arc<AtomicUsize>) -> Vec<Affected> {
        let mut in_force = self.0.write();
        let mut affected = in_force.left_over.clone();
        // The first configuration of a life changes nothing.
        if in_force.era > 0 {
            affected.extend(naming.changed_since(&in_force.naming));
        }
        let unopened = in_force.changed.iter().filter(|changed| !changed.opening.is_open());
        let mut before: Vec<_> =
            unopened.flat_map(|changed| changed.opening.before.iter().cloned()).collect();
        before.push(restored.clone());
        let (mut writes, mut concerned) = (in_force.writes.clone(), in_force.concerned.clone());
        let era = in_force.era + 1;
        if !affected.is_empty() {
            // Paths that went from one upstream to another took the writes to them along.
            let moved = naming.upstreams_of_changed_routes(&in_force.naming);
            for upstream in moved.chain(affected.iter().map(|one| one.upstream.as_str())) {
                before.extend(writes.remove(upstream));
                concerned.insert(upstream.to_owned(), era);
            }
        }
        for upstream in naming.upstreams() {
            writes.entry(upstream.to_owned()).or_default();
        }
        let opening = Arc::new(Opening { before, open: AtomicBool::new(false) });
        let mut changed = in_force.changed.clone();
        changed.retain(|old| !affected.contains(&old.affected));
        changed.extend(affected.iter().cloned().map(|affected| Changed {
            affected,
            era,
            opening: opening.clone(),
        }));
        *in_force = Arc::new(NamesInForce { era, naming, changed, left_over: Vec::new(), writes, concerned });
        affected
    }

    /// Counts a write, judged or not, to one upstream as under way. To be called before its resource is
    /// named; to be kept until it can no longer be applied.
    pub fn begin(&self, upstream: &str) -> UnderWay {
        // Under the lock: a change either comes after it, and waits for this write, or before it, and is
        // seen by it.
        let in_force = self.0.read();
        let count = in_force.writes.get(upstream).cloned().unwrap_or_default();
        count.fetch_add(1, Ordering::AcqRel);
        UnderWay { names: in_force.clone(), count }
    }

    /// What the next process has to know.
    pub(super) fn saved(&self) -> SavedNames {
        let in_force = self.0.read();
        let saved = |Changed { affected, era, opening }: &Changed| SavedChange {
            affected: affected.clone(),
            era: *era,
            open: opening.is_open(),
        };
        SavedNames {
            era: in_force.era,
            naming: in_force.naming.clone(),
            changed: in_force.changed.iter().map(saved).collect(),
        }
    }
}

impl NamesInForce {
    /// Which slot a name has. For a write to be judged, after [`UnderWay::admits`].
    pub fn epoch(&self, upstream: &str, name: &str) -> Epoch {
        Epoch(self.last_change(upstream, name).map(|changed| (changed.era, changed.opening.is_open())))
    }

    /// Which slot a name has from the moment on that writes to it are judged.
    pub fn epoch_once_open(&self, upstream: &str, name: &str) -> Epoch {
        Epoch(self.last_change(upstream, name).map(|changed| (changed.era, true)))
    }

    fn last_change(&self, upstream: &str, name: &str) -> Option<&Changed> {
        self.changed
            .iter()
            .filter(|changed| changed.affected.upstream == upstream && changed.affected.range.contains(name))
            .max_by_key(|changed| changed.era)
    }
}

impl UnderWay {
    /// Whether no names have changed because of what became of the upstream since the request began. For
    /// writes that nobody judges, whatever they are named.
    pub fn is_in_force(&self, began_with: &NamesInForce, upstream: &str) -> bool {
        self.names.concerned.get(upstream).is_none_or(|era| *era <= began_with.era)
    }

    /// Whether a write can be judged by the names of the configuration that its request began with.
    ///
    /// # Errors
    /// If these are not in force yet, or not any more.
    pub fn admits(&self, began_with: &NamesInForce, upstream: &str, name: &str) -> Result<(), NotInForce> {
        match self.names.last_change(upstream, name) {
            Some(changed) if changed.era > began_with.era => Err(NotInForce::Superseded),
            Some(changed) if !changed.opening.is_open() => Err(NotInForce::Waiting),
            Some(_) | None => Ok(()),
        }
    }

    /// It can no longer be applied, and after this time no read shows what was there before it (rule R13):
    /// a name's next slot knows nothing of that, so it is counted for so long.
    pub fn ended(self, read_lag: Duration) {
        if read_lag.is_zero() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(read_lag).await;
                drop(self);
            });
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Opening {
    fn is_open(&self) -> bool {
        if self.open.load(Ordering::Acquire) {
            return true;
        }
        // Nobody is counted here any more: who begins now is counted for the names in force.
        let open = self.before.iter().all(|writes| writes.load(Ordering::Acquire) == 0);
        if open {
            self.open.store(true, Ordering::Release);
        }
        open
    }
}
