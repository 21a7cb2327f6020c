//! A write is delivered at most once, over connections that end at the worst moments.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::given::ITEMS;
use crate::harness::{Exchange, Held, Origin, Proxy, request, with_origin};

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
