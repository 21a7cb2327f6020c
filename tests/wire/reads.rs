//! Reads: stamps, variants, conditions, ranges.

use crate::given::{collection, items, items_with};
use crate::harness::{Answer, Proxy, RequestText, put, request, with_body};

const MODIFIED: &str = "Mon, 05 Jan 2026 10:00:00 GMT";
const BEFORE: &str = "Mon, 05 Jan 2026 09:59:59 GMT";

fn get() -> RequestText {
    request("GET", "/items/1")
}

/// The four parts of a tag: incarnation, resource, version, variant.
#[track_caller]
fn parts(tag: &str) -> Vec<String> {
    let parts: Vec<String> = tag.trim_matches('"').split('.').map(str::to_owned).collect();
    assert!(parts.len() == 4 && tag.starts_with('"'), "{tag} is no strong tag of ours");
    parts
}

#[test]
fn a_read_is_stamped_in_place_of_the_origins_own_tag() {
    let (_origin, proxy) = items();
    let answer = proxy.get("/items/1").expect(200);
    assert_eq!(answer.text(), "one");
    parts(&answer.tag());
    assert_eq!(answer.field("Last-Modified"), Some(MODIFIED), "{answer}");
}

#[test]
fn two_reads_of_one_state_carry_one_tag() {
    let (_origin, proxy) = items();
    assert_eq!(proxy.tag("/items/1"), proxy.tag("/items/1"));
}

#[test]
fn head_carries_the_tag_of_get_and_no_content() {
    let (_origin, proxy) = items();
    let mut client = proxy.connect();
    let head = client.ask(&request("HEAD", "/items/1")).expect(200);
    assert_eq!(head.field("Content-Length"), Some("3"), "{head}");
    let get = client.ask(&get()).expect(200);
    assert_eq!(head.tag(), get.tag());
}

#[test]
fn a_read_of_nothing_is_not_stamped() {
    let (origin, proxy) = items();
    assert!(!proxy.get("/items/2").expect(404).has("ETag"));
    for status in [
        "203 Non-Authoritative Information",
        "404 Not Found",
        "500 Oops",
        "301 Moved Permanently",
        "202 Accepted",
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nETag: \"own\"\r\nContent-Length: 1\r\n\r\nx");
        origin.answer_once("GET", "/items/3", answer);
        let answer = proxy.get("/items/3");
        assert!(!answer.has("ETag"), "{answer}");
    }
}

#[test]
fn a_current_tag_in_if_none_match_is_answered_304_with_exactly_these_fields() {
    let (origin, proxy) = items();
    let answer = "HTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\nContent-Language: de\r\n\
                  Content-Encoding: identity\r\nLast-Modified: Mon, 05 Jan 2026 10:00:00 GMT\r\n\
                  Cache-Control: max-age=5\r\nVary: Accept\r\nExpires: 0\r\nContent-Location: /items/1\r\n\
                  Date: Tue, 06 Jan 2026 10:00:00 GMT\r\nETag: \"own\"\r\nX-Own: kept\r\nAccept-Ranges: bytes\r\n\
                  Set-Cookie: a=1\r\nContent-Length: 3\r\n\r\none";
    origin.answer_always("GET", "/items/1", answer);
    let mut client = proxy.connect();
    let tag = client.ask(&get()).expect(200).tag();
    let unmodified = client.ask(&get().if_none_match(&tag)).expect(304);
    let mut names: Vec<String> = unmodified.names().iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort();
    let expected = [
        "cache-control",
        "content-location",
        "date",
        "etag",
        "expires",
        "set-cookie",
        "vary",
        "via",
        "x-own",
    ];
    assert_eq!(names, expected, "{unmodified}");
    assert_eq!((unmodified.tag(), unmodified.reason.as_str()), (tag.clone(), "Not Modified"));
    assert_eq!(unmodified.field("Date"), Some("Tue, 06 Jan 2026 10:00:00 GMT"));
    // Nothing of a body is left on the connection.
    client.ask(&get()).expect(200);
    proxy.expect_metric("ifmatch_requests_total{route=\"item\",method=\"GET\",outcome=\"not-modified\"}", 1);
}

