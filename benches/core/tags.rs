//! Entity-tags: reading what clients send, writing what they get.

use std::hint::black_box;

use criterion::Criterion;
use ifmatch::request::entity_tag::{EntityTag, TagCondition};
use ifmatch::request::version_tag::{Incarnation, ResourceKey, Variant, Version, VersionTag};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tags");
    let tag = VersionTag::new(
        Incarnation(0x8737_05dc_a93d_f940),
        ResourceKey(0x1234_5678_7cf9_47aa),
        Version(0x00fe_dcba),
        Variant(0xdec6_c64f),
    );
    let written = tag.to_string();
    let one = written.as_bytes();
    let foreign: &[u8] = b"W/\"33a64df5-5f2b0a3c\"";
    let many = [one, one, one, one, one, one, one, one].join(&b", "[..]);

    group.bench_function("print", |bencher| bencher.iter(|| black_box(tag).to_string()));
    group.bench_function("If-Match, our tag", |bencher| bencher.iter(|| condition(black_box(one))));
    group.bench_function("If-Match, eight tags", |bencher| bencher.iter(|| condition(black_box(&many))));
    group.bench_function("If-Match, another's tag", |bencher| bencher.iter(|| condition(black_box(foreign))));
    group.finish();
}

/// How many tags of ours a field's value states, as a write's claim takes them.
fn condition(value: &[u8]) -> usize {
    match TagCondition::parse([value]) {
        Ok(TagCondition::Tags(tags)) => tags.iter().filter_map(ours).count(),
        Ok(TagCondition::Any) | Err(_) => 0,
    }
}

fn ours(tag: &EntityTag) -> Option<VersionTag> {
    VersionTag::read(tag)
}
