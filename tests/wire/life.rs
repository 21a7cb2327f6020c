//! Starting, reloading, stopping; and that nothing is left behind.

use crate::given::{ITEMS, items, items_with};
use crate::harness::{Client, Origin, Proxy, put, request, with_origin};
use crate::restart::Home;

const SECOND_ROUTE: &str = "
[[routes]]
name = \"second\"
path = \"/second/{id}\"
upstream = \"origin\"
";

/// Waits until a changed configuration has been taken. To be used once a test.
#[track_caller]
fn in_force(proxy: &Proxy) {
    let said = |line: &serde_json::Value| line["message"].as_str().is_some_and(|m| m.contains("is in force"));
    proxy.log_line("the configuration is in force", said);
}

#[test]
fn sighup_puts_a_changed_configuration_in_force() {
    let (origin, proxy) = items();
    origin.store("/second/1", "x");
    proxy.get("/second/1").expect_refusal(404, "no-route");
    let before = proxy.metrics().value("ifmatch_config_last_reload_success_timestamp_seconds");
    proxy.rewrite(&(proxy.config().to_owned() + SECOND_ROUTE));
    proxy.signal("HUP");
    in_force(&proxy);
    proxy.get("/second/1").expect(200).tag();
    let after = proxy.metrics();
    assert!(after.value("ifmatch_config_last_reload_success_timestamp_seconds") > before);
    after.expect("ifmatch_config_last_reload_successful", 1);
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let (origin, proxy) = items();
    origin.store("/second/1", "x");
    proxy.rewrite(&(proxy.config().to_owned() + SECOND_ROUTE));
    in_force(&proxy);
    proxy.get("/second/1").expect(200);
}

#[test]
fn a_file_that_is_replaced_by_another_is_noticed_too() {
    let (origin, proxy) = items();
    origin.store("/second/1", "x");
    let new = proxy.folder().join("new.toml");
    std::fs::write(&new, proxy.config().to_owned() + SECOND_ROUTE).expect("a file");
    std::fs::rename(&new, proxy.config_file()).expect("a rename");
    in_force(&proxy);
    proxy.get("/second/1").expect(200);
}

#[test]
fn a_bad_file_changes_nothing_and_shows() {
    let (_origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    proxy.rewrite("[server\nlisten = 1");
    proxy.signal("HUP");
    let line = proxy.log_line("the file is refused", |l| l["level"] == "ERROR" && l["problems"].is_string());
    assert!(line["message"].as_str().is_some_and(|m| m.contains("the old one stays")), "{line}");
    proxy.expect_metric("ifmatch_config_last_reload_successful", 0);
    proxy.put("/items/1", &tag, "two").expect(204);
    proxy.rewrite(proxy.config());
    in_force(&proxy);
    proxy.expect_metric("ifmatch_config_last_reload_successful", 1);
}

#[test]
fn a_file_that_is_gone_changes_nothing_and_shows() {
    let (_origin, proxy) = items();
    std::fs::remove_file(proxy.config_file()).expect("a file");
    proxy.signal("HUP");
    proxy.log_line("the file cannot be read", |l| l["level"] == "ERROR");
    proxy.await_metric("ifmatch_config_last_reload_successful", 0);
    proxy.get("/items/1").expect(200);
}

#[test]
fn versions_and_holds_outlive_a_reload() {
    let (origin, proxy) = items();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "two"));
    held.arrived();
    proxy.rewrite(&(proxy.config().to_owned() + SECOND_ROUTE));
    proxy.signal("HUP");
    in_force(&proxy);
    assert_eq!(proxy.tag("/items/1"), tag);
    proxy.put("/items/1", &tag, "three").expect_refusal(409, "write-in-flight");
    held.release();
    let fresh = writing.answer().expect(204).tag();
    proxy.await_rest();
    proxy.put("/items/1", &fresh, "three").expect(204);
}

