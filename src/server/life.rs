//! How the process stops: readiness fails, the listeners close, requests in flight end, the ledger closes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::proxy::gateway::Gateway;

/// What stops the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOn {
    /// SIGTERM, SIGINT or SIGQUIT. A second one ends it at once.
    Signals,
    /// Nothing; the process ends it.
    Never,
}

/// The end of the process, as pingora waits for it.
///
/// SIGQUIT does not hand the sockets over to another process, as pingora's own would: two processes
/// with a ledger in memory each must never judge writes at the same time (rule R12).
pub struct Life {
    /// What is to end.
    pub gateway: Arc<Gateway>,
    /// What stops it; taken when pingora begins to wait.
    pub signals: Mutex<Option<Signals>>,
    /// Closes the listeners.
    pub close: watch::Sender<bool>,
    /// How long readiness fails before the listeners close.
    pub shutdown_delay: Duration,
    /// How long requests in flight may take to end.
    pub drain_timeout: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for Life {
    async fn recv(&self) -> ShutdownSignal {
        self.until_told().await;
        // R11: from here on nothing is judged, drawn or freed, whatever is still in flight. What the ledger
        // is now can be saved when the runtimes are gone.
        let _saved_later = self.gateway.ledger.close();
        ShutdownSignal::FastShutdown
    }
}

impl Life {
    async fn until_told(&self) {
        // pingora waits once.
        let Some(mut signals) = self.signals.lock().take() else { return };
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping: readiness fails from now on");
        tokio::select! {
            () = self.wind_down() => {}
            name = signals.next() => tracing::warn!(signal = name, "stopping at once"),
        }
    }

    async fn wind_down(&self) {
        self.gateway.stop();
        tokio::time::sleep(self.shutdown_delay).await;
        // Nobody is left to be told if the listeners are gone already.
        self.close.send_replace(true);
        tracing::info!("the listeners are closed; waiting for requests in flight");
        let drained = async {
            self.gateway.requests.none().await;
            // An answer whose body was taken whole may still wait for a slow reader.
            self.gateway.connections.none().await;
        };
        match tokio::time::timeout(self.drain_timeout, drained).await {
            Ok(()) => tracing::info!("every request in flight has ended"),
            Err(_) => tracing::warn!("drain_timeout is over; requests in flight are cut off"),
        }
    }
}

/// The signals that stop the server, heard from the moment on that this is made.
pub struct Signals(Option<[(&'static str, Signal); 3]>);

impl Signals {
    /// Takes them over from their default action. To be called within a runtime.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn new(stop: StopOn) -> std::io::Result<Self> {
        Ok(Signals(match stop {
            StopOn::Never => None,
            StopOn::Signals => Some([
                ("SIGTERM", signal(SignalKind::terminate())?),
                ("SIGINT", signal(SignalKind::interrupt())?),
                ("SIGQUIT", signal(SignalKind::quit())?),
            ]),
        }))
    }

    async fn next(&mut self) -> &'static str {
        let Some([(term, terminate), (int, interrupt), (quit, quitting)]) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => term,
            _ = interrupt.recv() => int,
            _ = quitting.recv() => quit,
        }
    }
}
