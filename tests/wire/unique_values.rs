//! `[[routes.unique]]`: a value is taken once, whoever asks first, and however it is spelled.

use std::sync::{Arc, Mutex};

use unicode_normalization::UnicodeNormalization;

use crate::harness::{Answer, Origin, Proxy, RequestText, empty, request, with_body};

const CUSTOMERS: &str = r#"
[ledger]
settle = "300ms"

[[routes]]
name = "customers"
path = "/customers"
upstream = "origin"
ROUTE

[[routes.unique]]
field = "/email"
normalise = ["trim", "case", "nfc"]
RULE
"#;

const LOOK_UP: &str = "lookup = \"/lookup?email={value}\"\ntaken = { status = 200, field = \"/0\" }";

fn with(route: &str, rule: &str) -> (Origin, Proxy) {
    let origin = Origin::start();
    origin.answer_always("GET", "/lookup", with_body("200 OK", "application/json", "[]"));
    let proxy = Proxy::in_front_of(&origin, &CUSTOMERS.replace("ROUTE", route).replace("RULE", rule));
    (origin, proxy)
}

fn create(email: &str) -> RequestText {
    let body = serde_json::json!({ "email": email, "name": "x" }).to_string();
    request("POST", "/customers").field("Content-Type", "application/json").body(body)
}

/// What names the field, and not who has the value.
#[track_caller]
fn expect_duplicate(answer: Answer) -> Answer {
    let answer = answer.expect_refusal(409, "duplicate-value");
    let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("/email") && !detail.contains("bob"), "{answer}");
    answer
}

#[test]
fn of_two_creates_with_one_value_at_once_one_is_forwarded() {
    let (origin, proxy) = with("", "");
    let held = origin.hold("POST", "/customers");
    let first = proxy.begin(&create("bob@example.org"));
    held.arrived();
    let second = expect_duplicate(proxy.ask(&create(" Bob@Example.ORG")));
    assert!(second.has("Retry-After"), "{second}");
    proxy.ask(&create("rob@example.org")).expect(201);
    held.release();
    first.answer().expect(201);
    // Without a look-up nobody knows of those that are over.
    proxy.ask(&create("bob@example.org")).expect(201);
    proxy.await_rest();
}

/// An origin that keeps what it is sent and checks nothing, but can be asked for a record by its e-mail, as a
/// database with a collation would.
fn registry(origin: &Origin) -> Arc<Mutex<Vec<String>>> {
    let records = Arc::new(Mutex::new(Vec::<String>::new()));
    let (kept, shown) = (records.clone(), records.clone());
    let fold = |text: &str| text.trim().nfc().collect::<String>().to_lowercase();
    origin.always("POST", "/customers", move |exchange| {
        exchange.read_body()?;
        let body: serde_json::Value = serde_json::from_slice(&exchange.request.body).expect("JSON");
        kept.lock().expect("records").push(body["email"].as_str().expect("an e-mail").to_owned());
        exchange.write(empty("201 Created", &[]))
    });
    origin.always("GET", "/lookup", move |exchange| {
        let (_, asked) = exchange.target.split_once('=').expect("a value");
        let asked = percent_encoding::percent_decode_str(asked).decode_utf8().expect("UTF-8").into_owned();
        let found = shown.lock().expect("records").iter().any(|record| fold(record) == fold(&asked));
        exchange.write(with_body("200 OK", "application/json", if found { "[{\"id\":7}]" } else { "[]" }))
    });
    records
}

