//! `validator`, `precondition_from` and the keys beside them: what a tag stands for, and where it comes from.

use super::keys::Section;
use super::reader::{Empty, Table, Value};
use super::values::{Mistake, field_name, form_field, json_pointer};
use crate::decide::precondition_from::PreconditionFrom;
use crate::decide::validator::Validator;
use crate::identify::content::Place;

/// The values of `validator`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Version,
    Content,
    Origin,
}

/// Reads `validator`, and tells the keys that do not go with it.
pub(super) fn validator(table: &Table<'_>) -> Option<Validator> {
    let kind = table.read("validator", |value| {
        value.choice(&[("version", Kind::Version), ("content", Kind::Content), ("origin", Kind::Origin)])
    });
    let pointers = |value: &Value<'_>| value.list(Empty::Allowed, |element| element.parsed(json_pointer));
    let ignore = table.read("ignore", pointers);
    let version_field = table.read_if_given("version_field", |value| value.parsed(json_pointer));
    let enforces = table.flag("origin_enforces");
    let kind = kind?;
    let mut fits = true;
    if kind != Kind::Content {
        fits &= without(table, "ignore", "nothing is left out of a digest here", "validator = \"content\"");
    }
    if kind != Kind::Origin {
        for key in ["version_field", "origin_enforces"] {
            fits &= without(table, key, "tags are not the origin's own here", "validator = \"origin\"");
        }
    }
    if kind != Kind::Version {
        const OURS: &str = "tags are not made from versions here";
        for key in ["etag_on_put", "reveal_current"] {
            fits &= without(table, key, OURS, "validator = \"version\"");
        }
    }
    let (ignore, version_field, enforces) = (ignore?, version_field?, enforces?);
    if enforces && version_field.is_some() {
        const COMPARES: &str = "the origin compares its own tags here";
        fits &= without(table, "version_field", COMPARES, "origin_enforces = false");
    }
    fits.then_some(match (kind, enforces) {
        (Kind::Version, _) => Validator::Version,
        (Kind::Content, _) => Validator::Content { ignore },
        (Kind::Origin, false) => Validator::Origin { version_field: version_field.map(Place::Json) },
        (Kind::Origin, true) => Validator::Enforced,
    })
}

/// Whether a key is not there; one that is would do nothing, and that is told.
fn without(table: &Table<'_>, key: &str, found: &str, beside: &str) -> bool {
    let Some(value) = table.given(key) else { return true };
    value.tell::<()>(Mistake::found(found).expected(format!("{beside} beside it, or no {key}")));
    false
}

/// Reads `precondition_from`.
pub(super) fn precondition_from(value: &Value<'_>) -> Option<PreconditionFrom> {
    let table = value.table(Section::PreconditionFrom)?;
    let query = table.read_if_given("query", |value| value.parsed(form_field));
    let body = table.read_if_given("body", |value| value.parsed(json_pointer));
    let form = table.read_if_given("form", |value| value.parsed(form_field));
    let header = table.read_if_given("header", |value| value.parsed(field_name));
    let places: Vec<PreconditionFrom> = [
        query?.map(PreconditionFrom::Query),
        body?.map(|pointer| PreconditionFrom::Body(Place::Json(pointer))),
        form?.map(|name| PreconditionFrom::Body(Place::Form(name))),
        header?.map(PreconditionFrom::Header),
    ]
    .into_iter()
    .flatten()
    .collect();
    match <[PreconditionFrom; 1]>::try_from(places) {
        Ok([one]) => Some(one),
        Err(places) if places.is_empty() => value.tell(Mistake::found("no place")),
        Err(places) => value.tell(Mistake::found(format!("{} places", places.len()))),
    }
}
