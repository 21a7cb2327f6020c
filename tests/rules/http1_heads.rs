//! Heads of requests and answers: what is one, how large it may be, and what is told of the body behind it.

use bytes::BytesMut;
use http::{HeaderName, Method, Version, header};
use ifmatch::http1::fields::{FieldValue, Fields};
use ifmatch::http1::framing::BodyLength;
use ifmatch::http1::head::{AnswerHead, BadHead, HeadLimits, RequestHead, take_answer, take_request};

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 100 };

fn request(bytes: &[u8]) -> Result<Option<RequestHead>, BadHead> {
    take_request(&mut BytesMut::from(bytes), 0, LIMITS)
}

fn whole(bytes: &str) -> RequestHead {
    request(bytes.as_bytes()).expect("a head").unwrap_or_else(|| panic!("all of it: {bytes:?}"))
}

fn refused(bytes: &str) -> BadHead {
    request(bytes.as_bytes()).map(|head| format!("{head:?}")).expect_err(bytes)
}

fn answered(method: &Method, bytes: &[u8]) -> Result<AnswerHead, BadHead> {
    let head = take_answer(&mut BytesMut::from(bytes), 0, LIMITS, method)?;
    Ok(head.unwrap_or_else(|| panic!("all of it: {bytes:?}")))
}

fn answer(bytes: &str) -> AnswerHead {
    answered(&Method::GET, bytes.as_bytes()).expect("a head")
}

/// With fields of which each one ends its line.
fn with(fields: &str) -> String {
    format!("PUT /a HTTP/1.1\r\n{fields}\r\n")
}

#[test]
fn what_stands_behind_a_head_is_left() {
    let mut come = BytesMut::from(&b"PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET"[..]);
    let head = take_request(&mut come, 0, LIMITS).expect("a head").expect("all of it");
    assert_eq!((head.length, &come[..]), (BodyLength::Exact(3), &b"abcGET"[..]));
}

#[test]
fn of_no_bytes_nothing_is_said() {
    assert!(matches!(request(b""), Ok(None)));
    assert!(matches!(request(b"\r\n\n"), Ok(None)));
}

#[test]
fn a_head_may_be_as_long_as_is_allowed_and_no_longer() {
    for (length, here, fits) in
        [(1024, 1024, true), (1025, 1025, false), (1024, 1023, true), (2000, 1024, false)]
    {
        let begin = "GET / HTTP/1.1\r\nA: ";
        let bytes = format!("{begin}{}\r\n\r\n", "a".repeat(length - begin.len() - 4));
        let head = request(&bytes.as_bytes()[..here]);
        match head {
            Ok(head) => assert!(fits && head.is_some() == (here == length), "{length} {here}"),
            Err(bad) => assert!(!fits && bad == BadHead::TooLong, "{length} {here}: {bad:?}"),
        }
        let bytes = bytes.replacen("GET / HTTP/1.1\r\n", "HTTP/1.1 200\r\n  ", 1).replacen("  A", "AAA", 1);
        let head = take_answer(&mut BytesMut::from(&bytes.as_bytes()[..here]), 0, LIMITS, &Method::GET);
        assert_eq!(head.map_or_else(|bad| bad != BadHead::TooLong, |_| true), fits, "{length} {here}");
    }
}

#[test]
fn empty_lines_before_a_head_count_as_part_of_it() {
    let lines = |count| "\r\n".repeat(count) + "GET / HTTP/1.1\r\n\r\n";
    assert!(request(lines(503).as_bytes()).expect("of 1024 bytes").is_some());
    assert_eq!(refused(&lines(504)), BadHead::TooLong);
    assert_eq!(refused(&"\r\n".repeat(512)), BadHead::TooLong);
}

#[test]
fn as_many_fields_are_read_as_are_allowed() {
    for allowed in [0, 1, 99, 100, 101, 600, 12_500] {
        for (sent, fits) in [(allowed, true), (allowed + 1, false)] {
            let mut come = BytesMut::from(with(&"a:b\r\n".repeat(sent)).as_bytes());
            let limits = HeadLimits { bytes: usize::MAX, fields: allowed };
            match take_request(&mut come, 0, limits) {
                Ok(head) => assert_eq!((head.expect("all of it").request.headers.len(), fits), (sent, true)),
                Err(bad) => assert_eq!((bad, fits), (BadHead::TooManyFields, false), "{sent} of {allowed}"),
            }
        }
    }
}

