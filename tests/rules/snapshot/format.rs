//! Which bytes are a ledger's state, and which are refused.

use std::hash::Hasher;

use ifmatch::decide::claim::HoldMode;
use ifmatch::decide::outcome::WriteOutcome;
use ifmatch::ledger::memory::{BeginWrite, MemoryLedger};
use ifmatch::ledger::names::SavedNames;
use ifmatch::ledger::protocol::{BegunAt, SavedEntry};
use ifmatch::ledger::snapshot::{FORMAT, Head, MAGIC, Reader, Record, Unusable, Writer};
use ifmatch::request::version_tag::{Incarnation, ResourceKey, Version};
use siphasher::sip::SipHasher13;

use super::{LAG, NARROW, begun, bytes_of, in_paused_time, key, let_through, limits, restored, write};

/// A small state with everything in it.
fn small() -> Vec<u8> {
    in_paused_time(async {
        let ledger = MemoryLedger::new(limits(NARROW));
        let lagging = BeginWrite { read_lag: LAG, ..write(key(1), HoldMode::Exclusive) };
        let permit = let_through(&ledger, &lagging).await;
        permit.settle(WriteOutcome::Applied).await;
        let _held = begun(&ledger, key(2)).await;
        bytes_of(&ledger)
    })
}

fn refused(bytes: &[u8]) -> Unusable {
    restored(bytes, NARROW).err().expect("refused")
}

/// Of a ledger in which nothing has happened yet, with one shard.
fn head() -> Head {
    Head {
        incarnation: Incarnation(1),
        hash_keys: (2, 3),
        sequence: 5,
        floors: vec![(Version(1), BegunAt(0))],
        names: SavedNames::default(),
        holds: 0,
        lags: 0,
        entries: 0,
    }
}

/// With a checksum that matches.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 8;
    let mut sum = SipHasher13::new();
    sum.write(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.finish().to_le_bytes());
    bytes
}

#[test]
fn every_truncation_is_refused() {
    let small = small();
    assert!(restored(&small, NARROW).is_ok());
    for length in 0..small.len() {
        refused(&small[..length]);
        // Cut while it is read.
        let cut = Reader::open(&small[..length], small.len() as u64);
        let cut = cut.and_then(|reader| MemoryLedger::restore(limits(NARROW), reader));
        assert!(cut.is_err());
    }
    refused(&[&small[..], b"\0"].concat());
}

#[test]
fn every_flipped_bit_is_refused() {
    let small = small();
    for bit in 0..small.len() * 8 {
        let mut flipped = small.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused(&flipped);
    }
}

#[test]
fn what_is_refused_says_why() {
    let small = small();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = small.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let (format, shards, sequence, names, entries) = (8, 12, 40, 48, 72);
    let number = |at: usize| u64::from_le_bytes(small[at..at + 8].try_into().expect("8"));
    let before_holds = 80 + 12 + usize::try_from(number(names)).expect("small");
    assert_eq!(refused(b""), Unusable::Foreign);
    assert_eq!(refused(b"[server]\nlisten = \"127.0.0.1:8080\"\n"), Unusable::Foreign);
    assert_eq!(refused(&[&MAGIC[..4], &[0; 200]].concat()), Unusable::Foreign);
    assert_eq!(refused(&with(format, &(FORMAT + 1).to_le_bytes())), Unusable::OtherFormat(FORMAT + 1));
    assert!(matches!(refused(&small[..small.len() - 1]), Unusable::WrongLength { .. }));
    assert_eq!(refused(&with(small.len() - 1, &[!small[small.len() - 1]])), Unusable::Damaged);
    let odd = sealed([&with(shards, &3u32.to_le_bytes())[..], &[0; 24]].concat());
    assert!(matches!(refused(&odd), Unusable::Impossible(_)));
    let at_its_end = sealed(with(sequence, &u64::MAX.to_le_bytes()));
    assert!(matches!(refused(&at_its_end), Unusable::Impossible(_)));
    let undrawn = sealed(with(sequence, &0u64.to_le_bytes()));
    assert!(matches!(refused(&undrawn), Unusable::Impossible(_)));
    // Behind the key of the one hold.
    let mode = sealed(with(before_holds + 8, &[9]));
    assert!(matches!(refused(&mode), Unusable::Impossible(_)));
    // Behind the one floor.
    let nonsense = sealed(with(80 + 12, b"?"));
    assert!(matches!(refused(&nonsense), Unusable::Impossible(_)));
    let huge = sealed(with(entries, &(1u64 << 60).to_le_bytes()));
    assert!(matches!(refused(&huge), Unusable::WrongLength { .. }));
    for reason in [
        refused(b""),
        refused(&with(format, &[1])),
        refused(&huge),
        refused(&mode),
        Unusable::Damaged,
        Unusable::Unreadable(std::io::ErrorKind::UnexpectedEof),
    ] {
        assert!(reason.to_string().starts_with("it") || reason.to_string().starts_with("its"), "{reason}");
    }
}

