//! The running server: sockets, pingora's services, signals, reload.

pub mod life;
pub mod reload;
pub mod sockets;
pub mod state_file;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin::Admin;
use crate::config::checked::{Config, Ledger};
use crate::ledger::memory::{LedgerLimits, MemoryLedger};
use crate::proxy::gateway::Gateway;
use crate::proxy::serve::Proxy;
use life::{Life, Signals, StopOn};
use reload::{Reload, Source};
use sockets::{OnSockets, Sockets};
use state_file::{NoStateFile, StateFile};

/// A server whose sockets are bound and that has not accepted anything yet.
pub struct Bound {
    gateway: Arc<Gateway>,
    public: Sockets,
    admin: Option<Sockets>,
    workers: usize,
    shutdown_delay: Duration,
    drain_timeout: Duration,
    source: Option<Source>,
    state_file: Option<StateFile>,
    heard: Heard,
}

/// The signals that the process hears, taken over before anybody can know that it is there: their
/// default action would end it, with a ledger that is not saved.
struct Heard {
    stop: Signals,
    hangup: Signal,
    /// Where they were registered; it runs nothing, for the runtimes to come hear them too.
    _registered_with: Option<Runtime>,
}

impl Heard {
    fn new(stop: StopOn) -> io::Result<Self> {
        let own = match Handle::try_current() {
            Ok(_) => None,
            Err(_) => Some(Builder::new_current_thread().enable_io().build()?),
        };
        let entered = own.as_ref().map(Runtime::enter);
        let hangup = signal(SignalKind::hangup())?;
        let stop = Signals::new(stop)?;
        drop(entered);
        Ok(Heard { stop, hangup, _registered_with: own })
    }
}

/// Why a server cannot start.
#[derive(Debug)]
pub enum CannotStart {
    /// An address cannot be listened on.
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        reason: io::Error,
    },
    /// The state file cannot be used.
    StateFile {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: NoStateFile,
    },
    /// Signals cannot be listened for.
    Signals(io::Error),
    /// A metric cannot be registered: a bug.
    Metrics(prometheus::Error),
}

impl std::fmt::Display for CannotStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CannotStart::Bind { address, reason } => {
                write!(
                    f,
                    "cannot listen on {address}: {reason}; stop whatever uses it, or choose another address"
                )
            }
            CannotStart::StateFile { file, reason } => {
                write!(f, "cannot use the ledger's state file {}: {reason}", file.display())
            }
            CannotStart::Signals(error) => write!(f, "cannot listen for signals: {error}"),
            CannotStart::Metrics(error) => {
                write!(f, "cannot register the metrics: {error}; this is a bug in ifmatch")
            }
        }
    }
}

impl std::error::Error for CannotStart {}

impl Bound {
    /// Binds the sockets of a configuration, which is read again when its source changes, and takes the
    /// ledger out of its state file. From now on the process goes by `stop`.
    ///
    /// # Errors
    /// If an address or a signal cannot be listened for, or the state file cannot be used. Nothing is left
    /// bound then.
    pub fn new(config: Config, source: Option<Source>, stop: StopOn) -> Result<Self, CannotStart> {
        let heard = Heard::new(stop).map_err(CannotStart::Signals)?;
        let server = config.server.clone();
        let unusable = |reason| CannotStart::StateFile {
            file: config.ledger.state_file.clone().unwrap_or_default(),
            reason,
        };
        let state_file =
            config.ledger.state_file.as_deref().map(StateFile::claim).transpose().map_err(unusable)?;
        let public = Sockets::bind(&server.listen)?;
        let admin = server.admin.map(|address| Sockets::bind(&[address])).transpose()?;
        // Only now, when nothing else can stop the start: the file is gone then.
        let ledger = ledger(&config.ledger, state_file.as_ref()).map_err(unusable)?;
        let gateway = Gateway::new(config, ledger).map_err(CannotStart::Metrics)?;
        Ok(Bound {
            gateway,
            public,
            admin,
            workers: server.workers,
            shutdown_delay: server.shutdown_delay,
            drain_timeout: server.drain_timeout,
            source,
            state_file,
            heard,
        })
    }

    /// Where requests are accepted, with the ports that the system chose.
    pub fn public(&self) -> &[SocketAddr] {
        self.public.addresses()
    }

    /// Where health and metrics are told.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|sockets| sockets.addresses().first().copied())
    }

    /// Serves until it is told to stop, and then until the requests in flight have ended or
    /// `drain_timeout` is over. The last act is to save the ledger (rule R11).
    ///
    /// # Errors
    /// If the ledger cannot be saved, which the log has told then.
    pub fn run(self) -> io::Result<()> {
        // Ours, not pingora's: its own shutdown always sleeps for its grace period in full.
        let (close, closing) = watch::channel(false);
        let mut server = Server::new_with_opt_and_conf(None, self.conf());
        server.bootstrap();
        let Heard { stop, hangup, _registered_with } = self.heard;
        server.add_service(OnSockets::new(
            "proxy",
            Proxy::new(self.gateway.clone()),
            self.public,
            closing.clone(),
            None,
        ));
        if let Some(sockets) = self.admin {
            // Answers to the very end, so that readiness can fail and the drain can be watched.
            let (keep, open) = watch::channel(false);
            let admin = OnSockets::new("admin", Admin::new(self.gateway.clone()), sockets, open, Some(keep));
            server.add_service(admin);
        }
        server.add_service(background_service(
            "upkeep",
            Reload::new(self.gateway.clone(), self.source, hangup),
        ));
        let ledger = self.gateway.ledger.clone();
        let life = Life {
            gateway: self.gateway,
            signals: Mutex::new(Some(stop)),
            close,
            shutdown_delay: self.shutdown_delay,
            drain_timeout: self.drain_timeout,
        };
        server.run(RunArgs { shutdown_signal: Box::new(life) });
        let Some(state_file) = self.state_file else { return Ok(()) };
        let saved = state_file.save(&ledger);
        if let Err(error) = &saved {
            tracing::error!(
                %error,
                "the ledger cannot be saved; at the next start it begins a new life: earlier tags are refused, \
                 and guarded writes wait first"
            );
        }
        // The lock ends with the process and not before: a thread that is still ending may be about to send
        // the last bytes of a write, and the next process counts the settle time from its own start.
        std::mem::forget(state_file);
        saved
    }

    fn conf(&self) -> ServerConf {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if self.workers == 0 { cores() } else { self.workers };
        ServerConf {
            threads,
            // A worker that steals takes up to 256 tasks in turn and the others hardly ever, as long as there is work:
            // of a thousand clients, some wait ten times as long. One alone has nobody to steal from.
            work_stealing: threads > 1,
            // What is to end in time has ended when pingora shuts its runtimes down.
            grace_period_seconds: Some(0),
            graceful_shutdown_timeout_seconds: Some(0),
            ..ServerConf::default()
        }
    }
}

/// The ledger that a process starts with.
fn ledger(config: &Ledger, state_file: Option<&StateFile>) -> Result<Arc<MemoryLedger>, NoStateFile> {
    let limits = LedgerLimits {
        max_resources: config.max_resources,
        settle: config.settle,
        start_hold: config.start_hold,
    };
    match state_file {
        Some(state_file) => state_file.take(limits),
        None => {
            tracing::info!(
                hold = ?limits.start_hold,
                "no state_file is configured; the ledger begins a new life: earlier tags are refused, and writes \
                 wait until those of an earlier life can no longer be applied"
            );
            Ok(MemoryLedger::new(limits))
        }
    }
}
