//! The syntax of HTTP/1.1 messages (RFC 9112): heads and bodies, read from bytes and written as bytes.
//!
//! Plain code without sockets or clocks. [`head`] reads heads and [`head_out`] writes them, [`framing`] says where a
//! body ends, [`decode`] takes one out of what has come and [`encode`] puts one on its way, [`fields`] keeps the
//! fields as they were sent, and [`message`] has all that is known of one. The lines themselves are taken
//! apart by the crate `httparse`.
//!
//! Why this is not left to hyper, which spoke HTTP here before: a write is forwarded exactly once, so it has to be known
//! which byte of it has left, and whether its connection was dead before the first; a view counts when its answer was
//! written out; a target is judged as it was sent; names pass as they were spelled. hyper tells none of these, and
//! the ways around that cost more than the syntax does: a request takes a third fewer instructions without them
//! (`benches/README.md`). hyper is still what the rules are tested against (`tests/rules/http1_and_hyper.rs`), and it
//! serves the admin listener and the demonstration.

pub mod decode;
pub mod encode;
mod field_line;
pub mod fields;
pub mod framing;
pub mod head;
pub mod head_out;
pub mod message;
