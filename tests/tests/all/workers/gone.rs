//! A worker that is not heard any more: its runs go on elsewhere, and what it says later counts for
//! nothing.

use rustix::process::Signal;

use super::*;

#[tokio::test]
async fn what_a_dead_worker_had_goes_on_with_another() {
    let office = Office::open().await;
    let marker = office.marker();
    let worker = office.automagik.worker("w");
    let task = office.slow_run(&marker).await;
    worker.kill9().await;
    let _other = office.automagik.worker_elsewhere("other", &[]);
    office.worker("w", "lost").await;
    office.release().await;
    let row = office.completed_once(&task, &marker).await;
    let attempts = row["attempt_rows"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 2, "{row}");
    assert_eq!(attempts[0]["failure"]["class"], "worker_lost", "{row}");
    assert_eq!(attempts[0]["job_id"], attempts[1]["job_id"], "the same job goes on: {row}");
}

#[tokio::test]
async fn a_worker_that_froze_is_fenced_off_and_comes_anew() {
    let office = Office::open().await;
    let marker = office.marker();
    let worker = office.automagik.worker("w");
    let task = office.slow_run(&marker).await;
    let before = office.worker("w", "active").await;
    worker.signal(Signal::STOP);
    office.worker("w", "lost").await;
    let _other = office.automagik.worker_elsewhere("other", &[]);
    office.release().await;
    let row = office.completed_once(&task, &marker).await;
    assert_eq!(row["attempts"], 2, "{row}");
    let events = history(&office.automagik, "task", &task).await;
    // Its run has ended too, as it sees when it wakes up; nobody wants to know.
    worker.signal(Signal::CONT);
    let again = office.worker("w", "active").await;
    assert_ne!(again["id"], before["id"], "a new one");
    assert_eq!(again["replaces"], before["id"]);
    worker.says("registering anew", 1).await;
    assert_eq!(history(&office.automagik, "task", &task).await, events, "nothing was added");
}

#[tokio::test]
async fn a_short_silence_costs_nothing() {
    let office = Office::open().await;
    let marker = office.marker();
    let worker = office.automagik.worker("w");
    let task = office.slow_run(&marker).await;
    worker.signal(Signal::STOP);
    office.release().await;
    eventually(PATIENCE, || async { (marker.lines().len() == 1).then_some(()) }).await;
    worker.signal(Signal::CONT);
    let row = office.completed_once(&task, &marker).await;
    assert_eq!(row["attempts"], 1, "{row}");
}
