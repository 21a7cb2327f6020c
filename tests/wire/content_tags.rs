//! `validator = "content"`: a tag is a digest of what is read, so writes that came another way are seen too.

use crate::given::items_with;
use crate::harness::{Origin, Proxy, RequestText, put, request, with_body};

const CONTENT: &str = "validator = \"content\"\nignore = [\"/served_at\"]\nbody_limit = \"1KiB\"";
const BYPASSES: &str = "ifmatch_bypass_writes_total{route=\"item\"}";
const UNTAGGED: &str = "ifmatch_untagged_reads_total{route=\"item\"}";

fn content() -> (Origin, Proxy) {
    let (origin, proxy) = items_with(CONTENT);
    origin.store("/items/1", r#"{"n":1,"served_at":1}"#);
    (origin, proxy)
}

fn get() -> RequestText {
    request("GET", "/items/1")
}

#[test]
fn a_write_with_the_tag_of_what_is_there_goes_through_and_another_does_not() {
    let (origin, proxy) = content();
    let tag = proxy.tag("/items/1");
    assert!(tag.starts_with("\"c-"), "{tag}");
    proxy.ask(&request("PUT", "/items/1").body("{}")).expect_refusal(428, "precondition-required");
    let answer = proxy.put("/items/1", &tag, r#"{"n":2}"#).expect(204);
    assert!(!answer.has("ETag"), "nobody has shown the new content yet\n{answer}");
    proxy.put("/items/1", &tag, r#"{"n":3}"#).expect_refusal(412, "precondition-failed");
    assert_eq!(origin.stored("/items/1").as_deref(), Some(r#"{"n":2}"#));
    proxy.ask(&request("DELETE", "/items/1").if_match(&proxy.tag("/items/1"))).expect(204);
    proxy.put("/items/1", &tag, "{}").expect_refusal(412, "precondition-failed");
    proxy.ask(&request("PUT", "/items/1").if_none_match("*").body("{}")).expect(201);
    proxy
        .ask(&request("PUT", "/items/1").if_none_match("*").body("{}"))
        .expect_refusal(412, "precondition-failed");
    proxy.ask(&request("PUT", "/items/1").if_match("*").body("{}")).expect(204);
    proxy.expect_metric(BYPASSES, 0);
    proxy.await_rest();
}

#[test]
fn a_write_that_came_another_way_is_seen_by_the_look_and_counted_once() {
    let (origin, proxy) = content();
    let tag = proxy.tag("/items/1");
    origin.store("/items/1", r#"{"n":"past us"}"#);
    proxy.put("/items/1", &tag, "{}").expect_refusal(412, "precondition-failed");
    assert_eq!(origin.stored("/items/1").as_deref(), Some(r#"{"n":"past us"}"#));
    proxy.expect_metric(BYPASSES, 1);
    assert_ne!(proxy.tag("/items/1"), tag);
    proxy.expect_metric(BYPASSES, 1);
    origin.store("/items/1", r#"{"n":"again"}"#);
    proxy.get("/items/1").expect(200);
    proxy.expect_metric(BYPASSES, 2);
    // What was there before is there again, and its author saw just that.
    origin.store("/items/1", r#"{"n":1}"#);
    proxy.put("/items/1", &tag, "{}").expect(204);
}

#[test]
fn what_is_ignored_may_change_and_the_order_of_members_does_not_count() {
    let (origin, proxy) = content();
    let tag = proxy.tag("/items/1");
    origin.store("/items/1", r#"{ "served_at": 2, "n": 1 }"#);
    assert_eq!(proxy.tag("/items/1"), tag);
    proxy.ask(&get().if_none_match(&tag)).expect(304);
    proxy.expect_metric(BYPASSES, 0);
    proxy.put("/items/1", &tag, "{}").expect(204);
}

#[test]
fn a_content_that_is_still_the_same_is_answered_304() {
    let (origin, proxy) = content();
    let tag = proxy.tag("/items/1");
    let answer = proxy.ask(&get().if_none_match(&format!("\"x\", W/{tag}"))).expect(304);
    assert_eq!(answer.tag(), tag);
    assert!(answer.body.is_empty() && !answer.has("Content-Type"), "{answer}");
    proxy.ask(&get().if_match(&tag)).expect(200);
    proxy.ask(&get().if_match("\"x\"")).expect_refusal(412, "precondition-failed");
    origin.store("/items/1", r#"{"n":2}"#);
    assert_ne!(proxy.ask(&get().if_none_match(&tag)).expect(200).tag(), tag);
    let dated = get().field("If-Modified-Since", "Mon, 05 Jan 2026 10:00:00 GMT");
    assert!(!proxy.ask(&dated).expect(304).has("ETag"), "a date proves no content");
}

#[test]
fn the_origin_is_asked_for_the_whole_without_coding_or_condition() {
    let (origin, proxy) = content();
    let tag = proxy.tag("/items/1");
    let asked = get().field("Accept-Encoding", "gzip").field("Range", "bytes=0-3").field("If-Range", &tag);
    assert_eq!(proxy.ask(&asked.if_none_match("\"x\"")).expect(200).tag(), tag);
    let write = put("/items/1", &tag, "{}").field("Accept-Encoding", "gzip");
    proxy.ask(&write).expect(204);
    assert_eq!(origin.seen_count(), 4, "two reads, a look and the write\n{}", origin.story());
    let looks = origin.seen_to("GET", "/items/1");
    assert_eq!(looks.last().expect("a look").field("Cache-Control"), Some("no-cache"));
    for seen in origin.seen() {
        for name in ["Accept-Encoding", "Range", "If-Range", "If-Match", "If-None-Match"] {
            assert!(!seen.has(name), "{name}\n{}", origin.story());
        }
    }
}

#[test]
fn what_is_too_long_goes_out_whole_without_a_tag_and_cannot_be_replaced_by_one() {
    let (origin, proxy) = content();
    let long = format!("{{\"n\":\"{}\"}}", "x".repeat(2000));
    origin.store("/items/1", &long);
    for framing in ["length", "chunks"] {
        if framing == "chunks" {
            let chunks = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"own\"\r\n\r\n";
            origin.answer_once("GET", "/items/1", format!("{head}{chunks}"));
        }
        let answer = proxy.get("/items/1").expect(200);
        assert_eq!(answer.text(), long, "{framing}");
        assert!(!answer.has("ETag"), "{framing}");
    }
    proxy.expect_metric(UNTAGGED, 2);
    proxy.put("/items/1", "\"c-00\"", "{}").expect_refusal(412, "precondition-failed");
    assert_eq!(origin.stored("/items/1"), Some(long));
}

#[test]
fn a_head_has_no_tag_for_it_has_no_content() {
    let (_origin, proxy) = content();
    let answer = proxy.ask(&request("HEAD", "/items/1")).expect(200);
    assert!(!answer.has("ETag"), "{answer}");
}

#[test]
fn a_tag_is_good_in_another_process() {
    let (origin, proxy) = content();
    let tag = proxy.tag("/items/1");
    let config = proxy.config().to_owned();
    drop(proxy);
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.tag("/items/1"), tag);
    proxy.put("/items/1", &tag, "{}").expect(204);
    assert_eq!(origin.stored("/items/1").as_deref(), Some("{}"));
}

#[test]
fn a_look_that_fails_forwards_nothing() {
    let (origin, proxy) = content();
    let tag = proxy.tag("/items/1");
    origin.once("GET", "/items/1", |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{").and_then(|()| exchange.close())
    });
    proxy.put("/items/1", &tag, "{}").expect_refusal(502, "origin-unreachable");
    for status in ["500 Oops", "403 Forbidden"] {
        origin.answer_once("GET", "/items/1", with_body(status, "text/plain", "no"));
        let refusal = proxy.put("/items/1", &tag, "{}").expect_refusal(412, "precondition-failed");
        assert!(refusal.text().contains("did not show"), "{refusal}");
    }
    assert!(origin.seen_to("PUT", "/items/1").is_empty(), "{}", origin.story());
    proxy.put("/items/1", &tag, "{}").expect(204);
}

/// Rule K1: what is looked at while another write may come between is looked at for nothing.
#[test]
fn the_look_is_made_under_the_permit() {
    let (origin, proxy) = content();
    let tag = proxy.tag("/items/1");
    let look = origin.hold("GET", "/items/1");
    let first = proxy.begin(&put("/items/1", &tag, r#"{"n":2}"#));
    look.arrived();
    proxy.put("/items/1", &tag, r#"{"n":3}"#).expect_refusal(409, "write-in-flight");
    look.release();
    first.answer().expect(204);
    assert_eq!(origin.stored("/items/1").as_deref(), Some(r#"{"n":2}"#));
}

/// Rule K2.
#[test]
fn an_answer_that_is_the_new_representation_has_its_tag() {
    let (origin, proxy) = content();
    let answering = |location: &str| {
        let location = location.to_owned();
        origin.once("PUT", "/items/1", move |exchange| {
            exchange.apply()?;
            let body = exchange.request.text();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"own\"\r\nContent-Location: {location}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            exchange.write(head + &body)
        });
    };
    let mut tag = proxy.tag("/items/1");
    for (n, location, has) in [
        (2, "/items/1", true),
        (3, "http://test.example/items/1", true),
        (4, "/items/2", false),
        (5, "http://other.example/items/1", false),
    ] {
        answering(location);
        let body = format!("{{\"n\":{n}}}");
        let answer = proxy.ask(&put("/items/1", &tag, &body).field("Host", "test.example")).expect(200);
        assert_eq!(answer.text(), body);
        tag = proxy.tag("/items/1");
        assert_eq!(answer.field("ETag"), has.then_some(tag.as_str()), "{location}");
    }
}

#[test]
fn a_weak_form_satisfies_where_the_route_takes_it() {
    for (weak, status) in [("refuse", 412), ("accept", 204)] {
        let (origin, proxy) = items_with(&format!("{CONTENT}\nweak_if_match = \"{weak}\""));
        origin.store("/items/1", "{}");
        let tag = proxy.tag("/items/1");
        proxy.put("/items/1", &format!("W/{tag}"), "{}").expect(status);
    }
}

#[test]
fn observe_mode_changes_nothing_and_counts() {
    let (origin, proxy) = items_with(&format!("{CONTENT}\nmode = \"observe\""));
    origin.store("/items/1", "{}");
    let asked = get().field("Accept-Encoding", "gzip").if_none_match("\"x\"");
    assert_eq!(proxy.ask(&asked).expect(200).tag(), "\"origin-2\"");
    let seen = origin.only("GET", "/items/1");
    assert!(seen.has("Accept-Encoding") && seen.has("If-None-Match"), "{}", origin.story());
    proxy.put("/items/1", "\"c-00\"", "{\"n\":2}").expect(204);
    assert_eq!(origin.only("PUT", "/items/1").field("If-Match"), Some("\"c-00\""));
    let counted = "ifmatch_conflicts_total{kind=\"precondition-failed\",mode=\"observe\",route=\"item\"}";
    proxy.expect_metric(counted, 1);
    origin.once("GET", "/items/1", |exchange| exchange.close());
    origin.once("GET", "/items/1", |exchange| exchange.close());
    proxy.put("/items/1", "\"c-00\"", "{\"n\":3}").expect(204);
    proxy.expect_metric(counted, 1);
}
