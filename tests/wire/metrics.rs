//! What is measured is what is named, and what is named elsewhere is measured.

use std::collections::BTreeSet;
use std::time::Instant;

use ifmatch::decide::verdict::RefusalKind;
use ifmatch::report::names::{
    ALL, LIMITS, OUTCOMES, SENT_BEFORE, TOOK_EFFECT, UNKNOWN_CAUSES, WRITE_OUTCOMES, WRITES_SETTLED_TOTAL,
};

use crate::given::{items, items_with};
use crate::harness::{Metrics, Origin, Proxy, empty, put, request};

/// A little of everything that a client can do to the labels.
fn traffic() -> (Origin, Proxy) {
    let (origin, proxy) =
        items_with("[[routes]]\nname = \"off\"\npath = \"/off\"\nupstream = \"origin\"\nmode = \"off\"");
    let tag = proxy.tag("/items/1");
    proxy.ask(&request("GET", "/items/1").if_none_match(&tag)).expect(304);
    proxy.put("/items/1", &tag, "two").expect(204);
    proxy.put("/items/1", &tag, "three").expect(412);
    proxy.ask(&request("PUT", "/items/1").if_match("*").body("x")).expect(204);
    origin.answer_once("PUT", "/items/2", empty("202 Accepted", &[]));
    proxy.ask(&request("PUT", "/items/2").if_none_match("*").body("x")).expect(202);
    for method in ["OPTIONS", "MADE-UP", "x'y", "HEAD", "DELETE", "PATCH", "POST"] {
        proxy.ask(&request(method, "/items/3?a=b").field("Host", "made-up.example"));
    }
    proxy.get("/nowhere/1").expect(404);
    proxy.get("/off").expect(404);
    (origin, proxy)
}

