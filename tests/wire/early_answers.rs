//! An origin may answer before it has read the request: what is left of that goes on beside the answer, counts until it
//! has left, and is given up with its client.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::given::items_with;
use crate::harness::{Client, HANG, Origin, Proxy, RequestText, empty, request};
use crate::large_bodies::connect;

/// More than all buffers on the way hold.
const LENGTH: usize = 16 * 1024 * 1024;

/// Nothing but what a test is about ends a wait.
pub const PATIENT: &str =
    "[limits]\nbody_idle_timeout = \"1h\"\nupload_timeout = \"1h\"\nrequest_timeout = \"1h\"";

const WAYS: [fn(Client); 2] = [Client::leave, Client::reset];

/// A proxy that passes answers on at once: where it guards, the answer to a write waits until that has left.
fn left_alone() -> (Origin, Proxy) {
    items_with(&format!("mode = \"off\"\n{PATIENT}"))
}

/// How long a peer is waited for that may have nothing to do. If it is slower than that a test looks less closely, and
/// passes.
pub const SOON: Duration = Duration::from_millis(300);

/// Goes to the largest number of bytes for which this holds, by halves: the edge of what some buffers hold.
pub fn to_the_edge(mut holds: impl FnMut(usize) -> bool) {
    const CLOSE_TO: usize = 8 * 1024;
    let (mut least, mut most) = (0, LENGTH);
    while most - least > CLOSE_TO {
        let middle = least.midpoint(most);
        if holds(middle) { least = middle } else { most = middle }
    }
}

/// A guarded write that is streamed, and one that is in memory before it is sent.
fn long_writes(tag: &str) -> [RequestText; 2] {
    let write = |method: &str| request(method, "/items/1").if_match(tag).body("x".repeat(LENGTH));
    [write("PUT"), write("POST").field("Content-Type", "application/x-www-form-urlencoded")]
}

fn shared<T>() -> (Mutex<Sender<T>>, Receiver<T>) {
    let (tell, told) = channel();
    (Mutex::new(tell), told)
}

fn say<T>(tell: &Mutex<Sender<T>>, what: T) {
    // Nobody listens where the test has failed.
    let _heard = tell.lock().expect("one user").send(what);
}

// That the last of a body was taken off its client counted as if it had left, though it still waited for the origin to
// read what was before it. Bodies that are a little longer than what the kernel takes are like that. What the proxy
// leaves behind when it is killed is what has left.
#[test]
fn a_write_that_was_answered_early_is_applied_only_when_its_last_byte_has_left() {
    to_the_edge(|length| {
        let (origin, proxy) = items_with(PATIENT);
        let tag = proxy.tag("/items/1");
        let (go, may_go) = channel::<()>();
        let may_go = Mutex::new(may_go);
        let (tell, told) = shared();
        origin.once("PUT", "/items/1", move |exchange| {
            exchange.write(empty("200 OK", &[]))?;
            // Ends with the test's own end of it.
            let _gone = may_go.lock().expect("one user").recv();
            let mut read = 0;
            while let Ok(bytes) = exchange.raw(usize::MAX) {
                read += bytes.len();
            }
            say(&tell, read);
            exchange.close()
        });
        let mut client = proxy.connect();
        client.send_timeout(SOON);
        client.deadline(SOON);
        client.expect_answer_to("PUT");
        let sent =
            client.try_send(&request("PUT", "/items/1").if_match(&tag).body("x".repeat(length)).bytes());
        let Ok(answer) = sent.and_then(|()| client.try_answer()) else { return false };
        assert!(answer.status == 200 && answer.has("ETag"), "{answer}");
        proxy.signal("KILL");
        go.send(()).expect("the origin waits");
        assert_eq!(told.recv_timeout(HANG), Ok(length), "had left when the write counted as applied");
        true
    });
}

#[test]
fn a_write_that_was_answered_early_and_never_read_is_of_unknown_outcome() {
    for round in 0..4 {
        for form in 0..long_writes("").len() {
            let (origin, proxy) = items_with(&format!("body_limit = \"32MiB\"\n{PATIENT}"));
            let asked = long_writes(&proxy.tag("/items/1"))[form].clone();
            origin.once(asked.method(), "/items/1", move |exchange| {
                exchange.read_some(2)?;
                exchange.write(empty("200 OK", &[]))?;
                if round % 2 == 0 { exchange.close() } else { exchange.reset() }
            });
            let answer = proxy.ask(&asked).expect(200);
            assert!(!answer.has("ETag"), "{}: {}", asked.method(), answer.message);
            proxy.expect_metric("ifmatch_unknown_outcomes_total{cause=\"request-incomplete\"}", 1);
            proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"unknown\"}", 1);
            proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"applied\"}", 0);
        }
    }
}

