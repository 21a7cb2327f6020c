//! R10 to R12 as a client sees them: tags over a clean restart, a crash, and files that must not be
//! trusted.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::harness::{HANG, Origin, Proxy, binary, put, with_origin};

/// A settle time that a test can wait out.
const SHORT: &str = "50ms";
/// One that no test waits out: what is let through was not held back at all.
const LONG: &str = "1h";

/// A folder that outlives the proxies that use it.
pub struct Home(PathBuf);

impl Home {
    /// A new one.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("restart-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Home(folder)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("ledger")
    }

    fn refused_file(&self) -> PathBuf {
        self.0.join("ledger.refused")
    }

    pub fn config(&self, settle: &str) -> String {
        format!(
            "[ledger]\nsettle = \"{settle}\"\nstate_file = \"{}\"\n\n\
             [[routes]]\nname = \"item\"\npath = \"/items/{{id}}\"\nupstream = \"origin\"\n",
            self.file().display()
        )
    }

    /// Starts a proxy with this state file and waits until it is ready.
    #[track_caller]
    fn start(&self, origin: &Origin, settle: &str) -> Proxy {
        Proxy::in_front_of(origin, &self.config(settle))
    }

    /// Starts one and waits only until it listens.
    #[track_caller]
    pub fn start_unready(&self, origin: &Origin, settle: &str) -> Proxy {
        Proxy::start_unready(&with_origin(origin.address(), &self.config(settle)))
    }

    /// Lets a process that is not to start at all end, with what it has to say.
    #[track_caller]
    fn refused(&self, config: &str) -> (ExitStatus, String) {
        let file = self.0.join("refused.toml");
        std::fs::write(&file, config).expect("a file");
        let mut child = Command::new(binary())
            .args(["run", "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            if began.elapsed() > HANG {
                child.kill().expect("a child");
                panic!("it started, although it must not");
            }
            std::thread::yield_now();
        };
        let mut said = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        (status, said)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn stop(proxy: &mut Proxy) {
    proxy.signal("TERM");
    assert!(proxy.await_exit().success());
}

#[track_caller]
fn kill(proxy: &mut Proxy) {
    proxy.signal("KILL");
    assert!(!proxy.await_exit().success());
}

#[track_caller]
fn await_log(proxy: &Proxy, begin: &str) -> serde_json::Value {
    proxy.log_line(begin, |line| line["message"].as_str().is_some_and(|text| text.starts_with(begin)))
}

/// Waits until no write of the process before is unsettled any more.
#[track_caller]
fn await_settled(proxy: &Proxy, path: &str) {
    let began = Instant::now();
    while proxy.admin(&format!("/resources?path={path}")).expect(200).json()["unsettled"] == true {
        assert!(began.elapsed() < HANG, "{path} stays unsettled");
        std::thread::yield_now();
    }
}

#[test]
fn a_tag_survives_a_clean_restart() {
    let (origin, home) = (Origin::with_item(), Home::new());
    origin.store("/items/2", "two");
    let mut first = home.start(&origin, SHORT);
    await_log(&first, "there is no state file");
    let written = first.put("/items/1", &first.tag("/items/1"), "changed").expect(204).tag();
    let read = first.tag("/items/2");
    assert!(!home.file().exists(), "it is there only between two processes");
    stop(&mut first);
    await_log(&first, "the ledger is saved");
    assert!(home.file().exists());

    let mut second = home.start_unready(&origin, LONG);
    second.admin("/readyz").expect(200);
    assert!(!home.file().exists(), "taken away before the first write is judged");
    await_log(&second, "the ledger goes on from its state file");
    second.put("/items/1", &written, "with a tag of the first").expect(204);
    second.put("/items/1", &written, "again").expect_refusal(412, "precondition-failed");
    second.put("/items/2", &read, "with a tag of the first").expect(204);
    let written = second.tag("/items/1");
    stop(&mut second);

    let third = home.start_unready(&origin, LONG);
    third.put("/items/1", &written, "with a tag of the second").expect(204);
}

// Whatever stands where it would be moved to.
#[test]
fn a_bad_file_that_cannot_be_moved_aside_does_not_stop_the_start() {
    let (origin, home) = (Origin::with_item(), Home::new());
    std::fs::write(home.file(), "nonsense").expect("a file");
    std::fs::create_dir_all(home.refused_file().join("full")).expect("a folder");
    let proxy = home.start(&origin, SHORT);
    await_log(&proxy, "the state file is refused");
    assert!(!home.file().exists());
    proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
}

// A process that crashes has not saved: had it left the file it came from, its successor would go back to
// the versions of then, and accept tags of states that the crashed one has replaced.
#[test]
fn after_a_crash_old_tags_are_refused_and_guarded_writes_wait_first() {
    let (origin, home) = (Origin::with_item(), Home::new());
    let mut first = home.start(&origin, SHORT);
    let old = first.tag("/items/1");
    stop(&mut first);
    let mut crashes = home.start_unready(&origin, SHORT);
    crashes.put("/items/1", &old, "two").expect(204);
    kill(&mut crashes);

    let mut waits = home.start_unready(&origin, LONG);
    let told = await_log(&waits, "there is no state file");
    assert!(told["why"].as_str().is_some_and(|why| why.contains("did not end cleanly")), "{told}");
    waits.admin("/readyz").expect(503);
    waits.put("/items/1", &old, "three").expect_refusal(503, "starting");
    waits.get("/items/1").expect(200);
    // Nothing can be gone on from yet, also by the next one.
    stop(&mut waits);
    await_log(&waits, "nothing is saved");
    assert!(!home.file().exists());

    let last = home.start(&origin, SHORT);
    last.put("/items/1", &old, "three").expect_refusal(412, "precondition-failed");
    assert_eq!(origin.stored("/items/1").as_deref(), Some("two"));
    last.put("/items/1", &last.tag("/items/1"), "three").expect(204);
}

#[test]
fn a_file_that_cannot_be_trusted_is_moved_aside_and_a_new_life_begins() {
    let origin = Origin::with_item();
    let damaged = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    };
    let future = |mut bytes: Vec<u8>| {
        bytes[8] += 1;
        bytes
    };
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 1].to_vec();
    let foreign = |_| b"[server]\nlisten = \"127.0.0.1:8080\"\n".to_vec();
    type Spoil = fn(Vec<u8>) -> Vec<u8>;
    let spoil: [(Spoil, &str); 4] =
        [(damaged, "it was damaged"), (future, "has format 3"), (cut, "cut off"), (foreign, "no state file")];
    for (spoil, reason) in spoil {
        let home = Home::new();
        let mut first = home.start(&origin, SHORT);
        let old = first.tag("/items/1");
        stop(&mut first);
        let spoilt = spoil(std::fs::read(home.file()).expect("a state"));
        std::fs::write(home.file(), &spoilt).expect("a file");

        let second = home.start(&origin, SHORT);
        let told = await_log(&second, "the state file is refused");
        assert_eq!(told["level"], "ERROR");
        assert!(told["reason"].as_str().is_some_and(|told| told.contains(reason)), "{reason}: {told}");
        assert!(!home.file().exists());
        assert_eq!(std::fs::read(home.refused_file()).ok(), Some(spoilt));
        second.put("/items/1", &old, "two").expect_refusal(412, "precondition-failed");
    }
}

