//! A write is sent at most once, whatever breaks, and the ledger knows what may have come of it.

use std::io;
use std::time::Duration;

use crate::given::{ITEMS, items, items_with};
use crate::harness::{Client, Exchange, Framing, Nobody, Origin, Proxy, empty, put, request, with_origin};

/// A settle time that no test waits out.
fn held_for_long() -> (Origin, Proxy) {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, &ITEMS.replace("300ms", "1h"));
    (origin, proxy)
}

#[track_caller]
fn expect_unsettled(proxy: &Proxy, tag: &str, cause: &str) {
    proxy.expect_metric(&format!("ifmatch_unknown_outcomes_total{{route=\"item\",cause=\"{cause}\"}}"), 1);
    proxy.expect_metric("ifmatch_unknown_outcomes_total", 1);
    proxy.put("/items/1", tag, "again").expect_refusal(409, "unsettled");
}

type Death = fn(&mut Exchange<'_>) -> io::Result<()>;

/// Where an origin can die before it has answered, and what that is called.
const DEATHS: [(&str, Death, &str); 8] = [
    ("after the head", |x| x.close(), "connection-lost"),
    ("with RST after the head", |x| x.reset(), "connection-lost"),
    (
        "in the middle of the body",
        |x| {
            x.read_some(3)?;
            x.close()
        },
        "connection-lost",
    ),
    (
        "after the body",
        |x| {
            x.read_body()?;
            x.close()
        },
        "connection-lost",
    ),
    (
        "with RST after applying",
        |x| {
            x.apply()?;
            x.reset()
        },
        "connection-lost",
    ),
    (
        "in the middle of the status line",
        |x| {
            x.apply()?;
            x.write("HTTP/1.1 20")?;
            x.close()
        },
        "connection-lost",
    ),
    (
        "in the middle of the fields",
        |x| {
            x.apply()?;
            x.write("HTTP/1.1 200 OK\r\nContent-Le")?;
            x.close()
        },
        "connection-lost",
    ),
    (
        "after 1xx answers",
        |x| {
            x.apply()?;
            x.write("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")?;
            x.close()
        },
        "connection-lost",
    ),
];

#[test]
fn an_origin_that_dies_before_its_answer_leaves_the_outcome_unknown_and_sees_the_write_once() {
    for reused in [true, false] {
        for (place, death, cause) in DEATHS {
            let (origin, proxy) = held_for_long();
            let tag = proxy.tag("/items/1");
            if !reused {
                origin.close_idle();
            }
            origin.once("PUT", "/items/1", death);
            let answer = proxy.put("/items/1", &tag, "twelve bytes");
            let answer = answer.expect_refusal(502, "outcome-unknown");
            let seen = origin.seen_to("PUT", "/items/1");
            assert_eq!(seen.len(), 1, "{place}\n{answer}\n{}", origin.story());
            assert_eq!(seen[0].connection, usize::from(!reused), "{place}\n{}", origin.story());
            expect_unsettled(&proxy, &tag, cause);
        }
    }
}

#[test]
fn after_the_settle_time_of_a_lost_write_a_fresh_read_may_write() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", |exchange| {
        exchange.apply()?;
        exchange.close()
    });
    proxy.put("/items/1", &tag, "lost").expect_refusal(502, "outcome-unknown");
    // Under the old number, which dies with the settle time.
    let during = proxy.get("/items/1").expect(200);
    proxy.await_rest();
    proxy.put("/items/1", &during.tag(), "x").expect_refusal(412, "precondition-failed");
    proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
}

#[test]
fn what_is_no_answer_is_a_bad_answer() {
    for nonsense in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
    ] {
        let (origin, proxy) = held_for_long();
        let tag = proxy.tag("/items/1");
        origin.answer_once("PUT", "/items/1", nonsense);
        proxy.put("/items/1", &tag, "x").expect_refusal(502, "outcome-unknown");
        expect_unsettled(&proxy, &tag, "bad-answer");
    }
}

