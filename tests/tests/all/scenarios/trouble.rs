//! A LangFlow that refuses, goes away, or answers with something that is not LangFlow's.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spark_tests::binary::{Automagik, PATIENCE};
use spark_tests::eventually;
use spark_tests::fake_langflow::{Profile, Trouble};
use spark_tests::target::Target;

use super::steps::{add_source, attempts, connected, history, shown, text, until};

pub(super) async fn a_wrong_key_is_refused_before_anything_is_stored(target: &Target) {
    let automagik = Automagik::started().await;
    let stored = automagik.stored_events();
    let add = ["source", "add", target.url(), "--name", "lf", "--api-key", "sk-wrong-key"];
    let refused = automagik.ends(4, &add).await;
    refused.says(&["auth", "key"]);
    assert!(!refused.stderr.contains("sk-wrong-key"), "{refused}");
    let keyless = automagik.ends(4, &["source", "add", target.url(), "--name", "lf"]).await;
    keyless.says(&["auth", "--api-key"]);
    assert_eq!(automagik.rows(&["source", "list"]).await.len(), 0);
    assert_eq!(automagik.stored_events(), stored);
    add_source(&automagik, target, target.key()).await;
}

pub(super) async fn a_key_deleted_later_fails_the_attempt_once(target: &Target) {
    let automagik = Automagik::started().await;
    let (id, key) = target.new_key().await;
    add_source(&automagik, target, &key).await;
    automagik.ok(&["flow", "sync", "e2e-echo"]).await;
    automagik.ok(&["flow", "run", "e2e-echo", "--input", "before", "--wait"]).await;
    target.delete_key(&id).await;
    let refused =
        automagik.ends(5, &["flow", "run", "e2e-echo", "--input", "after", "--wait"]).await;
    assert!(!refused.to_string().contains(&key), "{refused}");
    let failed = automagik.rows(&["task", "list", "--status", "failed"]).await;
    let task = shown(&automagik, &text(&failed[0], "id")).await;
    assert_eq!(attempts(&task).len(), 1, "a refused key is not tried again: {task}");
    let failure = &attempts(&task)[0]["failure"];
    assert_eq!(text(failure, "class"), "auth");
    let table = automagik.ok(&["task", "show", &text(&task, "id")]).await;
    assert!(table.contains("source update"), "the remedy is named: {table}");
    automagik.ok(&["source", "update", "lf", "--api-key", target.key()]).await;
    let again = ["task", "retry", &text(&task, "id"), "--wait"];
    assert_eq!(automagik.ok(&again).await, "after");
}

pub(super) async fn a_langflow_that_goes_away_and_comes_back_costs_no_instant(target: &Target) {
    let automagik = connected(target, &["e2e-echo"]).await;
    let beat_ms = target.beat() * 1_000;
    let body = json!({
        "flow": "e2e-echo", "name": "tick", "every_ms": beat_ms, "input": "hi", "overlap": "AllowAll",
        "retry": { "initial_ms": 100, "maximum_ms": 100, "attempts_max": 2 },
    });
    let made = automagik.http("POST", "/api/v1/schedules", body.to_string()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let list =
        |status| ["task", "list", "--schedule", "tick", "--limit", "5000", "--status", status];
    until(&automagik, &list("completed"), |tasks| tasks.len() >= 2).await;
    target.stop().await;
    let by_outage = |tasks: &[Value]| {
        tasks
            .iter()
            .filter(|task| task["error"]["class"] == "unreachable" && task["attempts"] == 2)
            .count()
    };
    until(&automagik, &list("failed"), |tasks| by_outage(tasks) >= 2).await;
    target.start().await;
    let before = automagik.rows(&list("completed")).await.len();
    until(&automagik, &list("completed"), |tasks| tasks.len() >= before + 2).await;
    automagik.ok(&["schedule", "pause", "tick"]).await;
    for open in ["pending", "running", "waiting"] {
        until(&automagik, &list(open), <[Value]>::is_empty).await;
    }
    every_instant_has_one_outcome(&automagik, "tick", beat_ms).await;
}

/// Walks the log of a schedule: its instants follow each other without a gap, each fired one has
/// its own task, and each of these has ended, with a reason where it failed.
async fn every_instant_has_one_outcome(automagik: &Automagik, schedule: &str, beat_ms: u64) {
    let events = automagik.rows(&["history", "schedule", schedule]).await;
    let mut instants = Vec::new();
    let mut fired = BTreeMap::new();
    for event in &events {
        let data = &event["data"];
        match text(event, "type").as_str() {
            "schedule.fired" => {
                instants.push(instant(&data["due_at"]));
                fired.insert(text(data, "task_id"), instant(&data["due_at"]));
            }
            "schedule.created" | "schedule.paused" => {}
            other => panic!("with AllowAll nothing is left out: {other}: {event}"),
        }
    }
    let step = chrono::TimeDelta::milliseconds(i64::try_from(beat_ms).expect("a few seconds"));
    assert!(instants.windows(2).all(|pair| pair[1] - pair[0] == step), "{instants:?}");
    let tasks = automagik.rows(&["task", "list", "--schedule", schedule, "--limit", "5000"]).await;
    assert_eq!(tasks.len(), fired.len(), "one task for each fired instant");
    for task in &tasks {
        assert_eq!(fired.get(&text(task, "id")), Some(&instant(&task["due_at"])), "{task}");
        match text(task, "status").as_str() {
            "completed" => {}
            "failed" => assert!(task["error"]["class"].is_string(), "{task}"),
            other => panic!("{other} is no end: {task}"),
        }
    }
}

fn instant(value: &Value) -> chrono::DateTime<chrono::Utc> {
    let read = value.as_str().and_then(|text| text.parse().ok());
    read.unwrap_or_else(|| panic!("not an instant: {value}"))
}

/// How a LangFlow may answer, and the classes that the attempt may get for it.
fn bad_answers() -> [(Trouble, &'static [&'static str]); 5] {
    [
        (Trouble::Html, &["bad_answer"]),
        (Trouble::HalfBody, &["bad_answer", "unreachable"]),
        (Trouble::Hang, &["timeout"]),
        (Trouble::Disconnect, &["unreachable"]),
        (Trouble::Status(500, None), &["upstream"]),
    ]
}