#[test]
fn an_answer_has_a_hundred_fields_at_most() {
    for (allowed, sent, fits) in
        [(100, 100, true), (100, 101, false), (300, 101, false), (3, 3, true), (3, 4, false)]
    {
        let mut come =
            BytesMut::from(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a:b\r\n".repeat(sent)).as_bytes());
        let head = take_answer(&mut come, 0, HeadLimits { bytes: 1024, fields: allowed }, &Method::GET);
        assert_eq!(head.as_ref().is_ok_and(Option::is_some), fits);
        assert!(fits || head.is_err_and(|bad| bad == BadHead::TooManyFields));
    }
}

#[test]
fn a_target_is_no_longer_than_any_that_was_sent_in_earnest() {
    for (length, fits) in [(65_534, true), (65_535, false)] {
        let bytes = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(length - 1));
        let limits = HeadLimits { bytes: 100_000, fields: 1 };
        match take_request(&mut BytesMut::from(bytes.as_bytes()), 0, limits) {
            Ok(head) => assert!(fits && head.is_some()),
            Err(bad) => assert!(!fits && bad == BadHead::TargetTooLong, "{bad:?}"),
        }
    }
}

fn value<'f>(fields: &'f Fields, name: &'static str) -> Option<&'f [u8]> {
    fields.get(HeaderName::from_static(name)).map(FieldValue::as_bytes)
}

#[test]
fn lines_may_end_in_a_line_feed_alone() {
    let head = whole("\nGET /a HTTP/1.1\nA: 1\r\nB: 2\n\n");
    assert_eq!(
        (value(&head.request.headers, "a"), value(&head.request.headers, "b")),
        (Some(&b"1"[..]), Some(&b"2"[..]))
    );
    assert_eq!(answer("HTTP/1.1 204\n\n").answer.status, 204);
}

#[test]
fn a_carriage_return_ends_no_line() {
    for bytes in
        ["GET / HTTP/1.1\rA: 1\r\n\r\n", "GET / HTTP/1.1\r\nA: 1\rB: 2\r\n\r\n", "\rGET / HTTP/1.1\r\n\r\n"]
    {
        assert_eq!(refused(bytes), BadHead::Malformed);
    }
}

#[test]
fn a_field_stands_in_one_line() {
    for fold in [" ", "\t", " \t "] {
        assert_eq!(refused(&with(&format!("A: 1\r\n{fold}2\r\n"))), BadHead::Malformed);
        assert_eq!(refused(&with(&format!("{fold}A: 1\r\n"))), BadHead::Malformed);
        let answer = answered(&Method::GET, format!("HTTP/1.1 200 OK\r\nA: 1\r\n{fold}2\r\n\r\n").as_bytes());
        assert!(matches!(answer, Err(BadHead::Malformed)));
    }
}

#[test]
fn a_head_has_no_bytes_that_the_grammar_has_not() {
    for line in [
        "GET  / HTTP/1.1",
        "GET /",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "G\0T / HTTP/1.1",
        "GET /\0 HTTP/1.1",
    ] {
        assert_eq!(refused(&format!("{line}\r\n\r\n")), BadHead::Malformed, "{line:?}");
    }
    for field in ["A : 1", "A", ": 1", "A\0: 1", "A: 1\0", "A: \x7f", "A B: 1", "\u{e9}: 1"] {
        assert_eq!(refused(&with(&format!("{field}\r\n"))), BadHead::Malformed, "{field:?}");
    }
    let head =
        request(b"GET / HTTP/1.1\r\nA:\t \xff\t1  \r\nB:\r\n\r\n").expect("a head").expect("all of it");
    assert_eq!(
        (value(&head.request.headers, "a"), value(&head.request.headers, "b")),
        (Some(&b"\xff\t1"[..]), Some(&b""[..]))
    );
}

