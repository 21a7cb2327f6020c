//! R14: another configuration gives a resource another name.

use super::protocol::Broken;
use super::state::{Doing, Named, Stage, State};
use super::steps::Successors;
use super::told::Event;

impl Successors<'_> {
    pub(super) fn name_steps(&mut self) {
        if self.protocol.renaming && self.from.stage != Stage::Down {
            self.rename();
            self.names_open();
        }
    }

    /// What was given under the name of before is of no use under the new one: its slot is another, that
    /// nobody has a tag of. Writes to it wait until those of before have ended.
    fn rename(&mut self) {
        let mut to = self.from.clone();
        if self.broken(Broken::NameComesBackWithItsVersions) {
            to.named = Named { slot: 1 - to.named.slot, open: false };
        } else if !to.named.open {
            forget_tags(&mut to);
        } else {
            if to.image.holds[1 - to.named.slot].is_some() {
                return;
            }
            take_other_slot(&mut to);
            to.named.open = self.broken(Broken::NewNameJudgedAtOnce);
        }
        self.go(Event::Renamed, to);
    }

    /// Every write of before has ended, those of unknown outcome after the settle time, and reads show
    /// what they wrote. What was read meanwhile is of no use either.
    fn names_open(&mut self) {
        let mut to = self.from.clone();
        let settled = self.broken(Broken::UnknownWritesNotWaitedFor);
        let under_way = to.writes().any(|write| write.holds && !(settled && write.unknown));
        let restored = to.restored.iter().any(Option::is_some);
        let lags = !to.lagging.is_empty() && !self.broken(Broken::NamesOpenWithoutTheReadLag);
        if to.named.open || under_way || restored || lags {
            return;
        }
        let keeps = self.broken(Broken::TagsOfBeforeTheOpeningStayGood)
            || self.broken(Broken::NameComesBackWithItsVersions)
            || to.image.holds[1 - to.named.slot].is_some();
        if !keeps {
            take_other_slot(&mut to);
        }
        to.named.open = true;
        self.go(Event::NamesOpen, to);
    }
}

fn take_other_slot(to: &mut State) {
    let slot = 1 - to.named.slot;
    // What stands in it belongs to a name that nobody uses any more. It stays in the real slots, where
    // it can do no more than raise the floor one day.
    to.image.entries[slot] = None;
    to.image.lags[slot] = None;
    to.lagging.retain(|other| *other != slot);
    to.named.slot = slot;
    forget_tags(to);
}

/// Tags of another slot, and those on their way, match nothing from now on.
fn forget_tags(to: &mut State) {
    for client in &mut to.clients {
        client.knows = None;
        match client.doing {
            Doing::Reading { .. } | Doing::Waiting { .. } | Doing::Judged { .. } => {
                client.doing = Doing::Nothing;
            }
            Doing::Nothing | Doing::Writing(_) => {}
        }
    }
}
