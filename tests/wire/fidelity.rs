//! What passes, passes as it was: fields, framing, targets, protocols.

use std::io::Write;

use crate::given::{ITEMS, items, items_with};
use crate::harness::{Framing, Origin, Proxy, empty, put, request};

/// What the proxy adds to a request.
const ADDED: [&str; 4] = ["via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

fn without_added(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    let added = |name: &str| ADDED.contains(&name.to_ascii_lowercase().as_str());
    fields.iter().filter(|(name, _)| !added(name)).map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

#[test]
fn a_requests_fields_keep_their_case_order_and_number() {
    let (origin, proxy) = items();
    let fields = [
        ("hOsT", "api.example.com"),
        ("X-ZULU", "1"),
        ("aCCept", "*/*"),
        ("X-Twice", "a"),
        ("x-TWICE", "b, c"),
        ("X-Empty", ""),
        ("User-Agent", "test"),
        ("content-LENGTH", "3"),
    ];
    let asked =
        fields.iter().fold(request("POST", "/items/1"), |asked, (name, value)| asked.field(name, value));
    proxy.ask(&asked.body("abc")).expect(201);
    assert_eq!(without_added(&origin.only("POST", "/items/1").fields), fields, "{}", origin.story());
}

#[test]
fn an_answers_fields_keep_their_case_order_and_number() {
    let (origin, proxy) = items();
    let head = "HTTP/1.1 200 Quite Fine\r\nSERVER: own\r\nSet-Cookie: a=1\r\nset-COOKIE: b=2\r\nx-Last: \r\n\
                Date: Tue, 06 Jan 2026 10:00:00 GMT\r\nContent-LENGTH: 3\r\n";
    origin.answer_once("POST", "/items/1", format!("{head}\r\nabc"));
    let answer = proxy.ask(&request("POST", "/items/1"));
    let ours = String::from_utf8_lossy(&answer.raw_head).into_owned();
    assert_eq!(ours, format!("{head}via: 1.1 ifmatch\r\n\r\n"), "{answer}");
}

#[test]
fn bytes_beyond_ascii_in_values_pass() {
    let (origin, proxy) = items();
    origin.answer_once("GET", "/items/1", b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 0\r\n\r\n");
    let mut client = proxy.connect();
    client.send(b"GET /items/1 HTTP/1.1\r\nHost: a\r\nX-Name: na\xefve\r\n\r\n");
    let answer = client.answer().expect(200);
    assert!(answer.raw_head.windows(4).any(|w| w == b"caf\xe9"), "{answer}");
    let seen = origin.only("GET", "/items/1");
    assert!(seen.raw_head.windows(5).any(|w| w == b"na\xefve"), "{}", origin.story());
}

#[test]
fn fields_of_one_connection_stay_on_it() {
    let (origin, proxy) = items();
    origin.answer_once(
        "POST",
        "/items/1",
        "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-Stays: 1\r\nContent-Length: 0\r\n\r\n",
    );
    let asked = request("POST", "/items/1")
        .field("Connection", "X-Own, TE")
        .field("Connection", "Upgrade, Host, Content-Length")
        .field("X-Own", "1")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Connection", "keep-alive")
        .field("TE", "gzip")
        .field("Upgrade", "websocket")
        .field("X-Stays", "1")
        .body("abc");
    let answer = proxy.ask(&asked).expect(200);
    let names = |fields: &[(String, String)]| -> Vec<String> {
        without_added(fields).iter().map(|(name, _)| name.to_ascii_lowercase()).collect()
    };
    let seen = origin.only("POST", "/items/1");
    assert_eq!(names(&seen.fields), ["host", "x-stays", "content-length"], "{}", origin.story());
    assert_eq!(names(&answer.fields), ["x-stays", "content-length", "date"], "{answer}");
}

#[test]
fn via_tells_the_way_both_ways() {
    let (origin, proxy) = items_with("[server]\nvia = \"edge\"");
    origin.answer_once("GET", "/items/1", empty("200 OK", &[("Via", "1.1 inner")]));
    let answer = proxy.ask(&request("GET", "/items/1").field("Via", "1.0 outer")).expect(200);
    assert_eq!(answer.fields_named("Via"), ["1.1 inner", "1.1 edge"], "{answer}");
    assert_eq!(origin.only("GET", "/items/1").fields_named("Via"), ["1.0 outer", "1.1 edge"]);
    let (origin, proxy) = items_with("[server]\nvia = \"off\"");
    let answer = proxy.get("/items/1").expect(200);
    assert!(!answer.has("Via") && !origin.only("GET", "/items/1").has("Via"), "{answer}");
}

#[test]
fn via_tells_the_version_that_a_message_came_in() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    client.send("GET /items/1 HTTP/1.0\r\nHost: a\r\n\r\n");
    client.answer().expect(200);
    assert_eq!(origin.only("GET", "/items/1").fields_named("Via"), ["1.0 ifmatch"], "{}", origin.story());
}

#[test]
fn x_forwarded_fields_are_appended_replaced_or_left_alone() {
    let sent = [
        ("X-Forwarded-For", "10.9.8.7"),
        ("X-Forwarded-Host", "outer.example"),
        ("X-Forwarded-Proto", "https"),
    ];
    for (mode, with, without) in [
        (
            "append",
            ["10.9.8.7, 127.0.0.1", "outer.example", "https"],
            ["127.0.0.1", "api.example.com", "http"],
        ),
        ("replace", ["127.0.0.1", "api.example.com", "http"], ["127.0.0.1", "api.example.com", "http"]),
        ("off", ["10.9.8.7", "outer.example", "https"], ["", "", ""]),
    ] {
        let (origin, proxy) = items_with(&format!("[server]\nx_forwarded = \"{mode}\""));
        let asked = sent.iter().fold(request("GET", "/items/1"), |asked, (n, v)| asked.field(n, v));
        proxy.ask(&asked).expect(200);
        proxy.get("/items/1").expect(200);
        let seen = origin.seen_to("GET", "/items/1");
        for (expected, seen) in [(with, &seen[0]), (without, &seen[1])] {
            let found = sent.map(|(name, _)| seen.field(name).unwrap_or_default());
            assert_eq!(found, expected, "{mode}\n{}", origin.story());
        }
    }
}

#[test]
fn fields_that_name_another_target_do_not_pass_a_managed_route() {
    let (origin, proxy) = items();
    let names = [
        "X-Original-URL",
        "X-Original-URI",
        "X-Rewrite-URL",
        "X-Rewrite-URI",
        "X-Forwarded-Uri",
        "X-Forwarded-Path",
        "X-HTTP-DestinationURL",
        "X-Accel-Redirect",
    ];
    let tag = proxy.tag("/items/1");
    for method in ["GET", "PUT", "POST", "OPTIONS"] {
        let asked =
            names.iter().fold(request(method, "/items/1"), |asked, name| asked.field(name, "/items/2"));
        let asked = if method == "PUT" { asked.if_match(&tag).body("x") } else { asked };
        assert!(proxy.ask(&asked).status < 300);
    }
    for seen in origin.seen() {
        assert!(names.iter().all(|name| !seen.has(name)), "{}", origin.story());
    }
}

#[test]
fn trailers_pass_both_ways() {
    for lines in ["", "mode = \"off\""] {
        let (origin, proxy) = items_with(lines);
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n";
        origin.answer_once("POST", "/items/1", answer);
        let asked = request("POST", "/items/1")
            .field("TE", "trailers")
            .field("Connection", "TE")
            .field("Trailer", "X-Digest")
            .field("Transfer-Encoding", "chunked")
            .body("5\r\nhello\r\n0\r\nX-Digest: 5\r\n\r\n");
        let answer = proxy.ask(&asked).expect(200);
        assert_eq!(answer.text(), "abc");
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let lower = |trailers: &[(String, String)]| -> Vec<(String, String)> {
            trailers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone())).collect()
        };
        assert_eq!(lower(&answer.trailers), pair("x-sum", "6"), "{answer}");
        let seen = origin.only("POST", "/items/1");
        assert_eq!(seen.text(), "hello");
        assert_eq!(lower(&seen.trailers), pair("x-digest", "5"), "{}", origin.story());
        assert_eq!(seen.field("TE"), Some("trailers"), "{}", origin.story());
        assert_eq!(seen.field("Connection").map(str::to_ascii_lowercase).as_deref(), Some("te"));
    }
}

