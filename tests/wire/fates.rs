//! Every way that a forwarded write can end: the table in `src/decide/outcome.rs`, row by row. For each:
//! what its client gets, that the origin saw it once, what the next writer hears now and after the settle
//! time, and what is counted.

use std::io;
use std::time::Duration;

use crate::given::ITEMS;
use crate::harness::{Exchange, Nobody, Origin, Proxy, RequestText, empty, request, with_origin};

type Act = Box<dyn Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync>;

/// What must have become of the write.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Applied,
    NotApplied,
    Unknown(&'static str),
}

/// What its client must get.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gets {
    /// The origin's answer, whole.
    Answer(u16),
    /// The origin's answer, and the connection breaks within its body.
    CutOff(u16),
    /// A refusal of this status with the kind `outcome-unknown`.
    Refusal(u16),
}

struct Fate {
    what: String,
    act: Act,
    gets: Gets,
    end: End,
}

fn fate(
    what: impl Into<String>,
    gets: Gets,
    end: End,
    act: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static,
) -> Fate {
    Fate { what: what.into(), act: Box::new(act), gets, end }
}

fn answers(status: u16, end: End) -> Fate {
    fate(format!("answers {status}"), Gets::Answer(status), end, move |x| {
        x.read_body()?;
        x.write(empty(&format!("{status} So"), &[]))
    })
}

const LOST: (Gets, End) = (Gets::Refusal(502), End::Unknown("connection-lost"));
const BAD: (Gets, End) = (Gets::Refusal(502), End::Unknown("bad-answer"));
const SILENT: (Gets, End) = (Gets::Refusal(504), End::Unknown("no-answer-in-time"));

/// Reads the request, sends these bytes, and ends the connection.
fn dies(what: &str, (gets, end): (Gets, End), bytes: &'static str, with_rst: bool) -> Fate {
    let what = format!("{what}, then {}", if with_rst { "RST" } else { "FIN" });
    fate(what, gets, end, move |x| {
        x.read_body()?;
        x.write(bytes)?;
        if with_rst { x.reset() } else { x.close() }
    })
}

/// Reads the request, sends these bytes, and goes on.
fn sends(what: &str, (gets, end): (Gets, End), bytes: &'static str) -> Fate {
    fate(what, gets, end, move |x| {
        x.read_body()?;
        x.write(bytes)
    })
}

const INFORMATIONAL: &str = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

fn lost_connections() -> Vec<Fate> {
    let mut fates = vec![
        fate("closes after the head", LOST.0, LOST.1, |x| x.close()),
        fate("resets after the head", LOST.0, LOST.1, |x| x.reset()),
    ];
    for with_rst in [false, true] {
        fates.push(fate(format!("goes within the body, with RST: {with_rst}"), LOST.0, LOST.1, move |x| {
            // A request without a body is there already.
            if x.request.has("Content-Length") || x.request.has("Transfer-Encoding") {
                x.read_some(2)?;
            }
            if with_rst { x.reset() } else { x.close() }
        }));
        fates.push(dies("applies it or not", LOST, "", with_rst));
        fates.push(dies("a status line cut in half", LOST, "HTTP/1.1 20", with_rst));
        fates.push(dies("fields cut in half", LOST, "HTTP/1.1 200 OK\r\nContent-Le", with_rst));
        fates.push(dies(
            "fields without their end",
            LOST,
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
            with_rst,
        ));
        fates.push(dies("100", LOST, "HTTP/1.1 100 Continue\r\n\r\n", with_rst));
        fates.push(dies("102 and 103", LOST, INFORMATIONAL, with_rst));
    }
    fates
}

