//! Every kind of refusal: its status, its form, and what is told of it elsewhere.

use std::collections::BTreeSet;

use ifmatch::decide::policy::StatusMapping;
use ifmatch::decide::verdict::RefusalKind;

use crate::given::{ITEMS, items, items_with};
use crate::harness::{Answer, Client, Nobody, Origin, Proxy, put, request, with_origin};
use crate::restart::Home;

/// A refusal that was provoked, with everything that must outlive a look at it.
struct Provoked {
    answer: Answer,
    proxy: Proxy,
    _origin: Origin,
}

struct Kind {
    name: &'static str,
    status: u16,
    retry_after: bool,
    conflict: bool,
    provoke: fn() -> Provoked,
}

/// DESIGN section 6, and how each of its lines comes about.
const KINDS: [Kind; 28] = [
    kind("precondition-required", 428, false, true, blind_write),
    kind("precondition-failed", 412, false, true, stale_write),
    kind("stale-view", 409, false, true, unseen_change),
    kind("write-in-flight", 409, true, true, second_write),
    kind("unsettled", 409, true, true, write_after_unknown),
    kind("malformed-precondition", 400, false, true, unquoted_tag),
    kind("already-exists", 409, false, true, second_creation),
    kind("duplicate-value", 409, false, true, taken_value),
    kind("transition-not-allowed", 409, false, true, forbidden_move),
    kind("origin-conflict", 409, false, true, told_badly),
    kind("ambiguous-target", 400, false, true, encoded_slash),
    kind("content-too-large", 413, false, true, long_form),
    kind("unreadable-content", 400, false, true, broken_json),
    kind("idempotency-key-missing", 400, false, true, no_key),
    kind("idempotency-key-in-use", 409, true, true, key_in_flight),
    kind("idempotency-key-reused", 422, false, true, key_of_another),
    kind("target-too-long", 414, false, false, long_target),
    kind("fields-too-large", 431, false, false, large_field),
    kind("request-timeout", 408, false, false, slow_form),
    kind("outcome-unknown", 502, true, false, lost_write),
    kind("outcome-unknown", 504, true, false, silent_write),
    kind("origin-unreachable", 502, false, false, nobody_there),
    kind("origin-unreachable", 504, false, false, silent_read),
    kind("origin-unreachable", 503, true, false, useless_look),
    kind("starting", 503, true, false, write_at_start),
    kind("ledger-unavailable", 503, true, false, full_ledger),
    kind("overloaded", 503, true, false, one_too_many),
    kind("no-route", 404, false, false, elsewhere),
];

const fn kind(
    name: &'static str,
    status: u16,
    retry_after: bool,
    conflict: bool,
    provoke: fn() -> Provoked,
) -> Kind {
    Kind { name, status, retry_after, conflict, provoke }
}

fn on((origin, proxy): (Origin, Proxy), ask: impl FnOnce(&Origin, &Proxy) -> Answer) -> Provoked {
    let answer = ask(&origin, &proxy);
    Provoked { answer, proxy, _origin: origin }
}

fn blind_write() -> Provoked {
    on(items(), |_, proxy| proxy.ask(&request("PUT", "/items/1").body("x")))
}

fn stale_write() -> Provoked {
    on(items(), |_, proxy| {
        let tag = proxy.tag("/items/1");
        proxy.put("/items/1", &tag, "x").expect(204);
        proxy.put("/items/1", &tag, "y")
    })
}

fn unseen_change() -> Provoked {
    let lines = "unconditional = \"infer\"\nprincipal = { header = \"Authorization\" }";
    on(items_with(lines), |_, proxy| {
        let of = |who: &str, method: &str| request(method, "/items/1").field("Authorization", who);
        proxy.ask(&of("ann", "GET")).expect(200);
        proxy.ask(&of("bob", "POST").body("x")).expect(201);
        proxy.ask(&of("ann", "PUT").body("y"))
    })
}

