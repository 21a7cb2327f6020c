//! The tables of hostile requests, read into rows.
//!
//! ```text
//! == what the row shows
//! each a value that takes the place of {each}; a row a value
//! > a line that is sent, with CR LF at its end
//! | bytes that are sent as they are
//! answer 412 precondition-failed    the next answer: its status, and its kind if the refusal is ours;
//!                                   `plain` is one with nothing in it
//! head 404                          the same, for an answer to HEAD
//! fin                               the client ends its side
//! then open                         another request on this connection is answered; or `closed`: the
//!                                   proxy ends it without another byte; or `left`: the client leaves
//! origin nothing                    what the origin saw; or, for each request in turn:
//! origin PUT /items/1               its line,
//!   with Content-Length: 1          a field that it has once, with this value,
//!   without If-Match                one that it has not,
//!   body x                          its content (none, if there is no such line),
//!   chunked                         its framing, where that is not a length,
//!   trailer X-Sum: 1                its only trailer fields,
//!   cut off                         that its end never came; nor, perhaps, its beginning
//! ```
//!
//! Everywhere `\r \n \t \0 \\ \xNN` are bytes, `{stale}` and `{tag}` a former and the current tag of
//! `/items/1`, `{a*90}` is ninety times `a`, and `{len}` is how much follows the first empty line.

use std::path::Path;

/// One case.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// File and line, for people.
    pub place: String,
    /// What it shows.
    pub name: String,
    /// What the client does and hears.
    pub steps: Vec<Step>,
    /// What the origin sees.
    pub origin: Vec<Expected>,
}

/// What a client does, or hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes go out, in one write; escapes and placeholders are still in them.
    Send(String),
    /// The next answer.
    Answer(ExpectedAnswer),
    /// The client ends its side.
    Finish,
    /// What becomes of the connection.
    Then(End),
}

/// An answer that must come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedAnswer {
    /// To HEAD: no content follows, whatever its fields say.
    pub to_head: bool,
    /// Its status, then its kind, `plain`, or nothing.
    pub words: String,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is good for another request.
    Open,
    /// The proxy closes it.
    Closed,
    /// The client leaves.
    Left,
}

/// A request that the origin must see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Method and target.
    pub line: String,
    /// Fields that it has.
    pub with: Vec<(String, String)>,
    /// Fields that it has not.
    pub without: Vec<String>,
    /// Its content.
    pub body: String,
    /// Whether it comes in chunks.
    pub chunked: bool,
    /// Its trailer fields.
    pub trailers: Vec<(String, String)>,
    /// Whether its end never came; nor, perhaps, its beginning: bytes that are known to lead nowhere may
    /// stop the proxy before it has sent any.
    pub cut_off: bool,
}

/// All rows of all tables beside this file.
pub fn rows() -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/hostile");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the tables").map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|suffix| suffix == "txt"));
    files.sort();
    files
        .iter()
        .flat_map(|file| {
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            read(&name, &std::fs::read_to_string(file).expect("text"))
        })
        .collect()
}

fn read(file: &str, text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut current: Option<(Row, Vec<String>)> = None;
    for (n, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", n + 1);
        if let Some(name) = line.strip_prefix("== ") {
            rows.extend(current.take().into_iter().flat_map(spread));
            current = Some((Row { place, name: name.to_owned(), ..Row::default() }, Vec::new()));
        } else if !line.is_empty() && !line.starts_with('#') {
            let (row, each) = current.as_mut().unwrap_or_else(|| panic!("{place}: no row has begun"));
            match line.strip_prefix("each ") {
                Some(value) => each.push(value.to_owned()),
                None => read_line(row, line).unwrap_or_else(|| panic!("{place}: {line:?} means nothing")),
            }
        }
    }
    rows.extend(current.into_iter().flat_map(spread));
    rows
}

fn read_line(row: &mut Row, line: &str) -> Option<()> {
    if let Some(sent) = line.strip_prefix('>') {
        row.send(&format!("{}\\r\\n", sent.strip_prefix(' ').unwrap_or(sent)));
    } else if let Some(sent) = line.strip_prefix("| ") {
        row.send(sent);
    } else if let Some(of_request) = line.strip_prefix("  ") {
        return row.origin.last_mut()?.read(of_request);
    } else {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, rest) {
            ("answer" | "head", words) if words.starts_with(|c: char| c.is_ascii_digit()) => {
                row.steps
                    .push(Step::Answer(ExpectedAnswer { to_head: word == "head", words: words.to_owned() }));
            }
            ("fin", "") => row.steps.push(Step::Finish),
            ("then", "open") => row.steps.push(Step::Then(End::Open)),
            ("then", "closed") => row.steps.push(Step::Then(End::Closed)),
            ("then", "left") => row.steps.push(Step::Then(End::Left)),
            ("origin", "nothing") => {}
            ("origin", line) => row.origin.push(Expected { line: line.to_owned(), ..Expected::default() }),
            _ => return None,
        }
    }
    Some(())
}

