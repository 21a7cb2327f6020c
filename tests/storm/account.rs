//! What is written down of the processes.

use std::collections::BTreeMap;

use crate::processes::Proxy;

/// What happened, and what was found on the way.
#[derive(Default)]
pub struct Account {
    pub origin_lives: u32,
    pub proxy_lives: u32,
    pub carried_on: u32,
    pub events: BTreeMap<&'static str, u64>,
    /// Writes of unknown outcome by cause, over all lives of the proxy.
    pub unknown: BTreeMap<String, u64>,
    pub evictions: f64,
    /// Tags of a resource that nobody wrote to, presented after a clean restart: good, and not to be learned.
    pub kept_tags: (u32, u32),
    /// What the proxy logged as errors.
    pub errors: BTreeMap<String, u64>,
    pub broken: Vec<String>,
}

impl Account {
    /// The last look at the counters of a life that is about to end.
    pub fn take_leave_of(&mut self, proxy: &Proxy) {
        let Some(metrics) = proxy.metrics() else { return };
        for (labels, count) in metrics.series("ifmatch_unknown_outcomes_total") {
            let cause = labels.split("cause=\"").nth(1).and_then(|rest| rest.split('"').next());
            // Counters are whole numbers.
            *self.unknown.entry(cause.unwrap_or("?").to_owned()).or_default() += count.round() as u64;
        }
        self.evictions += metrics.sum("ifmatch_ledger_evictions_total").unwrap_or(0.0);
    }

    /// What a life that has ended said.
    pub fn hear(&mut self, proxy: &Proxy) {
        for (error, count) in proxy.told().errors {
            if !error.starts_with("the configuration is refused") {
                *self.errors.entry(error).or_default() += count;
            }
        }
    }

    pub fn event_count(&self, part: &str) -> u64 {
        self.events.iter().filter(|(name, _)| name.contains(part)).map(|(_, count)| count).sum()
    }
}
