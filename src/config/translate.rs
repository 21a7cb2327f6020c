//! `[[routes.translate]]`

use super::keys::Section;
use super::reader::{Empty, Table, Value};
use super::values::{Mistake, expression, json_pointer};
use crate::decide::translate::Translate;

/// Reads the rules.
pub(super) fn translate(value: &Value<'_>) -> Option<Vec<Translate>> {
    let elements = value.elements()?;
    if elements.is_empty() {
        return value.tell(Mistake::found("an empty list"));
    }
    let rules: Vec<_> =
        elements.iter().map(|element| one(element, &element.table(Section::Translate)?)).collect();
    rules.into_iter().collect()
}

fn one(value: &Value<'_>, table: &Table<'_>) -> Option<Translate> {
    let statuses = table.read("status", |value| value.list(Empty::Refused, |status| status.status()));
    let field = table.read_if_given("field", |value| value.parsed(json_pointer));
    let pattern = table.read_if_given("pattern", |value| value.parsed(expression));
    let not_applied = table.flag("not_applied");
    let (field, pattern) = (field?, pattern?);
    if field.is_none() && pattern.is_none() {
        // A status alone would turn every failure into a conflict.
        let mistake = Mistake::found("neither field nor pattern");
        return value.tell(mistake.expected("field = \"/error/code\", pattern = \"duplicate key\", or both"));
    }
    Some(Translate { statuses: statuses?, field, pattern, not_applied: not_applied? })
}
