//! Targets of questions to the origin, as they are written: `/customers?email={value}`.

use http::uri::PathAndQuery;

use super::template::template;
use super::values::{Mistake, quote};
use crate::identify::look::{LookPart, LookTemplate};
use crate::identify::resource_id::{NamePart, NameTemplate};
use crate::identify::route_table::PathPattern;

/// Whether a target asks about a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AsksAbout {
    /// `{value}` has to be in it.
    AValue,
    /// Nothing but the request's own resource.
    TheResource,
}

/// Reads a target whose parameters are those of a template, and `{value}`.
pub(super) fn look(text: &str, path: &PathPattern, about: AsksAbout) -> Result<LookTemplate, Mistake> {
    const VALUE: &str = "{value}";
    let expected = match about {
        AsksAbout::AValue => {
            "a path and query of the upstream with {value} in it, like \"/customers?email={value}\""
        }
        AsksAbout::TheResource => "a path and query of the upstream, like \"/orders/{id}\"",
    };
    let wrong = |what: &str| Mistake::found(format!("{} {what}", quote(text))).expected(expected);
    if !text.starts_with('/') || text.starts_with("//") {
        return Err(wrong("does not begin with one slash"));
    }
    if text.contains('#') {
        return Err(wrong("has a fragment"));
    }
    let mut parts = Vec::new();
    let pieces: Vec<&str> = match about {
        AsksAbout::AValue => text.split(VALUE).collect(),
        AsksAbout::TheResource => vec![text],
    };
    for (i, piece) in pieces.into_iter().enumerate() {
        if i > 0 {
            parts.push(LookPart::Value);
        }
        if piece.is_empty() {
            continue;
        }
        let read = template(piece, path).map_err(|mistake| match about {
            // Or {value} itself would not be among what is named as expected.
            AsksAbout::AValue => mistake.expected(expected),
            AsksAbout::TheResource => mistake,
        });
        match read? {
            NameTemplate::Parts(of) => parts.extend(of.into_iter().map(LookPart::Of)),
            NameTemplate::CanonicalPath => {}
        }
    }
    let literal = |part: &LookPart| match part {
        LookPart::Of(NamePart::Literal(text)) => text.clone(),
        LookPart::Of(NamePart::Segment(_) | NamePart::Rest(_) | NamePart::Query(_) | NamePart::Body(_))
        | LookPart::Value => "x".to_owned(),
    };
    if PathAndQuery::try_from(parts.iter().map(literal).collect::<String>()).is_err() {
        return Err(wrong("has characters that a target has not"));
    }
    let template = LookTemplate::new(parts);
    if about == AsksAbout::AValue && !template.asks_about_a_value() {
        return Err(wrong("has no {value}"));
    }
    Ok(template)
}
