//! `verify_unknown`: whether a write of unknown outcome took effect is looked at after the settle time, under
//! the hold, and told.

use std::io;

use serde_json::Value;

use crate::given::ITEMS;
use crate::harness::{Exchange, HANG, Origin, Proxy, RequestText, empty, put, request, with_body};

const VERIFIED: &str = "ifmatch_unknown_outcomes_verified_total";

/// Settles soon and looks.
fn looking(lines: &str) -> (Origin, Proxy) {
    let origin = Origin::with_item();
    let config = ITEMS.replace("300ms", "50ms") + "verify_unknown = true\n" + lines;
    let proxy = Proxy::in_front_of(&origin, &config);
    (origin, proxy)
}

/// Waits for the finding and checks what the journal, the log and the metrics say of it.
#[track_caller]
fn expect_told(proxy: &Proxy, method: &str, status: u16, took_effect: &str) -> Value {
    proxy.await_metric(&format!("{VERIFIED}{{route=\"item\",took_effect=\"{took_effect}\"}}"), 1);
    proxy.expect_metric(VERIFIED, 1);
    let told = proxy.conflicts().into_iter().find(|told| told["kind"] == "outcome-unknown");
    let told = told.unwrap_or_else(|| panic!("not in /conflicts: {:?}", proxy.conflicts()));
    assert_eq!(
        (&told["method"], &told["status"], &told["took_effect"], &told["route"], &told["mode"]),
        (&method.into(), &status.into(), &took_effect.into(), &"item".into(), &"enforce".into()),
        "{told}"
    );
    const MESSAGE: &str = "a write of unknown outcome was looked at";
    let line = proxy.log_line(MESSAGE, |line| line["message"] == MESSAGE);
    assert_eq!(
        (&line["took_effect"], &line["resource"]),
        (&told["took_effect"], &told["resource"]),
        "{line}"
    );
    // A refusal it is not, and it is not counted as one.
    proxy.expect_metric("ifmatch_conflicts_total{kind=\"outcome-unknown\"}", 0);
    proxy.await_rest();
    told
}

fn applies(exchange: &mut Exchange<'_>) -> io::Result<()> {
    exchange.apply()?;
    exchange.close()
}

fn forgets(exchange: &mut Exchange<'_>) -> io::Result<()> {
    exchange.read_body()?;
    exchange.close()
}

