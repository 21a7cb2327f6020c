//! Both storms side by side, and what they show, in plain words.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;

use super::account::{Finding, StormError, StormResult};

/// One storm and what the API itself saw of it.
pub(super) struct Run {
    /// As the clients saw it.
    pub(super) storm: StormResult,
    /// Writes that the API applied meanwhile.
    pub(super) writes_applied: u64,
}

/// A storm straight to the API, and one through the guard.
pub(super) struct Comparison {
    pub(super) clients: usize,
    pub(super) direct: Run,
    pub(super) guarded: Run,
}

impl Comparison {
    /// Both accounts as a table.
    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{} clients increment one counter {} times, each with GET, add one, PUT:\n\n",
            self.clients, self.direct.storm.acknowledged
        );
        line(&mut table, "", "directly", "through ifmatch");
        self.row(&mut table, "acknowledged increments", |run| run.storm.acknowledged.to_string());
        self.row(&mut table, "the counter grew by", |run| {
            run.storm.final_value.saturating_sub(run.storm.initial_value).to_string()
        });
        self.row(&mut table, "final value", |run| run.storm.final_value.to_string());
        self.row(&mut table, "lost updates", |run| run.storm.lost.to_string());
        let runs = [&self.direct, &self.guarded];
        let kinds: BTreeSet<_> = runs.iter().flat_map(|run| run.storm.refused_by_kind.keys()).collect();
        for kind in kinds {
            self.row(&mut table, &format!("refused: {kind}"), |run| {
                run.storm.refused_by_kind.get(kind).copied().unwrap_or_default().to_string()
            });
        }
        self.row(&mut table, "writes tried", |run| run.storm.attempts.to_string());
        self.row(&mut table, "writes the API applied", |run| run.writes_applied.to_string());
        if runs.iter().any(|run| run.storm.errors > 0) {
            self.row(&mut table, "errors", |run| run.storm.errors.to_string());
            self.row(&mut table, "writes of unknown outcome", |run| run.storm.unknown.to_string());
        }
        self.row(&mut table, "time", |run| format!("{:.2} s", run.storm.elapsed.as_secs_f64()));
        table
    }

    fn row(&self, table: &mut String, name: &str, value: impl Fn(&Run) -> String) {
        line(table, name, &value(&self.direct), &value(&self.guarded));
    }

    /// One sentence on each run.
    pub(super) fn conclusion(&self) -> String {
        let acknowledged = self.direct.storm.acknowledged;
        let direct = match self.direct.storm.finding() {
            Finding::Lost(lost) => format!(
                "Directly, {lost} of {acknowledged} acknowledged increments are gone, and nobody was told"
            ),
            Finding::Kept => "Directly, nothing was lost this time, so this run shows nothing (more clients \
                              or more increments make it certain)"
                .to_owned(),
            Finding::Unclear => "Directly, nobody can say whether updates were lost, because writes stayed \
                                 without an answer"
                .to_owned(),
        };
        let refused: u64 = self.guarded.storm.refused_by_kind.values().sum();
        let guarded = match self.guarded.storm.finding() {
            Finding::Kept => format!(
                "through ifmatch, all {} are there, because {refused} writes that would have replaced a \
                 state their author had not seen, or met another write, were refused, and their clients \
                 read again.",
                self.guarded.storm.acknowledged
            ),
            Finding::Lost(lost) => {
                format!("AND THROUGH IFMATCH {lost} ARE GONE TOO: the guard is broken, please report this.")
            }
            Finding::Unclear => "through ifmatch, it cannot be told: writes stayed without an answer, or \
                                 somebody else wrote the counter."
                .to_owned(),
        };
        format!("{direct}; {guarded}\n")
    }

    /// Whether the guard kept its promise, as far as this run can tell.
    pub(super) fn verdict(&self) -> Result<(), StormError> {
        match self.guarded.storm.finding() {
            Finding::Kept => Ok(()),
            Finding::Lost(lost) => Err(StormError::GuardLostUpdates(lost)),
            Finding::Unclear => Err(StormError::Inconclusive { unknown: self.guarded.storm.unknown }),
        }
    }
}

fn line(table: &mut String, name: &str, direct: &str, guarded: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(table, "  {name:<32} {direct:>10} {guarded:>17}");
}

/// Commands to try by hand, one a line. `stale` is an entity-tag of an earlier state.
pub(super) fn commands(guard: SocketAddr, admin: SocketAddr, path: &str, stale: &str) -> String {
    let url = format!("http://{guard}{path}");
    let put = "curl -i -X PUT -H 'Content-Type: application/json' -d '{\"value\": 7}'";
    // Inside single quotes a shell reads everything but the single quote as it stands.
    let stale = stale.replace('\'', r"'\''");
    format!(
        "\nTry it:\n\n\
         # a read, with the ETag that the API never had\n\
         curl -i {url}\n\
         # a write that does not say what it replaces: 428\n\
         {put} {url}\n\
         # a write based on an old read: 412\n\
         {put} -H 'If-Match: {stale}' {url}\n\n\
         Metrics:   http://{admin}/metrics\n\
         Conflicts: http://{admin}/conflicts\n"
    )
}
