//! What the fuzzers of `fuzz/` check, one function a target: it takes any bytes and panics where the code
//! under test and what the RFCs or the rules say of it differ. `corpora` replays what the fuzzers have kept.
//!
//! Read by two crates, so nothing here names anything of the crate that it is in.

mod civil;
pub(crate) mod config_file;
pub(crate) mod decision;
mod drive;
mod grammar;
pub(crate) mod messages;
pub(crate) mod ops;
pub(crate) mod preconditions;
pub(crate) mod state_file;
mod state_layout;
pub(crate) mod target_path;
pub(crate) mod world;
