//! What the preconditions of a request say, and what follows from them.

use http::{HeaderName, header};

use super::{Asked, Told, rules, validators, views};
use crate::config::checked::Route;
use crate::decide::claim::{Claim, HoldMode, claim};
use crate::decide::create;
use crate::decide::policy::{Mode, Overlap, RoutePolicy, Unconditional, VerifyUnknown, WeakIfMatch};
use crate::decide::say;
use crate::decide::validator::Validator;
use crate::decide::verdict::RefusalKind;
use crate::decide::views::goes_by_view;
use crate::http1::fields::Fields;
use crate::request::entity_tag::{EntityTag, TagCondition};
use crate::request::method::Effect;
use crate::request::preconditions::{CONDITIONAL_FIELDS, IfRange, Preconditions, is_ours_alone};
use crate::request::version_tag::{Incarnation, ResourceKey, VersionTag};

/// Tells the preconditions and the decision.
pub(super) fn tell(told: &mut Told, route: &Route, effect: Effect, asked: &Asked) {
    validators::tell(told, route);
    let mut stated = match Preconditions::read(&asked.fields) {
        Ok(stated) => stated,
        Err(malformed) => {
            told.line("precondition", format!("{} cannot be read", malformed.field));
            told.refusal(&say::malformed(&malformed), Some(route));
            return;
        }
    };
    if effect.writes()
        && let Err(refusal) = validators::state_elsewhere(told, &mut stated, route, asked)
    {
        told.refusal(&refusal, Some(route));
        return;
    }
    tell_stated(told, &stated, &route.policy);
    tell_ignored(told, &stated, &asked.fields);
    if effect.writes() && rules::only_creates(&route.policy, asked) {
        stated = create::stated(stated);
    }
    match effect {
        Effect::Read => {
            tell_read(told, &stated, route);
            views::tell_read(told, route, asked);
        }
        Effect::Neither | Effect::Write | Effect::GuardedWrite => {
            tell_write(told, route, effect, &stated, asked);
        }
    }
}

/// Which conditions a route that only observes does not pass on.
pub(super) fn tell_passed(told: &mut Told, route: &Route, fields: &Fields) {
    if route.policy.mode != Mode::Observe {
        return;
    }
    told.line("mode", "\"observe\": the request and its answer pass as they are, whatever is decided");
    let tagged = [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_RANGE];
    for name in tagged.iter().filter(|name| is_ours_alone(fields, name)) {
        told.line("", format!("{name} stays behind: its tags are of ifmatch's making"));
    }
}

fn tell_stated(told: &mut Told, stated: &Preconditions, policy: &RoutePolicy) {
    let conditions = [("If-Match", &stated.if_match), ("If-None-Match", &stated.if_none_match)];
    for (name, condition) in conditions {
        match condition {
            None => {}
            Some(TagCondition::Any) => told.line("precondition", format!("{name}: *")),
            Some(TagCondition::Tags(tags)) => {
                for tag in tags {
                    let strong = name == "If-Match";
                    told.line("precondition", format!("{name}: {tag}: {}", of_tag(tag, policy, strong)));
                }
            }
        }
    }
    for (name, date) in
        [("If-Unmodified-Since", stated.if_unmodified_since), ("If-Modified-Since", stated.if_modified_since)]
    {
        if let Some(date) = date {
            told.line("precondition", format!("{name}: {}", httpdate::fmt_http_date(date)));
        }
    }
    match &stated.if_range {
        None => {}
        Some(IfRange::Date) => told.line("precondition", "If-Range: a date, which the origin judges"),
        Some(IfRange::Tag(tag)) => {
            told.line("precondition", format!("If-Range: {tag}: {}", of_tag(tag, policy, true)));
        }
    }
    if *stated == Preconditions::default() {
        told.line("precondition", "none");
    }
}

