//! Connections to one upstream: a limit on their number, an idle time, a look before reuse.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::connection::Connection;
use crate::config::checked::Upstream;
use crate::report::limits_hit::{Limit, LimitsHit};

/// The connections of one upstream.
pub struct Pool {
    upstream: Arc<Upstream>,
    idle: Mutex<Vec<Idle>>,
    /// One permit a connection in use. A connection is made only when none is idle, so there are never
    /// more than this many in all.
    in_use: Semaphore,
    /// Where the next connection goes.
    turn: AtomicUsize,
    open: IntGauge,
    hits: LimitsHit,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// A connection in use; goes back into the pool by [`Lease::put_back`], else it is closed.
pub struct Lease {
    /// The connection.
    pub connection: Box<Connection>,
    /// Whether it carried a request before.
    pub reused: bool,
    pool: InUse,
}

/// The pool of a connection that is in use: one of those that may be.
struct InUse(Arc<Pool>);

/// Which connection a request goes out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// An idle one that a look at its socket finds quiet, or a new one.
    Quiet,
    /// An idle one without that look, which is a system call, or a new one. For reads that are sent once more when
    /// their connection proves to be dead; what the reactor has heard of it counts.
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
            in_use: Semaphore::new(upstream.max_connections),
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
        let permit = self.in_use.try_acquire().ok()?;
        let connection = self.take_idle(over, now)?;
        Some(Lease { connection, reused: true, pool: InUse::of(self, permit) })
    }

    /// A connection, for which it waits: until one may be used, and is made.
    ///
    /// # Errors
    /// If none can be had.
    pub async fn lease(self: &Arc<Self>, over: Over) -> Result<Lease, NoConnection> {
        let permit = match self.in_use.try_acquire() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(self.upstream.connect_timeout, self.in_use.acquire())
                .await
                .map_err(|_| self.all_in_use())?
                .map_err(|_| NoConnection::AllInUse)?,
        };
        let found = if over == Over::New { None } else { self.take_idle(over, Instant::now()) };
        let (connection, reused) = match found {
            Some(connection) => (connection, true),
            None => (self.connect().await.map_err(NoConnection::Unreachable)?, false),
        };
        Ok(Lease { connection, reused, pool: InUse::of(self, permit) })
    }

    fn all_in_use(&self) -> NoConnection {
        self.hits.hit(Limit::OriginConnections);
        NoConnection::AllInUse
    }

    /// The most recently used idle connection that is alive; the others of this look are closed.
    fn take_idle(&self, over: Over, now: Instant) -> Option<Box<Connection>> {
        loop {
            let mut idle = self.idle.lock().pop()?;
            let connection = &mut idle.connection;
            let quiet = match over {
                Over::Any => connection.seems_quiet(),
                Over::Quiet | Over::New => connection.is_quiet(),
            };
            if quiet && self.is_fresh(idle.since, now) {
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
        self.idle.lock().retain(|idle| self.is_fresh(idle.since, now) && idle.connection.is_quiet());
    }

    fn is_fresh(&self, idle_since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(idle_since) < self.upstream.idle_timeout
    }

    /// Connects to the first server that accepts, beginning with the one whose turn it is.
    async fn connect(&self) -> io::Result<Box<Connection>> {
        let servers = &self.upstream.servers;
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut failed = io::Error::other("the upstream has no servers");
        for offset in 0..servers.len() {
            let Some(server) = servers.get((first + offset) % servers.len()) else { continue };
            match self.within_time(TcpStream::connect(&**server)).await {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    return Ok(Box::new(Connection::new(socket, self.open.clone())));
                }
                Err(error) => {
                    tracing::debug!(upstream = &*self.upstream.name, %server, %error, "cannot connect");
                    failed = error;
                }
            }
        }
        Err(failed)
    }
}

impl InUse {
    /// The permit's end is this one's: held by the pool itself, which is there as long.
    fn of(pool: &Arc<Pool>, permit: SemaphorePermit<'_>) -> Self {
        permit.forget();
        InUse(pool.clone())
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.in_use.add_permits(1);
    }
}

impl Lease {
    /// Puts the connection back for the next request, unless it is of no use for one or enough are idle.
    ///
    /// To be called when the answer's body has been taken to its end.
    pub fn put_back(mut self) {
        if !self.connection.is_reusable() {
            return;
        }
        self.connection.rest();
        let mut idle = self.pool.0.idle.lock();
        if idle.len() < self.pool.0.upstream.max_idle {
            idle.push(Idle { connection: self.connection, since: Instant::now() });
        }
    }
}
