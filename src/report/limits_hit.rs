//! Which limits were hit, and how often.

use prometheus::{IntCounter, IntCounterVec};

/// A limit that a client or an origin can run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A connection was refused.
    Connections,
    /// A request was refused.
    RequestsInFlight,
    /// A write was refused.
    WritesInFlight,
    /// A request's target was too long.
    TargetBytes,
    /// A request's line and fields were too large.
    HeaderBytes,
    /// A request had too many fields.
    HeaderCount,
    /// A request's head was begun and not ended in time. A connection that is merely unused hits nothing.
    HeadTime,
    /// A peer let the next piece of a body wait for too long, or took nothing of one.
    BodySilence,
    /// A request's body took too long as a whole.
    UploadTime,
    /// A request and its answer took too long as a whole.
    RequestTime,
    /// A tunnel was unused for too long.
    TunnelIdle,
    /// Every connection to the origin was in use.
    OriginConnections,
    /// Connecting to a server of the origin took too long.
    ConnectTime,
    /// The origin's answer did not come in time.
    ResponseTime,
    /// A write would have waited, and too many waited already.
    Waiters,
    /// A write had waited for too long.
    WaitTime,
    /// A body that a rule has to read was too long.
    BodyToRead,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Limit; 17] = [
        Limit::Connections,
        Limit::RequestsInFlight,
        Limit::WritesInFlight,
        Limit::TargetBytes,
        Limit::HeaderBytes,
        Limit::HeaderCount,
        Limit::HeadTime,
        Limit::BodySilence,
        Limit::UploadTime,
        Limit::RequestTime,
        Limit::TunnelIdle,
        Limit::OriginConnections,
        Limit::ConnectTime,
        Limit::ResponseTime,
        Limit::Waiters,
        Limit::WaitTime,
        Limit::BodyToRead,
    ];

    /// The key of the configuration that sets it, which is also the metrics label: whoever sees the one
    /// knows the other. `report::names::LIMITS` lists the same.
    pub fn key(self) -> &'static str {
        match self {
            Limit::Connections => "limits.max_connections",
            Limit::RequestsInFlight => "limits.max_requests_in_flight",
            Limit::WritesInFlight => "limits.max_writes_in_flight",
            Limit::TargetBytes => "limits.max_target_bytes",
            Limit::HeaderBytes => "limits.max_header_bytes",
            Limit::HeaderCount => "limits.max_header_count",
            Limit::HeadTime => "limits.idle_timeout",
            Limit::BodySilence => "limits.body_idle_timeout",
            Limit::UploadTime => "limits.upload_timeout",
            Limit::RequestTime => "limits.request_timeout",
            Limit::TunnelIdle => "limits.tunnel_idle_timeout",
            Limit::OriginConnections => "upstreams.max_connections",
            Limit::ConnectTime => "upstreams.connect_timeout",
            Limit::ResponseTime => "upstreams.response_timeout",
            Limit::Waiters => "routes.max_waiters",
            Limit::WaitTime => "routes.wait_timeout",
            Limit::BodyToRead => "routes.body_limit",
        }
    }
}

/// Counts the limits that are hit. Every series is there from the start, so that the first hit of a limit
/// is a step from 0 and not a series out of nothing.
///
/// Several parts of each request have one, so it is there for as long as the process is: a count of who has it would be
/// written to a dozen times a request.
#[derive(Clone, Copy)]
pub struct LimitsHit(&'static [IntCounter]);

impl LimitsHit {
    /// Counts in this family, whose one label is `limit`. To be made once: its memory is never given back.
    pub fn new(family: &IntCounterVec) -> Self {
        let counters = Limit::ALL.iter().map(|limit| family.with_label_values(&[limit.key()]));
        LimitsHit(Box::leak(counters.collect()))
    }

    /// This limit was hit.
    pub fn hit(&self, limit: Limit) {
        let at = Limit::ALL.iter().position(|one| *one == limit);
        if let Some(counter) = at.and_then(|at| self.0.get(at)) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::names::LIMITS;

    #[test]
    fn every_limit_is_a_label_of_the_closed_list() {
        assert_eq!(Limit::ALL.map(Limit::key), LIMITS);
    }
}