#[test]
fn a_reload_may_lead_to_another_origin_and_another_policy() {
    let (_origin, proxy) = items();
    let other = Origin::start();
    other.store("/items/1", "other");
    let text = proxy.config().replace(
        "[upstreams.origin]\nservers = [",
        &format!("[upstreams.origin]\nservers = [\"{}\"]\n#", other.address()),
    );
    proxy.rewrite(
        &text.replace("path = \"/items/{id}\"\n", "path = \"/items/{id}\"\nunconditional = \"allow\"\n"),
    );
    proxy.signal("HUP");
    in_force(&proxy);
    assert_eq!(proxy.get("/items/1").expect(200).text(), "other");
    proxy.ask(&request("PUT", "/items/1").body("x")).expect(204);
}

#[test]
fn keys_that_count_only_at_start_are_named_in_a_warning() {
    let (_origin, proxy) = items();
    let text = proxy.config().replace("workers = ", "workers = 1").replace("300ms", "301ms");
    proxy.rewrite(&text);
    proxy.signal("HUP");
    let line = proxy.log_line("keys need a restart", |l| l["keys"].is_string());
    let keys = line["keys"].as_str().unwrap_or_default();
    assert!(keys.contains("server.workers") && keys.contains("ledger"), "{line}");
}

/// The default action of SIGHUP ends a process, so it must be taken over before anybody can know that
/// the process is there.
#[test]
fn signals_are_heard_from_the_moment_that_the_process_says_it_listens() {
    let origin = Origin::with_item();
    for _ in 0..10 {
        let mut proxy = Proxy::start_unready(&with_origin(origin.address(), ITEMS));
        proxy.signal("HUP");
        in_force(&proxy);
        proxy.get("/items/1").expect(200);
        proxy.signal("TERM");
        assert_eq!(proxy.await_exit().code(), Some(0));
        let mut proxy = Proxy::start_unready(&with_origin(origin.address(), ITEMS));
        proxy.signal("TERM");
        assert_eq!(proxy.await_exit().code(), Some(0));
    }
}

#[test]
fn sigterm_lets_a_held_write_end_and_exits_at_once_with_0() {
    // One worker alone has a runtime of another kind.
    for (signal, workers) in [("TERM", 2), ("INT", 2), ("QUIT", 2), ("TERM", 1)] {
        let (origin, mut proxy) = items_with(&format!("[server]\nworkers = {workers}"));
        let tag = proxy.tag("/items/1");
        let mut idle = proxy.connect();
        idle.ask(&request("GET", "/items/1")).expect(200);
        let held = origin.hold("PUT", "/items/1");
        let writing = proxy.begin(&put("/items/1", &tag, "two"));
        held.arrived();
        proxy.signal(signal);
        proxy.log_line("the listeners are closed", |l| {
            l["message"].as_str().is_some_and(|m| m.contains("listeners are closed"))
        });
        proxy.admin("/readyz").expect(503);
        proxy.admin("/livez").expect(200);
        proxy.expect_metric("ifmatch_ready", 0);
        assert!(!proxy.has_ended());
        idle.expect_close();
        held.release();
        let answer = writing.answer().expect(204);
        answer.tag();
        assert_eq!(
            answer.field("Connection").map(str::to_ascii_lowercase).as_deref(),
            Some("close"),
            "{answer}"
        );
        assert_eq!(proxy.await_exit().code(), Some(0));
    }
}

#[test]
fn a_connection_without_a_whole_request_does_not_hold_up_the_end() {
    let (_origin, mut proxy) = items_with("[server]\ndrain_timeout = \"1h\"");
    let mut silent = proxy.connect();
    let mut begun = proxy.connect();
    begun.send("GET /items/1 HTTP/1.1\r\nHo");
    let mut again = proxy.connect();
    again.ask(&request("GET", "/items/1")).expect(200);
    again.send("GET /items/1 HTTP/1.1\r\nHo");
    proxy.await_metric("ifmatch_client_connections", 3);
    proxy.signal("TERM");
    assert_eq!(proxy.await_exit().code(), Some(0));
    for client in [&mut silent, &mut begun, &mut again] {
        client.expect_close();
    }
}

