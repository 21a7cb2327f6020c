//! What a write is held to beyond its preconditions, made of the request before its body goes on: the values that
//! it reserves, what the origin is to be asked for, and the state that it moves to.

use crate::http1::message::RequestParts as Parts;
use http::uri::PathAndQuery;

use super::ask::{Ask, Named};
use crate::decide::aim;
use crate::decide::claim::HoldMode;
use crate::decide::create;
use crate::decide::policy::{Create, RoutePolicy};
use crate::decide::say;
use crate::decide::transitions::Transitions;
use crate::decide::unique::Unique;
use crate::decide::verdict::Refusal;
use crate::identify::content::{Content, Place as Field};
use crate::identify::look::LookTemplate;
use crate::ledger::memory::{NotBegun, Place};
use crate::request::version_tag::ResourceKey;

/// What a write is held to beyond its preconditions.
#[derive(Default)]
pub struct Rules {
    /// Whether it may only create.
    pub only_creates: bool,
    /// Values that it takes.
    pub look_ups: Vec<LookUp>,
    /// A move of the resource's state.
    pub moving: Option<Box<Move>>,
}

/// A value that a write takes.
pub struct LookUp {
    /// The rule, by its number in the route.
    pub rule: usize,
    /// What it is reserved under.
    pub key: ResourceKey,
    /// What the origin is asked for.
    pub targets: Vec<PathAndQuery>,
}

/// A move of a resource's state.
pub struct Move {
    /// The state that it moves to.
    pub to: String,
    /// Where the origin shows the resource, if not at the write's own target.
    pub look: Option<PathAndQuery>,
}

impl Rules {
    /// The one that bears on what the request claims: whether it may only create.
    pub fn of_methods(ask: &Ask, parts: &Parts, content: Option<&Content<'_>>) -> Self {
        let only_creates = ask.policy().create == Create::Only
            && create::is_put(&ask.method, &overrides(ask, parts, content));
        Rules { only_creates, ..Rules::default() }
    }

    /// Reads what the other ones need.
    ///
    /// # Errors
    /// 400 where a rule cannot read what it needs, and the route does not let such requests by.
    pub fn read(
        &mut self,
        ask: &Ask,
        parts: &Parts,
        content: Option<&Content<'_>>,
        named: &Named,
    ) -> Result<(), Refusal> {
        let policy = ask.policy();
        if policy.unique.is_empty() && policy.transitions.is_none() {
            return Ok(());
        }
        let lets_by = |refusal: &Refusal| ask.lets_by(&parts.headers, Some(named), refusal);
        let overrides = overrides(ask, parts, content);
        for (at, rule) in policy.unique.iter().enumerate() {
            if rule.applies(&ask.method, &overrides) {
                self.look_ups.extend(unless(lets_by, look_up(ask, content, at, rule))?);
            }
        }
        if let Some(rule) = &policy.transitions {
            self.moving = unless(lets_by, moving(ask, content, rule))?.map(Box::new);
        }
        Ok(())
    }

    /// What a write occupies to reserve its values: nobody else takes one meanwhile.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.look_ups.iter().map(|value| Place { key: value.key, mode: HoldMode::Exclusive })
    }

    /// The refusal of a write that meets another one on one of its values.
    pub fn met(&self, policy: &RoutePolicy, reason: &NotBegun) -> Option<Refusal> {
        let NotBegun::Occupied { key, unsettled_for } = reason else { return None };
        let value = self.look_ups.iter().find(|value| value.key == *key)?;
        Some(say::value_reserved(&policy.unique.get(value.rule)?.place, *unsettled_for))
    }
}

/// Nothing, where such requests are let by.
fn unless<T>(
    lets_by: impl Fn(&Refusal) -> bool,
    read: Result<Option<T>, Refusal>,
) -> Result<Option<T>, Refusal> {
    match read {
        Err(refusal) if lets_by(&refusal) => Ok(None),
        read => read,
    }
}

fn overrides(ask: &Ask, parts: &Parts, content: Option<&Content<'_>>) -> Vec<Vec<u8>> {
    aim::overrides(&parts.headers, ask.target.query(), content.map_or(&[], Content::bytes))
}

fn look_up(
    ask: &Ask,
    content: Option<&Content<'_>>,
    at: usize,
    rule: &Unique,
) -> Result<Option<LookUp>, Refusal> {
    let value = content.map(|content| content.value(&rule.place)).transpose();
    let Some(value) = value.map_err(|why| say::unreadable(&why))?.flatten() else { return Ok(None) };
    let reserved = rule.normalise.apply(&value);
    let key = ask.gateway.ledger.value_key(&ask.policy().upstream, &rule.scope, &reserved);
    let asked = |look: &LookTemplate| {
        let spellings = rule.spellings(&value);
        spellings.iter().map(|spelling| target(ask, content, look, spelling, &rule.place)).collect()
    };
    let targets = rule.look_up.as_ref().map_or(Ok(Vec::new()), |look_up| asked(&look_up.target))?;
    Ok(Some(LookUp { rule: at, key, targets }))
}

fn moving(ask: &Ask, content: Option<&Content<'_>>, rule: &Transitions) -> Result<Option<Move>, Refusal> {
    let Some(to) = rule.target(content).map_err(|why| say::unreadable(&why))? else { return Ok(None) };
    let field = Field::Json(rule.field.clone());
    let look = rule.look.as_ref().map(|look| target(ask, content, look, "", &field)).transpose()?;
    Ok(Some(Move { to, look }))
}

fn target(
    ask: &Ask,
    content: Option<&Content<'_>>,
    look: &LookTemplate,
    value: &str,
    place: &Field,
) -> Result<PathAndQuery, Refusal> {
    look.target(&ask.target.path, ask.target.query(), content, value)
        .map_err(|why| say::cannot_look(&why, place))
}
