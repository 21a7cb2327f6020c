//! One test for each bug that was found in the pure core, with its mechanism above it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ifmatch::decide::claim::{HoldMode, Shown, VersionCondition, claim, judge_shown};
use ifmatch::decide::outcome::WriteOutcome;
use ifmatch::decide::policy::RoutePolicy;
use ifmatch::identify::fold::Fold;
use ifmatch::identify::query;
use ifmatch::identify::route_table::{PathPattern, RouteTable};
use ifmatch::identify::target_path::TargetPath;
use ifmatch::ledger::memory::{BeginWrite, Begun, LedgerLimits, MemoryLedger, NotBegun, Place};
use ifmatch::ledger::permit::Settlement;
use ifmatch::ledger::protocol::{BegunAt, Ending, Millis, Owed, Slots};
use ifmatch::request::method::Effect;
use ifmatch::request::preconditions::Preconditions;
use ifmatch::request::version_tag::{Incarnation, ResourceKey, Version};

const A: ResourceKey = ResourceKey(1);
const B: ResourceKey = ResourceKey(2);
const WHOLE: ResourceKey = ResourceKey(9);

fn changed(fresh: u64, lags_until: Option<u64>) -> Ending {
    Ending::Changed { fresh: Version(fresh), begun: BegunAt(0), lags_until: lags_until.map(Millis) }
}

fn ledger(max_resources: usize) -> Arc<MemoryLedger> {
    MemoryLedger::new(LedgerLimits {
        max_resources,
        settle: Duration::from_secs(5),
        start_hold: Duration::ZERO,
    })
}

fn write(target: Place, whole: Option<Place>, observe: bool) -> BeginWrite<'static> {
    BeginWrite { whole, observe, ..BeginWrite::to(target) }
}

fn alone(key: ResourceKey) -> Place {
    Place { key, mode: HoldMode::Exclusive }
}

fn member() -> Option<Place> {
    Some(Place { key: WHOLE, mode: HoldMode::Member })
}

async fn begun(ledger: &Arc<MemoryLedger>, write: &BeginWrite<'_>) -> Begun {
    ledger.begin(write).await.unwrap_or_else(|refused| panic!("{refused:?}"))
}

// A change that comes with another write publishes a number even where every entry is occupied: the
// floor rises to it. The origin's reads may still show the state before the change, so within `read_lag`
// the resource must go on with its older number, with or without an entry of its own.
#[test]
fn a_touch_without_room_lags_too() {
    let mut slots = Slots::new(Version(1), 1);
    slots.occupy(A, HoldMode::Exclusive, Owed::default()).expect("room");
    slots.touch(B, Version(2), BegunAt(0), Some(Millis(100)));
    assert_eq!(slots.version(B), Version(2));
    assert_eq!(slots.lagging(B, Millis(50)), Some(Version(1)));
}

// Two routes to one resource may lag differently. A write through the one with the shorter lag must not
// cut short the time in which reads through the other may still show what was there before.
#[test]
fn a_shorter_lag_does_not_cut_a_longer_one_short() {
    let mut slots = Slots::new(Version(1), 4);
    for (fresh, lags_until) in [(2, 100), (3, 10)] {
        slots.occupy(A, HoldMode::Exclusive, Owed::default()).expect("room");
        slots.end(A, changed(fresh, Some(lags_until)));
    }
    assert!(slots.lagging(A, Millis(50)).is_some_and(|older| older < Version(3)));
    assert_eq!(slots.lagging(A, Millis(100)), None);
}

// A write of a route in observe mode that changes the whole upstream joins the members' hold. While it is
// in flight it may change any resource at any time, so a conditional write of an enforcing route that
// begins meanwhile may replace what its author never saw. The hold went on in the mode of its first
// holder, and let further members in.
#[tokio::test]
async fn a_hold_that_was_joined_in_another_mode_excludes_everybody() {
    let ledger = ledger(8);
    let first = begun(&ledger, &write(alone(A), member(), false)).await;
    let whole = begun(&ledger, &write(alone(B), Some(alone(WHOLE)), true)).await;
    assert!(whole.observed.is_some());
    first.permit.settle(WriteOutcome::Applied).await;
    let next = ledger.begin(&write(alone(A), member(), false)).await;
    assert_eq!(next.err(), Some(NotBegun::Occupied { key: WHOLE, unsettled_for: None }));
}

