//! A Flask app on SQLite whose UNIQUE constraint ends in a 500, behind the proxy.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::foreign::{Program, installed};
use crate::harness::{Client, Proxy, RequestText, request, with_origin};

const CUSTOMERS: &str = r#"
[[routes]]
name = "customers"
path = "/customers"
upstream = "origin"
"#;

const TRANSLATE: &str = r#"
[[routes.translate]]
status = [500]
pattern = "UNIQUE constraint failed"
not_applied = true
"#;

/// The app's look-up does not trim, so neither may the rule: what was kept with a blank would not be found.
const UNIQUE: &str = r#"
[[routes.unique]]
field = "/email"
normalise = ["case"]
lookup = "/customers?email={value}"
taken = { field = "/0" }
"#;

/// The app, its database, and the proxy with these rules.
struct Behind {
    app: Program,
    proxy: Proxy,
    database: PathBuf,
}

impl Drop for Behind {
    fn drop(&mut self) {
        // It may not be there yet.
        let _removed = std::fs::remove_file(&self.database);
    }
}

fn behind(rules: &str, name: &str) -> Option<Behind> {
    let file = format!("flask-{}-{name}.db", std::process::id());
    let database = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(file);
    let app = installed()?.flask(&database);
    let proxy = Proxy::start(&with_origin(app.address(), &format!("{CUSTOMERS}{rules}")));
    Some(Behind { app, proxy, database })
}

impl Behind {
    fn direct(&self, request: &RequestText) -> Value {
        Client::connect(self.app.address()).ask(request).expect(200).json()
    }

    fn customers(&self) -> usize {
        self.direct(&request("GET", "/customers")).as_array().expect("a list").len()
    }

    fn tried(&self) -> usize {
        self.direct(&request("GET", "/tried")).as_array().expect("a list").len()
    }
}

fn create(email: &str) -> RequestText {
    let body = json!({"email": email, "name": "x"}).to_string();
    request("POST", "/customers").field("Content-Type", "application/json").body(body)
}

/// The statuses of creates of one customer, all at once.
fn at_once(proxy: &Proxy, emails: &[&str]) -> Vec<u16> {
    let begun: Vec<_> = emails.iter().map(|email| proxy.begin(&create(email))).collect();
    let mut statuses: Vec<u16> = begun.into_iter().map(|pending| pending.answer().status).collect();
    statuses.sort_unstable();
    statuses
}

#[test]
fn the_500_of_a_constraint_is_told_as_a_conflict() {
    let Some(plain) = behind("", "plain") else { return };
    plain.proxy.ask(&create("bob@x.org")).expect(201);
    let told = plain.proxy.ask(&create("BOB@x.org")).expect(500);
    assert!(told.text().contains("UNIQUE constraint failed: customers.email"), "{told}");
    let Some(translated) = behind(TRANSLATE, "translated") else { return };
    translated.proxy.ask(&create("bob@x.org")).expect(201);
    let before = translated.proxy.get("/customers").expect(200);
    let told = translated.proxy.ask(&create("BOB@x.org")).expect_refusal(409, "origin-conflict");
    assert!(!told.text().contains("UNIQUE") && !told.text().contains("customers.email"), "{told}");
    assert_eq!(translated.proxy.tag("/customers"), before.tag(), "nothing was applied");
    // Any other failure stays what it is.
    let broken = request("POST", "/customers").field("Content-Type", "application/json").body("{}");
    let failed = translated.proxy.ask(&broken).expect(500);
    assert!(failed.text().contains("KeyError"), "{failed}");
    let statuses = at_once(&translated.proxy, &["eve@x.org"; 8]);
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!((translated.customers(), translated.tried()), (2, 10), "each of them reached the app");
}

#[test]
fn with_the_unique_rule_exactly_one_create_reaches_the_app() {
    let Some(behind) = behind(&format!("{UNIQUE}{TRANSLATE}"), "unique") else { return };
    for round in 1..=5 {
        let [one, two, three] =
            [format!("bob{round}@x.org"), format!("Bob{round}@X.org"), format!("BOB{round}@x.org")];
        let emails = [&one, &two, &three, &one, &two, &three, &one, &two].map(String::as_str);
        assert_eq!(at_once(&behind.proxy, &emails), [201, 409, 409, 409, 409, 409, 409, 409]);
        assert_eq!((behind.customers(), behind.tried()), (round, round));
        let late = behind.proxy.ask(&create(&two)).expect_refusal(409, "duplicate-value");
        assert!(!late.has("Retry-After"), "{late}");
    }
    behind.proxy.expect_metric("ifmatch_conflicts_total{kind=\"origin-conflict\"}", 0);
}
