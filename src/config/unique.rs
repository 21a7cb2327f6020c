//! `[[routes.unique]]`

use http::{Method, StatusCode};

use super::keys::Section;
use super::look::{AsksAbout, look};
use super::nearest::nearest;
use super::reader::{Empty, Table, Value};
use super::route::RouteDraft;
use super::values::{Mistake, expression, form_field, json_pointer, method, quote, some_text};
use crate::decide::unique::{LookUp, Normalise, Taken, Unique};
use crate::identify::content::Place;
use crate::identify::look::LookTemplate;
use crate::identify::route_table::PathPattern;

/// Reads the rules of a route with this name. Without its path, look-ups are not looked at.
pub(super) fn unique(
    value: &Value<'_>,
    path: Option<&PathPattern>,
    route: Option<&str>,
) -> Option<Vec<Unique>> {
    let elements = value.elements()?;
    if elements.is_empty() {
        return value.tell(Mistake::found("an empty list"));
    }
    let rules: Vec<_> = elements
        .iter()
        .map(|element| one(element, &element.table(Section::Unique)?, path, route.unwrap_or_default()))
        .collect();
    rules.into_iter().collect()
}

fn one(value: &Value<'_>, table: &Table<'_>, path: Option<&PathPattern>, route: &str) -> Option<Unique> {
    let field = table.read_if_given("field", |value| value.parsed(json_pointer));
    let form = table.read_if_given("form", |value| value.parsed(form_field));
    let normalise = table.read("normalise", normalise);
    let scope = table.read_if_given("scope", |value| value.parsed(some_text));
    let methods: Option<Vec<Method>> =
        table.read("methods", |value| value.list(Empty::Refused, |element| element.parsed(method)));
    let target: Option<Option<LookTemplate>> = table.read_if_given("lookup", |value| {
        value.text()?;
        let path = path?;
        value.parsed(|text| look(text, path, AsksAbout::AValue))
    });
    let taken = table.read_if_given("taken", taken);
    let place = match (field?, form?) {
        (Some(pointer), None) => Place::Json(pointer),
        (None, Some(name)) => Place::Form(name),
        (Some(_), Some(_)) => return value.tell(one_place("field and form")),
        (None, None) => return value.tell(one_place("neither field nor form")),
    };
    let look_up = match (target?, taken?) {
        (Some(target), taken) => Some(LookUp { target, taken: taken.unwrap_or(ANY_200) }),
        (None, None) => None,
        (None, Some(_)) => {
            let mistake = Mistake::found("nothing is looked up here").expected("lookup beside it");
            return table.given("taken")?.tell(mistake);
        }
    };
    // What no other rule can say by itself.
    let scope = scope?.unwrap_or_else(|| format!("{route} {place}"));
    Some(Unique { place, normalise: normalise?, scope, methods: methods?, look_up })
}

const ANY_200: Taken = Taken { status: StatusCode::OK, field: None, pattern: None };

fn one_place(found: &str) -> Mistake {
    Mistake::found(found).expected("field = \"/email\" or form = \"email\"")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Trim,
    Case,
    Nfc,
}

fn normalise(value: &Value<'_>) -> Option<Normalise> {
    const STEPS: [(&str, Step); 3] = [("trim", Step::Trim), ("case", Step::Case), ("nfc", Step::Nfc)];
    let step = |text: &str| {
        let known = STEPS.iter().find(|(name, _)| *name == text).map(|(_, step)| *step);
        known.ok_or_else(|| {
            let meant = nearest(text, STEPS.iter().map(|(name, _)| *name)).map(quote);
            Mistake::found(format!("{} is not known", quote(text))).meant(meant)
        })
    };
    let steps = value.list(Empty::Allowed, |element| element.parsed(step))?;
    let has = |step| steps.contains(&step);
    Some(Normalise { trim: has(Step::Trim), case: has(Step::Case), nfc: has(Step::Nfc) })
}

fn taken(value: &Value<'_>) -> Option<Taken> {
    let table = value.table(Section::Taken)?;
    let status = table.status("status");
    let field = table.read_if_given("field", |value| value.parsed(json_pointer));
    let pattern = table.read_if_given("pattern", |value| value.parsed(expression));
    Some(Taken { status: status?, field: field?, pattern: pattern? })
}

/// Tells rules that share their values and take other spellings for one: a value of one could then slip by the
/// other.
pub(super) fn tell_scopes(drafts: &[RouteDraft<'_>]) {
    let mut seen: Vec<(&str, &Unique)> = Vec::new();
    for draft in drafts {
        let Some(route) = &draft.checked else { continue };
        for rule in &route.policy.unique {
            let upstream = &*route.policy.upstream;
            let same = |(of, other): &&(&str, &Unique)| *of == upstream && other.scope == rule.scope;
            match seen.iter().find(same) {
                Some((_, other)) if other.normalise != rule.normalise => {
                    if let Some(value) = &draft.unique {
                        let found = format!("the scope {} is normalised in two ways", quote(&rule.scope));
                        value.tell::<()>(
                            Mistake::found(found).expected("one normalise for every rule of a scope"),
                        );
                    }
                }
                Some(_) => {}
                None => seen.push((upstream, rule)),
            }
        }
    }
}
