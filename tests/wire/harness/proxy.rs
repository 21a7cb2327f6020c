//! The proxy under test: the real binary, on ports of its own.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::Value;

use super::HANG;
use super::client::{Answer, Client, Pending, RequestText, request};
use super::metrics::Metrics;
use super::origin::Origin;

/// The program under test: the one of this build, or that which `IFMATCH_BINARY` names, such as the optimised one.
pub fn binary() -> PathBuf {
    std::env::var_os("IFMATCH_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_ifmatch").into(), PathBuf::from)
}

/// A running proxy; killed when dropped. A failing test prints its log.
pub struct Proxy {
    child: Child,
    public: SocketAddr,
    admin: SocketAddr,
    log: Arc<Log>,
    folder: PathBuf,
    config: String,
}

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Proxy {
    /// Starts the proxy in front of an origin and waits until it is ready. See [`Proxy::start`].
    #[track_caller]
    pub fn in_front_of(origin: &Origin, config: &str) -> Self {
        Self::start(&with_origin(origin.address(), config))
    }

    /// Starts the proxy with a configuration and waits until it is ready.
    ///
    /// What is missing is filled in: ports that the system chooses, and [`workers`].
    #[track_caller]
    pub fn start(config: &str) -> Self {
        let proxy = Self::start_unready(config);
        proxy.await_ready();
        proxy
    }

    /// Starts the proxy and waits only until it listens.
    #[track_caller]
    pub fn start_unready(config: &str) -> Self {
        let config = with_server(config);
        let folder = folder();
        let file = folder.join("ifmatch.toml");
        std::fs::write(&file, &config).expect("a file");
        let mut child = Command::new(binary())
            .arg("run")
            .arg("--config")
            .arg(&file)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Log::of(child.stderr.take().expect("a pipe"));
        let none: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut proxy = Proxy { child, public: none, admin: none, log, folder, config };
        let listening = proxy.log_line("it listens", |line| line["message"] == "listening");
        let address = |name: &str| {
            let text = listening[name].as_str().unwrap_or_default();
            let first = text.split(',').next().unwrap_or_default();
            first.parse().unwrap_or_else(|_| panic!("`{name}` holds no address: {listening}"))
        };
        (proxy.public, proxy.admin) = (address("public"), address("admin"));
        proxy
    }

    /// Where requests are accepted.
    pub fn address(&self) -> SocketAddr {
        self.public
    }

    /// Where health and metrics are told.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The configuration's file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.join("ifmatch.toml")
    }

    /// The configuration's text, as the proxy was started with it.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// A folder of this proxy's own.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A connection to the proxy.
    pub fn connect(&self) -> Client {
        Client::connect(self.public)
    }

    /// Sends a request over a connection of its own and reads the answer.
    #[track_caller]
    pub fn ask(&self, request: &RequestText) -> Answer {
        self.connect().ask(request)
    }

    /// Sends a request over a connection of its own; its answer is read later.
    #[track_caller]
    pub fn begin(&self, request: &RequestText) -> Pending {
        let mut client = self.connect();
        client.request(request);
        Pending::new(client)
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.ask(&request("GET", target))
    }

    /// PUT with `If-Match`.
    #[track_caller]
    pub fn put(&self, target: &str, tag: &str, body: &str) -> Answer {
        self.ask(&put(target, tag, body))
    }

    /// The entity-tag of a resource now.
    #[track_caller]
    pub fn tag(&self, target: &str) -> String {
        self.get(target).expect(200).tag()
    }

    /// GET on the admin listener.
    #[track_caller]
    pub fn admin(&self, target: &str) -> Answer {
        Client::connect(self.admin).ask(&request("GET", target))
    }

    /// A scrape.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/metrics").expect(200).text())
    }

    /// Fails unless the series has this value now; see [`Metrics::expect`].
    #[track_caller]
    pub fn expect_metric(&self, series: &str, value: impl Into<f64>) {
        self.metrics().expect(series, value);
    }

    /// Waits until the series has this value; a series that is not there is 0.
    #[track_caller]
    pub fn await_metric(&self, series: &str, value: impl Into<f64>) {
        let (value, began) = (value.into(), Instant::now());
        loop {
            let metrics = self.metrics();
            let found = metrics.value(series).unwrap_or(0.0);
            if (found - value).abs() < f64::EPSILON {
                return;
            }
            assert!(
                began.elapsed() < HANG,
                "{series} stays at {found}, expected {value}\n{}",
                metrics.near(series)
            );
            std::thread::yield_now();
        }
    }

    /// Waits until no write occupies anything.
    #[track_caller]
    pub fn await_rest(&self) {
        self.await_metric("ifmatch_writes_in_flight", 0);
    }

    /// Waits until `/readyz` says so.
    #[track_caller]
    pub fn await_ready(&self) {
        let began = Instant::now();
        while self.admin("/readyz").status != 200 {
            assert!(began.elapsed() < HANG, "the proxy is never ready");
            std::thread::yield_now();
        }
    }

    /// The conflicts that the admin listener tells, the newest first.
    #[track_caller]
    pub fn conflicts(&self) -> Vec<Value> {
        let told = self.admin("/conflicts").expect(200).json();
        told["conflicts"].as_array().expect("a list").clone()
    }

    /// Waits for a line of the log, old or new. `what` names it where it never comes.
    #[track_caller]
    pub fn log_line(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        let mut looked_at = 0;
        let mut lines = self.log.lines.lock().expect("the log");
        loop {
            for line in &lines.0[looked_at..] {
                if let Ok(json) = serde_json::from_str::<Value>(line)
                    && wanted(&json)
                {
                    return json;
                }
            }
            looked_at = lines.0.len();
            let left = HANG.saturating_sub(began.elapsed());
            assert!(!left.is_zero() && !lines.1, "the log never says that {what}:\n{}", lines.0.join("\n"));
            lines = self.log.more.wait_timeout(lines, left).expect("the log").0;
        }
    }

    /// The log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().expect("the log").0.clone()
    }

    /// Sends the process a signal, such as `"TERM"`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(status.expect("kill is there").success(), "kill -{name}");
    }

    /// Replaces the configuration's file, in place. Placeholders are not filled in.
    pub fn rewrite(&self, config: &str) {
        std::fs::write(self.config_file(), config).expect("a file");
    }

    /// Puts another text of the configuration in force, and waits until it is.
    #[track_caller]
    pub fn reload(&self, config: &str) {
        const AT: &str = "ifmatch_config_last_reload_success_timestamp_seconds";
        let before = self.metrics().value(AT).unwrap_or_default();
        self.rewrite(config);
        self.signal("HUP");
        let began = Instant::now();
        while self.metrics().value(AT).unwrap_or_default() <= before {
            assert!(began.elapsed() < HANG, "the new text is never in force");
            std::thread::yield_now();
        }
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub fn await_exit(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(began.elapsed() < HANG, "the process does not end");
            std::thread::yield_now();
        }
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _status = self.child.wait();
        if std::thread::panicking() {
            let mut text = format!("---- configuration\n{}\n---- log of the proxy\n", self.config.trim());
            for line in self.log.lines.lock().map(|lines| lines.0.clone()).unwrap_or_default() {
                let _written = writeln!(text, "{line}");
            }
            eprintln!("{text}----");
        }
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

impl Log {
    fn of(stderr: std::process::ChildStderr) -> Arc<Self> {
        let log = Arc::new(Log::default());
        let filled = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                filled.lines.lock().expect("the log").0.push(line);
                filled.more.notify_all();
            }
            filled.lines.lock().expect("the log").1 = true;
            filled.more.notify_all();
        });
        log
    }
}

