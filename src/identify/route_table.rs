//! Which route a host and a path take: the most specific one.

use std::borrow::Cow;
use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::by_text::ByText;
use super::fold::{Fold, fold_segment};
use super::name_range::PathShape;
use super::target_path::{TargetPath, USUAL_DEPTH, segments_of_plain};

/// A host that a route is for, as configured and checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host. Lower case, no port, no trailing dot.
    Exact(String),
    /// `*.example.com`: every host that ends in `.example.com`. Holds `example.com`.
    Below(String),
}

/// A path pattern, as configured and checked: segments, and whether it takes everything below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<PatternSegment>,
    /// The name of `{*rest}`, if the pattern ends in it.
    rest: Option<String>,
}

/// One segment of a [`PathPattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternSegment {
    /// This text, folded as paths are.
    Literal(String),
    /// `{name}`: any one segment.
    Parameter(String),
}

/// Why a text is not a path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern {
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: &'static str,
}

impl PathPattern {
    /// Reads a pattern such as `/orders/{id}` or `/files/{*rest}`.
    ///
    /// # Errors
    /// Says what was found and what was expected.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let bad = |found: String, expected| Err(BadPattern { found, expected });
        let Some(below_root) = text.strip_prefix('/') else {
            return bad(format!("\"{text}\" does not begin with a slash"), "a path like \"/orders/{id}\"");
        };
        let mut segments = Vec::new();
        let mut rest = None;
        let mut names = BTreeSet::new();
        for raw in below_root.split('/').filter(|s| !s.is_empty()) {
            if rest.is_some() {
                return bad(format!("\"{raw}\" after {{*rest}}"), "{*rest} at the end of the path");
            }
            let braced = raw.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
            let name = braced.map(|inner| inner.strip_prefix('*').unwrap_or(inner));
            if let Some(name) = name {
                let valid = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.is_empty();
                if !valid || !names.insert(name.to_owned()) {
                    return bad(
                        format!("the parameter \"{raw}\""),
                        "distinct names of letters, digits and underscores",
                    );
                }
            }
            match (name, braced) {
                (Some(name), Some(inner)) if inner.starts_with('*') => rest = Some(name.to_owned()),
                (Some(name), _) => segments.push(PatternSegment::Parameter(name.to_owned())),
                (None, _) if raw.contains(['{', '}', '?', '#', ';']) || matches!(raw, "." | "..") => {
                    return bad(
                        format!("the segment \"{raw}\""),
                        "plain text, or one parameter that is the whole segment",
                    );
                }
                (None, _) => segments.push(PatternSegment::Literal(raw.to_owned())),
            }
        }
        Ok(PathPattern { segments, rest })
    }

    /// The index of a parameter's segment.
    pub fn parameter(&self, name: &str) -> Option<usize> {
        self.segments.iter().position(|s| matches!(s, PatternSegment::Parameter(n) if n == name))
    }

    /// The index of the first segment that `{*name}` stands for.
    pub fn rest(&self, name: &str) -> Option<usize> {
        (self.rest.as_deref() == Some(name)).then_some(self.segments.len())
    }

    /// The names of all parameters, for messages.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        let named = self.segments.iter().filter_map(|s| match s {
            PatternSegment::Parameter(name) => Some(name.as_str()),
            PatternSegment::Literal(_) => None,
        });
        named.chain(self.rest.as_deref())
    }

    /// What is matched, segment by segment.
    pub fn shape(&self) -> PathShape {
        let last = self.segments.len().saturating_sub(1);
        let fold = |(i, segment): (usize, &PatternSegment)| match segment {
            PatternSegment::Parameter(_) => None,
            PatternSegment::Literal(text) => {
                let decoded = TargetPath::parse(&format!("/{text}"));
                let plain = decoded.spelled_segments().next().unwrap_or(text).to_owned();
                Some(fold_segment(&plain, Fold::default(), i == last && self.rest.is_none()))
            }
        };
        let segments = self.segments.iter().enumerate().map(fold).collect();
        PathShape { segments, rest: self.rest.is_some() }
    }
}

