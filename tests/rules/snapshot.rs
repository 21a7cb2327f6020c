//! R11: what a ledger is after a restart is what it was before, or it is nothing at all.

mod format;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use ifmatch::decide::claim::HoldMode;
use ifmatch::decide::outcome::{UnknownCause, WriteOutcome};
use ifmatch::identify::resource_id::ResourceId;
use ifmatch::ledger::memory::{BeginWrite, LedgerLimits, MemoryLedger, NotBegun, Place};
use ifmatch::ledger::permit::{Settlement, WritePermit};
use ifmatch::ledger::protocol::BegunAt;
use ifmatch::ledger::snapshot::{Head, Reader, Unusable, Writer};
use ifmatch::request::version_tag::{Incarnation, ResourceKey, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::time::{Instant, sleep};

use crate::given::write;
use crate::seeded;

const SETTLE: Duration = Duration::from_secs(5);
const A_BIT: Duration = Duration::from_millis(1);
const KEYS: u64 = 12;
/// Room for everything, in 16 shards.
const ROOMY: usize = 16 * 1024;
/// In one shard, and entries are forgotten all the time.
const NARROW: usize = 4;

/// Each in a shard of its own, as long as there are enough.
fn key(n: u64) -> ResourceKey {
    ResourceKey(n << 40 | n)
}

/// The upstream as a whole, and keys that nothing ever happens to.
fn whole() -> ResourceKey {
    key(KEYS)
}

fn all_keys() -> impl Iterator<Item = ResourceKey> {
    (0..2 * KEYS).map(key)
}

fn limits(max_resources: usize) -> LedgerLimits {
    LedgerLimits { max_resources, settle: SETTLE, start_hold: Duration::ZERO }
}

fn bytes_of(ledger: &MemoryLedger) -> Vec<u8> {
    let mut bytes = Vec::new();
    ledger.close().expect("it judged writes").write_to(&mut bytes).expect("memory takes everything");
    bytes
}

fn restored(bytes: &[u8], max_resources: usize) -> Result<Arc<MemoryLedger>, Unusable> {
    MemoryLedger::restore(limits(max_resources), Reader::open(bytes, bytes.len() as u64)?)
}

fn in_paused_time<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(test)
}

#[derive(Clone, Debug)]
enum Op {
    Begin { key: u64, shared: bool, all: bool, lag: bool },
    Settle(Index, WriteOutcome),
    Drop(Index),
    Touch(u64),
    Wait,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let outcome = prop_oneof![
        4 => Just(WriteOutcome::Applied),
        2 => Just(WriteOutcome::NotApplied),
        1 => Just(WriteOutcome::Unknown(UnknownCause::NoAnswerInTime)),
    ];
    let op = prop_oneof![
        6 => (0..KEYS, any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(key, shared, all, lag)| Op::Begin { key, shared, all, lag }),
        4 => (any::<Index>(), outcome).prop_map(|(at, outcome)| Op::Settle(at, outcome)),
        1 => any::<Index>().prop_map(Op::Drop),
        1 => (0..KEYS).prop_map(Op::Touch),
        1 => Just(Op::Wait),
    ];
    vec(op, 1..60)
}

const LAG: Duration = Duration::from_secs(9);

/// A ledger with a past; the permits of the writes that are in flight.
async fn lived(max_resources: usize, ops: &[Op]) -> (Arc<MemoryLedger>, Vec<WritePermit>) {
    let ledger = MemoryLedger::new(limits(max_resources));
    let mut permits = Vec::new();
    for op in ops {
        match op {
            Op::Begin { key: n, shared, all, lag } => {
                let mode = if *shared { HoldMode::Shared } else { HoldMode::Exclusive };
                let write = BeginWrite {
                    whole: all.then_some(Place { key: whole(), mode: HoldMode::Member }),
                    read_lag: if *lag { LAG } else { Duration::ZERO },
                    ..write(key(*n), mode)
                };
                permits.extend(ledger.begin(&write).await.ok().map(|begun| begun.permit));
            }
            Op::Settle(at, outcome) if !permits.is_empty() => {
                permits.swap_remove(at.index(permits.len())).settle(*outcome).await;
            }
            Op::Drop(at) if !permits.is_empty() => drop(permits.swap_remove(at.index(permits.len()))),
            Op::Settle(..) | Op::Drop(_) => {}
            Op::Touch(n) => ledger.touch(key(*n), BegunAt(7), LAG),
            Op::Wait => sleep(Duration::from_millis(3001)).await,
        }
    }
    (ledger, permits)
}

/// What can be told of a resource.
fn told(ledger: &MemoryLedger, key: ResourceKey) -> (Version, bool, Version, Option<std::time::SystemTime>) {
    let lagging = ledger.observe(key, None, LAG).version;
    let found = ledger.inspect(key, None);
    (found.version, found.holders > 0, lagging, ledger.changes_seen_since(key, None))
}

