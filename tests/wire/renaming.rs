//! R14 as a client sees it: what another configuration names or treats in another way, by a reload or over a
//! restart, and what it leaves alone.

use crate::given::{ITEMS, items, items_with};
use crate::harness::{Origin, Proxy, put, request, with_body, with_origin, with_server};
use crate::restart::Home;

const RENAMED: &str = "path = \"/items/{id}\"\nresource = \"item:{id}\"\n";
const AS_IT_WAS: &str = "path = \"/items/{id}\"\n";

fn puts(origin: &Origin) -> usize {
    origin.seen().iter().filter(|request| request.method == "PUT").count()
}

/// Waits until a write with a tag that is stale by then is judged.
#[track_caller]
fn await_judged(proxy: &Proxy, path: &str, stale: &str) {
    let began = std::time::Instant::now();
    while proxy.put(path, stale, "stale").status == 503 {
        assert!(began.elapsed() < crate::harness::HANG, "never judged");
        std::thread::yield_now();
    }
}

fn renamed(proxy: &Proxy) -> String {
    proxy.config().replace(AS_IT_WAS, RENAMED)
}

// The write under the old name does not occupy the new one: let through at once, the second write would
// replace a state that the first one is about to change.
#[test]
fn a_renamed_resource_waits_for_the_write_that_its_old_name_is_occupied_by() {
    let (origin, proxy) = items();
    origin.store("/items/2", "two");
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "under the old name"));
    held.arrived();
    proxy.reload(&renamed(&proxy));
    let meanwhile = proxy.tag("/items/1");
    assert_ne!(meanwhile, tag);
    let refused = proxy.put("/items/1", &meanwhile, "too early").expect_refusal(503, "starting");
    assert!(refused.has("Retry-After"), "{refused}");
    proxy.ask(&request("POST", "/items/1").body("x")).expect_refusal(503, "starting");
    proxy.ask(&request("PUT", "/items/2").body("x")).expect_refusal(428, "precondition-required");
    proxy.admin("/readyz").expect(200);
    held.release();
    let written = writing.answer().expect(204).tag();
    proxy.await_rest();
    for old in [&tag, &meanwhile, &written] {
        proxy.put("/items/1", old, "stale").expect_refusal(412, "precondition-failed");
    }
    let fresh = proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204).tag();
    proxy.put("/items/1", &fresh, "three").expect(204);
    assert_eq!(puts(&origin), 3);
}

#[test]
fn a_name_that_comes_back_brings_none_of_its_tags_back() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    proxy.reload(&renamed(&proxy));
    let other = proxy.put("/items/1", &proxy.tag("/items/1"), "behind its back").expect(204).tag();
    proxy.reload(proxy.config());
    for old in [&tag, &other] {
        proxy.put("/items/1", old, "stale").expect_refusal(412, "precondition-failed");
    }
    proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
}

#[test]
fn a_write_of_unknown_outcome_is_waited_for_until_it_is_settled() {
    for settle in ["1h", "300ms"] {
        let origin = Origin::with_item();
        let proxy = Proxy::in_front_of(&origin, &ITEMS.replace("300ms", settle));
        let tag = proxy.tag("/items/1");
        origin.once("PUT", "/items/1", |exchange| {
            exchange.read_body()?;
            exchange.close()
        });
        proxy.put("/items/1", &tag, "lost").expect_refusal(502, "outcome-unknown");
        proxy.reload(&renamed(&proxy));
        if settle == "1h" {
            proxy.put("/items/1", &proxy.tag("/items/1"), "too early").expect_refusal(503, "starting");
        } else {
            await_judged(&proxy, "/items/1", &tag);
            proxy.put("/items/1", &tag, "stale").expect_refusal(412, "precondition-failed");
            proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
        }
    }
}

#[test]
fn another_policy_or_another_origin_makes_earlier_tags_stale() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let allow = AS_IT_WAS.to_owned() + "unconditional = \"allow\"\n";
    proxy.reload(&proxy.config().replace(AS_IT_WAS, &allow));
    proxy.put("/items/1", &tag, "stale").expect_refusal(412, "precondition-failed");
    let tag = proxy.tag("/items/1");
    let other = Origin::with_item();
    let moved = proxy.config().replace(AS_IT_WAS, &allow);
    proxy.reload(&moved.replace(&origin.address().to_string(), &other.address().to_string()));
    proxy.put("/items/1", &tag, "stale").expect_refusal(412, "precondition-failed");
    proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
    assert_eq!((puts(&origin), puts(&other)), (0, 1));
}

#[test]
fn what_only_words_and_limits_change_keeps_its_tags() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let words = AS_IT_WAS.to_owned() + "stale_status = 409\nreveal_current = true\nbody_limit = \"1KiB\"\n";
    let text = proxy.config().replace(AS_IT_WAS, &words).replace("name = \"item\"", "name = \"renamed\"");
    proxy.reload(&text);
    let fresh = proxy.put("/items/1", &tag, "two").expect(204).tag();
    proxy.put("/items/1", &tag, "stale").expect_refusal(409, "precondition-failed");
    proxy.put("/items/1", &fresh, "three").expect(204);
}

