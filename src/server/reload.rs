//! Upkeep in the background: the configuration file is read again, stale things are forgotten, what was
//! occupied when the process before ended is settled.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::Signal;

use crate::config::Problems;
use crate::config::checked::Config;
use crate::proxy::gateway::Gateway;

/// Reads the configuration again on SIGHUP and when its text has changed.
///
/// The text is compared, once a second: that sees an edit in place, a rename over the file and the
/// swapped links of a Kubernetes ConfigMap alike, on every file system.
pub struct Reload {
    gateway: Arc<Gateway>,
    source: Option<Source>,
    /// The text that was looked at last, good or bad.
    seen: Mutex<Option<Vec<u8>>>,
    /// SIGHUP; taken when the upkeep begins.
    hangup: Mutex<Option<Signal>>,
}

/// Where the configuration comes from.
pub struct Source {
    /// The file that is looked at.
    pub file: PathBuf,
    /// Reads it, with whatever the command line puts in place of its keys.
    pub read: Box<dyn Fn() -> Result<Config, Problems> + Send + Sync>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    Signal,
    Look,
}

impl Reload {
    /// Upkeep for this gateway, which reads its source again at each `hangup`.
    pub fn new(gateway: Arc<Gateway>, source: Option<Source>, hangup: Signal) -> Self {
        let seen = source.as_ref().and_then(|source| std::fs::read(&source.file).ok());
        Reload { gateway, source, seen: Mutex::new(seen), hangup: Mutex::new(Some(hangup)) }
    }

    async fn look(&self, reason: Reason) {
        let Some(Source { file, read }) = &self.source else { return };
        let text = match tokio::fs::read(file).await {
            Ok(text) => text,
            // A file that is being replaced may be missing for a moment.
            Err(_) if reason == Reason::Look => return,
            Err(error) => {
                tracing::error!(file = %file.display(), %error, "cannot read the configuration; the old one stays");
                return self.gateway.told_of_reload(false);
            }
        };
        if reason == Reason::Look && self.seen.lock().as_ref() == Some(&text) {
            return;
        }
        *self.seen.lock() = Some(text);
        match read() {
            Ok(config) => {
                let fixed = self.gateway.needs_restart(&config);
                self.gateway.take(config);
                tracing::info!(file = %file.display(), "the configuration was read again and is in force");
                if !fixed.is_empty() {
                    tracing::warn!(keys = fixed.join(", "), "these changes take effect at the next start");
                }
            }
            Err(problems) => {
                self.gateway.told_of_reload(false);
                tracing::error!(file = %file.display(), problems = %problems, "the configuration is refused; the old one stays");
            }
        }
    }
}

#[async_trait]
impl BackgroundService for Reload {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::spawn(self.gateway.ledger.clone().settle_restored());
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        // pingora starts it once.
        let Some(mut hangup) = self.hangup.lock().take() else { return };
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    self.look(Reason::Look).await;
                    self.gateway.tidy();
                }
                _ = hangup.recv() => self.look(Reason::Signal).await,
                _ = shutdown.changed() => return,
            }
        }
    }
}
