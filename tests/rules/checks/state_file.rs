//! R11: bytes are a ledger's state, and then it is that ledger, or nothing of them is used.

use std::sync::Arc;
use std::time::Duration;

use ifmatch::decide::claim::HoldMode;
use ifmatch::decide::outcome::WriteOutcome;
use ifmatch::ledger::memory::{BeginWrite, LedgerLimits, MemoryLedger, NotBegun, Place};
use ifmatch::ledger::snapshot::{Reader, Unusable};
use ifmatch::request::version_tag::{ResourceKey, Version};

use super::drive::{Bytes, in_paused_time};
use super::state_layout::{NO_NAMES, State, mend};

const SETTLE: Duration = Duration::from_secs(5);
/// Next to nothing, one shard, some shards, all of them.
const ROOMS: [usize; 6] = [1, 4, 100, 2048, 16 * 1024, 64 * 1024];

/// The first byte says how many resources there is room for, and what the others are: the bytes of a file,
/// the same with a checksum that matches, or a recipe for a file that is whole and then damaged.
pub(crate) fn check(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let room = ROOMS[usize::from(*first) % ROOMS.len()];
    let bytes = match first / 8 % 4 {
        0 => rest.to_vec(),
        1 => {
            let mut bytes = rest.to_vec();
            mend(&mut bytes);
            bytes
        }
        _ => from_recipe(&mut Bytes::new(rest)),
    };
    in_paused_time(async { take_up(&bytes, room).await });
}

fn from_recipe(recipe: &mut Bytes<'_>) -> Vec<u8> {
    let shards = 1 << (recipe.byte() % 8);
    let sequence = 1 + u64::from(recipe.byte());
    let drawn = |byte: u8| u64::from(byte) % (sequence + 1);
    let mut state = State {
        incarnation: u64::from(recipe.byte()),
        hash_keys: [7, 8],
        names: NO_NAMES.to_vec(),
        sequence,
        floors: (0..shards).map(|_| (drawn(recipe.byte()), u32::from(recipe.byte() % 3))).collect(),
        ..State::default()
    };
    let records = recipe.byte() % 64;
    for _ in 0..records {
        let (kind, key) = (recipe.byte(), u64::from(recipe.byte() % 80));
        // The low bits are the slot, those from 40 on the shard.
        let key = key << 40 | (key + 1);
        let (one, other) = (recipe.byte(), recipe.byte());
        // What is there already is no other record.
        let _is_new = match kind % 4 {
            0 => state.holds.insert((key, one % 3, u32::from(other % 4), u64::from(one) << (other % 60))),
            1 => state.lags.insert((key, drawn(one), u64::from(other) << (one % 58))),
            _ => state.entries.insert((key, drawn(one), u32::from(other % 4))),
        };
    }
    let mut bytes = state.write();
    let whole = recipe.byte().is_multiple_of(2);
    while let (false, Some(at)) = (whole, recipe.next()) {
        let (high, how, value) = (recipe.byte(), recipe.byte(), recipe.byte());
        let at = (usize::from(high) << 8 | usize::from(at)) % bytes.len();
        match how % 4 {
            0 => bytes[at] = value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => bytes.truncate(at.max(1)),
            _ => bytes.insert(at, value),
        }
        // Or nothing behind it would ever be looked at.
        if how & 4 == 0 {
            mend(&mut bytes);
        }
    }
    bytes
}

fn restored(bytes: &[u8], room: usize) -> Result<Arc<MemoryLedger>, Unusable> {
    let limits = LedgerLimits { max_resources: room, settle: SETTLE, start_hold: Duration::ZERO };
    MemoryLedger::restore(limits, Reader::open(bytes, bytes.len() as u64)?)
}

fn saved(ledger: &MemoryLedger) -> (Vec<u8>, State) {
    let mut bytes = Vec::new();
    ledger.close().expect("it judged writes").write_to(&mut bytes).expect("memory takes everything");
    let state = State::read(&bytes).expect("what is saved is a whole state");
    (bytes, state)
}

