//! Who may import whom, and how long a file may be. Reads the text of `src`.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up: each may use what stands before it, and itself.
const PURE: [&str; 4] = ["http1", "request", "identify", "decide"];
const LAYERS: [(&str, &[&str]); 12] = [
    ("http1", &[]),
    ("request", &["http1"]),
    ("identify", &["http1", "request"]),
    ("decide", &["http1", "request", "identify"]),
    ("ledger", &["request", "identify", "decide"]),
    ("config", &["request", "identify", "decide"]),
    ("report", &["request", "identify", "decide", "config"]),
    ("proxy", &["http1", "request", "identify", "decide", "ledger", "config", "report"]),
    ("admin", &["request", "identify", "decide", "ledger", "config", "report", "proxy"]),
    ("demo", &["decide"]),
    ("server", &["request", "identify", "decide", "ledger", "config", "report", "proxy", "admin"]),
    (
        "cli",
        &[
            "http1", "request", "identify", "decide", "ledger", "config", "report", "proxy", "admin", "demo",
            "server",
        ],
    ),
];
const PURE_OF_THE_LEDGER: [&str; 5] = [
    "ledger/first_answers.rs",
    "ledger/protocol.rs",
    "ledger/protocol/entries.rs",
    "ledger/protocol/saved.rs",
    "ledger/snapshot.rs",
];
/// What no pure code may name: servers, clients, clocks, chance, and anything that tells the outside.
const IMPURE: [&str; 13] = [
    "pingora",
    "hyper",
    "hyper_util",
    "tokio",
    "std::net",
    "Instant",
    "SystemTime::now",
    "rand",
    "tracing",
    "prometheus",
    "std::fs",
    "parking_lot",
    "dashmap",
];

fn sources() -> Vec<(PathBuf, String)> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                below(&entry, found);
            } else if entry.extension().is_some_and(|suffix| suffix == "rs") {
                found.push(entry);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    below(&src, &mut found);
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("text");
        (path.strip_prefix(&src).expect("below src").to_path_buf(), text)
    };
    let sources: Vec<_> = found.into_iter().map(text).collect();
    assert!(sources.len() > 20, "these are the sources");
    sources
}

/// A file's code: without its unit tests and its comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Whether the code names this, as a word of its own.
fn names(code: &str, name: &str) -> bool {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        !before.is_some_and(part_of_a_word) && !after.is_some_and(part_of_a_word)
    })
}

fn folder(path: &Path) -> String {
    path.components().next().map_or(String::new(), |first| first.as_os_str().to_string_lossy().into_owned())
}

#[test]
fn arrows_point_downward_only() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let folder = folder(&path);
        let Some((_, below)) = LAYERS.iter().find(|(layer, _)| *layer == folder) else { continue };
        let code = code(&text);
        let others = LAYERS.iter().map(|(layer, _)| *layer);
        for other in others.filter(|other| *other != folder && !below.contains(other)) {
            if names(&code, &format!("crate::{other}")) {
                wrong.push(format!("{} uses crate::{other}", path.display()));
            }
        }
        if names(&code, "use crate::{") {
            wrong
                .push(format!("{}: one `use crate::...` a line, so that arrows can be read", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_pure_core_names_no_server_clock_or_chance() {
    let mut wrong = Vec::new();
    let mut pure = 0;
    for (path, text) in sources() {
        let is_pure = PURE.contains(&folder(&path).as_str())
            || PURE_OF_THE_LEDGER.iter().any(|file| path == Path::new(file));
        if !is_pure {
            continue;
        }
        pure += 1;
        let code = code(&text);
        for name in IMPURE.iter().filter(|name| names(&code, name)) {
            wrong.push(format!("{} names {name}", path.display()));
        }
    }
    assert!(pure > 10, "the pure files are still where they were");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_longer_than_500_lines_or_unsafe() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if text.lines().count() > 500 {
            wrong.push(format!("{} has {} lines", path.display(), text.lines().count()));
        }
        if names(&code(&text).replace("forbid(unsafe_code)", ""), "unsafe") {
            wrong.push(format!("{} is unsafe", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_of_the_sources_has_its_layer() {
    for (path, _) in sources().into_iter().filter(|(path, _)| path.components().count() > 1) {
        let folder = folder(&path);
        let known = LAYERS.iter().any(|(layer, _)| *layer == folder);
        assert!(known, "{} is in no layer", path.display());
    }
}