// The same overlap seen from the write that was there first: a write to everything was applied after it,
// and ended before it. Its own fresh number is then the newest of all, and stands for a content that its
// author does not know.
#[tokio::test]
async fn the_author_of_a_write_that_a_write_to_everything_met_gets_no_tag() {
    let ledger = ledger(8);
    let first = begun(&ledger, &write(alone(A), member(), false)).await;
    let whole = begun(&ledger, &write(alone(B), Some(alone(WHOLE)), true)).await;
    whole.permit.settle(WriteOutcome::Applied).await;
    let settled = first.permit.settle(WriteOutcome::Applied).await;
    assert_eq!(settled, Settlement::Applied { version: None });
}

// Members of a whole overlap all the time; that tells nothing of the resource that one of them changes.
#[tokio::test]
async fn members_of_one_upstream_do_not_cost_each_other_their_tags() {
    let ledger = ledger(8);
    let first = begun(&ledger, &write(alone(A), member(), false)).await;
    let second = begun(&ledger, &write(alone(B), member(), false)).await;
    for (key, permit) in [(B, second.permit), (A, first.permit)] {
        let current = match permit.settle(WriteOutcome::Applied).await {
            Settlement::Applied { version } => version,
            other @ (Settlement::NotApplied | Settlement::Unknown(_)) => panic!("{other:?}"),
        };
        assert_eq!(current, Some(ledger.version(key, Some(WHOLE))));
    }
}

// Every write of an upstream that some route changes as a whole is a member of the whole. A read of any
// other resource was taken for one of a resource that is being written, and lost the tag of its 206.
#[tokio::test]
async fn a_write_to_one_resource_leaves_the_others_at_rest() {
    let ledger = ledger(8);
    let _first = begun(&ledger, &write(alone(A), member(), false)).await;
    assert!(!ledger.observe(A, Some(WHOLE), Duration::ZERO).at_rest);
    assert!(ledger.observe(B, Some(WHOLE), Duration::ZERO).at_rest);
}

// A write that changes everything ended its target before the whole, and the whole got the newer number:
// the tag in its answer was stale before it went out.
#[tokio::test]
async fn the_author_of_a_write_to_everything_gets_the_current_version() {
    let ledger = ledger(8);
    let whole = begun(&ledger, &write(alone(A), Some(alone(WHOLE)), false)).await;
    let settled = whole.permit.settle(WriteOutcome::Applied).await;
    assert_eq!(settled, Settlement::Applied { version: Some(ledger.version(A, Some(WHOLE))) });
}

// Two unconditional writes share a hold. The outcome of the first is unknown; its settle time ends while
// the second is still in flight. The hold kept the mark, and told a third write "unsettled, try again in
// no time" for as long as the second took.
#[tokio::test]
async fn a_settle_time_that_is_over_is_not_told_any_more() {
    let ledger = MemoryLedger::new(LedgerLimits {
        max_resources: 8,
        settle: Duration::ZERO,
        start_hold: Duration::ZERO,
    });
    let shared = write(Place { key: A, mode: HoldMode::Shared }, None, false);
    let first = begun(&ledger, &shared).await;
    let _second = begun(&ledger, &shared).await;
    drop(first);
    let refused = ledger.begin(&write(alone(A), None, false)).await.err();
    assert_eq!(refused, Some(NotBegun::Occupied { key: A, unsettled_for: None }));
}

// A write in observe mode joins a hold, finds no room for a further resource, and gives back what it took.
// What it left behind was the mark of having been there: the hold excluded everybody from then on, and its
// holder got no tag.
#[tokio::test]
async fn a_write_without_room_leaves_no_trace() {
    let ledger = ledger(1);
    let shared = write(Place { key: A, mode: HoldMode::Shared }, None, false);
    let first = begun(&ledger, &shared).await;
    let too_much = BeginWrite { others: &[alone(B)], ..write(alone(A), None, true) };
    assert_eq!(ledger.begin(&too_much).await.err(), Some(NotBegun::NoRoom));
    let settled = first.permit.settle(WriteOutcome::Applied).await;
    assert_eq!(settled, Settlement::Applied { version: Some(ledger.version(A, None)) });
}