#[test]
fn an_answer_that_breaks_in_its_body_is_final_and_the_client_sees_that_it_broke() {
    for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let (origin, proxy) = items();
        let tag = proxy.tag("/items/1");
        let begun = if head.ends_with("10") { "abc" } else { "3\r\nabc\r\n" };
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{begun}");
        origin.once("PUT", "/items/1", move |exchange| {
            exchange.apply()?;
            exchange.write(&answer)?;
            exchange.close()
        });
        let mut client = proxy.connect();
        client.request(&put("/items/1", &tag, "x"));
        let answer = client.try_answer().expect("a head");
        assert!(answer.status == 200 && !answer.complete, "{answer}");
        proxy.expect_metric("ifmatch_unknown_outcomes_total", 0);
        proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
    }
}

#[test]
fn a_write_meets_a_connection_that_the_origin_has_closed_and_is_delivered_once() {
    let (origin, proxy) = items();
    let mut tag = proxy.tag("/items/1");
    for n in 0..100 {
        origin.close_idle();
        tag = proxy.put("/items/1", &tag, &n.to_string()).expect(204).tag();
    }
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 100, "{}", origin.story());
    proxy.expect_metric("ifmatch_unknown_outcomes_total", 0);
}

/// The same without waiting for the origin to be quiet: its FIN races the next write. Whoever wins, the
/// write is delivered at most once, and an answer that says "not delivered" or "done" is true.
#[test]
fn a_write_that_races_the_closing_of_its_connection_is_delivered_at_most_once() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    for n in 0..100 {
        proxy.await_rest();
        let tag = client.ask(&request("GET", "/items/1")).expect(200).tag();
        // Closes right after its answer.
        origin.once("PUT", "/items/1", |exchange| {
            exchange.serve()?;
            exchange.close()
        });
        let tag = client.ask(&put("/items/1", &tag, "first")).expect(204).tag();
        let before = origin.seen_to("PUT", "/items/1").len();
        let body = format!("second {n}");
        let answer = client.ask(&put("/items/1", &tag, &body));
        let delivered = origin.seen_to("PUT", "/items/1").len() - before;
        match answer.status {
            204 => assert_eq!(delivered, 1, "{answer}\n{}", origin.story()),
            502 => {
                answer.clone().expect_refusal(502, "outcome-unknown");
                assert!(delivered <= 1, "{answer}\n{}", origin.story());
            }
            _ => panic!("{answer}"),
        }
    }
}

#[test]
fn a_refused_connection_delivers_nothing_and_holds_nothing() {
    let nobody = Nobody::new();
    let proxy = Proxy::start(&with_origin(nobody.address(), ITEMS));
    let told = || proxy.admin("/resources?path=/items/1").expect(200).json();
    let before = told();
    proxy.ask(&request("POST", "/items/1").body("x")).expect_refusal(502, "origin-unreachable");
    proxy.ask(&request("PUT", "/items/1").if_match("*").body("x")).expect_refusal(502, "origin-unreachable");
    assert_eq!(told(), before);
    proxy.expect_metric("ifmatch_requests_total{route=\"item\",outcome=\"unreachable\"}", 2);
    proxy.expect_metric("ifmatch_unknown_outcomes_total", 0);
    proxy.expect_metric("ifmatch_writes_in_flight", 0);
}

#[test]
fn a_write_that_finds_no_free_connection_is_not_delivered_and_its_tag_stays_good() {
    let upstream =
        "[upstreams.origin]\nservers = [\"{origin}\"]\nmax_connections = 1\nconnect_timeout = \"100ms\"";
    let (origin, proxy) = items_with(upstream);
    let tag = proxy.tag("/items/1");
    let held = origin.hold("GET", "/items/2");
    let reading = proxy.begin(&request("GET", "/items/2"));
    held.arrived();
    proxy.put("/items/1", &tag, "x").expect_refusal(502, "origin-unreachable");
    held.release();
    reading.answer().expect(404);
    proxy.put("/items/1", &tag, "x").expect(204);
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 1);
}

