//! Our reading of HTTP/1.1 against hyper's, on messages of every kind that a peer could send: whoever is laxer than a
//! server that half the world uses is wrong.
//!
//! Where the two differ on purpose is said in [`on_purpose`] and in the tests behind it; nowhere else may they.

mod hostile;
mod oracle;

use std::cell::RefCell;
use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use ifmatch::http1::decode::BadBody;
use ifmatch::http1::fields::FieldValue;
use ifmatch::http1::framing::BodyLength;
use ifmatch::http1::head::{BadHead, HeadLimits};
use proptest::prelude::*;
use proptest::sample::select;

use self::hostile::Sent;
use self::oracle::{Rest, Seen, State, listed};
use crate::checks::messages::{End, Head, Message, Reading, Side, read};
use crate::seeded::check;

/// Small, so that both sides of them are met.
const LIMITS: HeadLimits = HeadLimits { bytes: 512, fields: 12 };

/// What hyper takes and we refuse: the body of a request each, in chunks, and why.
fn on_purpose() -> [(&'static str, String); 3] {
    [
        (
            "whoever ends lines with a line feed alone would find the end of the trailers, and another request, elsewhere",
            "0\r\nX-Sum: 6\n\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        ),
        (
            "blanks without end would hold a connection, and count for no limit on bodies",
            format!("5{}\r\nhello\r\n0\r\n\r\n", " ".repeat(65)),
        ),
        ("zeros without end would do the same", format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(65))),
    ]
}
const LF_IN_TRAILERS: BadBody = BadBody("a line of the trailer section does not end in CR LF");

fn seen(message: &Message, state: State) -> Seen {
    let (line, version) = match &message.head {
        Head::Request(head) => {
            let head = &head.request;
            ((head.method.to_string(), format!("{:?}", head.uri)), head.version)
        }
        Head::Answer(head) => {
            let head = &head.answer;
            let own = head.reason.as_ref().map(|own| String::from_utf8_lossy(&own.0).into_owned());
            let words = own.unwrap_or_else(|| head.status.canonical_reason().unwrap_or_default().to_owned());
            ((head.status.to_string(), words), head.version)
        }
    };
    // In the order that a map has them in: fields of one name together.
    let mut fields = HeaderMap::new();
    for (name, value) in message.head.fields() {
        fields.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    let (fields, trailers) = (listed(&fields), message.trailers.as_ref().map(listed));
    Seen { line, version, fields, body: message.body.clone(), trailers, state }
}

/// All that was read, and what became of the rest.
fn all_seen(reading: &Reading, bytes: &[u8]) -> (Vec<Seen>, Rest) {
    let mut all: Vec<Seen> = reading.messages.iter().map(|message| seen(message, State::Whole)).collect();
    let broken = match reading.end {
        End::InABody => State::Cut,
        End::Broken(_) => State::Broken,
        End::InAHead | End::Refused(_) | End::Over => State::Whole,
    };
    if let Some(last) = all.last_mut() {
        last.state = broken;
    }
    let behind = reading.messages.last().map_or(0, |message| message.end);
    let rest = match reading.end {
        End::InAHead if bytes[behind..].iter().all(|byte| b"\r\n".contains(byte)) => Rest::Done,
        End::InAHead => Rest::InAHead,
        // As `proxy/connection.rs` answers them.
        End::Refused(bad) => Rest::Refused(Some(match bad {
            BadHead::Malformed => 400,
            BadHead::TargetTooLong => 414,
            BadHead::TooManyFields | BadHead::TooLong | BadHead::BodyTooLong => 431,
        })),
        End::InABody | End::Broken(_) | End::Over => Rest::Done,
    };
    (all, rest)
}

/// Whether its last message asks for the end beside bytes that are no text: hyper does not look into such a field,
/// and what is asked for once is to be done.
fn closes_beside_no_text(reading: &Reading) -> bool {
    let last = reading.messages.last().filter(|_| reading.end == End::Over);
    last.is_some_and(|last| {
        let mut options = last.head.fields().get_all(header::CONNECTION);
        options.any(|value| value.to_str().is_err())
    })
}

/// hyper counts the lines and the bytes of a trailer section while it comes, and gives up on too many of them; we look at
/// it when its end has come. Until then the one is broken and the other cut off.
fn is_given_up_early(theirs: &Seen, ours: &Seen, bytes: &[u8]) -> bool {
    let last_chunk = bytes.windows(2).rposition(|two| two == b"\n0").unwrap_or(bytes.len());
    let section = &bytes[last_chunk..];
    let lines = section.iter().filter(|byte| **byte == b'\n').count();
    let is_large = lines > LIMITS.fields || section.len() >= LIMITS.bytes;
    is_large && theirs.state == State::Broken && ours.state == State::Cut
}

/// hyper takes a length out from among the fields in a way that puts others in its place; we leave them in their order,
/// as the grammar's oracle checks.
fn in_some_order(seen: &mut [Seen]) {
    let both = |seen: &Seen| seen.fields.iter().any(|(name, _)| name == "transfer-encoding");
    seen.iter_mut().filter(|seen| both(seen)).for_each(|seen| seen.fields.sort_by(|(a, _), (b, _)| a.cmp(b)));
}

/// What has been compared, by kinds: a comparison of refusals alone would prove little.
#[derive(Default)]
struct Tally(RefCell<BTreeMap<&'static str, u32>>);

impl Tally {
    fn note(&self, reading: &Reading) {
        let end = match reading.end {
            End::InAHead => "ends in a head",
            End::Refused(BadHead::Malformed) => "malformed",
            End::Refused(BadHead::TooManyFields) => "too many fields",
            End::Refused(BadHead::TooLong) => "too long",
            End::Refused(BadHead::TargetTooLong | BadHead::BodyTooLong) => "a target or a body too long",
            End::InABody => "ends in a body",
            End::Broken(_) => "a broken body",
            End::Over => "the last one",
        };
        let bodies = || reading.messages.iter().filter(|message| !message.body.is_empty());
        let in_chunks = bodies().any(|message| message.head.length() == BodyLength::Chunked);
        let exact = bodies().any(|message| matches!(message.head.length(), BodyLength::Exact(_)));
        let trailers = reading.messages.iter().any(|message| message.trailers.is_some());
        let several = reading.messages.len() > 1;
        let mut counts = self.0.borrow_mut();
        for (kind, is_one) in [
            (end, true),
            ("in chunks", in_chunks),
            ("exact", exact),
            ("trailers", trailers),
            ("several", several),
        ] {
            *counts.entry(kind).or_default() += u32::from(is_one);
        }
    }

    fn has_enough_of(&self, kinds: &[&str]) {
        let counts = self.0.borrow();
        // Far below what two thousand tries have of the rarest of them.
        let enough = |kind: &&str| counts.get(*kind).is_some_and(|count| *count >= 3);
        assert!(kinds.iter().all(enough), "{counts:?}");
    }
}

fn same_requests(bytes: &[u8]) -> Result<Reading, TestCaseError> {
    let (mut theirs, their_rest) = oracle::requests(bytes, LIMITS);
    let reading = read(&Side::Requests, [bytes], LIMITS);
    let (mut ours, our_rest) = all_seen(&reading, bytes);
    in_some_order(&mut theirs);
    in_some_order(&mut ours);
    if let (Some(theirs), Some(ours)) = (theirs.last_mut(), ours.last())
        && is_given_up_early(theirs, ours, bytes)
    {
        theirs.state = State::Cut;
    }
    let shown = String::from_utf8_lossy(bytes);
    if reading.end == End::Broken(LF_IN_TRAILERS) {
        let last = ours.pop().expect("whose trailers these are");
        prop_assert_eq!(&theirs[..ours.len()], &ours[..], "{:?}", shown);
        let same = &theirs[ours.len()];
        prop_assert_eq!((&same.line, &same.fields, &same.body), (&last.line, &last.fields, &last.body));
        return Ok(reading);
    }
    if closes_beside_no_text(&reading) {
        prop_assert_eq!(&theirs[..ours.len()], &ours[..], "{:?}", shown);
        return Ok(reading);
    }
    prop_assert_eq!(&theirs, &ours, "{:?}", shown);
    match (their_rest, our_rest) {
        // Not all refusals have an answer.
        (Rest::Refused(None), Rest::Refused(_)) => {}
        (theirs, ours) => prop_assert_eq!(theirs, ours, "{:?}", shown),
    }
    Ok(reading)
}

#[test]
fn we_and_hyper_take_the_same_requests_out_of_the_same_bytes() {
    let tally = Tally::default();
    check(2000, hostile::requests(), |Sent(bytes)| {
        tally.note(&same_requests(&bytes)?);
        Ok(())
    });
    tally.has_enough_of(&[
        "ends in a head",
        "malformed",
        "too many fields",
        "too long",
        "ends in a body",
        "a broken body",
        "the last one",
        "in chunks",
        "exact",
        "trailers",
        "several",
    ]);
}

fn same_answer(method: &Method, bytes: &[u8]) -> Result<Reading, TestCaseError> {
    let theirs = oracle::answer(method, bytes, LIMITS);
    let reading = read(&Side::Answers(method.clone()), [bytes], LIMITS);
    let (all, _) = all_seen(&reading, bytes);
    let is_interim = |message: &Message| match &message.head {
        Head::Answer(head) => {
            head.answer.status.is_informational() && head.answer.status != StatusCode::SWITCHING_PROTOCOLS
        }
        Head::Request(_) => false,
    };
    let mut messages = reading.messages.iter().zip(&all);
    let ours = messages.find(|(message, _)| !is_interim(message));
    let shown = String::from_utf8_lossy(bytes);
    let Some((message, ours)) = ours else {
        prop_assert_eq!(&theirs.seen, &None, "{:?}", shown);
        match reading.end {
            End::InAHead => prop_assert_eq!(theirs.rest, Rest::InAHead, "{:?}", shown),
            End::Refused(_) => prop_assert_eq!(theirs.rest, Rest::Refused(None), "{:?}", shown),
            End::InABody | End::Broken(_) | End::Over => {
                prop_assert!(false, "{:?}: {:?}", reading.end, shown)
            }
        }
        return Ok(reading);
    };
    let Some(mut seen) = theirs.seen else {
        return Err(TestCaseError::fail(format!("hyper has {:?}, we {ours:?}: {shown:?}", theirs.rest)));
    };
    // RFC 9112 section 6.3: such an answer may be an attempt at splitting answers. hyper uses its connection again.
    let says = |name| seen.fields.iter().any(|(said, _)| said == name);
    let says_both = says("content-length") && says("transfer-encoding");
    // `the_length_of_an_answer_passes_on_once_or_not_at_all` has the difference.
    let mut ours = ours.clone();
    for fields in [&mut seen.fields, &mut ours.fields] {
        fields.retain(|(name, _)| name != "content-length");
    }
    if reading.end == End::Broken(LF_IN_TRAILERS) && ours.state == State::Broken {
        (seen.trailers, seen.state) = (None, State::Broken);
        prop_assert_eq!(seen, ours, "{:?}", shown);
        return Ok(reading);
    }
    if is_given_up_early(&seen, &ours, bytes) {
        seen.state = State::Cut;
    }
    prop_assert_eq!(&seen, &ours, "{:?}", shown);
    let in_time = ours.state == State::Whole && message.head.length() != BodyLength::UntilClose;
    prop_assert_eq!(theirs.without_the_end, in_time, "{:?}", shown);
    let is_a_tunnel = ours.line.0.starts_with("101");
    let goes_on = in_time && message.head.persists() && !is_a_tunnel && message.end == bytes.len();
    if !closes_beside_no_text(&reading) && !says_both {
        prop_assert_eq!(theirs.goes_on, goes_on, "{:?}", shown);
    }
    Ok(reading)
}

#[test]
fn we_and_hyper_take_the_same_answer_out_of_the_same_bytes() {
    let method = select(vec![Method::GET, Method::GET, Method::PUT, Method::HEAD]);
    let tally = Tally::default();
    check(2000, (method, hostile::answers()), |(method, Sent(bytes))| {
        tally.note(&same_answer(&method, &bytes)?);
        Ok(())
    });
    tally.has_enough_of(&[
        "ends in a head",
        "malformed",
        "ends in a body",
        "a broken body",
        "the last one",
        "in chunks",
        "exact",
        "trailers",
        "several",
    ]);
}

#[test]
fn what_we_refuse_beyond_hyper_is_refused_for_a_reason() {
    for (why, body) in on_purpose() {
        let bytes = format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let (theirs, rest) = oracle::requests(bytes.as_bytes(), LIMITS);
        let all_whole = theirs.iter().all(|seen| seen.state == State::Whole) && rest == Rest::Done;
        assert!(all_whole, "hyper has changed its mind where {why}: {theirs:?}, {rest:?}");
        let reading = read(&Side::Requests, [bytes.as_bytes()], LIMITS);
        assert!(matches!(reading.end, End::Broken(_)), "{why}: {:?}", reading.end);
    }
}

#[test]
fn a_fragment_is_cut_off_in_silence_by_hyper_and_marked_by_us() {
    let bytes = b"GET /a#b HTTP/1.1\r\n\r\n";
    let (theirs, _) = oracle::requests(bytes, LIMITS);
    let reading = read(&Side::Requests, [&bytes[..]], LIMITS);
    assert_eq!((theirs[0].line.1.as_str(), all_seen(&reading, bytes).0), ("/a", theirs.clone()));
    let Head::Request(head) = &reading.messages[0].head else { panic!("a request") };
    assert!(head.request.has_fragment);
}

#[test]
fn whoever_asks_for_the_end_beside_bytes_that_are_no_text_has_it() {
    let bytes = b"GET /a HTTP/1.1\r\nConnection: \xff, close\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
    let (theirs, _) = oracle::requests(bytes, LIMITS);
    let reading = read(&Side::Requests, [&bytes[..]], LIMITS);
    assert_eq!((theirs.len(), reading.messages.len(), reading.end), (2, 1, End::Over));
    assert!(closes_beside_no_text(&reading));
}

/// RFC 9110 section 8.6: a length that is none goes no further. hyper leaves all of them as they are.
#[test]
fn the_length_of_an_answer_passes_on_once_or_not_at_all() {
    let rows: [(Method, &str, Option<&str>); 7] = [
        (Method::GET, "Content-Length: 5\r\n\r\nhello", Some("5")),
        (Method::GET, "Content-Length: 05\r\n\r\nhello", Some("05")),
        (Method::GET, "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Some("5")),
        (Method::GET, "Content-Length: 5, 5\r\n\r\nhello", Some("5")),
        (Method::GET, "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None),
        (Method::HEAD, "Content-Length: many\r\n\r\n", None),
        (Method::HEAD, "Content-Length: 5, 5\r\n\r\n", Some("5")),
    ];
    for (method, rest, passes) in rows {
        let bytes = format!("HTTP/1.1 200 OK\r\n{rest}");
        let reading = read(&Side::Answers(method.clone()), [bytes.as_bytes()], LIMITS);
        let fields = reading.messages[0].head.fields();
        let lengths: Vec<_> = fields.get_all(header::CONTENT_LENGTH).map(FieldValue::as_bytes).collect();
        assert_eq!(lengths, Vec::from_iter(passes.map(str::as_bytes)), "{rest:?}");
        let theirs = oracle::answer(&method, bytes.as_bytes(), LIMITS).seen.expect("hyper takes it too");
        assert!(theirs.fields.iter().any(|(name, _)| name == "content-length"), "{rest:?}");
    }
}
