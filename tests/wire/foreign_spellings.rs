//! Every way that we know of to aim at a resource without spelling it plainly, against origins that take
//! many of them: no form replaces a state that its author has not seen.
//!
//! The forms are those of a campaign against flask, FastAPI, express, json-server, apache, nginx, WsgiDAV
//! and a file server. None of them may be an exception: what takes effect directly has to be judged or
//! refused here.

use std::path::PathBuf;
use std::sync::Arc;

use ifmatch::demo::legacy_api;
use serde_json::json;

use crate::foreign::{Program, installed};
use crate::foreign_webdav::tempdir;
use crate::harness::{Answer, Client, Proxy, RequestText, request, with_origin};

/// PUT to these. `{c}` is the collection's name, `{C}` in capitals, `{Cc}` with one capital, `{e}` with its
/// first letter encoded and `{E}` with all of them.
const SPELLINGS: &[&str] = &[
    // The plain one: nothing is good for a write but its own state's tag.
    "/{c}/1",
    // Percent-encoding.
    "/{c}/%31",
    "/{e}/1",
    "/{E}/%31",
    "/{C}/%31",
    // Empty segments.
    "//{c}/1",
    "///{c}/1",
    "/{c}//1",
    "//{c}//1",
    "/{c}///1//",
    // Dot segments.
    "/{c}/./1",
    "/./{c}/1",
    "/{c}/x/../1",
    "/x/../{c}/1",
    "/../{c}/1",
    "/{c}/../{c}/1",
    "/{c}/1/.",
    "/{c}/1/x/..",
    "/{c}/1/../1",
    "/.//{c}/1",
    // At the end.
    "/{c}/1/",
    "/{c}/1//",
    "/{c}/1/./",
    "/{c}/1.",
    "/{c}/1..",
    "/{c}/1%20",
    "/{c}/%201",
    "/{c}/1%C2%A0",
    "/{c}/1%E2%80%A8",
    // Parameters.
    "/{c}/1;v=1",
    "/{c}/1;jsessionid=A",
    "/{c};x/1",
    "/{c}/;/1",
    "/;/{c}/1",
    "/{c}/..;/{c}/1",
    // Letter case.
    "/{C}/1",
    "/{Cc}/1",
    // The query.
    "/{c}/1?",
    "/{c}/1?x=1",
    "/{c}/1?a=1&b=2",
    "/{c}/1?_=1699",
    "/{c}/1??x",
    "/{c}/1?/../2",
    // Separators in disguise.
    "/{c}%2F1",
    "/{c}%2f1",
    "/%2F{c}/1",
    "/{c}/1%2F",
    "/{c}/%2e/1",
    "/{c}/x/%2e%2e/1",
    "/{c}/x/%2E./1",
    "/{c}/x/..%2f1",
    "/{c}/1/%2e",
    "/{c}/1/..%2f1",
    "/{c}/x/%252e%252e/1",
    "/{c}/%2531",
    "/{c}%252F1",
    "/{c}\\1",
    "/{c}%5C1",
    "/{c}/..%c0%af1",
    "/{c}/1%ef%bc%8f",
    // Control characters.
    "/{c}/1%00",
    "/{c}/1%00.json",
    "/{c}/1%0a",
    "/{c}/1%0d%0a",
    "/{c}/1%09",
    "/{c}/1%C2%85",
    // Numbers.
    "/{c}/01",
    "/{c}/001",
    "/{c}/1.0",
    "/{c}/+1",
    "/{c}/%2B1",
    "/{c}/1e0",
    "/{c}/0x1",
    "/{c}/0_1",
    // Digits of other scripts.
    "/{c}/%EF%BC%91",
    "/{c}/１",
    "/{c}/%D9%A1",
    "/{c}/%E0%A5%A7",
    "/{c}/%F0%9D%9F%8F",
    "/{c}/%C0%B1",
    "/{c}/%C2%B9",
    // Formats.
    "/{c}/1.json",
    "/{c}/1.JSON",
    "/{c}/1.xml",
    "/{c}/1~",
    "/{c}/1::$DATA",
    // What is no target.
    "/{c}/1#frag",
    "/{c}/1%23frag",
    "/{c}/1%3Fx=1",
    "/{c}/%",
    "/{c}/1%2",
    "/{c}/%u0031",
    "{c}/1",
    "*",
    // Absolute-form.
    "http://{host}/{c}/1",
    "HTTP://{host}/{c}/1",
    "https://{host}/{c}/1",
    "http://u@{host}/{c}/1",
    "http://other.example/{c}/1",
    "//{host}/{c}/1",
    // Overrides in the query, which a PUT stays a PUT with.
    "/{c}/1?_method=GET",
    "/{c}/1?_method=OPTIONS",
];

