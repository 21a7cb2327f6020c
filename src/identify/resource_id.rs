//! Names of resources, and the templates that make them.

use std::borrow::Cow;
use std::fmt;

use http::uri::PathAndQuery;
use smallvec::SmallVec;

use super::content::{Content, Place, Unreadable};
use super::fold::{Fold, fold_segment};
use super::query;
use super::target_path::{TargetPath, USUAL_DEPTH};

/// The name of a resource within its upstream, such as `order:17` or `/orders/17`.
#[derive(Clone, Debug)]
pub struct ResourceId(Name);

#[derive(Clone, Debug)]
enum Name {
    Text(String),
    /// The path of a request, shared with it.
    Path(PathAndQuery),
}

impl ResourceId {
    /// The name as text, for people and for the ledger's hash.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Text(text) => text,
            Name::Path(target) => target.path(),
        }
    }

    /// The canonical path of a request.
    pub fn of_path(path: &TargetPath, fold: Fold) -> Self {
        match path.plain() {
            Some(target) => ResourceId(Name::Path(target.clone())),
            None => ResourceId::from(path.folded(fold).into_owned()),
        }
    }
}

impl From<String> for ResourceId {
    fn from(name: String) -> Self {
        ResourceId(Name::Text(name))
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ResourceId {}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a route names its resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameTemplate {
    /// The canonical path.
    CanonicalPath,
    /// Text with parameters in it, such as `order:{id}`.
    Parts(Vec<NamePart>),
}

/// A piece of a [`NameTemplate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePart {
    /// Taken as it is.
    Literal(String),
    /// `{id}`: the path's segment at this index, counted from the left.
    Segment(usize),
    /// `{rest}` of a pattern that ends in `{*rest}`: the segments from this index on.
    Rest(usize),
    /// `{query.id}`: a query parameter.
    Query(String),
    /// `{body./order/id}` or `{form.id}`: a value in the request's body.
    Body(Place),
}

/// Why a request does not name a resource. The text is for the client that sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoName {
    /// A query parameter that the name needs is not there.
    MissingParameter(String),
    /// It is there more than once, and servers differ in which one they take.
    RepeatedParameter(String),
    /// A value in the body that the name needs is not there, or the body was not read.
    MissingValue(Place),
    /// The body cannot be read.
    Unreadable(Unreadable),
}

impl fmt::Display for NoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoName::MissingParameter(name) => {
                write!(f, "no query parameter `{name}`, which names the resource here")
            }
            NoName::RepeatedParameter(name) => {
                write!(f, "the query parameter `{name}`, which names the resource here, more than once")
            }
            NoName::MissingValue(place) => {
                write!(f, "no value at `{place}` in its content, which names the resource here")
            }
            NoName::Unreadable(why) => write!(f, "content that names the resource here and {why}"),
        }
    }
}

