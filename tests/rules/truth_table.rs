//! The truth table of preconditions: `truth_table.txt`, written from the RFCs, against the pure functions
//! put together in the order of the design.
//!
//! **request**: the method, and a target where it matters; else `/items/1`. **policy**: `overlap`, `allow`,
//! `infer` (nothing known: 428), `infer-overlap`, `infer-allow`,
//! `weak` (`weak_if_match = "accept"`), `observe`, `off`. **fields**: field lines, with `&` between them.
//! Words in capitals stand for tags (of this resource, its last version, another variant...) and for
//! dates before, in and after the second of the origin's `Last-Modified`. **state**: what the ledger
//! holds (what the author last read: `viewed` the current version, `viewed-stale` an older one; `occupied`, `unsettled`, `shared`, `starting`, `full`), what the origin shows when it is asked
//! (`exists` unless `missing` or `silent`; `undated`), when the first write was seen (`seen-...`), how the
//! origin answers in the end (a status, 200 by default, or how the connection ended), and whether
//! the resource `moved` meanwhile.
//!
//! **expected**: for a write a refusal, or `forward`, with the probe that goes before it, whether it counts
//! as an override, what it would have been refused with in observe mode, and its end: `tag` (a new version,
//! told on the answer), `fresh` (a new version, not told), `kept`, `held`. For a read the status, `tag` if
//! the answer carries one, and what became of its range.

use crate::given::write;
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ifmatch::decide::claim::{Claim, HoldMode, Patience, Probe, Shown, VersionCondition, judge_shown};
use ifmatch::decide::outcome::{WriteEnd, outcome};
use ifmatch::decide::policy::{Mode, RoutePolicy, Unconditional, WeakIfMatch};
use ifmatch::decide::read::{RangePlan, ReadAnswer, ReadVerdict, TagsOf, judge_read, plan_range};
use ifmatch::decide::say;
use ifmatch::decide::verdict::{Refusal, RefusalKind};
use ifmatch::decide::views::{WhenUnknown, claim_of};
use ifmatch::http1::fields::Fields;
use ifmatch::identify::query;
use ifmatch::identify::route_table::{PathPattern, RouteTable};
use ifmatch::identify::target_path::TargetPath;
use ifmatch::ledger::memory::{BeginWrite, Begun, LedgerLimits, MemoryLedger, NotBegun};
use ifmatch::ledger::permit::Settlement;
use ifmatch::request::method::{Effect, OVERRIDE_PARAMETER, overrides_in_fields};
use ifmatch::request::preconditions::Preconditions;
use ifmatch::request::version_tag::{Incarnation, ResourceKey, Variant, Version, VersionTag};

const TABLE: &str = include_str!("truth_table.txt");
const MODIFIED: u64 = 784_111_777;
const HERE: Variant = Variant(1);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[derive(Clone, Copy)]
struct Row {
    line: &'static str,
    request: &'static str,
    policy: &'static str,
    fields: &'static str,
    state: &'static str,
    expected: &'static str,
}

impl Row {
    fn read(line: &'static str) -> Row {
        let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [section, request, policy, fields, state, expected] = columns[..] else {
            panic!("six columns: {line}")
        };
        assert!(!section.is_empty() && !expected.is_empty(), "{line}");
        Row { line, request, policy, fields, state, expected }
    }

    fn says(&self, word: &str) -> bool {
        self.state.split(' ').any(|w| w == word)
    }

    fn policy(&self) -> RoutePolicy {
        let mut policy = RoutePolicy::with_defaults("items", "u");
        match self.policy {
            "-" => {}
            "overlap" => policy.unconditional = Unconditional::Overlap,
            "allow" => policy.unconditional = Unconditional::Allow,
            "infer" => policy.unconditional = Unconditional::Infer,
            "infer-overlap" | "infer-allow" => {
                policy.unconditional = Unconditional::Infer;
                policy.views.when_unknown =
                    if self.policy == "infer-allow" { WhenUnknown::Allow } else { WhenUnknown::Overlap };
            }
            "weak" => policy.weak_if_match = WeakIfMatch::Accept,
            "observe" => policy.mode = Mode::Observe,
            "off" => policy.mode = Mode::Off,
            other => panic!("no policy {other}: {}", self.line),
        }
        policy
    }

    fn target(&self) -> (Method, &'static str, Option<&'static str>) {
        let (method, target) = self.request.split_once(' ').unwrap_or((self.request, "/items/1"));
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        match target.split_once('?') {
            Some((path, query)) => (method, if path.is_empty() { "/items/1" } else { path }, Some(query)),
            None => (method, target, None),
        }
    }