/// Finds the route of a request. `R` is whatever a route stands for; routes are told apart by index.
#[derive(Clone)]
pub struct RouteTable<R> {
    routes: Vec<R>,
    /// For each host that any route names: the routes for it, and those for every host.
    exact: ByText<Tree>,
    below: ByText<Tree>,
    any_host: Tree,
}

/// Patterns by their segments. At each segment a literal is more specific than a parameter, and that
/// more than "everything below"; where a more specific branch leads nowhere the next one is tried.
#[derive(Clone, Debug, Default)]
struct Tree {
    literals: ByText<Tree>,
    parameter: Option<Box<Tree>>,
    /// The route whose pattern ends here.
    here: Option<Taken>,
    /// The route that takes everything below, this place included.
    rest: Option<Taken>,
}

/// A place that a route has taken.
#[derive(Clone, Copy, Debug)]
struct Taken {
    route: usize,
    /// How specific its hosts are.
    specific: usize,
}

impl Tree {
    fn insert(&mut self, shape: &[Option<String>], rest: bool, taken: Taken) -> Result<(), usize> {
        if let Some((segment, below)) = shape.split_first() {
            let branch = match segment {
                Some(literal) => self.literals.entry(literal.clone()).or_default(),
                None => self.parameter.get_or_insert_default(),
            };
            return branch.insert(below, rest, taken);
        }
        let place = if rest { &mut self.rest } else { &mut self.here };
        match place {
            // The more specific host comes first and keeps the place.
            Some(other) if other.specific == taken.specific => Err(other.route),
            Some(_) => Ok(()),
            None => {
                *place = Some(taken);
                Ok(())
            }
        }
    }

    /// Looks up folded segments. A pattern may also spell out the format suffix that the last one came with:
    /// `with_format` is that segment with it, where it has one.
    fn find<'p>(
        &self,
        mut segments: impl Iterator<Item = &'p str> + Clone,
        with_format: Option<&str>,
    ) -> Option<usize> {
        let Some(segment) = segments.next() else {
            return self.here.or(self.rest).map(|taken| taken.route);
        };
        let literal = |text: &str| self.literals.get(text)?.find(segments.clone(), with_format);
        literal(segment)
            .or_else(|| with_format.filter(|_| segments.clone().next().is_none()).and_then(literal))
            .or_else(|| self.parameter.as_ref()?.find(segments.clone(), with_format))
            .or_else(|| self.rest.map(|taken| taken.route))
    }
}

/// Two routes that match the same requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SameShape {
    /// The index of the first route.
    pub first: usize,
    /// The index of the route that would never be taken, or not always.
    pub second: usize,
}

impl<R> RouteTable<R> {
    /// Builds the table. A route without hosts is for every host; for one host, the more specific path
    /// wins, then the more specific host.
    ///
    /// # Errors
    /// Every pair of routes that would match the same requests.
    pub fn new(routes: Vec<(R, Vec<HostPattern>, PathPattern)>) -> Result<Self, Vec<SameShape>> {
        let specs: Vec<(Vec<HostPattern>, PathPattern)> =
            routes.iter().map(|(_, h, p)| (h.clone(), p.clone())).collect();
        let mut clashes = Vec::new();
        let keys: BTreeSet<Option<&HostPattern>> =
            specs.iter().flat_map(|(h, _)| h).map(Some).chain([None]).collect();
        let (mut exact, mut below, mut any_host) = (ByText::default(), ByText::default(), Tree::default());
        for key in keys {
            let tree = tree_for(key, &specs, &mut clashes);
            match key {
                Some(HostPattern::Exact(host)) => drop(exact.insert(host.clone(), tree)),
                Some(HostPattern::Below(host)) => drop(below.insert(host.clone(), tree)),
                None => any_host = tree,
            }
        }
        clashes.sort_by_key(|clash| (clash.first, clash.second));
        clashes.dedup();
        let routes = routes.into_iter().map(|(route, _, _)| route).collect();
        if clashes.is_empty() { Ok(RouteTable { routes, exact, below, any_host }) } else { Err(clashes) }
    }

