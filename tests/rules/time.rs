//! What the ledger does as time passes, in paused time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ifmatch::decide::claim::{HoldMode, VersionCondition};
use ifmatch::decide::outcome::{UnknownCause, WriteOutcome};
use ifmatch::ledger::memory::{BeginWrite, Begun, LedgerLimits, MemoryLedger, NotBegun, Place};
use ifmatch::ledger::permit::{Company, Look, OnEnd, Told};
use ifmatch::request::version_tag::{ResourceKey, Version};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, advance, sleep};

const A: ResourceKey = ResourceKey(1);
const SETTLE: Duration = Duration::from_secs(5);
const A_BIT: Duration = Duration::from_millis(1);

fn ledger(start_hold: Duration) -> Arc<MemoryLedger> {
    MemoryLedger::new(LedgerLimits { max_resources: 8, settle: SETTLE, start_hold })
}

/// Lets the ledger judge a write to a resource that must be at this version.
async fn judged(ledger: &Arc<MemoryLedger>, version: Version, read_lag: Duration) -> Result<Begun, NotBegun> {
    let condition = VersionCondition { any_of: Some([version].into()), none_of: Vec::new() };
    let target = Place { key: A, mode: HoldMode::Exclusive };
    ledger.begin(&BeginWrite { condition: &condition, read_lag, ..BeginWrite::to(target) }).await
}

async fn at(ledger: &Arc<MemoryLedger>, version: Version) -> Result<Begun, NotBegun> {
    judged(ledger, version, Duration::ZERO).await
}

fn now(ledger: &MemoryLedger) -> Version {
    ledger.version(A, None)
}