#[test]
fn every_metric_that_is_named_is_told() {
    let (_origin, proxy) = traffic();
    let metrics = proxy.metrics();
    let told: BTreeSet<&str> = metrics.names.iter().map(String::as_str).collect();
    let missing: Vec<_> = ALL.iter().filter(|name| !told.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not in\n{told:#?}");
    let unnamed: Vec<_> =
        told.iter().filter(|name| !name.starts_with("process_") && !ALL.contains(name)).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    assert!(told.contains("process_resident_memory_bytes"), "{told:#?}");
}

#[test]
fn every_label_value_is_configured_or_of_a_closed_list() {
    let (_origin, proxy) = traffic();
    let kinds: Vec<&str> = RefusalKind::ALL.iter().map(|kind| kind.name()).collect();
    let methods = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "other"];
    for series in proxy.metrics().series {
        for (name, value) in &series.labels {
            let known = match name.as_str() {
                "route" => ["item", "off", "none"].contains(&value.as_str()),
                "upstream" => value == "origin",
                "store" => value == "memory",
                "method" => methods.contains(&value.as_str()),
                "outcome" if series.name == WRITES_SETTLED_TOTAL => WRITE_OUTCOMES.contains(&value.as_str()),
                "outcome" => OUTCOMES.contains(&value.as_str()),
                "kind" => kinds.contains(&value.as_str()),
                "mode" => ["enforce", "observe"].contains(&value.as_str()),
                "took_effect" => TOOK_EFFECT.contains(&value.as_str()),
                "first" => SENT_BEFORE.contains(&value.as_str()),
                "cause" => UNKNOWN_CAUSES.contains(&value.as_str()),
                "limit" => LIMITS.contains(&value.as_str()),
                "version" => value == env!("CARGO_PKG_VERSION"),
                "le" => series.name.ends_with("_bucket"),
                _ => false,
            };
            assert!(known, "{series} has a label of no list");
        }
    }
}

#[test]
fn requests_are_counted_by_how_they_ended() {
    let (_origin, proxy) = traffic();
    let metrics = proxy.metrics();
    for (series, n) in [
        ("ifmatch_requests_total{route=\"item\",method=\"GET\",outcome=\"answered\"}", 1),
        ("ifmatch_requests_total{route=\"item\",method=\"GET\",outcome=\"not-modified\"}", 1),
        ("ifmatch_requests_total{route=\"item\",method=\"PUT\",outcome=\"refused\"}", 1),
        ("ifmatch_requests_total{route=\"item\",method=\"PUT\",outcome=\"answered\"}", 3),
        ("ifmatch_requests_total{route=\"item\",method=\"other\",outcome=\"answered\"}", 2),
        ("ifmatch_requests_total{route=\"none\",method=\"GET\",outcome=\"refused\"}", 1),
        ("ifmatch_requests_total{route=\"off\",method=\"GET\",outcome=\"answered\"}", 1),
        ("ifmatch_overrides_total{route=\"item\"}", 1),
        ("ifmatch_unknown_outcomes_total{route=\"item\",cause=\"accepted-only\"}", 1),
        ("ifmatch_build_info", 1),
    ] {
        metrics.expect(series, n);
    }
    let total = metrics.value("ifmatch_requests_total{route=\"item\"}");
    assert_eq!(metrics.value("ifmatch_request_duration_seconds_count{route=\"item\"}"), total);
}

/// So that the first hit is a step from 0, which `increase()` sees.
#[test]
fn every_limit_has_its_series_from_the_start() {
    let (_origin, proxy) = items_with("");
    let metrics = proxy.metrics();
    for limit in LIMITS {
        let series = format!("ifmatch_limits_hit_total{{limit=\"{limit}\"}}");
        assert_eq!(metrics.value(&series), Some(0.0), "{series}");
    }
}

#[test]
fn the_scrape_says_which_format_it_is() {
    let (_origin, proxy) = traffic();
    let scrape = proxy.admin("/metrics").expect(200);
    assert_eq!(scrape.field("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"), "{scrape}");
}

#[test]
fn a_scrape_is_read_as_prometheus_reads_it() {
    let metrics = Metrics::parse("# TYPE a counter\na{x=\"1\",y=\"b,c\"} 2\na{x=\"2\"} 3\nb 4.5\n");
    metrics.expect("a", 5).expect("a{y=\"b,c\"}", 2).expect("b", 4.5).expect("a{x=\"9\"}", 0);
}

#[test]
fn a_write_in_flight_is_a_gauge_while_it_lasts() {
    let (origin, proxy) = items_with("");
    let tag = proxy.tag("/items/1");
    let held = origin.hold("PUT", "/items/1");
    let writing = proxy.begin(&put("/items/1", &tag, "x"));
    held.arrived();
    proxy.expect_metric("ifmatch_writes_in_flight{route=\"item\"}", 1);
    proxy.expect_metric("ifmatch_requests_in_flight", 1);
    proxy.expect_metric("ifmatch_ledger_resources", 1);
    held.release();
    writing.answer().expect(204);
    proxy.await_rest();
    proxy.await_metric("ifmatch_requests_in_flight", 0);
}

#[test]
fn many_conflicts_in_a_row_are_all_counted_and_have_few_lines_in_the_log() {
    const MANY: u32 = 300;
    let (_origin, proxy) = items();
    let mut client = proxy.connect();
    let began = Instant::now();
    for _ in 0..MANY {
        client.ask(&request("PUT", "/items/1").body("x")).expect(428);
    }
    let seconds = began.elapsed().as_secs();
    proxy.expect_metric("ifmatch_conflicts_total{route=\"item\",kind=\"precondition-required\"}", MANY);
    // Another kind does not wait for its turn; and what it wrote comes after all that was written before.
    client.ask(&request("PUT", "/items/1").if_match("\"stale\"").body("x")).expect(412);
    proxy.log_line("there was another kind of conflict", |l| l["kind"] == "precondition-failed");
    let lines = proxy.log().into_iter().filter_map(|line| serde_json::from_str(&line).ok());
    let lines: Vec<serde_json::Value> = lines.filter(is_of("precondition-required")).collect();
    assert!((1..=1 + seconds).contains(&(lines.len() as u64)), "{seconds} s: {lines:?}");
    assert!(lines[0].get("more").is_none(), "{lines:?}");
    let told = |line: &serde_json::Value| 1 + line["more"].as_u64().unwrap_or(0);
    assert!(lines.iter().map(told).sum::<u64>() <= MANY.into(), "{lines:?}");
}

fn is_of(kind: &str) -> impl Fn(&serde_json::Value) -> bool + '_ {
    move |line| line["message"] == "conflict" && line["kind"] == kind
}
