//! Views (`unconditional = "infer"`): whose they are, where they are kept, and when they are stored.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, header};

use super::ask::{Ask, Named};
use super::body::AnswerBody;
use super::client::Delivery;
use crate::decide::policy::{Mode, Principal, Unconditional};
use crate::decide::views::{ViewIn, ViewPer};
use crate::http1::fields::{FieldValue, Fields};
use crate::http1::message::Answer;
use crate::identify::content::Content;
use crate::identify::query;
use crate::ledger::views::ViewKey;
use crate::request::entity_tag::EntityTag;
use crate::request::version_tag::{Version, VersionTag};

/// The cookie of `view_in = "cookie"`.
const COOKIE: &str = "ifmatch-view";

/// A client's view of a resource.
#[derive(Clone, Copy, Debug)]
pub struct View {
    key: ViewKey,
    kept: ViewIn,
}

impl View {
    /// That of the client of this request. `None` where the route infers nothing, or nobody can tell whose it is:
    /// such a view is unknown. A client's address tells nobody apart, so it is never asked.
    pub fn of(ask: &Ask, fields: &Fields, named: &Named, content: Option<&Content<'_>>) -> Option<Self> {
        let policy = ask.policy();
        if policy.unconditional != Unconditional::Infer {
            return None;
        }
        let kept = match policy.mode {
            // No byte that a client sees is to change; what it has read can be remembered here all the same.
            Mode::Observe => ViewIn::Memory,
            Mode::Enforce | Mode::Off => policy.views.kept,
        };
        let principal = match (ask.principal(fields), kept) {
            (Some(principal), _) => principal,
            (None, ViewIn::Cookie) if policy.principal.is_none() => b"",
            (None, ViewIn::Cookie | ViewIn::Memory) => return None,
        };
        let per = match &policy.views.per {
            None => Cow::Borrowed(&b""[..]),
            Some(ViewPer::Header(name)) => Cow::Borrowed(fields.get(name)?.as_bytes()),
            Some(ViewPer::Query(name)) => {
                let value = query::values(ask.target.query().unwrap_or_default(), name).next()?;
                Cow::Owned(value.into_owned().into_bytes())
            }
        };
        if policy.views.per.is_some() && per.is_empty() {
            return None;
        }
        let spelled = policy.resource.spelled(&ask.target.path, &ask.target.spelled, content).ok()?;
        let (kind, name) = match &policy.principal {
            None => (&b""[..], &b""[..]),
            Some(Principal::Header(name)) => (&b"h"[..], name.as_str().as_bytes()),
            Some(Principal::Cookie(name)) => (&b"c"[..], name.as_bytes()),
        };
        let key = ask.gateway.ledger.view_key(&[
            kind,
            name,
            principal,
            per_kind(policy.views.per.as_ref()),
            &per,
            policy.upstream.as_bytes(),
            spelled.as_bytes(),
            &named.key.0.to_be_bytes(),
        ]);
        Some(View { key, kept })
    }

    /// The version that the client last read, if that is known.
    pub async fn version(&self, ask: &Ask, named: &Named) -> Option<Version> {
        match self.kept {
            ViewIn::Memory => ask.gateway.views.last_read(self.key).await,
            // Two paths of one resource have a cookie each: the older one is good for both.
            ViewIn::Cookie => {
                ask.own_cookies.iter().filter_map(|cookie| self.in_cookie(cookie, ask, named)).min()
            }
        }
    }

    /// I3: what the client holds is not known any more. A cookie is left to it: its version is over too.
    pub fn forget(&self, ask: &Ask) {
        match self.kept {
            ViewIn::Memory => ask.gateway.views.forget(self.key),
            ViewIn::Cookie => {}
        }
    }

    /// I1: the view becomes what the tag names when this answer was written out whole. A cookie goes with the
    /// answer's head.
    pub fn becomes(&self, ask: &Ask, tag: VersionTag, answer: &mut Answer<AnswerBody>) {
        match self.kept {
            ViewIn::Memory => {
                answer.body_mut().hands_over(Delivery {
                    client: ask.client.clone(),
                    views: ask.gateway.views.clone(),
                    key: self.key,
                    version: tag.version,
                });
            }
            ViewIn::Cookie => {
                if let Some(cookie) = self.cookie(ask, tag) {
                    answer.headers_mut().append(header::SET_COOKIE, cookie);
                }
            }
        }
    }

    fn cookie(&self, ask: &Ask, tag: VersionTag) -> Option<HeaderValue> {
        let path = ask.target.spelled.path();
        // What would end the attribute; such a path has no cookie.
        if path.contains([';', ',']) {
            return None;
        }
        let tag = tag.to_string();
        let age = ask.live.ledger.view_lifetime.as_secs();
        HeaderValue::try_from(format!(
            "{COOKIE}={}.{:032x}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Strict",
            tag.trim_matches('"'),
            self.key.0
        ))
        .ok()
    }

