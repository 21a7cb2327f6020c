//! How large a request's head may be.

use crate::config::checked::Limits;
use crate::decide::say;
use crate::decide::verdict::Refusal;
use crate::http1::message::RequestParts;
use crate::report::limits_hit::{Limit, LimitsHit};

/// Holds a head to the limits, in this order: its target, its fields, all of it.
///
/// Somewhat more than that is read, so that who sends a little too much hears what to do; beyond that the answer has
/// no text.
///
/// # Errors
/// If a limit is hit, which is counted.
pub fn check(request: &RequestParts, limits: &Limits, hits: &LimitsHit) -> Result<(), Refusal> {
    let target = target_bytes(request);
    let (limit, refusal) = if target > limits.max_target_bytes {
        (Limit::TargetBytes, say::target_too_long(limits.max_target_bytes))
    } else if request.headers.len() > limits.max_header_count {
        (Limit::HeaderCount, say::too_many_fields(limits.max_header_count))
    } else if target + line_and_fields_bytes(request) > limits.max_header_bytes {
        (Limit::HeaderBytes, say::fields_too_large(limits.max_header_bytes))
    } else {
        return Ok(());
    };
    hits.hit(limit);
    Err(refusal)
}

fn target_bytes(request: &RequestParts) -> usize {
    let uri = &request.uri;
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    scheme + authority + uri.path_and_query().map_or(0, |target| target.as_str().len())
}

/// The line without its target, and the fields; as they are sent without needless white space.
fn line_and_fields_bytes(request: &RequestParts) -> usize {
    let line = request.method.as_str().len() + "  HTTP/1.1\r\n\r\n".len();
    let field = |name: usize, value: usize| name + ": ".len() + value + "\r\n".len();
    let fields = request.headers.iter().map(|(name, value)| field(name.as_str().len(), value.len()));
    line + fields.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::head::{HeadLimits, take_request};

    #[test]
    fn a_head_counts_as_it_is_sent() {
        for (target, head) in [
            ("/a?b", "PUT /a?b HTTP/1.1\r\nHost: x\r\nIf-Match: \"t\"\r\n\r\n"),
            ("http://x/", "PUT http://x/ HTTP/1.1\r\nHost: x\r\nIf-Match: \"t\"\r\n\r\n"),
        ] {
            let limits = HeadLimits { bytes: 1024, fields: 10 };
            let request = take_request(&mut head.as_bytes().into(), 0, limits).expect("a head");
            let request = request.expect("a whole one").request;
            assert_eq!(target_bytes(&request), target.len());
            assert_eq!(target_bytes(&request) + line_and_fields_bytes(&request), head.len());
        }
    }
}
