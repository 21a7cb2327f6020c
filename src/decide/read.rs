//! Reads: which tag an answer carries, and when it is not needed at all.

use std::time::SystemTime;

use http::{Method, StatusCode};

use super::policy::WeakIfMatch;
use super::say;
use super::verdict::Refusal;
use crate::request::entity_tag::{EntityTag, TagCondition};
use crate::request::preconditions::{IfRange, Preconditions};
use crate::request::version_tag::{Incarnation, ResourceKey, Variant, Version, VersionTag};

/// What the ledger said of a resource before a read was forwarded (rule R3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadStamp {
    /// A published version: the current one, or an older one.
    pub version: Version,
    /// Whether that version was current and no write occupied the resource.
    pub at_rest: bool,
}

/// What to do with a `Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangePlan {
    /// Forward it as it is, and `If-Range` with it if that is a date.
    AsAsked,
    /// Forward it without `If-Range`, whose tag names the current version; the answer must be of this
    /// variant, else the whole is wanted.
    IfVariant(Variant),
    /// Ask for the whole: the `If-Range` is false, or cannot be shown to be true.
    Whole,
}

/// Resolves `If-Range` (RFC 9110 section 13.1.5).
///
/// While a write is in flight the content may already be another one under the same version, so a part
/// must not be joined to what the client has: the whole is asked for.
pub fn plan_range(
    stated: &Preconditions,
    stamp: ReadStamp,
    incarnation: Incarnation,
    resource: ResourceKey,
) -> RangePlan {
    match &stated.if_range {
        None | Some(IfRange::Date) => RangePlan::AsAsked,
        Some(IfRange::Tag(tag)) => VersionTag::read(tag)
            .filter(|ours| !tag.is_weak() && ours.is_of(incarnation, resource))
            .filter(|ours| stamp.at_rest && ours.version == stamp.version)
            .map_or(RangePlan::Whole, |ours| RangePlan::IfVariant(ours.variant)),
    }
}

/// The origin's answer to a read, as far as conditions look at it.
#[derive(Clone, Copy, Debug)]
pub struct ReadAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Which representation it is.
    pub variant: Variant,
    /// Its `Last-Modified`.
    pub last_modified: Option<SystemTime>,
    /// Whether the resource was still at rest in the stamped version when the answer came.
    pub still_at_rest: bool,
    /// Whether it is `multipart/byteranges`, whose media type is not that of the representation.
    pub multipart: bool,
}

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadVerdict {
    /// The origin's answer, with this tag or none.
    Answer(Option<VersionTag>),
    /// 304, with this tag or none.
    NotModified(Option<VersionTag>),
    /// 412.
    Refuse(Refusal),
}

/// Which tags are ours here.
#[derive(Clone, Copy, Debug)]
pub struct TagsOf {
    /// This life of the ledger.
    pub incarnation: Incarnation,
    /// The resource that is read.
    pub resource: ResourceKey,
    /// Whether what caches and compressors on the way make of our tags is understood.
    pub weak: WeakIfMatch,
}

impl TagsOf {
    fn read(&self, tag: &EntityTag) -> Option<VersionTag> {
        let read = match self.weak {
            WeakIfMatch::Refuse => VersionTag::read(tag),
            WeakIfMatch::Accept => VersionTag::read_with_suffix(tag),
        };
        read.filter(|tag| tag.is_of(self.incarnation, self.resource))
    }
}

/// Judges the preconditions of a read against the origin's answer (RFC 9110 section 13.2.2).
///
/// Conditions count only where the answer without them would have been a success (section 13.2.1).
/// A tag goes out only with the content that it describes (rule R4): a 200 to GET or HEAD, and a 206
/// that was surely cut from the stamped version.
pub fn judge_read(
    method: &Method,
    stated: &Preconditions,
    stamp: ReadStamp,
    answer: &ReadAnswer,
    of: TagsOf,
) -> ReadVerdict {
    if !answer.status.is_success() {
        return ReadVerdict::Answer(None);
    }
    let of_this_version = |tag: &EntityTag| {
        (!tag.is_weak() || of.weak == WeakIfMatch::Accept)
            && of.read(tag).is_some_and(|ours| ours.version == stamp.version)
    };
    match &stated.if_match {
        Some(TagCondition::Tags(tags)) if !tags.iter().any(of_this_version) => {
            return ReadVerdict::Refuse(say::stale());
        }
        Some(TagCondition::Tags(_) | TagCondition::Any) | None => {}
    }
    if let (Some(date), Some(modified)) = (stated.if_unmodified_since, answer.last_modified)
        && modified > date
    {
        return ReadVerdict::Refuse(say::modified_since());
    }
    let retrieval = matches!(*method, Method::GET | Method::HEAD);
    let stamped = match answer.status {
        StatusCode::OK => retrieval,
        StatusCode::PARTIAL_CONTENT => {
            retrieval && stamp.at_rest && answer.still_at_rest && !answer.multipart
        }
        _ => false,
    };
    let tag = stamped.then(|| VersionTag::new(of.incarnation, of.resource, stamp.version, answer.variant));
    let is_current = |theirs: &EntityTag| tag.is_some() && of.read(theirs) == tag;
    let matches = match &stated.if_none_match {
        Some(TagCondition::Any) => true,
        Some(TagCondition::Tags(tags)) => tags.iter().any(is_current),
        None => false,
    };
    if matches {
        return if retrieval {
            ReadVerdict::NotModified(tag)
        } else {
            ReadVerdict::Refuse(say::still_matches())
        };
    }
    // A date is a weak validator: what the client has may be an earlier state of the same second, so
    // this 304 must not give it our tag. A Range comes after the other conditions (section 13.2.2).
    let since = stated.if_modified_since.zip(answer.last_modified);
    let whole_or_part = matches!(answer.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    if retrieval && whole_or_part && since.is_some_and(|(date, modified)| modified <= date) {
        return ReadVerdict::NotModified(None);
    }
    ReadVerdict::Answer(tag)
}