#[test]
fn a_second_process_on_the_same_file_does_not_start() {
    let (origin, home) = (Origin::with_item(), Home::new());
    let first = home.start(&origin, SHORT);
    let tag = first.tag("/items/1");
    // Its address is taken as well: that it does not get so far shows that nothing was bound.
    let config = with_origin(
        origin.address(),
        &format!("{}\n[server]\nlisten = \"{}\"\nadmin = \"off\"\n", home.config(SHORT), first.address()),
    );
    let (status, said) = home.refused(&config);
    assert_eq!(status.code(), Some(1), "{said}");
    for part in ["another ifmatch uses it", &home.file().display().to_string(), "ledger.lock"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    first.put("/items/1", &tag, "two").expect(204);
}

#[test]
fn a_start_that_fails_leaves_the_file_where_it_is() {
    let (origin, home) = (Origin::with_item(), Home::new());
    let mut first = home.start(&origin, SHORT);
    let tag = first.tag("/items/1");
    stop(&mut first);
    let config = with_origin(
        origin.address(),
        &format!("{}\n[server]\nlisten = \"{}\"\nadmin = \"off\"\n", home.config(SHORT), origin.address()),
    );
    let (status, said) = home.refused(&config);
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("cannot listen on"), "{said}");
    home.start_unready(&origin, LONG).put("/items/1", &tag, "two").expect(204);
}

