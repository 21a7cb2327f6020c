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

use super::plain_path::{is_plain, is_plain_segment};

/// Which spellings of a path are one resource. Everything is on by default; a route turns off what
/// its origin is known to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// `/a/./b` and `/a/x/../b` are `/a/b`.
    pub dot_segments: bool,
    /// `//a///b` is `/a/b`.
    pub empty_segments: bool,
    /// `/a/` is `/a`.
    pub trailing_slash: bool,
    /// `/a;v=1` is `/a`.
    pub parameters: bool,
    /// `/a.` and `/a%20` are `/a`.
    pub trailing_dots: bool,
    /// `/A` is `/a`.
    pub case: bool,
    /// Compatibility forms and the decimal digits of every script: `/%EF%BC%91` and `/%D9%A1` are `/1`.
    pub unicode: bool,
    /// `/007`, `/+7`, `/7.0`, `/0_7` and `/7e0` are `/7`: a whole number is one however it is written.
    pub leading_zeros: bool,
    /// `/a.json` is `/a`: a suffix that names a format, in the last segment.
    pub format_suffix: bool,
}

impl Default for Fold {
    fn default() -> Self {
        Fold {
            dot_segments: true,
            empty_segments: true,
            trailing_slash: true,
            parameters: true,
            trailing_dots: true,
            case: true,
            unicode: true,
            leading_zeros: true,
            format_suffix: true,
        }
    }
}

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
        (plain.split('/').skip(1).filter(|segment| !segment.is_empty()), apart)
    }
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
        if fold.dot_segments && fold.empty_segments {
            return self.spelled_segments().collect();
        }
        let mut kept = Vec::with_capacity(self.spelled.len());
        for segment in self.spelled.iter().map(String::as_str) {
            match without_parameters(segment) {
                "." if fold.dot_segments => {}
                ".." if fold.dot_segments => drop(kept.pop()),
                _ => kept.push(segment),
            }
        }
        let is_empty = |segment: &&str| fold_segment(segment, fold, false).is_empty();
        kept.retain(|segment| !fold.empty_segments || !is_empty(segment));
        // Or what stands before the slash would not be the last segment, whose format suffix is folded.
        while fold.trailing_slash && kept.last().is_some_and(is_empty) {
            kept.pop();
        }
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

fn without_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

/// Suffixes that frameworks read as "the same resource, in this format".
const FORMATS: [&str; 12] =
    ["json", "xml", "html", "htm", "txt", "csv", "yaml", "yml", "jsonld", "geojson", "pdf", "api"];

/// Applies a route's folds to one decoded segment. Also used on query values and on literals of route
/// patterns, so that both sides of a comparison are folded alike.
pub fn fold_segment(segment: &str, fold: Fold, last: bool) -> String {
    if is_plain_segment(segment.as_bytes()) {
        segment.to_owned()
    } else {
        folded_with_care(segment, fold, last)
    }
}

/// What [`is_plain_segment`] has to agree with.
fn folded_with_care(segment: &str, fold: Fold, last: bool) -> String {
    let mut text = segment.to_owned();
    if fold.unicode && !text.is_ascii() {
        text = text.nfkc().map(ascii_digit).collect();
    }
    if fold.parameters {
        text = without_parameters(&text).to_owned();
    }
    if fold.case {
        text = text.chars().flat_map(char::to_lowercase).map(one_sigma).collect();
        if fold.unicode && !text.is_ascii() {
            text = text.nfkc().collect();
        }
    }
    text = trim_ends(&text, fold).to_owned();
    while let Some(stem) = without_format(&text).map(|stem| trim_ends(stem, fold))
        && (fold.format_suffix && last && !stem.is_empty())
    {
        text = stem.to_owned();
    }
    if fold.leading_zeros
        && let Some(number) = whole_number(&text)
    {
        text = number;
    }
    text
}

fn without_format(text: &str) -> Option<&str> {
    let (stem, suffix) = text.rsplit_once('.')?;
    FORMATS.iter().any(|f| f.eq_ignore_ascii_case(suffix)).then_some(stem)
}

/// Lower case has two sigmas, and which one a capital becomes depends on what follows it.
fn one_sigma(c: char) -> char {
    if c == 'ς' { 'σ' } else { c }
}

