//! `[[routes]]`: what a route asks of its requests.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use super::keys::Section;
use super::reader::{Empty, Table, Value};
use super::template::template;
use super::transitions::transitions;
use super::translate::translate;
use super::twice;
use super::unique::unique;
use super::validator::{precondition_from, validator};
use super::values::{Mistake, cookie_name, field_name, method, quote, whole_value};
use super::views::views;
use crate::decide::policy::{
    AlsoChanges, Cors, Create, EtagOnPut, Mode, OnUnreadable, Overlap, ParameterPattern, Principal, Reveal,
    RoutePolicy, StatusMapping, Unconditional, VerifyUnknown, WeakIfMatch,
};
use crate::identify::fold::Fold;
use crate::identify::resource_id::NameTemplate;
use crate::identify::route_table::PathPattern;
use crate::request::method::MethodPolicy;

/// Reads a route's policy. Without its path, the names that use the path's parameters are not looked at.
pub(super) fn policy(
    table: &Table<'_>,
    name: Option<Arc<str>>,
    upstream: Option<Arc<str>>,
    path: Option<&PathPattern>,
) -> Option<RoutePolicy> {
    let resource = table.read_if_given("resource", |value| resource(value, path));
    let also_changes = table.read("also_changes", |value| also_changes(value, path));
    let params = table.read_if_given("params", |value| params(value, path));
    let fold = table.read_if_given("fold", fold);
    let mode = table.read("mode", |value| {
        value.choice(&[("enforce", Mode::Enforce), ("observe", Mode::Observe), ("off", Mode::Off)])
    });
    let validator = validator(table);
    let precondition_from = table.read_if_given("precondition_from", precondition_from);
    let unconditional = table.read("unconditional", without_precondition);
    let overlap = overlap(table);
    let methods = methods(table);
    let principal = table.read_if_given("principal", principal);
    let views = views(table, unconditional, principal.as_ref());
    let read_lag = table.span("read_lag");
    let etag_on_put = table.read("etag_on_put", etag_on_put);
    let weak_if_match = table.read("weak_if_match", |value| {
        value.choice(&[("refuse", WeakIfMatch::Refuse), ("accept", WeakIfMatch::Accept)])
    });
    let reveal = table.flag("reveal_current");
    let precondition_failed = table.status("stale_status");
    let precondition_required = table.status("missing_status");
    let outcomes = outcomes(table);
    let verify_unknown = table.flag("verify_unknown");
    let unreadable = table.read("unreadable", |value| {
        value.choice(&[("refuse", OnUnreadable::Refuse), ("forward", OnUnreadable::Forward)])
    });
    let create = table.read("create", |value| value.choice(&[("any", Create::Any), ("only", Create::Only)]));
    let rule = name.as_deref();
    let unique = table.read_if_given("unique", |value| unique(value, path, rule));
    let transitions = table.read_if_given("transitions", |value| transitions(value, path));
    let translate = table.read_if_given("translate", translate);
    let idempotency = table.read_if_given("idempotency", |value| twice::idempotency(value, methods.as_ref()));
    let already_applied = twice::already_applied(table);
    let cors = table.flag("cors");
    let (not_applied, maybe_applied) = outcomes?;
    Some(RoutePolicy {
        name: name?,
        upstream: upstream?,
        mode: mode?,
        resource: resource?.unwrap_or(NameTemplate::CanonicalPath),
        fold: fold?.unwrap_or_default(),
        params: params?.unwrap_or_default(),
        methods: methods?,
        unconditional: unconditional?,
        overlap: overlap?,
        also_changes: also_changes?,
        read_lag: read_lag?,
        etag_on_put: etag_on_put?,
        weak_if_match: weak_if_match?,
        reveal: if reveal? { Reveal::CurrentTag } else { Reveal::Nothing },
        statuses: StatusMapping {
            precondition_failed: precondition_failed?,
            precondition_required: precondition_required?,
        },
        not_applied,
        maybe_applied,
        verify_unknown: if verify_unknown? { VerifyUnknown::AfterSettle } else { VerifyUnknown::No },
        principal: principal?,
        unreadable: unreadable?,
        create: create?,
        unique: unique?.unwrap_or_default(),
        transitions: transitions?,
        translate: translate?.unwrap_or_default(),
        validator: validator?,
        precondition_from: precondition_from?,
        views: views?,
        idempotency: idempotency?,
        already_applied: already_applied?,
        cors: if cors? { Cors::Extended } else { Cors::AsOrigin },
    })
}

fn without_precondition(value: &Value<'_>) -> Option<Unconditional> {
    value.choice(&[
        ("require", Unconditional::Require),
        ("overlap", Unconditional::Overlap),
        ("allow", Unconditional::Allow),
        ("infer", Unconditional::Infer),
    ])
}

fn etag_on_put(value: &Value<'_>) -> Option<EtagOnPut> {
    value.choice(&[
        ("always", EtagOnPut::Always),
        ("verified", EtagOnPut::Verified),
        ("never", EtagOnPut::Never),
    ])
}

fn resource(value: &Value<'_>, path: Option<&PathPattern>) -> Option<NameTemplate> {
    value.text()?;
    let path = path?;
    value.parsed(|text| template(text, path))
}

fn also_changes(value: &Value<'_>, path: Option<&PathPattern>) -> Option<AlsoChanges> {
    let elements = value.elements()?;
    let whole = elements.iter().find(|element| element.plain_text() == Some("*"));
    match whole {
        Some(_) if elements.len() == 1 => return Some(AlsoChanges::WholeUpstream),
        Some(star) => {
            return star.tell(
                Mistake::found("\"*\" beside names").expected("[\"*\"] alone: it stands for every resource"),
            );
        }
        None => {}
    }
    value.list(Empty::Allowed, |element| resource(element, path)).map(AlsoChanges::Listed)
}

