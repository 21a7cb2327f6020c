//! An order is shipped while somebody cancels it.

use serde_json::{Value, json};

use super::stage::{Broken, Stage, get, post_nothing};
use super::{Left, Scenario};
use crate::demo::legacy_api::Documents;
use crate::demo::legacy_api::hold::Point;

const ORDER: &str = "/orders/7";

pub(super) const SCENARIO: Scenario = Scenario {
    name: "state-moves",
    summary: "an order is shipped while somebody cancels it",
    story: "The store sends a parcel off, and tells the API. While the API is at it, Ann cancels the order. The API \
            makes every move that it is asked for, and pays her money back.",
    routes: r#"[[routes]]
name = "ship"
path = "/orders/{id}/ship"
upstream = "shop"
resource = "order:{id}"               # both moves are moves of one resource

[routes.transitions]
field = "/state"                      # where the order says its state,
look = "/orders/{id}"                 # where the order is,
to = { fixed = "shipped" }            # and what this path makes of it

[routes.transitions.allowed]
paid = ["shipped", "cancelled"]

[[routes]]
name = "cancel"
path = "/orders/{id}/cancel"
upstream = "shop"
resource = "order:{id}"

[routes.transitions]
field = "/state"
look = "/orders/{id}"
to = { fixed = "cancelled" }

[routes.transitions.allowed]
paid = ["shipped", "cancelled"]       # nothing may follow shipped or cancelled

[[routes]]
name = "order"
path = "/orders/{id}"
upstream = "shop"
resource = "order:{id}"
"#,
    refusals: &["write-in-flight", "transition-not-allowed"],
    remedy: "Ann was refused, while the order was being shipped and again when it was",
    begin: |documents| documents.begin_with(ORDER, json!({"id": "7", "item": "lamp", "state": "paid"})),
    play: |stage| Box::pin(play(stage)),
    left,
};

async fn play(stage: &mut Stage) -> Result<(), Broken> {
    let store = stage.client("store")?;
    let mut ann = stage.client("Ann")?;
    let cancel = || post_nothing("/orders/7/cancel");
    let shipping = stage.begin(store, post_nothing("/orders/7/ship"), Point::BeforeStoring).await?;
    let cancelled = stage.send(&mut ann, cancel()).await?;
    stage.finish(shipping).await?;
    if cancelled.refusal().is_some() {
        stage.tell("Ann", "tries once more, now that the other move is made");
        stage.send(&mut ann, cancel()).await?;
    }
    stage.send(&mut ann, get(ORDER)).await?;
    Ok(())
}

fn left(documents: &Documents) -> Left {
    let left = documents.document(ORDER).unwrap_or_default();
    let text = |name: &str| left.get(name).and_then(Value::as_str);
    match (text("state"), text("parcel"), text("refund")) {
        (Some("shipped"), Some("sent"), None) => Left::Sound("the lamp is sent, and paid for"),
        (_, Some("sent"), Some("paid")) => Left::Harmed("the lamp is sent, and paid back"),
        (_, _, _) => Left::Harmed("the order is not what anybody meant"),
    }
}
