//! `already_applied = "answer"`: a client that lost the answer to its write sends it again, and hears it.

use crate::given::items_with;
use crate::harness::{Answer, Origin, Proxy, RequestText, put, request};

const ANSWERS: &str = "principal = { header = \"Authorization\" }\nalready_applied = \"answer\"\n";

fn answering() -> (Origin, Proxy) {
    items_with(ANSWERS)
}

fn by(who: &str, asked: RequestText) -> RequestText {
    asked.field("Authorization", who)
}

#[track_caller]
fn expect_replay(answer: Answer, status: u16) -> Answer {
    assert_eq!(answer.field("Idempotent-Replayed"), Some("true"), "{answer}");
    assert!(answer.body.is_empty(), "{answer}");
    answer.expect(status)
}

#[test]
fn the_last_applied_write_sent_again_is_answered_with_the_fresh_tag() {
    let (origin, proxy) = answering();
    let tag = proxy.tag("/items/1");
    let write = by("ann", put("/items/1", &tag, "two"));
    let fresh = proxy.ask(&write).expect(204).tag();
    assert_eq!(expect_replay(proxy.ask(&write), 204).tag(), fresh);
    assert_eq!(expect_replay(proxy.ask(&write), 204).tag(), fresh);
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 1);
    proxy.expect_metric("ifmatch_requests_sent_twice_total{first=\"already-applied\",mode=\"enforce\"}", 2);
    proxy.expect_metric("ifmatch_conflicts_total", 0);
    // The tag that it hears is good for the next write.
    proxy.ask(&by("ann", put("/items/1", &fresh, "three"))).expect(204);
    proxy.ask(&write).expect_refusal(412, "precondition-failed");
}

#[test]
fn whatever_differs_is_another_write_and_stale() {
    let (origin, proxy) = answering();
    let tag = proxy.tag("/items/1");
    let write = |body: &str| put("/items/1", &tag, body);
    proxy.ask(&by("ann", write("two"))).expect(204);
    for other in [
        by("bob", write("two")),
        write("two"),
        by("ann", write("2")),
        by("ann", put("/items/1", &format!("{tag}, \"x\""), "two")),
        by("ann", put("/items/1?a=1", &tag, "two")),
        by("ann", write("two").field("Content-Type", "text/html")),
        by("ann", request("PATCH", "/items/1").if_match(&tag).body("two")),
    ] {
        proxy.ask(&other).expect_refusal(412, "precondition-failed");
    }
    assert_eq!(origin.stored("/items/1").as_deref(), Some("two"));
    expect_replay(proxy.ask(&by("ann", write("two"))), 204);
}

#[test]
fn after_another_write_it_is_stale_whoever_wrote_it_and_whatever_came_of_that() {
    let (origin, proxy) = answering();
    let tag = proxy.tag("/items/1");
    let write = by("ann", put("/items/1", &tag, "two"));
    let fresh = proxy.ask(&write).expect(204).tag();
    // Not applied: it still is the last one.
    origin.answer_once("PUT", "/items/1", crate::harness::empty("422 Unprocessable", &[]));
    proxy.ask(&by("bob", put("/items/1", &fresh, "three"))).expect(422);
    expect_replay(proxy.ask(&write), 204);
    proxy.ask(&request("POST", "/items/1").body("x")).expect(201);
    proxy.ask(&write).expect_refusal(412, "precondition-failed");
}

#[test]
fn a_creation_is_told_with_its_place_and_content_is_not_told_again() {
    let (origin, proxy) = answering();
    let created = "HTTP/1.1 201 Created\r\nLocation: /items/1\r\nContent-Length: 2\r\n\r\n{}";
    origin.answer_once("PUT", "/items/1", created);
    let tag = proxy.tag("/items/1");
    let write = by("ann", put("/items/1", &tag, "two"));
    let fresh = proxy.ask(&write).expect(201).tag();
    let again = expect_replay(proxy.ask(&write), 201);
    assert_eq!((again.tag(), again.field("Location")), (fresh.clone(), Some("/items/1")));
    origin.answer_once("PUT", "/items/1", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let write = by("ann", put("/items/1", &fresh, "three"));
    let fresh = proxy.ask(&write).expect(200).tag();
    assert_eq!(expect_replay(proxy.ask(&write), 204).tag(), fresh);
    let delete = by("ann", request("DELETE", "/items/1").if_match(&fresh));
    proxy.ask(&delete).expect(204);
    expect_replay(proxy.ask(&delete), 204);
    assert_eq!(origin.seen_to("DELETE", "/items/1").len(), 1);
}

#[test]
fn an_unknown_outcome_is_not_taken_for_an_applied_write() {
    let (origin, proxy) = answering();
    let tag = proxy.tag("/items/1");
    let write = by("ann", put("/items/1", &tag, "two"));
    origin.once("PUT", "/items/1", |exchange| exchange.apply().and_then(|()| exchange.close()));
    proxy.ask(&write).expect_refusal(502, "outcome-unknown");
    proxy.await_rest();
    proxy.ask(&write).expect_refusal(412, "precondition-failed");
}

#[test]
fn it_is_off_by_default() {
    let (_origin, proxy) = items_with("principal = { header = \"Authorization\" }");
    let tag = proxy.tag("/items/1");
    let write = by("ann", put("/items/1", &tag, "two"));
    proxy.ask(&write).expect(204);
    proxy.ask(&write).expect_refusal(412, "precondition-failed");
}

#[test]
fn observe_mode_forwards_it_and_counts_no_conflict() {
    let (origin, proxy) = items_with(&format!("mode = \"observe\"\n{ANSWERS}"));
    let tag = proxy.tag("/items/1");
    let write = by("ann", put("/items/1", &tag, "two"));
    proxy.ask(&write).expect(204);
    let again = proxy.ask(&write).expect(204);
    assert!(!again.has("Idempotent-Replayed"), "{again}");
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 2);
    proxy.expect_metric("ifmatch_requests_sent_twice_total{first=\"already-applied\",mode=\"observe\"}", 1);
    proxy.expect_metric("ifmatch_conflicts_total", 0);
}
