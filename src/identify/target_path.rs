//! One spelling for a path that servers spell in many ways.
//!
//! Servers decode, trim, fold and clean paths before they look a resource up, each in its own way. A
//! path is therefore folded to what the most lenient of them would make of it, and a path that could
//! mean one resource to us and another one to the origin is ambiguous.

use std::borrow::Cow;
use std::fmt;

use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use unicode_normalization::UnicodeNormalization;

use super::fold::{Fold, fold_segment, without_parameters};
use super::plain_path::is_plain;

/// Why a path could mean one resource to us and another one to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// `%2F`: a separator to some servers, a character of the name to others.
    EncodedSlash,
    /// `\` or `%5C`: a separator to some servers.
    Backslash,
    /// A control character, raw or encoded.
    ControlCharacter,
    /// `%2e` or `%2e%2e` as a whole segment.
    EncodedDotSegment,
    /// `%25` before two hexadecimal digits, however those are spelled: decoded twice by some servers.
    DoubleEncoding,
    /// `%` without two hexadecimal digits behind it.
    InvalidEncoding,
    /// Bytes that are not UTF-8, overlong forms included.
    InvalidUtf8,
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ambiguity::EncodedSlash => "an encoded slash (%2F)",
            Ambiguity::Backslash => "a backslash",
            Ambiguity::ControlCharacter => "a control character",
            Ambiguity::EncodedDotSegment => "an encoded dot segment (%2e)",
            Ambiguity::DoubleEncoding => {
                "a percent sign that is itself encoded (%25 before two hexadecimal digits)"
            }
            Ambiguity::InvalidEncoding => "a percent sign without two hexadecimal digits behind it",
            Ambiguity::InvalidUtf8 => "bytes that are not UTF-8",
        })
    }
}

/// Room for the segments of most paths; a list of more costs an allocation.
pub(super) const USUAL_DEPTH: usize = 8;

/// A path that requests are matched and named by.
#[derive(Clone, Debug)]
pub struct TargetPath(Form);

#[derive(Clone, Debug)]
enum Form {
    /// As every server reads it; shared with the request.
    Plain(PathAndQuery),
    /// In its pieces.
    Apart(Apart),
}

/// A path taken apart: every segment as it was spelled, and the list that is left when dot segments
/// and empty segments are resolved.
#[derive(Clone, Debug)]
struct Apart {
    /// Decoded segments in their order, empty and dot segments included.
    spelled: Vec<String>,
    /// Indexes into `spelled`, of the segments that count.
    resolved: Vec<usize>,
    ambiguity: Option<Ambiguity>,
}

impl TargetPath {
    /// The path of a target; takes it apart where servers may read it in different ways.
    pub fn of(target: &PathAndQuery) -> Self {
        if is_plain(target.path()) {
            TargetPath(Form::Plain(target.clone()))
        } else {
            Self::parse(target.path())
        }
    }

    /// Takes a path apart. The path begins with a slash; what stands before the first one is dropped,
    /// and so is a fragment: servers that are sent one take it for the end of the path.
    pub fn parse(path: &str) -> Self {
        TargetPath(Form::Apart(Apart::parse(path)))
    }

    /// What makes the path mean different things to different servers, if anything does.
    pub fn ambiguity(&self) -> Option<Ambiguity> {
        match &self.0 {
            Form::Plain(_) => None,
            Form::Apart(apart) => apart.ambiguity,
        }
    }

