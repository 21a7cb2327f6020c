//! R11: a ledger's state as bytes.
//!
//! ```text
//! magic 8 | format 4 | shards 4 | incarnation 8 | hash keys 8 8 | sequence 8 | names 8 | holds 8 | lags 8 | entries 8
//! shards  x (floor 8, begun 4)
//! names   x (byte 1): JSON
//! holds   x (key 8, mode 1, begun 4, read lag in ms 8)
//! lags    x (key 8, older version 8, left in ms 8)
//! entries x (key 8, version 8, begun 4)
//! checksum 8: SipHash-1-3 with a key of zeros, of all before it
//! ```
//!
//! Numbers are little-endian. What is occupied comes before what is at rest, so that whoever takes it up
//! with less room knows what may be forgotten. The lengths must add up to the file's own before any of
//! them is believed, so a damaged one allocates nothing; and nothing of it is to be used before
//! [`Reader::record`] has come to the end, where the checksum stands. The checksum guards against
//! accidents: whoever can write the file can write any checksum.

use std::fmt;
use std::hash::Hasher;
use std::io::{self, Read, Write};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::names::SavedNames;
use super::protocol::{BegunAt, Owed, SavedEntry, SavedHold, SavedLag};
use crate::decide::claim::HoldMode;
use crate::request::version_tag::{Incarnation, ResourceKey, Version};

/// What every state file begins with.
pub const MAGIC: [u8; 8] = *b"ifmatch\n";
/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 2;

const HEAD_BYTES: u64 = 8 + 4 + 4 + 4 * 8 + 4 * 8;
const FLOOR_BYTES: u64 = 8 + 4;
const HOLD_BYTES: u64 = 8 + 1 + 4 + 8;
const LAG_BYTES: u64 = 8 + 8 + 8;
const ENTRY_BYTES: u64 = 8 + 8 + 4;
const CHECKSUM_BYTES: u64 = 8;

/// No ledger has more, whatever its limit; each is 12 bytes.
pub const MAX_SHARDS: usize = 1 << 16;
/// At a billion writes a second this takes three centuries; and it leaves room to go on counting.
const MAX_SEQUENCE: u64 = 1 << 63;

/// What a ledger is, beside its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose versions these are.
    pub incarnation: Incarnation,
    /// The secret keys of the hashes that the resources' keys are made by.
    pub hash_keys: (u64, u64),
    /// The last number that was drawn.
    pub sequence: u64,
    /// The floor of each shard and the oldest begin below it. A power of two of them; a resource's shard
    /// is told by the bits of its key from bit 40 on, as many as are needed.
    pub floors: Vec<(Version, BegunAt)>,
    /// What its names stand for (rule R14).
    pub names: SavedNames,
    /// How many holds follow.
    pub holds: u64,
    /// How many lags follow them.
    pub lags: u64,
    /// How many entries follow those.
    pub entries: u64,
}

/// One piece of a ledger's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A resource that writes occupied.
    Hold(SavedHold),
    /// A resource whose reads may lag.
    Lag(SavedLag),
    /// A resource with a version of its own.
    Entry(SavedEntry),
}

/// Why bytes are no state that a ledger can go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// They are something else.
    Foreign,
    /// They are of another format.
    OtherFormat(u32),
    /// They were cut off or added to.
    WrongLength {
        /// What the lengths within add up to.
        told: u128,
        /// What is there.
        found: u64,
    },
    /// The checksum does not match.
    Damaged,
    /// No ledger has this, whatever the checksum says.
    Impossible(&'static str),
    /// They cannot be read.
    Unreadable(io::ErrorKind),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Foreign => f.write_str("it is no state file of ifmatch"),
            Unusable::OtherFormat(format) => write!(
                f,
                "it has format {format} and this ifmatch reads format {FORMAT}; another version of ifmatch wrote it"
            ),
            Unusable::WrongLength { told, found } => {
                write!(f, "it has {found} bytes and should have {told}; it was cut off or damaged")
            }
            Unusable::Damaged => f.write_str("its checksum does not match; it was damaged"),
            Unusable::Impossible(what) => write!(f, "it has {what}; it was damaged"),
            Unusable::Unreadable(kind) => write!(f, "it cannot be read: {kind}"),
        }
    }
}