/// The row for each of its values.
fn spread((row, each): (Row, Vec<String>)) -> Vec<Row> {
    let is_whole = matches!(row.steps.last(), Some(Step::Then(_)));
    assert!(is_whole, "{}: what becomes of the connection?", row.place);
    if each.is_empty() {
        return vec![row];
    }
    each.iter().map(|value| row.with_value(value)).collect()
}

impl Row {
    fn send(&mut self, bytes: &str) {
        match self.steps.last_mut() {
            Some(Step::Send(begun)) => begun.push_str(bytes),
            _ => self.steps.push(Step::Send(bytes.to_owned())),
        }
    }

    fn with_value(&self, value: &str) -> Self {
        let put_in = |text: &str| text.replace("{each}", value);
        let mut row = self.clone();
        row.name = format!("{}: {value}", self.name);
        for step in &mut row.steps {
            if let Step::Send(text) = step {
                *text = put_in(text);
            }
        }
        for request in &mut row.origin {
            request.line = put_in(&request.line);
            request.body = put_in(&request.body);
            for text in request.with.iter_mut().map(|(_, value)| value).chain(&mut request.without) {
                *text = put_in(text);
            }
        }
        row
    }

    /// Everything that the client sends, as it is written in the table.
    pub fn sent(&self) -> String {
        let sent = |step: &Step| match step {
            Step::Send(text) => text.clone(),
            Step::Answer(_) | Step::Finish | Step::Then(_) => String::new(),
        };
        self.steps.iter().map(sent).collect()
    }
}

impl Expected {
    fn read(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let field = || rest.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        match (word, rest) {
            ("with", _) => self.with.push(field()?),
            ("without", name) => self.without.push(name.to_owned()),
            ("body", content) => content.clone_into(&mut self.body),
            ("chunked", "") => self.chunked = true,
            ("trailer", _) => self.trailers.push(field()?),
            ("cut", "off") => self.cut_off = true,
            _ => return None,
        }
        Some(())
    }
}

/// The tags of `/items/1` that rows name.
pub struct Tags<'t> {
    /// The current one.
    pub current: &'t str,
    /// A former one.
    pub stale: &'t str,
}

/// The bytes that a text of a table stands for.
pub fn bytes(text: &str, tags: &Tags<'_>) -> Vec<u8> {
    let content = text.split_once("\\r\\n\\r\\n").filter(|_| text.contains("{len}"));
    let length = content.map_or(0, |(_, content)| self::bytes(content, tags).len());
    let text = text
        .replace("{tag}", tags.current)
        .replace("{stale}", tags.stale)
        .replace("{len}", &length.to_string());
    let mut bytes = Vec::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\\' => escape(rest, &mut bytes),
            '{' => repetition(rest, &mut bytes),
            _ => None,
        };
        let taken = taken.unwrap_or_else(|| {
            bytes.extend(c.to_string().bytes());
            c.len_utf8()
        });
        rest = &rest[taken..];
    }
    bytes
}

fn escape(text: &str, bytes: &mut Vec<u8>) -> Option<usize> {
    let one = |byte: u8| (byte, 2);
    let (byte, taken) = match text.as_bytes().get(1) {
        Some(b'r') => one(b'\r'),
        Some(b'n') => one(b'\n'),
        Some(b't') => one(b'\t'),
        Some(b'0') => one(0),
        Some(b'\\') => one(b'\\'),
        Some(b'x') => (u8::from_str_radix(text.get(2..4)?, 16).ok()?, 4),
        _ => panic!("{text:?} begins with no escape"),
    };
    bytes.push(byte);
    Some(taken)
}

/// `{a*90}`
fn repetition(text: &str, bytes: &mut Vec<u8>) -> Option<usize> {
    let (inside, _) = text.get(1..)?.split_once('}')?;
    let (what, times) = inside.rsplit_once('*')?;
    let once = self::bytes(what, &Tags { current: "", stale: "" });
    bytes.extend(once.repeat(times.parse().ok()?));
    Some(inside.len() + 2)
}