#[test]
fn a_file_that_cannot_be_used_is_told_at_the_start() {
    let (origin, home) = (Origin::with_item(), Home::new());
    let config = |file: &Path| {
        let config =
            home.config(SHORT).replace(&home.file().display().to_string(), &file.display().to_string());
        with_origin(
            origin.address(),
            &format!("{config}\n[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"off\"\n"),
        )
    };
    let (status, said) = home.refused(&config(&home.0.join("missing").join("ledger")));
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("missing/ledger") && said.contains("create its directory"), "{said}");
    let folder = home.0.join("folder");
    std::fs::create_dir(&folder).expect("a folder");
    let (status, said) = home.refused(&config(&folder));
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("it is no regular file"), "{said}");
}

#[test]
fn a_write_that_ends_while_the_process_stops_is_saved_with_its_tag() {
    let (origin, home) = (Origin::with_item(), Home::new());
    let mut first = home.start(&origin, SHORT);
    let held = origin.hold("PUT", "/items/1");
    let writing = first.begin(&put("/items/1", &first.tag("/items/1"), "two"));
    held.arrived();
    first.signal("TERM");
    await_log(&first, "the listeners are closed");
    held.release();
    let tag = writing.answer().expect(204).tag();
    assert!(first.await_exit().success());
    home.start_unready(&origin, LONG).put("/items/1", &tag, "three").expect(204);
}

// It was sent, and the process ends before its answer: the origin may apply it while the next one judges.
#[test]
fn a_write_that_is_cut_off_is_unsettled_in_the_next_process() {
    let (origin, home) = (Origin::with_item(), Home::new());
    origin.store("/items/2", "two");
    let mut first = home.start(&origin, SHORT);
    let (tag, other) = (first.tag("/items/1"), first.tag("/items/2"));
    let held = origin.hold("PUT", "/items/1");
    let _writing = first.begin(&put("/items/1", &tag, "late"));
    held.arrived();
    first.signal("TERM");
    await_log(&first, "the listeners are closed");
    first.signal("TERM");
    assert!(first.await_exit().success());
    assert_eq!(await_log(&first, "the ledger is saved")["occupied"], 1);

    let mut second = home.start_unready(&origin, LONG);
    assert_eq!(await_log(&second, "the ledger goes on from its state file")["unsettled"], 1);
    assert_eq!(second.tag("/items/1"), tag, "R8: reads go on with the old number");
    second.put("/items/1", &tag, "now").expect_refusal(409, "unsettled");
    second.put("/items/2", &other, "now").expect(204);
    held.release();
    stop(&mut second);

    let third = home.start_unready(&origin, SHORT);
    await_settled(&third, "/items/1");
    third.put("/items/1", &tag, "now").expect_refusal(412, "precondition-failed");
    third.put("/items/1", &third.tag("/items/1"), "now").expect(204);
}

#[test]
fn a_ledger_that_cannot_be_saved_is_an_error_at_the_end() {
    let (origin, home) = (Origin::with_item(), Home::new());
    let mut first = home.start(&origin, SHORT);
    first.get("/items/1").expect(200);
    std::fs::remove_dir_all(&home.0).expect("a folder");
    first.signal("TERM");
    assert_eq!(first.await_exit().code(), Some(1));
    assert_eq!(await_log(&first, "the ledger cannot be saved")["level"], "ERROR");
}
