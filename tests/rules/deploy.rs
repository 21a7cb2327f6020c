//! What deploy/ ships is true of the program: metrics that exist, configurations that are correct.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ifmatch::config;
use ifmatch::decide::verdict::RefusalKind;
use ifmatch::report::names;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { files_below(&entry, found) } else { found.push(entry) }
    }
}

/// What a text names that begins like a metric of ours or of the process's.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !word(c))
        .filter(|name| (name.starts_with("ifmatch_") || name.starts_with("process_")) && !name.ends_with("_"))
        .map(str::to_owned)
        .collect()
}

fn exists(name: &str) -> bool {
    const OF_THE_PROCESS: [&str; 7] = [
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
        "process_virtual_memory_bytes",
    ];
    let of_a_histogram = ["_bucket", "_sum", "_count"].iter().filter_map(|suffix| name.strip_suffix(suffix));
    names::ALL.contains(&name)
        || OF_THE_PROCESS.contains(&name)
        || of_a_histogram.into_iter().any(|bare| bare.ends_with("_seconds") && names::ALL.contains(&bare))
}

#[test]
fn every_metric_that_alerts_dashboard_and_texts_name_exists() {
    let mut files = vec![repository().join("README.md")];
    files_below(&repository().join("deploy"), &mut files);
    let mut named = 0;
    let mut unknown = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let metrics = metrics_in(&text);
        named += metrics.len();
        unknown.extend(
            metrics
                .into_iter()
                .filter(|name| !exists(name))
                .map(|name| format!("{}: {name}", file.display())),
        );
    }
    assert!(named > 60, "the names are still where they were: {named}");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

/// The selectors `ifmatch_name{label="value",...}` in the README's queries.
fn selectors(queries: &str) -> Vec<(String, Vec<(String, String)>)> {
    let selector = regex::Regex::new(r#"(ifmatch_\w+)(?:\{([^}]*)\})?"#).expect("a pattern");
    let matcher = regex::Regex::new(r#"(\w+)=~?"([^"]*)""#).expect("a pattern");
    selector
        .captures_iter(queries)
        .map(|found| {
            let labels = found.get(2).map_or("", |labels| labels.as_str());
            let pairs = matcher.captures_iter(labels).map(|pair| (pair[1].to_owned(), pair[2].to_owned()));
            (found[1].to_owned(), pairs.collect())
        })
        .collect()
}

/// The labels that the README's table of metrics gives a metric.
fn labels_of<'r>(readme: &'r str, metric: &str) -> Vec<&'r str> {
    let bare = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| metric.strip_suffix(suffix));
    let row = [Some(metric), bare].into_iter().flatten().find_map(|name| {
        readme.lines().find_map(|line| {
            let rest = line.strip_prefix("| `")?.strip_prefix(name)?;
            let (labels, _) = rest.split_once('`')?;
            (labels.is_empty() || labels.starts_with('{')).then_some(labels)
        })
    });
    let row = row.unwrap_or_else(|| panic!("the README has no row for {metric}"));
    row.trim_matches(['{', '}']).split(',').filter(|label| !label.is_empty()).collect()
}

#[test]
fn the_readmes_queries_ask_for_labels_and_values_that_exist() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("text");
    let queries: String = readme
        .split("```promql\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines)
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n");
    let asked = selectors(&queries);
    assert!(asked.len() >= 8, "the queries are still where they were: {asked:?}");
    let kinds: Vec<&str> = RefusalKind::ALL.iter().map(|kind| kind.name()).collect();
    for (metric, matchers) in asked {
        assert!(exists(&metric), "{metric} is no metric");
        let labels = labels_of(&readme, &metric);
        for (label, values) in matchers {
            assert!(labels.contains(&label.as_str()), "{metric} has no label {label}, only {labels:?}");
            let known: &[&str] = match label.as_str() {
                "kind" => &kinds,
                "mode" => &["enforce", "observe"],
                "outcome" => names::OUTCOMES,
                "method" => &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
                other => panic!("what values does {other} have?"),
            };
            for value in values.split('|') {
                assert!(known.contains(&value), "{metric}: {label} is never {value}");
            }
        }
    }
    for by in regex::Regex::new(r"by \(([^)]*)\)").expect("a pattern").captures_iter(&queries) {
        for label in by[1].split(',').map(str::trim) {
            assert!(["route", "kind", "cause"].contains(&label), "nothing is told apart by {label}");
        }
    }
}

/// The texts behind `ifmatch.toml: |` in a manifest, less their indentation.
fn embedded(manifest: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut lines = manifest.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.find("ifmatch.toml: |").map(|at| " ".repeat(at + 2)) else { continue };
        let block = lines
            .by_ref()
            .map_while(|line| if line.is_empty() { Some("") } else { line.strip_prefix(&indent) });
        texts.push(block.collect::<Vec<_>>().join("\n"));
    }
    texts
}

#[test]
fn every_configuration_in_deploy_is_correct() {
    let mut files = Vec::new();
    files_below(&repository().join("deploy"), &mut files);
    let mut checked = 0;
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let name = file.display().to_string();
        let configurations = if name.ends_with(".toml") { vec![text] } else { embedded(&text) };
        for configuration in configurations {
            checked += 1;
            if let Err(problems) = config::parse(&name, &configuration) {
                panic!("{problems}");
            }
        }
    }
    assert!(checked >= 3, "compose, gateway and sidecar: {checked}");
}
