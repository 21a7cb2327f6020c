//! A connection to the origin serves the next request too, whatever the answer before it looked like.

use std::sync::mpsc::channel;

use crate::given::{items, items_with};
use crate::harness::{HANG, Origin, Proxy, RequestText, empty, put, request};

const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";

/// Has this answered by these bytes, and then asks for the item; tells which connection each
/// request came over.
#[track_caller]
fn connections_of(origin: &Origin, proxy: &Proxy, asked: &RequestText, answer: &str) -> Vec<usize> {
    let before = origin.seen_count();
    origin.answer_once(asked.method(), "/items/1", answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    proxy.ask(asked).expect(status);
    proxy.get("/items/1").expect(200);
    origin.seen_since(before).iter().map(|seen| seen.connection).collect()
}

// An answer in chunks never gave its connection back: its end is not known before that is read, and it was asked
// for only after a piece of content. Behind trailers nobody asks for the end at all. Every such read made a new
// connection.
#[test]
fn a_connection_is_used_again_after_an_answer_of_any_framing() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let get = || request("GET", "/items/1");
    for (what, asked, answer) in [
        ("chunks", get(), CHUNKS),
        ("no chunk but the last", get(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (
            "chunks and a trailer",
            get(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n",
        ),
        ("chunks, and no success", get(), &CHUNKS.replace("200 OK", "404 Not Found")),
        (
            "the head of chunks",
            request("HEAD", "/items/1"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("a length", get(), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
        ("a length of nothing", get(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("204", request("DELETE", "/items/1").if_match(&tag), "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "304",
            get().field("If-Modified-Since", "Mon, 05 Jan 2026 10:00:00 GMT"),
            "HTTP/1.1 304 Not Modified\r\n\r\n",
        ),
        ("chunks to a write", put("/items/1", "*", "two"), CHUNKS),
    ] {
        let connections = connections_of(&origin, &proxy, &asked, answer);
        assert!(connections.iter().all(|connection| *connection == 0), "after {what}: {connections:?}");
    }
    assert_eq!(origin.connections(), 1, "{}", origin.story());
}

#[test]
fn a_connection_that_the_origin_is_about_to_close_is_not_used_again() {
    for field in ["Connection: close", "Connection: Keep-Alive, Close"] {
        for answer in [CHUNKS, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"] {
            let (origin, proxy) = items();
            let answer = answer.replacen("\r\n", &format!("\r\n{field}\r\n"), 1);
            let connections = connections_of(&origin, &proxy, &request("GET", "/items/1"), &answer);
            assert_eq!(connections, [0, 1], "{answer}\n{}", origin.story());
        }
    }
}

// A form is in memory before it is sent, so all of it waits to be written when the answer comes, and it is more than
// the kernel takes. Nobody wrote the rest once the answer was through.
#[test]
fn what_is_left_of_a_request_is_sent_behind_its_early_answer() {
    const LENGTH: usize = 16 * 1024 * 1024;
    let (origin, proxy) = items_with("body_limit = \"32MiB\"");
    let (tell, told) = channel();
    origin.once("POST", "/items/1", move |exchange| {
        let begun = exchange.read_some(2)?.len();
        exchange.write(empty("204 No Content", &[]))?;
        let rest = exchange.read_some(LENGTH - begun)?.len();
        // Nobody listens where the test has failed.
        let _heard = tell.send(begun + rest);
        exchange.apply()
    });
    let form = request("POST", "/items/1").field("Content-Type", "application/x-www-form-urlencoded");
    proxy.ask(&form.body("x".repeat(LENGTH))).expect(204);
    assert_eq!(told.recv_timeout(HANG), Ok(LENGTH), "{}", origin.story());
}