// While the route was off nobody counted the write's resource as occupied.
#[test]
fn a_route_that_is_guarded_from_now_on_waits_for_the_writes_that_nobody_judged() {
    let origin = Origin::with_item();
    let off = "[[routes]]\nname = \"item\"\npath = \"/items/{id}\"\nupstream = \"origin\"\nmode = \"off\"\n";
    let proxy = Proxy::in_front_of(&origin, off);
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&request("PUT", "/items/1").body("unjudged"));
    held.arrived();
    proxy.reload(&proxy.config().replace("mode = \"off\"\n", ""));
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "too early").expect_refusal(503, "starting");
    held.release();
    writing.answer().expect(204);
    proxy.put("/items/1", &tag, "stale").expect_refusal(412, "precondition-failed");
    proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
}

// The version of the whole had overtaken the resource's own. Forgotten with the key, it would bring the
// tags back that it had made stale.
#[test]
fn tags_that_died_with_the_whole_upstream_stay_dead_without_it() {
    let (origin, home) = (Origin::with_item(), Home::new());
    let star =
        "\n[[routes]]\nname = \"all\"\npath = \"/import\"\nupstream = \"origin\"\nalso_changes = [\"*\"]\n";
    let without = with_server(&with_origin(origin.address(), &home.config("50ms")));
    let with = with_server(&with_origin(origin.address(), &(home.config("50ms") + star)));
    let mut first = Proxy::start(&with);
    let tag = first.tag("/items/1");
    first.ask(&request("POST", "/import").body("x"));
    first.put("/items/1", &tag, "stale").expect_refusal(412, "precondition-failed");
    first.reload(&without);
    first.put("/items/1", &tag, "stale").expect_refusal(412, "precondition-failed");
    first.reload(&with);
    first.put("/items/1", &tag, "stale").expect_refusal(412, "precondition-failed");
    first.signal("TERM");
    assert!(first.await_exit().success());
    let second = Proxy::start(&without);
    await_judged(&second, "/items/1", &tag);
    second.put("/items/1", &tag, "stale").expect_refusal(412, "precondition-failed");
    second.put("/items/1", &second.tag("/items/1"), "two").expect(204);
}

#[test]
fn names_that_change_over_a_restart_wait_for_what_the_stop_cut_off() {
    for settle in ["1h", "300ms"] {
        let (origin, home) = (Origin::with_item(), Home::new());
        origin.store("/items/2", "two");
        let text = with_origin(origin.address(), &home.config(settle));
        let mut first = Proxy::start(&text.replace("[ledger]\n", "[ledger]\nstart_hold = \"0s\"\n"));
        let (tag, other) = (first.tag("/items/1"), first.tag("/items/2"));
        let held = origin.hold("PUT", "/items/1");
        let _writing = first.begin(&put("/items/1", &tag, "late"));
        held.arrived();
        first.signal("TERM");
        first.log_line("it winds down", |line| {
            line["message"].as_str().is_some_and(|message| message.contains("waiting for"))
        });
        first.signal("TERM");
        assert!(first.await_exit().success());

        let second = Proxy::start_unready(&text.replace(AS_IT_WAS, RENAMED));
        second.log_line("names have changed", |line| line["names"].is_string());
        if settle == "1h" {
            second.put("/items/2", &second.tag("/items/2"), "too early").expect_refusal(503, "starting");
            second.put("/items/1", &tag, "too early").expect_refusal(503, "starting");
        } else {
            held.release();
            await_judged(&second, "/items/2", &other);
            second.put("/items/2", &other, "stale").expect_refusal(412, "precondition-failed");
            second.put("/items/2", &second.tag("/items/2"), "two").expect(204);
        }
    }
}

// The lag is known to the old slot alone: a read that still shows what was there before the write would get
// the new one's good tag.
#[test]
fn a_renamed_resource_waits_until_reads_no_longer_lag_behind_its_last_write() {
    let (origin, proxy) = items_with("read_lag = \"1h\"");
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "new").expect(204);
    proxy.reload(&renamed(&proxy));
    origin.answer_once("GET", "/items/1", with_body("200 OK", "text/plain", "what was there before"));
    let behind = proxy.tag("/items/1");
    proxy.put("/items/1", &behind, "over what its author never saw").expect_refusal(503, "starting");
    assert_eq!(puts(&origin), 1);
}

const OFF: &str = "[ledger]\nsettle = \"1h\"\n\n[[routes]]\nname = \"item\"\npath = \"/items/{id}\"\nupstream = \"origin\"\n\
                   mode = \"off\"\n";

