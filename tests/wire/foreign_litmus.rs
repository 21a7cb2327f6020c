//! litmus, the WebDAV test suite: whatever an origin passes, it passes behind an unmanaged route too.

use std::net::SocketAddr;
use std::process::Command;

use crate::foreign::{installed, run};
use crate::foreign_webdav::tempdir;
use crate::harness::{Proxy, with_origin};

const PASSED_ON: &str = r#"
[[routes]]
name = "all"
path = "/{*path}"
upstream = "origin"
mode = "off"
"#;

#[test]
fn litmus_finds_the_same_with_the_proxy_and_without() {
    let Some(foreign) = installed() else { return };
    let directly = {
        let files = tempdir();
        let origin = foreign.wsgidav(&files);
        let found = litmus(origin.address());
        std::fs::remove_dir_all(files).expect("a folder");
        found
    };
    let files = tempdir();
    let origin = foreign.wsgidav(&files);
    let proxy = Proxy::start(&with_origin(origin.address(), PASSED_ON));
    let through = litmus(proxy.address());
    std::fs::remove_dir_all(files).expect("a folder");
    // Otherwise there was nothing to compare.
    let suites: Vec<&str> = directly.lines().filter(|line| line.starts_with("<- summary for")).collect();
    assert_eq!(suites.len(), 5, "{directly}");
    assert!(suites.iter().all(|suite| suite.contains(" 0 failed.")), "{directly}");
    assert_eq!(directly, through);
}

/// What litmus says, each test's name and result included, without what differs from run to run.
fn litmus(target: SocketAddr) -> String {
    let folder = tempdir();
    let mut litmus = Command::new("litmus");
    // It writes debug.log into the folder that it is started in.
    litmus.current_dir(&folder).args(["--keep-going", &format!("http://{target}/")]);
    let output = run(&mut litmus);
    std::fs::remove_dir_all(folder).expect("a folder");
    let text = String::from_utf8_lossy(&output.stdout).replace(&target.to_string(), "TARGET");
    // A terminal shows only what stands behind a line's last carriage return.
    let lines = text.lines().map(|line| line.rsplit('\r').next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}
