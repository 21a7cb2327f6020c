//! One walk through everything: a read, a stale write, a good one.

use crate::given::ITEMS;
use crate::harness::{Origin, Proxy, put, request};

#[test]
fn a_client_that_read_may_write_once_and_then_reads_again() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, ITEMS);
    proxy.ask(&request("PUT", "/items/1").body("blind")).expect_refusal(428, "precondition-required");
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "two").expect(204);
    proxy.put("/items/1", &tag, "three").expect_refusal(412, "precondition-failed");
    assert_eq!(origin.stored("/items/1").as_deref(), Some("two"));
    let fresh = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let first = proxy.begin(&put("/items/1", &fresh, "four"));
    held.arrived();
    proxy.put("/items/1", &fresh, "five").expect_refusal(409, "write-in-flight");
    held.release();
    first.answer().expect(204);
    assert_eq!(origin.stored("/items/1").as_deref(), Some("four"));
    proxy.await_rest();
    proxy.expect_metric(
        "ifmatch_conflicts_total{route=\"item\",kind=\"write-in-flight\",mode=\"enforce\"}",
        1,
    );
}
