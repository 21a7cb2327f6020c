//! Stands in for the crate `libz-ng-sys`, whose build needs cmake.
//!
//! pingora-core asks flate2 for its zlib-ng backend, for compression modules that ifmatch does not
//! use. flate2 needs from this crate exactly what `libz-sys` offers under the same names, and that one
//! builds with the C compiler that a Rust toolchain already needs for linking. So a fresh machine
//! builds ifmatch with nothing else installed. It can go once pingora-core makes the backend optional.

pub use libz_sys::*;
