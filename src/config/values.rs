//! Single values: from text to types that cannot be wrong. Pure.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use regex::Regex;

use super::checked::Via;
use super::nearest::nearest;
use crate::identify::route_table::HostPattern;
use crate::request::json::Pointer;

/// What is wrong with a value: what was found, and what was meant if that can be told. What was
/// expected is known from the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) found: String,
    pub(super) expected: Option<String>,
    pub(super) nearest: Option<String>,
}

impl Mistake {
    pub(super) fn found(found: impl Into<String>) -> Self {
        Mistake { found: found.into(), expected: None, nearest: None }
    }

    /// For where the key's own words are too general.
    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn meant(mut self, nearest: Option<String>) -> Self {
        self.nearest = nearest;
        self
    }
}

/// A text as it is shown in messages: quoted, without control characters, not endless.
pub(super) fn quote(text: &str) -> String {
    /// Enough to recognise it.
    const SHOWN: usize = 60;
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let shown: String = text.chars().take(SHOWN).map(escape).collect();
    let more = if text.chars().count() > SHOWN { "..." } else { "" };
    format!("\"{shown}{more}\"")
}

/// A number and its unit: `"5s"` is 5 and `s`.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit))
}

/// `"250ms"`, `"5s"`, `"1m"`, `"1h"`.
pub(super) fn duration(text: &str) -> Result<Duration, Mistake> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    scaled(text, &UNITS).map(Duration::from_millis)
}

/// `"512B"`, `"64KiB"`, `"1MiB"`, `"1GiB"`; `"kB"`, `"MB"` and `"GB"` are powers of ten.
pub(super) fn size(text: &str) -> Result<u64, Mistake> {
    const UNITS: [(&str, u64); 7] = [
        ("B", 1),
        ("kB", 1_000),
        ("KiB", 1 << 10),
        ("MB", 1_000_000),
        ("MiB", 1 << 20),
        ("GB", 1_000_000_000),
        ("GiB", 1 << 30),
    ];
    scaled(text, &UNITS)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Result<u64, Mistake> {
    let quoted = quote(text);
    let (number, unit) = split_unit(text)
        .ok_or_else(|| Mistake::found(format!("{quoted} is not a whole number and a unit")))?;
    if unit.is_empty() {
        return Err(Mistake::found(format!("{quoted} has no unit")));
    }
    let scale = units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale).ok_or_else(|| {
        // "5 s", "5S", "64kib": the unit is known, only not in this spelling.
        let plain = unit.trim();
        let near = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(plain));
        Mistake::found(format!("{quoted} has the unknown unit {}", quote(unit)))
            .meant(near.map(|(name, _)| quote(&format!("{number}{name}"))))
    })?;
    number.checked_mul(scale).ok_or_else(|| Mistake::found(format!("{quoted} is too large")))
}

/// An IP address and port to listen on.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Mistake> {
    text.parse().map_err(|_| {
        let quoted = quote(text);
        if text.parse::<IpAddr>().is_ok() {
            return Mistake::found(format!("{quoted} has no port"));
        }
        let meant = text
            .strip_prefix("localhost:")
            .map(|port| quote(&format!("127.0.0.1:{port}")))
            .or_else(|| text.strip_prefix(':').map(|port| quote(&format!("0.0.0.0:{port}"))));
        Mistake::found(format!("{quoted} is not an IP address and port")).meant(meant)
    })
}

/// `host:port` of a server: a name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn host_port(text: &str) -> Result<String, Mistake> {
    let quoted = quote(text);
    let wrong = |what: &str| Mistake::found(format!("{quoted} {what}"));
    if let Some((scheme, rest)) = text.split_once("://") {
        let bare = rest.split('/').next().unwrap_or_default();
        let meant = (host_port(bare).is_ok() && scheme == "http").then(|| quote(bare));
        return Err(wrong("has a scheme").meant(meant));
    }
    if text.contains('/') {
        let bare = text.split('/').next().unwrap_or_default();
        return Err(wrong("has a path").meant(host_port(bare).is_ok().then(|| quote(bare))));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(wrong("is an IPv6 address without brackets and port"));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.ends_with(']') => (host, port),
        Some(("", _)) => return Err(wrong("has no host")),
        Some(_) | None => return Err(wrong("has no port")),
    };
    let number = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse::<u16>().ok()).flatten();
    match number {
        None | Some(0) => return Err(wrong("has no port from 1 to 65535")),
        Some(_) => {}
    }
    let bracketed = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let valid = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    if valid { Ok(text.to_owned()) } else { Err(wrong("has a host that is neither a name nor an address")) }
}

