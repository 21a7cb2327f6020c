//! The origin: a legacy API in a process of its own. It knows nothing of conditional requests, spells
//! paths generously, and misbehaves as its [`script`] says.

pub mod script;
pub mod store;

use std::io::{self, BufRead as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::script::{Answer, Apply, Reading, Script, Then};
use self::store::{Done, Store, Write};
use crate::message::{Head, Peer, Trouble, reset};
use crate::plan::OriginPlan;
use crate::record::{ABSENT, Claim, Kind, Record, WriteId, now};

/// What an unused connection is kept for: longer than the proxy keeps it.
const IDLE: Duration = Duration::from_secs(20);

const NOT_FOUND: &str = "{\"error\":\"not found\"}";

struct Origin {
    store: Store,
    /// From now on nothing goes wrong.
    quiet: AtomicBool,
    connections: AtomicU64,
    seed: u64,
}

/// Serves until it is killed, or the storm is gone: its end of our standard input closes then.
pub fn serve(plan: &OriginPlan) -> io::Result<()> {
    let store = Store::open(&plan.folder, plan.life)?;
    let seed = plan.seed ^ (u64::from(plan.life) << 32);
    let origin =
        Arc::new(Origin { store, quiet: AtomicBool::new(false), connections: AtomicU64::new(0), seed });
    let listener = TcpListener::bind(("127.0.0.1", plan.port))?;
    let told = origin.clone();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            told.quiet.store(line == "quiet", Ordering::Relaxed);
        }
        std::process::exit(0);
    });
    println!("ready");
    for stream in listener.incoming() {
        let (Ok(stream), origin) = (stream, origin.clone()) else { continue };
        std::thread::spawn(move || {
            let number = origin.connections.fetch_add(1, Ordering::Relaxed);
            let chance = StdRng::seed_from_u64(origin.seed.wrapping_add(number.wrapping_mul(0x9E37_79B9)));
            origin.converse(stream, chance);
        });
    }
    Ok(())
}

