//! What the grammar of RFC 9112 says of a message's bytes: an oracle for [`super::messages`], written from its text.

use http::{HeaderMap, HeaderName, Method, StatusCode, Version, header};
use ifmatch::http1::fields;
use ifmatch::http1::framing::BodyLength;
use ifmatch::http1::message::{AnswerParts, RequestParts};

use super::messages::{Head, Message, Side};

/// Whether the end of a head stands in these bytes, behind what may come before its first line.
pub(super) fn has_an_end(mut bytes: &[u8]) -> bool {
    while let [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    [&b"\n\n"[..], b"\n\r\n"].iter().any(|end| bytes.windows(end.len()).any(|window| window == *end))
}

/// Section 5.6.2 of RFC 9110.
fn is_token(bytes: &[u8]) -> bool {
    let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(tchar)
}

fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Names and values.
type Fields<'h> = Vec<(&'h [u8], &'h [u8])>;

/// The lines of a head without their ends: the first one, and the fields.
fn lines(mut head: &[u8]) -> (&[u8], Fields<'_>) {
    while let [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] = head {
        head = rest;
    }
    assert!(has_an_end(head), "a head ends with an empty line");
    let mut lines: Vec<&[u8]> =
        head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    assert_eq!((lines.pop(), lines.pop()), (Some(&b""[..]), Some(&b""[..])), "and with nothing else");
    let first = lines.remove(0);
    (first, lines.into_iter().map(field).collect())
}

fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = line.iter().position(|byte| *byte == b':').expect("a field has a colon");
    let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
    assert!(is_token(name), "a name is a token");
    assert!(value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)));
    (name, value)
}

fn values<'h>(fields: &Fields<'h>, name: &HeaderName) -> Vec<&'h [u8]> {
    let named = fields.iter().filter(|(sent, _)| sent.eq_ignore_ascii_case(name.as_str().as_bytes()));
    named.map(|(_, value)| *value).collect()
}

/// The members of a list that may stand in several lines.
fn members<'h>(values: &[&'h [u8]]) -> Vec<&'h [u8]> {
    values.iter().flat_map(|value| value.split(|byte| *byte == b',').map(trimmed)).collect()
}

fn number(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()
}

/// Whether the last coding is `chunked`, told in text.
fn ends_in_chunked(values: &[&[u8]]) -> bool {
    let Some(line) = values.last() else { return false };
    let last = trimmed(line.rsplit(|byte| *byte == b',').next().unwrap_or_default());
    last.eq_ignore_ascii_case(b"chunked") && line.is_ascii()
}

/// Whether there is no transfer coding, or this one in one line.
pub(super) fn is_chunked_at_most(fields: &fields::Fields) -> bool {
    let mut lines = fields.get_all(header::TRANSFER_ENCODING);
    let is_chunked =
        |value: fields::FieldValue<'_>| trimmed(value.as_bytes()).eq_ignore_ascii_case(b"chunked");
    lines.next().is_none_or(is_chunked) && lines.next().is_none()
}

/// Whether a message is what these bytes say: its head, and its body if it is whole.
pub(super) fn is_kept(side: &Side, head: &[u8], body: Option<&[u8]>, message: &Message) {
    let (first, fields) = lines(head);
    let (codings, lengths) =
        (values(&fields, &header::TRANSFER_ENCODING), values(&fields, &header::CONTENT_LENGTH));
    let lengths = match &message.head {
        Head::Request(_) => lengths,
        Head::Answer(_) => members(&lengths),
    };
    let length = lengths.first().map(|length| number(length));
    let same = lengths.iter().all(|other| number(other) == length.flatten()) && length != Some(None);
    let (says_both, is_chunked) = (!codings.is_empty() && !lengths.is_empty(), ends_in_chunked(&codings));
    let (version, expected) = match (&message.head, side) {
        (Head::Request(read), _) => {
            request_line(first, &read.request);
            let expected = match codings.is_empty() {
                true => Some(BodyLength::Exact(length.flatten().unwrap_or(0))).filter(|_| same),
                false => Some(BodyLength::Chunked).filter(|_| is_chunked),
            };
            (read.request.version, expected)
        }
        (Head::Answer(read), Side::Answers(method)) => {
            let status = status_line(first, &read.answer);
            let bodiless =
                *method == Method::HEAD || status < 200 || matches!(read.answer.status.as_u16(), 204 | 304);
            let expected = match (bodiless, codings.is_empty()) {
                (true, _) => Some(BodyLength::Exact(0)),
                (false, false) if is_chunked => Some(BodyLength::Chunked),
                (false, true) if length.is_some() => length.flatten().map(BodyLength::Exact).filter(|_| same),
                (false, _) => Some(BodyLength::UntilClose),
            };
            (read.answer.version, expected)
        }
        (Head::Answer(_), Side::Requests) => unreachable!("requests are no answers"),
    };
    assert_eq!(Some(message.head.length()), expected, "RFC 9112 section 6.3");
    assert!(version == Version::HTTP_11 || codings.is_empty() || expected == Some(BodyLength::Exact(0)));
    let connection = values(&fields, &header::CONNECTION);
    let says = |lines: &[&[u8]], option: &[u8]| {
        members(lines).iter().any(|member| member.eq_ignore_ascii_case(option))
    };
    // What is no text may ask for the end, and for nothing more.
    let in_text: Vec<_> = connection.iter().copied().filter(|line| line.is_ascii()).collect();
    let goes_on =
        !says(&connection, b"close") && (version == Version::HTTP_11 || says(&in_text, b"keep-alive"));
    let persists = match &message.head {
        Head::Request(_) => goes_on && !says_both,
        Head::Answer(_) => goes_on && !says_both && expected != Some(BodyLength::UntilClose),
    };
    assert_eq!(message.head.persists(), persists, "RFC 9112 section 9.3");
    let one_length = !lengths.is_empty() && !says_both && same && length.flatten() < Some(u64::MAX - 1);
    each_field(&fields, &message.head, one_length.then_some(length.flatten()).flatten());
    if let Some(body) = body {
        content(body, message);
    }
}

