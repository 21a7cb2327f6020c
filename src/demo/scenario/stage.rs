//! Where a scenario is played: clients send their requests, and every request and answer is told in one
//! line.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::demo::connection::{Answer, Connection};
use crate::demo::honest_client::problem_kind;
use crate::demo::legacy_api::Documents;
use crate::demo::legacy_api::hold::{Held, Point};

/// Between two tries of a client that waits for its own earlier request. A person would wait for as long
/// as `Retry-After` says.
const PAUSE: Duration = Duration::from_millis(5);
/// Longer bodies are cut in what is told.
const LONGEST_BODY: usize = 100;
/// Of longer fields the end is told: that is where tags differ.
const LONGEST_VALUE: usize = 16;
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A scenario cannot be played to its end; why, for a person.
pub(super) struct Broken(pub(super) String);

/// Where a scenario is played.
pub(super) struct Stage {
    target: SocketAddr,
    api: SocketAddr,
    documents: Arc<Documents>,
    told: String,
    refused: Vec<String>,
}

/// Somebody with one connection.
pub(super) struct Client {
    name: &'static str,
    connection: Connection,
}

/// A request that is on its way, held by the API.
pub(super) struct OnItsWay {
    name: &'static str,
    line: String,
    answer: JoinHandle<Result<(Client, Answer), Broken>>,
    held: Held,
}

/// A request, before it is sent.
#[derive(Clone)]
pub(super) struct Ask {
    method: Method,
    path: String,
    fields: Vec<(HeaderName, HeaderValue)>,
    content_type: &'static str,
    body: String,
}

pub(super) fn get(path: &str) -> Ask {
    Ask::new(Method::GET, path, "", String::new())
}

pub(super) fn put(path: &str, document: &Value) -> Ask {
    Ask::new(Method::PUT, path, "application/json", document.to_string())
}

pub(super) fn post(path: &str, document: &Value) -> Ask {
    Ask::new(Method::POST, path, "application/json", document.to_string())
}

/// A POST whose path says all.
pub(super) fn post_nothing(path: &str) -> Ask {
    Ask::new(Method::POST, path, "", String::new())
}

/// A PUT of plain text.
pub(super) fn put_text(path: &str, text: &str) -> Ask {
    Ask::new(Method::PUT, path, "text/plain; charset=utf-8", text.to_owned())
}

/// A document with one member changed.
pub(super) fn with(mut document: Value, name: &str, value: impl Into<Value>) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
    document
}

impl Ask {
    fn new(method: Method, path: &str, content_type: &'static str, body: String) -> Self {
        Ask { method, path: path.to_owned(), fields: Vec::new(), content_type, body }
    }

    /// With one more field; a value that cannot stand in one is left out.
    pub(super) fn with(mut self, name: HeaderName, value: Option<HeaderValue>) -> Self {
        self.fields.extend(value.map(|value| (name, value)));
        self
    }

    /// The request as it is told.
    fn line(&self) -> String {
        let mut line = format!("{} {}", self.method, self.path);
        for (name, value) in &self.fields {
            // Writing to a String cannot fail.
            let _ = write!(line, " [{name}: {}]", end_of(value));
        }
        if !self.body.is_empty() {
            let _ = write!(line, " {}", cut(&self.body));
        }
        line
    }
}

impl Client {
    async fn exchange(&mut self, ask: Ask) -> Result<Answer, Broken> {
        let name = self.name;
        let broken = |why: String| Broken(format!("{} of {name}: {why}", ask.line()));
        let mut request = Request::new(Full::from(Bytes::from(ask.body.clone())));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.path.parse().map_err(|_| broken("this is no path".to_owned()))?;
        let fields = request.headers_mut();
        // Names are ASCII words; everybody is known by one.
        let known_by = format!("Bearer {}", name.to_lowercase().replace(' ', "-"));
        fields.extend(HeaderValue::try_from(known_by).ok().map(|value| (AUTHORIZATION, value)));
        if !ask.content_type.is_empty() {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(ask.content_type));
        }
        fields.extend(ask.fields.iter().cloned());
        self.connection.exchange(request).await.map_err(|lost| broken(lost.why))
    }
}

impl Stage {
    /// An empty stage.
    pub(super) fn new(target: SocketAddr, api: SocketAddr, documents: Arc<Documents>) -> Self {
        Stage { target, api, documents, told: String::new(), refused: Vec::new() }
    }

    /// What was told, a line each, and the kinds of the refusals among it.
    pub(super) fn into_account(self) -> (String, Vec<String>) {
        (self.told, self.refused)
    }

    /// Somebody who uses the API as everybody is told to.
    pub(super) fn client(&self, name: &'static str) -> Result<Client, Broken> {
        Client::new(name, self.target)
    }

    /// Somebody who knows a way to the API itself.
    pub(super) fn client_that_bypasses(&self, name: &'static str) -> Result<Client, Broken> {
        Client::new(name, self.api)
    }

