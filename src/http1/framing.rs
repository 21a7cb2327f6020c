//! Where a message's body ends (RFC 9112 section 6.3).

use http::{Method, StatusCode, Version, header};

use super::fields::{FieldValue, Fields};

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes; none where there is no body.
    Exact(u64),
    /// Until the last chunk.
    Chunked,
    /// Until the connection ends. Answers only.
    UntilClose,
}

/// No length is longer: what is added to one does not overflow.
const LONGEST: u64 = u64::MAX - 2;

/// Why a body's length cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLength {
    /// `Content-Length` is no number, or there are two that differ.
    Malformed,
    /// Longer than anybody can mean.
    TooLong,
    /// A `Transfer-Encoding` in HTTP/1.0, or in a request one that does not end in `chunked`.
    Coding,
}

/// What the fields of a message say of its framing, noted as they pass one by one.
#[derive(Default)]
pub(super) struct Framing {
    length: Option<u64>,
    says_length: bool,
    says_it_in_a_list: bool,
    says_coding: bool,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
    failed: Option<NoLength>,
}

/// What of an answer's `Content-Length` passes on.
pub(super) enum ToPassOn {
    AsSent,
    /// Once, where it was said several times in a line.
    Only(u64),
    Nothing,
}

/// Whether a field goes into the map of those that pass on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Field,
    /// It says again what another line has said.
    Nothing,
}

impl Framing {
    /// To be called for `Content-Length`, with its value's bytes.
    pub(super) fn content_length(&mut self, value: FieldValue<'_>, lists: bool) -> Keep {
        self.says_length = true;
        if self.says_coding && !lists {
            return Keep::Nothing;
        }
        let parsed = if lists { length_of_list(value.as_bytes()) } else { digits(value.as_bytes()) };
        self.says_it_in_a_list |= lists && value.as_bytes().contains(&b',');
        match (parsed, self.length) {
            (None, _) => self.fail(NoLength::Malformed),
            (Some(length), Some(before)) if length != before => self.fail(NoLength::Malformed),
            (Some(_), Some(_)) => return Keep::Nothing,
            (Some(length), None) if length > LONGEST => self.fail(NoLength::TooLong),
            (Some(length), None) => self.length = Some(length),
        }
        Keep::Field
    }

    /// To be called for `Transfer-Encoding`: the last line counts.
    pub(super) fn transfer_encoding(&mut self, value: FieldValue<'_>) {
        self.says_coding = true;
        self.is_chunked = ends_in_chunked(value);
    }

    /// To be called for `Connection`.
    pub(super) fn connection(&mut self, value: FieldValue<'_>) {
        self.says_close |= has_token(value, "close");
        // What is no text asks for nothing more than the end.
        self.says_keep_alive |= has_token(value, "keep-alive") && value.to_str().is_ok();
    }

    fn fail(&mut self, why: NoLength) {
        self.failed.get_or_insert(why);
    }

    /// Whether both fields were there, which somebody on the way may have read in another way.
    pub(super) fn says_both(&self) -> bool {
        self.says_length && self.says_coding
    }

    /// Nobody behind us is to read another length out of an answer than we do: RFC 9110 section 8.6 forbids to pass on
    /// what is no number, RFC 9112 section 6.3 what stands beside a coding.
    pub(super) fn length_to_pass_on(&self) -> ToPassOn {
        match self.length {
            _ if self.says_both() || self.failed.is_some() => ToPassOn::Nothing,
            Some(length) if self.says_it_in_a_list => ToPassOn::Only(length),
            Some(_) | None => ToPassOn::AsSent,
        }
    }

    /// Whether the connection outlives the message, as far as its sender is concerned (RFC 9112 section 9.3).
    pub(super) fn persists(&self, version: Version) -> bool {
        !self.says_close && (version == Version::HTTP_11 || self.says_keep_alive)
    }

    /// The length of a request's body.
    pub(super) fn of_request(&self, version: Version) -> Result<BodyLength, NoLength> {
        match self.failed {
            Some(why) => Err(why),
            None if !self.says_coding => Ok(BodyLength::Exact(self.length.unwrap_or(0))),
            None if version == Version::HTTP_11 && self.is_chunked => Ok(BodyLength::Chunked),
            None => Err(NoLength::Coding),
        }
    }

    /// The length of an answer's body, by the method that it answers.
    pub(super) fn of_answer(
        &self,
        method: &Method,
        status: StatusCode,
        version: Version,
    ) -> Result<BodyLength, NoLength> {
        if has_no_body(method, status) {
            return Ok(BodyLength::Exact(0));
        }
        if self.says_coding {
            return match (version == Version::HTTP_11, self.is_chunked) {
                (true, true) => Ok(BodyLength::Chunked),
                (true, false) => Ok(BodyLength::UntilClose),
                (false, _) => Err(NoLength::Coding),
            };
        }
        match (self.failed, self.length) {
            (Some(why), _) => Err(why),
            (None, Some(length)) => Ok(BodyLength::Exact(length)),
            (None, None) => Ok(BodyLength::UntilClose),
        }
    }
}

/// Whether an answer has no body, whatever its fields say.
pub fn has_no_body(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether one of the lines of `Connection` asks for the end.
pub fn asks_to_close(fields: &Fields) -> bool {
    fields.get_all(header::CONNECTION).any(|value| has_token(value, "close"))
}

/// Whether a comma-separated list has this token.
pub fn has_token(value: FieldValue<'_>, token: &str) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn ends_in_chunked(value: FieldValue<'_>) -> bool {
    // No coding has another name than a token, and who reads such bytes in another way may find another end.
    if value.to_str().is_err() {
        return false;
    }
    let last = value.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// RFC 9110 section 8.6: digits and nothing else.
pub(super) fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// An answer may say the same length several times in one line (RFC 9110 section 8.6).
fn length_of_list(bytes: &[u8]) -> Option<u64> {
    let mut lengths = bytes.split(|byte| *byte == b',').map(|part| digits(part.trim_ascii()));
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}