fn bad_answers() -> Vec<Fate> {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let mut fates: Vec<Fate> = [
        ("garbage", "SSH-2.0-OpenSSH\r\n\r\n"),
        ("a status that is no number", "HTTP/1.1 abc OK\r\n\r\n"),
        ("a length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("101 unasked", switching),
    ]
    .into_iter()
    .map(|(what, bytes)| sends(what, BAD, bytes))
    .collect();
    fates.push(sends(
        "100, then garbage",
        BAD,
        "HTTP/1.1 100 Continue\r\n\r\nwhatever this is, it is no status line\r\n\r\n",
    ));
    fates
}

fn answers_cut_off() -> Vec<Fate> {
    let mut fates = Vec::new();
    for with_rst in [false, true] {
        for (what, status, end, bytes) in [
            (
                "200 with less than its length",
                200,
                End::Applied,
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            ),
            (
                "200 without its last chunk",
                200,
                End::Applied,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            ),
            (
                "200 within a chunk",
                200,
                End::Applied,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
            ),
            (
                "409 with less than its length",
                409,
                End::NotApplied,
                "HTTP/1.1 409 No\r\nContent-Length: 9\r\n\r\nabc",
            ),
            (
                "503 with less than its length",
                503,
                End::Unknown("answered-by-gateway"),
                "HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nabc",
            ),
        ] {
            fates.push(dies(what, (Gets::CutOff(status), end), bytes, with_rst));
        }
    }
    fates
}

fn whole_answers() -> Vec<Fate> {
    let applied = |status| (Gets::Answer(status), End::Applied);
    let mut fates = vec![
        sends("100, then 204", applied(204), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
        sends(
            "two final answers",
            applied(204),
            "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        ),
        sends(
            "two final answers with bodies",
            applied(200),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
        ),
        sends("bytes after its answer", applied(200), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcdef"),
        sends(
            "bytes after its last chunk",
            applied(200),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nef",
        ),
        dies("200 that ends with the connection", applied(200), "HTTP/1.1 200 OK\r\n\r\nabc", false),
        dies("204", applied(204), "HTTP/1.1 204 No Content\r\n\r\n", false),
        fate("answers 200 before it has read the body", Gets::Answer(200), End::Applied, |x| {
            x.write(empty("200 OK", &[]))?;
            x.read_body()
        }),
        fate("answers 403 before it has read the body", Gets::Answer(403), End::NotApplied, |x| {
            x.write(empty("403 No", &[]))?;
            x.read_body()
        }),
    ];
    fates.extend([200, 201, 203, 204, 205, 226, 299].map(|status| answers(status, End::Applied)));
    fates.extend([300, 301, 302, 303, 304, 307, 308].map(|status| answers(status, End::Applied)));
    fates.extend(
        [400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422, 423, 425, 428, 429, 451, 498]
            .map(|status| answers(status, End::NotApplied)),
    );
    fates.extend([500, 501, 505, 507, 511, 599].map(|status| answers(status, End::Applied)));
    fates.push(answers(202, End::Unknown("accepted-only")));
    fates.extend([408, 499].map(|status| answers(status, End::Unknown("request-timeout-answer"))));
    fates.extend([502, 503, 504].map(|status| answers(status, End::Unknown("answered-by-gateway"))));
    fates
}

/// How a request is sent: its method, with a body or without.
fn forms(target: &str, tag: &str) -> [RequestText; 4] {
    let write = |method: &str| request(method, target).if_match(tag);
    [
        write("PUT").body("twelve bytes"),
        write("DELETE"),
        write("PATCH").field("Transfer-Encoding", "chunked").body("3\r\nabc\r\n0\r\n\r\n"),
        write("POST"),
    ]
}

fn settling_in(time: &str) -> String {
    ITEMS.replace("300ms", time)
}

/// Settles so late that no test is there to see it, so that there is all the time to look at what is held.
fn never() -> String {
    settling_in("1h")
}

/// Settles at once, or as good as.
fn soon() -> String {
    settling_in("20ms")
}

struct Counts {
    unknown: f64,
    of_this_end: f64,
    cause: f64,
}

fn counts(proxy: &Proxy, end: End) -> Counts {
    let metrics = proxy.metrics();
    let value = |series: &str| metrics.value(series).unwrap_or_default();
    let (outcome, cause) = match end {
        End::Applied => ("applied", "none"),
        End::NotApplied => ("not-applied", "none"),
        End::Unknown(cause) => ("unknown", cause),
    };
    Counts {
        unknown: value("ifmatch_unknown_outcomes_total"),
        of_this_end: value(&format!("ifmatch_writes_settled_total{{outcome=\"{outcome}\"}}")),
        cause: value(&format!("ifmatch_unknown_outcomes_total{{cause=\"{cause}\"}}")),
    }
}

/// Sends every form of a write to an item of its own to meet each of these fates.
#[track_caller]
fn meet(config: &str, fates: Vec<Fate>) {
    let origin = Origin::start();
    let proxy = Proxy::in_front_of(&origin, config);
    let mut item = 0;
    for fate in fates {
        let act: std::sync::Arc<Act> = std::sync::Arc::new(fate.act);
        for form in 0..forms("", "").len() {
            item += 1;
            let target = format!("/items/{item}");
            origin.store(&target, "one");
            let tag = proxy.tag(&target);
            let asked = forms(&target, &tag)[form].clone();
            let act = act.clone();
            origin.once(asked.method(), &target, move |exchange| act(exchange));
            let before = counts(&proxy, fate.end);
            let what = format!("{} {target}: the origin {}", asked.method(), fate.what);

            let mut client = proxy.connect();
            client.request(&asked);
            let answer = client.try_answer().unwrap_or_else(|error| panic!("{what}: {error}"));
            let got = match (answer.complete, answer.field("Content-Type")) {
                (true, Some("application/problem+json")) => {
                    assert_eq!(answer.json()["kind"], "outcome-unknown", "{what}\n{answer}");
                    Gets::Refusal(answer.status)
                }
                (true, _) => Gets::Answer(answer.status),
                (false, _) => Gets::CutOff(answer.status),
            };
            assert_eq!(got, fate.gets, "{what}\n{answer}");
            let seen = origin.seen_to(asked.method(), &target);
            assert_eq!(seen.len(), 1, "{what}\n{}", origin.story());

            let after = counts(&proxy, fate.end);
            let rise = [
                after.of_this_end - before.of_this_end,
                after.unknown - before.unknown,
                after.cause - before.cause,
            ];
            let unknown = f64::from(u8::from(matches!(fate.end, End::Unknown(_))));
            assert_eq!(rise, [1.0, unknown, unknown], "{what}: settled so, unknown at all, for this cause");
            next_writers(&origin, &proxy, &target, &tag, fate.end, config == never());
        }
    }
    // Whatever the origin did to its connections, they carry other requests or are gone.
    origin.store("/items/0", "one");
    proxy.put("/items/0", &proxy.tag("/items/0"), "x").expect(204);
}

#[track_caller]
fn next_writers(origin: &Origin, proxy: &Proxy, target: &str, tag: &str, end: End, held: bool) {
    match end {
        End::NotApplied => {
            proxy.put(target, tag, "two").expect(204);
        }
        End::Applied => {
            proxy.put(target, tag, "two").expect_refusal(412, "precondition-failed");
            proxy.put(target, &proxy.tag(target), "two").expect(204);
        }
        End::Unknown(_) if held => {
            assert_eq!(proxy.tag(target), tag, "R8: reads go on with the old number");
            proxy.put(target, tag, "two").expect_refusal(409, "unsettled");
            assert!(origin.seen_to("PUT", target).len() < 2, "{}", origin.story());
        }
        End::Unknown(_) => {
            proxy.await_rest();
            proxy.put(target, tag, "two").expect_refusal(412, "precondition-failed");
            proxy.put(target, &proxy.tag(target), "two").expect(204);
        }
    }
}

#[test]
fn a_lost_connection_is_unknown_and_held() {
    meet(&never(), lost_connections());
}

#[test]
fn a_lost_connection_is_settled_after_the_settle_time() {
    meet(&soon(), lost_connections());
}

#[test]
fn what_is_no_answer_is_unknown_and_held() {
    meet(&never(), bad_answers());
}

#[test]
fn what_is_no_answer_is_settled_after_the_settle_time() {
    meet(&soon(), bad_answers());
}

#[test]
fn an_answer_that_is_cut_off_counts_by_its_status_and_never_looks_whole() {
    meet(&never(), answers_cut_off());
    meet(&soon(), answers_cut_off());
}

#[test]
fn an_answer_counts_by_its_status() {
    meet(&never(), whole_answers());
}

#[test]
fn an_answer_that_leaves_the_outcome_open_is_settled_after_the_settle_time() {
    meet(&soon(), whole_answers().into_iter().filter(|f| matches!(f.end, End::Unknown(_))).collect());
}

#[test]
fn a_route_may_turn_what_a_failure_means() {
    let keys = "not_applied = [500, 502, 503, 408]\nmaybe_applied = [409, 404, 429]\n";
    let fates = [500, 502, 503, 408].map(|status| answers(status, End::NotApplied));
    let turned = [409, 404, 429].map(|status| answers(status, End::Applied));
    let left = [answers(501, End::Applied), answers(422, End::NotApplied)];
    meet(&(never() + keys), fates.into_iter().chain(turned).chain(left).collect());
}

#[test]
fn silence_is_unknown_once_response_timeout_is_over() {
    let upstream = "[upstreams.origin]\nservers = [\"{origin}\"]\nresponse_timeout = \"300ms\"\n";
    for settle in [never(), soon()] {
        let waits = |what: &str, bytes: &'static str| {
            fate(format!("{what} and falls silent"), SILENT.0, SILENT.1, move |x| {
                x.read_body()?;
                x.write(bytes)?;
                x.hung_up_within(Duration::from_secs(60));
                x.close()
            })
        };
        let fates = vec![
            waits("takes it", ""),
            waits("sends 100", "HTTP/1.1 100 Continue\r\n\r\n"),
            waits("sends 102 and 103", INFORMATIONAL),
            waits("sends half a status line", "HTTP/1.1 20"),
        ];
        let held = settle == never();
        let config = settle + upstream;
        let origin = Origin::start();
        let proxy = Proxy::in_front_of(&origin, &config);
        for (item, fate) in fates.into_iter().enumerate() {
            let target = format!("/items/{item}");
            origin.store(&target, "one");
            let tag = proxy.tag(&target);
            origin.once("PUT", &target, fate.act);
            let before = counts(&proxy, fate.end);
            proxy.put(&target, &tag, "x").expect_refusal(504, "outcome-unknown");
            let after = counts(&proxy, fate.end);
            assert_eq!([after.of_this_end - before.of_this_end, after.cause - before.cause], [1.0, 1.0]);
            origin.only("PUT", &target);
            next_writers(&origin, &proxy, &target, &tag, fate.end, held);
        }
    }
}

#[test]
fn a_refused_connection_is_not_applied_and_every_version_stays() {
    let nobody = Nobody::new();
    let proxy = Proxy::start(&with_origin(nobody.address(), &never()));
    let known = || proxy.admin("/resources?path=/items/1").expect(200).json();
    let before = known();
    // Forms that need no read first: nobody is there to read from.
    let [put, delete, patch, post] = ["PUT", "DELETE", "PATCH", "POST"]
        .map(|method| request(method, "/items/1").if_none_match("\"another\""));
    let forms = [put.body("x"), delete, patch.body("x"), post];
    for (n, form) in forms.iter().enumerate() {
        proxy.ask(form).expect_refusal(502, "origin-unreachable");
        proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"not-applied\"}", n as u32 + 1);
    }
    assert_eq!(known(), before);
    proxy.expect_metric("ifmatch_unknown_outcomes_total", 0);
    proxy.expect_metric("ifmatch_requests_total{outcome=\"unreachable\"}", 4);
    proxy.expect_metric("ifmatch_writes_in_flight", 0);
}

#[test]
fn a_write_whose_answer_came_early_and_whose_body_then_breaks_is_unknown() {
    let origin = Origin::with_item();
    let proxy = Proxy::in_front_of(&origin, &never());
    let tag = proxy.tag("/items/1");
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    origin.once("PUT", "/items/1", move |exchange| {
        exchange.read_some(2)?;
        exchange.write(empty("200 OK", &[]))?;
        tell.lock().expect("one user").send(()).expect("the test waits");
        exchange.read_body()
    });
    let mut client = proxy.connect();
    client
        .send(format!("PUT /items/1 HTTP/1.1\r\nHost: a\r\nIf-Match: {tag}\r\nContent-Length: 9\r\n\r\nab"));
    told.recv().expect("the origin has answered");
    proxy.put("/items/1", &tag, "two").expect_refusal(409, "write-in-flight");
    client.reset();
    proxy.await_metric("ifmatch_unknown_outcomes_total{cause=\"request-incomplete\"}", 1);
    proxy.put("/items/1", &tag, "two").expect_refusal(409, "unsettled");
    proxy.expect_metric("ifmatch_writes_settled_total{outcome=\"unknown\"}", 1);
    assert!(!origin.only("PUT", "/items/1").complete);
}
