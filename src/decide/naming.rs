//! Which resources another configuration names or treats in another way (rule R14).
//!
//! Two configurations are compared by what they make of a path: the resource that it names, the API that
//! this belongs to, and what is asked of its requests. Where the answers differ, every name that either of
//! them gives is affected.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::policy::{AlsoChanges, Mode, RoutePolicy, Unconditional};
use crate::identify::name_range::{NameRange, PathShape};
use crate::identify::route_table::{HostPattern, PathPattern};

/// What a configuration makes of paths. Kept over restarts, so it is plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Naming {
    /// What bears on every resource of an upstream, by its name.
    upstreams: BTreeMap<String, String>,
    routes: Vec<RouteNaming>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RouteNaming {
    upstream: String,
    paths: PathShape,
    /// The names that its requests read or change.
    names: Vec<NameRange>,
    /// Everything else that is judged by, as text.
    facts: String,
}

/// Names of one upstream's resources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Affected {
    /// The upstream.
    pub upstream: String,
    /// The names.
    pub range: NameRange,
}

impl Naming {
    /// Takes an upstream in. `facts` is what its resources' content depends on, such as its servers.
    pub fn upstream(&mut self, name: &str, facts: &impl std::fmt::Debug) {
        self.upstreams.insert(name.to_owned(), format!("{facts:?}"));
    }

    /// Takes a route in.
    pub fn route(&mut self, policy: &RoutePolicy, hosts: &[HostPattern], path: &PathPattern) {
        let RoutePolicy {
            upstream,
            mode,
            resource,
            fold,
            params,
            methods,
            unconditional,
            also_changes,
            etag_on_put,
            weak_if_match,
            not_applied,
            maybe_applied,
            unreadable,
            create,
            unique,
            transitions,
            translate,
            validator,
            precondition_from,
            views,
            // How it is called, waited for and told bears on no resource; `read_lag` is the upstream's.
            name: _,
            overlap: _,
            read_lag: _,
            reveal: _,
            statuses: _,
            verify_unknown: _,
            principal: _,
            // What was sent before and who may read an answer bears on no version.
            idempotency: _,
            already_applied: _,
            cors: _,
        } = policy;
        let mut names = Vec::new();
        if *mode != Mode::Off {
            names.push(NameRange::of(resource, path, *fold));
            match also_changes {
                AlsoChanges::Listed(further) => {
                    names.extend(further.iter().map(|template| NameRange::of(template, path, *fold)));
                }
                AlsoChanges::WholeUpstream => names.push(NameRange::everything()),
            }
        }
        let params: Vec<_> = params.iter().map(|held| (held.segment, held.pattern.as_str())).collect();
        // A view is found again only under the same principal, so where it comes from bears on no tag.
        let inferred = (*unconditional == Unconditional::Infer).then_some(views.when_unknown);
        let facts = format!(
            "{hosts:?} {mode:?} {resource:?} {fold:?} {params:?} {methods:?} {unconditional:?} {also_changes:?} \
             {etag_on_put:?} {weak_if_match:?} {not_applied:?} {maybe_applied:?} {unreadable:?} \
             {create:?} {unique:?} {transitions:?} {translate:?} {validator:?} {precondition_from:?} {inferred:?}"
        );
        let upstream = upstream.to_string();
        self.routes.push(RouteNaming { upstream, paths: path.shape(), names, facts });
    }

    /// The upstreams' names.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.upstreams.keys().map(String::as_str)
    }

    /// The upstreams of routes that only one of the two has, `before` or this.
    pub fn upstreams_of_changed_routes<'n>(&'n self, before: &'n Naming) -> impl Iterator<Item = &'n str> {
        self.changed_routes(before).map(|route| route.upstream.as_str())
    }

    /// The routes that only one of the two has.
    fn changed_routes<'n>(&'n self, before: &'n Naming) -> impl Iterator<Item = &'n RouteNaming> {
        let gone = before.routes.iter().filter(|route| !self.routes.contains(route));
        let new = self.routes.iter().filter(|route| !before.routes.contains(route));
        gone.chain(new)
    }

    /// What is affected when this takes the place of `before`. Nothing if both make the same of every path.
    pub fn changed_since(&self, before: &Naming) -> Vec<Affected> {
        let mut affected = Vec::new();
        let mut add = |upstream: &str, range: NameRange| {
            let one = Affected { upstream: upstream.to_owned(), range };
            if !affected.contains(&one) {
                affected.push(one);
            }
        };
        for name in self.upstreams.keys().chain(before.upstreams.keys()) {
            if self.upstreams.get(name) != before.upstreams.get(name) {
                add(name, NameRange::everything());
            }
        }
        for changed in self.changed_routes(before) {
            for range in &changed.names {
                add(&changed.upstream, range.clone());
            }
            // Its paths may have gone to, or come from, any route that takes them too.
            for other in self.routes.iter().chain(&before.routes) {
                if other.paths.meet(&changed.paths).is_some() {
                    for range in other.names.iter().filter_map(|names| names.of_paths(&changed.paths)) {
                        add(&other.upstream, range);
                    }
                }
            }
        }
        affected
    }
}
