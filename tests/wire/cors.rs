//! `cors = true`: pages that the API lets in can send preconditions and keys, and read tags and refusals.

use crate::given::items_with;
use crate::harness::{Answer, Origin, Proxy, RequestText, empty, put, request};

const PAGE: &str = "https://app.example";
const EXPOSED: &str = "ETag, Retry-After, Idempotent-Replayed";

fn from_page(asked: RequestText) -> RequestText {
    asked.field("Origin", PAGE)
}

fn preflight(method: &str, fields: &str) -> RequestText {
    from_page(request("OPTIONS", "/items/1"))
        .field("Access-Control-Request-Method", method)
        .field("Access-Control-Request-Headers", fields)
}

/// An API whose reads say on which terms a page is let in.
fn letting_in(terms: &[(&str, &str)], lines: &str) -> (Origin, Proxy) {
    let (origin, proxy) = items_with(&format!("cors = true\n{lines}"));
    let mut head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".to_owned();
    for (name, value) in terms {
        head += &format!("{name}: {value}\r\n");
    }
    origin.answer_always("GET", "/items/1", head + "\r\n{}");
    (origin, proxy)
}

const TERMS: [(&str, &str); 3] = [
    ("Access-Control-Allow-Origin", PAGE),
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Expose-Headers", "X-Total, etag"),
];

fn list(answer: &Answer, name: &str) -> String {
    answer.field(name).unwrap_or_default().to_owned()
}

#[test]
fn answers_expose_our_fields_beside_those_of_the_api() {
    let (_origin, proxy) = letting_in(&TERMS, "");
    let answer = proxy.ask(&from_page(request("GET", "/items/1"))).expect(200);
    let exposed = list(&answer, "Access-Control-Expose-Headers");
    assert_eq!(exposed, "X-Total, etag, Retry-After, Idempotent-Replayed");
    assert_eq!(answer.fields_named("Access-Control-Allow-Origin"), [PAGE]);
    // Nobody asked across origins.
    assert_eq!(proxy.get("/items/1").fields_named("Access-Control-Expose-Headers"), ["X-Total, etag"]);
}

#[test]
fn a_page_that_the_api_lets_in_can_read_refusals_and_replays_and_no_other_can() {
    let (origin, proxy) = letting_in(&TERMS, "[routes.idempotency]\n");
    proxy.ask(&from_page(request("GET", "/items/1"))).expect(200);
    let stale =
        proxy.ask(&from_page(put("/items/1", "\"stale\"", "x"))).expect_refusal(412, "precondition-failed");
    assert_eq!(stale.field("Access-Control-Allow-Origin"), Some(PAGE), "{stale}");
    assert_eq!(stale.field("Access-Control-Allow-Credentials"), Some("true"));
    assert_eq!(stale.field("Vary"), Some("Origin"));
    assert_eq!(list(&stale, "Access-Control-Expose-Headers"), EXPOSED);
    let other = put("/items/1", "\"stale\"", "x").field("Origin", "https://evil.example");
    assert!(!proxy.ask(&other).expect(412).has("Access-Control-Allow-Origin"));
    let post = from_page(request("POST", "/items/1").field("Idempotency-Key", "\"k\"").body("x"));
    let allowed = empty("201 Created", &[("Access-Control-Allow-Origin", PAGE)]);
    origin.answer_once("POST", "/items/1", allowed);
    proxy.ask(&post).expect(201);
    let again = proxy.ask(&post).expect(201);
    assert_eq!(again.field("Idempotent-Replayed"), Some("true"));
    assert_eq!(again.fields_named("Access-Control-Allow-Origin"), [PAGE]);
    assert_eq!(list(&again, "Access-Control-Expose-Headers"), EXPOSED);
    let tag = proxy.ask(&from_page(request("GET", "/items/1"))).tag();
    origin.once("PUT", "/items/1", |exchange| exchange.close());
    let lost = from_page(put("/items/1", &tag, "x"));
    assert!(proxy.ask(&lost).expect(502).has("Access-Control-Allow-Origin"));
}

#[test]
fn a_page_is_forgotten_when_the_api_lets_it_in_no_more() {
    let (origin, proxy) = items_with("cors = true");
    origin.answer_once("GET", "/items/1", empty("200 OK", &TERMS));
    let read = from_page(request("GET", "/items/1"));
    let stale = from_page(put("/items/1", "\"stale\"", "x"));
    proxy.ask(&read).expect(200);
    assert!(proxy.ask(&stale).expect(412).has("Access-Control-Allow-Origin"));
    assert!(!proxy.ask(&read).expect(200).has("Access-Control-Allow-Origin"));
    assert!(!proxy.ask(&stale).expect(412).has("Access-Control-Allow-Origin"));
}

