//! Writes: what they must state, what they occupy, what becomes of the version.

use crate::given::{ITEMS, collection, items, items_with};
use crate::harness::{Origin, Proxy, RequestText, empty, put, request, with_body};

const MODIFIED: &str = "Mon, 05 Jan 2026 10:00:00 GMT";
const BEFORE: &str = "Mon, 05 Jan 2026 09:59:59 GMT";

fn put_1(body: &str) -> RequestText {
    request("PUT", "/items/1").body(body)
}

#[test]
fn every_guarded_method_needs_a_precondition() {
    let (origin, proxy) = items();
    for method in ["PUT", "PATCH", "DELETE"] {
        proxy.ask(&request(method, "/items/1").body("x")).expect_refusal(428, "precondition-required");
    }
    assert!(origin.seen().is_empty(), "{}", origin.story());
}

#[test]
fn what_is_guarded_is_up_to_the_route() {
    let (_origin, proxy) = items_with("guard = [\"POST\", \"PURGE\"]");
    for method in ["POST", "PURGE"] {
        proxy.ask(&request(method, "/items/1")).expect_refusal(428, "precondition-required");
    }
    proxy.ask(&put_1("x")).expect(204);
}

#[test]
fn a_tag_is_good_for_one_write() {
    let (origin, proxy) = items();
    for (method, body) in [("PUT", "two"), ("PATCH", "+"), ("DELETE", "")] {
        let tag = proxy.tag("/items/1");
        proxy.ask(&request(method, "/items/1").if_match(&tag).body(body)).expect(204);
        proxy
            .ask(&request(method, "/items/1").if_match(&tag).body(body))
            .expect_refusal(412, "precondition-failed");
    }
    assert_eq!(origin.stored("/items/1"), None);
}

#[test]
fn no_precondition_reaches_the_origin_with_a_write() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let asked = put("/items/1", &tag, "two").if_none_match("\"x\"").field("If-Unmodified-Since", MODIFIED);
    proxy.ask(&asked.field("If-Modified-Since", MODIFIED).field("If-Range", "\"a\"")).expect(204);
    let seen = origin.only("PUT", "/items/1");
    for name in ["If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since", "If-Range"] {
        assert!(!seen.has(name), "{name} went on\n{}", origin.story());
    }
}

#[test]
fn a_tag_is_good_for_its_own_resource_only() {
    let (origin, proxy) = items();
    origin.store("/items/2", "other");
    let tag = proxy.tag("/items/1");
    proxy.put("/items/2", &tag, "x").expect_refusal(412, "precondition-failed");
}

#[test]
fn a_tag_of_another_life_of_the_proxy_is_stale() {
    let (_first_origin, first) = items();
    let (_origin, proxy) = items();
    proxy.put("/items/1", &first.tag("/items/1"), "x").expect_refusal(412, "precondition-failed");
}

#[test]
fn if_match_takes_a_list_over_several_lines() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let listed = put_1("two").if_match(&format!("\"a,b\", {tag} ,, \"c\""));
    let tag = proxy.ask(&listed).expect(204).tag();
    let tag = proxy.ask(&put_1("three").if_match("\"a\"").if_match(&tag)).expect(204).tag();
    proxy.ask(&put_1("four").if_match("\"a\"").if_match("\"b\"")).expect(412);
    proxy.ask(&put_1("four").if_match(&tag).if_match("oops")).expect(400);
}

#[test]
fn the_answer_to_a_put_carries_a_tag_that_the_next_write_may_use() {
    let (origin, proxy) = items();
    let tag = proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204).tag();
    assert_eq!(origin.seen_to("GET", "/items/1").len(), 1);
    let tag = proxy.put("/items/1", &tag, "three").expect(204).tag();
    let patched = proxy.ask(&request("PATCH", "/items/1").if_match(&tag).body("!")).expect(204).tag();
    proxy.put("/items/1", &patched, "four").expect(204);
}

/// RFC 9110 section 9.3.4 and RFC 9111 section 4.4: a PUT that creates often names itself in Location,
/// and a 200 with the new content names itself in Content-Location. Neither is a change by somebody else.
#[test]
fn an_answer_that_names_its_own_resource_carries_the_tag_all_the_same() {
    let (origin, proxy) = items();
    origin.answer_once("PUT", "/items/7", empty("201 Created", &[("Location", "/items/7")]));
    let created = proxy.ask(&request("PUT", "/items/7").if_none_match("*").body("x")).expect(201);
    let tag = created.tag();
    origin.answer_once("PUT", "/items/7", empty("200 OK", &[("Content-Location", "/items/7")]));
    let tag = proxy.put("/items/7", &tag, "y").expect(200).tag();
    proxy.put("/items/7", &tag, "z").expect(201);
}

