//! What campaigns against software that nobody here wrote have found, told without that software.

use crate::harness::{Origin, Proxy, request};

const BESIDE_OFF: &str = r#"
[[routes]]
name = "item"
path = "/items/{id}"
resource = "item:{id}"
upstream = "origin"

[[routes]]
name = "rest"
path = "/{*rest}"
upstream = "origin"
mode = "off"
"#;

/// Flask, nginx and file servers read `/%2Fitems/1` as `/items/1`. To us it is one segment, which leads to
/// the unguarded route beside the guarded one, and so a blind write got by.
#[test]
fn an_ambiguous_path_does_not_get_by_over_an_unguarded_route() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, BESIDE_OFF);
    for target in [
        "/%2Fitems/1",
        "/x%2F..%2Fitems/1",
        "/items/x/..%2f1",
        "/items/1/..%2f1",
        "/items/..%2fitems/1",
        "/items/x%5c..%5c1",
        "/x\\..\\items\\1",
        "/%252Fitems/1",
        "/x/%252e%252e/items/1",
        "/items%252f1",
        "/%09/items/1",
        "/items/1%00/x",
        "/items%c0%af1",
    ] {
        proxy.ask(&request("PUT", target).body("blind")).expect_refusal(400, "ambiguous-target");
    }
    assert_eq!(origin.seen().len(), 0, "{}", origin.story());
}

#[test]
fn an_ambiguous_path_that_leads_nowhere_guarded_passes_an_unguarded_route() {
    let origin = Origin::start();
    let proxy = Proxy::in_front_of(&origin, BESIDE_OFF);
    for target in ["/projects/group%2Fname", "/other%5Cname", "/100%25", "/a%2Fitems/1/more"] {
        proxy.ask(&request("PUT", target).body("x")).expect(201);
        assert_eq!(origin.seen().last().map(|seen| seen.target.clone()).as_deref(), Some(target));
    }
}

/// IIS and several frameworks take the target from these fields. Beside a guarded route they would reach
/// it over any other one.
#[test]
fn a_field_that_names_another_target_does_not_get_by_over_an_unguarded_route() {
    let origin = Origin::start();
    let proxy = Proxy::in_front_of(&origin, BESIDE_OFF);
    for field in ["X-Original-URL", "X-Rewrite-URL"] {
        proxy.ask(&request("PUT", "/other/1").field(field, "/items/1").body("x"));
    }
    for seen in origin.seen() {
        assert!(seen.field("X-Original-URL").or(seen.field("X-Rewrite-URL")).is_none(), "{}", origin.story());
    }
    assert_eq!(origin.seen().len(), 2);
}

/// FastAPI takes all of these for `/items/1`. With a slot of its own for each, whoever read one spelling
/// wrote over what had come in by another.
#[test]
fn every_spelling_of_a_whole_number_is_one_resource() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, BESIDE_OFF);
    for spelling in
        ["/items/+1", "/items/%2B1", "/items/1.0", "/items/0_1", "/items/1e0", "/items/0x1", "/items/1%C2%85"]
    {
        origin.store(spelling, "one");
        let tag = proxy.tag(spelling);
        proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
        proxy.put(spelling, &tag, "stale").expect_refusal(412, "precondition-failed");
    }
}

/// Python's http.server leaves the body of a GET unread and takes it for the next request of the
/// connection: a write in it would be one that nobody judged.
#[test]
fn an_origin_is_asked_to_close_after_a_body_that_it_may_leave_unread() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, BESIDE_OFF);
    let hidden = "PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nevil";
    for target in ["/items/1", "/other"] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            proxy.ask(&request(method, target).body(hidden));
            assert_eq!(origin.seen().last().and_then(|s| s.field("Connection")), Some("close"), "{method}");
        }
    }
    assert_eq!(origin.connections(), origin.seen().len(), "none of them is used again");
    proxy.get("/items/1").expect(200);
    assert_eq!(origin.seen().last().and_then(|s| s.field("Connection")), None);
}

/// Found with a WebDAV client that saves twice. A write on such a route publishes two numbers, one for its
/// resource and one for all of them; its answer carried the first, which the second had overtaken.
#[test]
fn the_tag_of_a_write_that_changes_everything_is_good_for_the_next_one() {
    let origin = Origin::with_item();
    let config =
        "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\nupstream = \"origin\"\nalso_changes = [\"*\"]\n";
    let proxy = Proxy::in_front_of(&origin, config);
    let put = proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
    let again = proxy.put("/items/1", &put.tag(), "three").expect(204);
    assert_ne!(put.tag(), again.tag());
    proxy.put("/items/1", &put.tag(), "stale").expect_refusal(412, "precondition-failed");
}

/// litmus calls it unsafe: a DELETE of a folder with a fragment behind it deleted the folder, because the
/// fragment was cut off on the way to an origin that would have refused it.
#[test]
fn a_target_with_a_fragment_is_refused_on_every_route() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, BESIDE_OFF);
    let mut client = proxy.connect();
    for _ in 0..2 {
        for target in ["/items/1#a", "/other/#a", "/items/1?b#a"] {
            client.ask(&request("DELETE", target)).expect_refusal(400, "ambiguous-target");
        }
        client.ask(&request("GET", "/items/1").body("GET /items/1#a HTTP/1.1\r\n")).expect(200);
    }
    assert_eq!(origin.seen().len(), 2, "{}", origin.story());
}

/// `gzip, chunked` is chunked to who looks at the last coding alone, and forgets the gzip: the origin stored what was compressed as if
/// it were the content.
#[test]
fn a_transfer_coding_that_would_be_lost_on_the_way_is_refused() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, BESIDE_OFF);
    for target in ["/items/1", "/other/1"] {
        let coded = request("POST", target).field("Transfer-Encoding", "gzip, chunked");
        proxy.ask(&coded.body("1\r\nx\r\n0\r\n\r\n")).expect_refusal(400, "ambiguous-target");
    }
    assert!(origin.seen().is_empty(), "{}", origin.story());
    let plain = request("POST", "/items/1").field("Transfer-Encoding", "Chunked");
    proxy.ask(&plain.body("1\r\nx\r\n0\r\n\r\n")).expect(201);
}
