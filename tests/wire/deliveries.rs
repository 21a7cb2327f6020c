//! A write is delivered at most once, over connections that end at the worst moments.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::given::ITEMS;
use crate::harness::{Exchange, Held, Origin, Proxy, request, with_body, with_origin};

fn never() -> String {
    ITEMS.replace("300ms", "1h")
}

/// Accepts connections and ends each before it has read a byte.
fn closes_at_once(with_rst: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if with_rst {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
            }
        }
    });
    address
}

/// The end races the request: it may be seen before a byte of it left, and then it was surely not
/// delivered. What the client is told and what is held must fit each other.
#[test]
fn a_fresh_connection_that_ends_before_a_byte_was_read_is_told_as_what_it_is() {
    for with_rst in [false, true] {
        let proxy = Proxy::start(&with_origin(closes_at_once(with_rst), &never()));
        let (mut unsent, mut unknown) = (0, 0);
        for item in 0..40 {
            let target = format!("/items/{item}");
            let answer = proxy.ask(&request("POST", &target).body("x")).expect(502);
            let held = proxy.admin(&format!("/resources?path={target}")).expect(200).json();
            match answer.json()["kind"].as_str() {
                Some("origin-unreachable") => {
                    unsent += 1;
                    assert_eq!(held["in_flight"], false, "{answer}\n{held}");
                }
                Some("outcome-unknown") => {
                    unknown += 1;
                    assert_eq!(held["unsettled"], true, "{answer}\n{held}");
                }
                _ => panic!("{answer}"),
            }
        }
        proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"not-applied\"}", unsent);
        proxy.expect_metric("ifmatch_unknown_outcomes_total{cause=\"connection-lost\"}", unknown);
    }
}

/// Has so many connections to the origin idle; tells how many there were ever.
#[track_caller]
fn idle_connections(origin: &Origin, proxy: &Proxy, n: usize) -> usize {
    let held: Vec<_> = (0..n).map(|_| origin.hold("GET", "/items/idle")).collect();
    let reading: Vec<_> = (0..n).map(|_| proxy.begin(&request("GET", "/items/idle"))).collect();
    held.iter().for_each(|held| {
        held.arrived();
    });
    held.into_iter().for_each(Held::release);
    reading.into_iter().for_each(|reading| {
        reading.answer().expect(404);
    });
    assert!(origin.open_connections() >= n);
    origin.connections()
}

/// A proxy engine that tries again on the next idle connection delivers one write as often as it has
/// connections: 16 of them, each of which the origin ends when a write comes over it.
#[test]
fn sixteen_idle_connections_that_all_die_deliver_a_write_once() {
    type Death = fn(&mut Exchange<'_>) -> io::Result<()>;
    let deaths: [Death; 3] = [
        |x| x.close(),
        |x| x.reset(),
        |x| {
            x.apply()?;
            x.close()
        },
    ];
    for death in deaths {
        let origin = Origin::start();
        let proxy = Proxy::in_front_of(&origin, &never());
        for method in ["PUT", "POST", "DELETE", "PATCH"] {
            for body in [None, Some("a body")] {
                let connections = idle_connections(&origin, &proxy, 16);
                let target = format!("/items/{method}-{}", body.is_some());
                origin.always(method, &target, death);
                let mut asked = request(method, &target).if_none_match("\"x\"");
                if let Some(body) = body {
                    asked = asked.body(body);
                }
                proxy.ask(&asked).expect_refusal(502, "outcome-unknown");
                let seen = origin.seen_to(method, &target);
                assert_eq!(seen.len(), 1, "{}", origin.story());
                assert!(seen[0].connection < connections, "a connection that was idle\n{}", origin.story());
            }
        }
        proxy.expect_metric("ifmatch_unknown_outcomes_total{cause=\"connection-lost\"}", 8);
    }
}

/// An origin that refuses a large body after its head and hangs up on the rest of it: its answer is in our
/// kernel's hands when the rest of the body meets the reset.
#[test]
fn an_early_refusal_of_a_large_body_is_heard_though_the_origin_hangs_up_on_the_rest() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, &never());
    let body = vec![b'x'; 4 * 1024 * 1024];
    for _ in 0..60 {
        let tag = proxy.tag("/items/1");
        origin.once("PUT", "/items/1", |exchange| {
            exchange.read_some(10)?;
            exchange.write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")?;
            exchange.close()
        });
        let mut client = proxy.connect();
        // The proxy may stop reading, as the origin did.
        let _cut = client.try_send(&request("PUT", "/items/1").if_match(&tag).body(&body).bytes());
        assert_eq!(client.answer().expect(413).text(), "no");
        proxy.expect_metric("ifmatch_unknown_outcomes_total", 0);
        proxy.expect_metric("ifmatch_writes_in_flight", 0);
    }
    proxy.put("/items/1", &proxy.tag("/items/1"), "small").expect(204);
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 61);
}

/// The same with an answer that means "applied": a request that lacks its end may be applied or not.
#[test]
fn an_early_answer_to_a_large_body_proves_nothing_if_the_origin_hangs_up_on_the_rest() {
    // More than the kernel buffers, so that the end of it meets the reset.
    let body = vec![b'x'; 32 * 1024 * 1024];
    for status in ["200 OK", "303 See Other", "500 Oops"] {
        let origin = Origin::with_item();
        let proxy = Proxy::in_front_of(&origin, &never());
        for item in 0..4 {
            let target = format!("/items/{item}");
            origin.store(&target, "one");
            let tag = proxy.tag(&target);
            origin.once("PUT", &target, move |exchange| {
                exchange.read_some(10)?;
                // Content that nobody reads yet keeps the connection busy, and the body flows on.
                let content = if item % 2 == 0 { String::new() } else { "y".repeat(200_000) };
                exchange.write(with_body(status, "text/plain", &content))?;
                exchange.close()
            });
            let mut client = proxy.connect();
            let _cut = client.try_send(&request("PUT", &target).if_match(&tag).body(&body).bytes());
            // The reset may cost the rest of the answer.
            let answer = client.try_answer().expect("the answer's head");
            assert_eq!(answer.status.to_string(), status[..3]);
            proxy.expect_metric("ifmatch_unknown_outcomes_total{cause=\"request-incomplete\"}", item + 1);
            proxy.expect_metric("ifmatch_unknown_outcomes_total", item + 1);
            proxy.put(&target, &tag, "x").expect_refusal(409, "unsettled");
            assert_eq!(origin.seen_to("PUT", &target).len(), 1, "{}", origin.story());
        }
    }
}
