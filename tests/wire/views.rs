//! `unconditional = "infer"`: clients that never send a precondition are judged by what they last read.

use crate::given::ITEMS;
use crate::harness::{Answer, Client, HANG, Origin, Proxy, RequestText, empty, put, request};

const BY_AUTHORIZATION: &str = "unconditional = \"infer\"\nprincipal = { header = \"Authorization\" }";
const BY_COOKIE: &str = "unconditional = \"infer\"\nview_in = \"cookie\"";

fn inferring(lines: &str) -> (Origin, Proxy) {
    inferring_by(&format!("{BY_AUTHORIZATION}\n{lines}"), "")
}

/// With these lines in the route, and these in `[ledger]`.
fn inferring_by(lines: &str, ledger: &str) -> (Origin, Proxy) {
    let origin = Origin::with_item();
    let config = ITEMS.replace("[ledger]\n", &format!("[ledger]\n{ledger}\n"));
    let proxy = Proxy::in_front_of(&origin, &format!("{config}{lines}\n"));
    (origin, proxy)
}

/// A request of somebody, who never heard of preconditions.
fn of(who: &str, method: &str, target: &str) -> RequestText {
    request(method, target).field("Authorization", who)
}

fn write(who: &str, target: &str, body: &str) -> RequestText {
    of(who, "PUT", target).body(body)
}

fn read(proxy: &Proxy, who: &str, target: &str) -> Answer {
    proxy.ask(&of(who, "GET", target)).expect(200)
}

#[track_caller]
fn expect_unknown(proxy: &Proxy, asked: &RequestText) {
    let refused = proxy.ask(asked).expect_refusal(428, "precondition-required");
    assert!(
        refused.json()["detail"].as_str().is_some_and(|text| text.contains("Read it first")),
        "{refused}"
    );
}

#[test]
fn of_two_clients_that_read_the_same_the_first_one_writes_and_the_second_hears_409() {
    let (origin, proxy) = inferring("");
    read(&proxy, "ann", "/items/1");
    read(&proxy, "bob", "/items/1");
    proxy.ask(&write("ann", "/items/1", "of ann")).expect(204);
    let refused = proxy.ask(&write("bob", "/items/1", "of bob")).expect_refusal(409, "stale-view");
    assert!(!refused.has("Retry-After") && !refused.has("ETag"), "{refused}");
    proxy.ask(&of("bob", "DELETE", "/items/1")).expect_refusal(409, "stale-view");
    assert_eq!(origin.stored("/items/1").as_deref(), Some("of ann"));
    assert_eq!(read(&proxy, "bob", "/items/1").text(), "of ann");
    proxy.ask(&write("bob", "/items/1", "of both")).expect(204);
    proxy.expect_metric("ifmatch_conflicts_total{kind=\"stale-view\",mode=\"enforce\"}", 2);
    assert_eq!(proxy.conflicts()[0]["kind"], "stale-view");
    assert!(origin.seen().iter().all(|seen| !seen.has("If-Match")), "{}", origin.story());
}

#[test]
fn stale_status_is_for_stated_preconditions_alone() {
    let (_origin, proxy) = inferring("stale_status = 422");
    let tag = read(&proxy, "ann", "/items/1").tag();
    read(&proxy, "bob", "/items/1");
    proxy.ask(&write("ann", "/items/1", "x")).expect(204);
    proxy.ask(&write("bob", "/items/1", "y")).expect_refusal(409, "stale-view");
    proxy.ask(&write("bob", "/items/1", "y").if_match(&tag)).expect_refusal(422, "precondition-failed");
}

#[test]
fn a_stated_precondition_is_judged_as_ever_and_its_write_is_the_view_after_it() {
    let (_origin, proxy) = inferring("");
    let tag = read(&proxy, "ann", "/items/1").tag();
    let newer = proxy.ask(&write("bob", "/items/1", "x").if_match(&tag)).expect(204).tag();
    proxy.ask(&write("bob", "/items/1", "y")).expect(204);
    proxy.ask(&write("ann", "/items/1", "z").if_match(&newer)).expect_refusal(412, "precondition-failed");
}

