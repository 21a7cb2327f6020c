//! The route of a request, among many.

use std::hint::black_box;

use criterion::Criterion;
use ifmatch::identify::route_table::{HostPattern, PathPattern, RouteTable};
use ifmatch::identify::target_path::TargetPath;

const ROUTES: usize = 1_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route of 1,000");
    for (what, table, host) in [
        ("any host", table(|_| Vec::new()), None),
        ("a host of its own each", table(|route| vec![host(route)]), Some("host-500.example.com")),
    ] {
        let Some(table) = table else { continue };
        for (which, path) in [
            ("a literal and a parameter", "/service-500/items/17"),
            ("everything below", "/service-500/items/17/notes/3"),
            ("none", "/elsewhere/17"),
        ] {
            let path = TargetPath::parse(path);
            group.bench_function(format!("{what}: {which}"), |bencher| {
                bencher.iter(|| table.find(black_box(host), black_box(&path)).copied());
            });
        }
    }
    group.finish();
}

/// Two routes a service: one for its items and one for everything below them. `None` if they clash.
fn table(hosts: impl Fn(usize) -> Vec<HostPattern>) -> Option<RouteTable<usize>> {
    let route = |route: usize| {
        let service = route / 2 * 2;
        let below = if route == service { "{id}" } else { "{id}/{*rest}" };
        let pattern = PathPattern::parse(&format!("/service-{service}/items/{below}")).ok()?;
        Some((route, hosts(service), pattern))
    };
    let routes = (0..ROUTES).map(route).collect::<Option<Vec<_>>>()?;
    RouteTable::new(routes).ok()
}

fn host(service: usize) -> HostPattern {
    HostPattern::Exact(format!("host-{service}.example.com"))
}
