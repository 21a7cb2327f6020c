//! Preconditions that come from elsewhere than the fields of RFC 9110: from where a client that does not know
//! those puts the version that it saw.

use http::HeaderName;

use super::say;
use super::validator::Validator;
use super::verdict::Refusal;
use crate::http1::fields::Fields;
use crate::identify::content::{Content, Place};
use crate::identify::query;
use crate::request::entity_tag::TagCondition;

/// Where a client puts the version that it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreconditionFrom {
    /// In a parameter of the query.
    Query(String),
    /// In the body.
    Body(Place),
    /// In a field.
    Header(HeaderName),
}

impl PreconditionFrom {
    /// What it states, as a list for `If-Match`. `None`: it is missing or empty, and states nothing.
    ///
    /// # Errors
    /// If it is there twice, or the body cannot be read.
    pub fn stated(
        &self,
        validator: &Validator,
        fields: &Fields,
        query: Option<&str>,
        content: Option<&Content<'_>>,
    ) -> Result<Option<TagCondition>, Refusal> {
        let value = match self {
            PreconditionFrom::Query(name) => {
                let mut values =
                    query::values(query.unwrap_or_default(), name).map(std::borrow::Cow::into_owned);
                match (values.next(), values.next()) {
                    (value, None) => value,
                    (_, Some(_)) => return Err(say::stated_twice(name)),
                }
            }
            PreconditionFrom::Body(place) => match content {
                Some(content) => content.value(place).map_err(|why| say::unreadable(&why))?,
                None => None,
            },
            PreconditionFrom::Header(name) => {
                let mut lines = fields.get_all(name);
                match (lines.next(), lines.next()) {
                    (line, None) => line.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()),
                    (_, Some(_)) => return Err(say::stated_twice(name.as_str())),
                }
            }
        };
        let value = value.as_deref().map(str::trim).filter(|value| !value.is_empty());
        Ok(value.map(|value| TagCondition::Tags(validator.tag_of_stated(value).into_iter().collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::verdict::RefusalKind;

    fn stated(
        from: &PreconditionFrom,
        query: &str,
        line: &'static str,
    ) -> Result<Option<Vec<String>>, RefusalKind> {
        let mut fields = Fields::new();
        if !line.is_empty() {
            for line in line.split('|') {
                fields.append(HeaderName::from_static("x-version"), http::HeaderValue::from_static(line));
            }
        }
        let body = Content::of(&fields, b"{\"_rev\":\"2-a\",\"empty\":\"\",\"list\":[]}");
        match from.stated(&Validator::Version, &fields, Some(query), Some(&body)) {
            Ok(None) => Ok(None),
            Ok(Some(TagCondition::Tags(tags))) => Ok(Some(tags.iter().map(ToString::to_string).collect())),
            Ok(Some(TagCondition::Any)) => panic!("nobody states a star like this"),
            Err(refusal) => Err(refusal.kind),
        }
    }

    #[test]
    fn a_value_is_found_where_the_route_says() {
        let some = |tag: &str| Ok(Some(vec![tag.to_owned()]));
        let query = PreconditionFrom::Query("rev".into());
        assert_eq!(stated(&query, "a=1&rev=2-a", ""), some("\"2-a\""));
        assert_eq!(stated(&query, "rev=%222-a%22", ""), some("\"2-a\""));
        assert_eq!(stated(&query, "rev=", ""), Ok(None));
        assert_eq!(stated(&query, "", ""), Ok(None));
        assert_eq!(stated(&query, "rev=1&rev=2", ""), Err(RefusalKind::MalformedPrecondition));
        let field = PreconditionFrom::Header(HeaderName::from_static("x-version"));
        assert_eq!(stated(&field, "", "7"), some("\"7\""));
        assert_eq!(stated(&field, "", ""), Ok(None));
        assert_eq!(stated(&field, "", "7|8"), Err(RefusalKind::MalformedPrecondition));
        let json = |pointer: &str| {
            PreconditionFrom::Body(Place::Json(
                crate::request::json::Pointer::parse(pointer).expect("a pointer"),
            ))
        };
        assert_eq!(stated(&json("/_rev"), "", ""), some("\"2-a\""));
        assert_eq!(stated(&json("/empty"), "", ""), Ok(None));
        assert_eq!(stated(&json("/missing"), "", ""), Ok(None));
        assert_eq!(stated(&json("/list"), "", ""), Err(RefusalKind::UnreadableContent));
    }

    #[test]
    fn a_value_that_is_no_tag_is_stated_and_matches_nothing() {
        assert_eq!(stated(&PreconditionFrom::Query("rev".into()), "rev=a+b", ""), Ok(Some(vec![])));
    }
}
