//! ifmatch
#![forbid(unsafe_code)]
pub mod admin;
pub mod config;
pub mod decide;
pub mod demo;
pub mod identify;
pub mod ledger;
pub mod proxy;
pub mod report;
pub mod request;
pub mod server;
