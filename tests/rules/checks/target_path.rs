//! Paths, names, queries and route tables: what is one resource to any server has one name, or is said
//! to be ambiguous.

use std::borrow::Cow;
use std::cmp::Reverse;

use http::Uri;
use http::uri::PathAndQuery;
use ifmatch::identify::fold::Fold;
use ifmatch::identify::other_readings::other_readings;
use ifmatch::identify::query;
use ifmatch::identify::resource_id::{NamePart, NameTemplate};
use ifmatch::identify::route_table::{HostPattern, PathPattern, RouteTable};
use ifmatch::identify::target_path::TargetPath;
use ifmatch::request::method::OVERRIDE_PARAMETER;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Takes the bytes for lines: a path, a query, letters of folds that are off, a host, and route patterns.
pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (path, query, off, host) = (line(), line(), line(), line());
    let fold = fold_without(off);
    any_path(path, query, fold);
    a_query(query);
    // The request line has no blanks within its target.
    let path = &format!("/{}", path.trim_start_matches('/').replace(' ', "%20"));
    let is_ambiguous = TargetPath::parse(path).ambiguity().is_some();
    assert!(is_ambiguous || !must_be_ambiguous(path), "{path}");
    if !is_ambiguous {
        folded_once(path, fold);
        encodings(path);
        spellings(path);
        named(path, fold);
    }
    routes(path, host, &lines.collect::<Vec<_>>());
}

fn fold_without(off: &str) -> Fold {
    let on = |letter| !off.contains(letter);
    Fold {
        dot_segments: on('d'),
        empty_segments: on('e'),
        trailing_slash: on('s'),
        parameters: on('p'),
        trailing_dots: on('t'),
        case: on('c'),
        unicode: on('u'),
        leading_zeros: on('z'),
        format_suffix: on('f'),
    }
}

fn any_path(text: &str, query: &str, fold: Fold) {
    let path = TargetPath::parse(text);
    for fold in [fold, Fold::default()] {
        assert!(path.folded(fold).starts_with('/'), "{text}");
        assert_eq!(path.segments(fold).count(), path.spelled_segments().count());
    }
    assert_eq!(path.routed(), path.folded(Fold::default()));
    if let Ok(target) = PathAndQuery::try_from(text) {
        let (of, parsed) = (TargetPath::of(&target), TargetPath::parse(target.path()));
        assert_eq!((of.folded(fold), of.ambiguity()), (parsed.folded(fold), parsed.ambiguity()), "{text}");
        assert!(of.segments(fold).eq(parsed.segments(fold)), "{text}");
    }
    for reading in other_readings(text) {
        assert!(reading.routed().starts_with('/'), "{text}");
    }
    let parts = [NamePart::Literal("a:".into()), NamePart::Segment(0), NamePart::Rest(1)];
    let name = |parts| NameTemplate::Parts(parts).name(&path, Some(query), None, fold);
    assert!(name(parts.to_vec()).is_ok());
    let named = name(vec![NamePart::Query("id".into())]).is_ok();
    assert_eq!(named, query::values(query, "id").count() == 1, "{query}");
}

/// Whoever asks the origin in the place of a write takes its method out of the query: none may be left
/// that any server finds.
fn a_query(text: &str) {
    for name in [OVERRIDE_PARAMETER, "id"] {
        let rest = query::without(text, name);
        assert_eq!(query::values(&rest, name).count(), 0, "{text}: {rest}");
        for other in ["a", "other"] {
            let values = |text| query::values(text, other).map(|v| v.into_owned()).collect::<Vec<_>>();
            assert_eq!(values(&rest), values(text), "{text}: {rest}");
        }
        if query::values(text, name).count() == 0 {
            assert_eq!(rest, text);
        }
    }
}

/// What is left as it is when a folded path is written out: all that has a meaning of its own.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b';');

fn written(path: &str) -> String {
    utf8_percent_encode(path, PLAIN).to_string()
}

fn folded_once(text: &str, fold: Fold) {
    let path = TargetPath::parse(text);
    let routed = path.routed();
    let again = TargetPath::parse(&written(&routed));
    assert_eq!(again.routed(), routed, "folded twice: {text}");
    let segments: Vec<_> = path.segments(Fold::default()).collect();
    let joined: String = segments.iter().map(|segment| format!("/{segment}")).collect();
    assert_eq!(if joined.is_empty() { "/" } else { &joined }, &routed, "{text}");
    assert!(segments.iter().all(|segment| !matches!(&**segment, "" | "." | "..")), "{text}");
    // A route's own folds, once more, change nothing either.
    let folded = path.folded(fold);
    let again = TargetPath::parse(&written(&folded));
    if again.ambiguity().is_none() {
        assert_eq!(again.folded(fold), folded, "folded twice by {fold:?}: {text}");
    }
}

/// Its segments are told by its name: [`folded_once`].
fn must_be_one(name: &str, text: &str, other: &str) {
    let alias = TargetPath::parse(other);
    if alias.ambiguity().is_none() {
        assert_eq!(alias.routed(), name, "{text} and {other}");
    }
}