#[test]
fn the_lengths_of_a_request_are_one_number() {
    let lines = |lengths: &[&str]| {
        with(&lengths.iter().map(|length| format!("Content-Length: {length}\r\n")).collect::<String>())
    };
    for (lengths, exact) in [
        (&[][..], 0),
        (&["0"], 0),
        (&["5"], 5),
        (&["005"], 5),
        (&["5", "5"], 5),
        (&["5", "05"], 5),
        (&["18446744073709551613"], u64::MAX - 2),
    ] {
        let head = whole(&lines(lengths));
        assert_eq!(head.length, BodyLength::Exact(exact), "{lengths:?}");
        let kept: Vec<_> =
            head.request.headers.get_all(header::CONTENT_LENGTH).map(FieldValue::as_bytes).collect();
        assert_eq!(
            kept,
            Vec::from_iter(lengths.first().map(|length| length.as_bytes())),
            "it passes on once, as it was sent first"
        );
    }
    for lengths in
        [&["5", "6"][..], &["5, 5"], &["+5"], &["-5"], &[""], &["5 5"], &["0x5"], &["18446744073709551616"]]
    {
        assert_eq!(refused(&lines(lengths)), BadHead::Malformed, "{lengths:?}");
    }
    assert_eq!(refused(&lines(&["18446744073709551614"])), BadHead::BodyTooLong);
}

#[test]
fn a_request_with_both_framings_is_in_chunks_and_the_last_one() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: none\r\nConnection: keep-alive\r\n",
    ] {
        let head = whole(&with(fields));
        assert_eq!((head.length, head.persists), (BodyLength::Chunked, false));
        assert!(!head.request.headers.contains_key(header::CONTENT_LENGTH));
    }
    assert_eq!(
        refused(&with("Content-Length: 5\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n")),
        BadHead::Malformed
    );
}

#[test]
fn the_last_coding_of_a_request_is_chunked() {
    for coding in
        ["chunked", "CHUNKED", "gzip, chunked", "gzip,chunked\t", "gzip\r\nTransfer-Encoding: chunked"]
    {
        assert_eq!(
            whole(&with(&format!("Transfer-Encoding: {coding}\r\n"))).length,
            BodyLength::Chunked,
            "{coding:?}"
        );
    }
    for coding in [
        "gzip",
        "",
        "chunked, gzip",
        "chunked,",
        "xchunked",
        "chunked;q=1",
        "chunked\r\nTransfer-Encoding: gzip",
    ] {
        assert_eq!(
            refused(&with(&format!("Transfer-Encoding: {coding}\r\n"))),
            BadHead::Malformed,
            "{coding:?}"
        );
    }
    let no_text = b"PUT / HTTP/1.1\r\nTransfer-Encoding: \xff, chunked\r\n\r\n";
    assert!(
        matches!(request(no_text), Err(BadHead::Malformed)),
        "whoever reads it in another way finds another end"
    );
}