#[test]
fn a_chunked_body_stays_chunked_and_a_length_stays_a_length() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    let chunked = request("POST", "/items/1").field("Transfer-Encoding", "chunked");
    client.ask(&chunked.body("3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n")).expect(201);
    client.ask(&request("POST", "/items/1").body("abcde")).expect(201);
    client.ask(&request("POST", "/items/1").body("")).expect(201);
    client.ask(&request("POST", "/items/1")).expect(201);
    let seen = origin.seen_to("POST", "/items/1");
    let framings: Vec<_> = seen.iter().map(|seen| seen.framing).collect();
    assert_eq!(
        framings[..3],
        [Framing::Chunked, Framing::Length(5), Framing::Length(0)],
        "{}",
        origin.story()
    );
    assert!(matches!(framings[3], Framing::None | Framing::Length(0)), "{}", origin.story());
    assert_eq!((seen[0].text(), seen[1].text()), ("abcde".to_owned(), "abcde".to_owned()));
}

#[test]
fn answers_keep_their_framing() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    origin.answer_once(
        "GET",
        "/items/1",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let answer = client.ask(&request("GET", "/items/1")).expect(200);
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::Chunked, "abc"));
    origin.answer_once("GET", "/items/1", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    let answer = client.ask(&request("GET", "/items/1")).expect(200);
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::Length(3), "abc"));
    origin.once("GET", "/items/1", |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\n\r\nabc")?;
        exchange.close()
    });
    let answer = client.ask(&request("GET", "/items/1")).expect(200);
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::Chunked, "abc"), "{answer}");
    origin.once("GET", "/items/1", |exchange| {
        exchange.write("HTTP/1.0 200 OK\r\n\r\nabc")?;
        exchange.close()
    });
    assert_eq!(client.ask(&request("GET", "/items/1")).expect(200).text(), "abc");
    client.ask(&request("GET", "/items/1")).expect(200);
}

