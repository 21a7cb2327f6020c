//! The demonstration is honest: the API loses updates as it says, and an account is true.

mod legacy_api;
mod scenario;
mod shop;
mod show;
mod storm;
mod toy_guard;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use super::legacy_api::{Documents, bind};

const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// A legacy API that runs until the test's runtime ends.
async fn start_legacy_api() -> (SocketAddr, Arc<Documents>) {
    let api = bind(ANY).await.unwrap();
    let found = (api.address(), api.documents());
    tokio::spawn(api.serve());
    found
}
