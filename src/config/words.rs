//! What keys take, in the words of messages.

use std::time::Duration;

use super::keys::{Kind, Section};
use super::values::quote;

/// `"a", "b" or "c"`
pub(super) fn one_of<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut quoted: Vec<String> = names.into_iter().map(quote).collect();
    match (quoted.pop(), quoted.is_empty()) {
        (Some(last), true) => last,
        (Some(last), false) => format!("{} or {last}", quoted.join(", ")),
        (None, _) => "nothing".to_owned(),
    }
}

fn shown_span(span: Duration) -> String {
    match span.as_millis() {
        0 => "0s".to_owned(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

fn shown_size(bytes: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.into_iter().find(|(_, scale)| bytes >= *scale && bytes.is_multiple_of(*scale));
    unit.map_or_else(|| format!("{bytes}B"), |(name, scale)| format!("{}{name}", bytes / scale))
}

/// What a key takes, in words.
pub(super) fn expected(kind: Kind) -> String {
    match kind {
        Kind::Flag => "true or false".to_owned(),
        Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Span { min, max } => format!(
            "a duration with a unit, like \"250ms\", \"5s\", \"1m\" or \"1h\", from \"{}\" to \"{}\"",
            shown_span(min),
            shown_span(max)
        ),
        Kind::Size { min, max } => format!(
            "a size with a unit, like \"512B\", \"64KiB\" or \"1MiB\", from \"{}\" to \"{}\"",
            shown_size(min),
            shown_size(max)
        ),
        Kind::Choice { names, .. } => one_of(names.iter().copied()),
        Kind::Addresses => format!("{}, or a list of them", expected_element(kind)),
        Kind::AddressOrOff => "an IP address and port, like \"127.0.0.1:9090\", or \"off\"".to_owned(),
        Kind::Pseudonym => "a token, like \"ifmatch\", or \"off\"".to_owned(),
        Kind::File => "the path of a file, like \"/var/lib/ifmatch/ledger\"".to_owned(),
        Kind::Servers => "a list of host:port, like [\"10.0.0.5:8080\"]".to_owned(),
        Kind::Name => "a name of 1 to 64 letters, digits, \"_\", \".\" and \"-\"".to_owned(),
        Kind::Hosts => "a list of hosts, like [\"api.example.com\", \"*.example.com\"]".to_owned(),
        Kind::Pattern => "a path, like \"/orders/{id}\" or \"/files/{*rest}\"".to_owned(),
        Kind::Upstream => "the name of one of the [upstreams.NAME]".to_owned(),
        Kind::Template => "a name, like \"order:{id}\" or \"order:{query.id}\"".to_owned(),
        Kind::Templates => "a list of names, like [\"orders\", \"order:{id}\"], or [\"*\"]".to_owned(),
        Kind::Methods => "a list of methods, like [\"PUT\", \"DELETE\"]".to_owned(),
        Kind::Field => "a field name, like \"Authorization\"".to_owned(),
        Kind::Cookie => "a cookie name, like \"session\"".to_owned(),
        Kind::Parameter => "a query parameter's name, like \"tab\"".to_owned(),
        Kind::Status { min, max } => format!("a status from {min} to {max}"),
        Kind::Statuses { min, max } => format!("a list of statuses from {min} to {max}"),
        Kind::Table(Section::Principal) => {
            "{ header = \"Authorization\" } or { cookie = \"session\" }".to_owned()
        }
        Kind::Table(Section::ViewPer) => "{ header = \"X-Tab\" } or { query = \"tab\" }".to_owned(),
        Kind::Table(section) => format!("a table, written {section}"),
        Kind::Named(section) => format!("at least one table, written {section}"),
        Kind::Tables(section) => format!("at least one table, written {section}"),
        Kind::Patterns => "a table of regular expressions, like { id = \"[1-9][0-9]*\" }".to_owned(),
    }
}

/// What an element of a list takes, in words.
pub(super) fn expected_element(kind: Kind) -> String {
    match kind {
        Kind::Addresses => "an IP address and port, like \"0.0.0.0:8080\" or \"[::]:8080\"".to_owned(),
        Kind::Servers => "host:port, like \"10.0.0.5:8080\"".to_owned(),
        Kind::Hosts => "a host without a port, like \"api.example.com\" or \"*.example.com\"".to_owned(),
        Kind::Templates => "a name, like \"order:{id}\" or \"order:{query.id}\"".to_owned(),
        Kind::Methods => "a method, like \"PUT\"".to_owned(),
        Kind::Statuses { min, max } => format!("a status from {min} to {max}"),
        Kind::Named(section) | Kind::Tables(section) => format!("a table, written {section}"),
        Kind::Patterns => "a regular expression in quotes, like \"[1-9][0-9]*\"".to_owned(),
        Kind::Flag
        | Kind::Count { .. }
        | Kind::Span { .. }
        | Kind::Size { .. }
        | Kind::Choice { .. }
        | Kind::AddressOrOff
        | Kind::Pseudonym
        | Kind::File
        | Kind::Name
        | Kind::Pattern
        | Kind::Upstream
        | Kind::Template
        | Kind::Field
        | Kind::Cookie
        | Kind::Parameter
        | Kind::Status { .. }
        | Kind::Table(_) => expected(kind),
    }
}
