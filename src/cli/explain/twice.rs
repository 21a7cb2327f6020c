//! What is told of requests that may be sent twice, and of preflights.

use http::header;

use super::{Asked, Told};
use crate::config::checked::Route;
use crate::decide::cors::asked_of_ours;
use crate::decide::policy::{AlreadyApplied, Cors, Mode};
use crate::decide::say;
use crate::http1::fields::Fields;

/// Tells what a key, or its absence, means for a write. Whether the request is judged any further.
pub(super) fn tell(told: &mut Told, route: &Route, asked: &Asked) -> bool {
    let policy = &route.policy;
    if policy.already_applied == AlreadyApplied::Answer && asked.fields.contains_key(header::IF_MATCH) {
        told.line(
            "sent twice",
            "if it is stale, and the last applied write of its principal sent again: answered as it was",
        );
    }
    let Some(keys) = &policy.idempotency else { return true };
    match keys.key(&asked.method, &asked.fields) {
        Ok(None) => true,
        Ok(Some(_)) => {
            let whose = if policy.principal.is_some() { "its principal's" } else { "everybody's" };
            let life = keys.lifetime;
            told.line(
                "idempotency",
                format!("the first request with this key ({whose}, for this route and method) goes on"),
            );
            told.line("", format!("sent again within {life:?} of its answer: that answer, before preconditions are looked at"));
            told.line("", "while it is in flight: 409 idempotency-key-in-use; another request: 422 idempotency-key-reused");
            told.line("", "if its outcome is unknown: 502 outcome-unknown, and never forwarded again");
            true
        }
        Err(why) => {
            told.line("idempotency", "no key that can be read");
            told.refusal(&say::no_idempotency_key(why), Some(route));
            policy.mode == Mode::Observe
        }
    }
}

/// Tells what a preflight is answered with.
pub(super) fn tell_preflight(told: &mut Told, route: &Route, fields: &Fields) {
    let asked = asked_of_ours(fields, &header::ACCESS_CONTROL_REQUEST_HEADERS);
    if route.policy.cors == Cors::Extended && route.policy.mode == Mode::Enforce && !asked.is_empty() {
        let list = asked.join(", ");
        told.line(
            "",
            format!("cors: allows {list} to pages that the API lets in, also if it answers no preflights"),
        );
    }
}
