//! What a write asks of the ledger and of the origin before it may be forwarded.
//!
//! Refusals have an order: malformed (400), precondition required (428), occupied (409), stale (412).
//! The first two are told here; the others by whoever holds the state.

use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use super::policy::{RoutePolicy, Unconditional, WeakIfMatch};
use super::say;
use super::validator::{Validator, is_same, satisfies};
use super::verdict::Refusal;
use super::views;
use crate::request::entity_tag::{EntityTag, TagCondition};
use crate::request::method::Effect;
use crate::request::preconditions::Preconditions;
use crate::request::version_tag::{Incarnation, ResourceKey, Version, VersionTag};

/// How a write occupies its resource (rule R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HoldMode {
    /// Alone: the write's author saw a state, or asked that no other write be in flight.
    Exclusive,
    /// Beside others of the same mode: their authors claim to have seen nothing, so none of them can
    /// replace what another author saw. Excludes [`HoldMode::Exclusive`].
    Shared,
    /// On an upstream as a whole: taken by every write to one of its resources, so that it excludes a
    /// write that changes all of them.
    Member,
}

/// What must be true of the resource's version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionCondition {
    /// The current version must be one of these.
    pub any_of: Option<SmallVec<[Version; 1]>>,
    /// The current version must be none of these.
    pub none_of: Vec<Version>,
}

impl VersionCondition {
    /// Judges the current version.
    ///
    /// # Errors
    /// The refusal that tells which side is false.
    pub fn judge(&self, current: Version) -> Result<(), Refusal> {
        if self.any_of.as_ref().is_some_and(|versions| !versions.contains(&current)) {
            Err(say::stale())
        } else if self.none_of.contains(&current) {
            Err(say::still_matches())
        } else {
            Ok(())
        }
    }
}

/// What must be true of the tag that the origin shows, where that is what tags stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagsWanted {
    /// It must be one of these.
    pub any_of: Option<Vec<EntityTag>>,
    /// It must be none of these.
    pub none_of: Vec<EntityTag>,
}

impl TagsWanted {
    /// What these preconditions want of it; `None` where they list no tags.
    fn by(stated: &Preconditions) -> Option<Box<Self>> {
        let listed = |condition: &Option<TagCondition>| match condition {
            Some(TagCondition::Tags(tags)) => Some(tags.clone()),
            Some(TagCondition::Any) | None => None,
        };
        let (any_of, none_of) = (listed(&stated.if_match), listed(&stated.if_none_match));
        if any_of.is_none() && none_of.is_none() {
            return None;
        }
        Some(Box::new(TagsWanted { any_of, none_of: none_of.unwrap_or_default() }))
    }

    fn judge(&self, shown: &Shown, weak: WeakIfMatch) -> Result<(), Refusal> {
        let tag = shown.tag.as_ref();
        if let Some(stated) = &self.any_of
            && !tag.is_some_and(|shown| stated.iter().any(|stated| satisfies(stated, shown, weak)))
        {
            return Err(if shown.exists.is_none() { say::not_shown() } else { say::stale() });
        }
        let is_named = |shown| self.none_of.iter().any(|stated| is_same(stated, shown, weak));
        match tag {
            _ if self.none_of.is_empty() => Ok(()),
            Some(shown) if is_named(shown) => Err(say::still_matches()),
            Some(_) => Ok(()),
            None if shown.exists == Some(false) => Ok(()),
            // It may be one of them.
            None => Err(say::not_shown()),
        }
    }
}

/// What must be asked of the origin, under the permit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// `If-Match: *`
    pub must_exist: bool,
    /// `If-None-Match: *`
    pub must_not_exist: bool,
    /// `If-Unmodified-Since`
    pub unmodified_since: Option<SystemTime>,
    /// Lists of tags, where they stand for what the origin shows (rule K1). In a box: few routes have such tags.
    pub tags: Option<Box<TagsWanted>>,
}

impl Probe {
    /// Whether the origin has to be asked at all.
    pub fn is_needed(&self) -> bool {
        self.must_exist || self.must_not_exist || self.unmodified_since.is_some() || self.tags.is_some()
    }
}

