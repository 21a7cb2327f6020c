//! Every key of the file, in one table: what it takes, what its absence means and what it is for.
//!
//! The reader takes its limits and defaults from here, `ifmatch schema` its text, and the README's
//! table is held to it, so that none of them can say what another does not.

use std::fmt;
use std::time::Duration;

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// The file itself.
    Root,
    /// `[server]`
    Server,
    /// `[limits]`
    Limits,
    /// `[ledger]`
    Ledger,
    /// `[upstreams.NAME]`
    Upstreams,
    /// `[[routes]]`
    Routes,
    /// `[routes.principal]`
    Principal,
    /// `[routes.precondition_from]`
    PreconditionFrom,
    /// `[routes.view_per]`
    ViewPer,
    /// `[routes.fold]`
    Fold,
    /// `[[routes.unique]]`
    Unique,
    /// `[routes.unique.taken]`
    Taken,
    /// `[routes.transitions]`
    Transitions,
    /// `[routes.transitions.to]`
    MoveTo,
    /// `[[routes.translate]]`
    Translate,
    /// `[routes.idempotency]`
    Idempotency,
}

impl Section {
    /// Every section.
    pub const ALL: [Section; 16] = [
        Section::Root,
        Section::Server,
        Section::Limits,
        Section::Ledger,
        Section::Upstreams,
        Section::Routes,
        Section::Principal,
        Section::PreconditionFrom,
        Section::ViewPer,
        Section::Fold,
        Section::Unique,
        Section::Taken,
        Section::Transitions,
        Section::MoveTo,
        Section::Translate,
        Section::Idempotency,
    ];
}

impl fmt::Display for Section {
    /// The section's header, as it is written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Section::Root => "the file",
            Section::Server => "[server]",
            Section::Limits => "[limits]",
            Section::Ledger => "[ledger]",
            Section::Upstreams => "[upstreams.NAME]",
            Section::Routes => "[[routes]]",
            Section::Principal => "[routes.principal]",
            Section::PreconditionFrom => "[routes.precondition_from]",
            Section::ViewPer => "[routes.view_per]",
            Section::Fold => "[routes.fold]",
            Section::Unique => "[[routes.unique]]",
            Section::Taken => "[routes.unique.taken]",
            Section::Transitions => "[routes.transitions]",
            Section::MoveTo => "[routes.transitions.to]",
            Section::Translate => "[[routes.translate]]",
            Section::Idempotency => "[routes.idempotency]",
        })
    }
}

/// One key of the file.
#[derive(Clone, Copy, Debug)]
pub struct KeyDoc {
    /// The table that it stands in.
    pub section: Section,
    /// Its name.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What its absence means.
    pub absent: Absent,
    /// What it is for, in one line.
    pub doc: &'static str,
}

