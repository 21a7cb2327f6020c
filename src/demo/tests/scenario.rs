//! A scenario tells good from bad: it cannot praise a guard that does nothing, nor an API that is careful.

use std::collections::BTreeSet;

use super::start_legacy_api;
use crate::demo::scenario::{ALL, Account, Left, Performance, Scenario, ScenarioError, named, table};

async fn unguarded(scenario: &Scenario) -> Performance {
    let (api, documents) = start_legacy_api().await;
    scenario.perform(api, api, documents).await.unwrap()
}

#[tokio::test]
async fn without_a_guard_every_scenario_does_harm_and_nobody_is_refused() {
    for scenario in ALL {
        let performance = unguarded(scenario).await;
        let name = scenario.name;
        let Left::Harmed(harm) = performance.left else { panic!("{name}: {}", performance.lines()) };
        assert!(!harm.contains("not what anybody meant"), "{name}: {harm}: {}", performance.lines());
        assert!(performance.refused.is_empty(), "{name}: {:?}", performance.refused);
        // Every answer was a good one: nobody was told.
        let answers = performance.told.lines().filter_map(|line| line.rsplit_once("-> "));
        let bad: Vec<_> = answers.filter(|(_, answer)| !answer.starts_with(['2', '('])).collect();
        assert!(bad.is_empty(), "{name}: {bad:?}");
        assert!(!performance.stored.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_scenario_is_played_alike_every_time() {
    for scenario in ALL {
        assert_eq!(unguarded(scenario).await, unguarded(scenario).await, "{}", scenario.name);
    }
}

#[tokio::test]
async fn a_guard_that_does_nothing_is_told_of_in_every_scenario() {
    for scenario in ALL {
        let account =
            Account { scenario, direct: unguarded(scenario).await, guarded: unguarded(scenario).await };
        let Left::Harmed(left) = account.guarded.left else { panic!("{}", scenario.name) };
        let error = ScenarioError::GuardLetItHappen { scenario: scenario.name, left };
        assert_eq!(account.verdict(), Err(error));
    }
}

fn good(scenario: &Scenario) -> Performance {
    Performance {
        told: String::new(),
        refused: scenario.refusals.iter().map(ToString::to_string).collect(),
        stored: Vec::new(),
        left: Left::Sound("well"),
    }
}

#[tokio::test]
async fn what_goes_well_without_a_guard_shows_nothing() {
    for scenario in ALL {
        let account = Account { scenario, direct: good(scenario), guarded: good(scenario) };
        assert_eq!(account.verdict(), Err(ScenarioError::ShowsNothing { scenario: scenario.name }));
    }
}

#[tokio::test]
async fn a_good_end_counts_only_with_the_refusals_that_the_scenario_promises() {
    for scenario in ALL {
        let account = |refused: &[&str]| {
            let refused = refused.iter().map(ToString::to_string).collect();
            let direct = Performance { left: Left::Harmed("lost"), ..good(scenario) };
            Account { scenario, direct, guarded: Performance { refused, ..good(scenario) } }
        };
        assert_eq!(account(scenario.refusals).verdict(), Ok(()));
        let too_many = [scenario.refusals, &["starting"]].concat();
        for otherwise in [&scenario.refusals[1..], &too_many] {
            let verdict = account(otherwise).verdict();
            assert!(matches!(verdict, Err(ScenarioError::RefusedOtherwise { .. })), "{verdict:?}");
        }
    }
}

#[test]
fn scenarios_have_names_of_their_own() {
    let names: BTreeSet<_> = ALL.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), ALL.len());
    assert!(names.iter().all(|name| named(name).is_some_and(|found| found.name == *name)));
    assert!(named("other").is_none() && !names.contains("all") && !names.contains("list"));
}

#[test]
fn the_table_has_a_line_for_each_scenario() {
    let account = |scenario: &'static Scenario| Account {
        scenario,
        direct: Performance { left: Left::Harmed("lost"), ..good(scenario) },
        guarded: good(scenario),
    };
    let scenario = named("outdated-versions").unwrap();
    let table = table(&[account(scenario)]);
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split("  ").filter(|part| !part.is_empty()).map(str::trim).collect())
        .collect();
    assert_eq!(
        lines,
        [
            vec!["scenario", "directly", "through ifmatch", "refused as"],
            vec!["outdated-versions", "lost", "well", "precondition-failed"],
        ]
    );
}
