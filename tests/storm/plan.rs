//! What a storm is told to do.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// How long the proxy takes a write of unknown outcome to be possible still. Short, so that a storm sees
/// many; long beside what a loaded machine may let a thread wait.
pub const SETTLE: Duration = Duration::from_secs(1);
/// The origin's side of that assumption: it applies nothing later than this after it had the request. The
/// rest of [`SETTLE`] is for a machine that is busy with something else.
pub const APPLIES_WITHIN: Duration = Duration::from_millis(400);
/// What was applied later than this, or by a process that stood still for as long, is outside of the
/// assumption: it is told and counted, and proves nothing.
pub const OUTSIDE_AFTER: Duration = Duration::from_millis(700);
/// How long the proxy waits for an answer's head. Shorter than [`APPLIES_WITHIN`], so that a write can be
/// applied after it was given up.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(300);
/// How long a proxy that is told to stop lets requests end; slow clients are cut off by it.
pub const DRAIN: Duration = Duration::from_secs(2);

/// The real proxy between a real origin process and honest clients, while everything else goes wrong.
#[derive(Parser, Debug, Clone)]
pub struct Plan {
    #[command(subcommand)]
    pub role: Option<Role>,
    /// How long the storm blows (with `--faults kill`: until the last kill).
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// How many clients, each with a thread and a connection of its own.
    #[arg(long, default_value_t = 24)]
    pub clients: u32,
    /// How many resources they meet on.
    #[arg(long, default_value_t = 32)]
    pub resources: u32,
    /// What every fault is drawn from. The threads' timing is not replayed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// off: the routes have mode = "off", and the storm fails if nothing is lost.
    #[arg(long, value_enum, default_value_t = Guard::On)]
    pub guard: Guard,
    #[arg(long, value_enum, default_value_t = Faults::All)]
    pub faults: Faults,
    /// With `--faults kill`: how often the proxy is killed.
    #[arg(long, default_value_t = 200)]
    pub kills: u32,
    /// `ledger.max_resources`; otherwise each life of the proxy draws one.
    #[arg(long)]
    pub max_resources: Option<u32>,
    /// Reloads change how resources are named, too.
    #[arg(long)]
    pub rename: bool,
    /// The proxy's binary; otherwise the `ifmatch` beside this program's folder.
    #[arg(long)]
    pub proxy: Option<PathBuf>,
    /// Keep the logs of origin and clients also if nothing was found.
    #[arg(long)]
    pub keep: bool,
}

#[derive(Subcommand, Debug, Clone)]
pub enum Role {
    /// One life of the origin; started by the storm.
    #[command(hide = true)]
    Origin(OriginPlan),
}

/// What one life of the origin is told.
#[derive(clap::Args, Debug, Clone)]
pub struct OriginPlan {
    #[arg(long)]
    pub port: u16,
    #[arg(long)]
    pub folder: PathBuf,
    #[arg(long)]
    pub life: u32,
    #[arg(long)]
    pub seed: u64,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    On,
    Off,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// Every kind.
    All,
    /// One life of the proxy, whose memory and descriptors are watched.
    NoRestarts,
    /// The proxy is killed again and again.
    Kill,
}
