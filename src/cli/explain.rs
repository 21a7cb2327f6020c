//! `ifmatch explain FILE METHOD URL`: what would become of a request, and why, without sending it.
//!
//! Everything is told for a ledger that knows nothing of the resource yet; the pure stages are asked, the
//! same ones that judge a request when it comes.

mod conditions;
mod rules;
mod twice;
mod validators;
mod views;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::{HeaderName, HeaderValue, Method, Uri, header};

use crate::config;
use crate::config::checked::{Config, Route};
use crate::decide::aim;
use crate::decide::policy::{AlsoChanges, Mode};
use crate::decide::verdict::{Refusal, RefusalKind};
use crate::http1::fields::Fields;
use crate::identify::content::Content;
use crate::identify::resource_id::NameTemplate;
use crate::identify::route_table::HostPattern;
use crate::identify::target_path::TargetPath;
use crate::request::method::Effect;

/// `ifmatch explain`
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The configuration file.
    file: PathBuf,
    /// The request's method, such as PUT.
    method: String,
    /// The request's target: a path such as /orders/17, or a URL with a host.
    url: String,
    /// A field of the request, such as 'If-Match: "abc"'; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "FIELD: VALUE")]
    fields: Vec<String>,
    /// The request's content, for rules that read it.
    #[arg(short = 'd', long = "data", value_name = "CONTENT")]
    content: Option<String>,
}

/// Answers the question on standard output.
pub fn explain(question: &Question) -> ExitCode {
    let config = match config::load(&question.file) {
        Ok(config) => config,
        Err(problems) => return super::refuse(&problems),
    };
    match Asked::read(question) {
        Ok(asked) => super::print(&told(&config, &asked)),
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("ifmatch: {mistake}");
            }
            ExitCode::from(super::USAGE)
        }
    }
}

/// The request that is asked about.
struct Asked {
    method: Method,
    host: Option<String>,
    path: String,
    query: Option<String>,
    fields: Fields,
    content: Option<String>,
}

impl Asked {
    /// Reads it, and tells every mistake in it.
    fn read(question: &Question) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let method = Method::from_bytes(question.method.as_bytes());
        if method.is_err() {
            mistakes.push(format!("METHOD: \"{}\" is not a method; expected one like PUT", question.method));
        }
        let uri = question.url.parse::<Uri>().ok().filter(|uri| uri.path().starts_with('/'));
        if uri.is_none() {
            mistakes.push(format!(
                "URL: \"{}\" has no path; expected one like /orders/17 or http://api.example.com/orders/17",
                question.url
            ));
        }
        let mut fields = Fields::new();
        for line in &question.fields {
            match field(line) {
                Some((name, value)) => fields.append(name, value),
                None => mistakes.push(format!("-H: \"{line}\" is not a field; expected 'Field: value'")),
            }
        }
        let (Ok(method), Some(uri)) = (method, uri) else { return Err(mistakes) };
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let in_field = fields.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        let host = uri.authority().map(|authority| authority.as_str().to_owned()).or(in_field);
        let (path, query) = (uri.path().to_owned(), uri.query().map(str::to_owned));
        Ok(Asked { method, host, path, query, fields, content: question.content.clone() })
    }

    fn content(&self) -> Option<Content<'_>> {
        self.content.as_ref().map(|content| Content::of(&self.fields, content.as_bytes()))
    }
}

fn field(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().parse().ok()?, HeaderValue::from_str(value.trim()).ok()?))
}

/// The answer, as lines of a label and what there is to say.
#[derive(Default)]
struct Told(String);

impl Told {
    fn line(&mut self, label: &str, text: impl std::fmt::Display) {
        self.0.push_str(&format!("{label:<14}{text}\n"));
    }

    fn refusal(&mut self, refusal: &Refusal, route: Option<&Route>) {
        let statuses = route.map(|route| route.policy.statuses).unwrap_or_default();
        let status = refusal.kind.status(statuses).as_u16();
        self.line("decision", format!("{status} {}: {}", refusal.kind.name(), refusal.detail));
        if route.is_some_and(|route| route.policy.mode == Mode::Observe) && refusal.kind.is_conflict() {
            self.line("", "mode = \"observe\": counted and logged, and forwarded all the same");
        }
    }
}

