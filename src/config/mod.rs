//! The configuration: one TOML file, read into values that cannot be wrong.
//!
//! [`load`] reads a file, tells every mistake of it at once with its place ([`Problems`]), or returns
//! [`checked::Config`], which is all that the rest of the program sees. Nothing is ignored, clamped or
//! defaulted in silence: what a key takes and what its absence means stands in [`mod@keys`].

pub mod checked;
pub mod keys;
mod look;
mod nearest;
mod policy;
pub mod problem;
mod process;
mod reader;
mod route;
mod syntax;
mod template;
mod transitions;
mod translate;
mod twice;
mod unique;
mod upstream;
mod validator;
mod values;
mod views;
mod words;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

pub use keys::{KeyDoc, keys};
pub use problem::{Problem, Problems};

use crate::identify::route_table::{RouteTable, SameShape};
use checked::{Config, Route, Upstream};
use keys::Section;
use reader::{Sink, Table};
use route::RouteDraft;
use upstream::Upstreams;
use values::{Mistake, quote};

/// Reads a file.
///
/// # Errors
/// Every mistake of it, or the one that it cannot be read.
pub fn load(path: &Path) -> Result<Config, Problems> {
    let name = path.display().to_string();
    let unreadable = |found| Problems::nowhere(&name, Problem::nowhere("", found, None));
    let bytes = std::fs::read(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        unreadable(format!("is not UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
    })?;
    parse(&name, &text)
}

/// Reads the text of a file that is called `file_name` in messages.
///
/// # Errors
/// Every mistake of it.
pub fn parse(file_name: &str, text: &str) -> Result<Config, Problems> {
    let sink = Sink::new(text);
    let (root, broken) = DeTable::parse_recoverable(text);
    syntax::tell(&sink, text, &broken);
    let root = Table::open(&sink, String::new(), 0..0, Section::Root, root.get_ref());
    let config = read(&root);
    let problems = sink.into_problems();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        Some(_) | None => Err(Problems::new(file_name, text, problems)),
    }
}

/// The configuration of `run --upstream HOST:PORT`: one guarded route for every path, and every default.
///
/// # Errors
/// If the address is none, or if `admin` is the address of `listen`.
pub fn single_upstream(
    address: &str,
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
) -> Result<Config, Problems> {
    let server = values::host_port(address).map_err(|mistake| {
        let expected = "host:port, like \"10.0.0.5:8080\"".to_owned();
        Problems::nowhere("flags", Problem::nowhere("--upstream", mistake.found, Some(expected)))
    })?;
    // The checked address holds nothing that would have to be escaped.
    let text = format!(
        "[upstreams.origin]\nservers = [\"{server}\"]\n\n\
         [[routes]]\nname = \"all\"\npath = \"/{{*rest}}\"\nupstream = \"origin\"\n"
    );
    with_addresses(parse("flags", &text)?, listen, admin)
}

/// The configuration with the addresses of `--listen` and `--admin` in place of its own.
///
/// # Errors
/// If both are one address.
pub fn with_addresses(
    mut config: Config,
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
) -> Result<Config, Problems> {
    if let Some(listen) = listen {
        config.server.listen = vec![listen];
    }
    if let Some(admin) = admin {
        config.server.admin = Some(admin);
    }
    match process::shared_address(&config.server.listen, config.server.admin) {
        None => Ok(config),
        Some(Mistake { found, expected, .. }) => {
            let flag = if admin.is_some() { "--admin" } else { "--listen" };
            Err(Problems::nowhere("flags", Problem::nowhere(flag, found, expected)))
        }
    }
}

fn read(root: &Table<'_>) -> Option<Config> {
    let empty = DeTable::new();
    let nothing = |section| Table::open(root.sink, String::new(), 0..0, section, &empty);
    let section = |name, section| match root.given(name) {
        Some(value) => value.table(section),
        None => Some(nothing(section)),
    };
    let server = section("server", Section::Server).and_then(|table| process::server(&table));
    let limits = section("limits", Section::Limits).and_then(|table| process::limits(&table));
    let ledger = section("ledger", Section::Ledger).and_then(|table| process::ledger(&table));
    let upstreams = match root.given("upstreams") {
        Some(value) => upstream::upstreams(&value),
        None => root.read("upstreams", |_| None),
    };
    let drafts = match root.given("routes") {
        Some(value) => route::routes(&value, upstreams.as_ref()),
        None => root.read("routes", |_| None),
    };
    let drafts = drafts?;
    tell_clashes(&drafts);
    unique::tell_scopes(&drafts);
    let (upstreams, routes) = assemble(upstreams?, drafts)?;
    let ledger = ledger?.with(&upstreams);
    Some(Config { server: server?, limits: limits?, ledger, upstreams, routes })
}

