//! `[routes.transitions]`

use super::keys::Section;
use super::look::{AsksAbout, look};
use super::reader::{Empty, Value};
use super::values::{Mistake, form_field, json_pointer, quote, some_text};
use crate::decide::transitions::{MoveTo, Transitions};
use crate::identify::content::Place;
use crate::identify::route_table::PathPattern;

/// Reads the rule. Without the route's path, where it looks is not looked at.
pub(super) fn transitions(value: &Value<'_>, path: Option<&PathPattern>) -> Option<Transitions> {
    let table = value.table(Section::Transitions)?;
    let field = table.read("field", |value| value.parsed(json_pointer));
    let to = table.read("to", to);
    let look = table.read_if_given("look", |value| {
        value.text()?;
        let path = path?;
        value.parsed(|text| look(text, path, AsksAbout::TheResource))
    });
    let allowed = table.read("allowed", allowed);
    let (to, allowed) = (to?, allowed?);
    if let MoveTo::Fixed(state) = &to
        && !allowed.iter().any(|(_, next)| next.contains(state))
    {
        let found = format!("no state may be followed by {}", quote(state));
        return table
            .given("to")?
            .tell(Mistake::found(found).expected("a state that some list of `allowed` has"));
    }
    Some(Transitions { field: field?, to, look: look?, allowed })
}

fn to(value: &Value<'_>) -> Option<MoveTo> {
    let table = value.table(Section::MoveTo)?;
    let body = table.read_if_given("body", |value| value.parsed(json_pointer));
    let form = table.read_if_given("form", |value| value.parsed(form_field));
    let fixed = table.read_if_given("fixed", |value| value.parsed(some_text));
    match (body?, form?, fixed?) {
        (Some(pointer), None, None) => Some(MoveTo::Body(Place::Json(pointer))),
        (None, Some(name), None) => Some(MoveTo::Body(Place::Form(name))),
        (None, None, Some(state)) => Some(MoveTo::Fixed(state)),
        (None, None, None) => value.tell(Mistake::found("neither body, form nor fixed")),
        (_, _, _) => value.tell(Mistake::found("more than one of body, form and fixed")),
    }
}

fn allowed(value: &Value<'_>) -> Option<Vec<(String, Vec<String>)>> {
    let states = value.named()?;
    if states.is_empty() {
        return value.tell(Mistake::found("an empty table"));
    }
    let lists: Vec<_> = states
        .into_iter()
        .map(|(from, _, next)| {
            let next = next.list(Empty::Allowed, |state| state.parsed(some_text));
            Some((from.to_owned(), next?))
        })
        .collect();
    lists.into_iter().collect()
}
