//! What all requests share: the ledger, the configuration in force, metrics and the journal.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use prometheus::IntGauge;

use super::cors::LetIn;
use super::in_flight::Counter;
use super::origin::pool::Pool;
use super::twice::SentTwice;
use crate::config::checked::{Config, Ledger, Limits, Route, Server};
use crate::decide::naming::{Affected, Naming};
use crate::decide::policy::{Mode, RoutePolicy, Unconditional};
use crate::decide::views::ViewIn;
use crate::identify::route_table::RouteTable;
use crate::ledger::memory::{KeysOf, MemoryLedger};
use crate::ledger::names::NamesInForce;
use crate::ledger::permit::OnEnd;
use crate::ledger::views::Views;
use crate::report::journal::Journal;
use crate::report::metrics::{Metrics, RouteMetrics};
use crate::report::origin_tags::OriginTags;
use crate::report::recent_reads::RecentReads;
use crate::request::version_tag::ResourceKey;

/// What all requests share.
pub struct Gateway {
    /// Versions.
    pub ledger: Arc<MemoryLedger>,
    /// The configuration in force; a request keeps the one that it began with.
    pub live: ArcSwap<Live>,
    /// Counts.
    pub metrics: Metrics,
    /// The last conflicts.
    pub journal: Journal,
    /// When versions were last read.
    pub reads: RecentReads,
    /// What clients last read.
    pub views: Arc<Views>,
    /// The origins' own tags.
    pub origin_tags: OriginTags,
    /// Requests that are sent twice.
    pub sent_twice: Arc<SentTwice>,
    /// Pages that the APIs let in.
    pub pages: LetIn,
    /// Requests in flight.
    pub requests: &'static Counter,
    /// Client connections.
    pub connections: &'static Counter,
    /// Writes that are being forwarded.
    pub writes: &'static Counter,
    stopping: AtomicBool,
}

/// A configuration in force.
pub struct Live {
    /// `[server]`
    pub server: Server,
    /// `[limits]`
    pub limits: Limits,
    /// `[ledger]`; only the one of the start counts.
    pub ledger: Ledger,
    /// The routes.
    pub routes: RouteTable<Arc<LiveRoute>>,
    /// For requests that no route matches.
    pub no_route: Arc<RouteMetrics>,
    /// Whether some route keeps views in cookies of our own.
    pub has_own_cookies: bool,
    /// What names stand for (rule R14).
    pub names: Arc<NamesInForce>,
    pools: HashMap<Arc<str>, Arc<Pool>>,
}

/// A route in force.
pub struct LiveRoute {
    /// As configured.
    pub route: Route,
    /// Its counts.
    pub metrics: Arc<RouteMetrics>,
    /// The way to its origin.
    pub pool: Arc<Pool>,
    /// Whether ifmatch guards resources behind the same upstream, for this route or another: one that only
    /// observes guards none.
    pub beside_managed: bool,
    /// The slots of its upstream's resources.
    pub keys: KeysOf,
    /// The slot that stands for its upstream as a whole, if some route changes all of it.
    pub whole: Option<ResourceKey>,
}

impl OnEnd for LiveRoute {
    fn places_are_free(&self) {
        self.metrics.writes_in_flight.dec();
    }
}

impl Gateway {
    /// Takes a configuration and the ledger to judge by.
    ///
    /// # Errors
    /// If a metric cannot be registered: a bug in its name.
    pub fn new(config: Config, ledger: Arc<MemoryLedger>) -> prometheus::Result<Arc<Self>> {
        let metrics = Metrics::new()?;
        let journal = Journal::new(config.server.conflicts_kept);
        tell_renamed(&ledger.rename(naming_of(&config)));
        let views = Views::new(config.ledger.max_views, config.ledger.view_lifetime);
        let sent_twice = SentTwice::new(&config.ledger);
        let live = Live::new(config, &ledger, &metrics, None);
        let gateway = Gateway {
            requests: Counter::new(),
            connections: Counter::new(),
            writes: Counter::new(),
            ledger,
            live: ArcSwap::from_pointee(live),
            metrics,
            journal,
            reads: RecentReads::new(),
            views: Arc::new(views),
            origin_tags: OriginTags::new(),
            sent_twice,
            pages: LetIn::default(),
            stopping: AtomicBool::new(false),
        };
        gateway.told_of_reload(true);
        Ok(Arc::new(gateway))
    }

    /// Puts another configuration in force. Requests under way end under the old one, but for writes that
    /// had not begun and whose resources are others now (rule R14).
    pub fn take(&self, config: Config) {
        tell_renamed(&self.ledger.rename(naming_of(&config)));
        let before = self.live.load();
        self.live.store(Arc::new(Live::new(config, &self.ledger, &self.metrics, Some(&before))));
        self.told_of_reload(true);
    }