#[test]
fn answers_without_a_body_say_nothing_of_one() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    let tag = client.ask(&request("GET", "/items/1")).expect(200).tag();
    for answer in [
        client.ask(&put("/items/1", &tag, "two")).expect(204),
        client.ask(&request("GET", "/items/1").if_none_match("*")).expect(304),
    ] {
        assert!(!answer.has("Content-Length") && !answer.has("Transfer-Encoding"), "{answer}");
    }
    let head = client.ask(&request("HEAD", "/items/1")).expect(200);
    assert_eq!(head.field("Content-Length"), Some("3"), "{head}");
    origin.answer_once("HEAD", "/items/1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = client.ask(&request("HEAD", "/items/1")).expect(200);
    assert!(!head.has("Content-Length"), "a length that nobody stated\n{head}");
    origin.answer_once("HEAD", "/items/1", "HTTP/1.1 200 OK\r\n\r\n");
    let head = client.ask(&request("HEAD", "/items/1")).expect(200);
    assert!(!head.has("Content-Length"), "a length that nobody stated\n{head}");
    client.ask(&request("GET", "/items/1")).expect(200);
}

#[test]
fn a_client_of_http_1_0_is_served() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    client.send("GET /items/1 HTTP/1.0\r\nHost: api.example.com\r\n\r\n");
    let answer = client.answer().expect(200);
    assert_eq!(answer.text(), "one");
    answer.tag();
    client.expect_close();
    assert!(origin.only("GET", "/items/1").start_line.ends_with("HTTP/1.1"));
    // No chunks for one who does not know them.
    origin.answer_once(
        "GET",
        "/items/1",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let mut client = proxy.connect();
    client.send("GET /items/1 HTTP/1.0\r\nHost: a\r\n\r\n");
    let answer = client.answer().expect(200);
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::Close, "abc"), "{answer}");
    let mut client = proxy.connect();
    client.send("GET /items/1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    client.answer().expect(200);
    client.send("GET /items/1 HTTP/1.0\r\nHost: a\r\n\r\n");
    client.answer().expect(200);
    client.expect_close();
}

