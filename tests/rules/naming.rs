//! R14: what another configuration names or treats in another way is told as affected, and gets another
//! slot; what it leaves alone keeps its own.

use std::sync::Arc;
use std::time::Duration;

use ifmatch::config;
use ifmatch::config::checked::{Config, Route};
use ifmatch::decide::aim;
use ifmatch::decide::naming::{Affected, Naming};
use ifmatch::identify::name_range::NameRange;
use ifmatch::identify::resource_id::ResourceId;
use ifmatch::identify::target_path::TargetPath;
use ifmatch::ledger::memory::{LedgerLimits, MemoryLedger};
use ifmatch::ledger::names::NotInForce;
use ifmatch::ledger::snapshot::Reader;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::seeded::check;

const PATHS: [&str; 9] = [
    "/{*rest}",
    "/a",
    "/a/{id}",
    "/{x}/1",
    "/a/{id}/b",
    "/a/{*rest}",
    "/b/{id}",
    "/a.json/{*rest}",
    "/b/{*rest}",
];
const POLICIES: [&str; 8] = [
    "",
    "mode = \"off\"",
    "resource = \"x:1\"",
    "resource = \"/a/1\"",
    "unconditional = \"allow\"",
    "also_changes = [\"x:1\"]",
    "also_changes = [\"*\"]",
    "fold = { case = false }",
];
const SPELLED: [&str; 14] = [
    "/",
    "/a",
    "/a/1",
    "/A/01/",
    "/a/2",
    "/a/1.json",
    "/a/1/b",
    "/a/1/c",
    "/b/1",
    "/b/1/2",
    "/c",
    "/a.json",
    "/a.json/1",
    "/c/1",
];