impl std::error::Error for Unusable {}

/// Writes a state, record by record.
pub struct Writer<W> {
    to: W,
    sum: SipHasher13,
}

impl<W: Write> Writer<W> {
    /// Writes the head. `to` is better buffered.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn begin(to: W, head: &Head) -> io::Result<Self> {
        let mut writer = Writer { to, sum: SipHasher13::new() };
        let shards = u32::try_from(head.floors.len()).map_err(io::Error::other)?;
        writer.bytes(&MAGIC)?;
        writer.bytes(&FORMAT.to_le_bytes())?;
        writer.bytes(&shards.to_le_bytes())?;
        let (one, other) = head.hash_keys;
        let names = serde_json::to_vec(&head.names)?;
        for number in [head.incarnation.0, one, other, head.sequence, names.len() as u64] {
            writer.number(number)?;
        }
        for number in [head.holds, head.lags, head.entries] {
            writer.number(number)?;
        }
        for (floor, begun) in &head.floors {
            writer.number(floor.0)?;
            writer.bytes(&begun.0.to_le_bytes())?;
        }
        writer.bytes(&names)?;
        Ok(writer)
    }

    /// Writes the next record: the holds first, then the lags, then the entries, as many of each as the
    /// head has told.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        match record {
            Record::Hold(SavedHold { key, mode, owed }) => {
                self.number(key.0)?;
                self.bytes(&[mode_byte(*mode)])?;
                self.bytes(&owed.begun.0.to_le_bytes())?;
                self.number(millis(owed.read_lag))
            }
            Record::Lag(SavedLag { key, older, left }) => {
                self.number(key.0)?;
                self.number(older.0)?;
                self.number(millis(*left))
            }
            Record::Entry(SavedEntry { key, version, begun }) => {
                self.number(key.0)?;
                self.number(version.0)?;
                self.bytes(&begun.0.to_le_bytes())
            }
        }
    }

    /// Writes the checksum.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&self.sum.finish().to_le_bytes())?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn number(&mut self, number: u64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.write(bytes);
        self.to.write_all(bytes)
    }
}

/// Reads a state, record by record.
pub struct Reader<R> {
    from: Summed<R>,
    head: Head,
    holds: u64,
    lags: u64,
    entries: u64,
}

struct Summed<R> {
    from: R,
    sum: SipHasher13,
}

impl<R: Read> Reader<R> {
    /// Reads the head of a state that is `length` bytes long. `from` is better buffered.
    ///
    /// # Errors
    /// If these are no bytes of a ledger.
    pub fn open(from: R, length: u64) -> Result<Self, Unusable> {
        let mut from = Summed { from, sum: SipHasher13::new() };
        match from.bytes() {
            Ok(MAGIC) => {}
            Ok(_) | Err(Unusable::Unreadable(io::ErrorKind::UnexpectedEof)) => return Err(Unusable::Foreign),
            Err(unreadable) => return Err(unreadable),
        }
        match from.short()? {
            FORMAT => {}
            other => return Err(Unusable::OtherFormat(other)),
        }
        let shards = from.short()?;
        let incarnation = Incarnation(from.number()?);
        let hash_keys = (from.number()?, from.number()?);
        let sequence = from.number()?;
        let names = from.number()?;
        let (holds, lags, entries) = (from.number()?, from.number()?, from.number()?);
        let parts = [
            (1, HEAD_BYTES),
            (shards.into(), FLOOR_BYTES),
            (names, 1),
            (holds, HOLD_BYTES),
            (lags, LAG_BYTES),
            (entries, ENTRY_BYTES),
            (1, CHECKSUM_BYTES),
        ];
        let told: u128 = parts.into_iter().map(|(count, bytes)| u128::from(count) * u128::from(bytes)).sum();
        if told != u128::from(length) {
            return Err(Unusable::WrongLength { told, found: length });
        }
        if shards as usize > MAX_SHARDS || !shards.is_power_of_two() {
            return Err(Unusable::Impossible("an odd number of shards"));
        }
        if sequence >= MAX_SEQUENCE {
            return Err(Unusable::Impossible("a sequence at its end"));
        }
        let mut floors = Vec::new();
        for _ in 0..shards {
            let floor = (Version(from.number()?), BegunAt(from.short()?));
            floors.push(floor);
        }
        let names = from.json(names)?;
        if !names.is_possible() {
            return Err(Unusable::Impossible("names of a configuration that never was"));
        }
        let head = Head { incarnation, hash_keys, sequence, floors, names, holds, lags, entries };
        if head.floors.iter().any(|(floor, _)| floor.0 > sequence) {
            return Err(Unusable::Impossible("a floor that was never drawn"));
        }
        Ok(Reader { from, head, holds, lags, entries })
    }