async fn take_up(bytes: &[u8], room: usize) {
    let state = State::read(bytes);
    let ledger = match (restored(bytes, room), &state) {
        (Ok(ledger), Some(_)) => ledger,
        (Err(unusable), None) => {
            let told = unusable.to_string();
            assert!(told.starts_with("it"), "{told}");
            return;
        }
        (taken, state) => panic!("{:?} and by the layout {state:?}", taken.err()),
    };
    let state = state.expect("whole");
    if !state.repeats() {
        as_it_was(&state, &ledger, room);
    }
    let (bytes, after) = saved(&ledger);
    assert_eq!((after.incarnation, after.hash_keys), (state.incarnation, state.hash_keys));
    assert_eq!(after.sequence, state.sequence, "nothing was drawn");
    // Saved and taken up once more it is the same ledger, to the last number.
    let again = restored(&bytes, room).expect("what was saved");
    let last = saved(&again).1;
    assert_eq!(last, after, "saved, taken up and saved");
    // A ledger that was saved judges no more: its successor goes on.
    let successor = restored(&bytes, room).expect("what was saved");
    goes_on(&after, &successor).await;
}

fn keys_of(state: &State) -> Vec<ResourceKey> {
    let occupied = state.holds.iter().map(|hold| hold.0).chain(state.lags.iter().map(|lag| lag.0));
    let mut keys: Vec<u64> = occupied.chain(state.entries.iter().map(|entry| entry.0)).collect();
    // And some that nothing is known of.
    keys.extend((0..8u64).map(|n| n << 40 | 1 << 20));
    keys.into_iter().map(ResourceKey).collect()
}

/// INV1 over the restart: no version goes back, what was occupied is unsettled; and with as much room as
/// before, nothing at all is another.
fn as_it_was(state: &State, ledger: &MemoryLedger, room: usize) {
    // Two of a name in one shard could have to be forgotten for each other.
    let roomy = room / 1024 >= state.floors.len() && state.entries.len() + state.holds.len() < 1024;
    for key in keys_of(state) {
        let entry = state.entries.iter().find(|entry| entry.0 == key.0);
        let before = entry.map_or(state.floor_of(key.0), |entry| entry.1);
        let found = ledger.inspect(key, None);
        assert!(found.version.0 >= before, "INV1: {key:?} went back from {before} to {found:?}");
        assert!(found.version.0 <= state.sequence, "R1: {key:?} has a number that was never drawn");
        assert!(!roomy || found.version.0 == before, "{key:?} was {before} and is {found:?}");
        let held = state.holds.iter().find(|hold| hold.0 == key.0);
        assert_eq!(found.holders, u32::from(held.is_some()), "{key:?}");
        assert_eq!(found.unsettled, held.is_some(), "R8: {key:?}");
        let lag = state.lags.iter().find(|lag| lag.0 == key.0).filter(|lag| lag.2 > 0);
        let stamp = ledger.observe(key, None, SETTLE);
        let changing = held.is_some_and(|hold| hold.1 != 2);
        assert_eq!(stamp.version.0, lag.map_or(found.version.0, |lag| lag.1), "R13: {key:?}");
        assert_eq!(stamp.at_rest, lag.is_none() && !changing, "{key:?}");
    }
}

fn write(key: ResourceKey) -> BeginWrite<'static> {
    BeginWrite::to(Place { key, mode: HoldMode::Exclusive })
}

/// What was occupied refuses until the settle time has passed, and ends with numbers that nobody has seen.
async fn goes_on(state: &State, ledger: &Arc<MemoryLedger>) {
    let held: Vec<(ResourceKey, u8)> = state.holds.iter().map(|hold| (ResourceKey(hold.0), hold.1)).collect();
    for (key, _) in &held {
        let refused = ledger.begin(&write(*key)).await.err();
        assert_eq!(refused, Some(NotBegun::Occupied { key: *key, unsettled_for: Some(SETTLE) }));
    }
    ledger.clone().settle_restored().await;
    let mut newest = Version(state.sequence);
    let mut fresh: Vec<Version> = Vec::new();
    for (key, mode) in &held {
        let found = ledger.inspect(*key, None);
        assert_eq!((found.holders, found.unsettled), (0, false), "{key:?}");
        // Members of a whole change nothing of it.
        if *mode != 2 && ledger.evictions() == 0 {
            assert!(found.version > newest, "R7: {key:?} has {found:?}");
            fresh.push(found.version);
        }
    }
    let settled = fresh.len();
    fresh.sort_unstable();
    fresh.dedup();
    assert_eq!(fresh.len(), settled, "R1: a number each");
    newest = newest.max(fresh.last().copied().unwrap_or(newest));
    for key in keys_of(state).into_iter().take(4) {
        let begun = ledger.begin(&write(key)).await.unwrap_or_else(|refused| panic!("{refused:?}"));
        begun.permit.settle(WriteOutcome::Applied).await;
        let version = ledger.version(key, None);
        assert!(version > newest, "R1: {key:?} was given {version:?} after {newest:?}");
        newest = version;
    }
}
