//! Limits on how much and how many: what over them is told, counted, and leaves nothing behind.

use crate::given::{ITEMS, items, items_with};
use crate::harness::{Answer, Origin, Proxy, put, request};
use crate::refusals::expect_form;

/// The counter of a limit.
pub fn hits(limit: &str) -> String {
    format!("ifmatch_limits_hit_total{{limit=\"{limit}\"}}")
}

/// Fails unless this limit is hit so often, and no other one. Waits for it: it may be counted
/// after the answer.
#[track_caller]
pub fn expect_hits(proxy: &Proxy, limit: &str, times: u32) {
    proxy.await_metric(&hits(limit), times);
    proxy.expect_metric("ifmatch_limits_hit_total", times);
}

/// Waits until everything that a limit guards is free again.
#[track_caller]
pub fn await_all_free(proxy: &Proxy) {
    for gauge in [
        "ifmatch_requests_in_flight",
        "ifmatch_writes_forwarding",
        "ifmatch_writes_in_flight",
        "ifmatch_writes_waiting",
        "ifmatch_client_connections",
    ] {
        proxy.await_metric(gauge, 0);
    }
}

#[track_caller]
fn expect_text(answer: &Answer, text: &str) {
    let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains(text), "{text:?} is not in {detail:?}");
}

#[test]
fn a_target_over_its_limit_hears_414_and_its_connection_stays() {
    let (origin, proxy) = items_with("[limits]\nmax_target_bytes = \"256B\"");
    let target = |bytes: usize| format!("/items/1?{}", "x".repeat(bytes - "/items/1?".len()));
    let mut client = proxy.connect();
    client.ask(&request("GET", &target(256))).expect(200);
    let refused = client.ask(&request("GET", &target(257)));
    expect_form(&refused, 414, "target-too-long");
    expect_text(&refused, "longer than the 256 bytes");
    client.ask(&request("PUT", &target(300)).if_match("*").body("x")).expect(414);
    client.ask(&request("OPTIONS", &format!("/{}", "y".repeat(2000)))).expect(414);
    // In the absolute form the whole counts.
    client.ask(&request("GET", &format!("http://api.example.com{}", target(250)))).expect(414);
    client.ask(&request("GET", "/items/1")).expect(200);
    assert_eq!(origin.seen().len(), 2, "{}", origin.story());
    expect_hits(&proxy, "limits.max_target_bytes", 4);
    proxy.expect_metric("ifmatch_refusals_total{route=\"none\",kind=\"target-too-long\"}", 4);
}

#[test]
fn a_target_beyond_all_reason_hears_414_without_a_text_and_is_counted() {
    let (origin, proxy) = items_with("[limits]\nmax_header_bytes = \"128KiB\"");
    let mut client = proxy.connect();
    client.request(&request("GET", &format!("/{}", "x".repeat(70_000))));
    let refused = client.answer().expect(414);
    assert!(refused.body.is_empty(), "{refused}");
    client.expect_close();
    expect_hits(&proxy, "limits.max_target_bytes", 1);
    assert!(origin.seen().is_empty());
}

#[test]
fn fields_over_their_size_hear_431_and_far_over_it_without_a_text() {
    let (origin, proxy) = items_with("[limits]\nmax_header_bytes = \"8KiB\"");
    let sized = |bytes: usize| {
        let bare = request("GET", "/items/1").field("X-Large", "").bytes().len();
        request("GET", "/items/1").field("X-Large", &"x".repeat(bytes - bare))
    };
    let mut client = proxy.connect();
    client.ask(&sized(8192)).expect(200);
    let refused = client.ask(&sized(8193));
    expect_form(&refused, 431, "fields-too-large");
    expect_text(&refused, "larger than the 8192 bytes");
    client.ask(&sized(10_000)).expect_refusal(431, "fields-too-large");
    client.ask(&request("GET", "/items/1")).expect(200);
    expect_hits(&proxy, "limits.max_header_bytes", 2);
    // It may be refused before it was sent to its end.
    let _sent = client.try_send(&sized(11_000).bytes());
    let refused = client.answer().expect(431);
    assert!(refused.body.is_empty(), "{refused}");
    client.expect_close();
    expect_hits(&proxy, "limits.max_header_bytes", 3);
    assert_eq!(origin.seen().len(), 2, "{}", origin.story());
}

