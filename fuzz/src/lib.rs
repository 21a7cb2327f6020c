//! What each target checks: the very functions that `tests/rules/corpora.rs` replays the corpora with.

#[path = "../../tests/rules/checks/mod.rs"]
mod checks;

/// Entity-tags, lists of them, the fields of RFC 9110 section 13.1.
pub fn preconditions(data: &[u8]) {
    checks::preconditions::check(data);
}

/// Paths, names, queries, route tables.
pub fn target_path(data: &[u8]) {
    checks::target_path::check(data);
}

/// The configuration.
pub fn config_file(data: &[u8]) {
    checks::config_file::check(data);
}

/// State files.
pub fn state_file(data: &[u8]) {
    checks::state_file::check(data);
}

/// Sequences of reads, writes, ends, restarts and crashes.
pub fn decision(data: &[u8]) {
    checks::decision::check(data);
}

/// Heads and bodies of HTTP/1.1, in pieces.
pub fn messages(data: &[u8]) {
    checks::messages::check(data);
}
