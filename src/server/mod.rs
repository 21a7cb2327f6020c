//! The running server: sockets, pingora's services, signals, reload.

pub mod life;
pub mod reload;
pub mod sockets;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use tokio::sync::watch;

use crate::admin::Admin;
use crate::config::checked::Config;
use crate::proxy::gateway::Gateway;
use crate::proxy::serve::Proxy;
use life::{Life, StopOn};
use reload::{Reload, Source};
use sockets::{OnSockets, Sockets};

/// A server whose sockets are bound and that has not accepted anything yet.
pub struct Bound {
    gateway: Arc<Gateway>,
    public: Sockets,
    admin: Option<Sockets>,
    workers: usize,
    shutdown_delay: Duration,
    drain_timeout: Duration,
    source: Option<Source>,
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
            CannotStart::Metrics(error) => {
                write!(f, "cannot register the metrics: {error}; this is a bug in ifmatch")
            }
        }
    }
}

impl std::error::Error for CannotStart {}

impl Bound {
    /// Binds the sockets of a configuration, which is read again when its source changes.
    ///
    /// # Errors
    /// If an address cannot be listened on. Nothing is left bound then.
    pub fn new(config: Config, source: Option<Source>) -> Result<Self, CannotStart> {
        let server = config.server.clone();
        let public = Sockets::bind(&server.listen)?;
        let admin = server.admin.map(|address| Sockets::bind(&[address])).transpose()?;
        let gateway = Gateway::new(config).map_err(CannotStart::Metrics)?;
        Ok(Bound {
            gateway,
            public,
            admin,
            workers: server.workers,
            shutdown_delay: server.shutdown_delay,
            drain_timeout: server.drain_timeout,
            source,
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

    /// Serves until `stop` says otherwise, and then until the requests in flight have ended or
    /// `drain_timeout` is over.
    pub fn run(self, stop: StopOn) {
        // Ours, not pingora's: its own shutdown always sleeps for its grace period in full.
        let (close, closing) = watch::channel(false);
        let mut server = Server::new_with_opt_and_conf(None, self.conf());
        server.bootstrap();
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
        server.add_service(background_service("upkeep", Reload::new(self.gateway.clone(), self.source)));
        let life = Life {
            gateway: self.gateway,
            stop,
            close,
            shutdown_delay: self.shutdown_delay,
            drain_timeout: self.drain_timeout,
        };
        server.run(RunArgs { shutdown_signal: Box::new(life) });
    }

    fn conf(&self) -> ServerConf {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        ServerConf {
            threads: if self.workers == 0 { cores() } else { self.workers },
            // What is to end in time has ended when pingora shuts its runtimes down.
            grace_period_seconds: Some(0),
            graceful_shutdown_timeout_seconds: Some(0),
            ..ServerConf::default()
        }
    }
}
