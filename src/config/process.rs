//! `[server]`, `[limits]` and `[ledger]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::checked::{Ledger, Limits, Server, Upstream, XForwarded};
use super::reader::{Empty, Table, Value};
use super::values::{Mistake, pseudonym, socket_address};

/// Reads `[server]`.
pub(super) fn server(table: &Table<'_>) -> Option<Server> {
    let listen = table.read("listen", addresses);
    let admin = table.read("admin", |value| or_off(value, |value| value.parsed(socket_address)));
    let workers = table.count("workers");
    let shutdown_delay = table.span("shutdown_delay");
    let drain_timeout = table.span("drain_timeout");
    let access_log = table.flag("access_log");
    let conflicts_kept = table.count("conflicts_kept");
    let via = table.read("via", |value| or_off(value, |value| value.parsed(pseudonym)));
    let x_forwarded = table.read("x_forwarded", |value| {
        value.choice(&[
            ("append", XForwarded::Append),
            ("replace", XForwarded::Replace),
            ("off", XForwarded::Off),
        ])
    });
    if let (Some(listen), Some(admin)) = (&listen, &admin)
        && let Some(mistake) = shared_address(listen, *admin)
    {
        table.given("admin").or_else(|| table.given("listen"))?.tell::<()>(mistake);
    }
    Some(Server {
        listen: listen?,
        admin: admin?,
        workers: workers?,
        shutdown_delay: shutdown_delay?,
        drain_timeout: drain_timeout?,
        access_log: access_log?,
        conflicts_kept: conflicts_kept?,
        via: via?,
        x_forwarded: x_forwarded?,
    })
}

fn addresses(value: &Value<'_>) -> Option<Vec<SocketAddr>> {
    if value.is_list() {
        value.list(Empty::Refused, |element| element.parsed(socket_address))
    } else {
        value.parsed(socket_address).map(|address| vec![address])
    }
}

fn or_off<T>(value: &Value<'_>, take: impl FnOnce(&Value<'_>) -> Option<T>) -> Option<Option<T>> {
    if value.text()? == "off" { Some(None) } else { take(value).map(Some) }
}

/// Whether the admin listener would be the public one, or could not be opened beside it. Port 0 is
/// another port each time.
pub(super) fn shared_address(listen: &[SocketAddr], admin: Option<SocketAddr>) -> Option<Mistake> {
    let admin = admin?;
    // `[::]` takes the IPv4 addresses too, wherever the system does not say otherwise.
    let takes = |all: &SocketAddr, one: &SocketAddr| {
        all.ip() == one.ip() || (all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4()))
    };
    let meets = |listen: &SocketAddr| {
        let same_port = admin.port() != 0 && listen.port() == admin.port();
        same_port && (takes(listen, &admin) || takes(&admin, listen))
    };
    let public = listen.iter().find(|listen| meets(listen))?;
    let found = format!("admin = \"{admin}\" and listen = \"{public}\" are one address");
    Some(Mistake::found(found).expected("an address of its own for admin, or \"off\""))
}

/// Reads `[limits]`.
pub(super) fn limits(table: &Table<'_>) -> Option<Limits> {
    let max_connections = table.count("max_connections");
    let max_requests_in_flight = table.count("max_requests_in_flight");
    let max_writes_in_flight = table.count("max_writes_in_flight");
    let max_target_bytes = table.size("max_target_bytes");
    let max_header_bytes = table.size("max_header_bytes");
    let max_header_count = table.count("max_header_count");
    let idle_timeout = table.span("idle_timeout");
    let body_idle_timeout = table.span("body_idle_timeout");
    let upload_timeout = table.span("upload_timeout");
    let request_timeout = table.span("request_timeout");
    let tunnel_idle_timeout = table.span("tunnel_idle_timeout");
    Some(Limits {
        max_connections: max_connections?,
        max_requests_in_flight: max_requests_in_flight?,
        max_writes_in_flight: max_writes_in_flight?,
        max_target_bytes: max_target_bytes?,
        max_header_bytes: max_header_bytes?,
        max_header_count: max_header_count?,
        idle_timeout: idle_timeout?,
        body_idle_timeout: body_idle_timeout?,
        upload_timeout: upload_timeout?,
        request_timeout: request_timeout?,
        tunnel_idle_timeout: tunnel_idle_timeout?,
    })
}

/// `[ledger]`, before it is known how far the origins' reads lag.
pub(super) struct LedgerDraft {
    start_hold: Option<Duration>,
    /// But for its own `start_hold`, which follows from the other one.
    rest: Ledger,
}

/// Reads `[ledger]`.
pub(super) fn ledger(table: &Table<'_>) -> Option<LedgerDraft> {
    let store = table.read("store", |value| value.choice(&[("memory", ())]));
    let max_resources = table.count("max_resources");
    let state_file = table.read_if_given("state_file", |value| value.parsed(file));
    let settle = table.span("settle");
    let start_hold = table.read_if_given("start_hold", Value::span);
    let max_views = table.count("max_views");
    let view_lifetime = table.span("view_lifetime");
    let max_idempotency_keys = table.count("max_idempotency_keys");
    let max_idempotency_bytes = table.size("max_idempotency_bytes");
    store?;
    let rest = Ledger {
        max_resources: max_resources?,
        state_file: state_file?,
        settle: settle?,
        start_hold: Duration::ZERO,
        max_views: max_views?,
        view_lifetime: view_lifetime?,
        max_idempotency_keys: max_idempotency_keys?,
        max_idempotency_bytes: max_idempotency_bytes?,
    };
    Some(LedgerDraft { start_hold: start_hold?, rest })
}

impl LedgerDraft {
    /// R10 and R13: a write of an earlier life may be applied until `settle` is over, and reads may go on
    /// showing what was there before it for as long as they lag.
    pub(super) fn with(self, upstreams: &[Arc<Upstream>]) -> Ledger {
        let LedgerDraft { start_hold, rest } = self;
        let read_lag = upstreams.iter().map(|upstream| upstream.read_lag).max().unwrap_or_default();
        let start_hold = start_hold.unwrap_or(rest.settle.saturating_add(read_lag));
        Ledger { start_hold, ..rest }
    }
}

fn file(text: &str) -> Result<PathBuf, Mistake> {
    let found = if text.is_empty() {
        "\"\" is empty"
    } else if text.ends_with('/') {
        "a directory"
    } else if text.contains('\0') {
        "a path with a NUL in it"
    } else {
        return Ok(PathBuf::from(text));
    };
    Err(Mistake::found(found))
}
