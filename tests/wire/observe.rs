//! `mode = "observe"`: everything goes through, and what would have been refused is counted.

use crate::given::{ITEMS, items_with};
use crate::harness::{Origin, Proxy, RequestText, put, request};

fn observing() -> (Origin, Proxy) {
    items_with("mode = \"observe\"\nbody_limit = \"16B\"")
}

#[track_caller]
fn expect_passed(proxy: &Proxy, asked: &RequestText, status: u16, kind: &str) {
    let series = format!("ifmatch_conflicts_total{{route=\"item\",kind=\"{kind}\",mode=\"observe\"}}");
    let before = proxy.metrics().value(&series).unwrap_or(0.0);
    proxy.ask(asked).expect(status);
    proxy.expect_metric(&series, before + 1.0);
    assert_eq!(proxy.conflicts()[0]["mode"], "observe");
}

#[test]
fn a_write_that_would_be_refused_goes_through_and_is_counted() {
    let (origin, proxy) = observing();
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "two").expect(204);
    expect_passed(&proxy, &put("/items/1", &tag, "three"), 204, "precondition-failed");
    expect_passed(&proxy, &request("PUT", "/items/1").body("four"), 204, "precondition-required");
    expect_passed(&proxy, &put("/items/1", "oops", "five"), 204, "malformed-precondition");
    expect_passed(&proxy, &request("GET", "/items/1").if_match("oops"), 200, "malformed-precondition");
    expect_passed(&proxy, &request("GET", "/items/1").if_match(&tag), 200, "precondition-failed");
    expect_passed(
        &proxy,
        &request("PUT", "/items/1").if_none_match("*").body("six"),
        204,
        "precondition-failed",
    );
    expect_passed(&proxy, &request("PUT", "/items/9").if_match("*").body("new"), 201, "precondition-failed");
    expect_passed(&proxy, &put("/items/1%5c", &tag, "x"), 201, "ambiguous-target");
    assert_eq!(origin.stored("/items/1").as_deref(), Some("six"));
    proxy.expect_metric("ifmatch_conflicts_total{mode=\"enforce\"}", 0);
    proxy.await_rest();
}

#[test]
fn a_form_that_is_too_long_to_be_judged_reaches_the_origin_whole() {
    let (origin, proxy) = observing();
    let form = || request("POST", "/items/1").field("Content-Type", "application/x-www-form-urlencoded");
    let long = "a=1&".repeat(10_000);
    expect_passed(&proxy, &form().body(&long), 201, "content-too-large");
    let chunks = "5\r\na=1&b\r\n10\r\n=2&c=3&d=4&e=5&f\r\n3\r\n=6&\r\n0\r\n\r\n";
    let chunked = form().field("Transfer-Encoding", "chunked").body(chunks);
    expect_passed(&proxy, &chunked, 201, "content-too-large");
    let bodies: Vec<String> = origin.seen_to("POST", "/items/1").iter().map(|seen| seen.text()).collect();
    assert_eq!(bodies, [long.as_str(), "a=1&b=2&c=3&d=4&e=5&f=6&"]);
}

#[test]
fn a_destination_that_cannot_be_judged_goes_through() {
    let (origin, proxy) = observing();
    let copy = |to: &str| request("COPY", "/items/1").field("Destination", to);
    for to in ["http://elsewhere.example/items/2", "/items%2F2", "/no/route"] {
        expect_passed(&proxy, &copy(to), 200, "ambiguous-target");
    }
    assert_eq!(origin.seen_to("COPY", "/items/1").len(), 3, "{}", origin.story());
}

#[test]
fn a_second_write_goes_through_beside_the_first_and_both_end() {
    let (origin, proxy) = observing();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put("/items/1", &tag, "one"));
    held.arrived();
    expect_passed(&proxy, &put("/items/1", &tag, "two"), 204, "write-in-flight");
    held.release();
    // Neither author knows what the other one left behind.
    let answer = first.answer().expect(204);
    assert!(!answer.has("ETag"), "{answer}");
    proxy.await_rest();
    assert_ne!(proxy.tag("/items/1"), tag);
}

#[test]
fn what_no_ledger_can_take_goes_through_all_the_same() {
    let origin = Origin::with_item();
    let config = ITEMS.replace("[ledger]\n", "[ledger]\nmax_resources = 1\n") + "mode = \"observe\"\n";
    let proxy = Proxy::in_front_of(&origin, &config);
    let held = origin.hold("POST", "/items/1");
    let first = proxy.begin(&request("POST", "/items/1").body("x"));
    held.arrived();
    proxy.ask(&request("POST", "/items/2").body("y")).expect(201);
    proxy.expect_metric("ifmatch_ledger_errors_total{store=\"memory\"}", 1);
    held.release();
    first.answer().expect(201);
}