#[test]
fn a_second_write_needs_no_other_read() {
    let (_origin, proxy) = inferring("");
    read(&proxy, "ann", "/items/1");
    for body in ["one", "two", "three"] {
        proxy.ask(&write("ann", "/items/1", body)).expect(204);
    }
    proxy.ask(&of("ann", "DELETE", "/items/1")).expect(204);
    proxy.ask(&write("ann", "/items/1", "again")).expect(201);
}

#[test]
fn a_write_after_which_its_author_does_not_know_the_content_asks_for_another_read() {
    let (_origin, proxy) = inferring("etag_on_put = \"never\"");
    read(&proxy, "ann", "/items/1");
    proxy.ask(&write("ann", "/items/1", "one")).expect(204);
    expect_unknown(&proxy, &write("ann", "/items/1", "two"));

    let (origin, proxy) = inferring("");
    read(&proxy, "ann", "/items/1");
    proxy.ask(&of("ann", "POST", "/items/1").body("x")).expect(201);
    expect_unknown(&proxy, &write("ann", "/items/1", "two"));
    read(&proxy, "ann", "/items/1");
    origin.answer_once("PUT", "/items/1", empty("500 Oops", &[]));
    proxy.ask(&write("ann", "/items/1", "two")).expect(500);
    expect_unknown(&proxy, &write("ann", "/items/1", "two"));
}

#[test]
fn a_write_that_came_to_nothing_leaves_the_view() {
    let (origin, proxy) = inferring("");
    read(&proxy, "ann", "/items/1");
    origin.answer_once("PUT", "/items/1", empty("403 No", &[]));
    proxy.ask(&write("ann", "/items/1", "two")).expect(403);
    proxy.ask(&write("ann", "/items/1", "two")).expect(204);
}

#[test]
fn a_write_of_unknown_outcome_asks_for_another_read_and_is_not_to_be_sent_again() {
    let (origin, proxy) = inferring("");
    read(&proxy, "ann", "/items/1");
    origin.once("PUT", "/items/1", |exchange| exchange.close());
    let lost = proxy.ask(&write("ann", "/items/1", "two")).expect_refusal(502, "outcome-unknown");
    assert!(!lost.has("Retry-After"), "{lost}");
    proxy.await_rest();
    expect_unknown(&proxy, &write("ann", "/items/1", "two"));
}

/// The client leaves while the origin holds the write, so it never hears what became of it (I3).
#[test]
fn a_write_whose_answer_nobody_heard_leaves_no_view() {
    for leave in [Client::leave as fn(Client), Client::reset] {
        let (origin, proxy) = inferring("");
        read(&proxy, "ann", "/items/1");
        let held = origin.hold("PUT", "/items/1");
        let writing = proxy.begin(&write("ann", "/items/1", "two"));
        held.arrived();
        leave(writing.client());
        proxy.await_metric("ifmatch_client_connections", 0);
        held.release();
        proxy.await_metric("ifmatch_writes_settled_total{outcome=\"applied\"}", 1);
        expect_unknown(&proxy, &write("ann", "/items/1", "three"));
        proxy.expect_metric("ifmatch_views", 0);
    }
}

/// Far more than sockets and buffers on the way hold.
const LARGE: usize = 64 << 20;

#[test]
fn a_read_that_its_client_breaks_off_leaves_the_view_as_it_was() {
    for leave in [Client::leave as fn(Client), Client::reset] {
        let (origin, proxy) = inferring("");
        origin.store("/items/1", &"x".repeat(LARGE));
        let mut client = proxy.connect();
        client.small_buffers();
        client.request(&of("ann", "GET", "/items/1"));
        assert!(client.bytes(1000).starts_with(b"HTTP/1.1 200"));
        leave(client);
        proxy.await_metric("ifmatch_client_connections", 0);
        expect_unknown(&proxy, &write("ann", "/items/1", "two"));
        proxy.expect_metric("ifmatch_views", 0);

        // What was known before is still known, and no newer.
        origin.store("/items/1", "small");
        let tag = read(&proxy, "ann", "/items/1").tag();
        proxy.ask(&write("bob", "/items/1", "of bob").if_match(&tag)).expect(204);
        origin.store("/items/1", &"y".repeat(LARGE));
        let mut client = proxy.connect();
        client.small_buffers();
        client.request(&of("ann", "GET", "/items/1"));
        client.bytes(1000);
        leave(client);
        proxy.await_metric("ifmatch_client_connections", 0);
        proxy.ask(&write("ann", "/items/1", "two")).expect_refusal(409, "stale-view");
    }
}

