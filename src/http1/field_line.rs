//! A field as it stands in a head: its name, its value, its line.

use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// From where to where something stands in a head.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    begin: u32,
    end: u32,
}

impl Place {
    /// Of a part of the bytes that begin at this address. No head is 4 GiB long.
    pub(super) fn of(part: &[u8], base: usize) -> Self {
        // Where there is nothing, httparse may give an empty part that is not of these bytes.
        if part.is_empty() {
            return Place::default();
        }
        let begin = (part.as_ptr() as usize).wrapping_sub(base);
        Place::between(begin, begin.wrapping_add(part.len()))
    }

    pub(super) fn between(begin: usize, end: usize) -> Self {
        Place { begin: begin as u32, end: end as u32 }
    }

    /// These bytes of a head; none where it is another one.
    pub(super) fn within(self, head: &[u8]) -> &[u8] {
        head.get(self.begin as usize..self.end as usize).unwrap_or_default()
    }

    /// The same, as a share in them.
    pub(super) fn slice(self, head: &Bytes) -> Bytes {
        head.slice_ref(self.within(head))
    }
}

/// A field's value: visible ASCII, blanks, and bytes beyond ASCII (RFC 9110 section 5.5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldValue<'f>(&'f [u8]);

impl<'f> FieldValue<'f> {
    /// One that httparse has found to be none but such bytes.
    pub(super) fn parsed(value: &'f [u8]) -> Self {
        FieldValue(value)
    }

    /// Its bytes.
    pub fn as_bytes(self) -> &'f [u8] {
        self.0
    }

    /// How long it is, in bytes.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// As text.
    ///
    /// # Errors
    /// Where it is not all of visible ASCII and blanks.
    pub fn to_str(self) -> Result<&'f str, NotText> {
        let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
        if !self.0.iter().all(is_text) {
            return Err(NotText);
        }
        str::from_utf8(self.0).map_err(|_| NotText)
    }
}

impl<'f> From<&'f HeaderValue> for FieldValue<'f> {
    fn from(value: &'f HeaderValue) -> Self {
        FieldValue(value.as_bytes())
    }
}

impl fmt::Debug for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A field's value has bytes that are not of visible ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotText;

/// A field as it is written.
#[derive(Clone, Copy)]
pub struct Line<'f> {
    /// Its name.
    pub name: &'f HeaderName,
    /// How that is spelled.
    pub spelled: &'f [u8],
    /// Its value.
    pub value: FieldValue<'f>,
    /// The whole line with its end, where it came just as it is written.
    pub(super) as_sent: Option<&'f [u8]>,
}

impl Line<'_> {
    /// Writes it.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.as_sent {
            Some(line) => out.extend_from_slice(line),
            None => write_line(self.spelled, self.value.as_bytes(), out),
        }
    }
}

/// Writes a field.
pub(super) fn write_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// The line that these stand in, if there is nothing else in it.
pub(super) fn line_as_sent(head: &[u8], name: Place, value: Place) -> Option<&[u8]> {
    let line = head.get(name.begin as usize..value.end as usize + 2)?;
    let between = name.end.checked_sub(name.begin)? as usize;
    let is_plain = value.begin == name.end + 2
        && line.get(between..between + 2) == Some(b": ")
        && line.ends_with(b"\r\n");
    is_plain.then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_the_crate_http_takes_for_text() {
        for byte in (0..=u8::MAX).filter(|byte| HeaderValue::from_bytes(&[*byte]).is_ok()) {
            let theirs = HeaderValue::from_bytes(&[byte]).expect("a value");
            let ours = FieldValue::parsed(std::slice::from_ref(&byte)).to_str();
            assert_eq!(ours.ok(), theirs.to_str().ok(), "{byte}");
        }
    }

    /// What has passed it is put into no message unseen.
    #[test]
    fn httparse_lets_no_byte_pass_in_a_value_that_the_crate_http_refuses() {
        for byte in 0..=u8::MAX {
            let line = [b"A: b", &[byte][..], b"c\r\n\r\n"].concat();
            let mut room = [httparse::EMPTY_HEADER; 1];
            let passes = httparse::parse_headers(&line, &mut room).is_ok_and(|parsed| parsed.is_complete());
            let value = room[0].value;
            assert!(!passes || HeaderValue::from_bytes(value).is_ok(), "{byte}");
            assert!(passes || HeaderValue::from_bytes(&[byte]).is_err(), "{byte}");
        }
    }
}
