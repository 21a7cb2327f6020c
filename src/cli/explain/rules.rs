//! What a write is held to beyond its preconditions.

use super::{Asked, Told};
use crate::config::checked::Route;
use crate::decide::aim;
use crate::decide::create;
use crate::decide::policy::{Create, OnUnreadable, RoutePolicy};
use crate::decide::say;
use crate::decide::transitions::{MoveTo, Transitions};
use crate::decide::unique::Unique;
use crate::decide::verdict::Refusal;
use crate::identify::content::Unreadable;
use crate::identify::look::{LookTemplate, NoTarget};
use crate::identify::target_path::TargetPath;

/// Whether the route lets this request only create.
pub(super) fn only_creates(policy: &RoutePolicy, asked: &Asked) -> bool {
    policy.create == Create::Only && create::is_put(&asked.method, &overrides(asked))
}

/// Whether the write moves a state, and so meets no other write.
pub(super) fn moves(policy: &RoutePolicy, asked: &Asked) -> bool {
    let content = asked.content();
    let moves = |rule: &Transitions| rule.target(content.as_ref()).is_ok_and(|to| to.is_some());
    policy.transitions.as_ref().is_some_and(moves)
}

/// Tells the rules about values and states, in the order in which a write meets them.
pub(super) fn tell(told: &mut Told, route: &Route, target: &TargetPath, asked: &Asked) {
    let policy = &route.policy;
    if only_creates(policy, asked) {
        told.line("create", "\"only\": what exists is not replaced; then 409 already-exists");
    }
    for rule in policy.unique.iter().filter(|rule| rule.applies(&asked.method, &overrides(asked))) {
        tell_unique(told, route, rule, target, asked);
    }
    if let Some(rule) = &policy.transitions {
        tell_transitions(told, route, rule, target, asked);
    }
    for rule in &policy.translate {
        let statuses: Vec<&str> = rule.statuses.iter().map(http::StatusCode::as_str).collect();
        let field = rule.field.as_ref().map(|field| format!(" at {field}")).unwrap_or_default();
        let pattern = rule.pattern.as_ref().map(|pattern| format!(" of {pattern}")).unwrap_or_default();
        let kept = if rule.not_applied { "; it then counts as not applied" } else { "" };
        let statuses = statuses.join(", ");
        told.line(
            "translate",
            format!("an answer {statuses} with text{pattern}{field}: 409 origin-conflict{kept}"),
        );
    }
}

fn overrides(asked: &Asked) -> Vec<Vec<u8>> {
    let content = asked.content.as_deref().unwrap_or_default();
    aim::overrides(&asked.fields, asked.query.as_deref(), content.as_bytes())
}

fn tell_unique(told: &mut Told, route: &Route, rule: &Unique, target: &TargetPath, asked: &Asked) {
    let content = asked.content();
    let value = match content.as_ref().map(|content| content.value(&rule.place)).transpose() {
        Ok(value) => value.flatten(),
        Err(why) => return unreadable(told, route, "unique", &why),
    };
    let Some(value) = value else {
        told.line("unique", format!("no value at {} (-d): nothing to reserve", rule.place));
        return;
    };
    let reserved = rule.normalise.apply(&value);
    told.line("unique", format!("{reserved:?} at {}, in the scope {:?}", rule.place, rule.scope));
    told.line("", "while another write with it is on its way: 409 duplicate-value");
    let Some(look_up) = &rule.look_up else { return };
    for spelling in rule.spellings(&value) {
        let looked = look_up.target.target(target, asked.query.as_deref(), content.as_ref(), &spelling);
        match looked {
            Ok(looked) => {
                told.line("", format!("GET {looked} is asked first; if taken: 409 duplicate-value"))
            }
            Err(why) => return refused(told, route, &say::cannot_look(&why, &rule.place)),
        }
    }
}

fn tell_transitions(told: &mut Told, route: &Route, rule: &Transitions, target: &TargetPath, asked: &Asked) {
    let content = asked.content();
    let to = match rule.target(content.as_ref()) {
        Ok(to) => to,
        Err(why) => return unreadable(told, route, "transitions", &why),
    };
    let Some(to) = to else {
        told.line("transitions", "the content (-d) states no state: no move");
        return;
    };
    let from: Vec<&str> =
        rule.allowed.iter().map(|(from, _)| from.as_str()).filter(|from| rule.allows(from, &to)).collect();
    let stays = matches!(rule.to, MoveTo::Body(_)).then_some("itself");
    let from: Vec<&str> = from.into_iter().chain(stays).collect();
    told.line("transitions", format!("to {to:?}: allowed from {}", from.join(", ")));
    let looked = |look: &LookTemplate| look.target(target, asked.query.as_deref(), content.as_ref(), "");
    match rule.look.as_ref().map(looked).transpose() {
        Ok(looked) => {
            let looked = looked.map_or_else(|| "its target".to_owned(), |looked| looked.to_string());
            told.line(
                "",
                format!(
                    "GET {looked} shows the state at {}, asked first; else 409 transition-not-allowed",
                    rule.field
                ),
            );
        }
        Err(NoTarget::Missing(why)) => refused(told, route, &say::no_name(&why)),
        Err(NoTarget::AnotherPath) => told.line("", "where the origin shows the state cannot be said: 400"),
    }
}

fn unreadable(told: &mut Told, route: &Route, rule: &str, why: &Unreadable) {
    told.line(rule, format!("the content (-d) {why}"));
    refused(told, route, &say::unreadable(why));
}

fn refused(told: &mut Told, route: &Route, refusal: &Refusal) {
    if route.policy.unreadable == OnUnreadable::Forward {
        told.line("", "unreadable = \"forward\": goes on without this rule");
    } else {
        told.line("", format!("400 {}: {}", refusal.kind.name(), refusal.detail));
    }
}
