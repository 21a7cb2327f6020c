//! What the tests are written with: the [`Proxy`] under test, the [`Origin`] behind it, [`Client`]s in
//! front of it.
//!
//! Nothing here sleeps, retries or knows a port. Every wait has a deadline that only a hang reaches, and
//! whatever fails prints what went over the wire: the proxy's log and all that the origin saw are printed
//! when their owner is dropped by a failing test.

// Not every part is used by every set of tests.
#![allow(dead_code, unused_imports)]

mod client;
mod message;
mod metrics;
mod origin;
mod proxy;

use std::time::Duration;

pub use client::{Answer, Client, Pending, RequestText, is_end, request};
pub use message::{Framing, Message, Reader};
pub use metrics::Metrics;
pub use origin::{Exchange, Held, Origin, Seen, empty, with_body};
pub use proxy::{Proxy, binary, put, with_origin, with_server};

/// How long anything may take before it counts as hanging. Generous: the machine may be busy.
pub const HANG: Duration = Duration::from_secs(60);

/// An address that surely refuses connections, while this lives: the port is taken and nobody listens.
pub struct Nobody(socket2::Socket);

impl Nobody {
    /// Takes a port.
    pub fn new() -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).expect("a free port");
        Nobody(socket)
    }

    /// The address.
    pub fn address(&self) -> std::net::SocketAddr {
        self.0.local_addr().expect("bound").as_socket().expect("an IP address")
    }
}
