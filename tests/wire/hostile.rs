//! Hostile bytes: the tables in `hostile/`, sent over raw sockets to one proxy with one origin behind it.
//!
//! Beside what each row says, all of them are held to what [`invariants`] says, and after each the next
//! good request is answered, nothing is in flight, and the item has another tag exactly if the origin saw
//! a write to it. `IFMATCH_HOSTILE` runs only the rows whose name or place holds its text.

mod invariants;
mod table;

use std::time::{Duration, Instant};

use self::table::{End, Expected, ExpectedAnswer, Row, Step, Tags, bytes};
use crate::given::items;
use crate::harness::{Answer, Client, Framing, HANG, Origin, Proxy, Seen, empty, is_end, request, with_body};

/// A guarded item, a guarded collection, and a catch-all that judges nothing: what is not recognised as
/// the item slips by there.
const CONFIG: &str = r#"
[server]
via = "off"
x_forwarded = "off"

[limits]
max_header_bytes = "16KiB"

[ledger]
settle = "50ms"

[[routes]]
name = "item"
path = "/items/{id}"
upstream = "origin"

[[routes]]
name = "items"
path = "/items"
upstream = "origin"

[[routes]]
name = "everything-else"
path = "/{*rest}"
upstream = "origin"
mode = "off"
"#;

/// The most that an answer may take: a row that waits for one in vain must not hold up the report of the
/// others for longer.
const SILENCE: Duration = Duration::from_secs(20);

/// At least so many rows, so that none gets lost unseen.
const AT_LEAST: usize = 800;

const GAUGES: [&str; 4] = [
    "ifmatch_requests_in_flight",
    "ifmatch_writes_in_flight",
    "ifmatch_writes_waiting",
    "ifmatch_client_connections",
];

const ORIGIN_CONNECTIONS: &str = "ifmatch_origin_connections{upstream=\"origin\"}";

#[test]
fn no_hostile_bytes_get_past_the_guard_or_upset_it() {
    let wanted = std::env::var("IFMATCH_HOSTILE").unwrap_or_default();
    let rows = table::rows();
    assert!(rows.len() >= AT_LEAST, "only {} rows were read", rows.len());
    let origin = start_origin();
    let mut proxy = Proxy::in_front_of(&origin, CONFIG);
    let pid = proxy.pid();
    let wall = Wall { origin: &origin, proxy: &proxy, stale: stale_tag(&proxy) };
    let chosen: Vec<&Row> =
        rows.iter().filter(|row| row.name.contains(&wanted) || row.place.contains(&wanted)).collect();
    assert!(!chosen.is_empty(), "no row's name or place holds {wanted:?}");
    let failed: Vec<String> = chosen.into_iter().filter_map(|row| wall.try_row(row)).collect();
    let errors: Vec<String> = proxy
        .log()
        .into_iter()
        .filter(|line| line.contains("\"ERROR\"") || line.contains("panicked"))
        .collect();
    assert!(!proxy.has_ended() && proxy.pid() == pid, "the process has ended");
    assert!(failed.is_empty(), "{} of {} rows failed\n\n{}", failed.len(), rows.len(), failed.join("\n\n"));
    assert!(errors.is_empty(), "{errors:?}");
    for gauge in GAUGES {
        proxy.await_metric(gauge, 0);
    }
}

/// A method may be as long as a head, and a thousand conflicts are kept.
#[test]
fn a_method_without_measure_is_kept_in_part() {
    let (origin, proxy) = items();
    proxy.ask(&request(&"M".repeat(9000), "/items/1").if_match("\"stale\"")).expect(412);
    assert_eq!(proxy.conflicts()[0]["method"], "M".repeat(32));
    assert!(origin.seen().is_empty(), "{}", origin.story());
}

