//! `[[routes]]`: which requests a route takes and where they go.

use std::sync::Arc;

use super::checked::{Route, Upstream};
use super::keys::Section;
use super::nearest::nearest;
use super::policy;
use super::reader::{Empty, Table, Value};
use super::upstream::Upstreams;
use super::values::{Mistake, host_pattern, label, quote};
use super::words::one_of;
use crate::decide::policy::{AlsoChanges, RoutePolicy};
use crate::identify::route_table::{BadPattern, HostPattern, PathPattern};

/// A route of the file, as far as it could be read.
pub(super) struct RouteDraft<'t> {
    /// `routes[2]`
    pub(super) key: String,
    pub(super) path_text: String,
    /// Which requests it takes, if that could be read.
    pub(super) shape: Option<(Vec<HostPattern>, PathPattern)>,
    /// The rest of it, if nothing is wrong.
    pub(super) checked: Option<CheckedRoute>,
    name: Option<(Arc<str>, Value<'t>)>,
    path: Option<Value<'t>>,
    /// Its values that have to be unique, for mistakes in them.
    pub(super) unique: Option<Value<'t>>,
    validator: Option<Value<'t>>,
}

/// A route without its upstream.
pub(super) struct CheckedRoute {
    pub(super) policy: RoutePolicy,
    pub(super) hosts: Vec<HostPattern>,
    pub(super) path: PathPattern,
    path_text: Arc<str>,
    body_limit: usize,
}

impl CheckedRoute {
    /// Whether it says `also_changes = ["*"]`.
    pub(super) fn changes_everything(&self) -> bool {
        self.policy.also_changes == AlsoChanges::WholeUpstream
    }

    /// The route, with its upstream.
    pub(super) fn to(self, upstream: Arc<Upstream>) -> Route {
        let CheckedRoute { policy, hosts, path, path_text, body_limit } = self;
        Route { policy: Arc::new(policy), upstream, hosts, path_text, path, body_limit }
    }
}

impl RouteDraft<'_> {
    /// Tells a problem of the path.
    pub(super) fn tell_path(&self, mistake: Mistake) {
        if let Some(path) = &self.path {
            path.tell::<()>(mistake);
        }
    }
}

/// Reads every `[[routes]]`; also tells names that two routes share.
pub(super) fn routes<'t>(
    value: &Value<'t>,
    upstreams: Option<&Upstreams<'_>>,
) -> Option<Vec<RouteDraft<'t>>> {
    let elements = value.elements()?;
    if elements.is_empty() {
        return value.tell(Mistake::found("an empty list"));
    }
    // What is no table was told, so the file is refused; the other routes are looked at all the same.
    let tables = elements.iter().filter_map(|element| element.table(Section::Routes));
    let drafts: Vec<RouteDraft<'t>> = tables.map(|table| one(&table, upstreams)).collect();
    for (i, draft) in drafts.iter().enumerate() {
        let Some((name, value)) = &draft.name else { continue };
        let earlier = drafts.iter().take(i).find(|d| d.name.as_ref().is_some_and(|(n, _)| n == name));
        if let Some(earlier) = earlier {
            let found = format!("{} is the name of {} already", quote(name), earlier.key);
            value.tell::<()>(Mistake::found(found).expected("a name of its own"));
        }
    }
    tell_late_looks(&drafts);
    Some(drafts)
}

/// A look at an origin whose reads lag behind its writes shows a state that is over (rule K1).
fn tell_late_looks(drafts: &[RouteDraft<'_>]) {
    let policies = || drafts.iter().filter_map(|draft| Some((draft, &draft.checked.as_ref()?.policy)));
    for (draft, policy) in policies().filter(|(_, policy)| policy.validator.is_shown()) {
        let lags =
            |(_, other): &(_, &RoutePolicy)| other.upstream == policy.upstream && !other.read_lag.is_zero();
        if let (Some((late, _)), Some(value)) = (policies().find(lags), &draft.validator) {
            let found = format!("what this upstream shows may be late: {} has a read_lag", late.key);
            value.tell::<()>(Mistake::found(found).expected("validator = \"version\", or no read_lag"));
        }
    }
}

fn one<'t>(table: &Table<'t>, upstreams: Option<&Upstreams<'_>>) -> RouteDraft<'t> {
    let name: Option<Arc<str>> = table.read("name", |value| value.parsed(label)).map(Arc::from);
    let hosts = table
        .read_if_given("hosts", |value| value.list(Empty::Refused, |host| host.parsed(host_pattern)))
        .map(Option::unwrap_or_default);
    let path = table.read("path", |value| value.parsed(path_pattern));
    let path_text = table.given("path").and_then(|value| value.plain_text()).unwrap_or_default().to_owned();
    let upstream = table.read("upstream", |value| known_upstream(value, upstreams));
    let policy = policy::policy(table, name.clone(), upstream, path.as_ref());
    let body_limit = table.size("body_limit");
    let shape = hosts.zip(path);
    let checked = match (policy, shape.clone(), body_limit) {
        (Some(policy), Some((hosts, path)), Some(body_limit)) => {
            Some(CheckedRoute { policy, hosts, path, path_text: path_text.as_str().into(), body_limit })
        }
        (_, _, _) => None,
    };
    RouteDraft {
        key: table.path.clone(),
        path_text,
        shape,
        checked,
        name: name.zip(table.given("name")),
        path: table.given("path"),
        unique: table.given("unique"),
        validator: table.given("validator"),
    }
}

fn path_pattern(text: &str) -> Result<PathPattern, Mistake> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Mistake::found(format!("{} has white space", quote(text))));
    }
    PathPattern::parse(text)
        .map_err(|BadPattern { found, expected }| Mistake::found(found).expected(expected))
}

fn known_upstream(value: &Value<'_>, upstreams: Option<&Upstreams<'_>>) -> Option<Arc<str>> {
    let text = value.text()?;
    // Without a table of upstreams that can be read, nobody knows which names there are.
    let known = upstreams?;
    let names = || known.by_name.iter().map(|(name, _)| *name);
    if names().any(|name| name == text) {
        return Some(text.into());
    }
    let meant = nearest(text, names()).map(quote);
    value.tell(
        Mistake::found(format!("no upstream is named {}", quote(text)))
            .expected(one_of(names()))
            .meant(meant),
    )
}
