//! Seven conflicts, each as a little story that is played for real over HTTP: straight to the legacy
//! API, and through the guard with the routes that the scenario shows.
//!
//! The same script runs both times. What decides whether something went wrong is the API's store
//! afterwards, never what anybody was answered. Nothing is left to chance: where two requests have to
//! meet, the API holds one of them until the other is answered.

mod account;
mod duplicate_creation;
mod names_in_use;
mod out_of_step_devices;
mod outdated_versions;
mod simultaneous_edits;
mod stage;
mod state_moves;
mod unique_values;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use account::{Account, Left, Performance, ScenarioError, table};
use stage::{Broken, Stage};

use super::legacy_api::Documents;

/// A scenario takes milliseconds; this only ends one that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every scenario, in the order in which `all` plays them.
pub const ALL: [&Scenario; 7] = [
    &simultaneous_edits::SCENARIO,
    &duplicate_creation::SCENARIO,
    &outdated_versions::SCENARIO,
    &names_in_use::SCENARIO,
    &unique_values::SCENARIO,
    &state_moves::SCENARIO,
    &out_of_step_devices::SCENARIO,
];

/// One kind of conflict, as a story.
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, in one line.
    pub summary: &'static str,
    /// Who does what, and why the API cannot help.
    pub story: &'static str,
    /// The routes that guard against it, as they stand in a configuration file; their upstream is `shop`.
    pub routes: &'static str,
    /// The kinds of the refusals that the guard answers with, in their order: these and no others.
    pub refusals: &'static [&'static str],
    /// How it comes to a good end behind the guard.
    pub remedy: &'static str,
    /// What the API stores before anybody comes.
    begin: fn(&Documents),
    /// What everybody does.
    play: for<'a> fn(&'a mut Stage) -> Play<'a>,
    /// What the API stores in the end, and whether that is as everybody meant it.
    left: fn(&Documents) -> Left,
}

type Play<'a> = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send + 'a>>;

/// The scenario of this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.into_iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// A whole configuration that guards an API at this address, as the scenario shows it.
    pub fn config(&self, api: SocketAddr) -> String {
        format!("[upstreams.shop]\nservers = [\"{api}\"]\n\n{}", self.routes)
    }

    /// Plays the scenario once: clients send to `target`, which is the API itself or a guard in front of
    /// it. `documents` is what the API at `api` stores, and nobody else has used it.
    ///
    /// # Errors
    /// If it cannot be played to its end; what was told until then is in it.
    pub async fn perform(
        &self,
        target: SocketAddr,
        api: SocketAddr,
        documents: Arc<Documents>,
    ) -> Result<Performance, ScenarioError> {
        (self.begin)(&documents);
        let mut stage = Stage::new(target, api, documents.clone());
        let played = match tokio::time::timeout(PATIENCE, (self.play)(&mut stage)).await {
            Ok(played) => played,
            Err(_) => Err(Broken(format!("it did not end within {PATIENCE:?}"))),
        };
        let (told, refused) = stage.into_account();
        match played {
            Ok(()) => {
                Ok(Performance { told, refused, stored: documents.all(), left: (self.left)(&documents) })
            }
            Err(Broken(why)) => Err(ScenarioError::Broken { scenario: self.name, told, why }),
        }
    }
}