/// RFC 9112 section 3.2: every HTTP/1.1 request has one field Host, so a proxy that upgrades the version
/// must add what its client did not send.
#[test]
fn a_request_without_host_gets_one_on_its_way() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    client.send("GET /items/1 HTTP/1.0\r\n\r\n");
    client.answer().expect(200);
    assert_eq!(origin.only("GET", "/items/1").fields_named("Host").len(), 1, "{}", origin.story());
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let (_origin, proxy) = items();
    let mut client = proxy.connect();
    let to_item = |method| request(method, "/items/1");
    let last = request("GET", "/nowhere");
    client.pipeline(&[to_item("GET"), to_item("HEAD"), to_item("DELETE"), to_item("GET"), last]);
    assert_eq!(client.answer().expect(200).text(), "one");
    assert_eq!(client.answer().expect(200).text(), "");
    client.answer().expect(428);
    assert_eq!(client.answer().expect(200).text(), "one");
    client.answer().expect(404);
    assert!(!client.has_more());
}

#[test]
fn a_client_that_asks_for_it_is_closed_after_its_answer() {
    let (_origin, proxy) = items();
    let mut client = proxy.connect();
    client.ask(&request("GET", "/items/1").field("Connection", "close")).expect(200);
    client.expect_close();
}

#[test]
fn an_origin_that_closes_after_each_answer_is_asked_over_new_connections() {
    let (origin, proxy) = items();
    origin.always("GET", "/items/1", |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")?;
        exchange.close()
    });
    let mut client = proxy.connect();
    for _ in 0..5 {
        let answer = client.ask(&request("GET", "/items/1")).expect(200);
        assert!(!answer.has("Connection"), "that is between the proxy and the origin\n{answer}");
    }
    assert_eq!(origin.connections(), 5);
}

#[test]
fn one_connection_to_the_origin_serves_one_client_after_the_other() {
    let (origin, proxy) = items();
    for _ in 0..10 {
        proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
    }
    assert_eq!(origin.connections(), 1, "{}", origin.story());
    proxy.expect_metric("ifmatch_origin_connections{upstream=\"origin\"}", 1);
}

#[test]
fn a_target_goes_on_as_it_was_spelled() {
    let (origin, proxy) = items();
    for target in [
        "/items/1?a=b&a=c&&%20=%ff",
        "/items/%31",
        "//ITEMS/./x/../1/",
        "/items/1;v=1",
        "/items/1?",
        "/items/1?a?b/c",
        "/items/caf%C3%A9",
        "/items/a|b^c{e}",
        "/items/1?q={a}|b^c`d",
    ] {
        let before = origin.seen().len();
        proxy.get(target);
        assert_eq!(origin.seen()[before].target, target);
    }
}