#[test]
fn the_tag_of_a_put_is_that_of_the_read_which_follows() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let json = put("/items/1", &tag, "{}").field("Content-Type", "application/json");
    let tag = proxy.ask(&json).expect(204).tag();
    proxy.ask(&request("GET", "/items/1").if_none_match(&tag)).expect(304);
}

#[test]
fn answers_that_do_not_describe_the_new_content_carry_no_tag() {
    let (origin, proxy) = items();
    for (method, answer) in [
        ("DELETE", empty("204 No Content", &[("ETag", "\"own\"")])),
        ("POST", empty("200 OK", &[("ETag", "\"own\"")])),
        ("PUT", empty("303 See Other", &[("ETag", "\"own\""), ("Location", "/items/1")])),
        ("PUT", empty("404 Not Found", &[("ETag", "\"own\"")])),
        ("PUT", empty("500 Oops", &[("ETag", "\"own\"")])),
    ] {
        origin.answer_once(method, "/items/1", answer);
        let tag = proxy.tag("/items/1");
        let answer = proxy.ask(&request(method, "/items/1").if_match(&tag).body("x"));
        assert!(!answer.has("ETag"), "{answer}");
    }
}

#[test]
fn etag_on_put_never_tells_no_tag() {
    let (_origin, proxy) = items_with("etag_on_put = \"never\"");
    let answer = proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
    assert!(!answer.has("ETag"), "{answer}");
}

#[test]
fn etag_on_put_verified_reads_back_and_compares() {
    let (origin, proxy) = items_with("etag_on_put = \"verified\"");
    let tag = proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204).tag();
    assert_eq!(origin.seen_to("GET", "/items/1").len(), 2, "{}", origin.story());
    // An origin that stores something else than it was sent.
    origin.answer_once("PUT", "/items/1", empty("204 No Content", &[]));
    let answer = proxy.put("/items/1", &tag, "not stored").expect(204);
    assert!(!answer.has("ETag"), "{answer}");
    let chunked = request("PUT", "/items/1").if_match(&proxy.tag("/items/1"));
    let chunks = "3\r\nthr\r\n2\r\nee\r\n0\r\n\r\n";
    proxy.ask(&chunked.field("Transfer-Encoding", "chunked").body(chunks)).expect(204).tag();
    let tag = proxy.tag("/items/1");
    let patched = proxy.ask(&request("PATCH", "/items/1").if_match(&tag).body("x")).expect(204);
    assert!(!patched.has("ETag"), "nobody sent what a PATCH leaves behind\n{patched}");
}

#[test]
fn if_match_any_asks_the_origin_whether_there_is_something() {
    let (origin, proxy) = items();
    proxy.ask(&put_1("two").if_match("*")).expect(204);
    proxy.ask(&request("PUT", "/items/2").if_match("*").body("x")).expect_refusal(412, "precondition-failed");
    assert_eq!(origin.stored("/items/2"), None);
    let heads: Vec<_> = origin.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    // Many a legacy API does not know HEAD: what it does not show there is asked for with GET.
    assert_eq!(heads, ["HEAD /items/1", "PUT /items/1", "HEAD /items/2", "GET /items/2"]);
    proxy.expect_metric("ifmatch_overrides_total{route=\"item\"}", 2);
}

#[test]
fn the_question_whether_it_exists_has_the_clients_credentials_and_nothing_of_its_write() {
    let (origin, proxy) = items();
    let asked = put_1("two")
        .if_match("*")
        .field("Authorization", "Bearer a")
        .field("Cookie", "session=1")
        .field("Content-Type", "text/plain")
        .field("X-Tenant", "t");
    proxy.ask(&asked).expect(204);
    let head = origin.only("HEAD", "/items/1");
    for (name, value) in [("Authorization", "Bearer a"), ("Cookie", "session=1"), ("X-Tenant", "t")] {
        assert_eq!(head.field(name), Some(value), "{}", origin.story());
    }
    for name in ["If-Match", "Content-Type", "Content-Length", "Transfer-Encoding"] {
        assert!(!head.has(name), "{name}\n{}", origin.story());
    }
}

