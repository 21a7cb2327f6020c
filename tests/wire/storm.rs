//! The promise, over the wire: a storm of clients that all increment one counter of an API that has no
//! preconditions, through the real binary and without it.

use std::sync::Arc;

use ifmatch::demo::legacy_api::{self, Documents};
use ifmatch::demo::storm::{Finding, StormPlan, StormResult, storm};

use crate::harness::{Proxy, with_origin};

/// Writes that meet wait for their turn, so that the storm does not spend its time on pauses.
const ROUTE: &str = r#"
[[routes]]
name = "counter"
path = "/counters/{id}"
upstream = "origin"
overlap = "wait"
max_waiters = 64
"#;

/// 64 clients in all. On one counter, most of a guarded storm's time would go into the refusals of the others
/// at each increment.
const COUNTERS: usize = 16;
const CLIENTS: usize = 4;

/// A storm on each counter at the same time; `increments` in all.
fn run(increments: u64, guarded: bool) -> (Vec<StormResult>, Arc<Documents>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let api = legacy_api::bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let (address, documents) = (api.address(), api.documents());
        let serving = tokio::spawn(api.serve());
        let proxy = guarded.then(|| Proxy::start(&with_origin(address, ROUTE)));
        let target = proxy.as_ref().map_or(address, Proxy::address);
        let mut storms = tokio::task::JoinSet::new();
        for counter in 0..COUNTERS {
            let plan = StormPlan {
                target,
                path: format!("/counters/{counter}"),
                host: "api.example.com".to_owned(),
                clients: CLIENTS,
                increments: increments / COUNTERS as u64,
                guarded,
            };
            storms.spawn(async move { storm(&plan, |_| {}).await.expect("an account") });
        }
        let results = storms.join_all().await;
        if let Some(proxy) = &proxy {
            proxy.await_rest();
        }
        serving.abort();
        (results, documents)
    })
}

#[test]
fn a_storm_through_the_guard_loses_nothing() {
    let (results, documents) = run(10_000, true);
    for result in &results {
        assert_eq!(result.finding(), Finding::Kept, "{result:#?}");
        assert_eq!((result.errors, result.unknown, result.lost), (0, 0, 0), "{result:#?}");
    }
    assert_eq!(results.iter().map(|result| result.acknowledged).sum::<u64>(), 10_000);
    // What the API itself stores and has counted, so that the account does not rest on its clients alone.
    let stored = (0..COUNTERS).filter_map(|counter| documents.counter(&counter.to_string()));
    assert_eq!(stored.sum::<i64>(), 10_000);
    assert_eq!(documents.writes_applied(), 10_000);
    // Otherwise it was no storm.
    let refused: u64 = results.iter().flat_map(|result| result.refused_by_kind.values()).sum();
    assert!(refused > 1_000, "{results:#?}");
}

#[test]
fn the_same_storm_without_the_guard_loses_updates() {
    let (results, documents) = run(2_000, false);
    assert!(results.iter().all(|result| result.lost > 0), "{results:#?}");
    assert_eq!(documents.writes_applied(), 2_000, "each one was acknowledged and applied");
}
