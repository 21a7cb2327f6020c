//! What is told of each request: metrics, log lines, the conflict journal.

pub mod names;
