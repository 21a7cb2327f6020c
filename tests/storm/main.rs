//! The storm: the real proxy between a real origin process and honest clients, while everything else goes
//! wrong; and a checker that then proves that no update was lost. `README.md` beside this file says what it
//! does and what it has found.
//!
//! ```text
//! cargo run --example storm -- --seconds 60
//! ```

// A program for tests alone: nothing here is an interface.
#![allow(missing_docs, unreachable_pub)]

mod account;
mod check;
mod client;
mod config;
mod event;
mod keeper;
mod message;
mod metrics;
mod origin;
mod plan;
mod processes;
mod record;
mod report;
mod run;
mod watch;
mod weather;

use std::process::ExitCode;

use clap::Parser as _;

use self::plan::{Plan, Role};

fn main() -> ExitCode {
    let plan = Plan::parse();
    let ended = match &plan.role {
        Some(Role::Origin(origin)) => origin::serve(origin).map(|()| true),
        None => run::storm(&plan),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("storm: {error}");
            ExitCode::from(2)
        }
    }
}
