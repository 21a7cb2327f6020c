//! The smallest guards that tell a good storm from a bad one: a counter of their own, not a proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ETAG, IF_MATCH};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Compares the tag and stores, in one step.
    Honest,
    /// Acknowledges every write and stores none.
    Forgetful,
    /// Answers every write with 409.
    Stubborn,
    /// Stores the tenth write and breaks the connection off instead of answering; else honest.
    LosesAnAnswer,
    /// Breaks off the tenth write's connection without storing anything; else honest.
    LosesAWrite,
    /// Answers every write with 503.
    NeverReady,
}

#[derive(Default)]
struct Counter {
    value: i64,
    writes: u64,
}

/// Serves until the test's runtime ends.
pub(super) async fn start(behaviour: Behaviour) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let counter = Arc::new(Mutex::new(Counter::default()));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let counter = counter.clone();
            let service = service_fn(move |request| answer(request, behaviour, counter.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// An error, which makes hyper close the connection without an answer.
#[derive(Debug)]
struct BreakOff;

impl std::fmt::Display for BreakOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off on purpose")
    }
}

impl std::error::Error for BreakOff {}

async fn answer(
    request: Request<Incoming>,
    behaviour: Behaviour,
    counter: Arc<Mutex<Counter>>,
) -> Result<Response<Full<Bytes>>, BreakOff> {
    let read = request.method() == Method::GET;
    let stated = request.headers().get(IF_MATCH).map(|tag| tag.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut counter = counter.lock();
    let current = format!("\"v{}\"", counter.value);
    let problem = |status: StatusCode, kind: &str| {
        let body = json!({"type": format!("https://guard.example/problems/{kind}")});
        Ok(Response::builder().status(status).body(Full::from(body.to_string())).unwrap())
    };
    if !read {
        match behaviour {
            Behaviour::Honest | Behaviour::LosesAnAnswer | Behaviour::LosesAWrite => {
                match stated {
                    None => return problem(StatusCode::PRECONDITION_REQUIRED, "precondition-required"),
                    Some(tag) if tag != current => {
                        return problem(StatusCode::PRECONDITION_FAILED, "precondition-failed");
                    }
                    Some(_) => {}
                }
                counter.writes += 1;
                let tenth = counter.writes == 10;
                if tenth && behaviour == Behaviour::LosesAWrite {
                    return Err(BreakOff);
                }
                let document: Value = serde_json::from_slice(&body).unwrap();
                counter.value = document["value"].as_i64().unwrap();
                if tenth && behaviour == Behaviour::LosesAnAnswer {
                    return Err(BreakOff);
                }
            }
            Behaviour::Forgetful => {}
            Behaviour::Stubborn => return problem(StatusCode::CONFLICT, "write-in-flight"),
            Behaviour::NeverReady => return problem(StatusCode::SERVICE_UNAVAILABLE, "starting"),
        }
    }
    let document = json!({"id": "c", "value": counter.value}).to_string();
    Ok(Response::builder()
        .header(ETAG, format!("\"v{}\"", counter.value))
        .body(Full::from(document))
        .unwrap())
}