type Act = fn(&mut Exchange<'_>) -> io::Result<()>;

/// Has the origin end this write so, and fails unless the look finds this.
#[track_caller]
fn finds(asked: impl Fn(&str) -> RequestText, act: Act, took_effect: &str) -> (Origin, Proxy) {
    let (origin, proxy) = looking("");
    let tag = proxy.tag("/items/1");
    let asked = asked(&tag);
    origin.once(asked.method(), "/items/1", act);
    proxy.ask(&asked).expect_refusal(502, "outcome-unknown");
    expect_told(&proxy, asked.method(), 502, took_effect);
    // The version is a fresh one whatever was found.
    proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
    (origin, proxy)
}

fn json(method: &str, tag: &str, media_type: &str, body: &str) -> RequestText {
    request(method, "/items/1").if_match(tag).field("Content-Type", media_type).body(body)
}

#[test]
fn a_deletion_took_effect_if_nothing_is_there_any_more() {
    let delete = |tag: &str| request("DELETE", "/items/1").if_match(tag);
    finds(delete, applies, "yes");
    finds(delete, forgets, "no");
}

#[test]
fn a_put_took_effect_if_what_was_sent_is_there() {
    finds(|tag| put("/items/1", tag, "two"), applies, "yes");
    finds(|tag| json("PUT", tag, "application/json", "{\"a\": 1}"), applies, "yes");
    // What was there before is not known, so that it is still there proves nothing.
    finds(|tag| put("/items/1", tag, "two"), forgets, "unclear");
}

#[test]
fn members_that_the_origin_adds_are_no_matter() {
    let (origin, proxy) = looking("");
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", forgets);
    origin.answer_always("GET", "/items/1", with_body("200 OK", "application/json", r#"{"id":1,"a":[1,2]}"#));
    proxy.ask(&json("PUT", &tag, "application/json", r#"{"a":[1,2]}"#)).expect(502);
    expect_told(&proxy, "PUT", 502, "yes");
}

#[test]
fn a_creation_did_not_take_effect_if_nothing_is_there() {
    let (origin, proxy) = looking("");
    origin.once("PUT", "/items/2", forgets);
    proxy.ask(&request("PUT", "/items/2").if_none_match("*").body("x")).expect(502);
    expect_told(&proxy, "PUT", 502, "no");
}

#[test]
fn a_merge_patch_took_effect_if_all_that_it_states_is_so() {
    let merge = "application/merge-patch+json";
    let (origin, proxy) = looking("");
    origin.store("/items/1", r#"{"a":1,"b":2}"#);
    for (patch, took_effect) in [(r#"{"b":2,"c":null}"#, "yes"), (r#"{"b":3}"#, "unclear")] {
        origin.once("PATCH", "/items/1", forgets);
        proxy.ask(&json("PATCH", &proxy.tag("/items/1"), merge, patch)).expect(502);
        proxy.await_metric(&format!("{VERIFIED}{{took_effect=\"{took_effect}\"}}"), 1);
        proxy.await_rest();
    }
    let told: Vec<_> = proxy.conflicts().iter().map(|told| told["took_effect"].clone()).collect();
    assert_eq!(told, ["unclear", "yes"], "the newest first");
}

#[test]
fn what_no_look_can_tell_is_not_asked() {
    for asked in [
        request("POST", "/items/1").body("x"),
        request("POST", "/items/1").field("X-HTTP-Method-Override", "DELETE").if_none_match("\"x\""),
    ] {
        let (origin, proxy) = looking("");
        origin.once("POST", "/items/1", applies);
        proxy.ask(&asked).expect(502);
        expect_told(&proxy, "POST", 502, "unclear");
        assert_eq!(origin.seen().len(), 1, "{}", origin.story());
    }
    // Reads that lag behind prove nothing about now.
    let (origin, proxy) = looking("read_lag = \"1h\"\n");
    let tag = proxy.tag("/items/1");
    origin.once("DELETE", "/items/1", applies);
    proxy.ask(&request("DELETE", "/items/1").if_match(&tag)).expect(502);
    expect_told(&proxy, "DELETE", 502, "unclear");
    assert_eq!(origin.seen_to("GET", "/items/1").len(), 1, "{}", origin.story());
}

#[test]
fn an_answer_that_leaves_the_outcome_open_is_looked_at_too() {
    let (origin, proxy) = looking("");
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", |exchange| {
        exchange.apply()?;
        exchange.write(empty("202 Accepted", &[]))
    });
    proxy.put("/items/1", &tag, "two").expect(202);
    expect_told(&proxy, "PUT", 202, "yes");
}

#[test]
fn a_body_over_the_limit_is_compared_by_its_digest() {
    let long = "z".repeat(5000);
    for (act, took_effect) in [(applies as Act, "yes"), (forgets, "unclear")] {
        let (origin, proxy) = looking("body_limit = 100\n".replace("100", "\"100B\"").as_str());
        let tag = proxy.tag("/items/1");
        origin.once("PUT", "/items/1", act);
        proxy.ask(&json("PUT", &tag, "application/json", &format!("\"{long}\""))).expect(502);
        expect_told(&proxy, "PUT", 502, took_effect);
    }
}

#[test]
fn the_look_has_the_clients_credentials_and_nothing_of_its_write() {
    let (origin, proxy) = looking("");
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", applies);
    let asked =
        json("PUT", &tag, "application/json", "{}").field("Authorization", "Bearer a").field("X-Tenant", "t");
    proxy.ask(&asked).expect(502);
    expect_told(&proxy, "PUT", 502, "yes");
    let seen = origin.seen_to("GET", "/items/1");
    let look = seen.last().expect("a look");
    assert_eq!((look.field("Authorization"), look.field("X-Tenant")), (Some("Bearer a"), Some("t")));
    for name in ["If-Match", "Content-Type", "Content-Length"] {
        assert!(!look.has(name), "{name}\n{}", origin.story());
    }
}

#[test]
fn nothing_comes_between_the_settle_time_and_the_look() {
    let (origin, proxy) = looking("");
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", applies);
    let held = origin.hold("GET", "/items/1");
    proxy.put("/items/1", &tag, "two").expect(502);
    held.arrived();
    proxy.ask(&put("/items/1", &tag, "three")).expect(409);
    proxy.expect_metric("ifmatch_writes_in_flight", 1);
    // It is no request of a client: nothing waits for it to end.
    proxy.await_metric("ifmatch_requests_in_flight", 0);
    held.release();
    expect_told(&proxy, "PUT", 502, "yes");
    proxy.put("/items/1", &tag, "three").expect_refusal(412, "precondition-failed");
}

#[test]
fn a_look_without_an_answer_holds_the_resource_no_longer_than_response_timeout() {
    let upstream = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"300ms\"\n";
    let silent: [Act; 3] = [
        |x| {
            x.hung_up_within(HANG);
            x.close()
        },
        |x| {
            x.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")?;
            x.hung_up_within(HANG);
            x.close()
        },
        |x| x.close(),
    ];
    for act in silent {
        let (origin, proxy) = looking(upstream);
        let tag = proxy.tag("/items/1");
        origin.once("PUT", "/items/1", applies);
        // A connection that was used before may be asked once more.
        origin.once("GET", "/items/1", act);
        origin.once("GET", "/items/1", act);
        proxy.put("/items/1", &tag, "two").expect(502);
        expect_told(&proxy, "PUT", 502, "unclear");
    }
}

#[test]
fn what_others_may_have_done_proves_nothing() {
    let (origin, proxy) = looking("unconditional = \"allow\"\n");
    let held = origin.hold("DELETE", "/items/1");
    let deleting = proxy.begin(&request("DELETE", "/items/1"));
    held.arrived();
    proxy.ask(&request("PUT", "/items/1").body("beside it")).expect(204);
    held.release_by(forgets);
    deleting.answer().expect_refusal(502, "outcome-unknown");
    expect_told(&proxy, "DELETE", 502, "unclear");
}

#[test]
fn a_body_that_its_client_broke_off_is_nothing_to_compare_with() {
    let (origin, proxy) = looking("");
    let tag = proxy.tag("/items/1");
    let mut client = proxy.connect();
    client
        .send(format!("PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\nContent-Length: 9\r\n\r\none"));
    origin.await_seen(2);
    client.reset();
    expect_told(&proxy, "PUT", 502, "unclear");
}

#[test]
fn nobody_looks_unless_the_route_says_so() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, &ITEMS.replace("300ms", "50ms"));
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", applies);
    proxy.put("/items/1", &tag, "two").expect(502);
    proxy.await_rest();
    assert_eq!(origin.seen_to("GET", "/items/1").len(), 1, "{}", origin.story());
    proxy.expect_metric(VERIFIED, 0);
    assert!(proxy.conflicts().is_empty(), "{:?}", proxy.conflicts());
}

/// A program that repeats a write which named the state that it replaces does no harm; one that repeats a
/// POST may do it twice.
#[test]
fn who_named_a_state_is_told_when_to_try_again() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, &ITEMS.replace("300ms", "1500ms"));
    let tag = proxy.tag("/items/1");
    for (asked, after) in [
        (put("/items/1", &tag, "two"), Some("2")),
        (request("POST", "/items/2").body("x"), None),
        (request("PUT", "/items/3").if_none_match("*").body("x"), None),
    ] {
        origin.once(asked.method(), "*", |exchange| exchange.close());
        let answer = proxy.ask(&asked).expect_refusal(502, "outcome-unknown");
        assert_eq!(answer.field("Retry-After"), after, "{answer}");
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains("after 2 s is settled") && detail.contains("Read the resource"), "{answer}");
    }
}
