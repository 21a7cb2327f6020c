//! Tags that stand for what an origin shows: the digest of a content, and what is judged under the permit.

use std::collections::BTreeMap;

use http::{HeaderValue, StatusCode, header};
use ifmatch::decide::claim::{Shown, claim, judge_shown};
use ifmatch::decide::digest::digest;
use ifmatch::decide::policy::{RoutePolicy, WeakIfMatch};
use ifmatch::decide::validator::Validator;
use ifmatch::http1::fields::Fields;
use ifmatch::request::entity_tag::{EntityTag, TagCondition};
use ifmatch::request::json::Pointer;
use ifmatch::request::method::Effect;
use ifmatch::request::preconditions::Preconditions;
use ifmatch::request::version_tag::{Incarnation, ResourceKey};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use crate::seeded::check;

/// A document, apart from its spelling. Numbers are texts, as a reader that keeps them sees them.
#[derive(Clone, Debug, PartialEq)]
enum Document {
    Word(&'static str),
    Number(&'static str),
    Text(String),
    List(Vec<Document>),
    Members(BTreeMap<String, Document>),
}

const EXACT: [&str; 7] = ["0", "1", "1.0", "-1", "1e0", "9007199254740991", "0.1"];
const INEXACT: [&str; 5] = ["9007199254740992", "9007199254740993", "-9007199254740993", "1e16", "1e999"];

fn names() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "at", "é", "a\"b", "[", ""]).prop_map(str::to_owned)
}

fn documents(numbers: &'static [&'static str]) -> impl Strategy<Value = Document> {
    let leaf = prop_oneof![
        select(vec!["null", "true", "false"]).prop_map(Document::Word),
        select(numbers).prop_map(Document::Number),
        names().prop_map(Document::Text),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Document::List),
            btree_map(names(), inner, 0..3).prop_map(Document::Members),
        ]
    })
}

/// Writes a document in one of its spellings.
fn spell(document: &Document, backwards: bool) -> String {
    let blank = if backwards { "\n " } else { "" };
    let text = |text: &str| match backwards {
        true => {
            format!("\"{}\"", text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<String>())
        }
        false => serde_json::to_string(text).expect("a text"),
    };
    match document {
        Document::Word(word) => (*word).to_owned(),
        Document::Number(number) => (*number).to_owned(),
        Document::Text(value) => text(value),
        Document::List(elements) => {
            let all: Vec<String> = elements.iter().map(|element| spell(element, backwards)).collect();
            format!("[{blank}{}{blank}]", all.join(","))
        }
        Document::Members(members) => {
            let mut all: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}{blank}:{}", text(name), spell(value, backwards)))
                .collect();
            if backwards {
                all.reverse();
            }
            format!("{{{blank}{}}}", all.join(","))
        }
    }
}

fn tag_of(text: &str, ignore: &[&str]) -> String {
    let fields: Fields =
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))].into_iter().collect();
    let ignore: Vec<Pointer> = ignore.iter().map(|text| Pointer::parse(text).expect("a pointer")).collect();
    digest(&fields, text.as_bytes(), &ignore).expect("a tag").to_string()
}

#[test]
fn two_documents_have_one_tag_exactly_if_they_are_the_same() {
    check(800, (documents(&EXACT), documents(&EXACT)), |(one, other)| {
        let tag = tag_of(&spell(&one, false), &[]);
        prop_assert_eq!(tag == tag_of(&spell(&other, false), &[]), one == other);
        prop_assert_eq!(tag, tag_of(&spell(&one, true), &[]), "the spelling does not count");
        Ok(())
    });
}

#[test]
fn texts_that_some_programs_read_differently_have_one_tag_only_if_they_are_the_same_bytes() {
    let either = || prop_oneof![documents(&INEXACT), documents(&EXACT)];
    let twice = |document: &Document| format!("{{\"a\":1,\"x\":{},\"a\":2}}", spell(document, false));
    check(500, (either(), either(), any::<bool>()), |(one, other, backwards)| {
        let itself = (spell(&one, false), spell(&one, backwards));
        for (one, other) in
            [itself, (spell(&one, false), spell(&other, backwards)), (twice(&one), twice(&other))]
        {
            if tag_of(&one, &[]) == tag_of(&other, &[]) {
                let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                prop_assert!(one == other || value(&one) == value(&other), "{} {}", one, other);
                let inexact = INEXACT.iter().any(|number| one.contains(number));
                prop_assert!(one == other || !inexact, "{} {}", one, other);
            }
        }
        Ok(())
    });
}

#[test]
fn what_is_ignored_is_all_that_does_not_count() {
    check(300, (documents(&EXACT), documents(&EXACT), documents(&EXACT)), |(kept, one, other)| {
        let with = |at: &Document, b: &Document| {
            let text = format!("{{\"b\":{},\"at\":{}}}", spell(b, false), spell(at, false));
            tag_of(&text, &["/at"])
        };
        prop_assert_eq!(with(&one, &kept), with(&other, &kept));
        prop_assert_eq!(with(&one, &one) == with(&one, &other), one == other);
        Ok(())
    });
}

