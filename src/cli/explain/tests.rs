use super::*;

const FILE: &str = r#"
[upstreams.u]
servers = ["a:1"]
[[routes]]
name = "order"
path = "/orders/{id}"
upstream = "u"
resource = "order:{id}"
also_changes = ["orders"]
verify_unknown = true
params = { id = "[1-9][0-9]*" }
[[routes]]
name = "customers"
path = "/customers/{id}"
upstream = "u"
create = "only"
unique = [{ field = "/email", normalise = ["trim", "case"], scope = "mail", methods = ["POST", "PUT"], lookup = "/find?email={value}" }]
transitions = { field = "/state", to = { body = "/state" }, look = "/c/{id}", allowed = { new = ["active"], old = ["active"] } }
translate = [{ status = [500, 502], field = "/code", pattern = "^E1$", not_applied = true }]
[[routes]]
name = "call"
path = "/call"
upstream = "u"
resource = "{query.id}"
mode = "observe"
[[routes]]
name = "product"
path = "/products/{id}"
upstream = "u"
validator = "content"
ignore = ["/at"]
precondition_from = { query = "rev" }
[[routes]]
name = "document"
path = "/db/{id}"
upstream = "u"
validator = "origin"
origin_enforces = true
[[routes]]
name = "pay"
path = "/pay/{id}"
upstream = "u"
principal = { header = "Authorization" }
already_applied = "answer"
cors = true
idempotency = { required = true }
[[routes]]
name = "raw"
hosts = ["raw.example.com"]
path = "/{*rest}"
upstream = "u"
mode = "off"
"#;

fn ask(method: &str, url: &str, fields: &[&str]) -> String {
    let question = Question {
        file: PathBuf::new(),
        method: method.into(),
        url: url.into(),
        content: None,
        fields: fields.iter().map(|field| (*field).into()).collect(),
    };
    let config = config::parse("f", FILE).expect("correct");
    told(&config, &Asked::read(&question).expect("a request"))
}

#[track_caller]
fn says(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "{part:?} in\n{told}");
    }
}

#[test]
fn a_blind_write_hears_428_and_its_resource() {
    let told = ask("PUT", "/Orders//17/?x=1", &[]);
    says(&told, &["route         order: ", "resource      order:17", "also changes  orders"]);
    says(&told, &["guarded write", "precondition  none", "decision      428 precondition-required: "]);
}

#[test]
fn what_tags_stand_for_is_told_and_where_they_come_from() {
    let told = ask("PUT", "/products/17?rev=c-1", &[]);
    says(&told, &["tags          stand for a digest of the content, in JSON without /at"]);
    says(&told, &["precondition  the parameter rev, as if it stood in If-Match"]);
    says(&told, &["decision      forwarded if the origin, asked first, shows \"c-1\"\n"]);
    let told = ask("PUT", "/products/17?rev=", &[]);
    says(&told, &["the parameter rev states nothing", "decision      428 precondition-required: "]);
    says(&ask("PUT", "/products/17?rev=1&rev=2", &[]), &["decision      400 malformed-precondition: "]);
    let told = ask("PUT", "/db/17", &["If-Match: \"2-a\""]);
    says(&told, &["If-Match: \"2-a\": passed on; the origin compares it", "forwarded: the origin judges it"]);
}

#[test]
fn a_look_at_unknown_outcomes_is_told() {
    let asked = "if its outcome is unknown: the origin is asked after `settle` whether it took effect";
    says(&ask("PUT", "/orders/17", &["If-Match: *"]), &[asked]);
    assert!(!ask("PUT", "/call?id=1", &["If-Match: *"]).contains(asked));
}

#[test]
fn a_tag_is_taken_apart() {
    let tag = "If-Match: \"0000000000000007.ccccdddd.1f.00000003\"";
    says(
        &ask("PUT", "/orders/17", &[tag]),
        &["forwarded if the resource's version is 31 of the ledger's life"],
    );
    let weak = "If-Match: W/\"0000000000000007.ccccdddd.1f.00000003\"";
    says(&ask("PUT", "/orders/17", &[weak]), &["compared strongly", "decision      412 precondition-failed"]);
    says(&ask("PUT", "/orders/17", &["If-Match: \"abc\""]), &["not a tag of ifmatch's making", "412 "]);
    says(&ask("PUT", "/orders/17", &["If-Match: abc"]), &["400 malformed-precondition: "]);
}

#[test]
fn what_asks_the_origin_says_so() {
    says(&ask("PUT", "/orders/17", &["If-Match: *"]), &["exists", "counted as an override"]);
    says(&ask("PUT", "/orders/17", &["If-None-Match: *"]), &["does not exist"]);
    let date = "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT";
    says(&ask("DELETE", "/orders/17", &[date]), &["Last-Modified is not after", "428"]);
    let told = ask("DELETE", "/orders/17", &["If-Unmodified-Since: yesterday"]);
    says(
        &told,
        &["ignored       if-unmodified-since: it is not one valid HTTP-date", "428 precondition-required"],
    );
}

#[test]
fn overrides_and_ambiguous_targets_are_told() {
    let told = ask("POST", "/orders/17", &["X-HTTP-Method-Override: put"]);
    says(&told, &["with the override put: a guarded write", "428 "]);
    says(&ask("PUT", "/orders/0x11", &[]), &["400 ambiguous-target: ", "`id`"]);
    says(&ask("PUT", "/orders/1%5C7", &[]), &["400 ambiguous-target: ", "a backslash"]);
    says(&ask("PUT", "/orders/1%2F7", &[]), &["400 ambiguous-target: ", "an encoded slash"]);
    says(&ask("PUT", "/call", &[]), &["no query parameter `id`", "counted and logged, and forwarded"]);
}

