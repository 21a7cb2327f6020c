//! The one spelling of all states that differ in names only.

use super::state::{Client, Doing, Fate, Pair, Stage, State, Write};

impl State {
    /// The state that stands for all that differ from this one in names only: numbers are renamed to
    /// twice their rank, contents by their order of appearance, clients are sorted.
    ///
    /// A tag whose number stands in no slot and in no file is dropped: numbers enter them by being drawn
    /// or by being copied from one to another, so it will never be current again, whether the protocol
    /// is right or wrong. That is not so where numbers `repeat`: there they keep their names and their
    /// tags.
    pub(super) fn canonical(mut self, repeat: bool) -> State {
        if !repeat {
            self.rename_numbers();
        }
        // Twice: the first renaming settles the order in which the second one goes.
        for _ in 0..2 {
            self.rename_contents();
            self.clients.sort_unstable();
            self.orphans.sort_unstable();
        }
        self
    }

    fn rename_numbers(&mut self) {
        let newest = (self.stage != Stage::Down).then_some(&self.image);
        let images = newest.into_iter().chain(&self.old).chain(self.file.as_ref().map(|file| &file.image));
        let mut numbers: Vec<u8> = Vec::with_capacity(12);
        for image in images {
            numbers.push(image.floor);
            numbers.extend(image.entries.iter().flatten());
        }
        numbers.sort_unstable();
        numbers.dedup();
        // What stands nowhere but in a lag is never current again either. It gets an odd number, which
        // keeps its place among the others.
        let rename = |number: &mut u8| {
            *number = match numbers.binary_search(number) {
                Ok(at) => 2 * at as u8 + 2,
                Err(at) => 2 * at as u8 + 1,
            };
        };
        let rank = |mut number: u8| {
            rename(&mut number);
            number.is_multiple_of(2).then_some(number)
        };
        let last = 2 * numbers.len() as u8 + 1;
        let newest = (self.stage != Stage::Down).then_some(&mut self.image);
        let file = self.file.as_mut().map(|file| {
            file.sequence = last;
            &mut file.image
        });
        for image in newest.into_iter().chain(&mut self.old).chain(file) {
            rename(&mut image.floor);
            image.entries.iter_mut().chain(&mut image.lags).flatten().for_each(rename);
        }
        self.sequence = last;
        let known = |pair: Pair| rank(pair.tag).map(|tag| Pair { tag, ..pair });
        for client in &mut self.clients {
            client.knows = client.knows.and_then(known);
            client.doing = match client.doing {
                Doing::Reading { by, key, stamp: Some(stamp), content } => rank(stamp)
                    .map_or(Doing::Nothing, |stamp| Doing::Reading { by, key, stamp: Some(stamp), content }),
                Doing::Waiting { by, pair } => {
                    known(pair).map_or(Doing::Nothing, |pair| Doing::Waiting { by, pair })
                }
                same @ (Doing::Nothing
                | Doing::Reading { stamp: None, .. }
                | Doing::Judged { .. }
                | Doing::Writing(_)) => same,
            };
        }
    }

    fn rename_contents(&mut self) {
        let mut names: Vec<u8> = Vec::with_capacity(8);
        let mut rename = |content: &mut u8| {
            let at = names.iter().position(|name| name == content).unwrap_or_else(|| {
                names.push(*content);
                names.len() - 1
            });
            *content = at as u8;
        };
        self.origin.iter_mut().for_each(&mut rename);
        self.stale.iter_mut().flatten().for_each(&mut rename);
        for Client { knows, doing } in &mut self.clients {
            knows.iter_mut().for_each(|pair| rename(&mut pair.content));
            match doing {
                Doing::Nothing => {}
                Doing::Reading { content, .. } => content.iter_mut().for_each(&mut rename),
                Doing::Waiting { pair, .. } => rename(&mut pair.content),
                Doing::Judged { saw, .. } => rename(saw),
                Doing::Writing(write) => rename_write(write, &mut rename),
            }
        }
        for write in &mut self.orphans {
            rename_write(write, &mut rename);
        }
        self.contents = names.len() as u8 - 1;
    }
}

fn rename_write(write: &mut Write, rename: &mut dyn FnMut(&mut u8)) {
    if write.fate != Fate::Pending {
        write.saw = None;
    }
    if write.fate == Fate::Refused || (write.unknown && write.fate == Fate::Applied) {
        write.content = None;
    }
    write.saw.iter_mut().for_each(&mut *rename);
    write.content.iter_mut().for_each(&mut *rename);
}