fn second_write() -> Provoked {
    on(items(), |origin, proxy| {
        let tag = proxy.tag("/items/1");
        let held = origin.hold("PUT", "/items/1");
        let _first = proxy.begin(&put("/items/1", &tag, "x"));
        held.arrived();
        proxy.put("/items/1", &tag, "y")
    })
}

fn write_after_unknown() -> Provoked {
    let settles_late = "\n[ledger]\nsettle = \"1h\"\n";
    let origin = Origin::with_item();
    let config = ITEMS.replace("[ledger]\nsettle = \"300ms\"\n", "") + settles_late;
    let proxy = Proxy::in_front_of(&origin, &config);
    on((origin, proxy), |origin, proxy| {
        let tag = proxy.tag("/items/1");
        origin.once("PUT", "/items/1", |exchange| exchange.close());
        proxy.put("/items/1", &tag, "x").expect(502);
        proxy.put("/items/1", &tag, "y")
    })
}

fn unquoted_tag() -> Provoked {
    on(items(), |_, proxy| proxy.put("/items/1", "abc", "x"))
}

fn second_creation() -> Provoked {
    on(items_with("create = \"only\""), |_, proxy| proxy.ask(&request("PUT", "/items/1").body("x")))
}

fn with_unique() -> (Origin, Proxy) {
    items_with("[[routes.unique]]\nfield = \"/name\"\nlookup = \"/names?name={value}\"")
}

fn taken_value() -> Provoked {
    on(with_unique(), |origin, proxy| {
        origin.store("/names", "[]");
        proxy.ask(&request("POST", "/items/1").body("{\"name\":\"x\"}"))
    })
}

fn useless_look() -> Provoked {
    on(with_unique(), |origin, proxy| {
        origin.answer_always("GET", "/names", crate::harness::empty("500 Internal Server Error", &[]));
        proxy.ask(&request("POST", "/items/1").body("{\"name\":\"x\"}"))
    })
}

fn forbidden_move() -> Provoked {
    let rule = "[routes.transitions]\nfield = \"/state\"\nto = { fixed = \"cancelled\" }\n\
                allowed = { new = [\"cancelled\"] }";
    on(items_with(rule), |origin, proxy| {
        origin.store("/items/1", "{\"state\":\"shipped\"}");
        proxy.ask(&request("POST", "/items/1").body("x"))
    })
}

fn told_badly() -> Provoked {
    on(items_with("[[routes.translate]]\nstatus = [500]\npattern = \"duplicate key\""), |origin, proxy| {
        let error = crate::harness::with_body("500 Internal Server Error", "text/plain", "duplicate key");
        origin.answer_always("POST", "/items/1", error);
        proxy.ask(&request("POST", "/items/1").body("x"))
    })
}

fn encoded_slash() -> Provoked {
    on(items(), |_, proxy| proxy.put("/items%2F1", "\"a\"", "x"))
}

fn long_form() -> Provoked {
    on(items_with("body_limit = \"16B\""), |_, proxy| {
        let form = "application/x-www-form-urlencoded";
        proxy.ask(&request("POST", "/items/1").field("Content-Type", form).body("a=1&".repeat(100)))
    })
}

fn broken_json() -> Provoked {
    on(items_with("resource = \"item:{body./id}\""), |_, proxy| {
        proxy.ask(&request("PUT", "/items/1").field("Content-Type", "application/json").body("{\"id\": "))
    })
}

const KEYS: &str = "[routes.idempotency]\nrequired = true\n";

fn keyed(body: &str) -> crate::harness::RequestText {
    request("POST", "/items/1").field("Idempotency-Key", "\"k\"").body(body)
}

fn no_key() -> Provoked {
    on(items_with(KEYS), |_, proxy| proxy.ask(&request("POST", "/items/1").body("x")))
}

fn key_in_flight() -> Provoked {
    on(items_with(KEYS), |origin, proxy| {
        let held = origin.hold("POST", "/items/1");
        let _first = proxy.begin(&keyed("x"));
        held.arrived();
        proxy.ask(&keyed("x"))
    })
}

