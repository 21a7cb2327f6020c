//! A storm of honest clients that all increment one counter, and the account of it afterwards: how many
//! increments were acknowledged, and how many of them the counter still holds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use super::account::{Finding, StormError, StormResult};
use super::connection::Delivery;
use super::honest_client::{HonestClient, Seen, Trouble, Written};

/// A storm without a single acknowledgement for this long is over. Three times the default `settle`, so
/// that a guard which waits out an unknown outcome does not look broken.
const PATIENCE: Duration = Duration::from_secs(15);
/// A client gives up after this many failures in a row: a target that is gone is told apart from one
/// that lost a connection.
const FAILURES_IN_A_ROW: u32 = 10;
/// Between a failure and the next try, if the answer says nothing of it.
const PAUSE: Duration = Duration::from_millis(20);
/// No `Retry-After` is followed for longer; less than [`PATIENCE`], so that it cannot end the storm.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often progress is told: often enough for an eye.
const TICK: Duration = Duration::from_millis(50);

/// What a storm does.
#[derive(Clone, Debug)]
pub struct StormPlan {
    /// Where the clients connect to: the API itself, or the guard in front of it.
    pub target: SocketAddr,
    /// The counter's path.
    pub path: String,
    /// The Host field.
    pub host: String,
    /// How many clients, each with one connection.
    pub clients: usize,
    /// How many increments are to be acknowledged, over all clients.
    pub increments: u64,
    /// Whether the clients send If-Match with what they read.
    pub guarded: bool,
}

/// What all clients count together.
#[derive(Default)]
struct Tally {
    /// Increments that no client has taken on yet: each is taken once, so that the acknowledged ones
    /// are exactly as many as planned.
    left: u64,
    acknowledged: u64,
    refused_by_kind: BTreeMap<String, u64>,
    attempts: u64,
    errors: u64,
    unknown: u64,
}

impl Tally {
    fn take_increment(&mut self) -> bool {
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

/// Runs a storm; `progress` hears now and then how many increments are acknowledged.
///
/// It ends by itself whatever the target does: with an account, or with an error. Dropping the future
/// ends all its clients.
pub async fn storm(plan: &StormPlan, progress: impl Fn(u64)) -> Result<StormResult, StormError> {
    storm_with(plan, PATIENCE, progress).await
}

pub(super) async fn storm_with(
    plan: &StormPlan,
    patience: Duration,
    progress: impl Fn(u64),
) -> Result<StormResult, StormError> {
    if plan.clients == 0 || plan.increments == 0 {
        return Err(StormError::Plan(format!(
            "a storm needs at least one client and one increment; found {} and {}",
            plan.clients, plan.increments
        )));
    }
    let stalled = |acknowledged| StormError::Stalled { patience, acknowledged };
    let tally = Arc::new(Mutex::new(Tally { left: plan.increments, ..Tally::default() }));
    let mut observer = HonestClient::new(plan)?;
    let first = tokio::time::timeout(patience, read(&mut observer, &tally)).await;
    let first = first.map_err(|_| stalled(0))??;
    if plan.guarded && first.tag.is_none() {
        return Err(StormError::NoEntityTag);
    }

    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..plan.clients {
        clients.spawn(increment_until_done(HonestClient::new(plan)?, plan.guarded, tally.clone()));
    }
    let mut ticks = tokio::time::interval(TICK);
    let mut last = (0, started);
    loop {
        tokio::select! {
            ended = clients.join_next() => match ended {
                None => break,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => return Err(error),
                Some(Err(died)) => return Err(StormError::ClientDied(died.to_string())),
            },
            now = ticks.tick() => {
                let acknowledged = tally.lock().acknowledged;
                progress(acknowledged);
                if acknowledged > last.0 {
                    last = (acknowledged, now);
                } else if now.saturating_duration_since(last.1) > patience {
                    return Err(stalled(acknowledged));
                }
            }
        }
    }
    let elapsed = started.elapsed();
    let last = tokio::time::timeout(patience, read(&mut observer, &tally)).await;
    let last = last.map_err(|_| stalled(plan.increments))??;
    let tally = std::mem::take(&mut *tally.lock());
    progress(tally.acknowledged);
    Ok(StormResult {
        acknowledged: tally.acknowledged,
        initial_value: first.value,
        final_value: last.value,
        lost: tally.acknowledged.cast_signed().saturating_sub(last.value.saturating_sub(first.value)),
        refused_by_kind: tally.refused_by_kind,
        attempts: tally.attempts,
        errors: tally.errors,
        unknown: tally.unknown,
        elapsed,
        first_tag: first.tag.and_then(|tag| tag.to_str().ok().map(str::to_owned)),
    })
}

/// One client's part: it takes increments on, one at a time, until none is left.
async fn increment_until_done(
    mut client: HonestClient,
    guarded: bool,
    tally: Arc<Mutex<Tally>>,
) -> Result<(), StormError> {
    while tally.lock().take_increment() {
        let mut failures = Failures::default();
        let mut refusals = 0;
        loop {
            let seen = read(&mut client, &tally).await?;
            let tag = if guarded { Some(seen.tag.ok_or(StormError::NoEntityTag)?) } else { None };
            let next = seen.value.checked_add(1);
            let next = next.ok_or_else(|| StormError::Plan("the counter is at its end".to_owned()))?;
            tally.lock().attempts += 1;
            match client.write(next, tag).await {
                Ok(Written::Acknowledged) => {
                    tally.lock().acknowledged += 1;
                    break;
                }
                Ok(Written::Refused { kind, wait }) => {
                    *tally.lock().refused_by_kind.entry(kind).or_default() += 1;
                    failures = Failures::default();
                    refusals += 1;
                    tokio::time::sleep(
                        wait.map_or_else(|| crowd_pause(refusals), |wait| wait.min(LONGEST_PAUSE)),
                    )
                    .await;
                }
                Err(trouble) => {
                    if let Trouble::Passing { delivery: Delivery::MayHaveArrived, .. } = trouble {
                        tally.lock().unknown += 1;
                    }
                    failures.survive(trouble, &tally).await?;
                }
            }
        }
    }
    Ok(())
}

/// What a well-behaved client does when it meets a crowd: it waits a random time, longer with every
/// refusal in a row. Without it each acknowledged write would cost everybody else a refusal.
fn crowd_pause(refusals: u32) -> Duration {
    const LONGEST_MILLIS: u64 = 256;
    let ceiling = 2_u64.saturating_pow(refusals).min(LONGEST_MILLIS);
    Duration::from_millis(rand::random_range(0..=ceiling))
}

/// Reads until there is an answer to work with.
async fn read(client: &mut HonestClient, tally: &Mutex<Tally>) -> Result<Seen, StormError> {
    let mut failures = Failures::default();
    loop {
        match client.read().await {
            Ok(seen) => return Ok(seen),
            Err(trouble) => failures.survive(trouble, tally).await?,
        }
    }
}

/// Failures in a row.
#[derive(Default)]
struct Failures(u32);

impl Failures {
    /// Counts a failure and waits before the next try, or ends the client.
    async fn survive(&mut self, trouble: Trouble, tally: &Mutex<Tally>) -> Result<(), StormError> {
        match trouble {
            Trouble::Lasting(error) => Err(error),
            Trouble::Passing { why, wait, .. } => {
                tally.lock().errors += 1;
                self.0 += 1;
                if self.0 >= FAILURES_IN_A_ROW {
                    return Err(StormError::GaveUp { failures: self.0, last: why });
                }
                tokio::time::sleep(wait.unwrap_or(PAUSE).min(LONGEST_PAUSE)).await;
                Ok(())
            }
        }
    }
}
