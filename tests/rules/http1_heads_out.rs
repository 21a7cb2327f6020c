//! Heads on their way out: the fields that decide how a message is read are ours, whatever they were.

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use ifmatch::http1::encode::Encoder;
use ifmatch::http1::fields::Fields;
use ifmatch::http1::head_out::{AnswerToWrite, OwnLength, write_answer, write_request};
use ifmatch::http1::message::{OriginRequest, Reason};

fn fields(lines: &[(&str, &str)]) -> Fields {
    let of = |(name, value): &(&str, &str)| {
        (HeaderName::try_from(*name).expect("a name"), HeaderValue::try_from(*value).expect("a value"))
    };
    lines.iter().map(of).collect()
}

/// What of a request decides about its answer.
#[derive(Clone, Copy)]
struct Asked {
    method: &'static str,
    version: Version,
    persists: bool,
}

const GET: Asked = Asked { method: "GET", version: Version::HTTP_11, persists: true };
const HEAD: Asked = Asked { method: "HEAD", ..GET };
const LAST: Asked = Asked { persists: false, ..GET };
const OLD: Asked = Asked { version: Version::HTTP_10, persists: false, ..GET };
const OLD_KEPT: Asked = Asked { version: Version::HTTP_10, ..GET };

const UNKNOWN: OwnLength = OwnLength::Unknown;
const CHUNKS: &str = "transfer-encoding: chunked";

/// The lines of an answer's head but for its first one and its `Date`, which is the last one.
fn written(asked: Asked, status: u16, lines: &[(&str, &str)], length: OwnLength) -> (Vec<String>, Encoder) {
    let mut out = Vec::new();
    let encoder = write_answer(
        &AnswerToWrite {
            method: &Method::try_from(asked.method).expect("a method"),
            version: asked.version,
            status: StatusCode::from_u16(status).expect("a status"),
            reason: None,
            fields: &fields(lines),
            length,
            persists: asked.persists,
            date: "now",
        },
        &mut out,
    );
    let text = String::from_utf8(out).expect("text");
    let head = text.strip_suffix("\r\n\r\n").expect("the end of a head");
    let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
    assert!(lines.remove(0).starts_with(if asked.version == Version::HTTP_10 {
        "HTTP/1.0 "
    } else {
        "HTTP/1.1 "
    }));
    assert_eq!(lines.pop().as_deref(), Some("date: now"));
    (lines, encoder)
}

fn chunks() -> Encoder {
    Encoder::Chunked([].into_iter().collect())
}

#[test]
fn an_answer_says_how_its_body_is_framed() {
    for (asked, status, length, lines, encoder) in [
        (GET, 200, OwnLength::None, &["content-length: 0"][..], Encoder::Exact(0)),
        (GET, 200, OwnLength::Exact(5), &["content-length: 5"], Encoder::Exact(5)),
        (GET, 200, UNKNOWN, &[CHUNKS], chunks()),
        (HEAD, 200, OwnLength::None, &[], Encoder::Nothing),
        (HEAD, 200, OwnLength::Exact(5), &["content-length: 5"], Encoder::Nothing),
        (HEAD, 200, UNKNOWN, &[], Encoder::Nothing),
        (GET, 204, OwnLength::None, &[], Encoder::Nothing),
        (GET, 204, OwnLength::Exact(5), &[], Encoder::Nothing),
        (GET, 204, UNKNOWN, &[], Encoder::Nothing),
        (GET, 304, OwnLength::None, &[], Encoder::Nothing),
        (GET, 304, OwnLength::Exact(5), &[], Encoder::Nothing),
        (GET, 304, UNKNOWN, &[], Encoder::Nothing),
        (GET, 101, OwnLength::None, &[], Encoder::Nothing),
        (LAST, 101, OwnLength::None, &[], Encoder::Nothing),
        (OLD, 200, OwnLength::None, &["content-length: 0"], Encoder::Exact(0)),
        (OLD, 200, OwnLength::Exact(5), &["content-length: 5"], Encoder::Exact(5)),
        (OLD, 200, UNKNOWN, &[], Encoder::UntilClose),
        (OLD, 304, UNKNOWN, &[], Encoder::Nothing),
        (LAST, 200, UNKNOWN, &["connection: close", CHUNKS], chunks()),
        (
            OLD_KEPT,
            200,
            OwnLength::Exact(5),
            &["connection: keep-alive", "content-length: 5"],
            Encoder::Exact(5),
        ),
    ] {
        let told = format!("{} {:?} {status} {length:?}", asked.method, asked.version);
        let (seen, how) = written(asked, status, &[], length);
        assert_eq!((seen, how), (lines.iter().map(ToString::to_string).collect(), encoder), "{told}");
    }
}