fn key_of_another() -> Provoked {
    on(items_with(KEYS), |_, proxy| {
        proxy.ask(&keyed("x")).expect(201);
        proxy.ask(&keyed("y"))
    })
}

fn long_target() -> Provoked {
    on(items(), |_, proxy| proxy.get(&format!("/items/1?{}", "x".repeat(9000))))
}

fn large_field() -> Provoked {
    let fields = "x".repeat(9000);
    on(items_with("[limits]\nmax_header_bytes = \"8KiB\""), |_, proxy| {
        proxy.ask(&request("GET", "/items/1").field("X-Large", &fields))
    })
}

fn slow_form() -> Provoked {
    on(items_with("[limits]\nbody_idle_timeout = \"200ms\""), |_, proxy| {
        let form = "application/x-www-form-urlencoded";
        proxy.ask(
            &request("POST", "/items/1").field("Content-Type", form).field("Content-Length", "9").body("a=1"),
        )
    })
}

fn lost_write() -> Provoked {
    on(items(), |origin, proxy| {
        let tag = proxy.tag("/items/1");
        origin.once("PUT", "/items/1", |exchange| {
            exchange.apply()?;
            exchange.close()
        });
        proxy.put("/items/1", &tag, "x")
    })
}

fn impatient() -> (Origin, Proxy) {
    let upstream = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"200ms\"";
    items_with(upstream)
}

fn silent_write() -> Provoked {
    on(impatient(), |origin, proxy| {
        let tag = proxy.tag("/items/1");
        let _held = origin.hold("PUT", "/items/1");
        proxy.put("/items/1", &tag, "x")
    })
}

fn silent_read() -> Provoked {
    on(impatient(), |origin, proxy| {
        let _held = origin.hold("GET", "/items/1");
        proxy.get("/items/1")
    })
}

fn nobody_there() -> Provoked {
    let nobody = Nobody::new();
    let proxy = Proxy::start(&with_origin(nobody.address(), ITEMS));
    on((Origin::start(), proxy), |_, proxy| proxy.ask(&request("POST", "/items/1").body("x")))
}

fn write_at_start() -> Provoked {
    let origin = Origin::with_item();
    let home = Home::new();
    let proxy = home.start_unready(&origin, "1h");
    on((origin, proxy), |_, proxy| {
        let tag = proxy.tag("/items/1");
        proxy.put("/items/1", &tag, "x")
    })
}

fn full_ledger() -> Provoked {
    let origin = Origin::with_item();
    let config = ITEMS.replace("[ledger]\n", "[ledger]\nmax_resources = 1\n");
    let proxy = Proxy::in_front_of(&origin, &config);
    on((origin, proxy), |origin, proxy| {
        let held = origin.hold("POST", "/items/1");
        let _first = proxy.begin(&request("POST", "/items/1").body("x"));
        held.arrived();
        proxy.ask(&request("POST", "/items/2").body("y"))
    })
}

fn one_too_many() -> Provoked {
    on(items_with("[limits]\nmax_requests_in_flight = 1"), |origin, proxy| {
        let held = origin.hold("GET", "/items/1");
        let _first = proxy.begin(&request("GET", "/items/1"));
        held.arrived();
        proxy.get("/items/2")
    })
}

fn elsewhere() -> Provoked {
    on(items(), |_, proxy| proxy.get("/nothing/here?q=1"))
}

/// Section 6 of the design and RFC 9457.
#[track_caller]
pub fn expect_form(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(answer.field("Content-Type"), Some("application/problem+json"), "{answer}");
    assert_eq!(answer.field("Cache-Control"), Some("no-store"), "{answer}");
    let problem = answer.json();
    assert_eq!(problem["kind"], kind, "{answer}");
    assert_eq!(problem["type"], format!("https://ifmatch.dev/problems/{kind}"), "{answer}");
    assert_eq!(problem["status"], status, "{answer}");
    let (title, detail) = (problem["title"].as_str(), problem["detail"].as_str());
    assert!(title.is_some_and(|t| !t.is_empty()) && detail.is_some_and(|d| d.len() > 20), "{answer}");
    assert_eq!((problem["error"].as_str(), problem["message"].as_str()), (title, detail), "{answer}");
    let path = answer.asked.lines().last().map(|_| &problem["instance"]);
    assert!(
        path.and_then(|p| p.as_str()).is_some_and(|p| p.starts_with('/') && !p.contains('?')),
        "{answer}"
    );
}

