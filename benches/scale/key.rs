//! Keys of resources.

use ifmatch::request::version_tag::ResourceKey;

/// The key of a resource. Like a keyed hash of its name, and as quick to make as nothing: each number has
/// its own (the finaliser of splitmix64 is a permutation).
pub(crate) fn key(resource: u64) -> ResourceKey {
    let mixed = resource.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ResourceKey(mixed ^ (mixed >> 31))
}