#[test]
fn the_next_server_is_tried_where_one_refuses() {
    let nobody = Nobody::new();
    let servers =
        format!("[upstreams.origin]\nservers = [\"{}\", \"{{origin}}\"]\nmax_idle = 0", nobody.address());
    let (origin, proxy) = items_with(&servers);
    for _ in 0..4 {
        let tag = proxy.tag("/items/1");
        proxy.put("/items/1", &tag, "x").expect(204);
    }
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 4);
}

#[test]
fn an_answer_that_does_not_come_in_time_leaves_the_outcome_unknown() {
    let origin = Origin::with_item();
    let upstream = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"200ms\"\n";
    let proxy = Proxy::in_front_of(&origin, &(ITEMS.replace("300ms", "1h") + upstream));
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    proxy.put("/items/1", &tag, "x").expect_refusal(504, "outcome-unknown");
    held.arrived();
    expect_unsettled(&proxy, &tag, "no-answer-in-time");
}

fn leaves(leave: fn(Client), outcome: &str) {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "two"));
    held.arrived();
    leave(writing.client());
    let (tell, told) = std::sync::mpsc::channel();
    held.release_by(move |exchange| {
        let hung_up = exchange.hung_up_within(Duration::from_millis(200));
        tell.send(hung_up).expect("the test waits");
        exchange.serve()
    });
    assert!(!told.recv().expect("the origin says so"), "the proxy hung up on the origin");
    proxy.await_rest();
    assert_eq!(origin.stored("/items/1").as_deref(), Some("two"));
    proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
    proxy.expect_metric("ifmatch_unknown_outcomes_total", 0);
    proxy.await_metric(
        &format!("ifmatch_requests_total{{route=\"item\",method=\"PUT\",outcome=\"{outcome}\"}}"),
        1,
    );
    for gauge in ["ifmatch_requests_in_flight", "ifmatch_client_connections"] {
        proxy.await_metric(gauge, 0);
    }
}

#[test]
fn a_client_that_resets_its_connection_leaves_its_write_to_end_in_peace() {
    leaves(Client::reset, "client-gone");
}

/// A client that closes its side of the connection has left, as nginx and Envoy take it too.
#[test]
fn a_client_that_closes_its_connection_leaves_its_write_to_end_in_peace() {
    leaves(Client::leave, "client-gone");
}

fn breaks_its_body(head: &str, begun: &str, leave: fn(Client)) {
    let (origin, proxy) = held_for_long();
    let tag = proxy.tag("/items/1");
    let mut client = proxy.connect();
    client.send(format!("PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\n{head}\r\n\r\n{begun}"));
    origin.await_seen(2);
    leave(client);
    proxy.await_metric("ifmatch_unknown_outcomes_total{route=\"item\",cause=\"request-incomplete\"}", 1);
    expect_unsettled(&proxy, &tag, "request-incomplete");
    let seen = origin.only("PUT", "/items/1");
    assert!(!seen.complete, "an origin must be able to tell\n{}", origin.story());
    proxy.await_metric("ifmatch_client_connections", 0);
}

#[test]
fn a_body_that_its_client_breaks_off_leaves_the_outcome_unknown() {
    for leave in [Client::leave as fn(Client), Client::reset] {
        breaks_its_body("Content-Length: 10", "abc", leave);
        breaks_its_body("Transfer-Encoding: chunked", "3\r\nabc\r\n", leave);
        breaks_its_body("Content-Length: 10", "", leave);
    }
}

#[test]
fn a_body_with_a_broken_chunk_leaves_the_outcome_unknown() {
    let (origin, proxy) = held_for_long();
    let tag = proxy.tag("/items/1");
    let begun = put("/items/1", &tag, "3\r\nabc\r\n").field("Transfer-Encoding", "chunked");
    let mut client = proxy.connect();
    client.request(&begun);
    origin.await_seen(2);
    client.send("zz\r\n");
    let answer = client.answer();
    assert!([400, 502].contains(&answer.status), "{answer}");
    expect_unsettled(&proxy, &tag, "request-incomplete");
    let seen = origin.seen_to("PUT", "/items/1");
    assert!(seen.iter().all(|seen| !seen.complete), "{}", origin.story());
}

