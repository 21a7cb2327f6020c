//! Every metric name and every closed list of label values, in one place.
//!
//! Alerts, the dashboard and the README may name only what stands here; a test holds them to it.
//! Label values come from the configuration (`route`, `upstream`, `store`) or from the lists below:
//! never a path, a tag, a host or a client, so that a peer cannot make the number of series grow.

/// Requests, by route, method and how they ended (see [`OUTCOMES`]).
pub const REQUESTS_TOTAL: &str = "ifmatch_requests_total";
/// Conflicts, by route, kind and mode (`enforce`: refused; `observe`: let through and counted).
pub const CONFLICTS_TOTAL: &str = "ifmatch_conflicts_total";
/// Refusals of every kind, by route: also those that are no conflict.
pub const REFUSALS_TOTAL: &str = "ifmatch_refusals_total";
/// Writes whose only condition says nothing of the state that their author saw.
pub const OVERRIDES_TOTAL: &str = "ifmatch_overrides_total";
/// Writes that were forwarded and whose outcome is unknown, by cause (see [`UNKNOWN_CAUSES`]).
pub const UNKNOWN_OUTCOMES_TOTAL: &str = "ifmatch_unknown_outcomes_total";
/// Writes of unknown outcome that were looked at after the settle time (`verify_unknown`), by what the
/// look showed (see [`TOOK_EFFECT`]).
pub const UNKNOWN_OUTCOMES_VERIFIED_TOTAL: &str = "ifmatch_unknown_outcomes_verified_total";
/// Writes that were let through, by what became of them (see [`WRITE_OUTCOMES`]), whether or not their
/// client was still there to hear of it.
pub const WRITES_SETTLED_TOTAL: &str = "ifmatch_writes_settled_total";
/// Writes that hold a permit now: being forwarded, or unsettled.
pub const WRITES_IN_FLIGHT: &str = "ifmatch_writes_in_flight";
/// Writes that are being forwarded now, which `limits.max_writes_in_flight` limits: without unsettled ones.
pub const WRITES_FORWARDING: &str = "ifmatch_writes_forwarding";
/// Writes that wait for another one to end (`overlap = "wait"`).
pub const WRITES_WAITING: &str = "ifmatch_writes_waiting";
/// From the request's head to the end of the answer's head, in seconds.
pub const REQUEST_DURATION_SECONDS: &str = "ifmatch_request_duration_seconds";
/// From handing a request to the origin to its answer's head, in seconds.
pub const UPSTREAM_DURATION_SECONDS: &str = "ifmatch_upstream_duration_seconds";
/// Time spent on naming the resource, reading the preconditions and deciding, in seconds.
pub const DECISION_DURATION_SECONDS: &str = "ifmatch_decision_duration_seconds";
/// From the last stamped read of a version to a write that presents it, in seconds.
pub const READ_TO_WRITE_SECONDS: &str = "ifmatch_read_to_write_seconds";
/// Resources that have an entry in the ledger.
pub const LEDGER_RESOURCES: &str = "ifmatch_ledger_resources";
/// Entries at rest that were forgotten to make room.
pub const LEDGER_EVICTIONS_TOTAL: &str = "ifmatch_ledger_evictions_total";
/// Views kept of what clients last read (`unconditional = "infer"`).
pub const VIEWS: &str = "ifmatch_views";
/// Views that were forgotten to make room (`ledger.max_views`).
pub const VIEW_EVICTIONS_TOTAL: &str = "ifmatch_view_evictions_total";
/// Steps of the ledger that failed, by store.
pub const LEDGER_ERRORS_TOTAL: &str = "ifmatch_ledger_errors_total";
/// Changes seen that did not come through the proxy: the origin's own tag moved on, and no version did.
pub const BYPASS_WRITES_TOTAL: &str = "ifmatch_bypass_writes_total";
/// Reads that went out without a tag, as their content was longer than `body_limit`.
pub const UNTAGGED_READS_TOTAL: &str = "ifmatch_untagged_reads_total";
/// Requests that were sent before, by route, what is known of the first (see [`SENT_BEFORE`]) and mode (`enforce`:
/// not forwarded; `observe`: forwarded and counted).
pub const REQUESTS_SENT_TWICE_TOTAL: &str = "ifmatch_requests_sent_twice_total";
/// Idempotency keys that are known now.
pub const IDEMPOTENCY_KEYS: &str = "ifmatch_idempotency_keys";
/// Answered idempotency keys that were forgotten before their lifetime was over, to make room.
pub const IDEMPOTENCY_KEYS_FORGOTTEN_TOTAL: &str = "ifmatch_idempotency_keys_forgotten_total";
/// Client connections open now.
pub const CLIENT_CONNECTIONS: &str = "ifmatch_client_connections";
/// Client connections refused, because of `limits.max_connections`.
pub const CLIENT_CONNECTIONS_REFUSED_TOTAL: &str = "ifmatch_client_connections_refused_total";
/// Limits that clients or origins ran into, by the key that sets them (see [`LIMITS`]).
pub const LIMITS_HIT_TOTAL: &str = "ifmatch_limits_hit_total";
/// Requests between their head and the end of their answer.
pub const REQUESTS_IN_FLIGHT: &str = "ifmatch_requests_in_flight";
/// Origin connections open now, by upstream.
pub const ORIGIN_CONNECTIONS: &str = "ifmatch_origin_connections";
/// 1 if the configuration in force is the file's newest text, 0 if that was refused.
pub const CONFIG_LAST_RELOAD_SUCCESSFUL: &str = "ifmatch_config_last_reload_successful";
/// When the configuration in force was taken, in seconds since 1970.
pub const CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS: &str =
    "ifmatch_config_last_reload_success_timestamp_seconds";
