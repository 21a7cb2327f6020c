//! Health, metrics and conflicts, on a listener of their own: never on the public one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use serde::Serialize;
use serde_json::json;

use crate::decide::aim;
use crate::identify::query;
use crate::identify::target_path::TargetPath;
use crate::proxy::body::AnswerBody;
use crate::proxy::gateway::Gateway;

/// The admin listener, as pingora sees it.
pub struct Admin(Arc<Gateway>);

impl Admin {
    /// Tells of this gateway.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Admin(gateway)
    }
}

#[async_trait]
impl ServerApp for Admin {
    async fn process_new(self: &Arc<Self>, stream: Stream, _shutdown: &ShutdownWatch) -> Option<Stream> {
        /// Whoever asks here means well, but a head has an end.
        const LONGEST_HEAD: usize = 16 * 1024;
        const IDLE: Duration = Duration::from_secs(75);
        let gateway = self.0.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer(&gateway, &request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .max_buf_size(LONGEST_HEAD)
            .header_read_timeout(IDLE)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the admin listener ended");
        }
        None
    }
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// Prometheus refuses a scrape without it.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const PATHS: &str =
    "ifmatch admin\n\n/metrics\n/livez\n/readyz\n/conflicts?limit=N\n/resources?path=PATH&host=HOST\n";

fn answer(gateway: &Gateway, request: &Request<Incoming>) -> Response<AnswerBody> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused =
            plain(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD are understood here\n");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let query = request.uri().query().unwrap_or_default();
    match request.uri().path() {
        "/" => plain(StatusCode::OK, TEXT, PATHS),
        "/livez" => plain(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" if gateway.is_ready() => plain(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => {
            plain(StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting or stopping: writes are not judged\n")
        }
        "/metrics" => {
            gateway.refresh_gauges();
            match gateway.metrics.exposition() {
                Ok(text) => plain(StatusCode::OK, EXPOSITION, text),
                Err(error) => {
                    tracing::error!(%error, "the metrics cannot be written down");
                    plain(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        TEXT,
                        "the metrics cannot be written down; see the log\n",
                    )
                }
            }
        }
        "/conflicts" => conflicts(gateway, query),
        "/resources" => resources(gateway, query),
        _ => plain(StatusCode::NOT_FOUND, TEXT, PATHS),
    }
}

fn conflicts(gateway: &Gateway, asked: &str) -> Response<AnswerBody> {
    let limit = match query::values(asked, "limit").next().map(|text| text.parse::<usize>()) {
        None => usize::MAX,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => {
            return json(
                StatusCode::BAD_REQUEST,
                &json!({ "error": "limit is not a number; expected one like limit=20" }),
            );
        }
    };
    json(StatusCode::OK, &json!({ "conflicts": gateway.journal.newest_first(limit) }))
}

fn resources(gateway: &Gateway, asked: &str) -> Response<AnswerBody> {
    let Some(target) = query::values(asked, "path").next() else {
        return json(
            StatusCode::BAD_REQUEST,
            &json!({ "error": "no path; expected one like /resources?path=/orders/17" }),
        );
    };
    let host = query::values(asked, "host").next();
    let (path, in_target) =
        target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
    let parsed = TargetPath::parse(path);
    let live = gateway.live.load();
    let Some(route) = live.routes.find(host.as_deref(), &parsed) else {
        return json(
            StatusCode::NOT_FOUND,
            &json!({ "error": "no route matches this path", "path": target }),
        );
    };
    let policy = &route.route.policy;
    if !policy.is_managed() {
        return json(StatusCode::OK, &json!({ "path": target, "route": policy.name, "mode": "off" }));
    }
    match aim::resource(policy, &parsed, in_target, None) {
        Ok(id) => {
            let key = route.keys.key(&live.names, &id);
            let found = gateway.ledger.inspect(key, route.whole);
            let told = json!({
                "path": target,
                "route": policy.name,
                "resource": id.as_str(),
                "version": found.version.0,
                "in_flight": found.holders > 0,
                "writers": found.holders,
                "unsettled": found.unsettled,
            });
            json(StatusCode::OK, &told)
        }
        Err(refusal) => json(StatusCode::BAD_REQUEST, &json!({ "error": refusal.detail, "path": target })),
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<AnswerBody> {
    match serde_json::to_vec(value) {
        Ok(body) => plain(status, JSON, body),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "this cannot be written down as JSON\n"),
    }
}

fn plain(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response<AnswerBody> {
    let mut answer = Response::new(AnswerBody::fixed(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