#[test]
fn if_none_match_compares_weakly_and_over_a_list() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    for condition in
        [format!("W/{tag}"), format!("\"a,b\", {tag}"), format!("W/\"x\" ,, W/{tag} "), "*".into()]
    {
        proxy.ask(&get().if_none_match(&condition)).expect(304);
        proxy.ask(&request("HEAD", "/items/1").if_none_match(&condition)).expect(304);
    }
    proxy.ask(&get().if_none_match("\"other\"").if_none_match(&tag)).expect(304);
    for condition in ["\"other\"", "W/\"origin-1\"", "\"origin-1\""] {
        proxy.ask(&get().if_none_match(condition)).expect(200);
    }
}

#[test]
fn a_stale_tag_in_if_none_match_gets_the_new_content() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "two").expect(204);
    let answer = proxy.ask(&get().if_none_match(&tag)).expect(200);
    assert_eq!(answer.text(), "two");
    assert_ne!(answer.tag(), tag);
}

#[test]
fn no_tag_reaches_the_origin_with_a_read() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let asked = get().if_match(&tag).if_none_match("\"x\"").field("If-Unmodified-Since", MODIFIED);
    proxy.ask(&asked.field("If-Modified-Since", BEFORE)).expect(200);
    let seen = &origin.seen_to("GET", "/items/1")[1];
    for name in ["If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since", "If-Range"] {
        assert!(!seen.has(name), "{name} went on\n{}", origin.story());
    }
}

#[test]
fn a_date_in_if_modified_since_goes_on_and_the_origins_304_has_no_tag() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    let answer = client.ask(&get().field("If-Modified-Since", MODIFIED)).expect(304);
    assert!(!answer.has("ETag"), "{answer}");
    assert_eq!(origin.only("GET", "/items/1").field("If-Modified-Since"), Some(MODIFIED));
    client.ask(&get().field("If-Modified-Since", BEFORE)).expect(200);
    client.ask(&get().field("If-Modified-Since", "yesterday")).expect(200);
}

#[test]
fn a_date_is_judged_here_where_the_origin_does_not_and_the_304_has_no_tag() {
    let (origin, proxy) = items();
    let answer = format!("HTTP/1.1 200 OK\r\nLast-Modified: {MODIFIED}\r\nContent-Length: 3\r\n\r\none");
    origin.answer_always("GET", "/items/1", answer);
    let unmodified = proxy.ask(&get().field("If-Modified-Since", MODIFIED)).expect(304);
    assert!(!unmodified.has("ETag"), "a date cannot show that the client has this version\n{unmodified}");
    proxy.ask(&get().field("If-Modified-Since", BEFORE)).expect(200);
}

#[test]
fn if_match_on_a_read_is_judged_by_the_version() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    proxy.ask(&get().if_match(&tag)).expect(200);
    proxy.ask(&get().if_match("*")).expect(200);
    proxy.ask(&get().if_match(&format!("W/{tag}"))).expect_refusal(412, "precondition-failed");
    proxy.put("/items/1", &tag, "two").expect(204);
    proxy.ask(&get().if_match(&tag)).expect_refusal(412, "precondition-failed");
    let head = proxy.ask(&request("HEAD", "/items/1").if_match(&tag)).expect(412);
    assert_eq!(head.body, b"");
    // What is not there is 404 all the same (RFC 9110 section 13.2.1).
    proxy.ask(&request("GET", "/items/2").if_match(&tag)).expect(404);
}

#[test]
fn if_unmodified_since_on_a_read_is_judged_by_the_origins_date() {
    let (_origin, proxy) = items();
    proxy.ask(&get().field("If-Unmodified-Since", MODIFIED)).expect(200);
    proxy.ask(&get().field("If-Unmodified-Since", BEFORE)).expect_refusal(412, "precondition-failed");
    proxy.ask(&get().field("If-Unmodified-Since", "soon")).expect(200);
}

