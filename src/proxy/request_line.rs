//! A look at request lines before hyper reads them, for what hyper does not tell.
//!
//! A request's target has no fragment (RFC 9112 section 3.2). The `http` crate cuts one off in silence, so
//! that a DELETE of `/notes/#draft` would reach the origin as a DELETE of `/notes/`. A server should answer
//! 400 instead of mending such a line.

use std::collections::VecDeque;
use std::sync::Arc;

use http::Request;
use memchr::{memchr, memrchr};
use parking_lot::Mutex;

/// Marks a request whose target was sent with a fragment.
#[derive(Clone, Copy, Debug)]
pub struct HasFragment;

/// Lines that may be request lines, in their order: those with a fragment, and those around them.
#[derive(Clone, Default)]
pub struct Suspects(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Suspects {
    /// Marks a request whose line has a fragment. To be called for each request in turn.
    pub fn mark<B>(&self, request: &mut Request<B>) {
        let mut lines = self.0.lock();
        if lines.is_empty() {
            return;
        }
        let method = request.method().as_str().as_bytes();
        let kept = request.uri().path_and_query().map_or("", |target| target.as_str()).as_bytes();
        let fragment_in = |line: &Vec<u8>| {
            let mut words = line.rsplitn(3, |b| *b == b' ').skip(1);
            let (target, before_it) = (words.next()?, words.next()?);
            let before = target.split(|b| *b == b'#').next()?;
            let is_absolute = !before.starts_with(b"/") && before.ends_with(kept);
            // A line of a body that looked like one is not that of this request; one right behind a body
            // has the end of it in front.
            let is_its = before_it.ends_with(method) && (before == kept || is_absolute);
            is_its.then_some(before.len() < target.len())
        };
        let found = lines.iter().enumerate().find_map(|(at, line)| Some((at, fragment_in(line)?)));
        if let Some((at, has_fragment)) = found {
            lines.drain(..=at);
            if has_fragment {
                request.extensions_mut().insert(HasFragment);
            }
        }
    }

    fn add(&self, line: Vec<u8>) {
        let mut lines = self.0.lock();
        lines.push_back(line);
        while lines.len() > MOST_LINES || lines.iter().map(Vec::len).sum::<usize>() > MOST {
            lines.pop_front();
        }
    }
}

/// A client's lines, as they come: request lines may stand anywhere in what it sends, and bodies have
/// lines too, which [`Suspects::mark`] tells from them.
pub struct Lines {
    suspects: Suspects,
    /// What has come of the present line, or the end of that.
    line: Vec<u8>,
    /// Whether there may be a fragment in that.
    line_is_suspect: bool,
}

/// A fragment further from the end of its line goes unseen. Longer than what browsers and most servers take.
const LONGEST: usize = 16 * 1024;

/// How much room a connection keeps for the end of what its client sent last: of a small body, as a rule.
const LONGEST_ROOM_KEPT: usize = 2 * 1024;

/// How many bytes of such lines are kept: the longest one, and the others of a pipeline.
const MOST: usize = 2 * LONGEST;

/// How many such lines are kept. Few bodies have as many, and no honest pipeline.
const MOST_LINES: usize = 64;

impl Lines {
    /// Suspect lines are kept there.
    pub fn new(suspects: Suspects) -> Self {
        Lines { suspects, line: Vec::new(), line_is_suspect: false }
    }

    /// The client sent this.
    pub fn look(&mut self, read: &[u8]) {
        let is_suspect = memchr(b'#', read).is_some();
        if is_suspect || self.line_is_suspect {
            let mut lines = read.split(|byte| *byte == b'\n');
            let begun = lines.next_back().unwrap_or_default();
            for line in lines {
                self.end_line(line);
            }
            self.begin_line(begun);
            self.line_is_suspect = memchr(b'#', &self.line).is_some();
        } else if let Some(end) = memrchr(b'\n', read) {
            self.forget_line();
            self.begin_line(read.get(end + 1..).unwrap_or_default());
        } else {
            self.begin_line(read);
        }
    }

    /// A short one leaves its room to the next.
    fn forget_line(&mut self) {
        if self.line.capacity() > LONGEST_ROOM_KEPT {
            self.line = Vec::new();
        } else {
            self.line.clear();
        }
    }

    fn begin_line(&mut self, part: &[u8]) {
        self.line.extend_from_slice(part.get(part.len().saturating_sub(LONGEST)..).unwrap_or_default());
        let too_long = self.line.len().saturating_sub(LONGEST);
        if too_long > 0 {
            self.line.drain(..too_long);
        }
    }

    fn end_line(&mut self, part: &[u8]) {
        self.begin_line(part);
        let line = std::mem::take(&mut self.line);
        if line.rsplit(|byte| *byte == b' ').next().is_some_and(|version| version.starts_with(b"HTTP/1.")) {
            self.suspects.add(line);
        }
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
            &["GET /x HTTP/1.1\r\nHost: x\r\n\r\nPUT /a?b#c HTTP/1.1\r\n"],
            &["GET /x#y HTTP/1.1\r\nHost: x\r\n\r\nPUT /a?b#", "c HTTP/1.1\r\n"],
            &["POST /x HTTP/1.1\r\n\r\n{\"a\": 1}PUT /a?b#c HTTP/1.1\r\n"],
            &["POST /x HTTP/1.1\r\n\r\n", &"x".repeat(LONGEST + 1), "PUT /a?b#c HTTP/1.1\r\n"],
            &["PUT http://x/a?b#c HTTP/1.1\r\n"],
            &["POST /x HTTP/1.1\r\n\r\n# a heading\n{\"a\": 1}\r\n", "PUT /a?b#c HTTP/1.1\r\n"],
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
            &["PUT /a?b#c and so on\r\n"],
        ] {
            assert!(!marked(pieces, "PUT", "/a?b"), "{pieces:?}");
        }
    }

    #[test]
    fn of_two_requests_with_one_target_the_one_with_the_fragment_is_marked() {
        let suspects = Suspects::default();
        let mut lines = Lines::new(suspects.clone());
        lines.look(b"GET /a HTTP/1.1\r\nX: y\r\n\r\nGET /a#b HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\n");
        let marked = [(); 3].map(|()| {
            let mut request = Request::builder().uri("/a").body(()).expect("a request");
            suspects.mark(&mut request);
            request.extensions().get::<HasFragment>().is_some()
        });
        assert_eq!(marked, [false, true, false]);
    }

    #[test]
    fn no_more_is_kept_than_a_few_lines() {
        let suspects = Suspects::default();
        let mut lines = Lines::new(suspects.clone());
        lines.look("PUT /a#b HTTP/1.1\r\n\r\n".repeat(MOST).as_bytes());
        assert_eq!(suspects.0.lock().len(), MOST_LINES);
        let long = format!("PUT /{}#b HTTP/1.1\r\n", "a".repeat(LONGEST - 100));
        lines.look(long.repeat(9).as_bytes());
        assert_eq!(suspects.0.lock().len(), 2);
        for part in ["PUT /", &"a".repeat(LONGEST - 2), &"a".repeat(3 * LONGEST), "#"] {
            lines.look(part.as_bytes());
        }
        assert_eq!(lines.line.len(), LONGEST);
        lines.look(b"\nHost: a");
        assert_eq!(lines.line, b"Host: a");
    }
}
