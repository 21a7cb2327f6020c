//! What is told at the end, as Markdown; and what is wrong with it.

use std::collections::BTreeMap;

use crate::account::Account;
use crate::check::{Findings, Remembered};
use crate::client::tally::{Group, Tally};
use crate::plan::{Faults, Guard, Plan};
use crate::run::operations;
use crate::watch::Trend;

/// Of a kind of trouble, no more is told than this.
const EXAMPLES: usize = 10;
/// So many clean restarts with a roomy ledger must have left some tag good.
const RESTARTS_THAT_CARRY: u32 = 3;

/// Everything that is not as it must be.
pub fn wrong(
    plan: &Plan,
    findings: &Findings,
    tally: &Tally,
    account: &Account,
    trend: Option<Trend>,
) -> Vec<String> {
    let mut wrong: Vec<String> = account.broken.clone();
    let broken = findings.broken.iter().take(EXAMPLES).cloned();
    match plan.guard {
        Guard::Off => {
            wrong.extend(broken);
            if findings.lost.is_empty() {
                wrong
                    .push("without a guard nothing was lost: the checker, or the storm, is blind".to_owned());
            }
            return wrong;
        }
        Guard::On => wrong.extend(broken),
    }
    if findings.broken.len() > EXAMPLES {
        wrong.push(format!("... and {} more of that", findings.broken.len() - EXAMPLES));
    }
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
    let good = tally.get(Group::CarriedTag, "good: acknowledged");
    if account.carried_on >= RESTARTS_THAT_CARRY && plan.max_resources.is_none() && good == 0 {
        wrong.push(format!(
            "{} ledgers were carried over, and no tag was good afterwards",
            account.carried_on
        ));
    }
    for (error, count) in &account.errors {
        wrong.push(format!("the proxy's log has an error, {count} times: {error}"));
    }
    if let Some(trend) = trend.filter(|trend| !trend.is_flat()) {
        wrong.push(format!("memory or descriptors grow: {trend:?}"));
    }
    wrong
}

/// The tables.
#[expect(clippy::too_many_arguments, reason = "everything that there is to tell")]
pub fn print(
    plan: &Plan,
    seed: u64,
    seconds: u64,
    findings: &Findings,
    tally: &Tally,
    account: &Account,
    remembered: &Remembered,
    trend: Option<Trend>,
) {
    let applied: u64 = findings.applied.values().sum();
    println!("\n| storm | |\n|---|---|");
    row("seed", seed);
    row("seconds, clients, resources", format!("{seconds}, {}, {}", plan.clients, plan.resources));
    row("requests", operations(tally));
    row("writes that reached the origin", findings.received);
    row("writes that it applied", applied);
    row("writes acknowledged", remembered.acknowledged.len());
    row(
        "lives of the proxy, with the ledger of the one before",
        format!("{}, {}", account.proxy_lives, account.carried_on),
    );
    row("lives of the origin", account.origin_lives);
    row("entries forgotten for want of room", account.evictions);
    row("writes with dead tags alone, none of which reached the origin", remembered.with_dead_tags.len());
    row("writes applied outside of the assumption on settle", findings.outside);
    row("losses that those took part in", findings.excused.len());
    row("**lost updates**", format!("**{}**", findings.lost.len()));
    if let Some(Trend { seconds, second_quarter: before, last_quarter: after }) = trend {
        row(
            &format!("memory over {seconds} s, most in the 2nd and in the last quarter"),
            format!("{} KiB, {} KiB", before.resident_kib, after.resident_kib),
        );
        row(
            "descriptors, most in the 2nd and in the last quarter",
            format!("{}, {}", before.descriptors, after.descriptors),
        );
    }
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
        table("a tag from before a new ledger, presented without reading first", tally.of(Group::DeadTag));
        table("tags from before a clean restart", tally.of(Group::CarriedTag));
    }
    println!();
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
