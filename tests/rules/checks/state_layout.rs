//! The layout of a state file, read and written from the text at the top of `ledger/snapshot.rs` and from
//! nothing else.

use std::collections::BTreeSet;
use std::hash::Hasher;

use ifmatch::ledger::names::SavedNames;
use siphasher::sip::SipHasher13;

/// What a file says, its records in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) incarnation: u64,
    pub(super) hash_keys: [u64; 2],
    pub(super) sequence: u64,
    /// Floor and oldest begin, a shard.
    pub(super) floors: Vec<(u64, u32)>,
    /// What its names stand for, as text (rule R14).
    pub(super) names: Vec<u8>,
    pub(super) holds: BTreeSet<Hold>,
    pub(super) lags: BTreeSet<(u64, u64, u64)>,
    pub(super) entries: BTreeSet<(u64, u64, u32)>,
}

/// Key, mode, begun, read lag.
pub(super) type Hold = (u64, u8, u32, u64);

const HEAD: usize = 80;
/// Of a ledger that nothing was named in.
pub(super) const NO_NAMES: &[u8] = br#"{"era":0,"naming":{"upstreams":{},"routes":[]},"changed":[]}"#;

impl State {
    /// The floor of the shard that a key is in.
    pub(super) fn floor_of(&self, key: u64) -> u64 {
        self.floors[(key >> 40) as usize % self.floors.len()].0
    }

    /// Whether some resource is there more than once: no ledger writes that, and what is made of it is
    /// anybody's guess.
    pub(super) fn repeats(&self) -> bool {
        let distinct = |keys: Vec<u64>| keys.iter().collect::<BTreeSet<_>>().len() == keys.len();
        !distinct(self.holds.iter().map(|hold| hold.0).collect())
            || !distinct(self.lags.iter().map(|lag| lag.0).collect())
            || !distinct(self.entries.iter().map(|entry| entry.0).collect())
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::from(*b"ifmatch\n");
        bytes.extend(2u32.to_le_bytes());
        bytes.extend(u32::try_from(self.floors.len()).expect("few").to_le_bytes());
        let counts = [self.holds.len(), self.lags.len(), self.entries.len()].map(|count| count as u64);
        let [one, other] = self.hash_keys;
        let names = self.names.len() as u64;
        for number in [self.incarnation, one, other, self.sequence, names].into_iter().chain(counts) {
            bytes.extend(number.to_le_bytes());
        }
        for (floor, begun) in &self.floors {
            bytes.extend(floor.to_le_bytes());
            bytes.extend(begun.to_le_bytes());
        }
        bytes.extend(&self.names);
        for (key, mode, begun, lag) in &self.holds {
            bytes.extend(key.to_le_bytes());
            bytes.push(*mode);
            bytes.extend(begun.to_le_bytes());
            bytes.extend(lag.to_le_bytes());
        }
        for (key, older, left) in &self.lags {
            for number in [key, older, left] {
                bytes.extend(number.to_le_bytes());
            }
        }
        for (key, version, begun) in &self.entries {
            bytes.extend(key.to_le_bytes());
            bytes.extend(version.to_le_bytes());
            bytes.extend(begun.to_le_bytes());
        }
        bytes.extend([0; 8]);
        mend(&mut bytes);
        bytes
    }

    /// `None` if no ledger has written these bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut mended = bytes.to_vec();
        mend(&mut mended);
        if mended != bytes || bytes.len() < HEAD + 8 || !bytes.starts_with(b"ifmatch\n\x02\0\0\0") {
            return None;
        }
        let mut rest = Rest(&bytes[12..bytes.len() - 8]);
        let shards = u64::from(rest.short()?);
        let (incarnation, one, other, sequence) =
            (rest.number()?, rest.number()?, rest.number()?, rest.number()?);
        let names = rest.number()?;
        let (holds, lags, entries) = (rest.number()?, rest.number()?, rest.number()?);
        let wide = |count: u64, bytes: u128| u128::from(count) * bytes;
        let told =
            u128::from(names) + wide(shards, 12) + wide(holds, 21) + wide(lags, 24) + wide(entries, 20);
        if told != (bytes.len() - HEAD - 8) as u128 || !shards.is_power_of_two() || shards > 1 << 16 {
            return None;
        }
        let mut state = State { incarnation, hash_keys: [one, other], sequence, ..State::default() };
        for _ in 0..shards {
            state.floors.push((rest.number()?, rest.short()?));
        }
        let (of_names, records) = rest.0.split_at_checked(usize::try_from(names).ok()?)?;
        serde_json::from_slice::<SavedNames>(of_names).ok()?;
        let told: serde_json::Value = serde_json::from_slice(of_names).ok()?;
        let era = told.get("era")?.as_u64()?;
        let changed = told.get("changed")?.as_array()?;
        // R14: every configuration that it names was in force, and there are numbers left for others.
        let was = |change: &serde_json::Value| change.get("era")?.as_u64().filter(|of| *of <= era);
        if era >= 1 << 63 || changed.iter().any(|change| was(change).is_none()) {
            return None;
        }
        (state.names, rest.0) = (of_names.to_vec(), records);
        for _ in 0..holds {
            state.holds.insert((rest.number()?, rest.take::<1>()?[0], rest.short()?, rest.number()?));
        }
        for _ in 0..lags {
            state.lags.insert((rest.number()?, rest.number()?, rest.number()?));
        }
        for _ in 0..entries {
            state.entries.insert((rest.number()?, rest.number()?, rest.short()?));
        }
        // R1: every number in it was drawn, and there are numbers left.
        let numbers = state.floors.iter().map(|floor| floor.0);
        let numbers = numbers.chain(state.lags.iter().map(|lag| lag.1));
        let mut numbers = numbers.chain(state.entries.iter().map(|entry| entry.1));
        let possible = sequence < 1 << 63
            && numbers.all(|number| number <= sequence)
            && state.holds.iter().all(|hold| hold.1 <= 2);
        possible.then_some(state)
    }
}

/// Puts the checksum that matches at the end.
pub(super) fn mend(bytes: &mut [u8]) {
    let Some(end) = bytes.len().checked_sub(8) else { return };
    let mut sum = SipHasher13::new();
    sum.write(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.finish().to_le_bytes());
}

struct Rest<'b>(&'b [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn short(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
}
