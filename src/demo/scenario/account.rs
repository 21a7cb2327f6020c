//! What a scenario shows: both performances side by side, and whether they prove anything.

use std::fmt::{self, Write};

use serde_json::Value;

use super::Scenario;

/// What the API stores when everybody has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// As everybody meant it; how, in a few words.
    Sound(&'static str),
    /// Something is lost or there twice, and whoever did it heard that all went well; what, in a few words.
    Harmed(&'static str),
}

impl Left {
    fn words(&self) -> &'static str {
        match self {
            Left::Sound(words) | Left::Harmed(words) => words,
        }
    }

    /// A sentence for what is left of a run without a guard, where every answer was a good one.
    pub fn without_a_guard(&self) -> String {
        match self {
            Left::Sound(words) => format!("{words}."),
            Left::Harmed(words) => format!("{words}, and nobody was told."),
        }
    }
}

/// A scenario that was played once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performance {
    /// Every request and answer, a line each.
    pub told: String,
    /// The kinds of the refusals that the clients were told of, one after the other.
    pub refused: Vec<String>,
    /// What the API stores in the end: paths, and what is there.
    pub stored: Vec<(String, Value)>,
    /// Whether that is as everybody meant it.
    pub left: Left,
}

impl Performance {
    /// All of it in lines, but for what it shows.
    pub fn lines(&self) -> String {
        let mut lines = self.told.clone();
        for (path, document) in &self.stored {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "  {:<8} {path} {document}", "stored:");
        }
        lines
    }
}

/// A scenario that was played without the guard and with it.
pub struct Account {
    /// Which.
    pub scenario: &'static Scenario,
    /// Straight to the API.
    pub direct: Performance,
    /// Through the guard.
    pub guarded: Performance,
}

/// Why a scenario shows nothing, or something bad.
#[derive(Debug, PartialEq, Eq)]
pub enum ScenarioError {
    /// It could not be played to its end.
    Broken {
        /// Which.
        scenario: &'static str,
        /// What was told until then.
        told: String,
        /// What happened.
        why: String,
    },
    /// Straight to the API nothing went wrong, so that the guard had nothing to prevent.
    ShowsNothing {
        /// Which.
        scenario: &'static str,
    },
    /// The guard let it happen.
    GuardLetItHappen {
        /// Which.
        scenario: &'static str,
        /// What is left in the API.
        left: &'static str,
    },
    /// All ended well behind the guard, but not as the scenario says that it would.
    RefusedOtherwise {
        /// Which.
        scenario: &'static str,
        /// What the clients were refused as.
        met: String,
        /// What they should have been refused as.
        expected: String,
    },
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScenarioError::Broken { scenario, why, .. } => {
                write!(f, "{scenario} cannot be played to its end: {why}")
            }
            ScenarioError::ShowsNothing { scenario } => {
                write!(f, "{scenario} shows nothing: without the guard all went well too")
            }
            ScenarioError::GuardLetItHappen { scenario, left } => {
                write!(f, "{scenario}: the guard let it happen: {left}")
            }
            ScenarioError::RefusedOtherwise { scenario, met, expected } => {
                write!(f, "{scenario}: the guard refused as {met}; expected {expected}")
            }
        }
    }
}

impl std::error::Error for ScenarioError {}

impl Account {
    /// Whether the scenario shows what it is there to show.
    ///
    /// # Errors
    /// If nothing went wrong without the guard, or something did with it.
    pub fn verdict(&self) -> Result<(), ScenarioError> {
        let scenario = self.scenario.name;
        if let Left::Sound(_) = self.direct.left {
            return Err(ScenarioError::ShowsNothing { scenario });
        }
        if let Left::Harmed(left) = self.guarded.left {
            return Err(ScenarioError::GuardLetItHappen { scenario, left });
        }
        let (met, expected) = (self.met(), self.scenario.refusals);
        if met == expected {
            return Ok(());
        }
        Err(ScenarioError::RefusedOtherwise { scenario, met: listed(&met), expected: listed(expected) })
    }

    fn met(&self) -> Vec<&str> {
        self.guarded.refused.iter().map(String::as_str).collect()
    }

    /// A sentence for what the guard has made of it.
    pub fn conclusion(&self) -> String {
        match self.verdict() {
            Ok(()) => format!("{}: {}.", self.guarded.left.words(), self.scenario.remedy),
            Err(error) => format!("{error}."),
        }
    }
}

/// All accounts as a table.
pub fn table(accounts: &[Account]) -> String {
    let head = ["scenario", "directly", "through ifmatch", "refused as"].map(str::to_owned);
    let rows = accounts.iter().map(|account| {
        let mut met = account.met();
        met.dedup();
        [
            account.scenario.name.to_owned(),
            account.direct.left.words().to_owned(),
            account.guarded.left.words().to_owned(),
            listed(&met),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |of: fn(&[String; 4]) -> &String| {
        rows.iter().map(|row| of(row).chars().count()).max().unwrap_or_default()
    };
    let widths =
        [width(|[name, ..]| name), width(|[_, direct, ..]| direct), width(|[_, _, guarded, _]| guarded)];
    let [first, second, third] = widths;
    let lines = rows.iter().map(|[name, direct, guarded, refused]| {
        format!("  {name:<first$}  {direct:<second$}  {guarded:<third$}  {refused}\n")
    });
    lines.collect()
}

fn listed(kinds: &[&str]) -> String {
    if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") }
}