#[test]
fn an_origin_without_head_is_asked_with_get() {
    let (origin, proxy) = items();
    for status in ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"] {
        origin.answer_once("HEAD", "/items/1", empty(status, &[]));
        proxy.ask(&put_1("two").if_match("*")).expect(204);
    }
    assert_eq!(origin.seen_to("GET", "/items/1").len(), 3, "{}", origin.story());
}

#[test]
fn an_origin_that_does_not_say_whether_it_exists_gets_no_write() {
    let (origin, proxy) = items();
    for status in ["401 Unauthorized", "403 Forbidden", "500 Oops", "301 Moved Permanently"] {
        for (name, value) in [("If-Match", "*"), ("If-None-Match", "*")] {
            origin.answer_once("HEAD", "/items/1", empty(status, &[]));
            origin.answer_once("GET", "/items/1", empty(status, &[]));
            proxy.ask(&put_1("x").field(name, value)).expect_refusal(412, "precondition-failed");
        }
    }
    origin.once("HEAD", "/items/1", |exchange| exchange.close());
    // A connection that was used before may just have been closed: asked once more, and once only.
    origin.once("HEAD", "/items/1", |exchange| exchange.close());
    proxy.ask(&put_1("x").if_match("*")).expect_refusal(502, "origin-unreachable");
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 0, "{}", origin.story());
    proxy.await_rest();
    proxy.ask(&put_1("x").if_match("*")).expect(204);
}

#[test]
fn if_none_match_any_creates_and_does_not_replace() {
    let (origin, proxy) = items();
    proxy.ask(&put_1("x").if_none_match("*")).expect_refusal(412, "precondition-failed");
    let create = request("PUT", "/items/2").if_none_match("*").body("new");
    proxy.ask(&create).expect(201).tag();
    proxy.ask(&create).expect_refusal(412, "precondition-failed");
    assert_eq!(origin.stored("/items/2").as_deref(), Some("new"));
    proxy.expect_metric("ifmatch_overrides_total", 0);
}

#[test]
fn two_creations_at_once_leave_one() {
    let (origin, proxy) = items();
    let create = |body: &str| request("PUT", "/items/2").if_none_match("*").body(body);
    let held = origin.hold("PUT", "/items/2");
    let first = proxy.begin(&create("first"));
    held.arrived();
    proxy.ask(&create("second")).expect_refusal(409, "write-in-flight");
    held.release();
    first.answer().expect(201);
    proxy.ask(&create("second")).expect_refusal(412, "precondition-failed");
    assert_eq!(origin.stored("/items/2").as_deref(), Some("first"));
}

#[test]
fn a_list_in_if_none_match_refuses_the_states_it_names() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    for condition in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}")] {
        proxy.ask(&put_1("x").if_none_match(&condition)).expect_refusal(412, "precondition-failed");
    }
    proxy.ask(&put_1("two").if_none_match("\"a\"")).expect(204);
    proxy.ask(&put_1("three").if_none_match(&tag)).expect(204);
    proxy.expect_metric("ifmatch_overrides_total{route=\"item\"}", 5);
}

#[test]
fn both_tag_conditions_must_hold() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    proxy.ask(&put_1("x").if_match(&tag).if_none_match(&tag)).expect(412);
    proxy.ask(&put_1("x").if_match("\"a\"").if_none_match("\"b\"")).expect(412);
    proxy.ask(&put_1("x").if_match(&tag).if_none_match("*")).expect(412);
    proxy.ask(&put_1("two").if_match(&tag).if_none_match("\"b\"")).expect(204);
}

#[test]
fn if_unmodified_since_is_judged_by_the_origins_date_under_the_permit() {
    let (origin, proxy) = items();
    let since = |date: &str| put_1("x").field("If-Unmodified-Since", date);
    proxy.ask(&since(BEFORE)).expect_refusal(412, "precondition-failed");
    proxy.ask(&since("Mon, 05 Jan 2026 10:00:01 GMT")).expect(204);
    assert_eq!(origin.seen_to("HEAD", "/items/1").len(), 2, "{}", origin.story());
}

#[test]
fn the_very_second_of_the_date_is_unmodified_unless_a_write_was_seen_in_it() {
    let (origin, proxy) = items();
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    proxy.ask(&put_1("x").field("If-Unmodified-Since", MODIFIED)).expect(204);
    // The origin dates the state that this write left behind.
    origin.last_modified(Some(&now));
    let later = httpdate::fmt_http_date(std::time::SystemTime::now() + std::time::Duration::from_secs(3600));
    proxy.ask(&put_1("y").field("If-Unmodified-Since", &later)).expect_refusal(412, "precondition-failed");
}