#[test]
fn however_it_is_spelled_exactly_one_of_many_at_once_reaches_the_origin() {
    let origin = Origin::start();
    let records = registry(&origin);
    let proxy = Proxy::in_front_of(&origin, &CUSTOMERS.replace("ROUTE", "").replace("RULE", LOOK_UP));
    let spellings = ["zo\u{eb}N@x.org", "ZOE\u{308}N@X.ORG", " zoe\u{308}n@x.org ", "Zo\u{eb}n@x.Org\u{a0}"];
    for round in 0..10 {
        let spelled = |n: usize| spellings[n % spellings.len()].replace(['n', 'N'], &round.to_string());
        let begun: Vec<_> = (0..12).map(|n| proxy.begin(&create(&spelled(n)))).collect();
        let mut created = 0;
        for pending in begun {
            let answer = pending.answer();
            if answer.status == 201 {
                created += 1;
            } else {
                answer.expect_refusal(409, "duplicate-value");
            }
        }
        assert_eq!((created, records.lock().expect("records").len()), (1, round + 1), "round {round}");
        let late = expect_duplicate(proxy.ask(&create(&spelled(round))));
        assert!(!late.has("Retry-After"), "{late}");
    }
    proxy.await_rest();
}

#[test]
fn the_origin_is_asked_with_the_clients_own_fields_before_anything_is_forwarded() {
    let (origin, proxy) = with("", LOOK_UP);
    let own = create("bob+a@x.org").field("Authorization", "Bearer 7").field("Expect", "100-continue");
    proxy.ask(&own).expect(201);
    let seen = origin.seen();
    let asked: Vec<(&str, &str)> =
        seen.iter().map(|seen| (seen.method.as_str(), seen.target.as_str())).collect();
    assert_eq!(asked, [("GET", "/lookup?email=bob%2Ba%40x.org"), ("POST", "/customers")]);
    assert_eq!(seen[0].field("Authorization"), Some("Bearer 7"));
    assert_eq!((seen[0].field("Content-Type"), seen[0].field("Content-Length")), (None, None));
    // Another spelling is asked for both ways: nobody knows which one the origin keeps.
    proxy.ask(&create("Rob@x.org")).expect(201);
    let asked: Vec<String> = origin.seen_since(2).iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(asked, ["/lookup?email=rob%40x.org", "/lookup?email=Rob%40x.org", "/customers"]);
}

#[test]
fn a_taken_value_is_refused_and_nothing_is_forwarded() {
    let origin = Origin::start();
    origin.answer_always("GET", "/lookup", with_body("200 OK", "application/json", "[{\"id\":1}]"));
    let proxy = Proxy::in_front_of(&origin, &CUSTOMERS.replace("ROUTE", "").replace("RULE", LOOK_UP));
    let refused = expect_duplicate(proxy.ask(&create("bob@x.org")));
    assert!(!refused.has("Retry-After"), "trying again is in vain\n{refused}");
    assert_eq!(origin.seen_to("POST", "/customers").len(), 0);
    proxy.await_rest();
    proxy.expect_metric(
        "ifmatch_conflicts_total{kind=\"duplicate-value\",mode=\"enforce\",route=\"customers\"}",
        1,
    );
}

#[test]
fn a_look_up_that_tells_nothing_forwards_nothing() {
    let long = format!("[{}]", " ".repeat(2000));
    for answer in [
        empty("500 Internal Server Error", &[]),
        empty("401 Unauthorized", &[]),
        empty("302 Found", &[("Location", "/login")]),
        with_body("200 OK", "application/json", "no json"),
        with_body("200 OK", "application/json", &long),
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n[]".to_vec(),
        b"garbage\r\n\r\n".to_vec(),
    ] {
        let origin = Origin::start();
        let cut = answer.ends_with(b"close\r\n\r\n[]");
        origin.always("GET", "/lookup", move |exchange| {
            exchange.write(&answer)?;
            if cut { exchange.close() } else { Ok(()) }
        });
        let config = CUSTOMERS.replace("ROUTE", "body_limit = \"1KiB\"").replace("RULE", LOOK_UP);
        let proxy = Proxy::in_front_of(&origin, &config);
        let refused = proxy.ask(&create("bob@x.org")).expect_refusal(503, "origin-unreachable");
        assert!(refused.has("Retry-After"), "{refused}");
        assert_eq!(origin.seen_to("POST", "/customers").len(), 0);
        proxy.await_rest();
    }
}

