//! `mode = "observe"`: everything goes through as it is, and what would have been refused is counted.
//! `observe_same.rs` holds it to the bytes.

use crate::given::{ITEMS, items, items_with};
use crate::harness::{Origin, Proxy, RequestText, put, request};

fn observing() -> (Origin, Proxy) {
    items_with("mode = \"observe\"\nbody_limit = \"16B\"")
}

#[track_caller]
fn expect_passed(proxy: &Proxy, asked: &RequestText, status: u16, kind: &str) {
    let series = format!("ifmatch_conflicts_total{{route=\"item\",kind=\"{kind}\",mode=\"observe\"}}");
    let before = proxy.metrics().value(&series).unwrap_or(0.0);
    proxy.ask(asked).expect(status);
    proxy.expect_metric(&series, before + 1.0);
    assert_eq!(proxy.conflicts()[0]["mode"], "observe");
}

#[test]
fn a_write_that_would_be_refused_goes_through_and_is_counted() {
    let (origin, proxy) = observing();
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "two").expect(204);
    expect_passed(&proxy, &put("/items/1", &tag, "three"), 204, "precondition-failed");
    expect_passed(&proxy, &request("PUT", "/items/1").body("four"), 204, "precondition-required");
    expect_passed(&proxy, &put("/items/1", "oops", "five"), 204, "malformed-precondition");
    expect_passed(&proxy, &request("GET", "/items/1").if_match("oops"), 200, "malformed-precondition");
    expect_passed(&proxy, &request("GET", "/items/1").if_match(&tag), 200, "precondition-failed");
    expect_passed(
        &proxy,
        &request("PUT", "/items/1").if_none_match("*").body("six"),
        204,
        "precondition-failed",
    );
    expect_passed(&proxy, &request("PUT", "/items/9").if_match("*").body("new"), 201, "precondition-failed");
    expect_passed(&proxy, &put("/items/1%5c", &tag, "x"), 201, "ambiguous-target");
    assert_eq!(origin.stored("/items/1").as_deref(), Some("six"));
    proxy.expect_metric("ifmatch_conflicts_total{mode=\"enforce\"}", 0);
    proxy.await_rest();
}

#[test]
fn a_form_that_is_too_long_to_be_judged_reaches_the_origin_whole() {
    let (origin, proxy) = observing();
    let form = || request("POST", "/items/1").field("Content-Type", "application/x-www-form-urlencoded");
    let long = "a=1&".repeat(10_000);
    expect_passed(&proxy, &form().body(&long), 201, "content-too-large");
    let chunks = "5\r\na=1&b\r\n10\r\n=2&c=3&d=4&e=5&f\r\n3\r\n=6&\r\n0\r\n\r\n";
    let chunked = form().field("Transfer-Encoding", "chunked").body(chunks);
    expect_passed(&proxy, &chunked, 201, "content-too-large");
    let bodies: Vec<String> = origin.seen_to("POST", "/items/1").iter().map(|seen| seen.text()).collect();
    assert_eq!(bodies, [long.as_str(), "a=1&b=2&c=3&d=4&e=5&f=6&"]);
}

#[test]
fn a_destination_that_cannot_be_judged_goes_through() {
    let (origin, proxy) = observing();
    let copy = |to: &str| request("COPY", "/items/1").field("Destination", to);
    for to in ["http://elsewhere.example/items/2", "/items%2F2", "/no/route"] {
        expect_passed(&proxy, &copy(to), 200, "ambiguous-target");
    }
    assert_eq!(origin.seen_to("COPY", "/items/1").len(), 3, "{}", origin.story());
}

#[test]
fn a_second_write_goes_through_beside_the_first_and_both_end() {
    let (origin, proxy) = observing();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put("/items/1", &tag, "one"));
    held.arrived();
    expect_passed(&proxy, &put("/items/1", &tag, "two"), 204, "write-in-flight");
    held.release();
    // Neither author knows what the other one left behind.
    let answer = first.answer().expect(204);
    assert!(!answer.has("ETag"), "{answer}");
    proxy.await_rest();
    assert_ne!(proxy.tag("/items/1"), tag);
}

