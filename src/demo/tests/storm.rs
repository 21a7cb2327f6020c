//! A storm ends whatever it meets, and its account is true.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::toy_guard::{self, Behaviour};
use super::{ANY, start_legacy_api};
use crate::demo::storm::{Finding, StormError, StormPlan, StormResult, storm, storm_with};

fn plan(target: SocketAddr, guarded: bool) -> StormPlan {
    let path = "/counters/c".to_owned();
    StormPlan { target, path, host: target.to_string(), clients: 16, increments: 400, guarded }
}

/// Why this is certain in practice: 16 clients read within the first 2 ms, all see 0 and all write 1, and
/// so on in waves. For nothing to be lost, no two of 400 read-to-store spans of 2 ms and more, which 16
/// connections have open at any time, could overlap.
#[tokio::test]
async fn a_direct_storm_loses_updates() {
    let (address, documents) = start_legacy_api().await;
    let result = storm(&plan(address, false), |_| {}).await.unwrap();
    assert_eq!((result.acknowledged, result.attempts, result.errors), (400, 400, 0));
    assert!(result.lost > 0, "{result:?}");
    assert_eq!(result.finding(), Finding::Lost(result.lost.unsigned_abs()));
    assert_eq!(documents.counter("c"), Some(result.final_value));
    assert_eq!(documents.writes_applied(), 400);
    assert!(result.refused_by_kind.is_empty() && result.first_tag.is_none());
}

#[tokio::test]
async fn a_guarded_storm_reads_again_after_a_refusal_and_loses_nothing() {
    let guard = toy_guard::start(Behaviour::Honest).await;
    let told = AtomicU64::new(0);
    let tell = |now| told.store(now, Ordering::Relaxed);
    let result = storm(&plan(guard, true), tell).await.unwrap();
    assert_eq!((result.acknowledged, result.final_value, result.lost), (400, 400, 0));
    assert_eq!(result.finding(), Finding::Kept);
    let refused: u64 = result.refused_by_kind.values().sum();
    assert_eq!(result.attempts, 400 + refused);
    assert!(refused > 0, "clients at once never met: {result:?}");
    assert!(result.refused_by_kind.keys().eq(["precondition-failed"]), "{result:?}");
    assert_eq!(result.first_tag.as_deref(), Some("\"v0\""));
    assert_eq!(told.into_inner(), 400);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_counted_as_unknown() {
    let guard = toy_guard::start(Behaviour::LosesAnAnswer).await;
    let result = storm(&plan(guard, true), |_| {}).await.unwrap();
    assert_eq!((result.acknowledged, result.unknown, result.errors), (400, 1, 1));
    assert_eq!((result.final_value, result.lost), (401, -1));
    // It grew by one more than was acknowledged: the unknown write was applied, and none is missing.
    assert_eq!(result.finding(), Finding::Kept);
}

#[tokio::test]
async fn an_unknown_write_that_was_not_applied_leaves_the_finding_unclear() {
    let guard = toy_guard::start(Behaviour::LosesAWrite).await;
    let result = storm(&plan(guard, true), |_| {}).await.unwrap();
    // The same numbers as if it had been applied and another increment had been lost.
    assert_eq!((result.unknown, result.lost), (1, 0));
    assert_eq!(result.finding(), Finding::Unclear);
}

async fn error_of(plan: &StormPlan) -> StormError {
    // Nothing here depends on how short the patience is: no increment is ever acknowledged.
    storm_with(plan, Duration::from_millis(500), |_| {}).await.unwrap_err()
}

#[tokio::test]
async fn a_guard_that_refuses_everything_ends_the_storm() {
    let guard = toy_guard::start(Behaviour::Stubborn).await;
    let error = error_of(&plan(guard, true)).await;
    assert!(matches!(error, StormError::Stalled { acknowledged: 0, .. }), "{error}");
}

#[tokio::test]
async fn a_guard_that_accepts_and_says_nothing_ends_the_storm() {
    let silent = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let error = error_of(&plan(silent.local_addr().unwrap(), true)).await;
    assert!(matches!(error, StormError::Stalled { acknowledged: 0, .. }), "{error}");
}

#[tokio::test]
async fn clients_give_up_where_nobody_listens_or_everything_fails() {
    // Bound and not listening: connections are refused, and no other test can get the port.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind(ANY).unwrap();
    let gone = bound.local_addr().unwrap();
    let failing = toy_guard::start(Behaviour::NeverReady).await;
    for target in [gone, failing] {
        let error = storm(&plan(target, true), |_| {}).await.unwrap_err();
        assert!(matches!(error, StormError::GaveUp { failures: 10, .. }), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_work_is_said_before_the_storm() {
    let (address, _) = start_legacy_api().await;
    let error = error_of(&plan(address, true)).await;
    assert!(matches!(error, StormError::NoEntityTag), "{error}");
    let error = error_of(&StormPlan { clients: 0, ..plan(address, false) }).await;
    assert_eq!(error.to_string(), "a storm needs at least one client and one increment; found 0 and 400");
    let error = error_of(&StormPlan { path: "/other".to_owned(), ..plan(address, false) }).await;
    assert_eq!(
        error.to_string(),
        "GET of the counter was answered with 404 Not Found (there is nothing here)"
    );
}

#[test]
fn a_finding_claims_no_more_than_the_numbers_prove() {
    let finding = |lost, unknown| {
        let result = StormResult {
            acknowledged: 10,
            initial_value: 0,
            final_value: 10 - lost,
            lost,
            refused_by_kind: Default::default(),
            attempts: 10,
            errors: unknown,
            unknown,
            elapsed: Duration::ZERO,
            first_tag: None,
        };
        result.finding()
    };
    assert_eq!(finding(0, 0), Finding::Kept);
    assert_eq!(finding(3, 0), Finding::Lost(3));
    assert_eq!(finding(3, 2), Finding::Lost(3));
    assert_eq!(finding(0, 2), Finding::Unclear);
    assert_eq!(finding(-1, 2), Finding::Unclear);
    assert_eq!(finding(-2, 2), Finding::Kept);
    // More than anyone in the storm can have written.
    assert_eq!(finding(-1, 0), Finding::Unclear);
}

#[test]
fn a_storm_can_be_spawned() {
    fn spawnable<T: Send>(_: T) {}
    spawnable(storm(&plan(ANY, false), |_| {}));
}
