//! A connection at either side carries message after message, whatever came on it: where each ends is never in doubt.

use std::net::Shutdown;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::early_answers::{PATIENT, SOON, to_the_edge};
use crate::given::{items, items_with};
use crate::harness::{Framing, HANG, RequestText, empty, put, request, with_body};
use crate::refusals::expect_form;

// The places of a head's parts are told by where they stand in what was read. httparse gives an empty text of its own
// for a reason that is missing or holds bytes beyond ASCII: that place was outside of the head, and the task panicked.
#[test]
fn an_answer_without_words_for_its_status_or_with_words_beyond_ascii_is_passed_on() {
    let (origin, proxy) = items();
    for line in [&b"HTTP/1.1 200"[..], b"HTTP/1.1 200 ", b"HTTP/1.1 200 \xc9t\xe9", b"HTTP/1.1 200 All Right"]
    {
        let answer = [line, b"\r\nContent-Length: 2\r\n\r\nok"].concat();
        let what = String::from_utf8_lossy(line);
        let tag = proxy.tag("/items/1");
        for asked in [request("GET", "/items/1"), put("/items/1", &tag, "x")] {
            origin.answer_once(asked.method(), "/items/1", &answer);
            let answer = proxy.ask(&asked).expect(200);
            assert!(answer.text() == "ok" && answer.has("ETag"), "{what}: {answer}");
        }
    }
    proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"applied\"}", 4);
}

// That an answer had broken off was known only to the call that learned of it. Where its client had no room for what
// was left of it just then, the next call found nothing more to be taken, and took the answer for whole: the connection
// went on, and the client took the next answer for the rest of this one. Answers that are a little longer than what the
// client's kernel takes are like that.
#[test]
fn an_answer_that_breaks_off_is_never_filled_up_with_the_next_one_for_a_slow_client() {
    let (origin, proxy) = items_with(&format!("mode = \"off\"\n{PATIENT}"));
    to_the_edge(|length| {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        origin.once("GET", "/items/1", move |exchange| {
            exchange.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", length + 300))?;
            exchange.stream().set_write_timeout(Some(SOON))?;
            let taken = exchange.write(vec![b'x'; length]).is_ok();
            exchange.stream().shutdown(Shutdown::Write)?;
            // When all of it was taken, the proxy sees that it breaks off.
            let seen = taken && exchange.hung_up_within(SOON);
            // Nobody listens where the test has failed.
            let _heard = tell.lock().expect("one user").send(seen);
            exchange.close()
        });
        let mut slow = proxy.connect();
        slow.small_buffers();
        slow.pipeline(&[request("GET", "/items/1"), request("GET", "/items/2")]);
        let seen = told.recv_timeout(HANG).expect("the origin says so");
        let got = slow.rest();
        let heads = got.windows(5).filter(|bytes| bytes == b"HTTP/").count();
        assert_eq!(heads, 1, "of {length} bytes: {}", String::from_utf8_lossy(&got[got.len() - 400..]));
        seen
    });
    assert!(origin.seen_to("GET", "/items/2").is_empty());
}

// Interim answers were read in a loop that never came to an end where they arrived faster than it read them, and each
// wait after them found its task's share of the runtime used up: no timer ever fired.
#[test]
fn an_origin_that_says_1xx_without_end_is_given_up_on() {
    let upstream = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"1h\"";
    let (origin, proxy) = items_with(&format!("{PATIENT}\n{upstream}"));
    let tag = proxy.tag("/items/1");
    origin.once("PUT", "/items/1", |exchange| {
        let many = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20_000);
        while exchange.write(&many).is_ok() {}
        exchange.close()
    });
    expect_form(&proxy.put("/items/1", &tag, "x"), 502, "outcome-unknown");
    proxy.expect_metric("ifmatch_unknown_outcomes_total{cause=\"bad-answer\"}", 1);
    proxy.await_rest();
    proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
}

