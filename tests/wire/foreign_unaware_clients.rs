//! Two clients from npm that never send a precondition, unchanged, in front of json-server: with
//! `unconditional = "infer"` no update of theirs is lost, and who writes over what it has not seen hears 409.

use serde_json::{Value, json};

use crate::foreign::{Foreign, Program, installed, run};
use crate::harness::{Client, Proxy, request, with_origin};

const POSTS: &str = r#"
[[routes]]
name = "post"
path = "/posts/{id}"
upstream = "origin"
unconditional = "infer"
principal = { header = "Authorization" }
"#;

const KINDS: [&str; 2] = ["axios", "react-admin"];

fn json_server(foreign: &Foreign) -> Program {
    foreign.json_server(&json!({"posts": [{"id": 1, "title": "counter", "value": 0}]}))
}

fn value(origin: &Program) -> Value {
    Client::connect(origin.address()).ask(&request("GET", "/posts/1")).json()["value"].clone()
}

/// What the clients counted.
#[track_caller]
fn play(foreign: &Foreign, kind: &str, address: std::net::SocketAddr, game: [&str; 3]) -> Value {
    let mut node = foreign.node(include_str!("foreign_unaware_clients/clients.js"));
    node.args([kind, &format!("http://{address}")]).args(game);
    let output = run(&mut node);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{kind} {game:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn without_the_guard_both_clients_lose_updates() {
    let Some(foreign) = installed() else { return };
    for kind in KINDS {
        let origin = json_server(&foreign);
        let told = play(&foreign, kind, origin.address(), ["lose", "2", "1"]);
        assert_eq!(told, json!({"acknowledged": 2, "conflicts": {}}), "{kind}");
        assert_eq!(value(&origin), 1, "{kind}: two were acknowledged");
    }
}

#[test]
fn a_client_that_has_not_seen_the_latest_state_hears_409() {
    let Some(foreign) = installed() else { return };
    for kind in KINDS {
        let origin = json_server(&foreign);
        let proxy = Proxy::start(&with_origin(origin.address(), POSTS));
        let told = play(&foreign, kind, proxy.address(), ["lose", "5", "1"]);
        assert_eq!(told, json!({"acknowledged": 1, "conflicts": {"stale-view": 4}}), "{kind}");
        assert_eq!(value(&origin), 1, "{kind}");
        proxy.expect_metric("ifmatch_conflicts_total{kind=\"stale-view\",mode=\"enforce\"}", 4);
    }
}

#[test]
fn in_a_storm_of_clients_no_update_is_lost() {
    let Some(foreign) = installed() else { return };
    for kind in KINDS {
        let origin = json_server(&foreign);
        let proxy = Proxy::start(&with_origin(origin.address(), POSTS));
        let told = play(&foreign, kind, proxy.address(), ["storm", "8", "15"]);
        assert_eq!(told["acknowledged"], 120, "{kind}");
        assert_eq!(value(&origin), 120, "{kind}: {told}");
        let conflicts: f64 = told["conflicts"]
            .as_object()
            .expect("by kind")
            .iter()
            .map(|(kind, count)| {
                assert!(matches!(kind.as_str(), "stale-view" | "write-in-flight"), "{told}");
                count.as_f64().expect("a number")
            })
            .sum();
        assert!(conflicts > 0.0, "{kind}: they do meet each other");
        proxy.expect_metric("ifmatch_conflicts_total{mode=\"enforce\"}", conflicts);
    }
}
