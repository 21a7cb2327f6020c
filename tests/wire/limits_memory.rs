//! Slow clients in numbers: what each may make the proxy keep is bounded.

use std::io::Write;
use std::net::TcpStream;

use crate::given::items_with;
use crate::harness::{HANG, Proxy, request, with_origin};
use crate::large_bodies::{FILES, ask, connect, head, most_resident, streaming_origin};

const MANY: usize = 300;
const KIB: u64 = 1024;
/// The process before it has anything to do.
const AT_REST: u64 = 40 * 1024 * KIB;

/// So many connections at once may be more than the origin's backlog: the kernel then tries again, after
/// a second and more.
const PATIENT: &str = "[upstreams.origin]\nservers = [\"{origin}\"]\nconnect_timeout = \"1m\"\n";

fn many(proxy: &Proxy) -> Vec<TcpStream> {
    (0..MANY).map(|_| connect(proxy)).collect()
}

/// Fails if the process has ever taken more than this for each of them. A buffer grows by doubling, and the
/// allocator keeps what it has outgrown for the next one: so it is some times what is in it.
#[track_caller]
fn assert_each_at_most(proxy: &Proxy, each: u64) {
    let most = most_resident(proxy);
    println!(
        "at most {} KiB resident, {} for each",
        most / KIB,
        most.saturating_sub(AT_REST) / MANY as u64 / KIB
    );
    assert!(most < AT_REST + MANY as u64 * each, "{most} bytes were resident");
}

#[test]
fn many_heads_that_do_not_end_take_no_more_than_a_head_each() {
    let (origin, proxy) = items_with("[limits]\nmax_header_bytes = \"32KiB\"");
    let slow = many(&proxy);
    let part = format!("GET /items/1 HTTP/1.1\r\nHost: a\r\nX-Large: {}", "x".repeat(30_000));
    for mut stream in &slow {
        stream.write_all(part.as_bytes()).expect("the proxy takes a part of a head");
    }
    proxy.await_metric("ifmatch_client_connections", u16::try_from(MANY).expect("few"));
    proxy.get("/items/1").expect(200);
    assert_each_at_most(&proxy, 192 * KIB);
    drop(slow);
    proxy.await_metric("ifmatch_client_connections", 0);
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn many_uploads_that_stop_take_no_more_than_a_buffer_each() {
    let (origin, proxy) = items_with(PATIENT);
    origin.always("POST", "/items/1", |exchange| {
        exchange.hung_up_within(HANG);
        exchange.close()
    });
    let slow = many(&proxy);
    let part = vec![b'x'; 256 * 1024];
    for stream in &slow {
        ask(stream, "POST", "/items/1", "Content-Length: 1000000\r\n");
        let mut stream = stream;
        stream.write_all(&part).expect("the proxy takes a part of a body");
    }
    origin.await_seen(MANY);
    assert_each_at_most(&proxy, 384 * KIB);
    drop(slow);
    proxy.await_metric("ifmatch_client_connections", 0);
    proxy.await_metric("ifmatch_writes_in_flight", 0);
}

#[test]
fn many_answers_that_nobody_reads_take_no_more_than_a_buffer_each() {
    let (origin, told) = streaming_origin();
    let proxy = Proxy::start(&with_origin(origin, &format!("{FILES}{PATIENT}")));
    let slow = many(&proxy);
    for stream in &slow {
        ask(stream, "GET", "/files/1", "");
    }
    for stream in &slow {
        let answer = head(stream).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    for _ in &slow {
        told.recv_timeout(HANG).expect("the origin stops");
    }
    assert_each_at_most(&proxy, 512 * KIB);
    drop(slow);
    proxy.await_metric("ifmatch_client_connections", 0);
    proxy.await_metric("ifmatch_requests_in_flight", 0);
}

#[test]
fn many_waiting_requests_take_little_each() {
    let (origin, proxy) = items_with(PATIENT);
    origin.always("GET", "/items/1", |exchange| {
        exchange.hung_up_within(HANG);
        exchange.close()
    });
    let waiting: Vec<_> = (0..MANY).map(|_| proxy.begin(&request("GET", "/items/1"))).collect();
    origin.await_seen(MANY);
    assert_each_at_most(&proxy, 64 * KIB);
    drop(waiting);
    proxy.await_metric("ifmatch_requests_in_flight", 0);
}
