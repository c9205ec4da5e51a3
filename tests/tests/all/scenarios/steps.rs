//! Steps that several scenarios take.

use serde_json::Value;
use spark_tests::binary::{Automagik, PATIENCE};
use spark_tests::eventually;
use spark_tests::target::Target;

/// A server with the target as its only source, and these flows synced.
pub(crate) async fn connected(target: &Target, flows: &[&str]) -> Automagik {
    let automagik = Automagik::started().await;
    add_source(&automagik, target, target.key()).await;
    for flow in flows {
        automagik.ok(&["flow", "sync", flow]).await;
    }
    automagik
}

/// Adds the target as source `lf`, with this key.
pub(crate) async fn add_source(automagik: &Automagik, target: &Target, key: &str) {
    automagik.ok(&["source", "add", target.url(), "--name", "lf", "--api-key", key]).await;
}

/// A task as `task show` gives it.
pub(crate) async fn shown(automagik: &Automagik, task: &str) -> Value {
    automagik.json(&["task", "show", task]).await
}

/// Waits until LangFlow has taken the task as a background job; gives the job's id.
pub(crate) async fn job_of(automagik: &Automagik, task: &str) -> String {
    eventually(PATIENCE, || async {
        let row = shown(automagik, task).await;
        row["job_id"].as_str().map(str::to_owned)
    })
    .await
}

/// The types of the events of a stream, oldest first.
pub(crate) async fn history(automagik: &Automagik, kind: &str, id: &str) -> Vec<String> {
    let events = automagik.rows(&["history", kind, id]).await;
    events.iter().map(|event| text(event, "type")).collect()
}

/// A field that holds text.
#[track_caller]
pub(crate) fn text(row: &Value, field: &str) -> String {
    let found = row[field].as_str();
    found.unwrap_or_else(|| panic!("no text in {field:?}: {row}")).to_owned()
}

/// The attempts of a task.
#[track_caller]
pub(crate) fn attempts(task: &Value) -> &[Value] {
    let rows = task["attempt_rows"].as_array();
    rows.unwrap_or_else(|| panic!("no attempts: {task}"))
}

/// Waits until rows of a list fulfil a condition, and gives them.
pub(crate) async fn until(
    automagik: &Automagik,
    list: &[&str],
    holds: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    eventually(PATIENCE, || async {
        let rows = automagik.rows(list).await;
        holds(&rows).then_some(rows)
    })
    .await
}
