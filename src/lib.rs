//! ifmatch
#![forbid(unsafe_code)]
pub mod config;
pub mod decide;
pub mod demo;
pub mod identify;
pub mod ledger;
pub mod proxy;
pub mod report;
pub mod request;