// Even where the file system agrees that the file is that long.
#[test]
fn lengths_beyond_all_memory_allocate_nothing() {
    let mut claims = small();
    claims[72..80].copy_from_slice(&(1u64 << 59).to_le_bytes());
    let known = u128::from(u64::from_le_bytes(small()[72..80].try_into().expect("8")));
    let length = small().len() as u128 - known * 20 + (1u128 << 59) * 20;
    let reader = Reader::open(&claims[..], u64::try_from(length).expect("fits"));
    let restored = reader.and_then(|reader| MemoryLedger::restore(limits(NARROW), reader));
    assert!(matches!(restored.err(), Some(Unusable::Unreadable(_) | Unusable::Impossible(_))));
}

#[test]
fn a_version_that_was_never_drawn_is_refused() {
    let head = Head { entries: 1, ..head() };
    let with = |version| {
        let mut writer = Writer::begin(Vec::new(), &head).expect("memory");
        let entry = SavedEntry { key: key(1), version: Version(version), begun: BegunAt(0) };
        writer.record(&Record::Entry(entry)).expect("memory");
        restored(&writer.finish().expect("memory"), NARROW)
    };
    assert!(with(5).is_ok());
    assert!(matches!(with(6).err(), Some(Unusable::Impossible(_))));
}

// The number after the last one is none; a name that changed in the future would never be in force.
#[test]
fn names_of_a_configuration_that_never_was_are_refused() {
    let change = r#"{"affected":{"upstream":"u","range":{"Text":""}},"era":3,"open":true}"#;
    let with = |era: u64| {
        let text =
            format!(r#"{{"era":{era},"naming":{{"upstreams":{{}},"routes":[]}},"changed":[{change}]}}"#);
        let head = Head { names: serde_json::from_str(&text).expect("names"), ..head() };
        let writer = Writer::begin(Vec::new(), &head).expect("memory");
        restored(&writer.finish().expect("memory"), NARROW)
    };
    assert!(with(3).is_ok());
    for era in [0, 2, u64::MAX] {
        assert!(matches!(with(era).err(), Some(Unusable::Impossible(_))), "{era}");
    }
}

/// Also a measurement: `IFMATCH_ENTRIES=10000000 cargo test --release --test rules many_entries -- --nocapture`.
#[test]
fn many_entries_go_through_a_file_and_back() {
    let asked = std::env::var("IFMATCH_ENTRIES").ok().and_then(|text| text.parse::<u64>().ok());
    let entries = asked.unwrap_or(100_000);
    let room = usize::try_from(entries + entries / 5).expect("fits");
    let floors = vec![(Version(1), BegunAt(0)); 64];
    let head = Head { sequence: entries + 1, floors, entries, ..head() };
    let mut writer = Writer::begin(Vec::new(), &head).expect("memory");
    for n in 1..=entries {
        // Spread over shards and slots as hashes are.
        let key = ResourceKey(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let entry = SavedEntry { key, version: Version(n), begun: BegunAt(1) };
        writer.record(&Record::Entry(entry)).expect("memory");
    }
    let bytes = writer.finish().expect("memory");
    let began = std::time::Instant::now();
    let ledger = restored(&bytes, room).expect("a whole state");
    let (taken, began) = (began.elapsed(), std::time::Instant::now());
    assert_eq!(ledger.len() as u64, entries);
    let saved = bytes_of(&ledger);
    println!(
        "{entries} entries: {} bytes, taken up in {taken:?}, saved in {:?}",
        saved.len(),
        began.elapsed()
    );
    assert_eq!(saved.len(), bytes.len());
}
