//! Properties of what is read from a request: tags, lists of them, paths and routes.

use std::sync::LazyLock;

use http::{HeaderName, HeaderValue, Method};
use ifmatch::http1::fields::Fields;
use ifmatch::identify::fold::Fold;
use ifmatch::identify::query;
use ifmatch::identify::resource_id::NameTemplate;
use ifmatch::identify::route_table::{HostPattern, PathPattern, RouteTable};
use ifmatch::identify::target_path::TargetPath;
use ifmatch::request::entity_tag::{EntityTag, TagCondition};
use ifmatch::request::method::{Effect, MethodPolicy, OVERRIDE_PARAMETER, overrides_in_fields};
use ifmatch::request::version_tag::{Incarnation, ResourceKey, Variant, Version, VersionTag};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use regex::Regex;

use crate::seeded::check;

fn etagc() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0x21u8), 0x23..=0x7eu8, 0x80..=0xffu8], 0..12)
}

fn quoted(weak: bool, opaque: &[u8]) -> Vec<u8> {
    [if weak { &b"W/"[..] } else { b"" }, b"\"", opaque, b"\""].concat()
}

#[test]
fn an_entity_tag_is_read_as_it_was_written() {
    check(500, (any::<bool>(), etagc()), |(weak, opaque)| {
        let written = quoted(weak, &opaque);
        let tag = EntityTag::parse(&written).expect("the grammar");
        prop_assert_eq!(tag.is_weak(), weak);
        prop_assert_eq!(tag.opaque(), &opaque[..]);
        if std::str::from_utf8(&opaque).is_ok() {
            prop_assert_eq!(tag.to_string().into_bytes(), written);
        }
        prop_assert_eq!(tag.strong_eq(&tag), !weak);
        prop_assert!(tag.weak_eq(&tag));
        Ok(())
    });
}

#[test]
fn a_list_is_its_elements_whatever_stands_between_them() {
    let blanks = || select(&["", " ", "\t", "  \t"][..]);
    let element = (blanks(), option::weighted(0.8, (any::<bool>(), etagc())), blanks());
    let lines = vec(vec(element, 1..5), 1..4);
    check(500, lines, |lines| {
        let mut expected = Vec::new();
        let mut written: Vec<Vec<u8>> = Vec::new();
        for line in lines {
            let mut parts = Vec::new();
            for (before, tag, after) in line {
                let tag = tag.map(|(weak, opaque)| quoted(weak, &opaque));
                parts.push([before.as_bytes(), tag.as_deref().unwrap_or(b""), after.as_bytes()].concat());
                expected.extend(tag);
            }
            written.push(parts.join(&b","[..]));
        }
        match TagCondition::parse(written.iter().map(Vec::as_slice)) {
            Ok(TagCondition::Tags(tags)) => {
                let read: Vec<Vec<u8>> = tags.iter().map(|tag| quoted(tag.is_weak(), tag.opaque())).collect();
                prop_assert_eq!(read, expected);
            }
            Ok(TagCondition::Any) => prop_assert!(false, "no star was written"),
            Err(malformed) => prop_assert!(expected.is_empty(), "{:?}", malformed),
        }
        Ok(())
    });
}