    /// The version in a cookie, if it is of this view and of this life of the ledger.
    fn in_cookie(&self, value: &[u8], ask: &Ask, named: &Named) -> Option<Version> {
        let text = std::str::from_utf8(value).ok()?;
        let (tag, key) = text.rsplit_once('.')?;
        if key != format!("{:032x}", self.key.0) {
            return None;
        }
        let tag = VersionTag::read(&EntityTag::parse(format!("\"{tag}\"").as_bytes()).ok()?)?;
        tag.is_of(ask.gateway.ledger.incarnation(), named.key).then_some(tag.version)
    }
}

fn per_kind(per: Option<&ViewPer>) -> &[u8] {
    match per {
        None => b"",
        Some(ViewPer::Header(name)) => name.as_str().as_bytes(),
        Some(ViewPer::Query(name)) => name.as_bytes(),
    }
}

/// Takes our own cookies out of a request, so that neither the origin nor a tag ever sees them. Every other one
/// stays as it is, byte for byte.
pub fn take_own_cookies(fields: &mut Fields) -> Vec<Vec<u8>> {
    let mut own = Vec::new();
    if !fields.get_all(header::COOKIE).any(|line| pairs(line).any(|pair| own_value(pair).is_some())) {
        return own;
    }
    fields.change(header::COOKIE, |line| {
        own.extend(pairs(line).filter_map(own_value).map(<[u8]>::to_vec));
        let others: Vec<&[u8]> = pairs(line).filter(|pair| own_value(pair).is_none()).collect();
        let rest = others.join(&b";"[..]);
        HeaderValue::from_bytes(rest.trim_ascii_start()).ok().filter(|rest| !rest.is_empty())
    });
    own
}

fn pairs(line: FieldValue<'_>) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|b| *b == b';')
}

fn own_value(pair: &[u8]) -> Option<&[u8]> {
    pair.trim_ascii().strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"=")
}

/// Lets no cache answer a read in our place, or keep it for another client: a read that is not seen is no view
/// (RFC 9111 section 5.2.2). What the origin says of storing at all stays. The fields that speak to certain caches
/// alone would override this one (RFC 9213).
pub fn keep_from_caches(ask: &Ask, fields: &mut Fields) {
    const OF_SOME_CACHES: [HeaderName; 2] =
        [HeaderName::from_static("cdn-cache-control"), HeaderName::from_static("surrogate-control")];
    if ask.policy().unconditional != Unconditional::Infer || ask.observes() {
        return;
    }
    let says_no_store = |value: FieldValue<'_>| {
        let directives = value.as_bytes().split(|b| *b == b',');
        directives.map(<[u8]>::trim_ascii).any(|directive| directive.eq_ignore_ascii_case(b"no-store"))
    };
    let no_store = fields.get_all(header::CACHE_CONTROL).any(says_no_store);
    for name in OF_SOME_CACHES {
        fields.remove(name);
    }
    let value = if no_store { "private, no-cache, no-store" } else { "private, no-cache" };
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut fields = Fields::new();
        fields.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        for line in lines {
            fields.append(header::COOKIE, HeaderValue::from_str(line).expect("a value"));
        }
        let own = take_own_cookies(&mut fields);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(fields.get(header::ACCEPT).map(FieldValue::as_bytes), Some(&b"*/*"[..]));
        let rest = fields.get_all(header::COOKIE).map(|line| text(line.as_bytes())).collect();
        (own.iter().map(|value| text(value)).collect(), rest)
    }

    #[test]
    fn our_cookie_is_taken_out_and_the_others_stay_as_they_are() {
        for (line, own, rest) in [
            ("a=1; ifmatch-view=x; b=2", vec!["x"], vec!["a=1; b=2"]),
            ("ifmatch-view=x; b= 2 ;c", vec!["x"], vec!["b= 2 ;c"]),
            ("a=1;ifmatch-view=x", vec!["x"], vec!["a=1"]),
            ("ifmatch-view=x; ifmatch-view=y", vec!["x", "y"], vec![]),
            (
                "ifmatch-viewer=x; my-ifmatch-view=y;  z",
                vec![],
                vec!["ifmatch-viewer=x; my-ifmatch-view=y;  z"],
            ),
        ] {
            let (taken, left) = taken(&[line]);
            assert_eq!(
                (taken, left),
                (
                    own.iter().map(ToString::to_string).collect(),
                    rest.iter().map(ToString::to_string).collect()
                ),
                "{line}"
            );
        }
        let (own, rest) = taken(&["a=1", "ifmatch-view=x", "b=2; ifmatch-view=y"]);
        assert_eq!((own.join(" "), rest.join("|")), ("x y".to_owned(), "a=1|b=2".to_owned()));
    }
}