/// A request to aim at the resource with; the body is added.
struct Form {
    request: RequestText,
    /// The target, if the resource could be read by it too.
    readable: Option<String>,
}

fn forms(collection: &str, host: &str) -> Vec<Form> {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let (first, rest) = collection.split_at(1);
    let fill = |text: &str| {
        text.replace("{host}", host)
            .replace("{Cc}", &(first.to_uppercase() + rest))
            .replace("{C}", &collection.to_uppercase())
            .replace("{e}", &(encoded(first) + rest))
            .replace("{E}", &encoded(collection))
            .replace("{c}", collection)
    };
    let plain = fill("/{c}/1");
    let with = |method: &str, target: &str| request(method, target).field("Content-Type", "application/json");
    let at_host = |request: RequestText| request.field("Host", host);
    let mut forms: Vec<Form> = Vec::new();
    for spelling in SPELLINGS {
        let target = fill(spelling);
        forms.push(Form { request: at_host(with("PUT", &target)), readable: Some(target) });
    }
    let mut add = |request: RequestText| forms.push(Form { request, readable: None });
    for host in ["other.example", "127.0.0.1.", "LOCALHOST"] {
        add(with("PUT", &plain).field("Host", host));
    }
    add(at_host(with("PUT", &plain)).version("HTTP/1.0"));
    add(with("PUT", &plain).version("HTTP/1.0").without_host());
    for method in ["put", "Put", "PATCH", "patch", "GET", "HEAD", "POST", "PROPPATCH", "MKCOL"] {
        add(at_host(with(method, &plain)));
    }
    for field in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        for (method, stated) in [
            ("POST", "PUT"),
            ("POST", "put"),
            ("GET", "PUT"),
            ("POST", "GET, PUT"),
            ("PUT", "GET"),
            ("OPTIONS", "PUT"),
        ] {
            add(at_host(with(method, &plain)).field(field, stated));
        }
    }
    for query in ["_method=PUT", "_METHOD=PUT", "%5Fmethod=PUT", "_method=GET&_method=PUT"] {
        for method in ["POST", "GET"] {
            add(at_host(with(method, &format!("{plain}?{query}"))));
        }
    }
    for field in ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"] {
        add(at_host(with("PUT", &fill("/{c}/2"))).field(field, &plain));
    }
    for method in ["DELETE", "delete"] {
        for target in ["/{c}/1", "/{c}", "/{c}/"] {
            add(at_host(request(method, &fill(target))));
        }
    }
    for method in ["COPY", "MOVE"] {
        for to in [
            "http://{host}/{c}/1",
            "/{c}/1",
            "http://{host}/{c}/%31",
            "http://{host}/{c}/x/../1",
            "http://{host}//{c}//1",
            "//{host}/{c}/1",
            "http://{host}/{c}/1#x",
            "http://{host}/{c}%2F1",
        ] {
            add(at_host(request(method, "/source")).field("Destination", &fill(to)).field("Overwrite", "T"));
        }
        for to in ["http://{host}/{c}", "http://{host}/{c}/"] {
            add(at_host(request(method, "/sources/"))
                .field("Destination", &fill(to))
                .field("Overwrite", "T"));
        }
        add(at_host(request(method, &fill("/{c}/"))).field("Destination", &fill("http://{host}/gone/")));
    }
    forms
}

