//! `create = "only"`: a PUT may create, and never replaces.

use http::Method;

use super::say;
use super::verdict::Refusal;
use crate::request::entity_tag::TagCondition;
use crate::request::preconditions::Preconditions;

/// Whether a request with this method is a PUT to somebody; `overrides` are the methods that it states beside it.
pub fn is_put(method: &Method, overrides: &[Vec<u8>]) -> bool {
    *method == Method::PUT || overrides.iter().any(|name| name.eq_ignore_ascii_case(b"PUT"))
}

/// What a PUT states that may only create: `If-None-Match: *`, by the route's word, beside whatever it states itself. A
/// list in its place asks for less.
pub fn stated(mut stated: Preconditions) -> Preconditions {
    stated.if_none_match = Some(TagCondition::Any);
    stated
}

/// The refusal of such a request in the rule's own words.
pub fn told(refusal: Refusal) -> Refusal {
    if refusal == say::already_there() { say::already_exists() } else { refusal }
}
