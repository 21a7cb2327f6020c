//! `run` and `demo`: where the program goes on once the command line is understood.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::{Demo, Run, refuse, scenario};
use crate::config;
use crate::config::checked::Config;
use crate::demo::{self, DemoOptions, legacy_api};
use crate::server::Bound;
use crate::server::life::StopOn;
use crate::server::reload::Source;

/// Serves until the process is told to stop.
pub(super) fn run(run: Run, config: Config) -> ExitCode {
    log_to_stderr("info,pingora_core=warn");
    let source = run.file().cloned().map(|file| Source { file, read: Box::new(move || run.read()) });
    let bound = match Bound::new(config, source, StopOn::Signals) {
        Ok(bound) => bound,
        Err(reason) => return failed(&reason),
    };
    let public: Vec<String> = bound.public().iter().map(ToString::to_string).collect();
    let admin = bound.admin().map(|address| address.to_string()).unwrap_or_default();
    tracing::info!(public = public.join(","), admin, version = env!("CARGO_PKG_VERSION"), "listening");
    match bound.run() {
        Ok(()) => ExitCode::SUCCESS,
        // The log has told.
        Err(_) => ExitCode::FAILURE,
    }
}

/// The demonstration: a legacy API, the proxy in front of it, and a storm without and with the guard.
pub(super) fn demo(demo: &Demo) -> ExitCode {
    // The tables are the demonstration; conflicts by the thousand would hide them.
    log_to_stderr("error");
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match (demo.legacy_api, &demo.scenario) {
        (Some(address), _) => runtime.block_on(serve_legacy_api(address)),
        (None, Some(name)) => runtime.block_on(scenario::show(name)),
        (None, None) => runtime.block_on(show(demo)),
    }
}

async fn serve_legacy_api(address: SocketAddr) -> ExitCode {
    match legacy_api::bind(address).await {
        Ok(api) => {
            eprintln!("the legacy API listens on http://{}", api.address());
            tokio::select! {
                () = api.serve() => ExitCode::FAILURE,
                () = told_to_stop() => ExitCode::SUCCESS,
            }
        }
        Err(error) => failed(&format_args!("cannot listen on {address}: {error}")),
    }
}

async fn show(demo: &Demo) -> ExitCode {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let api = match legacy_api::bind(anywhere).await {
        Ok(api) => api,
        Err(error) => return failed(&format_args!("cannot start the legacy API: {error}")),
    };
    let (direct, documents) = (api.address(), api.documents());
    let mut config = match config::single_upstream(&direct.to_string(), Some(anywhere), Some(anywhere)) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    // Nobody can have written to an API that has just come into being.
    config.ledger.start_hold = Duration::ZERO;
    let bound = match Bound::new(config, None, StopOn::Never) {
        Ok(bound) => bound,
        Err(reason) => return failed(&reason),
    };
    let (Some(guard), Some(admin)) = (bound.public().first().copied(), bound.admin()) else {
        return failed(&"the proxy has no address");
    };
    tokio::spawn(api.serve());
    std::thread::spawn(move || bound.run());
    let options =
        DemoOptions { once: demo.once, clients: demo.clients as usize, increments: demo.increments.into() };
    if let Err(error) = demo::show(direct, guard, admin, &documents, options).await {
        return failed(&error);
    }
    if !demo.once {
        eprintln!("\nBoth stay up; Ctrl-C ends them.");
        told_to_stop().await;
    }
    ExitCode::SUCCESS
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        // Without handlers the signals end the process by themselves.
        (Err(_), _) | (_, Err(_)) => std::future::pending().await,
    }
}

/// One JSON object a line on standard error; `IFMATCH_LOG` takes the place of the default filter.
fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_env("IFMATCH_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Fails only where a subscriber is set already, which then is what was wanted.
    drop(subscriber.try_init());
}

pub(super) fn failed(reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("ifmatch: {reason}");
    ExitCode::FAILURE
}
