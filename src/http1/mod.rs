//! The syntax of HTTP/1.1 messages (RFC 9112): heads and bodies, read from bytes and written as bytes.
//!
//! Plain code without sockets or clocks. [`head`] reads heads and [`head_out`] writes them, [`framing`] says where a
//! body ends, [`decode`] takes one out of what has come and [`encode`] puts one on its way, [`spelling`] keeps the
//! names of fields as they were sent, and [`message`] has all that is known of one. The lines themselves are taken apart by the crate `httparse`.
//!
//! Why this is not left to a server library: a write is forwarded exactly once, so it has to be known which byte of
//! it has left; a view counts when its answer was written out; and a refusal is to name what was wrong with a
//! request's line. Besides, it costs a third of the instructions (see `benches/README.md`).

pub mod decode;
pub mod encode;
pub mod framing;
pub mod head;
pub mod head_out;
pub mod message;
pub mod spelling;
