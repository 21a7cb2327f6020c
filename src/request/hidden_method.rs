//! Methods that hide in content: some frameworks take the method of a POST from a field `_method` of its
//! form, wherever in the content that stands.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// Content that frameworks take for a form, and that may be too long to be read before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormKind {
    /// `multipart/form-data` (RFC 7578).
    Multipart,
    /// Without a type: Rack reads it as a URL-encoded form.
    Untyped,
}

/// Looks for a field `_method` in content that comes piece by piece.
pub struct HiddenMethod {
    kind: FormKind,
    /// The end of what came before.
    tail: Vec<u8>,
}

/// Longer than what [`HiddenMethod`] looks for is as a rule; white space without end in it goes unseen.
const OVERLAP: usize = 256;

/// `_method` as the most lenient servers read names: in any case, percent-encoded, with a dot or a blank for
/// the underscore (PHP).
const NAME: &str =
    r"(?:[_. +]|%5f|%2e|%20)(?:m|%[46]d)(?:e|%[46]5)(?:t|%[57]4)(?:h|%[46]8)(?:o|%[46]f)(?:d|%[46]4)";

#[expect(clippy::expect_used, reason = "constants, which the tests compile")]
static OF_A_PART: LazyLock<Regex> = LazyLock::new(|| {
    let before = r#"name\*?[ \t\r\n]*=[ \t\r\n]*(?:[a-z0-9-]{1,16}'[a-z-]{0,16}')?["']?[ \t\r\n]*"#;
    Regex::new(&format!("(?i-u){before}{NAME}")).expect("a pattern")
});

#[expect(clippy::expect_used, reason = "constants, which the tests compile")]
static OF_A_PAIR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!("(?i-u)(?:^|[&;])(?:[ \t\r\n+]|%[012][0-9a-f])*{NAME}")).expect("a pattern")
});

impl HiddenMethod {
    /// Nothing has come yet.
    pub fn new(kind: FormKind) -> Self {
        HiddenMethod { kind, tail: Vec::new() }
    }

    /// Whether a field `_method` stands in what has come so far and ends in this piece. It may be told of
    /// content that only looks so: that costs a spurious refusal.
    pub fn is_in(&mut self, piece: &[u8]) -> bool {
        let begins = self.tail.is_empty();
        let pattern = match self.kind {
            FormKind::Multipart => &OF_A_PART,
            FormKind::Untyped => &OF_A_PAIR,
        };
        let head = piece.get(..OVERLAP).unwrap_or(piece);
        let mut seam = std::mem::take(&mut self.tail);
        seam.extend_from_slice(head);
        let is_in = pattern.is_match(&seam) || (begins || piece.len() > OVERLAP) && pattern.is_match(piece);
        // A short piece is in the seam whole, and what came before it still counts.
        let last = if piece.len() < OVERLAP { &seam } else { piece };
        self.tail = last.get(last.len().saturating_sub(OVERLAP)..).unwrap_or_default().to_vec();
        is_in
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: FormKind, content: &[u8], pieces: usize) -> bool {
        let mut hidden = HiddenMethod::new(kind);
        content.chunks(pieces.max(1)).map(|piece| hidden.is_in(piece)).filter(|found| *found).count() > 0
    }

    #[test]
    fn a_hidden_method_is_found_however_its_content_is_cut() {
        let long =
            [&[b'x'; 5000][..], b"\r\n--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nPUT"]
                .concat();
        for (kind, content) in [
            (
                FormKind::Multipart,
                &b"--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--b--"[..],
            ),
            (FormKind::Multipart, b"--b\r\ncontent-disposition:form-data;\r\n NAME = _METHOD\r\n\r\nPUT"),
            (
                FormKind::Multipart,
                b"--b\r\nContent-Disposition: form-data; name*=utf-8''%5Fmethod\r\n\r\nPUT",
            ),
            (FormKind::Multipart, b"--b\r\nContent-Disposition: form-data; name=\".method[]\"\r\n\r\nPUT"),
            (FormKind::Multipart, &long),
            (FormKind::Untyped, b"_method=PUT"),
            (FormKind::Untyped, b"a=b&%5f%6Dethod=PUT"),
            (FormKind::Untyped, b"a=b;+_method=PUT"),
        ] {
            for pieces in [1, 2, 3, 7, 255, 256, 257, content.len()] {
                assert!(found(kind, content, pieces), "{:?} by {pieces}", String::from_utf8_lossy(content));
            }
        }
    }

    #[test]
    fn other_content_is_left_alone() {
        for (kind, content) in [
            (
                FormKind::Multipart,
                &b"--b\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\n_method"[..],
            ),
            (
                FormKind::Multipart,
                b"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n&_method=PUT",
            ),
            (FormKind::Untyped, b"{\"name\": \"_method\"}"),
            (FormKind::Untyped, b"a=_method"),
        ] {
            for pieces in [3, 256, content.len()] {
                assert!(!found(kind, content, pieces), "{:?} by {pieces}", String::from_utf8_lossy(content));
            }
        }
    }
}
