//! The demonstration: a small legacy API, and a storm of honest clients against it, once directly and
//! once through the guard.
//!
//! Nothing here is used by the proxy itself, and the clients know nothing of it but its answers.

#[cfg(test)]
mod connection;
pub mod legacy_api;

#[cfg(test)]
mod tests;
