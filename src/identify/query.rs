//! Query and form parameters, for names and method overrides.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The values of a parameter, decoded (`application/x-www-form-urlencoded`). Names are compared
/// without regard to letter case, and separated by semicolons too, as the most lenient servers do.
pub fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Cow<'q, str>> {
    query
        .split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(move |(key, _)| decode(key).eq_ignore_ascii_case(name))
        .map(|(_, value)| decode(value))
}

/// The query without a parameter, the rest as it was spelled.
pub fn without(query: &str, name: &str) -> String {
    let stays =
        |pair: &&str| !decode(pair.split_once('=').map_or(*pair, |(key, _)| key)).eq_ignore_ascii_case(name);
    query.split('&').filter(stays).collect::<Vec<_>>().join("&")
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
    }
}
