//! The other side: connections to the origin, and what is asked over them.

pub mod connection;
pub mod exchange;
pub mod pool;
pub mod upload;
