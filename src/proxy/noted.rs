//! Content that passes by, noted to be compared with other content.

use std::hash::Hasher;
use std::sync::Arc;

use parking_lot::Mutex;
use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

/// Content as far as it has passed: a digest of it, and its bytes if they are wanted and few enough.
pub struct Noted {
    /// Random, so that nobody can make two contents of one digest.
    key: (u64, u64),
    digest: SipHasher13,
    kept: Option<Vec<u8>>,
    at_most: usize,
}

/// Content that passes in one task and is looked at in another.
pub type SharedNoted = Arc<Mutex<Noted>>;

impl Noted {
    /// Nothing yet. Only a digest is kept.
    pub fn digested() -> Self {
        Noted::new((rand::random(), rand::random()), None)
    }

    /// Nothing yet. The bytes are kept too while there are no more than these.
    pub fn kept_up_to(at_most: usize) -> Self {
        Noted::new((rand::random(), rand::random()), Some(at_most))
    }

    fn new(key: (u64, u64), at_most: Option<usize>) -> Self {
        Noted {
            key,
            digest: SipHasher13::new_with_keys(key.0, key.1),
            kept: at_most.map(|_| Vec::new()),
            at_most: at_most.unwrap_or_default(),
        }
    }

    /// Nothing yet, to be compared with this; its bytes are kept up to this limit.
    pub fn other(&self, at_most: usize) -> Noted {
        Noted::new(self.key, Some(at_most))
    }

    /// Shared with the task that it passes in.
    pub fn shared(self) -> SharedNoted {
        Arc::new(Mutex::new(self))
    }

    /// More of it has passed.
    pub fn note(&mut self, bytes: &[u8]) {
        self.digest.write(bytes);
        if let Some(kept) = &mut self.kept {
            if kept.len() + bytes.len() <= self.at_most {
                kept.extend_from_slice(bytes);
            } else {
                self.kept = None;
            }
        }
    }

    /// All of the bytes so far, if they are kept.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.kept.as_deref()
    }

    /// Whether both are the same, byte for byte. `other` was made by [`Noted::other`].
    pub fn is_same(&self, other: &Noted) -> bool {
        let of = |content: &Noted| -> Hash128 { content.digest.finish128() };
        of(self) == of(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_in_other_pieces_are_the_same_content() {
        let mut one = Noted::digested();
        let mut other = one.other(10);
        one.note(b"abcd");
        other.note(b"ab");
        assert!(!one.is_same(&other));
        other.note(b"cd");
        assert!(one.is_same(&other));
        assert_eq!((one.bytes(), other.bytes()), (None, Some(&b"abcd"[..])));
    }

    #[test]
    fn bytes_are_kept_up_to_the_limit_and_not_in_part() {
        let mut content = Noted::kept_up_to(4);
        content.note(b"ab");
        content.note(b"cd");
        assert_eq!(content.bytes(), Some(&b"abcd"[..]));
        content.note(b"e");
        assert_eq!(content.bytes(), None);
        content.note(b"");
        assert_eq!(content.bytes(), None);
    }
}
