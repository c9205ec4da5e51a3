//! A worker or its server that ends and comes back.

use rustix::process::Signal;

use super::*;

#[tokio::test]
async fn a_worker_killed_and_started_again_takes_its_run_up_again() {
    let office = Office::open().await;
    let marker = office.marker();
    let worker = office.automagik.worker("w");
    let task = office.slow_run(&marker).await;
    let before = office.worker("w", "active").await;
    worker.kill9().await;
    let _again = office.automagik.worker("w");
    eventually(PATIENCE, || async {
        let rows = office.automagik.rows(&["worker", "list"]).await;
        let of = |row: &&serde_json::Value| row["replaces"] == before["id"];
        rows.iter().find(of).filter(|row| row["status"] == "active").map(|_| ())
    })
    .await;
    office.release().await;
    office.completed_once(&task, &marker).await;
    office.worker("w", "lost").await;
}

#[tokio::test]
async fn a_server_killed_in_the_middle_finds_its_worker_still_at_work() {
    let mut office = Office::open().await;
    let marker = office.marker();
    let worker = office.automagik.worker("w");
    let task = office.slow_run(&marker).await;
    office.automagik.kill9().await;
    // The run ends while there is nobody to tell.
    office.release().await;
    eventually(PATIENCE, || async { (marker.lines().len() == 1).then_some(()) }).await;
    office.up().await;
    let row = office.completed_once(&task, &marker).await;
    assert_eq!(row["attempts"], 1, "{row}");
    worker.says("the server answers again", 1).await;
}

#[tokio::test]
async fn a_server_stopped_in_order_leaves_its_worker_at_work() {
    let mut office = Office::open().await;
    let marker = office.marker();
    let _worker = office.automagik.worker("w");
    let task = office.slow_run(&marker).await;
    assert_eq!(office.automagik.sigterm().await, 0);
    office.up().await;
    office.release().await;
    let row = office.completed_once(&task, &marker).await;
    assert_eq!(row["attempts"], 1, "{row}");
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_gives_its_run_back() {
    let office = Office::open().await;
    let marker = office.marker();
    let worker = office.automagik.worker("w");
    let task = office.slow_run(&marker).await;
    worker.signal(Signal::TERM);
    assert_eq!(worker.ended().await, 0);
    office.worker("w", "stopped").await;
    let _other = office.automagik.worker_elsewhere("other", &[]);
    office.release().await;
    let row = office.completed_once(&task, &marker).await;
    assert_eq!(row["attempts"], 1, "the same attempt goes on: {row}");
    let events = history(&office.automagik, "task", &task).await;
    assert!(events.iter().any(|event| event == "task.reattached"), "{events:?}");
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_lets_a_direct_run_end() {
    let target = Target::start_fake_of(spark_tests::fake_langflow::Profile::V1_7).await;
    let office = Office::with(target, &["e2e-slow"]).await;
    let worker = office.automagik.worker("w");
    let seconds = ["--tweak", "SlowEcho-00001.seconds=600"];
    let run = ["flow", "run", "e2e-slow", "--input", "once"];
    let task = office.automagik.ok(&[&run[..], &seconds].concat()).await;
    eventually(PATIENCE, || async { (office.fake().waiting() == 1).then_some(()) }).await;
    worker.signal(Signal::TERM);
    worker.says("stopping", 1).await;
    office.release().await;
    assert!(office.automagik.ok(&["task", "wait", &task]).await.ends_with("once"));
    assert_eq!(worker.ended().await, 0);
    assert_eq!(office.fake().runs("slow"), 1);
}