    /// Sends a request and reads its answer.
    pub(super) async fn send(&mut self, client: &mut Client, ask: Ask) -> Result<Answer, Broken> {
        let line = ask.line();
        let answer = client.exchange(ask).await?;
        self.tell_answer(client.name, &line, &answer);
        Ok(answer)
    }

    /// Sends a request, and comes back when the API holds it at this point of its work.
    pub(super) async fn begin(
        &mut self,
        mut client: Client,
        ask: Ask,
        at: Point,
    ) -> Result<OnItsWay, Broken> {
        let (name, line) = (client.name, ask.line());
        let mut held = self.documents.hold_next(at);
        let mut answer = tokio::spawn(async move {
            let answer = client.exchange(ask).await?;
            Ok((client, answer))
        });
        tokio::select! {
            () = held.reached() => {}
            early = &mut answer => {
                let (_, answer) = early.map_err(died)??;
                return Err(Broken(format!("{line} of {name} never came to the API; it was answered {}", brief(&answer))));
            }
        }
        let what = match at {
            Point::BeforeStoring => "no answer yet: the API has begun on it",
            Point::BeforeAnswering => "no answer: it is done, and the answer is on its way",
        };
        self.tell(name, &format!("{line} -> ({what})"));
        Ok(OnItsWay { name, line, answer, held })
    }

    /// Lets the API go on with a request, and reads its answer.
    pub(super) async fn finish(&mut self, on_its_way: OnItsWay) -> Result<(Client, Answer), Broken> {
        let OnItsWay { name, line, answer, held } = on_its_way;
        drop(held);
        let (client, answer) = answer.await.map_err(died)??;
        self.tell_answer(name, &format!("{line} (begun above)"), &answer);
        Ok((client, answer))
    }

    /// The client hangs up before the answer. The API goes on with the request when the value is dropped.
    pub(super) async fn give_up(&mut self, on_its_way: OnItsWay) -> Result<(Client, Held), Broken> {
        let OnItsWay { name, answer, held, .. } = on_its_way;
        answer.abort();
        // Ends with the task, and the connection with it.
        let _aborted = answer.await;
        self.tell(name, "loses the connection, and with it the answer");
        Ok((self.client(name)?, held))
    }

    /// Sends a request again until it is no longer refused with this kind; only the last answer is told.
    pub(super) async fn send_until_not(
        &mut self,
        kind: &str,
        client: &mut Client,
        ask: Ask,
    ) -> Result<Answer, Broken> {
        loop {
            let answer = client.exchange(ask.clone()).await?;
            if answer.refusal().as_deref() != Some(kind) {
                self.tell_answer(client.name, &ask.line(), &answer);
                return Ok(answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A line of its own about somebody.
    pub(super) fn tell(&mut self, name: &str, what: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.told, "  {name:<8} {what}");
    }

    fn tell_answer(&mut self, name: &str, line: &str, answer: &Answer) {
        self.refused.extend(answer.refusal());
        self.tell(name, &format!("{line} -> {}", brief(answer)));
    }
}

impl Client {
    fn new(name: &'static str, to: SocketAddr) -> Result<Self, Broken> {
        let host = HeaderValue::try_from(to.to_string());
        let host = host.map_err(|_| Broken(format!("{to} cannot stand in a Host field")))?;
        Ok(Client { name, connection: Connection::new(to, host) })
    }
}

impl Answer {
    /// The kind of refusal, where the guard answered in place of the API.
    pub(super) fn refusal(&self) -> Option<String> {
        let problem = self.headers.get(CONTENT_TYPE).is_some_and(|value| value == "application/problem+json");
        problem.then(|| problem_kind(self))
    }

    /// The document in the answer; `null` where there is none.
    pub(super) fn document(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The answer's entity-tag.
    pub(super) fn tag(&self) -> Option<HeaderValue> {
        self.headers.get(ETAG).cloned()
    }
}

fn died(why: tokio::task::JoinError) -> Broken {
    Broken(format!("a client died: {why}"))
}

/// An answer as it is told.
fn brief(answer: &Answer) -> String {
    let mut brief = answer.status.as_u16().to_string();
    match answer.refusal() {
        Some(kind) => {
            let _ = write!(brief, " {kind}");
        }
        None => {
            for name in [ETAG, REPLAYED] {
                if let Some(value) = answer.headers.get(&name) {
                    let _ = write!(brief, " [{name}: {}]", end_of(value));
                }
            }
            let text = String::from_utf8_lossy(&answer.body);
            if !text.is_empty() {
                let _ = write!(brief, " {}", cut(&text));
            }
        }
    }
    brief
}

fn cut(body: &str) -> String {
    match body.char_indices().nth(LONGEST_BODY) {
        Some((end, _)) => format!("{}...", body.get(..end).unwrap_or_default()),
        None => body.to_owned(),
    }
}

fn end_of(value: &HeaderValue) -> String {
    let value = String::from_utf8_lossy(value.as_bytes());
    match value.char_indices().nth_back(LONGEST_VALUE - 1) {
        Some((start, _)) if start > 0 => format!("...{}", value.get(start..).unwrap_or_default()),
        Some(_) | None => value.into_owned(),
    }
}