#[test]
fn a_large_answer_that_is_read_to_its_end_is_a_view_however_it_is_framed() {
    let (origin, proxy) = inferring("");
    let body = "x".repeat(3_000_000);
    origin.store("/items/1", &body);
    assert_eq!(read(&proxy, "ann", "/items/1").body.len(), body.len());
    proxy.ask(&write("ann", "/items/1", "two")).expect(204);
    for ends in ["0\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n"] {
        let chunks =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n{ends}");
        origin.answer_once("GET", "/items/1", chunks);
        assert_eq!(read(&proxy, "bob", "/items/1").text(), "abcdef");
        proxy.ask(&write("bob", "/items/1", "three")).expect(204);
    }
}

#[test]
fn an_answer_that_the_origin_breaks_off_is_no_view() {
    let (origin, proxy) = inferring("");
    origin.once("GET", "/items/1", |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")?;
        exchange.close()
    });
    let mut client = proxy.connect();
    client.request(&of("ann", "GET", "/items/1"));
    assert!(!client.try_answer().expect("a head").complete);
    expect_unknown(&proxy, &write("ann", "/items/1", "two"));
}

/// The version is that of before the read, whatever its content is (R3).
#[test]
fn a_read_beside_a_write_shows_what_was_there_before_it() {
    let (origin, proxy) = inferring("");
    read(&proxy, "ann", "/items/1");
    let held = origin.hold("GET", "/items/1");
    let reading = proxy.begin(&of("bob", "GET", "/items/1"));
    held.arrived();
    proxy.ask(&write("ann", "/items/1", "of ann")).expect(204);
    held.release();
    assert_eq!(reading.answer().expect(200).text(), "of ann");
    proxy.ask(&write("bob", "/items/1", "of bob")).expect_refusal(409, "stale-view");
}

#[test]
fn only_a_whole_200_to_get_is_a_view() {
    let (origin, proxy) = inferring("");
    proxy.ask(&of("ann", "HEAD", "/items/1")).expect(200);
    expect_unknown(&proxy, &write("ann", "/items/1", "x"));
    proxy.ask(&of("ann", "GET", "/items/1").field("Range", "bytes=0-1")).expect(206);
    expect_unknown(&proxy, &write("ann", "/items/1", "x"));
    proxy.ask(&of("ann", "GET", "/items/2")).expect(404);
    expect_unknown(&proxy, &write("ann", "/items/2", "x"));
    origin.answer_once("GET", "/items/1", "HTTP/1.1 203 Other\r\nContent-Length: 1\r\n\r\nx");
    proxy.ask(&of("ann", "GET", "/items/1")).expect(203);
    expect_unknown(&proxy, &write("ann", "/items/1", "x"));
    proxy.expect_metric("ifmatch_views", 0);
}

/// A browser that revalidates holds what the tag names, and so the view is that version.
#[test]
fn our_own_304_is_a_view() {
    let (_origin, proxy) = inferring("");
    let tag = read(&proxy, "ann", "/items/1").tag();
    let cached = |who| of(who, "GET", "/items/1").if_none_match(&tag);
    proxy.ask(&cached("ann")).expect(304);
    proxy.ask(&write("ann", "/items/1", "x")).expect(204);
    // By its date alone nobody can tell which version a client holds.
    let dated = of("bob", "GET", "/items/1").field("If-Modified-Since", "Mon, 05 Jan 2026 10:00:00 GMT");
    proxy.ask(&dated).expect(304);
    expect_unknown(&proxy, &write("bob", "/items/1", "x"));
    let tag = read(&proxy, "bob", "/items/1").tag();
    proxy.ask(&of("bob", "POST", "/items/1").body("x")).expect(201);
    expect_unknown(&proxy, &write("bob", "/items/1", "x"));
    let answer = proxy.ask(&of("bob", "GET", "/items/1").if_none_match(&tag));
    assert_eq!(answer.status, 200, "{answer}");
}