/// Every path is there and takes everything.
fn start_origin() -> Origin {
    let origin = Origin::start();
    origin.always("*", "*", |exchange| {
        exchange.read_body()?;
        let answer = match exchange.method.as_str() {
            "GET" => with_body("200 OK", "text/plain", "one"),
            "HEAD" => empty("200 OK", &[]),
            _ => empty("204 No Content", &[]),
        };
        exchange.write(answer)
    });
    origin
}

fn stale_tag(proxy: &Proxy) -> String {
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "two").expect(204);
    assert_ne!(tag, proxy.tag("/items/1"));
    tag
}

/// The proxy, and both sides of it.
struct Wall<'w> {
    origin: &'w Origin,
    proxy: &'w Proxy,
    stale: String,
}

/// What came of a row so far.
struct Attempt {
    client: Client,
    answers: usize,
    /// Whether the origin is to have seen one more request, to an open connection's proof.
    proved_open: bool,
    wrong: Vec<String>,
}

impl Wall<'_> {
    /// Why a row fails, for people; `None` if it holds.
    fn try_row(&self, row: &Row) -> Option<String> {
        let current = self.proxy.tag("/items/1");
        let tags = Tags { current: &current, stale: &self.stale };
        let before = self.origin.seen_count();
        let mut attempt =
            Attempt { client: self.proxy.connect(), answers: 0, proved_open: false, wrong: Vec::new() };
        attempt.client.deadline(SILENCE);
        for step in &row.steps {
            // What comes after a wrong answer means nothing.
            if attempt.wrong.is_empty() {
                attempt.take(step, &tags);
            }
        }
        let Attempt { client, answers, proved_open, mut wrong } = attempt;
        client.leave();
        self.await_rest();
        let mut seen = self.origin.seen_since(before);
        if proved_open && seen.pop().is_none_or(|last| last.target != PROOF) {
            wrong.push("what the origin saw last is not the proof of the open connection".to_owned());
        }
        wrong.extend(differences(&row.origin, &seen, &tags));
        wrong.extend(invariants::broken(row, &bytes(&row.sent(), &tags), &seen, answers));
        // A new connection, and most likely the same one to the origin.
        let next = self.proxy.get("/items/1");
        let was_written = seen.iter().any(invariants::writes_to_the_item);
        let may_be_written = row.origin.iter().any(|expected| expected.cut_off);
        match (next.status, was_written, next.field("ETag") == Some(&current)) {
            (200, true, false) | (200, false, true) => {}
            (200, false, false) if may_be_written => {}
            (200, true, true) => wrong.push("a write to the item did not change its tag".to_owned()),
            (200, false, false) => wrong.push("the item's tag changed without a write to it".to_owned()),
            (status, _, _) => wrong.push(format!("the next good request hears {status}\n{next}")),
        }
        (!wrong.is_empty()).then(|| told(row, &wrong, &seen))
    }

    /// Waits until nothing is under way: whatever a row set off is over then. The origin has read what was
    /// cut off when it has seen the end of those connections that the proxy has given up.
    fn await_rest(&self) {
        let began = Instant::now();
        loop {
            let metrics = self.proxy.metrics();
            let value = |metric: &str| metrics.value(metric).unwrap_or_default();
            let mut busy: Vec<&str> = GAUGES.into_iter().filter(|gauge| value(gauge) > 0.0).collect();
            if value(ORIGIN_CONNECTIONS) != self.origin.open_connections() as f64 {
                busy.push(ORIGIN_CONNECTIONS);
            }
            if busy.is_empty() {
                return;
            }
            assert!(began.elapsed() < HANG, "{busy:?} never come to rest");
            std::thread::yield_now();
        }
    }
}

/// What an open connection is proved with.
const PROOF: &str = "/still/open";