    fn shown(&self) -> Shown {
        let exists = match (self.says("missing"), self.says("silent")) {
            (true, _) => Some(false),
            (_, true) => None,
            (false, false) => Some(true),
        };
        let dated = exists == Some(true) && !self.says("undated");
        Shown { exists, last_modified: dated.then(|| at(MODIFIED)), tag: None }
    }

    fn seen_since(&self) -> Option<SystemTime> {
        let seen = [("seen-before", MODIFIED - 900), ("seen-same", MODIFIED), ("seen-after", MODIFIED + 900)];
        seen.into_iter().find(|(word, _)| self.says(word)).map(|(_, seconds)| at(seconds))
    }

    /// What the author of a write last read, as far as that is known.
    fn viewed(&self, world: &World) -> Option<Version> {
        let views = [("viewed", world.current), ("viewed-stale", world.stale)];
        views.into_iter().find(|(word, _)| self.says(word)).map(|(_, version)| version)
    }

    fn status(&self) -> StatusCode {
        let number = self.state.split(' ').find_map(|word| word.parse().ok()).unwrap_or(200);
        StatusCode::from_u16(number).expect("a status")
    }

    fn end(&self) -> WriteEnd {
        let ends = [
            ("lost", WriteEnd::ConnectionLost),
            ("late", WriteEnd::NoAnswerInTime),
            ("garbage", WriteEnd::BadAnswer),
            ("incomplete", WriteEnd::RequestIncomplete),
            ("abandoned", WriteEnd::Abandoned),
            ("unsent", WriteEnd::NotSent),
        ];
        let end = ends.into_iter().find(|(word, _)| self.says(word)).map(|(_, end)| end);
        end.unwrap_or(WriteEnd::Answered(self.status()))
    }
}

/// A ledger in the state of a row.
struct World {
    ledger: Arc<MemoryLedger>,
    key: ResourceKey,
    current: Version,
    stale: Version,
    _held: Option<Begun>,
}

impl World {
    async fn of(row: &Row, named: impl FnOnce(&MemoryLedger) -> ResourceKey) -> World {
        let starting = row.says("starting");
        let ledger = MemoryLedger::new(LedgerLimits {
            max_resources: if row.says("full") { 1 } else { 8 },
            settle: Duration::from_secs(5),
            start_hold: if starting { Duration::from_secs(5) } else { Duration::ZERO },
        });
        let key = named(&ledger);
        let begin = async |key, mode| {
            ledger.begin(&write(key, mode)).await.unwrap_or_else(|refused| panic!("{refused:?}"))
        };
        let stale = ledger.version(key, None);
        if !starting {
            let applied = ifmatch::decide::outcome::WriteOutcome::Applied;
            begin(key, HoldMode::Exclusive).await.permit.settle(applied).await;
        }
        let mut held = None;
        if row.says("occupied") {
            held = Some(begin(key, HoldMode::Exclusive).await);
        } else if row.says("shared") {
            held = Some(begin(key, HoldMode::Shared).await);
        } else if row.says("unsettled") {
            drop(begin(key, HoldMode::Exclusive).await);
        } else if row.says("full") {
            held = Some(begin(ResourceKey(key.0 ^ 1), HoldMode::Exclusive).await);
        }
        let current = ledger.version(key, None);
        let stale = if starting { Version(0) } else { stale };
        assert_ne!(current, stale);
        World { ledger, key, current, stale, _held: held }
    }

