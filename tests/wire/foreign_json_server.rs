//! json-server 0.17 behind the proxy: an origin with weak entity-tags of its own that it never compares
//! with on writes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::foreign::{Program, installed, run};
use crate::harness::{Answer, Client, Proxy, RequestText, request, with_origin};

const POSTS: &str = r#"
[[routes]]
name = "post"
path = "/posts/{id}"
upstream = "origin"

[[routes]]
name = "posts"
path = "/posts"
upstream = "origin"
"#;

fn both() -> Option<(Program, Proxy)> {
    let data = json!({"posts": [{"id": 1, "title": "one"}, {"id": 2, "title": "other"}]});
    let origin = installed()?.json_server(&data);
    let proxy = Proxy::start(&with_origin(origin.address(), POSTS));
    Some((origin, proxy))
}

fn title(origin: &Program, id: u32) -> Value {
    direct(origin, &request("GET", &format!("/posts/{id}"))).json()["title"].clone()
}

fn direct(origin: &Program, request: &RequestText) -> Answer {
    Client::connect(origin.address()).ask(request)
}

fn write(method: &str, target: &str, body: Value) -> RequestText {
    request(method, target).field("Content-Type", "application/json").body(body.to_string())
}

#[test]
fn reads_are_stamped_and_the_weak_tags_of_json_server_are_not_sent_on() {
    let Some((origin, proxy)) = both() else { return };
    let own = direct(&origin, &request("GET", "/posts/1")).expect(200).tag();
    assert!(own.starts_with("W/"), "{own}");
    let stamped = proxy.get("/posts/1").expect(200);
    assert!(stamped.tag().starts_with('"'), "{stamped}");
    assert_eq!(stamped.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("etag")).count(), 1);
    assert_eq!(stamped.json()["title"], "one");
    // Its tags are unknown here, in either form.
    for tag in [own.as_str(), own.trim_start_matches("W/")] {
        let refused = proxy.ask(&write("PUT", "/posts/1", json!({"title": "x"})).if_match(tag));
        refused.expect_refusal(412, "precondition-failed");
    }
    proxy.ask(&request("GET", "/posts/1").if_none_match(&own)).expect(200);
    assert_eq!(title(&origin, 1), "one");
}

#[test]
fn put_patch_and_delete_are_judged() {
    let Some((origin, proxy)) = both() else { return };
    for method in ["PUT", "PATCH", "DELETE"] {
        let blind = write(method, "/posts/1", json!({"title": "blind"}));
        proxy.ask(&blind).expect_refusal(428, "precondition-required");
    }
    let first = proxy.tag("/posts/1");
    let put = proxy.ask(&write("PUT", "/posts/1", json!({"title": "two"})).if_match(&first)).expect(200);
    for method in ["PUT", "PATCH", "DELETE"] {
        let stale = write(method, "/posts/1", json!({"title": "stale"})).if_match(&first);
        proxy.ask(&stale).expect_refusal(412, "precondition-failed");
    }
    assert_eq!(title(&origin, 1), "two");
    // The answer to a write carries the tag for the next one.
    let patch = write("PATCH", "/posts/1", json!({"title": "three"})).if_match(&put.tag());
    proxy.ask(&patch).expect(200);
    assert_eq!(title(&origin, 1), "three");
    proxy.ask(&request("DELETE", "/posts/1").if_match(&put.tag())).expect_refusal(412, "precondition-failed");
    proxy.ask(&request("DELETE", "/posts/1").if_match(&proxy.tag("/posts/1"))).expect(200);
    direct(&origin, &request("GET", "/posts/1")).expect(404);
}

