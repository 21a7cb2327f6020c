//! Limits on time: whoever is slow or silent, at either side, is waited for so long and no longer, and
//! keeps no permit, connection or place beyond that.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::given::{ITEMS, items_with};
use crate::harness::{Client, Exchange, Origin, Proxy, put, request, with_body};
use crate::limits::{await_all_free, expect_hits, hits};
use crate::refusals::expect_form;

/// Writes a piece again and again until the proxy hangs up.
fn drip(exchange: &mut Exchange<'_>, piece: &str) -> io::Result<()> {
    const PACE: Duration = Duration::from_millis(5);
    while !exchange.hung_up_within(PACE) {
        exchange.write(piece)?;
    }
    exchange.close()
}

/// The head of a PUT whose body is to come.
fn head_of_put(tag: &str, length: usize) -> String {
    format!("PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\nContent-Length: {length}\r\n\r\n")
}

/// Sends a PUT of which the client will send a little at a time, to an origin that reads all of it.
fn dripping_put(proxy: &Proxy, tag: &str) -> Client {
    let mut client = proxy.connect();
    client.send(head_of_put(tag, 100_000)).drip("x");
    client
}

#[test]
fn a_head_that_drips_is_bounded_in_total_and_hears_408() {
    let (origin, proxy) = items_with("[limits]\nidle_timeout = \"500ms\"");
    let mut slow = proxy.connect();
    slow.send("GET /items/1 HTTP/1.1\r\nX-Slow: ").drip("x");
    let refused = slow.answer().expect(408);
    assert_eq!(refused.json()["kind"], "request-timeout", "{refused}");
    assert_eq!(refused.field("Connection"), Some("close"), "{refused}");
    slow.expect_close();
    expect_hits(&proxy, "limits.idle_timeout", 1);
    // The second head of a connection too.
    let mut slow = proxy.connect();
    slow.ask(&request("GET", "/items/1")).expect(200);
    slow.drip("GET /items/1");
    slow.answer().expect(408);
    expect_hits(&proxy, "limits.idle_timeout", 2);
    assert_eq!(origin.seen().len(), 1, "{}", origin.story());
    await_all_free(&proxy);
}

#[test]
fn an_unused_connection_is_closed_without_a_word_and_a_held_request_is_not() {
    let (origin, proxy) = items_with("[limits]\nidle_timeout = \"500ms\"");
    let held = origin.hold("GET", "/items/1");
    let reading = proxy.begin(&request("GET", "/items/1"));
    held.arrived();
    let mut fresh = proxy.connect();
    fresh.expect_close();
    let mut used = proxy.connect();
    used.ask(&request("GET", "/items/2")).expect(404);
    used.expect_close();
    held.release();
    reading.answer().expect(200);
    await_all_free(&proxy);
    proxy.expect_metric("ifmatch_limits_hit_total", 0);
}

#[test]
fn an_upload_that_drips_under_a_permit_is_cut_off_and_its_outcome_is_unknown() {
    let (origin, proxy) = items_with("[limits]\nupload_timeout = \"500ms\"");
    let tag = proxy.tag("/items/1");
    let mut slow = dripping_put(&proxy, &tag);
    let refused = slow.answer();
    expect_form(&refused, 502, "outcome-unknown");
    assert!(refused.text().contains("took too long, after a part of it was forwarded"), "{refused}");
    slow.expect_close();
    expect_hits(&proxy, "limits.upload_timeout", 1);
    proxy.expect_metric("ifmatch_unknown_outcomes_total{cause=\"request-incomplete\"}", 1);
    assert!(!origin.only("PUT", "/items/1").complete, "{}", origin.story());
    // The permit is gone but for the settle time.
    proxy.await_rest();
    proxy.put("/items/1", &tag, "x").expect(412);
    proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
    await_all_free(&proxy);
}

/// A client that always has something to send keeps no timer waiting.
#[test]
fn an_upload_that_never_pauses_is_held_to_the_total_too() {
    let (origin, proxy) = items_with("[limits]\nupload_timeout = \"500ms\"");
    let tag = proxy.tag("/items/1");
    let mut endless = proxy.connect();
    endless.send(
        format!("PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\nTransfer-Encoding: chunked\r\n\r\n")
            .as_bytes(),
    );
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(64);
    while endless.try_send(chunk.as_bytes()).is_ok() {}
    proxy.await_metric(&hits("limits.upload_timeout"), 1);
    proxy.await_metric("ifmatch_unknown_outcomes_total{cause=\"request-incomplete\"}", 1);
    drop(endless);
    proxy.await_rest();
    assert_eq!(origin.stored("/items/1").as_deref(), Some("one"));
    proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
    await_all_free(&proxy);
}

