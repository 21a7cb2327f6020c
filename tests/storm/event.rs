//! What can happen to a process.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::plan::Faults;

#[derive(Clone, Copy, Debug)]
pub enum Event {
    OriginKilled,
    OriginFrozen,
    ProxyKilled,
    ProxyStopped,
    ProxyStoppedAndKilled,
    ProxyFrozen,
    Reload,
    BadReload,
}

impl Event {
    /// For the account.
    pub fn name(self) -> &'static str {
        match self {
            Event::OriginKilled => "origin: kill -9, restarted",
            Event::OriginFrozen => "origin: stands still for a moment",
            Event::ProxyKilled => "proxy: kill -9, restarted",
            Event::ProxyStopped => "proxy: SIGTERM under load, restarted",
            Event::ProxyStoppedAndKilled => "proxy: SIGTERM, kill -9 on the way, restarted",
            Event::ProxyFrozen => "proxy: stands still",
            Event::Reload => "proxy: reload",
            Event::BadReload => "proxy: reload of a text with a mistake",
        }
    }

    pub fn draw(faults: Faults, chance: &mut StdRng) -> Self {
        let choice: &[Event] = match faults {
            Faults::All => &[
                Event::OriginKilled,
                Event::OriginKilled,
                Event::OriginFrozen,
                Event::ProxyKilled,
                Event::ProxyStopped,
                Event::ProxyStopped,
                Event::ProxyStoppedAndKilled,
                Event::ProxyFrozen,
                Event::Reload,
                Event::Reload,
                Event::BadReload,
            ],
            Faults::NoRestarts => &[
                Event::OriginKilled,
                Event::OriginFrozen,
                Event::ProxyFrozen,
                Event::Reload,
                Event::BadReload,
            ],
            Faults::Kill => &[Event::ProxyKilled],
        };
        *choice.choose(chance).unwrap_or(&Event::Reload)
    }
}
