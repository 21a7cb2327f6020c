//! `ifmatch check FILE`

use std::path::Path;
use std::process::ExitCode;

use crate::config;

/// Tells every mistake of a file on standard error, or that there is none on standard output.
pub fn check(file: &Path) -> ExitCode {
    match config::load(file) {
        Ok(config) => {
            let routes = counted(config.routes.iter().count(), "route");
            let upstreams = counted(config.upstreams.len(), "upstream");
            super::print(&format!("{}: ok, {routes}, {upstreams}\n", file.display()))
        }
        Err(problems) => super::refuse(&problems),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
