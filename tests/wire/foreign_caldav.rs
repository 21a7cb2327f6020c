//! Radicale behind the proxy, with vdirsyncer in front of it: clients that take their tags from listings and send
//! them back in `If-Match`, so the tags have to be the server's own (`validator = "origin"`).

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::foreign::{Foreign, Program, installed, run};
use crate::foreign_webdav::tempdir;
use crate::harness::{Proxy, RequestText, put, request, with_origin};

const CALENDARS: &str = r#"
[[routes]]
name = "calendars"
path = "/{*path}"
upstream = "origin"
reads = ["GET", "HEAD", "PROPFIND", "REPORT"]
validator = "origin"
"#;

/// `alice:secret`
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";

struct Calendar {
    foreign: Foreign,
    proxy: Proxy,
    _origin: Program,
    folder: PathBuf,
}

impl Calendar {
    fn start(lines: &str) -> Option<Self> {
        let foreign = installed()?;
        let folder = tempdir();
        let origin = foreign.radicale(&folder.join("server"));
        let proxy = Proxy::start(&with_origin(origin.address(), &format!("{CALENDARS}{lines}")));
        let calendar = Calendar { foreign, proxy, _origin: origin, folder };
        calendar.proxy.ask(&calendar.asked("MKCALENDAR", "/alice/calendar/")).expect(201);
        Some(calendar)
    }

    fn asked(&self, method: &str, target: &str) -> RequestText {
        request(method, target).field("Authorization", ALICE)
    }

    fn put(&self, target: &str, tag: &str, body: &str) -> RequestText {
        put(target, tag, body).field("Authorization", ALICE).field("Content-Type", "text/calendar")
    }

    /// A device with a folder of its own, that syncs with the calendar.
    fn device(&self, name: &str) -> Device<'_> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(folder.join("events")).expect("a folder");
        let told = |path: &Path| path.to_str().expect("a text").to_owned();
        let config = format!(
            "[general]\nstatus_path = \"{}\"\n\
             [pair calendar]\na = \"here\"\nb = \"there\"\ncollections = null\n\
             [storage here]\ntype = \"filesystem\"\npath = \"{}\"\nfileext = \".ics\"\n\
             [storage there]\ntype = \"caldav\"\nurl = \"http://{}/alice/calendar/\"\n\
             username = \"alice\"\npassword = \"secret\"\n",
            told(&folder.join("status")),
            told(&folder.join("events")),
            self.proxy.address(),
        );
        std::fs::write(folder.join("config"), config).expect("a file");
        let device = Device { calendar: self, folder };
        expect_success(&device.vdirsyncer("discover"));
        device
    }
}

impl Drop for Calendar {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

struct Device<'c> {
    calendar: &'c Calendar,
    folder: PathBuf,
}

impl Device<'_> {
    fn vdirsyncer(&self, what: &str) -> Output {
        let mut command = self.calendar.foreign.vdirsyncer();
        run(command.arg("--config").arg(self.folder.join("config")).arg(what))
    }

    #[track_caller]
    fn sync(&self) {
        expect_success(&self.vdirsyncer("sync"));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join("events").join(format!("{name}.ics"))
    }

    fn write(&self, name: &str, summary: &str) {
        std::fs::write(self.file(name), event(name, summary)).expect("a file");
    }

    /// The summaries of all events, in order.
    fn summaries(&self) -> Vec<String> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(self.folder.join("events")).expect("a folder") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a text");
            let line = text.lines().find_map(|line| line.strip_prefix("SUMMARY:")).expect("a summary");
            all.push(line.to_owned());
        }
        all.sort_unstable();
        all
    }
}

