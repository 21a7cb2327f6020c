//! `precondition_from`: the version that a client saw, from where clients put it that do not know If-Match.

use crate::given::items_with;
use crate::harness::{Origin, Proxy, RequestText, request};

fn from(place: &str, lines: &str) -> (Origin, Proxy) {
    let (origin, proxy) = items_with(&format!("precondition_from = {{ {place} }}\n{lines}"));
    origin.store("/items/1", "{\"v\":1}");
    (origin, proxy)
}

fn write(target: &str) -> RequestText {
    request("PUT", target).field("Content-Type", "application/json")
}

#[test]
fn a_parameter_of_the_query_states_what_a_write_replaces() {
    let (origin, proxy) = from("query = \"rev\"", "");
    let tag = proxy.tag("/items/1");
    let bare = tag.trim_matches('"');
    proxy.ask(&write("/items/1?rev=&x=1").body("{}")).expect_refusal(428, "precondition-required");
    proxy.ask(&write("/items/1?rev=a&rev=a").body("{}")).expect_refusal(400, "malformed-precondition");
    proxy.ask(&write("/items/1?rev=no+tag").body("{}")).expect_refusal(412, "precondition-failed");
    proxy.ask(&write(&format!("/items/1?rev={bare}")).body("{}")).expect(204);
    proxy.ask(&write(&format!("/items/1?rev={bare}")).body("{}")).expect_refusal(412, "precondition-failed");
    assert_eq!(origin.only("PUT", "/items/1").target, format!("/items/1?rev={bare}"), "it goes on as it is");
    let quoted = format!("/items/1?rev=%22{}%22", proxy.tag("/items/1").trim_matches('"'));
    proxy.ask(&write(&quoted).body("{}")).expect(204);
    let stale = format!("/items/1?rev={bare}");
    proxy.ask(&write(&stale).if_match(&proxy.tag("/items/1")).body("{}")).expect(204);
}

#[test]
fn a_member_of_the_body_states_it_and_the_body_goes_on_as_it_is() {
    let (origin, proxy) = from("body = \"/_rev\"", "validator = \"content\"");
    let tag = proxy.tag("/items/1");
    let body = format!(" {{\"_rev\": \"{}\",\"n\":1.0}}", tag.trim_matches('"'));
    proxy.ask(&write("/items/1").body("{}")).expect_refusal(428, "precondition-required");
    proxy.ask(&write("/items/1").body("{\"_rev\":")).expect_refusal(400, "unreadable-content");
    proxy.ask(&write("/items/1").body(&body)).expect(204);
    assert_eq!(origin.only("PUT", "/items/1").text(), body);
    proxy.ask(&write("/items/1").body(&body)).expect_refusal(412, "precondition-failed");
}

#[test]
fn a_field_of_a_form_states_it() {
    let (origin, proxy) = from("form = \"version\"", "validator = \"origin\"\nversion_field = \"/v\"");
    let form = |body: &str| {
        request("PUT", "/items/1").field("Content-Type", "application/x-www-form-urlencoded").body(body)
    };
    proxy.ask(&form("a=1&version=")).expect_refusal(428, "precondition-required");
    proxy.ask(&form("a=1&version=2")).expect_refusal(412, "precondition-failed");
    proxy.ask(&form("a=1&version=1")).expect(204);
    assert_eq!(origin.only("PUT", "/items/1").text(), "a=1&version=1");
}

#[test]
fn a_field_of_its_own_states_it_and_stays_behind_where_the_tags_are_ours() {
    for (lines, passes) in [("", false), ("validator = \"content\"", false), ("validator = \"origin\"", true)]
    {
        let (origin, proxy) = from("header = \"X-Version\"", lines);
        let tag = proxy.tag("/items/1");
        let stated = write("/items/1").field("X-Version", &tag);
        proxy.ask(&write("/items/1").body("{}")).expect_refusal(428, "precondition-required");
        proxy.ask(&stated.clone().body("{}")).expect(204);
        assert_eq!(origin.only("PUT", "/items/1").has("X-Version"), passes, "{lines}");
        proxy.ask(&stated.body("{}")).expect_refusal(412, "precondition-failed");
    }
}

/// Many an origin shows the version that the query names, which the write would always match.
#[test]
fn a_look_does_not_ask_for_the_stated_version() {
    let (origin, proxy) = from("query = \"rev\"", "validator = \"content\"");
    let bare = proxy.tag("/items/1").trim_matches('"').to_owned();
    proxy.ask(&write(&format!("/items/1?a=1&rev={bare}")).body("{}")).expect(204);
    let looks = origin.seen_to("GET", "/items/1");
    assert_eq!(looks.last().expect("a look").target, "/items/1?a=1");
}

#[test]
fn what_is_stated_elsewhere_is_translated_for_an_origin_that_compares_it_itself() {
    let (origin, proxy) = from("query = \"rev\"", "validator = \"origin\"\norigin_enforces = true");
    proxy.ask(&write("/items/1?rev=2-abc").body("{}")).expect(204);
    let seen = origin.only("PUT", "/items/1");
    assert_eq!((seen.field("If-Match"), seen.target.as_str()), (Some("\"2-abc\""), "/items/1?rev=2-abc"));
    // Forwarded without If-Match, it would replace whatever is there.
    proxy.ask(&write("/items/1?rev=no+tag").body("{}")).expect_refusal(412, "precondition-failed");
    proxy.ask(&write("/items/1").body("{}")).expect_refusal(428, "precondition-required");
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 1);
}

#[test]
fn observe_mode_translates_nothing() {
    let lines = "validator = \"origin\"\norigin_enforces = true\nmode = \"observe\"";
    let (origin, proxy) = from("query = \"rev\"", lines);
    proxy.ask(&write("/items/1?rev=2-abc").body("{}")).expect(204);
    proxy.ask(&write("/items/1?rev=no+tag").body("{}")).expect(204);
    assert!(origin.seen_to("PUT", "/items/1").iter().all(|seen| !seen.has("If-Match")));
    proxy.expect_metric(
        "ifmatch_conflicts_total{kind=\"precondition-failed\",mode=\"observe\",route=\"item\"}",
        1,
    );
}