#[test]
fn a_silent_upload_is_cut_off_after_the_silence() {
    let (_origin, proxy) = items_with("[limits]\nbody_idle_timeout = \"500ms\"");
    let tag = proxy.tag("/items/1");
    let mut silent = proxy.connect();
    silent.send(head_of_put(&tag, 10) + "abc");
    silent.answer().expect_refusal(502, "outcome-unknown");
    silent.expect_close();
    expect_hits(&proxy, "limits.body_idle_timeout", 1);
    proxy.await_rest();
    proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
    await_all_free(&proxy);
}

/// The origin takes the request's head and reads nothing of a body that no buffer holds: nobody polls the
/// body then, so that its own timers rest.
#[test]
fn an_origin_that_does_not_read_an_upload_is_given_up_on() {
    for (key, limit) in
        [("upload_timeout", "limits.upload_timeout"), ("body_idle_timeout", "limits.body_idle_timeout")]
    {
        let (origin, proxy) = items_with(&format!("[limits]\n{key} = \"300ms\""));
        let tag = proxy.tag("/items/1");
        let (over, until_over) = channel::<()>();
        let until_over = Mutex::new(until_over);
        origin.once("PUT", "/items/1", move |exchange| {
            // Ends with the test's own end of it.
            let _over = until_over.lock().expect("used once").recv();
            exchange.close()
        });
        let mut client = proxy.connect();
        client.send(head_of_put(&tag, 1 << 30));
        let piece = vec![0; 1 << 20];
        while client.try_send(&piece).is_ok() {}
        proxy.await_metric(&hits(limit), 1);
        drop(client);
        proxy.await_rest();
        proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
        await_all_free(&proxy);
        drop(over);
    }
}

#[test]
fn the_rest_of_a_body_that_was_answered_early_is_not_waited_for_beyond_the_total() {
    let (origin, proxy) = items_with("[limits]\nupload_timeout = \"500ms\"");
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", |exchange| {
        exchange.write(with_body("200 OK", "text/plain", "early"))?;
        exchange.read_body()
    });
    let mut slow = dripping_put(&proxy, &tag);
    let answer = slow.answer().expect(200);
    assert!(!answer.has("ETag") && answer.text() == "early", "{answer}");
    expect_hits(&proxy, "limits.upload_timeout", 1);
    proxy.expect_metric("ifmatch_unknown_outcomes_total{cause=\"request-incomplete\"}", 1);
    drop(slow);
    proxy.await_rest();
    proxy.put("/items/1", &tag, "x").expect(412);
    await_all_free(&proxy);
}

#[test]
fn a_form_that_drips_before_it_is_judged_hears_408_and_nothing_is_forwarded() {
    let (origin, proxy) = items_with("[limits]\nupload_timeout = \"500ms\"");
    let form = request("POST", "/items/1")
        .field("Content-Type", "application/x-www-form-urlencoded")
        .field("Content-Length", "99999");
    let mut slow = proxy.connect();
    let refused = slow.request(&form).drip("a").answer();
    expect_form(&refused, 408, "request-timeout");
    assert_eq!(refused.field("Connection"), Some("close"), "{refused}");
    slow.rest();
    expect_hits(&proxy, "limits.upload_timeout", 1);
    assert!(origin.seen().is_empty(), "{}", origin.story());
    await_all_free(&proxy);
}

#[test]
fn what_is_left_of_a_refused_upload_is_read_for_one_silence_in_total() {
    let (_origin, proxy) = items_with("[limits]\nbody_idle_timeout = \"500ms\"");
    let mut slow = proxy.connect();
    slow.send(head_of_put("\"old\"", 100_000));
    slow.answer().expect_refusal(412, "precondition-failed");
    slow.drip("x").rest();
    expect_hits(&proxy, "limits.body_idle_timeout", 1);
    await_all_free(&proxy);
}