#[test]
fn a_head_larger_than_any_usual_one_is_read() {
    let (_origin, proxy) = items_with("[limits]\nmax_header_bytes = \"1MiB\"");
    let large = "x".repeat(1_000_000);
    proxy.ask(&request("GET", "/items/2").field("X-Large", &large)).expect(404);
}

#[test]
fn too_many_fields_hear_431_and_far_too_many_without_a_text() {
    // The field Host is one of them. 100 are read in any case, and a quarter more than a higher limit.
    for (limit, bare_from) in [(20, 101), (120, 151)] {
        let (origin, proxy) = items_with(&format!("[limits]\nmax_header_count = {limit}"));
        let fields =
            |n: usize| (1..n).fold(request("GET", "/items/1"), |r, i| r.field(&format!("X-{i}"), "1"));
        let mut client = proxy.connect();
        client.ask(&fields(limit)).expect(200);
        let refused = client.ask(&fields(limit + 1));
        expect_form(&refused, 431, "fields-too-large");
        expect_text(&refused, &format!("more than the {limit} fields"));
        client.ask(&fields(bare_from - 1)).expect_refusal(431, "fields-too-large");
        let refused = client.ask(&fields(bare_from)).expect(431);
        assert!(refused.body.is_empty(), "{refused}");
        client.expect_close();
        expect_hits(&proxy, "limits.max_header_count", 3);
        assert_eq!(origin.seen().len(), 1, "{}", origin.story());
    }
}

#[test]
fn one_connection_too_many_hears_503_and_is_closed() {
    let (_origin, proxy) = items_with("[limits]\nmax_connections = 2");
    let mut first = proxy.connect();
    let mut second = proxy.connect();
    first.ask(&request("GET", "/items/1")).expect(200);
    second.ask(&request("GET", "/items/1")).expect(200);
    let mut silent = proxy.connect();
    let mut asking = proxy.connect();
    // It may be closed already.
    let _sent = asking.try_send(&request("PUT", "/items/1").if_match("*").body("x").bytes());
    for turned_away in [&mut silent, &mut asking] {
        let refused = turned_away.answer().expect(503);
        assert_eq!(refused.field("Content-Type"), Some("application/problem+json"), "{refused}");
        assert_eq!(refused.json()["kind"], "overloaded", "{refused}");
        expect_text(&refused, "More connections are open");
        assert!(refused.has("Retry-After") && refused.field("Connection") == Some("close"), "{refused}");
        turned_away.expect_close();
    }
    proxy.expect_metric("ifmatch_client_connections_refused_total", 2);
    expect_hits(&proxy, "limits.max_connections", 2);
    proxy.expect_metric("ifmatch_client_connections", 2);
    first.ask(&request("GET", "/items/1")).expect(200);
    second.leave();
    proxy.await_metric("ifmatch_client_connections", 1);
    proxy.get("/items/1").expect(200);
}

#[test]
fn connections_that_are_turned_away_and_stay_pin_nothing() {
    let (_origin, proxy) = items_with("[limits]\nmax_connections = 1");
    let mut first = proxy.connect();
    first.ask(&request("GET", "/items/1")).expect(200);
    let mut turned_away: Vec<_> = (0..200).map(|_| proxy.connect()).collect();
    for client in &mut turned_away {
        // Told or, beyond the places for that, closed at once; the latter with RST at worst.
        let _answer = client.rest();
    }
    first.ask(&request("GET", "/items/1")).expect(200);
    expect_hits(&proxy, "limits.max_connections", 200);
    proxy.expect_metric("ifmatch_client_connections", 1);
}

