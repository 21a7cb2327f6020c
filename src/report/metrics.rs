//! The metrics, registered once, and the handles that a route's requests use.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::counts::{RefusalCounts, RequestCounts};
use super::durations::{Durations, DurationsVec, durations};
use super::limits_hit::LimitsHit;
use super::names;
use crate::decide::idempotency::SentBefore;
use crate::decide::outcome::WriteOutcome;
use crate::decide::took_effect::TookEffect;

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    conflicts: IntCounterVec,
    refusals: IntCounterVec,
    overrides: IntCounterVec,
    unknown_outcomes: IntCounterVec,
    verified: IntCounterVec,
    writes_settled: IntCounterVec,
    writes_in_flight: IntGaugeVec,
    writes_waiting: IntGaugeVec,
    request_duration: DurationsVec,
    upstream_duration: DurationsVec,
    read_to_write: DurationsVec,
    bypass_writes: IntCounterVec,
    untagged_reads: IntCounterVec,
    sent_twice: IntCounterVec,
    origin_connections: IntGaugeVec,
    ledger_errors: IntCounterVec,
    /// Time spent on deciding.
    pub decision_duration: Durations,
    /// Entries in the ledger.
    pub ledger_resources: IntGauge,
    /// Entries forgotten.
    pub ledger_evictions: IntCounter,
    /// Views of what clients last read.
    pub views: IntGauge,
    /// Views forgotten.
    pub view_evictions: IntCounter,
    /// Idempotency keys that are known.
    pub idempotency_keys: IntGauge,
    /// Those that were forgotten before their time.
    pub idempotency_keys_forgotten: IntCounter,
    /// Client connections open now.
    pub client_connections: IntGauge,
    /// Client connections closed because of the limit.
    pub client_connections_refused: IntCounter,
    /// Limits that were hit.
    pub limits: LimitsHit,
    /// Requests in flight.
    pub requests_in_flight: IntGauge,
    /// Writes being forwarded.
    pub writes_forwarding: IntGauge,
    /// Whether the newest configuration is in force.
    pub reload_successful: IntGauge,
    /// When the configuration in force was taken.
    pub reload_success_timestamp: Gauge,
    /// Whether guarded writes are judged.
    pub ready: IntGauge,
}

/// The handles of one route, looked up once when a configuration is taken.
pub struct RouteMetrics {
    /// Requests.
    pub requests: RequestCounts,
    /// Refusals and conflicts.
    pub refusals: RefusalCounts,
    unknown_outcomes: IntCounterVec,
    verified: IntCounterVec,
    /// In the order of [`names::WRITE_OUTCOMES`].
    settled: [IntCounter; 3],
    route: Arc<str>,
    /// Overrides.
    pub overrides: IntCounter,
    /// Permits held.
    pub writes_in_flight: IntGauge,
    /// Writes waiting.
    pub writes_waiting: IntGauge,
    /// Request durations.
    pub request_duration: Durations,
    /// Origin durations.
    pub upstream_duration: Durations,
    /// Ages of the tags that writes present.
    pub read_to_write: Durations,
    /// Changes that did not come through the proxy.
    pub bypass_writes: IntCounter,
    /// Reads whose content was too long to make a tag from.
    pub untagged_reads: IntCounter,
    sent_twice: IntCounterVec,
}

/// From 0.5 ms, a fast origin beside us, to 30 s, the default `response_timeout`.
const DURATIONS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// From 1 us to 5 ms: deciding takes microseconds, and waits for nothing but a lock.
const DECISIONS: &[f64] =
    &[0.000_001, 0.000_002_5, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005];
