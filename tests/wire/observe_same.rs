//! Observe mode changes nothing: what client and origin see is what they see without the proxy, byte for byte
//! apart from hop-by-hop fields, whatever rule the route has.
//!
//! The same requests are sent straight to one origin and through the proxy to another one that began alike.
//! Rules may ask the origin something first, to tell what they would decide: a GET or HEAD without content
//! and without conditions. Beside that it sees each request once, as it was sent.
//!
//! `IFMATCH_SEED` replays a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::harness::{Answer, Client, Exchange, Framing, Message, Origin, Proxy, RequestText, Seen, request};

/// One line for each rule: the name of its test, and what its route says. More tables may follow.
macro_rules! nothing_is_changed_by {
    ($($rule:ident: $lines:expr;)*) => {
        $(#[test]
        fn $rule() {
            same_with_and_without_the_proxy($lines);
        })*
    };
}

nothing_is_changed_by! {
    require: "";
    overlap: "unconditional = \"overlap\"";
    allow: "unconditional = \"allow\"";
    waiting: "overlap = \"wait\"\nwait_timeout = \"30s\"";
    further_resources: "also_changes = [\"/items\", \"total:{id}\"]";
    a_whole_upstream_changed: "also_changes = [\"*\"]";
    names_from_bodies: "resource = \"order:{body./orderId}\"";
    names_from_forms: "resource = \"order:{form.id}\"";
    bodies_that_pass_unread: "resource = \"order:{body./orderId}\"\nunreadable = \"forward\"";
    names_from_queries: "resource = \"item:{query.id}\"";
    parameters_held_to_a_pattern: "params = { id = \"[1-9][0-9]*\" }";
    weak_tags: "weak_if_match = \"accept\"";
    revealing: "reveal_current = true\nstale_status = 409\nmissing_status = 409";
    read_backs: "etag_on_put = \"verified\"";
    lagging_reads: "read_lag = \"1m\"";
    looks_after_unknown_outcomes: "verify_unknown = true";
    other_methods_guarded: "guard = [\"PUT\", \"PATCH\", \"DELETE\", \"POST\"]\nreads = [\"GET\", \"HEAD\", \"PROPFIND\"]";
    a_principal: "principal = { cookie = \"session\" }";
    views: "unconditional = \"infer\"\nprincipal = { header = \"Authorization\" }";
    views_of_tabs: "unconditional = \"infer\"\nprincipal = { cookie = \"session\" }\nview_per = { header = \"X-Tab\" }\nwhen_unknown = \"overlap\"";
    views_in_cookies: "unconditional = \"infer\"\nview_in = \"cookie\"";
    content_tags: "validator = \"content\"\nignore = [\"/served_at\"]";
    origin_tags: "validator = \"origin\"";
    version_fields: "validator = \"origin\"\nversion_field = \"/version\"";
    enforced_by_the_origin: "validator = \"origin\"\norigin_enforces = true\nprecondition_from = { query = \"rev\" }";
    preconditions_from_bodies: "precondition_from = { body = \"/_rev\" }";
    preconditions_from_fields: "precondition_from = { header = \"X-Version\" }";
    creating_once: "create = \"only\"";
    unique_values: "[[routes.unique]]\nfield = \"/email\"\nmethods = [\"POST\", \"PUT\"]\nnormalise = [\"trim\", \"case\", \"nfc\"]";
    moves: "[routes.transitions]\nfield = \"/state\"\nto = { body = \"/state\" }\n[routes.transitions.allowed]\nnew = [\"paid\"]";
    translations: "[[routes.translate]]\nstatus = [200, 204, 500]\npattern = \".\"";
    idempotency_keys: "principal = { header = \"Authorization\" }\n[routes.idempotency]\nrequired = true\nmethods = [\"POST\", \"PUT\"]";
    writes_already_applied: "principal = { header = \"Authorization\" }\nalready_applied = \"answer\"";
    pages_of_other_origins: "cors = true";
}

/// The route with the rule is the last table. Fields that are configured for the server, whatever its routes
/// say, are none of its rules'.
const ROUTES: &str = r#"
[server]
via = "off"
x_forwarded = "off"

[ledger]
settle = "50ms"

[[routes]]
name = "rest"
path = "/{*rest}"
upstream = "origin"
mode = "observe"

[[routes]]
name = "item"
path = "/items/{id}"
upstream = "origin"
mode = "observe"
body_limit = "100B"
"#;

/// Enough for each kind of request to come a few times, in another order each time.
const REQUESTS: usize = 250;