/// 1 while guarded writes are judged; 0 while they are refused (starting, draining).
pub const READY: &str = "ifmatch_ready";
/// Always 1; its label `version` names the build.
pub const BUILD_INFO: &str = "ifmatch_build_info";

/// All metrics of ifmatch's own; the process's (`process_*`) stand beside them.
pub const ALL: &[&str] = &[
    REQUESTS_TOTAL,
    CONFLICTS_TOTAL,
    REFUSALS_TOTAL,
    OVERRIDES_TOTAL,
    UNKNOWN_OUTCOMES_TOTAL,
    UNKNOWN_OUTCOMES_VERIFIED_TOTAL,
    WRITES_SETTLED_TOTAL,
    WRITES_IN_FLIGHT,
    WRITES_FORWARDING,
    WRITES_WAITING,
    REQUEST_DURATION_SECONDS,
    UPSTREAM_DURATION_SECONDS,
    DECISION_DURATION_SECONDS,
    READ_TO_WRITE_SECONDS,
    LEDGER_RESOURCES,
    LEDGER_EVICTIONS_TOTAL,
    VIEWS,
    VIEW_EVICTIONS_TOTAL,
    LEDGER_ERRORS_TOTAL,
    BYPASS_WRITES_TOTAL,
    UNTAGGED_READS_TOTAL,
    REQUESTS_SENT_TWICE_TOTAL,
    IDEMPOTENCY_KEYS,
    IDEMPOTENCY_KEYS_FORGOTTEN_TOTAL,
    CLIENT_CONNECTIONS,
    CLIENT_CONNECTIONS_REFUSED_TOTAL,
    LIMITS_HIT_TOTAL,
    REQUESTS_IN_FLIGHT,
    ORIGIN_CONNECTIONS,
    CONFIG_LAST_RELOAD_SUCCESSFUL,
    CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS,
    READY,
    BUILD_INFO,
];

/// Values of `outcome` in [`REQUESTS_TOTAL`]: how a request ended.
///
/// `answered`: the origin's answer went out; `not-modified`: our own 304; `refused`: a refusal in
/// place of the origin's answer; `replayed`: an answer that was given before, to a request sent twice; `unreachable`: surely not delivered; `unknown`: forwarded, and no
/// final answer seen; `client-gone`: the client left before its answer (499 in the access log).
pub const OUTCOMES: &[&str] =
    &["answered", "not-modified", "refused", "replayed", "unreachable", "unknown", "client-gone"];

/// Values of `outcome` in [`WRITES_SETTLED_TOTAL`]: what became of a write.
pub const WRITE_OUTCOMES: &[&str] = &["applied", "not-applied", "unknown"];

/// Values of `cause` in [`UNKNOWN_OUTCOMES_TOTAL`].
pub const UNKNOWN_CAUSES: &[&str] = &[
    "accepted-only",
    "answered-by-gateway",
    "request-timeout-answer",
    "no-answer-in-time",
    "connection-lost",
    "bad-answer",
    "request-incomplete",
    "abandoned",
];

/// Values of `first` in [`REQUESTS_SENT_TWICE_TOTAL`]: what is known of the first request.
pub const SENT_BEFORE: &[&str] = &["answered", "in-flight", "other-request", "unknown", "already-applied"];

/// Values of `took_effect` in [`UNKNOWN_OUTCOMES_VERIFIED_TOTAL`].
pub const TOOK_EFFECT: &[&str] = &["yes", "no", "unclear"];

/// Values of `limit` in [`LIMITS_HIT_TOTAL`]: the keys of the configuration that set the limits.
pub const LIMITS: &[&str] = &[
    "limits.max_connections",
    "limits.max_requests_in_flight",
    "limits.max_writes_in_flight",
    "limits.max_target_bytes",
    "limits.max_header_bytes",
    "limits.max_header_count",
    "limits.idle_timeout",
    "limits.body_idle_timeout",
    "limits.upload_timeout",
    "limits.request_timeout",
    "limits.tunnel_idle_timeout",
    "upstreams.max_connections",
    "upstreams.connect_timeout",
    "upstreams.response_timeout",
    "routes.max_waiters",
    "routes.wait_timeout",
    "routes.body_limit",
];