#[test]
fn an_apis_own_answer_to_a_preflight_gets_the_fields_that_it_lacks() {
    let (origin, proxy) = items_with("cors = true");
    origin.answer_always(
        "OPTIONS",
        "/items/1",
        empty(
            "204 No Content",
            &[
                ("Access-Control-Allow-Origin", PAGE),
                ("Access-Control-Allow-Methods", "GET, PUT"),
                ("Access-Control-Allow-Headers", "content-type"),
            ],
        ),
    );
    let asked = "content-type,idempotency-key,if-match,if-none-match,if-unmodified-since";
    let answer = proxy.ask(&preflight("PUT", asked)).expect(204);
    let allowed = "content-type, If-Match, If-None-Match, If-Unmodified-Since, Idempotency-Key";
    assert_eq!(list(&answer, "Access-Control-Allow-Headers"), allowed);
    assert_eq!(list(&answer, "Access-Control-Allow-Methods"), "GET, PUT");
    // What the page does not ask for is not added, nor anything of others.
    let answer = proxy.ask(&preflight("PUT", "x-other")).expect(204);
    assert_eq!(list(&answer, "Access-Control-Allow-Headers"), "content-type");
    let asked = &origin.seen_to("OPTIONS", "/items/1")[0];
    assert_eq!(asked.field("Origin"), Some(PAGE));
}

#[test]
fn where_the_api_answers_no_preflight_one_is_answered_for_pages_that_its_reads_let_in() {
    let refusals =
        ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented", "401 Unauthorized", "200 OK"];
    for status in refusals {
        let (origin, proxy) = letting_in(&TERMS, "");
        origin.answer_always("OPTIONS", "/items/1", empty(status, &[]));
        for asks in 0..2 {
            let answer = proxy.ask(&preflight("PUT", "content-type, if-match")).expect(204);
            assert_eq!(list(&answer, "Access-Control-Allow-Origin"), PAGE, "{status} {asks}");
            assert_eq!(list(&answer, "Access-Control-Allow-Credentials"), "true");
            assert_eq!(list(&answer, "Access-Control-Allow-Methods"), "PUT");
            assert_eq!(list(&answer, "Access-Control-Allow-Headers"), "content-type, if-match");
        }
        // Asked once, and known from then on.
        assert_eq!(origin.seen_to("GET", "/items/1").len(), 1, "{status}");
    }
}

#[test]
fn a_page_that_the_api_does_not_let_in_is_not_let_in_by_its_preflight() {
    let asked = |status: &str| {
        let (origin, proxy) = items_with("cors = true");
        origin.answer_always("OPTIONS", "/items/1", empty(status, &[("X-From", "origin")]));
        proxy.ask(&preflight("PUT", "if-match"))
    };
    // The fields are answered for, and nothing is said of the page.
    for status in ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"] {
        let answer = asked(status).expect(204);
        assert_eq!(list(&answer, "Access-Control-Allow-Headers"), "if-match", "{status}");
        assert_eq!(list(&answer, "Access-Control-Allow-Methods"), "PUT");
        assert!(!answer.has("Access-Control-Allow-Origin") && !answer.has("X-From"), "{answer}");
    }
    for (status, number) in [("200 OK", 200), ("401 Unauthorized", 401), ("503 Service Unavailable", 503)] {
        let answer = asked(status).expect(number);
        assert!(answer.has("X-From") && !answer.has("Access-Control-Allow-Headers"), "{answer}");
    }
}

#[test]
fn options_is_never_refused() {
    for lines in [
        "",
        "cors = true",
        "cors = true\nunconditional = \"require\"\n[routes.idempotency]\nrequired = true\nmethods = [\"POST\", \"PUT\"]",
        "resource = \"item:{body./id}\"\nbody_limit = \"4B\"\nguard = [\"PUT\", \"POST\"]",
        "principal = { header = \"Authorization\" }\nalready_applied = \"answer\"\nbody_limit = \"4B\"",
        "[routes.params]\nid = \"[a-z]+\"",
    ] {
        let (origin, proxy) = items_with(lines);
        for asked in [
            request("OPTIONS", "/items/1"),
            request("OPTIONS", "/items/1%5c"),
            request("OPTIONS", "/items/1").if_match("oops").field("Idempotency-Key", "oops"),
            request("OPTIONS", "/items/1").if_match("\"a\"").body("longer than that"),
            preflight("PUT", "if-match, idempotency-key"),
            preflight("DELETE", "x-other"),
        ] {
            proxy.ask(&asked).expect(204);
        }
        assert_eq!(origin.seen_to("OPTIONS", "/items/1").len(), 5, "{lines}");
        proxy.expect_metric("ifmatch_refusals_total", 0);
    }
}

#[test]
fn without_the_setting_and_in_observe_mode_nothing_is_added() {
    for lines in ["", "cors = true\nmode = \"observe\""] {
        let (origin, proxy) = items_with(lines);
        origin.answer_always("GET", "/items/1", empty("200 OK", &TERMS));
        origin.answer_always("OPTIONS", "/items/1", empty("405 Method Not Allowed", &[]));
        let answer = proxy.ask(&from_page(request("GET", "/items/1"))).expect(200);
        assert_eq!(list(&answer, "Access-Control-Expose-Headers"), "X-Total, etag", "{lines}");
        proxy.ask(&preflight("PUT", "if-match")).expect(405);
    }
}