    /// The row's fields with its words replaced.
    fn fields(&self, row: &Row) -> Fields {
        let life = self.ledger.incarnation();
        let tag = |life, key, version, variant| VersionTag::new(life, key, version, variant).to_string();
        let current = tag(life, self.key, self.current, HERE);
        let bare = current.trim_matches('"').to_owned();
        let zero_padded = {
            let parts: Vec<&str> = bare.split('.').collect();
            format!("\"{}.{}.0{}.{}\"", parts[0], parts[1], parts[2], parts[3])
        };
        let date = |seconds| httpdate::fmt_http_date(at(seconds));
        let words = [
            ("CURRENT_IN_CAPITALS", format!("\"{}\"", bare.to_ascii_uppercase())),
            ("CURRENT_ZERO_PADDED", zero_padded),
            ("CURRENT_GZIP", format!("\"{bare}-gzip\"")),
            ("CURRENT_ODD", format!("\"{bare}-odd\"")),
            ("CURRENT_BARE", bare),
            ("CURRENT", current.clone()),
            ("STALE", tag(life, self.key, self.stale, HERE)),
            ("OTHER_VARIANT", tag(life, self.key, self.current, Variant(2))),
            ("OTHER_RESOURCE", tag(life, ResourceKey(self.key.0 ^ 1), self.current, HERE)),
            ("OTHER_LIFE", tag(Incarnation(life.0 ^ 1), self.key, self.current, HERE)),
            ("NEVER_MADE", tag(life, self.key, Version(self.current.0 + 1), HERE)),
            ("FOREIGN", "\"33a64df5\"".to_owned()),
            ("BEFORE", date(MODIFIED - 1)),
            ("SAME", date(MODIFIED)),
            ("AFTER", date(MODIFIED + 1)),
        ];
        let mut fields = Fields::new();
        for line in row.fields.split(" & ").filter(|line| *line != "-") {
            let (name, value) = line.split_once(':').expect("a field line");
            let mut value = value.trim().to_owned();
            for (word, text) in &words {
                value = value.replace(word, text);
            }
            let value = value.replace("WEAK_\"", "W/\"");
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            fields.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        fields
    }
}

/// The refusals that were told, in the table's words.
#[derive(Default)]
struct Told(RefCell<HashSet<RefusalKind>>);

impl Told {
    fn word(&self, kind: RefusalKind) -> &'static str {
        self.0.borrow_mut().insert(kind);
        match kind {
            RefusalKind::PreconditionRequired => "428",
            RefusalKind::PreconditionFailed => "412",
            RefusalKind::StaleView => "stale-view",
            RefusalKind::WriteInFlight => "in-flight",
            RefusalKind::Unsettled => "unsettled",
            RefusalKind::MalformedPrecondition => "malformed",
            RefusalKind::AmbiguousTarget => "ambiguous",
            RefusalKind::AlreadyExists => "already-exists",
            RefusalKind::DuplicateValue => "duplicate-value",
            RefusalKind::TransitionNotAllowed => "transition",
            RefusalKind::OriginConflict => "origin-conflict",
            RefusalKind::LookFailed => "look-failed",
            RefusalKind::ContentTooLarge => "too-large",
            RefusalKind::UnreadableContent => "unreadable",
            RefusalKind::IdempotencyKeyMissing => "no-key",
            RefusalKind::IdempotencyKeyInUse => "key-in-use",
            RefusalKind::IdempotencyKeyReused => "key-reused",
            RefusalKind::OutcomeUnknown => "unknown",
            RefusalKind::OutcomeUnknownInTime => "unknown-in-time",
            RefusalKind::OriginUnreachable => "unreachable",
            RefusalKind::OriginSilent => "silent",
            RefusalKind::Starting => "starting",
            RefusalKind::LedgerUnavailable => "full",
            RefusalKind::Overloaded => "overloaded",
            RefusalKind::NoRoute => "no-route",
            RefusalKind::TargetTooLong => "target-too-long",
            RefusalKind::FieldsTooLarge => "fields-too-large",
            RefusalKind::RequestTimeout => "request-timeout",
        }
    }

    fn refusal(&self, refusal: &Refusal) -> &'static str {
        assert!(!refusal.detail.is_empty(), "{refusal:?}");
        self.word(refusal.kind)
    }

    fn not_begun(&self, refused: &NotBegun) -> &'static str {
        match refused {
            NotBegun::Starting(_) => self.word(RefusalKind::Starting),
            NotBegun::Occupied { unsettled_for: None, .. } => self.refusal(&say::in_flight()),
            NotBegun::Occupied { unsettled_for: Some(left), .. } => self.refusal(&say::unsettled(*left)),
            NotBegun::Stale(refusal) => self.refusal(refusal),
            NotBegun::NoRoom | NotBegun::Closed => self.word(RefusalKind::LedgerUnavailable),
        }
    }
}

