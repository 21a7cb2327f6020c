//! `ifmatch schema`: the JSON Schema (draft 2020-12) of the file, from the table of keys.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::config::keys::{Absent, KeyDoc, Kind, Section, keys_of};

/// Prints the schema.
pub fn print() -> ExitCode {
    super::print(&format!("{:#}\n", schema()))
}

/// The schema. It knows keys, types, limits and names; what takes more than one key to judge is told by
/// `ifmatch check` alone.
pub fn schema() -> Value {
    let mut root = table(Section::Root);
    if let Value::Object(members) = &mut root {
        members.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        members.insert("title".to_owned(), json!("ifmatch"));
    }
    root
}

fn table(section: Section) -> Value {
    let properties: Map<String, Value> =
        keys_of(section).map(|doc| (doc.key.to_owned(), property(doc))).collect();
    let required: Vec<&str> =
        keys_of(section).filter(|doc| doc.absent == Absent::Mistake).map(|doc| doc.key).collect();
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if let (Value::Object(members), false) = (&mut table, required.is_empty()) {
        members.insert("required".to_owned(), json!(required));
    }
    if let (Value::Object(members), Section::Principal | Section::ViewPer) = (&mut table, section) {
        members.insert("minProperties".to_owned(), json!(1));
        members.insert("maxProperties".to_owned(), json!(1));
    }
    table
}

fn property(doc: &KeyDoc) -> Value {
    let mut property = of_kind(doc.kind);
    let Value::Object(members) = &mut property else { return property };
    match doc.absent {
        Absent::Default(text) => {
            members.insert("description".to_owned(), json!(doc.doc));
            members.extend(default(text).map(|value| ("default".to_owned(), value)));
        }
        Absent::Means(words) => {
            let text = format!("{} (default: {words})", doc.doc);
            members.insert("description".to_owned(), json!(text));
        }
        Absent::Mistake => {
            members.insert("description".to_owned(), json!(doc.doc));
        }
    }
    property
}

/// The table of keys writes defaults as the file would.
fn default(text: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("value = {text}")).ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