#[test]
fn every_refusal_has_its_status_and_the_form_of_rfc_9457() {
    for kind in &KINDS {
        let Provoked { answer, .. } = (kind.provoke)();
        expect_form(&answer, kind.status, kind.name);
        let after = answer.field("Retry-After").map(|text| text.parse::<u64>().expect("seconds"));
        assert_eq!(after.is_some(), kind.retry_after, "{answer}");
        assert!(after != Some(0), "{answer}");
    }
}

#[test]
fn every_kind_of_the_closed_list_is_provoked_here() {
    let provoked: BTreeSet<_> = KINDS.iter().map(|kind| (kind.name, kind.status)).collect();
    let all: BTreeSet<_> =
        RefusalKind::ALL.iter().map(|k| (k.name(), k.status(StatusMapping::default()).as_u16())).collect();
    assert_eq!(provoked, all);
}

#[test]
fn every_conflict_is_counted_kept_and_logged_once_and_nothing_else_is() {
    for kind in &KINDS {
        let Provoked { answer, proxy, .. } = (kind.provoke)();
        let method = answer.asked.split(' ').next().expect("a method").to_owned();
        // What was refused on the way there, to provoke it, is of another kind.
        let ours = |list: Vec<serde_json::Value>| -> Vec<_> {
            list.into_iter().filter(|c| c["kind"] == kind.name).collect()
        };
        let series =
            format!("ifmatch_conflicts_total{{route=\"item\",kind=\"{}\",mode=\"enforce\"}}", kind.name);
        let kept = ours(proxy.conflicts());
        let refusals = format!("ifmatch_refusals_total{{kind=\"{}\"}}", kind.name);
        proxy.expect_metric(&refusals, 1);
        proxy.expect_metric(&series, u8::from(kind.conflict));
        proxy.expect_metric("ifmatch_conflicts_total{mode=\"observe\"}", 0);
        assert_eq!(kept.len(), usize::from(kind.conflict), "{kept:?}\n{answer}");
        let lines = || proxy.log().into_iter().filter_map(|line| serde_json::from_str(&line).ok());
        let logged = || ours(lines().filter(|l: &serde_json::Value| l["message"] == "conflict").collect());
        if !kind.conflict {
            assert_eq!(logged(), Vec::<serde_json::Value>::new());
            continue;
        }
        let line =
            proxy.log_line("there was a conflict", |l| l["message"] == "conflict" && l["kind"] == kind.name);
        assert_eq!(logged().len(), 1);
        let resource = "/items/1";
        for told in [&kept[0], &line] {
            assert_eq!(told["route"], "item", "{told}");
            assert_eq!(told["status"], kind.status, "{told}");
            assert_eq!(told["method"], method, "{told}");
            assert_eq!(told["mode"], "enforce", "{told}");
            assert_eq!(told["client"].as_str().map(str::len), Some(16), "{told}");
            let named = told["resource"].as_str().expect("a name");
            assert!(named == resource || kind.name == "ambiguous-target", "{told}");
        }
        assert!(kept[0]["time"].as_str().is_some_and(|t| t.ends_with('Z')), "{}", kept[0]);
    }
}

