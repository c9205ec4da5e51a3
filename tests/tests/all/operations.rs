//! What an operator does with the real binary: looks at what is wrong, serves without a worker, and
//! gets a read model past an event that it cannot read.

use serde_json::Value;
use spark_tests::binary::{Automagik, PATIENCE};
use spark_tests::eventually;
use spark_tests::fake_langflow::{FakeLangFlow, Options};

async fn connected(mut automagik: Automagik) -> (Automagik, FakeLangFlow) {
    let langflow = FakeLangFlow::start(Options::default()).await;
    automagik.up().await;
    automagik.ok(&["source", "add", &langflow.url(), "--name", "dev"]).await;
    automagik.ok(&["flow", "sync", "e2e-echo"]).await;
    (automagik, langflow)
}

/// What the doctor finds of one thing: the verdict, and what it says.
fn found(findings: &[Value], check: &str) -> (String, String) {
    let one = findings.iter().find(|one| one["check"] == check);
    let one = one.unwrap_or_else(|| panic!("nothing about {check}: {findings:?}"));
    let text = |name: &str| one[name].as_str().unwrap_or_else(|| panic!("{one}")).to_owned();
    (text("status"), format!("{} {}", text("what"), text("next")))
}

async fn doctor(automagik: &Automagik, code: i32) -> Vec<Value> {
    let said = automagik.ends(code, &["doctor", "-o", "json"]).await;
    let findings: Value = serde_json::from_str(&said.stdout).unwrap();
    findings["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_nothing_and_then_what_was_broken() {
    let (mut automagik, langflow) = connected(Automagik::new()).await;
    for finding in doctor(&automagik, 0).await {
        assert_eq!(finding["status"], "ok", "{finding}");
    }
    automagik.ok(&["worker", "pause", "built-in"]).await;
    drop(langflow);
    let findings = doctor(&automagik, 3).await;
    let (verdict, says) = found(&findings, "sources");
    assert!(verdict != "ok" && says.contains("dev"), "{says}");
    let (verdict, says) = found(&findings, "workers");
    assert!(verdict != "ok" && says.contains("worker resume"), "{says}");

    assert_eq!(automagik.sigterm().await, 0);
    let key = automagik.home().join("api-key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let findings = doctor(&automagik, 3).await;
    let (verdict, says) = found(&findings, "server");
    assert!(verdict != "ok" && says.contains("automagik up"), "{says}");
    #[cfg(unix)]
    {
        let (verdict, says) = found(&findings, "API key");
        assert!(verdict != "ok" && says.contains("chmod"), "{says}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_worker_keeps_tasks_until_one_comes() {
    let (mut automagik, _langflow) = connected(Automagik::new()).await;
    assert_eq!(automagik.sigterm().await, 0);
    automagik.api_start().await;
    assert_eq!(automagik.rows(&["worker", "list"]).await, Vec::<Value>::new());
    let task = automagik.ok(&["flow", "run", "e2e-echo", "--input", "hi", "-q"]).await;
    let shown = automagik.json(&["task", "show", &task]).await;
    assert_eq!(shown["status"], "pending", "{shown}");
    let _worker = automagik.worker("w");
    automagik.ok(&["task", "wait", &task]).await;
    assert_eq!(automagik.sigterm().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_is_told_to_pass_over_an_event_that_it_cannot_read() {
    let (mut automagik, _langflow) = connected(Automagik::new()).await;
    automagik.ok(&["flow", "run", "e2e-echo", "--input", "hi", "--wait"]).await;
    let position =
        automagik.rows(&["log", "list", "--type", "task.completed"]).await[0]["position"]
            .as_i64()
            .unwrap();
    assert_eq!(automagik.sigterm().await, 0);
    let log = rusqlite::Connection::open(automagik.home().join("events.db")).unwrap();
    log.execute_batch("DROP TRIGGER events_are_not_updated").unwrap();
    let broken = "UPDATE events SET data = '{}' WHERE position = ?1";
    assert_eq!(log.execute(broken, [position]).unwrap(), 1);
    drop(log);
    automagik.up().await;
    automagik.ok(&["projection", "rebuild", "tasks"]).await;
    let row = |rows: Vec<Value>| rows.into_iter().find(|row| row["name"] == "tasks").unwrap();
    let halted = eventually(PATIENCE, || async {
        let listed = automagik.run(&["projection", "list", "-o", "json"]).await;
        let list: Value = serde_json::from_str(&listed.stdout).unwrap();
        let row = row(list["items"].as_array().unwrap().clone());
        row["halted"].is_object().then_some(row)
    })
    .await;
    assert_eq!(halted["halted"]["position"], position, "{halted}");
    let stranger = automagik.http_with("GET", "/api/v1/health", &[], "").await.json().to_string();
    assert!(stranger.contains("\"halted\":{") && !stranger.contains("missing field"), "{stranger}");
    let told = automagik.http("GET", "/api/v1/health", "").await.json().to_string();
    assert!(told.contains("missing field"), "{told}");
    automagik.ends(3, &["projection", "list"]).await.says(&["projection skip tasks"]);
    let (verdict, says) = found(&doctor(&automagik, 3).await, "read models");
    assert!(verdict == "fail" && says.contains("tasks"), "{verdict} {says}");

    let at = position.to_string();
    let skip = ["projection", "skip", "tasks", "--position", at.as_str()];
    automagik.ends(2, &skip).await.says(&["--yes"]);
    let other = (position + 1).to_string();
    let wrong = ["projection", "skip", "tasks", "--position", other.as_str(), "--yes"];
    automagik.ends(7, &wrong).await.says(&["projection list"]);
    automagik.ok(&[&skip[..], &["--yes", "--reason", "broken by hand"]].concat()).await;
    let list = eventually(PATIENCE, || async {
        let listed = automagik.run(&["projection", "list", "-o", "json"]).await;
        (listed.code == 0).then_some(listed)
    })
    .await;
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let row = row(list["items"].as_array().unwrap().clone());
    assert_eq!(row["skipped"], serde_json::json!([position]), "{row}");
    let told = automagik.rows(&["log", "list", "--type", "projection.skipped"]).await;
    assert_eq!(told[0]["reason"], "broken by hand", "{told:?}");
    // What was skipped stays skipped when everything is built anew.
    automagik.ok(&["projection", "rebuild", "tasks"]).await;
    automagik.ok(&["task", "list"]).await;
}
