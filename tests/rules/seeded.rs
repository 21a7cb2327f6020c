//! Property tests that replay from one number: `IFMATCH_SEED`. `IFMATCH_CASES=20` tries twenty times as
//! many values.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Checks a property of `cases` random values. A failure tells the seed and the smallest value.
pub(crate) fn check<S: Strategy>(
    cases: u32,
    values: S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let seed: u64 = match std::env::var("IFMATCH_SEED") {
        Ok(seed) => seed.parse().expect("IFMATCH_SEED is a number"),
        Err(_) => rand::random(),
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let factor: u32 = std::env::var("IFMATCH_CASES").map_or(1, |times| times.parse().expect("a number"));
    let config = Config {
        cases: cases * factor,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(failed) = runner.run(&values, property) {
        panic!("{failed}\nreplay with IFMATCH_SEED={seed}");
    }
}
