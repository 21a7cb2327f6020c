//! Two people store different things under one name.

use serde_json::Value;

use super::stage::{Broken, Stage, get, put_text};
use super::{Left, Scenario};
use crate::demo::legacy_api::Documents;

const NAME: &str = "/files/report.txt";
const OTHER_NAME: &str = "/files/report-2.txt";
const BY_ANN: &str = "Ann's report";
const BY_BOB: &str = "Bob's report";

pub(super) const SCENARIO: Scenario = Scenario {
    name: "names-in-use",
    summary: "two people store different files under one name",
    story: "Ann and Bob each upload a new report, and both call it report.txt. The API takes the second one for a \
            newer text of the first.",
    routes: r#"[[routes]]
name = "file"
path = "/files/{name}"
upstream = "shop"
create = "only"      # a PUT makes something new or nothing
"#,
    refusals: &["already-exists"],
    remedy: "Bob was refused, and took another name",
    begin: |_| {},
    play: |stage| Box::pin(play(stage)),
    left,
};

async fn play(stage: &mut Stage) -> Result<(), Broken> {
    let (mut ann, mut bob) = (stage.client("Ann")?, stage.client("Bob")?);
    stage.send(&mut ann, put_text(NAME, BY_ANN)).await?;
    let uploaded = stage.send(&mut bob, put_text(NAME, BY_BOB)).await?;
    if uploaded.refusal().is_some() {
        stage.send(&mut bob, put_text(OTHER_NAME, BY_BOB)).await?;
    }
    stage.send(&mut ann, get(NAME)).await?;
    Ok(())
}

fn left(documents: &Documents) -> Left {
    let text = |path| documents.document(path).as_ref().and_then(Value::as_str).map(str::to_owned);
    match (text(NAME).as_deref(), text(OTHER_NAME).as_deref()) {
        (Some(BY_ANN), Some(BY_BOB)) => Left::Sound("both reports are there"),
        (Some(BY_BOB), None) => Left::Harmed("Ann's report is lost"),
        (_, _) => Left::Harmed("the files are not what anybody meant"),
    }
}