#[test]
fn what_is_taken_up_is_what_was_saved() {
    let (occupied, lagging, forgotten) = (Cell::new(0), Cell::new(0), Cell::new(0));
    seeded::check(300, (ops(), prop_oneof![Just(ROOMY), Just(NARROW)]), |(ops, room)| {
        in_paused_time(async {
            let (before, permits) = lived(room, &ops).await;
            let bytes = bytes_of(&before);
            let after = restored(&bytes, room).expect("a whole state");
            prop_assert_eq!(before.incarnation(), after.incarnation());
            let name = ResourceId::from("order:17".to_owned());
            prop_assert_eq!(
                before.keys_of("orders").key(&before.names().in_force(), &name),
                after.keys_of("orders").key(&after.names().in_force(), &name)
            );
            prop_assert_eq!(before.len(), after.len());
            prop_assert_eq!(after.evictions(), 0);
            for key in all_keys() {
                prop_assert_eq!(told(&before, key), told(&after, key), "{:?}", key);
                let found = after.inspect(key, None);
                prop_assert!(found.holders == 0 || found.unsettled, "occupied is unsettled: {:?}", key);
                occupied.update(|n| n + found.holders);
                lagging.update(|n| n + u32::from(after.observe(key, None, LAG).version < found.version));
            }
            forgotten.update(|n| n + before.evictions());
            drop(permits);
            Ok(())
        })
    });
    assert!(occupied.get() > 0 && lagging.get() > 0 && forgotten.get() > 0, "all of it happened");
}

#[test]
fn what_was_occupied_ends_with_a_number_that_nobody_has_seen() {
    seeded::check(100, (ops(), prop_oneof![Just(ROOMY), Just(NARROW)]), |(ops, room)| {
        in_paused_time(async {
            let (before, _permits) = lived(room, &ops).await;
            let bytes = bytes_of(&before);
            let after = restored(&bytes, room).expect("a whole state");
            let newest = all_keys().map(|key| before.version(key, None)).max().expect("some");
            let held: Vec<_> = all_keys().filter(|key| after.inspect(*key, None).holders > 0).collect();
            tokio::spawn(after.clone().settle_restored());
            sleep(SETTLE - A_BIT).await;
            for key in &held {
                let refused = after.begin(&write(*key, HoldMode::Exclusive)).await.err();
                let unsettled_for = Some(A_BIT);
                prop_assert_eq!(refused, Some(NotBegun::Occupied { key: *key, unsettled_for }));
                prop_assert_eq!(before.version(*key, None), after.version(*key, None), "R8: at the end");
            }
            sleep(A_BIT * 2).await;
            for key in &held {
                prop_assert_eq!(after.inspect(*key, None).holders, 0);
                let member = *key == whole();
                prop_assert!(member || after.version(*key, None) > newest, "R7: a fresh number");
            }
            // R1: and so does every later write.
            for key in all_keys().filter(|key| *key != whole()) {
                let last = all_keys().map(|key| after.version(key, None)).max().expect("some");
                let Ok(begun) = after.begin(&write(key, HoldMode::Exclusive)).await else { continue };
                begun.permit.settle(WriteOutcome::Applied).await;
                prop_assert!(after.version(key, None) > last.max(newest));
            }
            Ok(())
        })
    });
}

#[test]
fn another_number_of_shards_only_raises_versions() {
    let rooms = || prop_oneof![Just(1), Just(NARROW), Just(2048), Just(ROOMY), Just(64 * 1024)];
    seeded::check(200, (ops(), rooms(), rooms()), |(ops, room, other)| {
        in_paused_time(async {
            let (before, _permits) = lived(room, &ops).await;
            let bytes = bytes_of(&before);
            let after = restored(&bytes, other).expect("a whole state");
            for key in all_keys() {
                let ((was, held, ..), (is, holds, ..)) = (told(&before, key), told(&after, key));
                prop_assert!(is >= was, "{key:?} went back from {was:?} to {is:?}");
                prop_assert_eq!(held, holds, "what is occupied is never forgotten");
                prop_assert!(room > other || is == was, "with more room nothing is forgotten");
            }
            Ok(())
        })
    });
}

#[test]
fn a_shard_takes_the_highest_floor_that_its_resources_had() {
    let head = Head {
        names: Default::default(),
        incarnation: Incarnation(1),
        hash_keys: (2, 3),
        sequence: 9,
        floors: [1, 9, 3, 5].map(|floor| (Version(floor), BegunAt(0))).to_vec(),
        holds: 0,
        lags: 0,
        entries: 0,
    };
    let bytes = Writer::begin(Vec::new(), &head).and_then(Writer::finish).expect("memory");
    for (room, floors) in
        [(NARROW, [9, 9, 9, 9]), (2048, [3, 9, 3, 9]), (4096, [1, 9, 3, 5]), (ROOMY, [1, 9, 3, 5])]
    {
        let ledger = restored(&bytes, room).expect("a whole state");
        for n in 0..KEYS {
            assert_eq!(ledger.version(key(n), None), Version(floors[n as usize % 4]), "{room}, {n}");
        }
    }
}

