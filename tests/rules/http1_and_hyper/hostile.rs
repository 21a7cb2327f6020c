//! Messages as the grammar has them, and as whoever means ill, or knows no better, would write them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::Union;

/// Bytes that show themselves as text.
#[derive(Clone)]
pub(super) struct Sent(pub(super) Vec<u8>);

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

type Text = &'static [u8];

/// One of these; as a rule the first one.
fn mostly(usual: u32, texts: &'static [Text]) -> BoxedStrategy<Text> {
    let others = texts.len() as u32 - 1;
    let each = |(at, text): (usize, &Text)| (if at == 0 { usual * others } else { 1 }, Just(*text));
    Union::new_weighted(texts.iter().enumerate().map(each).collect()).boxed()
}

fn end_of_line() -> BoxedStrategy<Text> {
    mostly(40, &[b"\r\n", b"\n", b"\r", b"\r\r\n", b" \r\n", b"\r\n ", b"\r\n\t", b"\n\r\n", b""])
}

fn version() -> BoxedStrategy<Text> {
    mostly(
        6,
        &[b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/01.1", b""],
    )
}

fn before_a_line() -> BoxedStrategy<Text> {
    mostly(20, &[b"", b"\r\n", b"\n", b"\n\r\n\n", b" ", b"\r", b"\r\n\r\n"])
}

fn request_line() -> BoxedStrategy<Vec<u8>> {
    let space = || mostly(40, &[b" ", b"  ", b"\t", b"", b"\x0b"]);
    let method = mostly(
        8,
        &[
            b"PUT", b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"get", b"X-Y!", b"P{T", b"", b"G\0T",
            b"P\xffT",
        ],
    );
    let target = mostly(
        3,
        &[
            b"/",
            b"/a?b=c",
            b"/a#f",
            b"/#",
            b"*",
            b"http://h/x",
            b"http://h",
            b"h:80",
            b"/\xc3\xa9",
            b"/\xff",
            b"/\x7f",
            b"",
            b"/a b",
            b"//x",
            b"a",
            b"/a|b",
            b"http://h:x/",
            b"http://u@h/",
            b"/\"<>{}\\^`",
            b":80",
            b"#",
            b"?",
            b"/%zz",
            b"/a?b?c#d?e#f",
            b"/a\0",
            b"http:///x",
            b"h",
            b"[::1]:80",
            b"ftp://h/x",
        ],
    );
    let parts = (before_a_line(), method, space(), target, space(), version(), end_of_line());
    parts.prop_map(|(a, b, c, d, e, f, g)| [a, b, c, d, e, f, g].concat()).boxed()
}

fn status_line() -> BoxedStrategy<Vec<u8>> {
    let status = mostly(
        2,
        &[
            b"200", b"204", b"304", b"101", b"100", b"103", b"299", b"404", b"500", b"099", b"999", b"2000",
            b"20", b"2x0",
        ],
    );
    let words = mostly(
        4,
        &[
            b" OK",
            b"",
            b" ",
            b"  Fine",
            b" Not Found",
            b" caf\xe9",
            b" a\0",
            b" a\tb",
            b" \xff",
            b"\t",
            b" OK ",
        ],
    );
    let space = mostly(40, &[b" ", b"  ", b"\t", b""]);
    let parts = (before_a_line(), version(), space, status, words, end_of_line());
    parts.prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f].concat()).boxed()
}

/// One that is a field, and perhaps means something for the connection.
fn plain_field() -> BoxedStrategy<Vec<u8>> {
    mostly(
        1,
        &[
            b"X-A: 1\r\n",
            b"Host: h\r\n",
            b"x-a:\t2 \r\n",
            b"ETag: \"\xff\"\r\n",
            b"Empty:\r\n",
            b"Connection: close\r\n",
            b"Connection: Keep-Alive\r\n",
            b"Connection: x, upgrade\r\nUpgrade: y\r\n",
            b"Expect: 100-continue\r\n",
            b"Trailer: X-Sum\r\n",
            b"Content-Length: 5\r\n",
            b"transfer-encoding: Chunked\r\n",
            b"LF: alone\n",
        ],
    )
    .prop_map(<[u8]>::to_vec)
    .boxed()
}