#[test]
fn a_date_counts_for_nothing_where_the_origin_tells_none() {
    let (origin, proxy) = items();
    origin.last_modified(None);
    let dated = put_1("x").field("If-Unmodified-Since", MODIFIED);
    proxy.ask(&dated).expect_refusal(428, "precondition-required");
    proxy.ask(&put_1("x").field("If-Unmodified-Since", "soon")).expect_refusal(428, "precondition-required");
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 0);
    // Beside If-Match it is ignored.
    let tag = proxy.tag("/items/1");
    proxy.ask(&put("/items/1", &tag, "two").field("If-Unmodified-Since", BEFORE)).expect(204);
}

#[test]
fn a_weakened_tag_is_taken_only_where_the_route_says_so() {
    for (accept, status) in [("accept", 204), ("refuse", 412)] {
        let (_origin, proxy) = items_with(&format!("weak_if_match = \"{accept}\""));
        let suffixed = |tag: &str, suffix: &str| tag.trim_end_matches('"').to_owned() + suffix + "\"";
        for change in [
            (|tag: &str, _: &dyn Fn(&str, &str) -> String| format!("W/{tag}"))
                as fn(&str, &dyn Fn(&str, &str) -> String) -> String,
            |tag, suffixed| format!("W/{}", suffixed(tag, "-gzip")),
            |tag, suffixed| suffixed(tag, "-gzip"),
            |tag, suffixed| suffixed(tag, ";br"),
        ] {
            let weakened = change(&proxy.tag("/items/1"), &suffixed);
            proxy.put("/items/1", &weakened, "x").expect(status);
        }
        let odd = suffixed(&proxy.tag("/items/1"), "-odd");
        proxy.put("/items/1", &odd, "x").expect(412);
    }
}

#[test]
fn a_post_needs_nothing_and_occupies_all_the_same() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("POST", "/items/1");
    let post = proxy.begin(&request("POST", "/items/1").body("x"));
    held.arrived();
    proxy.put("/items/1", &tag, "y").expect_refusal(409, "write-in-flight");
    held.release();
    post.answer().expect(201);
    proxy.put("/items/1", &tag, "y").expect_refusal(412, "precondition-failed");
}

#[test]
fn posts_to_one_collection_pass_beside_each_other() {
    let (origin, proxy) = collection();
    let post = |n: usize| request("POST", "/items").body(n.to_string());
    let held: Vec<_> = (0..5).map(|_| origin.hold("POST", "/items")).collect();
    let pending: Vec<_> = (0..5).map(|n| proxy.begin(&post(n))).collect();
    held.iter().for_each(|h| {
        h.arrived();
    });
    proxy.expect_metric("ifmatch_writes_in_flight{route=\"items\"}", 5);
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "an item is another resource").expect(204);
    held.into_iter().for_each(crate::harness::Held::release);
    for pending in pending {
        pending.answer().expect(201);
    }
    proxy.await_rest();
}

#[test]
fn a_post_waits_for_nobody_but_a_conditional_write() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "x"));
    held.arrived();
    proxy.ask(&request("POST", "/items/1").body("y")).expect_refusal(409, "write-in-flight");
    held.release();
    writing.answer().expect(204);
}

#[test]
fn a_201_changes_what_its_location_names() {
    for location in
        ["/items/7", "http://api.example.com/items/7", "http://API.example.com:80/ITEMS/7/", "items/7"]
    {
        let (origin, proxy) = collection();
        origin.store("/items/7", "before");
        let tag = proxy.tag("/items/7");
        origin.answer_once("POST", "/items", empty("201 Created", &[("Location", location)]));
        proxy.ask(&request("POST", "/items").body("x")).expect(201);
        proxy.put("/items/7", &tag, "y").expect_refusal(412, "precondition-failed");
    }
}

#[test]
fn a_location_elsewhere_or_on_another_status_changes_nothing() {
    for (status, location) in
        [("201 Created", "http://elsewhere.example/items/7"), ("303 See Other", "/items/7")]
    {
        let (origin, proxy) = collection();
        origin.store("/items/7", "before");
        let tag = proxy.tag("/items/7");
        origin.answer_once("POST", "/items", empty(status, &[("Location", location)]));
        proxy.ask(&request("POST", "/items").body("x"));
        proxy.put("/items/7", &tag, "y").expect(204);
    }
}

