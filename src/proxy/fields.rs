//! Fields on their way: what a proxy must remove, what it adds, and what must not reach the origin.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use smallvec::SmallVec;

use crate::config::checked::{Server, XForwarded};
use crate::http1::fields::{FieldValue, Fields};
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
pub fn upgrade_of(fields: &Fields, beside_managed: bool) -> Option<HeaderValue> {
    let asks = nominated(fields).any(|name| name.eq_ignore_ascii_case("upgrade"));
    let passes =
        |protocol: &FieldValue<'_>| !beside_managed || protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    fields.get(header::UPGRADE).filter(|_| asks).filter(passes)?;
    fields.get_owned(header::UPGRADE)
}

/// The trailer fields that may go on to the origin.
pub fn trailers_to_origin(trailers: &HeaderMap) -> HeaderMap {
    let stays = |name: &HeaderName| {
        HOP_BY_HOP.contains(name)
            || NEVER_TRAILING.contains(name)
            || CONDITIONAL_FIELDS.contains(name)
            || is_override_field(name)
            || names_another_target(name)
    };
    let mut sent = HeaderMap::new();
    for (name, value) in trailers.iter().filter(|(name, _)| !stays(name)) {
        sent.append(name.clone(), value.clone());
    }
    sent
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
pub fn to_origin(fields: &Fields, edit: &RequestEdit<'_>) -> Fields {
    let nominated = Nominated::by(fields);
    let replaces_forwarded = edit.server.x_forwarded == XForwarded::Replace;
    let stays = |name: &HeaderName| {
        nominated.is_for_one_connection(name)
            || edit.without.contains(name)
            || (edit.managed && names_another_target(name))
            || (replaces_forwarded && X_FORWARDED.contains(name))
    };
    let mut goes = Going::default();
    let mut sent = fields.clone_with_room(ADDED_AT_MOST);
    sent.remove_where(|name| {
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

/// What of the fields that we may add goes on already. Told in one walk over all fields.
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
fn put_connection(sent: &mut Fields, fields: &Fields, edit: &RequestEdit<'_>) {
    let mut options: SmallVec<[&str; 3]> = SmallVec::new();
    let wants_trailers = |value: FieldValue<'_>| {
        value
            .to_str()
            .is_ok_and(|te| te.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
    };
    if fields.get_all(header::TE).any(wants_trailers) {
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
    mut fields: Fields,
    version: Version,
    without: &[HeaderName],
    upgraded: bool,
    server: &Server,
) -> Fields {
    let protocol = if upgraded { fields.get_owned(header::UPGRADE) } else { None };
    let nominated = Nominated::by(&fields);
    fields.remove_where(|name| nominated.is_for_one_connection(name) || without.contains(name));
    if let Some(protocol) = protocol {
        fields.insert(header::UPGRADE, protocol);
        fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    append_via(&mut fields, version, server);
    fields
}

/// Via, three X-Forwarded fields, or an entity-tag: with room for them nothing is moved again.
const ADDED_AT_MOST: usize = 4;

/// The names in a message's `Connection`: few have one that is not `keep-alive`, which is no other name's.
struct Nominated(SmallVec<[HeaderName; 2]>);

impl Nominated {
    fn by(fields: &Fields) -> Self {
        let others = nominated(fields).filter(|name| !name.eq_ignore_ascii_case("keep-alive"));
        // What is no name names no field.
        Nominated(others.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect())
    }

    fn is_for_one_connection(&self, name: &HeaderName) -> bool {
        // Host and Content-Length are never a connection's own, whatever the peer says: they decide where
        // a message goes and where it ends.
        HOP_BY_HOP.contains(name)
            || (self.0.contains(name) && ![header::HOST, header::CONTENT_LENGTH].contains(name))
    }
}

/// The names in `Connection`.
fn nominated(fields: &Fields) -> impl Iterator<Item = &str> {
    fields
        .get_all(header::CONNECTION)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .map(str::trim)
}

/// RFC 9110 section 7.6.3: the protocol that the message came in, and who passed it on.
fn append_via(sent: &mut Fields, version: Version, server: &Server) {
    let Some(via) = &server.via else { return };
    sent.append(header::VIA, if version == Version::HTTP_10 { &via.http_10 } else { &via.http_11 }.clone());
}

fn append_forwarded(sent: &mut Fields, edit: &RequestEdit<'_>, [chain, host, proto]: [bool; 3]) {
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
fn sent_on_behalf(sent: &mut Fields, peer: &HeaderValue) {
    let mut chain: Vec<&[u8]> =
        sent.get_all(X_FORWARDED_FOR).filter_map(|v| v.to_str().ok()).map(str::as_bytes).collect();
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
