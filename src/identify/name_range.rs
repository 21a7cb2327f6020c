//! Sets of names, told by what they have in common.
//!
//! A set may be told too large: whatever falls into it by mistake costs a spurious refusal.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fold::Fold;
use super::resource_id::{NamePart, NameTemplate};
use super::route_table::PathPattern;

/// What the paths of a route have in common, segment by segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PathShape {
    /// A literal, folded as paths are; `None` stands for any one segment.
    pub segments: Vec<Option<String>>,
    /// Whether any number of segments may follow.
    pub rest: bool,
}

/// A set of names of resources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NameRange {
    /// Those that begin with this text.
    Text(String),
    /// Those that are canonical paths of this shape.
    Paths(PathShape),
}

impl PathShape {
    /// The paths that have both shapes.
    pub fn meet(&self, other: &PathShape) -> Option<PathShape> {
        let (short, long) =
            if self.segments.len() <= other.segments.len() { (self, other) } else { (other, self) };
        let (head, tail) = long.segments.split_at_checked(short.segments.len())?;
        if !tail.is_empty() && !short.rest {
            return None;
        }
        let mut segments = Vec::with_capacity(long.segments.len());
        for pair in short.segments.iter().zip(head) {
            segments.push(match pair {
                (Some(one), Some(another)) if !same_literal(one, another) => return None,
                (Some(literal), _) | (None, Some(literal)) => Some(literal.clone()),
                (None, None) => None,
            });
        }
        segments.extend_from_slice(tail);
        Some(PathShape { segments, rest: self.rest && other.rest })
    }

    /// Whether a canonical path has this shape.
    fn takes(&self, path: &str) -> bool {
        let mut found = path.split('/').filter(|segment| !segment.is_empty());
        let matched = self.segments.iter().all(|wanted| match (wanted, found.next()) {
            (None, Some(_)) => true,
            (Some(literal), Some(segment)) => same_literal(literal, segment),
            (_, None) => false,
        });
        matched && (self.rest || found.next().is_none())
    }
}

/// A name drops the format suffix of its last segment and a pattern may spell it out, so what follows the
/// first dot does not count.
fn same_literal(one: &str, another: &str) -> bool {
    let stem = |text: &str| text.split('.').next().unwrap_or_default().to_owned();
    stem(one) == stem(another)
}

impl fmt::Display for NameRange {
    /// For people: `order:*`, `/orders/{}`, `/files/{*}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameRange::Text(head) => write!(f, "{head}*"),
            NameRange::Paths(PathShape { segments, rest }) => {
                for segment in segments {
                    write!(f, "/{}", segment.as_deref().unwrap_or("{}"))?;
                }
                f.write_str(match (rest, segments.is_empty()) {
                    (true, _) => "/{*}",
                    (false, true) => "/",
                    (false, false) => "",
                })
            }
        }
    }
}

impl NameRange {
    /// Every name.
    pub fn everything() -> Self {
        NameRange::Text(String::new())
    }

    /// The names that a template makes of a pattern's paths.
    pub fn of(template: &NameTemplate, path: &PathPattern, fold: Fold) -> Self {
        match template {
            NameTemplate::CanonicalPath if fold == Fold::default() => NameRange::Paths(path.shape()),
            // Spelled in more ways than a shape can tell.
            NameTemplate::CanonicalPath => NameRange::everything(),
            NameTemplate::Parts(parts) => NameRange::Text(match parts.first() {
                Some(NamePart::Literal(text)) => text.clone(),
                Some(NamePart::Segment(_) | NamePart::Rest(_) | NamePart::Query(_) | NamePart::Body(_))
                | None => String::new(),
            }),
        }
    }

    /// The names in it that paths of this shape may have.
    pub fn of_paths(&self, paths: &PathShape) -> Option<Self> {
        match self {
            NameRange::Text(_) => Some(self.clone()),
            NameRange::Paths(shape) => shape.meet(paths).map(NameRange::Paths),
        }
    }

    /// Whether a name is in it.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            NameRange::Text(head) => name.starts_with(head),
            NameRange::Paths(shape) => name.starts_with('/') && shape.takes(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(pattern: &str) -> PathShape {
        PathPattern::parse(pattern).expect("a pattern").shape()
    }

    #[test]
    fn shapes_meet_where_a_path_has_both() {
        for (one, another, both) in [
            ("/{*rest}", "/orders/{id}", Some("/orders/{id}")),
            ("/{a}/x", "/orders/{b}", Some("/orders/x")),
            ("/a/{*rest}", "/{x}/b/{*rest}", Some("/a/b/{*rest}")),
            ("/a", "/a", Some("/a")),
            ("/a/{*rest}", "/a", Some("/a")),
            ("/a", "/a/{id}", None),
            ("/a/{id}", "/b/{id}", None),
            ("/a/{id}", "/a/{id}/lines", None),
            ("/a/b/{*rest}", "/a", None),
        ] {
            assert_eq!(shape(one).meet(&shape(another)), both.map(shape), "{one} {another}");
            assert_eq!(shape(another).meet(&shape(one)), both.map(shape), "{another} {one}");
        }
        assert!(shape("/export.json/{*rest}").meet(&shape("/export")).is_some());
    }

    #[test]
    fn a_range_is_told_as_it_would_be_written() {
        for pattern in ["/", "/orders/{id}", "/files/{*rest}", "/{*rest}"] {
            let told = NameRange::Paths(shape(pattern)).to_string();
            assert_eq!(told, pattern.replace("id", "").replace("rest", ""));
        }
        assert_eq!(NameRange::Text("order:".into()).to_string(), "order:*");
    }

    #[test]
    fn a_range_contains_the_names_of_its_paths() {
        let orders = NameRange::Paths(shape("/orders/{id}"));
        assert!(orders.contains("/orders/5"));
        assert!(!orders.contains("/orders") && !orders.contains("/orders/5/lines"));
        assert!(!orders.contains("order:5"));
        let file = NameRange::Paths(shape("/export.json/{*rest}"));
        assert!(file.contains("/export") && file.contains("/export.json/1"));
        assert!(NameRange::Text("order:".into()).contains("order:5"));
        assert!(NameRange::everything().contains("/") && NameRange::everything().contains(""));
    }
}