    /// The path that routes are matched on: every fold applied. Begins with a slash.
    pub fn routed(&self) -> Cow<'_, str> {
        self.folded(Fold::default())
    }

    /// The path with a route's folds applied: the name of the resource where the route gives no other.
    pub fn folded(&self, fold: Fold) -> Cow<'_, str> {
        match &self.0 {
            Form::Plain(target) => Cow::Borrowed(target.path()),
            Form::Apart(apart) => Cow::Owned(apart.folded(fold)),
        }
    }

    /// The request's own path, where it is the one of [`TargetPath::folded`] by every fold.
    pub fn plain(&self) -> Option<&PathAndQuery> {
        match &self.0 {
            Form::Plain(target) => Some(target),
            Form::Apart(_) => None,
        }
    }

    /// The segments that routes are matched on, as a route's folds leave them; in the same order and
    /// number as those of [`TargetPath::routed`].
    pub fn segments(&self, fold: Fold) -> impl Iterator<Item = Cow<'_, str>> {
        let (plain, apart) = self.forms();
        let apart = apart.map(|apart| {
            let kept: Vec<&str> = apart.spelled_segments().collect();
            fold_all(kept, fold).map(Cow::Owned)
        });
        plain.map(Cow::Borrowed).chain(apart.into_iter().flatten())
    }

    /// The segments that routes are matched on, decoded and otherwise as the client spelled them.
    pub fn spelled_segments(&self) -> impl Iterator<Item = &str> {
        let (plain, apart) = self.forms();
        plain.chain(apart.into_iter().flat_map(Apart::spelled_segments))
    }

    /// The segments of a plain path, or the one that was taken apart.
    fn forms(&self) -> (impl Iterator<Item = &str>, Option<&Apart>) {
        let (plain, apart) = match &self.0 {
            Form::Plain(target) => (target.path(), None),
            Form::Apart(apart) => ("", Some(apart)),
        };
        (segments_of_plain(plain), apart)
    }
}

/// The segments of a path that is plain.
///
/// By its bytes: they are few, and [`str::split`] takes several times as long to begin with each of them.
pub(super) fn segments_of_plain(path: &str) -> impl Iterator<Item = &str> + Clone {
    let mut rest = path.strip_prefix('/').filter(|below_root| !below_root.is_empty());
    std::iter::from_fn(move || {
        let from_here = rest?;
        let slash = from_here.bytes().position(|b| b == b'/');
        rest = slash.and_then(|at| from_here.get(at + 1..));
        from_here.get(..slash.unwrap_or(from_here.len()))
    })
}

impl Apart {
    fn parse(path: &str) -> Self {
        let mut ambiguity = None;
        let path = path.split_once('#').map_or(path, |(path, _)| path);
        let spelled: Vec<String> = path
            .split('/')
            .skip(1)
            .map(|raw| {
                let (decoded, doubt) = decode(raw);
                ambiguity = ambiguity.or(doubt);
                decoded
            })
            .collect();
        let resolved = resolve(&spelled);
        Apart { spelled, resolved, ambiguity }
    }

    fn folded(&self, fold: Fold) -> String {
        let mut path =
            fold_all(self.kept(fold), fold).fold(String::new(), |path, segment| path + "/" + &segment);
        let last = self.spelled.last().map_or("", String::as_str);
        // A dot segment at the end leaves the slash before it (RFC 3986 section 5.2.4).
        let dotted = fold.dot_segments && matches!(without_parameters(last), "." | "..");
        let slashed = dotted || (self.spelled.len() > 1 && last.is_empty());
        if path.is_empty() || (slashed && !fold.trailing_slash && !path.ends_with('/')) {
            path.push('/');
        }
        if fold.trailing_slash && path.len() > 1 {
            path.truncate(path.trim_end_matches('/').len().max(1));
        }
        path
    }

    /// The spelled segments that count under a route's folds.
    fn kept(&self, fold: Fold) -> Vec<&str> {
        let as_routed = fold.dot_segments && fold.empty_segments;
        let mut kept =
            if as_routed { self.spelled_segments().collect() } else { self.kept_by_its_own_folds(fold) };
        let empty_by = if as_routed { Fold::default() } else { fold };
        let is_dropped = |left: &str| match without_parameters(left) {
            "." | ".." if fold.dot_segments => true,
            _ => {
                (fold.empty_segments || fold.trailing_slash) && fold_segment(left, empty_by, false).is_empty()
            }
        };
        // What the last one is without its format suffix may not count either, and behind an empty one a suffix would
        // not be found.
        while kept.last().is_some_and(|last| is_dropped(&fold_segment(last, fold, true))) {
            kept.pop();
        }
        kept
    }

