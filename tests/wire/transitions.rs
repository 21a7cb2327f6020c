//! `[routes.transitions]`: only listed moves, judged by what the origin shows under the permit.

use crate::harness::{Held, Origin, Proxy, RequestText, empty, request, with_body};

const ORDERS: &str = r#"
[ledger]
settle = "300ms"

[[routes]]
name = "cancel"
path = "/orders/{id}/cancel"
upstream = "origin"
resource = "order:{id}"
ROUTE

[routes.transitions]
field = "/state"
to = { fixed = "cancelled" }
look = "/orders/{id}"
[routes.transitions.allowed]
new = ["paid", "cancelled"]
paid = ["shipped", "cancelled"]
shipped = []

[[routes]]
name = "order"
path = "/orders/{id}"
upstream = "origin"
resource = "order:{id}"
unconditional = "allow"
ROUTE

[routes.transitions]
field = "/state"
to = { body = "/state" }
[routes.transitions.allowed]
new = ["paid", "cancelled"]
paid = ["shipped", "cancelled"]
"#;

fn orders_with(lines: &str) -> (Origin, Proxy) {
    let origin = Origin::start();
    let proxy = Proxy::in_front_of(&origin, &ORDERS.replace("ROUTE", lines));
    (origin, proxy)
}

fn orders() -> (Origin, Proxy) {
    orders_with("")
}

fn in_state(origin: &Origin, state: &str) {
    origin.store("/orders/5", &format!("{{\"id\":5,\"state\":\"{state}\"}}"));
}

fn cancel() -> RequestText {
    request("POST", "/orders/5/cancel")
}

fn put(state: &str) -> RequestText {
    request("PUT", "/orders/5").body(format!("{{\"state\":\"{state}\"}}"))
}

/// The origin applies this move when it is released.
fn held_cancel(origin: &Origin) -> Held {
    origin.hold("POST", "/orders/5/cancel")
}

#[test]
fn a_listed_move_is_forwarded_and_another_one_is_not() {
    let (origin, proxy) = orders();
    in_state(&origin, "paid");
    proxy.ask(&cancel()).expect(201);
    assert_eq!(origin.seen()[0].target, "/orders/5", "the look comes first");
    for state in ["shipped", "cancelled", "elsewhere"] {
        in_state(&origin, state);
        let refused = proxy.ask(&cancel()).expect_refusal(409, "transition-not-allowed");
        let text = refused.text();
        assert!(
            text.contains("cancelled") && !text.contains("shipped") && !text.contains("elsewhere"),
            "{refused}"
        );
        assert!(!refused.has("Retry-After"), "{refused}");
    }
    assert_eq!(origin.seen_to("POST", "/orders/5/cancel").len(), 1);
    proxy.await_rest();
}

#[test]
fn a_state_in_the_body_is_a_move_unless_it_is_the_present_one() {
    let (origin, proxy) = orders();
    in_state(&origin, "new");
    proxy.ask(&put("shipped")).expect_refusal(409, "transition-not-allowed");
    proxy.ask(&put("new")).expect(204);
    proxy.ask(&put("paid")).expect(204);
    proxy.ask(&put("new")).expect_refusal(409, "transition-not-allowed");
    let looks = origin.seen_to("GET", "/orders/5").len();
    proxy.ask(&request("PUT", "/orders/5").body("{\"note\":\"x\"}")).expect(204);
    assert_eq!(origin.seen_to("GET", "/orders/5").len(), looks, "it moves nothing");
    proxy.ask(&request("PUT", "/orders/5").body("{\"state\":")).expect_refusal(400, "unreadable-content");
    proxy.ask(&request("PUT", "/orders/5").body("{\"state\":{}}")).expect_refusal(400, "unreadable-content");
}

#[test]
fn the_state_is_told_only_where_the_route_reveals_it() {
    let (origin, proxy) = orders_with("reveal_current = true");
    in_state(&origin, "shipped");
    let refused = proxy.ask(&cancel()).expect_refusal(409, "transition-not-allowed");
    let detail = refused.json()["detail"].as_str().expect("a detail").to_owned();
    for told in ["/state", "\"shipped\"", "\"cancelled\""] {
        assert!(detail.contains(told), "{refused}");
    }
}