// A chunk's size was a number of any length: zeros in front of it do not change it, and were not counted as bytes that
// stand around the chunks. A client could send them for ever.
#[test]
fn a_chunk_whose_size_never_ends_is_no_chunk() {
    let zeros = "0".repeat(128);
    let chunked = |asked: RequestText| asked.field("Transfer-Encoding", "chunked").body(&zeros);
    let (origin, proxy) = items_with(PATIENT);
    let tag = proxy.tag("/items/1");
    // Read before it is judged: nothing of it is forwarded.
    let form = request("POST", "/items/1").field("Content-Type", "application/x-www-form-urlencoded");
    let mut client = proxy.connect();
    client.request(&chunked(form)).answer().expect(400);
    client.expect_close();
    assert!(origin.seen_to("POST", "/items/1").is_empty(), "{}", origin.story());
    // Read while it is forwarded.
    let mut client = proxy.connect();
    let refused = client.request(&chunked(request("PUT", "/items/1").if_match(&tag))).answer();
    expect_form(&refused, 502, "outcome-unknown");
    client.expect_close();
    proxy.expect_metric("ifmatch_unknown_outcomes_total{cause=\"request-incomplete\"}", 1);
}

// Of a length beside chunks the proxy believed the chunks, and passed on the length: a client that believes the length
// takes the rest of the content for the next answer.
#[test]
fn a_length_beside_chunks_is_not_passed_on() {
    const BOTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
                        b\r\nhello world\r\n0\r\n\r\n";
    for validator in ["version", "content"] {
        let (origin, proxy) = items_with(&format!("validator = \"{validator}\""));
        origin.answer_once("GET", "/items/1", BOTH);
        let mut client = proxy.connect();
        client.pipeline(&[request("GET", "/items/1"), request("GET", "/items/1")]);
        let answer = client.answer().expect(200);
        assert_eq!(answer.text(), "hello world", "{validator}: {answer}");
        match answer.framing {
            Framing::Chunked => assert!(!answer.has("Content-Length"), "{validator}: {answer}"),
            Framing::Length(length) => {
                assert!(length == 11 && !answer.has("Transfer-Encoding"), "{validator}: {answer}");
            }
            Framing::None | Framing::Close => panic!("{validator}: {answer}"),
        }
        assert_eq!(client.answer().expect(200).text(), "one", "{validator}");
        assert!(!client.has_more());
        // What the origin takes for its next answer's beginning, nobody knows: nothing more is asked over it.
        let over: Vec<usize> = origin.seen().iter().map(|seen| seen.connection).collect();
        assert_eq!(over, [0, 1], "{}", origin.story());
    }
}

// Fields were counted in an array of 512, whatever the configuration allowed.
#[test]
fn as_many_fields_pass_as_the_configuration_allows() {
    let (origin, proxy) = items_with("[limits]\nmax_header_count = 1000");
    // The field Host is one of them.
    let fields = |n: usize| (1..n).fold(request("GET", "/items/1"), |r, i| r.field(&format!("X-{i}"), "1"));
    let mut client = proxy.connect();
    for n in [100, 101, 512, 513, 600, 1000] {
        client.ask(&fields(n)).expect(200);
        let seen = origin.seen().pop().expect("a request");
        let ours = |name: &&&str| name.starts_with("X-");
        assert_eq!(seen.names().iter().filter(ours).count(), n - 1);
    }
    expect_form(&client.ask(&fields(1001)), 431, "fields-too-large");
    let refused = client.ask(&fields(1300)).expect(431);
    assert!(refused.body.is_empty(), "{refused}");
    client.expect_close();
}

// Whether the connection goes on was said before it was known how the body is sent: to HTTP/1.0, which knows no chunks,
// a body of unknown length ends with the connection.
#[test]
fn http_1_0_is_told_keep_alive_only_where_the_connection_is_kept() {
    let (origin, proxy) = items();
    let asked = || request("GET", "/items/1").version("HTTP/1.0").field("Connection", "keep-alive");
    let mut client = proxy.connect();
    origin.answer_once("GET", "/items/1", with_body("200 OK", "text/plain", "abcde"));
    let answer = client.ask(&asked()).expect(200);
    assert_eq!(answer.field("Connection"), Some("keep-alive"), "{answer}");
    origin.answer_once("GET", "/items/1", empty("404 Not Found", &[]));
    let answer = client.ask(&asked()).expect(404);
    assert_eq!(answer.field("Connection"), Some("keep-alive"), "{answer}");
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    origin.answer_once("GET", "/items/1", chunks);
    // Its body is read to the end of the connection.
    let answer = client.ask(&asked()).expect(200);
    assert_eq!((answer.text().as_str(), answer.framing), ("abcde", Framing::Close), "{answer}");
    assert!(!answer.fields_named("Connection").contains(&"keep-alive"), "{answer}");
}