#[test]
fn a_destination_is_occupied_and_changed_too() {
    for (method, destination) in [
        ("COPY", "/items/2"),
        ("MOVE", "http://api.example.com/items/2"),
        ("COPY", "/items/%32"),
        ("MOVE", "/ITEMS//2/"),
    ] {
        let (origin, proxy) = items();
        origin.store("/items/2", "there");
        let tag = proxy.tag("/items/2");
        let held = origin.hold(method, "/items/1");
        let copying = proxy.begin(&request(method, "/items/1").field("Destination", destination));
        held.arrived();
        proxy.put("/items/2", &tag, "x").expect_refusal(409, "write-in-flight");
        held.release();
        copying.answer().expect(200);
        proxy.put("/items/2", &tag, "x").expect_refusal(412, "precondition-failed");
    }
}

#[test]
fn a_destination_that_cannot_be_judged_is_refused() {
    let (origin, proxy) = items();
    for destination in ["/items%2F2", "http://elsewhere.example/items/2", "/items/\\2", ""] {
        proxy
            .ask(&request("COPY", "/items/1").field("Destination", destination))
            .expect_refusal(400, "ambiguous-target");
    }
    assert!(origin.seen().is_empty(), "{}", origin.story());
}

// Nobody judges what the route lets through, and the copy would replace what another author has not seen.
#[test]
fn an_unguarded_route_does_not_copy_onto_a_guarded_resource() {
    let (origin, proxy) = items_with(
        "[[routes]]\nname = \"drafts\"\npath = \"/drafts/{id}\"\nupstream = \"origin\"\nmode = \"off\"\n",
    );
    origin.store("/drafts/1", "draft");
    for destination in ["/items/1", "http://api.example.com/ITEMS//1", "/items%2F1"] {
        proxy
            .ask(&request("COPY", "/drafts/1").field("Destination", destination))
            .expect_refusal(400, "ambiguous-target");
    }
    assert!(origin.seen().is_empty(), "{}", origin.story());
    proxy.ask(&request("COPY", "/drafts/1").field("Destination", "/drafts/2"));
    origin.only("COPY", "/drafts/1");
}

/// Orders change the list of orders, and an import changes everything.
fn shop() -> (Origin, Proxy) {
    let origin = Origin::start();
    origin.store("/orders", "list");
    origin.store("/orders/1", "one");
    origin.store("/stock", "many");
    let config = r#"
[[routes]]
name = "order"
path = "/orders/{id}"
upstream = "origin"
also_changes = ["/orders"]

[[routes]]
name = "orders"
path = "/orders"
upstream = "origin"

[[routes]]
name = "stock"
path = "/stock"
upstream = "origin"

[[routes]]
name = "import"
path = "/import"
upstream = "origin"
also_changes = ["*"]
"#;
    let proxy = Proxy::in_front_of(&origin, config);
    (origin, proxy)
}

#[test]
fn a_write_occupies_and_changes_what_its_route_lists() {
    let (origin, proxy) = shop();
    let (list, one, stock) = (proxy.tag("/orders"), proxy.tag("/orders/1"), proxy.tag("/stock"));
    let held = origin.hold("PUT", "/orders/1");
    let writing = proxy.begin(&put("/orders/1", &one, "x"));
    held.arrived();
    proxy.put("/orders", &list, "y").expect_refusal(409, "write-in-flight");
    held.release();
    writing.answer().expect(204);
    proxy.put("/orders", &list, "y").expect_refusal(412, "precondition-failed");
    proxy.put("/stock", &stock, "z").expect(204);
}

#[test]
fn writes_to_two_items_of_one_list_pass_beside_each_other() {
    let (origin, proxy) = shop();
    origin.store("/orders/2", "two");
    let (one, two) = (proxy.tag("/orders/1"), proxy.tag("/orders/2"));
    let held = origin.hold("PUT", "/orders/1");
    let writing = proxy.begin(&put("/orders/1", &one, "x"));
    held.arrived();
    proxy.put("/orders/2", &two, "y").expect(204);
    held.release();
    writing.answer().expect(204);
}

