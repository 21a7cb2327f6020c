//! A client that lost the answer to its conditional write sends it again, and finds its own write in the way: the
//! tag is stale because it was applied. Pure: which writes can be told to be that one, and what their author hears.

use http::{HeaderValue, StatusCode};

use crate::request::version_tag::Version;

/// What makes two writes the same one: principal, method, target, stated tags and content, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteDigest(pub u128);

/// The last write to a resource that was applied, as far as its answer can be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWrite {
    digest: WriteDigest,
    left: Version,
    /// The status that its author hears when it sends the write again.
    pub status: StatusCode,
    /// The tag that its answer carried.
    pub etag: Option<HeaderValue>,
    /// Where it created something.
    pub location: Option<HeaderValue>,
}

impl LastWrite {
    /// An applied write that left this version behind, answered like this. `None` where that cannot be said again
    /// without its content.
    pub fn new(
        digest: WriteDigest,
        left: Version,
        status: StatusCode,
        etag: Option<HeaderValue>,
        location: Option<HeaderValue>,
    ) -> Option<Self> {
        let (status, location) = match status {
            // Its content is not kept, so there is none (RFC 9110 section 15.3.5).
            StatusCode::OK | StatusCode::NO_CONTENT => (StatusCode::NO_CONTENT, None),
            StatusCode::CREATED => (StatusCode::CREATED, location),
            _ => return None,
        };
        Some(LastWrite { digest, left, status, etag, location })
    }

    /// Whether this write, found stale, is that one, and nothing has changed the resource since.
    pub fn is(&self, again: WriteDigest, current: Version) -> bool {
        self.digest == again && self.left == current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16) -> Option<LastWrite> {
        let status = StatusCode::from_u16(status).expect("a status");
        let location = Some(HeaderValue::from_static("/new"));
        LastWrite::new(WriteDigest(1), Version(5), status, Some(HeaderValue::from_static("\"t\"")), location)
    }

    #[test]
    fn a_write_is_the_last_one_only_while_what_it_left_is_current() {
        let last = of(200).expect("can be told again");
        assert!(last.is(WriteDigest(1), Version(5)));
        assert!(!last.is(WriteDigest(1), Version(6)));
        assert!(!last.is(WriteDigest(2), Version(5)));
    }

    #[test]
    fn what_has_content_is_told_again_without_it_or_not_at_all() {
        let told = |status| of(status).map(|last| (last.status.as_u16(), last.location.is_some()));
        assert_eq!(told(200), Some((204, false)));
        assert_eq!(told(204), Some((204, false)));
        assert_eq!(told(201), Some((201, true)));
        for other in [203, 205, 206, 301, 303, 500] {
            assert_eq!(told(other), None, "{other}");
        }
    }
}