#[test]
fn the_last_conflicts_come_first_and_can_be_limited() {
    let (_origin, proxy) = items_with("[server]\nconflicts_kept = 2");
    for id in 1..=3 {
        proxy.ask(&request("PUT", &format!("/items/{id}")).body("x")).expect(428);
    }
    let names = |target: &str| -> Vec<String> {
        let told = proxy.admin(target).expect(200).json();
        let list = told["conflicts"].as_array().expect("a list").clone();
        list.iter().map(|c| c["resource"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names("/conflicts"), ["/items/3", "/items/2"]);
    assert_eq!(names("/conflicts?limit=1"), ["/items/3"]);
    proxy.admin("/conflicts?limit=many").expect(400);
}

#[test]
fn a_connection_is_usable_after_a_refusal_without_a_body() {
    let (_origin, proxy) = items();
    let mut client = proxy.connect();
    client.ask(&request("DELETE", "/items/1")).expect(428);
    client.ask(&request("GET", "/nowhere")).expect(404);
    client.ask(&request("GET", "/items/1")).expect(200);
}

#[test]
fn a_connection_is_usable_after_a_refusal_whose_request_had_a_body() {
    let (_origin, proxy) = items();
    let mut client = proxy.connect();
    for size in [1, 1000, 500_000] {
        client.ask(&request("PUT", "/items/1").body("x".repeat(size))).expect(428);
        client.ask(&request("PUT", "/nowhere").body("x".repeat(size))).expect(404);
        client.ask(&request("PUT", "/items%2f1").if_match("*").body("x".repeat(size))).expect(400);
        client.ask(&request("GET", "/items/1")).expect(200);
    }
}

#[test]
fn a_connection_is_usable_when_the_refused_body_comes_after_the_answer() {
    let (_origin, proxy) = items();
    let mut client = proxy.connect();
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        client.send(format!("PUT /items/1 HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        client.answer().expect(428);
        client.send(if framing.ends_with('5') { "hello" } else { "5\r\nhello\r\n0\r\n\r\n" });
        client.ask(&request("GET", "/items/1")).expect(200);
    }
}

#[test]
fn a_form_that_is_too_long_leaves_the_connection_usable() {
    let (_origin, proxy) = items_with("body_limit = \"16B\"");
    let mut client = proxy.connect();
    let form = "application/x-www-form-urlencoded";
    client
        .ask(&request("POST", "/items/1").field("Content-Type", form).body("a=1&".repeat(50_000)))
        .expect_refusal(413, "content-too-large");
    client.ask(&request("GET", "/items/1")).expect(200);
}

#[test]
fn a_refusal_of_head_has_no_body() {
    let (_origin, proxy) = items();
    let mut client = proxy.connect();
    let answer = client.ask(&request("HEAD", "/nowhere")).expect(404);
    assert_eq!(answer.body, b"", "{answer}");
    client.ask(&request("GET", "/items/1")).expect(200);
}

#[test]
fn other_statuses_can_stand_in_for_412_and_428() {
    let (_origin, proxy) = items_with("stale_status = 409\nmissing_status = 403");
    let tag = proxy.tag("/items/1");
    let missing = proxy.ask(&request("PUT", "/items/1").body("x"));
    expect_form(&missing, 403, "precondition-required");
    proxy.put("/items/1", &tag, "two").expect(204);
    let stale = proxy.put("/items/1", &tag, "three");
    expect_form(&stale, 409, "precondition-failed");
    assert_eq!(stale.json()["title"], "Conflict");
    let told: Vec<_> = proxy.conflicts().iter().map(|c| c["status"].clone()).collect();
    assert_eq!(told, [409, 403]);
}

#[test]
fn a_refusal_tells_the_current_tag_only_where_the_route_reveals_it() {
    for (reveal, told) in [(true, true), (false, false)] {
        let (_origin, proxy) = items_with(&format!("reveal_current = {reveal}"));
        let tag = proxy.tag("/items/1");
        proxy.put("/items/1", &tag, "two").expect(204);
        let stale = proxy.put("/items/1", &tag, "three").expect(412);
        assert_eq!(stale.has("ETag"), told, "{stale}");
        if told {
            proxy.put("/items/1", &stale.tag(), "four").expect(204);
        }
        for (answer, status) in [
            (proxy.ask(&request("PUT", "/items/1").body("x")), 428),
            (proxy.put("/items/1", "oops", "x"), 400),
        ] {
            assert!(!answer.expect(status).has("ETag"), "only a 412 tells it");
        }
    }
}

#[test]
fn no_refusal_tells_an_address_of_the_origin() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", |exchange| exchange.close());
    let port = origin.address().port().to_string();
    let answer = proxy.put("/items/1", &tag, "x").expect(502);
    assert!(!answer.to_string().contains(&port), "{answer}");
    let nobody = Nobody::new();
    let proxy = Proxy::start(&with_origin(nobody.address(), ITEMS));
    let answer = proxy.get("/items/1").expect(502);
    assert!(!answer.to_string().contains(&nobody.address().port().to_string()), "{answer}");
}

#[test]
fn a_blind_writer_hears_428_even_while_another_write_is_in_flight() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put("/items/1", &tag, "x"));
    held.arrived();
    proxy.ask(&request("PUT", "/items/1").body("blind")).expect_refusal(428, "precondition-required");
    proxy.put("/items/1", "oops", "x").expect_refusal(400, "malformed-precondition");
    proxy.put("/items/1", "\"stale\"", "x").expect_refusal(409, "write-in-flight");
    held.release();
    first.answer().expect(204);
    proxy.put("/items/1", "\"stale\"", "x").expect_refusal(412, "precondition-failed");
}