// Two writes that change everything took the upstream in the shared mode of writes that claim nothing, also
// where their authors had seen their resources: each could change, unseen, what the other one had judged.
#[test]
fn two_writes_that_change_everything_do_not_pass_beside_each_other_where_one_saw_a_state() {
    let origin = Origin::start();
    let config = r#"
[[routes]]
name = "files"
path = "/{*rest}"
upstream = "origin"
also_changes = ["*"]
"#;
    let proxy = Proxy::in_front_of(&origin, config);
    origin.store("/docs", "a folder");
    origin.store("/docs/a", "one");
    let (folder, file) = (proxy.tag("/docs"), proxy.tag("/docs/a"));
    let held = origin.hold("DELETE", "/docs");
    let deleting = proxy.begin(&request("DELETE", "/docs").field("If-Match", &folder));
    held.arrived();
    proxy.put("/docs/a", &file, "x").expect_refusal(409, "write-in-flight");
    proxy.ask(&request("POST", "/import").body("y")).expect_refusal(409, "write-in-flight");
    held.release();
    deleting.answer().expect(204);
    proxy.put("/docs/a", &file, "x").expect_refusal(412, "precondition-failed");
}

#[test]
fn a_write_that_changes_everything_excludes_and_outdates_everything() {
    let (origin, proxy) = shop();
    let (list, stock) = (proxy.tag("/orders"), proxy.tag("/stock"));
    let held = origin.hold("POST", "/import");
    let import = proxy.begin(&request("POST", "/import").body("x"));
    held.arrived();
    proxy.put("/stock", &stock, "y").expect_refusal(409, "write-in-flight");
    held.release();
    import.answer().expect(201);
    proxy.put("/stock", &stock, "y").expect_refusal(412, "precondition-failed");
    proxy.put("/orders", &list, "y").expect_refusal(412, "precondition-failed");
    proxy.put("/stock", &proxy.tag("/stock"), "y").expect(204);
    let held = origin.hold("PUT", "/stock");
    let writing = proxy.begin(&put("/stock", &proxy.tag("/stock"), "z"));
    held.arrived();
    proxy.ask(&request("POST", "/import").body("x")).expect_refusal(409, "write-in-flight");
    held.release();
    writing.answer().expect(204);
}

#[test]
fn an_answer_that_proves_nothing_happened_keeps_the_version() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    for status in [
        "400 Bad",
        "401 Unauthorized",
        "403 No",
        "404 Not Found",
        "409 Conflict",
        "412 No",
        "422 No",
        "429 Slow",
    ] {
        origin.answer_once("PUT", "/items/1", empty(status, &[]));
        let answer = proxy.put("/items/1", &tag, "x");
        assert_eq!(answer.status.to_string(), status[..3], "the origin's own words\n{answer}");
    }
    proxy.put("/items/1", &tag, "two").expect(204);
}

#[test]
fn an_answer_that_proves_nothing_at_all_changes_the_version() {
    for status in ["500 Oops", "501 No", "507 Full", "200 OK", "303 See Other", "304 Odd", "226 IM Used"] {
        let (origin, proxy) = items();
        let tag = proxy.tag("/items/1");
        origin.answer_once("PUT", "/items/1", empty(status, &[]));
        let answer = proxy.put("/items/1", &tag, "x");
        assert_eq!(answer.status.to_string(), status[..3], "{answer}");
        proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
    }
}

#[test]
fn a_route_may_say_what_its_origins_failures_mean() {
    let (origin, proxy) = items_with("not_applied = [500, 503]\nmaybe_applied = [409]");
    let tag = proxy.tag("/items/1");
    for status in ["500 Oops", "503 Busy"] {
        origin.answer_once("PUT", "/items/1", empty(status, &[]));
        proxy.put("/items/1", &tag, "x").expect(status[..3].parse().expect("a number"));
    }
    origin.answer_once("PUT", "/items/1", empty("409 Conflict", &[]));
    proxy.put("/items/1", &tag, "x").expect(409);
    proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
}

#[test]
fn an_answer_that_leaves_the_outcome_open_holds_the_resource_for_the_settle_time() {
    for (status, cause) in [
        ("202 Accepted", "accepted-only"),
        ("408 Timeout", "request-timeout-answer"),
        ("499 Gone", "request-timeout-answer"),
        ("502 Bad Gateway", "answered-by-gateway"),
        ("503 Unavailable", "answered-by-gateway"),
        ("504 Timeout", "answered-by-gateway"),
    ] {
        let (origin, proxy) = items();
        let tag = proxy.tag("/items/1");
        origin.answer_once("PUT", "/items/1", empty(status, &[("Retry-After", "9")]));
        let answer = proxy.put("/items/1", &tag, "x").expect(status[..3].parse().expect("a number"));
        assert_eq!((answer.field("Retry-After"), answer.has("ETag")), (Some("9"), false), "{answer}");
        proxy
            .expect_metric(&format!("ifmatch_unknown_outcomes_total{{route=\"item\",cause=\"{cause}\"}}"), 1);
        // R8: reads go on with the old number, whose writer is told to wait, until the end.
        proxy.await_rest();
        proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
        proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
    }
}

