//! Asking the origin about a resource under the permit of a write to it, with the client's own
//! credentials.

use std::sync::Arc;
use std::time::SystemTime;

use crate::http1::fields::Fields;
use crate::http1::message::{Answer, OriginRequest, RequestParts as Parts};
use bytes::Bytes;
use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::ask::Ask;
use super::body::{AnswerContent, OriginBody};
use super::fields::{RequestEdit, to_origin};
use super::noted::SharedNoted;
use super::origin::exchange::{NoAnswer, exchange};
use super::origin::pool::Over;
use super::origin::pool::Pool;
use super::outgoing::OutgoingBody;
use super::patience::Bounds;
use super::representation::{date, last_modified};
use crate::decide::claim::Shown;
use crate::decide::outcome::WriteEnd;
use crate::decide::policy::RoutePolicy;
use crate::decide::precondition_from::PreconditionFrom;
use crate::identify::query;
use crate::report::limits_hit::Limit;
use crate::request::method::{OVERRIDE_PARAMETER, is_override_field};
use crate::request::preconditions::CONDITIONAL_FIELDS;

/// What describes the write's own body, or asks for a part.
const OF_THE_WRITE: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::EXPECT,
    header::RANGE,
    header::TRAILER,
    header::ACCEPT_ENCODING,
    HeaderName::from_static("x-http-method-override"),
];

/// What the origin showed, and how far its clock is ahead of ours.
pub struct Look {
    /// What it showed.
    pub shown: Shown,
    /// The origin's `Date`, or our time where it sends none.
    pub origin_time: SystemTime,
}

/// Asks whether the resource exists and when it was modified.
///
/// # Errors
/// If the origin does not answer.
pub async fn look(ask: &Ask, parts: &Parts) -> Result<Look, NoAnswer> {
    let mut answer = send(ask, parts, Method::HEAD).await?;
    // Many a legacy API knows GET alone, and says 404, 405 or 501 to HEAD.
    if !answer.status().is_success() {
        answer.into_body().discard();
        answer = send(ask, parts, Method::GET).await?;
    }
    let origin_time = date(answer.headers(), &header::DATE).unwrap_or_else(SystemTime::now);
    let shown =
        Shown { exists: exists(answer.status()), last_modified: last_modified(answer.headers()), tag: None };
    answer.into_body().discard();
    Ok(Look { shown, origin_time })
}

/// Whether there is a representation, by the status of the answer to GET or HEAD.
pub(super) fn exists(status: StatusCode) -> Option<bool> {
    match status {
        status if status.is_success() => Some(true),
        StatusCode::NOT_FOUND | StatusCode::GONE => Some(false),
        _ => None,
    }
}

/// The fields of the origin's answer to a GET of the same target.
///
/// # Errors
/// If the origin does not answer.
pub async fn fields(ask: &Ask, parts: &Parts) -> Result<Fields, NoAnswer> {
    let (head, body) = send(ask, parts, Method::GET).await?.into_parts();
    body.discard();
    Ok(head.headers)
}

/// A resource as the origin shows it now.
pub struct Current {
    /// The answer's status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: Fields,
    /// Its content, if that is no longer than the route's `body_limit`.
    pub content: Option<Bytes>,
}

/// Reads a resource with the client's own fields: the target of its request, or another one of its upstream.
///
/// The origin has `response_timeout` for all of it, its body too: a write's permit may be held meanwhile.
///
/// # Errors
/// If the origin does not answer, or not in time.
pub async fn current(ask: &Ask, parts: &Parts, other: Option<PathAndQuery>) -> Result<Current, NoAnswer> {
    let at_most = ask.route.pool.upstream().response_timeout;
    let read = async {
        let mut question = question(ask, parts, Method::GET)?;
        question.target = other.unwrap_or(question.target);
        // A cache on the way would show a state that may be over (RFC 9111 section 5.2.1.4).
        question.fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let (head, body) = question.put(&ask.bounds).await?.into_parts();
        let content = body.read_up_to(ask.route.route.body_limit).await;
        let content = content.map_err(|error| no_answer(WriteEnd::ConnectionLost, error))?;
        let content = match content {
            AnswerContent::Whole(bytes) => Some(bytes),
            AnswerContent::Longer(_, rest) => {
                rest.discard();
                None
            }
        };
        Ok(Current { status: head.status, fields: head.headers, content })
    };
    tokio::time::timeout(at_most, read).await.unwrap_or_else(|elapsed| {
        ask.bounds.hits.hit(Limit::ResponseTime);
        Err(no_answer(WriteEnd::NoAnswerInTime, elapsed))
    })
}

