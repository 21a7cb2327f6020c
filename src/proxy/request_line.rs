//! A look at request lines before hyper reads them, for what hyper does not tell.
//!
//! A request's target has no fragment (RFC 9112 section 3.2). The `http` crate cuts one off in silence, so
//! that a DELETE of `/notes/#draft` would reach the origin as a DELETE of `/notes/`. A server should answer
//! 400 instead of mending such a line.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Request;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::Silence;

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

/// A client's stream whose request lines are looked at.
///
/// Looked at is the first line of the connection and the first after something was sent to the client:
/// every request line but those of pipelined requests, and now and then a line of a body, which
/// [`Suspects::mark`] tells from them.
pub struct Watched<S> {
    stream: S,
    /// How long the client has taken nothing of what it is sent.
    stalled: Silence,
    suspects: Suspects,
    /// The beginning of the line that is being looked at.
    line: Option<Vec<u8>>,
}

/// A fragment further back goes unseen. Longer than what browsers and most servers take.
const LONGEST: usize = 16 * 1024;

impl<S> Watched<S> {
    /// Looks at what is read from this stream.
    ///
    /// A client that takes nothing for `patience` of what it is sent has its connection broken, so that
    /// it cannot keep an origin connection and a place among the requests in flight for ever.
    pub fn new(stream: S, suspects: Suspects, patience: Duration) -> Self {
        Watched { stream, stalled: Silence::new(patience), suspects, line: Some(Vec::new()) }
    }

    fn look(&mut self, read: &[u8]) {
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

    fn sent(&mut self) {
        self.line.get_or_insert_default();
    }

    fn taken<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled.heard();
            return written;
        }
        ready!(self.stalled.poll_too_long(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.look(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.sent();
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.taken(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.sent();
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.taken(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.taken(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(pieces: &[&str], method: &str, target: &str) -> bool {
        let suspects = Suspects::default();
        let mut watched = Watched::new((), suspects.clone(), Duration::MAX);
        for piece in pieces {
            watched.look(piece.as_bytes());
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
        let mut watched = Watched::new((), suspects.clone(), Duration::MAX);
        watched.look(b"PUT /a HTTP/1.1\r\n\r\n");
        watched.look(b"PUT /a#b HTTP/1.1\r\n");
        assert!(suspects.0.lock().is_none(), "a body");
        watched.sent();
        watched.look(b"PUT /a#b HTTP/1.1\r\n");
        assert!(suspects.0.lock().is_some());
    }
}