type Drafts = Vec<(&'static str, &'static str, &'static str)>;

/// Some routes of two upstreams.
fn drafts() -> impl Strategy<Value = Drafts> {
    let routes =
        (subsequence(PATHS.to_vec(), 0..6), vec((select(&POLICIES[..]), select(&["u", "v"][..])), 6));
    routes.prop_map(|(paths, how)| {
        paths.into_iter().zip(how).map(|(path, (policy, upstream))| (path, policy, upstream)).collect()
    })
}

fn config_of(drafts: &Drafts) -> Config {
    let mut text = "[upstreams.u]\nservers = [\"u:1\"]\n[upstreams.v]\nservers = [\"v:1\"]\n".to_owned();
    for (n, (path, policy, upstream)) in drafts.iter().enumerate() {
        text +=
            &format!("[[routes]]\nname = \"r{n}\"\npath = \"{path}\"\nupstream = \"{upstream}\"\n{policy}\n");
    }
    // A file without routes is refused; this one takes no path of the test.
    text += "[[routes]]\nname = \"last\"\npath = \"/never/taken\"\nupstream = \"u\"\nmode = \"off\"\n";
    config::parse("drafts", &text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn naming_of(config: &Config) -> Naming {
    let mut naming = Naming::default();
    for upstream in &config.upstreams {
        naming.upstream(&upstream.name, &(&upstream.servers, upstream.has_whole_changes));
    }
    for route in config.routes.iter() {
        naming.route(&route.policy, &route.hosts, &route.path);
    }
    naming
}

/// What a configuration makes of a path: whose resource it names, and by which policy.
fn made_of(config: &Config, path: &str) -> Option<(String, ResourceId, String)> {
    let path = TargetPath::parse(path);
    let Route { policy, upstream, .. } = config.routes.find(None, &path)?;
    let id = aim::resource(policy, &path, None, None).expect("plain paths");
    let mut unnamed = (**policy).clone();
    unnamed.name = "".into();
    policy.is_managed().then(|| (upstream.name.to_string(), id, format!("{unnamed:?}")))
}

#[test]
fn whatever_becomes_of_a_path_is_told_and_what_stays_as_it_is_may_be() {
    check(500, (drafts(), drafts()), |(one, another)| {
        let (before, after) = (config_of(&one), config_of(&another));
        let affected = naming_of(&after).changed_since(&naming_of(&before));
        for path in SPELLED {
            let (was, is) = (made_of(&before, path), made_of(&after, path));
            if was == is {
                continue;
            }
            for (upstream, id, _) in was.iter().chain(&is) {
                let told = affected.iter().any(|a| a.upstream == *upstream && a.range.contains(id.as_str()));
                prop_assert!(told, "{path}: {was:?} became {is:?}, and {affected:?} is told");
            }
        }
        Ok(())
    });
}

#[test]
fn a_configuration_affects_nothing_of_its_own() {
    check(200, drafts(), |drafts| {
        let config = config_of(&drafts);
        prop_assert_eq!(naming_of(&config).changed_since(&naming_of(&config)), vec![]);
        Ok(())
    });
}

#[test]
fn a_further_route_leaves_alone_what_it_does_not_take() {
    let one: Drafts = vec![("/{*rest}", "", "u"), ("/a/{id}", "", "u")];
    let mut two = one.clone();
    two.push(("/a/{id}/b", "", "u"));
    let affected = naming_of(&config_of(&two)).changed_since(&naming_of(&config_of(&one)));
    let is_affected = |name: &str| affected.iter().any(|a| a.range.contains(name));
    assert!(is_affected("/a/1/b"));
    assert!(!is_affected("/a/1") && !is_affected("/b/1") && !is_affected("/a/1/c"));
}

fn ledger() -> Arc<MemoryLedger> {
    let settle = Duration::from_secs(5);
    MemoryLedger::new(LedgerLimits { max_resources: 8, settle, start_hold: Duration::ZERO })
}

fn naming(route: &str) -> Naming {
    naming_of(&config_of(&vec![
        ("/b/{id}", "", "u"),
        ("/a/{id}", if route == "x" { POLICIES[2] } else { "" }, "u"),
    ]))
}

fn name(text: &str) -> ResourceId {
    ResourceId::from(text.to_owned())
}

#[test]
fn a_changed_name_waits_for_the_writes_of_before_and_gets_another_slot_then() {
    let ledger = ledger();
    let (a, b) = (name("/a/1"), name("/b/1"));
    assert!(ledger.rename(naming("")).is_empty());
    let first = ledger.names().in_force();
    let (key, other) = (ledger.keys_of("u").key(&first, &a), ledger.keys_of("u").key(&first, &b));
    let writing = ledger.names().begin("u");
    assert_eq!(writing.admits(&first, "u", "/a/1"), Ok(()));

    assert!(!ledger.rename(naming("x")).is_empty());
    let second = ledger.names().in_force();
    let next = ledger.names().begin("u");
    assert_eq!(next.admits(&first, "u", "/a/1"), Err(NotInForce::Superseded));
    assert_eq!(next.admits(&second, "u", "/a/1"), Err(NotInForce::Waiting));
    assert_eq!(next.admits(&second, "u", "x:1"), Err(NotInForce::Waiting));
    assert_eq!(next.admits(&first, "u", "/b/1"), Ok(()), "nothing of its own changed");
    assert_eq!(ledger.keys_of("u").key(&second, &b), other);
    let meanwhile = ledger.keys_of("u").key(&second, &a);
    assert_ne!(meanwhile, key);
    drop(next);
    assert_eq!(ledger.names().begin("u").admits(&second, "u", "/a/1"), Err(NotInForce::Waiting));
    drop(writing);
    assert_eq!(ledger.names().begin("u").admits(&second, "u", "/a/1"), Ok(()));
    let opened = ledger.keys_of("u").key(&second, &a);
    assert!(opened != key && opened != meanwhile, "what was read before it opened is stale");

    // And back again: none of the former slots is ever used again.
    assert!(!ledger.rename(naming("")).is_empty());
    let third = ledger.names().in_force();
    assert_eq!(ledger.names().begin("u").admits(&third, "u", "/a/1"), Ok(()), "nothing is under way");
    let back = ledger.keys_of("u").key(&third, &a);
    assert!(![key, meanwhile, opened].contains(&back));
    assert_eq!(ledger.keys_of("u").key(&third, &b), other);
}

#[test]
fn a_change_before_the_last_one_opened_is_waited_for_too() {
    let ledger = ledger();
    ledger.rename(naming(""));
    let oldest = ledger.names().begin("u");
    ledger.rename(naming("x"));
    ledger.rename(naming(""));
    let third = ledger.names().in_force();
    assert_eq!(ledger.names().begin("u").admits(&third, "u", "/a/1"), Err(NotInForce::Waiting));
    drop(oldest);
    assert_eq!(ledger.names().begin("u").admits(&third, "u", "/a/1"), Ok(()));
}

#[test]
fn names_outlive_a_restart_and_what_changed_over_it_is_affected() {
    let first = ledger();
    first.rename(naming(""));
    first.rename(naming("x"));
    let open = first.keys_of("u").key(&first.names().in_force(), &name("/a/1"));
    let restart = |ledger: &MemoryLedger| {
        let mut bytes = Vec::new();
        ledger.close().expect("it judged").write_to(&mut bytes).expect("memory");
        let limits = LedgerLimits { max_resources: 8, settle: Duration::ZERO, start_hold: Duration::ZERO };
        let reader = Reader::open(&bytes[..], bytes.len() as u64).expect("whole");
        MemoryLedger::restore(limits, reader).expect("whole")
    };
    let second = restart(&first);
    assert!(second.rename(naming("x")).is_empty());
    assert_eq!(second.keys_of("u").key(&second.names().in_force(), &name("/a/1")), open);
    let third = restart(&second);
    let affected = third.rename(naming(""));
    assert!(affected.contains(&Affected { upstream: "u".into(), range: NameRange::Text("x:1".into()) }));
    assert_ne!(third.keys_of("u").key(&third.names().in_force(), &name("/a/1")), open);
}

#[test]
fn what_had_not_opened_before_a_restart_is_affected_by_it() {
    let first = ledger();
    first.rename(naming(""));
    let _writing = first.names().begin("u");
    first.rename(naming("x"));
    let waiting = first.keys_of("u").key(&first.names().in_force(), &name("/a/1"));
    let mut bytes = Vec::new();
    first.close().expect("it judged").write_to(&mut bytes).expect("memory");
    let limits = LedgerLimits { max_resources: 8, settle: Duration::ZERO, start_hold: Duration::ZERO };
    let reader = Reader::open(&bytes[..], bytes.len() as u64).expect("whole");
    let second = MemoryLedger::restore(limits, reader).expect("whole");
    assert!(!second.rename(naming("x")).is_empty());
    assert_ne!(second.keys_of("u").key(&second.names().in_force(), &name("/a/1")), waiting);
}

/// A stop closes the ledger, then drops the tasks that saw to the writes under way, and then writes the
/// state down. What they counted has not ended by that.
#[test]
fn writes_that_a_stop_cuts_off_do_not_open_the_names_that_wait_for_them() {
    let first = ledger();
    first.rename(naming(""));
    let cut_off = first.names().begin("u");
    first.rename(naming("x"));
    assert!(first.close().is_some());
    drop(cut_off);
    let mut bytes = Vec::new();
    first.close().expect("it judged").write_to(&mut bytes).expect("memory");
    let limits = LedgerLimits { max_resources: 8, settle: Duration::ZERO, start_hold: Duration::ZERO };
    let reader = Reader::open(&bytes[..], bytes.len() as u64).expect("whole");
    let second = MemoryLedger::restore(limits, reader).expect("whole");
    assert!(!second.rename(naming("x")).is_empty(), "they wait in the next process");
}

#[test]
fn what_nobody_judges_is_waited_for_where_its_path_goes_to_another_upstream() {
    let ledger = ledger();
    let of =
        |policy, upstream| naming_of(&config_of(&vec![("/b/{id}", "", "u"), ("/a/{id}", policy, upstream)]));
    ledger.rename(of(POLICIES[1], "u"));
    let (first, unjudged) = (ledger.names().in_force(), ledger.names().begin("u"));
    ledger.rename(of("", "v"));
    let second = ledger.names().in_force();
    assert!(!ledger.names().begin("u").is_in_force(&first, "u"));
    assert_eq!(ledger.names().begin("v").admits(&second, "v", "/a/1"), Err(NotInForce::Waiting));
    drop(unjudged);
    assert_eq!(ledger.names().begin("v").admits(&second, "v", "/a/1"), Ok(()));
}

#[test]
fn what_nobody_judges_is_not_refused_for_a_change_that_is_none_of_its_upstream() {
    let ledger = ledger();
    let of = |policy| naming_of(&config_of(&vec![("/b/{id}", POLICIES[1], "u"), ("/a/{id}", policy, "v")]));
    ledger.rename(of(""));
    let first = ledger.names().in_force();
    ledger.rename(of(""));
    assert!(ledger.names().begin("v").is_in_force(&first, "v"), "nothing has changed");
    ledger.rename(of(POLICIES[2]));
    assert!(ledger.names().begin("u").is_in_force(&first, "u"));
    assert!(!ledger.names().begin("v").is_in_force(&first, "v"));
}