#[test]
fn a_client_that_falls_silent_in_its_body_is_given_up() {
    let origin = Origin::with_item();
    let limits = "[limits]\nbody_idle_timeout = \"200ms\"\n";
    let proxy = Proxy::in_front_of(&origin, &(ITEMS.replace("300ms", "1h") + limits));
    let tag = proxy.tag("/items/1");
    let mut client = proxy.connect();
    client.send(format!(
        "PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\nContent-Length: 10\r\n\r\nabc"
    ));
    client.answer().expect_refusal(502, "outcome-unknown");
    expect_unsettled(&proxy, &tag, "request-incomplete");
}

#[test]
fn an_origin_that_falls_silent_in_its_answer_is_given_up() {
    let (origin, proxy) = items_with("[limits]\nbody_idle_timeout = \"200ms\"");
    origin.once("GET", "/items/1", |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")?;
        exchange.hung_up_within(Duration::from_secs(60));
        exchange.close()
    });
    let mut client = proxy.connect();
    client.request(&request("GET", "/items/1"));
    let answer = client.try_answer().expect("a head");
    assert!(!answer.complete && answer.text() == "abc", "{answer}");
}

fn expecting(tag: &str, length: usize) -> String {
    format!(
        "PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[test]
fn the_origins_100_lets_the_body_go() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    origin.once("PUT", "/items/1", move |exchange| {
        tell.lock().expect("one user").send(()).expect("the test waits");
        exchange.write("HTTP/1.1 100 Continue\r\n\r\n")?;
        exchange.serve()
    });
    let mut client = proxy.connect();
    client.send(expecting(&tag, 3));
    told.recv().expect("the head arrives without the body");
    assert_eq!(client.any_answer().status, 100);
    client.send("two");
    client.answer().expect(204).tag();
    assert_eq!(origin.stored("/items/1").as_deref(), Some("two"));
    client.ask(&request("GET", "/items/1")).expect(200);
}

#[test]
fn an_origin_that_refuses_before_the_body_never_gets_it() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", |exchange| {
        exchange.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")?;
        // Not a byte of a body follows.
        assert!(exchange.hung_up_within(Duration::from_secs(60)), "the proxy sends the body or waits");
        exchange.close()
    });
    let mut client = proxy.connect();
    client.send(expecting(&tag, 3));
    let answer = client.any_answer().expect(413);
    assert_eq!(answer.text(), "");
    proxy.await_rest();
    // Proof that it was not applied: the tag stays good.
    proxy.put("/items/1", &tag, "two").expect(204);
}

#[test]
fn a_refused_write_that_waits_for_100_never_sends_its_body() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    client.send(expecting("\"stale\"", 1_000_000));
    let answer = client.any_answer().expect_refusal(412, "precondition-failed");
    assert_eq!(answer.field("Connection").map(str::to_ascii_lowercase).as_deref(), Some("close"), "{answer}");
    client.expect_close();
    assert!(origin.seen().is_empty(), "{}", origin.story());
}

#[test]
fn an_origin_that_knows_no_100_gets_the_body_all_the_same() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let mut client = proxy.connect();
    client.send(expecting(&tag, 3)).send("two");
    client.answer().expect(204);
    assert_eq!(origin.only("PUT", "/items/1").text(), "two");
}

#[test]
fn an_answer_before_the_body_was_read_reaches_the_client() {
    for (status, left) in [("413 Too Large", 204), ("200 OK", 412)] {
        let (origin, proxy) = items();
        let tag = proxy.tag("/items/1");
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno");
        origin.once("PUT", "/items/1", move |exchange| {
            exchange.write(&head)?;
            exchange.hung_up_within(Duration::from_secs(60));
            exchange.close()
        });
        let mut client = proxy.connect();
        client.send(format!(
            "PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\nContent-Length: 100\r\n\r\nabc"
        ));
        let answer = client.answer();
        assert_eq!(
            (answer.status.to_string().as_str(), answer.text().as_str()),
            (&status[..3], "no"),
            "{answer}"
        );
        proxy.await_rest();
        proxy.put("/items/1", &tag, "two").expect(left);
    }
}

