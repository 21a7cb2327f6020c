//! The demo says what was found, and fails where the guard did.

use std::net::SocketAddr;

use super::toy_guard::{self, Behaviour};
use super::{ANY, start_legacy_api};
use crate::demo::legacy_api::Documents;
use crate::demo::storm::StormError;
use crate::demo::{DemoOptions, show, show_on};

async fn shown(guard: SocketAddr, once: bool) -> (String, Result<(), StormError>) {
    let (address, documents) = start_legacy_api().await;
    let admin = "127.0.0.1:9090".parse().unwrap();
    let mut out = Vec::new();
    let options = DemoOptions { once, ..DemoOptions::default() };
    let verdict = show_on(&mut out, address, guard, admin, &documents, options).await;
    (String::from_utf8(out).unwrap(), verdict)
}

#[tokio::test]
async fn the_demo_shows_both_storms_and_what_to_try() {
    let guard = toy_guard::start(Behaviour::Honest).await;
    let (text, verdict) = shown(guard, false).await;
    verdict.unwrap();
    assert!(text.contains("of 400 acknowledged increments are gone"), "{text}");
    assert!(text.contains("through ifmatch, all 400 are there"), "{text}");
    assert!(text.contains("refused: precondition-failed"), "{text}");
    assert!(text.contains(&format!("-H 'If-Match: \"v0\"' http://{guard}/counters/guarded\n")), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("curl ")).count(), 3);
    assert!(text.contains("http://127.0.0.1:9090/conflicts"), "{text}");
}

#[tokio::test]
async fn a_guard_that_loses_updates_fails_the_demo_after_the_table() {
    let guard = toy_guard::start(Behaviour::Forgetful).await;
    let (text, verdict) = shown(guard, false).await;
    assert!(matches!(verdict, Err(StormError::GuardLostUpdates(400))));
    assert!(text.contains("AND THROUGH IFMATCH 400 ARE GONE TOO"), "{text}");
    assert!(!text.contains("curl"), "{text}");
}

#[tokio::test]
async fn once_leaves_the_commands_out() {
    let (text, verdict) = shown(toy_guard::start(Behaviour::Honest).await, true).await;
    verdict.unwrap();
    assert!(text.contains("lost updates") && !text.contains("curl"), "{text}");
}

#[test]
fn the_demo_can_be_spawned() {
    fn spawnable<T: Send>(_: T) {}
    spawnable(show(ANY, ANY, ANY, &Documents::default(), DemoOptions::default()));
}