/// What the absence of a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// This value, as it would be written in the file.
    Default(&'static str),
    /// What these words say.
    Means(&'static str),
    /// A mistake.
    Mistake,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number within these limits.
    Count {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A text like `"5s"`.
    Span {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A text like `"1MiB"`, in bytes.
    Size {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// One of these texts.
    Choice {
        /// What is taken.
        names: &'static [&'static str],
        /// What other versions take.
        later: &'static [&'static str],
    },
    /// One IP address and port, or a list of them.
    Addresses,
    /// An IP address and port, or `"off"`.
    AddressOrOff,
    /// A token, or `"off"`.
    Pseudonym,
    /// A path in the file system.
    File,
    /// A list of `host:port`.
    Servers,
    /// A name that is fit for a metrics label.
    Name,
    /// A list of hosts.
    Hosts,
    /// A path pattern.
    Pattern,
    /// The name of an upstream.
    Upstream,
    /// The name of a resource, with parameters in it.
    Template,
    /// A list of those, or `["*"]`.
    Templates,
    /// A list of methods.
    Methods,
    /// A field's name.
    Field,
    /// A cookie's name.
    Cookie,
    /// The name of a parameter of the query, or of a form's field.
    Parameter,
    /// A JSON pointer.
    Pointer,
    /// A list of those.
    Pointers,
    /// A status.
    Status {
        /// The least.
        min: u16,
        /// The most.
        max: u16,
    },
    /// A list of statuses.
    Statuses {
        /// The least.
        min: u16,
        /// The most.
        max: u16,
    },
    /// The table of this section.
    Table(Section),
    /// One table of this section for each name.
    Named(Section),
    /// A list of tables of this section.
    Tables(Section),
    /// A regular expression for each parameter of the path.
    Patterns,
    /// The name of a form field.
    FormField,
    /// A list of steps of normalisation.
    Steps,
    /// Any text but an empty one.
    Text,
    /// A target at the origin, with parameters in it.
    LookUp,
    /// A regular expression.
    Expression,
    /// For each state, a list of those that may follow it.
    Moves,
}

/// The least and most that a status can be replaced by: 4xx, for the client is the one who can mend it.
const MAPPED_STATUS: Kind = Kind::Status { min: 400, max: 499 };
/// Answers that say that something failed, the only ones whose meaning differs from origin to origin.
const FAILURES: Kind = Kind::Statuses { min: 400, max: 599 };
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A time that may be nothing.
const WAIT: Kind = Kind::Span { min: Duration::ZERO, max: DAY };
/// A time within which something must happen: at nothing, it never would.
const TIMEOUT: Kind = Kind::Span { min: Duration::from_millis(1), max: DAY };
/// A time for which clients may send a request again: a month, for those that are offline for long.
const LIFETIME: Kind =
    Kind::Span { min: Duration::from_millis(1), max: Duration::from_secs(30 * 24 * 60 * 60) };

const fn key(section: Section, key: &'static str, kind: Kind, absent: Absent, doc: &'static str) -> KeyDoc {
    KeyDoc { section, key, kind, absent, doc }
}

const fn choice(names: &'static [&'static str]) -> Kind {
    Kind::Choice { names, later: &[] }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max }
}

use Absent::{Default as Is, Means, Mistake};
use Section::{
    Fold, Idempotency, Ledger, Limits, MoveTo, PreconditionFrom, Principal, Root, Routes, Server, Taken,
    Transitions, Translate, Unique, Upstreams, ViewPer,
};

const KIB: u64 = 1024;
const GIB: u64 = 1024 * 1024 * 1024;

