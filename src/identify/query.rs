//! Query and form parameters, for names and method overrides.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What separates parameters; a semicolon only to the most lenient servers.
const SEPARATORS: [char; 2] = ['&', ';'];

/// The values of a parameter, decoded (`application/x-www-form-urlencoded`), under every name that some
/// server takes for its own: in any letter case, with blanks around it, with a dot or a blank for an
/// underscore (PHP), with a subscript behind it (PHP, Express).
pub fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Cow<'q, str>> {
    query
        .split(SEPARATORS)
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(move |(key, _)| is_named(key, name))
        .map(|(_, value)| decode(value))
}

/// The query without a parameter, the rest as it was spelled. [`values`] finds none of it there.
pub fn without(query: &str, name: &str) -> String {
    let mut kept = String::with_capacity(query.len());
    let mut ends_open = false;
    for piece in query.split_inclusive(SEPARATORS) {
        let pair = piece.strip_suffix(SEPARATORS).unwrap_or(piece);
        let key = pair.split_once('=').map_or(pair, |(key, _)| key);
        let goes = is_named(key, name);
        if !goes {
            kept.push_str(piece);
        }
        ends_open = goes && pair.len() == piece.len();
    }
    if ends_open {
        kept.pop();
    }
    kept
}

fn is_named(key: &str, name: &str) -> bool {
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    let underscored = |c: char| if matches!(c, ' ' | '.') { '_' } else { c.to_ascii_lowercase() };
    let decoded = decode(key);
    let until_nul = decoded.trim_start_matches(is_blank).split('\0').next().unwrap_or_default();
    let bare = match until_nul.split_once('[') {
        Some((bare, _)) if !name.contains('[') => bare,
        Some(_) | None => until_nul,
    };
    bare.trim_end_matches(is_blank).chars().map(underscored).eq(name.chars().map(underscored))
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_however_it_is_spelled() {
        let found: Vec<_> = values("a=1&I%64=x+y&id=%7A&id", "id").collect();
        assert_eq!(found, ["x y", "z", ""]);
    }

    #[test]
    fn a_parameter_is_found_under_every_name_that_some_server_takes_for_it() {
        for key in [
            "_method",
            "_METHOD",
            "+_method",
            "%0d%0a_method",
            ".method",
            "+.method",
            "_method[]",
            "_method%5B0%5D",
            "_method%00x",
            "_method%20",
        ] {
            assert!(is_named(key, "_method"), "{key}");
        }
        for key in ["method", "__method", "_metho", "_methods", "x_method", "[_method]", ""] {
            assert!(!is_named(key, "_method"), "{key}");
        }
        assert!(is_named("item.id", "item.id") && is_named("f[id]", "f[id]") && !is_named("f[x]", "f[id]"));
    }

    #[test]
    fn a_parameter_is_left_out_however_it_is_spelled() {
        assert_eq!(without("a=%20&I%64=x&b&&ID", "id"), "a=%20&b&");
        assert_eq!(without("id=1", "id"), "");
        assert_eq!(without("a=1;id=2", "id"), "a=1");
        assert_eq!(without("id=2;a=1;;", "id"), "a=1;;");
        assert_eq!(without("id=1&b", "id"), "b");
        assert_eq!(without("a&id&", "id"), "a&");
    }

    // The origin is asked about a resource with the query of the write, less its `_method`. Where a
    // semicolon stood before it, it was found as an override and then left in: the question could have been
    // carried out as the DELETE that it names.
    #[test]
    fn what_is_found_behind_a_semicolon_is_left_out_there_too() {
        assert_eq!(values("a=1;_method=DELETE", "_method").next().as_deref(), Some("DELETE"));
        assert_eq!(without("a=1;_method=DELETE", "_method"), "a=1");
        assert_eq!(without("_METHOD=x;a=1;%5Fmethod=y&b", "_method"), "a=1;b");
    }
}
