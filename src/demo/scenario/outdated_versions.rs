//! A program saves what it made of a version that is no longer the current one.

use http::header::IF_MATCH;
use serde_json::{Value, json};

use super::stage::{Broken, Stage, get, put, with};
use super::{Left, Scenario};
use crate::demo::legacy_api::Documents;

const PRODUCT: &str = "/notes/product";

pub(super) const SCENARIO: Scenario = Scenario {
    name: "outdated-versions",
    summary: "a program saves what it made of an old version",
    story: "A report reads a product and computes for a while; meanwhile Ann corrects the name. Then the report \
            saves the product with the stock that it has found. It would say in If-Match which version that is \
            based on, but the API gives it no tag to say it with.",
    routes: r#"[[routes]]
name = "note"
path = "/notes/{id}"
upstream = "shop"
validator = "version"           # these two are so by default: every read gets a tag,
unconditional = "require"       # and a write has to say which one it is based on
"#,
    refusals: &["precondition-failed"],
    remedy: "the report was refused, read the product again, and put its stock into that",
    begin: |documents| documents.begin_with(PRODUCT, json!({"id": "product", "name": "Aples", "stock": 0})),
    play: |stage| Box::pin(play(stage)),
    left,
};

async fn play(stage: &mut Stage) -> Result<(), Broken> {
    let (mut report, mut ann) = (stage.client("report")?, stage.client("Ann")?);
    let old = stage.send(&mut report, get(PRODUCT)).await?;
    let seen = stage.send(&mut ann, get(PRODUCT)).await?;
    let corrected = with(seen.document(), "name", "Apples");
    stage.send(&mut ann, put(PRODUCT, &corrected).with(IF_MATCH, seen.tag())).await?;
    let counted = with(old.document(), "stock", 12);
    let answer = stage.send(&mut report, put(PRODUCT, &counted).with(IF_MATCH, old.tag())).await?;
    if answer.refusal().is_some() {
        let new = stage.send(&mut report, get(PRODUCT)).await?;
        let counted = with(new.document(), "stock", 12);
        stage.send(&mut report, put(PRODUCT, &counted).with(IF_MATCH, new.tag())).await?;
    }
    Ok(())
}

fn left(documents: &Documents) -> Left {
    let left = documents.document(PRODUCT).unwrap_or_default();
    let (name, stock) = (left.get("name"), left.get("stock"));
    match (name.and_then(Value::as_str), stock.and_then(Value::as_u64)) {
        (Some("Apples"), Some(12)) => Left::Sound("the correction and the stock are in"),
        (Some("Aples"), Some(12)) => Left::Harmed("Ann's correction is undone"),
        (_, _) => Left::Harmed("the product is not what anybody meant"),
    }
}
