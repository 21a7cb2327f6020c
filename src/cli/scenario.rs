//! `demo --scenario`: conflicts as stories, each played without the guard and with it.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};

use super::print;
use super::start::failed;
use crate::config;
use crate::config::problem::Colour;
use crate::demo::legacy_api::{self, Documents};
use crate::demo::scenario::{self, Account, Performance, Scenario, ScenarioError};
use crate::server::Bound;
use crate::server::life::StopOn;

const LIST: &str = "list";
const ALL: &str = "all";

/// What `--scenario` takes; a mistake is answered with it.
pub(super) fn names() -> PossibleValuesParser {
    let others = [(LIST, "the names of all scenarios"), (ALL, "every scenario, one after the other")];
    let scenarios = scenario::ALL.iter().map(|scenario| (scenario.name, scenario.summary));
    PossibleValuesParser::new(
        scenarios.chain(others).map(|(name, summary)| PossibleValue::new(name).help(summary)),
    )
}

/// Plays the scenario of this name, or all of them, or lists them.
pub(super) async fn show(name: &str) -> ExitCode {
    let chosen: Vec<&'static Scenario> = match name {
        LIST => return print(&list()),
        ALL => scenario::ALL.to_vec(),
        one => scenario::named(one).into_iter().collect(),
    };
    let mut accounts = Vec::new();
    let mut wrong = Vec::new();
    for scenario in chosen {
        match play(scenario).await {
            Ok(account) => {
                wrong.extend(account.verdict().err().map(|error| error.to_string()));
                accounts.push(account);
            }
            Err(why) => wrong.push(why),
        }
    }
    if !accounts.is_empty() {
        wrong.extend(tell(&format!("\n{}", scenario::table(&accounts))).err());
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { failed(&wrong.join("\nifmatch: ")) }
}

fn list() -> String {
    let lines =
        scenario::ALL.iter().map(|Scenario { name, summary, .. }| format!("  {name:<22} {summary}\n"));
    lines.collect()
}

/// Plays a scenario both times, and tells it.
async fn play(scenario: &'static Scenario) -> Result<Account, String> {
    tell(&format!("\n== {}\n\n{}\n", scenario.name, wrapped(scenario.story)))?;
    let (api, documents) = start_api().await?;
    tell("\nstraight to the API:\n\n")?;
    let direct = told(scenario.perform(api, api, documents).await)?;
    tell(&format!("\n=> {}\n", direct.left.without_a_guard()))?;

    // An API of its own, so that neither run can depend on the other.
    let (api, documents) = start_api().await?;
    let config = scenario.config(api);
    let indented: String = config
        .lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") })
        .collect();
    tell(&format!("\nthrough ifmatch, configured with\n\n{indented}\n"))?;
    let guard = start_guard(scenario.name, &config)?;
    let guarded = told(scenario.perform(guard, api, documents).await)?;
    let account = Account { scenario, direct, guarded };
    tell(&format!("\n=> {}\n", wrapped(&account.conclusion())))?;
    Ok(account)
}

fn told(performance: Result<Performance, ScenarioError>) -> Result<Performance, String> {
    match performance {
        Ok(performance) => {
            tell(&performance.lines())?;
            Ok(performance)
        }
        Err(error) => {
            if let ScenarioError::Broken { told, .. } = &error {
                tell(told)?;
            }
            Err(error.to_string())
        }
    }
}

async fn start_api() -> Result<(SocketAddr, Arc<Documents>), String> {
    let api = legacy_api::bind(anywhere()).await;
    let api = api.map_err(|error| format!("cannot start the legacy API: {error}"))?;
    let started = (api.address(), api.documents());
    tokio::spawn(api.serve());
    Ok(started)
}

/// A guard with this configuration, for as long as the process lives.
fn start_guard(name: &str, config: &str) -> Result<SocketAddr, String> {
    let config = config::parse(name, config)
        .and_then(|config| config::with_addresses(config, Some(anywhere()), Some(anywhere())));
    let mut config = config.map_err(|problems| problems.render(Colour::Off))?;
    // Nobody can have written to an API that has just come into being.
    config.ledger.start_hold = Duration::ZERO;
    config.server.workers = 1;
    let bound = Bound::new(config, None, StopOn::Never).map_err(|reason| reason.to_string())?;
    let guard = bound.public().first().copied().ok_or("the proxy has no address")?;
    std::thread::spawn(move || bound.run());
    Ok(guard)
}

fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn tell(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| format!("the result could not be written out: {error}"))
}

/// A story in lines that a terminal shows whole.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 100;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}