#[test]
fn a_length_that_is_there_stays_as_it_is_spelled_unless_it_would_be_wrong() {
    let stated = [("content-length", "05")];
    for (asked, status, length, stays) in [
        (GET, 200, OwnLength::Exact(5), true),
        (HEAD, 200, OwnLength::None, true),
        (HEAD, 200, UNKNOWN, false),
        (GET, 200, UNKNOWN, false),
        (GET, 200, OwnLength::None, false),
        (GET, 204, OwnLength::None, false),
        (GET, 304, OwnLength::None, false),
        (GET, 101, OwnLength::None, false),
        (OLD, 200, UNKNOWN, false),
    ] {
        let (seen, _) = written(asked, status, &stated, length);
        assert_eq!(
            seen.contains(&"content-length: 05".to_owned()),
            stays,
            "{} {status} {length:?}",
            asked.method
        );
        let lengths = seen.iter().filter(|line| line.starts_with("content-length")).count();
        assert!(lengths <= 1);
        assert!(lengths == 0 || !seen.contains(&CHUNKS.to_owned()), "never both");
    }
    let twice = [("content-length", "5"), ("content-length", "5")];
    assert_eq!(written(GET, 200, &twice, OwnLength::Exact(5)).0, ["content-length: 5"]);
}

#[test]
fn a_coding_that_is_there_is_replaced_by_our_own() {
    let coded = [("transfer-encoding", "gzip, chunked"), ("x", "y")];
    assert_eq!(written(GET, 200, &coded, UNKNOWN).0, ["x: y", CHUNKS]);
    assert_eq!(written(GET, 200, &coded, OwnLength::Exact(5)).0, ["x: y", "content-length: 5"]);
    assert_eq!(written(HEAD, 200, &coded, UNKNOWN).0, ["x: y"]);
    assert_eq!(written(OLD, 200, &coded, UNKNOWN), (vec!["x: y".to_owned()], Encoder::UntilClose));
}

#[test]
fn the_other_end_is_told_what_it_would_not_expect_of_the_connection() {
    let own = |connection: &'static str| [("connection", connection)];
    for (asked, lines, said) in [
        (GET, &[][..], &[][..]),
        (LAST, &[], &["connection: close"]),
        (OLD, &[], &[]),
        (OLD_KEPT, &[], &["connection: keep-alive"]),
        (LAST, &own("x, Close"), &["connection: x, Close"]),
        (OLD_KEPT, &own("Keep-Alive"), &["connection: Keep-Alive"]),
        (LAST, &own("upgrade"), &["connection: upgrade", "connection: close"]),
    ] {
        let (mut seen, _) = written(asked, 200, lines, OwnLength::None);
        seen.retain(|line| line.starts_with("connection"));
        assert_eq!(seen, said);
    }
    let several = [("connection", "a"), ("connection", "b"), ("x", "y")];
    assert_eq!(written(GET, 204, &several, OwnLength::None).0, ["connection: a", "connection: b", "x: y"]);
    let upgrade = [("connection", "upgrade"), ("upgrade", "x")];
    assert_eq!(written(LAST, 101, &upgrade, OwnLength::None).0, ["connection: upgrade", "upgrade: x"]);
}

