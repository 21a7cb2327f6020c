//! How much room a connection's next read has.

use bytes::BytesMut;

/// As much as most messages take as a whole.
const USUAL: usize = 8 * 1024;
/// What large bodies are read in.
const MOST: usize = 64 * 1024;
/// Less than this is not worth a system call.
const LEAST: usize = 2 * 1024;

/// Room for reads: little while little comes, more while a body fills it.
pub struct Room {
    next: usize,
}

impl Default for Room {
    fn default() -> Self {
        Room { next: USUAL }
    }
}

impl Room {
    /// Makes room behind what has come, and says how much there is.
    pub fn make(&self, come: &mut BytesMut) -> usize {
        if come.capacity() - come.len() < LEAST {
            come.reserve(self.next);
        }
        come.capacity() - come.len()
    }

    /// So much was read into room of that size.
    pub fn was_read(&mut self, read: usize, room: usize) {
        if read == room {
            self.next = (self.next * 2).min(MOST);
        }
    }

    /// To be called between messages: what a large one took is given back.
    pub fn rest(&mut self, come: &mut BytesMut) {
        self.next = USUAL;
        if come.is_empty() && come.capacity() > 2 * USUAL {
            *come = BytesMut::new();
        }
    }
}
