//! Requests with an Idempotency-Key: forwarded once, and answered as at first when they are sent again.

use crate::given::{ITEMS, items_with};
use crate::harness::{Answer, Client, Origin, Proxy, RequestText, empty, put, request, with_body};

const KEYS: &str = "[routes.idempotency]\nrequired = true\n";

fn keyed() -> (Origin, Proxy) {
    items_with(KEYS)
}

fn keyed_with(lines: &str) -> (Origin, Proxy) {
    items_with(&format!("{KEYS}{lines}"))
}

fn post(key: &str, body: &str) -> RequestText {
    let key = format!("\"{key}\"");
    request("POST", "/items/1").field("Idempotency-Key", &key).field("Content-Type", "text/plain").body(body)
}

fn posts(origin: &Origin) -> usize {
    origin.seen_to("POST", "/items/1").len()
}

#[track_caller]
fn expect_replay(answer: Answer, status: u16) -> Answer {
    assert_eq!(answer.field("Idempotent-Replayed"), Some("true"), "{answer}");
    answer.expect(status)
}

#[track_caller]
fn expect_first(answer: Answer, status: u16) -> Answer {
    assert!(!answer.has("Idempotent-Replayed"), "{answer}");
    answer.expect(status)
}

fn sent_twice(first: &str, mode: &str) -> String {
    format!("ifmatch_requests_sent_twice_total{{first=\"{first}\",mode=\"{mode}\",route=\"item\"}}")
}

#[test]
fn the_first_answer_is_given_again_with_status_fields_and_body() {
    let (origin, proxy) = keyed();
    origin.answer_always(
        "POST",
        "/items/1",
        "HTTP/1.1 201 Created\r\nLocation: /items/9\r\nX-Thing: a\r\nX-Thing: b\r\nSet-Cookie: s=1\r\n\
         Content-Type: application/json\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nKeep-Alive: timeout=5\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n3\r\n 1}\r\n0\r\n\r\n",
    );
    let first = expect_first(proxy.ask(&post("k", "x")), 201);
    let again = expect_replay(proxy.ask(&post("k", "x")), 201);
    assert_eq!((first.text(), again.text()), ("{\"a\": 1}".into(), "{\"a\": 1}".into()));
    for name in ["Location", "X-Thing", "Set-Cookie", "Content-Type"] {
        assert_eq!(again.fields_named(name), first.fields_named(name), "{again}");
        assert!(again.has(name), "{again}");
    }
    assert!(!again.has("Via") && !again.has("Keep-Alive"), "{again}");
    assert_ne!(again.field("Date"), first.field("Date"), "{again}");
    assert_eq!(posts(&origin), 1, "{}", origin.story());
    assert_eq!(origin.only("POST", "/items/1").field("Idempotency-Key"), Some("\"k\""));
    proxy.expect_metric(&sent_twice("answered", "enforce"), 1);
    proxy.expect_metric("ifmatch_requests_total{method=\"POST\",outcome=\"replayed\"}", 1);
    proxy.expect_metric("ifmatch_idempotency_keys", 1);
    expect_first(proxy.ask(&post("other", "x")), 201);
    assert_eq!(posts(&origin), 2);
}

#[test]
fn a_missing_or_malformed_key_is_refused_and_the_text_says_what_was_found() {
    let (origin, proxy) = keyed();
    let plain = || request("POST", "/items/1").body("x");
    let with = |value: &str| plain().field("Idempotency-Key", value);
    for (asked, found) in [
        (plain(), "is missing"),
        (with("8e03978e-40d5-43dd-bc93-6894a57f9324"), "not in double quotes"),
        (with("'a'"), "not in double quotes"),
        (with("\"a"), "without its closing quote"),
        (with("\"a\", \"b\""), "more than one string"),
        (with("\"a\"").field("Idempotency-Key", "\"a\""), "more than once"),
        (with("\"\u{e9}\""), "a character"),
        (with("\"\""), "an empty string"),
    ] {
        let refusal = proxy.ask(&asked).expect_refusal(400, "idempotency-key-missing");
        assert!(refusal.text().contains(found), "{refusal}");
    }
    assert_eq!(origin.seen_count(), 0);
    // Other methods have none.
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "x").expect(204);
}

