//! A device that was offline comes back with what it knew before, while somebody wrote past the guard.

use http::header::IF_MATCH;
use serde_json::{Value, json};

use super::stage::{Broken, Stage, get, put, with};
use super::{Left, Scenario};
use crate::demo::connection::Answer;
use crate::demo::legacy_api::Documents;

const SHELF: &str = "/notes/shelf";

pub(super) const SCENARIO: Scenario = Scenario {
    name: "out-of-step-devices",
    summary: "a device that was offline writes over what a job did meanwhile, past the guard",
    story: "A tablet loads a shelf and loses the network. Its user notes two sold apples. Meanwhile the nightly \
            job, which has its own way to the API, adds a delivery. Then the tablet is back and sends what it \
            has: its copy of the shelf, with the tag that it got with it, if it got one.",
    routes: r#"[[routes]]
name = "note"
path = "/notes/{id}"
upstream = "shop"
validator = "content"       # the tag is a digest: what was written past ifmatch is seen too
"#,
    refusals: &["precondition-failed"],
    remedy: "the tablet was refused, loaded the shelf again, and took the two apples off that",
    begin: |documents| documents.begin_with(SHELF, json!({"id": "shelf", "apples": 10, "pears": 10})),
    play: |stage| Box::pin(play(stage)),
    left,
};

async fn play(stage: &mut Stage) -> Result<(), Broken> {
    let mut tablet = stage.client("tablet")?;
    let mut job = stage.client_that_bypasses("job")?;
    let known = stage.send(&mut tablet, get(SHELF)).await?;
    let there = stage.send(&mut job, get(SHELF)).await?;
    stage.send(&mut job, put(SHELF, &with(there.document(), "pears", 60))).await?;
    let answer = stage.send(&mut tablet, put(SHELF, &two_sold(&known)).with(IF_MATCH, known.tag())).await?;
    if answer.refusal().is_some() {
        let new = stage.send(&mut tablet, get(SHELF)).await?;
        stage.send(&mut tablet, put(SHELF, &two_sold(&new)).with(IF_MATCH, new.tag())).await?;
    }
    Ok(())
}

fn two_sold(known: &Answer) -> Value {
    let shelf = known.document();
    let apples = shelf.get("apples").and_then(Value::as_u64).unwrap_or_default();
    with(shelf, "apples", apples.saturating_sub(2))
}

fn left(documents: &Documents) -> Left {
    let left = documents.document(SHELF).unwrap_or_default();
    let number = |name: &str| left.get(name).and_then(Value::as_u64);
    match (number("apples"), number("pears")) {
        (Some(8), Some(60)) => Left::Sound("sale and delivery are in"),
        (Some(8), Some(10)) => Left::Harmed("the delivery is lost"),
        (_, _) => Left::Harmed("the shelf is not what anybody meant"),
    }
}