#[test]
fn a_write_that_was_answered_early_and_then_read_is_applied() {
    for form in 0..long_writes("").len() {
        let (origin, proxy) = items_with(&format!("body_limit = \"32MiB\"\n{PATIENT}"));
        let asked = long_writes(&proxy.tag("/items/1"))[form].clone();
        let (tell, told) = shared();
        origin.once(asked.method(), "/items/1", move |exchange| {
            exchange.write(empty("200 OK", &[]))?;
            exchange.read_body()?;
            say(&tell, exchange.request.body.len());
            Ok(())
        });
        let answer = proxy.ask(&asked).expect(200);
        // To POST it would be a tag of what was made.
        assert_eq!(answer.has("ETag"), asked.method() == "PUT", "{}", answer.message);
        assert_eq!(told.recv_timeout(HANG), Ok(LENGTH));
        proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"applied\"}", 1);
        proxy.expect_metric("ifmatch_unknown_outcomes_total", 0);
    }
}

// A reset is told to whoever asks the socket first. Where that was the upload, the answer beside it found the end of
// the connection, which is the good end of an answer without a length. Which of them is first is left to chance, and
// so this is done again and again.
#[test]
fn an_answer_that_ends_with_the_connection_is_not_whole_where_that_was_reset() {
    let (origin, proxy) = left_alone();
    for _ in 0..24 {
        let (go, may_go) = channel::<()>();
        let may_go = Mutex::new(may_go);
        origin.once("POST", "/items/1", move |exchange| {
            exchange.write("HTTP/1.1 200 OK\r\n\r\nfirst half")?;
            // Ends with the test's own end of it.
            let _gone = may_go.lock().expect("one user").recv();
            exchange.reset()
        });
        let client = connect(&proxy);
        let uploading = client.try_clone().expect("another handle");
        let upload = std::thread::spawn(move || {
            let head = head_of_post("", LENGTH);
            let piece = vec![b'y'; 64 * 1024];
            let mut uploading = &uploading;
            // The proxy hangs up on it, sooner or later.
            let _sent = uploading.write_all(head.as_bytes());
            for _ in 0..LENGTH / piece.len() {
                if uploading.write_all(&piece).is_err() {
                    return;
                }
            }
        });
        let mut got = Vec::new();
        let mut piece = [0; 1024];
        while !got.ends_with(b"first half\r\n") {
            let n = (&client).read(&mut piece).expect("the beginning of an answer");
            assert!(n > 0, "{}", String::from_utf8_lossy(&got));
            got.extend_from_slice(&piece[..n]);
        }
        go.send(()).expect("the origin waits");
        while let Ok(n @ 1..) = (&client).read(&mut piece) {
            got.extend_from_slice(&piece[..n]);
        }
        assert!(!got.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&got));
        upload.join().expect("it only sends");
    }
}

/// Has a POST of so many bytes answered behind its first two. The origin then reads the rest, tells whether it got all,
/// and waits until the proxy hangs up, of which it tells too.
fn answered_early(length: usize, answer: &str) -> (Origin, Proxy, Receiver<bool>) {
    let (origin, proxy) = left_alone();
    let (tell, told) = shared();
    let answer = answer.to_owned();
    origin.once("POST", "/items/1", move |exchange| {
        exchange.read_some(2)?;
        exchange.write(&answer)?;
        say(&tell, exchange.read_some(length - 2).is_ok());
        say(&tell, exchange.hung_up_within(HANG));
        exchange.close()
    });
    (origin, proxy, told)
}

/// Of a body that is no form, which would be read before it is forwarded.
fn head_of_post(fields: &str, length: usize) -> String {
    let media_type = "Content-Type: application/octet-stream";
    format!("POST /items/1 HTTP/1.1\r\nHost: a\r\n{media_type}\r\n{fields}Content-Length: {length}\r\n\r\n")
}

fn begin(proxy: &Proxy, fields: &str, length: usize) -> Client {
    let mut client = proxy.connect();
    client.send(head_of_post(fields, length) + "xx");
    client.expect_answer_to("POST");
    client
}

