//! Where versions are kept.
//!
//! [`protocol`] holds the rules, pure; [`memory`] keeps the slots in this process's memory, behind
//! locks that are never held across a wait; [`permit`] is the right to forward one write.
//!
//! The steps that a shared store would have to wait for are `async` already.

pub mod begin;
pub mod memory;
pub mod permit;
pub mod protocol;
pub mod waiting;