#[track_caller]
fn same_with_and_without_the_proxy(lines: &str) {
    let seed: u64 = match std::env::var("IFMATCH_SEED") {
        Ok(seed) => seed.parse().expect("IFMATCH_SEED is a number"),
        Err(_) => rand::random(),
    };
    eprintln!("replay with IFMATCH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (straight, behind) = (legacy_api(), legacy_api());
    let proxy = Proxy::in_front_of(&behind, &format!("{ROUTES}{lines}\n"));
    for _ in 0..REQUESTS {
        let asked = any_request(&mut rng);
        let (before_straight, before_behind) = (straight.seen_count(), behind.seen_count());
        let without = Client::connect(straight.address()).ask(&asked);
        let with = proxy.ask(&asked);
        assert_eq!(told_of_answer(&with), told_of_answer(&without), "the client sees something else\n{with}");
        let sent = straight.seen_since(before_straight);
        let [sent] = sent.as_slice() else { panic!("sent once: {sent:?}") };
        expect_seen(sent, &behind.seen_since(before_behind));
    }
    let metrics = proxy.metrics();
    let observed = metrics.value("ifmatch_conflicts_total{mode=\"observe\"}").unwrap_or_default();
    assert!(observed > 0.0, "something would have been refused");
    metrics.expect("ifmatch_conflicts_total{mode=\"enforce\"}", 0);
    metrics.expect("ifmatch_requests_total{outcome=\"refused\"}", 0);
}

/// The request itself once, and before it nothing but what rules ask.
#[track_caller]
fn expect_seen(sent: &Seen, seen: &[Seen]) {
    let expected = told_of(sent, &sent.start_line);
    let (same, others): (Vec<&Seen>, Vec<&Seen>) =
        seen.iter().partition(|seen| told_of(seen, &seen.start_line) == expected);
    let story: String = seen.iter().map(|seen| told_of(seen, &seen.start_line)).collect();
    assert!(!same.is_empty(), "the origin sees something else than\n{expected}\n---- but\n{story}");
    let is_safe = |seen: &Seen| matches!(seen.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PROPFIND");
    assert!(same.len() == 1 || is_safe(sent), "sent more than once\n{story}");
    for other in others {
        let conditions = ["If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since", "Range"];
        let is_a_question = matches!(other.method.as_str(), "GET" | "HEAD")
            && other.framing == Framing::None
            && !conditions.iter().any(|name| other.has(name));
        assert!(is_a_question, "nobody sent this: {other:?}");
    }
}

/// A message without what belongs to one connection (RFC 9110 section 7.6.1): where its chunks end does too,
/// that it came in chunks does not. Lines of one name stand together, in their order: that among names says
/// nothing (section 5.3). Names of trailer fields lose their letter case, which says nothing either.
fn told_of(message: &Message, start_line: &str) -> String {
    const HOP_BY_HOP: [&str; 7] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    ];
    let lowercase: Vec<String> = message.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let mut lines: Vec<_> = lowercase.iter().zip(&message.fields).collect();
    lines.retain(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()));
    lines.sort_by_key(|(name, _)| lowercase.iter().position(|other| other == *name));
    let mut text = format!("{start_line}\n");
    for (_, (name, value)) in lines {
        let _written = writeln!(text, "{name}: {value}");
    }
    let _written = writeln!(text, "\n{:?} {}", message.framing, message.body.escape_ascii());
    for (name, value) in &message.trailers {
        let _written = writeln!(text, "{}: {value}", name.to_ascii_lowercase());
    }
    text
}

fn told_of_answer(answer: &Answer) -> String {
    told_of(answer, &answer.start_line)
}

const MODIFIED: &str = "Mon, 05 Jan 2026 10:00:00 GMT";

