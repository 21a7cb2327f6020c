//! What a request is aimed at: the path to match, the host to match, the target to forward.

use std::net::Ipv6Addr;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, Version, header};

use crate::decide::say;
use crate::decide::verdict::Refusal;
use crate::http1::fields::{FieldValue, Fields};
use crate::http1::message::RequestParts;
use crate::identify::route_table::canonical_host;
use crate::identify::target_path::TargetPath;

/// The target of a request (RFC 9112 section 3.2).
pub struct Target {
    /// The path, taken apart.
    pub path: TargetPath,
    /// Path and query as the client spelled them.
    pub spelled: PathAndQuery,
    /// The host that it is for, as the client spelled it. Text.
    pub host: Option<HeaderValue>,
    /// Whether it came in origin-form.
    pub origin_form: bool,
}

impl Target {
    /// Reads a request's target and host.
    ///
    /// # Errors
    /// If there is no path in it, or a fragment, or the host is missing, repeated or contradicts the target
    /// (RFC 9112 section 3.2).
    pub fn read(request: &RequestParts) -> Result<Self, Refusal> {
        if request.has_fragment {
            return Err(say::ambiguous("a fragment (`#`), which belongs to links and not to requests"));
        }
        let (mut hosts, mut codings) = (Lines::None, Lines::None);
        for (name, value) in &request.headers {
            match *name {
                header::HOST => hosts = hosts.and(value),
                header::TRANSFER_ENCODING => codings = codings.and(value),
                _ => {}
            }
        }
        if !codings.are_chunked_at_most() {
            return Err(say::ambiguous("a Transfer-Encoding beside it that is not just `chunked`"));
        }
        let uri = &request.uri;
        let spelled = match uri.path_and_query() {
            Some(spelled) if spelled.as_str().starts_with('/') && request.method != Method::CONNECT => {
                spelled.clone()
            }
            Some(_) | None => return Err(say::ambiguous("no path that begins with a slash")),
        };
        let in_target = uri.authority().map(Authority::as_str);
        if in_target.is_some_and(|authority| authority.contains('@')) {
            return Err(say::ambiguous("a user name in it"));
        }
        if in_target.is_some_and(|authority| !is_host(authority.as_bytes())) {
            return Err(say::ambiguous("a host that is none"));
        }
        let in_field = host_field(hosts, request)?;
        if let (Some(target), Some(field)) = (in_target, text_of(in_field.as_ref()))
            && canonical_host(target) != canonical_host(field)
        {
            return Err(say::ambiguous("a host that differs from the one in the field Host"));
        }
        Ok(Target {
            path: TargetPath::of(&spelled),
            spelled,
            origin_form: uri.scheme().is_none() && in_target.is_none(),
            host: in_target.and_then(|host| HeaderValue::try_from(host).ok()).or(in_field),
        })
    }

    /// The host that it is for.
    pub fn host(&self) -> Option<&str> {
        text_of(self.host.as_ref())
    }

    /// The query, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.spelled.query()
    }
}

/// The lines of a field that may have one.
#[derive(Clone, Copy)]
enum Lines<'f> {
    None,
    One(FieldValue<'f>),
    Several,
}

impl<'f> Lines<'f> {
    fn and(self, line: FieldValue<'f>) -> Self {
        match self {
            Lines::None => Lines::One(line),
            Lines::One(_) | Lines::Several => Lines::Several,
        }
    }

    /// As those of `Transfer-Encoding`.
    fn are_chunked_at_most(self) -> bool {
        match self {
            Lines::None => true,
            Lines::One(only) => only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
            Lines::Several => false,
        }
    }
}

/// A transfer coding other than chunked would be taken off on the way without being undone: the origin
/// would store coded bytes as if they were the content (RFC 9112 section 6.1).
pub(super) fn is_chunked_at_most(fields: &Fields) -> bool {
    fields.get_all(header::TRANSFER_ENCODING).fold(Lines::None, Lines::and).are_chunked_at_most()
}

fn text_of(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

fn host_field(hosts: Lines<'_>, request: &RequestParts) -> Result<Option<HeaderValue>, Refusal> {
    match hosts {
        Lines::Several => Err(say::ambiguous("more than one field Host beside it")),
        Lines::One(host) if host.is_empty() || is_host(host.as_bytes()) => {
            Ok(request.headers.get_owned(header::HOST))
        }
        Lines::One(_) => Err(say::ambiguous("a field Host beside it that is not a host")),
        Lines::None if request.version == Version::HTTP_11 => {
            Err(say::ambiguous("no field Host beside it, which HTTP/1.1 requires"))
        }
        Lines::None => Ok(None),
    }
}

/// Whether a text is a host and perhaps a port (RFC 9110 section 4.2.1), as they are registered and
/// resolved: without the further characters and the percent-encodings that RFC 3986 allows, which servers
/// read differently.
fn is_host(text: &[u8]) -> bool {
    let (host, port) = match text.iter().rposition(|b| *b == b':').and_then(|at| text.split_at_checked(at)) {
        Some((host, [_colon, port @ ..])) if !port.ends_with(b"]") => (host, port),
        Some(_) | None => (text, &[][..]),
    };
    let is_named = match host {
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
        }
        name => name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')),
    };
    is_named && !host.is_empty() && port.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in ["a", "a.b-c_d.", "A:80", "a:", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:443"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for other in [
            "", ":80", "a b", "a,b", "u@a", "a/b", "a#", "a?", "a\\b", "a:b", "a:1:2", "::1", "[::1", "[a]",
            "%61", "<a>",
        ] {
            assert!(!is_host(other.as_bytes()), "{other}");
        }
    }
}