fn params(value: &Value<'_>, path: Option<&PathPattern>) -> Option<Vec<ParameterPattern>> {
    let mut params = Vec::new();
    let mut complete = true;
    for (name, span, value) in value.named()? {
        let pattern = value.parsed(whole_value);
        let segment = path.and_then(|path| path.parameter(name));
        if let (None, Some(path)) = (segment, path) {
            value.tell_name(span, not_one_segment(name, path));
        }
        match (pattern, segment) {
            (Some(pattern), Some(segment)) => {
                params.push(ParameterPattern { name: name.to_owned(), segment, pattern });
            }
            (_, _) => complete = false,
        }
    }
    complete.then_some(params)
}

fn not_one_segment(name: &str, path: &PathPattern) -> Mistake {
    let one_segment = || path.parameter_names().filter(|name| path.parameter(name).is_some());
    let found = if path.rest(name).is_some() {
        format!("{{*{name}}} is any number of segments")
    } else {
        format!("the path has no {{{name}}}")
    };
    let names: Vec<String> = one_segment().map(|name| format!("{{{name}}}")).collect();
    let of_path = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Mistake::found(found)
        .expected(format!("a parameter of one segment (here: {of_path})"))
        .meant(super::nearest::nearest(name, one_segment()).map(quote))
}

fn fold(value: &Value<'_>) -> Option<Fold> {
    let table = value.table(Section::Fold)?;
    let [dot_segments, empty_segments, trailing_slash, parameters, trailing_dots] =
        ["dot_segments", "empty_segments", "trailing_slash", "parameters", "trailing_dots"]
            .map(|key| table.flag(key));
    let [case, unicode, leading_zeros, format_suffix] =
        ["case", "unicode", "leading_zeros", "format_suffix"].map(|key| table.flag(key));
    Some(Fold {
        dot_segments: dot_segments?,
        empty_segments: empty_segments?,
        trailing_slash: trailing_slash?,
        parameters: parameters?,
        trailing_dots: trailing_dots?,
        case: case?,
        unicode: unicode?,
        leading_zeros: leading_zeros?,
        format_suffix: format_suffix?,
    })
}

fn overlap(table: &Table<'_>) -> Option<Overlap> {
    let waits = table.read("overlap", |value| value.choice(&[("refuse", false), ("wait", true)]));
    let at_most: Option<Duration> = table.span("wait_timeout");
    let waiters = table.count("max_waiters");
    if waits? {
        return Some(Overlap::Wait { at_most: at_most?, waiters: waiters? });
    }
    let mut alone = true;
    for value in ["wait_timeout", "max_waiters"].iter().filter_map(|key| table.given(key)) {
        alone = false;
        value.tell::<()>(
            Mistake::found("no write waits here").expected("overlap = \"wait\" beside it, or neither"),
        );
    }
    (alone && at_most.is_some() && waiters.is_some()).then_some(Overlap::Refuse)
}

fn methods(table: &Table<'_>) -> Option<MethodPolicy> {
    let list = |value: &Value<'_>| value.list(Empty::Refused, |element| element.parsed(method));
    let reads: Option<Vec<Method>> = table.read("reads", list);
    let guard: Option<Vec<Method>> = table.read("guard", list);
    let (reads, guard) = (reads?, guard?);
    let Some(both) = reads.iter().find(|method| guard.contains(method)) else {
        return Some(MethodPolicy { reads, guard });
    };
    // The list that was written is the one to mend; the other may be the default.
    let written = table.given("reads").or_else(|| table.given("guard"))?;
    let found = format!("{} stands in reads and in guard", quote(both.as_str()));
    let hint = if table.given("guard").is_none() {
        "; guard is [\"PUT\", \"PATCH\", \"DELETE\"] by default"
    } else {
        ""
    };
    written.tell(Mistake::found(found).expected(format!("each method in one of them{hint}")))
}

fn principal(value: &Value<'_>) -> Option<Principal> {
    let table = value.table(Section::Principal)?;
    let header = table.read_if_given("header", |value| value.parsed(field_name));
    let cookie = table.read_if_given("cookie", |value| value.parsed(cookie_name));
    match (header?, cookie?) {
        (Some(field), None) => Some(Principal::Header(field)),
        (None, Some(name)) => Some(Principal::Cookie(name)),
        (Some(_), Some(_)) => value.tell(Mistake::found("header and cookie")),
        (None, None) => value.tell(Mistake::found("neither header nor cookie")),
    }
}

/// `not_applied` and `maybe_applied`.
fn outcomes(table: &Table<'_>) -> Option<(Vec<StatusCode>, Vec<StatusCode>)> {
    let list = |value: &Value<'_>| value.list(Empty::Allowed, |status| status.status());
    let not_applied = table.read("not_applied", list);
    let maybe_applied = table.read("maybe_applied", |value| {
        value.list(Empty::Allowed, |element| {
            let status = element.status()?;
            match status.as_u16() {
                // These hold the resource for `settle`; listed here, they would end the write at once.
                408 | 499 | 502..=504 => element.tell(
                    Mistake::found(format!(
                        "{} means an unknown outcome already, which is stricter",
                        status.as_u16()
                    ))
                    .expected("other statuses than 408, 499, 502, 503 and 504"),
                ),
                _ => Some(status),
            }
        })
    });
    let (not_applied, maybe_applied) = (not_applied?, maybe_applied?);
    match maybe_applied.iter().find(|status| not_applied.contains(status)) {
        None => Some((not_applied, maybe_applied)),
        Some(both) => {
            let found = format!("{} stands in not_applied too", both.as_u16());
            table.given("maybe_applied")?.tell(Mistake::found(found).expected("each status in one of them"))
        }
    }
}
