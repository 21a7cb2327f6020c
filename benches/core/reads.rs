//! What a plain read is decided by.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use http::{Method, StatusCode};
use ifmatch::decide::policy::WeakIfMatch;
use ifmatch::decide::read::{ReadAnswer, TagsOf, judge_read};
use ifmatch::ledger::memory::MemoryLedger;
use ifmatch::request::entity_tag::TagCondition;
use ifmatch::request::preconditions::Preconditions;
use ifmatch::request::version_tag::{ResourceKey, VersionTag};

use crate::ledger::{key, with_written};

const ROOM: u64 = 200_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    let ledger = with_written(ROOM);
    let (incarnation, key) = (ledger.incarnation(), key(17));
    let of = TagsOf { incarnation, resource: key, weak: WeakIfMatch::Refuse };
    let answer = ReadAnswer {
        status: StatusCode::OK,
        variant: ledger.variant(&[b"text/plain"]),
        last_modified: None,
        still_at_rest: true,
        multipart: false,
    };
    let current = VersionTag::new(incarnation, key, ledger.version(key, None), answer.variant);
    let unconditional = Preconditions::default();
    let if_none_match = TagCondition::parse([current.to_string().as_bytes()]).ok();
    let revalidating = Preconditions { if_none_match, ..Preconditions::default() };

    group.bench_function("stamp", |bencher| bencher.iter(|| stamp(&ledger, black_box(key))));
    group.bench_function("stamp, with the upstream as a whole", |bencher| {
        let whole = ledger.whole_key("upstream");
        bencher.iter(|| ledger.observe(black_box(key), Some(black_box(whole)), Duration::ZERO));
    });
    for (what, stated) in [("stamp and judge", unconditional), ("stamp and judge, 304", revalidating)] {
        group.bench_function(what, |bencher| {
            bencher.iter(|| {
                let stamp = stamp(&ledger, black_box(key));
                judge_read(&Method::GET, black_box(&stated), stamp, black_box(&answer), of)
            });
        });
    }
    group.finish();
}

fn stamp(ledger: &MemoryLedger, key: ResourceKey) -> ifmatch::decide::read::ReadStamp {
    ledger.observe(key, None, Duration::ZERO)
}
