//! `create = "only"`: what exists is not replaced, and of two creators one gets through.

use crate::given::items_with;
use crate::harness::{Origin, Proxy, RequestText, empty, request};

fn only() -> (Origin, Proxy) {
    items_with("create = \"only\"")
}

fn create(target: &str) -> RequestText {
    request("PUT", target).body("mine")
}

#[test]
fn a_put_creates_without_a_precondition_and_does_not_replace() {
    let (origin, proxy) = only();
    proxy.ask(&create("/items/2")).expect(201);
    proxy.ask(&create("/items/2").body("again")).expect_refusal(409, "already-exists");
    assert_eq!(origin.stored("/items/2").as_deref(), Some("mine"));
    let refused = proxy.ask(&create("/items/1")).expect_refusal(409, "already-exists");
    assert!(!refused.has("Retry-After") && !refused.has("ETag"), "{refused}");
    assert_eq!(origin.stored("/items/1").as_deref(), Some("one"));
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 0);
    proxy.await_rest();
}

#[test]
fn a_stated_precondition_does_not_lift_the_rule() {
    let (origin, proxy) = only();
    let tag = proxy.tag("/items/1");
    proxy.ask(&create("/items/1").if_match(&tag)).expect_refusal(409, "already-exists");
    proxy.ask(&create("/items/1").if_match("*")).expect_refusal(409, "already-exists");
    proxy.ask(&create("/items/1").if_none_match("*")).expect_refusal(409, "already-exists");
    proxy.ask(&create("/items/1").if_none_match("\"x\"")).expect_refusal(409, "already-exists");
    // In the order of refusals: malformed, then stale, then this one.
    proxy.ask(&create("/items/1").if_match("oops")).expect_refusal(400, "malformed-precondition");
    proxy.ask(&create("/items/1").if_match("\"x\"")).expect_refusal(412, "precondition-failed");
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 0);
    proxy.ask(&create("/items/2").if_none_match("*")).expect(201);
}

#[test]
fn without_the_rule_the_clients_own_condition_is_told_as_failed() {
    let (_origin, proxy) = items_with("");
    proxy.ask(&create("/items/1").if_none_match("*")).expect_refusal(412, "precondition-failed");
    proxy.ask(&create("/items/1")).expect_refusal(428, "precondition-required");
}

#[test]
fn of_two_creators_at_once_one_is_forwarded() {
    let (origin, proxy) = only();
    let held = origin.hold("PUT", "/items/2");
    let first = proxy.begin(&create("/items/2"));
    held.arrived();
    let second = proxy.ask(&create("/items/2")).expect_refusal(409, "write-in-flight");
    assert!(second.has("Retry-After"), "{second}");
    held.release();
    first.answer().expect(201);
    proxy.ask(&create("/items/2")).expect_refusal(409, "already-exists");
    assert_eq!(origin.seen_to("PUT", "/items/2").len(), 1);
}

#[test]
fn the_other_methods_are_judged_as_ever() {
    let (_origin, proxy) = only();
    let tag = proxy.tag("/items/1");
    proxy.ask(&request("PATCH", "/items/1").body("x")).expect_refusal(428, "precondition-required");
    proxy.ask(&request("DELETE", "/items/1").if_match(&tag)).expect(204);
    proxy.ask(&create("/items/1")).expect(201);
}

#[test]
fn a_put_in_disguise_is_one() {
    let (origin, proxy) = only();
    let disguised = request("POST", "/items/1").field("X-HTTP-Method-Override", "PUT").body("x");
    proxy.ask(&disguised).expect_refusal(409, "already-exists");
    assert_eq!(origin.seen_to("POST", "/items/1").len(), 0);
}

#[test]
fn an_origin_that_does_not_say_whether_it_exists_lets_nothing_be_created() {
    let (origin, proxy) = only();
    origin.answer_always("HEAD", "/items/3", empty("500 Internal Server Error", &[]));
    origin.answer_always("GET", "/items/3", empty("500 Internal Server Error", &[]));
    proxy.ask(&create("/items/3")).expect_refusal(409, "already-exists");
    assert_eq!(origin.seen_to("PUT", "/items/3").len(), 0);
}

/// A replica that does not show yet what was just created says "404".
#[test]
fn what_was_created_within_the_read_lag_may_exist() {
    let (origin, proxy) = items_with("create = \"only\"\nread_lag = \"1h\"");
    proxy.ask(&create("/items/2")).expect(201);
    origin.answer_always("HEAD", "/items/2", empty("404 Not Found", &[]));
    origin.answer_always("GET", "/items/2", empty("404 Not Found", &[]));
    proxy.ask(&create("/items/2")).expect_refusal(409, "already-exists");
    assert_eq!(origin.seen_to("PUT", "/items/2").len(), 1);
}

#[test]
fn observe_mode_counts_a_replacement_and_lets_it_through() {
    let (origin, proxy) = items_with("create = \"only\"\nmode = \"observe\"");
    proxy.ask(&create("/items/1")).expect(204);
    assert_eq!(origin.stored("/items/1").as_deref(), Some("mine"));
    proxy
        .expect_metric("ifmatch_conflicts_total{kind=\"already-exists\",mode=\"observe\",route=\"item\"}", 1);
    proxy.expect_metric("ifmatch_conflicts_total{kind=\"precondition-required\"}", 0);
    proxy.await_rest();
}