async fn happens(row: &Row, told: &Told) -> String {
    let pattern = PathPattern::parse("/items/{id}").expect("a pattern");
    let table = RouteTable::new(vec![(row.policy(), Vec::new(), pattern)]);
    let table = table.unwrap_or_else(|clash| panic!("{clash:?}"));
    let (method, path, query) = row.target();
    let path = TargetPath::parse(path);
    let observe = row.policy().mode == Mode::Observe;
    if let Some(found) = path.ambiguity() {
        return refused_early(observe, told.refusal(&say::ambiguous(found)));
    }
    let Some(policy) = table.find(None, &path) else {
        return told.word(RefusalKind::NoRoute).to_owned();
    };
    if !policy.is_managed() {
        return "pass".to_owned();
    }
    let name = policy.resource.name(&path, query, None, policy.fold).expect("a name");
    let world = World::of(row, |ledger| ledger.keys_of("u").key(&ledger.names().in_force(), &name)).await;
    let fields = world.fields(row);
    let overrides: Vec<Vec<u8>> = overrides_in_fields(&fields)
        .map(<[u8]>::to_vec)
        .chain(query::values(query.unwrap_or(""), OVERRIDE_PARAMETER).map(|name| name.as_bytes().to_vec()))
        .collect();
    let effect = policy.methods.effect(&method, overrides.iter().map(Vec::as_slice));
    if effect == Effect::Neither {
        return "forward".to_owned();
    }
    let stated = match Preconditions::read(&fields) {
        Ok(stated) => stated,
        Err(malformed) => return refused_early(observe, told.refusal(&say::malformed(&malformed))),
    };
    if effect == Effect::Read {
        let has_range = fields.contains_key(http::header::RANGE);
        read(row, told, &world, &method, &stated, has_range)
    } else {
        change(row, told, &world, &method, effect, &stated, policy).await
    }
}

fn refused_early(observe: bool, word: &str) -> String {
    if observe { format!("forward would={word}") } else { word.to_owned() }
}

fn read(
    row: &Row,
    told: &Told,
    world: &World,
    method: &Method,
    stated: &Preconditions,
    has_range: bool,
) -> String {
    let life = world.ledger.incarnation();
    let stamp = world.ledger.observe(world.key, None, Duration::ZERO);
    let mut words = Vec::new();
    let range = match plan_range(stated, stamp, life, world.key) {
        RangePlan::AsAsked => "range=asked",
        RangePlan::IfVariant(variant) if variant == HERE => "range=variant",
        RangePlan::IfVariant(_) => "range=other-variant",
        RangePlan::Whole => "range=whole",
    };
    let answer = ReadAnswer {
        status: row.status(),
        variant: HERE,
        last_modified: row.shown().last_modified,
        still_at_rest: !row.says("moved"),
        multipart: row.says("multipart"),
    };
    let mut would = None;
    let of = TagsOf { incarnation: life, resource: world.key, weak: row.policy().weak_if_match };
    let mut verdict = judge_read(method, stated, stamp, &answer, of);
    if let (ReadVerdict::Refuse(refusal), Mode::Observe) = (&verdict, row.policy().mode) {
        would = Some(format!("would={}", told.refusal(refusal)));
        verdict = judge_read(method, &Preconditions::default(), stamp, &answer, of);
    }
    let status = row.status().as_str().to_owned();
    let (status, tag) = match &verdict {
        ReadVerdict::Answer(tag) => (status, *tag),
        ReadVerdict::NotModified(tag) => ("304".to_owned(), *tag),
        ReadVerdict::Refuse(refusal) => (told.refusal(refusal).to_owned(), None),
    };
    words.push(status);
    if let Some(tag) = tag {
        assert_eq!(tag, VersionTag::new(life, world.key, world.current, HERE), "the tag of what was read");
        words.push("tag".to_owned());
    }
    words.extend(would);
    words.extend(has_range.then(|| range.to_owned()));
    words.join(" ")
}