/// Windows drops dots and blanks at the end of a name; some frameworks trim white space of every script
/// at both ends.
fn trim_ends(text: &str, fold: Fold) -> &str {
    let trimmed = || text.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    if fold.trailing_dots { trimmed() } else { text }
}

/// The plain form of a whole number that is written in any way that a common language reads: `007`,
/// `+7` and `7.0` (FastAPI), `0_7` (Python), `7e0` and `0x7` (JavaScript). `None` for anything else.
fn whole_number(text: &str) -> Option<String> {
    const RADICES: [(&str, u32); 3] = [("0x", 16), ("0o", 8), ("0b", 2)];
    if !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let bare = text.replace('_', "");
    let unsigned = bare.strip_prefix('+').unwrap_or(&bare);
    let zeros = |c| c == '0';
    let digits = match unsigned.split_once('.') {
        Some((whole, fraction)) if fraction.chars().all(zeros) => whole,
        Some(_) | None => unsigned,
    };
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        let trimmed = digits.trim_start_matches(zeros);
        return Some(if trimmed.is_empty() { "0" } else { trimmed }.to_owned());
    }
    let radix = |(prefix, radix): &(&str, u32)| {
        let head = unsigned.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix))?;
        u64::from_str_radix(unsigned.get(head.len()..)?, *radix).ok()
    };
    if let Some(number) = RADICES.iter().find_map(radix) {
        return Some(number.to_string());
    }
    let plain = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let number = Some(unsigned).filter(|_| plain)?.parse::<f64>().ok()?;
    // Beyond this a double stands for more than one whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() < EXACT).then(|| format!("{}", number + 0.0))
}

/// Python's `int` and `\d` in several languages take the decimal digits of every script, so `/items/١`
/// is `/items/1` to servers written with them. Each script's ten digits are consecutive (Unicode,
/// general category Nd); these are the zeros that NFKC leaves alone.
const ZEROS: [u32; 66] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6,
    0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0,
    0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0, 0x10d30, 0x10d40,
    0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da,
    0x11730, 0x118e0, 0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16a60, 0x16ac0, 0x16b50,
    0x16d70, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950,
];

fn ascii_digit(c: char) -> char {
    let code = u32::from(c);
    let zero = ZEROS.partition_point(|zero| *zero <= code).checked_sub(1).and_then(|i| ZEROS.get(i));
    zero.and_then(|zero| char::from_digit(code - zero, 10)).unwrap_or(c)
}

#[cfg(test)]
mod tests {
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
    fn what_is_no_other_spelling_of_a_whole_number_stays_as_it_is() {
        for name in
            ["1.5", "-1", "1e400", "0x", "0xg", "e1", "+", "_", "v1.0", "1-1", "1e", "infinity", "nan"]
        {
            assert_eq!(fold_segment(name, Fold::default(), false), name);
        }
        for (spelling, plain) in
            [("-0", "0"), ("-1.0", "-1"), ("00", "0"), ("0012345678901234567890.0", "12345678901234567890")]
        {
            assert_eq!(fold_segment(spelling, Fold::default(), false), plain);
        }
    }

    #[test]
    fn the_root_is_a_path_too() {
        for spelling in ["/", "//", "/.", "/..", "/a/.."] {
            assert_eq!(TargetPath::parse(spelling).routed(), "/", "{spelling}");
        }
    }
    /// Every text of up to `longest` of these characters.
    fn texts(alphabet: &[char], longest: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut newest = all.clone();
        for _ in 0..longest {
            newest =
                newest.iter().flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}"))).collect();
            all.extend(newest.iter().cloned());
        }
        all
    }

    #[test]
    fn what_is_taken_for_plain_is_what_every_fold_leaves_as_it_is() {
        let off = Fold { case: false, leading_zeros: false, format_suffix: false, ..Fold::default() };
        let alphabet = ['a', 'e', 'x', '0', '1', '7', '-', '_', '~', '=', '.', '+', 'A', ';', ' '];
        let mut plain = 0;
        for text in texts(&alphabet, 5).into_iter().filter(|text| is_plain_segment(text.as_bytes())) {
            plain += 1;
            for (fold, last) in [(Fold::default(), true), (Fold::default(), false), (off, true)] {
                assert_eq!(folded_with_care(&text, fold, last), text);
            }
        }
        assert!(plain > 10_000, "only {plain} of them are plain");
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
