//! The framework's own proxy pipe with nothing in it: what `ifmatch` would cost if it were built on that.
//!
//! `pipe LISTEN ORIGIN`, one worker thread. Its pool of connections to the origin holds more than any case has in flight: a
//! smaller one was measured to cost two thirds more CPU a request.

use std::env;
use std::error::Error;

use async_trait::async_trait;
use mimalloc::MiMalloc;
use pingora::Result;
use pingora::prelude::{HttpPeer, ProxyHttp, Server, Session, http_proxy_service};
use pingora::server::configuration::{Opt, ServerConf};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Unused connections to the origin that are kept.
const POOL: usize = 2048;

struct Pipe {
    origin: HttpPeer,
}

#[async_trait]
impl ProxyHttp for Pipe {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(self.origin.clone()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(listen), Some(origin)) = (arguments.next(), arguments.next()) else {
        return Err("usage: pipe LISTEN ORIGIN".into());
    };
    let configuration = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: POOL,
        // It ends when it is told to, without waiting for its clients.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(Opt::default(), configuration);
    server.bootstrap();
    let origin = HttpPeer::new(origin.as_str(), false, String::new());
    let mut service = http_proxy_service(&server.configuration, Pipe { origin });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever()
}
