//! No spelling of a target, a method or a host gets a write past the guard.

use crate::given::{ITEMS, items, items_with};
use crate::harness::{Answer, Client, Origin, Proxy, RequestText, put, request};

/// `/items/{id}`, and everything else guarded too: what one route does not take for an item must not be
/// free to change it.
const ALL_GUARDED: &str = "
[[routes]]
name = \"rest\"
path = \"/{*rest}\"
upstream = \"origin\"
";

/// Spellings that some server takes for `/items/1`, and that are one resource here: a write through
/// them is judged by the item's version and changes it.
const SAME: [&str; 46] = [
    "/items/1",
    "/items/%31",
    "/%69tems/1",
    "/%69%74%65%6d%73/%31",
    "/%69%74%65%6D%73/1",
    "//items/1",
    "///items/1",
    "/items//1",
    "/items///1",
    "/items/./1",
    "/./items/1",
    "/././items/././1",
    "/items/x/../1",
    "/x/../items/1",
    "/x/y/../../items/1",
    "/items/1/../1",
    "/../items/1",
    "/../../items/1",
    "/items/1/",
    "/items/1//",
    "/items/1/.",
    "/items/1/./",
    "/items/1/x/..",
    "/items/1/x/../",
    "/items/1;v=1",
    "/items/1;jsessionid=A",
    "/items/1;a;b",
    "/items;x/1",
    "/items/;/1",
    "/;x/items/1",
    "/items/..;/items/1",
    "/ITEMS/1",
    "/Items/1",
    "/iTEMS/1",
    "/items/1?",
    "/items/1?x=1",
    "/items/1?a=1&b=2",
    "/items/1?_=1699",
    "/items/01",
    "/items/0001",
    "/items/%EF%BC%91",
    "/items/%D9%A1",
    "/items/1.json",
    "/items/1.JSON",
    "/items/1.",
    "/items/1%20",
];

/// Spellings that mean one thing to some servers and another thing to others: refused outright.
const AMBIGUOUS: [&str; 33] = [
    "/items%2F1",
    "/items%2f1",
    "/%2Fitems/1",
    "/%2fitems%2f1",
    "/items/1%2F",
    "/items/x/..%2f1",
    "/items/..%2Fitems/1",
    "/items/%2e/1",
    "/items/%2E/1",
    "/items/x/%2e%2e/1",
    "/items/x/%2E./1",
    "/items/x/.%2e/1",
    "/items/%2e%2e/items/1",
    "/items/x/%252e%252e/1",
    "/items/%2531",
    "/%2569tems/1",
    "/items%252F1",
    "/items\\1",
    "/items%5C1",
    "/items%5c1",
    "\\items\\1",
    "/items/1%00",
    "/items/1%0a",
    "/items/1%0d%0a",
    "/items/1%09",
    "/items/1%7F",
    "/items/%C0%B1",
    "/items/%FF",
    "/items/1%",
    "/items/1%3",
    "/items/%zz1",
    "/items/1%0G",
    "/items/%u0031",
];

/// Neither the same resource nor refused for its spelling; a tag of the item is of no use there.
const OTHER: [&str; 13] = [
    "/items/1.0",
    "/items/+1",
    "/items/%2B1",
    "/items/1e0",
    "/items/1~",
    "/items/1%23frag",
    "/items/1%3Fx=1",
    "/items/-1",
    "/items/0x1",
    "/items/1/sub",
    "/items",
    "/items/",
    "/",
];

fn guarded() -> (Origin, Proxy) {
    items_with(ALL_GUARDED)
}

/// Sends a PUT with exactly this request target.
#[track_caller]
fn put_raw(client: &mut Client, target: &str, condition: &str) -> Answer {
    client.send(format!(
        "PUT {target} HTTP/1.1\r\nHost: api.example.com\r\n{condition}Content-Length: 1\r\n\r\nx"
    ));
    client.answer()
}

#[test]
fn a_stale_tag_gets_through_in_no_spelling() {
    let (origin, proxy) = guarded();
    let stale = proxy.tag("/items/1");
    proxy.put("/items/1", &stale, "two").expect(204);
    let puts = origin.seen_to("PUT", "/items/1").len();
    let condition = format!("If-Match: {stale}\r\n");
    for (targets, allowed) in [(&SAME[..], &[412][..]), (&AMBIGUOUS, &[400]), (&OTHER, &[412])] {
        for target in targets {
            let answer = put_raw(&mut proxy.connect(), target, &condition);
            assert!(allowed.contains(&answer.status), "{answer}");
        }
    }
    let seen = origin.seen().iter().filter(|seen| seen.method == "PUT").count();
    assert_eq!(seen, puts, "{}", origin.story());
}