async fn begun(ledger: &Arc<MemoryLedger>) -> Begun {
    at(ledger, now(ledger)).await.unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// Writes with the current tag that wait, each for as long as the place is occupied. Counts those that
/// were let through and those that were stale when they were judged again.
async fn waiters(ledger: &Arc<MemoryLedger>, how_many: u32) -> [Arc<AtomicU32>; 2] {
    let counts: [Arc<AtomicU32>; 2] = Default::default();
    let current = now(ledger);
    for _ in 0..how_many {
        let (ledger, [through, stale]) = (ledger.clone(), counts.clone());
        spawn_local(async move {
            let waiter = ledger.waiting().join(A, 10).expect("a place in the queue");
            let judged = loop {
                let mut woken = std::pin::pin!(waiter.woken());
                woken.as_mut().enable();
                match at(&ledger, current).await {
                    Err(NotBegun::Occupied { .. }) => woken.await,
                    judged => break judged,
                }
            };
            match judged {
                Ok(begun) => {
                    through.fetch_add(1, Ordering::Relaxed);
                    begun.permit.settle(WriteOutcome::Applied).await;
                }
                Err(NotBegun::Stale(_)) => {
                    stale.fetch_add(1, Ordering::Relaxed);
                }
                Err(refused) => panic!("{refused:?}"),
            }
        });
    }
    sleep(A_BIT).await;
    counts
}

fn told([through, stale]: &[Arc<AtomicU32>; 2]) -> (u32, u32) {
    (through.load(Ordering::Relaxed), stale.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_a_write_that_was_applied_is_stale() {
    LocalSet::new()
        .run_until(async {
            let ledger = ledger(Duration::ZERO);
            let first = begun(&ledger).await;
            let counts = waiters(&ledger, 3).await;
            assert_eq!(told(&counts), (0, 0));
            first.permit.settle(WriteOutcome::Applied).await;
            sleep(A_BIT).await;
            assert_eq!(told(&counts), (0, 3));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn one_of_those_who_waited_for_a_write_that_came_to_nothing_is_let_through() {
    LocalSet::new()
        .run_until(async {
            let ledger = ledger(Duration::ZERO);
            let first = begun(&ledger).await;
            let counts = waiters(&ledger, 3).await;
            first.permit.settle(WriteOutcome::NotApplied).await;
            sleep(A_BIT).await;
            assert_eq!(told(&counts), (1, 2));
        })
        .await;
}

/// Counts how often it is told.
#[derive(Default)]
struct Ends(AtomicU32);

impl OnEnd for Ends {
    fn places_are_free(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_holds_for_settle_and_then_draws_a_fresh_number() {
    LocalSet::new()
        .run_until(async {
            let ledger = ledger(Duration::ZERO);
            let before = now(&ledger);
            let mut first = begun(&ledger).await;
            let ended: Arc<Ends> = Arc::default();
            let told_of_the_end = ended.clone();
            first.permit.on_end(told_of_the_end);
            first.permit.settle(WriteOutcome::Unknown(UnknownCause::NoAnswerInTime)).await;
            let counts = waiters(&ledger, 2).await;
            sleep(SETTLE - A_BIT - A_BIT).await;
            assert_eq!((now(&ledger), told(&counts)), (before, (0, 0)), "reads go on with the old number");
            let refused = at(&ledger, before).await.err();
            assert_eq!(refused, Some(NotBegun::Occupied { key: A, unsettled_for: Some(A_BIT) }));
            assert_eq!(ended.0.load(Ordering::Relaxed), 0);
            sleep(A_BIT * 2).await;
            assert!(now(&ledger) > before);
            assert_eq!((ended.0.load(Ordering::Relaxed), told(&counts)), (1, (0, 2)));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_is_an_unknown_outcome() {
    let ledger = ledger(Duration::ZERO);
    let before = now(&ledger);
    drop(begun(&ledger).await);
    sleep(SETTLE - A_BIT).await;
    assert!(matches!(
        at(&ledger, before).await.err(),
        Some(NotBegun::Occupied { unsettled_for: Some(_), .. })
    ));
    sleep(A_BIT * 2).await;
    assert!(now(&ledger) > before);
    begun(&ledger).await.permit.settle(WriteOutcome::NotApplied).await;
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_goes_down_with_a_panic_holds_for_the_settle_time() {
    let ledger = ledger(Duration::ZERO);
    let before = now(&ledger);
    let permit = begun(&ledger).await.permit;
    let task = tokio::spawn(async move {
        let _held = permit;
        panic!("a bug of ours");
    });
    assert!(task.await.expect_err("it panics").is_panic());
    assert_eq!((ledger.inspect(A, None).holders, ledger.inspect(A, None).unsettled), (1, true));
    assert_eq!(now(&ledger), before);
    sleep(SETTLE + A_BIT).await;
    assert!(now(&ledger) > before);
    begun(&ledger).await.permit.settle(WriteOutcome::NotApplied).await;
}

/// A look that takes this long, and what it is told of.
fn looking(takes: Duration) -> (Look, Arc<Mutex<Vec<Company>>>) {
    let told: Arc<Mutex<Vec<_>>> = Arc::default();
    let tells = told.clone();
    let look: Look = Box::pin(async move {
        sleep(takes).await;
        let told: Told = Box::new(move |company| tells.lock().expect("a list").push(company));
        told
    });
    (look, told)
}

#[tokio::test(start_paused = true)]
async fn a_look_is_begun_after_settle_and_the_place_is_held_until_it_ends() {
    let ledger = ledger(Duration::ZERO);
    let before = now(&ledger);
    let mut permit = begun(&ledger).await.permit;
    let (look, told) = looking(SETTLE);
    permit.look_before_end(look);
    permit.settle(WriteOutcome::Unknown(UnknownCause::ConnectionLost)).await;
    sleep(SETTLE * 2 - A_BIT).await;
    assert_eq!(
        (ledger.inspect(A, None).holders, now(&ledger)),
        (1, before),
        "reads go on with the old number"
    );
    assert!(matches!(at(&ledger, before).await.err(), Some(NotBegun::Occupied { .. })));
    assert!(told.lock().expect("a list").is_empty());
    sleep(A_BIT * 2).await;
    assert!(now(&ledger) > before);
    assert_eq!(*told.lock().expect("a list"), [Company::Alone]);
}

#[tokio::test(start_paused = true)]
async fn a_look_at_what_others_changed_too_is_told_so() {
    let ledger = ledger(Duration::ZERO);
    let mut permit = begun(&ledger).await.permit;
    let (look, told) = looking(A_BIT);
    permit.look_before_end(look);
    permit.settle(WriteOutcome::Unknown(UnknownCause::ConnectionLost)).await;
    ledger.touch_now(A, Duration::ZERO);
    sleep(SETTLE * 2).await;
    assert_eq!(*told.lock().expect("a list"), [Company::Others]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_holds_nothing_up() {
    let ledger = ledger(Duration::ZERO);
    let before = now(&ledger);
    let mut permit = begun(&ledger).await.permit;
    permit.look_before_end(Box::pin(async { panic!("a bug of ours") }));
    permit.settle(WriteOutcome::Unknown(UnknownCause::ConnectionLost)).await;
    sleep(SETTLE + A_BIT).await;
    assert!(now(&ledger) > before);
    begun(&ledger).await.permit.settle(WriteOutcome::NotApplied).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_where_the_outcome_is_known() {
    for outcome in [WriteOutcome::Applied, WriteOutcome::NotApplied] {
        let ledger = ledger(Duration::ZERO);
        let mut permit = begun(&ledger).await.permit;
        let (look, told) = looking(A_BIT);
        permit.look_before_end(look);
        permit.settle(outcome).await;
        sleep(SETTLE * 2).await;
        assert!(told.lock().expect("a list").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_settlement_that_is_never_awaited_is_an_unknown_outcome() {
    let ledger = ledger(Duration::ZERO);
    drop(begun(&ledger).await.permit.settle(WriteOutcome::NotApplied));
    assert_eq!(ledger.inspect(A, None).holders, 1);
    assert!(ledger.inspect(A, None).unsettled);
}

#[test]
fn a_runtime_that_goes_down_leaves_its_writes_occupying_what_they_do() {
    let ledger = ledger(Duration::ZERO);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let permit = runtime().block_on(begun(&ledger)).permit;
    drop(permit);
    assert_eq!(ledger.inspect(A, None).holders, 1);
    let refused = runtime().block_on(at(&ledger, now(&ledger)));
    assert!(matches!(refused.err(), Some(NotBegun::Occupied { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_new_life_judges_nothing_until_the_writes_of_the_old_one_are_settled() {
    let ledger = ledger(SETTLE);
    let early = ledger.observe(A, None, Duration::ZERO).version;
    let refused = at(&ledger, early).await.err();
    assert_eq!(refused, Some(NotBegun::Starting(SETTLE)));
    advance(SETTLE - A_BIT).await;
    assert!(!ledger.is_open());
    let late = ledger.observe(A, None, Duration::ZERO).version;
    advance(A_BIT).await;
    for stamp in [early, late] {
        assert!(matches!(at(&ledger, stamp).await.err(), Some(NotBegun::Stale(_))), "R10");
    }
    assert!(ledger.is_open());
    begun(&ledger).await.permit.settle(WriteOutcome::NotApplied).await;
}

#[tokio::test(start_paused = true)]
async fn reads_behind_a_write_get_an_older_number_for_as_long_as_they_may_lag() {
    let ledger = ledger(Duration::ZERO);
    let lag = Duration::from_secs(2);
    let first = judged(&ledger, now(&ledger), lag).await.unwrap_or_else(|refused| panic!("{refused:?}"));
    sleep(SETTLE).await;
    let settled_at = Instant::now();
    first.permit.settle(WriteOutcome::Applied).await;
    assert!(ledger.observe(A, None, lag).version < now(&ledger), "counted from the settlement");
    assert!(!ledger.observe(A, None, lag).at_rest);
    ledger.tidy();
    sleep(lag - A_BIT).await;
    assert!(ledger.observe(A, None, lag).version < now(&ledger));
    sleep(A_BIT * 2).await;
    assert!(settled_at.elapsed() > lag);
    assert_eq!(ledger.observe(A, None, lag).version, now(&ledger));
    ledger.tidy();
    assert!(ledger.observe(A, None, lag).at_rest);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_nobody_else() {
    let ledger = ledger(Duration::ZERO);
    let _first = begun(&ledger).await;
    let _waiting: Vec<_> = (0..2).map(|_| ledger.waiting().join(A, 2).expect("room")).collect();
    assert!(ledger.waiting().join(A, 2).is_none());
}