#[track_caller]
fn expect_given_up(origin: &Origin, proxy: &Proxy) {
    origin.await_open_connections(0);
    for gauge in ["ifmatch_origin_connections", "ifmatch_client_connections", "ifmatch_requests_in_flight"] {
        proxy.await_metric(gauge, 0);
    }
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const STREAMED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";

// A connection that is to be closed reads what still comes, so that its end does not overtake the answer. Behind an
// early answer that was the request's body, which somebody else was sending on to the origin.
#[test]
fn a_connection_that_closes_behind_an_early_answer_leaves_the_body_to_the_origin() {
    const LONG: usize = 3_000_000;
    for fields in ["", "Connection: close\r\n"] {
        let (_origin, proxy, told) = answered_early(LONG, NO_CONTENT);
        let mut client = begin(&proxy, fields, LONG);
        let answer = client.answer().expect(204);
        assert_eq!(answer.has("Connection"), !fields.is_empty(), "{answer}");
        client.send("x".repeat(LONG - 2));
        assert_eq!(told.recv_timeout(HANG), Ok(true), "the origin gets all of the body");
        if fields.is_empty() {
            client.ask(&request("GET", "/items/1")).expect(200);
        } else {
            client.expect_close();
        }
    }
}

// A connection that was closed woke nobody who was still reading a body from it: the rest of an upload stayed, with its
// connection to the origin, until its own time was over.
#[test]
fn an_upload_behind_an_early_answer_is_given_up_with_its_client() {
    for leave in WAYS {
        for fields in ["", "Connection: close\r\n"] {
            let (origin, proxy, told) = answered_early(100, NO_CONTENT);
            let mut client = begin(&proxy, fields, 100);
            client.answer().expect(204);
            leave(client);
            assert_eq!(told.recv_timeout(HANG), Ok(false), "the origin does not get all of the body");
            expect_given_up(&origin, &proxy);
        }
    }
}

// While somebody else reads a connection, that is where its end is seen. When that had read the body to its end behind
// an early answer, nobody looked any more: a client that then left was found to have left only with the next piece of
// the answer.
#[test]
fn an_answer_that_came_early_is_given_up_with_its_client() {
    for leave in WAYS {
        for whole in [true, false] {
            let (origin, proxy, told) = answered_early(100, STREAMED);
            let mut client = begin(&proxy, "", 100);
            let mut got = Vec::new();
            while !got.ends_with(b"\r\n\r\n1\r\na\r\n") {
                got.extend(client.bytes(1));
            }
            if whole {
                client.send("x".repeat(98));
                assert_eq!(told.recv_timeout(HANG), Ok(true), "the origin gets all of the body");
            }
            leave(client);
            if !whole {
                assert_eq!(told.recv_timeout(HANG), Ok(false), "the origin does not get all of the body");
            }
            assert_eq!(told.recv_timeout(HANG), Ok(true), "the proxy hangs up, body whole: {whole}");
            expect_given_up(&origin, &proxy);
        }
    }
}

// Where an upload had been given up, nobody read from its client any more: what was still done for it, such as the
// question to the origin that a preflight may take, went on when that left.
#[test]
fn what_is_done_behind_an_early_answer_is_given_up_with_its_client_when_the_upload_has_been() {
    const FIELDS: &str = "Origin: http://page\r\nAccess-Control-Request-Method: PUT\r\n\
                          Access-Control-Request-Headers: if-match\r\nContent-Length: 100000\r\n";
    for leave in WAYS {
        let limits = PATIENT.replace("upload_timeout = \"1h\"", "upload_timeout = \"1s\"");
        let upstream = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"1h\"";
        let (origin, proxy) = items_with(&format!("cors = true\n{limits}\n{upstream}"));
        let (tell, told) = shared();
        origin.once("OPTIONS", "/items/1", |exchange| exchange.write(empty("404 Not Found", &[])));
        origin.once("GET", "/items/1", move |exchange| {
            say(&tell, exchange.hung_up_within(HANG));
            exchange.close()
        });
        let mut client = proxy.connect();
        client.send(format!("OPTIONS /items/1 HTTP/1.1\r\nHost: a\r\n{FIELDS}\r\nxx"));
        proxy.await_metric("ifmatch_limits_hit_total{limit=\"limits.upload_timeout\"}", 1);
        // Nobody wants it, and its end is still to come.
        client.send("x".repeat(50_000));
        leave(client);
        assert_eq!(told.recv_timeout(HANG), Ok(true), "the proxy hangs up");
        expect_given_up(&origin, &proxy);
    }
}

/// Has it stop, and waits until its connections have heard of that.
fn stop(proxy: &Proxy) {
    let mut idle = proxy.connect();
    idle.ask(&request("GET", "/items/1")).expect(200);
    proxy.signal("TERM");
    idle.expect_close();
}

#[test]
fn the_stop_leaves_an_upload_behind_an_early_answer_to_its_origin() {
    const LONG: usize = 3_000_000;
    for fields in ["", "Connection: close\r\n"] {
        let (_origin, mut proxy, told) = answered_early(LONG, NO_CONTENT);
        let mut client = begin(&proxy, fields, LONG);
        client.answer().expect(204);
        stop(&proxy);
        client.send("x".repeat(LONG - 2));
        assert_eq!(told.recv_timeout(HANG), Ok(true), "the origin gets all of the body");
        client.expect_close();
        assert_eq!(proxy.await_exit().code(), Some(0));
    }
}

// A body whose origin had hung up was taken off its client to its end, and the stop waited for that.
#[test]
fn a_body_that_its_origin_has_hung_up_on_does_not_hold_up_the_end() {
    for fields in ["", "Connection: close\r\n"] {
        let server = "[server]\ndrain_timeout = \"1h\"";
        let (origin, mut proxy) = items_with(&format!("mode = \"off\"\n{PATIENT}\n{server}"));
        let (go, may_go) = channel::<()>();
        let may_go = Mutex::new(may_go);
        origin.once("POST", "/items/1", move |exchange| {
            exchange.read_some(2)?;
            exchange.write(NO_CONTENT)?;
            // Ends with the test's own end of it.
            let _gone = may_go.lock().expect("one user").recv();
            exchange.reset()
        });
        let mut client = begin(&proxy, fields, LENGTH);
        client.answer().expect(204);
        stop(&proxy);
        go.send(()).expect("the origin waits");
        client.drip("x");
        client.expect_close();
        assert_eq!(proxy.await_exit().code(), Some(0));
    }
}