// The rest of a refused request's body was waited for, as long as a silence may be, whatever else was to end.
#[test]
fn a_refused_client_that_keeps_the_rest_of_its_body_does_not_hold_up_the_end() {
    let (_origin, mut proxy) =
        items_with("[limits]\nbody_idle_timeout = \"1h\"\n[server]\ndrain_timeout = \"1h\"");
    let clients = ["", "Connection: close\r\n"].map(|fields| {
        let mut client = proxy.connect();
        client.send(format!("PUT /items/1 HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 100\r\n\r\nxx"));
        client.expect_answer_to("PUT");
        client.answer().expect_refusal(428, "precondition-required");
        client
    });
    proxy.signal("TERM");
    for mut client in clients {
        client.expect_close();
    }
    assert_eq!(proxy.await_exit().code(), Some(0));
}

#[test]
fn after_sigterm_nobody_new_is_accepted() {
    let (origin, proxy) = items();
    let held = origin.hold("GET", "/items/1");
    let reading = proxy.begin(&request("GET", "/items/1"));
    held.arrived();
    proxy.signal("TERM");
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect(proxy.address()).is_ok() {
        assert!(began.elapsed() < crate::harness::HANG, "the listener stays open");
        std::thread::yield_now();
    }
    held.release();
    reading.answer().expect(200);
}

#[test]
fn readiness_fails_first_while_requests_are_still_served() {
    let (_origin, mut proxy) = items_with("[server]\nshutdown_delay = \"1h\"");
    proxy.admin("/readyz").expect(200);
    let mut client = proxy.connect();
    client.ask(&request("GET", "/items/1")).expect(200);
    proxy.signal("TERM");
    proxy.await_metric("ifmatch_ready", 0);
    proxy.admin("/readyz").expect(503);
    let tag = client.ask(&request("GET", "/items/1")).expect(200).tag();
    proxy.put("/items/1", &tag, "two").expect(204);
    // A second signal ends it at once.
    proxy.signal("TERM");
    assert_eq!(proxy.await_exit().code(), Some(0));
}

#[test]
fn what_does_not_end_within_drain_timeout_is_cut_off() {
    let (origin, mut proxy) = items_with("[server]\ndrain_timeout = \"100ms\"");
    let held = origin.hold("GET", "/items/1");
    let reading = proxy.begin(&request("GET", "/items/1"));
    held.arrived();
    proxy.signal("TERM");
    assert_eq!(proxy.await_exit().code(), Some(0));
    reading.client().expect_close();
}

/// A request counts until its answer's last byte was taken; the bytes must leave, too.
#[test]
fn an_answer_under_way_to_a_slow_reader_arrives_whole_after_sigterm() {
    for size in [100_000, 3_000_000, 10_000_000, 10_400_000] {
        let (origin, mut proxy) = items();
        origin.store("/items/1", &"x".repeat(size));
        let mut client = proxy.connect();
        client.small_buffers();
        client.request(&request("GET", "/items/1"));
        proxy.await_metric("ifmatch_requests_total{route=\"item\",outcome=\"answered\"}", 1);
        proxy.signal("TERM");
        proxy.log_line("the listeners are closed", |l| {
            l["message"].as_str().is_some_and(|m| m.contains("listeners are closed"))
        });
        let answer = client.answer().expect(200);
        assert_eq!(answer.body.len(), size);
        assert_eq!(proxy.await_exit().code(), Some(0));
    }
}

#[test]
fn a_write_whose_client_left_is_waited_for_too() {
    let (origin, mut proxy) = items();
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "two"));
    held.arrived();
    writing.client().reset();
    proxy.await_metric("ifmatch_client_connections", 0);
    proxy.signal("TERM");
    proxy.log_line("the listeners are closed", |l| {
        l["message"].as_str().is_some_and(|m| m.contains("listeners are closed"))
    });
    assert!(!proxy.has_ended());
    held.release();
    assert_eq!(proxy.await_exit().code(), Some(0));
    assert_eq!(origin.stored("/items/1").as_deref(), Some("two"));
}

#[test]
fn with_a_state_file_writes_wait_out_the_settle_time_at_the_start() {
    let origin = Origin::with_item();
    let home = Home::new();
    a_start_without_a_state(&home.start_unready(&origin, "3s"));
}

/// R10 holds whether or not there was to be a file: the process before may have been killed.
#[test]
fn without_a_state_file_writes_wait_too() {
    let origin = Origin::with_item();
    let text = "[ledger]\nsettle = \"1s\"\nstart_hold = \"3s\"\n\n\
                [[routes]]\nname = \"item\"\npath = \"/items/{id}\"\nupstream = \"origin\"\n";
    a_start_without_a_state(&Proxy::start_unready(&with_origin(origin.address(), text)));
}

