//! Connections to one upstream: a limit on their number, an idle time, a look before reuse.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::driver::Driver;
use super::stream::{self, Liveness};
use crate::config::checked::Upstream;
use crate::proxy::lazy_timer::LazyTimer;
use crate::proxy::outgoing::OutgoingBody;
use crate::proxy::patience::Pace;
use crate::proxy::serve::MOST_BUFFERED;
use crate::report::limits_hit::{Limit, LimitsHit};

/// The connections of one upstream.
pub struct Pool {
    upstream: Arc<Upstream>,
    idle: Mutex<Vec<Idle>>,
    /// One permit a connection in use. A connection is made only when none is idle, so there are never
    /// more than this many in all.
    in_use: Arc<Semaphore>,
    /// Where the next connection goes.
    turn: AtomicUsize,
    open: IntGauge,
    hits: LimitsHit,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// An open connection that carries one request at a time.
pub struct Connection {
    /// hyper's end of it.
    pub sender: SendRequest<OutgoingBody>,
    /// What is expected of the origin while it is sent something.
    pub pace: Arc<Pace>,
    /// When the answer to its last request was due.
    pub timer: LazyTimer,
    /// What reads and writes it.
    pub driver: Driver,
    liveness: Liveness,
}

/// A connection in use; goes back into the pool by [`Lease::put_back`], else it is closed.
pub struct Lease {
    /// The connection.
    pub connection: Box<Connection>,
    /// Whether it carried a request before.
    pub reused: bool,
    pool: Arc<Pool>,
    _in_use: OwnedSemaphorePermit,
}

/// Which connection a request goes out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// An idle one that a look at its socket finds quiet, or a new one.
    Quiet,
    /// An idle one without that look, which is a system call, or a new one. For reads that are sent once more when
    /// their connection proves to be dead; what the reactor has heard of it, hyper finds before it sends.
    Any,
    /// A new one.
    New,
}

/// Why there is no connection. No byte of a request has left.
#[derive(Debug)]
pub enum NoConnection {
    /// Every connection that may be is in use, and none came free in `connect_timeout`.
    AllInUse,
    /// No server of the upstream took the connection; the last one's reason.
    Unreachable(io::Error),
}

impl Pool {
    /// An empty pool.
    pub fn new(upstream: Arc<Upstream>, open: IntGauge, hits: LimitsHit) -> Arc<Self> {
        Arc::new(Pool {
            in_use: Arc::new(Semaphore::new(upstream.max_connections)),
            upstream,
            idle: Mutex::new(Vec::new()),
            turn: AtomicUsize::new(0),
            open,
            hits,
        })
    }

    /// What it connects to.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// An idle connection, if there is one that a request may go out on now.
    pub fn lease_idle(self: &Arc<Self>, over: Over, now: Instant) -> Option<Lease> {
        if over == Over::New {
            return None;
        }
        let permit = self.in_use.clone().try_acquire_owned().ok()?;
        let connection = self.take_idle(over, now)?;
        Some(Lease { connection, reused: true, pool: self.clone(), _in_use: permit })
    }

    /// A connection, for which it waits: until one may be used, and is made.
    ///
    /// # Errors
    /// If none can be had.
    pub async fn lease(self: &Arc<Self>, over: Over) -> Result<Lease, NoConnection> {
        let permit = match self.in_use.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                tokio::time::timeout(self.upstream.connect_timeout, self.in_use.clone().acquire_owned())
                    .await
                    .map_err(|_| self.all_in_use())?
                    .map_err(|_| NoConnection::AllInUse)?
            }
        };
        let found = if over == Over::New { None } else { self.take_idle(over, Instant::now()) };
        let (connection, reused) = match found {
            Some(connection) => (connection, true),
            None => (self.connect().await.map_err(NoConnection::Unreachable)?, false),
        };
        Ok(Lease { connection, reused, pool: self.clone(), _in_use: permit })
    }

    fn all_in_use(&self) -> NoConnection {
        self.hits.hit(Limit::OriginConnections);
        NoConnection::AllInUse
    }

    /// The most recently used idle connection that is alive; the others of this look are closed.
    fn take_idle(&self, over: Over, now: Instant) -> Option<Box<Connection>> {
        loop {
            let idle = self.idle.lock().pop()?;
            if self.is_open(&idle, now) && (over == Over::Any || idle.connection.liveness.is_quiet()) {
                return Some(idle.connection);
            }
        }
    }

    async fn within_time<T>(&self, connecting: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        match tokio::time::timeout(self.upstream.connect_timeout, connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                self.hits.hit(Limit::ConnectTime);
                Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))
            }
        }
    }

    /// Closes connections that were idle for too long, and those that their origin has closed.
    pub fn tidy(&self) {
        let now = Instant::now();
        self.idle.lock().retain(|idle| self.is_open(idle, now) && idle.connection.liveness.is_quiet());
    }

    fn is_open(&self, idle: &Idle, now: Instant) -> bool {
        now.saturating_duration_since(idle.since) < self.upstream.idle_timeout
            && !idle.connection.sender.is_closed()
    }

    /// Connects to the first server that accepts, beginning with the one whose turn it is.
    async fn connect(&self) -> io::Result<Box<Connection>> {
        let servers = &self.upstream.servers;
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut failed = io::Error::other("the upstream has no servers");
        for offset in 0..servers.len() {
            let Some(server) = servers.get((first + offset) % servers.len()) else { continue };
            match self.within_time(TcpStream::connect(&**server)).await {
                Ok(socket) => return self.open_on(socket).await,
                Err(error) => {
                    tracing::debug!(upstream = &*self.upstream.name, %server, %error, "cannot connect");
                    failed = error;
                }
            }
        }
        Err(failed)
    }

    async fn open_on(&self, socket: TcpStream) -> io::Result<Box<Connection>> {
        socket.set_nodelay(true)?;
        let pace = Pace::new(self.upstream.response_timeout, self.hits.clone());
        let (stream, liveness) = stream::share(socket, self.open.clone(), pace.clone());
        let (sender, driver) = http1::Builder::new()
            .preserve_header_case(true)
            .max_buf_size(MOST_BUFFERED)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let driver = Driver::new(async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::debug!(%error, "a connection to the origin ended");
            }
        });
        Ok(Box::new(Connection { sender, pace, timer: LazyTimer::default(), driver, liveness }))
    }
}

impl Lease {
    /// Whether the origin has hung up on what was being sent: the request may lack its end.
    pub fn has_failed(&self) -> bool {
        self.connection.liveness.has_failed()
    }

    /// Whether the connection takes a request at once.
    pub fn is_ready(&self) -> bool {
        self.connection.sender.is_ready()
    }

    /// Waits until the connection takes a request.
    ///
    /// # Errors
    /// If it is closed.
    pub async fn ready(&mut self) -> hyper::Result<()> {
        let Connection { sender, driver, .. } = &mut *self.connection;
        poll_fn(|cx| driver.poll_with(cx, |cx| sender.poll_ready(cx))).await
    }

    /// Whether something that was sent still waits for the origin to take it.
    pub fn is_blocked(&self) -> bool {
        self.connection.liveness.is_blocked()
    }

    /// Puts the connection back for the next request, unless it is closed or enough are idle.
    ///
    /// To be called when the answer's body has been read to its end and the request's body was sent.
    pub fn put_back(mut self) {
        self.connection.driver.rest();
        if self.connection.sender.is_closed() || self.has_failed() {
            return;
        }
        let mut idle = self.pool.idle.lock();
        if idle.len() < self.pool.upstream.max_idle {
            idle.push(Idle { connection: self.connection, since: Instant::now() });
        }
    }
}
