//! `[[routes.translate]]`: the origin's own conflicts, told as such.

use crate::given::items_with;
use crate::harness::{Origin, Proxy, empty, request, with_body};

const BY_TEXT: &str = "[[routes.translate]]\nstatus = [500, 200]\npattern = \"(?i)duplicate key\"";
const DUPLICATE: &str = "ERROR: Duplicate key value (email)=(bob@x.org) violates unique constraint";

fn answering(rules: &str, answer: Vec<u8>) -> (Origin, Proxy) {
    let (origin, proxy) = items_with(rules);
    origin.answer_always("PUT", "/items/1", answer);
    (origin, proxy)
}

fn failing(body: &str) -> Vec<u8> {
    with_body("500 Internal Server Error", "text/plain", body)
}

#[test]
fn an_error_that_means_a_conflict_is_told_as_one_and_not_quoted() {
    let (origin, proxy) = answering(BY_TEXT, failing(DUPLICATE));
    let tag = proxy.tag("/items/1");
    let told = proxy.put("/items/1", &tag, "x").expect_refusal(409, "origin-conflict");
    assert!(!told.text().contains("bob") && !told.has("ETag") && !told.has("Retry-After"), "{told}");
    assert_eq!(origin.seen_to("PUT", "/items/1").len(), 1);
    proxy.expect_metric(
        "ifmatch_conflicts_total{kind=\"origin-conflict\",mode=\"enforce\",route=\"item\"}",
        1,
    );
    proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"applied\",route=\"item\"}", 1);
    assert_eq!(proxy.conflicts()[0]["kind"], "origin-conflict");
    assert_ne!(proxy.tag("/items/1"), tag, "in doubt it was applied");
}

#[test]
fn what_proves_that_nothing_was_applied_keeps_the_version() {
    let (_origin, proxy) = answering(&format!("{BY_TEXT}\nnot_applied = true"), failing(DUPLICATE));
    let tag = proxy.tag("/items/1");
    proxy.put("/items/1", &tag, "x").expect_refusal(409, "origin-conflict");
    assert_eq!(proxy.tag("/items/1"), tag);
    proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"not-applied\",route=\"item\"}", 1);
}

#[test]
fn a_success_with_an_error_in_it_carries_no_tag() {
    let rule = "[[routes.translate]]\nstatus = [200]\nfield = \"/error/code\"\npattern = \"^E11000$\"";
    let (origin, proxy) = items_with(rule);
    let answer = |code: &str| {
        with_body("200 OK", "application/json", &format!("{{\"error\":{{\"code\":\"{code}\"}}}}"))
    };
    let tag = proxy.tag("/items/1");
    origin.answer_once("PUT", "/items/1", answer("E11000"));
    let told = proxy.put("/items/1", &tag, "x").expect_refusal(409, "origin-conflict");
    assert!(!told.has("ETag"), "{told}");
    origin.answer_once("PUT", "/items/1", answer("E1"));
    let passed = proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(200);
    assert!(passed.has("ETag"), "{passed}");
    assert_eq!(passed.text(), "{\"error\":{\"code\":\"E1\"}}");
}

#[test]
fn what_is_not_meant_passes_byte_for_byte() {
    let coded = b"HTTP/1.1 500 Internal Server Error\r\nContent-Encoding: gzip\r\nContent-Length: 13\r\n\r\nduplicate key";
    let chunked = "HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\nTrailer: X-After\r\n\r\n\
                   3\r\nout\r\n5\r\n of m\r\n0\r\nX-After: yes\r\n\r\n";
    let long = failing(&format!("{}{DUPLICATE}", "x".repeat(100_000)));
    for (answer, body) in [
        (failing("out of memory"), "out of memory".to_owned()),
        (with_body("400 Bad Request", "text/plain", DUPLICATE), DUPLICATE.to_owned()),
        (coded.to_vec(), "duplicate key".to_owned()),
        (chunked.as_bytes().to_vec(), "out of m".to_owned()),
        (long, format!("{}{DUPLICATE}", "x".repeat(100_000))),
        (failing(""), String::new()),
    ] {
        let (_origin, proxy) = answering(&format!("body_limit = \"1KiB\"\n{BY_TEXT}"), answer);
        let tag = proxy.tag("/items/1");
        let passed = proxy.put("/items/1", &tag, "x");
        assert!(passed.status == 500 || passed.status == 400, "{passed}");
        assert_eq!(passed.text(), body);
        proxy.expect_metric("ifmatch_conflicts_total{kind=\"origin-conflict\"}", 0);
        proxy.await_rest();
    }
}

#[test]
fn a_long_answer_in_chunks_is_read_up_to_the_limit_and_passes_whole() {
    let (origin, proxy) = items_with(&format!("body_limit = \"1KiB\"\n{BY_TEXT}"));
    let pieces: Vec<String> = (0..50).map(|n| format!("{n:0>100}")).collect();
    let whole = pieces.concat();
    origin.always("PUT", "/items/1", move |exchange| {
        exchange.read_body()?;
        exchange.write("HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for piece in &pieces {
            exchange.write(format!("{:x}\r\n{piece}\r\n", piece.len()))?;
        }
        exchange.write("0\r\n\r\n")
    });
    let passed = proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(500);
    assert_eq!(passed.text(), whole);
}

#[test]
fn an_answer_that_breaks_off_while_it_is_read_breaks_off_at_the_client() {
    let (origin, proxy) = items_with(BY_TEXT);
    origin.once("PUT", "/items/1", |exchange| {
        exchange.read_body()?;
        exchange.write("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\nduplicate key")?;
        exchange.close()
    });
    let tag = proxy.tag("/items/1");
    let mut client = proxy.connect();
    client.request(&crate::harness::put("/items/1", &tag, "x"));
    let answer = client.try_answer().expect("a head");
    assert_eq!((answer.status, answer.complete), (500, false), "{answer}");
    assert_eq!(answer.text(), "duplicate key");
    proxy.await_rest();
}

#[test]
fn reads_are_not_looked_at() {
    let (origin, proxy) = items_with(BY_TEXT);
    origin.answer_always("GET", "/items/2", failing(DUPLICATE));
    assert_eq!(proxy.get("/items/2").expect(500).text(), DUPLICATE);
}

#[test]
fn an_answer_without_content_passes() {
    let (_origin, proxy) = answering(BY_TEXT, empty("500 Internal Server Error", &[]));
    assert_eq!(proxy.put("/items/1", &proxy.tag("/items/1"), "x").expect(500).text(), "");
}

#[test]
fn observe_mode_counts_the_conflict_and_passes_the_answer() {
    let (_origin, proxy) = answering(&format!("mode = \"observe\"\n{BY_TEXT}"), failing(DUPLICATE));
    assert_eq!(proxy.ask(&request("PUT", "/items/1").if_match("*").body("x")).expect(500).text(), DUPLICATE);
    proxy.expect_metric(
        "ifmatch_conflicts_total{kind=\"origin-conflict\",mode=\"observe\",route=\"item\"}",
        1,
    );
}
