//! `ifmatch demo --scenario`: every conflict is there without the guard and gone with it.

use std::process::{Command, Output};

use ifmatch::decide::verdict::RefusalKind;
use ifmatch::demo::scenario;

use crate::harness::binary;

fn demo(scenario: &str) -> Output {
    let mut command = Command::new(binary());
    command.args(["demo", "--scenario", scenario]).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Plays a scenario, which has to end well; the line of the table about it has to say that it did.
fn play(name: &str) {
    let scenario = scenario::named(name).expect("a scenario");
    let output = demo(name);
    let (told, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && errors.is_empty(), "{}\n{told}\n{errors}", output.status);
    for line in scenario.routes.lines().filter(|line| !line.is_empty()) {
        assert!(told.contains(&format!("\n    {line}\n")), "the configuration is shown: {line}\n{told}");
    }
    let row = told.lines().last().expect("a table");
    let mut kinds = scenario.refusals.to_vec();
    kinds.dedup();
    assert!(row.trim_start().starts_with(name) && row.ends_with(&kinds.join(", ")), "{told}");
}

#[test]
fn simultaneous_edits() {
    play("simultaneous-edits");
}

#[test]
fn duplicate_creation() {
    play("duplicate-creation");
}

#[test]
fn outdated_versions() {
    play("outdated-versions");
}

#[test]
fn names_in_use() {
    play("names-in-use");
}

#[test]
fn unique_values() {
    play("unique-values");
}

#[test]
fn state_moves() {
    play("state-moves");
}

#[test]
fn out_of_step_devices() {
    play("out-of-step-devices");
}

#[test]
fn all_of_them_together_give_the_table_in_the_readme() {
    const README: &str = include_str!("../../README.md");
    let (_, shown) = README.split_once("<!-- scenarios -->\n").expect("the README shows the table");
    let (shown, _) = shown.split_once("<!-- end of scenarios -->").expect("the table ends");
    let shown: Vec<_> = shown.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    let output = demo("all");
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", text(&output.stderr));
    let table: Vec<_> = told.lines().skip_while(|line| !line.starts_with("  scenario ")).collect();
    assert_eq!(shown, table, "{told}");
    for scenario in scenario::ALL {
        assert!(told.contains(&format!("\n== {}\n", scenario.name)), "{told}");
    }
}

#[test]
fn the_list_and_a_mistake_tell_every_name() {
    let (list, mistake) = (demo("list"), demo("nothing-like-it"));
    assert!(list.status.success());
    assert_eq!(mistake.status.code(), Some(2));
    let (list, mistake) = (text(&list.stdout), text(&mistake.stderr));
    for scenario in scenario::ALL {
        assert!(list.contains(scenario.name) && list.contains(scenario.summary), "{list}");
        assert!(mistake.contains(scenario.name), "{mistake}");
    }
    assert_eq!(list.lines().count(), scenario::ALL.len(), "{list}");
}

#[test]
fn scenarios_promise_refusals_that_there_are() {
    for scenario in scenario::ALL {
        for promised in scenario.refusals {
            let known = RefusalKind::ALL.iter().any(|kind| kind.name() == *promised);
            assert!(known, "{}: no refusal is of the kind {promised}", scenario.name);
        }
    }
}
