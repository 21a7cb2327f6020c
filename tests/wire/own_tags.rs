//! `validator = "origin"`: what is compared is what the origin says of its own.

use crate::given::items_with;
use crate::harness::{Origin, Proxy, put, request};

fn origin_with(lines: &str) -> (Origin, Proxy) {
    items_with(&format!("validator = \"origin\"\n{lines}"))
}

fn answer(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn an_origins_own_tag_is_passed_on_and_compared() {
    let (origin, proxy) = origin_with("");
    let tag = proxy.tag("/items/1");
    assert_eq!(tag, "\"origin-1\"");
    assert_eq!(proxy.ask(&request("HEAD", "/items/1")).expect(200).tag(), tag);
    proxy.ask(&request("PUT", "/items/1").body("blind")).expect_refusal(428, "precondition-required");
    proxy.put("/items/1", &tag, "two").expect(204);
    assert!(!origin.only("PUT", "/items/1").has("If-Match"), "it was judged here");
    proxy.put("/items/1", &tag, "three").expect_refusal(412, "precondition-failed");
    let tag = proxy.tag("/items/1");
    origin.store("/items/1", "past us");
    proxy.put("/items/1", &tag, "three").expect_refusal(412, "precondition-failed");
    proxy.expect_metric("ifmatch_bypass_writes_total{route=\"item\"}", 1);
    assert_eq!(origin.stored("/items/1").as_deref(), Some("past us"));
}

#[test]
fn a_reads_conditions_and_its_304_are_the_origins() {
    let (origin, proxy) = origin_with("");
    origin.answer_once("GET", "/items/1", "HTTP/1.1 304 Not Modified\r\nETag: \"origin-1\"\r\n\r\n");
    let asked = request("GET", "/items/1").if_none_match("\"origin-1\"").field("Accept-Encoding", "gzip");
    assert_eq!(proxy.ask(&asked).expect(304).tag(), "\"origin-1\"");
    let seen = origin.only("GET", "/items/1");
    assert_eq!(seen.field("If-None-Match"), Some("\"origin-1\""));
    assert!(!seen.has("Accept-Encoding"), "a coding may have a tag of its own, and no look would see that");
    let part = proxy.ask(&request("GET", "/items/1").field("Range", "bytes=0-1")).expect(206);
    assert_eq!(part.tag(), "\"origin-1\"");
}

#[test]
fn a_writes_answer_passes_the_origins_tag_on() {
    let (origin, proxy) = origin_with("");
    let tag = proxy.tag("/items/1");
    origin.answer_once("PUT", "/items/1", "HTTP/1.1 204 No Content\r\nETag: \"next\"\r\n\r\n");
    assert_eq!(proxy.put("/items/1", &tag, "two").expect(204).tag(), "\"next\"");
}

#[test]
fn a_weak_tag_satisfies_only_where_the_route_takes_it() {
    for (weak, status) in [("refuse", 412), ("accept", 204)] {
        let (origin, proxy) = origin_with(&format!("weak_if_match = \"{weak}\""));
        for tag in ["W/\"a\"", "W/\"a\"", "W/\"b\""] {
            origin.answer_once("GET", "/items/1", answer(&format!("ETag: {tag}"), "x"));
        }
        let tag = proxy.tag("/items/1");
        assert_eq!(tag, "W/\"a\"");
        proxy.put("/items/1", &tag, "two").expect(status);
        proxy.put("/items/1", &tag, "three").expect_refusal(412, "precondition-failed");
    }
}

const SECOND: &str = "Last-Modified: Mon, 05 Jan 2026 10:00:00 GMT\r\nDate: Mon, 05 Jan 2026 10:00:00 GMT";
const LATER: &str = "Last-Modified: Mon, 05 Jan 2026 10:00:00 GMT\r\nDate: Mon, 05 Jan 2026 10:00:01 GMT";
const CHANGED: &str = "Last-Modified: Mon, 05 Jan 2026 10:00:02 GMT\r\nDate: Mon, 05 Jan 2026 10:09:00 GMT";

#[test]
fn a_date_is_a_tag_once_its_second_is_over() {
    let (origin, proxy) = origin_with("");
    let shows = |fields: &str| origin.answer_once("GET", "/items/1", answer(fields, "x"));
    shows(SECOND);
    assert!(!proxy.get("/items/1").expect(200).has("ETag"), "it may change again within this second");
    shows(LATER);
    let tag = proxy.tag("/items/1");
    assert_eq!(tag, "\"lm-1767607200\"");
    shows(LATER);
    proxy.ask(&request("GET", "/items/1").if_none_match(&tag)).expect(304);
    shows(SECOND);
    proxy.put("/items/1", &tag, "two").expect_refusal(412, "precondition-failed");
    shows(LATER);
    proxy.put("/items/1", &tag, "two").expect(204);
    shows(CHANGED);
    proxy.put("/items/1", &tag, "three").expect_refusal(412, "precondition-failed");
    shows(CHANGED);
    let tag = proxy.tag("/items/1");
    shows(CHANGED);
    proxy.put("/items/1", &tag, "three").expect(204);
}

/// What is read while somebody writes may be the earlier of two contents of one second.
#[test]
fn a_date_that_is_read_beside_a_write_is_no_tag() {
    let (origin, proxy) = origin_with("");
    let held = origin.hold("PUT", "/items/1");
    let write = proxy.begin(&put("/items/1", "\"origin-1\"", "two"));
    held.arrived();
    origin.answer_once("GET", "/items/1", answer(LATER, "x"));
    assert!(!proxy.get("/items/1").expect(200).has("ETag"));
    held.release();
    write.answer().expect(204);
}

#[test]
fn a_field_of_the_body_is_compared_where_the_route_names_one() {
    for (first, second, tag) in [
        ("7", "8", "\"7\""),
        ("\"v 1\"", "\"v 2\"", "\"v%201\""),
        ("9007199254740992", "9007199254740993", "\"9007199254740992\""),
    ] {
        let (origin, proxy) = origin_with("version_field = \"/version\"\nbody_limit = \"1KiB\"");
        let document = |version: &str, note: &str| format!("{{\"version\":{version},\"note\":\"{note}\"}}");
        origin.store("/items/1", &document(first, "a"));
        assert_eq!(proxy.tag("/items/1"), tag);
        proxy.ask(&request("GET", "/items/1").if_none_match(tag)).expect(304);
        origin.store("/items/1", &document(first, "b"));
        assert_eq!(proxy.tag("/items/1"), tag, "its version is what counts");
        proxy.put("/items/1", tag, &document(second, "c")).expect(204);
        proxy.put("/items/1", tag, &document(second, "d")).expect_refusal(412, "precondition-failed");
        origin.store("/items/1", "{\"note\":\"none\"}");
        assert!(
            !proxy.get("/items/1").expect(200).has("ETag"),
            "the origin's own tag is not what is compared"
        );
        origin.store("/items/1", &document(first, &"x".repeat(2000)));
        assert!(!proxy.get("/items/1").expect(200).has("ETag"));
        proxy.expect_metric("ifmatch_untagged_reads_total{route=\"item\"}", 1);
    }
}

#[test]
fn an_origin_that_compares_tags_itself_is_left_to_it_behind_the_gate() {
    let (origin, proxy) = origin_with("origin_enforces = true");
    let asked = request("GET", "/items/1").if_none_match("oops").field("Accept-Encoding", "gzip");
    assert_eq!(proxy.ask(&asked).expect(200).tag(), "\"origin-1\"");
    let seen = origin.only("GET", "/items/1");
    assert!(seen.has("If-None-Match") && seen.has("Accept-Encoding"), "{}", origin.story());
    proxy.ask(&request("PUT", "/items/1").body("blind")).expect_refusal(428, "precondition-required");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put("/items/1", "\"origin-1\"", "two"));
    held.arrived();
    proxy.put("/items/1", "\"origin-1\"", "three").expect_refusal(409, "write-in-flight");
    held.answer("HTTP/1.1 204 No Content\r\nETag: \"next\"\r\n\r\n");
    assert_eq!(first.answer().expect(204).tag(), "\"next\"");
    assert_eq!(origin.only("PUT", "/items/1").field("If-Match"), Some("\"origin-1\""));
    assert_eq!(origin.seen_to("GET", "/items/1").len(), 1, "no look\n{}", origin.story());
    origin.answer_once(
        "PUT",
        "/items/1",
        "HTTP/1.1 412 Precondition Failed\r\nX-Own: yes\r\nContent-Length: 0\r\n\r\n",
    );
    let own = proxy.put("/items/1", "\"origin-1\"", "three").expect(412);
    assert_eq!(own.field("X-Own"), Some("yes"));
    proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"not-applied\",route=\"item\"}", 1);
}