#[test]
fn where_no_key_is_required_a_request_without_one_goes_on_unread_and_a_malformed_one_does_not() {
    let (origin, proxy) = items_with("body_limit = \"4B\"\n[routes.idempotency]\n");
    let long = request("POST", "/items/1").field("Content-Type", "text/plain");
    let keyed = long.clone().field("Idempotency-Key", "\"k\"").body("12345");
    proxy.ask(&long.body("12345")).expect(201);
    assert_eq!(origin.only("POST", "/items/1").body, b"12345");
    proxy.ask(&keyed).expect_refusal(413, "content-too-large");
    proxy.ask(&request("POST", "/items/1").field("Idempotency-Key", "k").body("x")).expect(400);
    assert_eq!(posts(&origin), 1);
}

#[test]
fn a_key_belongs_to_one_request() {
    let (origin, proxy) = keyed();
    proxy.ask(&post("k", "x")).expect(201);
    let key = |target: &str, kind: &str| {
        request("POST", target).field("Idempotency-Key", "\"k\"").field("Content-Type", kind).body("x")
    };
    for other in [
        post("k", "y"),
        post("k", ""),
        key("/items/1?a=1", "text/plain"),
        key("/items/2", "text/plain"),
        key("/items/1/", "text/plain"),
        key("/items/1", "text/html"),
        key("/items/1", "text/plain").field("Content-Encoding", "gzip"),
        key("/items/1", "text/plain").without_host().field("Host", "other.example"),
    ] {
        proxy.ask(&other).expect_refusal(422, "idempotency-key-reused");
    }
    expect_replay(proxy.ask(&post("k", "x")), 201);
    assert_eq!(origin.seen_count(), 1);
    proxy.expect_metric(&sent_twice("other-request", "enforce"), 8);
}

#[test]
fn a_second_request_hears_that_the_first_is_in_flight_and_then_its_answer() {
    let (origin, proxy) = keyed();
    let held = origin.hold("POST", "/items/1");
    let first = proxy.begin(&post("k", "x"));
    held.arrived();
    let refusal = proxy.ask(&post("k", "x")).expect_refusal(409, "idempotency-key-in-use");
    assert_eq!(refusal.field("Retry-After"), Some("1"), "{refusal}");
    proxy.ask(&post("k", "y")).expect_refusal(422, "idempotency-key-reused");
    held.release();
    let first = first.answer().expect(201);
    let again = expect_replay(proxy.ask(&post("k", "x")), 201);
    assert_eq!(again.field("Location"), first.field("Location"));
    assert_eq!(posts(&origin), 1);
}

#[test]
fn of_many_at_once_one_is_forwarded() {
    let (origin, proxy) = keyed();
    let held = origin.hold("POST", "/items/1");
    let all: Vec<_> = (0..20).map(|_| proxy.begin(&post("k", "x"))).collect();
    held.arrived();
    proxy.await_metric(&sent_twice("in-flight", "enforce"), 19);
    held.release();
    let mut statuses: Vec<u16> = all.into_iter().map(|pending| pending.answer().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201], vec![409; 19]].concat());
    assert_eq!(posts(&origin), 1);
}

#[test]
fn a_key_is_its_principals_its_methods_and_its_routes_own() {
    let more = "\n[[routes]]\nname = \"thing\"\npath = \"/things/{id}\"\nupstream = \"origin\"\n[routes.idempotency]\n";
    let (origin, proxy) = items_with(&format!(
        "principal = {{ header = \"Authorization\" }}\nunconditional = \"allow\"\n\
         [routes.idempotency]\nmethods = [\"POST\", \"PATCH\"]\n{more}"
    ));
    let by = |method: &str, target: &str, who: &str| {
        let asked = request(method, target).field("Idempotency-Key", "\"k\"").body("x");
        if who.is_empty() { asked } else { asked.field("Authorization", who) }
    };
    let firsts = [
        by("POST", "/items/1", "Bearer ann"),
        by("POST", "/items/1", "Bearer bob"),
        by("POST", "/items/1", ""),
        by("PATCH", "/items/1", "Bearer ann"),
        by("POST", "/things/1", "Bearer ann"),
    ];
    for first in &firsts {
        let answer = proxy.ask(first);
        assert!(!answer.has("Idempotent-Replayed") && answer.status < 300, "{answer}");
    }
    for again in &firsts {
        assert!(proxy.ask(again).has("Idempotent-Replayed"));
    }
    assert_eq!(origin.seen_count(), firsts.len());
}

