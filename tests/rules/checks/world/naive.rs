//! A ledger that forgets nothing and knows no numbers: how often each place has changed, and who is there.

use std::time::Duration;

use ifmatch::decide::claim::HoldMode;
use tokio::time::Instant;

use super::WHOLE;
use crate::checks::ops::KEYS;

/// How often a resource, and its upstream as a whole, have changed: what versions stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changes {
    own: u32,
    all: u32,
    /// Counts the lives of the ledger, each twice: before it judges writes, and from then on.
    life: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub(super) mode: HoldMode,
    pub(super) holders: u32,
    pub(super) overlapped: bool,
    /// A write of another kind was let in by observe mode.
    pub(super) broken: bool,
    pub(super) unsettled_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    changes: u32,
    /// What reads get until then (rule R13).
    lag: Option<(u32, Instant)>,
    hold: Option<Hold>,
}

pub(super) struct Naive {
    places: [Place; KEYS + 1],
    lag: Duration,
    lives: u32,
    opens: Instant,
    opened: bool,
}

/// Places that a write occupies, its target first.
pub(super) type Places = [(usize, HoldMode)];

impl Naive {
    pub(super) fn new(lag: Duration) -> Self {
        Naive { places: Default::default(), lag, lives: 0, opens: Instant::now(), opened: true }
    }

    pub(super) fn changes(&self, of: usize) -> Changes {
        let [own, all] = [of, WHOLE].map(|place| self.places[place].changes);
        Changes { own, all, life: self.life() }
    }

    /// What a read is stamped with.
    pub(super) fn stamped(&self, of: usize) -> Changes {
        let now = Instant::now();
        let seen = |place: usize| match self.places[place].lag {
            Some((before, until)) if now < until => before,
            Some(_) | None => self.places[place].changes,
        };
        Changes { own: seen(of), all: seen(WHOLE), life: self.life() }
    }

    pub(super) fn is_lagging(&self, of: usize) -> bool {
        let now = Instant::now();
        [of, WHOLE].iter().any(|place| self.places[*place].lag.is_some_and(|(_, until)| now < until))
    }

    fn life(&self) -> u32 {
        2 * self.lives + u32::from(self.opened)
    }

    /// R10: whoever reads or writes first after the start hold draws the floor.
    pub(super) fn note_opening(&mut self) {
        self.opened |= self.opens_in().is_zero();
    }

    pub(super) fn is_open(&self) -> bool {
        self.opened
    }

    /// R10: for how long yet no write is judged.
    pub(super) fn opens_in(&self) -> Duration {
        self.opens.saturating_duration_since(Instant::now())
    }

    pub(super) fn crash(&mut self, hold: Duration) {
        for place in &mut self.places {
            *place = Place::default();
        }
        self.lives += 1;
        self.opens = Instant::now() + hold;
        self.opened = false;
    }

    pub(super) fn hold(&self, place: usize) -> Option<Hold> {
        self.places[place].hold
    }

    pub(super) fn held(&self) -> impl Iterator<Item = usize> {
        (0..=KEYS).filter(|place| self.places[*place].hold.is_some())
    }

    /// Whether nothing may be changing the resource.
    pub(super) fn is_free(&self, of: usize) -> bool {
        self.places[of].hold.is_none()
            && self.places[WHOLE].hold.is_none_or(|hold| hold.mode == HoldMode::Member)
    }

    /// R5: the first place that stands in the way, and for how long it is unsettled yet.
    pub(super) fn busy(&self, places: &Places) -> Option<(usize, Option<Duration>)> {
        let blocked = |(place, mode): &(usize, HoldMode)| {
            let hold = self.places[*place].hold?;
            if hold.mode == *mode && *mode != HoldMode::Exclusive {
                return None;
            }
            let left = hold.unsettled_until.map(|until| until.saturating_duration_since(Instant::now()));
            Some((*place, left.filter(|left| !left.is_zero())))
        };
        places.iter().find_map(blocked)
    }

    pub(super) fn occupy(&mut self, places: &Places) {
        for (place, mode) in places {
            let alone =
                Hold { mode: *mode, holders: 1, overlapped: false, broken: false, unsettled_until: None };
            let hold = &mut self.places[*place].hold;
            *hold = Some(hold.map_or(alone, |there| {
                let alike = there.mode == *mode;
                Hold {
                    mode: if alike { *mode } else { HoldMode::Exclusive },
                    holders: there.holders + 1,
                    overlapped: there.overlapped || !alike || *mode != HoldMode::Member,
                    broken: there.broken || !alike || *mode == HoldMode::Exclusive,
                    ..there
                }
            }));
        }
    }

    pub(super) fn unsettle(&mut self, places: &Places, until: Instant) {
        for (place, _) in places {
            if let Some(hold) = &mut self.places[*place].hold {
                hold.unsettled_until = hold.unsettled_until.max(Some(until));
            }
        }
    }

    /// R11: what was occupied is unsettled, and one holder has taken the place of all.
    pub(super) fn restart(&mut self, until: Instant) -> Vec<(usize, HoldMode)> {
        let mut held = Vec::new();
        for (at, place) in self.places.iter_mut().enumerate() {
            if let Some(hold) = &mut place.hold {
                held.push((at, hold.mode));
                (hold.holders, hold.overlapped, hold.unsettled_until) = (1, false, Some(until));
            }
        }
        held
    }

    /// A hold ended without a change.
    pub(super) fn keep(&mut self, places: &Places) {
        self.end(places, None);
    }

    /// A hold ended at this time with a change. Returns whether the write's author knows what its target is
    /// now (rule R4).
    pub(super) fn change(&mut self, places: &Places, at: Instant) -> bool {
        self.end(places, Some(at))
    }

    fn end(&mut self, places: &Places, changed: Option<Instant>) -> bool {
        let mut alone = true;
        for (at, (place, mode)) in places.iter().enumerate() {
            let hold = self.places[*place].hold.expect("held until now");
            alone &= !hold.overlapped || (at != 0 && *place != WHOLE);
            self.places[*place].hold =
                (hold.holders > 1).then_some(Hold { holders: hold.holders - 1, ..hold });
            if let Some(at) = changed.filter(|_| *mode != HoldMode::Member) {
                self.publish(*place, at);
            }
        }
        alone
    }

    pub(super) fn touch(&mut self, place: usize) {
        if let Some(hold) = &mut self.places[place].hold {
            hold.overlapped = true;
        }
        self.publish(place, Instant::now());
    }

    fn publish(&mut self, place: usize, at: Instant) {
        let (lag, place) = (self.lag, &mut self.places[place]);
        if !lag.is_zero() {
            place.lag = Some((place.changes, at + lag));
        }
        place.changes += 1;
    }
}
