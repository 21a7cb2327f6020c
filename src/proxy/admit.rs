//! Admitting a write: what it states, what it changes, and the ledger's word on it.

use std::time::{Duration, Instant};

use crate::http1::message::RequestParts as Parts;

use super::ask::{Ask, Named};
use super::changes;
use super::observe;
use super::rules::Rules;
use super::twice;
use super::unjudged::Unjudged;
use super::views::View;
use crate::boxed::boxed;
use crate::decide::claim::{Claim, HoldMode, Patience};
use crate::decide::create;
use crate::decide::outcome::WriteOutcome;
use crate::decide::policy::{Mode, Overlap};
use crate::decide::say;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::decide::views::{claim_of, goes_by_view};
use crate::identify::content::Content;
use crate::identify::resource_id::ResourceId;
use crate::ledger::memory::{BeginWrite, Begun, NotBegun, Place};
use crate::ledger::names::UnderWay;
use crate::ledger::permit::WritePermit;
use crate::ledger::waiting::Waiter;
use crate::report::limits_hit::Limit;
use crate::request::entity_tag::{EntityTag, TagCondition};
use crate::request::method::Effect;
use crate::request::preconditions::Preconditions;
use crate::request::version_tag::Version;

/// A write that may be forwarded.
pub struct Admitted {
    /// The right to.
    pub permit: Right,
    /// What it was judged to be.
    pub judged: Box<Judged>,
    /// When.
    pub decided_at: Instant,
}

/// A write that may not be.
pub struct NotAdmitted {
    /// What it writes to.
    pub named: Named,
    /// Why.
    pub refusal: Refusal,
}

/// The right to forward a write. Only observe mode ever goes without a permit: where the ledger could not take the
/// write.
pub type Right = Result<WritePermit, Box<Unjudged>>;

/// A write that nothing but the ledger and the origin can speak against any more.
pub struct Judged {
    /// What it writes to.
    pub named: Named,
    /// What it claims.
    pub claim: Claim,
    /// What it states in another place than `If-Match`, where the origin is to compare it.
    pub translated: Option<Box<EntityTag>>,
    /// What else it is held to.
    pub rules: Rules,
    /// Its author's view of the resource, where the route infers.
    pub view: Option<View>,
    /// What else it changes.
    others: Vec<Place>,
}

/// Frees what a write occupies that is not forwarded after all.
pub async fn give_up(right: Right) {
    match right {
        Ok(permit) => drop(permit.settle(WriteOutcome::NotApplied).await),
        Err(unjudged) => unjudged.ended(WriteOutcome::NotApplied),
    }
}

/// Judges a write and lets the ledger begin it, or waits for its turn.
///
/// # Errors
/// The refusal, in the order malformed (400), precondition required (428), occupied (409), stale (412).
pub async fn admit(
    ask: &Ask,
    id: ResourceId,
    effect: Effect,
    parts: &Parts,
    content: Option<&Content<'_>>,
) -> Result<Admitted, NotAdmitted> {
    // R14: counted before its resources get their slots, so that a change of names waits for it, or is seen.
    let under_way = ask.gateway.ledger.names().begin(&ask.policy().upstream);
    // Not even to observe: nobody who goes by the newer names would know of it.
    if ask.observes() && !under_way.is_in_force(&ask.live.names, &ask.policy().upstream) {
        return Err(NotAdmitted { named: ask.named(id), refusal: say::names_changed() });
    }
    let stated = Stated::of(ask, id, parts, content, &under_way);
    let viewed = stated.viewed(ask, effect).await;
    let judged = judge(ask, stated, viewed, effect, parts, content, &under_way)?;
    let write = judged.begin_write(ask);
    let (mut begun, mut waited) = (ask.gateway.ledger.begin(&write).await, Duration::ZERO);
    if let (Err(NotBegun::Occupied { .. }), Overlap::Wait { at_most, waiters }, Patience::AsRoute) =
        (&begun, ask.policy().overlap, judged.claim.patience)
    {
        let entered = Instant::now();
        begun = Box::pin(wait(ask, &write, begun, at_most, waiters)).await;
        waited = entered.elapsed();
    }
    if judged.claim.is_override {
        ask.route.metrics.overrides.inc();
    }
    let permit = permit(ask, begun, &judged, under_way, parts, content)
        .map_err(|refusal| NotAdmitted { named: judged.named.clone(), refusal })?;
    let decided_at = Instant::now();
    // Everything since the request's head but waiting for other writes.
    ask.gateway.metrics.decision_duration.observe((decided_at - ask.started).saturating_sub(waited));
    Ok(Admitted { permit, judged, decided_at })
}

