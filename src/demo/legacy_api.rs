//! A legacy HTTP API, as there are many: plain JSON documents in memory, no entity-tags, no
//! Last-Modified, no preconditions. Whoever writes last wins, and nobody is told.
//!
//! | path | GET | PUT | DELETE | POST |
//! |---|---|---|---|---|
//! | `/counters/{id}` | 200 `{"id", "value"}`; every counter is there from the start, at 0 | 200 | 204 | 405 |
//! | `/notes/{id}` | 200, 404 until it is written | 201, 200 when replaced | 204 | 405 |
//! | `/notes` | 405 | 405 | 405 | 201 and Location |
//!
//! HEAD goes with GET. A deleted document is 404 until the next PUT, which answers 201. The module `shop` has
//! a table of its own.

pub(super) mod hold;
mod shop;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use hold::{Held, NextHold, Point};

/// Between reading the stored document and storing the new one, a PUT takes this long: about what a
/// small database needs. It is the window in which updates get lost.
const SLOW: Duration = Duration::from_millis(2);
/// No document of a demo is larger.
const LARGEST_BODY: usize = 64 * 1024;
/// How long to stay away from `accept` after it failed; it does so when file descriptors are short,
/// and then would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the API stores. Shared, so that a test can look at it without asking the API.
#[derive(Default)]
pub struct Documents {
    state: Mutex<State>,
    hold: NextHold,
}

#[derive(Default)]
struct State {
    /// By path. `None` was deleted, which a counter that was never written is not.
    stored: HashMap<String, Option<Value>>,
    writes_applied: u64,
    /// The last number that was given to a document of any collection.
    last_id: u64,
}

impl Documents {
    /// The document at this path, such as `/notes/1`.
    pub fn document(&self, path: &str) -> Option<Value> {
        match self.state.lock().stored.get(path) {
            Some(stored) => stored.clone(),
            None => path.strip_prefix("/counters/").map(|id| json!({"id": id, "value": 0})),
        }
    }

    /// The value of a counter; nothing if it was deleted.
    pub fn counter(&self, id: &str) -> Option<i64> {
        self.document(&format!("/counters/{id}"))?.get("value")?.as_i64()
    }

    /// How many writes were applied, to all documents together.
    pub fn writes_applied(&self) -> u64 {
        self.state.lock().writes_applied
    }

    fn store(&self, path: &str, document: Option<Value>) {
        let mut state = self.state.lock();
        state.stored.insert(path.to_owned(), document);
        state.writes_applied += 1;
    }

    /// Stores a document under a number of its collection that is free, and returns its path.
    fn add(&self, collection: &str, fields: &Map<String, Value>) -> (String, Value) {
        let mut state = self.state.lock();
        loop {
            state.last_id += 1;
            let id = state.last_id.to_string();
            let path = format!("{collection}/{id}");
            if !state.stored.contains_key(&path) {
                let document = numbered(&id, fields);
                state.stored.insert(path.clone(), Some(document.clone()));
                state.writes_applied += 1;
                return (path, document);
            }
        }
    }

    /// The documents whose paths begin so, in the order of their paths.
    pub(super) fn below(&self, prefix: &str) -> Vec<Value> {
        let all = self.all().into_iter();
        all.filter(|(path, _)| path.starts_with(prefix)).map(|(_, document)| document).collect()
    }

    /// Every document with its path, in the order of the paths.
    pub(super) fn all(&self) -> Vec<(String, Value)> {
        let state = self.state.lock();
        let there = state.stored.iter().filter_map(|(path, stored)| Some((path.clone(), stored.clone()?)));
        let mut all: Vec<_> = there.collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// What is there before anybody has written: no write.
    pub(super) fn begin_with(&self, path: &str, document: Value) {
        self.state.lock().stored.insert(path.to_owned(), Some(document));
    }

    /// Holds the next write that passes this point of its work.
    pub(super) fn hold_next(&self, at: Point) -> Held {
        self.hold.at(at)
    }
}

/// The API, with its port bound.
pub struct LegacyApi {
    listener: TcpListener,
    address: SocketAddr,
    documents: Arc<Documents>,
}

/// Binds the API to an address; port 0 takes any free one.
pub async fn bind(address: SocketAddr) -> io::Result<LegacyApi> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok(LegacyApi { listener, address, documents: Arc::default() })
}

impl LegacyApi {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it stores.
    pub fn documents(&self) -> Arc<Documents> {
        self.documents.clone()
    }

