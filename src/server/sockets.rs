//! Sockets that are bound before anything runs, so that a port in use is a message and not a panic, and
//! port 0 can be asked for.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::ServerApp;
use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::listening::Service;
use tokio::sync::watch;

use super::CannotStart;

/// Bound sockets.
pub struct Sockets {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Sockets {
    /// Binds all of them.
    ///
    /// # Errors
    /// If one cannot be bound.
    pub fn bind(wanted: &[SocketAddr]) -> Result<Self, CannotStart> {
        let mut bound = Sockets { listeners: Vec::new(), addresses: Vec::new() };
        for address in wanted {
            let listen = || {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let actual = listener.local_addr()?;
                Ok((listener, actual))
            };
            let (listener, actual) =
                listen().map_err(|reason| CannotStart::Bind { address: *address, reason })?;
            bound.listeners.push(listener);
            bound.addresses.push(actual);
        }
        Ok(bound)
    }

    /// Where, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// One of pingora's listening services, on sockets that are bound already and with a shutdown of ours.
pub struct OnSockets<A> {
    service: Service<A>,
    sockets: ListenFds,
    closing: ShutdownWatch,
    /// Keeps `closing` from ending where nobody else does.
    _keep: Option<watch::Sender<bool>>,
}

impl<A> OnSockets<A> {
    /// A service that stops accepting when `closing` turns true.
    pub fn new(
        name: &str,
        app: A,
        sockets: Sockets,
        closing: ShutdownWatch,
        keep: Option<watch::Sender<bool>>,
    ) -> Self {
        let mut service = Service::new(name.to_owned(), app);
        let mut fds = Fds::new();
        for (listener, address) in sockets.listeners.into_iter().zip(sockets.addresses) {
            fds.add(address.to_string(), listener.into_raw_fd());
            // Connections have buffers of their own and write whole messages: another buffer would only be
            // copied through, and kept for the life of every idle connection.
            let listener = ListenerConfig::tcp(address.to_string()).l4_buffer(L4BufferSettings::unbuffered());
            service.add_listener(listener);
        }
        OnSockets { service, sockets: Arc::new(Mutex::new(fds)), closing, _keep: keep }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> pingora::services::Service for OnSockets<A> {
    async fn start_service(
        &mut self,
        _inherited: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        self.service.start_service(Some(self.sockets.clone()), self.closing.clone(), listeners_per_fd).await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        // The admin listener, which nobody closes, is for a scrape now and then.
        if self._keep.is_some() { Some(1) } else { None }
    }
}