#[test]
fn each_representation_has_a_variant_of_its_own() {
    let (origin, proxy) = items();
    let answers = [
        ("text/html", "", "", "<p>"),
        ("text/plain", "", "", "one"),
        ("text/plain;charset=iso-8859-1", "", "", "one"),
        ("text/plain", "Content-Language: de\r\n", "", "eins"),
        ("text/plain", "Content-Language: fr\r\n", "", "un"),
        ("text/plain", "", "Content-Encoding: gzip\r\n", "zip"),
    ];
    let mut variants = Vec::new();
    for (media_type, language, coding, body) in answers {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n{language}{coding}");
        origin.answer_once("GET", "/items/1", format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
        variants.push(parts(&proxy.tag("/items/1")));
    }
    let versions: Vec<_> = variants.iter().map(|tag| &tag[..3]).collect();
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "one version: {variants:?}");
    let mut of_each: Vec<_> = variants.iter().map(|tag| tag[3].clone()).collect();
    of_each.sort();
    of_each.dedup();
    assert_eq!(of_each.len(), answers.len(), "{variants:?}");
}

#[test]
fn utf_8_is_what_is_meant_where_nothing_is_said() {
    let (origin, proxy) = items();
    let mut tags = Vec::new();
    for media_type in ["text/plain", "text/plain; charset=utf-8", "Text/Plain;charset=\"UTF-8\""] {
        origin.answer_once("GET", "/items/1", with_body("200 OK", media_type, "one"));
        tags.push(proxy.tag("/items/1"));
    }
    assert_eq!((&tags[0], &tags[0]), (&tags[1], &tags[2]));
}

#[test]
fn query_and_credentials_are_part_of_the_variant_and_any_of_them_may_write() {
    let (_origin, proxy) = items();
    let tags: Vec<String> = [
        get(),
        request("GET", "/items/1?fields=a"),
        get().field("Authorization", "Bearer a"),
        get().field("Authorization", "Bearer b"),
        get().field("Cookie", "session=1"),
        get().field("Cookie", "session=2"),
    ]
    .iter()
    .map(|asked| proxy.ask(asked).expect(200).tag())
    .collect();
    let mut different = tags.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), tags.len(), "{tags:?}");
    // Another user's tag does not say that this user's copy is good.
    proxy.ask(&get().field("Cookie", "session=1").if_none_match(&tags[5])).expect(200);
    let writer = put("/items/1", &tags[4], "two").field("Authorization", "Bearer c");
    proxy.ask(&writer).expect(204);
}

#[test]
fn a_part_is_stamped_like_the_whole_while_the_resource_is_at_rest() {
    let (_origin, proxy) = items();
    let whole = proxy.tag("/items/1");
    let part = proxy.ask(&get().field("Range", "bytes=1-2")).expect(206);
    assert_eq!((part.text().as_str(), part.tag()), ("ne", whole));
    assert_eq!(part.field("Content-Range"), Some("bytes 1-2/3"));
}

#[test]
fn a_part_is_not_stamped_while_a_write_is_in_flight() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "two"));
    held.arrived();
    let part = proxy.ask(&get().field("Range", "bytes=0-0")).expect(206);
    assert!(!part.has("ETag"), "{part}");
    // The whole is stamped with the old number, which the write's end makes stale.
    assert_eq!(proxy.tag("/items/1"), tag);
    held.release();
    writing.answer().expect(204);
    proxy.put("/items/1", &tag, "three").expect(412);
}

#[test]
fn if_range_with_the_current_tag_gets_the_part() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let part = proxy.ask(&get().field("Range", "bytes=0-0").field("If-Range", &tag)).expect(206);
    assert_eq!((part.text().as_str(), part.tag()), ("o", tag));
    assert!(!origin.seen_to("GET", "/items/1")[1].has("If-Range"), "{}", origin.story());
}