fn field() -> BoxedStrategy<Vec<u8>> {
    let named = |name: Text, values: &'static [Text]| {
        select(values).prop_map(move |value| (name, value.to_vec())).boxed()
    };
    let lengths: &[Text] = &[
        b"0",
        b"5",
        b"5",
        b"05",
        b"+5",
        b"5, 5",
        b"5,5",
        b"5,6",
        b"5,",
        b"",
        b"5 ",
        b"-1",
        b"0x5",
        b"18446744073709551613",
        b"18446744073709551614",
        b"18446744073709551616",
        b"\xff5",
        b"5 5",
        b"5\t",
    ];
    let codings: &[Text] = &[
        b"chunked",
        b"chunked",
        b"Chunked",
        b"gzip, chunked",
        b"gzip,chunked",
        b"chunked, gzip",
        b"chunked,chunked",
        b"identity",
        b"",
        b"\xffchunked",
        b"\xff, chunked",
        b"chunked;q=1",
        b"\"chunked\"",
        b"chunked,",
        b",chunked",
        b"chunked\t",
    ];
    let options: &[Text] = &[
        b"close",
        b"keep-alive",
        b"Close, x",
        b"x,Keep-Alive",
        b"upgrade",
        b"close\xff",
        b"",
        b",close",
        b"closed",
        b"close;x",
        b"keep-alive, close",
        b"\tclose",
    ];
    let others: &[Text] =
        &[b"a", b"b", b"", b"\xff", b"a\0b", b"a\tb", b"a\x7f", b"  b  ", b"\"", b":", b"a\x01"];
    let name_and_value = Union::new_weighted(vec![
        (3, named(b"Content-Length", lengths)),
        (1, named(b"content-LENGTH", lengths)),
        (3, named(b"Transfer-Encoding", codings)),
        (1, named(b"transfer-encoding", codings)),
        (3, named(b"Connection", options)),
        (1, named(b"Expect", &[b"100-continue", b"100-Continue", b"other"])),
        (1, named(b"Upgrade", &[b"websocket", b"h2c"])),
        (1, named(b"Trailer", &[b"X-Sum", b"content-length, x-sum"])),
        (2, named(b"Host", &[b"h", b"", b"h, h", b"\xff"])),
        (3, named(b"X-A", others)),
        (3, named(b"x-a", others)),
        (2, named(b"etag", others)),
        (1, named(b"", others)),
        (1, named(b"X A", others)),
        (1, named(b"X\0A", others)),
        (1, named(b" X-Folded", others)),
        (1, named(b"X\xffA", others)),
    ]);
    let colon = mostly(60, &[b": ", b":", b" : ", b":\t", b"", b":\x0b", b"\t:"]);
    (name_and_value, colon, end_of_line())
        .prop_map(|((name, value), colon, end)| [name, colon, &value, end].concat())
        .boxed()
}

fn fields() -> BoxedStrategy<Vec<u8>> {
    let long =
        || (300..500_usize).prop_map(|length| [b"X-Long: ", &[b'l'].repeat(length)[..], b"\r\n"].concat());
    let any_field = || prop_oneof![40 => plain_field(), 4 => field(), 1 => long()];
    prop_oneof![20 => vec(any_field(), 0..4), 1 => vec(any_field(), 8..16)]
        .prop_map(|fields| fields.concat())
        .boxed()
}

fn chunk() -> BoxedStrategy<Vec<u8>> {
    let size = mostly(
        40,
        &[
            b"5",
            b"05",
            b"5 ",
            b" 5",
            b"+5",
            b"0x5",
            b"5;a=b",
            b"5 ;a=\"\r",
            b"5;a\n",
            b"5\t",
            b"g",
            b"",
            b"6",
            b"4",
            b"5 5",
            b"5;\xff",
            b"5;\0",
            b"00000000000000000005",
            b"ffffffffffffffff",
            b"10000000000000005",
            b"0",
        ],
    );
    let data = mostly(40, &[b"hello", b"hell\n", b"\r\n\r\n0", b"hel"]);
    let end = || mostly(80, &[b"\r\n", b"\n", b"\r", b"", b"\n\n", b"\r\n\r\n"]);
    (size, end(), data, end()).prop_map(|(a, b, c, d)| [a, b, c, d].concat()).boxed()
}

