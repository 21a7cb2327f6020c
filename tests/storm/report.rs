//! What is told at the end, as Markdown; and what is wrong with it.

use std::collections::BTreeMap;

use crate::account::Account;
use crate::check::Findings;
use crate::client::tally::{Group, Tally};
use crate::plan::{Faults, Guard, Plan};
use crate::watch::Trend;

/// Of a kind of trouble, no more is told than this.
const EXAMPLES: usize = 10;

/// A storm that is over.
pub struct Report<'a> {
    pub plan: &'a Plan,
    pub seed: u64,
    pub seconds: u64,
    pub findings: &'a Findings,
    pub tally: &'a Tally,
    pub account: &'a Account,
    /// What the proxy held, where it was watched.
    pub trend: Option<Trend>,
}

impl Report<'_> {
    /// Everything that is not as it must be.
    pub fn wrong(&self) -> Vec<String> {
        let Report { plan, findings, account, .. } = self;
        let mut wrong = account.broken.clone();
        wrong.extend(findings.broken.iter().take(EXAMPLES).cloned());
        if let Some(more) = findings.broken.len().checked_sub(EXAMPLES).filter(|more| *more > 0) {
            wrong.push(format!("... and {more} more of that"));
        }
        match plan.guard {
            Guard::On => wrong.extend(self.wrong_with_guard()),
            Guard::Off if findings.lost.is_empty() => {
                wrong
                    .push("without a guard nothing was lost: the checker, or the storm, is blind".to_owned());
            }
            Guard::Off => {}
        }
        for (error, count) in &account.errors {
            wrong.push(format!("the proxy's log has an error, {count} times: {error}"));
        }
        if let Some(trend) = self.trend.filter(|trend| !trend.is_flat()) {
            wrong.push(format!("memory or descriptors grow: {trend:?}"));
        }
        wrong
    }

    fn wrong_with_guard(&self) -> Vec<String> {
        let Report { plan, findings, tally, .. } = self;
        let mut wrong = Vec::new();
        if !findings.lost.is_empty() {
            wrong.push(format!("{} lost updates", findings.lost.len()));
        }
        for what in ["ANSWERED BY THE ORIGIN", "304 TO A DEAD TAG"] {
            let count = tally.get(Group::DeadTag, what);
            if count > 0 {
                wrong.push(format!("dead tags: {what}, {count} times"));
            }
        }
        if tally.sum(Group::Acknowledged) == 0 {
            wrong.push("nothing was acknowledged: it was no storm".to_owned());
        }
        if plan.faults == Faults::Kill && tally.get(Group::DeadTag, "refused: precondition-failed") == 0 {
            wrong.push("no client presented a tag from before a kill".to_owned());
        }
        wrong
    }

    /// The tables.
    pub fn print(&self) {
        self.print_summary();
        let Report { plan, findings, tally, account, .. } = self;
        table("requests by kind", tally.of(Group::Sent));
        table("writes acknowledged by kind", tally.of(Group::Acknowledged));
        table("applied by kind", findings.applied.iter().map(|(kind, count)| (kind.name(), *count)));
        table("refusals by kind", tally.of(Group::Refused));
        table("the origin's other answers", tally.of(Group::Told));
        table("requests without a whole answer", tally.of(Group::Lost));
        table("unknown outcomes by cause, as the proxy counts them", counts(&account.unknown));
        let mut faults: BTreeMap<String, u64> =
            findings.faults.iter().map(|(name, count)| (format!("origin: {name}"), *count)).collect();
        faults.extend(account.events.iter().map(|(name, count)| ((*name).to_owned(), *count)));
        faults.extend(tally.of(Group::Fault).map(|(name, count)| (name.to_owned(), count)));
        table("faults by kind", counts(&faults));
        if plan.faults != Faults::NoRestarts && plan.guard == Guard::On {
            table(
                "a tag from before a new ledger, presented without reading first",
                tally.of(Group::DeadTag),
            );
            table("tags from before a clean restart", tally.of(Group::CarriedTag));
        }
        println!();
    }

    fn print_summary(&self) {
        let Report { plan, findings, tally, account, .. } = self;
        println!("\n| storm | |\n|---|---|");
        row("seed", self.seed);
        row("seconds, clients, resources", format!("{}, {}, {}", self.seconds, plan.clients, plan.resources));
        row("requests", tally.sum(Group::Sent));
        row("writes that reached the origin", findings.received);
        row("writes that it applied", findings.applied.values().sum::<u64>());
        row("writes acknowledged", tally.acknowledged.len());
        let lives = format!("{}, {}", account.proxy_lives, account.carried_on);
        row("lives of the proxy, with the ledger of the one before", lives);
        let (good, unknown) = account.kept_tags;
        row(
            "tags of a quiet resource after a clean restart: good, not learned",
            format!("{good}, {unknown}"),
        );
        row("lives of the origin", account.origin_lives);
        row("entries forgotten for want of room", account.evictions);
        row("writes with dead tags alone", tally.with_dead_tags.len());
        row("writes applied outside of the assumption on settle", findings.outside);
        row("losses that those took part in", findings.excused.len());
        row("**lost updates**", format!("**{}**", findings.lost.len()));
        if let Some(Trend { seconds, second_quarter: before, last_quarter: after }) = self.trend {
            let memory = format!("{} KiB, {} KiB", before.resident_kib, after.resident_kib);
            row(&format!("memory over {seconds} s, most in the 2nd and in the last quarter"), memory);
            let descriptors = format!("{}, {}", before.descriptors, after.descriptors);
            row("descriptors, most in the 2nd and in the last quarter", descriptors);
        }
    }
}

fn row(name: &str, value: impl std::fmt::Display) {
    println!("| {name} | {value} |");
}

fn table<'a>(name: &str, rows: impl Iterator<Item = (&'a str, u64)>) {
    let rows: Vec<_> = rows.collect();
    println!("\n| {name} | {} |\n|---|---|", rows.iter().map(|(_, count)| count).sum::<u64>());
    for (what, count) in rows {
        row(what, count);
    }
}

fn counts(map: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
    map.iter().map(|(what, count)| (what.as_str(), *count))
}
