//! Configurations: any text is refused with a place for every mistake, or accepted for what it says.

use ifmatch::config::checked::Config;
use ifmatch::config::problem::{Colour, Place, Problems};
use ifmatch::config::{parse, problem::Problem};

/// Takes the bytes for the text of a file.
pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match parse("f", &text) {
        Ok(config) => accepted(&text, &config),
        Err(problems) => refused(&text, &problems),
    }
}

fn refused(text: &str, problems: &Problems) {
    assert!(problems.count() > 0, "refused without a word");
    assert_eq!(problems.lines().count(), problems.count());
    let mut last = 0;
    for (problem, line) in problems.iter().zip(problems.lines()) {
        let place = problem.place.as_ref().expect("a place within the text");
        inside(text, place);
        assert!(place.span.start >= last, "in the order of the file");
        last = place.span.start;
        assert!(line.starts_with(&format!("f:{}:{}: ", place.line, place.column)), "{line}");
        // A log line, and a terminal, are no place for what a file may hold.
        assert!(!line.contains(char::is_control), "{line:?}");
        said(problem);
    }
    assert!(!problems.render(Colour::Off).is_empty() && !problems.render(Colour::On).is_empty());
}

fn inside(text: &str, place: &Place) {
    assert!(text.get(place.span.clone()).is_some(), "{place:?}");
    let before = &text[..place.span.start];
    assert_eq!(place.line, before.split('\n').count());
    assert_eq!(place.column, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
}

fn said(problem: &Problem) {
    assert!(!problem.found.is_empty());
    assert!(problem.expected.as_ref().is_none_or(|expected| !expected.is_empty()));
    assert!(problem.to_string().starts_with(&problem.path));
}

fn accepted(text: &str, config: &Config) {
    let told = said_by(config);
    let mut same = vec![format!("{text}\n# the end"), format!("# the beginning\n{text}")];
    // Within a text of several lines an end of line is part of the value.
    if !text.contains("\"\"\"") && !text.contains("'''") && !text.contains('\r') {
        same.push(text.replace('\n', "\r\n"));
    }
    // Written anew by a writer that knows nothing of us: other quotes, other order, other forms of a table.
    let table: toml::Table = text.parse().expect("what was accepted is TOML");
    same.push(toml::to_string(&table).expect("a table"));
    same.push(toml::to_string_pretty(&table).expect("a table"));
    for text in same {
        match parse("f", &text) {
            Ok(config) => assert_eq!(said_by(&config), told, "{text}"),
            Err(problems) => panic!("{problems}\n{text}"),
        }
    }
}

/// All that it says, its upstreams by their names.
fn said_by(config: &Config) -> String {
    let Config { server, limits, ledger, upstreams, routes } = config;
    let mut upstreams: Vec<_> = upstreams.iter().collect();
    upstreams.sort_by_key(|upstream| upstream.name.clone());
    let routes: Vec<_> = routes.iter().collect();
    format!("{server:?}\n{limits:?}\n{ledger:?}\n{upstreams:?}\n{routes:?}")
}
