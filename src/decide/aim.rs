//! What a request is aimed at under a route's policy: its effect, and the resource that it names.

use http::Method;

use super::policy::RoutePolicy;
use super::say;
use super::verdict::Refusal;
use crate::http1::fields::Fields;
use crate::identify::content::Content;
use crate::identify::query;
use crate::identify::resource_id::ResourceId;
use crate::identify::target_path::TargetPath;
use crate::request::method::{Effect, OVERRIDE_PARAMETER, is_override_field, overrides_in_fields};

/// The methods that a request's fields, its query and its form state beside its own.
pub fn overrides(fields: &Fields, query: Option<&str>, form: &[u8]) -> Vec<Vec<u8>> {
    let mut stated: Vec<Vec<u8>> = Vec::new();
    // Nearly every request has none of the three.
    if fields.keys().any(is_override_field) {
        stated.extend(overrides_in_fields(fields).map(<[u8]>::to_vec));
    }
    let mut add = |text: &str| {
        let values = query::values(text, OVERRIDE_PARAMETER).filter(|name| !name.is_empty());
        stated.extend(values.map(|name| name.into_owned().into_bytes()));
    };
    if let Some(query) = query {
        add(query);
    }
    if !form.is_empty() {
        add(&String::from_utf8_lossy(form));
    }
    stated
}

/// What a request does, by the strictest of its methods.
pub fn effect(policy: &RoutePolicy, method: &Method, overrides: &[Vec<u8>]) -> Effect {
    policy.methods.effect(method, overrides.iter().map(Vec::as_slice))
}

/// Names the resource of a request on a managed route.
///
/// # Errors
/// 400 where the target could mean another resource to the origin, or names none, or where the content that
/// names it cannot be read.
pub fn resource(
    policy: &RoutePolicy,
    path: &TargetPath,
    query: Option<&str>,
    content: Option<&Content<'_>>,
) -> Result<ResourceId, Refusal> {
    if let Some(ambiguity) = path.ambiguity() {
        return Err(say::ambiguous(ambiguity));
    }
    for held in &policy.params {
        let value = path.spelled_segments().nth(held.segment).unwrap_or_default();
        if !held.pattern.is_match(value) {
            return Err(say::ambiguous(format_args!(
                "a value for `{}` that is not spelled as its resources are here",
                held.name
            )));
        }
    }
    policy.resource.name(path, query, content, policy.fold).map_err(|why| say::no_name(&why))
}
