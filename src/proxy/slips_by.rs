//! Writes that lead to a guarded resource in another reading than ours.
//!
//! What a route judges nothing of still must not be a way around one that judges: an origin may read its
//! path, or the path that a COPY or MOVE goes to, as that of a guarded resource.

use crate::http1::message::RequestParts as Parts;

use super::ask::Ask;
use super::changes::{DESTINATION, resolved};
use super::handle::effect_of;
use crate::decide::policy::Mode;
use crate::decide::say;
use crate::decide::verdict::Refusal;
use crate::identify::other_readings::other_readings;
use crate::identify::target_path::TargetPath;

/// Why a request to a route that judges nothing does not pass it.
pub fn slips_by(ask: &Ask, parts: &Parts) -> Option<Refusal> {
    let ambiguity = ask.target.path.ambiguity();
    let is_suspect = ambiguity.is_some() || parts.headers.contains_key(DESTINATION);
    if !ask.route.beside_managed || !is_suspect || !effect_of(ask, parts, &[]).writes() {
        return None;
    }
    if let Some(ambiguity) = ambiguity.filter(|_| may_be_guarded(ask, ask.target.spelled.path())) {
        return Some(say::ambiguous(ambiguity));
    }
    let goes_there = parts
        .headers
        .get_all(DESTINATION)
        .any(|value| may_lead_to_guarded(ask, &String::from_utf8_lossy(value.as_bytes())));
    goes_there.then(|| {
        say::ambiguous(
            "a field Destination beside it that names a guarded resource, while its path is not guarded",
        )
    })
}

/// Whether some server takes this reference for one to a guarded resource of the same origin. Hosts are
/// not looked at, as servers do not that have only one.
pub fn may_lead_to_guarded(ask: &Ask, reference: &str) -> bool {
    let Some(target) = resolved(ask.target.spelled.path(), reference) else {
        let behind_host = reference.strip_prefix("//").and_then(path_behind_host);
        return may_be_guarded(ask, reference) || behind_host.is_some_and(|path| may_be_guarded(ask, path));
    };
    let path = target.split_once("://").and_then(|(_, rest)| path_behind_host(rest)).unwrap_or(&target);
    may_be_guarded(ask, path)
}

fn path_behind_host(rest: &str) -> Option<&str> {
    rest.find(['/', '\\']).and_then(|at| rest.get(at..))
}

fn may_be_guarded(ask: &Ask, path: &str) -> bool {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let guarded = |path: &TargetPath| {
        ask.live.routes.find(ask.target.host(), path).is_some_and(|route| {
            let policy = &route.route.policy;
            policy.mode == Mode::Enforce && policy.upstream == ask.policy().upstream
        })
    };
    guarded(&TargetPath::parse(path)) || other_readings(path).iter().any(guarded)
}