/// From a program's turn-around to a form left open over lunch.
const READ_TO_WRITE: &[f64] =
    &[0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0];

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// If a name is not valid or not unique: a bug in the names.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let by_route = &["route"];
        let metrics = Metrics {
            requests: add(
                r,
                IntCounterVec::new(
                    Opts::new(names::REQUESTS_TOTAL, "Requests by route, method and how they ended."),
                    &["route", "method", "outcome"],
                ),
            )?,
            conflicts: add(
                r,
                IntCounterVec::new(
                    Opts::new(
                        names::CONFLICTS_TOTAL,
                        "Conflicts by route, kind and mode: refused (enforce) or only counted (observe).",
                    ),
                    &["route", "kind", "mode"],
                ),
            )?,
            refusals: add(
                r,
                IntCounterVec::new(
                    Opts::new(names::REFUSALS_TOTAL, "Refusals by route and kind."),
                    &["route", "kind"],
                ),
            )?,
            overrides: add(
                r,
                IntCounterVec::new(
                    Opts::new(
                        names::OVERRIDES_TOTAL,
                        "Writes whose only condition says nothing of the state their author saw, such as If-Match: *.",
                    ),
                    by_route,
                ),
            )?,
            unknown_outcomes: add(
                r,
                IntCounterVec::new(
                    Opts::new(
                        names::UNKNOWN_OUTCOMES_TOTAL,
                        "Writes forwarded whose outcome is unknown, by cause.",
                    ),
                    &["route", "cause"],
                ),
            )?,
            verified: add(
                r,
                IntCounterVec::new(
                    Opts::new(
                        names::UNKNOWN_OUTCOMES_VERIFIED_TOTAL,
                        "Writes of unknown outcome, by whether a look after the settle time shows an effect.",
                    ),
                    &["route", "took_effect"],
                ),
            )?,
            writes_settled: add(
                r,
                IntCounterVec::new(
                    Opts::new(
                        names::WRITES_SETTLED_TOTAL,
                        "Writes let through, by what became of them, whoever was there to hear of it.",
                    ),
                    &["route", "outcome"],
                ),
            )?,
            writes_in_flight: add(
                r,
                IntGaugeVec::new(
                    Opts::new(
                        names::WRITES_IN_FLIGHT,
                        "Writes that occupy a resource: being forwarded, or unsettled.",
                    ),
                    by_route,
                ),
            )?,
            writes_waiting: add(
                r,
                IntGaugeVec::new(
                    Opts::new(names::WRITES_WAITING, "Writes that wait for another one to end."),
                    by_route,
                ),
            )?,
            request_duration: add(
                r,
                durations(
                    names::REQUEST_DURATION_SECONDS,
                    "From a request's head to its answer's head.",
                    DURATIONS,
                    by_route,
                ),
            )?,
            upstream_duration: add(
                r,
                durations(
                    names::UPSTREAM_DURATION_SECONDS,
                    "From handing a request to the origin to its answer's head.",
                    DURATIONS,
                    by_route,
                ),
            )?,
            read_to_write: add(
                r,
                durations(
                    names::READ_TO_WRITE_SECONDS,
                    "From the last stamped read of a version to a write that presents it.",
                    READ_TO_WRITE,
                    by_route,
                ),
            )?,
            untagged_reads: add(
                r,
                IntCounterVec::new(
                    Opts::new(
                        names::UNTAGGED_READS_TOTAL,
                        "Reads that went out without a tag, as their content was longer than body_limit.",
                    ),
                    by_route,
                ),
            )?,
            bypass_writes: add(
                r,
                IntCounterVec::new(
                    Opts::new(
                        names::BYPASS_WRITES_TOTAL,
                        "Changes seen at the origin that did not come through this proxy.",
                    ),
                    by_route,
                ),
            )?,
            sent_twice: add(
                r,
                IntCounterVec::new(
                    Opts::new(
                        names::REQUESTS_SENT_TWICE_TOTAL,
                        "Requests that were sent before, by what is known of the first, and mode.",
                    ),
                    &["route", "first", "mode"],
                ),
            )?,
            idempotency_keys: add(
                r,
                IntGauge::new(names::IDEMPOTENCY_KEYS, "Idempotency keys that are known."),
            )?,
            idempotency_keys_forgotten: add(
                r,
                IntCounter::new(
                    names::IDEMPOTENCY_KEYS_FORGOTTEN_TOTAL,
                    "Answered idempotency keys that were forgotten early to make room.",
                ),
            )?,
            origin_connections: add(
                r,
                IntGaugeVec::new(
                    Opts::new(names::ORIGIN_CONNECTIONS, "Connections to the origin that are open."),
                    &["upstream"],
                ),
            )?,
            ledger_errors: add(
                r,
                IntCounterVec::new(
                    Opts::new(names::LEDGER_ERRORS_TOTAL, "Steps of the ledger that failed, by store."),
                    &["store"],
                ),
            )?,
            decision_duration: add(
                r,
                durations(
                    names::DECISION_DURATION_SECONDS,
                    "Naming the resource, reading the preconditions and deciding.",
                    DECISIONS,
                    &[],
                ),
            )?
            .with_label_values::<&str>(&[]),
            ledger_resources: add(
                r,
                IntGauge::new(names::LEDGER_RESOURCES, "Resources that have an entry in the ledger."),
            )?,
            ledger_evictions: add(
                r,
                IntCounter::new(
                    names::LEDGER_EVICTIONS_TOTAL,
                    "Entries at rest that were forgotten to make room.",
                ),
            )?,
            views: add(r, IntGauge::new(names::VIEWS, "Views kept of what clients last read."))?,
            view_evictions: add(
                r,
                IntCounter::new(names::VIEW_EVICTIONS_TOTAL, "Views that were forgotten to make room."),
            )?,
            client_connections: add(
                r,
                IntGauge::new(names::CLIENT_CONNECTIONS, "Client connections that are open."),
            )?,
            client_connections_refused: add(
                r,
                IntCounter::new(
                    names::CLIENT_CONNECTIONS_REFUSED_TOTAL,
                    "Client connections refused because of limits.max_connections.",
                ),
            )?,
            limits: LimitsHit::new(&add(
                r,
                IntCounterVec::new(
                    Opts::new(
                        names::LIMITS_HIT_TOTAL,
                        "Limits that clients or origins ran into, by the key that sets them.",
                    ),
                    &["limit"],
                ),
            )?),
            writes_forwarding: add(
                r,
                IntGauge::new(
                    names::WRITES_FORWARDING,
                    "Writes that are being forwarded, without unsettled ones.",
                ),
            )?,
            requests_in_flight: add(
                r,
                IntGauge::new(
                    names::REQUESTS_IN_FLIGHT,
                    "Requests between their head and the end of their answer.",
                ),
            )?,
            reload_successful: add(
                r,
                IntGauge::new(
                    names::CONFIG_LAST_RELOAD_SUCCESSFUL,
                    "1 if the newest text of the configuration is in force, 0 if it was refused.",
                ),
            )?,
            reload_success_timestamp: add(
                r,
                Gauge::new(
                    names::CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS,
                    "When the configuration in force was taken, in seconds since 1970.",
                ),
            )?,
            ready: add(
                r,
                IntGauge::new(names::READY, "1 while guarded writes are judged, 0 while they are refused."),
            )?,
            registry: registry.clone(),
        };
        let build = add(
            r,
            GaugeVec::new(Opts::new(names::BUILD_INFO, "Always 1; the label names the build."), &["version"]),
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process))?;
        // The one store there is, so that its series exists before the first error.
        metrics.ledger_errors.with_label_values(&["memory"]);
        Ok(metrics)
    }

    /// The handles of a route.
    pub fn route(&self, route: &Arc<str>) -> RouteMetrics {
        let label = &[&**route];
        for found in names::TOOK_EFFECT {
            self.verified.with_label_values(&[&**route, found]);
        }
        // So that the family is told before anything was sent twice.
        self.sent_twice.with_label_values(&[&**route, SentBefore::Answered.name(), "enforce"]);
        RouteMetrics {
            requests: RequestCounts::new(&self.requests, route),
            refusals: RefusalCounts::new(&self.refusals, &self.conflicts, route),
            unknown_outcomes: self.unknown_outcomes.clone(),
            verified: self.verified.clone(),
            settled: ["applied", "not-applied", "unknown"]
                .map(|outcome| self.writes_settled.with_label_values(&[&**route, outcome])),
            overrides: self.overrides.with_label_values(label),
            writes_in_flight: self.writes_in_flight.with_label_values(label),
            writes_waiting: self.writes_waiting.with_label_values(label),
            request_duration: self.request_duration.with_label_values(label),
            upstream_duration: self.upstream_duration.with_label_values(label),
            read_to_write: self.read_to_write.with_label_values(label),
            bypass_writes: self.bypass_writes.with_label_values(label),
            untagged_reads: self.untagged_reads.with_label_values(label),
            sent_twice: self.sent_twice.clone(),
            route: route.clone(),
        }
    }

    /// The gauge of an upstream's connections.
    pub fn origin_connections(&self, upstream: &str) -> IntGauge {
        self.origin_connections.with_label_values(&[upstream])
    }

    /// A step of the ledger failed.
    pub fn ledger_failed(&self, store: &str) {
        self.ledger_errors.with_label_values(&[store]).inc();
    }

    /// The text that Prometheus scrapes (exposition format 0.0.4).
    ///
    /// # Errors
    /// If a metric cannot be written down: a bug in it.
    pub fn exposition(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl RouteMetrics {
    /// The route's name.
    pub fn route(&self) -> &str {
        &self.route
    }

    /// A write of unknown outcome was looked at after the settle time.
    pub fn verified(&self, took_effect: TookEffect) {
        self.verified.with_label_values(&[&*self.route, took_effect.name()]).inc();
    }

    /// A request came that was sent before; `mode`: whether it was kept from the origin, or only counted.
    pub fn sent_twice(&self, first: SentBefore, mode: &str) {
        self.sent_twice.with_label_values(&[&*self.route, first.name(), mode]).inc();
    }

    /// What became of a write that was let through.
    pub fn write_settled(&self, outcome: WriteOutcome) {
        let [applied, not_applied, unknown] = &self.settled;
        match outcome {
            WriteOutcome::Applied => applied.inc(),
            WriteOutcome::NotApplied => not_applied.inc(),
            WriteOutcome::Unknown(cause) => {
                unknown.inc();
                self.unknown_outcomes.with_label_values(&[&*self.route, cause.name()]).inc();
            }
        }
    }
}

fn add<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let metric = made?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
