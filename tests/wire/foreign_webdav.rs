//! WsgiDAV behind the proxy: files and folders, with requests that name two resources at once.

use std::path::PathBuf;

use crate::foreign::{Program, installed};
use crate::harness::{Answer, Proxy, RequestText, request, with_origin};

/// A write to a folder changes all that is in it, and one to a file its folder's listing; so every write
/// makes all that was read before stale.
const FILES: &str = r#"
[ledger]
settle = "300ms"

[[routes]]
name = "files"
path = "/{*path}"
upstream = "origin"
reads = ["GET", "HEAD", "PROPFIND"]
guard = ["PUT", "PATCH", "DELETE", "PROPPATCH", "COPY", "MOVE"]
also_changes = ["*"]
"#;

/// The same, with files that change alone: for those who do not move folders.
const FLAT: &str = r#"
[[routes]]
name = "files"
path = "/{*path}"
upstream = "origin"
reads = ["GET", "HEAD", "PROPFIND"]
guard = ["PUT", "PATCH", "DELETE", "PROPPATCH"]
"#;

struct Dav {
    proxy: Proxy,
    _origin: Program,
    files: PathBuf,
}

impl Dav {
    fn start(config: &str) -> Option<Self> {
        let foreign = installed()?;
        // The proxy's own folder goes with it, so the files do too.
        let files = tempdir();
        std::fs::create_dir_all(files.join("docs")).expect("a folder");
        let origin = foreign.wsgidav(&files);
        let proxy = Proxy::start(&with_origin(origin.address(), config));
        let dav = Dav { proxy, _origin: origin, files };
        dav.store("docs/a.txt", "one");
        Some(dav)
    }

    fn store(&self, name: &str, text: &str) {
        std::fs::write(self.files.join(name), text).expect("a file");
    }

    fn stored(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.files.join(name)).ok()
    }

    /// WsgiDAV compares `Destination` with `Host`, so both are the proxy's own.
    fn asked(&self, method: &str, target: &str) -> RequestText {
        request(method, target).field("Host", &self.proxy.address().to_string())
    }

    fn to(&self, method: &str, target: &str, destination: &str) -> RequestText {
        let url = format!("http://{}{destination}", self.proxy.address());
        self.asked(method, target).field("Destination", &url).field("Overwrite", "T")
    }

    #[track_caller]
    fn ask(&self, request: &RequestText) -> Answer {
        self.proxy.ask(request)
    }

    #[track_caller]
    fn tag(&self, target: &str) -> String {
        self.ask(&self.asked("GET", target)).expect(200).tag()
    }
}

impl Drop for Dav {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.files);
    }
}

