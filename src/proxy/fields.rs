//! Fields on their way: what a proxy must remove, what it adds, and what must not reach the origin.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use crate::config::checked::{Server, XForwarded};
use crate::request::method::{is_override_field, is_spelled_as};
use crate::request::preconditions::CONDITIONAL_FIELDS;

/// RFC 9110 section 7.6.1: for one connection only.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Fields that some frameworks take another target from: an origin with managed resources is to see the
/// target that was judged, or that was found to need no judgement. Spelled with underscores too.
const OTHER_TARGETS: [&str; 8] = [
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-rewrite-uri",
    "x-forwarded-uri",
    "x-forwarded-path",
    "x-http-destinationurl",
    "x-accel-redirect",
];

/// What must not come behind the content, where a request was judged without it: an origin that takes
/// trailer fields for fields of the head would do something else (RFC 9110 section 6.5.1).
const NEVER_TRAILING: [HeaderName; 17] = [
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::EXPECT,
    header::FORWARDED,
    header::HOST,
    header::MAX_FORWARDS,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::TRAILER,
    HeaderName::from_static("destination"),
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What an upgrade asks for, if the request is one and its route lets it pass. `beside_managed`: to an
/// origin with managed resources only to WebSocket, for within HTTP/2 or TLS there could be writes to them.
pub fn upgrade_of(fields: &HeaderMap, beside_managed: bool) -> Option<HeaderValue> {
    let asks = nominated(fields).any(|name| name.eq_ignore_ascii_case("upgrade"));
    let passes =
        |protocol: &&HeaderValue| !beside_managed || protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    fields.get(header::UPGRADE).filter(|_| asks).filter(passes).cloned()
}

/// The trailer fields that may go on to the origin.
pub fn trailers_to_origin(trailers: &HeaderMap) -> HeaderMap {
    copy(trailers, |name| {
        HOP_BY_HOP.contains(name)
            || NEVER_TRAILING.contains(name)
            || CONDITIONAL_FIELDS.contains(name)
            || is_override_field(name)
            || names_another_target(name)
    })
}

fn names_another_target(name: &HeaderName) -> bool {
    OTHER_TARGETS.iter().any(|field| is_spelled_as(name, field))
}

/// How a request's fields are changed on their way to the origin.
pub struct RequestEdit<'e> {
    /// Fields that stay behind, besides those of one connection.
    pub without: &'e [HeaderName],
    /// Whether fields that name another target stay behind too.
    pub managed: bool,
    /// The upgrade to ask for.
    pub upgrade: Option<HeaderValue>,
    /// Whether the origin is asked to close the connection after its answer.
    pub last: bool,
    /// The client.
    pub peer: Option<IpAddr>,
    /// The host that the client asked for.
    pub host: Option<&'e str>,
    /// The origin's own, for a client of HTTP/1.0 that asked for none: every HTTP/1.1 request has a
    /// field Host (RFC 9112 section 3.2).
    pub own_host: Option<&'e str>,
    /// The version that the request came in.
    pub version: Version,
    /// What is configured.
    pub server: &'e Server,
}

/// The fields that the origin gets, in the order in which the client sent them.
pub fn to_origin(fields: &HeaderMap, edit: &RequestEdit<'_>) -> HeaderMap {
    let stays = |name: &HeaderName| {
        is_for_one_connection(fields, name)
            || edit.without.contains(name)
            || (edit.managed && names_another_target(name))
            || (edit.server.x_forwarded == XForwarded::Replace
                && [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO].contains(name))
    };
    let mut sent = copy(fields, stays);
    if let Some(host) = edit.host.or(edit.own_host).and_then(|host| HeaderValue::try_from(host).ok())
        && !sent.contains_key(header::HOST)
    {
        sent.insert(header::HOST, host);
    }
    let mut connection = Vec::new();
    let wants_trailers = |value: &HeaderValue| {
        value
            .to_str()
            .is_ok_and(|te| te.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
    };
    if fields.get_all(header::TE).iter().any(wants_trailers) {
        sent.insert(header::TE, HeaderValue::from_static("trailers"));
        connection.push("te");
    }
    if let Some(protocol) = &edit.upgrade {
        sent.insert(header::UPGRADE, protocol.clone());
        connection.push("upgrade");
    }
    if edit.last {
        connection.push("close");
    }
    if let Ok(connection) = HeaderValue::try_from(connection.join(", "))
        && !connection.is_empty()
    {
        sent.insert(header::CONNECTION, connection);
    }
    append_via(&mut sent, edit.version, edit.server);
    append_forwarded(&mut sent, edit);
    sent
}

/// The fields that the client gets, in the order in which the origin sent them.
pub fn to_client(
    fields: &HeaderMap,
    version: Version,
    without: &[HeaderName],
    upgraded: bool,
    server: &Server,
) -> HeaderMap {
    let mut sent = copy(fields, |name| is_for_one_connection(fields, name) || without.contains(name));
    if let Some(protocol) = fields.get(header::UPGRADE).filter(|_| upgraded) {
        sent.insert(header::UPGRADE, protocol.clone());
        sent.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    append_via(&mut sent, version, server);
    sent
}

fn copy(fields: &HeaderMap, stays: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut copied = HeaderMap::with_capacity(fields.len() + 4);
    for name in fields.keys().filter(|name| !stays(name)) {
        for value in fields.get_all(name) {
            copied.append(name.clone(), value.clone());
        }
    }
    copied
}

fn is_for_one_connection(fields: &HeaderMap, name: &HeaderName) -> bool {
    // Host and Content-Length are never a connection's own, whatever the peer says: they decide where
    // a message goes and where it ends.
    HOP_BY_HOP.contains(name)
        || (![header::HOST, header::CONTENT_LENGTH].contains(name)
            && nominated(fields).any(|other| other.eq_ignore_ascii_case(name.as_str())))
}

/// The names in `Connection`.
fn nominated(fields: &HeaderMap) -> impl Iterator<Item = &str> {
    fields
        .get_all(header::CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .map(str::trim)
}

/// RFC 9110 section 7.6.3: the protocol that the message came in, and who passed it on.
fn append_via(sent: &mut HeaderMap, version: Version, server: &Server) {
    let protocol: &[u8] = if version == Version::HTTP_10 { b"1.0 " } else { b"1.1 " };
    let via =
        server.via.as_ref().and_then(|name| HeaderValue::try_from([protocol, name.as_bytes()].concat()).ok());
    if let Some(via) = via {
        sent.append(header::VIA, via);
    }
}

fn append_forwarded(sent: &mut HeaderMap, edit: &RequestEdit<'_>) {
    if edit.server.x_forwarded == XForwarded::Off {
        return;
    }
    if let Some(peer) = edit.peer {
        let before: Vec<&str> =
            sent.get_all(X_FORWARDED_FOR).iter().filter_map(|v| v.to_str().ok()).collect();
        let chain =
            before.into_iter().map(str::to_owned).chain([peer.to_string()]).collect::<Vec<_>>().join(", ");
        if let Ok(chain) = HeaderValue::try_from(chain) {
            sent.insert(X_FORWARDED_FOR, chain);
        }
    }
    if let Some(host) = edit.host.and_then(|host| HeaderValue::try_from(host).ok()) {
        sent.entry(X_FORWARDED_HOST).or_insert(host);
    }
    sent.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
}