#[test]
fn there_are_no_codings_in_http_1_0() {
    assert_eq!(refused("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), BadHead::Malformed);
    let answer = answered(&Method::GET, b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(matches!(answer, Err(BadHead::Malformed)));
}

#[test]
fn a_fragment_is_marked_and_cut_off() {
    for (target, path, marked) in
        [("/a#b", "/a", true), ("/#", "/", true), ("/a?b#c", "/a?b", true), ("/a%23b", "/a%23b", false)]
    {
        let head = whole(&format!("GET {target} HTTP/1.1\r\n\r\n"));
        assert_eq!(head.request.uri.to_string(), path);
        assert_eq!(head.request.has_fragment, marked);
    }
}

#[test]
fn names_are_kept_as_they_were_spelled() {
    let head = whole(&with("hOST: h\r\nX-A: 1\r\netag: 2\r\nx-a: 3\r\n"));
    let lines = head.request.headers.lines();
    let seen: Vec<_> = lines.map(|line| [line.spelled, b"=", line.value.as_bytes()].concat()).collect();
    assert_eq!(seen, [&b"hOST=h"[..], b"X-A=1", b"etag=2", b"x-a=3"]);
}

#[test]
fn the_words_of_a_status_are_kept_where_they_are_its_own() {
    let words = |line: &[u8]| {
        let head = answered(&Method::GET, &[line, b"\r\nA: b\r\n\r\n"].concat()).expect("a head");
        head.answer.reason.as_ref().map(|own| own.0.to_vec())
    };
    assert_eq!(words(b"HTTP/1.1 200 OK"), None);
    assert_eq!(words(b"HTTP/1.1 200 Fine\tso far"), Some(b"Fine\tso far".to_vec()));
    assert_eq!(words(b"HTTP/1.1 299 OK"), Some(b"OK".to_vec()));
}

/// httparse gives no part of the head for these, but an empty text of its own: taken for a part, it was one far beyond
/// the head's end, and the connection's task panicked.
#[test]
fn a_status_without_words_in_ascii_has_none() {
    for line in [&b"HTTP/1.1 200"[..], b"HTTP/1.1 200 ", b"HTTP/1.1 200 caf\xe9", b"HTTP/1.1 599"] {
        for end in [&b"\r\n\r\n"[..], b"\n\n"] {
            let head = answered(&Method::GET, &[line, end].concat()).expect("a head");
            assert_eq!(head.answer.reason.as_ref().map(|own| own.0.to_vec()), Some(Vec::new()));
        }
    }
}

#[test]
fn the_body_of_an_answer_ends_where_its_request_and_its_status_say() {
    for (method, head, length, persists) in [
        (Method::GET, "200 OK\r\nContent-Length: 5", BodyLength::Exact(5), true),
        (Method::HEAD, "200 OK\r\nContent-Length: 5", BodyLength::Exact(0), true),
        (Method::GET, "204 No Content\r\nContent-Length: 5", BodyLength::Exact(0), true),
        (Method::GET, "304 Not Modified\r\nTransfer-Encoding: chunked", BodyLength::Exact(0), true),
        (Method::GET, "101 Switching Protocols\r\nContent-Length: 5", BodyLength::Exact(0), true),
        (Method::GET, "200 OK\r\nA: b", BodyLength::UntilClose, false),
        (Method::GET, "200 OK\r\nTransfer-Encoding: chunked", BodyLength::Chunked, true),
        (Method::GET, "200 OK\r\nTransfer-Encoding: gzip", BodyLength::UntilClose, false),
        (Method::GET, "200 OK\r\nContent-Length: 0\r\nConnection: x, Close", BodyLength::Exact(0), false),
    ] {
        let read = answered(&method, format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()).expect("a head");
        assert_eq!((read.length, read.persists), (length, persists), "{method} {head:?}");
    }
    for lengths in ["5, 6", "5\r\nContent-Length: 6", "many", ""] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {lengths}\r\n\r\n");
        assert!(matches!(answered(&Method::GET, head.as_bytes()), Err(BadHead::Malformed)), "{lengths:?}");
    }
}

#[test]
fn the_connection_outlives_a_request_that_does_not_ask_for_the_end() {
    for (version, connection, persists) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: close\r\nConnection: keep-alive\r\n", false),
    ] {
        let head = whole(&format!("GET / HTTP/{version}\r\n{connection}\r\n"));
        assert_eq!(head.persists, persists, "{version} {connection:?}");
        assert_eq!(head.request.version == Version::HTTP_10, version == "1.0");
    }
}

#[test]
fn a_client_awaits_an_invitation_where_it_says_so_and_has_a_body() {
    for (version, fields, awaits) in [
        ("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", true),
        ("1.1", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", true),
        ("1.1", "Expect: 100-continue\r\n", false),
        ("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", false),
        ("1.1", "Expect: something\r\nContent-Length: 1\r\n", false),
    ] {
        let head = whole(&format!("PUT / HTTP/{version}\r\n{fields}\r\n"));
        assert_eq!(head.awaits_continue, awaits, "{version} {fields:?}");
    }
}

/// Whatever was looked at before is not looked at again, and an end that lies across that place is still found.
#[test]
fn a_head_that_comes_in_pieces_is_read_as_if_it_had_come_at_once() {
    for bytes in [
        "PUT /a HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\n\n",
        "\n\n\nGET / HTTP/1.1\r\nA: b\n\r\n",
        "GET / HTTP/1.1\r\n\n",
    ] {
        let at_once = format!("{:?}", whole(bytes));
        for first in 1..bytes.len() {
            for second in first..bytes.len() {
                let (mut come, mut seen) = (BytesMut::new(), 0);
                for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    assert!(come.len() < bytes.len());
                    come.extend_from_slice(piece.as_bytes());
                    let head = take_request(&mut come, seen, LIMITS).expect("a head");
                    assert_eq!(head.is_some(), come.is_empty());
                    seen = come.len();
                    if let Some(head) = head {
                        assert_eq!(format!("{head:?}"), at_once);
                    }
                }
                assert!(come.is_empty(), "{first} {second}");
            }
        }
    }
}

// What is wrong first is told: hyper says the same, and the order was once another one.
#[test]
fn a_target_that_is_none_is_malformed_whatever_the_length_of_the_body() {
    let too_long = "Host: h\r\nContent-Length: 18446744073709551614\r\n\r\n";
    assert_eq!(refused(&format!("PUT # HTTP/1.1\r\n{too_long}")), BadHead::Malformed);
    assert_eq!(refused(&format!("PUT / HTTP/1.1\r\n{too_long}")), BadHead::BodyTooLong);
}
