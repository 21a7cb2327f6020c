//! Everything that can happen next.

use super::world::{Breaks, Doing, Fate, Job, Orphan, State, World};

/// What happened, and the state after it; `None`: what must not be.
type Step = (String, Option<State>);

/// Writes without a client at a time: enough for one of every kind beside the clients' own.
const MOST_ORPHANS: usize = 2;

impl World {
    pub(super) fn successors(&self, state: &State) -> Vec<Step> {
        let mut found = Vec::new();
        for client in 0..self.jobs.len() {
            self.of_client(state, client, &mut found);
        }
        for orphan in 0..state.orphans.len() {
            self.of_orphan(state, orphan, &mut found);
        }
        self.of_processes(state, &mut found);
        self.of_the_origin(state, &mut found);
        found
    }

    fn of_client(&self, state: &State, client: usize, found: &mut Vec<Step>) {
        let job = self.jobs[client];
        let name = char::from(b'A' + client as u8);
        let with = |doing: Doing| {
            let mut next = state.clone();
            next.clients[client] = doing;
            next
        };
        let orphaned = |fate, unknown, held| {
            let mut next = with(Doing::Nothing);
            next.orphans.push(Orphan { job, fate, unknown, held });
            next.orphans.sort_unstable();
            next
        };
        let mut add = |event: String, next: Option<State>| found.push((format!("{name} {event}"), next));
        let wants = match job {
            Job::Create(value) => format!("a record with {value:?}"),
            Job::Move(to) => format!("a move to {to:?}"),
        };
        let late = self.is(Breaks::ReservedAfterTheLook);
        match state.clients[client] {
            Doing::Nothing if late && state.judging => {
                add(format!("asks for {wants}"), Some(with(Doing::Begun)));
            }
            Doing::Nothing if self.is_free(state, job) => {
                add(format!("asks for {wants}, which is let in"), Some(with(Doing::Begun)));
            }
            Doing::Nothing => {}
            Doing::Begun => match self.finds_the_way_clear(state, job) {
                true => add("looks, and nothing is in its way".into(), Some(with(Doing::Looked))),
                false => add("looks, and is refused".into(), Some(with(Doing::Nothing))),
            },
            Doing::Looked if late && !self.is_free(state, job) => {
                add("is refused, for another one is in flight".into(), Some(with(Doing::Nothing)));
            }
            Doing::Looked => add("is sent".into(), Some(with(Doing::Sent(Fate::Pending)))),
            Doing::Sent(fate) => {
                if fate == Fate::Pending {
                    add("is applied".into(), self.apply(with(Doing::Sent(Fate::Applied)), job));
                    add("is refused by the origin".into(), Some(with(Doing::Nothing)));
                } else {
                    let ended = self.ended(with(Doing::Nothing), job);
                    add("is answered".into(), Some(ended));
                    if self.is(Breaks::RefusedWhatItApplied) {
                        add("is answered as not applied".into(), Some(with(Doing::Nothing)));
                    }
                }
                if self.is(Breaks::SentAgain) {
                    add("loses its answer, and is sent again".into(), Some(with(Doing::Sent(Fate::Pending))));
                }
                if state.orphans.len() < MOST_ORPHANS {
                    let held = !self.is(Breaks::FreedWhenUnknown);
                    add("loses its answer".into(), Some(orphaned(fate, true, held)));
                    let held = !self.is(Breaks::FreedWhenTheClientLeaves);
                    add("leaves".into(), Some(orphaned(fate, false, held)));
                }
            }
        }
    }

    fn of_orphan(&self, state: &State, at: usize, found: &mut Vec<Step>) {
        let orphan = state.orphans[at];
        let without = || {
            let mut next = state.clone();
            next.orphans.remove(at);
            next
        };
        let with = |changed: Orphan| {
            let mut next = without();
            next.orphans.push(changed);
            next.orphans.sort_unstable();
            next
        };
        let what = match orphan.job {
            Job::Create(value) => format!("the write of {value:?} that nobody waits for"),
            Job::Move(to) => format!("the move to {to:?} that nobody waits for"),
        };
        let mut add = |event: &str, next: Option<State>| found.push((format!("{what} {event}"), next));
        if orphan.fate == Fate::Pending {
            let applied = with(Orphan { fate: Fate::Applied, ..orphan });
            add("is applied", self.apply(applied, orphan.job));
        }
        match (orphan.unknown, orphan.held) {
            (false, _) => {
                let ended =
                    if orphan.fate == Fate::Applied { self.ended(without(), orphan.job) } else { without() };
                add("is answered", Some(ended));
                add("loses its answer", Some(with(Orphan { unknown: true, ..orphan })));
            }
            (true, true) => {
                let late = orphan.fate == Fate::Pending && self.is(Breaks::AppliedAfterSettle);
                let next = if late { with(Orphan { held: false, ..orphan }) } else { without() };
                add("is settled", Some(self.ended(next, orphan.job)));
            }
            (true, false) => add("is over", Some(without())),
        }
    }

    fn of_processes(&self, state: &State, found: &mut Vec<Step>) {
        let sent = || {
            self.jobs.iter().zip(&state.clients).filter_map(|(job, doing)| match doing {
                Doing::Sent(fate) => Some((*job, *fate)),
                Doing::Nothing | Doing::Begun | Doing::Looked => None,
            })
        };
        let few = state.orphans.len() + sent().count() <= MOST_ORPHANS;
        let handed_on = |held: bool| {
            let mut next = state.clone();
            for orphan in &mut next.orphans {
                *orphan = Orphan { unknown: true, held: held && orphan.held, ..*orphan };
            }
            next.orphans.extend(sent().map(|(job, fate)| Orphan { job, fate, unknown: true, held }));
            next.orphans.sort_unstable();
            next.clients.fill(Doing::Nothing);
            next
        };
        if state.judging && few {
            let mut crashed = handed_on(false);
            crashed.judging = false;
            crashed.lagging.clear();
            found.push(("the process is killed, and another one starts".into(), Some(crashed)));
            let held = !self.is(Breaks::RestoredAsFree);
            found.push(("the process stops, and another one goes on".into(), Some(handed_on(held))));
        }
        if !state.judging {
            let mut open = state.clone();
            open.judging = true;
            if !self.is(Breaks::NoStartHold) {
                open.orphans.clear();
                open.shown = open.store.clone();
            }
            found.push(("the start's hold is over".into(), Some(open)));
        }
    }

    fn of_the_origin(&self, state: &State, found: &mut Vec<Step>) {
        if state.shown != state.store {
            let mut next = state.clone();
            next.shown = next.store.clone();
            next.lagging.clear();
            found.push(("reads show what there is".into(), Some(next)));
        }
        for at in 0..state.store.records.len() {
            let mut next = state.clone();
            let gone = next.store.records.remove(at);
            found.push((format!("the record with {gone:?} is deleted"), Some(self.seen(next))));
        }
    }
}
