//! Bodies, taken out of what has come: the same frames wherever it was cut, and no more than is allowed around them.

use bytes::BytesMut;
use http::HeaderMap;
use ifmatch::http1::decode::{BadBody, Decoded, Decoder};
use ifmatch::http1::framing::BodyLength;

/// What a body came to: content, trailers, and what is left of the bytes.
#[derive(Debug, PartialEq, Eq)]
struct Body {
    content: Vec<u8>,
    trailers: Option<HeaderMap>,
    left: Vec<u8>,
}

const CUT: BadBody = BadBody("the connection ended before the body did");

/// Of what comes in these pieces, up to its end or the end of the pieces.
fn body(length: BodyLength, pieces: &[&[u8]]) -> Result<Body, BadBody> {
    let (mut decoder, mut come) = (Decoder::new(length), BytesMut::new());
    let (mut content, mut trailers) = (Vec::new(), None);
    let mut pieces = pieces.iter();
    loop {
        match decoder.take(&mut come)? {
            Decoded::Data(data) => {
                assert!(!data.is_empty() && trailers.is_none());
                content.extend_from_slice(&data);
            }
            Decoded::Trailers(fields) => trailers = Some(fields),
            Decoded::End => break,
            Decoded::Needs => match pieces.next() {
                Some(piece) => come.extend_from_slice(piece),
                None => decoder.close()?,
            },
        }
    }
    assert!(decoder.is_over() && decoder.rest() == Some(0));
    pieces.for_each(|piece| come.extend_from_slice(piece));
    Ok(Body { content, trailers, left: come.to_vec() })
}

fn chunked(bytes: &[u8]) -> Result<Body, BadBody> {
    body(BodyLength::Chunked, &[bytes])
}

fn content(bytes: &str) -> String {
    let body = chunked(bytes.as_bytes()).unwrap_or_else(|bad| panic!("{bad}: {bytes:?}"));
    assert!(body.left.is_empty());
    String::from_utf8(body.content).expect("text")
}

/// Each way to cut the bytes into two or three pieces.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = [&[u8]; 3]> {
    let all = 0..=bytes.len();
    all.clone().flat_map(move |first| {
        let pieces = move |second: usize| [&bytes[..first], &bytes[first..second], &bytes[second..]];
        all.clone().filter(move |second| *second >= first).map(pieces)
    })
}

#[test]
fn a_body_in_chunks_is_the_same_wherever_it_was_cut() {
    let bytes = b"5\r\nhello\r\n00b ; a=\"b\"\r\n, good\r\nbye\r\n1\t\r\n!\r\n0;last\r\nX-A: 1\r\nx-a: 2\r\nX-B:\r\n\r\nGET";
    let whole = chunked(bytes).expect("a body");
    assert_eq!((&whole.content[..], &whole.left[..]), (&b"hello, good\r\nbye!"[..], &b"GET"[..]));
    let trailers = whole.trailers.as_ref().expect("trailers");
    assert_eq!(trailers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((trailers.len(), trailers["x-b"].as_bytes()), (3, &b""[..]));
    for pieces in cuts(bytes) {
        assert_eq!(body(BodyLength::Chunked, &pieces).as_ref(), Ok(&whole), "{pieces:?}");
    }
}

#[test]
fn what_is_no_body_is_none_wherever_it_was_cut() {
    for bytes in [
        "5\r\nhelloo\r\n",
        "5\nhello",
        "5;a\n",
        "0\r\nA : 1\r\n\r\n",
        "0\r\nA: 1\n",
        "0\r\n\n",
        "g",
        "5 5\r\n",
    ] {
        let bad = chunked(bytes.as_bytes()).expect_err(bytes);
        assert_ne!(bad, CUT, "{bytes:?}");
        for pieces in cuts(bytes.as_bytes()) {
            assert_eq!(body(BodyLength::Chunked, &pieces), Err(bad));
        }
    }
}

#[test]
fn a_body_of_a_known_length_leaves_what_stands_behind_it() {
    for pieces in cuts(b"hello world") {
        let body = body(BodyLength::Exact(5), &pieces).expect("a body");
        assert_eq!((&body.content[..], &body.left[..]), (&b"hello"[..], &b" world"[..]));
    }
    let nothing = body(BodyLength::Exact(0), &[b"x"]).expect("a body");
    assert_eq!((&nothing.content[..], &nothing.left[..]), (&b""[..], &b"x"[..]));
}

#[test]
fn the_rest_of_a_body_is_told_where_it_is_known() {
    let mut decoder = Decoder::new(BodyLength::Exact(5));
    assert_eq!((decoder.rest(), decoder.is_over()), (Some(5), false));
    assert!(matches!(decoder.take(&mut BytesMut::from("hel")), Ok(Decoded::Data(_))));
    assert_eq!((decoder.rest(), decoder.is_over()), (Some(2), false));
    assert_eq!(Decoder::new(BodyLength::Chunked).rest(), None);
    assert_eq!(Decoder::new(BodyLength::UntilClose).rest(), None);
}

#[test]
fn a_body_without_its_end_is_told_to_be_cut() {
    let bytes = b"5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for end in 0..bytes.len() {
        assert_eq!(chunked(&bytes[..end]), Err(CUT), "{end}");
    }
    assert_eq!(body(BodyLength::Exact(5), &[b"hell"]), Err(CUT));
    assert_eq!(body(BodyLength::UntilClose, &[b"he", b"llo"]).expect("all of it").content, b"hello");
}

