//! Two sign-ups with one e-mail at the same time: both find it free.

use serde_json::json;

use super::stage::{Broken, Stage, post};
use super::{Left, Scenario};
use crate::demo::legacy_api::Documents;
use crate::demo::legacy_api::hold::Point;

const CUSTOMERS: &str = "/customers";

pub(super) const SCENARIO: Scenario = Scenario {
    name: "unique-values",
    summary: "two sign-ups with one e-mail at the same time, and both find it free",
    story: "Ann signs up on her phone. It takes long, so she does it again on her laptop, where she writes her \
            e-mail in another way. The API looks whether an e-mail is taken, and then stores the customer; both \
            have looked before either is stored.",
    routes: r#"[[routes]]
name = "customers"
path = "/customers"
upstream = "shop"

[[routes.unique]]
field = "/email"                          # no two customers with one of these,
normalise = ["trim", "case", "nfc"]       # however it is written
methods = ["POST"]
lookup = "/customers?email={value}"       # how the API is asked for it, and
taken = { status = 200, field = "/0" }    # what it says where there is such a customer
"#,
    refusals: &["duplicate-value", "duplicate-value"],
    remedy: "the laptop was refused, while the phone's sign-up was under way and again when it was stored",
    begin: |_| {},
    play: |stage| Box::pin(play(stage)),
    left,
};

async fn play(stage: &mut Stage) -> Result<(), Broken> {
    let sign_up = |email| post(CUSTOMERS, &json!({ "email": email }));
    let phone = stage.client("phone")?;
    let mut laptop = stage.client("laptop")?;
    let first = stage.begin(phone, sign_up("ann@example.com"), Point::BeforeStoring).await?;
    let second = stage.send(&mut laptop, sign_up("Ann@Example.com")).await?;
    stage.finish(first).await?;
    if second.refusal().is_some() {
        stage.tell("laptop", "tries once more, now that the first one is stored");
        stage.send(&mut laptop, sign_up("Ann@Example.com")).await?;
    }
    Ok(())
}

fn left(documents: &Documents) -> Left {
    match documents.below("/customers/").len() {
        1 => Left::Sound("there is one Ann"),
        2 => Left::Harmed("Ann is there twice"),
        _ => Left::Harmed("the customers are not what anybody meant"),
    }
}