/// Puts routes and upstreams together if nothing is wrong with any.
fn assemble(
    upstreams: Upstreams<'_>,
    drafts: Vec<RouteDraft<'_>>,
) -> Option<(Vec<Arc<Upstream>>, RouteTable<Route>)> {
    let mut upstreams =
        upstreams.by_name.into_iter().map(|(_, upstream)| upstream).collect::<Option<Vec<_>>>()?;
    let routes = drafts.into_iter().map(|draft| draft.checked).collect::<Option<Vec<_>>>()?;
    for route in &routes {
        let upstream = upstreams.iter_mut().find(|upstream| *upstream.name == *route.policy.upstream)?;
        upstream.has_whole_changes |= route.changes_everything();
        upstream.read_lag = upstream.read_lag.max(route.policy.read_lag);
    }
    let upstreams: Vec<Arc<Upstream>> = upstreams.into_iter().map(Arc::new).collect();
    let mut specs = Vec::with_capacity(routes.len());
    for route in routes {
        let upstream = upstreams.iter().find(|upstream| *upstream.name == *route.policy.upstream)?;
        let (hosts, path) = (route.hosts.clone(), route.path.clone());
        specs.push((route.to(Arc::clone(upstream)), hosts, path));
    }
    // Clashes were told before.
    RouteTable::new(specs).ok().map(|routes| (upstreams, routes))
}

fn tell_clashes(drafts: &[RouteDraft<'_>]) {
    let shaped: Vec<_> = drafts.iter().filter_map(|draft| Some((draft, draft.shape.clone()?))).collect();
    let specs = shaped.iter().map(|(_, (hosts, path))| ((), hosts.clone(), path.clone())).collect();
    let Err(clashes) = RouteTable::new(specs) else { return };
    for SameShape { first, second } in clashes {
        let (Some((one, _)), Some((other, _))) = (shaped.get(first), shaped.get(second)) else { continue };
        let found = if first == second {
            format!("{} cannot stand beside the paths of the other routes", quote(&other.path_text))
        } else {
            format!(
                "{} takes the same requests as {} of {}",
                quote(&other.path_text),
                quote(&one.path_text),
                one.key
            )
        };
        other.tell_path(Mistake::found(found).expected("paths or hosts that tell the routes apart"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[upstreams.u]\nservers = [\"a:1\"]\n\
                         [[routes]]\nname = \"r\"\npath = \"/{*rest}\"\nupstream = \"u\"\n";

    #[test]
    fn every_default_of_the_table_of_keys_is_a_value_of_its_key() {
        // Reading the least file reads the default of every key that has one, but those of [routes.fold].
        let config = parse("least", &format!("{LEAST}fold = {{}}\n")).expect("the least file is enough");
        assert_eq!(config.server.listen, ["127.0.0.1:8080".parse().expect("an address")]);
        assert_eq!(config.limits.max_header_bytes, 65_536);
        assert_eq!(config.ledger.max_resources, 1_000_000);
        let route = config.routes.iter().next().expect("one route");
        let defaults = crate::decide::policy::RoutePolicy::with_defaults("r", "u");
        assert_eq!(format!("{:?}", route.policy), format!("{defaults:?}"));
    }

    #[test]
    fn flags_take_the_place_of_addresses() {
        let at = |text: &str| Some(text.parse().expect("an address"));
        let config = single_upstream("[::1]:3000", at("127.0.0.1:0"), None).expect("an address");
        assert_eq!(config.server.listen, ["127.0.0.1:0".parse().expect("an address")]);
        let upstream = config.upstreams.first().expect("one upstream");
        assert_eq!(*upstream.servers, [Arc::from("[::1]:3000")]);
        let told = |result: Result<Config, Problems>| result.err().expect("a mistake").to_string();
        assert_eq!(
            told(single_upstream("localhost", None, None)),
            "flags: --upstream: \"localhost\" has no port; expected host:port, like \"10.0.0.5:8080\""
        );
        assert_eq!(
            told(single_upstream("a:1", at("0.0.0.0:9090"), None)),
            "flags: --listen: admin = \"127.0.0.1:9090\" and listen = \"0.0.0.0:9090\" are one address; \
             expected an address of its own for admin, or \"off\""
        );
    }

    #[test]
    fn what_routes_say_of_their_upstream_is_known_to_it() {
        let text = format!("{LEAST}also_changes = [\"*\"]\nread_lag = \"3s\"\n");
        let config = parse("f", &text).expect("correct");
        let upstream = config.upstreams.first().expect("one upstream");
        assert!(upstream.has_whole_changes);
        assert_eq!(upstream.read_lag, std::time::Duration::from_secs(3));
        let route = config.routes.iter().next().expect("one route");
        assert!(Arc::ptr_eq(&route.upstream, upstream));
    }

    /// What a killed process had sent is applied when `settle` is all but over; the replicas that answer
    /// reads show it `read_lag` later. A read in between must not get a tag that is good after the hold.
    #[test]
    fn a_start_waits_until_reads_show_what_was_applied_last() {
        let hold = |ledger: &str| {
            let text = format!("[ledger]\n{ledger}\n{LEAST}read_lag = \"3s\"\n");
            parse("f", &text).expect("correct").ledger.start_hold
        };
        assert_eq!(hold("settle = \"5s\""), std::time::Duration::from_secs(8));
        assert_eq!(hold("start_hold = \"0s\""), std::time::Duration::ZERO);
    }
}
