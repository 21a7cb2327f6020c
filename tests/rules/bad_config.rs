//! Configurations: what is told of their mistakes, and what is none.

use ifmatch::config::parse;

/// Section 7 of the design, word for word.
const DESIGN: &str = r#"
[server]
listen = ["0.0.0.0:8080"]
admin = "127.0.0.1:9090"         # health, metrics, conflicts: never on the public listener
workers = 0                      # 0: one per core

[ledger]
store = "memory"                 # "memory", "redis", "etcd"
max_resources = 1_000_000
state_file = "/var/lib/ifmatch/ledger"   # versions survive a clean restart
settle = "5s"                    # how long a write of unknown outcome may still be applied

[upstreams.orders]
servers = ["10.0.0.5:3000"]
connect_timeout = "1s"
response_timeout = "30s"

[[routes]]
name = "order"                   # the metrics label
hosts = ["api.example.com"]      # optional
path = "/orders/{id}"            # {name}: one segment; {*rest}: the rest
upstream = "orders"
resource = "order:{id}"          # default: the canonical path
mode = "enforce"                 # "enforce", "observe" (let through, count what would be refused), "off"
validator = "version"            # "version", "content", "origin"
unconditional = "require"        # "require", "infer", "overlap", "allow"
overlap = "refuse"               # "refuse", "wait"
guard = ["PUT", "PATCH", "DELETE"]
reads = ["GET", "HEAD"]
principal = { header = "Authorization" }  # or { cookie = "session" }: who a client is, for "infer" and Idempotency-Key
when_unknown = "require"         # "infer" and nothing known of this principal's reading: "require", "overlap", "allow"
also_changes = ["orders"]        # further resources that a write to this route changes
read_lag = "0s"                  # how far the origin's reads may lag behind its writes
etag_on_put = "always"           # "always", "verified" (only when a read-back equals what was sent), "never"
"#;

#[test]
fn the_sample_of_the_design_is_a_correct_file() {
    if let Err(problems) = parse("design.toml", DESIGN) {
        panic!("{problems}");
    }
}
