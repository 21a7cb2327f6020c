//! ifmatch: a reverse proxy that gives conditional writes to HTTP APIs that never had them.
//!
//! It stands in front of a legacy API, keeps a version for every resource, stamps reads with
//! entity-tags, and lets a write through only when its author has seen the state that it replaces.
//!
//! # The way of a request
//!
//! One direction, each stage consuming what the stage before has found:
//!
//! ```text
//! accept -> identify -> read the preconditions -> decide -> forward -> settle -> report
//! ```
//!
//! | stage | module | what it knows |
//! |---|---|---|
//! | what bytes make a message | [`http1`] | heads, framing, chunks; pure |
//! | what a request states | [`request`] | tags, preconditions, methods; pure |
//! | which resource it names | [`identify`] | routes, folded paths, names; pure |
//! | what becomes of it | [`decide`] | policies, claims, outcomes, refusals; pure |
//! | who may write, and what version is current | [`ledger`] | [`ledger::protocol`] is pure |
//! | carrying it out | [`proxy`] | pingora's streams, connections, the pool |
//! | telling of it | [`report`], [`admin`] | metrics, journal, health |
//! | running | [`config`], [`server`], [`cli`], [`demo`] | files, sockets, signals, flags |
//!
//! A module uses only those above it in this table, and a test in `tests/rules/layering.rs` reads the
//! `use` lines to hold it so. (Configuration and report are plain data that the shell reads; [`boxed`] is for all.) The pure
//! modules know no socket, clock, lock or random number: time and limits come in as arguments, so that
//! they can be tested by truth table, by property and by exhaustive search.
//!
//! # The promise
//!
//! **A write that is let through replaces exactly the state that its author saw.** A doubt costs a
//! spurious refusal, never a lost update. The rules that it rests on are written down in [`ledger`], and
//! the README says what no proxy can prevent.

#![forbid(unsafe_code)]

pub mod admin;
pub mod boxed;
pub mod cli;
pub mod config;
pub mod decide;
pub mod demo;
pub mod http1;
pub mod identify;
pub mod ledger;
pub mod proxy;
pub mod report;
pub mod request;
pub mod server;
