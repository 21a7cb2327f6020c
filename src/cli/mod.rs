//! The command line: flags to exit codes.
//!
//! 0: done. 2: the command line itself is wrong. 78 (`EX_CONFIG`): the configuration is wrong, and
//! nothing was started. 1: anything else.

pub mod check;
pub mod explain;
mod scenario;
pub mod schema;
mod start;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::checked::Config;
use crate::config::problem::Colour;
use crate::config::{self, Problems};

/// `sysexits.h`: something in the configuration is wrong.
const EX_CONFIG: u8 = 78;
/// What clap exits with too.
const USAGE: u8 = 2;

/// Conditional writes for HTTP APIs that never had them.
#[derive(Parser, Debug)]
#[command(name = "ifmatch", version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the proxy.
    Run(Run),
    /// Tell every mistake of a configuration file, without starting anything.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Tell what would become of a request, and why.
    Explain(explain::Question),
    /// Print the JSON Schema of the configuration file, for editors.
    Schema,
    /// Run a small legacy API with the proxy in front of it, and a storm of lost updates to try it on.
    Demo(Demo),
}

/// `ifmatch run`
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Run {
    #[command(flatten)]
    source: Source,
    /// Where requests are accepted, in place of the configuration's server.listen.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where health, metrics and conflicts are told, in place of the configuration's server.admin.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[group(required = true, multiple = false)]
struct Source {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// No file: one guarded route for every path, to this server.
    #[arg(long, value_name = "HOST:PORT")]
    upstream: Option<String>,
}

/// `ifmatch demo`
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Demo {
    /// Run the storm once and exit, instead of serving until stopped.
    #[arg(long)]
    pub once: bool,
    /// Clients of the storm.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub clients: u32,
    /// How often the clients together add one to the counter.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub increments: u32,
    /// In place of the storm, play a conflict as a story, without the guard and with it.
    #[arg(long, value_name = "NAME", value_parser = scenario::names(), conflicts_with_all = ["once", "clients", "increments"])]
    pub scenario: Option<String>,
    /// Serve the legacy API alone, at this address.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["once", "clients", "increments", "scenario"])]
    pub legacy_api: Option<SocketAddr>,
}

impl Run {
    /// Reads the configuration that the flags name. Also what a reload does: flags stay in force.
    ///
    /// # Errors
    /// Every mistake of it.
    pub fn read(&self) -> Result<Config, Problems> {
        match (&self.source.config, &self.source.upstream) {
            (Some(file), _) => config::with_addresses(config::load(file)?, self.listen, self.admin),
            (None, upstream) => {
                config::single_upstream(upstream.as_deref().unwrap_or_default(), self.listen, self.admin)
            }
        }
    }

    /// The file, if there is one that can be read again.
    pub fn file(&self) -> Option<&PathBuf> {
        self.source.config.as_ref()
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    match CommandLine::parse().command {
        Command::Run(run) => match run.read() {
            Ok(config) => start::run(run, config),
            Err(problems) => refuse(&problems),
        },
        Command::Check { file } => check::check(&file),
        Command::Explain(question) => explain::explain(&question),
        Command::Schema => schema::print(),
        Command::Demo(demo) => start::demo(&demo),
    }
}

/// Writes to standard output. A reader that has left, such as `head`, is no reason to panic.
fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Tells what is wrong with a configuration.
fn refuse(problems: &Problems) -> ExitCode {
    let plain = !std::io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    eprint!("{}", problems.render(if plain { Colour::Off } else { Colour::On }));
    let count = problems.count();
    eprintln!("ifmatch: {count} {} in the configuration", if count == 1 { "mistake" } else { "mistakes" });
    ExitCode::from(EX_CONFIG)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run(flags: &[&str]) -> Option<Run> {
        match CommandLine::try_parse_from(["ifmatch", "run"].iter().chain(flags)).ok()?.command {
            Command::Run(run) => Some(run),
            Command::Check { .. } | Command::Explain(_) | Command::Schema | Command::Demo(_) => None,
        }
    }

    #[test]
    fn the_definitions_are_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn run_takes_a_file_or_an_upstream() {
        assert!(run(&["--config", "a.toml"]).is_some());
        assert!(run(&[]).is_none());
        assert!(run(&["--config", "a.toml", "--upstream", "a:1"]).is_none());
        let run = run(&["--upstream", "a:1", "--listen", "127.0.0.1:0"]).expect("correct flags");
        assert!(run.read().is_ok() && run.file().is_none());
    }
}