/// A new folder of this process.
pub fn tempdir() -> PathBuf {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("foreign-{}-{n}", std::process::id());
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn a_file_is_read_written_and_deleted_with_its_tag() {
    let Some(dav) = Dav::start(FILES) else { return };
    let target = "/docs/a.txt";
    dav.ask(&dav.asked("PUT", target).body("blind")).expect_refusal(428, "precondition-required");
    let tag = dav.tag(target);
    let put = dav.ask(&dav.asked("PUT", target).if_match(&tag).body("two")).expect(204);
    dav.ask(&dav.asked("PUT", target).if_match(&tag).body("stale"))
        .expect_refusal(412, "precondition-failed");
    assert_eq!(dav.stored("docs/a.txt").as_deref(), Some("two"));
    dav.ask(&dav.asked("DELETE", target)).expect_refusal(428, "precondition-required");
    dav.ask(&dav.asked("DELETE", target).if_match(&tag)).expect_refusal(412, "precondition-failed");
    dav.ask(&dav.asked("DELETE", target).if_match(&put.tag())).expect(204);
    assert_eq!(dav.stored("docs/a.txt"), None);
}

#[test]
fn a_new_file_needs_a_word_that_it_is_new() {
    let Some(dav) = Dav::start(FILES) else { return };
    dav.ask(&dav.asked("PUT", "/docs/b.txt").body("blind")).expect_refusal(428, "precondition-required");
    dav.ask(&dav.asked("PUT", "/docs/b.txt").if_none_match("*").body("new")).expect(201);
    let again = dav.asked("PUT", "/docs/b.txt").if_none_match("*").body("again");
    dav.ask(&again).expect_refusal(412, "precondition-failed");
    assert_eq!(dav.stored("docs/b.txt").as_deref(), Some("new"));
}

#[test]
fn a_listing_is_a_read_and_a_locked_file_answers_for_itself() {
    let Some(dav) = Dav::start(FILES) else { return };
    let listing = dav.ask(&dav.asked("PROPFIND", "/docs/").field("Depth", "1")).expect(207);
    assert!(listing.text().contains("/docs/a.txt"), "{listing}");
    assert_eq!(listing.field("ETag"), None, "a multi-status is not what GET shows");
    let lock = r#"<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>"#;
    let locked = dav.ask(&dav.asked("LOCK", "/docs/a.txt").field("Content-Type", "text/xml").body(lock));
    let token = locked.expect(200).field("Lock-Token").expect("a token").to_owned();
    // LOCK is a write, so what was read before it is stale; 423 is the origin's own word.
    let put = |tag: &str| dav.asked("PUT", "/docs/a.txt").if_match(tag).body("two");
    let tag = dav.tag("/docs/a.txt");
    dav.ask(&put(&tag)).expect(423);
    assert_eq!(dav.stored("docs/a.txt").as_deref(), Some("one"));
    // A refused write has changed nothing, so the tag is still good, now with the lock's token.
    dav.ask(&put(&tag).field("If", &format!("({token})"))).expect(204);
    dav.ask(&dav.asked("UNLOCK", "/docs/a.txt").field("Lock-Token", &token)).expect(204);
    assert_eq!(dav.stored("docs/a.txt").as_deref(), Some("two"));
}

#[test]
fn a_copy_or_move_onto_a_file_makes_what_was_read_of_it_stale() {
    for config in [FILES, FLAT] {
        for method in ["COPY", "MOVE"] {
            for destination in ["/docs/a.txt", "/docs/%61.txt", "//docs//a.txt", "/docs/./a.txt"] {
                let Some(dav) = Dav::start(config) else { return };
                dav.store("docs/source.txt", "copied");
                let (tag, source) = (dav.tag("/docs/a.txt"), dav.tag("/docs/source.txt"));
                let onto = dav.to(method, "/docs/source.txt", destination);
                dav.ask(&onto.if_match(&source)).expect(204);
                assert_eq!(dav.stored("docs/a.txt").as_deref(), Some("copied"), "{method} {destination}");
                let stale = dav.asked("PUT", "/docs/a.txt").if_match(&tag).body("stale");
                dav.ask(&stale).expect_refusal(412, "precondition-failed");
                assert_eq!(dav.stored("docs/a.txt").as_deref(), Some("copied"), "{method} {destination}");
            }
        }
    }
}

#[test]
fn a_copy_or_move_that_can_be_read_in_two_ways_is_refused() {
    let Some(dav) = Dav::start(FILES) else { return };
    dav.store("docs/source.txt", "copied");
    let source = dav.tag("/docs/source.txt");
    for destination in
        ["/docs%2Fa.txt", "/x/%2e%2e/docs/a.txt", "/docs/a.txt%00", "/docs\\a.txt", "/docs/%252e/a.txt"]
    {
        for method in ["COPY", "MOVE"] {
            let onto = dav.to(method, "/docs/source.txt", destination).if_match(&source);
            dav.ask(&onto).expect_refusal(400, "ambiguous-target");
        }
    }
    let elsewhere =
        dav.asked("COPY", "/docs/source.txt").field("Destination", "http://other.example/docs/a.txt");
    dav.ask(&elsewhere.if_match(&source)).expect_refusal(400, "ambiguous-target");
    assert_eq!(dav.stored("docs/a.txt").as_deref(), Some("one"));
}

#[test]
fn a_write_to_a_folder_makes_what_was_read_in_it_stale() {
    for act in ["DELETE", "MOVE", "COPY"] {
        let Some(dav) = Dav::start(FILES) else { return };
        std::fs::create_dir_all(dav.files.join("other")).expect("a folder");
        dav.store("other/a.txt", "other");
        let tag = dav.tag("/docs/a.txt");
        let folder = |target: &str| dav.ask(&dav.asked("GET", target)).expect(200).tag();
        let (request, left) = match act {
            "DELETE" => (dav.asked("DELETE", "/docs/").if_match(&folder("/docs/")), None),
            "MOVE" => (dav.to("MOVE", "/docs/", "/gone/").if_match(&folder("/docs/")), None),
            _ => (dav.to("COPY", "/other/", "/docs/").if_match(&folder("/other/")), Some("other")),
        };
        let answer = dav.ask(&request);
        assert!((200..300).contains(&answer.status), "{answer}");
        assert_eq!(dav.stored("docs/a.txt").as_deref(), left, "{act}");
        let stale = dav.asked("PUT", "/docs/a.txt").if_match(&tag).body("stale");
        dav.ask(&stale).expect_refusal(412, "precondition-failed");
        assert_eq!(dav.stored("docs/a.txt").as_deref(), left, "{act}");
    }
}

#[test]
fn a_new_folder_needs_no_word_and_its_trailing_slash_does_not_count() {
    let Some(dav) = Dav::start(FILES) else { return };
    dav.ask(&dav.asked("MKCOL", "/new/")).expect(201);
    dav.ask(&dav.asked("MKCOL", "/new")).expect(405);
    // WsgiDAV redirects a GET without the slash, but not a DELETE.
    let tag = dav.tag("/new/");
    dav.ask(&dav.asked("DELETE", "/new").if_match(&tag)).expect(204);
    assert!(!dav.files.join("new").exists());
}
