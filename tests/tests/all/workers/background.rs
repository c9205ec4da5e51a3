//! A worker in the background: started, looked at, followed, stopped.

use super::*;

#[tokio::test]
async fn it_is_started_looked_at_and_stopped() {
    let office = Office::open().await;
    let automagik = &office.automagik;
    let started = automagik.ends(0, &["worker", "start", "--name", "d", "--daemon"]).await;
    started.says(&["runs in the background", "worker logs d", "worker stop d"]);
    let again = automagik.ends(7, &["worker", "start", "--name", "d", "--daemon"]).await;
    again.says(&["runs on this machine already"]);
    office.worker("d", "active").await;
    let run = ["flow", "run", "e2e-echo", "--input", "hello", "--wait"];
    assert_eq!(automagik.ok(&run).await, "hello");
    let status = automagik.json(&["worker", "status"]).await;
    assert_eq!(text(&status["here"][0], "name"), "d");
    assert_eq!(status["workers"][0]["completed"], 1, "{status}");
    assert!(automagik.ok(&["worker", "logs"]).await.contains("registered"));
    automagik.ok(&["worker", "stop"]).await;
    office.worker("d", "stopped").await;
    let none = automagik.ends(6, &["worker", "stop"]).await;
    none.says(&["no worker runs on this machine"]);
    let logs = automagik.ok(&["worker", "logs", "d", "--lines", "1"]).await;
    assert!(logs.ends_with("stopped"), "{logs}");
}

#[tokio::test]
async fn one_that_cannot_come_says_so_at_once() {
    let office = Office::open().await;
    let automagik = &office.automagik;
    let (url, dir) = (automagik.url(), automagik.elsewhere("d").display().to_string());
    let start = ["worker", "start", "--daemon", "--name", "d", "--server", &url];
    let wrong = ["--api-key", "sk-wrong", "--data-dir", &dir];
    let refused = automagik.ends(4, &[&start[..], &wrong].concat()).await;
    refused.says(&["error: ", "next: "]);
    automagik.ends(6, &["worker", "stop", "--data-dir", &dir]).await;
}