/// What is refused before it is a request: whatever the answer, the next connection works.
#[test]
fn after_each_kind_of_nonsense_the_next_good_request_works() {
    let (origin, proxy) = items();
    let nonsense: [&str; 16] = [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /items/1\r\n\r\n",
        "GET /items/1 HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET /items/1 HTTP/1.1\r\nHost a\r\n\r\n",
        "GET /items/1 HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
        "GET /items/1 HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n",
        "GET /items/1 HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /items/1 HTTP/1.1\r\nHost: a\r\nX: \u{1}\r\n\r\n",
        "PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: *\r\nContent-Length: 3, 4\r\n\r\nabc",
        "PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: *\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: *\r\nContent-Length: -1\r\n\r\n",
        "PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: *\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: *\r\nTransfer-Encoding: chunked, identity\r\n\r\nabc",
        "PUT /items/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
    ];
    for bytes in nonsense {
        let mut client = proxy.connect();
        client.send(bytes).finish();
        match client.try_answer() {
            Ok(answer) => assert!((400..500).contains(&answer.status), "{answer}"),
            Err(error) => assert!(error.kind() == std::io::ErrorKind::UnexpectedEof, "{bytes:?}: {error}"),
        }
        proxy.get("/items/1").expect(200);
    }
    assert!(origin.seen().iter().all(|seen| seen.method != "PUT"), "{}", origin.story());
    for gauge in ["ifmatch_requests_in_flight", "ifmatch_writes_in_flight", "ifmatch_client_connections"] {
        proxy.await_metric(gauge, 0);
    }
}

#[test]
fn after_each_malformed_precondition_the_same_connection_works() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    for (name, value) in [
        ("If-Match", "abc"),
        ("If-Match", "\"a\" \"b\""),
        ("If-Match", "\"a"),
        ("If-Match", "w/\"a\""),
        ("If-Match", "*, \"a\""),
        ("If-Match", ""),
        ("If-Match", " , "),
        ("If-None-Match", "abc"),
        ("If-None-Match", "**"),
    ] {
        for method in ["PUT", "GET", "POST", "DELETE"] {
            client
                .ask(&request(method, "/items/1").field(name, value))
                .expect_refusal(400, "malformed-precondition");
        }
        client.ask(&request("GET", "/items/1")).expect(200);
    }
    assert!(origin.seen().iter().all(|seen| seen.method == "GET"), "{}", origin.story());
}

/// A value whose oddity is not in its text is malformed all the same, and can be answered.
#[test]
fn a_precondition_in_other_bytes_than_ascii_is_judged_too() {
    let (_origin, proxy) = items();
    let mut client: Client = proxy.connect();
    client.send(b"PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: \"\xff\"\r\nContent-Length: 0\r\n\r\n");
    client.answer().expect_refusal(412, "precondition-failed");
    client.send(b"PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: \xff\r\nContent-Length: 0\r\n\r\n");
    client.answer().expect_refusal(400, "malformed-precondition");
}