    /// The route of a request. `host` is the `Host` field's value; its port, case and trailing dot do
    /// not count.
    pub fn find(&self, host: Option<&str>, path: &TargetPath) -> Option<&R> {
        let tree = host.and_then(|host| self.tree_of(host)).unwrap_or(&self.any_host);
        let taken = match path.plain() {
            // It has no format suffix.
            Some(plain) => tree.find(segments_of_plain(plain.path()), None),
            None => find_folded(tree, path),
        };
        self.routes.get(taken?)
    }

    /// The same table with something else in the place of each route.
    pub fn map<S>(&self, route: impl FnMut(&R) -> S) -> RouteTable<S> {
        RouteTable {
            routes: self.routes.iter().map(route).collect(),
            exact: self.exact.clone(),
            below: self.below.clone(),
            any_host: self.any_host.clone(),
        }
    }

    /// All routes, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.routes.iter()
    }

    /// The tree for a host that some route names.
    fn tree_of(&self, host: &str) -> Option<&Tree> {
        if self.exact.is_empty() && self.below.is_empty() {
            return None;
        }
        let host = &*canonical_host(host);
        let parents = || host.match_indices('.').filter_map(|(at, _)| host.get(at + 1..));
        self.exact.get(host).or_else(|| parents().find_map(|parent| self.below.get(parent)))
    }
}

fn find_folded(tree: &Tree, path: &TargetPath) -> Option<usize> {
    let with_format = Fold { format_suffix: false, ..Fold::default() };
    let segments: SmallVec<[Cow<'_, str>; USUAL_DEPTH]> = path.segments(Fold::default()).collect();
    let last = path.segments(with_format).last();
    // An encoded slash belongs to a name, or so it is read first; if that leads nowhere it is read as
    // a separator, so that a path which could be a guarded resource is refused as one.
    let separated = || {
        let _doubt = path.ambiguity()?;
        let (folded, with_format) = (path.routed(), path.folded(with_format));
        tree.find(split(&folded), split(&with_format).last())
    };
    tree.find(segments.iter().map(|segment| &**segment), last.as_deref()).or_else(separated)
}

/// The segments of a path that is folded already.
fn split(path: &str) -> impl Iterator<Item = &str> + Clone {
    path.split('/').skip(1)
}

/// A host without port, trailing dot and letter case.
pub fn canonical_host(host: &str) -> Cow<'_, str> {
    let bare = match host.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.bytes().position(|b| b == b':').and_then(|port| host.get(..port)).unwrap_or(host),
    };
    let bare = bare.trim_end_matches('.');
    match bare.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(bare.to_ascii_lowercase()),
        false => Cow::Borrowed(bare),
    }
}

/// How specific a route's hosts are for requests to `key`'s hosts; `None`: not for them.
fn specificity(key: Option<&HostPattern>, hosts: &[HostPattern]) -> Option<usize> {
    if hosts.is_empty() {
        return Some(0);
    }
    let within = |host: &str, parent: &str| host.strip_suffix(parent).is_some_and(|head| head.ends_with('.'));
    let key = key?;
    let of = |pattern: &HostPattern| match (key, pattern) {
        (HostPattern::Exact(host), HostPattern::Exact(pattern)) => (host == pattern).then_some(usize::MAX),
        (HostPattern::Exact(host), HostPattern::Below(parent)) => {
            within(host, parent).then_some(parent.len())
        }
        (HostPattern::Below(host), HostPattern::Below(parent)) => {
            (host == parent || within(host, parent)).then_some(parent.len())
        }
        (HostPattern::Below(_), HostPattern::Exact(_)) => None,
    };
    hosts.iter().filter_map(of).max()
}

