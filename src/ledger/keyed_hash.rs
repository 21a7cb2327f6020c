//! Keyed hashes of 128 bits, for what must never be mistaken for another.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Of these parts, each with its length, under a random key: nobody can make two lists of one hash, and two never
/// meet in practice.
pub fn keyed_hash(key: (u64, u64), parts: &[&[u8]]) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(key.0, key.1);
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish128().as_u128()
}
