//! `[[routes.translate]]`: conflicts that the origin found, and told badly.

use http::StatusCode;
use regex::Regex;

use crate::identify::content::Content;
use crate::request::json::{Json, Pointer};

/// An answer to a write that means a conflict.
#[derive(Clone, Debug)]
pub struct Translate {
    /// It has one of these statuses.
    pub statuses: Vec<StatusCode>,
    /// Its JSON has this member, and it is not null.
    pub field: Option<Pointer>,
    /// Found in that member's value or, without one, in the body's text.
    pub pattern: Option<Regex>,
    /// Whether it proves that nothing was applied.
    pub not_applied: bool,
}

impl Translate {
    /// Whether an answer means this conflict. One that cannot be read does not.
    pub fn fits(&self, status: StatusCode, content: &Content<'_>) -> bool {
        if !self.statuses.contains(&status) {
            return false;
        }
        match (&self.field, &self.pattern) {
            (None, None) => false,
            (None, Some(pattern)) => content.text().is_ok_and(|text| pattern.is_match(&text)),
            (Some(field), pattern) => {
                let found = content.json().ok().and_then(|json| json.at(field));
                found.is_some_and(|found| match pattern {
                    Some(pattern) => found.scalar().is_some_and(|text| pattern.is_match(text)),
                    None => *found != Json::Null,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use crate::http1::fields::Fields;

    use super::*;

    fn rule(field: Option<&str>, pattern: Option<&str>) -> Translate {
        Translate {
            statuses: vec![StatusCode::INTERNAL_SERVER_ERROR],
            field: field.map(|text| Pointer::parse(text).expect("a pointer")),
            pattern: pattern.map(|text| Regex::new(text).expect("a pattern")),
            not_applied: false,
        }
    }

    #[test]
    fn status_member_and_pattern_decide_together() {
        let none = Fields::new();
        let by_text = rule(None, Some("(?i)duplicate key"));
        let by_member = rule(Some("/error/code"), None);
        let by_both = rule(Some("/error/code"), Some("^E11000$"));
        for (rule, status, body, fits) in [
            (&by_text, 500, "ERROR: Duplicate Key value", true),
            (&by_text, 500, "out of memory", false),
            (&by_text, 400, "duplicate key", false),
            (&by_member, 500, "{\"error\":{\"code\":7}}", true),
            (&by_member, 500, "{\"error\":{\"code\":null}}", false),
            (&by_member, 500, "no json", false),
            (&by_both, 500, "{\"error\":{\"code\":\"E11000\"}}", true),
            (&by_both, 500, "{\"error\":{\"code\":\"E11001\",\"x\":\"E11000\"}}", false),
            (&by_both, 500, "{\"error\":{\"code\":{}}}", false),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(rule.fits(status, &Content::of(&none, body.as_bytes())), fits, "{rule:?} {body}");
        }
        let latin = Content::of(&none, b"duplicate key: M\xfcller");
        assert!(by_text.fits(StatusCode::INTERNAL_SERVER_ERROR, &latin), "not all is UTF-8");
        let coded = [(header::CONTENT_ENCODING, "gzip".parse().expect("a value"))].into_iter().collect();
        assert!(!by_text.fits(StatusCode::INTERNAL_SERVER_ERROR, &Content::of(&coded, b"duplicate key")));
    }
}