/// By the folds of a route, where the one that is needed for it is on.
fn must_be_named_alike(name: &str, text: &str, other: &str, fold: Fold) {
    let alias = TargetPath::parse(other);
    if alias.ambiguity().is_none() {
        assert_eq!(alias.folded(fold), name, "{text} and {other} by {fold:?}");
    }
}

/// What some server of those that were tried reads as another path than the next one does.
fn must_be_ambiguous(text: &str) -> bool {
    let text = text.split('#').next().unwrap_or_default().to_ascii_lowercase();
    let is_hex = |digits: &str| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let encodes = |text: &str, any: bool| {
        let mut behind = text.split('%').skip(1).map(|after| after.get(..2).is_some_and(is_hex));
        if any { behind.any(|is| is) } else { behind.all(|is| is) }
    };
    let controls = text.chars().any(|c| c.is_ascii_control() || c == '\\');
    let encoded = (0..0x20).chain([0x2f, 0x5c, 0x7f]).any(|byte| text.contains(&format!("%{byte:02x}")));
    if !encodes(&text, false) || controls || encoded {
        return true;
    }
    text.split('/').any(|segment| {
        let Ok(decoded) = percent_decode_str(segment).decode_utf8() else { return true };
        let bare = decoded.split(';').next().unwrap_or_default().trim_matches(' ');
        encodes(&decoded, true) || (segment.contains('%') && matches!(bare, "." | ".."))
    })
}

/// Servers decode before or after they split, and a character may be encoded or not.
fn encodings(text: &str) {
    let text = text.split('#').next().unwrap_or_default();
    let path = TargetPath::parse(text);
    let name = &path.routed();
    let all_letters: String = utf8_percent_encode_letters(text);
    must_be_one(name, text, &all_letters);
    must_be_one(name, text, &all_letters.to_ascii_lowercase());
    let decoded = percent_decode_str(text).decode_utf8().expect("it is not ambiguous");
    must_be_one(name, text, &written(&decoded));
    // Lower case has two of them, upper case one.
    must_be_one(name, text, &written(&decoded.replace('ς', "σ")));
    must_be_one(name, text, &written(&decoded.replace('ς', "Σ")));
    let reread = TargetPath::parse(&written(&decoded));
    let raw_dots = reread.ambiguity().is_some();
    // Encoding what stood there as it is can only make a dot segment of what is one, blanks around it or not.
    assert!(!raw_dots || decoded.split('/').any(|segment| segment.contains('.')), "{text}");
}

/// Encodes every ASCII letter and digit that is not part of an encoding.
fn utf8_percent_encode_letters(text: &str) -> String {
    let mut encoded = String::new();
    let mut of_encoding = 0;
    for c in text.chars() {
        match c {
            '%' => of_encoding = 3,
            c if c.is_ascii_alphanumeric() && of_encoding == 0 => {
                encoded.push_str(&format!("%{:02X}", u32::from(c)));
                continue;
            }
            _ => {}
        }
        of_encoding = i32::max(of_encoding - 1, 0);
        encoded.push(c);
    }
    encoded
}

/// What one server or another takes for the same path.
fn spellings(text: &str) {
    let text = text.split('#').next().unwrap_or_default();
    let path = TargetPath::parse(text);
    let name = &path.routed();
    // Rearranged dot segments climb elsewhere.
    let climbs = path.spelled_segments().count() != text.split('/').count() - 1;
    for other in [
        format!("{text}/"),
        format!("{text}#fragment"),
        format!("/{text}"),
        format!("/.{text}"),
        format!("/..{text}"),
        format!("/x/..{text}"),
        format!("/;a/{text}"),
        text.replace('/', "//"),
        text.replace('/', "/./"),
        text.replace('/', "/.;b/"),
        text.replace('/', "/x/../"),
        text.to_ascii_uppercase(),
        text.to_ascii_lowercase(),
    ] {
        if !climbs || other.trim_end_matches("#fragment").ends_with(text) || other.eq_ignore_ascii_case(text)
        {
            must_be_one(name, text, &other);
        }
    }
    let last = text.rsplit('/').next().unwrap_or_default();
    let decoded = percent_decode_str(last).decode_utf8_lossy();
    if decoded.ends_with(|c: char| c.is_ascii_alphanumeric()) && !decoded.contains(';') {
        for end in [".", "%20", ".%20.", ";v=1", ";", ".json", ".XML", ".html.", "/x/..", "/."] {
            must_be_one(name, text, &format!("{text}{end}"));
        }
        if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
            let above = &text[..text.len() - last.len()];
            for number in
                [format!("00{last}"), format!("+{last}"), format!("{last}.0"), format!("%2B0{last}")]
            {
                must_be_one(name, text, &format!("{above}{number}"));
            }
        }
    }
    // What is handed on is what was sent.
    if let Ok(uri) = text.parse::<Uri>()
        && uri.scheme().is_none()
        && uri.authority().is_none()
    {
        must_be_one(
            &TargetPath::parse(uri.path()).routed(),
            uri.path(),
            &text[..text.find('?').unwrap_or(text.len())],
        );
    }
}