fn chunks() -> BoxedStrategy<Vec<u8>> {
    let last = mostly(20, &[b"0\r\n", b"000\r\n", b"0\n", b"0;x\r\n", b"0 \r\n", b"", b"0\r\n0\r\n"]);
    let trailer = mostly(
        8,
        &[
            b"X-Sum: 6\r\n",
            b"x-other:7\r\n",
            b"X-Sum: 6\n",
            b"X Sum: 6\r\n",
            b"Content-Length: 9\r\n",
            b"X-Sum\r\n",
            b"\n",
            b": 6\r\n",
            b"X-Sum: a\0\r\n",
            b" X-Sum: 6\r\n",
            b"X-Sum: \xff\r\n",
            b"X-Sum: 6\r",
        ],
    );
    let end = mostly(30, &[b"\r\n", b"\n", b"", b"\r"]);
    (vec(chunk(), 0..4), last, vec(trailer, 0..3), end)
        .prop_map(|(chunks, last, trailers, end)| {
            [chunks.concat(), last.to_vec(), trailers.concat(), end.to_vec()].concat()
        })
        .boxed()
}

fn body() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![1 => Just(Vec::new()), 1 => Just(b"hello".to_vec()), 1 => Just(b"hel".to_vec()), 3 => chunks()].boxed()
}

/// What a message with a body is framed by, so that most of them are whole.
fn framed() -> BoxedStrategy<Vec<u8>> {
    let in_chunks =
        chunks().prop_map(|body| [&b"Transfer-Encoding: chunked\r\n"[..], b"\x00END", &body].concat());
    let exact = Just(b"Content-Length: 5\r\n\x00ENDhello".to_vec());
    prop_oneof![3 => in_chunks, 2 => exact, 2 => body().prop_map(|body| [&b"\x00END"[..], &body].concat())]
        .boxed()
}

fn message(line: BoxedStrategy<Vec<u8>>) -> BoxedStrategy<Vec<u8>> {
    let end_of_head = mostly(80, &[b"\r\n", b"\n", b"", b"\r\n\r\n", b"\r"]);
    let parts = (line, fields(), framed(), fields(), end_of_head);
    parts
        .prop_map(|(line, before, framed, behind, end)| {
            // The framing stands among the fields, and the body that it speaks of behind them.
            let at = framed.windows(4).position(|mark| mark == b"\x00END").unwrap_or_default();
            let (framing, body) = (&framed[..at], &framed[at + 4..]);
            [&line[..], &before, framing, &behind, end, body].concat()
        })
        .boxed()
}

/// Some bytes of it changed, and its end cut off.
fn mutated(bytes: BoxedStrategy<Vec<u8>>) -> BoxedStrategy<Sent> {
    let byte = prop_oneof![
        2 => select(&b"\r\n\0 \t:;,0/#\x7f\x80\xff"[..]),
        1 => any::<u8>()
    ];
    let change = option::weighted(0.2, (any::<Index>(), option::of(byte), any::<bool>()));
    (bytes, change, option::weighted(0.1, any::<Index>()))
        .prop_map(|(mut bytes, change, cut)| {
            if bytes.is_empty() {
                return Sent(bytes);
            }
            if let Some((at, byte, replaces)) = change {
                let at = at.index(bytes.len());
                if replaces || byte.is_none() {
                    bytes.remove(at);
                }
                if let Some(byte) = byte {
                    bytes.insert(at, byte);
                }
            }
            if let Some(at) = cut.filter(|_| !bytes.is_empty()) {
                bytes.truncate(at.index(bytes.len()));
            }
            Sent(bytes)
        })
        .boxed()
}

const PLAIN: Text = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n";

/// One request or several ones, one behind the other.
pub(super) fn requests() -> BoxedStrategy<Sent> {
    let next = prop_oneof![
        2 => Just(Vec::new()),
        3 => Just(PLAIN.to_vec()),
        2 => message(request_line()),
    ];
    mutated((message(request_line()), next).prop_map(|(first, next)| [first, next].concat()).boxed())
}

/// An answer, perhaps with others before it, and with what nobody asked for behind it.
pub(super) fn answers() -> BoxedStrategy<Sent> {
    let interim = mostly(6, &[b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 \r\nLink: a\r\n\r\n"]);
    let behind = mostly(4, &[b"", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"x"]);
    let parts = (interim, message(status_line()), behind);
    mutated(parts.prop_map(|(before, answer, behind)| [before, &answer, behind].concat()).boxed())
}