#[test]
fn reads_other_methods_and_unmanaged_routes_are_told_too() {
    says(&ask("GET", "/orders/17", &["If-None-Match: \"a\""]), &["effect        GET: a read", "304 if"]);
    says(&ask("OPTIONS", "/orders/17", &[]), &["never conditional", "forwarded as it is"]);
    says(&ask("POST", "/orders/17", &[]), &["needs no precondition", "also beside other writes"]);
    says(&ask("PUT", "http://raw.example.com/x", &[]), &["route         raw: ", "mode = \"off\""]);
    says(
        &ask("PUT", "/nowhere", &[]),
        &["none: no route takes /nowhere", "order takes /orders/{id}", "404 no-route"],
    );
}

#[test]
fn observe_mode_is_told_with_what_would_be_decided() {
    let passes = "mode          \"observe\": the request and its answer pass as they are";
    let told = ask("GET", "/call?id=1", &["If-Match: \"abc\""]);
    says(&told, &[passes, "keeps the origin's own tag", "would be refused is counted"]);
    says(&ask("OPTIONS", "/call?id=1", &[]), &[passes, "forwarded as it is"]);
    let told = ask("PUT", "/call?id=1", &["If-Match: \"abc\""]);
    says(
        &told,
        &[passes, "412 precondition-failed", "not counted if it is the tag that the origin last showed"],
    );
    assert!(!told.contains("stays behind"), "{told}");
    let ours = "If-Match: \"0000000000000007.ccccdddd.1f.00000003\"";
    says(&ask("PUT", "/call?id=1", &[ours]), &["if-match stays behind: its tags are of ifmatch's making"]);
    says(&ask("PUT", "/call?id=1", &[]), &["428 precondition-required", "forwarded all the same"]);
    assert!(!ask("PUT", "/orders/17", &[]).contains("observe"));
}

#[test]
fn every_mistake_of_a_question_is_told() {
    let question = Question {
        file: PathBuf::new(),
        method: "P UT".into(),
        url: "orders".into(),
        content: None,
        fields: vec!["nonsense".into()],
    };
    let mistakes = Asked::read(&question).err().expect("three mistakes");
    assert_eq!(
        mistakes,
        [
            "METHOD: \"P UT\" is not a method; expected one like PUT",
            "URL: \"orders\" has no path; expected one like /orders/17 or http://api.example.com/orders/17",
            "-H: \"nonsense\" is not a field; expected 'Field: value'",
        ]
    );
}

fn ask_with(method: &str, url: &str, content: &str) -> String {
    let question = Question {
        file: PathBuf::new(),
        method: method.into(),
        url: url.into(),
        content: Some(content.into()),
        fields: Vec::new(),
    };
    let config = config::parse("f", FILE).expect("correct");
    told(&config, &Asked::read(&question).expect("a request"))
}

#[test]
fn rules_about_values_states_and_answers_are_told() {
    let told = ask_with("PUT", "/customers/A", r#"{"email":" Bob@x.org","state":"active"}"#);
    says(
        &told,
        &["create        \"only\": what exists is not replaced", "shows that the resource does not exist"],
    );
    says(&told, &["else 409 already-exists"]);
    assert!(!told.contains("428"), "{told}");
    says(&told, &["unique        \"bob@x.org\" at /email, in the scope \"mail\""]);
    says(
        &told,
        &["GET /find?email=bob%40x.org is asked first", "GET /find?email=%20Bob%40x.org is asked first"],
    );
    says(&told, &["to \"active\": allowed from new, old, itself", "GET /c/A shows the state at /state"]);
    let told_of_a_move = ask_with("POST", "/customers/A", r#"{"state":"active"}"#);
    says(&told_of_a_move, &["while another write to the resource is in flight: 409 write-in-flight"]);
    says(&told, &["translate     an answer 500, 502 with text of ^E1$ at /code: 409 origin-conflict"]);
    let told = ask_with("POST", "/customers/A", "{}");
    says(&told, &["no value at /email (-d): nothing to reserve", "states no state: no move"]);
    assert!(!told.contains("already-exists"), "{told}");
    let told = ask_with("POST", "/customers/A", "{");
    says(&told, &["the content (-d) is not a JSON text", "400 unreadable-content"]);
    assert!(!ask_with("DELETE", "/customers/A", "{").contains("unique"));
}

#[test]
fn requests_that_may_be_sent_twice_are_told() {
    let told = ask("POST", "/pay/1", &["Idempotency-Key: \"k\""]);
    says(
        &told,
        &[
            "first request with this key (its principal's",
            "409 idempotency-key-in-use",
            "decision      forwarded",
        ],
    );
    let told = ask("POST", "/pay/1", &["Idempotency-Key: k"]);
    says(&told, &["no key that can be read", "decision      400 idempotency-key-missing: "]);
    assert!(!told.contains("forwarded"), "{told}");
    says(&ask("PUT", "/pay/1", &["If-Match: \"x\""]), &["last applied write of its principal"]);
}

#[test]
fn a_preflight_for_our_fields_is_told() {
    let told = ask("OPTIONS", "/pay/1", &["Access-Control-Request-Headers: if-match, x-other"]);
    says(&told, &["cors: allows If-Match to pages"]);
}
