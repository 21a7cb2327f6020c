//! What clients last read, in this process's memory: [`Kept`] behind locks.
//!
//! Only for `unconditional = "infer"`. The rules are those of [`views`](crate::decide::views); nothing here is
//! saved, so after a restart every view is unknown.

mod expected;
mod kept;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::protocol::Millis;
use crate::request::version_tag::Version;

pub use expected::Expected;
pub use kept::Kept;

/// A client's view of a resource: a keyed hash over its principal, the resource, and the name as it was spelled
/// (rule I2). Of 128 bits, so that two views never meet in practice: one that is mistaken for another would lose
/// an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ViewKey(pub u128);

/// The views of all clients, up to a number of them.
pub struct Views {
    shards: Box<[Mutex<Kept>]>,
    lifetime: Millis,
    began: Instant,
    evictions: AtomicU64,
    /// How many answers are on their last bytes that leave a view behind, for each.
    expected: Mutex<HashMap<ViewKey, u32>>,
    /// One of them is written out, or lost.
    ended: Notify,
}

/// So many locks that writers on every core rarely meet at one.
const SHARDS: usize = 64;
/// With fewer places in each, a shard would be full long before the others.
const LEAST_IN_A_SHARD: usize = 1024;

impl Views {
    /// None yet, at most so many, each for so long.
    pub fn new(at_most: usize, lifetime: Duration) -> Self {
        let shards = if at_most >= SHARDS * LEAST_IN_A_SHARD { SHARDS } else { 1 };
        Views {
            shards: (0..shards).map(|_| Mutex::new(Kept::new(at_most / shards))).collect(),
            lifetime: millis(lifetime),
            began: Instant::now(),
            evictions: AtomicU64::new(0),
            expected: Mutex::default(),
            ended: Notify::new(),
        }
    }

    /// The client holds this version's content now.
    fn keep(&self, key: ViewKey, version: Version) {
        let Some(shard) = self.shard(key) else { return };
        let evicted = shard.lock().keep(key, version, self.now());
        self.evictions.fetch_add(evicted as u64, Ordering::Relaxed);
    }

    /// What it holds is not known any more.
    pub fn forget(&self, key: ViewKey) {
        if let Some(shard) = self.shard(key) {
            shard.lock().forget(key);
        }
    }

    /// The version that the client last read, if that is known. Never a newer one.
    pub fn version(&self, key: ViewKey) -> Option<Version> {
        self.shard(key)?.lock().version(key, self.now(), self.lifetime)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were forgotten to make room.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Frees what is older than its lifetime. To be called now and then.
    pub fn tidy(&self) {
        for shard in &self.shards {
            shard.lock().expire(self.now(), self.lifetime);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash choose a shard")]
    fn shard(&self, key: ViewKey) -> Option<&Mutex<Kept>> {
        // Not those that choose a place within it.
        self.shards.get((key.0 >> 96) as usize % self.shards.len())
    }

    fn now(&self) -> Millis {
        millis(self.began.elapsed())
    }
}

fn millis(duration: Duration) -> Millis {
    Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