#[test]
fn while_unsettled_reads_keep_the_old_number_and_writes_wait() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, &ITEMS.replace("300ms", "1h"));
    let tag = proxy.tag("/items/1");
    origin.answer_once("PUT", "/items/1", empty("202 Accepted", &[]));
    proxy.put("/items/1", &tag, "x").expect(202);
    assert_eq!(proxy.tag("/items/1"), tag);
    let refused = proxy.put("/items/1", &tag, "x").expect_refusal(409, "unsettled");
    let after: u64 = refused.field("Retry-After").expect("a time").parse().expect("seconds");
    assert!((3000..=3600).contains(&after), "{refused}");
    proxy.ask(&put_1("blind")).expect_refusal(428, "precondition-required");
    proxy.ask(&request("POST", "/items/1").body("x")).expect_refusal(409, "unsettled");
    proxy.expect_metric("ifmatch_writes_in_flight{route=\"item\"}", 1);
    let told = proxy.admin("/resources?path=/items/1").expect(200).json();
    assert_eq!((&told["unsettled"], &told["in_flight"]), (&true.into(), &true.into()), "{told}");
}

#[test]
fn off_leaves_a_route_alone() {
    let (origin, proxy) = items_with("mode = \"off\"");
    let answer = proxy.get("/items/1").expect(200);
    assert_eq!(answer.tag(), "\"origin-1\"");
    let asked =
        put_1("two").if_match("\"origin-1\"").if_none_match("oops").field("If-Unmodified-Since", "soon");
    proxy.ask(&asked.field("X-Original-URL", "/items/2")).expect(204);
    let seen = origin.only("PUT", "/items/1");
    for (name, value) in [
        ("If-Match", "\"origin-1\""),
        ("If-None-Match", "oops"),
        ("If-Unmodified-Since", "soon"),
        ("X-Original-URL", "/items/2"),
    ] {
        assert_eq!(seen.field(name), Some(value), "{}", origin.story());
    }
    proxy.ask(&put_1("blind")).expect(204);
    proxy.expect_metric("ifmatch_ledger_resources", 0);
}

#[test]
fn overlap_lets_a_blind_write_through_unless_another_is_in_flight() {
    let (origin, proxy) = items_with("unconditional = \"overlap\"\noverlap = \"wait\"");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put_1("one"));
    held.arrived();
    // It never waits: nothing but the refusal protects it.
    proxy.ask(&put_1("two")).expect_refusal(409, "write-in-flight");
    held.release();
    first.answer().expect(204).tag();
    proxy.ask(&put_1("two")).expect(204);
    proxy.put("/items/1", "\"stale\"", "x").expect(412);
}

#[test]
fn allow_lets_blind_writes_through_beside_each_other_and_not_beside_others() {
    let (origin, proxy) = items_with("unconditional = \"allow\"");
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put_1("one"));
    held.arrived();
    proxy.ask(&put_1("two")).expect(204);
    proxy.put("/items/1", &tag, "three").expect_refusal(409, "write-in-flight");
    held.release();
    let overlapped = first.answer().expect(204);
    assert!(!overlapped.has("ETag"), "who knows what was left behind\n{overlapped}");
    proxy.put("/items/1", &tag, "three").expect_refusal(412, "precondition-failed");
}

#[test]
fn who_waited_is_judged_again() {
    let (origin, proxy) = items_with("overlap = \"wait\"\nwait_timeout = \"1h\"");
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put("/items/1", &tag, "one"));
    held.arrived();
    let second = proxy.begin(&put("/items/1", &tag, "two"));
    let third = proxy.begin(&put_1("three").if_none_match("\"x\""));
    proxy.await_metric("ifmatch_writes_waiting{route=\"item\"}", 2);
    held.release();
    first.answer().expect(204);
    second.answer().expect_refusal(412, "precondition-failed");
    third.answer().expect(204);
    assert_eq!(origin.stored("/items/1").as_deref(), Some("three"));
    proxy.await_metric("ifmatch_writes_waiting", 0);
}

#[test]
fn who_waited_too_long_hears_409() {
    let (origin, proxy) = items_with("overlap = \"wait\"\nwait_timeout = \"50ms\"");
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put("/items/1", &tag, "one"));
    held.arrived();
    proxy.put("/items/1", &tag, "two").expect_refusal(409, "write-in-flight");
    held.release();
    first.answer().expect(204);
}

