//! Paths: one name for every spelling.

use std::hint::black_box;

use criterion::Criterion;
use http::uri::PathAndQuery;
use ifmatch::identify::fold::Fold;
use ifmatch::identify::resource_id::ResourceId;
use ifmatch::identify::target_path::TargetPath;

/// The first is what nearly every request has.
const PATHS: [(&str, &str); 4] = [
    ("plain", "/api/v1/customers/4711/orders/17"),
    ("folded", "/api//v1/./Customers/04711;v=1/orders/%31%37.json"),
    ("other scripts", "/api/v1/K%C3%BCnde/%D9%A1%D9%A7"),
    ("ambiguous", "/api/v1/customers/47%2F11/orders/17"),
];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path to name");
    let long = "/segment".repeat(512);
    for (what, path) in PATHS.into_iter().chain([("512 segments", &*long)]) {
        let Ok(target) = PathAndQuery::try_from(path) else { continue };
        group.bench_function(what, |bencher| bencher.iter(|| name(black_box(&target))));
    }
    group.finish();
}

fn name(target: &PathAndQuery) -> Option<ResourceId> {
    let path = TargetPath::of(target);
    path.ambiguity().is_none().then(|| ResourceId::of_path(&path, Fold::default()))
}