    /// The same for a route that tells dot segments or empty ones apart, except at the end.
    fn kept_by_its_own_folds(&self, fold: Fold) -> Vec<&str> {
        let mut kept = Vec::with_capacity(self.spelled.len());
        for segment in self.spelled.iter().map(String::as_str) {
            match without_parameters(segment) {
                "." if fold.dot_segments => {}
                ".." if fold.dot_segments => drop(kept.pop()),
                _ => kept.push(segment),
            }
        }
        kept.retain(|segment| !fold.empty_segments || !fold_segment(segment, fold, false).is_empty());
        kept
    }

    fn spelled_segments(&self) -> impl Iterator<Item = &str> {
        // A segment can also fold to nothing, such as `...`.
        let counts = |s: &&str| !fold_segment(s, Fold::default(), false).is_empty();
        self.resolved.iter().filter_map(|i| self.spelled.get(*i)).map(String::as_str).filter(counts)
    }
}

fn fold_all(segments: Vec<&str>, fold: Fold) -> impl Iterator<Item = String> {
    let last = segments.len().saturating_sub(1);
    segments.into_iter().enumerate().map(move |(i, segment)| fold_segment(segment, fold, i == last))
}

/// Removes empty and dot segments (RFC 3986 section 5.2.4); climbing above the root stays there.
fn resolve(spelled: &[String]) -> Vec<usize> {
    let mut resolved = Vec::with_capacity(spelled.len());
    for (i, segment) in spelled.iter().enumerate() {
        match without_parameters(segment) {
            "" | "." => {}
            ".." => {
                resolved.pop();
            }
            _ => resolved.push(i),
        }
    }
    resolved
}

fn decode(raw: &str) -> (String, Option<Ambiguity>) {
    let plain = raw.bytes().all(|b| b.is_ascii_graphic() && b != b'%' && b != b'\\');
    if plain {
        return (raw.to_owned(), None);
    }
    let bytes: Vec<u8> = percent_decode_str(raw).collect();
    let doubt = doubt_about(raw, &bytes);
    (String::from_utf8_lossy(&bytes).into_owned(), doubt)
}

