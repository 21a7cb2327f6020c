//! `[upstreams.NAME]`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::checked::Upstream;
use super::keys::Section;
use super::reader::{Empty, Table, Value};
use super::values::{Mistake, host_port, label};

/// The upstreams of the file. A name is known to routes even where its table is wrong.
pub(super) struct Upstreams<'t> {
    /// By name, in the order of the file; `None`: something in the table is wrong.
    pub(super) by_name: Vec<(&'t str, Option<Upstream>)>,
}

/// Reads every `[upstreams.NAME]`.
pub(super) fn upstreams<'t>(value: &Value<'t>) -> Option<Upstreams<'t>> {
    let named = value.named()?;
    if named.is_empty() {
        return value.tell(Mistake::found("an empty table"));
    }
    let by_name = named.into_iter().map(|(name, span, value)| (name, one(name, span, &value))).collect();
    Some(Upstreams { by_name })
}

fn one(name: &str, span: Range<usize>, value: &Value<'_>) -> Option<Upstream> {
    let name = match label(name) {
        Ok(name) => Some(name),
        Err(mistake) => {
            let mistake = mistake.expected("a name of 1 to 64 letters, digits, \"_\", \".\" and \"-\"");
            value.tell_name(span, mistake);
            None
        }
    };
    let table = value.table(Section::Upstreams)?;
    let read = read(&table, name.as_deref().unwrap_or_default());
    name.and(read)
}

fn read(table: &Table<'_>, name: &str) -> Option<Upstream> {
    let servers =
        table.read("servers", |value| value.list(Empty::Refused, |element| element.parsed(host_port)));
    let connect_timeout = table.span("connect_timeout");
    let response_timeout = table.span("response_timeout");
    let max_idle = table.count("max_idle");
    let max_connections = table.count("max_connections");
    let idle_timeout = table.span("idle_timeout");
    Some(Upstream {
        name: name.into(),
        servers: servers?.into_iter().map(Arc::from).collect(),
        connect_timeout: connect_timeout?,
        response_timeout: response_timeout?,
        max_idle: max_idle?,
        max_connections: max_connections?,
        idle_timeout: idle_timeout?,
        // Its routes say so: see `super::assemble`.
        has_whole_changes: false,
        read_lag: Duration::ZERO,
    })
}