#[test]
fn a_304_alone_gives_a_view_to_who_had_none() {
    let (origin, proxy) = inferring_by(BY_AUTHORIZATION, "max_views = 2");
    let tag = read(&proxy, "ann", "/items/1").tag();
    for n in 2..5 {
        origin.store(&format!("/items/{n}"), "x");
        read(&proxy, "ann", &format!("/items/{n}"));
    }
    expect_unknown(&proxy, &write("ann", "/items/1", "x"));
    proxy.ask(&of("ann", "GET", "/items/1").if_none_match(&tag)).expect(304);
    proxy.ask(&write("ann", "/items/1", "x")).expect(204);
}

#[test]
fn what_is_not_known_goes_as_the_route_says() {
    for (when, first, second) in [("require", 428, 428), ("overlap", 204, 409), ("allow", 204, 204)] {
        let (origin, proxy) = inferring(&format!("when_unknown = \"{when}\""));
        proxy.ask(&write("ann", "/items/1", "blind")).expect(first);
        let (origin, proxy) = if when == "require" {
            (origin, proxy)
        } else {
            inferring(&format!("when_unknown = \"{when}\""))
        };
        if when == "require" {
            continue;
        }
        let held = origin.hold("PUT", "/items/1");
        let writing = proxy.begin(&write("ann", "/items/1", "blind"));
        held.arrived();
        proxy.ask(&write("bob", "/items/1", "blind too")).expect(second);
        held.release();
        writing.answer().expect(204);
        // What is known is judged all the same.
        read(&proxy, "cid", "/items/1");
        read(&proxy, "dan", "/items/1");
        proxy.ask(&write("cid", "/items/1", "seen")).expect(204);
        proxy.ask(&write("dan", "/items/1", "stale")).expect_refusal(409, "stale-view");
    }
}

#[test]
fn missing_status_maps_what_is_not_known() {
    let (_origin, proxy) = inferring("missing_status = 403");
    proxy.ask(&write("ann", "/items/1", "x")).expect_refusal(403, "precondition-required");
}

#[test]
fn a_request_without_its_principal_is_nobody() {
    let (_origin, proxy) = inferring("");
    proxy.get("/items/1").expect(200);
    expect_unknown(&proxy, &request("PUT", "/items/1").body("x"));
    read(&proxy, "", "/items/1");
    expect_unknown(&proxy, &write("", "/items/1", "x"));
    proxy.expect_metric("ifmatch_views", 0);
}

#[test]
fn a_session_cookie_tells_clients_apart_too() {
    let (_origin, proxy) = inferring_by("unconditional = \"infer\"\nprincipal = { cookie = \"sid\" }", "");
    let with = |method: &str, cookies: &str| request(method, "/items/1").field("Cookie", cookies);
    proxy.ask(&with("GET", "lang=de; sid=1")).expect(200);
    proxy.ask(&with("GET", "sid=2")).expect(200);
    proxy.ask(&with("PUT", "sid=1; lang=en").body("x")).expect(204);
    proxy.ask(&with("PUT", "sid=2").body("x")).expect_refusal(409, "stale-view");
    expect_unknown(&proxy, &with("PUT", "lang=de").body("x"));
}

#[test]
fn another_spelling_of_the_resource_is_an_unknown_view() {
    let (origin, proxy) = inferring("");
    origin.store("/Items/1", "another one, perhaps");
    read(&proxy, "ann", "/Items/1");
    expect_unknown(&proxy, &write("ann", "/items/1", "x"));
    read(&proxy, "ann", "/items/1");
    for other in ["/items/01", "/items/1/", "/items/%31", "//items/1", "/ITEMS/1"] {
        expect_unknown(&proxy, &write("ann", other, "x"));
    }
    // They are one resource: what is written under one name is stale under the other.
    proxy.ask(&write("ann", "/items/1", "x")).expect(204);
    proxy.ask(&write("ann", "/Items/1", "x")).expect_refusal(409, "stale-view");
}

