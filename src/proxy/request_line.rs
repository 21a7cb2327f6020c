//! A look at request lines before hyper reads them, for what hyper does not tell.
//!
//! A request's target has no fragment (RFC 9112 section 3.2). The `http` crate cuts one off in silence, so
//! that a DELETE of `/notes/#draft` would reach the origin as a DELETE of `/notes/`. A server should answer
//! 400 instead of mending such a line.

use std::sync::Arc;

use http::Request;
use parking_lot::Mutex;

/// Marks a request whose target was sent with a fragment.
#[derive(Clone, Copy, Debug)]
pub struct HasFragment;

/// The last line with a fragment in it that may be a request line.
#[derive(Clone, Default)]
pub struct Suspects(Arc<Mutex<Option<Vec<u8>>>>);

impl Suspects {
    /// Marks a request that a suspect line was the first of. To be called for each request in turn.
    pub fn mark<B>(&self, request: &mut Request<B>) {
        let Some(line) = self.0.lock().take() else { return };
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let kept = [request.method().as_str().as_bytes(), b" ", target.as_bytes(), b"#"].concat();
        // A line of a body that looked like one is not that of this request.
        if line.starts_with(&kept) {
            request.extensions_mut().insert(HasFragment);
        }
    }
}

/// Looks at lines as they come.
///
/// Looked at is the first line of the connection and the first after something was sent to the client:
/// every request line but those of pipelined requests, and now and then a line of a body, which
/// [`Suspects::mark`] tells from them.
pub struct Lines {
    suspects: Suspects,
    /// The beginning of the line that is being looked at.
    line: Option<Vec<u8>>,
}

/// A fragment further back goes unseen. Longer than what browsers and most servers take.
const LONGEST: usize = 16 * 1024;

impl Lines {
    /// Suspect lines are kept there.
    pub fn new(suspects: Suspects) -> Self {
        Lines { suspects, line: Some(Vec::new()) }
    }

    /// The client sent this.
    pub fn look(&mut self, read: &[u8]) {
        let Some(line) = &mut self.line else { return };
        let read = if line.is_empty() { read.trim_ascii_start() } else { read };
        match read.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let rest = read.get(..end).unwrap_or_default();
                if line.contains(&b'#') || rest.contains(&b'#') {
                    line.extend_from_slice(rest);
                    *self.suspects.0.lock() = self.line.take();
                }
                self.line = None;
            }
            None if line.len() + read.len() > LONGEST => self.line = None,
            None => line.extend_from_slice(read),
        }
    }

    /// The client was sent something: its next line may be a request line.
    pub fn answered(&mut self) {
        self.line.get_or_insert_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(pieces: &[&str], method: &str, target: &str) -> bool {
        let suspects = Suspects::default();
        let mut lines = Lines::new(suspects.clone());
        for piece in pieces {
            lines.look(piece.as_bytes());
        }
        let mut request = Request::builder().method(method).uri(target).body(()).expect("a request");
        suspects.mark(&mut request);
        request.extensions().get::<HasFragment>().is_some()
    }

    #[test]
    fn a_fragment_is_seen_however_the_line_arrives() {
        for pieces in [
            &["PUT /a?b#c HTTP/1.1\r\nHost: x\r\n"][..],
            &["\r\n", "\r\nPUT /a?b#c HTTP/1.1\r\n"],
            &["PU", "T /a?b", "#c HTTP", "/1.1\n"],
        ] {
            assert!(marked(pieces, "PUT", "/a?b"), "{pieces:?}");
        }
    }

    #[test]
    fn what_is_no_fragment_of_this_request_is_not_taken_for_one() {
        for pieces in [
            &["PUT /a?b HTTP/1.1\r\nX: #\r\n"][..],
            &["PUT /a HTTP/1.1\r\n"],
            &["# a heading\r\nPUT /a?b HTTP/1.1\r\n"],
            &["GET /a?b#c HTTP/1.1\r\n"],
            &["PUT /other#c HTTP/1.1\r\n"],
        ] {
            assert!(!marked(pieces, "PUT", "/a?b"), "{pieces:?}");
        }
    }

    #[test]
    fn lines_are_looked_at_again_after_something_was_sent() {
        let suspects = Suspects::default();
        let mut lines = Lines::new(suspects.clone());
        lines.look(b"PUT /a HTTP/1.1\r\n\r\n");
        lines.look(b"PUT /a#b HTTP/1.1\r\n");
        assert!(suspects.0.lock().is_none(), "a body");
        lines.answered();
        lines.look(b"PUT /a#b HTTP/1.1\r\n");
        assert!(suspects.0.lock().is_some());
    }
}