#[test]
fn a_look_up_that_takes_too_long_forwards_nothing() {
    let origin = Origin::start();
    let _held = origin.hold("GET", "/lookup");
    let upstream = "\n[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"200ms\"\n";
    let config = CUSTOMERS.replace("ROUTE", "").replace("RULE", LOOK_UP) + upstream;
    let proxy = Proxy::in_front_of(&origin, &config);
    proxy.ask(&create("bob@x.org")).expect_refusal(503, "origin-unreachable");
    assert_eq!(origin.seen_to("POST", "/customers").len(), 0);
    proxy.await_rest();
}

#[test]
fn a_value_is_held_over_an_unknown_outcome_until_it_is_settled() {
    let (origin, proxy) = with("", LOOK_UP);
    let held = origin.hold("POST", "/customers");
    let first = proxy.begin(&create("bob@x.org"));
    held.arrived();
    held.die();
    first.answer().expect_refusal(502, "outcome-unknown");
    let refused = expect_duplicate(proxy.ask(&create("BOB@x.org")));
    assert!(refused.has("Retry-After"), "{refused}");
    proxy.ask(&create("rob@x.org")).expect(201);
    proxy.await_rest();
    proxy.ask(&create("bob@x.org")).expect(201);
}

#[test]
fn a_create_that_was_not_applied_gives_its_value_back() {
    let (origin, proxy) = with("", LOOK_UP);
    let held = origin.hold("POST", "/customers");
    let first = proxy.begin(&create("bob@x.org"));
    held.arrived();
    held.answer(empty("422 Unprocessable Content", &[]));
    first.answer().expect(422);
    proxy.ask(&create("bob@x.org")).expect(201);
}

#[test]
fn a_client_that_leaves_keeps_its_value_reserved() {
    let (origin, proxy) = with("", LOOK_UP);
    let held = origin.hold("POST", "/customers");
    let first = proxy.begin(&create("bob@x.org"));
    held.arrived();
    first.client().leave();
    expect_duplicate(proxy.ask(&create("bob@x.org")));
    held.release();
    proxy.await_rest();
    proxy.ask(&create("bob@x.org")).expect(201);
}

#[test]
fn what_has_no_value_takes_none() {
    let (origin, proxy) = with("", LOOK_UP);
    let held = origin.hold("POST", "/customers");
    let first = proxy.begin(&request("POST", "/customers").body("{\"email\":null}"));
    held.arrived();
    for body in ["{\"email\":null}", "{}", ""] {
        proxy.ask(&request("POST", "/customers").body(body)).expect(201);
    }
    // Nor does a method that is not listed.
    proxy.ask(&request("DELETE", "/customers").if_match("*").body("{\"email\":\"x\"}"));
    held.release();
    first.answer().expect(201);
    assert_eq!(origin.seen_to("GET", "/lookup").len(), 0);
}

#[test]
fn what_cannot_be_read_is_refused_or_goes_on_as_the_route_says() {
    let (origin, proxy) = with("body_limit = \"64B\"", LOOK_UP);
    for body in ["{\"email\":", "{\"email\":[1]}", "{\"email\":\"a\",\"email\":\"b\"}", "email=a"] {
        proxy.ask(&request("POST", "/customers").body(body)).expect_refusal(400, "unreadable-content");
    }
    proxy.ask(&create(&"x".repeat(64))).expect_refusal(413, "content-too-large");
    assert_eq!(origin.seen_count(), 0);
    let (origin, proxy) = with("unreadable = \"forward\"", LOOK_UP);
    proxy.ask(&request("POST", "/customers").body("{\"email\":")).expect(201);
    assert_eq!(origin.only("POST", "/customers").body, b"{\"email\":");
}

