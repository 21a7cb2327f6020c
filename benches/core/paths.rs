//! Paths: one name for every spelling.

use std::hint::black_box;

use criterion::Criterion;
use ifmatch::identify::target_path::{Fold, TargetPath};

/// The first is what nearly every request has.
const PATHS: [(&str, &str); 4] = [
    ("plain", "/api/v1/customers/4711/orders/17"),
    ("folded", "/api//v1/./Customers/04711;v=1/orders/%31%37.json"),
    ("other scripts", "/api/v1/K%C3%BCnde/%D9%A1%D9%A7"),
    ("ambiguous", "/api/v1/customers/47%2F11/orders/17"),
];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path to name");
    for (what, path) in PATHS {
        group.bench_function(what, |bencher| bencher.iter(|| name(black_box(path))));
    }
    let long = "/segment".repeat(512);
    group.bench_function("512 segments", |bencher| bencher.iter(|| name(black_box(&long))));
    group.finish();
}

fn name(path: &str) -> Option<String> {
    let path = TargetPath::parse(path);
    path.ambiguity().is_none().then(|| path.folded(Fold::default()).into_owned())
}
