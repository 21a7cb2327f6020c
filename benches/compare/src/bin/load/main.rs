//! A client that carries tags forward, which `wrk` and `h2load` cannot: each write states the tag that was last seen for its
//! resource, and reads first where none is known.
//!
//! `load ADDRESS CASE --connections N [--seconds S] [--rate R] [--resources N]` writes one line a request to standard output
//! when all are done, as `h2load --log-file` does, and a fourth column: when it was sent (microseconds since the epoch), the
//! answer's status, microseconds until its end, the method. One thread; the first error of a connection ends it.

mod connection;
mod workload;

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;
use crate::workload::{Case, Turn, Workload};

#[derive(Clone, Parser)]
struct Options {
    address: SocketAddr,
    case: Case,
    #[arg(long)]
    connections: u32,
    /// Requests are begun for so long. `fill` ends by itself.
    #[arg(long, default_value_t = 3600.0)]
    seconds: f64,
    /// Requests a second, over all connections. Without it each sends as soon as it was answered.
    #[arg(long)]
    rate: Option<f64>,
    /// How many resources there are. In `put` every connection has one of its own.
    #[arg(long, default_value_t = 1_000_000)]
    resources: u32,
    /// Where they are.
    #[arg(long, default_value = "/1k/")]
    below: String,
}

/// One request that was answered.
struct Exchange {
    sent: Instant,
    took: Duration,
    status: u16,
    turn: Turn,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let workload = Rc::new(RefCell::new(Workload::new(&options)));
    let begun = (Instant::now(), SystemTime::now());
    let exchanges = LocalSet::new().run_until(drive_all(options, workload)).await?;
    print(&exchanges, begun)?;
    Ok(())
}

async fn drive_all(
    options: Options,
    workload: Rc<RefCell<Workload>>,
) -> Result<Vec<Exchange>, Box<dyn Error>> {
    let mut connections = Vec::new();
    for _ in 0..options.connections {
        connections.push(Connection::open(options.address).await?);
    }
    let start = Instant::now();
    let mut drivers = JoinSet::new();
    for (number, connection) in (0..).zip(connections) {
        let pace = options.rate.map(|rate| Pace::new(start, rate, options.connections, number));
        let end = start + Duration::from_secs_f64(options.seconds);
        drivers.spawn_local(drive(connection, number, Rc::clone(&workload), pace, end));
    }
    let mut exchanges = Vec::new();
    while let Some(driven) = drivers.join_next().await {
        exchanges.append(&mut driven??);
    }
    Ok(exchanges)
}

/// When a connection's requests are due. One that is late is sent at once, and the next one when it would have been.
struct Pace {
    due: Instant,
    period: Duration,
}

impl Pace {
    fn new(start: Instant, rate: f64, connections: u32, number: u32) -> Self {
        let period = Duration::from_secs_f64(f64::from(connections) / rate);
        Self { due: start + period * number / connections, period }
    }

    async fn next(&mut self) {
        sleep_until(self.due).await;
        self.due += self.period;
    }
}

async fn drive(
    mut connection: Connection,
    number: u32,
    workload: Rc<RefCell<Workload>>,
    mut pace: Option<Pace>,
    end: Instant,
) -> io::Result<Vec<Exchange>> {
    let mut exchanges = Vec::new();
    let mut owed = None;
    loop {
        if let Some(pace) = &mut pace {
            pace.next().await;
        }
        let sent = Instant::now();
        let turn = workload.borrow_mut().choose(number, &mut owed, connection.request());
        let Some(turn) = turn.filter(|_| sent < end) else {
            return Ok(exchanges);
        };
        let answer = connection.exchange().await?;
        exchanges.push(Exchange { sent, took: sent.elapsed(), status: answer.status, turn });
        workload.borrow_mut().learn(turn, answer);
    }
}

fn print(exchanges: &[Exchange], (instant, time): (Instant, SystemTime)) -> Result<(), Box<dyn Error>> {
    let origin = time.duration_since(UNIX_EPOCH)?;
    let mut out = BufWriter::new(io::stdout().lock());
    for exchange in exchanges {
        let sent = (origin + exchange.sent.duration_since(instant)).as_micros();
        let took = exchange.took.as_micros();
        writeln!(out, "{sent}\t{}\t{took}\t{}", exchange.status, exchange.turn.method())?;
    }
    Ok(out.flush()?)
}
