//! The proxy's metrics, as far as a storm looks at them.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::message::Peer;

/// The metrics of one moment, as text.
pub struct Metrics(String);

impl Metrics {
    /// Asks an admin listener.
    pub fn scrape(admin: SocketAddr) -> Option<Self> {
        let mut stream = TcpStream::connect_timeout(&admin, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: storm.example\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut peer = Peer::new(stream);
        let head = peer.head().ok()??;
        String::from_utf8(peer.body(&head).ok()?).ok().map(Metrics)
    }

    /// Every series of this name: its labels, and its value.
    pub fn series(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.0.lines().filter_map(move |line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            // Not a longer name that begins alike.
            let value = value.parse().ok().filter(|_| labels.is_empty() || labels.starts_with('{'))?;
            Some((labels, value))
        })
    }

    /// `None` if there is no series of this name.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.series(name).map(|(_, value)| value).reduce(|sum, value| sum + value)
    }
}
