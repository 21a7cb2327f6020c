//! Configurations that many tests start from.

use crate::harness::{Origin, Proxy};

/// One guarded route, `/items/{id}`, and a settle time that a test can wait out. The route is the last
/// table, so that lines can be added to it.
pub const ITEMS: &str = r#"
[ledger]
settle = "300ms"

[[routes]]
name = "item"
path = "/items/{id}"
upstream = "origin"
"#;

/// An origin with `/items/1`, and the proxy in front of it.
pub fn items() -> (Origin, Proxy) {
    items_with("")
}

/// The same, with more lines in the route or more tables after it.
pub fn items_with(lines: &str) -> (Origin, Proxy) {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, &format!("{ITEMS}{lines}\n"));
    (origin, proxy)
}

/// The collection `/items` and the items in it, both guarded.
pub fn collection() -> (Origin, Proxy) {
    items_with("[[routes]]\nname = \"items\"\npath = \"/items\"\nupstream = \"origin\"\n")
}