#[test]
fn one_request_too_many_hears_503_and_its_connection_stays() {
    let (origin, proxy) = items_with("[limits]\nmax_requests_in_flight = 1");
    let held = origin.hold("GET", "/items/1");
    let first = proxy.begin(&request("GET", "/items/1"));
    held.arrived();
    let mut client = proxy.connect();
    client.ask(&request("PUT", "/items/2").if_match("\"a\"").body("x")).expect_refusal(503, "overloaded");
    held.release();
    first.answer().expect(200);
    proxy.await_metric("ifmatch_requests_in_flight", 0);
    client.ask(&request("GET", "/items/1")).expect(200);
    proxy.expect_metric("ifmatch_requests_total{outcome=\"refused\"}", 1);
    expect_hits(&proxy, "limits.max_requests_in_flight", 1);
    client.leave();
    await_all_free(&proxy);
}

#[test]
fn one_write_too_many_hears_503_occupies_nothing_and_goes_through_later() {
    let (origin, proxy) = items_with("[limits]\nmax_writes_in_flight = 1");
    origin.store("/items/2", "a");
    let (one, two) = (proxy.tag("/items/1"), proxy.tag("/items/2"));
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &one, "x"));
    held.arrived();
    proxy.expect_metric("ifmatch_writes_forwarding", 1);
    let mut client = proxy.connect();
    let refused = client.ask(&put("/items/2", &two, "b"));
    expect_form(&refused, 503, "overloaded");
    expect_text(&refused, "More writes are on their way");
    assert!(refused.has("Retry-After"), "{refused}");
    proxy.expect_metric("ifmatch_writes_in_flight", 1);
    client.ask(&request("POST", "/items/2").body("b")).expect_refusal(503, "overloaded");
    // What is stale, or states nothing, still hears that.
    client.ask(&put("/items/2", "\"old\"", "b")).expect(412);
    client.ask(&request("PUT", "/items/2").body("b")).expect(428);
    client.ask(&request("GET", "/items/2")).expect(200);
    expect_hits(&proxy, "limits.max_writes_in_flight", 2);
    held.release();
    writing.answer().expect(204);
    proxy.await_metric("ifmatch_writes_forwarding", 0);
    client.ask(&put("/items/2", &two, "b")).expect(204);
    client.leave();
    await_all_free(&proxy);
}

#[test]
fn a_write_of_unknown_outcome_keeps_no_place_among_the_writes_in_flight() {
    let origin = Origin::with_item();
    let config = ITEMS.replace("300ms", "1h") + "[limits]\nmax_writes_in_flight = 1\n";
    let proxy = Proxy::in_front_of(&origin, &config);
    origin.store("/items/2", "a");
    let two = proxy.tag("/items/2");
    origin.once("PUT", "/items/1", |exchange| exchange.close());
    proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect_refusal(502, "outcome-unknown");
    proxy.expect_metric("ifmatch_writes_in_flight", 1);
    proxy.expect_metric("ifmatch_writes_forwarding", 0);
    proxy.put("/items/2", &two, "b").expect(204);
    expect_hits(&proxy, "limits.max_writes_in_flight", 0);
}

#[test]
fn one_waiter_too_many_is_refused_and_who_waits_keeps_its_place() {
    let (origin, proxy) = items_with("overlap = \"wait\"\nwait_timeout = \"1m\"\nmax_waiters = 1");
    let tag = proxy.tag("/items/1");
    // Two writes that may overlap, so that the end of the first one wakes who waits in vain.
    let (first, second) = (origin.hold("POST", "/items/1"), origin.hold("POST", "/items/1"));
    let posting = proxy.begin(&request("POST", "/items/1").body("x"));
    first.arrived();
    let posting_too = proxy.begin(&request("POST", "/items/1").body("y"));
    second.arrived();
    let waiting = proxy.begin(&put("/items/1", &tag, "z"));
    proxy.await_metric("ifmatch_writes_waiting", 1);
    proxy.put("/items/1", &tag, "no").expect_refusal(409, "write-in-flight");
    expect_hits(&proxy, "routes.max_waiters", 1);
    first.answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    posting.answer().expect(400);
    proxy.put("/items/1", &tag, "no").expect_refusal(409, "write-in-flight");
    expect_hits(&proxy, "routes.max_waiters", 2);
    second.answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    posting_too.answer().expect(400);
    waiting.answer().expect(204);
    assert_eq!(origin.stored("/items/1").as_deref(), Some("z"));
    await_all_free(&proxy);
}