// An unjudged write is under way for as long as a judged one would occupy its resource.
#[test]
fn a_route_that_is_guarded_from_now_on_waits_out_the_settle_time_of_unjudged_writes_of_unknown_outcome() {
    for status in ["202 Accepted", "504 Gateway Timeout"] {
        let origin = Origin::with_item();
        let proxy = Proxy::in_front_of(&origin, OFF);
        origin.answer_once("PUT", "/items/1", format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        proxy.ask(&request("PUT", "/items/1").body("unjudged"));
        proxy.reload(&proxy.config().replace("mode = \"off\"\n", ""));
        proxy.put("/items/1", &proxy.tag("/items/1"), "too early").expect_refusal(503, "starting");
    }
}

#[test]
fn an_unjudged_write_that_is_answered_early_is_waited_for_until_its_body_is_over_and_settled() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, &OFF.replace("1h", "0s"));
    origin.once("PUT", "/items/1", |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        exchange.apply()
    });
    let mut writing = proxy.connect();
    writing.send("PUT /items/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc").expect_answer_to("PUT");
    writing.answer().expect(200);
    proxy.reload(&proxy.config().replace("mode = \"off\"\n", ""));
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "too early").expect_refusal(503, "starting");
    writing.send("def");
    await_judged(&proxy, "/items/1", &tag);
}

// It began with names that nobody goes by any more: whoever writes by the new ones would not meet it.
#[test]
fn a_write_that_began_under_observe_mode_is_not_let_through_once_its_route_is_guarded() {
    let (origin, proxy) = items_with("mode = \"observe\"");
    let mut writing = proxy.connect();
    let form = "Host: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n";
    writing.send(format!("POST /items/1 HTTP/1.1\r\n{form}\r\na=")).expect_answer_to("POST");
    proxy.await_metric("ifmatch_requests_in_flight", 1);
    proxy.reload(&proxy.config().replace("mode = \"observe\"", ""));
    writing.send("b");
    writing.answer().expect_refusal(503, "starting");
    assert!(origin.seen_to("POST", "/items/1").is_empty());
}

// Names that nothing is judged by yet have another slot than afterwards, and the write ends afterwards.
#[test]
fn a_write_that_observe_mode_lets_through_while_names_wait_occupies_what_they_name_afterwards() {
    let shared = "resource = \"item:{id}\"\n\n[[routes]]\nname = \"note\"\npath = \"/items/{id}/note\"\n\
                  upstream = \"origin\"\nresource = \"item:{id}\"\nmode = \"observe\"\n";
    let (origin, proxy) = items_with(shared);
    let before = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &proxy.tag("/items/1"), "one"));
    before.arrived();
    proxy.reload(&proxy.config().replace("\"item:{id}\"", "\"thing:{id}\""));
    let note = origin.hold("POST", "/items/1/note");
    let noting = proxy.begin(&request("POST", "/items/1/note").body("a note"));
    note.arrived();
    before.release();
    writing.answer().expect(204);
    let behind = proxy.tag("/items/1");
    proxy.put("/items/1", &behind, "beside it").expect_refusal(409, "write-in-flight");
    note.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    noting.answer().expect(200);
    proxy.put("/items/1", &behind, "over the note").expect_refusal(412, "precondition-failed");
    proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
}

const LIST: &str = "\n[[routes]]\nname = \"list\"\npath = \"/list/{id}\"\nupstream = \"other\"\n";
const CREATED: &str = "HTTP/1.1 201 Created\r\nLocation: /list/1\r\nContent-Length: 0\r\n\r\n";

/// Two upstreams with one server; what is created at `/items/1` is found at `/list/1`, which reads like this.
fn two_upstreams(list: &str) -> (Origin, Proxy) {
    let origin = Origin::with_item();
    origin.store("/list/1", "nothing yet");
    let at = origin.address();
    let upstreams =
        format!("\n[upstreams.origin]\nservers = [\"{at}\"]\n[upstreams.other]\nservers = [\"{at}\"]\n");
    let proxy = Proxy::in_front_of(&origin, &format!("{}{upstreams}{LIST}{list}", crate::given::ITEMS));
    (origin, proxy)
}

#[test]
fn what_a_write_names_in_another_upstream_is_stale_also_by_its_newer_name() {
    let (origin, proxy) = two_upstreams("");
    let held = origin.hold("POST", "/items/1");
    let writing = proxy.begin(&request("POST", "/items/1").body("x"));
    held.arrived();
    proxy.reload(&proxy.config().replace(LIST, &(LIST.to_owned() + "resource = \"list:{id}\"\n")));
    let tag = proxy.tag("/list/1");
    held.answer(CREATED);
    writing.answer().expect(201);
    proxy.put("/list/1", &tag, "stale").expect_refusal(412, "precondition-failed");
}

#[test]
fn what_a_write_names_in_another_upstream_lags_as_reads_do_there() {
    let (origin, proxy) = two_upstreams("read_lag = \"1h\"\n");
    origin.answer_once("POST", "/items/1", CREATED);
    proxy.ask(&request("POST", "/items/1").body("x")).expect(201);
    let behind = proxy.tag("/list/1");
    proxy
        .put("/list/1", &behind, "over what its author never saw")
        .expect_refusal(412, "precondition-failed");
}