fn of_kind(kind: Kind) -> Value {
    const ADDRESS: &str = r"^(\[[0-9A-Fa-f:.]+\]|[0-9.]+):[0-9]+$";
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let list = |least: usize, element: Value| json!({ "type": "array", "items": element, "minItems": least, "uniqueItems": true });
    let status = |min, max| json!({ "type": "integer", "minimum": min, "maximum": max });
    match kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Span { .. } => text("^[0-9]+(ms|s|m|h)$"),
        Kind::Size { .. } => text("^[0-9]+(B|kB|KiB|MB|MiB|GB|GiB)$"),
        Kind::Choice { names, .. } => json!({ "enum": names }),
        Kind::Addresses => json!({ "anyOf": [text(ADDRESS), list(1, text(ADDRESS))] }),
        Kind::AddressOrOff => json!({ "anyOf": [{ "const": "off" }, text(ADDRESS)] }),
        Kind::Pseudonym | Kind::Cookie | Kind::Field => text("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
        Kind::File => text("[^/]$"),
        Kind::Servers => list(1, text(":[0-9]+$")),
        Kind::Name => text("^[A-Za-z0-9_.-]{1,64}$"),
        Kind::Hosts => list(1, text("^[^/]+$")),
        Kind::Pattern => text("^/"),
        Kind::Upstream | Kind::Template => text("."),
        Kind::Templates => list(0, text(".")),
        Kind::Methods => list(1, text("^[^a-z ]+$")),
        Kind::Status { min, max } => status(min, max),
        Kind::Statuses { min, max } => list(0, status(min, max)),
        Kind::Parameter => text(r"^[^\s&;=#%+]+$"),
        Kind::Table(section) => table(section),
        Kind::Named(section) => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": "^[A-Za-z0-9_.-]{1,64}$" },
            "additionalProperties": table(section),
        }),
        Kind::Tables(section) => json!({ "type": "array", "minItems": 1, "items": table(section) }),
        Kind::Patterns => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of a file the schema refuses. Knows the words of the schema above, and no others.
    fn refused(schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for (word, limit) in schema.as_object().expect("a schema is an object") {
            let holds = match word.as_str() {
                "type" => match limit.as_str().expect("one type") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64(),
                    "boolean" => value.is_boolean(),
                    other => panic!("the type {other}"),
                },
                "enum" => limit.as_array().expect("names").contains(value),
                "const" => limit == value,
                "pattern" => {
                    let pattern = regex::Regex::new(limit.as_str().expect("a text")).expect("a pattern");
                    value.as_str().is_none_or(|text| pattern.is_match(text))
                }
                "minimum" => value.as_i64() >= limit.as_i64(),
                "maximum" => value.as_i64() <= limit.as_i64(),
                "minItems" => {
                    value.as_array().is_none_or(|list| list.len() as u64 >= limit.as_u64().expect("n"))
                }
                "minProperties" => {
                    value.as_object().is_none_or(|o| o.len() as u64 >= limit.as_u64().expect("n"))
                }
                "maxProperties" => {
                    value.as_object().is_none_or(|o| o.len() as u64 <= limit.as_u64().expect("n"))
                }
                "required" => limit.as_array().expect("names").iter().all(|name| {
                    value.as_object().is_none_or(|o| o.contains_key(name.as_str().expect("a name")))
                }),
                "anyOf" => {
                    limit.as_array().expect("schemas").iter().any(|one| refused(one, value, at).is_empty())
                }
                "items" => {
                    for (i, element) in value.as_array().into_iter().flatten().enumerate() {
                        wrong.extend(refused(limit, element, &format!("{at}[{i}]")));
                    }
                    true
                }
                "additionalProperties" => {
                    let none = Map::new();
                    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
                    for (key, member) in value.as_object().into_iter().flatten() {
                        match (known.get(key), limit) {
                            (Some(known), _) => wrong.extend(refused(known, member, &format!("{at}.{key}"))),
                            (None, Value::Bool(false)) => wrong.push(format!("{at}.{key}: unknown")),
                            (None, others) => wrong.extend(refused(others, member, &format!("{at}.{key}"))),
                        }
                    }
                    true
                }
                "properties" | "propertyNames" | "description" | "default" | "uniqueItems" | "$schema"
                | "title" => true,
                other => panic!("the word {other}"),
            };
            if !holds {
                wrong.push(format!("{at}: {word} {limit}"));
            }
        }
        wrong
    }

    fn of_toml(text: &str) -> Value {
        serde_json::to_value(toml::from_str::<toml::Table>(text).expect("TOML")).expect("JSON")
    }

    #[test]
    fn the_example_files_are_what_the_schema_describes() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).expect("the folder of examples") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a text");
            assert_eq!(refused(&schema(), &of_toml(&text), ""), [""; 0], "{}", path.display());
            seen += 1;
        }
        assert!(seen >= 6, "{seen} examples");
    }

    #[test]
    fn the_schema_refuses_unknown_keys_wrong_types_and_bare_numbers() {
        let text = "server = { lisen = 1, workers = \"a\", drain_timeout = 5 }\n\
                    routes = [{ name = \"a\", path = \"/\", upstream = \"u\", mode = \"on\" }]";
        let wrong = refused(&schema(), &of_toml(text), "");
        for place in [
            ".server.lisen: unknown",
            ".server.workers: type",
            ".server.drain_timeout: type",
            ".routes[0].mode: enum",
            ": required",
        ] {
            assert!(wrong.iter().any(|w| w.starts_with(place)), "{place} in {wrong:?}");
        }
    }

    #[test]
    fn every_default_is_a_value_that_the_schema_takes() {
        for section in Section::ALL {
            for doc in keys_of(section) {
                if let Absent::Default(text) = doc.absent {
                    let default = default(text).expect("a default is TOML");
                    assert_eq!(refused(&of_kind(doc.kind), &default, doc.key), [""; 0]);
                }
            }
        }
    }
}