/// What a write states, before anybody judges it.
struct Stated {
    named: Named,
    view: Option<View>,
    rules: Rules,
    preconditions: Result<Preconditions, Refusal>,
    /// The tag among them that came from another place than `If-Match`, where the origin is to compare it.
    translated: Option<Box<EntityTag>>,
    /// R14: whether it can be judged by the names that the request began with.
    turn: Result<(), Refusal>,
}

impl Stated {
    fn of(
        ask: &Ask,
        id: ResourceId,
        parts: &Parts,
        content: Option<&Content<'_>>,
        under_way: &UnderWay,
    ) -> Self {
        let turn = in_force(ask, under_way, &id);
        let named = ask.named_to_write(id);
        let view = View::of(ask, &parts.headers, &named, content);
        let rules = Rules::of_methods(ask, parts, content);
        let mut translated = None;
        let preconditions = preconditions(ask, &named, parts, content, &rules, &mut translated);
        Stated { named, view, rules, preconditions, translated, turn }
    }

    /// The version that the write's author last read, where that is what the write goes by.
    async fn viewed(&self, ask: &Ask, effect: Effect) -> Option<Version> {
        let stated = self.preconditions.as_ref().ok()?;
        let view = self.view.filter(|_| goes_by_view(effect, stated, ask.policy()))?;
        Box::pin(view.version(ask, &self.named)).await
    }
}

fn in_force(ask: &Ask, under_way: &UnderWay, id: &ResourceId) -> Result<(), Refusal> {
    match ask.in_force(under_way, id) {
        Err(_) if ask.observes() => Ok(()),
        judged => judged,
    }
}

/// Judges everything that needs neither the ledger's state nor the origin's.
fn judge(
    ask: &Ask,
    mut stated: Stated,
    viewed: Option<Version>,
    effect: Effect,
    parts: &Parts,
    content: Option<&Content<'_>>,
    under_way: &UnderWay,
) -> Result<Box<Judged>, NotAdmitted> {
    let claimed = claimed(ask, &mut stated, viewed, effect, parts, content, under_way);
    let Stated { named, view, rules, translated, .. } = stated;
    match claimed {
        Ok((claim, others)) => Ok(boxed(|| Judged { named, claim, translated, rules, view, others })),
        Err(refusal) => Err(NotAdmitted { named, refusal }),
    }
}

/// What a write claims, and what else it changes.
fn claimed(
    ask: &Ask,
    stated: &mut Stated,
    viewed: Option<Version>,
    effect: Effect,
    parts: &Parts,
    content: Option<&Content<'_>>,
    under_way: &UnderWay,
) -> Result<(Claim, Vec<Place>), Refusal> {
    let Stated { named, rules, preconditions, turn, .. } = stated;
    let named = &*named;
    let incarnation = ask.gateway.ledger.incarnation();
    let claimed = match preconditions {
        Ok(stated) => claim_of(effect, stated, ask.policy(), incarnation, named.key, viewed),
        Err(refusal) => Err(refusal.clone()),
    };
    let mut claim = match claimed {
        Ok(claim) => claim,
        Err(refusal) if ask.observes() => {
            ask.note_conflict(&parts.headers, Some(named), &refusal);
            Claim::blind()
        }
        Err(refusal) => return Err(refusal),
    };
    if ask.observes() {
        observe::count_origins_tag(ask, named, &parts.headers, &mut claim);
    }
    if let Err(refusal) = turn {
        return Err(refusal.clone());
    }
    note_tag_ages(ask, named, &claim);
    let mut others = match changes::others(ask, parts, content, |id| in_force(ask, under_way, id)) {
        Ok(others) => others,
        Err(refusal) if ask.lets_by(&parts.headers, Some(named), &refusal) => Vec::new(),
        Err(refusal) => return Err(refusal),
    };
    rules.read(ask, parts, content, named)?;
    others.extend(rules.places());
    if rules.moving.is_some() {
        // Or two moves of one state could slip in beside each other.
        claim.hold = HoldMode::Exclusive;
    }
    Ok((claim, others))
}