    /// The sections of a configuration that differ from those in force and only count at start.
    pub fn needs_restart(&self, config: &Config) -> Vec<&'static str> {
        let live = self.live.load();
        let (now, new) = (&live.server, &config.server);
        let changes = [
            ("server.listen", now.listen != new.listen),
            ("server.admin", now.admin != new.admin),
            ("server.workers", now.workers != new.workers),
            ("server.shutdown_delay", now.shutdown_delay != new.shutdown_delay),
            ("server.drain_timeout", now.drain_timeout != new.drain_timeout),
            ("server.conflicts_kept", now.conflicts_kept != new.conflicts_kept),
            ("ledger", live.ledger != config.ledger),
        ];
        changes.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }

    /// Notes whether the newest text of the configuration is in force.
    pub fn told_of_reload(&self, successful: bool) {
        self.metrics.reload_successful.set(i64::from(successful));
        if successful {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.metrics.reload_success_timestamp.set(now.as_secs_f64());
        }
    }

    /// Readiness fails from now on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether new requests, guarded writes included, are served.
    pub fn is_ready(&self) -> bool {
        !self.stopping.load(Ordering::Acquire) && self.ledger.is_open()
    }

    /// Refreshes the gauges that are not kept at every step. To be called before a scrape.
    pub fn refresh_gauges(&self) {
        let set = |gauge: &IntGauge, count| gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        set(&self.metrics.requests_in_flight, self.requests.count());
        set(&self.metrics.client_connections, self.connections.count());
        set(&self.metrics.writes_forwarding, self.writes.count());
        set(&self.metrics.ledger_resources, self.ledger.len());
        let evicted = self.ledger.evictions();
        self.metrics.ledger_evictions.inc_by(evicted.saturating_sub(self.metrics.ledger_evictions.get()));
        set(&self.metrics.views, self.views.len());
        let evicted = self.views.evictions();
        self.metrics.view_evictions.inc_by(evicted.saturating_sub(self.metrics.view_evictions.get()));
        let (keys, forgotten) = self.sent_twice.keys_and_forgotten();
        set(&self.metrics.idempotency_keys, keys);
        let told = self.metrics.idempotency_keys_forgotten.get();
        self.metrics.idempotency_keys_forgotten.inc_by(forgotten.saturating_sub(told));
        self.metrics.ready.set(i64::from(self.is_ready()));
    }

    /// Forgets what only matters for a while.
    pub fn tidy(&self) {
        self.ledger.tidy();
        self.views.tidy();
        self.sent_twice.tidy();
        for pool in self.live.load().pools.values() {
            pool.tidy();
        }
    }
}

impl Live {
    fn new(config: Config, ledger: &MemoryLedger, metrics: &Metrics, before: Option<&Live>) -> Self {
        let mut pools = HashMap::new();
        for upstream in config.upstreams {
            let kept = before
                .and_then(|live| live.pools.get(&upstream.name))
                .filter(|pool| *pool.upstream() == upstream);
            let pool = match kept {
                Some(pool) => pool.clone(),
                None => {
                    Pool::new(upstream.clone(), metrics.origin_connections(&upstream.name), metrics.limits)
                }
            };
            pools.insert(upstream.name.clone(), pool);
        }
        let managed: HashSet<Arc<str>> = config
            .routes
            .iter()
            .filter(|route| route.policy.mode == Mode::Enforce)
            .map(|route| route.upstream.name.clone())
            .collect();
        let live_route = |route: &Route| {
            let pool = pools.get(&route.upstream.name).cloned();
            Arc::new(LiveRoute {
                metrics: Arc::new(metrics.route(&route.policy.name)),
                pool: pool.unwrap_or_else(|| {
                    Pool::new(
                        route.upstream.clone(),
                        metrics.origin_connections(&route.upstream.name),
                        metrics.limits,
                    )
                }),
                beside_managed: managed.contains(&route.upstream.name),
                keys: ledger.keys_of(&route.upstream.name),
                whole: route.upstream.has_whole_changes.then(|| ledger.whole_key(&route.upstream.name)),
                route: route.clone(),
            })
        };
        Live {
            has_own_cookies: config.routes.iter().any(|route| keeps_cookies(&route.policy)),
            routes: config.routes.map(live_route),
            names: ledger.names().in_force(),
            server: config.server,
            limits: config.limits,
            ledger: config.ledger,
            no_route: Arc::new(metrics.route(&"none".into())),
            pools,
        }
    }
}

/// What of a configuration its resources' names depend on.
fn naming_of(config: &Config) -> Naming {
    let mut naming = Naming::default();
    for upstream in &config.upstreams {
        naming.upstream(&upstream.name, &(&upstream.servers, upstream.has_whole_changes, upstream.read_lag));
    }
    for route in config.routes.iter() {
        naming.route(&route.policy, &route.hosts, &route.path);
    }
    naming
}

/// Not in observe mode, which changes no byte.
fn keeps_cookies(policy: &RoutePolicy) -> bool {
    let infers = policy.mode == Mode::Enforce && policy.unconditional == Unconditional::Infer;
    infers && policy.views.kept == ViewIn::Cookie
}

fn tell_renamed(affected: &[Affected]) {
    if !affected.is_empty() {
        let names: Vec<String> =
            affected.iter().map(|Affected { upstream, range }| format!("{upstream}: {range}")).collect();
        tracing::info!(
            names = names.join(", "),
            "resources of these names are named or treated in another way now: earlier tags of theirs are \
             refused, and writes to them wait for those under way"
        );
    }
}