/// The same where a route has turned off some folds: the others go on to do what they say.
fn named(text: &str, fold: Fold) {
    if fold == Fold::default() {
        return;
    }
    let text = text.split('#').next().unwrap_or_default();
    let path = TargetPath::parse(text);
    let name = &path.folded(fold);
    for (other, is_folded) in [
        (format!("{text}/"), fold.trailing_slash),
        (format!("{text}#fragment"), true),
        (format!("/{text}"), fold.empty_segments),
        (format!("/.{text}"), fold.dot_segments),
        (format!("/..{text}"), fold.dot_segments),
        (format!("/x/..{text}"), fold.dot_segments),
        (format!("{text}/x/.."), fold.dot_segments && fold.trailing_slash),
        (format!("{}/x/../", text.trim_end_matches('/')), fold.dot_segments && text.ends_with("a/")),
        (utf8_percent_encode_letters(text), true),
        (text.to_ascii_uppercase(), fold.case),
    ] {
        if is_folded {
            must_be_named_alike(name, text, &other, fold);
        }
    }
    if text.split('/').skip(1).all(|segment| !segment.is_empty() && !segment.starts_with('.')) {
        let within = [("//", fold.empty_segments), ("/./", fold.dot_segments), ("/x/../", fold.dot_segments)];
        for (other, _) in within.iter().filter(|(_, is_folded)| *is_folded) {
            must_be_named_alike(name, text, &text.replace('/', other), fold);
        }
    }
}

/// The table against a list that is tried one by one.
fn routes(path: &str, host: &str, patterns: &[&str]) {
    const ENOUGH: usize = 6;
    let mut specs = Vec::new();
    for text in patterns.iter().take(ENOUGH) {
        let (hosts, text) = text.split_once(' ').unwrap_or(("", text));
        let pattern = match hosts.strip_prefix("*.") {
            _ if hosts.is_empty() => None,
            Some(parent) => Some(HostPattern::Below(parent.to_owned())),
            None => Some(HostPattern::Exact(hosts.to_owned())),
        };
        let Ok(parsed) = PathPattern::parse(text) else { continue };
        specs.push((text, Vec::from_iter(pattern), parsed));
    }
    let given: Vec<(&str, Vec<HostPattern>)> = specs.iter().map(|(t, h, _)| (*t, h.clone())).collect();
    let table = RouteTable::new(specs);
    let path = TargetPath::parse(path);
    if let Ok(table) = &table {
        let (with, without) = (table.find(Some(host), &path), table.find(None, &path));
        assert!(with.is_none_or(|route| patterns.contains(route) || route.starts_with('/')));
        let hostless = given.iter().all(|(_, hosts)| hosts.is_empty());
        assert!(!hostless || with == without, "a host where no route has one");
    }
    // Beyond these, a pattern's text is not what is compared.
    let plain = |segment: &str| segment.starts_with('{') || segment.bytes().all(|b| b.is_ascii_lowercase());
    let simple = |text: &str| text.split('/').all(plain);
    if path.ambiguity().is_some() || !given.iter().all(|(t, hosts)| hosts.is_empty() && simple(t)) {
        return;
    }
    let segments: Vec<String> = path.segments(Fold::default()).map(Cow::into_owned).collect();
    let shapes: Vec<Vec<Shape<'_>>> = given.iter().map(|(text, _)| shape(text)).collect();
    let matching = (0..shapes.len()).filter(|at| takes(&shapes[*at], &segments));
    match table {
        Ok(table) => {
            let best = matching.max_by_key(|at| Reverse(shapes[*at].iter().map(rank).collect::<Vec<_>>()));
            assert_eq!(table.find(None, &path).copied(), best.map(|at| given[at].0), "{segments:?}");
        }
        Err(clashes) => {
            for clash in clashes {
                assert_eq!(shapes[clash.first], shapes[clash.second], "no clash");
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Shape<'t> {
    Literal(&'t str),
    One,
    Below,
}

fn shape(text: &str) -> Vec<Shape<'_>> {
    let segments = text.split('/').filter(|segment| !segment.is_empty());
    let of = |segment: &'_ str| segment.starts_with('{').then(|| segment.starts_with("{*"));
    segments
        .map(|segment| match of(segment) {
            None => Shape::Literal(segment),
            Some(false) => Shape::One,
            Some(true) => Shape::Below,
        })
        .collect()
}

fn takes(shape: &[Shape<'_>], segments: &[String]) -> bool {
    match (shape, segments) {
        ([], []) => true,
        ([Shape::Below], _) => true,
        ([Shape::Literal(text), shape @ ..], [segment, rest @ ..]) => text == segment && takes(shape, rest),
        ([Shape::One, shape @ ..], [_, rest @ ..]) => takes(shape, rest),
        _ => false,
    }
}

/// A literal is more specific than a parameter, and that more than everything below; a pattern that ends
/// is more specific than one that goes on with everything below.
fn rank(shape: &Shape<'_>) -> u8 {
    match shape {
        Shape::Literal(_) => 0,
        Shape::One => 1,
        Shape::Below => 2,
    }
}
