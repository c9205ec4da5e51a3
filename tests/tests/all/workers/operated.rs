//! What an operator does with workers: pause, resume, drain, stop, labels.

use super::*;

#[tokio::test]
async fn a_paused_worker_takes_nothing_until_it_is_resumed() {
    let office = Office::open().await;
    let worker = office.automagik.worker("w");
    office.worker("w", "active").await;
    let paused = office.automagik.json(&["worker", "pause", "w", "--reason", "a test"]).await;
    assert_eq!(
        (text(&paused, "status"), text(&paused, "reason")),
        ("paused".into(), "a test".into())
    );
    worker.says("paused", 1).await;
    let task = office.automagik.ok(&["flow", "run", "e2e-echo", "--input", "hello"]).await;
    assert_eq!(text(&shown(&office.automagik, &task).await, "status"), "pending");
    assert_eq!(office.fake().runs("echo"), 0);
    office.automagik.ok(&["worker", "resume", "w"]).await;
    assert_eq!(office.automagik.ok(&["task", "wait", &task]).await, "hello");
}

#[tokio::test]
async fn a_drained_worker_ends_after_its_last_run() {
    let office = Office::open().await;
    let marker = office.marker();
    let worker = office.automagik.worker("w");
    let task = office.slow_run(&marker).await;
    office.automagik.ok(&["worker", "drain", "w"]).await;
    worker.says("draining", 1).await;
    office.release().await;
    office.completed_once(&task, &marker).await;
    assert_eq!(worker.ended().await, 0);
    office.worker("w", "stopped").await;
}

#[tokio::test]
async fn a_worker_on_another_host_is_stopped_through_the_server() {
    let office = Office::open().await;
    let marker = office.marker();
    let worker = office.automagik.worker_elsewhere("far", &[]);
    let task = office.slow_run(&marker).await;
    office.automagik.ok(&["worker", "stop", "far"]).await;
    assert_eq!(worker.ended().await, 0);
    office.worker("far", "stopped").await;
    let _other = office.automagik.worker("w");
    office.release().await;
    let row = office.completed_once(&task, &marker).await;
    assert_eq!(row["attempts"], 1, "{row}");
}

#[tokio::test]
async fn a_source_with_a_label_gets_a_worker_that_has_it() {
    let office = Office::open().await;
    office.automagik.ok(&["source", "update", "lf", "--worker-label", "gpu"]).await;
    let _plain = office.automagik.worker("plain");
    office.worker("plain", "active").await;
    let task = office.automagik.ok(&["flow", "run", "e2e-echo", "--input", "hello"]).await;
    let _gpu = office.automagik.worker_elsewhere("gpu", &["--labels", "big,gpu"]);
    assert_eq!(office.automagik.ok(&["task", "wait", &task]).await, "hello");
    let gpu = office.worker("gpu", "active").await;
    let task = shown(&office.automagik, &task).await;
    assert_eq!(task["attempt_rows"][0]["worker_id"], gpu["id"]);
}