/// Only the fake can be made to answer like this.
#[tokio::test]
async fn a_bad_answer_fails_the_attempt_with_its_class_and_nothing_hangs() {
    for profile in [Profile::V1_13, Profile::V1_0] {
        let target = Target::start_fake_of(profile).await;
        let fake = target.fake().expect("it was started as a fake");
        let automagik = connected(&target, &["e2e-echo"]).await;
        for (trouble, classes) in bad_answers() {
            fake.set_trouble(trouble.clone());
            // Enough for what is tried again within an attempt, and little where nothing ever comes.
            let timeout = if trouble == Trouble::Hang { "1s" } else { "60s" };
            let run =
                ["flow", "run", "e2e-echo", "--max-retries", "0", "--timeout", timeout, "--wait"];
            automagik.ends(5, &run).await;
            let tasks = automagik.rows(&["task", "list", "--limit", "1"]).await;
            let class = text(&tasks[0]["error"], "class");
            assert!(classes.contains(&class.as_str()), "{profile:?} {trouble:?}: {}", tasks[0]);
            fake.set_trouble(Trouble::None);
        }
        assert_eq!(
            automagik.ok(&["flow", "run", "e2e-echo", "--input", "well", "--wait"]).await,
            "well"
        );
    }
}

/// While a source hangs, everything else goes on.
#[tokio::test]
async fn a_hanging_langflow_holds_up_nobody_else() {
    let hanging = Target::start_fake().await;
    let sound = Target::start_fake().await;
    let automagik = connected(&hanging, &["e2e-slow"]).await;
    automagik
        .ok(&["source", "add", sound.url(), "--name", "sound", "--api-key", sound.key()])
        .await;
    automagik.ok(&["flow", "sync", "e2e-echo", "--source", "sound"]).await;
    hanging.fake().expect("it was started as a fake").set_trouble(Trouble::Hang);
    let stuck = automagik.ok(&["flow", "run", "e2e-slow", "--timeout", "1h"]).await;
    eventually(PATIENCE, || async {
        let events = history(&automagik, "task", &stuck).await;
        events.iter().any(|event| event == "task.started").then_some(())
    })
    .await;
    assert_eq!(automagik.ok(&["flow", "run", "e2e-echo", "--input", "hi", "--wait"]).await, "hi");
    automagik.ok(&["status"]).await;
    automagik.ok(&["task", "cancel", &stuck]).await;
    automagik.ends(5, &["task", "wait", &stuck]).await;
    assert_eq!(text(&shown(&automagik, &stuck).await, "status"), "cancelled");
}