#[test]
fn an_answer_that_drips_from_the_origin_ends_with_the_request() {
    for (method, fields) in [("GET", String::new()), ("POST", "Content-Length: 0\r\n".to_owned())] {
        let (origin, proxy) = items_with("[limits]\nrequest_timeout = \"500ms\"");
        origin.once(method, "/items/1", |exchange| {
            exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
            drip(exchange, "x")
        });
        let mut client = proxy.connect();
        client.send(format!("{method} /items/1 HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        let answer = client.try_answer().expect("a head");
        assert!(answer.status == 200 && !answer.complete, "{answer}");
        expect_hits(&proxy, "limits.request_timeout", 1);
        drop(client);
        await_all_free(&proxy);
        origin.await_open_connections(0);
    }
}

#[test]
fn a_client_that_drips_its_reading_is_cut_off_with_the_request() {
    let (origin, proxy) = items_with("[limits]\nrequest_timeout = \"500ms\"");
    origin.store("/items/1", &"x".repeat(32 << 20));
    let mut slow = proxy.connect();
    slow.small_buffers();
    slow.request(&request("GET", "/items/1"));
    // It takes something whenever it is looked at, so that it is never silent for long.
    let mut taken = 0;
    while proxy.metrics().value(&hits("limits.request_timeout")) == Some(0.0) {
        taken += slow.read_raw(1).map_or(0, |bytes| bytes.len());
    }
    assert!(taken < 32 << 20, "{taken}");
    drop(slow);
    expect_hits(&proxy, "limits.request_timeout", 1);
    await_all_free(&proxy);
    origin.await_open_connections(0);
}

#[test]
fn a_client_that_stops_reading_is_cut_off_after_the_silence() {
    let (origin, proxy) = items_with("[limits]\nbody_idle_timeout = \"500ms\"");
    origin.store("/items/1", &"x".repeat(32 << 20));
    let mut stopped = proxy.connect();
    stopped.small_buffers();
    stopped.request(&request("GET", "/items/1"));
    proxy.await_metric(&hits("limits.body_idle_timeout"), 1);
    proxy.await_metric("ifmatch_requests_in_flight", 0);
    proxy.await_metric("ifmatch_client_connections", 0);
    assert!(stopped.rest().len() < 32 << 20);
    origin.await_open_connections(0);
}

#[test]
fn an_origin_that_answers_nothing_is_waited_for_no_longer_than_the_request_may_take() {
    let (origin, proxy) = items_with("[limits]\nrequest_timeout = \"500ms\"");
    let tag = proxy.tag("/items/1");
    let held = origin.hold("GET", "/items/1");
    proxy.get("/items/1").expect_refusal(504, "origin-unreachable");
    expect_hits(&proxy, "limits.request_timeout", 1);
    held.die();
    let held = origin.hold("PUT", "/items/1");
    proxy.put("/items/1", &tag, "x").expect_refusal(504, "outcome-unknown");
    expect_hits(&proxy, "limits.request_timeout", 2);
    held.die();
    proxy.await_rest();
    proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
    await_all_free(&proxy);
}

#[test]
fn an_origin_that_answers_nothing_hits_response_timeout() {
    let upstream = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"500ms\"";
    let (origin, proxy) = items_with(upstream);
    let held = origin.hold("GET", "/items/1");
    proxy.get("/items/1").expect_refusal(504, "origin-unreachable");
    expect_hits(&proxy, "upstreams.response_timeout", 1);
    held.die();
    await_all_free(&proxy);
}

/// Each of them is a sign of life, and none is an answer.
#[test]
fn an_origin_that_drips_its_head_or_says_1xx_for_ever_is_given_up_on() {
    let upstream = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"500ms\"";
    for (begin, piece) in [("HTTP/1.1 200 OK\r\nX: ", "x"), ("", "HTTP/1.1 102 Processing\r\n\r\n")] {
        let (origin, proxy) = items_with(upstream);
        let tag = proxy.tag("/items/1");
        origin.once("PUT", "/items/1", move |exchange| {
            exchange.read_body()?;
            exchange.write(begin)?;
            drip(exchange, piece)
        });
        proxy.put("/items/1", &tag, "x").expect_refusal(504, "outcome-unknown");
        expect_hits(&proxy, "upstreams.response_timeout", 1);
        proxy.await_rest();
        proxy.put("/items/1", &proxy.tag("/items/1"), "y").expect(204);
        await_all_free(&proxy);
    }
}

#[test]
fn a_look_before_the_write_that_is_not_answered_frees_the_resource() {
    let upstream = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"500ms\"";
    let (origin, proxy) = items_with(upstream);
    let tag = proxy.tag("/items/1");
    let held = origin.hold("HEAD", "/items/1");
    proxy.put("/items/1", "*", "x").expect_refusal(504, "origin-unreachable");
    held.die();
    expect_hits(&proxy, "upstreams.response_timeout", 1);
    // Nothing was forwarded, so nothing is unsettled and the tag is good.
    proxy.put("/items/1", &tag, "x").expect(204);
    await_all_free(&proxy);
}

#[test]
fn a_look_whose_answer_drips_is_not_waited_for() {
    let upstream = "[limits]\nbody_idle_timeout = \"500ms\"";
    let (origin, proxy) = items_with(upstream);
    origin.once("HEAD", "/items/1", |exchange| exchange.write("HTTP/1.1 501 No\r\n\r\n"));
    origin.once("GET", "/items/1", |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        drip(exchange, "1\r\nx\r\n")
    });
    proxy.put("/items/1", "*", "x").expect(204);
    // Nor is its connection kept for it: the one of the write is the only one left.
    origin.await_open_connections(1);
    await_all_free(&proxy);
}

#[test]
fn a_read_back_that_drips_under_the_permit_ends_with_response_timeout() {
    let upstream = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"500ms\"";
    let (origin, proxy) = items_with(&format!("etag_on_put = \"verified\"\n{upstream}"));
    let tag = proxy.tag("/items/1");
    origin.once("GET", "/items/1", |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
        drip(exchange, "x")
    });
    let answer = proxy.put("/items/1", &tag, "x").expect(204);
    assert!(!answer.has("ETag"), "{answer}");
    expect_hits(&proxy, "upstreams.response_timeout", 1);
    proxy.expect_metric("ifmatch_writes_in_flight", 0);
    let tag = proxy.put("/items/1", &proxy.tag("/items/1"), "y").expect(204).tag();
    proxy.put("/items/1", &tag, "z").expect(204);
    await_all_free(&proxy);
}

