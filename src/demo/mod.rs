//! The demonstration: a small legacy API, and a storm of honest clients against it, once directly and
//! once through the guard; or a [`scenario`] for each kind of conflict, played in the same two ways.
//!
//! Nothing here is used by the proxy itself, and the clients know nothing of it but its answers.

mod account;
mod comparison;
mod connection;
mod honest_client;
pub mod legacy_api;
mod progress;
pub mod scenario;
pub mod storm;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::SocketAddr;

use comparison::{Comparison, Run};
use legacy_api::Documents;
use progress::Progress;
use storm::{StormError, StormPlan, storm};

/// Each storm has a counter of its own, so that neither account can depend on the other.
const DIRECT_COUNTER: &str = "/counters/unguarded";
const GUARDED_COUNTER: &str = "/counters/guarded";

/// What to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// The storms alone: nobody is there to try commands afterwards.
    pub once: bool,
    /// How many clients a storm has.
    pub clients: usize,
    /// How many increments are acknowledged in each storm.
    pub increments: u64,
}

impl Default for DemoOptions {
    /// As many clients as make losses certain and as many increments as take a second or two.
    fn default() -> Self {
        DemoOptions { once: false, clients: 16, increments: 400 }
    }
}

/// Runs both storms and prints their accounts, a conclusion and commands to try on stdout; progress goes
/// to stderr.
///
/// `documents` is what the API behind both addresses stores. All three addresses have to answer already.
/// An error where the guard lost an update, or where the run cannot tell; what was found is printed first.
pub async fn show(
    legacy_direct: SocketAddr,
    guard: SocketAddr,
    admin: SocketAddr,
    documents: &Documents,
    options: DemoOptions,
) -> Result<(), StormError> {
    show_on(&mut io::stdout(), legacy_direct, guard, admin, documents, options).await
}

async fn show_on(
    out: &mut (impl Write + Send),
    legacy_direct: SocketAddr,
    guard: SocketAddr,
    admin: SocketAddr,
    documents: &Documents,
    options: DemoOptions,
) -> Result<(), StormError> {
    let plan = |target: SocketAddr, path: &str, guarded| StormPlan {
        target,
        path: path.to_owned(),
        host: target.to_string(),
        clients: options.clients,
        increments: options.increments,
        guarded,
    };
    let direct = run("directly", &plan(legacy_direct, DIRECT_COUNTER, false), documents).await?;
    let guarded = run("through ifmatch", &plan(guard, GUARDED_COUNTER, true), documents).await?;
    let comparison = Comparison { clients: options.clients, direct, guarded };

    let mut text = format!("{}\n{}", comparison.table(), comparison.conclusion());
    let verdict = comparison.verdict();
    if let (false, Ok(()), Some(stale)) = (options.once, &verdict, &comparison.guarded.storm.first_tag) {
        text.push_str(&comparison::commands(guard, admin, GUARDED_COUNTER, stale));
    }
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(StormError::Output)?;
    verdict
}

async fn run(name: &'static str, plan: &StormPlan, documents: &Documents) -> Result<Run, StormError> {
    let before = documents.writes_applied();
    let progress = Progress::start(name, plan.increments).map_err(StormError::Output)?;
    let storm = storm(plan, |acknowledged| progress.at(acknowledged)).await?;
    Ok(Run { storm, writes_applied: documents.writes_applied().saturating_sub(before) })
}