#[rustfmt::skip] // one key, one entry: a table
static KEYS: &[KeyDoc] = &[
    key(Root, "server", Kind::Table(Server), Means("every default"), "where ifmatch listens, and how it starts and stops"),
    key(Root, "limits", Kind::Table(Limits), Means("every default"), "what clients may ask of this process"),
    key(Root, "ledger", Kind::Table(Ledger), Means("every default"), "where versions are kept"),
    key(Root, "upstreams", Kind::Named(Upstreams), Mistake, "the APIs behind the proxy, by name"),
    key(Root, "routes", Kind::Tables(Routes), Mistake, "which requests go where, and what is asked of them"),

    key(Server, "listen", Kind::Addresses, Is(r#"["127.0.0.1:8080"]"#), "where requests are accepted"),
    key(Server, "admin", Kind::AddressOrOff, Is(r#""127.0.0.1:9090""#), "where health, metrics and conflicts are told; never on the public listener"),
    key(Server, "workers", count(0, 1024), Is("0"), "worker threads; 0: one per core"),
    key(Server, "shutdown_delay", WAIT, Is(r#""0s""#), "how long readiness fails before the listeners close"),
    key(Server, "drain_timeout", WAIT, Is(r#""30s""#), "how long requests in flight may take to end after the listeners closed"),
    key(Server, "access_log", Kind::Flag, Is("false"), "one log line a request"),
    key(Server, "conflicts_kept", count(0, 100_000), Is("1_000"), "how many conflicts /conflicts on the admin listener tells"),
    key(Server, "via", Kind::Pseudonym, Is(r#""ifmatch""#), "the name in the Via field; \"off\": no such field"),
    key(Server, "x_forwarded", choice(&["append", "replace", "off"]), Is(r#""append""#), "what becomes of X-Forwarded-For, -Host and -Proto: appended to, replaced, or passed on as they are"),

    key(Limits, "max_connections", count(1, 1_000_000), Is("10_000"), "client connections at a time"),
    key(Limits, "max_requests_in_flight", count(1, 1_000_000), Is("10_000"), "requests between their head and the end of their answer"),
    key(Limits, "max_writes_in_flight", count(1, 1_000_000), Is("1_024"), "writes to guarded routes being forwarded at a time; unsettled ones do not count"),
    key(Limits, "max_target_bytes", Kind::Size { min: 256, max: 32 * KIB }, Is(r#""8KiB""#), "a request's target (path and query) as it was sent"),
    key(Limits, "max_header_bytes", Kind::Size { min: 8 * KIB, max: 1024 * KIB }, Is(r#""64KiB""#), "a request's line and fields together"),
    key(Limits, "max_header_count", count(1, 10_000), Is("80"), "fields of a request"),
    key(Limits, "idle_timeout", TIMEOUT, Is(r#""75s""#), "how long a connection may stay without a request, and a request's head may take"),
    key(Limits, "body_idle_timeout", TIMEOUT, Is(r#""60s""#), "how long a peer may take for the next piece of a body"),
    key(Limits, "upload_timeout", TIMEOUT, Is(r#""10m""#), "how long a request's whole body may take"),
    key(Limits, "request_timeout", TIMEOUT, Is(r#""1h""#), "how long a request may take from its head to the end of its answer"),
    key(Limits, "tunnel_idle_timeout", TIMEOUT, Is(r#""1h""#), "how long an upgraded connection may stay without a byte either way"),

    key(Ledger, "store", Kind::Choice { names: &["memory"], later: &["redis", "etcd"] }, Is(r#""memory""#), "where versions are kept"),
    key(Ledger, "max_resources", count(1, 1_000_000_000), Is("1_000_000"), "the most resources with a version of their own; 25 to 50 bytes each"),
    key(Ledger, "state_file", Kind::File, Means("versions do not survive a restart"), "where versions survive a clean restart; a file for one process at a time"),
    key(Ledger, "settle", WAIT, Is(r#""5s""#), "how long a write of unknown outcome may still be applied by the origin"),
    key(Ledger, "max_views", count(2, 1_000_000_000), Is("1_000_000"), "the most views kept of what clients last read (unconditional = \"infer\"); 40 to 75 bytes each"),
    key(Ledger, "view_lifetime", TIMEOUT, Is(r#""8h""#), "how long a view is good; an older one is unknown"),
    key(Ledger, "start_hold", WAIT, Means("`settle` and the longest `read_lag`"), "how long writes wait at a start without the state of an earlier life, whose writes may still be applied"),
    key(Ledger, "max_idempotency_keys", count(1, 100_000_000), Is("100_000"), "the most idempotency keys that are known at a time; the oldest answered ones go first"),
    key(Ledger, "max_idempotency_bytes", Kind::Size { min: 1, max: 64 * GIB }, Is(r#""64MiB""#), "the most bytes of answers kept for them"),

    key(Upstreams, "servers", Kind::Servers, Mistake, "host:port of each server; connections go to the first one that accepts, in turn"),
    key(Upstreams, "connect_timeout", TIMEOUT, Is(r#""1s""#), "how long connecting may take"),
    key(Upstreams, "response_timeout", TIMEOUT, Is(r#""30s""#), "how long an answer's head may take after the request was sent"),
    key(Upstreams, "max_idle", count(0, 65_536), Is("128"), "connections kept open and unused at a time"),
    key(Upstreams, "max_connections", count(1, 65_536), Is("1_024"), "connections at a time"),
    key(Upstreams, "idle_timeout", TIMEOUT, Is(r#""50s""#), "how long an unused connection is kept; shorter than the origin keeps it"),

    key(Routes, "name", Kind::Name, Mistake, "the metrics label; unique"),
    key(Routes, "hosts", Kind::Hosts, Means("every host"), "for which hosts: \"api.example.com\" or \"*.example.com\""),
    key(Routes, "path", Kind::Pattern, Mistake, "which paths: {name} is one segment, {*rest} at the end everything below"),
    key(Routes, "upstream", Kind::Upstream, Mistake, "where its requests go"),
    key(Routes, "resource", Kind::Template, Means("the canonical path"), "the name of what a write changes, like \"order:{id}\", \"order:{query.id}\" or, from the body, \"order:{body./order/id}\" or \"order:{form.id}\""),
    key(Routes, "mode", choice(&["enforce", "observe", "off"]), Is(r#""enforce""#), "refuse conflicts; or let through and count what would be refused; or leave the route alone"),
    key(Routes, "validator", choice(&["version", "content", "origin"]), Is(r#""version""#), "what an entity-tag stands for: a version that the ledger keeps; a digest of the content; what the origin says of its own"),
    key(Routes, "ignore", Kind::Pointers, Is("[]"), "members of a JSON document that a digest leaves out, like [\"/served_at\"]; only with validator = \"content\""),
    key(Routes, "version_field", Kind::Pointer, Means("the origin's ETag, else its Last-Modified"), "the field of a JSON document that tells its version, like \"/version\"; only with validator = \"origin\""),
    key(Routes, "origin_enforces", Kind::Flag, Is("false"), "whether the origin itself compares If-Match, so that it is passed on; only with validator = \"origin\""),
    key(Routes, "precondition_from", Kind::Table(PreconditionFrom), Means("If-Match alone"), "where a client that sends no If-Match puts the version it saw: { query = \"rev\" }, { body = \"/_rev\" }, { form = \"version\" } or { header = \"X-Version\" }"),
    key(Routes, "unconditional", choice(&["require", "overlap", "allow", "infer"]), Is(r#""require""#), "a guarded write without a precondition: 428; or refused only beside another write; or let through; or judged by what its client last read"),
    key(Routes, "overlap", choice(&["refuse", "wait"]), Is(r#""refuse""#), "a write that meets another one to the same resource: 409, or wait and be judged again"),
    key(Routes, "wait_timeout", TIMEOUT, Is(r#""5s""#), "the longest that a write waits; only with overlap = \"wait\""),
    key(Routes, "max_waiters", count(1, 10_000), Is("16"), "the most writes that wait for one resource; only with overlap = \"wait\""),
    key(Routes, "guard", Kind::Methods, Is(r#"["PUT", "PATCH", "DELETE"]"#), "methods that need a precondition"),
    key(Routes, "reads", Kind::Methods, Is(r#"["GET", "HEAD"]"#), "methods that read; every other one is a write"),
    key(Routes, "principal", Kind::Table(Principal), Means("the client's address"), "who a client is: { header = \"Authorization\" } or { cookie = \"session\" }"),
    key(Routes, "when_unknown", choice(&["require", "overlap", "allow"]), Is(r#""require""#), "nothing is known of what this client read; only with unconditional = \"infer\""),
    key(Routes, "view_per", Kind::Table(ViewPer), Means("one view for all of a client"), "what tells apart the views of one client, such as tabs: { header = \"X-Tab\" } or { query = \"tab\" }; only with unconditional = \"infer\""),
    key(Routes, "view_in", choice(&["memory", "cookie"]), Is(r#""memory""#), "where a view is kept: here, or in a cookie for the resource's path; only with unconditional = \"infer\""),
    key(Routes, "also_changes", Kind::Templates, Is("[]"), "further resources that a write changes; [\"*\"]: every one of the upstream"),
    key(Routes, "read_lag", WAIT, Is(r#""0s""#), "how far the origin's reads may lag behind its writes"),
    key(Routes, "etag_on_put", choice(&["always", "verified", "never"]), Is(r#""always""#), "whether the answer to a PUT or PATCH carries the new tag; \"verified\": to a PUT, if a read-back equals what was sent"),
    key(Routes, "weak_if_match", choice(&["refuse", "accept"]), Is(r#""refuse""#), "whether a weak form of our tag satisfies If-Match"),
    key(Routes, "reveal_current", Kind::Flag, Is("false"), "whether a 412 tells the current tag"),
    key(Routes, "stale_status", MAPPED_STATUS, Is("412"), "in place of 412, for clients that know only others"),
    key(Routes, "missing_status", MAPPED_STATUS, Is("428"), "in place of 428, for clients that know only others"),
    key(Routes, "not_applied", FAILURES, Is("[]"), "answers of this origin that prove a write was not applied, beside the usual 4xx"),
    key(Routes, "maybe_applied", FAILURES, Is("[]"), "answers of this origin that do not prove it"),
    key(Routes, "verify_unknown", Kind::Flag, Is("false"), "whether the origin is asked, after settle, if a write of unknown outcome took effect; for the journal alone"),
    key(Routes, "fold", Kind::Table(Fold), Means("every fold"), "which spellings of a path are one resource"),
    key(Routes, "params", Kind::Patterns, Means("any value"), "a regular expression for the whole value of a path parameter: { id = \"[1-9][0-9]*\" }"),
    key(Routes, "unreadable", choice(&["refuse", "forward"]), Is(r#""refuse""#), "a body that a rule has to read and cannot: 400, or forwarded without that rule"),
    key(Routes, "create", choice(&["any", "only"]), Is(r#""any""#), "what a PUT may do: create or replace, or only create (409 already-exists)"),
    key(Routes, "unique", Kind::Tables(Unique), Means("no such value"), "values that no two records may share (409 duplicate-value)"),
    key(Routes, "transitions", Kind::Table(Transitions), Means("any move"), "which state may follow which (409 transition-not-allowed)"),
    key(Routes, "translate", Kind::Tables(Translate), Means("no such answer"), "answers to writes that mean a conflict (409 origin-conflict)"),
    key(Routes, "body_limit", Kind::Size { min: 1, max: GIB }, Is(r#""1MiB""#), "the most bytes of a body that a rule has to read"),
    key(Routes, "idempotency", Kind::Table(Idempotency), Means("Idempotency-Key is the origin's own business"), "requests with an Idempotency-Key are forwarded once, and sent again they hear the first answer"),
    key(Routes, "already_applied", choice(&["refuse", "answer"]), Is(r#""refuse""#), "a stale write that is the last applied one, sent again by the same principal: 412, or answered as it was"),
    key(Routes, "cors", Kind::Flag, Is("false"), "whether pages that the API lets in may send preconditions and keys, and read tags and refusals"),

    key(Principal, "header", Kind::Field, Means("no field"), "the field whose value tells clients apart"),
    key(Principal, "cookie", Kind::Cookie, Means("no cookie"), "the cookie whose value tells clients apart"),

    key(PreconditionFrom, "query", Kind::Parameter, Means("no parameter"), "the parameter of the query that holds it"),
    key(PreconditionFrom, "body", Kind::Pointer, Means("no member"), "the member of a JSON body that holds it"),
    key(PreconditionFrom, "form", Kind::Parameter, Means("no field of a form"), "the field of a form that holds it"),
    key(PreconditionFrom, "header", Kind::Field, Means("no field"), "the field that holds it"),
    key(ViewPer, "header", Kind::Field, Means("no field"), "the field whose value tells views apart; without it a request's view is unknown"),
    key(ViewPer, "query", Kind::Parameter, Means("no parameter"), "the query parameter whose value tells views apart; without it a request's view is unknown"),

    key(Fold, "dot_segments", Kind::Flag, Is("true"), "/a/./b and /a/x/../b are /a/b"),
    key(Fold, "empty_segments", Kind::Flag, Is("true"), "//a///b is /a/b"),
    key(Fold, "trailing_slash", Kind::Flag, Is("true"), "/a/ is /a"),
    key(Fold, "parameters", Kind::Flag, Is("true"), "/a;v=1 is /a"),
    key(Fold, "trailing_dots", Kind::Flag, Is("true"), "/a. and /a%20 are /a"),
    key(Fold, "case", Kind::Flag, Is("true"), "/A is /a"),
    key(Fold, "unicode", Kind::Flag, Is("true"), "compatibility forms and the digits of every script: /%EF%BC%91 is /1"),
    key(Fold, "leading_zeros", Kind::Flag, Is("true"), "/007, /+7, /7.0, /0_7 and /7e0 are /7: one whole number"),
    key(Fold, "format_suffix", Kind::Flag, Is("true"), "/a.json is /a"),

    key(Unique, "field", Kind::Pointer, Means("a form field"), "where the value stands in a JSON body: \"/email\""),
    key(Unique, "form", Kind::FormField, Means("a JSON field"), "the form field that holds it, in place of `field`"),
    key(Unique, "normalise", Kind::Steps, Is("[]"), "which spellings are one value: \"trim\", \"case\", \"nfc\" (Unicode)"),
    key(Unique, "scope", Kind::Text, Means("this rule alone"), "what it is unique among: rules of one upstream with one scope share their values"),
    key(Unique, "methods", Kind::Methods, Is(r#"["POST"]"#), "methods that take a value: those that create"),
    key(Unique, "lookup", Kind::LookUp, Means("only concurrent writes are kept apart"), "what the origin is asked before the write goes on: \"/customers?email={value}\""),
    key(Unique, "taken", Kind::Table(Taken), Means("status 200"), "which answer to that means that the value is taken"),

    key(Taken, "status", Kind::Status { min: 200, max: 599 }, Is("200"), "its status; another 2xx, 404 and 410 mean that it is free, the rest 503"),
    key(Taken, "field", Kind::Pointer, Means("no field"), "a member of its JSON that is there, and neither null nor empty: \"/0\" for a list that is not empty"),
    key(Taken, "pattern", Kind::Expression, Means("no pattern"), "a regular expression that is found in its body"),

    key(Transitions, "field", Kind::Pointer, Mistake, "where the state stands in what the origin shows: \"/state\""),
    key(Transitions, "to", Kind::Table(MoveTo), Mistake, "which state a write moves to: { body = \"/state\" }, { form = \"state\" } or { fixed = \"cancelled\" }"),
    key(Transitions, "look", Kind::LookUp, Means("the write's own target"), "where the origin shows the resource: \"/orders/{id}\""),
    key(Transitions, "allowed", Kind::Moves, Mistake, "for each state, those that may follow it: new = [\"paid\", \"cancelled\"]"),

    key(MoveTo, "body", Kind::Pointer, Means("not from JSON"), "the state that stands here in the JSON body"),
    key(MoveTo, "form", Kind::FormField, Means("not from a form"), "the state that this form field holds"),
    key(MoveTo, "fixed", Kind::Text, Means("not fixed"), "this state, for every write of the route"),

    key(Translate, "status", Kind::Statuses { min: 200, max: 599 }, Mistake, "the answer's status is one of these"),
    key(Translate, "field", Kind::Pointer, Means("no field"), "its JSON has this member, and it is not null"),
    key(Translate, "pattern", Kind::Expression, Means("no pattern"), "a regular expression that is found in that member or, without `field`, in the body"),
    key(Translate, "not_applied", Kind::Flag, Is("false"), "whether such an answer proves that nothing was applied"),

    key(Idempotency, "required", Kind::Flag, Is("false"), "whether a request without a key is refused"),
    key(Idempotency, "methods", Kind::Methods, Is(r#"["POST"]"#), "methods whose requests have a key"),
    key(Idempotency, "lifetime", LIFETIME, Is(r#""24h""#), "how long a first answer is kept, and an unknown outcome is known as such"),
    key(Idempotency, "keep_5xx", Kind::Flag, Is("false"), "whether an answer of 5xx counts as the first answer; otherwise the key is free again"),
];

/// Every key, section by section, in the order in which the reference file shows them.
pub fn keys() -> impl Iterator<Item = KeyDoc> {
    KEYS.iter().copied()
}

/// The keys of one section.
pub fn keys_of(section: Section) -> impl Iterator<Item = &'static KeyDoc> {
    KEYS.iter().filter(move |doc| doc.section == section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_once_in_its_section_and_says_what_it_is_for() {
        for doc in keys() {
            let same = keys_of(doc.section).filter(|other| other.key == doc.key).count();
            assert_eq!(same, 1, "{} {}", doc.section, doc.key);
            assert!(!doc.doc.is_empty() && !doc.doc.ends_with('.'), "{}", doc.key);
        }
    }

    #[test]
    fn every_section_has_keys() {
        for section in Section::ALL {
            assert!(keys_of(section).count() > 0, "{section}");
        }
    }
}