#[test]
fn answers_of_1xx_are_no_final_answer() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", |exchange| {
        exchange.read_body()?;
        exchange.write("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")?;
        exchange.serve()
    });
    proxy.put("/items/1", &tag, "two").expect(204).tag();
}

#[test]
fn a_write_on_a_route_that_is_left_alone_is_sent_once_too() {
    let (origin, proxy) = items_with("mode = \"off\"");
    proxy.get("/items/1").expect(200);
    origin.once("PUT", "/items/1", |exchange| exchange.close());
    proxy.ask(&request("PUT", "/items/1").body("x")).expect_refusal(502, "outcome-unknown");
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 1, "{}", origin.story());
    for n in 1..50 {
        origin.close_idle();
        proxy.ask(&request("PUT", "/items/1").body("x")).expect(204);
        assert_eq!(origin.seen_to("PUT", "/items/1").len(), n + 1);
    }
}

#[test]
fn a_connection_that_still_carries_a_request_is_not_used_for_another() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", |exchange| {
        exchange.write("HTTP/1.1 400 Early\r\nContent-Length: 0\r\n\r\n")?;
        exchange.read_body()
    });
    let mut client = proxy.connect();
    client.send(format!(
        "PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\nContent-Length: 100\r\n\r\nabc"
    ));
    client.answer().expect(400);
    proxy.get("/items/1").expect(200);
    let connections: Vec<usize> = origin.seen().iter().map(|seen| seen.connection).collect();
    assert_ne!(connections[1], connections[2], "{}", origin.story());
}

#[test]
fn an_answer_that_nobody_asked_for_closes_the_idle_connection() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", |exchange| {
        exchange.serve()?;
        exchange.write(empty("408 Request Timeout", &[("Connection", "close")]))?;
        exchange.close()
    });
    let tag = proxy.put("/items/1", &tag, "two").expect(204).tag();
    origin.await_open_connections(0);
    proxy.put("/items/1", &tag, "three").expect(204);
}

#[test]
fn large_bodies_pass_both_ways_whole() {
    let (origin, proxy) = items();
    let large: String = (0..600_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let tag = proxy.tag("/items/1");
    let mut client = proxy.connect();
    client.ask(&put("/items/1", &tag, &large)).expect(204);
    let answer = client.ask(&request("GET", "/items/1")).expect(200);
    assert!(answer.body == large.as_bytes(), "{} bytes instead of {}", answer.body.len(), large.len());
    assert_eq!(origin.only("PUT", "/items/1").framing, Framing::Length(large.len()));
}

/// The origin answers 204 after two of five bytes and applies the write when the rest has come. The answer
/// was taken for its end, and whoever read and wrote in between lost what the rest brought.
#[test]
fn an_early_answer_does_not_end_a_write_whose_body_is_still_coming() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", |exchange| {
        exchange.read_some(2)?;
        exchange.write(empty("204 No Content", &[]))?;
        exchange.read_body()?;
        exchange.apply()
    });
    let mut client = proxy.connect();
    client
        .send(format!("PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\nContent-Length: 5\r\n\r\nab"));
    origin.await_seen(2);
    proxy.put("/items/1", &tag, "two").expect_refusal(409, "write-in-flight");
    client.send("cde");
    client.answer().expect(204).tag();
    proxy.put("/items/1", &tag, "two").expect_refusal(412, "precondition-failed");
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_no_answer() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n";
    origin.answer_once("GET", "/items/1", switching);
    proxy.get("/items/1").expect_refusal(502, "origin-unreachable");
    origin.answer_once("PUT", "/items/1", switching);
    proxy.put("/items/1", &tag, "two").expect_refusal(502, "outcome-unknown");
    expect_unsettled(&proxy, &tag, "bad-answer");
}

#[test]
fn who_patches_without_having_seen_the_rest_gets_no_tag() {
    let (_origin, proxy) = items();
    let blind = proxy.ask(&request("PATCH", "/items/1").if_match("*").body("x")).expect(204);
    assert!(!blind.has("ETag"), "{blind}");
    let seen = request("PATCH", "/items/1").if_match(&proxy.tag("/items/1")).body("x");
    proxy.ask(&seen).expect(204).tag();
}