#[test]
fn a_write_that_has_waited_for_too_long_is_counted() {
    let (origin, proxy) = items_with("overlap = \"wait\"\nwait_timeout = \"100ms\"");
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "x"));
    held.arrived();
    proxy.put("/items/1", &tag, "y").expect_refusal(409, "write-in-flight");
    expect_hits(&proxy, "routes.wait_timeout", 1);
    held.release();
    writing.answer().expect(204);
    await_all_free(&proxy);
}

#[test]
fn a_form_that_is_too_long_to_be_read_is_counted() {
    let (origin, proxy) = items_with("body_limit = \"16B\"");
    let form = request("POST", "/items/1").field("Content-Type", "application/x-www-form-urlencoded");
    let mut client = proxy.connect();
    client.ask(&form.clone().body("a=1&".repeat(4))).expect(201);
    client.ask(&form.clone().body("a=1&".repeat(5))).expect_refusal(413, "content-too-large");
    // Its length is known only in the end.
    let chunked = form.field("Transfer-Encoding", "chunked").body("11\r\na=1&a=1&a=1&a=1&a\r\n0\r\n\r\n");
    client.ask(&chunked).expect_refusal(413, "content-too-large");
    client.ask(&request("GET", "/items/1")).expect(200);
    expect_hits(&proxy, "routes.body_limit", 2);
    assert_eq!(origin.seen_to("POST", "/items/1").len(), 1);
}

#[test]
fn one_connection_to_the_origin_too_many_is_waited_for_and_then_refused() {
    let upstream =
        "[upstreams.origin]\nservers = [\"{origin}\"]\nmax_connections = 1\nconnect_timeout = \"500ms\"";
    let (origin, proxy) = items_with(upstream);
    let tag = proxy.tag("/items/1");
    let held = origin.hold("GET", "/items/1");
    let reading = proxy.begin(&request("GET", "/items/1"));
    held.arrived();
    let mut client = proxy.connect();
    client.ask(&put("/items/1", &tag, "x")).expect_refusal(502, "origin-unreachable");
    expect_hits(&proxy, "upstreams.max_connections", 1);
    held.release();
    reading.answer().expect(200);
    // Surely not delivered: the resource is free and its tag is good.
    client.ask(&put("/items/1", &tag, "x")).expect(204);
    client.leave();
    await_all_free(&proxy);
}

#[test]
fn limits_change_with_a_reload() {
    let (origin, proxy) = items_with("[limits]\nmax_target_bytes = \"256B\"\nmax_writes_in_flight = 1");
    let target = format!("/items/1?{}", "x".repeat(300));
    let mut client = proxy.connect();
    client.ask(&request("GET", &target)).expect(414);
    let text = proxy.config().replace("\"256B\"", "\"512B\"").replace("flight = 1", "flight = 2");
    proxy.reload(&text);
    client.ask(&request("GET", &target)).expect(200);
    let held = origin.hold("POST", "/items/1");
    let posting = proxy.begin(&request("POST", "/items/1").body("x"));
    held.arrived();
    client.ask(&request("POST", "/items/2").body("x")).expect(201);
    held.release();
    posting.answer().expect(201);
}

#[test]
fn no_limit_is_hit_by_what_is_usual() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "x").expect(204);
    proxy.put("/items/1", &tag, "y").expect(412);
    proxy.connect().leave();
    proxy.get("/nowhere").expect(404);
    proxy.await_metric("ifmatch_client_connections", 0);
    proxy.expect_metric("ifmatch_limits_hit_total", 0);
}