#[track_caller]
fn expect_success(output: &Output) {
    assert!(output.status.success(), "{}", told(output));
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn event(uid: &str, summary: &str) -> String {
    [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//ifmatch//tests//EN",
        "BEGIN:VEVENT",
        &format!("UID:{uid}"),
        "DTSTAMP:20260105T100000Z",
        "DTSTART:20260106T100000Z",
        "DTEND:20260106T110000Z",
        &format!("SUMMARY:{summary}"),
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    .join("\r\n")
}

#[test]
fn two_devices_sync_through_the_proxy_both_ways() {
    for lines in ["", "origin_enforces = true\n"] {
        let Some(calendar) = Calendar::start(lines) else { return };
        let (phone, laptop) = (calendar.device("phone"), calendar.device("laptop"));
        phone.write("lunch", "Lunch");
        phone.write("dinner", "Dinner");
        phone.sync();
        laptop.sync();
        assert_eq!(laptop.summaries(), ["Dinner", "Lunch"]);
        laptop.write("lunch", "Late lunch");
        laptop.write("tea", "Tea");
        laptop.sync();
        phone.sync();
        assert_eq!(phone.summaries(), ["Dinner", "Late lunch", "Tea"]);
        std::fs::remove_file(phone.file("dinner")).expect("a file");
        phone.write("tea", "Early tea");
        phone.sync();
        laptop.sync();
        assert_eq!(laptop.summaries(), ["Early tea", "Late lunch"]);
        // The calendar; three events made, two changed and one deleted, each with a precondition of its own.
        let route = "outcome=\"applied\",route=\"calendars\"";
        calendar.proxy.expect_metric(&format!("ifmatch_writes_settled_total{{{route}}}"), 7);
        calendar.proxy.expect_metric("ifmatch_conflicts_total{mode=\"enforce\"}", 0);
    }
}

#[test]
fn an_event_that_was_changed_on_two_devices_is_a_conflict() {
    let Some(calendar) = Calendar::start("") else { return };
    let (phone, laptop) = (calendar.device("phone"), calendar.device("laptop"));
    phone.write("lunch", "Lunch");
    phone.sync();
    laptop.sync();
    phone.write("lunch", "Phone lunch");
    laptop.write("lunch", "Laptop lunch");
    laptop.sync();
    let conflict = phone.vdirsyncer("sync");
    assert!(!conflict.status.success() && told(&conflict).contains("conflict"), "{}", told(&conflict));
    assert_eq!(phone.summaries(), ["Phone lunch"], "neither side is lost");
    laptop.sync();
    assert_eq!(laptop.summaries(), ["Laptop lunch"]);
}

#[test]
fn a_write_with_the_tag_of_an_older_event_is_refused_before_it_reaches_the_server() {
    let Some(calendar) = Calendar::start("") else { return };
    let (phone, laptop) = (calendar.device("phone"), calendar.device("laptop"));
    phone.write("lunch", "Lunch");
    phone.sync();
    laptop.sync();
    let listing = calendar.asked("PROPFIND", "/alice/calendar/").field("Depth", "1");
    let listing = listing.field("Content-Type", "application/xml").body(
        r#"<?xml version="1.0"?><propfind xmlns="DAV:"><prop><getetag/><getcontenttype/></prop></propfind>"#,
    );
    let listing = calendar.proxy.ask(&listing).expect(207).text();
    let target = "/alice/calendar/lunch.ics";
    let tag = calendar.proxy.ask(&calendar.asked("GET", target)).expect(200).tag();
    assert!(listing.contains(&tag.replace('"', "&quot;")) || listing.contains(&tag), "{tag}\n{listing}");
    laptop.write("lunch", "Laptop lunch");
    laptop.sync();
    let stale = calendar.put(target, &tag, &event("lunch", "Stale lunch"));
    calendar.proxy.ask(&stale).expect_refusal(412, "precondition-failed");
    let delete = calendar.asked("DELETE", target).if_match(&tag);
    calendar.proxy.ask(&delete).expect_refusal(412, "precondition-failed");
    calendar.proxy.ask(&calendar.asked("DELETE", target)).expect_refusal(428, "precondition-required");
    phone.sync();
    assert_eq!(phone.summaries(), ["Laptop lunch"]);
    let fresh = calendar.proxy.ask(&calendar.asked("GET", target)).expect(200).tag();
    calendar.proxy.ask(&calendar.put(target, &fresh, &event("lunch", "Fresh lunch"))).expect(204);
    phone.sync();
    assert_eq!(phone.summaries(), ["Fresh lunch"]);
}