/// Whose tag it is, and what it names.
fn of_tag(tag: &EntityTag, policy: &RoutePolicy, strong: bool) -> String {
    if let Some(words) = validators::of_tag(&policy.validator) {
        return words.to_owned();
    }
    let lenient = !strong || policy.weak_if_match == WeakIfMatch::Accept;
    let read = if lenient { VersionTag::read_with_suffix(tag) } else { VersionTag::read(tag) };
    match read {
        Some(_) if tag.is_weak() && !lenient => {
            "weak, and compared strongly here, so it matches nothing (weak_if_match = \"refuse\")".to_owned()
        }
        Some(ours) => format!(
            "version {} of the ledger's life {:016x}, of the resource {:08x}",
            ours.version.0, ours.incarnation.0, ours.resource
        ),
        None => "not a tag of ifmatch's making, so it matches nothing".to_owned(),
    }
}

/// What RFC 9110 tells a recipient to ignore does not count as a precondition.
fn tell_ignored(told: &mut Told, stated: &Preconditions, fields: &Fields) {
    let counts = |name: &HeaderName| match *name {
        header::IF_MATCH => stated.if_match.is_some(),
        header::IF_NONE_MATCH => stated.if_none_match.is_some(),
        header::IF_UNMODIFIED_SINCE => stated.if_unmodified_since.is_some(),
        header::IF_MODIFIED_SINCE => stated.if_modified_since.is_some(),
        _ => stated.if_range.is_some(),
    };
    for name in CONDITIONAL_FIELDS.iter().filter(|name| fields.contains_key(*name) && !counts(name)) {
        let why = match *name {
            header::IF_UNMODIFIED_SINCE if stated.if_match.is_some() => "If-Match is there",
            header::IF_MODIFIED_SINCE if stated.if_none_match.is_some() => "If-None-Match is there",
            header::IF_RANGE => "there is no Range",
            _ => "it is not one valid HTTP-date",
        };
        told.line("ignored", format!("{name}: {why} (RFC 9110 section 13.1)"));
    }
}

fn tell_read(told: &mut Told, stated: &Preconditions, route: &Route) {
    if route.policy.mode == Mode::Observe {
        told.line("decision", "forwarded; a condition that would be refused is counted and logged");
        return;
    }
    told.line("decision", "forwarded without conditions of ours; a 200 answer carries the resource's tag");
    if stated.if_none_match.is_some() {
        told.line("", "304 if the answer's own tag is one of those in If-None-Match (or for *)");
    }
    if stated.if_modified_since.is_some() {
        told.line("", "304 if the origin's Last-Modified is not after If-Modified-Since");
    }
    if matches!(stated.if_match, Some(TagCondition::Tags(_))) || stated.if_unmodified_since.is_some() {
        told.line("", "412 precondition-failed if the resource has moved on from what is stated");
    }
}

/// The life and the resource that the stated tags name first. The real ones are random numbers of the
/// running ledger; the claim is read as if these were they.
fn named_first(stated: &Preconditions) -> (Incarnation, ResourceKey) {
    let tags =
        [&stated.if_match, &stated.if_none_match].into_iter().flatten().flat_map(
            |condition| match condition {
                TagCondition::Any => &[][..],
                TagCondition::Tags(tags) => tags.as_slice(),
            },
        );
    let ours = tags.filter_map(VersionTag::read_with_suffix).next();
    ours.map_or((Incarnation(0), ResourceKey(0)), |tag| (tag.incarnation, ResourceKey(tag.resource.into())))
}

