//! Two people edit one document, with clients that never heard of preconditions.

use serde_json::{Value, json};

use super::stage::{Broken, Client, Stage, get, put, with};
use super::{Left, Scenario};
use crate::demo::connection::Answer;
use crate::demo::legacy_api::Documents;

const LIST: &str = "/notes/prices";

pub(super) const SCENARIO: Scenario = Scenario {
    name: "simultaneous-edits",
    summary: "two people edit one document, and neither client sends If-Match",
    story: "Ann and Bob have the same price list open. Each changes one price and saves the whole list. Their \
            clients know nothing of If-Match; all that tells them apart is the Authorization field.",
    routes: r#"[[routes]]
name = "note"
path = "/notes/{id}"
upstream = "shop"
unconditional = "infer"                      # who says nothing is judged by what he last read
principal = { header = "Authorization" }     # who "he" is
"#,
    refusals: &["stale-view"],
    remedy: "Bob was refused, loaded the list again, and changed his price in that",
    begin: |documents| documents.begin_with(LIST, json!({"id": "prices", "apples": 1, "pears": 1})),
    play: |stage| Box::pin(play(stage)),
    left,
};

async fn play(stage: &mut Stage) -> Result<(), Broken> {
    let (mut ann, mut bob) = (stage.client("Ann")?, stage.client("Bob")?);
    let seen_by_ann = stage.send(&mut ann, get(LIST)).await?;
    let seen_by_bob = stage.send(&mut bob, get(LIST)).await?;
    save(stage, &mut ann, &seen_by_ann, "apples", 3).await?;
    save(stage, &mut bob, &seen_by_bob, "pears", 5).await
}

/// Saves the list that was seen with one price changed; told of a conflict, loads the list again and
/// changes the price in that.
async fn save(
    stage: &mut Stage,
    client: &mut Client,
    seen: &Answer,
    item: &str,
    price: u32,
) -> Result<(), Broken> {
    let answer = stage.send(client, put(LIST, &with(seen.document(), item, price))).await?;
    if answer.refusal().is_some() {
        let seen = stage.send(client, get(LIST)).await?;
        stage.send(client, put(LIST, &with(seen.document(), item, price))).await?;
    }
    Ok(())
}

fn left(documents: &Documents) -> Left {
    let left = documents.document(LIST).unwrap_or_default();
    let number = |name: &str| left.get(name).and_then(Value::as_u64);
    match (number("apples"), number("pears")) {
        (Some(3), Some(5)) => Left::Sound("both changes are in"),
        (Some(1), Some(5)) => Left::Harmed("Ann's change is lost"),
        (_, _) => Left::Harmed("the list is not what anybody meant"),
    }
}