fn request_line(line: &[u8], read: &RequestParts) {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else { panic!("three parts") };
    assert!(is_token(method) && method == read.method.as_str().as_bytes());
    assert!(!target.is_empty() && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f));
    let mut parts = target.splitn(2, |byte| *byte == b'#');
    let (before, fragment) = (parts.next().unwrap_or_default(), parts.next());
    assert_eq!(read.has_fragment, fragment.is_some());
    if before.starts_with(b"/") {
        let seen = read.uri.path_and_query().map(|path| path.as_str().as_bytes());
        assert_eq!(seen, Some(before));
    }
    assert_eq!(version, spelled(read.version));
}

fn status_line(line: &[u8], read: &AnswerParts) -> u16 {
    let (begin, reason) = line.split_at(12);
    assert_eq!(&begin[..8], spelled(read.version));
    assert_eq!(&begin[8..], format!(" {:03}", read.status.as_u16()).as_bytes());
    let reason = match reason {
        [b' ', reason @ ..] => reason,
        other => other,
    };
    // Words that are not in ASCII are lost: they mean nothing, and no client may decide by them.
    let reason = if reason.is_ascii() { reason } else { b"" };
    let usual = read.status.canonical_reason().map(str::as_bytes);
    let own = read.reason.as_ref().map(|own| &own.0[..]);
    assert_eq!(own, Some(reason).filter(|reason| usual != Some(*reason)));
    StatusCode::as_u16(&read.status)
}

fn spelled(version: Version) -> &'static [u8] {
    if version == Version::HTTP_11 { b"HTTP/1.1" } else { b"HTTP/1.0" }
}

/// All fields pass on in their order, with their names as they were spelled; a length once, or not at all.
fn each_field(sent: &Fields<'_>, head: &Head, length: Option<u64>) {
    let fields = head.fields();
    let lengths: Vec<_> = fields.get_all(header::CONTENT_LENGTH).map(fields::FieldValue::as_bytes).collect();
    assert_eq!(
        lengths.iter().map(|length| number(length)).collect::<Vec<_>>(),
        Vec::from_iter(length.map(Some))
    );
    let is_length = |name: &[u8]| name.eq_ignore_ascii_case(header::CONTENT_LENGTH.as_str().as_bytes());
    let mut expected: Fields<'_> = Vec::new();
    for (name, value) in sent.iter().filter(|(name, _)| !is_length(name)) {
        expected.push((name, value));
    }
    let mut seen = Vec::new();
    for line in fields.lines().filter(|line| !is_length(line.spelled)) {
        seen.push((line.spelled.to_vec(), line.value.as_bytes().to_vec()));
    }
    let expected: Vec<_> = expected.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    assert_eq!(seen, expected);
}

fn content(bytes: &[u8], message: &Message) {
    match message.head.length() {
        BodyLength::Exact(length) => {
            assert_eq!(bytes.len() as u64, length);
            assert_eq!(message.body, bytes);
        }
        BodyLength::UntilClose => assert_eq!(message.body, bytes),
        BodyLength::Chunked => {
            let (body, trailers) = of_chunks(bytes).expect("section 7.1");
            assert_eq!(message.body, body);
            let count = message.trailers.as_ref().map_or(0, HeaderMap::len);
            assert_eq!(count, trailers.len());
            for (name, value) in trailers {
                let name = HeaderName::from_bytes(name).expect("a name");
                let all = message.trailers.iter().flat_map(|fields| fields.get_all(&name));
                assert!(all.into_iter().any(|kept| kept.as_bytes() == value));
            }
        }
    }
}

/// Section 7.1, with blanks behind a size as section 7.1.1 allows them.
fn of_chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, Fields<'_>)> {
    let mut body = Vec::new();
    loop {
        let line = up_to_crlf(&mut bytes)?;
        let size = trimmed(line.split(|byte| *byte == b';').next()?);
        let digits = std::str::from_utf8(size).ok().filter(|size| !size.starts_with('+'))?;
        let size = usize::from_str_radix(digits, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut trailers = Vec::new();
    loop {
        let line = up_to_crlf(&mut bytes)?;
        if line.is_empty() {
            return bytes.is_empty().then_some((body, trailers));
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        trailers.push((&line[..colon], trimmed(&line[colon + 1..])));
    }
}

fn up_to_crlf<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = bytes.windows(2).position(|end| end == b"\r\n")?;
    let (line, rest) = bytes.split_at(end);
    *bytes = &rest[2..];
    (!line.contains(&b'\n')).then_some(line)
}