fn told(config: &Config, asked: &Asked) -> String {
    let mut told = Told::default();
    let target = TargetPath::parse(&asked.path);
    let host = asked.host.as_deref().map(|host| format!(" for the host {host}")).unwrap_or_default();
    told.line("request", format!("{} {}{host}", asked.method, asked.path));
    if let Some(ambiguity) = target.ambiguity() {
        // Also told where no managed route takes it: routes see it decoded.
        told.line("target", format!("has {ambiguity}; routes are matched on {}", target.routed()));
    }
    let Some(route) = config.routes.find(asked.host.as_deref(), &target) else {
        told.line("route", format!("none: no route takes {}{host}", target.routed()));
        for route in config.routes.iter() {
            told.line("", format!("{} takes {}{}", route.policy.name, route.path_text, hosts(route)));
        }
        told.refusal(&Refusal::new(RefusalKind::NoRoute, "no configured route matches"), None);
        return told.0;
    };
    let policy = &route.policy;
    let why = format!(
        "its path {}{} is the most specific one for {}",
        route.path_text,
        hosts(route),
        target.routed()
    );
    told.line("route", format!("{}: {why}", policy.name));
    told.line("upstream", format!("{} ({})", route.upstream.name, route.upstream.servers.join(", ")));
    if !policy.is_managed() {
        told.line("decision", "forwarded as it is: mode = \"off\", no versions, no tags");
        return told.0;
    }
    conditions::tell_passed(&mut told, route, &asked.fields);
    let effect = tell_effect(&mut told, route, asked);
    if effect == Effect::Neither {
        told.line("decision", "forwarded as it is");
        twice::tell_preflight(&mut told, route, &asked.fields);
        return told.0;
    }
    match aim::resource(&route.policy, &target, asked.query.as_deref(), asked.content().as_ref()) {
        Ok(id) => told.line("resource", format!("{id} ({})", named_by(route))),
        Err(refusal) => {
            let by_content = refusal.kind == RefusalKind::UnreadableContent;
            let why =
                if by_content { "the content (-d) does not name it" } else { "the target is ambiguous" };
            told.line("resource", format!("none: {why}"));
            told.refusal(&refusal, Some(route));
            return told.0;
        }
    }
    if effect.writes() {
        tell_changes(&mut told, config, route, &target, asked);
        rules::tell(&mut told, route, &target, asked);
        if !twice::tell(&mut told, route, asked) {
            return told.0;
        }
    }
    conditions::tell(&mut told, route, effect, asked);
    told.0
}

fn hosts(route: &Route) -> String {
    let host = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Below(parent) => format!("*.{parent}"),
    };
    let hosts: Vec<String> = route.hosts.iter().map(host).collect();
    if hosts.is_empty() { String::new() } else { format!(" on {}", hosts.join(", ")) }
}

fn named_by(route: &Route) -> &'static str {
    match route.policy.resource {
        NameTemplate::CanonicalPath => "the canonical path",
        NameTemplate::Parts(_) => "by the route's resource",
    }
}

/// Which effect the request has, by its method and by every override of it.
fn tell_effect(told: &mut Told, route: &Route, asked: &Asked) -> Effect {
    let overrides = aim::overrides(&asked.fields, asked.query.as_deref(), &[]);
    let effect = aim::effect(&route.policy, &asked.method, &overrides);
    let words = match effect {
        Effect::Neither => "neither reads nor changes a resource; never conditional",
        Effect::Read if route.policy.mode == Mode::Observe => "a read; its answer keeps the origin's own tag",
        Effect::Read => "a read; its answer is stamped",
        Effect::Write => {
            "a write that needs no precondition; it occupies and changes the resource all the same"
        }
        Effect::GuardedWrite => "a guarded write: it needs a precondition",
    };
    if overrides.is_empty() {
        told.line("effect", format!("{}: {words}", asked.method));
    } else {
        let names: Vec<String> =
            overrides.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let stated = format!("{} with the override {}", asked.method, names.join(", "));
        told.line("effect", format!("{stated}: {words} (the strictest of all of them counts)"));
    }
    effect
}

/// Which further resources the write changes.
fn tell_changes(told: &mut Told, config: &Config, route: &Route, target: &TargetPath, asked: &Asked) {
    match &route.policy.also_changes {
        AlsoChanges::WholeUpstream => told.line("also changes", "every resource of the upstream"),
        AlsoChanges::Listed(templates) => {
            for template in templates {
                match template.name(
                    target,
                    asked.query.as_deref(),
                    asked.content().as_ref(),
                    route.policy.fold,
                ) {
                    Ok(id) => told.line("also changes", id),
                    Err(missing) => told.line("also changes", format!("cannot be named: {missing}; 400")),
                }
            }
        }
    }
    for destination in asked.fields.get_all(HeaderName::from_static("destination")) {
        let uri = destination.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
        let path = uri.as_ref().map(|uri| TargetPath::parse(uri.path()));
        let other = path.as_ref().and_then(|path| config.routes.find(asked.host.as_deref(), path));
        match (uri, path, other) {
            (Some(uri), Some(path), Some(other)) => {
                match aim::resource(&other.policy, &path, uri.query(), None) {
                    Ok(id) => told.line("also changes", format!("{id} (Destination)")),
                    Err(refusal) => told.line("also changes", format!("Destination: {}", refusal.detail)),
                }
            }
            (_, _, _) => told.line("also changes", "Destination: no path of this server"),
        }
    }
}

#[cfg(test)]
mod tests;
