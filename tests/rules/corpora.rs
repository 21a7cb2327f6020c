//! What the fuzzers of `fuzz/` have kept, once more: every file of every corpus, through the same check.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::checks;

/// `IFMATCH_INPUT=FILE` tries that file alone, such as one that a fuzzer has just found; its folder names the
/// target that it is for.
fn replay(target: &str, check: fn(&[u8])) {
    if let Ok(file) = std::env::var("IFMATCH_INPUT") {
        let is_for = Path::new(&file).components().any(|folder| folder.as_os_str() == target);
        if is_for {
            check(&fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}")));
        }
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let mut failed = Vec::new();
    for file in &files {
        let bytes = fs::read(file).expect("a file");
        // The panic itself has told what is wrong.
        if catch_unwind(AssertUnwindSafe(|| check(&bytes))).is_err() {
            failed.push(file.strip_prefix(&folder).expect("in the corpus").display().to_string());
        }
    }
    assert!(failed.is_empty(), "{target}: {failed:?}; one alone: IFMATCH_INPUT=fuzz/corpus/{target}/...");
    assert!(files.len() >= 20, "{target}: {} files", files.len());
}

#[test]
fn the_corpus_of_preconditions_is_read_as_the_grammar_says() {
    replay("preconditions", checks::preconditions::check);
}

#[test]
fn the_corpus_of_target_paths_has_one_name_a_resource() {
    replay("target_path", checks::target_path::check);
}

#[test]
fn the_corpus_of_configurations_is_told_a_place_for_every_mistake() {
    replay("config_file", checks::config_file::check);
}

#[test]
fn the_corpus_of_state_files_is_taken_up_whole_or_not_at_all() {
    replay("state_file", checks::state_file::check);
}

#[test]
fn the_corpus_of_sequences_is_decided_as_a_naive_model_would() {
    replay("decision", checks::decision::check);
}

#[test]
fn the_corpus_of_messages_is_read_alike_in_whatever_pieces_it_comes() {
    replay("messages", checks::messages::check);
}