/// An origin, and how its resource is set and looked at behind the proxy's back.
trait Target {
    fn collection(&self) -> &str;
    fn address(&self) -> std::net::SocketAddr;
    fn reset(&self, value: &str);
    fn value(&self) -> Option<String>;
}

fn document(value: &str) -> String {
    json!({"id": 1, "value": value}).to_string()
}

fn send(target: &dyn Target, request: &RequestText) -> Answer {
    Client::connect(target.address()).ask(request)
}

fn value_in(document: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(document).ok()?;
    document["value"].as_str().map(str::to_owned)
}

/// What they need to know of each other is only in their words.
fn try_all(target: &dyn Target, config: &str, take_effect: usize) {
    let proxy = Proxy::start(&with_origin(target.address(), config));
    let plain = format!("/{}/1", target.collection());
    let (guarded, direct) = (proxy.address().to_string(), target.address().to_string());
    let mut wrong = Vec::new();
    let mut effective = 0;
    let tag = |path: &str| {
        let read = request("GET", path).field("Host", &guarded);
        // Some spellings are no HTTP at all, and the connection is closed on them.
        let mut client = proxy.connect();
        client.request(&read);
        client
            .try_answer()
            .ok()
            .filter(|answer| answer.status == 200)
            .and_then(|a| a.field("ETag").map(str::to_owned))
    };
    let on_behalf_of_another = |tag: &str| {
        let write = request("PUT", &plain).field("Host", &guarded).field("Content-Type", "application/json");
        let answer = proxy.ask(&write.if_match(tag).body(document("theirs")));
        assert!((200..300).contains(&answer.status), "{answer}");
    };
    let shown =
        |form: &Form| String::from_utf8_lossy(&form.request.bytes()).trim_end().replace("\r\n", " | ");
    let forms = forms(target.collection(), &guarded);
    assert!(forms.len() >= 60);
    for form in &forms {
        let bodied = |request: RequestText| match request.method() {
            "COPY" | "MOVE" | "DELETE" | "delete" | "MKCOL" | "HEAD" => request,
            _ => request.body(document("EVIL")),
        };
        let mut attempt = |what: &str, request: RequestText| {
            let mut client = proxy.connect();
            client.request(&bodied(request));
            let status = client.try_answer().map(|answer| answer.status).unwrap_or_default();
            if target.value().as_deref() != Some("theirs") {
                wrong.push(format!("{what}: {} -> {status}", shown(form)));
            }
        };
        target.reset("mine");
        let stale = tag(&plain).expect("a tag");
        on_behalf_of_another(&stale);
        attempt("a stale tag", form.request.clone().if_match(&stale));
        attempt("no precondition", form.request.clone());
        // A tag that was read by the spelling itself.
        target.reset("mine");
        if let Some(stale) = form.readable.as_deref().and_then(tag) {
            on_behalf_of_another(&tag(&plain).expect("a tag"));
            attempt("its own stale tag", form.request.clone().if_match(&stale));
        }
    }
    for form in self::forms(target.collection(), &direct) {
        target.reset("mine");
        let bodied = form.request.body(document("EVIL"));
        let mut client = Client::connect(target.address());
        client.request(&bodied);
        let _answer = client.try_answer();
        effective += usize::from(target.value().as_deref() != Some("mine"));
    }
    assert!(wrong.is_empty(), "{} of {} forms get by:\n{}", wrong.len(), forms.len(), wrong.join("\n"));
    // Otherwise nothing was at stake.
    assert!(effective >= take_effect, "only {effective} of {} forms take effect directly", forms.len());
    assert!(!proxy.log().iter().any(|line| line.contains("panicked")), "{:?}", proxy.log());
}

struct JsonServer(Program);

impl Target for JsonServer {
    fn collection(&self) -> &str {
        "items"
    }
    fn address(&self) -> std::net::SocketAddr {
        self.0.address()
    }
    fn reset(&self, value: &str) {
        let write = |method, path| request(method, path).field("Content-Type", "application/json");
        if send(self, &write("PUT", "/items/1").body(document(value))).status != 200 {
            send(self, &write("POST", "/items").body(document(value))).expect(201);
        }
    }
    fn value(&self) -> Option<String> {
        value_in(&send(self, &request("GET", "/items/1")).text())
    }
}

