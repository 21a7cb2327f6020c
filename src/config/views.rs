//! What a route of `unconditional = "infer"` knows of its clients' reading.

use super::keys::Section;
use super::reader::{Table, Value};
use super::values::{Mistake, field_name, quote};
use crate::decide::policy::{Principal, Unconditional};
use crate::decide::views::{ViewIn, ViewPer, ViewPolicy, WhenUnknown};

/// Reads `when_unknown`, `view_per` and `view_in`, which say nothing beside another `unconditional`.
pub(super) fn views(
    table: &Table<'_>,
    unconditional: Option<Unconditional>,
    principal: Option<&Option<Principal>>,
) -> Option<ViewPolicy> {
    let when_unknown = table.read("when_unknown", |value| {
        value.choice(&[
            ("require", WhenUnknown::Require),
            ("overlap", WhenUnknown::Overlap),
            ("allow", WhenUnknown::Allow),
        ])
    });
    let kept = table
        .read("view_in", |value| value.choice(&[("memory", ViewIn::Memory), ("cookie", ViewIn::Cookie)]));
    let per = table.read_if_given("view_per", view_per);
    let read = ViewPolicy { when_unknown: when_unknown?, per: per?, kept: kept? };
    match unconditional? {
        Unconditional::Infer if read.kept == ViewIn::Memory && *principal? == None => {
            table.given("unconditional")?.tell(
                Mistake::found("nothing tells clients apart whose reading is to be inferred").expected(
                    "principal = { header = \"Authorization\" } or { cookie = \"session\" } beside it, or view_in = \"cookie\"",
                ),
            )
        }
        Unconditional::Infer => Some(read),
        Unconditional::Require | Unconditional::Overlap | Unconditional::Allow => alone(table, &read).then_some(read),
    }
}

/// Whether there is nothing of views; tells each that there is. A default says nothing.
fn alone(table: &Table<'_>, read: &ViewPolicy) -> bool {
    let nothing = ViewPolicy::default();
    let said = [
        ("when_unknown", read.when_unknown != nothing.when_unknown),
        ("view_per", read.per != nothing.per),
        ("view_in", read.kept != nothing.kept),
    ];
    let mut alone = true;
    for value in said.iter().filter(|(_, said)| *said).filter_map(|(key, _)| table.given(key)) {
        alone = false;
        value.tell::<()>(
            Mistake::found("nothing is inferred here")
                .expected("unconditional = \"infer\" beside it, or not this key"),
        );
    }
    alone
}

fn view_per(value: &Value<'_>) -> Option<ViewPer> {
    let table = value.table(Section::ViewPer)?;
    let header = table.read_if_given("header", |value| value.parsed(field_name));
    let query = table.read_if_given("query", |value| value.parsed(parameter));
    match (header?, query?) {
        (Some(field), None) => Some(ViewPer::Header(field)),
        (None, Some(name)) => Some(ViewPer::Query(name)),
        (Some(_), Some(_)) => value.tell(Mistake::found("header and query")),
        (None, None) => value.tell(Mistake::found("neither header nor query")),
    }
}

/// A query parameter's name.
fn parameter(text: &str) -> Result<String, Mistake> {
    let foreign =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '&' | ';' | '=' | '#' | '%' | '+');
    if text.is_empty() || text.chars().any(foreign) {
        return Err(Mistake::found(format!("{} is not the name of a query parameter", quote(text))));
    }
    Ok(text.to_owned())
}
