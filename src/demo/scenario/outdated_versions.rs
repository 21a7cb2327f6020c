//! A program saves what it made of a version that is no longer the current one.

use serde_json::{Value, json};

use super::stage::{Broken, Stage, get, put, with};
use super::{Left, Scenario};
use crate::demo::legacy_api::Documents;

const PRODUCT: &str = "/products/apples";

pub(super) const SCENARIO: Scenario = Scenario {
    name: "outdated-versions",
    summary: "a program saves what it made of an old version",
    story: "A report reads a product and computes for a while; meanwhile Ann corrects the name. Then the report \
            saves the product with the stock that it has found. The API counts a product's versions, and all its \
            clients send the number back that they have read; but the API compares it with nothing.",
    routes: r#"[[routes]]
name = "product"
path = "/products/{id}"
upstream = "shop"
validator = "origin"                            # the API has versions of its own:
version_field = "/version"                      # here it says them,
precondition_from = { body = "/version" }       # and here its clients say which one they mean
"#,
    refusals: &["precondition-failed"],
    remedy: "the report was refused, read the product again, and put its stock into that",
    begin: |documents| {
        documents.begin_with(PRODUCT, json!({"id": "apples", "version": 1, "name": "Aples", "stock": 0}));
    },
    play: |stage| Box::pin(play(stage)),
    left,
};

async fn play(stage: &mut Stage) -> Result<(), Broken> {
    let (mut report, mut ann) = (stage.client("report")?, stage.client("Ann")?);
    let old = stage.send(&mut report, get(PRODUCT)).await?;
    let seen = stage.send(&mut ann, get(PRODUCT)).await?;
    stage.send(&mut ann, put(PRODUCT, &with(seen.document(), "name", "Apples"))).await?;
    let answer = stage.send(&mut report, put(PRODUCT, &with(old.document(), "stock", 12))).await?;
    if answer.refusal().is_some() {
        let new = stage.send(&mut report, get(PRODUCT)).await?;
        stage.send(&mut report, put(PRODUCT, &with(new.document(), "stock", 12))).await?;
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
