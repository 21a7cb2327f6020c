//! A client with a resource of its own: nobody else writes to it, so its tag has to outlive a clean restart.

use crate::client::{Client, Went};

/// So often a request is tried that says nothing of the tag, such as one that was lost.
const TRIES: u32 = 30;

pub struct Keeper {
    client: Client,
    /// Its resource, among the storm's.
    at: usize,
}

impl Keeper {
    pub fn new(mut client: Client, at: usize) -> Self {
        client.well_behaved = true;
        Keeper { client, at }
    }

    /// Gets a tag that is surely current, with no write of its own still to come: the one of an
    /// acknowledged write. `false` if it could not be had.
    pub fn take_tag(&mut self) -> bool {
        self.client.write_at_last(self.at, TRIES) && self.client.remembers(self.at)
    }

    /// Presents the tag without reading first. Whether it was good; `None` if that was not to be learned.
    pub fn present_tag(&mut self) -> Option<bool> {
        self.client.reconnect();
        for _ in 0..TRIES {
            match self.client.put(self.at) {
                Went::Acknowledged => return Some(true),
                Went::Refused(kind) if kind == "precondition-failed" => return Some(false),
                Went::Refused(_) | Went::NotSent => self.client.pause(20..50),
                Went::Told | Went::Unknown => return None,
            }
        }
        None
    }
}
