//! What a route asks of requests that are sent twice: `[routes.idempotency]` and `already_applied`.

use http::Method;

use super::keys::Section;
use super::reader::{Empty, Table, Value};
use super::values::{Mistake, method, quote};
use crate::decide::idempotency::IdempotencyPolicy;
use crate::decide::policy::AlreadyApplied;
use crate::request::method::MethodPolicy;

/// Reads `[routes.idempotency]`.
pub(super) fn idempotency(value: &Value<'_>, of_route: Option<&MethodPolicy>) -> Option<IdempotencyPolicy> {
    let table = value.table(Section::Idempotency)?;
    let required = table.flag("required");
    let reads = |method: &Method| of_route.is_some_and(|of_route| of_route.reads.contains(method));
    let methods = table.read("methods", |value| {
        value.list(Empty::Refused, |element| {
            let method = element.parsed(method)?;
            if reads(&method) {
                let found = format!("{} reads", quote(method.as_str()));
                return element
                    .tell(Mistake::found(found).expected("methods that change something, like \"POST\""));
            }
            Some(method)
        })
    });
    let lifetime = table.span("lifetime");
    let keep_5xx = table.flag("keep_5xx");
    Some(IdempotencyPolicy {
        required: required?,
        methods: methods?,
        lifetime: lifetime?,
        keep_5xx: keep_5xx?,
    })
}

/// Reads `already_applied`, which goes by who a client says it is.
pub(super) fn already_applied(table: &Table<'_>) -> Option<AlreadyApplied> {
    let answers = table.read("already_applied", |value| {
        value.choice(&[("refuse", AlreadyApplied::Refuse), ("answer", AlreadyApplied::Answer)])
    })?;
    match answers {
        AlreadyApplied::Answer if table.given("principal").is_none() => table
            .given("already_applied")?
            .tell(Mistake::found("the route has no principal").expected(
                "a principal beside \"answer\", like { header = \"Authorization\" }: only a write's own author is answered",
            )),
        AlreadyApplied::Answer | AlreadyApplied::Refuse => Some(answers),
    }
}