#[test]
fn a_blind_write_gets_through_in_no_spelling() {
    let (origin, proxy) = guarded();
    for target in SAME.iter().chain(&AMBIGUOUS).chain(&OTHER) {
        let answer = put_raw(&mut proxy.connect(), target, "");
        assert!([400, 428].contains(&answer.status), "{answer}");
    }
    assert!(origin.seen().is_empty(), "{}", origin.story());
}

#[test]
fn every_spelling_of_one_resource_reads_and_changes_its_one_version() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    for target in SAME {
        origin.answer_once(
            "PUT",
            target.split('?').next().expect("a path"),
            "HTTP/1.1 204 No Content\r\n\r\n",
        );
        let tag = proxy.tag("/items/1");
        let passed = put_raw(&mut client, target, &format!("If-Match: {tag}\r\n")).expect(204);
        // The origin got it as it was spelled, and every other spelling is stale now.
        assert_eq!(origin.seen().last().map(|seen| seen.target.clone()).as_deref(), Some(target), "{passed}");
        put_raw(&mut client, "/items/1", &format!("If-Match: {tag}\r\n")).expect(412);
    }
}

#[test]
fn ambiguous_targets_are_refused_for_reads_and_posts_too_and_the_connection_stays() {
    let (origin, proxy) = items();
    let mut client = proxy.connect();
    for target in AMBIGUOUS.iter().filter(|target| target.starts_with('/')) {
        for method in ["GET", "POST", "HEAD", "DELETE"] {
            let answer = client.ask(&request(method, target));
            assert!([400, 404].contains(&answer.status), "{answer}");
        }
    }
    client.ask(&request("GET", "/items/1")).expect(200);
    assert_eq!(origin.seen().len(), 1, "{}", origin.story());
}

#[test]
fn a_fragment_and_whatever_has_no_path_get_nothing_past_the_guard() {
    let (origin, proxy) = guarded();
    let stale = "If-Match: \"stale\"\r\n";
    for target in
        ["/items/1#frag", "/items/1?x#frag", "items/1", "1", "*", "?x=1", "#", "", "http:", "http:/items/1"]
    {
        let mut client = proxy.connect();
        client.send(format!("PUT {target} HTTP/1.1\r\nHost: a\r\n{stale}Content-Length: 1\r\n\r\nx"));
        let answer = client.answer();
        assert!([400, 412].contains(&answer.status), "{answer}");
    }
    let mut client = proxy.connect();
    client.send("CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n");
    client.answer().expect(400);
    assert!(origin.seen().is_empty(), "{}", origin.story());
}

#[test]
fn an_absolute_target_is_refused_on_a_managed_route() {
    let (origin, proxy) = guarded();
    let tag = proxy.tag("/items/1");
    for target in [
        "http://api.example.com/items/1",
        "HTTP://api.example.com/items/1",
        "https://api.example.com/items/1",
        "http://API.example.com:80/items/1",
        "http://other.example/items/1",
        "http://u@api.example.com/items/1",
        "http://api.example.com",
    ] {
        let answer = put_raw(&mut proxy.connect(), target, &format!("If-Match: {tag}\r\n"));
        assert_eq!(answer.status, 400, "{answer}");
    }
    assert_eq!(origin.seen().len(), 1, "{}", origin.story());
}