#[test]
fn calls_that_name_one_resource_in_one_spelling_share_a_view() {
    let origin = Origin::start();
    origin.store("/api", "{\"id\":5}");
    origin.answer_always("POST", "/updateOrder", empty("200 OK", &[]));
    let routes = format!(
        "[[routes]]\nname = \"update\"\npath = \"/updateOrder\"\nupstream = \"origin\"\nguard = [\"POST\"]\n\
         resource = \"order:{{body./orderId}}\"\n{BY_AUTHORIZATION}\n\
         [[routes]]\nname = \"api\"\npath = \"/api\"\nupstream = \"origin\"\n\
         resource = \"order:{{query.id}}\"\n{BY_AUTHORIZATION}\n"
    );
    let proxy = Proxy::in_front_of(&origin, &routes);
    let update =
        |who, body| of(who, "POST", "/updateOrder").field("Content-Type", "application/json").body(body);
    read(&proxy, "ann", "/api?action=show&id=5");
    read(&proxy, "bob", "/api?id=5&x=1");
    expect_unknown(&proxy, &update("ann", "{\"orderId\":6}"));
    expect_unknown(&proxy, &update("ann", "{\"orderId\":\"05\"}"));
    proxy.ask(&update("ann", "{\"orderId\":5}")).expect(200);
    proxy.ask(&update("bob", "{\"orderId\":\"5\"}")).expect_refusal(409, "stale-view");
}

#[test]
fn two_tabs_share_a_view_unless_something_tells_them_apart() {
    let (_origin, proxy) = inferring("");
    let tab = |method: &str, tab: &str| of("ann", method, "/items/1").field("X-Tab", tab);
    let write = |proxy: &Proxy, of: &str| proxy.ask(&tab("PUT", of).body("x"));
    // The first tab's form is older than what the second one has shown meanwhile: U9.
    proxy.ask(&tab("GET", "1")).expect(200);
    proxy.ask(&tab("POST", "2").body("x")).expect(201);
    proxy.ask(&tab("GET", "2")).expect(200);
    write(&proxy, "1").expect(204);

    for per in ["view_per = { header = \"X-Tab\" }", "view_per = { query = \"tab\" }"] {
        let (_origin, proxy) = inferring(per);
        let tab =
            |method: &str, tab: &str| of("ann", method, &format!("/items/1?tab={tab}")).field("X-Tab", tab);
        proxy.ask(&tab("GET", "1")).expect(200);
        proxy.ask(&tab("POST", "2").body("x")).expect(201);
        proxy.ask(&tab("GET", "2")).expect(200);
        proxy.ask(&tab("PUT", "1").body("x")).expect_refusal(409, "stale-view");
        proxy.ask(&tab("PUT", "2").body("x")).expect(204);
        // Who does not say which tab it is has no view.
        read(&proxy, "ann", "/items/1");
        expect_unknown(&proxy, &of("ann", "PUT", "/items/1").body("x"));
    }
}

#[test]
fn no_more_views_are_kept_than_there_is_room_for() {
    let (origin, proxy) = inferring_by(BY_AUTHORIZATION, "max_views = 2");
    for n in 1..=3 {
        origin.store(&format!("/items/{n}"), "x");
        read(&proxy, "ann", &format!("/items/{n}"));
        // A view is kept once its answer is written out, which its reader can be ahead of: so far that the next one
        // would be kept first, and be the oldest.
        proxy.await_metric("ifmatch_views", n.min(2));
    }
    proxy.await_metric("ifmatch_view_evictions_total", 1);
    proxy.expect_metric("ifmatch_views", 2);
    expect_unknown(&proxy, &write("ann", "/items/1", "y"));
    proxy.ask(&write("ann", "/items/3", "y")).expect(204);
}

#[test]
fn a_view_is_good_for_its_lifetime() {
    let (origin, proxy) = inferring_by(BY_AUTHORIZATION, "view_lifetime = \"200ms\"");
    // A refusal by the origin leaves the view as it is.
    origin.answer_always("PUT", "/items/1", empty("403 No", &[]));
    read(&proxy, "ann", "/items/1");
    let began = std::time::Instant::now();
    let over = loop {
        let answer = proxy.ask(&write("ann", "/items/1", "y"));
        if answer.status != 403 {
            break answer;
        }
        assert!(began.elapsed() < HANG, "it never ends");
    };
    over.expect_refusal(428, "precondition-required");
}

