//! A client sends its order again, because the answer to the first one was lost.

use http::{HeaderName, HeaderValue};
use serde_json::json;

use super::stage::{Broken, Stage, post};
use super::{Left, Scenario};
use crate::demo::legacy_api::Documents;
use crate::demo::legacy_api::hold::Point;

const ORDERS: &str = "/orders";
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(super) const SCENARIO: Scenario = Scenario {
    name: "duplicate-creation",
    summary: "a client sends its order twice, because the answer to the first one was lost",
    story: "Ann orders a lamp. The order is stored, and then her phone loses the network, and with it the answer. \
            Her client does not know, and sends the order again, with the Idempotency-Key of the first try. The \
            API knows nothing of such keys.",
    routes: r#"[[routes]]
name = "orders"
path = "/orders"
upstream = "shop"
principal = { header = "Authorization" }     # a key counts for the client that made it

[routes.idempotency]
required = true
"#,
    refusals: &["idempotency-key-in-use"],
    remedy: "the second request was refused while the first was under way, and the third got the answer of the first",
    begin: |_| {},
    play: |stage| Box::pin(play(stage)),
    left,
};

async fn play(stage: &mut Stage) -> Result<(), Broken> {
    let order =
        post(ORDERS, &json!({"item": "lamp"})).with(KEY, Some(HeaderValue::from_static("\"lamp-1\"")));
    let ann = stage.client("Ann")?;
    let first = stage.begin(ann, order.clone(), Point::BeforeAnswering).await?;
    let (mut ann, held) = stage.give_up(first).await?;
    let again = stage.send(&mut ann, order.clone()).await?;
    drop(held);
    if let Some(kind) = again.refusal() {
        stage.tell("Ann", "waits, and sends it once more");
        stage.send_until_not(&kind, &mut ann, order).await?;
    }
    Ok(())
}

fn left(documents: &Documents) -> Left {
    match documents.below("/orders/").len() {
        1 => Left::Sound("one lamp is ordered"),
        2 => Left::Harmed("two lamps are ordered"),
        _ => Left::Harmed("the orders are not what anybody meant"),
    }
}