impl Attempt {
    fn take(&mut self, step: &Step, tags: &Tags<'_>) {
        match step {
            // The proxy may have closed the connection already; the row's next step tells.
            Step::Send(text) => drop(self.client.try_send(&bytes(text, tags))),
            Step::Answer(expected) => self.hear(expected),
            Step::Finish => drop(self.client.try_finish()),
            Step::Then(End::Left) => {}
            Step::Then(End::Closed) => match self.client.read_raw(400) {
                Err(error) if is_end(&error) => {}
                Err(_) => self.wrong.push("the connection stays open".to_owned()),
                Ok(more) => {
                    self.wrong.push(format!("{:?} instead of the end", String::from_utf8_lossy(&more)))
                }
            },
            Step::Then(End::Open) => {
                if self.client.try_send(&request("GET", PROOF).bytes()).is_err() {
                    self.wrong.push("the connection is closed".to_owned());
                }
                self.hear(&ExpectedAnswer { to_head: false, words: "200".to_owned() });
                self.proved_open = true;
            }
        }
    }

    fn hear(&mut self, expected: &ExpectedAnswer) {
        self.client.expect_answer_to(if expected.to_head { "HEAD" } else { "" });
        let found = match self.client.try_answer() {
            Ok(answer) => answer,
            Err(error) => return self.wrong.push(format!("expected {}, found {error}", expected.words)),
        };
        if found.status >= 200 {
            self.answers += 1;
        }
        let words = words_for(&found);
        if words != expected.words || !found.complete {
            self.wrong.push(format!("expected {}, found {words}\n{}", expected.words, found.message));
        }
    }
}

/// An answer in the table's words.
fn words_for(answer: &Answer) -> String {
    let is_ours = answer.field("Content-Type") == Some("application/problem+json");
    let kind = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
    let kind = kind.filter(|_| is_ours).and_then(|json| json["kind"].as_str().map(str::to_owned));
    match kind {
        Some(kind) => format!("{} {kind}", answer.status),
        None if answer.status >= 400 && answer.framing != Framing::None => format!("{} plain", answer.status),
        None => answer.status.to_string(),
    }
}

fn differences(expected: &[Expected], seen: &[Seen], tags: &Tags<'_>) -> Vec<String> {
    if seen.is_empty() && expected.iter().all(|expected| expected.cut_off) {
        return Vec::new();
    }
    if expected.len() != seen.len() {
        return vec![format!("expected {} requests at the origin, found {}", expected.len(), seen.len())];
    }
    expected.iter().zip(seen).flat_map(|(expected, seen)| difference(expected, seen, tags)).collect()
}

fn difference(expected: &Expected, seen: &Seen, tags: &Tags<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let line = [bytes(&expected.line, tags), b" HTTP/1.1\r\n".to_vec()].concat();
    if !seen.raw_head.starts_with(&line) {
        wrong.push(format!("expected {} at the origin", expected.line));
    }
    for (name, value) in &expected.with {
        if seen.fields_named(name) != [String::from_utf8_lossy(&bytes(value, tags))] {
            wrong.push(format!("expected `{name}: {value}` at the origin"));
        }
    }
    for name in expected.without.iter().filter(|name| seen.has(name)) {
        wrong.push(format!("expected no {name} at the origin"));
    }
    let content = bytes(&expected.body, tags);
    if seen.body != content && !(expected.cut_off && content.starts_with(&seen.body)) {
        wrong.push(format!("expected the content {:?} at the origin", expected.body));
    }
    if seen.has("Transfer-Encoding") != expected.chunked {
        wrong.push(format!("expected another framing at the origin than {:?}", seen.framing));
    }
    if seen.trailers != expected.trailers {
        wrong.push(format!("expected the trailer fields {:?}, found {:?}", expected.trailers, seen.trailers));
    }
    if seen.complete == expected.cut_off {
        wrong.push("expected another end at the origin".to_owned());
    }
    wrong
}

fn told(row: &Row, wrong: &[String], seen: &[Seen]) -> String {
    let story: String =
        seen.iter().map(|seen| format!("\n  the origin saw: {:?}", seen.to_string())).collect();
    let wrong = wrong.join("\n  ");
    format!("{} {}\n  {wrong}{story}", row.place, row.name)
}