#[test]
fn an_answer_of_5xx_is_not_kept_unless_the_route_says_so_and_4xx_is() {
    let (origin, proxy) = keyed();
    for status in ["500 Internal Server Error", "507 Insufficient Storage"] {
        origin.answer_once("POST", "/items/1", with_body(status, "text/plain", "sorry"));
        expect_first(proxy.ask(&post("k", "x")), status[..3].parse().expect("a status"));
    }
    origin.answer_once("POST", "/items/1", with_body("422 Unprocessable", "text/plain", "no such thing"));
    expect_first(proxy.ask(&post("k", "x")), 422);
    assert_eq!(expect_replay(proxy.ask(&post("k", "x")), 422).text(), "no such thing");
    assert_eq!(posts(&origin), 3);

    let (origin, proxy) = keyed_with("keep_5xx = true\n");
    origin.answer_once("POST", "/items/1", with_body("500 Internal Server Error", "text/plain", "sorry"));
    expect_first(proxy.ask(&post("k", "x")), 500);
    expect_replay(proxy.ask(&post("k", "x")), 500);
    assert_eq!(posts(&origin), 1);
}

/// Fails unless a request that came to nobody knows what is never forwarded again.
#[track_caller]
fn expect_unknown(origin: &Origin, proxy: &Proxy) {
    for _ in 0..2 {
        let told = proxy.ask(&post("k", "x")).expect_refusal(502, "outcome-unknown");
        assert!(told.text().contains("Idempotency-Key"), "{told}");
    }
    proxy.ask(&post("k", "y")).expect_refusal(422, "idempotency-key-reused");
    assert_eq!(posts(origin), 1, "{}", origin.story());
    proxy.expect_metric(&sent_twice("unknown", "enforce"), 2);
}

#[test]
fn an_unknown_outcome_is_told_as_such_and_never_repeated() {
    let (origin, proxy) = keyed();
    origin.once("POST", "/items/1", |exchange| exchange.apply().and_then(|()| exchange.close()));
    proxy.ask(&post("k", "x")).expect_refusal(502, "outcome-unknown");
    expect_unknown(&origin, &proxy);
    for status in ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout", "408 Request Timeout"]
    {
        let (origin, proxy) = keyed_with("keep_5xx = true\n");
        origin.answer_once("POST", "/items/1", empty(status, &[("X-From", "origin")]));
        assert!(proxy.ask(&post("k", "x")).has("X-From"));
        expect_unknown(&origin, &proxy);
    }
    let origin = Origin::with_item();
    let silent = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"200ms\"\n";
    let proxy = Proxy::in_front_of(&origin, &format!("{ITEMS}{KEYS}{silent}"));
    let _held = origin.hold("POST", "/items/1");
    proxy.ask(&post("k", "x")).expect_refusal(504, "outcome-unknown");
    expect_unknown(&origin, &proxy);
}

#[test]
fn an_accepted_request_hears_so_again() {
    let (origin, proxy) = keyed();
    origin.answer_once("POST", "/items/1", empty("202 Accepted", &[("Location", "/jobs/7")]));
    expect_first(proxy.ask(&post("k", "x")), 202);
    assert_eq!(expect_replay(proxy.ask(&post("k", "x")), 202).field("Location"), Some("/jobs/7"));
    assert_eq!(posts(&origin), 1);
}

#[test]
fn a_refusal_before_anything_was_forwarded_leaves_the_key_free() {
    let (origin, proxy) = keyed_with("methods = [\"PUT\"]\n");
    let keyed = |asked: RequestText| asked.field("Idempotency-Key", "\"k\"");
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "x").expect(400);
    proxy.ask(&keyed(request("PUT", "/items/1").body("y"))).expect_refusal(428, "precondition-required");
    proxy.ask(&keyed(put("/items/1", "oops", "y"))).expect_refusal(400, "malformed-precondition");
    proxy.ask(&keyed(put("/items/1", "\"stale\"", "y"))).expect_refusal(412, "precondition-failed");
    let missing = keyed(request("PUT", "/items/1").if_none_match("*").body("y"));
    proxy.ask(&missing).expect_refusal(412, "precondition-failed");
    let held = origin.hold("PUT", "/items/1");
    let other = proxy.begin(&put("/items/1", &tag, "z").field("Idempotency-Key", "\"other\""));
    held.arrived();
    proxy.ask(&keyed(put("/items/1", &tag, "y"))).expect_refusal(409, "write-in-flight");
    held.release();
    let tag = other.answer().expect(204).tag();
    expect_first(proxy.ask(&keyed(put("/items/1", &tag, "y"))), 204);
    proxy.expect_metric("ifmatch_idempotency_keys", 2);
}

