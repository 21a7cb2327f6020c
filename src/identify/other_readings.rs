//! What other servers may read an ambiguous path as.

use percent_encoding::percent_decode_str;
use unicode_normalization::UnicodeNormalization;

use super::target_path::TargetPath;

/// How often a path may be decoded on its way: by a proxy, a server and a framework.
const DECODINGS: usize = 3;

/// What servers may read a path as that decode it more than once, take overlong UTF-8, `%u002f` or
/// compatibility forms for the characters they stand for, backslashes for slashes, and drop control
/// characters or take NUL for the end.
pub fn other_readings(path: &str) -> Vec<TargetPath> {
    let mut readings = Vec::new();
    let mut read = path.to_ascii_lowercase();
    for _ in 0..DECODINGS {
        read = decoded(&read);
        let printable: String = read.chars().filter(|c| !c.is_control()).collect();
        readings.push(TargetPath::parse(&printable));
        if let Some((before, _)) = read.split_once('\0') {
            readings.push(TargetPath::parse(before));
        }
    }
    readings
}

fn decoded(path: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(&without_u(path)).collect();
    lenient_text(&bytes).nfkc().map(|c| if c == '\\' { '/' } else { c }).collect()
}

/// `%u002f` as the character that it stands for, which no standard says but some servers know.
fn without_u(path: &str) -> String {
    let mut pieces = path.split("%u");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match (code.and_then(char::from_u32), piece.get(4..)) {
            (Some(c), Some(rest)) => text.extend([String::from(c).as_str(), rest]),
            (None, _) | (_, None) => text.extend(["%u", piece]),
        }
    }
    text
}

/// UTF-8 as decoders read it that do not ask whether a form is the shortest.
fn lenient_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let (bits, more) = match first {
            0..=0x7f => (*first, 0),
            0xc0..=0xdf => (first & 0x1f, 1),
            0xe0..=0xef => (first & 0x0f, 2),
            0xf0..=0xf7 => (first & 0x07, 3),
            0x80..=0xbf | 0xf8..=0xff => (0xff, usize::MAX),
        };
        let continued = after.get(..more).filter(|bytes| bytes.iter().all(|b| b & 0xc0 == 0x80));
        let code = continued
            .map(|bytes| bytes.iter().fold(u32::from(bits), |code, b| code << 6 | u32::from(b & 0x3f)));
        text.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = after.get(continued.map_or(0, <[u8]>::len)..).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reading_that_some_server_has_is_among_them() {
        for path in [
            "/items%2F1",
            "/items%25252F1",
            "/off%5c..\\items/1",
            "/%2569tems/1",
            "/off/%2e%2e/items/1",
            "/items%C0%AF1",
            "/items%E0%80%AF1",
            "/items%F0%80%80%AF1",
            "/items%C1%9C1",
            "/off/%C0%AE%c0%ae/items/1",
            "/items%u002f1",
            "/items%uff0f1",
            "/items%EF%BC%8F1",
            "/items／1",
            "/off/%E2%80%A5/items/1",
            "/it%09ems/1",
            "/%00/items/1",
            "/items/1%00.html",
        ] {
            let readings = other_readings(path);
            let readings: Vec<_> = readings.iter().map(TargetPath::routed).collect();
            assert!(readings.iter().any(|reading| reading == "/items/1"), "{path}: {readings:?}");
        }
    }

    #[test]
    fn what_stands_for_nothing_stays() {
        for (path, read) in
            [("/a%u00", "/a%u00"), ("/a%uzzzz", "/a%uzzzz"), ("/%u", "/%u"), ("/%ud800", "/%ud800")]
        {
            assert_eq!(without_u(path), read);
        }
        assert_eq!(lenient_text(b"a\xffb\xe0\x80"), "a\u{fffd}b\u{fffd}\u{fffd}");
        assert_eq!(lenient_text("héé€𝟏".as_bytes()), "héé€𝟏");
    }
}
