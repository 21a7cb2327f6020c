//! Query and form parameters, for names and method overrides.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What stands between two pairs to one server or another.
const SEPARATORS: [char; 2] = ['&', ';'];

/// The values of a parameter, decoded (`application/x-www-form-urlencoded`). Names are compared
/// without regard to letter case, and separated by semicolons too, as the most lenient servers do.
pub fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Cow<'q, str>> {
    query
        .split(SEPARATORS)
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(move |(key, _)| decode(key).eq_ignore_ascii_case(name))
        .map(|(_, value)| decode(value))
}

/// The query without a parameter, the rest as it was spelled. [`values`] finds none of it there.
pub fn without(query: &str, name: &str) -> String {
    let key = |pair: &str| decode(pair.split_once('=').map_or(pair, |(key, _)| key)).into_owned();
    let stays = |pair: &&str| !key(pair.trim_end_matches(SEPARATORS)).eq_ignore_ascii_case(name);
    let mut rest: String = query.split_inclusive(SEPARATORS).filter(stays).collect();
    let last = query.rsplit(SEPARATORS).next().unwrap_or_default();
    if !last.is_empty() && !stays(&last) {
        // What stood before it goes with it.
        rest.pop();
    }
    rest
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
    fn a_parameter_is_left_out_however_it_is_spelled() {
        assert_eq!(without("a=%20&I%64=x&b&&ID", "id"), "a=%20&b&");
        assert_eq!(without("id=1", "id"), "");
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
