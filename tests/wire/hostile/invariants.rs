//! What holds for every hostile request, whatever its row says.

use percent_encoding::percent_decode;
use unicode_normalization::UnicodeNormalization;

use super::table::Row;
use crate::harness::Seen;

/// Which of them a row breaks.
pub fn broken(row: &Row, sent: &[u8], seen: &[Seen], answers: usize) -> Vec<String> {
    let mut broken: Vec<String> = seen.iter().filter_map(is_no_one_message).collect();
    broken.extend(
        seen.iter()
            .filter(|seen| !was_sent(seen, sent))
            .map(|seen| format!("`{}` was never sent like this", seen.start_line)),
    );
    let complete = seen.iter().filter(|seen| seen.complete).count();
    if complete > answers {
        broken.push(format!("the origin saw {complete} requests and the client heard {answers} answers"));
    }
    // What is guarded passes with the current tag only.
    if seen
        .iter()
        .any(|seen| effective_methods(seen).any(|method| is_guarded(&method)) && names_the_item(seen))
        && !row.sent().contains("{tag}")
    {
        broken.push("A HOLE: a write to the item, without its current tag".to_owned());
    }
    broken
}

/// RFC 9112: what every recipient takes for the same one request.
fn is_no_one_message(seen: &Seen) -> Option<String> {
    let head = &seen.raw_head;
    let lengths = seen.fields_named("Content-Length");
    let codings = seen.fields_named("Transfer-Encoding");
    let framing = match (&lengths[..], &codings[..]) {
        ([], []) => true,
        ([length], []) => length.bytes().all(|b| b.is_ascii_digit()),
        ([], [coding]) => *coding == "chunked",
        _ => false,
    };
    let stays = ["Keep-Alive", "Proxy-Connection", "If-Match", "If-None-Match"];
    let bare = |at: usize| match head[at] {
        b'\r' => head.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || head[at - 1] != b'\r',
        byte => byte == 0,
    };
    let name_is_token = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let wrong = if !framing {
        "not exactly one framing"
    } else if seen.fields_named("Host").len() != 1 {
        "not exactly one Host"
    } else if (0..head.len()).any(bare) {
        "a bare CR, a bare LF or a NUL"
    } else if !seen.names().into_iter().all(name_is_token) {
        "a field name that is no token"
    } else if seen.start_line.split(' ').count() != 3 || !seen.start_line.ends_with(" HTTP/1.1") {
        "no request line"
    } else if names_the_item(seen) && stays.iter().any(|name| seen.has(name)) {
        "a field that ends at the proxy"
    } else {
        return None;
    };
    Some(format!("{wrong} at the origin"))
}

/// Whether method and target are, byte for byte, what the client sent; or the question whether the item
/// exists, which is ours.
fn was_sent(seen: &Seen, sent: &[u8]) -> bool {
    let line = seen.raw_head.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = &line[..line.len().saturating_sub(b"1.1".len())];
    let mut parts = line.splitn(2, |b| *b == b' ');
    let (method, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let holds = |wanted: &[u8]| sent.windows(wanted.len()).any(|found| found == wanted);
    // RFC 9112 section 3.2.1: a path that is missing from an absolute target goes on as a slash.
    let is_sent = holds(&[method, b" "].concat()) && (holds(rest) || rest == b"/ HTTP/");
    is_sent || (method == b"HEAD" && names_the_item(seen) && effective_methods(seen).count() == 1)
}

/// Whether the item may be another one after this request, to a server that reads it as leniently as can be.
pub fn writes_to_the_item(seen: &Seen) -> bool {
    let is_safe = |method: String| ["GET", "HEAD", "OPTIONS", "TRACE"].contains(&method.as_str());
    names_the_item(seen) && !effective_methods(seen).all(is_safe)
}

fn is_guarded(method: &str) -> bool {
    ["PUT", "PATCH", "DELETE"]
        .iter()
        .any(|guarded| guarded.eq_ignore_ascii_case(method.trim_matches(['+', '\0', '"', '\'']).trim()))
}

/// The method, and what frameworks take in its place.
fn effective_methods(seen: &Seen) -> impl Iterator<Item = String> {
    const FIELDS: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
    let fields = seen.message.fields.iter().chain(&seen.message.trailers);
    let in_fields = fields
        .filter(|(name, _)| FIELDS.contains(&name.to_ascii_lowercase().replace('_', "-").as_str()))
        .map(|(_, value)| value.clone());
    let form = seen.text();
    let is_form = seen.fields_named("Content-Type").iter().any(|value| value.contains("urlencoded"));
    let query = seen.target.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split(['&', ';']).chain(form.split(['&', ';']).filter(|_| is_form));
    let in_pairs = pairs
        .map(|pair| percent_decode(pair.as_bytes()).decode_utf8_lossy().to_ascii_lowercase())
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name = name.trim_start_matches(['+', ' ', '\r', '\n']).replace('.', "_");
            name.starts_with("_method").then(|| value.to_owned())
        });
    let methods: Vec<String> = [seen.method.clone()].into_iter().chain(in_fields).chain(in_pairs).collect();
    methods.into_iter()
}

/// Whether some server takes the target, or what a field puts in its place, for `/items/1`.
fn names_the_item(seen: &Seen) -> bool {
    const FIELDS: [&str; 3] = ["x-original-url", "x-rewrite-url", "destination"];
    let fields = seen.message.fields.iter().chain(&seen.message.trailers);
    let elsewhere =
        fields.filter(|(name, _)| FIELDS.contains(&name.to_ascii_lowercase().replace('_', "-").as_str()));
    let folder = seen.target.rsplit_once('/').map_or("", |(folder, _)| folder);
    is_the_item(&seen.target)
        || elsewhere
            .into_iter()
            .any(|(_, value)| is_the_item(value) || is_the_item(&format!("{folder}/{value}")))
}

/// Decoded twice, normalised, backslashes turned, cut at what ends a path, cleaned, folded.
fn is_the_item(target: &str) -> bool {
    let once: Vec<u8> = percent_decode(target.split('?').next().unwrap_or_default().as_bytes()).collect();
    let decoded: Vec<u8> = percent_decode(&once).collect();
    let arabic = |c: char| u32::from(c).checked_sub(0x660).and_then(|n| char::from_digit(n, 10)).unwrap_or(c);
    let read: String = String::from_utf8_lossy(&decoded).nfkc().map(arabic).collect();
    let read = read.to_lowercase().replace('\\', "/");
    let path = read.split(['#', '?', '\0']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()) {
        match segment.trim_matches(|c: char| c.is_whitespace() || c.is_control()) {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment.trim_end_matches(['.', ' '])),
        }
    }
    matches!(segments[..], ["items", id] if id.trim_start_matches('0') == "1" || id == "1.json")
}