#[test]
fn values_of_several_rules_are_reserved_all_at_once_or_not_at_all() {
    let two = "lookup = \"/lookup?email={value}\"\ntaken = { status = 200, field = \"/0\" }\n\
               [[routes.unique]]\nfield = \"/sku\"";
    let (origin, proxy) = with("", two);
    let create = |email: &str, sku: &str| {
        request("POST", "/customers").body(format!("{{\"email\":\"{email}\",\"sku\":\"{sku}\"}}"))
    };
    let held = origin.hold("POST", "/customers");
    let first = proxy.begin(&create("a", "1"));
    held.arrived();
    let refused = proxy.ask(&create("b", "1")).expect_refusal(409, "duplicate-value");
    assert!(refused.json()["detail"].as_str().is_some_and(|d| d.contains("/sku")), "{refused}");
    // The refused one has left nothing behind.
    proxy.ask(&create("b", "2")).expect(201);
    held.release();
    first.answer().expect(201);
}

#[test]
fn rules_of_one_scope_share_their_values_over_routes_and_forms() {
    let other = "scope = \"email\"\n[[routes]]\nname = \"signup\"\npath = \"/signup\"\nupstream = \"origin\"\n\
                 [[routes.unique]]\nform = \"mail\"\nscope = \"email\"\nnormalise = [\"nfc\", \"trim\", \"case\"]";
    let (origin, proxy) = with("", other);
    let held = origin.hold("POST", "/customers");
    let first = proxy.begin(&create("bob@x.org"));
    held.arrived();
    let signup = request("POST", "/signup").field("Content-Type", "application/x-www-form-urlencoded");
    proxy.ask(&signup.clone().body("mail=BOB%40x.org")).expect_refusal(409, "duplicate-value");
    proxy.ask(&signup.body("mail=rob%40x.org")).expect(201);
    held.release();
    first.answer().expect(201);
}

/// A replica that does not show yet what was just created says "free".
#[test]
fn a_value_that_was_taken_within_the_read_lag_is_not_free() {
    let (origin, proxy) = with("read_lag = \"1h\"", LOOK_UP);
    proxy.ask(&create("bob@x.org")).expect(201);
    expect_duplicate(proxy.ask(&create("bob@x.org")));
    proxy.ask(&create("rob@x.org")).expect(201);
    assert_eq!(origin.seen_to("POST", "/customers").len(), 2);
}

#[test]
fn a_create_that_may_wait_waits_for_the_value_and_is_judged_again() {
    let origin = Origin::start();
    let records = registry(&origin);
    let config = CUSTOMERS.replace("ROUTE", "overlap = \"wait\"").replace("RULE", LOOK_UP);
    let proxy = Proxy::in_front_of(&origin, &config);
    let begun: Vec<_> = (0..4).map(|_| proxy.begin(&create("bob@x.org"))).collect();
    let mut statuses: Vec<u16> = begun.into_iter().map(|pending| pending.answer().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
    assert_eq!(records.lock().expect("records").len(), 1);
}

#[test]
fn observe_mode_counts_and_changes_nothing() {
    let (origin, proxy) = with("mode = \"observe\"", LOOK_UP);
    let series = "ifmatch_conflicts_total{kind=\"duplicate-value\",mode=\"observe\",route=\"customers\"}";
    let held = origin.hold("POST", "/customers");
    let first = proxy.begin(&create("bob@x.org"));
    held.arrived();
    proxy.ask(&create("bob@x.org")).expect(201);
    proxy.expect_metric(series, 1);
    held.release();
    first.answer().expect(201);
    let origin = Origin::start();
    origin.answer_always("GET", "/lookup", empty("500 Internal Server Error", &[]));
    let config = CUSTOMERS.replace("ROUTE", "mode = \"observe\"").replace("RULE", LOOK_UP);
    let proxy = Proxy::in_front_of(&origin, &config);
    let odd = "{ \"email\" : \"Bob@x.org\" }\r\n";
    proxy.ask(&request("POST", "/customers").body(odd)).expect(201);
    assert_eq!(origin.only("POST", "/customers").body, odd.as_bytes());
    let origin = Origin::start();
    origin.answer_always("GET", "/lookup", with_body("200 OK", "application/json", "[1]"));
    let proxy = Proxy::in_front_of(&origin, &config);
    proxy.ask(&create("bob@x.org")).expect(201);
    proxy.expect_metric(series, 1);
    assert_eq!(proxy.conflicts()[0]["kind"], "duplicate-value");
}