#[track_caller]
fn a_start_without_a_state(proxy: &Proxy) {
    let tag = proxy.tag("/items/1");
    let refused = proxy.put("/items/1", &tag, "two").expect_refusal(503, "starting");
    assert!(refused.has("Retry-After"), "{refused}");
    proxy.ask(&request("POST", "/items/1").body("x")).expect_refusal(503, "starting");
    proxy.ask(&request("PUT", "/items/1").body("x")).expect_refusal(428, "precondition-required");
    proxy.admin("/readyz").expect(503);
    proxy.expect_metric("ifmatch_ready", 0);
    proxy.await_ready();
    proxy.expect_metric("ifmatch_ready", 1);
    // R10: what was read before the end of the hold may be older than a write of an earlier life.
    proxy.put("/items/1", &tag, "two").expect_refusal(412, "precondition-failed");
    proxy.put("/items/1", &proxy.tag("/items/1"), "two").expect(204);
}

#[test]
fn after_every_kind_of_trouble_all_gauges_return_to_zero() {
    let lines = "overlap = \"wait\"\nwait_timeout = \"100ms\"\n[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"200ms\"";
    let (origin, proxy) = items_with(lines);
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "x"));
    held.arrived();
    proxy.put("/items/1", &tag, "waits").expect(409);
    proxy.begin(&put("/items/1", &tag, "waits and leaves")).client().reset();
    writing.answer().expect(504);
    held.die();
    proxy.await_rest();
    for death in ["GET", "PUT", "POST"] {
        origin.once(death, "/items/1", |exchange| exchange.reset());
    }
    proxy.get("/items/1");
    proxy.ask(&request("POST", "/items/1").body("x")).expect(502);
    proxy.await_rest();
    proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(502);
    let mut broken = proxy.connect();
    broken.send("PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\nContent-Length: 9\r\n\r\nabc");
    broken.reset();
    let mut half: Client = proxy.connect();
    half.send("GET /items/1 HT");
    half.leave();
    for gauge in [
        "ifmatch_writes_in_flight",
        "ifmatch_writes_waiting",
        "ifmatch_requests_in_flight",
        "ifmatch_client_connections",
    ] {
        proxy.await_metric(gauge, 0);
    }
    proxy.put("/items/1", &proxy.tag("/items/1"), "y").expect(204);
}

#[test]
fn the_access_log_tells_every_request_once() {
    let (_origin, proxy) = items_with("[server]\naccess_log = true");
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "two").expect(204);
    proxy.put("/items/1", &tag, "three").expect(412);
    proxy.get("/nowhere?secret=1").expect(404);
    let line = proxy
        .log_line("the last request was answered", |l| l["route"] == "none" && l["message"] == "request");
    assert_eq!(
        (&line["path"], &line["status"], &line["outcome"]),
        (&"/nowhere".into(), &404.into(), &"refused".into())
    );
    let told: Vec<_> = proxy
        .log()
        .iter()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["message"] == "request")
        .map(|line| format!("{} {} {}", line["method"], line["status"], line["outcome"]).replace('"', ""))
        .collect();
    assert_eq!(told, ["GET 200 answered", "PUT 204 answered", "PUT 412 refused", "GET 404 refused"]);
}

#[test]
fn the_admin_listener_answers_reads_only_and_is_not_the_public_one() {
    let (_origin, proxy) = items();
    for (target, status) in
        [("/", 200), ("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/nothing", 404)]
    {
        proxy.admin(target).expect(status);
        proxy.get(target).expect_refusal(404, "no-route");
    }
    let mut client = Client::connect(proxy.admin_address());
    client.ask(&request("POST", "/metrics").body("x")).expect(405);
    proxy.admin("/resources").expect(400);
    proxy.admin("/resources?path=/nowhere").expect(404);
    let told = proxy.admin("/resources?path=/ITEMS/01").expect(200).json();
    assert_eq!((&told["resource"], &told["route"]), (&"/items/1".into(), &"item".into()), "{told}");
}