#[test]
fn caches_are_told_to_keep_out_of_it() {
    let (origin, proxy) = inferring("");
    let said = |answer: &Answer| answer.field("Cache-Control").map(str::to_owned);
    let tag = read(&proxy, "ann", "/items/1").tag();
    let answer_with = |line: &str| {
        origin.answer_once("GET", "/items/1", format!("HTTP/1.1 200 OK\r\n{line}Content-Length: 1\r\n\r\nx"));
        read(&proxy, "ann", "/items/1")
    };
    assert_eq!(said(&answer_with("")).as_deref(), Some("private, no-cache"));
    assert_eq!(
        said(&answer_with("Cache-Control: public, max-age=600\r\n")).as_deref(),
        Some("private, no-cache")
    );
    let stored_nowhere = answer_with("Cache-Control: max-age=0\r\nCache-Control: No-Store\r\n");
    assert_eq!(said(&stored_nowhere).as_deref(), Some("private, no-cache, no-store"));
    let for_some = answer_with("CDN-Cache-Control: max-age=60\r\nSurrogate-Control: max-age=60\r\n");
    assert!(!for_some.has("CDN-Cache-Control") && !for_some.has("Surrogate-Control"), "{for_some}");
    let unchanged = proxy.ask(&of("ann", "GET", "/items/1").if_none_match(&tag)).expect(304);
    assert_eq!(said(&unchanged).as_deref(), Some("private, no-cache"));
    let missing = proxy.ask(&of("ann", "GET", "/items/9")).expect(404);
    assert_eq!(said(&missing).as_deref(), Some("private, no-cache"));
}

#[test]
fn observe_counts_and_changes_no_byte() {
    let (origin, proxy) = inferring("mode = \"observe\"");
    origin.answer_always(
        "GET",
        "/items/1",
        "HTTP/1.1 200 OK\r\nCache-Control: public\r\nContent-Length: 1\r\n\r\nx",
    );
    for who in ["ann", "bob"] {
        assert_eq!(read(&proxy, who, "/items/1").field("Cache-Control"), Some("public"));
    }
    proxy.ask(&write("ann", "/items/1", "x")).expect(204);
    proxy.ask(&write("bob", "/items/1", "y")).expect(204);
    proxy.ask(&write("cid", "/items/1", "z")).expect(204);
    assert_eq!(origin.stored("/items/1").as_deref(), Some("z"));
    proxy.expect_metric("ifmatch_conflicts_total{kind=\"stale-view\",mode=\"observe\"}", 1);
    proxy.expect_metric("ifmatch_conflicts_total{kind=\"precondition-required\",mode=\"observe\"}", 1);
    proxy.expect_metric("ifmatch_conflicts_total{mode=\"enforce\"}", 0);
}

/// The pair of our cookie in an answer, as a browser sends it back.
#[track_caller]
fn cookie(answer: &Answer) -> String {
    let lines = answer.fields_named("Set-Cookie");
    let ours: Vec<_> = lines.iter().filter(|line| line.starts_with("ifmatch-view=")).collect();
    assert_eq!(ours.len(), 1, "{answer}");
    ours[0].split(';').next().expect("a pair").to_owned()
}

fn holding(method: &str, target: &str, cookies: &str) -> RequestText {
    request(method, target).field("Cookie", cookies)
}

#[test]
fn a_browser_can_keep_its_views_itself() {
    let (origin, proxy) = inferring_by(BY_COOKIE, "");
    let read = proxy.get("/items/1").expect(200);
    let line = read.fields_named("Set-Cookie")[0].to_owned();
    assert!(line.contains("; Path=/items/1; Max-Age=28800; HttpOnly; SameSite=Strict"), "{line}");
    let (mine, other) = (cookie(&read), cookie(&proxy.get("/items/1").expect(200)));
    let written =
        proxy.ask(&holding("PUT", "/items/1", &format!("sid=1; {mine}; a=b")).body("x")).expect(204);
    assert_eq!(origin.only("PUT", "/items/1").field("Cookie"), Some("sid=1; a=b"));
    proxy.ask(&holding("PUT", "/items/1", &other).body("y")).expect_refusal(409, "stale-view");
    proxy.ask(&holding("PUT", "/items/1", &cookie(&written)).body("z")).expect(204);
    assert!(!origin.seen_to("PUT", "/items/1")[1].has("Cookie"), "{}", origin.story());
    proxy.expect_metric("ifmatch_views", 0);
}

#[test]
fn a_cookie_is_no_part_of_the_tag_and_a_304_renews_it() {
    let (_origin, proxy) = inferring_by(BY_COOKIE, "");
    let read = proxy.get("/items/1").expect(200);
    let again = holding("GET", "/items/1", &cookie(&read)).if_none_match(&read.tag());
    let unchanged = proxy.ask(&again).expect(304);
    proxy.ask(&holding("PUT", "/items/1", &cookie(&unchanged)).body("x")).expect(204);
}