/// Letters, digits, hyphens and underscores between dots (RFC 1123 section 2.1, and the underscores
/// of container names). A name whose last part is all digits would be an address that is not one.
fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    let bare = host.strip_suffix('.').unwrap_or(host);
    let numeric = bare.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    bare.len() <= 253 && bare.split('.').all(label) && (!numeric || host.parse::<IpAddr>().is_ok())
}

/// A host that a route is for: `api.example.com`, `*.example.com`, an address.
pub(super) fn host_pattern(text: &str) -> Result<HostPattern, Mistake> {
    let quoted = quote(text);
    let wrong = |what: &str| Mistake::found(format!("{quoted} {what}"));
    if text.contains("://") || text.contains('/') {
        return Err(wrong("is more than a host"));
    }
    let v6 = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = v6.parse::<Ipv6Addr>() {
        return Ok(HostPattern::Exact(address.to_string()));
    }
    if let Some((host, _)) = text.rsplit_once(':') {
        return Err(wrong("has a port, which does not count").meant(Some(quote(host))));
    }
    let canonical = |host: &str| host.trim_end_matches('.').to_ascii_lowercase();
    match text.strip_prefix("*.") {
        Some(parent) if is_host_name(parent) => Ok(HostPattern::Below(canonical(parent))),
        None if is_host_name(text) => Ok(HostPattern::Exact(canonical(text))),
        Some(_) | None => Err(wrong("is not a host")),
    }
}

/// A method, in the spelling that methods have (RFC 9110 section 9.1: case-sensitive).
pub(super) fn method(text: &str) -> Result<Method, Mistake> {
    const KNOWN: [&str; 17] = [
        "GET",
        "HEAD",
        "PUT",
        "PATCH",
        "DELETE",
        "POST",
        "QUERY",
        "SEARCH",
        "REPORT",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "MKCALENDAR",
    ];
    let quoted = quote(text);
    let upper = text.to_ascii_uppercase();
    if matches!(upper.as_str(), "OPTIONS" | "TRACE" | "CONNECT") {
        return Err(Mistake::found(format!("{quoted} neither reads nor changes a resource"))
            .expected("methods other than OPTIONS, TRACE and CONNECT"));
    }
    if upper != text {
        let meant = nearest(&upper, KNOWN).unwrap_or(&upper);
        return Err(Mistake::found(format!("{quoted} is not in capitals")).meant(Some(quote(meant))));
    }
    // A method of somebody's own is fine; one letter beside a known one is a slip.
    let slip = KNOWN.into_iter().find(|known| strsim::osa_distance(text, known) == 1);
    match slip {
        Some(known) if !KNOWN.contains(&text) => {
            Err(Mistake::found(format!("{quoted} is not a known method")).meant(Some(quote(known))))
        }
        Some(_) | None => Method::from_bytes(text.as_bytes())
            .map_err(|_| Mistake::found(format!("{quoted} is not a method"))),
    }
}

/// A field's name, which compares without regard to letter case.
pub(super) fn field_name(text: &str) -> Result<HeaderName, Mistake> {
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Mistake::found(format!("{} is not a field name", quote(text))))
}

/// RFC 6901: where a value stands in a JSON document.
pub(super) fn json_pointer(text: &str) -> Result<Pointer, Mistake> {
    Pointer::parse(text).ok_or_else(|| {
        Mistake::found(format!("{} is not a JSON pointer", quote(text)))
            .expected("a JSON pointer (RFC 6901), like \"/order/id\"")
    })
}

/// A form field's name.
pub(super) fn form_field(text: &str) -> Result<String, Mistake> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Mistake::found(format!("{} is not the name of a form field", quote(text))));
    }
    Ok(text.to_owned())
}

/// RFC 6265 section 4.1.1: a cookie's name is a token.
pub(super) fn cookie_name(text: &str) -> Result<String, Mistake> {
    if is_token(text) {
        Ok(text.to_owned())
    } else {
        Err(Mistake::found(format!("{} is not a cookie name", quote(text))))
    }
}