#[test]
fn who_waits_for_its_turn_waits_no_longer_than_the_request_may_take() {
    let lines = "overlap = \"wait\"\nwait_timeout = \"1h\"\n[limits]\nrequest_timeout = \"500ms\"";
    let (origin, proxy) = items_with(lines);
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "x"));
    held.arrived();
    // The first one hits the limit itself, and its resource is occupied for the settle time then.
    let waited = proxy.put("/items/1", &tag, "y").expect(409);
    assert!(["unsettled", "write-in-flight"].iter().any(|kind| waited.json()["kind"] == *kind), "{waited}");
    writing.answer().expect_refusal(504, "outcome-unknown");
    held.die();
    proxy.expect_metric(&hits("routes.wait_timeout"), 0);
    await_all_free(&proxy);
}

const TUNNEL: &str = r#"
[[routes]]
name = "socket"
path = "/socket"
upstream = "origin"
mode = "off"
"#;

fn upgrade() -> crate::harness::RequestText {
    request("GET", "/socket").field("Connection", "Upgrade").field("Upgrade", "websocket")
}

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn a_tunnel_counts_while_it_lasts_and_ends_when_it_is_unused() {
    let limits = "[limits]\ntunnel_idle_timeout = \"2s\"\nrequest_timeout = \"500ms\"\nmax_connections = 1";
    let (origin, proxy) = items_with(&format!("{TUNNEL}{limits}"));
    origin.once("GET", "/socket", |exchange| {
        exchange.write(SWITCHING)?;
        // An echo, until the other side ends.
        while let Ok(bytes) = exchange.raw(1024) {
            exchange.write(bytes)?;
        }
        exchange.close()
    });
    let mut client = proxy.connect();
    client.request(&upgrade());
    client.answer().expect(101);
    proxy.expect_metric("ifmatch_client_connections", 1);
    proxy.expect_metric("ifmatch_requests_in_flight", 1);
    proxy.connect().answer().expect(503);
    // In use for longer than a request may take: the limit on those is no limit on this.
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(700) {
        assert_eq!(client.send("ping").bytes(4), b"ping");
    }
    client.expect_close();
    proxy.expect_metric(&hits("limits.tunnel_idle_timeout"), 1);
    proxy.expect_metric(&hits("limits.request_timeout"), 0);
    await_all_free(&proxy);
    origin.await_open_connections(0);
}

#[test]
fn a_restart_of_the_clock_with_each_request_lets_a_busy_connection_live() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, &format!("{ITEMS}[limits]\nrequest_timeout = \"1s\"\n"));
    let mut client = proxy.connect();
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(1500) {
        client.ask(&request("GET", "/items/1")).expect(200);
    }
    proxy.expect_metric("ifmatch_limits_hit_total", 0);
}
