//! Fields on their way: what a proxy must remove, what it adds, and what must not reach the origin.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use smallvec::SmallVec;

use crate::config::checked::{Server, XForwarded};
use crate::request::method::{is_override_field, is_spelled_as_one_of};
use crate::request::preconditions::CONDITIONAL_FIELDS;

/// RFC 9110 section 7.6.1: for one connection only.
static HOP_BY_HOP: [HeaderName; 7] = [
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
static NEVER_TRAILING: [HeaderName; 17] = [
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
static X_FORWARDED: [HeaderName; 3] = [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO];

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
    // All of them begin like this.
    name.as_str().starts_with('x') && is_spelled_as_one_of(name, &OTHER_TARGETS)
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
    /// The client's address.
    pub peer: Option<&'e HeaderValue>,
    /// The host that the client asked for.
    pub host: Option<&'e HeaderValue>,
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
    let nominated = Nominated::by(fields);
    let replaces_forwarded = edit.server.x_forwarded == XForwarded::Replace;
    let stays = |name: &HeaderName| {
        nominated.is_for_one_connection(name)
            || edit.without.contains(name)
            || (edit.managed && names_another_target(name))
            || (replaces_forwarded && X_FORWARDED.contains(name))
    };
    let mut goes = Going::default();
    let mut sent = copy(fields, |name| {
        let stays = stays(name);
        if !stays {
            goes.note(name);
        }
        stays
    });
    if !goes.host {
        let own_host = || edit.own_host.and_then(|host| HeaderValue::try_from(host).ok());
        if let Some(host) = edit.host.cloned().or_else(own_host) {
            sent.insert(header::HOST, host);
        }
    }
    put_connection(&mut sent, fields, edit);
    append_via(&mut sent, edit.version, edit.server);
    append_forwarded(&mut sent, edit, goes.forwarded);
    sent
}

/// What of the fields that we may add goes on already. Told in one walk over all fields: each question to the map
/// would hash its name.
#[derive(Default)]
struct Going {
    host: bool,
    /// Those of [`X_FORWARDED`], in their order.
    forwarded: [bool; 3],
}

impl Going {
    fn note(&mut self, name: &HeaderName) {
        self.host |= *name == header::HOST;
        for (goes, forwarded) in self.forwarded.iter_mut().zip(&X_FORWARDED) {
            *goes |= name == forwarded;
        }
    }
}

/// What we say of our own connection to the origin.
fn put_connection(sent: &mut HeaderMap, fields: &HeaderMap, edit: &RequestEdit<'_>) {
    let mut options: SmallVec<[&str; 3]> = SmallVec::new();
    let wants_trailers = |value: &HeaderValue| {
        value
            .to_str()
            .is_ok_and(|te| te.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
    };
    if fields.get_all(header::TE).iter().any(wants_trailers) {
        sent.insert(header::TE, HeaderValue::from_static("trailers"));
        options.push("te");
    }
    if let Some(protocol) = &edit.upgrade {
        sent.insert(header::UPGRADE, protocol.clone());
        options.push("upgrade");
    }
    if edit.last {
        options.push("close");
    }
    if !options.is_empty()
        && let Ok(connection) = HeaderValue::try_from(options.join(", "))
    {
        sent.insert(header::CONNECTION, connection);
    }
}

/// The fields that the client gets, in the order in which the origin sent them.
pub fn to_client(
    fields: HeaderMap,
    version: Version,
    without: &[HeaderName],
    upgraded: bool,
    server: &Server,
) -> HeaderMap {
    let protocol = if upgraded { fields.get(header::UPGRADE).cloned() } else { None };
    let lessened = {
        let nominated = Nominated::by(&fields);
        let stays = |name: &HeaderName| nominated.is_for_one_connection(name) || without.contains(name);
        fields.keys().any(stays).then(|| copy(&fields, stays))
    };
    let mut sent = lessened.unwrap_or(fields);
    if let Some(protocol) = protocol {
        sent.insert(header::UPGRADE, protocol);
        sent.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    append_via(&mut sent, version, server);
    sent
}

/// With room for what is added: a clone has none, and would be moved to where there is.
fn copy(fields: &HeaderMap, mut stays: impl FnMut(&HeaderName) -> bool) -> HeaderMap {
    let mut copied = HeaderMap::with_capacity(fields.len() + ADDED_AT_MOST);
    for (name, value) in fields.iter().filter(|(name, _)| !stays(name)) {
        copied.append(name.clone(), value.clone());
    }
    copied
}

/// Via, three X-Forwarded fields, or an entity-tag: with room for them nothing is moved again.
const ADDED_AT_MOST: usize = 4;

/// The names in a message's `Connection`: few have one that is not `close` or `keep-alive`.
struct Nominated<'f>(SmallVec<[&'f str; 4]>);

impl<'f> Nominated<'f> {
    fn by(fields: &'f HeaderMap) -> Self {
        Nominated(nominated(fields).collect())
    }

    fn is_for_one_connection(&self, name: &HeaderName) -> bool {
        // Host and Content-Length are never a connection's own, whatever the peer says: they decide where
        // a message goes and where it ends.
        HOP_BY_HOP.contains(name)
            || (self.0.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()))
                && ![header::HOST, header::CONTENT_LENGTH].contains(name))
    }
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
    let Some(via) = &server.via else { return };
    sent.append(header::VIA, if version == Version::HTTP_10 { &via.http_10 } else { &via.http_11 }.clone());
}

fn append_forwarded(sent: &mut HeaderMap, edit: &RequestEdit<'_>, [chain, host, proto]: [bool; 3]) {
    if edit.server.x_forwarded == XForwarded::Off {
        return;
    }
    if let Some(peer) = edit.peer {
        if chain {
            sent_on_behalf(sent, peer);
        } else {
            sent.append(X_FORWARDED_FOR, peer.clone());
        }
    }
    if let Some(asked) = edit.host.filter(|_| !host) {
        sent.append(X_FORWARDED_HOST, asked.clone());
    }
    if !proto {
        sent.append(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
}

/// Puts the client behind those that the request came from before.
fn sent_on_behalf(sent: &mut HeaderMap, peer: &HeaderValue) {
    let mut chain: Vec<&[u8]> =
        sent.get_all(X_FORWARDED_FOR).iter().filter_map(|v| v.to_str().ok()).map(str::as_bytes).collect();
    chain.push(peer.as_bytes());
    if let Ok(chain) = HeaderValue::try_from(chain.join(&b", "[..])) {
        sent.insert(X_FORWARDED_FOR, chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_names_another_target_is_known_with_hyphens_and_underscores() {
        for field in OTHER_TARGETS {
            for spelled in [field.to_owned(), field.replace('-', "_")] {
                let name = HeaderName::try_from(spelled).expect("a name");
                assert!(names_another_target(&name), "{name}");
            }
        }
    }
}