#[test]
fn no_form_gets_by_in_front_of_json_server() {
    let Some(foreign) = installed() else { return };
    let data = json!({"items": [{"id": 1, "value": "mine"}, {"id": 2, "value": "other"}]});
    let target = JsonServer(foreign.json_server(&data));
    try_all(&target, "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\nupstream = \"origin\"\n", 20);
}

/// The usual mistake of a configuration: one route is guarded, and all else passes unjudged.
#[test]
fn no_form_gets_by_in_front_of_json_server_over_an_unguarded_route() {
    let Some(foreign) = installed() else { return };
    let data = json!({"items": [{"id": 1, "value": "mine"}, {"id": 2, "value": "other"}]});
    let target = JsonServer(foreign.json_server(&data));
    let config = "[[routes]]\nname = \"item\"\npath = \"/items/{id}\"\nresource = \"item:{id}\"\nupstream = \"origin\"\n\
                  [[routes]]\nname = \"rest\"\npath = \"/{*rest}\"\nupstream = \"origin\"\nmode = \"off\"\n";
    try_all(&target, config, 20);
}

struct Dav(Program, PathBuf);

impl Target for Dav {
    fn collection(&self) -> &str {
        "items"
    }
    fn address(&self) -> std::net::SocketAddr {
        self.0.address()
    }
    fn reset(&self, value: &str) {
        let root = std::fs::read_dir(&self.1).expect("the folder");
        for entry in root.map(|entry| entry.expect("an entry").path()) {
            let removed =
                if entry.is_dir() { std::fs::remove_dir_all(entry) } else { std::fs::remove_file(entry) };
            removed.expect("it goes");
        }
        for folder in ["items", "sources"] {
            std::fs::create_dir(self.1.join(folder)).expect("a folder");
        }
        for (file, value) in [("items/1", value), ("source", "EVIL"), ("sources/1", "EVIL")] {
            std::fs::write(self.1.join(file), document(value)).expect("a file");
        }
    }
    fn value(&self) -> Option<String> {
        value_in(&std::fs::read_to_string(self.1.join("items/1")).ok()?)
    }
}

#[test]
fn no_form_gets_by_in_front_of_wsgidav() {
    let Some(foreign) = installed() else { return };
    let files = tempdir();
    let target = Dav(foreign.wsgidav(&files), files);
    let config = "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\nupstream = \"origin\"\n\
                  reads = [\"GET\", \"HEAD\", \"PROPFIND\"]\n\
                  guard = [\"PUT\", \"PATCH\", \"DELETE\", \"PROPPATCH\", \"COPY\", \"MOVE\"]\n\
                  also_changes = [\"*\"]\n";
    try_all(&target, config, 30);
    std::fs::remove_dir_all(&target.1).expect("the folder");
}

struct Legacy(std::net::SocketAddr, Arc<legacy_api::Documents>);

impl Target for Legacy {
    fn collection(&self) -> &str {
        "notes"
    }
    fn address(&self) -> std::net::SocketAddr {
        self.0
    }
    fn reset(&self, value: &str) {
        let write = request("PUT", "/notes/1").field("Content-Type", "application/json");
        let answer = send(self, &write.body(document(value)));
        assert!((200..300).contains(&answer.status), "{answer}");
    }
    fn value(&self) -> Option<String> {
        self.1.document("/notes/1")?["value"].as_str().map(str::to_owned)
    }
}

#[test]
fn no_form_gets_by_in_front_of_the_legacy_api() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let api = runtime.block_on(legacy_api::bind(([127, 0, 0, 1], 0).into())).expect("a free port");
    let target = Legacy(api.address(), api.documents());
    let serving = runtime.spawn(api.serve());
    try_all(&target, "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\nupstream = \"origin\"\n", 8);
    serving.abort();
}