#[test]
fn if_range_that_is_not_current_gets_the_whole() {
    let (_origin, proxy) = items();
    let stale = proxy.tag("/items/1");
    proxy.put("/items/1", &stale, "two").expect(204);
    let current = proxy.tag("/items/1");
    let with = |tag: &str| proxy.ask(&get().field("Range", "bytes=0-0").field("If-Range", tag));
    for tag in [&stale, &format!("W/{current}"), "\"origin-2\""] {
        assert_eq!(with(tag).expect(200).text(), "two");
    }
    // Of this version, and another representation.
    let other = proxy.ask(&request("GET", "/items/1?x").field("Cookie", "a=b")).expect(200).tag();
    assert_eq!(with(&other).expect(200).text(), "two");
    with("oops").expect_refusal(400, "malformed-precondition");
    with(&current).expect(206);
}

#[test]
fn if_range_gets_the_whole_while_a_write_is_in_flight() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "two"));
    held.arrived();
    let ranged = get().field("Range", "bytes=0-0").field("If-Range", &tag);
    assert_eq!(proxy.ask(&ranged).expect(200).text(), "one");
    held.release();
    writing.answer().expect(204);
}

#[test]
fn a_part_that_a_write_overtook_is_asked_for_again_as_a_whole() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("GET", "/items/1");
    let reading = proxy.begin(&get().field("Range", "bytes=0-0").field("If-Range", &tag));
    held.arrived();
    proxy.put("/items/1", &tag, "two").expect(204);
    held.release();
    let answer: Answer = reading.answer().expect(200);
    assert_eq!(answer.text(), "two", "not one byte of another version");
}

#[test]
fn a_date_in_if_range_is_the_origins_business() {
    let (origin, proxy) = items();
    proxy.ask(&get().field("Range", "bytes=0-0").field("If-Range", MODIFIED)).expect(200);
    assert_eq!(origin.only("GET", "/items/1").field("If-Range"), Some(MODIFIED));
}

#[test]
fn a_tag_is_older_than_every_write_that_passed_during_its_read() {
    let (origin, proxy) = items();
    let before = proxy.tag("/items/1");
    let held = origin.hold("GET", "/items/1");
    let reading = proxy.begin(&get());
    held.arrived();
    proxy.put("/items/1", &before, "two").expect(204);
    held.release();
    // Whatever content it is: its number was published before the read went out.
    let tag = reading.answer().expect(200).tag();
    proxy.put("/items/1", &tag, "three").expect_refusal(412, "precondition-failed");
    assert_eq!(origin.stored("/items/1").as_deref(), Some("two"));
}

#[test]
fn a_lagging_origins_reads_get_an_older_tag_for_a_while() {
    let (_origin, proxy) = items_with("read_lag = \"1h\"");
    let first = proxy.tag("/items/1");
    proxy.put("/items/1", &first, "two").expect(204);
    let lagging = proxy.tag("/items/1");
    assert_eq!(lagging, first, "the origin may still have shown the state before");
    proxy.put("/items/1", &lagging, "three").expect(412);
}

#[test]
fn a_read_reaches_an_origin_that_closed_its_idle_connection() {
    let (origin, proxy) = items();
    for _ in 0..50 {
        proxy.get("/items/1").expect(200);
        origin.close_idle();
    }
    assert_eq!(origin.seen_to("GET", "/items/1").len(), 50, "{}", origin.story());
}

#[test]
fn a_read_whose_reused_connection_dies_is_asked_once_more() {
    let (origin, proxy) = items();
    proxy.get("/items/1").expect(200);
    origin.once("GET", "/items/1", |exchange| exchange.close());
    proxy.get("/items/1").expect(200);
    origin.always("GET", "/items/2", |exchange| exchange.close());
    let asked = origin.seen().len();
    proxy.get("/items/2").expect_refusal(502, "origin-unreachable");
    assert_eq!(origin.seen().len(), asked + 2, "twice, and not for ever\n{}", origin.story());
}