/// The pseudonym of RFC 9110 section 7.6.3.
pub(super) fn pseudonym(text: &str) -> Result<Via, Mistake> {
    let wrong = || Mistake::found(format!("{} is not a token", quote(text)));
    let value = |protocol| HeaderValue::try_from(format!("{protocol} {text}")).map_err(|_| wrong());
    if is_token(text) { Ok(Via { http_10: value("1.0")?, http_11: value("1.1")? }) } else { Err(wrong()) }
}

fn is_token(text: &str) -> bool {
    // RFC 9110 section 5.6.2.
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(tchar)
}

/// A name that may be a metrics label and stand in a key.
pub(super) fn label(text: &str) -> Result<String, Mistake> {
    let foreign = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')));
    let found = match (text.len(), foreign) {
        (1..=64, None) => return Ok(text.to_owned()),
        (0, _) => "is empty".to_owned(),
        (_, Some(foreign)) => format!("has the character {}", quote(&foreign.to_string())),
        (length, None) => format!("is {length} bytes long"),
    };
    Err(Mistake::found(format!("{} {found}", quote(text))))
}

/// A regular expression that has to match a whole value.
pub(super) fn whole_value(text: &str) -> Result<Regex, Mistake> {
    // Alone first: what is wrong with it must not be mended by the parentheses around it.
    expression(text)?;
    Regex::new(&format!(r"\A(?:{text})\z")).map_err(|error| no_expression(text, &error))
}

/// A regular expression. The crate matches in linear time, whatever is matched.
pub(super) fn expression(text: &str) -> Result<Regex, Mistake> {
    Regex::new(text).map_err(|error| no_expression(text, &error))
}

fn no_expression(text: &str, error: &regex::Error) -> Mistake {
    let told = error.to_string();
    let last = told.lines().last().unwrap_or_default().trim();
    let reason = last.strip_prefix("error: ").unwrap_or(last);
    Mistake::found(format!("{} is not a regular expression: {reason}", quote(text)))
}

/// A text that says something.
pub(super) fn some_text(text: &str) -> Result<String, Mistake> {
    if text.is_empty() {
        return Err(Mistake::found("\"\" is empty"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("2kB"), Ok(2_000));
        for text in ["", "5", "s", "5 s", "1.5s", "-1s", "1m30s", "5S", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("18446744073709551615h").expect_err("overflow").found.contains("too large"));
        assert_eq!(size("1Mib").expect_err("unit").nearest.as_deref(), Some("\"1MiB\""));
    }

    #[test]
    fn servers_are_names_or_addresses_with_a_port() {
        for text in ["10.0.0.5:3000", "[::1]:80", "api.internal:65535", "my_service:1", "localhost:80"] {
            assert_eq!(host_port(text), Ok(text.to_owned()));
        }
        for text in
            ["", "a", ":80", "a:0", "a:65536", "a:+1", "::1", "[::1]", "[a]:1", "a b:1", "300.1.1.1:1"]
        {
            assert!(host_port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_kept_in_their_canonical_spelling() {
        assert_eq!(host_pattern("API.example.com."), Ok(HostPattern::Exact("api.example.com".into())));
        assert_eq!(host_pattern("*.Example.com"), Ok(HostPattern::Below("example.com".into())));
        assert_eq!(host_pattern("[::1]"), Ok(HostPattern::Exact("::1".into())));
        for text in ["", "*", "*.", "a:80", "http://a", "a/b", "a.*.b", "-a"] {
            assert!(host_pattern(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_holds_the_whole_value() {
        let pattern = whole_value("[0-9]+|x").expect("a pattern");
        assert!(pattern.is_match("12") && pattern.is_match("x"));
        assert!(!pattern.is_match("12\n") && !pattern.is_match("ax") && !pattern.is_match("12a"));
        assert!(whole_value("a)|(b").is_err());
    }

    #[test]
    fn a_method_of_somebodys_own_is_taken_and_a_slip_is_not() {
        assert!(method("PURGE").is_ok() && method("PROPFIND").is_ok());
        assert!(method("put").is_err() && method("PTU").is_err() && method("A B").is_err());
        assert!(method("OPTIONS").is_err());
    }
}
