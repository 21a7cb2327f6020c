//! A client that leaves changes nothing of its write's fate: the write goes on, is settled, and what became
//! of it is told in the log and the metrics, where the access log has no more than 499.

use crate::given::ITEMS;
use crate::harness::{Client, Exchange, Origin, Proxy, empty, put, request};

type Leave = fn(Client);
const WAYS: [Leave; 2] = [Client::leave, Client::reset];

/// A proxy that logs requests and settles in this time.
fn logging(settle: &str) -> (Origin, Proxy) {
    let origin = Origin::with_item();
    let config = ITEMS.replace("300ms", settle) + "[server]\naccess_log = true\n";
    let proxy = Proxy::in_front_of(&origin, &config);
    (origin, proxy)
}

#[track_caller]
fn expect_access(proxy: &Proxy, method: &str, status: u16, outcome: &str) {
    let line = proxy.log_line(&format!("{method} has ended"), |line| {
        line["message"] == "request" && line["method"] == method && line["status"] == status
    });
    assert_eq!(line["outcome"], outcome, "{line}");
    let series = format!("ifmatch_requests_total{{method=\"{method}\",outcome=\"{outcome}\"}}");
    proxy.await_metric(&series, 1);
}

/// Fails unless the log tells once what became of the write that nobody heard of.
#[track_caller]
fn expect_unheard(proxy: &Proxy, status: u16, outcome: &str, cause: Option<&str>) {
    const MESSAGE: &str = "a write ended after its client had left";
    let line = proxy.log_line(MESSAGE, |line| line["message"] == MESSAGE);
    let told = (&line["route"], &line["resource"], &line["status"], &line["outcome"]);
    assert_eq!(told, (&"item".into(), &"/items/1".into(), &status.into(), &outcome.into()), "{line}");
    assert_eq!(line["cause"].as_str(), cause, "{line}");
    assert_eq!(proxy.log().iter().filter(|line| line.contains(MESSAGE)).count(), 1);
    proxy.await_metric(&format!("ifmatch_writes_settled_total{{outcome=\"{outcome}\"}}"), 1);
    expect_quiet(proxy);
}

#[track_caller]
fn expect_quiet(proxy: &Proxy) {
    for gauge in ["ifmatch_requests_in_flight", "ifmatch_client_connections"] {
        proxy.await_metric(gauge, 0);
    }
}

/// Begins a write, has its client leave while the origin holds it, and then lets the origin end it so.
fn left_alone(
    settle: &str,
    leave: Leave,
    end: impl FnOnce(&mut Exchange<'_>) -> std::io::Result<()> + Send + 'static,
) -> (Origin, Proxy, String) {
    let (origin, proxy) = logging(settle);
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "two"));
    held.arrived();
    leave(writing.client());
    expect_access(&proxy, "PUT", 499, "client-gone");
    proxy.await_metric("ifmatch_client_connections", 0);
    // The end of the process waits for it.
    proxy.expect_metric("ifmatch_requests_in_flight", 1);
    proxy.expect_metric("ifmatch_writes_in_flight", 1);
    proxy.put("/items/1", &tag, "x").expect_refusal(409, "write-in-flight");
    held.release_by(end);
    (origin, proxy, tag)
}

#[test]
fn a_write_that_nobody_waits_for_is_applied_and_told() {
    for leave in WAYS {
        let (origin, proxy, tag) = left_alone("1h", leave, |x| x.serve());
        expect_unheard(&proxy, 204, "applied", None);
        assert_eq!(origin.stored("/items/1").as_deref(), Some("two"));
        origin.only("PUT", "/items/1");
        proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
        proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
    }
}

#[test]
fn a_write_that_nobody_waits_for_and_that_came_to_nothing_keeps_the_version() {
    for leave in WAYS {
        let (_origin, proxy, tag) = left_alone("1h", leave, |x| x.write(empty("403 No", &[])));
        expect_unheard(&proxy, 403, "not-applied", None);
        proxy.put("/items/1", &tag, "x").expect(204);
    }
}