#[test]
fn a_get_with_a_body_is_a_read_and_its_body_goes_on() {
    let (origin, proxy) = items();
    proxy.ask(&get().body("query")).expect(200).tag();
    assert_eq!(origin.only("GET", "/items/1").text(), "query");
}

#[test]
fn a_read_may_be_any_method_that_the_route_names() {
    let (origin, proxy) = items_with("reads = [\"GET\", \"HEAD\", \"PROPFIND\"]");
    let answer = proxy.ask(&request("PROPFIND", "/items/1")).expect(200);
    assert!(!answer.has("ETag"), "a tag describes what GET gets\n{answer}");
    let tag = proxy.tag("/items/1");
    proxy.ask(&request("PROPFIND", "/items/1").if_none_match(&tag)).expect(200);
    assert_eq!(proxy.tag("/items/1"), tag, "a read changes nothing");
    assert_eq!(origin.seen_to("PROPFIND", "/items/1").len(), 2);
}

#[test]
fn a_collection_and_its_items_are_different_resources() {
    let (_origin, proxy): (_, Proxy) = collection();
    let tag = proxy.tag("/items/1");
    proxy.ask(&request("POST", "/items").body("new")).expect(201);
    assert_eq!(proxy.tag("/items/1"), tag);
}

/// Both reads are of one version, and yet the origin calls what it serves by another name.
#[test]
fn a_change_that_did_not_come_through_the_proxy_is_counted() {
    let (origin, proxy) = items();
    let own = |tag: &str| format!("HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: 1\r\n\r\nx");
    let read = |tag: &str| {
        origin.answer_once("GET", "/items/1", own(tag));
        proxy.get("/items/1").expect(200);
    };
    read("\"a\"");
    read("\"a\"");
    proxy.expect_metric("ifmatch_bypass_writes_total{route=\"item\"}", 0);
    read("W/\"b\"");
    proxy.expect_metric("ifmatch_bypass_writes_total{route=\"item\"}", 1);
    proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
    read("\"c\"");
    proxy.expect_metric("ifmatch_bypass_writes_total{route=\"item\"}", 1);
}

/// A version counts writes; what changes by itself was answered 304 for ever, though its origin said that
/// it was another one.
#[test]
fn what_the_origin_calls_another_state_is_not_answered_304() {
    let (origin, proxy) = items();
    let dated =
        |date: &str| format!("HTTP/1.1 200 OK\r\nLast-Modified: {date}\r\nContent-Length: 1\r\n\r\nx");
    origin.answer_once("GET", "/items/1", dated(BEFORE));
    let tag = proxy.tag("/items/1");
    let again = || get().if_none_match(&tag);
    origin.answer_once("GET", "/items/1", dated(BEFORE));
    proxy.ask(&again()).expect(304);
    origin.answer_once("GET", "/items/1", dated(MODIFIED));
    let moved = proxy.ask(&again()).expect(200).tag();
    assert_ne!(moved, tag);
    assert_eq!(parts(&moved)[..3], parts(&tag)[..3], "the version is the same one");
    origin.answer_once("GET", "/items/1", dated(MODIFIED));
    proxy.ask(&get().if_none_match(&moved)).expect(304);
}

/// The only tags on a managed route are ours, wherever they come in an answer.
#[test]
fn an_origins_tag_in_a_trailer_stays_behind() {
    for (lines, passes) in [("", false), ("mode = \"off\"", true)] {
        let (origin, proxy) = items_with(lines);
        let chunks = "3\r\nabc\r\n0\r\nETag: \"own\"\r\nX-Sum: 6\r\n\r\n";
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: ETag, X-Sum\r\n\r\n";
        for method in ["GET", "POST"] {
            origin.answer_once(method, "/items/1", format!("{head}{chunks}"));
            let asked = request(method, "/items/1").field("TE", "trailers").field("Connection", "TE");
            let answer = proxy.ask(&asked).expect(200);
            let names: Vec<_> = answer.trailers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
            let expected = if passes { vec!["etag", "x-sum"] } else { vec!["x-sum"] };
            assert_eq!(names, expected, "{answer}");
        }
    }
}