impl Judged {
    /// What the ledger is asked.
    fn begin_write(&self, ask: &Ask) -> BeginWrite<'_> {
        BeginWrite {
            target: Place { key: self.named.key, mode: self.claim.hold },
            whole: changes::whole_place(ask, self.claim.hold),
            others: &self.others,
            condition: &self.claim.condition,
            read_lag: ask.route.route.upstream.read_lag,
            observe: ask.observes(),
        }
    }

    /// What its client is told where the ledger says no.
    fn refused_by(&self, ask: &Ask, reason: NotBegun) -> Refusal {
        match reason {
            NotBegun::Stale(_) if self.claim.by_view => say::stale_view(),
            reason @ (NotBegun::Stale(_)
            | NotBegun::Occupied { .. }
            | NotBegun::Starting(_)
            | NotBegun::NoRoom
            | NotBegun::Closed) => {
                self.rules.met(ask.policy(), &reason).unwrap_or_else(|| refusal_of(reason))
            }
        }
    }
}

/// The ledger's word, as a right to forward the write.
fn permit(
    ask: &Ask,
    begun: Result<Begun, NotBegun>,
    judged: &Judged,
    under_way: UnderWay,
    parts: &Parts,
    content: Option<&Content<'_>>,
) -> Result<Right, Refusal> {
    match begun {
        Ok(Begun { permit, observed }) => {
            if let Some(reason) = observed {
                let (named, refusal) = (&judged.named, judged.refused_by(ask, reason));
                if !twice::would_be_answered(ask, named, &refusal, &parts.headers, content) {
                    ask.note_conflict(&parts.headers, Some(named), &refusal);
                }
            }
            Ok(Ok(counted(ask, permit, under_way)))
        }
        Err(NotBegun::NoRoom) => {
            ask.gateway.metrics.ledger_failed("memory");
            if ask.observes() {
                Ok(Err(Box::new(Unjudged::new(ask, under_way))))
            } else {
                Err(refusal_of(NotBegun::NoRoom))
            }
        }
        // Not even to observe: the next process would not know that it has to wait for this write (R11).
        Err(NotBegun::Closed) => Err(refusal_of(NotBegun::Closed)),
        Err(_) if ask.observes() => Ok(Err(Box::new(Unjudged::new(ask, under_way)))),
        Err(reason) => Err(judged.refused_by(ask, reason)),
    }
}

/// What a write states, wherever it states it.
fn preconditions(
    ask: &Ask,
    named: &Named,
    parts: &Parts,
    content: Option<&Content<'_>>,
    rules: &Rules,
    translated: &mut Option<Box<EntityTag>>,
) -> Result<Preconditions, Refusal> {
    let mut stated = Preconditions::read(&parts.headers).map_err(|malformed| say::malformed(&malformed))?;
    let elsewhere = match stated.if_match {
        Some(_) => None,
        None => stated_elsewhere(ask, named, parts, content)?,
    };
    if let Some(tags) = elsewhere {
        if let (TagCondition::Tags(tags), Mode::Enforce) = (&tags, ask.policy().mode) {
            *translated = tags.first().cloned().map(Box::new);
        }
        stated.state_if_match(tags);
    }
    if rules.only_creates {
        stated = create::stated(stated);
    }
    Ok(stated)
}

