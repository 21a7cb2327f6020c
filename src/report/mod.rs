//! What is told of each request: metrics, log lines, the conflict journal.

pub mod counts;
pub mod durations;
pub mod journal;
pub mod limits_hit;
pub mod log_pace;
pub mod metrics;
pub mod names;
pub mod origin_tags;
pub mod recent_reads;
pub mod request_report;