async fn change(
    row: &Row,
    told: &Told,
    world: &World,
    method: &Method,
    effect: Effect,
    stated: &Preconditions,
    policy: &RoutePolicy,
) -> String {
    let World { ledger, key, .. } = world;
    let observe = policy.mode == Mode::Observe;
    let mut would = None;
    let viewed = row.viewed(world);
    let claim = match claim_of(effect, stated, policy, ledger.incarnation(), *key, viewed) {
        Ok(claim) => claim,
        Err(refusal) if observe => {
            would = Some(told.refusal(&refusal));
            states_nothing()
        }
        Err(refusal) => return told.refusal(&refusal).to_owned(),
    };
    let begin = BeginWrite { condition: &claim.condition, observe, ..write(*key, claim.hold) };
    let begun = match ledger.begin(&begin).await {
        Ok(begun) => begun,
        Err(NotBegun::Stale(_)) if claim.by_view => return told.refusal(&say::stale_view()).to_owned(),
        Err(refused) => return told.not_begun(&refused).to_owned(),
    };
    would = would.or(begun.observed.as_ref().map(|refused| told.not_begun(refused)));
    let before = ledger.version(*key, None);
    let probe = probe_word(&claim.probe);
    if claim.probe.is_needed()
        && let Err(refusal) = judge_shown(&claim, &row.shown(), row.seen_since(), effect, policy)
    {
        if !observe {
            begun.permit.settle(ifmatch::decide::outcome::WriteOutcome::NotApplied).await;
            return format!("{}{probe}", told.refusal(&refusal));
        }
        would = would.or(Some(told.refusal(&refusal)));
    }
    let end = row.end();
    let head = match end {
        WriteEnd::Answered(_) => "forward",
        WriteEnd::NotSent => told.word(RefusalKind::OriginUnreachable),
        WriteEnd::NoAnswerInTime => told.word(RefusalKind::OutcomeUnknownInTime),
        WriteEnd::ConnectionLost
        | WriteEnd::BadAnswer
        | WriteEnd::RequestIncomplete
        | WriteEnd::Abandoned => told.word(RefusalKind::OutcomeUnknown),
    };
    let settled = begun.permit.settle(outcome(end, policy)).await;
    let after = ledger.version(*key, None);
    let shows_what_it_wrote = matches!(*method, Method::PUT | Method::PATCH) && row.status().is_success();
    let tail = match settled {
        Settlement::Applied { version } => {
            assert!(after > before, "INV1: {}", row.line);
            assert!(version.is_none_or(|version| version == after));
            if version.is_some() && shows_what_it_wrote { "tag" } else { "fresh" }
        }
        Settlement::NotApplied => {
            assert_eq!(after, before, "R7: {}", row.line);
            "kept"
        }
        Settlement::Unknown(_) => {
            assert_eq!(after, before, "R8: {}", row.line);
            assert!(ledger.inspect(*key, None).unsettled, "R8: {}", row.line);
            "held"
        }
    };
    let would = would.map_or(String::new(), |word| format!(" would={word}"));
    let counted = if claim.is_override { " override" } else { "" };
    format!("{head}{probe}{would}{counted} {tail}")
}

/// What observe mode goes on with where 428 would have been the answer.
fn states_nothing() -> Claim {
    Claim {
        hold: HoldMode::Shared,
        condition: VersionCondition::default(),
        probe: Probe::default(),
        patience: Patience::AsRoute,
        is_override: false,
        states_only_a_date: false,
        lists_tags: false,
        by_view: false,
    }
}

fn probe_word(probe: &Probe) -> String {
    let asked = [
        (probe.must_exist, "exists"),
        (probe.must_not_exist, "missing"),
        (probe.unmodified_since.is_some(), "date"),
    ];
    let asked: Vec<&str> = asked.into_iter().filter(|(asked, _)| *asked).map(|(_, word)| word).collect();
    if asked.is_empty() { String::new() } else { format!(" probe={}", asked.join("+")) }
}

#[test]
fn every_row_of_the_truth_table_is_true() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let told = Told::default();
    let mut wrong = Vec::new();
    let mut seen = HashSet::new();
    let rows: Vec<Row> =
        TABLE.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(Row::read).collect();
    for row in &rows {
        let rest = row.line.split_once('|').map(|(_, rest)| rest);
        assert!(seen.insert(rest), "twice: {}", row.line);
        let happened = runtime.block_on(happens(row, &told));
        if happened != row.expected {
            wrong.push(format!("{}\n    happened: {happened}", row.line));
        }
    }
    println!("{} rows", rows.len());
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    let shell_tells = [
        RefusalKind::ContentTooLarge,
        RefusalKind::UnreadableContent,
        RefusalKind::IdempotencyKeyMissing,
        RefusalKind::IdempotencyKeyInUse,
        RefusalKind::IdempotencyKeyReused,
        RefusalKind::TargetTooLong,
        RefusalKind::FieldsTooLarge,
        RefusalKind::RequestTimeout,
        RefusalKind::Overloaded,
        RefusalKind::OriginSilent,
        RefusalKind::AlreadyExists,
        RefusalKind::DuplicateValue,
        RefusalKind::TransitionNotAllowed,
        RefusalKind::OriginConflict,
        RefusalKind::LookFailed,
    ];
    for kind in RefusalKind::ALL {
        let reached = told.0.borrow().contains(&kind);
        assert_eq!(reached, !shell_tells.contains(&kind), "a row reaches {kind:?}");
    }
}
