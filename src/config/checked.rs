//! The configuration after checking: what the rest of the program sees.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::decide::policy::RoutePolicy;
use crate::identify::route_table::{HostPattern, PathPattern, RouteTable};

/// A whole configuration.
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[limits]`
    pub limits: Limits,
    /// `[ledger]`
    pub ledger: Ledger,
    /// `[upstreams.NAME]`
    pub upstreams: Vec<Arc<Upstream>>,
    /// `[[routes]]`
    pub routes: RouteTable<Route>,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where requests are accepted. Never empty.
    pub listen: Vec<SocketAddr>,
    /// Where health, metrics and conflicts are told; `None`: nowhere (`admin = "off"`).
    pub admin: Option<SocketAddr>,
    /// Worker threads; 0: one per core.
    pub workers: usize,
    /// How long readiness fails before the listeners close.
    pub shutdown_delay: Duration,
    /// How long requests in flight may take to end after the listeners closed.
    pub drain_timeout: Duration,
    /// One line a request.
    pub access_log: bool,
    /// How many conflicts `/conflicts` tells.
    pub conflicts_kept: usize,
    /// The pseudonym in `Via`, or `None` to add no such field.
    pub via: Option<Via>,
    /// What becomes of `X-Forwarded-For`, `-Host` and `-Proto`.
    pub x_forwarded: XForwarded,
}

/// The values of `Via` for messages that came in HTTP/1.0 and in HTTP/1.1 (RFC 9110 section 7.6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `1.0` and the pseudonym.
    pub http_10: HeaderValue,
    /// `1.1` and the pseudonym.
    pub http_11: HeaderValue,
}

/// What becomes of `X-Forwarded-For`, `-Host` and `-Proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XForwarded {
    /// The client's address is appended; `-Host` and `-Proto` are set where they are missing.
    Append,
    /// What the client sent is dropped and all three are set.
    Replace,
    /// They are passed on as they are.
    Off,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at a time.
    pub max_connections: usize,
    /// Requests between their head and the end of their answer.
    pub max_requests_in_flight: usize,
    /// Writes to guarded routes that are being forwarded. An unsettled one does not count: it holds its
    /// entry in the ledger, which `ledger.max_resources` limits, but no connection, and an origin that is
    /// down for a moment would otherwise shut out every write for the settle time.
    pub max_writes_in_flight: usize,
    /// Bytes of a request's target.
    pub max_target_bytes: usize,
    /// Bytes of a request's line and fields together.
    pub max_header_bytes: usize,
    /// Fields of a request.
    pub max_header_count: usize,
    /// How long a connection may stay without a request, and a request's head may take.
    pub idle_timeout: Duration,
    /// How long a peer may take for the next piece of a body, in either direction.
    pub body_idle_timeout: Duration,
    /// How long a request's whole body may take.
    pub upload_timeout: Duration,
    /// How long a request may take from its head to the end of its answer.
    pub request_timeout: Duration,
    /// How long an upgraded connection may stay without a byte either way.
    pub tunnel_idle_timeout: Duration,
}

/// `[ledger]`; `store` is `"memory"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The most resources with an entry of their own.
    pub max_resources: usize,
    /// Where versions survive a clean restart.
    pub state_file: Option<PathBuf>,
    /// How long a write of unknown outcome may still be applied.
    pub settle: Duration,
    /// How long writes wait at a start without the state of an earlier life (rule R10).
    pub start_hold: Duration,
    /// The most views of what clients last read.
    pub max_views: usize,
    /// How long a view is good.
    pub view_lifetime: Duration,
    /// The most idempotency keys that are known.
    pub max_idempotency_keys: usize,
    /// The most bytes of answers kept for them.
    pub max_idempotency_bytes: usize,
}

/// `[upstreams.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The table's name.
    pub name: Arc<str>,
    /// `host:port`, as configured, in the order of the file; a name is resolved when connecting.
    /// Connections go to the first one that accepts, in turn.
    pub servers: Vec<Arc<str>>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer's head may take after the request was sent.
    pub response_timeout: Duration,
    /// Connections kept open and unused at a time.
    pub max_idle: usize,
    /// Connections at a time.
    pub max_connections: usize,
    /// How long an unused connection is kept. Shorter than the origin's own limit, or a request meets
    /// a connection that is being closed.
    pub idle_timeout: Duration,
    /// Whether some route of this upstream says `also_changes = ["*"]`.
    pub has_whole_changes: bool,
    /// The longest `read_lag` of this upstream's routes.
    pub read_lag: Duration,
}

/// `[[routes]]`
#[derive(Clone, Debug)]
pub struct Route {
    /// What is asked of its requests.
    pub policy: Arc<RoutePolicy>,
    /// Where they go.
    pub upstream: Arc<Upstream>,
    /// For which hosts; empty: for all.
    pub hosts: Vec<HostPattern>,
    /// The pattern, as configured.
    pub path_text: Arc<str>,
    /// The pattern.
    pub path: PathPattern,
    /// The most bytes of a body that a rule has to read.
    pub body_limit: usize,
}
