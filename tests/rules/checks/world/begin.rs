//! A write asks to be let through: what the rules' text says to it, and what it is told.

use http::{HeaderName, HeaderValue, header};
use ifmatch::decide::claim::{Claim, HoldMode, Shown, claim, judge_shown};
use ifmatch::decide::outcome::WriteOutcome;
use ifmatch::decide::policy::{Unconditional, WeakIfMatch};
use ifmatch::decide::verdict::{Refusal, RefusalKind};
use ifmatch::http1::fields::Fields;
use ifmatch::ledger::memory::{BeginWrite, NotBegun, Place};
use ifmatch::ledger::permit::{Settlement, WritePermit};
use ifmatch::request::method::Effect;
use ifmatch::request::preconditions::Preconditions;

use super::{Tag, Underway, WHOLE, World, key, written};
use crate::checks::ops::{Begin, Condition, Form, KEYS, Named};

/// What the rules allow as an answer to a condition on the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowed {
    LetThrough,
    Refuse,
    /// It is true, and something was forgotten since the tag was made: a refusal too many, or a state that
    /// is not recognised any more.
    Either,
}

/// What a write is after its fields were read.
struct Asked {
    of: usize,
    claim: Claim,
    places: Vec<(usize, HoldMode)>,
    /// What its author goes by, where the rules allow that.
    seen: Vec<Tag>,
    version: Allowed,
    effect: Effect,
}

