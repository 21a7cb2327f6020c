//! What the stages of a request cost, one by one: `cargo bench --bench core`.

mod ledger;
mod paths;
mod reads;
mod routes;
mod tags;

use criterion::{criterion_group, criterion_main};

criterion_group!(core, tags::bench, paths::bench, routes::bench, reads::bench, ledger::bench);
criterion_main!(core);
