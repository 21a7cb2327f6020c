//! ifmatch
#![forbid(unsafe_code)]
pub mod cli;
pub mod config;
pub mod decide;
pub mod identify;
pub mod ledger;
pub mod report;
pub mod request;
