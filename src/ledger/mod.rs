//! Where versions are kept.
//!
//! [`protocol`] holds the rules, pure; [`memory`] keeps the slots in this process's memory, behind
//! locks that are never held across a wait; [`permit`] is the right to forward one write; [`snapshot`],
//! pure too, is what a process leaves to the next one.
//!
//! The steps that a shared store would have to wait for are `async` already.

pub mod begin;
pub mod memory;
pub mod permit;
pub mod protocol;
pub mod snapshot;
pub mod waiting;