#[test]
fn what_no_ledger_can_take_goes_through_all_the_same() {
    let origin = Origin::with_item();
    let config = ITEMS.replace("[ledger]\n", "[ledger]\nmax_resources = 1\n") + "mode = \"observe\"\n";
    let proxy = Proxy::in_front_of(&origin, &config);
    let held = origin.hold("POST", "/items/1");
    let first = proxy.begin(&request("POST", "/items/1").body("x"));
    held.arrived();
    proxy.ask(&request("POST", "/items/2").body("y")).expect(201);
    proxy.expect_metric("ifmatch_ledger_errors_total{store=\"memory\"}", 1);
    held.release();
    first.answer().expect(201);
}

const STALE: &str = "ifmatch_conflicts_total{kind=\"precondition-failed\",mode=\"observe\"}";

#[test]
fn the_origins_own_tag_of_the_current_version_is_not_counted_as_stale() {
    let (origin, proxy) = observing();
    let first = proxy.tag("/items/1");
    assert_eq!(first, "\"origin-1\"");
    proxy.put("/items/1", &first, "two").expect(204);
    let second = proxy.tag("/items/1");
    proxy.ask(&request("GET", "/items/1").if_match(&second)).expect(200);
    origin.answer_once("PUT", "/items/1", "HTTP/1.1 204 No Content\r\nETag: \"written\"\r\n\r\n");
    proxy.put("/items/1", &second, "three").expect(204);
    // The answer to a write tells its author the tag of what it left behind.
    proxy.put("/items/1", "\"written\"", "four").expect(204);
    proxy.expect_metric(STALE, 0);
    proxy.expect_metric("ifmatch_read_to_write_seconds_count{route=\"item\"}", 3);
    for of_before in [&first, &second, "\"written\""] {
        expect_passed(&proxy, &put("/items/1", of_before, "five"), 204, "precondition-failed");
        expect_passed(&proxy, &request("GET", "/items/1").if_match(of_before), 200, "precondition-failed");
    }
    // Nobody read what is there now.
    expect_passed(&proxy, &put("/items/1", "\"origin-8\"", "six"), 204, "precondition-failed");
    let ages = "ifmatch_read_to_write_seconds_count{route=\"item\"}";
    proxy.expect_metric(ages, 3);
}

#[test]
fn conditions_with_tags_of_a_time_of_enforcing_stay_behind() {
    let (origin, proxy) = items();
    let ours = proxy.tag("/items/1");
    let route = "path = \"/items/{id}\"\n";
    proxy.reload(&proxy.config().replace(route, &format!("{route}mode = \"observe\"\n")));
    let before = origin.seen_count();
    // Another policy names other resources: what was read under the former one is not judged by.
    expect_passed(&proxy, &put("/items/1", &ours, "two"), 204, "precondition-failed");
    let both = format!("{ours}, \"theirs\"");
    expect_passed(&proxy, &put("/items/1", &both, "three"), 204, "precondition-failed");
    let weakened = format!("W/{ours}");
    assert_eq!(proxy.ask(&request("GET", "/items/1").if_none_match(&weakened)).expect(200).text(), "three");
    let part = |of: &str| request("GET", "/items/1").field("Range", "bytes=0-1").field("If-Range", of);
    assert_eq!(proxy.ask(&part(&ours)).expect(200).text(), "three", "never a part of something newer");
    proxy.ask(&part("\"theirs\"")).expect(200);
    proxy.ask(&request("OPTIONS", "/items/1").if_match(&ours)).expect(204);
    let stated = |name: &str| -> Vec<_> {
        origin.seen_since(before).iter().map(|seen| seen.field(name).map(str::to_owned)).collect()
    };
    let (none, theirs) = (None, Some("\"theirs\"".to_owned()));
    assert_eq!(
        stated("If-Match"),
        [none.clone(), Some(both), none.clone(), none.clone(), none.clone(), none.clone()]
    );
    assert_eq!(stated("If-None-Match"), [const { None::<String> }; 6]);
    assert_eq!(stated("If-Range"), [none.clone(), none.clone(), none.clone(), none.clone(), theirs, none]);
    let parts: Vec<bool> = origin.seen_since(before).iter().map(|seen| seen.has("Range")).collect();
    assert_eq!(parts, [false, false, false, false, true, false]);
}