#[test]
fn a_write_that_nobody_waits_for_and_whose_outcome_is_unknown_is_held_and_settled() {
    for leave in WAYS {
        let (_origin, proxy, tag) = left_alone("1h", leave, |x| x.close());
        expect_unheard(&proxy, 502, "unknown", Some("connection-lost"));
        proxy.expect_metric("ifmatch_unknown_outcomes_total{cause=\"connection-lost\"}", 1);
        proxy.put("/items/1", &tag, "x").expect_refusal(409, "unsettled");

        let (_origin, proxy, tag) = left_alone("20ms", leave, |x| x.close());
        proxy.await_rest();
        proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
        proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
    }
}

#[test]
fn a_client_that_leaves_within_its_body_leaves_an_unknown_outcome() {
    for leave in WAYS {
        for (framing, begun) in [("Content-Length: 9", "abc"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n")]
        {
            let (origin, proxy) = logging("1h");
            let tag = proxy.tag("/items/1");
            let mut client = proxy.connect();
            client.send(format!(
                "PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\n{framing}\r\n\r\n{begun}"
            ));
            origin.await_seen(2);
            leave(client);
            proxy.await_metric("ifmatch_unknown_outcomes_total{cause=\"request-incomplete\"}", 1);
            expect_quiet(&proxy);
            proxy.put("/items/1", &tag, "x").expect_refusal(409, "unsettled");
            assert!(!origin.only("PUT", "/items/1").complete, "{}", origin.story());
        }
    }
}

#[test]
fn a_client_that_leaves_before_its_head_is_complete_has_written_nothing() {
    for leave in WAYS {
        let (origin, proxy) = logging("1h");
        let tag = proxy.tag("/items/1");
        for begun in
            ["P", "PUT /items/1 HTTP/1.1\r\n", &format!("PUT /items/1 HTTP/1.1\r\nIf-Match: {tag}\r\n")]
        {
            let mut client = proxy.connect();
            client.send(begun);
            leave(client);
        }
        expect_quiet(&proxy);
        assert_eq!(origin.seen().len(), 1, "{}", origin.story());
        for outcome in ["applied", "not-applied", "unknown"] {
            proxy.expect_metric(&format!("ifmatch_writes_settled_total{{outcome=\"{outcome}\"}}"), 0);
        }
        proxy.put("/items/1", &tag, "two").expect(204);
    }
}

/// The answer's head tells the client's fate and the write's: what breaks after it is a broken answer.
#[test]
fn a_client_that_leaves_within_the_answer_leaves_a_settled_write() {
    for leave in WAYS {
        let (origin, proxy) = logging("1h");
        let tag = proxy.tag("/items/1");
        let (tell, told) = std::sync::mpsc::channel();
        let tell = std::sync::Mutex::new(tell);
        origin.once("PUT", "/items/1", move |exchange| {
            exchange.apply()?;
            exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc")?;
            let hung_up = exchange.hung_up_within(crate::harness::HANG);
            tell.lock().expect("one user").send(hung_up).expect("the test waits");
            exchange.close()
        });
        let mut client = proxy.connect();
        client.request(&put("/items/1", &tag, "two"));
        let begun = client.bytes(20);
        assert!(begun.starts_with(b"HTTP/1.1 200"), "{begun:?}");
        proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"applied\"}", 1);
        leave(client);
        assert!(told.recv().expect("the origin says so"), "nobody reads the rest of the answer");
        expect_access(&proxy, "PUT", 200, "answered");
        expect_quiet(&proxy);
        proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
        proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
    }
}

#[test]
fn who_waits_for_its_answer_is_not_told_of_in_the_log_of_those_who_left() {
    let (_origin, proxy) = logging("1h");
    proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
    proxy.ask(&request("DELETE", "/items/1").if_match(&proxy.tag("/items/1"))).expect(204);
    expect_access(&proxy, "DELETE", 204, "answered");
    assert!(!proxy.log().iter().any(|line| line.contains("had left")));
}
