//! The real binary over real sockets, between clients and an origin that do whatever a test says.

// A test binary: helpers may fail loudly, as the tests themselves do.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, unreachable_pub)]

mod fidelity;
mod forwarding;
mod given;
mod harness;

mod life;
mod metrics;
mod observe;
mod reads;
mod refusals;
mod smoke;
mod targets;
mod writes;