#[test]
fn two_writes_at_once_of_one_state_leave_one_of_them_in_place() {
    let Some((origin, proxy)) = both() else { return };
    let mut conflicts = 0;
    for round in 0..20 {
        let tag = proxy.tag("/posts/1");
        let begun: Vec<_> = (0..8)
            .map(|n| {
                let put = write("PUT", "/posts/1", json!({"title": format!("{round}-{n}")})).if_match(&tag);
                (n, proxy.begin(&put))
            })
            .collect();
        let mut applied = Vec::new();
        for (n, pending) in begun {
            let answer = pending.answer();
            match answer.status {
                200 => applied.push(n),
                409 => {
                    answer.expect_refusal(409, "write-in-flight");
                    conflicts += 1;
                }
                _ => {
                    answer.expect_refusal(412, "precondition-failed");
                    conflicts += 1;
                }
            }
        }
        assert_eq!(applied.len(), 1, "round {round}");
        assert_eq!(title(&origin, 1), format!("{round}-{}", applied[0]));
    }
    assert_eq!(conflicts, 20 * 7);
}

#[test]
fn creates_pass_side_by_side_and_each_gets_a_place_of_its_own() {
    let Some((_origin, proxy)) = both() else { return };
    let before = proxy.get("/posts").expect(200);
    let begun: Vec<_> = (0..16)
        .map(|n| proxy.begin(&write("POST", "/posts", json!({"title": format!("new {n}")}))))
        .collect();
    let mut places: Vec<String> = begun
        .into_iter()
        .map(|pending| {
            let created = pending.answer().expect(201);
            let place = created.field("Location").expect("a place").to_owned();
            assert!(place.ends_with(&format!("/posts/{}", created.json()["id"])), "{created}");
            place
        })
        .collect();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 16);
    let after = proxy.get("/posts").expect(200);
    assert_ne!(before.tag(), after.tag(), "the list has changed with them");
    assert_eq!(after.json().as_array().map(Vec::len), Some(18));
    // A state that was read before a create is not the one after it.
    proxy
        .ask(&write("PUT", "/posts", json!({})).if_match(&before.tag()))
        .expect_refusal(412, "precondition-failed");
}

#[test]
fn spellings_that_json_server_takes_for_the_same_post_are_judged_like_it() {
    let Some((origin, proxy)) = both() else { return };
    for spelling in
        ["/POSTS/1", "/Posts/1", "/posts//1", "/posts/1/", "/posts/%31", "/posts/1?x=1", "/posts/1?"]
    {
        direct(&origin, &write("PUT", spelling, json!({"title": spelling}))).expect(200);
        assert_eq!(title(&origin, 1), spelling, "json-server takes it");
        proxy
            .ask(&write("PUT", spelling, json!({"title": "blind"})))
            .expect_refusal(428, "precondition-required");
        let (by_spelling, tag) = (proxy.tag(spelling), proxy.tag("/posts/1"));
        proxy.ask(&write("PUT", "/posts/1", json!({"title": "two"})).if_match(&tag)).expect(200);
        for stale in [&tag, &by_spelling] {
            let put = write("PUT", spelling, json!({"title": "stale"})).if_match(stale);
            proxy.ask(&put).expect_refusal(412, "precondition-failed");
        }
        assert_eq!(title(&origin, 1), "two");
        let put = write("PUT", spelling, json!({"title": "three"})).if_match(&proxy.tag("/posts/1"));
        proxy.ask(&put).expect(200);
        assert_eq!(title(&origin, 1), "three");
    }
}

#[test]
fn curl_revalidates_with_the_tag_that_it_saved() {
    let Some((_origin, proxy)) = both() else { return };
    let saved = proxy.folder().join("etag");
    let got = curl(&proxy, "--etag-save", &saved);
    assert!(got.starts_with("200 "), "{got}");
    assert_eq!(curl(&proxy, "--etag-compare", &saved), "304 0");
    let tag = proxy.tag("/posts/1");
    proxy.ask(&write("PUT", "/posts/1", json!({"title": "two"})).if_match(&tag)).expect(200);
    let got = curl(&proxy, "--etag-compare", &saved);
    assert!(got.starts_with("200 "), "{got}");
}

/// The status and the number of bytes.
fn curl(proxy: &Proxy, etag: &str, file: &Path) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--compressed", "--max-time", "60", "--output"]);
    curl.arg(proxy.folder().join("body"))
        .args(["--write-out", "%{http_code} %{size_download}", etag])
        .arg(file);
    curl.arg(format!("http://{}/posts/1", proxy.address()));
    let output = run(&mut curl);
    assert!(output.status.success(), "{curl:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