#[test]
fn what_surely_never_reached_the_origin_may_be_sent_again() {
    let nobody = crate::harness::Nobody::new();
    let upstream = format!("[upstreams.origin]\nservers = [\"{}\"]\n", nobody.address());
    let proxy = Proxy::start(&format!("{ITEMS}{KEYS}{upstream}"));
    for _ in 0..2 {
        proxy.ask(&post("k", "x")).expect_refusal(502, "origin-unreachable");
    }
    proxy.expect_metric("ifmatch_idempotency_keys", 0);
}

#[test]
fn a_retry_with_the_tag_that_its_first_made_stale_gets_the_first_answer() {
    let (origin, proxy) = keyed_with("methods = [\"PUT\"]\n");
    let tag = proxy.tag("/items/1");
    let keyed = put("/items/1", &tag, "two").field("Idempotency-Key", "\"k\"");
    let fresh = expect_first(proxy.ask(&keyed), 204).tag();
    assert_ne!(fresh, tag);
    assert_eq!(expect_replay(proxy.ask(&keyed), 204).tag(), fresh);
    // Also where somebody else has written since: it is what became of that request.
    proxy.ask(&put("/items/1", &fresh, "three").field("Idempotency-Key", "\"l\"")).expect(204);
    assert_eq!(expect_replay(proxy.ask(&keyed), 204).tag(), fresh);
    assert_eq!(origin.stored("/items/1").as_deref(), Some("three"));
}

#[test]
fn an_answer_that_is_too_long_reaches_its_client_and_is_not_kept() {
    let (origin, proxy) = items_with(&format!("body_limit = \"64KiB\"\n{KEYS}"));
    let long = "x".repeat(200_000);
    origin.answer_always("POST", "/items/1", with_body("200 OK", "text/plain", &long));
    assert_eq!(expect_first(proxy.ask(&post("k", "x")), 200).text(), long);
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n{long}\r\n0\r\n\r\n");
    origin.answer_always("POST", "/items/2", chunked);
    let second = request("POST", "/items/2").field("Idempotency-Key", "\"k2\"").body("x");
    assert_eq!(expect_first(proxy.ask(&second), 200).text(), long);
    for again in [post("k", "x"), second] {
        let refusal = proxy.ask(&again).expect_refusal(409, "idempotency-key-in-use");
        assert!(refusal.text().contains("is not kept") && !refusal.has("Retry-After"), "{refusal}");
    }
    assert_eq!(posts(&origin), 1);
}

#[test]
fn an_answer_that_breaks_off_breaks_off_there_too_and_is_not_kept() {
    let (origin, proxy) = keyed();
    origin.once("POST", "/items/1", |exchange| {
        exchange.read_body()?;
        exchange.write("HTTP/1.1 201 Created\r\nX-A: 1\r\nContent-Length: 10\r\n\r\n12345")?;
        exchange.close()
    });
    let mut client = proxy.connect();
    client.request(&post("k", "x"));
    let first = client.try_answer().expect("a head");
    assert_eq!((first.status, first.text(), first.complete), (201, "12345".into(), false), "{first}");
    proxy.ask(&post("k", "x")).expect_refusal(409, "idempotency-key-in-use");
    assert_eq!(posts(&origin), 1);
}

#[test]
fn the_answer_is_kept_for_a_client_that_left() {
    for leave in [Client::leave as fn(Client), Client::reset] {
        let (origin, proxy) = keyed();
        let held = origin.hold("POST", "/items/1");
        let first = proxy.begin(&post("k", "x"));
        held.arrived();
        leave(first.client());
        proxy.await_metric("ifmatch_requests_total{outcome=\"client-gone\"}", 1);
        proxy.ask(&post("k", "x")).expect_refusal(409, "idempotency-key-in-use");
        held.answer(with_body("201 Created", "text/plain", "made"));
        proxy.await_metric("ifmatch_writes_settled_total{outcome=\"applied\"}", 1);
        assert_eq!(expect_replay(proxy.ask(&post("k", "x")), 201).text(), "made");
        assert_eq!(posts(&origin), 1);
    }
}

