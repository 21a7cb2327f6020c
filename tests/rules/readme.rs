//! The README says what the program does: its tables are those of the code.

use ifmatch::config::keys::{Absent, Kind, Section, keys_of};
use ifmatch::report::names;

const README: &str = include_str!("../../README.md");

fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("the README has no {from}"));
    rest.split_once(to).unwrap_or_else(|| panic!("the README has no {to} after {from}")).0.trim()
}

fn key_table() -> String {
    let mut table = String::new();
    for section in Section::ALL.into_iter().filter(|section| *section != Section::Root) {
        table.push_str(&format!("| **`{section}`** | | |\n"));
        for doc in keys_of(section) {
            let absent = match doc.absent {
                Absent::Default(value) => format!("`{value}`"),
                Absent::Means(words) => words.to_owned(),
                Absent::Mistake => "required".to_owned(),
            };
            let choices = if let Kind::Choice { names, .. } = doc.kind {
                let names: Vec<String> = names.iter().map(|name| format!("`\"{name}\"`")).collect();
                format!("{}: ", names.join(", "))
            } else {
                String::new()
            };
            table.push_str(&format!(
                "| `{}` | {absent} | {choices}{} |\n",
                doc.key,
                doc.doc.replace('|', "\\|")
            ));
        }
    }
    table.trim().to_owned()
}

#[test]
fn the_table_of_keys_is_the_programs_own() {
    let expected = key_table();
    let found = between(README, "<!-- keys -->", "<!-- end of keys -->");
    let found = found.lines().skip(2).collect::<Vec<_>>().join("\n");
    assert_eq!(found, expected, "the README's table of keys; it should be:\n{expected}\n");
}

#[test]
fn the_example_of_a_file_is_correct() {
    let example = between(README, "```toml", "```");
    if let Err(problems) = ifmatch::config::parse("README.md", example) {
        panic!("{problems}");
    }
}

#[test]
fn the_table_of_metrics_names_every_metric_and_no_other() {
    let table = between(README, "<!-- metrics -->", "<!-- end of metrics -->");
    let mut named: Vec<&str> = table
        .lines()
        .filter_map(|row| row.strip_prefix("| `")?.split(['`', '{']).next())
        .filter(|name| name.starts_with("ifmatch_"))
        .collect();
    let mut all = names::ALL.to_vec();
    named.sort_unstable();
    all.sort_unstable();
    assert_eq!(named, all);
}

/// Whoever sees the label knows what to change.
#[test]
fn every_limit_that_is_counted_is_named_by_its_key() {
    for limit in names::LIMITS {
        let (section, key) = limit.split_once('.').expect("a section and a key");
        let section = match section {
            "limits" => Section::Limits,
            "upstreams" => Section::Upstreams,
            "routes" => Section::Routes,
            other => panic!("no section {other}"),
        };
        assert!(keys_of(section).any(|doc| doc.key == key), "{limit} is no key");
    }
    let counted = |key: &str| names::LIMITS.contains(&format!("limits.{key}").as_str());
    let uncounted: Vec<_> = keys_of(Section::Limits).map(|doc| doc.key).filter(|key| !counted(key)).collect();
    assert!(uncounted.is_empty(), "{uncounted:?} are limits that nobody counts");
}

#[test]
fn the_table_of_refusals_names_every_kind_with_its_status() {
    use ifmatch::decide::policy::StatusMapping;
    use ifmatch::decide::verdict::RefusalKind;
    let table = between(README, "<!-- refusals -->", "<!-- end of refusals -->");
    for kind in RefusalKind::ALL {
        let status = kind.status(StatusMapping::default()).as_u16().to_string();
        let row = table.lines().find(|row| row.starts_with(&format!("| `{}` |", kind.name())));
        let row = row.unwrap_or_else(|| panic!("the README has no row for {}", kind.name()));
        assert!(row.contains(&status), "the row of {} does not say {status}: {row}", kind.name());
    }
}
