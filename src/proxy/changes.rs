//! Which resources a write changes besides the one that it names.

use std::sync::Arc;

use crate::http1::fields::Fields;
use crate::http1::message::RequestParts as Parts;
use http::{HeaderName, StatusCode, Uri, header};

use super::ask::Ask;
use super::gateway::{Live, LiveRoute};
use super::slips_by::may_lead_to_guarded;
use crate::decide::aim;
use crate::decide::claim::HoldMode;
use crate::decide::policy::AlsoChanges;
use crate::decide::say;
use crate::decide::verdict::Refusal;
use crate::identify::content::Content;
use crate::identify::resource_id::ResourceId;
use crate::identify::route_table::canonical_host;
use crate::identify::target_path::TargetPath;
use crate::ledger::memory::Place;
use crate::ledger::permit::WritePermit;

/// The place of the upstream as a whole, where some route changes all of it: such a write takes it for
/// itself, every other one takes part in it. `hold` is how it occupies its own resource: whose author saw that
/// must not meet another write to everything either, for it changes that resource too.
pub fn whole_place(ask: &Ask, hold: HoldMode) -> Option<Place> {
    let changes_all = ask.policy().also_changes == AlsoChanges::WholeUpstream;
    let mode = if changes_all { hold } else { HoldMode::Member };
    ask.route.whole.map(|key| Place { key, mode })
}

/// Where COPY and MOVE write to (RFC 4918 section 10.3).
pub(super) const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// The further resources that a write occupies: those that its route lists, and the `Destination` of a
/// COPY or MOVE. Its author claims nothing about them, so they are shared with others like it.
///
/// # Errors
/// If a name cannot be made or, as `in_force` says, not be judged by; or the destination is not a path that
/// can be judged.
pub fn others(
    ask: &Ask,
    parts: &Parts,
    content: Option<&Content<'_>>,
    in_force: impl Fn(&ResourceId) -> Result<(), Refusal>,
) -> Result<Vec<Place>, Refusal> {
    let policy = ask.policy();
    let mut ids = Vec::new();
    if let AlsoChanges::Listed(templates) = &policy.also_changes {
        for template in templates {
            ids.push(
                template
                    .name(&ask.target.path, ask.target.query(), content, policy.fold)
                    .map_err(|why| say::no_name(&why))?,
            );
        }
    }
    for destination in parts.headers.get_all(DESTINATION) {
        let text = destination.to_str().unwrap_or_default();
        match resource_at(ask, &ask.live, text) {
            Reference::Resource(route, named) if route.route.policy.upstream == policy.upstream => {
                ids.push(named?);
            }
            Reference::Unmanaged if !may_lead_to_guarded(ask, text) => {}
            Reference::Resource(..) | Reference::Unmanaged | Reference::Elsewhere => {
                return Err(say::ambiguous(
                    "a field Destination beside it that is not plainly a path of this server",
                ));
            }
        }
    }
    let place = |id: ResourceId| {
        in_force(&id)?;
        Ok(Place { key: ask.named_to_write(id).key, mode: HoldMode::Shared })
    };
    ids.into_iter().map(place).collect()
}

/// RFC 9111 section 4.4: what an answer to a write names has changed with it. What the write itself
/// occupies is left to its settlement: a change by somebody else would cost its author the new tag.
pub fn touch_named_by(ask: &Ask, answer: &Fields, status: StatusCode, permit: &WritePermit) {
    let created = (status == StatusCode::CREATED).then(|| answer.get(header::LOCATION)).flatten();
    let content = status.is_success().then(|| answer.get(header::CONTENT_LOCATION)).flatten();
    if created.is_none() && content.is_none() {
        return;
    }
    // R14: the names of another upstream do not wait for this write when they change.
    let newest = ask.gateway.live.load_full();
    let further = (!Arc::ptr_eq(&newest, &ask.live)).then_some(&newest);
    for named in created.into_iter().chain(content).filter_map(|value| value.to_str().ok()) {
        for live in std::iter::once(&ask.live).chain(further) {
            if let Reference::Resource(route, Ok(id)) = resource_at(ask, live, named) {
                touch(ask, live, &route, &id, permit);
            }
        }
    }
}

fn touch(ask: &Ask, live: &Live, route: &LiveRoute, id: &ResourceId, permit: &WritePermit) {
    let ledger = &ask.gateway.ledger;
    let key = route.keys.key(&live.names, id);
    if !permit.occupies(key) {
        // R13: its reads lag as those of its own upstream do.
        let lag = route.route.upstream.read_lag.max(ask.route.route.upstream.read_lag);
        ledger.touch(key, permit.begun(), lag);
    }
}

/// What a URI reference names.
enum Reference {
    /// A resource of this managed route, or why it cannot be named.
    Resource(Arc<LiveRoute>, Result<ResourceId, Refusal>),
    /// Something of this server that no version is kept for.
    Unmanaged,
    /// Nothing of this server.
    Elsewhere,
}

fn resource_at(ask: &Ask, live: &Live, reference: &str) -> Reference {
    let resolved = resolved(ask.target.spelled.path(), reference);
    let Some(uri) = resolved.and_then(|absolute| absolute.parse::<Uri>().ok()) else {
        return Reference::Elsewhere;
    };
    let here = ask.target.host();
    let host = uri.authority().map(|authority| authority.as_str());
    let elsewhere =
        host.is_some_and(|host| here.is_none_or(|here| canonical_host(here) != canonical_host(host)));
    if elsewhere {
        // An origin that does not know its public name writes its own.
        let own = ask
            .route
            .route
            .upstream
            .servers
            .iter()
            .any(|s| host.is_some_and(|h| canonical_host(s) == canonical_host(h)));
        if !own {
            return Reference::Elsewhere;
        }
    }
    let path = TargetPath::parse(uri.path());
    let Some(route) = live.routes.find(here, &path) else { return Reference::Elsewhere };
    let policy = &route.route.policy;
    if !policy.is_managed() {
        return Reference::Unmanaged;
    }
    Reference::Resource(route.clone(), aim::resource(policy, &path, uri.query(), None))
}

/// A reference against the path it came with (RFC 3986 section 5.2, the forms that servers send).
pub(super) fn resolved(base: &str, reference: &str) -> Option<String> {
    if reference.starts_with('/') && !reference.starts_with("//") || reference.contains("://") {
        return Some(reference.to_owned());
    }
    if reference.is_empty() || reference.starts_with(['/', '?', '#']) {
        return None;
    }
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(format!("{folder}/{reference}"))
}
