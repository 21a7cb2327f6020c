//! Targets of questions to the origin, made from a request: `/customers?email={value}`, `/orders/{id}`.

use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::content::Content;
use super::query;
use super::resource_id::{NamePart, NoName};
use super::target_path::TargetPath;

/// All but the unreserved characters of RFC 3986 section 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A target with placeholders. What stands in for them is percent-encoded, and not folded: the origin is asked
/// for what the client means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookTemplate(Vec<LookPart>);

/// A part of a [`LookTemplate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookPart {
    /// Text, or something of the request.
    Of(NamePart),
    /// `{value}`: the value that is asked about.
    Value,
}

/// Why a request makes no target of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTarget {
    /// A parameter or a value is missing, repeated or cannot be read.
    Missing(NoName),
    /// What stands in for a placeholder would make another path of it, such as `..`.
    AnotherPath,
}

impl LookTemplate {
    /// A template of these parts.
    pub fn new(parts: Vec<LookPart>) -> Self {
        LookTemplate(parts)
    }

    /// Whether it asks about a value.
    pub fn asks_about_a_value(&self) -> bool {
        self.0.contains(&LookPart::Value)
    }

    /// Whether it needs the request's body.
    pub fn reads_body(&self) -> bool {
        self.0.iter().any(|part| matches!(part, LookPart::Of(NamePart::Body(_))))
    }

    /// The target that this request and `value` make of it.
    ///
    /// # Errors
    /// If they make none.
    pub fn target(
        &self,
        path: &TargetPath,
        query: Option<&str>,
        content: Option<&Content<'_>>,
        value: &str,
    ) -> Result<PathAndQuery, NoTarget> {
        let mut target = String::new();
        for part in &self.0 {
            let from = target.len();
            match part {
                LookPart::Of(NamePart::Literal(text)) => {
                    target.push_str(text);
                    continue;
                }
                LookPart::Of(NamePart::Segment(at)) => {
                    target.extend(encoded(path.spelled_segments().nth(*at).unwrap_or_default()));
                }
                LookPart::Of(NamePart::Rest(first)) => {
                    for (i, segment) in path.spelled_segments().skip(*first).enumerate() {
                        target.push_str(if i == 0 { "" } else { "/" });
                        target.extend(encoded(segment));
                    }
                }
                LookPart::Of(NamePart::Query(name)) => target.extend(encoded(&of_query(name, query)?)),
                LookPart::Of(NamePart::Body(place)) => {
                    let found = content.map(|content| content.value(place)).transpose();
                    let found = found.map_err(|why| NoTarget::Missing(NoName::Unreadable(why)))?.flatten();
                    let found =
                        found.ok_or_else(|| NoTarget::Missing(NoName::MissingValue(place.clone())))?;
                    target.extend(encoded(&found));
                }
                LookPart::Value => target.extend(encoded(value)),
            }
            // An empty one would ask for the collection.
            if target.len() == from && !target.contains('?') {
                return Err(NoTarget::AnotherPath);
            }
        }
        let plain = target.split('?').next().unwrap_or_default();
        if plain.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(NoTarget::AnotherPath);
        }
        PathAndQuery::try_from(target).map_err(|_| NoTarget::AnotherPath)
    }
}

fn encoded(text: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(text, ENCODED)
}

fn of_query(name: &str, query: Option<&str>) -> Result<String, NoTarget> {
    let mut values = query::values(query.unwrap_or_default(), name);
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.into_owned()),
        (Some(_), Some(_)) => Err(NoTarget::Missing(NoName::RepeatedParameter(name.to_owned()))),
        (None, _) => Err(NoTarget::Missing(NoName::MissingParameter(name.to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> LookPart {
        LookPart::Of(NamePart::Literal(text.into()))
    }

    #[test]
    fn a_value_is_encoded_and_a_parameter_is_asked_for_as_it_was_spelled() {
        let parts = vec![
            literal("/shops/"),
            LookPart::Of(NamePart::Segment(1)),
            literal("/c?email="),
            LookPart::Value,
            literal("&of="),
            LookPart::Of(NamePart::Query("of".into())),
        ];
        let path = TargetPath::parse("/shops/A%C3%89/customers");
        let target = LookTemplate::new(parts).target(&path, Some("of=x+y"), None, "a+b&c=ü@x.de");
        let target = target.map(|target| target.to_string());
        assert_eq!(target, Ok("/shops/A%C3%89/c?email=a%2Bb%26c%3D%C3%BC%40x.de&of=x%20y".into()));
    }

    #[test]
    fn what_would_ask_for_another_path_is_not_asked_for() {
        let by_path = LookTemplate::new(vec![literal("/by-email/"), LookPart::Value]);
        let ask = |value| by_path.target(&TargetPath::parse("/"), None, None, value);
        assert!(ask("a/../b").is_ok(), "encoded, it is one segment");
        for value in ["", ".", ".."] {
            assert_eq!(ask(value), Err(NoTarget::AnotherPath), "{value:?}");
        }
        let by_query = LookTemplate::new(vec![literal("/c?email="), LookPart::Value]);
        assert!(by_query.target(&TargetPath::parse("/"), None, None, "").is_ok());
    }
}
