//! One spelling for a segment of a path, or for any other name.
//!
//! What the most lenient of servers makes of it: whatever one of them decodes, trims or reads as the same
//! number is folded here, unless the route says that its origin tells it apart.

use unicode_normalization::UnicodeNormalization;

use super::plain_path::is_plain_segment;

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

/// What stands before the first semicolon.
pub(super) fn without_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

/// Suffixes that frameworks read as "the same resource, in this format".
const FORMATS: [&str; 12] =
    ["json", "xml", "html", "htm", "txt", "csv", "yaml", "yml", "jsonld", "geojson", "pdf", "api"];

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
pub(super) mod tests {
    use super::*;

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

    /// Every text of up to `longest` of these characters.
    pub(in super::super) fn texts(alphabet: &[char], longest: usize) -> Vec<String> {
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
}