#[test]
fn trailers_are_announced_where_there_are_chunks() {
    let announced = [("trailer", "X-Sum")];
    for (asked, status, stays) in
        [(GET, 200, true), (HEAD, 200, false), (GET, 204, false), (GET, 304, false), (OLD, 200, false)]
    {
        let (seen, how) = written(asked, status, &announced, UNKNOWN);
        assert_eq!(seen.contains(&"trailer: X-Sum".to_owned()), stays, "{} {status}", asked.method);
        let may_go = matches!(&how, Encoder::Chunked(names) if names[..] == ["x-sum"]);
        assert_eq!(may_go, stays);
    }
}

#[test]
fn a_date_that_is_there_is_the_only_one() {
    let mut out = Vec::new();
    let fields = fields(&[("date", "then")]);
    write_answer(
        &AnswerToWrite {
            method: &Method::GET,
            version: Version::HTTP_11,
            status: StatusCode::OK,
            reason: None,
            fields: &fields,
            length: OwnLength::None,
            persists: true,
            date: "now",
        },
        &mut out,
    );
    assert_eq!(out, b"HTTP/1.1 200 OK\r\ndate: then\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn the_first_line_says_the_version_of_the_request_and_some_words() {
    let line = |version, status: u16, reason: Option<&'static str>| {
        let (mut out, reason) = (Vec::new(), reason.map(|words| Reason(words.into())));
        write_answer(
            &AnswerToWrite {
                method: &Method::GET,
                version,
                status: StatusCode::from_u16(status).expect("a status"),
                reason: reason.as_ref(),
                fields: &Fields::new(),
                length: OwnLength::None,
                persists: true,
                date: "now",
            },
            &mut out,
        );
        String::from_utf8(out).expect("text").lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(line(Version::HTTP_11, 200, None), "HTTP/1.1 200 OK");
    assert_eq!(line(Version::HTTP_10, 200, None), "HTTP/1.0 200 OK");
    assert_eq!(line(Version::HTTP_11, 404, None), "HTTP/1.1 404 Not Found");
    assert_eq!(line(Version::HTTP_11, 200, Some("Fine")), "HTTP/1.1 200 Fine");
    assert_eq!(line(Version::HTTP_11, 200, Some("")), "HTTP/1.1 200 ");
    assert_eq!(line(Version::HTTP_11, 299, None), "HTTP/1.1 299 <none>");
}

#[test]
fn a_request_says_how_its_body_is_framed() {
    let long = [("host", "h"), ("content-length", "05")];
    let coded = [("transfer-encoding", "Chunked"), ("host", "h")];
    for (lines, length, head, encoder) in [
        (&[][..], OwnLength::None, "", Encoder::Nothing),
        (&[], OwnLength::Exact(5), "content-length: 5\r\n", Encoder::Exact(5)),
        (&[], UNKNOWN, "transfer-encoding: chunked\r\n", chunks()),
        (&long, OwnLength::Exact(5), "host: h\r\ncontent-length: 05\r\n", Encoder::Exact(5)),
        (&long, UNKNOWN, "host: h\r\ntransfer-encoding: chunked\r\n", chunks()),
        (&coded, UNKNOWN, "transfer-encoding: Chunked\r\nhost: h\r\n", chunks()),
        (&coded, OwnLength::Exact(5), "host: h\r\ncontent-length: 5\r\n", Encoder::Exact(5)),
        (&coded, OwnLength::None, "host: h\r\n", Encoder::Nothing),
    ] {
        let mut out = Vec::new();
        let (method, target) = (Method::PUT, PathAndQuery::from_static("/a?b"));
        let request = OriginRequest { method, target, headers: fields(lines) };
        let how = write_request(&request, length, &mut out);
        let text = String::from_utf8(out).expect("text");
        assert_eq!((text, how), (format!("PUT /a?b HTTP/1.1\r\n{head}\r\n"), encoder));
    }
}
