//! Software that nobody here wrote, started by the tests on free ports. `.ci/install-foreign` puts it into
//! the folder that `IFMATCH_FOREIGN` names.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const HOW: &str = "install it with .ci/install-foreign and set IFMATCH_FOREIGN to the folder \
                   (target/foreign unless that was set for the installation too)";

/// Where the software is; without it a test that needs it says so and has nothing to do.
///
/// Compiled always and run on demand: a plain `cargo test` needs nothing but Rust.
pub fn installed() -> Option<Foreign> {
    match std::env::var_os("IFMATCH_FOREIGN") {
        Some(folder) => {
            // Cargo runs tests in the package's folder, so a relative one is relative to that.
            let folder = PathBuf::from(folder);
            Some(Foreign(folder.canonicalize().unwrap_or_else(|error| panic!("{folder:?}: {error}; {HOW}"))))
        }
        None => {
            eprintln!("not run: set IFMATCH_FOREIGN to what .ci/install-foreign installs into");
            None
        }
    }
}

/// The folder that the software is in.
pub struct Foreign(PathBuf);

/// A running program; ends with its owner.
pub struct Program {
    child: Child,
    address: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Program {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// json-server's own parts on a port that the system chooses; its command line cannot ask for one. Ends
/// when its stdin does.
const JSON_SERVER: &str = r#"
const jsonServer = require("json-server");
const app = jsonServer.create();
const data = JSON.parse(process.argv[1]);
app.use(jsonServer.defaults({ logger: false }));
app.use(jsonServer.router(data));
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
"#;

/// WsgiDAV on cheroot, as its command line starts it, on a port that the system chooses.
const WSGIDAV: &str = r#"
import os, sys, threading
from cheroot import wsgi
from wsgidav.wsgidav_app import WsgiDAVApp
app = WsgiDAVApp({
    "provider_mapping": {"/": sys.argv[1]},
    "simple_dc": {"user_mapping": {"*": True}},
    "http_authenticator": {"domain_controller": None},
    "property_manager": True,
    "lock_storage": True,
    "verbose": 0,
})
server = wsgi.Server(("127.0.0.1", 0), app)
server.prepare()
print(server.bind_addr[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve()
"#;

/// A Flask app such as there are many: customers in SQLite, whose e-mail is UNIQUE, and nobody thought of what
/// happens then. A GET tells who has an e-mail.
const FLASK: &str = r#"
import os, sqlite3, sys, threading
from flask import Flask, jsonify, request
from werkzeug.serving import make_server
import logging
logging.disable(logging.CRITICAL)

def connect():
    db = sqlite3.connect(sys.argv[1], timeout=30)
    db.row_factory = sqlite3.Row
    return db

with connect() as db:
    db.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT NOT NULL COLLATE NOCASE UNIQUE, name TEXT)")
    db.execute("CREATE TABLE tried (email TEXT)")

app = Flask(__name__)

@app.get("/customers")
def find():
    with connect() as db:
        rows = db.execute("SELECT * FROM customers WHERE ? IS NULL OR email = ?", [request.args.get("email")] * 2)
        return jsonify([dict(row) for row in rows])

@app.get("/tried")
def tried():
    with connect() as db:
        return jsonify([row["email"] for row in db.execute("SELECT * FROM tried")])

@app.post("/customers")
def create():
    asked = request.get_json()
    with connect() as db:
        db.execute("INSERT INTO tried VALUES (?)", [asked["email"]])
    with connect() as db:
        made = db.execute("INSERT INTO customers (email, name) VALUES (?, ?)", [asked["email"], asked.get("name")])
        return jsonify(id=made.lastrowid), 201, {"Location": f"/customers/{made.lastrowid}"}

@app.errorhandler(Exception)
def failed(error):
    return f"Internal Server Error: {type(error).__name__}: {error}", 500

server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
"#;

/// Radicale on cheroot, on a port that the system chooses. Every name and password is somebody.
const RADICALE: &str = r#"
import os, sys, threading
from cheroot import wsgi
from radicale import config
from radicale.app import Application
settings = config.load()
settings.update({
    "auth": {"type": "none"},
    "storage": {"filesystem_folder": sys.argv[1]},
    "logging": {"level": "warning"},
}, "tests")
server = wsgi.Server(("127.0.0.1", 0), Application(settings))
server.prepare()
print(server.bind_addr[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve()
"#;

impl Foreign {
    /// The Flask app with its database in this file, which is not there yet.
    pub fn flask(&self, database: &Path) -> Program {
        let mut python = Command::new(self.part("python/bin/python"));
        python.arg("-c").arg(FLASK).arg(database);
        start(python)
    }

    /// json-server with this data.
    pub fn json_server(&self, data: &serde_json::Value) -> Program {
        let mut node = Command::new("node");
        node.arg("-e")
            .arg(JSON_SERVER)
            .arg(data.to_string())
            .current_dir(self.part("node_modules/json-server"));
        node.env("NODE_PATH", self.0.join("node_modules"));
        start(node)
    }

    /// A script for node that can use what npm has installed here; its arguments are to follow.
    pub fn node(&self, script: &str) -> Command {
        let mut node = Command::new("node");
        node.arg("-e").arg(script).arg("--").env("NODE_PATH", self.part("node_modules"));
        node
    }

    /// WsgiDAV with the files of a folder, which has to be there.
    pub fn wsgidav(&self, files: &Path) -> Program {
        let mut python = Command::new(self.part("python/bin/python"));
        python.arg("-c").arg(WSGIDAV).arg(files);
        start(python)
    }

    /// Radicale with its calendars in a folder.
    pub fn radicale(&self, calendars: &Path) -> Program {
        let mut python = Command::new(self.part("sync/bin/python"));
        python.arg("-c").arg(RADICALE).arg(calendars);
        start(python)
    }

    /// vdirsyncer, to be given its arguments.
    pub fn vdirsyncer(&self) -> Command {
        Command::new(self.part("sync/bin/vdirsyncer"))
    }

    fn part(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        assert!(path.exists(), "{} is missing; {HOW}", path.display());
        path
    }
}

/// Starts a program that writes its port on its first line.
fn start(mut command: Command) -> Program {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; {HOW}"));
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let port: u16 =
        line.trim().parse().unwrap_or_else(|_| panic!("{command:?} told no port but {line:?}; {HOW}"));
    Program { child, address: ([127, 0, 0, 1], port).into() }
}

/// Runs a Debian program to its end.
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {HOW}"))
}