    /// What the ledger is. To be believed when [`Reader::record`] has come to the end.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next record; `None` at the end, where all that was read is proved whole.
    ///
    /// # Errors
    /// If it is not: then nothing that was read is to be used.
    pub fn record(&mut self) -> Result<Option<Record>, Unusable> {
        let from = &mut self.from;
        if take_one(&mut self.holds) {
            let key = ResourceKey(from.number()?);
            let [mode] = from.bytes()?;
            let mode = mode_of(mode).ok_or(Unusable::Impossible("a hold of an unknown mode"))?;
            let begun = BegunAt(from.short()?);
            let read_lag = Duration::from_millis(from.number()?);
            return Ok(Some(Record::Hold(SavedHold { key, mode, owed: Owed { begun, read_lag } })));
        }
        if take_one(&mut self.lags) {
            let (key, older) = (ResourceKey(from.number()?), Version(from.number()?));
            let left = Duration::from_millis(from.number()?);
            self.must_be_drawn(older)?;
            return Ok(Some(Record::Lag(SavedLag { key, older, left })));
        }
        if take_one(&mut self.entries) {
            let (key, version) = (ResourceKey(from.number()?), Version(from.number()?));
            let begun = BegunAt(from.short()?);
            self.must_be_drawn(version)?;
            return Ok(Some(Record::Entry(SavedEntry { key, version, begun })));
        }
        let sum = from.sum.finish();
        if from.number()? == sum { Ok(None) } else { Err(Unusable::Damaged) }
    }

    /// R1: or it would be drawn again.
    fn must_be_drawn(&self, version: Version) -> Result<(), Unusable> {
        if version.0 > self.head.sequence {
            return Err(Unusable::Impossible("a version that was never drawn"));
        }
        Ok(())
    }
}

impl<R: Read> Summed<R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Unusable> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(|error| Unusable::Unreadable(error.kind()))?;
        self.sum.write(&bytes);
        Ok(bytes)
    }

    /// Of a length that was found to be the file's.
    fn json(&mut self, length: u64) -> Result<SavedNames, Unusable> {
        let unreadable = |error: io::Error| Unusable::Unreadable(error.kind());
        let mut text = Vec::new();
        (&mut self.from).take(length).read_to_end(&mut text).map_err(unreadable)?;
        self.sum.write(&text);
        serde_json::from_slice(&text).map_err(|_| Unusable::Impossible("names that cannot be read"))
    }

    fn number(&mut self) -> Result<u64, Unusable> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn short(&mut self) -> Result<u32, Unusable> {
        self.bytes().map(u32::from_le_bytes)
    }
}

fn take_one(left: &mut u64) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

fn mode_byte(mode: HoldMode) -> u8 {
    match mode {
        HoldMode::Exclusive => 0,
        HoldMode::Shared => 1,
        HoldMode::Member => 2,
    }
}

fn mode_of(byte: u8) -> Option<HoldMode> {
    [HoldMode::Exclusive, HoldMode::Shared, HoldMode::Member]
        .into_iter()
        .find(|mode| mode_byte(*mode) == byte)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
