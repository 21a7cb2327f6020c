//! One report a request: made when it comes in, and told exactly once, also when its client leaves.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};

use super::metrics::RouteMetrics;
use crate::decide::verdict::RefusalKind;

/// Whether each request gets a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Yes.
    On,
    /// No.
    Off,
}

/// A request that is being answered.
pub struct RequestReport {
    metrics: Arc<RouteMetrics>,
    method: Method,
    path: String,
    access_log: AccessLog,
    started: Instant,
    told: bool,
}

/// nginx's number for a client that left before its answer; it is never sent.
const CLIENT_GONE: u16 = 499;

impl RequestReport {
    /// A request whose head had arrived at `started`. `path` is for the access log and may be empty without one.
    pub fn new(
        metrics: Arc<RouteMetrics>,
        method: Method,
        path: String,
        access_log: AccessLog,
        started: Instant,
    ) -> Self {
        RequestReport { metrics, method, path, access_log, started, told: false }
    }

    /// It was refused.
    pub fn refused(&self, kind: RefusalKind) {
        self.metrics.refusals.refused(kind);
    }

    /// Tells how the request ended: `outcome` is one of [`OUTCOMES`](super::names::OUTCOMES).
    pub fn end(mut self, outcome: &'static str, status: StatusCode) {
        self.tell(outcome, status.as_u16());
    }

    fn tell(&mut self, outcome: &'static str, status: u16) {
        self.told = true;
        let took = self.started.elapsed();
        self.metrics.requests.ended(&self.method, outcome);
        self.metrics.request_duration.observe(took);
        if self.access_log == AccessLog::On {
            tracing::info!(
                target: "ifmatch::access",
                route = self.metrics.route(),
                method = self.method.as_str(),
                path = self.path,
                status,
                outcome,
                seconds = took.as_secs_f64(),
                "request"
            );
        }
    }
}

impl Drop for RequestReport {
    fn drop(&mut self) {
        if !self.told {
            self.tell("client-gone", CLIENT_GONE);
        }
    }
}
