//! The first hour of somebody who has never seen Spark.

use spark_tests::binary::{Automagik, PATIENCE};
use spark_tests::eventually;
use spark_tests::target::Target;

use super::steps::{attempts, history, shown, text, until};

pub(super) async fn a_stranger_connects_syncs_runs_and_schedules(target: &Target) {
    let automagik = Automagik::started().await;
    connects(&automagik, target).await;
    let task = runs(&automagik).await;
    schedules_by_the_clock(&automagik).await;
    schedules_once(&automagik).await;
    schedules_again_and_again(&automagik, target).await;
    looks_at_tasks(&automagik, &task).await;
}

async fn connects(automagik: &Automagik, target: &Target) {
    let early = automagik.ends(6, &["flow", "list", "--remote"]).await;
    early.says(&["no source", "automagik source add"]);
    automagik.ok(&["source", "add", target.url(), "--name", "lf", "--api-key", target.key()]).await;
    let sources = automagik.ok(&["source", "list"]).await;
    assert!(sources.contains("lf") && !sources.contains(target.key()), "{sources}");
    let remote = automagik.ok(&["flow", "list", "--remote"]).await;
    assert!(remote.contains("e2e-echo") && remote.contains("e2e-slow"), "{remote}");
    automagik.ok(&["flow", "sync", "e2e-echo"]).await;
    let flows = automagik.rows(&["flow", "list"]).await;
    let names: Vec<_> = flows.iter().map(|flow| text(flow, "name")).collect();
    assert_eq!(names, ["e2e-echo"]);
}

/// Gives the id of a task that completed.
async fn runs(automagik: &Automagik) -> String {
    let said = automagik.ok(&["flow", "run", "e2e-echo", "--input", "hello", "--wait"]).await;
    assert_eq!(said, "hello");
    let tasks = automagik.rows(&["task", "list", "--flow", "e2e-echo"]).await;
    assert_eq!(tasks.len(), 1);
    text(&tasks[0], "id")
}

async fn schedules_by_the_clock(automagik: &Automagik) {
    let create = ["schedule", "create", "e2e-echo", "0 9 * * *", "--timezone", "America/Sao_Paulo"];
    let id =
        automagik.ok(&[&create[..], &["--name", "morning", "--input", "bom dia"]].concat()).await;
    let next = automagik.rows(&["schedule", "next", "morning", "-n", "3"]).await;
    let times: Vec<String> = next.iter().map(|row| text(row, "due_at")).collect();
    assert_eq!(times.len(), 3);
    // Nine in the morning in Sao Paulo, which knows no clock change any more.
    assert!(times.iter().all(|at| at.contains("T12:00:00")), "{times:?}");
    let delete = ["schedule", "delete", "morning", "--yes", "--reason", "too early"];
    let deleted = automagik.ends(0, &delete).await;
    deleted.says(&[&format!("automagik history schedule {id}")]);
    assert_eq!(automagik.rows(&["schedule", "list"]).await.len(), 0);
    let events = automagik.rows(&["history", "schedule", &id]).await;
    let last = events.last().expect("its history stays");
    assert_eq!(
        (text(last, "type"), text(last, "reason")),
        ("schedule.deleted".into(), "too early".into())
    );
}

async fn schedules_once(automagik: &Automagik) {
    automagik
        .ok(&["schedule", "create", "e2e-echo", "--at", "now", "--name", "once", "--input", "one"])
        .await;
    let completed = ["task", "list", "--schedule", "once", "--status", "completed"];
    until(automagik, &completed, |tasks| tasks.len() == 1).await;
    let tasks = automagik.rows(&completed).await;
    assert_eq!(text(&tasks[0], "schedule_name"), "once", "a list says which schedule it was");
    let once = automagik.json(&["schedule", "show", "once"]).await;
    assert_eq!(once["status"], "completed");
    assert_eq!(
        history(automagik, "schedule", "once").await[..2],
        ["schedule.created", "schedule.fired"]
    );
}

async fn schedules_again_and_again(automagik: &Automagik, target: &Target) {
    let every = format!("{}s", target.beat());
    let create =
        ["schedule", "create", "e2e-echo", "--every", &every, "--name", "tick", "--input", "hi"];
    let id = automagik.ok(&create).await;
    let completed = ["task", "list", "--schedule", "tick", "--status", "completed"];
    until(automagik, &completed, |tasks| tasks.len() >= 2).await;
    automagik.ok(&["schedule", "pause", "tick", "--reason", "maintenance"]).await;
    let row = automagik.json(&["schedule", "show", "tick"]).await;
    assert_eq!(row["status"], "paused");
    let paused = automagik.ok(&["schedule", "list", "--status", "paused"]).await;
    assert!(paused.contains("tick"), "{paused}");
    let events = automagik.rows(&["history", "schedule", "tick"]).await;
    let last = events.last().expect("it has a history");
    assert_eq!(
        (text(last, "type"), text(last, "reason")),
        ("schedule.paused".into(), "maintenance".into())
    );
    let said = automagik.ok(&["schedule", "trigger", "tick", "--wait"]).await;
    assert_eq!(said, "hi");
    automagik.ok(&["schedule", "resume", "tick"]).await;
    let before = automagik.rows(&completed).await.len();
    until(automagik, &completed, |tasks| tasks.len() > before).await;
    automagik.ok(&["schedule", "delete", "tick", "--yes"]).await;
    let gone = automagik.json(&["schedule", "show", &id]).await;
    assert_eq!(gone["status"], "deleted");
}

async fn looks_at_tasks(automagik: &Automagik, task: &str) {
    let table =
        automagik.ok(&["task", "list", "--status", "completed", "--flow", "e2e-echo"]).await;
    assert!(table.contains("e2e-echo"), "{table}");
    assert_eq!(automagik.rows(&["task", "list", "--status", "failed"]).await.len(), 0);
    let row = shown(automagik, task).await;
    assert_eq!((text(&row, "status"), attempts(&row).len()), ("completed".into(), 1));
    // The start of an id stands for it, as far as no other has it.
    let short = automagik.json(&["task", "show", &task[..13]]).await;
    assert_eq!(short["id"], task);
    let events = history(automagik, "task", task).await;
    assert_eq!(events.first().map(String::as_str), Some("task.created"), "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("task.completed"), "{events:?}");
    assert_eq!(automagik.ok(&["task", "retry", task, "--wait"]).await, "hello");
    eventually(PATIENCE, || async {
        let tasks = automagik.rows(&["task", "list", "--flow", "e2e-echo"]).await;
        tasks.iter().any(|again| again["retry_of"] == task).then_some(())
    })
    .await;
    automagik.ok(&["status"]).await;
}
