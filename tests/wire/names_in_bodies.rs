//! Resources that are named in the body: one resource over several paths, the body read and passed on unchanged.

use crate::harness::{Origin, Proxy, RequestText, request};

const RPC: &str = r#"
[[routes]]
name = "update"
path = "/updateOrder"
upstream = "origin"
resource = "order:{body./orderId}"
guard = ["POST"]

[[routes]]
name = "cancel"
path = "/cancelOrder"
upstream = "origin"
resource = "order:{form.orderId}"
guard = ["POST"]

[[routes]]
name = "api"
path = "/api"
upstream = "origin"
resource = "order:{query.id}"
"#;

const FORM: &str = "application/x-www-form-urlencoded";

fn rpc_with(lines: &str) -> (Origin, Proxy) {
    let origin = Origin::start();
    origin.store("/api", "{\"id\":5,\"note\":\"old\"}");
    origin.answer_always("POST", "/updateOrder", crate::harness::empty("200 OK", &[]));
    origin.answer_always("POST", "/cancelOrder", crate::harness::empty("200 OK", &[]));
    let proxy = Proxy::in_front_of(&origin, &RPC.replacen("upstream", &format!("{lines}\nupstream"), 1));
    (origin, proxy)
}

fn update(body: &str) -> RequestText {
    request("POST", "/updateOrder").field("Content-Type", "application/json").body(body)
}

#[test]
fn a_call_and_a_read_that_name_one_order_are_one_resource() {
    let (_origin, proxy) = rpc_with("");
    let tag = proxy.tag("/api?action=show&id=5");
    let other = proxy.tag("/api?action=show&id=6");
    proxy.ask(&update("{\"orderId\": 5}")).expect_refusal(428, "precondition-required");
    proxy.ask(&update("{\"orderId\": 5}").if_match(&tag)).expect(200);
    proxy.ask(&update("{\"orderId\": \"05\"}").if_match(&tag)).expect_refusal(412, "precondition-failed");
    let cancel = |id: &str| request("POST", "/cancelOrder").field("Content-Type", FORM).body(id);
    proxy.ask(&cancel("orderId=5&why=x").if_match(&tag)).expect_refusal(412, "precondition-failed");
    proxy.ask(&cancel("orderId=6&why=x").if_match(&other)).expect(200);
    assert_ne!(proxy.tag("/api?action=show&id=6"), other);
}

#[test]
fn a_body_that_was_read_goes_on_byte_for_byte() {
    let (origin, proxy) = rpc_with("");
    let tag = proxy.tag("/api?action=show&id=5");
    let body = "  {\"orderId\" : 5,\t\"x\":1.0e+0,\"\\u00e9\":\"é\"}\r\n";
    proxy.ask(&update(body).if_match(&tag)).expect(200);
    assert_eq!(origin.only("POST", "/updateOrder").body, body.as_bytes());
}

#[test]
fn a_body_that_does_not_name_the_resource_is_refused_and_nothing_is_forwarded() {
    let (origin, proxy) = rpc_with("");
    for body in [
        "{\"orderId\":",
        "{}",
        "{\"orderId\":null}",
        "{\"orderId\":[5]}",
        "{\"orderId\":5,\"orderId\":6}",
        "",
    ] {
        proxy.ask(&update(body).if_match("\"x\"")).expect_refusal(400, "unreadable-content");
    }
    let coded = update("{\"orderId\":5}").field("Content-Encoding", "gzip").if_match("\"x\"");
    proxy.ask(&coded).expect_refusal(400, "unreadable-content");
    let twice = request("POST", "/cancelOrder").field("Content-Type", FORM).body("orderId=5&orderId=6");
    proxy.ask(&twice.if_match("\"x\"")).expect_refusal(400, "unreadable-content");
    assert_eq!(origin.seen_count(), 0);
    proxy.expect_metric(
        "ifmatch_conflicts_total{kind=\"unreadable-content\",mode=\"enforce\",route=\"update\"}",
        7.0,
    );
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let (origin, proxy) = rpc_with("body_limit = \"32B\"");
    let long = format!("{{\"orderId\":5,\"note\":\"{}\"}}", "x".repeat(32));
    proxy.ask(&update(&long).if_match("\"x\"")).expect_refusal(413, "content-too-large");
    assert_eq!(origin.seen_count(), 0);
}

#[test]
fn what_cannot_be_read_goes_on_where_the_operator_says_so() {
    let (origin, proxy) = rpc_with("unreadable = \"forward\"\nunconditional = \"allow\"");
    proxy.ask(&update("not json")).expect(200);
    assert_eq!(origin.only("POST", "/updateOrder").body, b"not json");
}

#[test]
fn observe_mode_counts_what_cannot_be_read_and_lets_it_through() {
    let (origin, proxy) = rpc_with("mode = \"observe\"");
    proxy.ask(&update("not json")).expect(200);
    assert_eq!(origin.only("POST", "/updateOrder").body, b"not json");
    proxy.expect_metric(
        "ifmatch_conflicts_total{kind=\"unreadable-content\",mode=\"observe\",route=\"update\"}",
        1.0,
    );
}
