//! Configurations: what is told of their mistakes, word for word, and what is none.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests, outside of any #[test]")]

use std::fmt::Write;
use std::path::PathBuf;

use ifmatch::config::keys::Absent;
use ifmatch::config::{keys, load, parse};

/// The cases, to be read as a text: they are what an operator sees.
const CASES: &str = include_str!("bad_configs.txt");

/// One case of [`CASES`].
#[derive(Default)]
struct Case<'c> {
    section: &'c str,
    text: Vec<&'c str>,
    told: Vec<&'c str>,
}

fn cases() -> Vec<Case<'static>> {
    let mut cases: Vec<Case<'static>> = Vec::new();
    for line in CASES.lines().skip_while(|line| !line.is_empty()) {
        match (line.split_once(' '), cases.last_mut()) {
            _ if line.is_empty() => {}
            _ if line.ends_with(':') && !line.contains(' ') => {
                cases.push(Case { section: line.trim_end_matches(':'), ..Case::default() });
            }
            (Some(("<", text)), Some(case)) => case.text.push(text),
            (None, Some(case)) if line == "<" => case.text.push(""),
            (Some((">", told)), Some(case)) => case.told.push(told),
            (_, _) => panic!("neither a section nor a line of a case: {line}"),
        }
    }
    cases
}

const UPSTREAM: &[&str] = &["[upstreams.u]", "servers = [\"a:1\"]"];
const ROUTE: &[&str] = &["[[routes]]", "name = \"r\"", "path = \"/o/{id}\"", "upstream = \"u\""];

/// The case's lines within a file that is correct but for them.
fn file(case: &Case<'_>) -> String {
    let text = case.text.as_slice();
    let stated = |line: &&&str| {
        let key = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        !text.iter().any(|t| key(t) == key(line))
    };
    let lines: Vec<&str> = match case.section {
        "server" => [&["[server]"][..], text, UPSTREAM, ROUTE].concat(),
        "limits" => [&["[limits]"][..], text, UPSTREAM, ROUTE].concat(),
        "ledger" => [&["[ledger]"][..], text, UPSTREAM, ROUTE].concat(),
        "upstream" => [UPSTREAM, ROUTE, &["[upstreams.v]"], text].concat(),
        "route" => {
            let others: Vec<&str> = ROUTE.iter().skip(1).filter(stated).copied().collect();
            [UPSTREAM, &["[[routes]]"], text, &others].concat()
        }
        "whole" => text.to_vec(),
        other => panic!("no section is called {other}"),
    };
    lines.join("\n") + "\n"
}