/// Whether a write that meets another one may wait for it where the route lets writes wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As the route says.
    AsRoute,
    /// Never: the write is protected by nothing but the refusal (`unconditional = "overlap"`).
    Never,
}

/// A write that may be forwarded if its claim holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// How it occupies its resource.
    pub hold: HoldMode,
    /// What must be true of the version.
    pub condition: VersionCondition,
    /// What must be true at the origin.
    pub probe: Probe,
    /// Whether it may wait.
    pub patience: Patience,
    /// Whether it goes by a condition that says nothing of the state its author saw: `If-Match: *`, or
    /// a list in `If-None-Match` alone. Such writes are counted.
    pub is_override: bool,
    /// Whether a date is all that it states: one that has to be ignored leaves nothing.
    pub states_only_a_date: bool,
    /// Whether it lists tags in `If-Match`, whoever compares them.
    pub lists_tags: bool,
    /// Whether it states nothing and its condition is what its author last read (`unconditional = "infer"`).
    pub by_view: bool,
}

impl Claim {
    /// Whether the write states which state it replaces: its author saw the whole of it, and it does no harm
    /// when it is sent again.
    pub fn names_a_state(&self) -> bool {
        self.lists_tags
    }

    /// Whether its author saw the whole of the state that it replaces, and says so or was seen to.
    pub fn saw_a_state(&self) -> bool {
        self.lists_tags || self.condition.any_of.is_some()
    }

    /// What a write claims in observe mode whose own claim would have been refused: nothing.
    pub fn blind() -> Self {
        Claim {
            hold: HoldMode::Shared,
            condition: VersionCondition::default(),
            probe: Probe::default(),
            patience: Patience::Never,
            is_override: false,
            states_only_a_date: false,
            lists_tags: false,
            by_view: false,
        }
    }
}

/// Reads a write's claim out of what it states.
///
/// # Errors
/// 428 where the route requires a precondition and none is stated.
pub fn claim(
    effect: Effect,
    stated: &Preconditions,
    policy: &RoutePolicy,
    incarnation: Incarnation,
    resource: ResourceKey,
) -> Result<Claim, Refusal> {
    let versions = |tags: &[EntityTag]| {
        tags.iter()
            .filter_map(|tag| named_version(tag, policy.weak_if_match, incarnation, resource))
            .collect()
    };
    let mut condition = VersionCondition::default();
    let mut probe = Probe { unmodified_since: stated.if_unmodified_since, ..Probe::default() };
    let shown = policy.validator.is_shown();
    if shown {
        probe.tags = TagsWanted::by(stated);
    }
    match &stated.if_match {
        Some(TagCondition::Any) => probe.must_exist = true,
        Some(TagCondition::Tags(_)) if shown => {}
        Some(TagCondition::Tags(tags)) => condition.any_of = Some(versions(tags)),
        None => {}
    }
    match &stated.if_none_match {
        Some(TagCondition::Any) => probe.must_not_exist = true,
        Some(TagCondition::Tags(_)) if shown => {}
        // Weak comparison (RFC 9110 section 13.1.2), by the version alone: a write to a resource that
        // has not moved on is refused whatever representation the author saw.
        Some(TagCondition::Tags(tags)) => {
            let named =
                |tag| VersionTag::read_with_suffix(tag).filter(|tag| tag.is_of(incarnation, resource));
            condition.none_of = tags.iter().filter_map(named).map(|tag| tag.version).collect();
        }
        None => {}
    }
    let lists_tags = matches!(stated.if_match, Some(TagCondition::Tags(_)));
    let states_only_a_date = stated.if_match.is_none() && stated.if_none_match.is_none();
    let names_a_state = lists_tags || probe.must_not_exist || probe.unmodified_since.is_some();
    if !states_only_a_date || probe.unmodified_since.is_some() {
        if matches!(policy.validator, Validator::Enforced) {
            // A value that is no tag could not go on, and the origin would find nothing to judge.
            if matches!(&stated.if_match, Some(TagCondition::Tags(tags)) if tags.is_empty()) {
                return Err(say::stale());
            }
            // All of it goes on, and the origin judges it.
            (condition, probe) = (VersionCondition::default(), Probe::default());
        }
        let is_override = !names_a_state;
        return Ok(Claim {
            hold: HoldMode::Exclusive,
            condition,
            probe,
            patience: Patience::AsRoute,
            is_override,
            states_only_a_date,
            lists_tags,
            by_view: false,
        });
    }
    let (hold, patience) = match (effect, policy.unconditional) {
        (Effect::GuardedWrite, Unconditional::Require) => return Err(say::precondition_required()),
        (Effect::GuardedWrite, Unconditional::Overlap) => (HoldMode::Exclusive, Patience::Never),
        (Effect::GuardedWrite, Unconditional::Infer) => views::unknown(policy.views.when_unknown)?,
        (Effect::GuardedWrite, Unconditional::Allow)
        | (Effect::Neither | Effect::Read | Effect::Write, _) => (HoldMode::Shared, Patience::AsRoute),
    };
    Ok(Claim {
        hold,
        condition,
        probe,
        patience,
        is_override: false,
        states_only_a_date: false,
        lists_tags: false,
        by_view: false,
    })
}

