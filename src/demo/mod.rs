//! The demonstration: a small legacy API, and a storm of honest clients against it, once directly and
//! once through the guard.
//!
//! Nothing here is used by the proxy itself, and the clients know nothing of it but its answers.

mod account;
mod connection;
mod honest_client;
pub mod legacy_api;
pub mod storm;

#[cfg(test)]
mod tests;