impl World<'_> {
    pub(super) async fn begin(&mut self, begin: &Begin) {
        self.naive.note_opening();
        let Some(asked) = self.read(begin) else {
            assert_eq!(self.ledger.is_open(), self.naive.is_open(), "R10");
            return;
        };
        let observe = begin.observe;
        let busy = self.naive.busy(&asked.places);
        let starting = self.naive.opens_in();
        let mut needed: Vec<usize> = self.naive.held().collect();
        needed.extend(asked.places.iter().map(|(place, _)| *place));
        needed.sort_unstable();
        needed.dedup();
        let has_room = needed.len() <= self.setting.capacity;
        let place = |(place, mode): &(usize, HoldMode)| Place { key: key(*place), mode: *mode };
        let all: Vec<Place> = asked.places.iter().map(place).collect();
        let (whole, others) = all[1..].split_at(usize::from(self.setting.whole));
        let write = BeginWrite {
            target: all[0],
            whole: whole.first().copied(),
            others,
            condition: &asked.claim.condition,
            read_lag: self.setting.lag,
            observe,
        };
        let told = self.ledger.begin(&write).await;
        if !observe && !starting.is_zero() {
            self.counts.count("starting");
            assert_eq!(told.err(), Some(NotBegun::Starting(starting)), "R10");
            return;
        }
        match told {
            Ok(begun) => {
                assert!(has_room, "R9: no entry that is occupied was forgotten");
                assert!(observe || busy.is_none(), "R5: {:?}", asked.places);
                assert!(observe || asked.version != Allowed::Refuse, "let through: {:?}", asked.seen);
                let doubts = busy.is_some() || asked.version == Allowed::Refuse;
                assert!(begun.observed.is_some() || !doubts, "observe mode tells");
                assert!(observe || begun.observed.is_none());
                self.let_through(begin, asked, begun.permit).await;
            }
            Err(NotBegun::Occupied { key: at, unsettled_for }) => {
                let (place, left) = busy.expect("R5: nobody was there");
                assert_eq!((at, unsettled_for), (key(place), left), "who is told to wait out settle");
                assert!(!observe);
                self.counts.count(if left.is_some() { "unsettled" } else { "in flight" });
            }
            Err(NotBegun::Stale(refusal)) => {
                assert_eq!(refusal.kind, RefusalKind::PreconditionFailed);
                assert!(busy.is_none() && !observe, "409 comes before 412");
                assert_ne!(asked.version, Allowed::LetThrough, "refused: {:?}", asked.seen);
                let spurious = asked.version == Allowed::Either;
                self.counts.count(if spurious { "refused with a current tag" } else { "stale" });
            }
            Err(NotBegun::NoRoom) => {
                assert!(!has_room, "refused although there was room");
                self.counts.count("no room");
            }
            Err(NotBegun::Starting(left)) => panic!("R10: for {left:?} yet, although it is over"),
            Err(NotBegun::Closed) => panic!("nobody closed the ledger"),
        }
    }

    /// Reads the fields as they come, and holds the claim to what the rules make of them.
    fn read(&mut self, begin: &Begin) -> Option<Asked> {
        let stated = [&begin.if_match, &begin.if_none_match];
        let first = stated.into_iter().flatten().find_map(|condition| match condition {
            Condition::Tags(tags) => self.named(*tags.first()?),
            Condition::Any | Condition::Malformed => None,
        });
        let of = begin.key.or(first.map(|tag| tag.stamp.key)).unwrap_or_default() % KEYS;
        let effect = if begin.guarded { Effect::GuardedWrite } else { Effect::Write };
        let mut fields = Fields::new();
        let is_malformed = !self.state(&mut fields, header::IF_MATCH, begin.if_match.as_ref())
            | !self.state(&mut fields, header::IF_NONE_MATCH, begin.if_none_match.as_ref());
        let claimed = match Preconditions::read(&fields) {
            Err(_) => {
                assert!(is_malformed, "{fields:?}");
                self.counts.count("malformed");
                return None;
            }
            Ok(read) => claim(effect, &read, &self.policy, self.ledger.incarnation(), key(of)),
        };
        assert!(!is_malformed, "{fields:?}");
        let states_nothing = fields.is_empty();
        let must_state = begin.guarded && self.setting.unconditional == Unconditional::Require;
        let claim = match claimed {
            Ok(claim) => claim,
            Err(refusal) => {
                assert_eq!(refusal.kind, RefusalKind::PreconditionRequired);
                assert!(states_nothing && must_state, "{fields:?}");
                self.counts.count("precondition required");
                // Only observed: it is forwarded as one that claims nothing.
                return begin.observe.then(|| self.asked(begin, of, Claim::blind(), effect));
            }
        };
        assert!(!states_nothing || !must_state, "428");
        let is_alone =
            !states_nothing || (begin.guarded && self.setting.unconditional == Unconditional::Overlap);
        let hold = if is_alone { HoldMode::Exclusive } else { HoldMode::Shared };
        assert_eq!(claim.hold, hold, "{fields:?}");
        Some(self.asked(begin, of, claim, effect))
    }

    /// Puts a condition into the fields. Returns whether it is one.
    fn state(&self, fields: &mut Fields, name: HeaderName, condition: Option<&Condition>) -> bool {
        let text = match condition {
            None => return true,
            Some(Condition::Any) => "*".to_owned(),
            Some(Condition::Malformed) => "\"".to_owned(),
            Some(Condition::Tags(tags)) => {
                let given = |named: &Named| self.named(*named).map(|tag| written(&tag, named.form));
                let tags: Vec<String> =
                    tags.iter().map(|named| given(named).unwrap_or_else(|| "\"none\"".to_owned())).collect();
                tags.join(", ")
            }
        };
        fields.append(name, HeaderValue::try_from(&text).expect("a field's value"));
        !matches!(condition, Some(Condition::Malformed)) && !text.is_empty()
    }

    fn asked(&self, begin: &Begin, of: usize, claim: Claim, effect: Effect) -> Asked {
        let mut places = vec![(of, claim.hold)];
        if self.setting.whole {
            places.push((WHOLE, if begin.all { claim.hold } else { HoldMode::Member }));
        }
        // Its author claims nothing about them.
        places.extend(begin.also.filter(|also| *also != of).map(|also| (also, HoldMode::Shared)));
        let (matches, seen) = self.matches(of, begin.if_match.as_ref());
        let version = match (matches, self.is_none_of(of, begin.if_none_match.as_ref())) {
            (Allowed::Refuse, _) | (_, Allowed::Refuse) => Allowed::Refuse,
            (Allowed::LetThrough, Allowed::LetThrough) => Allowed::LetThrough,
            (Allowed::Either, _) | (_, Allowed::Either) => Allowed::Either,
        };
        Asked { of, claim, places, seen, version, effect }
    }

    /// The state of the resource that a tag stands for, by these rules of comparison.
    fn state_of(&self, of: usize, named: Named, weak: WeakIfMatch) -> Option<Tag> {
        let understood = match named.form {
            Form::AsGiven | Form::OtherVariant => true,
            Form::Weak | Form::Gzipped | Form::Suffixed => weak == WeakIfMatch::Accept,
            Form::OtherLife | Form::Foreign => false,
        };
        self.named(named)
            .filter(|tag| understood && tag.stamp.key == of && tag.stamp.life == self.ledger.incarnation())
    }

    /// RFC 9110 section 13.1.1: one of them is current, by strong comparison unless the route says otherwise.
    fn matches(&self, of: usize, condition: Option<&Condition>) -> (Allowed, Vec<Tag>) {
        let Some(Condition::Tags(tags)) = condition else { return (Allowed::LetThrough, Vec::new()) };
        let named = tags.iter().filter_map(|named| self.state_of(of, *named, self.setting.weak));
        let current: Vec<Tag> = named.filter(|tag| self.is_current(tag)).collect();
        let certain = current.iter().any(|tag| tag.stamp.forgotten == self.forgotten());
        let allowed = match (current.is_empty(), certain) {
            (true, _) => Allowed::Refuse,
            (false, true) => Allowed::LetThrough,
            (false, false) => Allowed::Either,
        };
        (allowed, current)
    }

    /// RFC 9110 section 13.1.2: none of them is current, by weak comparison.
    fn is_none_of(&self, of: usize, condition: Option<&Condition>) -> Allowed {
        let Some(Condition::Tags(tags)) = condition else { return Allowed::LetThrough };
        let named = tags.iter().filter_map(|named| self.state_of(of, *named, WeakIfMatch::Accept));
        let current: Vec<Tag> = named.filter(|tag| self.is_current(tag)).collect();
        if current.is_empty() {
            Allowed::LetThrough
        } else if current.iter().any(|tag| tag.stamp.forgotten == self.forgotten()) {
            Allowed::Refuse
        } else {
            Allowed::Either
        }
    }

    async fn let_through(&mut self, begin: &Begin, asked: Asked, permit: WritePermit) {
        let Asked { of, claim, places, seen, effect, .. } = asked;
        let exists = self.origin.exists(self.origin.now(of));
        let judged = self.judged(begin, &claim, exists, effect);
        self.naive.occupy(&places);
        if let Err(refusal) = judged
            && !begin.observe
        {
            assert_eq!(refusal.kind, RefusalKind::PreconditionFailed);
            self.counts.count("refused by the origin's state");
            assert_eq!(permit.settle(WriteOutcome::NotApplied).await, Settlement::NotApplied);
            self.naive.keep(&places);
            return;
        }
        self.counts.count("begun");
        let saw = match &begin.if_match {
            _ if begin.observe => None,
            Some(Condition::Tags(_)) => Some(seen.iter().map(|tag| tag.content).collect::<Vec<_>>()),
            Some(Condition::Any | Condition::Malformed) | None => None,
        };
        if let Some(saw) = &saw {
            self.counts.count("accepted by tag");
            assert!(saw.contains(&self.origin.now(of)), "the promise, at the begin: {seen:?}");
        }
        let creates = !begin.observe && claim.probe.must_not_exist;
        if creates {
            self.counts.count("created");
        }
        if begin.observe {
            self.counts.count("observed");
            // It may come between a write of a life before and the state that its author saw.
            for write in self.writes.iter_mut().filter(|write| write.orphan) {
                (write.saw, write.creates) = (None, false);
            }
        }
        let content = self.origin.invent(begin.deletes);
        self.writes.push(Underway {
            permit: Some(permit),
            places,
            saw,
            creates,
            content,
            applied: false,
            ends_at: None,
            orphan: false,
        });
    }

    /// RFC 9110 sections 13.1.1 and 13.1.2: the star asks whether there is anything at all.
    fn judged(&self, begin: &Begin, claim: &Claim, exists: bool, effect: Effect) -> Result<(), Refusal> {
        let shown = Shown { exists: Some(exists), last_modified: None, tag: None };
        let judged = judge_shown(claim, &shown, None, effect, &self.policy);
        let wants = |condition: &Option<Condition>| matches!(condition, Some(Condition::Any));
        let refused = (wants(&begin.if_match) && !exists) || (wants(&begin.if_none_match) && exists);
        assert_eq!(judged.is_err(), refused, "{begin:?}");
        judged
    }
}
