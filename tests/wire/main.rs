//! The real binary over real sockets, between clients and an origin that do whatever a test says.

// A test binary: helpers may fail loudly, as the tests themselves do.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, unreachable_pub)]

mod already_applied;
mod connections;
mod content_tags;
mod cors;
mod creates;
mod deliveries;
mod early_answers;
mod fates;
mod fidelity;
mod foreign;
mod foreign_caldav;
mod foreign_findings;
mod foreign_flask;
mod foreign_json_server;
mod foreign_litmus;
mod foreign_spellings;
mod foreign_unaware_clients;
mod foreign_webdav;
mod forwarding;
mod given;
mod harness;
mod hostile;
mod idempotency;
mod large_bodies;
mod leaving;
mod life;
mod limits;
mod limits_memory;
mod limits_time;
mod metrics;
mod names_in_bodies;
mod observe;
mod observe_same;
mod own_tags;
mod precondition_from;
mod reads;
mod refusals;
mod renaming;
mod restart;
mod reuse;
mod scenarios;
mod smoke;
mod storm;
mod targets;
mod transitions;
mod translate;
mod unique_values;
mod verify;
mod views;
mod writes;
