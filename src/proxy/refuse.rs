//! Refusals as answers: `application/problem+json` (RFC 9457).

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};

use super::body::AnswerBody;
use crate::decide::policy::StatusMapping;
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::http1::message::Answer;
use crate::request::version_tag::VersionTag;

/// RFC 9457 section 6.1.
const MEDIA_TYPE: &str = "application/problem+json";
/// Where the kinds are explained; the kind is appended. Stable: clients compare it.
const TYPES: &str = "https://ifmatch.dev/problems/";

/// The answer that a refusal makes. `instance` is the request's path.
pub fn refuse(
    refusal: &Refusal,
    statuses: StatusMapping,
    instance: &str,
    current: Option<VersionTag>,
) -> Answer<AnswerBody> {
    let status = refusal.kind.status(statuses);
    let mut answer = Answer::new(AnswerBody::text(problem(refusal, status, instance)));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = refusal.retry_after {
        fields.insert(header::RETRY_AFTER, HeaderValue::from(seconds(after)));
    }
    if refusal.kind == RefusalKind::RequestTimeout {
        // RFC 9110 section 15.5.9: what is still to come of this request is not waited for.
        fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(tag) = current.and_then(|tag| HeaderValue::try_from(tag.to_string()).ok()) {
        fields.insert(header::ETAG, tag);
    }
    answer
}

/// A refusal as a whole message, for a connection that is closed and has no request to answer.
pub fn last_word(refusal: &Refusal) -> Vec<u8> {
    let status = refusal.kind.status(StatusMapping::default());
    let problem = problem(refusal, status, "");
    let retry =
        refusal.retry_after.map_or(String::new(), |after| format!("Retry-After: {}\r\n", seconds(after)));
    let head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {MEDIA_TYPE}\r\nCache-Control: no-store\r\n{retry}\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        status.as_u16(),
        title(status),
        problem.len()
    );
    [head.into_bytes(), problem].concat()
}

/// Whole seconds (RFC 9110 section 10.2.3), rounded up: too early is refused again.
fn seconds(after: Duration) -> u64 {
    (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1)
}

/// The problem's members: a refusal is to cost little, and most of its text is known before.
///
/// Beside those of RFC 9457 there are `kind`, the last part of `type` for those who do not want to take a URI
/// apart, and `error` and `message`, which clients of many legacy APIs look for.
fn problem(refusal: &Refusal, status: StatusCode, instance: &str) -> Vec<u8> {
    /// Those of each kind with its usual status, in the kinds' order.
    static USUAL: LazyLock<Vec<Words>> = LazyLock::new(|| {
        RefusalKind::ALL.map(|kind| Words::of(kind, kind.status(StatusMapping::default()))).into()
    });
    let (detail, instance) = (escaped(&refusal.detail), escaped(instance));
    let said = |words: &Words| {
        let members: [&str; 7] = [
            &words.before_detail,
            &detail,
            r#"","instance":""#,
            &instance,
            &words.before_message,
            &detail,
            r#""}"#,
        ];
        members.concat().into_bytes()
    };
    match USUAL
        .get(refusal.kind as usize)
        .filter(|words| (words.kind, words.status) == (refusal.kind, status))
    {
        Some(words) => said(words),
        None => said(&Words::of(refusal.kind, status)),
    }
}

/// What all problems of one kind and status have in common.
struct Words {
    kind: RefusalKind,
    status: StatusCode,
    /// Up to the `detail`.
    before_detail: String,
    /// Between the `instance` and the `message`.
    before_message: String,
}

impl Words {
    fn of(kind: RefusalKind, status: StatusCode) -> Self {
        let (name, title, number) = (kind.name(), title(status), status.as_str());
        Words {
            kind,
            status,
            before_detail: format!(
                r#"{{"type":"{TYPES}{name}","title":"{title}","status":{number},"detail":""#
            ),
            before_message: format!(r#"","kind":"{name}","error":"{title}","message":""#),
        }
    }
}

/// What stands for a text between the quotes of a JSON string.
fn escaped(text: &str) -> Cow<'_, str> {
    // Looked at to its end, which compilers turn into a few instructions for many bytes.
    let is_plain = text.bytes().fold(true, |so_far, b| so_far & (b >= b' ') & (b != b'"') & (b != b'\\'));
    if is_plain {
        return text.into();
    }
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap_or_default().to_owned().into()
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Refused")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_problem_is_what_a_writer_of_json_makes_of_its_members() {
        let everything: String = (0..0x180).filter_map(char::from_u32).collect();
        for kind in RefusalKind::ALL {
            for text in ["", "plain /text?", "a \"quoted\" one\\", "\u{7f}\u{1f}", &everything] {
                let refusal = Refusal::new(kind, text.to_owned());
                for status in [kind.status(StatusMapping::default()), StatusCode::CONFLICT] {
                    let (kind, title, said) = (quoted(kind.name()), quoted(title(status)), quoted(text));
                    let r#type = quoted(&format!("{TYPES}{}", refusal.kind.name()));
                    let expected = format!(
                        "{{\"type\":{type},\"title\":{title},\"status\":{},\"detail\":{said},\"instance\":{said},\
                         \"kind\":{kind},\"error\":{title},\"message\":{said}}}",
                        status.as_u16()
                    );
                    assert_eq!(String::from_utf8(problem(&refusal, status, text)), Ok(expected));
                }
            }
        }
    }

    fn quoted(text: &str) -> String {
        serde_json::to_string(text).expect("a string")
    }
}
