//! What a plain read is decided by asks the allocator for nothing: from the target and the fields of its request,
//! which are there already, to the tag on its answer.
//!
//! Plain is a read whose path has one spelling, that states no tag, and whose resource is named by its path. Whatever
//! else costs, costs what is written here.

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use ifmatch::config;
use ifmatch::config::checked::{Config, Route};
use ifmatch::decide::aim;
use ifmatch::decide::read::{RangePlan, ReadAnswer, ReadStamp, ReadVerdict, TagsOf, judge_read, plan_range};
use ifmatch::http1::fields::Fields;
use ifmatch::identify::resource_id::ResourceId;
use ifmatch::identify::target_path::TargetPath;
use ifmatch::ledger::memory::{KeysOf, LedgerLimits, MemoryLedger};
use ifmatch::ledger::names::NamesInForce;
use ifmatch::proxy::representation::{last_modified, variant};
use ifmatch::request::method::Effect;
use ifmatch::request::preconditions::Preconditions;
use ifmatch::request::version_tag::{ResourceKey, VersionTag};

const CONFIG: &str = r#"
[upstreams.u]
servers = ["u:1"]
[upstreams.lagging]
servers = ["lagging:1"]

[[routes]]
name = "by-path"
path = "/items/{id}"
upstream = "u"

[[routes]]
name = "below"
path = "/files/{*rest}"
upstream = "u"

[[routes]]
name = "by-host"
hosts = ["*.example.com"]
path = "/items/{id}"
upstream = "lagging"
read_lag = "1s"
also_changes = ["*"]

[[routes]]
name = "by-template"
path = "/orders/{id}"
upstream = "u"
resource = "order:{id}"

[[routes]]
name = "by-template-of-more"
path = "/customers/{customer}/orders/{id}"
upstream = "u"
resource = "order:{customer}:{id}, whatever else is said of it"

[[routes]]
name = "by-rest"
path = "/trees/{*rest}"
upstream = "u"
resource = "tree:{rest}"

[[routes]]
name = "by-query"
path = "/search"
upstream = "u"
resource = "item:{query.id}"
"#;

/// Fails if `act` asks the allocator more than so many times.
#[track_caller]
fn at_most<T>(times: u64, what: &str, act: impl FnOnce() -> T) -> T {
    let mut made = None;
    let counted = measure(|| made = Some(act())).count_total;
    assert!(counted <= times, "{what}: {counted} allocations, expected at most {times}");
    made.expect("it ran")
}

/// What requests meet: the configuration in force, and a ledger in which a write has happened.
struct Gateway {
    config: Config,
    ledger: Arc<MemoryLedger>,
    names: Arc<NamesInForce>,
    keys: KeysOf,
}

/// A request as it was parsed. Its parts share their bytes when they are cloned.
#[derive(Clone)]
struct Read {
    method: Method,
    host: &'static str,
    target: PathAndQuery,
    fields: Fields,
}

impl Read {
    fn of(target: &'static str) -> Self {
        let mut fields = Fields::new();
        for (name, value) in [
            (header::HOST, "shop.example.org"),
            (header::USER_AGENT, "curl/8.5.0"),
            (header::ACCEPT, "*/*"),
            (header::AUTHORIZATION, "Bearer abc"),
            (header::IF_MODIFIED_SINCE, "Mon, 05 Jan 2026 10:00:00 GMT"),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
        Read {
            method: Method::GET,
            host: "shop.example.org",
            target: PathAndQuery::from_static(target),
            fields,
        }
    }

    fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.fields.append(name, HeaderValue::try_from(value).expect("a field value"));
        self
    }
}

impl Gateway {
    fn new() -> Self {
        let config = config::parse("plain", CONFIG).unwrap_or_else(|problems| panic!("{problems}"));
        let ledger = MemoryLedger::new(LedgerLimits {
            max_resources: 1000,
            settle: Duration::from_secs(5),
            start_hold: Duration::ZERO,
        });
        let names = ledger.names().in_force();
        let keys = ledger.keys_of("u");
        let written = keys.key(&names, &ResourceId::from("/items/written".to_owned()));
        ledger.touch_now(written, Duration::ZERO);
        Gateway { config, ledger, names, keys }
    }

    /// The steps before the request is forwarded but for its conditions: each one without an allocation, the name
    /// with so many.
    #[track_caller]
    fn aimed(&self, read: &Read, for_its_name: u64) -> (&Route, ResourceKey, ReadStamp) {
        let path = at_most(0, "TargetPath::of", || TargetPath::of(&read.target));
        let route = at_most(0, "RouteTable::find", || self.config.routes.find(Some(read.host), &path));
        let route = route.expect("a route");
        let query = read.target.query();
        let overrides = at_most(0, "overrides", || aim::overrides(&read.fields, query, b""));
        let effect = at_most(0, "effect", || aim::effect(&route.policy, &read.method, &overrides));
        assert_eq!(effect, Effect::Read);
        let named = at_most(for_its_name, "resource", || aim::resource(&route.policy, &path, query, None));
        let named = named.expect("a name");
        let ledger = &self.ledger;
        let key = at_most(0, "key", || self.keys.key(&self.names, &named));
        let whole = route.upstream.has_whole_changes;
        let whole = at_most(0, "whole_key", || whole.then(|| ledger.whole_key(&route.policy.upstream)));
        let stamp = at_most(0, "observe", || ledger.observe(key, whole, route.upstream.read_lag));
        (route, key, stamp)
    }

