//! The last conflicts, for `/conflicts`: a bounded list in memory.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde::{Serialize, Serializer};

/// One conflict, as `/conflicts` and the log tell it; or a write of unknown outcome that was looked at. Most
/// are never told: what is text only for that is made then.
#[derive(Clone, Debug, Serialize)]
pub struct Conflict {
    /// When it was decided.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The route.
    pub route: Arc<str>,
    /// The resource's name.
    pub resource: String,
    /// The kind, one of DESIGN's closed list.
    pub kind: &'static str,
    /// The status of the answer, or of the one that would have been given.
    pub status: u16,
    /// The request's method.
    pub method: Cow<'static, str>,
    /// `enforce` or `observe`.
    pub mode: &'static str,
    /// Of a write whose outcome was unknown, looked at after the settle time: `yes`, `no` or `unclear`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_effect: Option<&'static str>,
    /// Who asked.
    pub client: ClientId,
}

/// Who asked, as a keyed hash: equal within one life of the process, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId(pub u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A list of the last conflicts.
pub struct Journal {
    kept: usize,
    conflicts: Mutex<VecDeque<Conflict>>,
}

impl Journal {
    /// A list of at most `kept`.
    pub fn new(kept: usize) -> Self {
        Journal { kept, conflicts: Mutex::new(VecDeque::new()) }
    }

    /// Adds one; the oldest goes when the list is full.
    pub fn add(&self, conflict: Conflict) {
        if self.kept == 0 {
            return;
        }
        let mut conflicts = self.conflicts.lock();
        if conflicts.len() == self.kept {
            conflicts.pop_front();
        }
        conflicts.push_back(conflict);
    }

    /// The newest first.
    pub fn newest_first(&self, at_most: usize) -> Vec<Conflict> {
        self.conflicts.lock().iter().rev().take(at_most).cloned().collect()
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}