#[test]
fn every_bad_configuration_is_told_word_for_word() {
    let mut wrong = String::new();
    let cases = cases();
    for case in &cases {
        let file = file(case);
        let told: Vec<String> = parse("f", &file).err().iter().flat_map(|p| p.lines()).collect();
        if told != case.told || told.is_empty() {
            let (told, expected) = (told.join("\n  "), case.told.join("\n  "));
            writeln!(wrong, "{file}\ntold\n  {told}\nexpected\n  {expected}\n").expect("a string");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(cases.len() >= 100, "{} cases", cases.len());
}

#[test]
fn the_files_around_the_cases_are_correct() {
    for section in ["server", "limits", "ledger", "route"] {
        let case = Case { section, ..Case::default() };
        assert!(parse("f", &file(&case)).is_ok(), "{section}");
    }
    let case = Case { section: "upstream", text: vec!["servers = [\"b:1\"]"], ..Case::default() };
    assert!(parse("f", &file(&case)).is_ok());
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    // One line of every case that is about one section of a file, all of them in one file.
    let of = |section: &str| -> Vec<Case<'static>> {
        let mut keys_seen = Vec::new();
        let key = |case: &Case<'_>| case.text[0].split(' ').next().unwrap_or_default().to_owned();
        cases()
            .into_iter()
            .filter(|case| case.section == section && case.text.len() == 1)
            // It takes a correct `listen` beside it.
            .filter(|case| key(case) != "admin")
            // A file can hold each key once.
            .filter(|case| {
                let new = !keys_seen.contains(&key(case));
                keys_seen.push(key(case));
                new
            })
            .collect()
    };
    let mut file = UPSTREAM.join("\n") + "\n";
    let mut expected = 0;
    for section in ["server", "limits", "ledger"] {
        writeln!(file, "[{section}]").expect("a string");
        for case in of(section) {
            writeln!(file, "{}", case.text[0]).expect("a string");
            expected += case.told.len();
        }
    }
    for case in of("route") {
        let at = file.lines().count();
        file.push_str(&self::file(&case).lines().skip(2).collect::<Vec<_>>().join("\n"));
        file.push('\n');
        // Names and paths that are not what the case is about would clash with those of the others.
        file = file.replace("name = \"r\"", &format!("name = \"r{at}\""));
        file = file.replace("path = \"/o/{id}\"", &format!("path = \"/o{at}/{{id}}\""));
        expected += case.told.len();
    }
    let problems = parse("f", &file).err().expect("nothing but mistakes");
    assert!(expected >= 40, "{expected} mistakes in one file");
    assert_eq!(problems.count(), expected, "{problems}");
}

/// Section 7 of the design, word for word.
const DESIGN: &str = r#"
[server]
listen = ["0.0.0.0:8080"]
admin = "127.0.0.1:9090"         # health, metrics, conflicts: never on the public listener
workers = 0                      # 0: one per core

[ledger]
store = "memory"                 # "memory", "redis", "etcd"
max_resources = 1_000_000
state_file = "/var/lib/ifmatch/ledger"   # versions survive a clean restart
settle = "5s"                    # how long a write of unknown outcome may still be applied

[upstreams.orders]
servers = ["10.0.0.5:3000"]
connect_timeout = "1s"
response_timeout = "30s"

[[routes]]
name = "order"                   # the metrics label
hosts = ["api.example.com"]      # optional
path = "/orders/{id}"            # {name}: one segment; {*rest}: the rest
upstream = "orders"
resource = "order:{id}"          # default: the canonical path
mode = "enforce"                 # "enforce", "observe" (let through, count what would be refused), "off"
validator = "version"            # "version", "content", "origin"
unconditional = "require"        # "require", "infer", "overlap", "allow"
overlap = "refuse"               # "refuse", "wait"
guard = ["PUT", "PATCH", "DELETE"]
reads = ["GET", "HEAD"]
principal = { header = "Authorization" }  # or { cookie = "session" }: who a client is, for "infer" and Idempotency-Key
when_unknown = "require"         # "infer" and nothing known of this principal's reading: "require", "overlap", "allow"
also_changes = ["orders"]        # further resources that a write to this route changes
read_lag = "0s"                  # how far the origin's reads may lag behind its writes
etag_on_put = "always"           # "always", "verified" (only when a read-back equals what was sent), "never"
"#;

#[test]
fn the_sample_of_the_design_is_a_correct_file() {
    if let Err(problems) = parse("design.toml", DESIGN) {
        panic!("{problems}");
    }
}

#[test]
fn every_key_of_the_design_is_in_the_table_of_keys() {
    for line in DESIGN.lines().filter(|line| !line.starts_with('[') && line.contains('=')) {
        let key = line.split(' ').next().unwrap_or_default();
        assert!(keys().any(|doc| doc.key == key), "{key}");
    }
}

fn examples() -> impl Iterator<Item = PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    std::fs::read_dir(folder).expect("the folder of examples").map(|entry| entry.expect("an entry").path())
}

#[test]
fn every_example_is_a_correct_file() {
    let mut seen = 0;
    for path in examples() {
        if let Err(problems) = load(&path) {
            panic!("{problems}");
        }
        seen += 1;
    }
    assert!(seen >= 6, "{seen} examples");
}

#[test]
fn the_reference_shows_every_key_and_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/ifmatch.toml");
    let reference = std::fs::read_to_string(path).expect("the reference");
    // What the reference has to give a value of its own, because without one it would show nothing.
    let shown_otherwise = ["also_changes"];
    for doc in keys().filter(|doc| doc.section != keys::Section::Root) {
        let start = format!("{} = ", doc.key);
        let mut values = reference.lines().filter_map(|line| {
            let line = line.strip_prefix("# ").unwrap_or(line);
            line.strip_prefix(&start).map(|value| value.split(" #").next().unwrap_or_default().trim())
        });
        match doc.absent {
            Absent::Default(default) if !shown_otherwise.contains(&doc.key) => {
                assert!(values.any(|value| value == default), "{} {} = {default}", doc.section, doc.key);
            }
            Absent::Default(_) | Absent::Means(_) | Absent::Mistake => {
                let shown = values.next().is_some()
                    || reference.contains(&format!("[routes.{}]", doc.key))
                    || reference.contains(&format!("{{ {} = ", doc.key));
                assert!(shown, "{} {}", doc.section, doc.key);
            }
        }
    }
}

proptest::proptest! {
    /// A reload reads whatever is in the file at that moment, half-written or worse, while requests are
    /// served; and whatever is told of it, it is told with a place within the text.
    #[test]
    fn no_text_makes_the_reader_panic(
        cuts in proptest::collection::vec((0usize..9_000, 0usize..40, "[\\[\\]{}=\"',.#\\\\ \n0-9a-zé]{0,4}"), 1..6)
    ) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/ifmatch.toml");
        let mut text: Vec<char> = std::fs::read_to_string(path).expect("the reference").chars().collect();
        for (at, length, put) in cuts {
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(problems) = parse("f", &text) {
            assert!(problems.count() > 0, "refused without a word");
            let lines = text.lines().count();
            for place in problems.iter().filter_map(|problem| problem.place.as_ref()) {
                assert!(place.line <= lines + 1 && text.get(place.span.clone()).is_some());
            }
            assert!(!problems.render(ifmatch::config::problem::Colour::Off).is_empty());
        }
    }
}