/// An API with tags and dates of its own, which it goes by, and answers of every kind. What it says depends on
/// nothing but what it was asked before.
fn legacy_api() -> Origin {
    let origin = Origin::start();
    let store = Arc::new(Mutex::new(Store::default()));
    origin.always("*", "*", move |exchange| {
        if exchange.request.has("Expect") {
            exchange.write("HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        exchange.read_body()?;
        let answer = store.lock().expect("the store").answer(exchange);
        exchange.write(answer)
    });
    origin
}

#[derive(Default)]
struct Store {
    documents: BTreeMap<String, (String, usize)>,
    serial: usize,
}

impl Store {
    fn answer(&mut self, exchange: &Exchange<'_>) -> String {
        let asked = &exchange.request;
        let path = exchange.target.split('?').next().unwrap_or_default().to_ascii_lowercase();
        let current = self.documents.get(&path).cloned();
        let tag = current.as_ref().map(|(_, serial)| format!("\"origin-{serial}\""));
        let names = |field: &str| {
            let stated = asked.fields_named(field).join(", ");
            (!stated.is_empty())
                .then(|| stated == "*" || tag.as_ref().is_some_and(|tag| stated.contains(tag)))
        };
        let is_read = matches!(exchange.method.as_str(), "GET" | "HEAD");
        let stands_since = asked.fields_named("If-Modified-Since").contains(&MODIFIED);
        if names("If-Match") == Some(false) || (!is_read && names("If-None-Match") == Some(true)) {
            return told("412 Precondition Failed", tag.as_deref(), "{\"error\": \"changed\"}", true);
        }
        if is_read && (names("If-None-Match") == Some(true) || stands_since) && current.is_some() {
            return told("304 Not Modified", tag.as_deref(), "", false);
        }
        match (exchange.method.as_str(), current) {
            ("GET" | "HEAD", Some((text, _))) => self.read(exchange, &text, tag.as_deref()),
            ("GET" | "HEAD" | "PATCH" | "DELETE", None) => {
                told("404 Not Found", None, "none", is_body(exchange))
            }
            ("PUT" | "PATCH", known) => {
                self.serial += 1;
                self.documents.insert(path, (asked.text(), self.serial));
                let tag = format!("W/\"origin-{}\"", self.serial);
                told(if known.is_some() { "200 OK" } else { "201 Created" }, Some(&tag), &asked.text(), true)
            }
            ("DELETE", Some(_)) => {
                self.documents.remove(&path);
                told("204 No Content", None, "", false)
            }
            ("POST", _) if asked.text().contains("again") => told("503 Later", None, "later", true),
            ("POST", _) => {
                self.serial += 1;
                told("201 Created", Some(&format!("\"of-{}\"", self.serial)), "made", true)
            }
            ("OPTIONS", _) => {
                let allowed = "204 No Content\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: If-Match";
                told(allowed, None, "", false)
            }
            (_, _) => told("200 Fine\r\nX-Other: yes", tag.as_deref(), "other", true),
        }
    }

    fn read(&self, exchange: &Exchange<'_>, text: &str, tag: Option<&str>) -> String {
        let asked = &exchange.request;
        let whole_wanted = asked.fields_named("If-Range").iter().any(|stated| Some(*stated) != tag);
        let is_part = asked.has("Range") && !whole_wanted && text.is_ascii() && text.len() > 2;
        if is_part && exchange.method == "GET" {
            let part = format!("206 Partial Content\r\nContent-Range: bytes 0-1/{}", text.len());
            return told(&part, tag, &text[..2], true);
        }
        if asked.has("TE") && is_body(exchange) {
            return format!(
                "HTTP/1.1 200 OK\r\nDate: {MODIFIED}\r\nTransfer-Encoding: chunked\r\nTrailer: ETag, X-Sum\r\n\r\n\
                 3\r\nabc\r\n0\r\nETag: \"late\"\r\nX-Sum: 1\r\n\r\n"
            );
        }
        told("200 OK", tag, text, is_body(exchange))
    }
}

fn is_body(exchange: &Exchange<'_>) -> bool {
    exchange.method != "HEAD"
}

/// An answer with the oddities that answers have; its length is told where its content is not sent too.
fn told(status: &str, tag: Option<&str>, content: &str, send: bool) -> String {
    let tag = tag.map(|tag| format!("eTaG: {tag}\r\n")).unwrap_or_default();
    let has_none = status.starts_with("204") || status.starts_with("304");
    let length = if has_none { String::new() } else { format!("Content-Length: {}\r\n", content.len()) };
    format!(
        "HTTP/1.1 {status}\r\nDate: {MODIFIED}\r\n{tag}Last-Modified: {MODIFIED}\r\nSet-Cookie: a=1\r\nX-Odd-CASE: \
         yes\r\nCache-Control: max-age=60\r\nSet-Cookie: b=2\r\nContent-Type: application/json\r\n{length}\r\n{}",
        if send { content } else { "" }
    )
}

const METHODS: [&str; 9] = ["GET", "GET", "HEAD", "PUT", "PUT", "PATCH", "DELETE", "POST", "PROPFIND"];

const TARGETS: [&str; 12] = [
    "/items/1",
    "/items/1",
    "/items/2",
    "/ITEMS/1",
    "//items//1/",
    "/items/%31",
    "/items/1?id=1",
    "/items/1?id=1&id=2",
    "/items/1?_method=DELETE",
    "/items/1%5c",
    "/items/01",
    "/other/1",
];

/// Field lines that requests have, one or none of each row.
const FIELDS: [&[(&str, &str)]; 10] = [
    &[
        ("If-Match", "*"),
        ("If-Match", "\"theirs\""),
        ("If-Match", "\"origin-1\", \"origin-2\", \"origin-3\""),
        ("IF-MATCH", "W/\"origin-4\""),
        ("if-match", "oops"),
    ],
    &[("If-None-Match", "*"), ("If-None-Match", "\"origin-2\""), ("If-None-Match", "oops")],
    &[("If-Unmodified-Since", MODIFIED), ("If-Unmodified-Since", "yesterday")],
    &[("If-Modified-Since", MODIFIED), ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")],
    &[("Range", "bytes=0-1")],
    &[("If-Range", "\"origin-1\""), ("If-Range", MODIFIED), ("If-Range", "W/\"x\"")],
    &[("Cookie", "session=a; theme=dark"), ("cookie", "b"), ("Authorization", "Bearer abc")],
    &[("X-HTTP-Method-Override", "DELETE"), ("X-Original-URL", "/items/2"), ("Destination", "/items/2")],
    &[("Idempotency-Key", "\"k-1\""), ("Idempotency-Key", "oops"), ("X-Tab", "1"), ("X-Version", "3")],
    &[
        ("TE", "trailers"),
        ("Cache-Control", "no-cache"),
        ("Origin", "http://elsewhere.example"),
        ("X-oDD", " a "),
    ],
];

/// A media type and a content.
const CONTENTS: [(&str, &[u8]); 11] = [
    ("application/json", b"{\"orderId\": 5, \"email\": \"ann@example.com\", \"state\": \"paid\"}"),
    ("application/json", b"{ \"orderId\" : \"1\",\r\n \"_rev\":\"x\", \"version\": 3, \"id\": 1 }"),
    ("application/json; charset=utf-8", b"{\"orderId\": {}}"),
    ("application/json", b"{\"orderId\": 5, \"orderId\": 6}"),
    ("application/json", b"{\"orderId\":"),
    ("application/x-www-form-urlencoded", b"id=1&version=3&email=ann%40example.com&state=paid"),
    ("application/x-www-form-urlencoded", b"_method=DELETE&id=%zz"),
    ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n1\r\n--b--\r\n"),
    ("text/plain", b"try again"),
    ("application/octet-stream", b"\x00\xff\xfe\r\n\r\n\x80"),
    (
        "application/json",
        b"{\"orderId\": 7, \"long\": \"0123456789012345678901234567890123456789012345678901234567890123456789\
          01234567890123456789\"}",
    ),
];

fn any_request(rng: &mut StdRng) -> RequestText {
    let target = *TARGETS.choose(rng).expect("some");
    if rng.random_ratio(1, 12) {
        return request("OPTIONS", target)
            .field("Origin", "http://elsewhere.example")
            .field("Access-Control-Request-Method", "PUT")
            .field("Access-Control-Request-Headers", "if-match, idempotency-key");
    }
    let method = *METHODS.choose(rng).expect("some");
    let mut asked = request(method, target).field("Accept", "*/*");
    for row in FIELDS {
        if rng.random_ratio(1, 4) {
            let (name, value) = *row.choose(rng).expect("some");
            asked = asked.field(name, value);
        }
    }
    let wants_content = !matches!(method, "GET" | "HEAD" | "DELETE");
    if rng.random_ratio(if wants_content { 9 } else { 1 }, 10) { with_content(rng, asked) } else { asked }
}

fn with_content(rng: &mut StdRng, mut asked: RequestText) -> RequestText {
    let (media_type, content) = *CONTENTS.choose(rng).expect("some");
    if rng.random_ratio(9, 10) {
        asked = asked.field("Content-Type", media_type);
    }
    if rng.random_ratio(1, 8) {
        asked = asked.field("Expect", "100-continue");
    }
    if rng.random_ratio(1, 3) { in_chunks(asked, content) } else { asked.body(content) }
}

/// Two chunks and a trailer field.
fn in_chunks(asked: RequestText, content: &[u8]) -> RequestText {
    let (first, second) = content.split_at(content.len() / 2);
    let mut body = Vec::new();
    for chunk in [first, second] {
        body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
    asked.field("Trailer", "X-Sum").field("Transfer-Encoding", "chunked").body(body)
}
