//! Keyed hashes: of 64 bits, and of 128 for what must never be mistaken for another.

use std::hash::Hasher;

use siphasher::sip::SipHasher13 as SipHasher64;
use siphasher::sip128::{Hasher128, SipHasher13};

/// Of these parts, each with its length, under a random key: nobody can make two lists of one hash, and two never
/// meet in practice.
pub fn keyed_hash(key: (u64, u64), parts: &[&[u8]]) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(key.0, key.1);
    write(&mut hasher, parts);
    hasher.finish128().as_u128()
}

fn write(hasher: &mut impl Hasher, parts: &[&[u8]]) {
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
}

/// The same with 64 bits: two lists may have one hash by chance.
pub fn keyed_hash_64(key: (u64, u64), parts: &[&[u8]]) -> u64 {
    Parts::under(key).and(parts).hash()
}

/// A list that is hashed as far as it is known; what begins like it need not be hashed from its beginning.
#[derive(Clone)]
pub struct Parts(SipHasher64);

impl Parts {
    /// No parts yet.
    pub fn under(key: (u64, u64)) -> Self {
        Parts(SipHasher64::new_with_keys(key.0, key.1))
    }

    /// And these.
    pub fn and(&self, parts: &[&[u8]]) -> Self {
        let mut hasher = self.0;
        write(&mut hasher, parts);
        Parts(hasher)
    }

    /// The hash of all of them.
    pub fn hash(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The state file holds such hashes, and tags of before a restart do.
    #[test]
    fn a_list_has_one_hash_wherever_its_hashing_began() {
        const KEY: (u64, u64) = (7, 0xaaaa_bbbb_cccc_dddd);
        let name = [b'x'; 40];
        for length in 0..name.len() {
            let part = name.get(..length).expect("as long");
            let begun = Parts::under(KEY).and(&[b"r", b"upstream"]);
            assert_eq!(begun.and(&[part]).hash(), keyed_hash_64(KEY, &[b"r", b"upstream", part]));
        }
        assert_eq!(keyed_hash_64(KEY, &[b"r", b"upstream", b"/items/1"]), 0xa9c0a64cfe7ff00);
    }
}