#[test]
fn one_waiter_too_many_hears_409_at_once() {
    let (origin, proxy) = items_with("overlap = \"wait\"\nwait_timeout = \"1h\"\nmax_waiters = 1");
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put("/items/1", &tag, "one"));
    held.arrived();
    let second = proxy.begin(&put("/items/1", &tag, "two"));
    proxy.await_metric("ifmatch_writes_waiting{route=\"item\"}", 1);
    proxy.put("/items/1", &tag, "three").expect_refusal(409, "write-in-flight");
    held.release();
    first.answer().expect(204);
    second.answer().expect(412);
}

#[test]
fn a_waiter_that_leaves_is_not_forwarded() {
    let (origin, proxy) = items_with("overlap = \"wait\"\nwait_timeout = \"1h\"");
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put("/items/1", &tag, "one"));
    held.arrived();
    let second = proxy.begin(&request("POST", "/items/1").body("two"));
    proxy.await_metric("ifmatch_writes_waiting{route=\"item\"}", 1);
    second.client().reset();
    proxy.await_metric("ifmatch_writes_waiting{route=\"item\"}", 0);
    held.release();
    first.answer().expect(204);
    proxy.await_rest();
    assert!(origin.seen_to("POST", "/items/1").is_empty(), "{}", origin.story());
}

#[test]
fn a_waiter_for_an_unsettled_resource_is_woken_at_the_end_of_settle() {
    let (origin, proxy) = items_with("overlap = \"wait\"\nwait_timeout = \"1h\"");
    let tag = proxy.tag("/items/1");
    origin.answer_once("PUT", "/items/1", empty("202 Accepted", &[]));
    proxy.put("/items/1", &tag, "one").expect(202);
    proxy.put("/items/1", &tag, "two").expect_refusal(412, "precondition-failed");
}

#[test]
fn a_named_resource_is_one_under_all_its_paths() {
    let origin = Origin::start();
    origin.store("/orders/17", "order");
    origin.store("/orders/17/lines", "lines");
    let config = r#"
[[routes]]
name = "order"
path = "/orders/{id}"
upstream = "origin"
resource = "order:{id}"

[[routes]]
name = "lines"
path = "/orders/{id}/lines"
upstream = "origin"
resource = "order:{id}"

[[routes]]
name = "rpc"
path = "/rpc"
upstream = "origin"
resource = "order:{query.id}"
"#;
    let proxy = Proxy::in_front_of(&origin, config);
    let tag = proxy.tag("/orders/17");
    proxy.put("/orders/17/lines", &tag, "new").expect(204);
    proxy.put("/orders/17", &tag, "x").expect_refusal(412, "precondition-failed");
    let tag = proxy.tag("/orders/17");
    proxy.ask(&request("POST", "/rpc?action=ship&id=017").body("x")).expect(201);
    proxy.put("/orders/17", &tag, "x").expect_refusal(412, "precondition-failed");
    for target in ["/rpc", "/rpc?id=1&id=2", "/rpc?id=1&ID=2"] {
        proxy.ask(&request("POST", target)).expect_refusal(400, "ambiguous-target");
    }
}

#[test]
fn entries_at_rest_are_forgotten_and_their_tags_with_them() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, &ITEMS.replace("[ledger]\n", "[ledger]\nmax_resources = 2\n"));
    let untouched = proxy.tag("/items/1");
    for id in 2..20 {
        proxy.ask(&request("PUT", &format!("/items/{id}")).if_none_match("*").body("x")).expect(201);
    }
    proxy.expect_metric("ifmatch_ledger_resources", 2);
    proxy.expect_metric("ifmatch_ledger_evictions_total", 16);
    // The floor rose above it: a spurious refusal, never a lost update.
    proxy.put("/items/1", &untouched, "x").expect_refusal(412, "precondition-failed");
    proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
}

#[test]
fn the_age_of_a_tag_is_measured_when_it_writes() {
    let (_origin, proxy) = items();
    proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(204);
    proxy.expect_metric("ifmatch_read_to_write_seconds_count{route=\"item\"}", 1);
}

#[test]
fn an_answer_with_content_keeps_it() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    origin.answer_once("PUT", "/items/1", with_body("200 OK", "application/json", "{\"a\":1}"));
    let answer = proxy.put("/items/1", &tag, "x").expect(200);
    assert_eq!(answer.text(), "{\"a\":1}");
    answer.tag();
}