/// PUT with `If-Match`.
pub fn put(target: &str, tag: &str, body: &str) -> RequestText {
    request("PUT", target).if_match(tag).body(body)
}

/// Fills in an origin: the placeholder `{origin}`, and the upstream `origin` if there is none.
pub fn with_origin(origin: SocketAddr, config: &str) -> String {
    let upstream = if config.contains("[upstreams.") {
        String::new()
    } else {
        "\n[upstreams.origin]\nservers = [\"{origin}\"]\n".to_owned()
    };
    (config.to_owned() + &upstream).replace("{origin}", &origin.to_string())
}

/// Two workers, or as many as `IFMATCH_WORKERS` says: one alone has another runtime.
fn workers() -> String {
    std::env::var("IFMATCH_WORKERS").unwrap_or_else(|_| "2".to_owned())
}

/// Fills in the addresses of `[server]`; and, unless the test is about that, there was no earlier life
/// whose writes a start would have to wait for.
pub fn with_server(config: &str) -> String {
    let config = with_keys(
        config,
        "[server]\n",
        &[
            ("listen", "listen = [\"127.0.0.1:0\"]\n"),
            ("admin", "admin = \"127.0.0.1:0\"\n"),
            ("workers", &format!("workers = {}\n", workers())),
        ],
    );
    if config.contains("state_file") {
        return config;
    }
    with_keys(&config, "[ledger]\n", &[("start_hold", "start_hold = \"0s\"\n")])
}

fn with_keys(config: &str, header: &str, lines: &[(&str, &str)]) -> String {
    let is_there = |key: &str| config.lines().any(|line| line.trim_start().starts_with(&format!("{key} =")));
    let keys: String = lines.iter().filter(|(key, _)| !is_there(key)).map(|(_, line)| *line).collect();
    if keys.is_empty() {
        return config.to_owned();
    }
    match config.contains(header) {
        true => config.replacen(header, &format!("{header}{keys}"), 1),
        false => format!("{config}\n{header}{keys}"),
    }
}

fn folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("wire-{}-{n}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
