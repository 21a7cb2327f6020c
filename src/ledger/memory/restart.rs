//! R11: the ledger's last act, and how the next process goes on from it.

use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, sleep_until};

use super::{EndWrite, HashKeys, HoldEnding, LedgerLimits, MemoryLedger, Place};
use crate::ledger::names::Names;
use crate::ledger::protocol::{Millis, Owed, SavedHold};
use crate::ledger::snapshot::{Head, Reader, Record, Unusable, Writer};
use crate::request::version_tag::Version;

/// A ledger that nothing happens in any more, so that what it is can be written down.
pub struct Closed<'l>(&'l MemoryLedger);

/// What was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Resources with a version of their own.
    pub resources: usize,
    /// Resources that writes occupied.
    pub occupied: usize,
}

impl MemoryLedger {
    /// Judges no more writes from now on, and ends no holds: what is occupied stays so.
    ///
    /// `None` if there is nothing that a next process could go on from, because this one had not begun
    /// to judge writes (rule R10): the writes of the life before are not settled yet.
    pub fn close(&self) -> Option<Closed<'_>> {
        let opened = self.open_in().is_none();
        let all = self.shards.lock_all();
        // R14: what ends from here on ends because the process does. It has not ended at the origin.
        self.names_at_close.get_or_init(|| self.names.saved());
        self.closed.store(true, Ordering::Release);
        drop(all);
        opened.then_some(Closed(self))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Goes on from what another process wrote down as its last act.
    ///
    /// The caller has made sure that this state is never gone on from again. What was occupied is
    /// unsettled now; [`MemoryLedger::settle_restored`] sees to its end. What finds no room is forgotten
    /// by R9. There is no start hold: nothing is unknown of the life before.
    ///
    /// # Errors
    /// If the state is not whole. Nothing of it is used then.
    pub fn restore<R: Read>(limits: LedgerLimits, mut from: Reader<R>) -> Result<Arc<Self>, Unusable> {
        // What a start without a state waits for beyond the settle time: reads that lag, also behind writes
        // that nobody judged.
        let lag_of_all = limits.start_hold.saturating_sub(limits.settle);
        let limits = LedgerLimits { start_hold: Duration::ZERO, ..limits };
        let head = from.head();
        let (one, other) = head.hash_keys;
        let mut ledger = Self::at_rest(limits, head.incarnation, HashKeys(one, other), Version(0));
        *ledger.sequence.get_mut() = head.sequence;
        ledger.names = Names::restore(head.names.clone());
        ledger.take_floors(head);
        let until = Millis(super::millis(limits.settle));
        let mut held = Vec::new();
        let mut forgotten = 0;
        let mut lag = lag_of_all;
        while let Some(record) = from.record()? {
            match record {
                Record::Hold(hold) => {
                    lag = lag.max(hold.owed.read_lag);
                    held.push(hold);
                    ledger.shards.get_mut(hold.key).restore_hold(hold, until);
                }
                Record::Lag(saved) => {
                    lag = lag.max(saved.left);
                    ledger.shards.get_mut(saved.key).restore_lag(saved, Millis(0));
                }
                Record::Entry(entry) => {
                    let one = ledger.shards.get_mut(entry.key).restore_entry(entry);
                    forgotten += u64::from(one);
                }
            }
        }
        // Writes that nobody judged, and lags, are not among what is held; names that change wait for them too.
        ledger.restored_under_way.store(1, Ordering::Release);
        ledger.restored_lag = lag;
        *ledger.evictions.get_mut() = forgotten;
        *ledger.restored.get_mut() = held;
        Ok(Arc::new(ledger))
    }

    /// A shard takes the highest floor of those that its resources were in.
    fn take_floors(&mut self, head: &Head) {
        let (before, now) = (head.floors.len().max(1), self.shards.iter_mut().len());
        // Both are powers of two, and a shard is told by the low bits of the same number.
        let common = before.min(now);
        let entries = usize::try_from(head.entries).unwrap_or(usize::MAX);
        for (index, slots) in self.shards.iter_mut().enumerate() {
            for (floor, begun) in head.floors.iter().skip(index % common).step_by(common) {
                slots.restore_floor(*floor, *begun);
            }
            slots.expect(entries / now);
        }
    }

    /// R8, for what was occupied when the process before ended: waits out the settle time, counted from
    /// the restart, and draws a fresh number for each at its end. Names that have changed over the restart
    /// open when reads no longer lag behind that (rule R14).
    ///
    /// To be run once, in a task of its own. What nobody sees to stays occupied.
    pub async fn settle_restored(self: Arc<Self>) {
        if self.restored_under_way.load(Ordering::Acquire) == 0 {
            return;
        }
        let held = mem::take(&mut *self.restored.lock());
        sleep_until(self.began + self.settle).await;
        for SavedHold { key, mode, owed: Owed { begun, read_lag } } in held {
            self.end(&EndWrite {
                places: &[Place { key, mode }],
                target: key,
                whole: None,
                ending: HoldEnding::Changed { begun, read_lag },
            });
        }
        sleep(self.restored_lag).await;
        self.restored_under_way.store(0, Ordering::Release);
    }

    /// How many places a restored ledger has yet to settle.
    pub fn restored(&self) -> usize {
        self.restored.lock().len()
    }
}

impl Closed<'_> {
    /// Writes the state down. `to` is better buffered.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_to<W: Write>(&self, to: W) -> io::Result<Saved> {
        let ledger = self.0;
        let all = ledger.shards.lock_all();
        let now = ledger.now();
        let holds: Vec<_> = all.iter().flat_map(|slots| slots.saved_holds()).collect();
        let lags: Vec<_> = all.iter().flat_map(|slots| slots.saved_lag(now)).collect();
        let resources: usize = all.iter().map(|slots| slots.len()).sum();
        let HashKeys(one, other) = ledger.keys;
        let head = Head {
            incarnation: ledger.incarnation,
            hash_keys: (one, other),
            sequence: ledger.sequence.load(Ordering::Acquire),
            floors: all.iter().map(|slots| (slots.floor(), slots.floor_begun())).collect(),
            names: ledger.names_at_close.get_or_init(|| ledger.names.saved()).clone(),
            holds: holds.len() as u64,
            lags: lags.len() as u64,
            entries: resources as u64,
        };
        let mut writer = Writer::begin(to, &head)?;
        let occupied = holds.len();
        let entries = all.iter().flat_map(|slots| slots.saved_entries()).map(Record::Entry);
        let before = holds.into_iter().map(Record::Hold).chain(lags.into_iter().map(Record::Lag));
        for record in before.chain(entries) {
            writer.record(&record)?;
        }
        writer.finish()?;
        Ok(Saved { resources, occupied })
    }
}
