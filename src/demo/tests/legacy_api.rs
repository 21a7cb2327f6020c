//! The legacy API answers as its table says.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{ALLOW, ETAG, IF_MATCH, LAST_MODIFIED, LOCATION};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::start_legacy_api;
use crate::demo::connection::{Answer, Connection};

pub(super) struct Caller(Connection);

impl Caller {
    pub(super) fn new(target: SocketAddr) -> Self {
        Caller(Connection::new(target, HeaderValue::from_static("legacy.example")))
    }

    pub(super) async fn call(&mut self, method: &str, path: &str, body: &str) -> Answer {
        // A stale precondition that the API has to ignore, as one does that never heard of them.
        let request = Request::builder().method(method).uri(path).header(IF_MATCH, "\"stale\"");
        self.0
            .exchange(request.body(Full::from(Bytes::copy_from_slice(body.as_bytes()))).unwrap())
            .await
            .unwrap()
    }

    pub(super) async fn json(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let answer = self.call(method, path, body).await;
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
    }
}

#[tokio::test]
async fn a_counter_starts_at_zero_and_takes_whole_numbers() {
    let (address, documents) = start_legacy_api().await;
    let mut client = Caller::new(address);
    assert_eq!(client.json("GET", "/counters/a", "").await, (200, json!({"id": "a", "value": 0})));
    let put = client.json("PUT", "/counters/a", r#"{"value": 5}"#).await;
    assert_eq!(put, (200, json!({"id": "a", "value": 5})));
    assert_eq!(client.json("GET", "/counters/a", "").await, (200, json!({"id": "a", "value": 5})));
    assert_eq!((documents.counter("a"), documents.writes_applied()), (Some(5), 1));
    for wrong in [r#"{"value": 1.5}"#, r#"{"value": "1"}"#, "{}", "[]", "{", ""] {
        let (status, problem) = client.json("PUT", "/counters/a", wrong).await;
        assert_eq!(status, 400, "{wrong}");
        assert!(problem["error"].is_string(), "{wrong}: {problem}");
    }
    assert_eq!((documents.counter("a"), documents.writes_applied()), (Some(5), 1));
}

#[tokio::test]
async fn a_deleted_counter_is_gone_until_it_is_written() {
    let (address, documents) = start_legacy_api().await;
    let mut client = Caller::new(address);
    let deleted = client.call("DELETE", "/counters/a", "").await;
    assert_eq!((deleted.status, deleted.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(documents.counter("a"), None);
    assert_eq!(client.json("GET", "/counters/a", "").await.0, 404);
    assert_eq!(client.json("DELETE", "/counters/a", "").await.0, 404);
    assert_eq!(client.json("PUT", "/counters/a", r#"{"value": 1}"#).await.0, 201);
}

#[tokio::test]
async fn notes_are_made_by_put_and_by_post() {
    let (address, documents) = start_legacy_api().await;
    let mut client = Caller::new(address);
    assert_eq!(client.json("GET", "/notes/1", "").await.0, 404);
    let made = client.json("PUT", "/notes/1", r#"{"text": "one", "id": "other"}"#).await;
    assert_eq!(made, (201, json!({"id": "1", "text": "one"})));
    assert_eq!(client.json("PUT", "/notes/1", r#"{"text": "uno"}"#).await.0, 200);
    let posted = client.call("POST", "/notes", r#"{"text": "two"}"#).await;
    assert_eq!(posted.status, StatusCode::CREATED);
    // Not /notes/1: that number is taken.
    assert_eq!(posted.headers[LOCATION], "/notes/2");
    assert_eq!(client.json("GET", "/notes/2", "").await, (200, json!({"id": "2", "text": "two"})));
    assert_eq!(documents.document("/notes/1"), Some(json!({"id": "1", "text": "uno"})));
    assert_eq!(client.json("POST", "/notes", "no").await.0, 400);
}

#[tokio::test]
async fn the_api_has_no_validators_and_errors_are_json() {
    let (address, _) = start_legacy_api().await;
    let mut client = Caller::new(address);
    let read = client.call("GET", "/counters/a", "").await;
    assert!(!read.headers.contains_key(ETAG) && !read.headers.contains_key(LAST_MODIFIED));
    for path in ["/", "/counters", "/counters/", "/counters/a/b", "/notes/", "/other/1"] {
        assert_eq!(client.json("GET", path, "").await.0, 404, "{path}");
    }
    let refused = client.call("PATCH", "/counters/a", "{}").await;
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused.headers[ALLOW], "GET, HEAD, PUT, DELETE");
    let head = client.call("HEAD", "/counters/a", "").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}