impl NameTemplate {
    /// Names the resource of a request.
    ///
    /// # Errors
    /// If a parameter or a value that the template uses is missing, repeated or cannot be read.
    pub fn name(
        &self,
        path: &TargetPath,
        query: Option<&str>,
        content: Option<&Content<'_>>,
        fold: Fold,
    ) -> Result<ResourceId, NoName> {
        if *self == NameTemplate::CanonicalPath {
            return Ok(ResourceId::of_path(path, fold));
        }
        let segments: SmallVec<[Cow<'_, str>; USUAL_DEPTH]> = path.segments(fold).collect();
        let name = self.put_together(&segments, query, content, &|value| folded_value(value, fold))?;
        Ok(ResourceId::from(name))
    }

    fn put_together(
        &self,
        segments: &[Cow<'_, str>],
        query: Option<&str>,
        content: Option<&Content<'_>>,
        folded: &dyn Fn(&str) -> String,
    ) -> Result<String, NoName> {
        let parts = match self {
            NameTemplate::CanonicalPath => &[][..],
            NameTemplate::Parts(parts) => parts,
        };
        // All of it at once: a name that grows is moved.
        let mut name = String::with_capacity(parts.iter().map(|part| part.room(segments, query)).sum());
        for part in parts {
            match part {
                NamePart::Literal(text) => name.push_str(text),
                NamePart::Segment(at) => name.push_str(segments.get(*at).map_or("", |segment| segment)),
                NamePart::Rest(from) => {
                    for (i, segment) in segments.iter().skip(*from).enumerate() {
                        name.push_str(if i == 0 { "" } else { "/" });
                        name.push_str(segment);
                    }
                }
                NamePart::Query(parameter) => name.push_str(&folded(&query_value(parameter, query)?)),
                NamePart::Body(place) => name.push_str(&folded(&body_value(place, content)?)),
            }
        }
        Ok(name)
    }
}

impl NameTemplate {
    /// The name as a request spells it: nothing is folded, so that two spellings of one name are two. The path
    /// itself where the name is the path.
    ///
    /// # Errors
    /// If a parameter or a value that the template uses is missing, repeated or cannot be read.
    pub fn spelled(
        &self,
        path: &TargetPath,
        target: &PathAndQuery,
        content: Option<&Content<'_>>,
    ) -> Result<String, NoName> {
        match self {
            NameTemplate::CanonicalPath => Ok(target.path().to_owned()),
            NameTemplate::Parts(_) => {
                let spelled: SmallVec<[Cow<'_, str>; USUAL_DEPTH]> =
                    path.spelled_segments().map(Cow::Borrowed).collect();
                self.put_together(&spelled, target.query(), content, &|value| value.to_owned())
            }
        }
    }

    /// Whether it needs the request's body.
    pub fn reads_body(&self) -> bool {
        match self {
            NameTemplate::CanonicalPath => false,
            NameTemplate::Parts(parts) => parts.iter().any(|part| matches!(part, NamePart::Body(_))),
        }
    }
}

impl NamePart {
    /// How many bytes it can take in a name; a folded value may take a few more.
    fn room(&self, segments: &[Cow<'_, str>], query: Option<&str>) -> usize {
        match self {
            NamePart::Literal(text) => text.len(),
            NamePart::Segment(at) => segments.get(*at).map_or(0, |segment| segment.len()),
            NamePart::Rest(from) => segments.iter().skip(*from).map(|segment| segment.len() + 1).sum(),
            NamePart::Query(_) => query.map_or(0, str::len),
            NamePart::Body(_) => 16,
        }
    }
}

fn query_value<'q>(parameter: &str, query: Option<&'q str>) -> Result<Cow<'q, str>, NoName> {
    let mut values = query::values(query.unwrap_or_default(), parameter);
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (Some(_), Some(_)) => Err(NoName::RepeatedParameter(parameter.to_owned())),
        (None, _) => Err(NoName::MissingParameter(parameter.to_owned())),
    }
}

fn body_value(place: &Place, content: Option<&Content<'_>>) -> Result<String, NoName> {
    let found = content.map(|content| content.value(place)).transpose().map_err(NoName::Unreadable)?;
    found.flatten().ok_or_else(|| NoName::MissingValue(place.clone()))
}

/// Beside a path: a dot or a semicolon in it means nothing further.
fn folded_value(value: &str, fold: Fold) -> String {
    fold_segment(value, Fold { format_suffix: false, parameters: false, ..fold }, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(parts: Vec<NamePart>, path: &str, query: Option<&str>) -> Result<String, NoName> {
        NameTemplate::Parts(parts)
            .name(&TargetPath::parse(path), query, None, Fold::default())
            .map(|id| id.to_string())
    }

    #[test]
    fn a_name_takes_path_and_query_parameters() {
        let parts = vec![NamePart::Literal("order:".into()), NamePart::Segment(1)];
        assert_eq!(name(parts.clone(), "/orders/017", None), Ok("order:17".into()));
        assert_eq!(name(parts, "/x/../ORDERS//17/", None), Ok("order:17".into()));
        assert_eq!(
            name(vec![NamePart::Query("id".into())], "/api", Some("action=show&id=05")),
            Ok("5".into())
        );
        assert_eq!(name(vec![NamePart::Rest(1)], "/files/A/b.", None), Ok("a/b".into()));
    }

    #[test]
    fn a_spelled_name_is_another_for_another_spelling_and_the_same_wherever_it_stands() {
        let spelled = |template: &NameTemplate, target: &str, body: &[u8]| {
            let target = PathAndQuery::try_from(target).expect("a target");
            let fields = crate::http1::fields::Fields::new();
            let content = Content::of(&fields, body);
            template.spelled(&TargetPath::of(&target), &target, Some(&content)).expect("a name")
        };
        let path = NameTemplate::CanonicalPath;
        assert_eq!(spelled(&path, "/Items//01?x=1", b""), "/Items//01");
        let order = |part| NameTemplate::Parts(vec![NamePart::Literal("order:".into()), part]);
        assert_eq!(spelled(&order(NamePart::Segment(1)), "/orders/017/", b""), "order:017");
        let query = order(NamePart::Query("id".into()));
        assert_eq!(spelled(&query, "/api?id=05", b""), "order:05");
        let id = Place::Json(crate::request::json::Pointer::parse("/id").expect("a pointer"));
        let body = order(NamePart::Body(id));
        assert_eq!(spelled(&body, "/update", b"{\"id\":5}"), spelled(&query, "/api?id=5", b""));
        assert_ne!(spelled(&body, "/update", b"{\"id\":\"05\"}"), spelled(&query, "/api?id=5", b""));
    }

    #[test]
    fn a_name_takes_values_of_the_body() {
        let id = Place::Json(crate::request::json::Pointer::parse("/orderId").expect("a pointer"));
        let template =
            NameTemplate::Parts(vec![NamePart::Literal("order:".into()), NamePart::Body(id.clone())]);
        let named = |body: &[u8]| {
            let fields = crate::http1::fields::Fields::new();
            let (path, content) = (TargetPath::parse("/updateOrder"), Content::of(&fields, body));
            template.name(&path, None, Some(&content), Fold::default()).map(|id| id.to_string())
        };
        assert_eq!(named(br#"{"orderId": 5}"#), Ok("order:5".into()));
        assert_eq!(named(br#"{"orderId": "05"}"#), Ok("order:5".into()), "folded as paths are");
        assert_eq!(named(br#"{"id": 5}"#), Err(NoName::MissingValue(id.clone())));
        assert_eq!(named(b""), Err(NoName::MissingValue(id)));
        assert!(matches!(named(b"{"), Err(NoName::Unreadable(_))));
    }

    #[test]
    fn a_missing_or_repeated_parameter_names_nothing() {
        let parts = || vec![NamePart::Query("id".into())];
        assert_eq!(name(parts(), "/api", None), Err(NoName::MissingParameter("id".into())));
        assert_eq!(name(parts(), "/api", Some("id=1&ID=2")), Err(NoName::RepeatedParameter("id".into())));
    }
}
