//! Messages between their syntax and what is made of them.
//!
//! Those of the crate `http` keep what they have no field for in a map of types: three allocations for each message.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version};

use super::fields::Fields;

/// A request's line and fields.
#[derive(Debug)]
pub struct RequestParts {
    /// Its method.
    pub method: Method,
    /// Its target, less a fragment.
    pub uri: Uri,
    /// Whether the target was sent with a fragment: a target has none (RFC 9112 section 3.2), and [`Uri`] cuts one off
    /// in silence.
    pub has_fragment: bool,
    /// The version that it came in.
    pub version: Version,
    /// Its fields.
    pub headers: Fields,
}

/// A request's line and fields as they go to the origin.
#[derive(Debug)]
pub struct OriginRequest {
    /// Its method.
    pub method: Method,
    /// Its target.
    pub target: PathAndQuery,
    /// Its fields.
    pub headers: Fields,
}

/// An answer's own words for its status, where they are not the usual ones.
#[derive(Clone, Debug)]
pub struct Reason(pub Bytes);

/// An answer's line and fields.
#[derive(Debug)]
pub struct AnswerParts {
    /// Its status.
    pub status: StatusCode,
    /// Its own words for that. In a box: hardly any answer has some, and each would be copied with room for them.
    pub reason: Option<Box<Reason>>,
    /// The version that it came in.
    pub version: Version,
    /// Its fields.
    pub headers: Fields,
}

impl AnswerParts {
    /// 200, without fields.
    pub fn new() -> Self {
        AnswerParts {
            status: StatusCode::OK,
            reason: None,
            version: Version::HTTP_11,
            headers: Fields::new(),
        }
    }
}

impl Default for AnswerParts {
    fn default() -> Self {
        AnswerParts::new()
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer<B> {
    head: AnswerParts,
    body: B,
}

impl<B> Answer<B> {
    /// One of 200, with this body and no fields.
    pub fn new(body: B) -> Self {
        Answer { head: AnswerParts::new(), body }
    }

    /// Of both parts.
    pub fn from_parts(head: AnswerParts, body: B) -> Self {
        Answer { head, body }
    }

    /// Both parts.
    pub fn into_parts(self) -> (AnswerParts, B) {
        (self.head, self.body)
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Its status, to be changed.
    pub fn status_mut(&mut self) -> &mut StatusCode {
        &mut self.head.status
    }

    /// Its fields.
    pub fn headers(&self) -> &Fields {
        &self.head.headers
    }

    /// Its fields, to be changed.
    pub fn headers_mut(&mut self) -> &mut Fields {
        &mut self.head.headers
    }

    /// Its body.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// Its body, to be read.
    pub fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Its body alone.
    pub fn into_body(self) -> B {
        self.body
    }
}
