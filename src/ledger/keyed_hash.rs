//! Keyed hashes: of 64 bits, and of 128 for what must never be mistaken for another.

use std::hash::Hasher;

use siphasher::sip::SipHasher13 as SipHasher64;
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

/// The same with 64 bits: two lists may have one hash by chance.
pub fn keyed_hash_64(key: (u64, u64), parts: &[&[u8]]) -> u64 {
    let mut room = [0; ROOM];
    let hasher = SipHasher64::new_with_keys(key.0, key.1);
    match laid_out(&mut room, parts) {
        Some(all) => hasher.hash(all),
        None => piece_by_piece(hasher, parts),
    }
}

/// Enough for a resource's name, and for most representations.
const ROOM: usize = 256;

/// One behind the other, as [`piece_by_piece`] hashes them. Most are a few bytes, and a hasher takes twice as long
/// over them one by one. `None`: there is no room for them.
fn laid_out<'r>(room: &'r mut [u8; ROOM], parts: &[&[u8]]) -> Option<&'r [u8]> {
    let mut used = 0;
    for part in parts {
        let (length, bytes) = room.get_mut(used..)?.split_first_chunk_mut()?;
        *length = part.len().to_ne_bytes();
        used += length.len() + part.len();
        if !part.is_empty() {
            bytes.get_mut(..part.len())?.copy_from_slice(part);
        }
    }
    room.get(..used)
}

fn piece_by_piece(mut hasher: SipHasher64, parts: &[&[u8]]) -> u64 {
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The tags of before a restart and the state file hold such hashes: they must not depend on how long
    // their parts are together.
    #[test]
    fn parts_have_one_hash_however_they_are_hashed() {
        const KEY: (u64, u64) = (7, 0xaaaa_bbbb_cccc_dddd);
        let long = [b'x'; 2 * ROOM];
        let mut laid_out_whole = 0;
        for length in 0..long.len() {
            let part = long.get(..length).expect("as long");
            for parts in [&[part][..], &[b"r", b"", part], &[part, b"abc", b""]] {
                let hasher = SipHasher64::new_with_keys(KEY.0, KEY.1);
                assert_eq!(keyed_hash_64(KEY, parts), piece_by_piece(hasher, parts), "{length}");
                laid_out_whole += usize::from(laid_out(&mut [0; ROOM], parts).is_some());
            }
        }
        assert!((600..750).contains(&laid_out_whole), "both ways are taken: {laid_out_whole}");
    }
}
