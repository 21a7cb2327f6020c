//! The two processes that the clients talk through: the real proxy, and the origin behind it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;

use crate::metrics::Metrics;

/// Nothing that a process is asked for takes this long, unless it hangs.
const HANG: Duration = Duration::from_secs(30);

/// One life of the origin; killed when dropped.
pub struct Origin {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Origin {
    /// Starts one and waits until it accepts connections.
    pub fn start(port: u16, folder: &Path, life: u32, seed: u64) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("origin")
            .args(["--port", &port.to_string(), "--life", &life.to_string(), "--seed", &seed.to_string()])
            .arg("--folder")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut ready)?;
        }
        if ready.trim() != "ready" {
            return Err(io::Error::other(format!("the origin does not start: {:?}", child.wait())));
        }
        let stdin = child.stdin.take();
        Ok(Origin { child, stdin })
    }

    /// From now on it does nothing wrong.
    pub fn calm(&mut self) -> io::Result<()> {
        self.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(b"quiet\n"))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9; nothing of it runs any more afterwards.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop((self.child.kill(), self.child.wait()));
    }
}

/// A port that nobody listens on, out of the range that the system gives to outgoing connections: it
/// stays free while the origin is dead.
pub fn fixed_port(seed: u64) -> io::Result<u16> {
    let first = u16::try_from(seed.wrapping_add(u64::from(std::process::id())) % 10_000).unwrap_or(0);
    (0..10_000)
        .map(|step| 20_000 + (first + step) % 10_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| io::Error::other("no free port between 20000 and 30000"))
}

/// One life of the proxy; killed when dropped.
pub struct Proxy {
    child: Child,
    pub public: SocketAddr,
    admin: SocketAddr,
    /// It goes on with the ledger of the process before.
    pub carries_on: bool,
    told: Arc<Mutex<Told>>,
}

/// What a proxy said in its log that somebody should know of.
#[derive(Default, Clone, Debug)]
pub struct Told {
    carries_on: bool,
    /// Its messages of level ERROR, and panics.
    pub errors: BTreeMap<String, u64>,
}

impl Proxy {
    /// Starts one and waits until it listens.
    pub fn start(binary: &Path, config: &Path, log: PathBuf) -> io::Result<Self> {
        let mut child = Command::new(binary)
            .arg("run")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let told = Arc::new(Mutex::new(Told::default()));
        let (tell, listening) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            let (told, log) = (told.clone(), File::create(log)?);
            std::thread::spawn(move || read_log(stderr, log, &told, &tell));
        }
        let Ok(line) = listening.recv_timeout(HANG) else {
            drop((child.kill(), child.wait()));
            return Err(io::Error::other(format!("the proxy does not start: {:?}", told.lock().errors)));
        };
        let address = |name: &str| {
            let text = line.get(name).and_then(Value::as_str).unwrap_or_default();
            text.parse().map_err(|_| io::Error::other(format!("no address {name} in {line}")))
        };
        let (public, admin) = (address("public")?, address("admin")?);
        let carries_on = told.lock().carries_on;
        Ok(Proxy { child, public, admin, carries_on, told })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A name of a signal, such as `"TERM"`.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        signal(self.pid(), name)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until it has ended, at most this long; kills it then.
    pub fn await_end(&mut self, at_most: Duration) -> io::Result<Option<ExitStatus>> {
        let began = Instant::now();
        while began.elapsed() < at_most {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(None)
    }

    pub fn told(&self) -> Told {
        self.told.lock().clone()
    }

    /// A scrape; `None` where it does not answer.
    pub fn metrics(&self) -> Option<Metrics> {
        Metrics::scrape(self.admin)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop((self.child.kill(), self.child.wait()));
    }
}

/// Sends a process a signal.
pub fn signal(pid: u32, name: &str) -> io::Result<()> {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill -{name} {pid}: {status}"))) }
}

/// Reads a log to its end. Conflicts, of which a storm has thousands, are not kept.
fn read_log(stderr: ChildStderr, file: File, told: &Mutex<Told>, listening: &Sender<Value>) {
    let mut file = BufWriter::new(file);
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let Ok(json) = serde_json::from_str::<Value>(&line) else {
            *told.lock().errors.entry(line).or_default() += 1;
            continue;
        };
        let message = json.get("message").and_then(Value::as_str).unwrap_or_default();
        if json.get("level").and_then(Value::as_str) == Some("ERROR") {
            *told.lock().errors.entry(message.to_owned()).or_default() += 1;
        }
        if message.starts_with("the ledger goes on from its state file") {
            told.lock().carries_on = true;
        }
        if json.get("kind").is_none() {
            drop(writeln!(file, "{line}"));
        }
        if message == "listening" {
            // Nobody waits for it twice.
            drop(listening.send(json.clone()));
        }
    }
}