#[test]
fn an_upgrade_passes_a_route_that_is_left_alone_and_bytes_go_both_ways() {
    let (origin, proxy) = items_with("mode = \"off\"");
    origin.once("GET", "/items/1", |exchange| {
        exchange.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Own: 1\r\n\r\nhello",
        )?;
        loop {
            let bytes = exchange.raw(100)?;
            exchange.stream().write_all(&bytes.to_ascii_uppercase())?;
        }
    });
    let mut client = proxy.connect();
    let asked = request("GET", "/items/1").field("Connection", "Upgrade").field("Upgrade", "echo");
    let answer = client.ask(&asked).expect(101);
    assert_eq!(answer.field("Upgrade"), Some("echo"), "{answer}");
    assert_eq!(answer.field("Connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    let seen = origin.only("GET", "/items/1");
    assert_eq!(seen.field("Upgrade"), Some("echo"), "{}", origin.story());
    assert_eq!(client.bytes(5), b"hello");
    for word in ["one", "two"] {
        client.send(word);
        assert_eq!(client.bytes(3), word.to_ascii_uppercase().as_bytes());
    }
    proxy.expect_metric("ifmatch_requests_in_flight", 1);
    client.leave();
    proxy.await_metric("ifmatch_requests_in_flight", 0);
    origin.await_open_connections(0);
}

#[test]
fn an_origin_that_ends_an_upgraded_connection_ends_it_for_the_client() {
    let (origin, proxy) = items_with("mode = \"off\"");
    origin.once("GET", "/items/1", |exchange| {
        exchange
            .write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nbye")?;
        exchange.close()
    });
    let mut client = proxy.connect();
    client
        .ask(&request("GET", "/items/1").field("Connection", "Upgrade").field("Upgrade", "echo"))
        .expect(101);
    client.finish();
    assert_eq!(client.rest(), b"bye");
}

#[test]
fn no_upgrade_passes_a_managed_route() {
    let (origin, proxy) = items();
    for method in ["GET", "POST", "OPTIONS"] {
        let asked = request(method, "/items/1").field("Connection", "Upgrade").field("Upgrade", "websocket");
        assert!(proxy.ask(&asked).status < 300);
        let seen = origin.only(method, "/items/1");
        assert!(!seen.has("Upgrade") && !seen.has("Connection"), "{}", origin.story());
    }
}

#[test]
fn a_preflight_passes_and_changes_nothing_and_no_tag_goes_with_it() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let fields = "Access-Control-Allow-Origin: *\r\nETag: \"own\"\r\n";
    origin.answer_once(
        "OPTIONS",
        "/items/1",
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"),
    );
    let asked = request("OPTIONS", "/items/1")
        .field("Origin", "https://app.example")
        .field("Access-Control-Request-Method", "PUT")
        .field("If-Match", "oops");
    let answer = proxy.ask(&asked).expect(200);
    assert!(!answer.has("ETag"), "the only tags on a managed route are ours\n{answer}");
    assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"));
    assert!(!origin.only("OPTIONS", "/items/1").has("If-Match"), "{}", origin.story());
    proxy.put("/items/1", &tag, "x").expect(204);
}

#[test]
fn options_about_the_server_is_answered_here() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    client.answer().expect(204);
    client.ask(&request("GET", "/items/1")).expect(200);
    assert_eq!(origin.seen().len(), 1, "{}", origin.story());
}

#[test]
fn routes_are_chosen_by_host_and_path() {
    let origin = Origin::with_item();
    let other = Origin::start();
    other.store("/items/1", "other");
    let config = format!(
        "{ITEMS}hosts = [\"api.example.com\"]\n[[routes]]\nname = \"other\"\npath = \"/items/{{id}}\"\n\
         upstream = \"other\"\nhosts = [\"*.other.example\"]\n[upstreams.origin]\nservers = [\"{{origin}}\"]\n\
         [upstreams.other]\nservers = [\"{}\"]\n",
        other.address()
    );
    let proxy = Proxy::in_front_of(&origin, &config);
    let at = |host: &str| proxy.ask(&request("GET", "/items/1").field("Host", host));
    for host in ["api.example.com", "API.Example.COM", "api.example.com:8080", "api.example.com."] {
        assert_eq!(at(host).expect(200).text(), "one", "{host}");
    }
    assert_eq!(at("a.other.example").expect(200).text(), "other");
    for host in ["other.example", "example.com", "localhost"] {
        at(host).expect_refusal(404, "no-route");
    }
}