#[test]
fn an_absolute_target_passes_a_route_that_is_left_alone_in_origin_form() {
    let (origin, proxy) = items_with("mode = \"off\"");
    let mut client = proxy.connect();
    client.send("GET http://api.example.com/items/1?q HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
    client.answer().expect(200);
    assert_eq!(origin.only("GET", "/items/1").target, "/items/1?q");
    client.send("GET http://other.example/items/1 HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
    client.answer().expect_refusal(400, "ambiguous-target");
}

#[test]
fn a_method_override_is_judged_as_the_method_that_it_states() {
    let (origin, proxy) = items();
    let form = |body: &str| {
        request("POST", "/items/1")
            .field("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8")
            .body(body)
    };
    let in_field = |method: &str, name: &str, value: &str| request(method, "/items/1").field(name, value);
    for asked in [
        in_field("POST", "X-HTTP-Method-Override", "PUT"),
        in_field("POST", "x-http-method-override", "put"),
        in_field("POST", "X-HTTP-Method-Override", "GET, DELETE"),
        in_field("POST", "X-HTTP-Method-Override", "GET").field("X-HTTP-Method-Override", "PATCH"),
        in_field("POST", "X-HTTP-Method", " PUT "),
        in_field("POST", "X-Method-Override", "DELETE"),
        in_field("GET", "X-HTTP-Method-Override", "PUT"),
        in_field("HEAD", "X-HTTP-Method-Override", "DELETE"),
        in_field("OPTIONS", "X-HTTP-Method-Override", "DELETE"),
        request("POST", "/items/1?_method=PUT"),
        request("POST", "/items/1?_METHOD=put&x=1"),
        request("POST", "/items/1?%5Fmethod=DELETE"),
        request("POST", "/items/1?_method=GET&_method=PUT"),
        request("GET", "/items/1?_method=DELETE"),
        form("_method=PUT"),
        form("a=b&_method=delete"),
        form("%5fmethod=P%55T"),
        form("_method=&_method=PATCH"),
    ] {
        let answer = proxy.ask(&asked);
        assert_eq!(answer.status, 428, "{answer}");
    }
    assert!(origin.seen().is_empty(), "{}", origin.story());
    let tag = proxy.tag("/items/1");
    let asked = form("a=1&_method=PUT").if_match(&tag).field("X-HTTP-Method-Override", "PUT");
    proxy.ask(&asked).expect(201);
    let seen = origin.only("POST", "/items/1");
    assert_eq!(
        (seen.text().as_str(), seen.field("X-HTTP-Method-Override")),
        ("a=1&_method=PUT", Some("PUT"))
    );
    proxy.put("/items/1", &tag, "x").expect(412);
}

fn part(name: &str, content: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; {name}\r\n\r\n{content}\r\n")
}

fn multipart(parts: &[String]) -> RequestText {
    let body = parts.concat() + "--b--\r\n";
    request("POST", "/items/1").field("Content-Type", "Multipart/Form-Data; boundary=b").body(body)
}

/// Laravel and Rails take the method from such forms, Rack from a form without a type too.
#[test]
fn a_method_that_hides_in_a_form_needs_a_precondition() {
    let (origin, proxy) = items();
    let file = part("name=\"file\"; filename=\"a\"", &"x".repeat(200_000));
    for asked in [
        multipart(&[part("name=\"_method\"", "PUT")]),
        multipart(&[part("name=\"a\"", "b"), part("NAME=_METHOD", "DELETE")]),
        multipart(&[part("name=\"_method\"", "PATCH"), file.clone()]),
        request("POST", "/items/1").body("_method=PUT"),
        request("POST", "/items/1").body("a=b&%5fmethod=PUT"),
    ] {
        proxy.ask(&asked).expect_refusal(428, "precondition-required");
    }
    assert!(origin.seen().is_empty(), "{}", origin.story());
    for asked in [
        multipart(&[part("name=\"_method\"", "PUT"), file.clone()]).if_match(&proxy.tag("/items/1")),
        multipart(&[part("name=\"method\"", "_method"), file]),
        request("POST", "/items/1").body("&method=PUT".repeat(20_000)),
    ] {
        proxy.ask(&asked).expect(201);
        let seen = origin.seen_to("POST", "/items/1").pop().expect("a request");
        assert!(asked.bytes().ends_with(seen.text().as_bytes()), "byte for byte");
    }
}

// Nobody waits for a whole upload to learn its method; what was let through as a POST must not end as a PUT.
#[test]
fn a_method_behind_the_beginning_of_a_form_never_arrives() {
    let (origin, proxy) = items();
    let file = part("name=\"file\"; filename=\"a\"", &"x".repeat(200_000));
    let asked = multipart(&[file, part("name=\"_method\"", "DELETE")]);
    proxy.ask(&asked).expect_refusal(502, "outcome-unknown");
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "x").expect_refusal(409, "unsettled");
    assert!(!origin.only("POST", "/items/1").text().contains("DELETE"), "{}", origin.story());
}

#[test]
fn an_override_cannot_turn_a_write_into_a_read() {
    let (origin, proxy) = items();
    for method in ["PUT", "DELETE"] {
        proxy.ask(&request(method, "/items/1").field("X-HTTP-Method-Override", "GET")).expect(428);
    }
    let tag = proxy.tag("/items/1");
    let posted = proxy.ask(&request("POST", "/items/1").field("X-HTTP-Method-Override", "GET"));
    assert!(!posted.has("ETag"), "{posted}");
    proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 0);
}

