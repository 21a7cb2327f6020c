//! Paths that every fold leaves as they are, told by a look at their bytes.
//!
//! Most paths of most APIs are such ones. They are matched and named as they stand in the request, without
//! a copy of them; [`target_path`](super::target_path) takes the others apart.

/// Whether a path has one spelling for every server: no fold of any route changes it, and nothing about it
/// is ambiguous. `false` says nothing: the path is then to be looked at with more care.
pub fn is_plain(path: &str) -> bool {
    let Some((b'/', below_root)) = path.as_bytes().split_first() else { return false };
    below_root.is_empty() || below_root.split(|b| *b == b'/').all(is_plain_segment)
}

/// Whether every fold leaves a segment as it is, wherever in a path it stands.
pub fn is_plain_segment(segment: &[u8]) -> bool {
    let Some(first) = segment.first() else { return false };
    // Nothing that is decoded, trimmed, folded or cut off: no dot, blank, semicolon, percent sign, capital.
    let stays =
        |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b':' | b'@' | b'=' | b',');
    // Nor a whole number that could be spelled in another way, such as `007`, `0x7`, `1_0` or `7e0`.
    let is_no_number = || segment.iter().any(|b| matches!(b, b'a'..=b'd' | b'f'..=b'z'));
    let has_one_spelling = match first {
        b'a'..=b'z' => true,
        // With a hyphen in it not even one of another radix: an identifier that happens to begin with a zero.
        b'0' => segment.len() == 1 || (segment.contains(&b'-') && is_no_number()),
        b'1'..=b'9' => segment.iter().all(u8::is_ascii_digit) || is_no_number(),
        _ => false,
    };
    has_one_spelling && segment.iter().all(stays)
}