    /// Serves until the future is dropped, which closes its connections too.
    pub async fn serve(self) {
        let mut connections = JoinSet::new();
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the legacy API cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let documents = self.documents.clone();
            connections.spawn(async move {
                let service = service_fn(|request| {
                    let documents = documents.clone();
                    async move { Ok::<_, Infallible>(answer(request, &documents).await) }
                });
                if let Err(error) =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
                {
                    tracing::debug!(%error, "a connection to the legacy API broke");
                }
            });
            while connections.try_join_next().is_some() {}
        }
    }
}

/// What a path names.
#[derive(Clone, Copy)]
enum Place<'a> {
    Counter(&'a str),
    Note(&'a str),
    Notes,
}

fn place(path: &str) -> Option<Place<'_>> {
    match *path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "counters", id] if !id.is_empty() => Some(Place::Counter(id)),
        ["", "notes", id] if !id.is_empty() => Some(Place::Note(id)),
        ["", "notes"] => Some(Place::Notes),
        _ => None,
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>, documents: &Documents) -> Answer {
    let path = request.uri().path().to_owned();
    if let Some(place) = shop::place(&path) {
        return shop::answer(request, place, documents).await;
    }
    let Some(place) = place(&path) else { return error(StatusCode::NOT_FOUND, "there is nothing here") };
    match (request.method(), place) {
        (&Method::GET | &Method::HEAD, Place::Counter(_) | Place::Note(_)) => match documents.document(&path)
        {
            Some(document) => json_answer(StatusCode::OK, &document),
            None => error(StatusCode::NOT_FOUND, "there is no such document"),
        },
        (&Method::PUT, Place::Counter(_) | Place::Note(_)) => match fields(request).await {
            Ok(fields) => replace(documents, &path, place, &fields).await,
            Err(wrong) => wrong,
        },
        (&Method::DELETE, Place::Counter(_) | Place::Note(_)) => match documents.document(&path) {
            Some(_) => {
                documents.store(&path, None);
                empty(StatusCode::NO_CONTENT)
            }
            None => error(StatusCode::NOT_FOUND, "there is no such document"),
        },
        (&Method::POST, Place::Notes) => match fields(request).await {
            Ok(fields) => {
                let (path, note) = documents.add("/notes", &fields);
                with_field(json_answer(StatusCode::CREATED, &note), LOCATION, &path)
            }
            Err(wrong) => wrong,
        },
        (_, place) => {
            let allowed = match place {
                Place::Counter(_) | Place::Note(_) => "GET, HEAD, PUT, DELETE",
                Place::Notes => "POST",
            };
            let refused = error(StatusCode::METHOD_NOT_ALLOWED, "this method has no meaning here");
            with_field(refused, ALLOW, allowed)
        }
    }
}

/// Read, modify, write, with time for others in between: what such an API does around its database.
async fn replace(documents: &Documents, path: &str, place: Place<'_>, fields: &Map<String, Value>) -> Answer {
    let new = match place {
        Place::Counter(id) => match fields.get("value").and_then(Value::as_i64) {
            Some(value) => json!({"id": id, "value": value}),
            None => return error(StatusCode::BAD_REQUEST, "a counter needs a whole number in \"value\""),
        },
        Place::Note(id) => numbered(id, fields),
        Place::Notes => return error(StatusCode::NOT_FOUND, "there is no such document"),
    };
    let old = documents.document(path);
    tokio::time::sleep(SLOW).await;
    documents.store(path, Some(new.clone()));
    json_answer(if old.is_some() { StatusCode::OK } else { StatusCode::CREATED }, &new)
}

/// What was sent, under its number.
fn numbered(id: &str, fields: &Map<String, Value>) -> Value {
    let mut document = Map::from_iter([("id".to_owned(), Value::from(id))]);
    let others = fields.iter().filter(|(name, _)| *name != "id");
    document.extend(others.map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(document)
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Answer> {
    let body = Limited::new(request.into_body(), LARGEST_BODY).collect().await;
    let whole = body.map_err(|_| error(StatusCode::BAD_REQUEST, "the body broke off or is over 64 KiB"))?;
    Ok(whole.to_bytes())
}

async fn fields(request: Request<Incoming>) -> Result<Map<String, Value>, Answer> {
    serde_json::from_slice(&body(request).await?)
        .map_err(|_| error(StatusCode::BAD_REQUEST, "the body has to be a JSON object"))
}

fn json_answer(status: StatusCode, document: &Value) -> Answer {
    let mut answer = Response::new(Full::from(document.to_string()));
    *answer.status_mut() = status;
    with_field(answer, CONTENT_TYPE, "application/json")
}

fn error(status: StatusCode, message: &str) -> Answer {
    json_answer(status, &json!({ "error": message }))
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// Every value that comes here is made of ASCII; one that is not would be left out.
fn with_field(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}