/// The question that is asked under the permit must not become the write itself.
#[test]
fn no_override_goes_with_the_question_whether_a_resource_exists() {
    let (origin, proxy) = items();
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        proxy.ask(&request("POST", "/items/1").field(name, "DELETE").if_match("*")).expect(201);
    }
    for seen in origin.seen_to("HEAD", "/items/1") {
        let names = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"];
        assert!(names.iter().all(|name| !seen.has(name)), "{}", origin.story());
    }
}

/// The same in the query: a framework that takes `_method` from there would delete what it was asked
/// about, before anything was judged.
#[test]
fn a_question_that_an_override_in_the_query_would_turn_into_a_write_is_not_asked() {
    let (origin, proxy) = items();
    let asked = request("POST", "/items/1?x=1&_method=DELETE&y=%20a").if_none_match("*").body("x");
    proxy.ask(&asked).expect(412);
    for seen in origin.seen_to("HEAD", "/items/1") {
        assert_eq!(seen.target, "/items/1?x=1&y=%20a", "{}", origin.story());
    }
}

#[test]
fn a_method_in_another_case_or_of_another_kind_is_a_write() {
    let (origin, proxy) = items();
    for method in ["put", "Put", "patch", "dElEtE"] {
        proxy.ask(&request(method, "/items/1").body("x")).expect_refusal(428, "precondition-required");
    }
    assert!(origin.seen().is_empty(), "{}", origin.story());
    for method in ["get", "PURGE", "LOCK", "options", "M-SEARCH"] {
        let tag = proxy.tag("/items/1");
        let answer = proxy.ask(&request(method, "/items/1")).expect(200);
        assert!(!answer.has("ETag"), "{answer}");
        assert_eq!(origin.only(method, "/items/1").method, method, "as it was spelled");
        proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
    }
}

#[test]
fn a_host_that_is_missing_repeated_or_no_host_is_refused() {
    let (origin, proxy) = items();
    for hosts in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a, b\r\n",
        "Host: a/b\r\n",
        "Host: u@a\r\n",
        "Host: a b\r\n",
        "Host: \u{e9}\r\n",
    ] {
        let mut client = proxy.connect();
        client.send(format!("GET /items/1 HTTP/1.1\r\n{hosts}\r\n"));
        client.answer().expect(400);
    }
    assert!(origin.seen().is_empty(), "{}", origin.story());
}

#[test]
fn a_resource_is_the_same_under_every_host() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "two").expect(204);
    for host in
        ["other.example", "api.example.com.", "API.EXAMPLE.COM", "api.example.com:80", "127.0.0.1", ""]
    {
        proxy.ask(&put("/items/1", &tag, "x").field("Host", host)).expect(412);
    }
    let mut client = proxy.connect();
    client.send(format!("PUT /items/1 HTTP/1.0\r\nIf-Match: {tag}\r\nContent-Length: 1\r\n\r\nx"));
    client.answer().expect(412);
}

#[test]
fn a_parameter_can_be_held_to_a_pattern() {
    let (origin, proxy) = items_with("[routes.params]\nid = \"[1-9][0-9]*\"");
    for target in ["/items/01", "/items/1.json", "/items/%EF%BC%91", "/items/1%20", "/items/x"] {
        proxy.get(target).expect_refusal(400, "ambiguous-target");
    }
    proxy.get("/items/%31").expect(404);
    assert_eq!(origin.seen().len(), 1, "{}", origin.story());
}

#[test]
fn a_fold_that_is_off_tells_two_resources_apart() {
    let (origin, proxy) = items_with("[routes.fold]\nleading_zeros = false");
    origin.store("/items/01", "zero one");
    let tag = proxy.tag("/items/1");
    proxy.put("/items/01", &proxy.tag("/items/01"), "x").expect(204);
    proxy.put("/items/1", &tag, "x").expect(204);
}

#[test]
fn the_parent_of_an_item_is_a_resource_of_its_own() {
    let origin = Origin::with_item();
    let config = format!(
        "{ITEMS}[[routes]]\nname = \"items\"\npath = \"/items\"\nupstream = \"origin\"\n\
                          also_changes = [\"*\"]\n"
    );
    let proxy = Proxy::in_front_of(&origin, &config);
    let tag = proxy.tag("/items/1");
    proxy.ask(&request("DELETE", "/items/").if_match("\"stale\"")).expect(412);
    proxy.ask(&request("POST", "/items").body("x")).expect(201);
    proxy.put("/items/1", &tag, "x").expect_refusal(412, "precondition-failed");
}