#[test]
fn a_value_is_a_list_exactly_where_the_grammar_says_so() {
    static TAG: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"(?:W/)?"[!#-~]*""#).expect("a pattern"));
    static LIST: LazyLock<Regex> = LazyLock::new(|| {
        let tag = TAG.as_str();
        let list = format!(r"^(?:[ \t]*,)*[ \t]*{tag}(?:[ \t]*,(?:[ \t]*{tag})?)*[ \t]*$");
        Regex::new(&list).expect("a pattern")
    });
    static STAR: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(?:[ \t]*,)*[ \t]*\*(?:[ \t]*,)*[ \t]*$").expect("a pattern"));
    let piece = select(&["\"", "\"", ",", "W/", "a", "*", " ", "\t", "\"a\"", "W/\"b,\"", "/", "'"][..]);
    check(5000, vec(piece, 0..8), |pieces| {
        let value = pieces.concat();
        let read = TagCondition::parse([value.as_bytes()]);
        match &read {
            Ok(TagCondition::Any) => prop_assert!(STAR.is_match(&value), "{}", value),
            Ok(TagCondition::Tags(tags)) => {
                prop_assert!(LIST.is_match(&value), "{}", value);
                let written: Vec<&str> = TAG.find_iter(&value).map(|found| found.as_str()).collect();
                prop_assert_eq!(tags.iter().map(EntityTag::to_string).collect::<Vec<_>>(), written);
            }
            Err(_) => prop_assert!(!LIST.is_match(&value) && !STAR.is_match(&value), "{}", value),
        }
        Ok(())
    });
}

#[test]
fn nothing_that_a_peer_sends_makes_a_reader_panic() {
    let bytes = || vec(any::<u8>(), 0..40);
    check(3000, (bytes(), bytes(), any::<String>(), any::<String>()), |(one, two, path, query)| {
        let _ = TagCondition::parse([&one[..], &two[..]]);
        if let Ok(tag) = EntityTag::parse(&one) {
            let _ = (VersionTag::read(&tag), VersionTag::read_with_suffix(&tag));
        }
        let path = TargetPath::parse(&path);
        let _ = (path.routed(), path.ambiguity(), path.segments(Fold::default()));
        let _ = query::values(&query, OVERRIDE_PARAMETER).count();
        let mut fields = Fields::new();
        if let Ok(value) = HeaderValue::from_bytes(&two) {
            for name in ["if-match", "if-none-match", "if-range", "if-unmodified-since", "range"] {
                fields.append(HeaderName::from_static(name), value.clone());
            }
            fields.append(HeaderName::from_static("x-http-method-override"), value);
        }
        let _ = ifmatch::request::preconditions::Preconditions::read(&fields);
        let _ = overrides_in_fields(&fields).count();
        Ok(())
    });
}

#[test]
fn a_version_tag_is_read_back_and_is_of_its_resource_only() {
    check(500, (any::<[u64; 5]>(), any::<u32>()), |([life, key, version, other, other_life], variant)| {
        let tag = VersionTag::new(Incarnation(life), ResourceKey(key), Version(version), Variant(variant));
        let read = EntityTag::parse(tag.to_string().as_bytes()).expect("the grammar");
        prop_assert!(!read.is_weak());
        prop_assert_eq!(VersionTag::read(&read), Some(tag));
        prop_assert_eq!(VersionTag::read_with_suffix(&read), Some(tag));
        prop_assert!(tag.is_of(Incarnation(life), ResourceKey(key)));
        prop_assert_eq!(tag.is_of(Incarnation(other_life), ResourceKey(key)), life == other_life);
        prop_assert_eq!(tag.is_of(Incarnation(life), ResourceKey(other)), key as u32 == other as u32);
        Ok(())
    });
}

/// A segment, with two spellings of each of its characters and what servers drop around it.
#[derive(Clone, Debug)]
struct Spelled {
    plain: String,
    letters: Vec<u8>,
    zeros: usize,
    before: &'static str,
    after: &'static str,
    noise: &'static str,
}

impl Spelled {
    fn write(&self) -> String {
        let digits = self.plain.bytes().all(|b| b.is_ascii_digit());
        let mut text = format!("{}/{}", self.noise, self.before);
        text.push_str(&"0".repeat(if digits { self.zeros } else { 0 }));
        for (c, how) in self.plain.chars().zip(self.letters.iter().cycle()) {
            let digit = c.to_digit(10);
            match (how % 6, digit) {
                (0, _) => text.push_str(&format!("%{:02X}", u32::from(c))),
                (1, _) => text.push_str(&format!("%{:02x}", u32::from(c.to_ascii_uppercase()))),
                (2, _) => text.push(c.to_ascii_uppercase()),
                (3, Some(digit)) => text.push_str(&encoded(0x660 + digit)),
                (4, Some(digit)) => text.push_str(&encoded(0xff10 + digit)),
                (4, None) => text.push_str(&encoded(u32::from(c) + 0xfee0)),
                _ => text.push(c),
            }
        }
        text + self.after
    }
}

fn encoded(code: u32) -> String {
    let c = char::from_u32(code).expect("a character");
    utf8_percent_encode(&c.to_string(), NON_ALPHANUMERIC).to_string()
}

fn spelled() -> impl Strategy<Value = Spelled> {
    const NOISE: &[&str] = &["", "", "", "/", "//", "/.", "/x/..", "/;a", "/.;b", "/Q/%72/../.."];
    (
        prop_oneof!["[a-z][a-z0-9]{0,5}", "[1-9][0-9]{0,4}"],
        vec(any::<u8>(), 1..8),
        0..3usize,
        select(&["", "", "", "%20"][..]),
        select(&["", "", "", ".", "..", "%20", ";v=1", ".%20;x=%2C", ";"][..]),
        select(NOISE),
    )
        .prop_map(|(plain, letters, zeros, before, after, noise)| Spelled {
            plain,
            letters,
            zeros,
            before,
            after,
            noise,
        })
}

fn aliases() -> impl Strategy<Value = (String, String)> {
    const END: &[&str] = &["", "", "", "/", "//", "/.", "/x/..", "#f", "/;a"];
    const FORMAT: &[&str] = &["", "", "", ".json", ".XML", ".json.", ".html;q=1"];
    const ROOT: &[&str] = &["", "", "/..", "/../.."];
    (vec(spelled(), 1..5), select(END), select(FORMAT), select(ROOT)).prop_map(
        |(segments, end, format, root)| {
            let plain: String = segments.iter().map(|s| format!("/{}", s.plain)).collect();
            let mut written: String = root.to_owned();
            let last = segments.len() - 1;
            for (i, segment) in segments.iter().enumerate() {
                if i == last && !format.is_empty() {
                    written.push_str(&Spelled { after: format, ..segment.clone() }.write());
                } else {
                    written.push_str(&segment.write());
                }
            }
            (plain, written + end)
        },
    )
}

#[test]
fn every_spelling_of_a_path_is_the_same_resource() {
    let pattern = |text| PathPattern::parse(text).expect("a pattern");
    let table = RouteTable::new(vec![
        ("all", Vec::new(), pattern("/{*rest}")),
        ("two", Vec::new(), pattern("/a/{b}")),
    ]);
    let table = table.unwrap_or_else(|clash| panic!("{clash:?}"));
    check(3000, aliases(), |(plain, written)| {
        let (canonical, alias) = (TargetPath::parse(&plain), TargetPath::parse(&written));
        prop_assert_eq!(canonical.routed(), plain);
        prop_assert_eq!(alias.ambiguity(), None, "{}", written);
        prop_assert_eq!(alias.routed(), canonical.routed(), "{}", written);
        let name = |path: &TargetPath| NameTemplate::CanonicalPath.name(path, None, None, Fold::default());
        prop_assert_eq!(name(&alias), name(&canonical));
        prop_assert!(alias.segments(Fold::default()).eq(canonical.segments(Fold::default())));
        prop_assert_eq!(table.find(None, &alias), table.find(None, &canonical));
        Ok(())
    });
}

#[test]
fn what_servers_read_differently_is_reported_wherever_it_stands() {
    const WITHIN: &[&str] = &[
        "%2F",
        "%2f",
        "\\",
        "%5C",
        "%5c",
        "%00",
        "%0a",
        "%0D%0A",
        "%09",
        "%7F",
        "%252e",
        "%2531",
        "%25%32%35",
        "%252F",
        "%~",
        "%g1",
        "%a~",
        "%C0%B1",
        "%FF",
        "%ED%A0%80",
        "%EF%BC%8F",
        "%EF%BC%BC",
    ];
    const WHOLE: &[&str] =
        &["%2e", "%2E%2e", ".%2E", "%2e.", "%2e;x", "%2e%2e;y=1", "..%20", "%20.", "%EF%BC%8E"];
    let odd = prop_oneof![
        (select(WITHIN), any::<bool>()).prop_map(|(odd, first)| (odd, if first { 0 } else { 1 })),
        select(WHOLE).prop_map(|odd| (odd, 2)),
    ];
    check(2000, (vec("[a-z0-9]{1,4}", 1..4), odd, any::<Index>()), |(mut segments, (odd, how), at)| {
        let at = at.index(segments.len());
        match how {
            0 => segments[at].insert_str(0, odd),
            1 => segments[at].push_str(odd),
            _ => segments.insert(at, odd.to_owned()),
        }
        let path = format!("/{}", segments.join("/"));
        prop_assert!(TargetPath::parse(&path).ambiguity().is_some(), "{}", path);
        Ok(())
    });
}

#[test]
fn folding_a_folded_path_changes_nothing() {
    let character = prop_oneof![
        3 => any::<char>(),
        4 => select(&[' ', '.', ';', '/', '0', '1', '=', 'A', 'z', 'Σ', 'ς', 'İ', 'ß', 'ſ', '½', '１', '٣', '\u{a0}', '\u{37e}'][..]),
    ];
    let piece = prop_oneof![
        4 => character.prop_map(|c| c.to_string()),
        1 => select(&[".json", ".XML", "..", "/./", "/../", "00"][..]).prop_map(str::to_owned),
    ];
    check(5000, vec(piece, 0..12), |pieces| {
        let text = format!("/{}", pieces.concat().replace('#', ""));
        let encode = |path: &str| {
            let segments = path.split('/').map(|segment| match segment {
                "." | ".." => segment.to_owned(),
                _ => utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string().replace("%2E", "."),
            });
            segments.collect::<Vec<_>>().join("/")
        };
        let once = TargetPath::parse(&encode(&text));
        if once.ambiguity().is_some() {
            return Ok(());
        }
        let routed = once.routed();
        let again = TargetPath::parse(&encode(&routed));
        let twice = again.routed();
        prop_assert_eq!(&twice, &routed, "{:?}", text);
        let segments: Vec<_> = once.segments(Fold::default()).collect();
        let joined: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        prop_assert_eq!(if joined.is_empty() { "/" } else { &joined }, &routed);
        Ok(())
    });
}

#[test]
fn a_route_table_takes_any_patterns_and_any_request() {
    let segment = prop_oneof![
        "[a-zA-Z0-9.%{}*;~ -]{0,6}",
        Just("{id}".to_owned()),
        Just("{*rest}".to_owned()),
        Just("%7Bid%7D".to_owned()),
        Just("...".to_owned()),
    ];
    let path = vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/")));
    let host = prop_oneof![Just(None), select(&["a.org", "b.a.org", "org"][..]).prop_map(Some)];
    let route = (path, host, any::<bool>());
    check(1500, (vec(route, 0..6), any::<String>(), "/[a-z0-9./%{};]{0,12}"), |(routes, host, path)| {
        let mut specs = Vec::new();
        for (path, host, below) in routes {
            let Ok(pattern) = PathPattern::parse(&path) else { continue };
            let host = host.map(str::to_owned);
            let host = host.map(|h| if below { HostPattern::Below(h) } else { HostPattern::Exact(h) });
            specs.push((path, Vec::from_iter(host), pattern));
        }
        if let Ok(table) = RouteTable::new(specs) {
            for host in [None, Some(host.as_str()), Some("B.a.org.:80"), Some("[::1]:80")] {
                let _ = table.find(host, &TargetPath::parse(&path));
            }
        }
        Ok(())
    });
}

/// What a spelling of ALIASES must come to, where at least one of the eight servers took it for a write to
/// `/items/1`.
#[derive(Clone, Copy, PartialEq)]
enum Must {
    /// Folded to the resource, or refused as ambiguous.
    Fold,
    /// Not origin-form: the shell refuses it by the parsed target, which is no path.
    NotAPath,
    /// No server wrote: nothing is asked of it.
    Free,
}

const SPELLINGS: [(&str, Must); 68] = [
    ("/items/1", Must::Fold),
    ("/items/%31", Must::Fold),
    ("/%69tems/1", Must::Fold),
    ("/%69%74%65%6d%73/%31", Must::Fold),
    ("//items/1", Must::Fold),
    ("///items/1", Must::Fold),
    ("/items//1", Must::Fold),
    ("/items/./1", Must::Fold),
    ("/./items/1", Must::Fold),
    ("/items/x/../1", Must::Fold),
    ("/x/../items/1", Must::Fold),
    ("/../items/1", Must::Fold),
    ("/items/1/", Must::Fold),
    ("/items/1//", Must::Fold),
    ("/items/1/.", Must::Fold),
    ("/items/1/x/..", Must::Fold),
    ("/items/1;v=1", Must::Free),
    ("/items/1;jsessionid=A", Must::Free),
    ("/items;x/1", Must::Free),
    ("/items/;/1", Must::Free),
    ("/ITEMS/1", Must::Fold),
    ("/Items/1", Must::Fold),
    ("/items/1?", Must::Fold),
    ("/items/1?x=1", Must::Fold),
    ("/items/1?a=1&b=2", Must::Fold),
    ("/items/1?b=2&a=1", Must::Fold),
    ("/items/1?_=1699", Must::Fold),
    ("/items%2F1", Must::Fold),
    ("/items%2f1", Must::Fold),
    ("/%2Fitems/1", Must::Fold),
    ("/items/1%2F", Must::Fold),
    ("/items/%2e/1", Must::Fold),
    ("/items/x/%2e%2e/1", Must::Fold),
    ("/items/x/%2E./1", Must::Fold),
    ("/items/x/..%2f1", Must::Fold),
    ("/items/x/%252e%252e/1", Must::Free),
    ("/items/%2531", Must::Free),
    ("/items\\1", Must::Free),
    ("/items%5C1", Must::Free),
    ("/items/1%20", Must::Free),
    ("/items/%201", Must::Free),
    ("/items/1%00", Must::Free),
    ("/items/1%0a", Must::Free),
    ("/items/1%0d%0a", Must::Free),
    ("/items/1%09", Must::Free),
    ("/items/01", Must::Fold),
    ("/items/1.0", Must::Free),
    ("/items/+1", Must::Free),
    ("/items/%2B1", Must::Free),
    ("/items/1e0", Must::Free),
    ("/items/%EF%BC%91", Must::Fold),
    ("/items/%D9%A1", Must::Fold),
    ("/items/%C0%B1", Must::Free),
    ("/items/1.json", Must::Fold),
    ("/items/1.", Must::Free),
    ("/items/1~", Must::Free),
    ("/items/1#frag", Must::Fold),
    ("/items/1%23frag", Must::Free),
    ("/items/1%3Fx=1", Must::Free),
    ("items/1", Must::NotAPath),
    ("http://localhost/items/1", Must::NotAPath),
    ("http://other.example/items/1", Must::NotAPath),
    ("HTTP://localhost/items/1", Must::NotAPath),
    ("http://u@localhost/items/1", Must::NotAPath),
    ("https://localhost/items/1", Must::NotAPath),
    ("/items/1%2F%2e%2e%2F1", Must::Free),
    ("/items/1/%2e%2e/1", Must::Free),
    ("/items/..;/items/1", Must::Free),
];

#[test]
fn no_spelling_that_a_server_writes_by_is_another_resource() {
    for (target, must) in SPELLINGS {
        let (path, _) = target.split_once('?').unwrap_or((target, ""));
        let parsed = TargetPath::parse(path);
        let folded = parsed.routed() == "/items/1";
        match must {
            Must::Fold => assert!(folded || parsed.ambiguity().is_some(), "{target}: {}", parsed.routed()),
            Must::NotAPath => {
                let uri = http::Uri::try_from(target);
                assert!(uri.is_err() || uri.is_ok_and(|uri| uri.scheme().is_some()), "{target}");
            }
            Must::Free => {}
        }
    }
    let policy = MethodPolicy::default();
    for (method, field, query) in [
        ("POST", Some(("x-http-method-override", "PUT")), ""),
        ("POST", Some(("x-http-method-override", "put")), ""),
        ("GET", Some(("x-http-method-override", "PUT")), ""),
        ("POST", Some(("x-http-method", "PUT")), ""),
        ("POST", Some(("x-method-override", "PUT")), ""),
        ("POST", None, "_method=PUT"),
        ("put", None, ""),
        ("Put", None, ""),
        ("PATCH", None, ""),
        ("PUT", None, ""),
    ] {
        let mut fields = Fields::new();
        if let Some((name, value)) = field {
            fields.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let in_query: Vec<_> = query::values(query, OVERRIDE_PARAMETER).collect();
        let overrides = overrides_in_fields(&fields).chain(in_query.iter().map(|name| name.as_bytes()));
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        assert_eq!(policy.effect(&method, overrides), Effect::GuardedWrite, "{method} {field:?} {query}");
    }
    // They change what their Destination names, which is the shell's to add: a write at the least.
    for method in ["COPY", "MOVE"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        assert_eq!(policy.effect(&method, []), Effect::Write);
    }
}
