//! What `unconditional = "infer"` makes of a request: what its client last read is known only to the running process.

use super::{Asked, Told};
use crate::config::checked::Route;
use crate::decide::policy::{Mode, Principal, Unconditional};
use crate::decide::say;
use crate::decide::verdict::RefusalKind;
use crate::decide::views::{ViewIn, ViewPer, WhenUnknown, unknown};
use crate::identify::query;
use crate::proxy::ask::principal_in;

/// Tells of a guarded write that states no precondition.
pub(super) fn tell(told: &mut Told, route: &Route, asked: &Asked) {
    let policy = &route.policy;
    if let Some(why) = untold(route, asked) {
        told.line("view", format!("unknown: {why}"));
    } else {
        told.line("view", whose(route));
        told.line("decision", "forwarded if its client has last read the current version, to the end");
        let refusal = say::stale_view();
        let status = refusal.kind.status(policy.statuses).as_u16();
        told.line("", format!("if it has read an older one: {status} {}", RefusalKind::StaleView.name()));
        told.line(
            "",
            "if another write is in flight: 409 write-in-flight; if one is unsettled: 409 unsettled",
        );
        told.line("", "if nothing is known of its reading:");
    }
    match (unknown(policy.views.when_unknown), policy.views.when_unknown) {
        (Err(refusal), _) => told.refusal(&refusal, Some(route)),
        (Ok(_), WhenUnknown::Allow) => {
            told.line(
                "decision",
                "forwarded, also beside other writes without a precondition (when_unknown)",
            );
        }
        (Ok(_), WhenUnknown::Overlap | WhenUnknown::Require) => {
            told.line("decision", "forwarded unless another write is in flight: then 409 (when_unknown)");
        }
    }
    if policy.mode == Mode::Observe {
        told.line("", "mode = \"observe\": a conflict is counted and logged, and forwarded all the same");
    }
}

/// Tells of a read whether it becomes its client's view.
pub(super) fn tell_read(told: &mut Told, route: &Route, asked: &Asked) {
    if route.policy.unconditional != Unconditional::Infer {
        return;
    }
    match untold(route, asked) {
        Some(why) => told.line("view", format!("none is kept: {why}")),
        None => told.line("view", format!("a whole 200 to GET, or our 304, is kept: {}", whose(route))),
    }
}

fn whose(route: &Route) -> String {
    let views = &route.policy.views;
    let principal = match &route.policy.principal {
        Some(Principal::Header(name)) => format!("by the field {name}"),
        Some(Principal::Cookie(name)) => format!("by the cookie {name}"),
        None => "by the browser".to_owned(),
    };
    let per = match &views.per {
        Some(ViewPer::Header(name)) => format!(" and the field {name}"),
        Some(ViewPer::Query(name)) => format!(" and the query parameter {name}"),
        None => String::new(),
    };
    let kept = match views.kept {
        ViewIn::Memory => "in memory",
        ViewIn::Cookie => "in a cookie for this path",
    };
    format!("of this spelling of the resource, {principal}{per}, {kept}")
}

/// Why nobody can tell whose view it is.
fn untold(route: &Route, asked: &Asked) -> Option<String> {
    let policy = &route.policy;
    if let Some(principal) = &policy.principal
        && principal_in(principal, &asked.fields).is_none()
    {
        return Some("the request does not have its principal".to_owned());
    }
    let per = match policy.views.per.as_ref()? {
        ViewPer::Header(name) => asked.fields.get(name).is_some_and(|value| !value.is_empty()),
        ViewPer::Query(name) => query::values(asked.query.as_deref().unwrap_or_default(), name)
            .next()
            .is_some_and(|v| !v.is_empty()),
    };
    (!per).then(|| "the request does not have what tells views apart (view_per)".to_owned())
}