fn named_version(
    tag: &EntityTag,
    weak: WeakIfMatch,
    incarnation: Incarnation,
    resource: ResourceKey,
) -> Option<Version> {
    let read = match (weak, tag.is_weak()) {
        (WeakIfMatch::Refuse, true) => None,
        (WeakIfMatch::Refuse, false) => VersionTag::read(tag),
        (WeakIfMatch::Accept, _) => VersionTag::read_with_suffix(tag),
    };
    read.filter(|tag| tag.is_of(incarnation, resource)).map(|tag| tag.version)
}

/// What the origin showed when it was asked under the permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Whether there is a representation; `None` where the answer does not tell.
    pub exists: Option<bool>,
    /// Its `Last-Modified`, if there was one, on our clock.
    pub last_modified: Option<SystemTime>,
    /// Its tag, where the route's tags are those that the origin shows.
    pub tag: Option<EntityTag>,
}

/// Judges what the origin showed. `seen_since` is when the first write to the resource that may have
/// been applied began, as far as the ledger saw one.
///
/// A date has a resolution of one second, so a resource that was written in the second of its
/// `Last-Modified` cannot be told from what a client read earlier in that second: it fails. Of all the
/// writes that were seen, the ledger knows only when the first one began, so everything that was
/// modified since then fails.
///
/// # Errors
/// 412 where the condition is false or the origin does not tell; 428 where the only thing stated is a
/// date, no modification date is known, so that it is ignored (RFC 9110 section 13.1.4), and the route
/// requires a precondition.
pub fn judge_shown(
    claim: &Claim,
    shown: &Shown,
    seen_since: Option<SystemTime>,
    effect: Effect,
    policy: &RoutePolicy,
) -> Result<(), Refusal> {
    /// The origin's `Date` is cut to a second, so what is derived from it may be early by as much.
    const RESOLUTION: Duration = Duration::from_secs(1);
    if claim.probe.must_exist && shown.exists != Some(true) {
        return Err(say::does_not_exist());
    }
    if claim.probe.must_not_exist && shown.exists != Some(false) {
        return Err(say::already_there());
    }
    if let Some(tags) = &claim.probe.tags {
        tags.judge(shown, policy.weak_if_match)?;
    }
    let Some(date) = claim.probe.unmodified_since else { return Ok(()) };
    match shown.last_modified {
        Some(modified) if modified > date => Err(say::modified_since()),
        Some(modified) if seen_since.is_some_and(|begun| modified + RESOLUTION >= begun) => {
            Err(say::modified_since())
        }
        Some(_) => Ok(()),
        None => {
            if claim.states_only_a_date
                && effect == Effect::GuardedWrite
                // Nor is a view asked for that late: a doubt costs a refusal.
                && matches!(policy.unconditional, Unconditional::Require | Unconditional::Infer)
            {
                Err(say::precondition_required())
            } else {
                Ok(())
            }
        }
    }
}
