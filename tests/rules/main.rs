//! What must hold whatever the shell around it does: truth table, properties, operation sequences
//! against a naive model, an exhaustive search, and who may import whom.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on says so"
)]

mod allocations;
mod bad_config;
mod checks;
mod corpora;
mod deploy;
mod given;
mod http1_and_hyper;
mod http1_bodies;
mod http1_heads;
mod http1_heads_out;
mod layering;
mod model;
mod model_reservations;
mod model_twice;
mod model_views;
mod naming;
mod properties;
mod readme;
mod regressions;
mod seeded;
mod sequences;
mod shown_tags;
mod snapshot;
mod time;
mod truth_table;
