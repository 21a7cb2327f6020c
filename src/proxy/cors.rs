//! Pages of other origins, on routes with `cors = true`.
//!
//! ifmatch lets in whom the API lets in, and nobody else: which pages those are is learned from the API's own
//! answers, and asked with a GET where a page comes for the first time and the API answers no preflights. What is
//! ours, our fields, tags and refusals, is then told to them as the API's own would be.

use std::collections::HashMap;
use std::sync::Arc;

use crate::http1::fields::Fields;
use crate::http1::message::{Answer, RequestParts as Parts};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD,
};
use http::{HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;

use super::ask::Ask;
use super::body::AnswerBody;
use super::client_body::ClientBody;
use super::gateway::Gateway;
use super::origin::exchange::exchange;
use super::origin::pool::Over;
use super::outgoing::OutgoingBody;
use super::pass::{self, log_no_answer, onward};
use super::probe;
use crate::decide::cors::{EXPOSED, asked_of_ours, with_names};
use crate::decide::policy::{Cors, Mode};
use crate::request::preconditions::CONDITIONAL_FIELDS;

/// The pages that APIs let in, by route and origin.
#[derive(Default)]
pub struct LetIn(Mutex<HashMap<(Arc<str>, HeaderValue), Terms>>);

/// Pages that are known at a time. An API that lets every page in could be made to fill it.
const KNOWN: usize = 1024;

/// How an API lets a page in.
#[derive(Clone)]
struct Terms {
    allow_origin: HeaderValue,
    allow_credentials: Option<HeaderValue>,
}

impl Terms {
    /// What the fields of an answer of the API say.
    fn in_answer(fields: &Fields) -> Option<Self> {
        Some(Terms {
            allow_origin: fields.get_owned(ACCESS_CONTROL_ALLOW_ORIGIN)?,
            allow_credentials: fields.get_owned(ACCESS_CONTROL_ALLOW_CREDENTIALS),
        })
    }

    /// Says the same in an answer of ours.
    fn put(self, fields: &mut Fields) {
        if self.allow_origin != "*" {
            fields.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.allow_origin);
        if let Some(credentials) = self.allow_credentials {
            fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials);
        }
    }
}

/// The page that a request comes from.
pub struct Page {
    gateway: Arc<Gateway>,
    /// Its route and its origin.
    known_as: (Arc<str>, HeaderValue),
    asks_before: bool,
}

impl Page {
    /// The page of a request, where the route says that pages are to be told more than the API tells them.
    /// Nothing is changed where the route only observes.
    pub fn of(ask: &Ask, fields: &Fields) -> Option<Self> {
        let policy = ask.policy();
        if policy.cors != Cors::Extended || policy.mode != Mode::Enforce {
            return None;
        }
        let origin = fields.get_owned(header::ORIGIN)?;
        let asks_before = ask.method == Method::OPTIONS && fields.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        Some(Page { gateway: ask.gateway.clone(), known_as: (policy.name.clone(), origin), asks_before })
    }

    /// Lets the page read what an answer says. `outcome` tells whose answer it is.
    pub fn tell(self, answer: &mut Answer<AnswerBody>, outcome: &str) {
        if self.asks_before {
            return;
        }
        let ours = matches!(outcome, "refused" | "replayed" | "unreachable" | "unknown");
        let fields = answer.headers_mut();
        match Terms::in_answer(fields) {
            Some(terms) => self.learn(terms),
            None if ours => {
                if let Some(terms) = self.terms() {
                    terms.put(fields);
                }
            }
            None => self.forget(),
        }
        if let Some(exposed) = with_names(fields, &ACCESS_CONTROL_EXPOSE_HEADERS, &EXPOSED) {
            fields.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    fn terms(&self) -> Option<Terms> {
        self.gateway.pages.0.lock().get(&self.known_as).cloned()
    }

    fn learn(self, terms: Terms) {
        let mut pages = self.gateway.pages.0.lock();
        if pages.len() >= KNOWN && !pages.contains_key(&self.known_as) {
            // They are learned again from their next answers.
            pages.clear();
        }
        pages.insert(self.known_as, terms);
    }

    fn forget(self) {
        self.gateway.pages.0.lock().remove(&self.known_as);
    }
}

/// Passes a request on that neither reads nor changes a resource. A preflight that asks for fields of ours is
/// answered with them: in the API's own answer if it lets the page in there, else in its place.
pub async fn pass(ask: Arc<Ask>, parts: Box<Parts>, body: ClientBody) -> (Answer<AnswerBody>, &'static str) {
    let asked = asked_of_ours(&parts.headers, &ACCESS_CONTROL_REQUEST_HEADERS);
    let page = Page::of(&ask, &parts.headers).filter(|page| page.asks_before && !asked.is_empty());
    let Some(page) = page else { return pass::pass(ask, parts, body, None).await };
    let outgoing = OutgoingBody::from_client(body, &ask.bounds);
    let request = onward(&ask, &parts, &CONDITIONAL_FIELDS, None, outgoing);
    let answered = exchange(&ask.route.pool, request, &ask.bounds, Over::Quiet).await;
    let Ok(answer) = answered else { return pass::answer(&ask, &parts, None, answered) };
    let status = answer.status();
    if status.is_success() && answer.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        let (mut answer, outcome) = pass::answer(&ask, &parts, None, Ok(answer));
        extend(answer.headers_mut(), &parts.headers, &asked);
        return (answer, outcome);
    }
    if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
        return pass::answer(&ask, &parts, None, Ok(answer));
    }
    let terms = terms_of(&ask, &parts, page).await;
    if terms.is_none() && !answers_none(status) {
        return pass::answer(&ask, &parts, None, Ok(answer));
    }
    answer.into_body().discard();
    (in_its_place(terms, &parts.headers), "answered")
}

/// Whether an API says with this that it answers no preflights.
fn answers_none(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

/// On which terms the API lets the page in, by its answers so far, or by what it says to a GET.
async fn terms_of(ask: &Ask, parts: &Parts, page: Page) -> Option<Terms> {
    if let Some(known) = page.terms() {
        return Some(known);
    }
    match probe::fields(ask, parts).await {
        Ok(fields) => {
            let terms = Terms::in_answer(&fields)?;
            page.learn(terms.clone());
            Some(terms)
        }
        Err(no_answer) => {
            log_no_answer(ask, &no_answer);
            None
        }
    }
}

/// The API's answer to a preflight, with the fields of ours that it asks for.
fn extend(answer: &mut Fields, request: &Fields, asked: &[&str]) {
    if let Some(all) = with_names(answer, &ACCESS_CONTROL_ALLOW_HEADERS, asked) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, all);
    }
    // A method that the API lists is its own decision; where it lists none, it has left out ours.
    if !answer.contains_key(ACCESS_CONTROL_ALLOW_METHODS)
        && let Some(method) = request.get_owned(ACCESS_CONTROL_REQUEST_METHOD)
    {
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
    }
}

/// The answer to a preflight where the API gives none. It says which fields a page may send; whether the page is
/// let in is for the API to say, so without its terms no browser takes this for a yes.
fn in_its_place(terms: Option<Terms>, request: &Fields) -> Answer<AnswerBody> {
    let mut answer = Answer::new(AnswerBody::fixed(""));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let fields = answer.headers_mut();
    if let Some(terms) = terms {
        terms.put(fields);
    }
    if let Some(method) = request.get_owned(ACCESS_CONTROL_REQUEST_METHOD) {
        fields.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
    }
    if let Some(all) = with_names(request, &ACCESS_CONTROL_REQUEST_HEADERS, &[]) {
        fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, all);
    }
    answer
}