#[test]
fn a_cookie_of_another_resource_spelling_or_life_is_an_unknown_view() {
    let (origin, proxy) = inferring_by(BY_COOKIE, "");
    origin.store("/items/2", "two");
    origin.store("/Items/1", "perhaps another");
    let of = |target: &str| cookie(&proxy.get(target).expect(200));
    let (one, two, spelled) = (of("/items/1"), of("/items/2"), of("/Items/1"));
    let other_life = {
        let digit = if one.as_bytes()["ifmatch-view=".len()] == b'0' { "1" } else { "0" };
        format!("ifmatch-view={digit}{}", &one["ifmatch-view=".len() + 1..])
    };
    for foreign in
        [&*two, &*spelled, &*other_life, &one[..one.len() - 1], "ifmatch-view=", "ifmatch-view=a.b.c.d.e"]
    {
        expect_unknown(&proxy, &holding("PUT", "/items/1", foreign).body("x"));
    }
    // A browser sends those of paths above too.
    proxy.ask(&holding("PUT", "/items/1", &format!("{two}; {one}; {spelled}")).body("x")).expect(204);
}

#[test]
fn the_origins_own_cookies_stay_and_its_other_routes_never_see_ours() {
    let origin = Origin::with_item();
    let rest = "[[routes]]\nname = \"rest\"\npath = \"/{*rest}\"\nupstream = \"origin\"\nmode = \"off\"\n";
    let proxy = Proxy::in_front_of(&origin, &format!("{ITEMS}{BY_COOKIE}\n{rest}"));
    origin.answer_once(
        "GET",
        "/items/1",
        "HTTP/1.1 200 OK\r\nSet-Cookie: sid=1\r\nSet-Cookie: a=b\r\nContent-Length: 1\r\n\r\nx",
    );
    let read = proxy.get("/items/1").expect(200);
    assert_eq!(read.fields_named("Set-Cookie")[..2], ["sid=1", "a=b"]);
    origin.answer_once("GET", "/other", empty("204 No Content", &[]));
    proxy.ask(&holding("GET", "/other", &format!("{}; sid=1", cookie(&read)))).expect(204);
    assert_eq!(origin.only("GET", "/other").field("Cookie"), Some("sid=1"));
}

#[test]
fn observe_sets_no_cookie_and_passes_on_what_it_is_sent() {
    let lines = format!("{BY_COOKIE}\nprincipal = {{ header = \"Authorization\" }}\nmode = \"observe\"");
    let (origin, proxy) = inferring_by(&lines, "");
    let answer = proxy.ask(&of("ann", "GET", "/items/1").field("Cookie", "ifmatch-view=x; a=b")).expect(200);
    assert!(!answer.has("Set-Cookie"), "{answer}");
    assert_eq!(origin.only("GET", "/items/1").field("Cookie"), Some("ifmatch-view=x; a=b"));
    proxy.ask(&write("ann", "/items/1", "x")).expect(204);
    proxy.expect_metric("ifmatch_conflicts_total{mode=\"observe\"}", 0);
}

#[test]
fn a_write_that_waited_is_judged_by_what_its_author_had_read() {
    let (origin, proxy) = inferring("overlap = \"wait\"\nwait_timeout = \"1h\"");
    read(&proxy, "ann", "/items/1");
    read(&proxy, "bob", "/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&write("ann", "/items/1", "x"));
    held.arrived();
    let second = proxy.begin(&write("bob", "/items/1", "y"));
    proxy.await_metric("ifmatch_writes_waiting", 1);
    held.release();
    first.answer().expect(204);
    second.answer().expect_refusal(409, "stale-view");
}

#[test]
fn a_write_beside_another_one_is_refused_as_ever() {
    let (origin, proxy) = inferring("");
    let tag = read(&proxy, "ann", "/items/1").tag();
    read(&proxy, "bob", "/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put("/items/1", &tag, "x"));
    held.arrived();
    proxy.ask(&write("bob", "/items/1", "y")).expect_refusal(409, "write-in-flight");
    held.release();
    first.answer().expect(204);
}