#[derive(Clone, Copy, PartialEq)]
enum There {
    Nothing,
    Unknown,
    Untagged,
    Tagged(&'static str),
}

/// If-Match or If-None-Match, what the origin shows, and whether the write goes on: strictly, and where weak
/// forms are taken.
#[rustfmt::skip]
const JUDGED: [(&str, &str, There, bool, bool); 18] = [
    ("if-match", "\"a\"", There::Tagged("\"a\""), true, true),
    ("if-match", "\"b\", \"a\"", There::Tagged("\"a\""), true, true),
    ("if-match", "\"b\"", There::Tagged("\"a\""), false, false),
    ("if-match", "W/\"a\"", There::Tagged("\"a\""), false, true),
    ("if-match", "\"a\"", There::Tagged("W/\"a\""), false, true),
    ("if-match", "W/\"a\"", There::Tagged("W/\"a\""), false, true),
    ("if-match", "\"a-gzip\"", There::Tagged("\"a\""), false, true),
    ("if-match", "\"a\"", There::Untagged, false, false),
    ("if-match", "\"a\"", There::Nothing, false, false),
    ("if-match", "\"a\"", There::Unknown, false, false),
    ("if-match", "*", There::Untagged, true, true),
    ("if-match", "*", There::Nothing, false, false),
    ("if-none-match", "\"a\"", There::Tagged("\"a\""), false, false),
    ("if-none-match", "W/\"a\"", There::Tagged("\"a\""), false, false),
    ("if-none-match", "\"b\"", There::Tagged("\"a\""), true, true),
    ("if-none-match", "\"a\"", There::Untagged, false, false),
    ("if-none-match", "\"a\"", There::Nothing, true, true),
    ("if-none-match", "*", There::Nothing, true, true),
];

#[test]
fn stated_tags_are_judged_by_what_the_origin_shows() {
    for validator in [Validator::Content { ignore: vec![] }, Validator::Origin { version_field: None }] {
        for (field, value, there, strictly, leniently) in JUDGED {
            for (weak, goes_on) in [(WeakIfMatch::Refuse, strictly), (WeakIfMatch::Accept, leniently)] {
                let policy = RoutePolicy {
                    weak_if_match: weak,
                    validator: validator.clone(),
                    ..RoutePolicy::with_defaults("r", "u")
                };
                let fields = [(field.parse().expect("a name"), HeaderValue::from_static(value))];
                let stated = Preconditions::read(&fields.into_iter().collect()).expect("well-formed");
                let (life, key) = (Incarnation(1), ResourceKey(2));
                let claim = claim(Effect::GuardedWrite, &stated, &policy, life, key).expect("stated");
                assert_eq!(claim.condition.judge(ifmatch::request::version_tag::Version(0)), Ok(()));
                assert!(claim.probe.is_needed());
                let tag = match there {
                    There::Tagged(tag) => Some(EntityTag::parse(tag.as_bytes()).expect("a tag")),
                    There::Nothing | There::Unknown | There::Untagged => None,
                };
                let exists = match there {
                    There::Nothing => Some(false),
                    There::Unknown => None,
                    There::Untagged | There::Tagged(_) => Some(true),
                };
                let shown = Shown { exists, last_modified: None, tag };
                let judged = judge_shown(&claim, &shown, None, Effect::GuardedWrite, &policy);
                assert_eq!(judged.is_ok(), goes_on, "{field}: {value} {judged:?}");
            }
        }
    }
}

#[test]
fn where_the_origin_compares_nothing_is_asked_of_it_before_and_a_value_that_is_no_tag_is_refused() {
    let policy = RoutePolicy { validator: Validator::Enforced, ..RoutePolicy::with_defaults("r", "u") };
    let judged =
        |stated: &Preconditions| claim(Effect::GuardedWrite, stated, &policy, Incarnation(1), ResourceKey(2));
    let mut stated = Preconditions::default();
    let missing = judged(&stated).expect_err("nothing stated");
    assert_eq!(missing.kind.name(), "precondition-required");
    stated.state_if_match(TagCondition::Tags(vec![]));
    assert_eq!(judged(&stated).expect_err("it could not go on").kind.name(), "precondition-failed");
    stated.state_if_match(TagCondition::Tags(vec![EntityTag::strong(b"a").expect("a tag")]));
    let claim = judged(&stated).expect("the origin judges it");
    assert!(!claim.probe.is_needed() && claim.names_a_state());
    stated.state_if_match(TagCondition::Any);
    assert!(!judged(&stated).expect("the origin judges it").probe.is_needed());
}

#[test]
fn a_status_that_shows_no_representation_has_no_tag() {
    let fields: Fields = [(header::ETAG, HeaderValue::from_static("\"a\""))].into_iter().collect();
    let validator = Validator::Content { ignore: vec![] };
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND, StatusCode::PARTIAL_CONTENT] {
        assert_eq!(validator.tag_of(status, &fields, Some(b"x")), None, "{status}");
    }
    assert!(validator.tag_of(StatusCode::OK, &fields, Some(b"x")).is_some());
    assert_eq!(validator.tag_of(StatusCode::OK, &fields, None), None, "not read whole");
}