fn tree_for(
    key: Option<&HostPattern>,
    specs: &[(Vec<HostPattern>, PathPattern)],
    clashes: &mut Vec<SameShape>,
) -> Tree {
    let mut candidates: Vec<_> = specs
        .iter()
        .enumerate()
        .filter_map(|(route, (hosts, pattern))| {
            specificity(key, hosts).map(|specific| (Taken { route, specific }, pattern))
        })
        .collect();
    candidates.sort_by_key(|(taken, _)| (std::cmp::Reverse(taken.specific), taken.route));
    let mut tree = Tree::default();
    for (taken, pattern) in candidates {
        let PathShape { segments, rest } = pattern.shape();
        if let Err(other) = tree.insert(&segments, rest, taken) {
            let (first, second) = (other.min(taken.route), other.max(taken.route));
            clashes.push(SameShape { first, second });
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(specs: &[(&'static str, &[&str], &str)]) -> Result<RouteTable<&'static str>, Vec<SameShape>> {
        let host = |h: &&str| match h.strip_prefix("*.") {
            Some(parent) => HostPattern::Below(parent.to_owned()),
            None => HostPattern::Exact((*h).to_owned()),
        };
        let routes = specs
            .iter()
            .map(|(name, hosts, path)| {
                (*name, hosts.iter().map(host).collect(), PathPattern::parse(path).expect("a pattern"))
            })
            .collect();
        RouteTable::new(routes)
    }

    fn found(table: &RouteTable<&'static str>, host: Option<&str>, path: &str) -> Option<&'static str> {
        table.find(host, &TargetPath::parse(path)).copied()
    }

    #[test]
    fn the_most_specific_path_wins() {
        let table = table(&[
            ("all", &[], "/{*rest}"),
            ("order", &[], "/orders/{id}"),
            ("mine", &[], "/orders/mine"),
            ("items", &[], "/orders/{id}/items/{*rest}"),
        ])
        .expect("no clash");
        for (path, route) in [
            ("/", "all"),
            ("/orders", "all"),
            ("/orders/7", "order"),
            ("/ORDERS//007/", "order"),
            ("/orders/Mine", "mine"),
            ("/orders/7/items", "items"),
            ("/orders/7/items/1/x", "items"),
            ("/orders/7/other", "all"),
        ] {
            assert_eq!(found(&table, None, path), Some(route), "{path}");
        }
    }

    #[test]
    fn everything_below_stands_beside_anything_else() {
        let table = table(&[
            ("all", &[], "/{*rest}"),
            ("pair", &[], "/{a}/{b}"),
            ("order", &[], "/orders/{id}"),
            ("orders", &[], "/orders/{*rest}"),
            ("lines", &[], "/orders/{id}/lines"),
            ("file", &[], "/export.json/{*rest}"),
        ])
        .expect("no clash");
        for (path, route) in [
            ("/", "all"),
            ("/x/y", "pair"),
            ("/x/y/z", "all"),
            ("/orders", "orders"),
            ("/orders/1", "order"),
            ("/orders/1.json", "order"),
            ("/orders/1/lines", "lines"),
            ("/orders/1/other", "orders"),
            ("/export.json", "file"),
            ("/export.json/1", "file"),
        ] {
            assert_eq!(found(&table, None, path), Some(route), "{path}");
        }
    }

    #[test]
    fn hosts_narrow_a_route_and_their_spelling_does_not_count() {
        let table = table(&[
            ("any", &[], "/a"),
            ("api", &["api.example.com"], "/a"),
            ("sub", &["*.example.com"], "/{*rest}"),
        ])
        .expect("no clash");
        assert_eq!(found(&table, Some("API.example.com.:8080"), "/a"), Some("api"));
        assert_eq!(found(&table, Some("api.example.com"), "/b"), Some("sub"));
        assert_eq!(found(&table, Some("x.y.example.com"), "/b"), Some("sub"));
        assert_eq!(found(&table, Some("x.example.com"), "/a"), Some("any"));
        assert_eq!(found(&table, Some("example.com"), "/b"), None);
        assert_eq!(found(&table, Some("other.org"), "/a"), Some("any"));
    }

    #[test]
    fn two_routes_of_one_shape_clash() {
        let clash = table(&[("a", &[], "/x/{id}"), ("b", &[], "/X/{name}")]).err();
        assert_eq!(clash, Some(vec![SameShape { first: 0, second: 1 }]));
        assert!(table(&[("a", &["a.org"], "/x"), ("b", &["b.org"], "/x")]).is_ok());
    }

    #[test]
    fn a_bad_pattern_says_what_is_expected() {
        for text in ["orders", "/a/{", "/a/{}/b", "/{*r}/b", "/a{id}", "/{id}/{id}", "/a/../b"] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }
}