#[test]
fn a_key_is_free_again_when_its_lifetime_is_over() {
    let (origin, proxy) = keyed_with("lifetime = \"100ms\"\n");
    proxy.ask(&post("k", "x")).expect(201);
    while proxy.ask(&post("k", "x")).expect(201).has("Idempotent-Replayed") {}
    assert_eq!(posts(&origin), 2);
    proxy.await_metric("ifmatch_idempotency_keys", 0);
}

#[test]
fn the_oldest_answer_makes_room_and_what_is_in_flight_or_unknown_never_does() {
    let origin = Origin::with_item();
    let config = ITEMS.replace("[ledger]\n", "[ledger]\nmax_idempotency_keys = 2\n") + KEYS;
    let proxy = Proxy::in_front_of(&origin, &config);
    for key in ["a", "b", "c"] {
        expect_first(proxy.ask(&post(key, "x")), 201);
    }
    proxy.expect_metric("ifmatch_idempotency_keys_forgotten_total", 1);
    expect_replay(proxy.ask(&post("b", "x")), 201);
    origin.once("POST", "/items/1", |exchange| exchange.close());
    proxy.ask(&post("lost", "x")).expect_refusal(502, "outcome-unknown");
    let held = origin.hold("POST", "/items/1");
    let first = proxy.begin(&post("held", "x"));
    held.arrived();
    let refusal = proxy.ask(&post("d", "x")).expect_refusal(503, "overloaded");
    assert_eq!(refusal.field("Retry-After"), Some("1"), "{refusal}");
    proxy.ask(&post("lost", "x")).expect_refusal(502, "outcome-unknown");
    held.release();
    first.answer().expect(201);
    expect_first(proxy.ask(&post("d", "x")), 201);
    proxy.ask(&post("lost", "x")).expect_refusal(502, "outcome-unknown");
}

#[test]
fn answers_take_no_more_room_than_there_is() {
    let origin = Origin::with_item();
    let config = ITEMS.replace("[ledger]\n", "[ledger]\nmax_idempotency_bytes = \"3KiB\"\n") + KEYS;
    let proxy = Proxy::in_front_of(&origin, &config);
    origin.answer_always("POST", "/items/1", with_body("200 OK", "text/plain", &"x".repeat(1_000)));
    for key in ["a", "b", "c"] {
        expect_first(proxy.ask(&post(key, "x")), 200);
    }
    proxy.expect_metric("ifmatch_idempotency_keys_forgotten_total", 1);
    expect_replay(proxy.ask(&post("c", "x")), 200);
    expect_replay(proxy.ask(&post("b", "x")), 200);
}

#[test]
fn observe_mode_forwards_every_duplicate_and_counts_it() {
    let (origin, proxy) = items_with(&format!("mode = \"observe\"\n{KEYS}"));
    let ask = |asked: &RequestText| expect_first(proxy.ask(asked), 201);
    ask(&post("k", "x"));
    ask(&post("k", "x"));
    proxy.expect_metric(&sent_twice("answered", "observe"), 1);
    let expect_conflict = |kind: &str| {
        proxy.expect_metric(&format!("ifmatch_conflicts_total{{kind=\"{kind}\",mode=\"observe\"}}"), 1);
        assert_eq!(proxy.conflicts()[0]["kind"], *kind);
    };
    ask(&request("POST", "/items/1").body("x"));
    expect_conflict("idempotency-key-missing");
    ask(&post("k", "y"));
    expect_conflict("idempotency-key-reused");
    let held = origin.hold("POST", "/items/1");
    let first = proxy.begin(&post("l", "x"));
    held.arrived();
    ask(&post("l", "x"));
    proxy.expect_metric(&sent_twice("in-flight", "observe"), 1);
    held.release();
    expect_first(first.answer(), 201);
    origin.once("POST", "/items/1", |exchange| exchange.close());
    proxy.ask(&post("m", "x")).expect(502);
    ask(&post("m", "x"));
    proxy.expect_metric(&sent_twice("unknown", "observe"), 1);
    proxy.expect_metric("ifmatch_conflicts_total{mode=\"enforce\"}", 0);
    assert_eq!(posts(&origin), 8);
}
