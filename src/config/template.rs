//! Names of resources as they are written: `order:{id}`, `{query.id}`.

use super::nearest::nearest;
use super::values::{Mistake, form_field, json_pointer, quote};
use crate::identify::content::Place;
use crate::identify::resource_id::{NamePart, NameTemplate};
use crate::identify::route_table::PathPattern;

/// Reads a template whose parameters are those of `path`, or of the query.
pub(super) fn template(text: &str, path: &PathPattern) -> Result<NameTemplate, Mistake> {
    if text.is_empty() {
        return Err(Mistake::found("\"\" is empty"));
    }
    if text == "*" {
        return Err(Mistake::found("\"*\" stands for every resource of the upstream")
            .expected("a name; also_changes = [\"*\"] takes it, and takes it alone"));
    }
    if text.chars().any(char::is_control) {
        return Err(Mistake::found(format!("{} has control characters", quote(text))));
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('{') {
        push_literal(&mut parts, literal, text)?;
        let (name, after) = after.split_once('}').ok_or_else(|| unpaired(text))?;
        parts.push(parameter(name, path, text)?);
        rest = after;
    }
    push_literal(&mut parts, rest, text)?;
    Ok(NameTemplate::Parts(parts))
}

fn push_literal(parts: &mut Vec<NamePart>, literal: &str, text: &str) -> Result<(), Mistake> {
    if literal.contains('}') {
        return Err(unpaired(text));
    }
    if !literal.is_empty() {
        parts.push(NamePart::Literal(literal.to_owned()));
    }
    Ok(())
}

fn unpaired(text: &str) -> Mistake {
    Mistake::found(format!("{} has a brace without its other half", quote(text)))
        .expected("braces around parameters only, like \"order:{id}\"")
}

fn parameter(name: &str, path: &PathPattern, text: &str) -> Result<NamePart, Mistake> {
    if name.contains('{') {
        return Err(Mistake::found(format!("{} has braces within braces", quote(text)))
            .expected("braces around parameters only, like \"order:{id}\""));
    }
    if let Some(query) = name.strip_prefix("query.") {
        if query.is_empty() || query.contains(char::is_whitespace) {
            return Err(Mistake::found(format!("{} names no query parameter", quote(text)))
                .expected("the parameter's name, like \"{query.id}\""));
        }
        return Ok(NamePart::Query(query.to_owned()));
    }
    if let Some(pointer) = name.strip_prefix("body.") {
        return json_pointer(pointer).map(|pointer| NamePart::Body(Place::Json(pointer)));
    }
    if let Some(field) = name.strip_prefix("form.") {
        return form_field(field).map(|field| NamePart::Body(Place::Form(field)));
    }
    let segment = path.parameter(name).map(NamePart::Segment);
    segment.or_else(|| path.rest(name).map(NamePart::Rest)).ok_or_else(|| {
        let meant = nearest(name, path.parameter_names()).map(|name| format!("{{{name}}}"));
        let names: Vec<String> = path.parameter_names().map(|name| format!("{{{name}}}")).collect();
        let of_path = if names.is_empty() { "no parameters".to_owned() } else { names.join(", ") };
        Mistake::found(format!("{} uses {{{name}}}, which the path has not", quote(text)))
            .expected(format!("parameters of the path ({of_path}), of the query ({{query.NAME}}) or of the body ({{body./POINTER}}, {{form.NAME}})"))
            .meant(meant)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Result<NameTemplate, Mistake> {
        template(text, &PathPattern::parse("/shops/{shop}/orders/{id}/{*rest}").expect("a pattern"))
    }

    #[test]
    fn parameters_are_found_in_the_path_and_the_query() {
        assert_eq!(
            parts("{shop}/order:{id}/{rest}?{query.v}{form.v}"),
            Ok(NameTemplate::Parts(vec![
                NamePart::Segment(1),
                NamePart::Literal("/order:".into()),
                NamePart::Segment(3),
                NamePart::Literal("/".into()),
                NamePart::Rest(4),
                NamePart::Literal("?".into()),
                NamePart::Query("v".into()),
                NamePart::Body(Place::Form("v".into())),
            ]))
        );
    }

    #[test]
    fn braces_stand_around_parameters_only() {
        for text in [
            "{",
            "}",
            "a{id",
            "a}b{id}",
            "{{id}}",
            "{}",
            "{query.}",
            "{body.a}",
            "{body./~}",
            "{form.}",
            "{ id }",
            "{*rest}",
            "",
            "*",
        ] {
            assert!(parts(text).is_err(), "{text}");
        }
    }
}
