//! What tags stand for on a route, and what a request states in another place than `If-Match`.

use super::{Asked, Told};
use crate::config::checked::Route;
use crate::decide::claim::Claim;
use crate::decide::precondition_from::PreconditionFrom;
use crate::decide::validator::Validator;
use crate::decide::verdict::Refusal;
use crate::identify::content::Place;
use crate::request::entity_tag::EntityTag;
use crate::request::preconditions::Preconditions;

/// Tells what tags stand for, where that is not the ledger's version.
pub(super) fn tell(told: &mut Told, route: &Route) {
    let words = match &route.policy.validator {
        Validator::Version => return,
        Validator::Content { ignore } if ignore.is_empty() => "a digest of the content".to_owned(),
        Validator::Content { ignore } => {
            let ignored: Vec<String> = ignore.iter().map(ToString::to_string).collect();
            format!("a digest of the content, in JSON without {}", ignored.join(", "))
        }
        Validator::Origin { version_field: Some(place) } => format!("{place} in the origin's JSON"),
        Validator::Origin { version_field: None } => "the origin's ETag, else its Last-Modified".to_owned(),
        Validator::Enforced => "the origin's ETag, which it compares itself".to_owned(),
    };
    told.line("tags", format!("stand for {words}"));
}

/// Adds what a write states in another place to its preconditions, and tells it.
///
/// # Errors
/// If it is there twice, or the content cannot be read.
pub(super) fn state_elsewhere(
    told: &mut Told,
    stated: &mut Preconditions,
    route: &Route,
    asked: &Asked,
) -> Result<(), Refusal> {
    let Some(from) = route.policy.precondition_from.as_ref().filter(|_| stated.if_match.is_none()) else {
        return Ok(());
    };
    let content = asked.content();
    let validator = &route.policy.validator;
    let found = from.stated(validator, &asked.fields, asked.query.as_deref(), content.as_ref())?;
    let place = match from {
        PreconditionFrom::Query(name) => format!("the parameter {name}"),
        PreconditionFrom::Body(Place::Json(pointer)) => format!("{pointer} of the content"),
        PreconditionFrom::Body(Place::Form(name)) => format!("the field {name} of the form"),
        PreconditionFrom::Header(name) => format!("the field {name}"),
    };
    match found {
        Some(tags) => {
            told.line("precondition", format!("{place}, as if it stood in If-Match"));
            stated.state_if_match(tags);
        }
        None => told.line("", format!("{place} states nothing")),
    }
    Ok(())
}

/// What becomes of a stated tag, where it is not one of a version.
pub(super) fn of_tag(validator: &Validator) -> Option<&'static str> {
    match validator {
        Validator::Version => None,
        Validator::Content { .. } | Validator::Origin { .. } => Some("compared with what the origin shows"),
        Validator::Enforced => Some("passed on; the origin compares it"),
    }
}

/// What must be true of the tag that the origin shows.
pub(super) fn conditions(claim: &Claim) -> Vec<String> {
    let list = |tags: &[EntityTag]| tags.iter().map(EntityTag::to_string).collect::<Vec<_>>().join(" or ");
    let Some(wanted) = &claim.probe.tags else { return Vec::new() };
    let mut conditions = Vec::new();
    match wanted.any_of.as_deref() {
        None => {}
        Some([]) => conditions.push("a value that is no tag is the origin's, which it never is".to_owned()),
        Some(tags) => conditions.push(format!("the origin, asked first, shows {}", list(tags))),
    }
    if !wanted.none_of.is_empty() {
        conditions.push(format!("the origin, asked first, does not show {}", list(&wanted.none_of)));
    }
    conditions
}
