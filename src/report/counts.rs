//! What a route counts by labels from closed lists.
//!
//! A counter is looked up the first time that it counts, and kept: a look-up takes locks that all requests
//! share, and a series of what never happened would only be one more to scrape.

use std::array::from_fn;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::Method;
use prometheus::{IntCounter, IntCounterVec};

use super::log_pace::LogPace;
use super::names::OUTCOMES;
use crate::decide::verdict::RefusalKind;

/// The methods that are labels; every other one is [`OTHER`], so that a client cannot make up series.
static METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::PUT,
    Method::POST,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
];
const OTHER: &str = "other";

/// The methods whose `answered` is told from the start, as 0.
const TOLD_FROM_THE_START: usize = 6;

/// Requests by method and by how they ended.
pub struct RequestCounts {
    route: Arc<str>,
    family: IntCounterVec,
    /// By [`METHODS`], then [`OTHER`]; by [`OUTCOMES`].
    counters: [[OnceLock<IntCounter>; OUTCOMES.len()]; METHODS.len() + 1],
}

impl RequestCounts {
    /// Counts in this family, whose labels are `route`, `method` and `outcome`.
    pub fn new(family: &IntCounterVec, route: &Arc<str>) -> Self {
        let counters = from_fn(|_| from_fn(|_| OnceLock::new()));
        let counts = RequestCounts { route: route.clone(), family: family.clone(), counters };
        for method in METHODS.iter().take(TOLD_FROM_THE_START) {
            counts.with(method, "answered", |_| ());
        }
        counts
    }

    /// A request ended; `outcome` is one of [`OUTCOMES`].
    pub fn ended(&self, method: &Method, outcome: &'static str) {
        self.with(method, outcome, IntCounter::inc);
    }

    fn with(&self, method: &Method, outcome: &'static str, act: impl FnOnce(&IntCounter)) {
        let row = METHODS.iter().position(|one| one == method);
        let column = OUTCOMES.iter().position(|one| *one == outcome);
        let look_up = || {
            let label = row.and_then(|row| METHODS.get(row)).map_or(OTHER, Method::as_str);
            self.family.with_label_values(&[&*self.route, label, outcome])
        };
        let counters = self.counters.get(row.unwrap_or(METHODS.len()));
        match counters.zip(column).and_then(|(of_method, column)| of_method.get(column)) {
            Some(kept) => act(kept.get_or_init(look_up)),
            None => act(&look_up()),
        }
    }
}

/// Refusals and conflicts by kind, and which conflicts get a line in the log.
pub struct RefusalCounts {
    route: Arc<str>,
    refusals: IntCounterVec,
    conflicts: IntCounterVec,
    /// By the kinds' numbers.
    kinds: [OfKind; RefusalKind::ALL.len()],
}

#[derive(Default)]
struct OfKind {
    refused: OnceLock<IntCounter>,
    enforced: OnceLock<IntCounter>,
    observed: OnceLock<IntCounter>,
    lines: LogPace,
}

impl RefusalCounts {
    /// Counts in these families, whose labels are `route` and `kind`, and for conflicts `mode`.
    pub fn new(refusals: &IntCounterVec, conflicts: &IntCounterVec, route: &Arc<str>) -> Self {
        RefusalCounts {
            route: route.clone(),
            refusals: refusals.clone(),
            conflicts: conflicts.clone(),
            kinds: from_fn(|_| OfKind::default()),
        }
    }

    /// A request was refused.
    pub fn refused(&self, kind: RefusalKind) {
        let look_up = || self.refusals.with_label_values(&[&*self.route, kind.name()]);
        match self.kinds.get(kind as usize) {
            Some(of) => of.refused.get_or_init(look_up).inc(),
            None => look_up().inc(),
        }
    }

    /// A conflict, refused (`enforce`) or only observed. If the log gets a line of it: how many of its kind
    /// had none since the line before.
    pub fn conflict(&self, kind: RefusalKind, mode: &'static str, now: Instant) -> Option<u64> {
        let look_up = || self.conflicts.with_label_values(&[&*self.route, kind.name(), mode]);
        let of = self.kinds.get(kind as usize)?;
        let counter = if mode == "observe" { &of.observed } else { &of.enforced };
        counter.get_or_init(look_up).inc();
        of.lines.next(now)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Opts, core::Collector};

    use super::*;

    fn family(labels: &[&str]) -> IntCounterVec {
        IntCounterVec::new(Opts::new("some", "Some."), labels).expect("a family")
    }

    fn series(family: &IntCounterVec) -> usize {
        family.collect().iter().map(|f| f.get_metric().len()).sum()
    }

    #[test]
    fn every_method_and_outcome_has_a_counter_of_its_own() {
        let family = family(&["route", "method", "outcome"]);
        let counts = RequestCounts::new(&family, &"r".into());
        assert_eq!(series(&family), TOLD_FROM_THE_START);
        let made_up = Method::from_bytes(b"MADE-UP").expect("a token");
        for method in METHODS.iter().chain([&made_up, &Method::CONNECT]) {
            OUTCOMES.iter().for_each(|outcome| counts.ended(method, outcome));
        }
        assert_eq!(series(&family), (METHODS.len() + 1) * OUTCOMES.len());
        for outcome in OUTCOMES {
            let count = |method: &str| family.with_label_values(&["r", method, outcome]).get();
            METHODS.iter().for_each(|method| assert_eq!(count(method.as_str()), 1, "{method} {outcome}"));
            assert_eq!(count(OTHER), 2, "{outcome}");
        }
    }

    #[test]
    fn every_kind_has_counters_of_its_own_name() {
        let (refusals, conflicts) = (family(&["route", "kind"]), family(&["route", "kind", "mode"]));
        let counts = RefusalCounts::new(&refusals, &conflicts, &"r".into());
        let now = Instant::now();
        for kind in RefusalKind::ALL {
            counts.refused(kind);
            let conflict = |mode| counts.conflict(kind, mode, now);
            assert_eq!(["enforce", "observe", "observe"].map(conflict), [Some(0), None, None]);
        }
        for kind in RefusalKind::ALL {
            // Some kinds share a name, and so a series.
            let same = RefusalKind::ALL.iter().filter(|other| other.name() == kind.name()).count() as u64;
            assert_eq!(refusals.with_label_values(&["r", kind.name()]).get(), same);
            assert_eq!(conflicts.with_label_values(&["r", kind.name(), "enforce"]).get(), same);
            assert_eq!(conflicts.with_label_values(&["r", kind.name(), "observe"]).get(), 2 * same);
        }
    }
}