fn stated_elsewhere(
    ask: &Ask,
    named: &Named,
    parts: &Parts,
    content: Option<&Content<'_>>,
) -> Result<Option<TagCondition>, Refusal> {
    let Some(from) = &ask.policy().precondition_from else { return Ok(None) };
    match from.stated(&ask.policy().validator, &parts.headers, ask.target.query(), content) {
        Err(refusal) if ask.lets_by(&parts.headers, Some(named), &refusal) => Ok(None),
        stated => stated,
    }
}

/// Waits for a turn among the writes to a place that was found occupied.
async fn wait(
    ask: &Ask,
    write: &BeginWrite<'_>,
    mut tried: Result<Begun, NotBegun>,
    at_most: Duration,
    waiters: usize,
) -> Result<Begun, NotBegun> {
    let ledger = &ask.gateway.ledger;
    let deadline = tokio::time::Instant::now() + at_most;
    let by_the_route = deadline < ask.bounds.total.at();
    let deadline = deadline.min(ask.bounds.total.at());
    let (mut waits, mut place) = (None, None::<Waiter<'_>>);
    // Whoever waited is judged again (rule R5); it may then be another of its places that is occupied.
    while let Err(NotBegun::Occupied { key, .. }) = tried {
        // Who waits already keeps its place.
        let waiter = match place.take().filter(|waiter| waiter.key() == key) {
            Some(waiter) => waiter,
            None => match ledger.waiting().join(key, waiters) {
                Some(waiter) => waiter,
                None => {
                    ask.bounds.hits.hit(Limit::Waiters);
                    return tried;
                }
            },
        };
        let waiter = place.insert(waiter);
        waits.get_or_insert_with(|| Waits::new(ask));
        let mut woken = std::pin::pin!(waiter.woken());
        woken.as_mut().enable();
        tried = ledger.begin(write).await;
        let still_here = matches!(tried, Err(NotBegun::Occupied { key: now, .. }) if now == key);
        if still_here && tokio::time::timeout_at(deadline, woken).await.is_err() {
            if by_the_route {
                ask.bounds.hits.hit(Limit::WaitTime);
            } else {
                ask.bounds.total.hit();
            }
            return tried;
        }
    }
    tried
}

/// Counts a waiting write while it waits.
struct Waits<'a>(&'a Ask);

impl<'a> Waits<'a> {
    fn new(ask: &'a Ask) -> Self {
        ask.route.metrics.writes_waiting.inc();
        Waits(ask)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.route.metrics.writes_waiting.dec();
    }
}

fn counted(ask: &Ask, mut permit: WritePermit, under_way: UnderWay) -> WritePermit {
    ask.route.metrics.writes_in_flight.inc();
    permit.on_end(ask.route.clone());
    permit.keep_counted(under_way);
    permit
}

fn note_tag_ages(ask: &Ask, named: &Named, claim: &Claim) {
    let ages = claim
        .condition
        .any_of
        .iter()
        .flatten()
        .filter_map(|version| ask.gateway.reads.age(named.key, *version, ask.started));
    if let Some(youngest) = ages.min() {
        ask.route.metrics.read_to_write.observe(youngest);
    }
}

fn refusal_of(reason: NotBegun) -> Refusal {
    const SOON: Duration = Duration::from_secs(1);
    match reason {
        NotBegun::Occupied { unsettled_for: None, .. } => say::in_flight(),
        NotBegun::Occupied { unsettled_for: Some(left), .. } => say::unsettled(left),
        NotBegun::Stale(refusal) => refusal,
        NotBegun::Starting(left) => Refusal::later(
            RefusalKind::Starting,
            left,
            "This gateway has just started without its earlier state. Writes are judged once those of its \
             earlier life can no longer be applied; reads are served meanwhile.",
        ),
        NotBegun::NoRoom => Refusal::later(
            RefusalKind::LedgerUnavailable,
            SOON,
            "This gateway cannot keep track of another write right now. Try again.",
        ),
        NotBegun::Closed => Refusal::later(
            RefusalKind::LedgerUnavailable,
            SOON,
            "This gateway is about to end and lets no more writes through. Try again, with the same tag.",
        ),
    }
}