#[test]
fn an_upgrade_passes() {
    let (origin, proxy) = observing();
    origin.once("GET", "/items/1", |exchange| {
        exchange
            .write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")?;
        let ping = exchange.read_some(4)?;
        exchange.write(ping)?;
        exchange.close()
    });
    let mut client = proxy.connect();
    let asked = request("GET", "/items/1").field("Connection", "upgrade").field("Upgrade", "websocket");
    client.ask(&asked).expect(101);
    assert_eq!(client.send("ping").bytes(4), b"ping");
}

#[test]
fn a_write_passes_whose_resource_the_origin_does_not_show() {
    let (origin, proxy) = observing();
    for method in ["HEAD", "GET"] {
        origin.always(method, "/items/1", |exchange| exchange.close());
    }
    proxy.ask(&request("PUT", "/items/1").if_match("*").body("two")).expect(204);
    assert_eq!(origin.stored("/items/1").as_deref(), Some("two"));
    proxy.expect_metric("ifmatch_conflicts_total", 0);
    proxy.await_rest();
}

#[test]
fn a_form_that_states_a_method_behind_its_beginning_passes_whole() {
    let (origin, proxy) = observing();
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let form = part("file", &"x".repeat(100_000)) + &part("_method", "DELETE") + "--b--\r\n";
    let kind = "multipart/form-data; boundary=b";
    proxy.ask(&request("POST", "/items/1").field("Content-Type", kind).body(&form)).expect(201);
    assert_eq!(origin.only("POST", "/items/1").text(), form);
}

#[test]
fn nothing_is_read_back_where_no_tag_goes_out() {
    let origin = Origin::with_item();
    let lines = "mode = \"observe\"\netag_on_put = \"verified\"\n";
    let proxy = Proxy::in_front_of(&origin, &format!("{ITEMS}{lines}"));
    proxy.ask(&request("PUT", "/items/1").body("two")).expect(204);
    assert_eq!(origin.seen_count(), 1, "{}", origin.story());
}

#[test]
fn what_clients_read_is_known_where_nothing_tells_them() {
    let infers =
        "mode = \"observe\"\nunconditional = \"infer\"\nprincipal = { header = \"Authorization\" }\n";
    let (origin, proxy) = items_with(infers);
    let by = |who: &str, method: &str| request(method, "/items/1").field("Authorization", who);
    for who in ["ann", "bob"] {
        assert!(!proxy.ask(&by(who, "GET")).expect(200).has("Cache-Control"));
    }
    proxy.ask(&by("ann", "PUT").body("two")).expect(204);
    expect_passed(&proxy, &by("bob", "PUT").body("three"), 204, "stale-view");
    expect_passed(&proxy, &by("eve", "PUT").body("four"), 204, "precondition-required");
    // The origin's own 304 to a tag shows as much as its content.
    origin.answer_once("GET", "/items/1", "HTTP/1.1 304 Not Modified\r\nETag: \"origin-4\"\r\n\r\n");
    proxy.ask(&by("bob", "GET").if_none_match("\"origin-4\"")).expect(304);
    proxy.ask(&by("bob", "PUT").body("five")).expect(204);
    proxy.expect_metric("ifmatch_conflicts_total{mode=\"observe\"}", 2);
}