#[test]
fn no_second_move_slips_in_between_look_and_write() {
    let (origin, proxy) = orders();
    in_state(&origin, "paid");
    let held = held_cancel(&origin);
    let first = proxy.begin(&cancel());
    held.arrived();
    proxy.ask(&put("shipped")).expect_refusal(409, "write-in-flight");
    proxy.ask(&cancel()).expect_refusal(409, "write-in-flight");
    // Nor a write that moves nothing.
    proxy.ask(&request("PUT", "/orders/5").body("{}")).expect_refusal(409, "write-in-flight");
    held.release();
    first.answer().expect(201);
    in_state(&origin, "cancelled");
    proxy.ask(&put("shipped")).expect_refusal(409, "transition-not-allowed");
}

#[test]
fn a_move_of_unknown_outcome_lets_no_other_one_by_until_it_is_settled() {
    let (origin, proxy) = orders();
    in_state(&origin, "paid");
    let held = held_cancel(&origin);
    let first = proxy.begin(&cancel());
    held.arrived();
    held.die();
    first.answer().expect_refusal(502, "outcome-unknown");
    proxy.ask(&put("shipped")).expect_refusal(409, "unsettled");
    proxy.await_rest();
    proxy.ask(&put("shipped")).expect(204);
}

#[test]
fn what_is_not_there_is_told_by_the_origin() {
    let (origin, proxy) = orders();
    origin.answer_always("POST", "/orders/5/cancel", empty("404 Not Found", &[]));
    proxy.ask(&cancel()).expect(404);
    assert_eq!(origin.seen_to("POST", "/orders/5/cancel").len(), 1);
}

#[test]
fn a_state_that_cannot_be_seen_forwards_nothing() {
    for answer in [
        empty("500 Internal Server Error", &[]),
        empty("403 Forbidden", &[]),
        with_body("200 OK", "text/html", "<p>paid</p>"),
        with_body("200 OK", "application/json", "{}"),
        with_body("200 OK", "application/json", "{\"state\":null}"),
        with_body("200 OK", "application/json", "{\"state\":[\"paid\"]}"),
        with_body("200 OK", "application/json", "{\"state\":\"paid\",\"state\":\"shipped\"}"),
    ] {
        let (origin, proxy) = orders();
        origin.answer_always("GET", "/orders/5", answer);
        let refused = proxy.ask(&cancel()).expect_refusal(503, "origin-unreachable");
        assert!(refused.has("Retry-After"), "{refused}");
        assert_eq!(origin.seen_to("POST", "/orders/5/cancel").len(), 0);
        proxy.await_rest();
    }
}

#[test]
fn a_state_that_may_lag_behind_is_not_judged_by() {
    let (origin, proxy) = orders_with("read_lag = \"1h\"");
    in_state(&origin, "new");
    proxy.ask(&put("paid")).expect(204);
    proxy.ask(&cancel()).expect_refusal(503, "origin-unreachable");
    assert_eq!(origin.seen_to("POST", "/orders/5/cancel").len(), 0);
}

#[test]
fn preconditions_are_judged_as_ever_and_before_the_state() {
    let (origin, proxy) = orders_with("guard = [\"POST\"]");
    in_state(&origin, "shipped");
    proxy.ask(&cancel()).expect_refusal(428, "precondition-required");
    proxy.ask(&cancel().if_match("\"stale\"")).expect_refusal(412, "precondition-failed");
    let tag = proxy.tag("/orders/5");
    proxy.ask(&cancel().if_match(&tag)).expect_refusal(409, "transition-not-allowed");
}

#[test]
fn observe_mode_counts_a_forbidden_move_and_lets_it_through() {
    let (origin, proxy) = orders_with("mode = \"observe\"");
    in_state(&origin, "shipped");
    proxy.ask(&cancel()).expect(201);
    assert_eq!(origin.seen_to("POST", "/orders/5/cancel").len(), 1);
    let series = "ifmatch_conflicts_total{kind=\"transition-not-allowed\",mode=\"observe\",route=\"cancel\"}";
    proxy.expect_metric(series, 1);
    origin.answer_once("GET", "/orders/5", empty("500 Internal Server Error", &[]));
    proxy.ask(&cancel()).expect(201);
    proxy.expect_metric(series, 1);
}