fn tell_write(told: &mut Told, route: &Route, effect: Effect, stated: &Preconditions, asked: &Asked) {
    let policy = &route.policy;
    let (incarnation, resource) = named_first(stated);
    if goes_by_view(effect, stated, policy) {
        views::tell(told, route, asked);
        return;
    }
    let mut claim = match claim(effect, stated, policy, incarnation, resource) {
        Ok(claim) => claim,
        Err(refusal) => {
            told.refusal(&refusal, Some(route));
            return;
        }
    };
    if rules::moves(policy, asked) {
        claim.hold = HoldMode::Exclusive;
    }
    if claim.condition.any_of.as_ref().is_some_and(|versions| versions.is_empty()) {
        told.refusal(&say::stale(), Some(route));
        if policy.mode == Mode::Observe {
            told.line("", "not counted if it is the tag that the origin last showed for the current version");
        }
        return;
    }
    let conditions = conditions(&claim, effect, policy, incarnation);
    if conditions.is_empty() {
        let judged_there = claim.lists_tags && policy.validator == Validator::Enforced;
        let why = if judged_there {
            "the origin judges it"
        } else {
            "nothing of the resource's state is asked for"
        };
        told.line("decision", format!("forwarded: {why}"));
    } else {
        told.line("decision", format!("forwarded if {}", conditions.join(", and ")));
        let status = RefusalKind::PreconditionFailed.status(policy.statuses).as_u16();
        let only_creates = effect.writes() && rules::only_creates(policy, asked);
        let otherwise = match (only_creates, conditions.len()) {
            (true, 1) => "409 already-exists".to_owned(),
            (true, _) => format!("{status} precondition-failed, or 409 already-exists"),
            (false, _) => format!("{status} precondition-failed"),
        };
        told.line("", format!("else {otherwise}"));
    }
    told.line("", beside_others(&claim, policy));
    if claim.is_override {
        told.line("", "counted as an override: what it states says nothing of the state its author saw");
    }
    if policy.verify_unknown == VerifyUnknown::AfterSettle {
        told.line("", "if its outcome is unknown: the origin is asked after `settle` whether it took effect");
    }
    if policy.mode == Mode::Observe {
        told.line("", "mode = \"observe\": a conflict is counted and logged, and forwarded all the same");
    }
}

/// What must be true for the write to be forwarded.
fn conditions(claim: &Claim, effect: Effect, policy: &RoutePolicy, incarnation: Incarnation) -> Vec<String> {
    let list = |versions: &[crate::request::version_tag::Version]| {
        let numbers: Vec<String> = versions.iter().map(|version| version.0.to_string()).collect();
        format!("{} of the ledger's life {:016x}", numbers.join(" or "), incarnation.0)
    };
    let mut conditions = Vec::new();
    if let Some(versions) = &claim.condition.any_of {
        let others = "tags of other lives or resources match nothing";
        conditions.push(format!("the resource's version is {} ({others})", list(versions)));
    }
    if !claim.condition.none_of.is_empty() {
        conditions.push(format!("the resource's version is not {}", list(&claim.condition.none_of)));
    }
    conditions.extend(validators::conditions(claim));
    if claim.probe.must_exist {
        conditions.push("the origin, asked first, shows that the resource exists".to_owned());
    }
    if claim.probe.must_not_exist {
        conditions.push("the origin, asked first, shows that the resource does not exist".to_owned());
    }
    if claim.probe.unmodified_since.is_some() {
        let alone = conditions.is_empty()
            && effect == Effect::GuardedWrite
            && matches!(policy.unconditional, Unconditional::Require | Unconditional::Infer);
        let without = if alone { "without one: 428" } else { "without one: the date is ignored" };
        conditions.push(format!(
            "the origin's Last-Modified is not after the stated date, nor within a second of the last write ({without})"
        ));
    }
    conditions
}

fn beside_others(claim: &Claim, policy: &RoutePolicy) -> String {
    let may_wait = claim.patience == crate::decide::claim::Patience::AsRoute;
    match (claim.hold, policy.overlap) {
        (HoldMode::Exclusive, Overlap::Wait { at_most, waiters }) if may_wait => format!(
            "while another write to the resource is in flight: waits up to {at_most:?}, with at most {waiters} others, and is judged again"
        ),
        (HoldMode::Exclusive, _) => {
            "while another write to the resource is in flight: 409 write-in-flight; while one is unsettled: 409 unsettled"
                .to_owned()
        }
        (HoldMode::Shared | HoldMode::Member, _) => {
            "also beside other writes without a precondition; beside one that states a precondition: 409 write-in-flight"
                .to_owned()
        }
    }
}