/// Whether the resource now reads as what was sent (`etag_on_put = "verified"`).
///
/// The origin has `response_timeout` for all of it, its body too: the write's permit is held meanwhile.
pub async fn reads_back(ask: &Ask, parts: &Parts, sent: &SharedNoted) -> bool {
    let at_most = ask.route.pool.upstream().response_timeout;
    match tokio::time::timeout(at_most, read_back(ask, parts, sent)).await {
        Ok(same) => same,
        Err(_) => {
            ask.bounds.hits.hit(Limit::ResponseTime);
            false
        }
    }
}

async fn read_back(ask: &Ask, parts: &Parts, sent: &SharedNoted) -> bool {
    let Ok(answer) = send(ask, parts, Method::GET).await else { return false };
    if answer.status() != StatusCode::OK || answer.headers().contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    let fresh = sent.lock().other(0);
    answer.into_body().note_in(fresh).await.is_ok_and(|read| sent.lock().is_same(&read))
}

/// The target without a parameter that would make another method of the question, or that states the version
/// which the write replaces: some origins would show that one.
fn without_parameters(spelled: &PathAndQuery, policy: &RoutePolicy) -> Result<PathAndQuery, InvalidUri> {
    let stated = match &policy.precondition_from {
        Some(PreconditionFrom::Query(name)) => Some(name.as_str()),
        Some(PreconditionFrom::Body(_) | PreconditionFrom::Header(_)) | None => None,
    };
    let names = || [Some(OVERRIDE_PARAMETER), stated].into_iter().flatten();
    let is_there = |query: &&str| names().any(|name| query::values(query, name).next().is_some());
    let Some(query) = spelled.query().filter(is_there) else { return Ok(spelled.clone()) };
    let rest = names().fold(query.to_owned(), |rest, name| query::without(&rest, name));
    let target =
        if rest.is_empty() { spelled.path().to_owned() } else { format!("{}?{rest}", spelled.path()) };
    PathAndQuery::try_from(target)
}

async fn send(ask: &Ask, parts: &Parts, method: Method) -> Result<Answer<OriginBody>, NoAnswer> {
    question(ask, parts, method)?.put(&ask.bounds).await
}

fn question(ask: &Ask, parts: &Parts, method: Method) -> Result<Question, NoAnswer> {
    Question::new(ask, parts, method).map_err(|error| no_answer(WriteEnd::NotSent, error))
}

fn no_answer(end: WriteEnd, cause: impl ToString) -> NoAnswer {
    NoAnswer { end, reused: false, cause: cause.to_string() }
}

/// A question to the origin about a write's target, which can outlive the request that it comes from.
pub struct Question {
    method: Method,
    target: PathAndQuery,
    fields: Fields,
    pool: Arc<Pool>,
}

impl Question {
    /// About the target of this request, with its client's own fields less those of the write.
    ///
    /// # Errors
    /// If the target without its override is none.
    pub fn new(ask: &Ask, parts: &Parts, method: Method) -> Result<Self, InvalidUri> {
        let stated_in = match &ask.policy().precondition_from {
            Some(PreconditionFrom::Header(name)) => Some(name.clone()),
            Some(PreconditionFrom::Body(_) | PreconditionFrom::Query(_)) | None => None,
        };
        let without: Vec<HeaderName> = CONDITIONAL_FIELDS
            .iter()
            .cloned()
            .chain(OF_THE_WRITE)
            .chain(parts.headers.keys().filter(|name| is_override_field(name)).cloned())
            .chain(stated_in)
            .collect();
        let edit = RequestEdit {
            without: &without,
            managed: true,
            upgrade: None,
            last: false,
            peer: ask.client.address.as_ref(),
            host: ask.target.host.as_ref(),
            own_host: ask.own_host(),
            version: parts.version,
            server: &ask.live.server,
        };
        Ok(Question {
            method,
            target: without_parameters(&ask.target.spelled, ask.policy())?,
            fields: to_origin(&parts.headers, &edit),
            pool: ask.route.pool.clone(),
        })
    }

    /// Asks; once more over a new connection where an idle one proves to be dead.
    ///
    /// # Errors
    /// If the origin does not answer.
    pub async fn put(&self, bounds: &Bounds) -> Result<Answer<OriginBody>, NoAnswer> {
        match exchange(&self.pool, self.request(), bounds, Over::Quiet).await {
            Err(lost) if lost.suggests_another_read() => {
                exchange(&self.pool, self.request(), bounds, Over::New).await
            }
            answered => answered,
        }
    }

    fn request(&self) -> (Box<OriginRequest>, OutgoingBody) {
        let (method, target, headers) = (self.method.clone(), self.target.clone(), self.fields.clone());
        (Box::new(OriginRequest { method, target, headers }), OutgoingBody::empty())
    }
}