impl Origin {
    /// One connection, to its end.
    fn converse(self: &Arc<Self>, stream: TcpStream, mut chance: StdRng) {
        drop((stream.set_nodelay(true), stream.set_read_timeout(Some(IDLE))));
        let mut peer = Peer::new(stream);
        while let Ok(Some(head)) = peer.head() {
            let mut words = head.first.split(' ');
            let (Some(method), Some(target)) = (words.next(), words.next()) else { return };
            let resource = canonical(target);
            let quiet = self.quiet.load(Ordering::Relaxed);
            let kept = if matches!(method, "GET" | "HEAD") {
                let script = if quiet { Script::plain(&mut chance) } else { Script::of_read(&mut chance) };
                self.read(&mut peer, method, &resource, script, &mut chance)
            } else {
                let script = if quiet { Script::plain(&mut chance) } else { Script::of_write(&mut chance) };
                let Some(write) = write_of(method, resource, &head) else { return };
                self.write(&mut peer, &head, &write, script, &mut chance)
            };
            match kept {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    fn read(
        &self,
        peer: &mut Peer,
        method: &str,
        resource: &str,
        script: Script,
        chance: &mut StdRng,
    ) -> Result<bool, Trouble> {
        self.tell(script.name)?;
        let mut content = self.store.content(resource);
        if let Apply::Before(work) = script.apply {
            std::thread::sleep(work + script.wait);
        }
        // What an origin shows was so at some moment between question and answer: early or late.
        if chance.random_bool(0.5) {
            content = self.store.content(resource);
        }
        let length = if chance.random_bool(0.05) { 60_000 } else { chance.random_range(0..2_000) };
        let (status, body) = match content {
            ABSENT => (404, NOT_FOUND.to_owned()),
            id => (200, format!("{{\"id\":\"{id}\",\"pad\":\"{}\"}}", "x".repeat(length))),
        };
        send(peer, script, status, &body, method == "HEAD", chance)
    }

    fn write(
        self: &Arc<Self>,
        peer: &mut Peer,
        head: &Head,
        write: &Write,
        script: Script,
        chance: &mut StdRng,
    ) -> Result<bool, Trouble> {
        let received = Record::Received { resource: write.resource.clone(), id: write.id, at: now() };
        self.store.note(&received)?;
        self.tell(script.name)?;
        let Some(had) = self.receive(peer, head, write, script, chance)? else { return Ok(false) };
        let done = self.carry_out(write, script.apply, had)?;
        std::thread::sleep(script.wait);
        let id = write.id;
        let (status, text) = match done {
            Done::Created => (201, format!("{{\"id\":\"{id}\"}}")),
            Done::Replaced => (200, format!("{{\"id\":\"{id}\"}}")),
            Done::Deleted => (204, String::new()),
            Done::NothingToDelete => (404, NOT_FOUND.to_owned()),
            Done::TooLate => (503, "{\"error\":\"too busy\"}".to_owned()),
        };
        send(peer, script, status, &text, false, chance)
    }

    /// Takes as much of a write's body as the script says; when it had that, or `None` if the body broke.
    fn receive(
        &self,
        peer: &mut Peer,
        head: &Head,
        write: &Write,
        script: Script,
        chance: &mut StdRng,
    ) -> Result<Option<Instant>, Trouble> {
        // What was sent can have waited in the socket while this origin dawdled.
        let began = Instant::now();
        let body = match script.reading {
            Reading::Whole => peer.body(head),
            Reading::Slowly => {
                std::thread::sleep(Duration::from_millis(80));
                peer.body(head)
            }
            Reading::Head => return Ok(Some(peer.last_byte)),
            Reading::Part => return peer.some(10).map(|()| Some(peer.last_byte)),
        };
        let had = if script.reading == Reading::Slowly { began } else { peer.last_byte };
        match body {
            Ok(body) if is_of(&body, write) => Ok(Some(had)),
            Ok(_) => {
                self.store.note(&Record::Damaged { id: write.id })?;
                Ok(Some(had))
            }
            Err(_) => {
                // An origin that takes what there is, as some do.
                if chance.random_bool(0.5) && !self.quiet.load(Ordering::Relaxed) {
                    self.tell("applied with half a body")?;
                    std::thread::sleep(Duration::from_millis(chance.random_range(0..200)));
                    self.store.apply(write, had)?;
                }
                Ok(None)
            }
        }
    }

    fn carry_out(self: &Arc<Self>, write: &Write, apply: Apply, had: Instant) -> io::Result<Done> {
        match apply {
            Apply::Before(work) => {
                // The read of a read-modify-write, whose result nobody compares.
                let _read = self.store.content(&write.resource);
                std::thread::sleep(work);
                self.store.apply(write, had)
            }
            Apply::Never => Ok(Done::TooLate),
            Apply::After(later) => {
                let (origin, write) = (self.clone(), write.clone());
                std::thread::spawn(move || {
                    std::thread::sleep(later.saturating_sub(had.elapsed()));
                    // Without its log the origin cannot go on.
                    if origin.store.apply(&write, had).is_err() {
                        std::process::abort();
                    }
                });
                Ok(Done::Replaced)
            }
        }
    }

    fn tell(&self, fault: &str) -> io::Result<()> {
        if fault.is_empty() { Ok(()) } else { self.store.note(&Record::Fault { name: fault.to_owned() }) }
    }
}

/// Sends what the script says; whether the connection goes on.
fn send(
    peer: &mut Peer,
    script: Script,
    status: u16,
    body: &str,
    bodiless: bool,
    chance: &mut StdRng,
) -> Result<bool, Trouble> {
    let plain = |status: u16, stated: usize| {
        let length = if status == 204 { String::new() } else { format!("Content-Length: {stated}\r\n") };
        let body = if bodiless { "" } else { body };
        format!("HTTP/1.1 {status} Because\r\nContent-Type: application/json\r\n{length}\r\n{body}")
            .into_bytes()
    };
    let status = if let Answer::Status(other) = script.answer { other } else { status };
    let whole = plain(status, body.len());
    let bytes = match script.answer {
        Answer::Plain | Answer::Status(_) => whole,
        Answer::Garbage(bytes) => bytes.as_bytes().to_vec(),
        Answer::Interim => b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec(),
        Answer::Nothing => Vec::new(),
        Answer::Cut => whole.get(..chance.random_range(0..whole.len())).unwrap_or_default().to_vec(),
        Answer::Short => plain(status, body.len() + 10),
    };
    peer.stream.write_all(&bytes)?;
    match script.then {
        Then::Keep => return Ok(true),
        Then::Close(after) => {
            std::thread::sleep(after);
            drop(peer.stream.shutdown(Shutdown::Write));
        }
        Then::Reset => reset(&peer.stream),
    }
    Ok(false)
}

/// What the author of a write says of it.
fn write_of(method: &str, resource: String, head: &Head) -> Option<Write> {
    let id = WriteId::parse(head.field("x-write-id")?)?;
    let claim = Claim::parse(head.field("x-write-claim")?)?;
    let kind = match (method, claim.0.as_slice()) {
        ("POST", _) => Kind::Post,
        ("DELETE", _) => Kind::Delete,
        ("PUT", []) => Kind::Blind,
        ("PUT", [ABSENT]) => Kind::Create,
        ("PUT", _) => Kind::Put,
        _ => return None,
    };
    Some(Write { resource, id, claim, kind })
}

/// Whether a body is the one that belongs to the write, whole.
fn is_of(body: &[u8], write: &Write) -> bool {
    let begins = format!("{{\"id\":\"{}\",\"base\":\"{}\",", write.id, write.claim);
    write.kind == Kind::Delete || (body.starts_with(begins.as_bytes()) && body.ends_with(b"x\"}"))
}

/// The resource that a path names to this origin, which is as lenient as the most lenient ones.
pub fn canonical(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().to_lowercase();
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        let segment = segment.split(';').next().unwrap_or_default();
        let segment = segment.strip_suffix(".json").unwrap_or(segment);
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ if segment.bytes().all(|byte| byte.is_ascii_digit()) => {
                segments.push(segment.trim_start_matches('0'));
            }
            _ => segments.push(segment),
        }
    }
    segments.join("/")
}
