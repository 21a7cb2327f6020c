//! The way to the origin: connections, a small pool of them, and one exchange over one of them.

pub mod driver;
pub mod exchange;
pub mod pool;
pub mod stream;