// A write is refused by the origin (422) while the floor is above the resource's own version. Its entry
// was removed, the floor became its version, and the client's second try, with the tag that was current
// all the time, met 412.
#[test]
fn a_refused_write_leaves_the_tag_good_that_it_came_with() {
    let mut slots = Slots::new(Version(1), 8);
    ends_at(&mut slots, A, 2, 0);
    ends_at(&mut slots, B, 3, 0);
    slots.forget(B).expect("at rest");
    slots.occupy(A, HoldMode::Exclusive, Owed::default()).expect("room");
    slots.end(A, Ending::Kept);
    assert_eq!(slots.version(A), Version(2));
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn unmodified_since(seconds: u64) -> Preconditions {
    Preconditions { if_unmodified_since: Some(at(seconds)), ..Preconditions::default() }
}

fn ends_at(slots: &mut Slots, key: ResourceKey, fresh: u64, begun: u32) {
    slots.occupy(key, HoldMode::Exclusive, Owed::default()).expect("room");
    slots.end(key, Ending::Changed { fresh: Version(fresh), begun: BegunAt(begun), lags_until: None });
}

fn date_passes(slots: &Slots, key: ResourceKey, modified: u64) -> bool {
    let policy = RoutePolicy::with_defaults("r", "u");
    let stated = unmodified_since(modified);
    let claim =
        claim(Effect::GuardedWrite, &stated, &policy, Incarnation(1), key).expect("a date is a precondition");
    let shown = Shown { exists: Some(true), last_modified: Some(at(modified)), tag: None };
    let BegunAt(seen) = slots.changes_seen_since(key);
    let seen = (seen > 0).then(|| at(u64::from(seen)));
    judge_shown(&claim, &shown, seen, Effect::GuardedWrite, &policy).is_ok()
}

// A client reads at 20.2 (Last-Modified 20); another write is applied at 20.5 (Last-Modified still 20).
// A third one, at 1000, fails with 500: it draws a number and leaves the date alone. The ledger kept only
// when the last write began, found that 20 is long before 1000, and let the client's date pass.
#[test]
fn a_later_write_does_not_hide_two_changes_of_one_second() {
    let mut slots = Slots::new(Version(1), 8);
    ends_at(&mut slots, A, 2, 20);
    ends_at(&mut slots, A, 3, 1000);
    assert!(!date_passes(&slots, A, 20));
    assert!(date_passes(&slots, A, 10), "nothing was seen in that second");
}

// The same with the entry forgotten: the newest begin among all forgotten entries says nothing of when
// this one was written. What is needed is the oldest.
#[test]
fn a_forgotten_entry_still_fails_the_date_of_its_own_second() {
    let mut slots = Slots::new(Version(1), 1);
    ends_at(&mut slots, A, 2, 20);
    ends_at(&mut slots, B, 3, 1000);
    slots.evict().expect("at rest");
    assert!(!date_passes(&slots, A, 20));
    assert!(!date_passes(&slots, B, 1000));
}

// A list in If-None-Match is a precondition, whatever tags are in it. Beside a date that has to be
// ignored, a list without a tag of ours was taken for nothing at all: 428.
#[test]
fn a_date_that_is_ignored_leaves_the_other_precondition_standing() {
    let mut fields = ifmatch::http1::fields::Fields::new();
    fields.insert(http::header::IF_NONE_MATCH, http::HeaderValue::from_static("\"foreign\""));
    fields.insert(
        http::header::IF_UNMODIFIED_SINCE,
        http::HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"),
    );
    let stated = Preconditions::read(&fields).expect("well-formed");
    let policy = RoutePolicy::with_defaults("r", "u");
    let claim = claim(Effect::GuardedWrite, &stated, &policy, Incarnation(1), A).expect("stated");
    let shown = Shown { exists: Some(true), last_modified: None, tag: None };
    assert_eq!(judge_shown(&claim, &shown, None, Effect::GuardedWrite, &policy), Ok(()));
}

// Some servers take a raw `#` as the end of the path (ALIASES: flask, express, json-server, nginx-dav),
// and to us it was a character of the name.
#[test]
fn a_fragment_is_no_part_of_the_name() {
    assert_eq!(TargetPath::parse("/items/1#frag").routed(), "/items/1");
    assert_eq!(TargetPath::parse("/items/1%23frag").routed(), "/items/1#frag");
}

// Compatibility forms were folded after the path had been taken apart, so what they fold to was not taken
// apart any more: `/items／1` matched the route of `/items/1` and had one segment less, so that a
// template named another resource.
#[test]
fn a_compatibility_form_of_a_separator_is_ambiguous() {
    for path in [
        "/items%EF%BC%8F1",              // U+FF0F
        "/items%EF%BC%BC1",              // U+FF3C
        "/items/x/%EF%BC%8E%EF%BC%8E/1", // U+FF0E twice
        "/items/%EF%BC%8531",            // U+FF05
        "/%E2%84%85",                    // U+2105, "c/o"
        "/items/x/..%20/1",
        "/items/x/%20../1",
    ] {
        assert!(TargetPath::parse(path).ambiguity().is_some(), "{path}");
    }
    assert_eq!(TargetPath::parse("/items/1%EF%BC%9Bv=1").routed(), "/items/1");
}

// What makes an escape of an encoded percent sign can be encoded itself: `%25%33%31` is `%31`, and to a
// server that decodes twice it is `1`.
#[test]
fn an_encoded_percent_sign_is_ambiguous_before_encoded_digits_too() {
    assert!(TargetPath::parse("/items/%25%33%31").ambiguity().is_some());
    assert_eq!(TargetPath::parse("/items/100%25").ambiguity(), None);
}

// Lower case of a whole word: a sigma at its end is another letter than one before a suffix, so that
// `/ΑΣ` and `/ΑΣ.json` were two resources.
#[test]
fn case_is_folded_letter_by_letter() {
    let capitals = TargetPath::parse("/%CE%91%CE%A3");
    let plain = capitals.routed();
    for path in ["/%CE%91%CE%A3.json", "/%CE%B1%CF%82", "/%CE%B1%CF%83"] {
        assert_eq!(TargetPath::parse(path).routed(), plain, "{path}");
    }
}

// What was left after one suffix could end in another one, and what was left could be nothing.
#[test]
fn suffixes_are_folded_until_none_is_left() {
    assert_eq!(TargetPath::parse("/items/1.json.xml").routed(), "/items/1");
    let odd = TargetPath::parse("/items/.%20.json");
    assert_eq!(odd.routed().split('/').skip(1).count(), odd.segments(Fold::default()).count());
}

// A literal's encoded braces were decoded and then read by the matcher as a parameter, so a route for one
// odd name took every name.
#[test]
fn encoded_braces_in_a_literal_are_no_parameter() {
    let pattern = PathPattern::parse("/a/%7Bid%7D").expect("a literal");
    let table = RouteTable::new(vec![("odd", Vec::new(), pattern)]).unwrap_or_else(|c| panic!("{c:?}"));
    assert_eq!(table.find(None, &TargetPath::parse("/a/7")), None);
    assert_eq!(table.find(None, &TargetPath::parse("/a/%7Bid%7D")), Some(&"odd"));
}

// Some servers separate parameters by semicolons as well: to them `x=1;_method=PUT` is a PUT, and
// `id=5;x=1` names 5.
#[test]
fn semicolons_separate_parameters_too() {
    assert_eq!(query::values("x=1;_method=PUT", "_method").collect::<Vec<_>>(), ["PUT"]);
    assert_eq!(query::values("id=5;x=1", "id").collect::<Vec<_>>(), ["5"]);
}

// A route that tells empty segments apart (`fold = { empty_segments = false }`) stopped to resolve `..`:
// `/a/x/../b` was named `/a/x//b`, so a write through that spelling met no write to `/a/b` and made no tag
// of it stale. In the same place a segment that folds to nothing was left as an empty one.
#[test]
fn a_fold_that_is_off_turns_no_other_one_off() {
    let named = |fold, path: &str| TargetPath::parse(path).folded(fold).into_owned();
    let on = Fold::default();
    let empty_off = Fold { empty_segments: false, ..on };
    assert_eq!(named(empty_off, "/a/x/../b"), "/a/b");
    assert_eq!(named(empty_off, "/a/./b/x/.."), "/a/b");
    assert_eq!(named(empty_off, "/a//x/..;v=1/b"), "/a//b");
    assert_eq!(named(Fold { dot_segments: false, ..on }, "/.../a//b"), "/a/b");
    // Where parameters belong to a name, a segment that is nothing else is not empty, blanks around it or not.
    let parameters_off = Fold { dot_segments: false, parameters: false, ..on };
    assert_eq!(named(parameters_off, "/a/;v/b"), "/a/;v/b");
    assert_eq!(named(parameters_off, "/a/%20;v/b"), "/a/;v/b");
    // The empty segment behind the slash was taken for the last one.
    assert_eq!(named(empty_off, "/a.json/"), "/a");
    assert_eq!(named(empty_off, "/a.json//..."), "/a");
}

// Where a slash at the end tells two resources apart, `/a/.` and `/a/x/..` are `/a/` (RFC 3986 section
// 5.2.4), and were named like `/a`.
#[test]
fn a_dot_segment_at_the_end_leaves_the_slash_before_it() {
    let fold = Fold { trailing_slash: false, ..Fold::default() };
    for (path, name) in [("/a/.", "/a/"), ("/a/x/..", "/a/"), ("/a/.;v", "/a/"), ("/a", "/a"), ("/..", "/")] {
        assert_eq!(TargetPath::parse(path).folded(fold), name, "{path}");
    }
}

// A segment counts by what it is as it was spelled, and one of blanks alone does not. The last one loses its format
// suffix after that: where blanks or dots at an end are told apart (`fold = { trailing_dots = false }`) what is left
// could be such a segment. `/a/%20.json` was named `/a/ `, and `/a/%20` is `/a`; `/a/..json` was named `/a/.`. Where
// compatibility forms are told apart an ellipsis was left, which is dots to everybody else.
#[test]
fn what_a_format_suffix_leaves_of_a_segment_counts_as_if_it_were_spelled_so() {
    let named = |fold, path: &str| TargetPath::parse(path).folded(fold).into_owned();
    let on = Fold::default();
    let dots_off = Fold { trailing_dots: false, ..on };
    for path in
        ["/a/%20%20", "/a/%20%20.json", "/a.json/%20.json", "/a/%20.json/..xml/", "/a/..json", "/a/...json"]
    {
        assert_eq!(named(dots_off, path), "/a", "{path}");
    }
    assert_eq!(named(Fold { trailing_slash: false, ..dots_off }, "/a/%20.json/"), "/a/");
    assert_eq!(named(Fold { unicode: false, ..on }, "/a/%E2%80%A6.json"), "/a");
    // Where empty segments belong to a name, so do blanks; a dot segment is none anywhere.
    let empty_off = Fold { empty_segments: false, ..dots_off };
    assert_eq!(named(empty_off, "/a/%20.json"), "/a/ ");
    assert_eq!(named(empty_off, "/a.json//..json"), "/a");
    // Where dot segments belong to it, a dot is a name as any other.
    assert_eq!(named(Fold { dot_segments: false, ..dots_off }, "/a/..json"), "/a/.");
    // A suffix alone is a name.
    assert_eq!(named(dots_off, "/a/.json"), "/a/.json");
}

// During the start hold nothing is judged, but a write that is only observed, or a change that came with one,
// gives its resource an entry. At the end of the hold the floor rose and that entry stayed, with the version
// that reads were stamped with before a write of the life before was applied.
#[tokio::test(start_paused = true)]
async fn what_was_read_of_a_changed_resource_during_the_start_hold_is_stale_after_it() {
    let hold = Duration::from_secs(5);
    let ledger = MemoryLedger::new(LedgerLimits { max_resources: 8, settle: hold, start_hold: hold });
    ledger.touch(A, BegunAt(7), Duration::ZERO);
    let observed = begun(&ledger, &write(alone(B), None, true)).await;
    let read = [A, B].map(|key| ledger.observe(key, None, Duration::ZERO).version);
    observed.permit.settle(WriteOutcome::NotApplied).await;
    tokio::time::sleep(hold).await;
    for (key, version) in [A, B].into_iter().zip(read) {
        let condition = VersionCondition { any_of: Some([version].into()), none_of: Vec::new() };
        let stale = BeginWrite { condition: &condition, ..write(alone(key), None, false) };
        assert!(matches!(ledger.begin(&stale).await.err(), Some(NotBegun::Stale(_))), "{key:?}");
    }
}

// A read of a lagging resource was stamped with the larger of its older version and the version of the
// upstream as a whole. The latter need not come from a change of the whole: it is the floor of its shard, to
// which a forgotten entry may have lifted it beyond the resource's own. Then that stamp was the current
// version, on content of before the last change, and a write that presented it later was let through.
#[tokio::test(start_paused = true)]
async fn a_lagging_read_gets_no_current_version_from_the_upstream_as_a_whole() {
    let lag = Duration::from_secs(9);
    let ledger = ledger(2);
    ledger.touch(A, BegunAt(7), lag);
    let other = begun(&ledger, &write(alone(B), member(), false)).await;
    assert_eq!(ledger.evictions(), 1, "A was forgotten");
    let read = ledger.observe(A, Some(WHOLE), lag);
    assert!(!read.at_rest && read.version < ledger.version(A, Some(WHOLE)), "{read:?}");
    other.permit.settle(WriteOutcome::Applied).await;
    tokio::time::sleep(lag).await;
    let condition = VersionCondition { any_of: Some([read.version].into()), none_of: Vec::new() };
    let stale = BeginWrite { condition: &condition, ..write(alone(A), member(), false) };
    assert!(matches!(ledger.begin(&stale).await.err(), Some(NotBegun::Stale(_))));
}

// A value without quotes is told as it stands. One that held control characters went to the log and to the
// terminal with them: a line of the log could be two, or none.
#[test]
fn a_mistake_is_told_on_one_line_of_printable_text() {
    for text in ["[server]\nvia = \u{7}\u{1b}[2J\n", "a = \0\0\n", "\"b\\nc\" = 1\n", "\"d\\u0007\".e = 2\n"]
    {
        let problems = ifmatch::config::parse("f", text).err().expect("a mistake");
        for line in problems.lines() {
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}