#[test]
fn a_size_is_a_hexadecimal_number_and_nothing_else() {
    for size in ["5", "05", "5 ", "5\t ", "5;", "5;a=b;c", "5 ; a=\"\r", "00000005"] {
        let text = format!("{size}\r\nhello\r\n0\r\n\r\n");
        if size.ends_with('\r') {
            assert_ne!(chunked(text.as_bytes()), Err(CUT), "no return is part of an extension");
        } else {
            assert_eq!(content(&text), "hello", "{size:?}");
        }
    }
    assert_eq!(content("A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n").len(), 20);
    for size in
        ["", " 5", "+5", "-5", "0x5", "5 5", "5,5", "5\0", "\u{ff15}", "5\x0b", "10000000000000005", "5\n"]
    {
        let bad = chunked(format!("{size}\r\nhello\r\n0\r\n\r\n").as_bytes()).expect_err(size);
        assert_ne!(bad, CUT, "{size:?}");
    }
    // The longest one that there is, and its content has not come.
    assert_eq!(chunked(b"ffffffffffffffff\r\nhello"), Err(CUT));
}

#[test]
fn a_chunk_ends_where_it_said() {
    for bytes in [
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhel\r\n0\r\n\r\n",
        "5\rhello",
    ] {
        assert_eq!(
            chunked(bytes.as_bytes()),
            Err(BadBody("a chunk does not end where it said")),
            "{bytes:?}"
        );
    }
}

/// Each chunk has one byte of extensions: a limit on each of them would be none on all.
#[test]
fn extensions_have_a_limit_over_all_chunks() {
    let chunks = |count: usize| "1;a\r\nx\r\n".repeat(count) + "0\r\n\r\n";
    assert_eq!(content(&chunks(16_383)).len(), 16_383);
    assert_eq!(chunked(chunks(16_384).as_bytes()), Err(BadBody("too many chunk extensions")));
    assert_eq!(
        chunked(format!("1;{}", "a".repeat(16_384)).as_bytes()),
        Err(BadBody("too many chunk extensions"))
    );
}

/// Once the blanks of all chunks were counted together, and a long answer of a server that fills up its sizes with
/// them broke off.
#[test]
fn a_size_may_be_padded_in_however_many_chunks() {
    for size in ["1       ", "00000001", "1\t\t\t\t"] {
        let chunks = format!("{size}\r\nx\r\n").repeat(20_000) + "0\r\n\r\n";
        assert_eq!(content(&chunks).len(), 20_000);
    }
    for (padding, fits) in [(64, true), (65, false)] {
        for size in [format!("1{}", " ".repeat(padding)), format!("{}1", "0".repeat(padding))] {
            let read = chunked(format!("{size}\r\nx\r\n0\r\n\r\n").as_bytes());
            match read {
                Ok(body) => assert!(fits && body.content == b"x"),
                Err(bad) => assert!(!fits && bad == BadBody("too much around a chunk's size"), "{bad}"),
            }
        }
    }
}

#[test]
fn trailers_have_a_limit() {
    let trailers = |value: usize| format!("0\r\nA: {}\r\n\r\n", "a".repeat(value));
    // A name, a colon, a blank, two ends of lines, and one less than 16 KiB.
    let most = 16 * 1024 - 1 - 7;
    assert!(chunked(trailers(most).as_bytes()).expect("a body").trailers.is_some());
    assert_eq!(chunked(trailers(most + 1).as_bytes()), Err(BadBody("the trailer section is too long")));
    let fields = |count: usize| format!("0\r\n{}\r\n", "a:b\r\n".repeat(count));
    assert_eq!(
        chunked(fields(100).as_bytes()).expect("a body").trailers.map(|fields| fields.len()),
        Some(100)
    );
    assert_eq!(chunked(fields(101).as_bytes()), Err(BadBody("trailer fields that are none")));
}

#[test]
fn trailers_are_fields_and_nothing_else() {
    for line in ["A", "A : 1", ": 1", " A: 1", "A: \0", "A: 1\r\n 2", "A B: 1"] {
        let read = chunked(format!("0\r\n{line}\r\n\r\n").as_bytes());
        assert_eq!(read, Err(BadBody("trailer fields that are none")), "{line:?}");
    }
}

/// The parser of fields takes a line feed alone for the end of a line, and two of them for the end of the section. What
/// stood behind those, up to the end with carriage returns, was swallowed in silence: a request, for whoever before us
/// reads it as one.
#[test]
fn the_lines_of_the_trailer_section_end_in_carriage_return_and_line_feed() {
    for section in [
        "\n",
        "A: 1\n\r\n",
        "A: 1\nB: 2\r\n\r\n",
        "A: 1\n\nGET / HTTP/1.1\r\n\r\n",
        "A: 1\r\n\n",
        "A: 1\rB: 2\r\n\r\n",
    ] {
        let read = chunked(format!("0\r\n{section}").as_bytes());
        assert_eq!(read, Err(BadBody("a line of the trailer section does not end in CR LF")), "{section:?}");
    }
}