fn doubt_about(raw: &str, decoded: &[u8]) -> Option<Ambiguity> {
    let encodings = || raw.as_bytes().iter().enumerate().filter(|(_, b)| **b == b'%').map(|(i, _)| i + 1);
    let hex_at =
        |bytes: &[u8], at: usize| bytes.get(at..at + 2).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit));
    let encoded = |byte: &[u8]| {
        encodings().any(|i| raw.as_bytes().get(i..i + 2).is_some_and(|d| d.eq_ignore_ascii_case(byte)))
    };
    let text = String::from_utf8_lossy(decoded);
    // What separates segments or escapes only after normalisation, to servers that normalise.
    let normal: String = if text.is_ascii() { String::new() } else { text.nfkc().collect() };
    let becomes = |c: char| normal.contains(c) && !text.contains(c);
    let escapes =
        |bytes: &[u8]| (0..bytes.len()).any(|i| bytes.get(i) == Some(&b'%') && hex_at(bytes, i + 1));
    let dots = |text: &str| matches!(without_parameters(text).trim_matches(' '), "." | "..");
    if encodings().any(|i| !hex_at(raw.as_bytes(), i)) {
        Some(Ambiguity::InvalidEncoding)
    } else if encoded(b"2f") || becomes('/') {
        Some(Ambiguity::EncodedSlash)
    } else if decoded.contains(&b'\\') || becomes('\\') {
        Some(Ambiguity::Backslash)
    } else if decoded.iter().any(u8::is_ascii_control) {
        Some(Ambiguity::ControlCharacter)
    } else if (raw.contains('%') && dots(&text)) || dots(&normal) {
        Some(Ambiguity::EncodedDotSegment)
    } else if escapes(decoded) || escapes(normal.as_bytes()) || becomes('%') {
        Some(Ambiguity::DoubleEncoding)
    } else if std::str::from_utf8(decoded).is_err() {
        Some(Ambiguity::InvalidUtf8)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::fold::tests::texts;
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_one_name() {
        for spelling in [
            "/items/1",
            "/items/%31",
            "/%69tems/1",
            "//items/1",
            "/items//1",
            "/items/./1",
            "/items/x/../1",
            "/../items/1",
            "/items/1/",
            "/items/1//",
            "/items/1/.",
            "/items/1/x/..",
            "/items/1;v=1",
            "/items;x/1",
            "/items/;/1",
            "/ITEMS/1",
            "/items/01",
            "/items/%EF%BC%91",
            "/items/%D9%A1",
            "/items/1.json",
            "/items/1.",
            "/items/1%20",
            "/items/%201",
            "/items/..;/items/1",
            "/items/1.json/",
            "/items/+1",
            "/items/%2B1",
            "/items/1.0",
            "/items/001.00",
            "/items/0_1",
            "/items/1e0",
            "/items/10E-1",
            "/items/0x1",
            "/items/0B1",
            "/items/1%E2%80%A8",
            "/items/%C2%851",
        ] {
            let path = TargetPath::parse(spelling);
            assert_eq!(path.routed(), "/items/1", "{spelling}");
            assert_eq!(path.ambiguity(), None, "{spelling}");
            assert!(path.segments(Fold::default()).eq(["items", "1"]), "{spelling}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_ambiguous() {
        for (spelling, ambiguity) in [
            ("/items%2F1", Ambiguity::EncodedSlash),
            ("/items%2f1", Ambiguity::EncodedSlash),
            ("/items\\1", Ambiguity::Backslash),
            ("/items%5C1", Ambiguity::Backslash),
            ("/items/%2e/1", Ambiguity::EncodedDotSegment),
            ("/items/x/%2E./1", Ambiguity::EncodedDotSegment),
            ("/items/x/%252e%252e/1", Ambiguity::DoubleEncoding),
            ("/items/%2531", Ambiguity::DoubleEncoding),
            ("/items/1%00", Ambiguity::ControlCharacter),
            ("/items/1%0d%0a", Ambiguity::ControlCharacter),
            ("/items/%C0%B1", Ambiguity::InvalidUtf8),
            ("/items/%zz", Ambiguity::InvalidEncoding),
            ("/items/%", Ambiguity::InvalidEncoding),
        ] {
            assert_eq!(TargetPath::parse(spelling).ambiguity(), Some(ambiguity), "{spelling}");
        }
    }

    #[test]
    fn a_fold_that_is_off_tells_spellings_apart() {
        let folded = |fold, path: &str| TargetPath::parse(path).folded(fold).into_owned();
        let on = Fold::default();
        assert_eq!(folded(Fold { case: false, ..on }, "/Items/1"), "/Items/1");
        assert_eq!(folded(Fold { trailing_slash: false, ..on }, "/items/"), "/items/");
        assert_eq!(folded(Fold { empty_segments: false, ..on }, "/a//b"), "/a//b");
        assert_eq!(folded(Fold { leading_zeros: false, ..on }, "/a/007"), "/a/007");
        assert_eq!(folded(Fold { format_suffix: false, ..on }, "/a.json"), "/a.json");
        assert_eq!(folded(Fold { parameters: false, ..on }, "/a;v=1"), "/a;v=1");
    }

    #[test]
    fn the_root_is_a_path_too() {
        for spelling in ["/", "//", "/.", "/..", "/a/.."] {
            assert_eq!(TargetPath::parse(spelling).routed(), "/", "{spelling}");
        }
    }

    #[test]
    fn a_plain_path_reads_the_same_in_one_piece_and_in_all_its_pieces() {
        let mut plain = 0;
        for path in texts(&['/', 'a', '7', '0', '-', 'e', '.'], 6).into_iter().map(|text| format!("/{text}"))
        {
            let target = PathAndQuery::try_from(&*path).expect("a path");
            let (whole, apart) = (TargetPath::of(&target), TargetPath::parse(&path));
            plain += usize::from(whole.plain().is_some());
            assert_eq!(whole.routed(), apart.routed(), "{path}");
            assert!(whole.segments(Fold::default()).eq(apart.segments(Fold::default())), "{path}");
            assert!(whole.spelled_segments().eq(apart.spelled_segments()), "{path}");
        }
        assert!(plain > 5_000, "only {plain} of them are plain");
    }
}