#[test]
fn with_less_room_entries_are_forgotten_and_the_floor_rises() {
    in_paused_time(async {
        let before = MemoryLedger::new(limits(ROOMY));
        for n in 0..8 {
            begun(&before, key(n)).await.settle(WriteOutcome::Applied).await;
        }
        let _held = begun(&before, key(8)).await;
        let after = restored(&bytes_of(&before), 3).expect("a whole state");
        assert_eq!((after.len(), after.evictions()), (3, 6));
        assert!(after.inspect(key(8), None).unsettled);
        assert!(after.version(key(20), None) > before.version(key(20), None), "R9");
    });
}

#[test]
fn a_held_place_remembers_when_its_write_began_and_how_long_reads_lag_behind_it() {
    in_paused_time(async {
        let before = MemoryLedger::new(limits(ROOMY));
        let lagging = BeginWrite { read_lag: LAG, ..write(key(1), HoldMode::Exclusive) };
        let permit = let_through(&before, &lagging).await;
        let after = restored(&bytes_of(&before), ROOMY).expect("a whole state");
        let old = after.version(key(1), None);
        assert_eq!(after.changes_seen_since(key(1), None), None);
        tokio::spawn(after.clone().settle_restored());
        sleep(SETTLE + A_BIT).await;
        let seen = after.changes_seen_since(key(1), None).expect("a change");
        let since = seen.duration_since(std::time::SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        assert_eq!(since, u64::from(permit.begun().0));
        assert!(after.version(key(1), None) > old);
        assert_eq!(after.observe(key(1), None, LAG).version, old, "R13");
        sleep(LAG + A_BIT).await;
        assert!(after.observe(key(1), None, LAG).version > old);
    });
}

async fn begun(ledger: &Arc<MemoryLedger>, key: ResourceKey) -> WritePermit {
    let_through(ledger, &write(key, HoldMode::Exclusive)).await
}

async fn let_through(ledger: &Arc<MemoryLedger>, write: &BeginWrite<'_>) -> WritePermit {
    ledger.begin(write).await.unwrap_or_else(|refused| panic!("{refused:?}")).permit
}

// A write that is still in flight when the ledger closes is saved as held. If its end then drew a number,
// the next process would draw the same one for something else, and a client would hold a tag of it.
#[test]
fn a_closed_ledger_judges_nothing_draws_nothing_and_frees_nothing() {
    in_paused_time(async {
        let ledger = MemoryLedger::new(limits(ROOMY));
        let (applied, not, lost) =
            (begun(&ledger, key(1)).await, begun(&ledger, key(2)).await, begun(&ledger, key(3)).await);
        let before = bytes_of(&ledger);
        assert!(!ledger.is_open());
        assert_eq!(ledger.begin(&write(key(4), HoldMode::Exclusive)).await.err(), Some(NotBegun::Closed));
        let observing = BeginWrite { observe: true, ..write(key(4), HoldMode::Exclusive) };
        assert_eq!(ledger.begin(&observing).await.err(), Some(NotBegun::Closed));
        let settled = applied.settle(WriteOutcome::Applied).await;
        assert_eq!(
            settled,
            Settlement::Applied { version: None },
            "R4: no tag that the next life does not know"
        );
        not.settle(WriteOutcome::NotApplied).await;
        drop(lost);
        ledger.touch(key(5), BegunAt(7), LAG);
        sleep(SETTLE * 2).await;
        let after = bytes_of(&ledger);
        let sequence = |bytes: &[u8]| {
            Reader::open(bytes, bytes.len() as u64).map(|reader| reader.head().sequence).expect("a head")
        };
        assert_eq!(sequence(&before), sequence(&after), "R1: nothing was drawn");
        let after = restored(&after, ROOMY).expect("a whole state");
        for n in 1..4 {
            assert_eq!(after.inspect(key(n), None).holders, 1);
        }
        assert_eq!(after.version(key(5), None), Version(1));
    });
}

// R10: its writes of the life before are not settled yet, and its successor would not know.
#[test]
fn a_ledger_that_had_not_begun_to_judge_is_not_saved() {
    in_paused_time(async {
        let ledger = MemoryLedger::new(LedgerLimits { start_hold: SETTLE, ..limits(ROOMY) });
        assert!(ledger.close().is_none());
        sleep(SETTLE * 2).await;
        assert!(ledger.close().is_none() && !ledger.is_open(), "and never begins to");
    });
}

#[test]
fn a_second_restart_within_the_settle_time_still_knows_what_is_held() {
    in_paused_time(async {
        let first = MemoryLedger::new(limits(ROOMY));
        let _held = begun(&first, key(1)).await;
        let second = restored(&bytes_of(&first), ROOMY).expect("a whole state");
        tokio::spawn(second.clone().settle_restored());
        sleep(SETTLE / 2).await;
        let third = restored(&bytes_of(&second), ROOMY).expect("a whole state");
        let began = Instant::now();
        third.clone().settle_restored().await;
        assert_eq!(began.elapsed(), SETTLE);
        assert!(third.version(key(1), None) > first.version(key(1), None));
        assert_eq!(second.inspect(key(1), None).holders, 1);
    });
}
