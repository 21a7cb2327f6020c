//! Looking at what a write of unknown outcome left behind, once it is settled (`verify_unknown`).
//!
//! The look is begun when the settle time is over and the resource is still held, so that no write comes
//! between; it takes no longer than `response_timeout`, whatever the origin does. It changes nothing of what
//! the ledger does: the resource gets a fresh version in any case.

use std::time::{Duration, SystemTime};

use crate::http1::fields::Fields;
use crate::http1::message::RequestParts as Parts;
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::ask::{Ask, Named};
use super::gateway::{Gateway, LiveRoute};
use super::noted::{Noted, SharedNoted};
use super::outgoing::{BodyProgress, OutgoingBody};
use super::patience::{Bounds, Total};
use super::probe::Question;
use crate::decide::aim;
use crate::decide::already_applied::WriteDigest;
use crate::decide::policy::VerifyUnknown;
use crate::decide::took_effect::{Comparison, ReadBack, TookEffect, took_effect};
use crate::decide::verdict::RefusalKind;
use crate::ledger::permit::{Company, Look, Told};
use crate::report::journal::Conflict;
use crate::report::limits_hit::Limit;

/// What is noted of a write's content while it is forwarded.
pub struct Sent {
    /// Where the body is noted as it passes, if somebody compares it later.
    pub content: Option<SharedNoted>,
    /// The same, if the answer's tag depends on it (`etag_on_put = "verified"`).
    pub to_verify: Option<SharedNoted>,
    /// What the write is recognised by when it is sent again.
    pub digest: Option<WriteDigest>,
    /// How the write is to be compared with what it left behind, and how far its body has got; `None` where the
    /// route does not ask for a look.
    comparison: Option<(Comparison, BodyProgress)>,
}

impl Sent {
    /// Of a request with this body. `verified`: its read-back is compared before its answer goes out.
    pub fn of(ask: &Ask, parts: &Parts, body: &OutgoingBody, verified: bool) -> Self {
        let comparison = match ask.policy().verify_unknown {
            VerifyUnknown::No => None,
            VerifyUnknown::AfterSettle => {
                let overrides = aim::overrides(&parts.headers, ask.target.query(), &[]);
                Some(Comparison::of(&ask.method, &parts.headers, !overrides.is_empty()))
            }
        };
        let bytes = comparison.is_some_and(Comparison::needs_content);
        let digest = verified || comparison == Some(Comparison::Bytes);
        let content = if bytes {
            Some(Noted::kept_up_to(ask.route.route.body_limit))
        } else {
            digest.then(Noted::digested)
        };
        let content = content.map(Noted::shared);
        Sent {
            to_verify: content.clone().filter(|_| verified),
            content,
            digest: None,
            comparison: comparison.map(|comparison| (comparison, body.progress().clone())),
        }
    }

    /// The look at what the write left behind, if the route asks for one. `status` is what its client got.
    pub fn look(&self, ask: &Ask, named: &Named, parts: &Parts, status: StatusCode) -> Option<Look> {
        let (comparison, progress) = self.comparison.as_ref()?;
        let comparison = *comparison;
        // Reads that lag behind prove nothing about now.
        let lags = !ask.route.route.upstream.read_lag.is_zero();
        let worth_a_look = comparison != Comparison::Nothing && !lags;
        let question = worth_a_look.then(|| Question::new(ask, parts, Method::GET).ok()).flatten();
        let look = Looking {
            comparison,
            question,
            // A part of what was to be sent is nothing to compare with.
            sent: self.content.clone().filter(|_| progress.is_sent()),
            at_most: ask.route.route.body_limit,
            within: ask.route.route.upstream.response_timeout,
            bounds: ask.bounds.clone(),
        };
        let kind = RefusalKind::OutcomeUnknown.name();
        let entry = ask.conflict(&parts.headers, Some(named), kind, status);
        let (gateway, route) = (ask.gateway.clone(), ask.route.clone());
        Some(Box::pin(async move {
            let shown = look.look().await;
            let told: Told = Box::new(move |company| {
                // With others about, what is there may be theirs.
                let shown = if company == Company::Alone { shown } else { TookEffect::Unclear };
                tell(&gateway, &route, entry, shown);
            });
            told
        }))
    }
}

fn tell(gateway: &Gateway, route: &LiveRoute, mut entry: Conflict, shown: TookEffect) {
    entry.time = SystemTime::now();
    entry.took_effect = Some(shown.name());
    tracing::warn!(
        target: "ifmatch::write",
        route = &*entry.route,
        resource = entry.resource,
        method = &*entry.method,
        status = entry.status,
        took_effect = shown.name(),
        client = %entry.client,
        "a write of unknown outcome was looked at"
    );
    gateway.journal.add(entry);
    route.metrics.verified(shown);
}

struct Looking {
    comparison: Comparison,
    question: Option<Question>,
    sent: Option<SharedNoted>,
    at_most: usize,
    within: Duration,
    bounds: Bounds,
}

impl Looking {
    async fn look(self) -> TookEffect {
        match tokio::time::timeout(self.within, self.compare()).await {
            Ok(Some(shown)) => shown,
            // Nothing to ask, or no answer.
            Ok(None) => TookEffect::Unclear,
            Err(_) => {
                self.bounds.hits.hit(Limit::ResponseTime);
                TookEffect::Unclear
            }
        }
    }

    async fn compare(&self) -> Option<TookEffect> {
        // The write's own time may be over; the look as a whole has one that is shorter than this.
        let end = Instant::now() + 2 * self.within;
        let total = Total::new(end, Limit::ResponseTime, self.bounds.hits);
        let bounds = Bounds { total, ..self.bounds.clone() };
        let (head, body) = self.question.as_ref()?.put(&bounds).await.ok()?.into_parts();
        let fresh = match &self.sent {
            Some(sent) => sent.lock().other(self.at_most),
            None => Noted::kept_up_to(self.at_most),
        };
        let found = body.note_in(fresh).await.ok()?;
        Some(self.prove(head.status, &head.headers, &found))
    }

    fn prove(&self, status: StatusCode, fields: &Fields, found: &Noted) -> TookEffect {
        let sent = self.sent.as_ref().map(|sent| sent.lock());
        let read_back = ReadBack {
            status,
            fields,
            content: found.bytes(),
            same_bytes: sent.as_ref().is_some_and(|sent| sent.is_same(found)),
            sent: sent.as_ref().and_then(|sent| sent.bytes()),
        };
        took_effect(self.comparison, &read_back)
    }
}