    /// The whole of it: the field value of the answer's tag and the verdict.
    #[track_caller]
    fn judged(
        &self,
        read: &Read,
        status: StatusCode,
        for_its_name: u64,
        for_its_conditions: u64,
    ) -> ReadVerdict {
        let (route, key, stamp) = self.aimed(read, for_its_name);
        let stated = at_most(for_its_conditions, "Preconditions::read", || Preconditions::read(&read.fields));
        let stated = stated.expect("well-formed");
        let incarnation = self.ledger.incarnation();
        let plan = at_most(0, "plan_range", || plan_range(&stated, stamp, incarnation, key));
        assert!(matches!(plan, RangePlan::AsAsked | RangePlan::IfVariant(_)), "{plan:?}");
        let answered = answer_fields();
        let facts = at_most(0, "the facts of the answer", || ReadAnswer {
            status,
            variant: variant(&self.ledger, read.target.as_str(), &read.fields, &answered),
            last_modified: last_modified(&answered),
            still_at_rest: true,
            multipart: false,
        });
        let of = TagsOf { incarnation, resource: key, weak: route.policy.weak_if_match };
        let verdict = at_most(0, "judge_read", || judge_read(&read.method, &stated, stamp, &facts, of));
        if let ReadVerdict::Answer(Some(tag)) | ReadVerdict::NotModified(Some(tag)) = &verdict {
            at_most(0, "field_value", || tag.field_value());
        }
        verdict
    }

    #[track_caller]
    fn tag(&self, read: &Read) -> VersionTag {
        let verdict = self.judged(read, StatusCode::OK, 0, 0);
        let ReadVerdict::Answer(Some(tag)) = verdict else { panic!("no tag: {verdict:?}") };
        tag
    }
}

fn answer_fields() -> Fields {
    let mut fields = Fields::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_ENCODING, "gzip"),
        (header::LAST_MODIFIED, "Tue, 06 Jan 2026 10:00:00 GMT"),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    fields
}

#[test]
fn the_counter_counts() {
    let counted = |act: fn()| measure(act).count_total;
    assert_eq!(counted(|| ()), 0);
    assert_eq!(counted(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert_eq!(counted(|| drop(std::hint::black_box("text".to_owned()))), 1);
    let mut grows = Vec::with_capacity(1);
    assert_eq!(
        measure(|| grows.extend([1, 2, 3])).count_total,
        1,
        "a piece of memory that grows is one more"
    );
}

#[test]
fn a_plain_read_is_decided_without_an_allocation() {
    let gateway = Gateway::new();
    for target in [
        "/items/17",
        "/items/written",
        "/items/17?page=2&sort=name",
        "/files/a/b/c/d/e/f/0b7e3a54-1c9d-4e6f-8a27-5d2f90c1b6e4",
    ] {
        for method in [Method::GET, Method::HEAD] {
            gateway.tag(&Read { method, ..Read::of(target) });
        }
    }
    gateway.tag(&Read { host: "shop.example.com:8080", ..Read::of("/items/17") });
    for status in [StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
        let verdict = gateway.judged(&Read::of("/items/17"), status, 0, 0);
        assert_eq!(verdict, ReadVerdict::Answer(None));
    }
    let part = Read::of("/items/17").with(header::RANGE, "bytes=0-9");
    let verdict = gateway.judged(&part, StatusCode::PARTIAL_CONTENT, 0, 0);
    assert!(matches!(verdict, ReadVerdict::Answer(Some(_))), "{verdict:?}");
}

/// What is taken out of the query is folded apart from the name.
#[test]
fn a_name_by_a_template_costs_one_allocation_at_most_and_by_the_query_two() {
    let gateway = Gateway::new();
    for (target, times) in [
        ("/orders/17", 1),
        ("/customers/4711/orders/17", 1),
        ("/trees/a/b/c", 1),
        ("/search?q=x&id=0b7e3a54-1c9d-4e6f-8a27-5d2f90c1b6e4", 2),
    ] {
        gateway.judged(&Read::of(target), StatusCode::OK, times, 0);
    }
}

/// The list; a tag in it that is no longer than ours costs none.
#[test]
fn a_list_in_if_none_match_costs_one_allocation_at_most() {
    let gateway = Gateway::new();
    let plain = Read::of("/items/17");
    let ours = gateway.tag(&plain).to_string();
    let any = plain.clone().with(header::IF_NONE_MATCH, "*");
    assert!(matches!(gateway.judged(&any, StatusCode::OK, 0, 0), ReadVerdict::NotModified(Some(_))));
    let one = plain.clone().with(header::IF_NONE_MATCH, &ours);
    assert!(matches!(gateway.judged(&one, StatusCode::OK, 0, 1), ReadVerdict::NotModified(Some(_))));
    let three = plain.clone().with(header::IF_NONE_MATCH, &format!("\"a\", W/\"b\", {ours}"));
    assert!(matches!(gateway.judged(&three, StatusCode::OK, 0, 1), ReadVerdict::NotModified(Some(_))));
    let part = plain.with(header::RANGE, "bytes=0-9").with(header::IF_RANGE, &ours);
    let verdict = gateway.judged(&part, StatusCode::PARTIAL_CONTENT, 0, 0);
    assert!(matches!(verdict, ReadVerdict::Answer(Some(_))), "{verdict:?}");
}
