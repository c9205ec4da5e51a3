//! Workers that cannot come: each is told what is wrong and what to do.

use serde_json::json;
use spark_events::{Clock, SystemClock};
use spark_tests::binary::WorkerProcess;

use super::*;

/// The worker ends with this code, and has said all of this.
async fn ends(worker: WorkerProcess, code: i32, words: &[&str]) {
    let home = worker.home();
    assert_eq!(worker.ended().await, code);
    let log = std::fs::read_to_string(home.join("said")).unwrap_or_default();
    for word in words {
        assert!(log.contains(word), "nothing of {word:?} in {log}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_taken_or_may_not_work() {
    let office = Office::open().await;
    let automagik = &office.automagik;
    let url = automagik.url();
    let start = |key: &'static str| {
        let args = ["worker", "start", "--name", "a", "--server", &url, "--api-key", key];
        automagik.spawn_worker(&automagik.elsewhere("a"), &args)
    };
    ends(start("sk-wrong"), 4, &["error: ", "next: "]).await;
    let made = automagik.json(&["key", "create", "eyes", "--role", "viewer"]).await;
    let key = made["key"].as_str().or(made["secret"].as_str()).expect("a secret").to_owned();
    let args = ["worker", "start", "--name", "b", "--server", &url, "--api-key", &key];
    let worker = automagik.spawn_worker(&automagik.elsewhere("b"), &args);
    ends(worker, 4, &["error: ", "worker"]).await;
}

#[tokio::test]
async fn a_name_that_is_taken() {
    let office = Office::open().await;
    let automagik = &office.automagik;
    let _first = automagik.worker("w");
    office.worker("w", "active").await;
    let here = automagik.ends(7, &["worker", "start", "--name", "w"]).await;
    here.says(&["runs on this machine already", "worker stop w", "--name"]);
    // On another host, only the server can know.
    ends(automagik.worker_elsewhere("w", &[]), 7, &["error: ", "--name"]).await;
}

#[tokio::test]
async fn another_protocol_or_another_time() {
    let office = Office::open().await;
    let now = SystemClock.now();
    let ask = |protocol: u32, clock: String| {
        let body = json!({
            "id": uuid::Uuid::from_u128(7), "name": "x", "hostname": "h", "pid": 1, "slots": 1,
            "version": "9.9.9", "protocol": protocol, "clock": clock,
        });
        office.automagik.http("POST", "/api/v1/workers", body.to_string())
    };
    let old = ask(0, now.to_rfc3339()).await;
    assert_eq!((old.status, old.json()["code"].as_str()), (422, Some("SPK-6002")), "{old:?}");
    let late = ask(1, (now - chrono::Duration::hours(1)).to_rfc3339()).await;
    assert_eq!((late.status, late.json()["code"].as_str()), (422, Some("SPK-6003")), "{late:?}");
    assert!(late.json()["detail"].as_str().is_some_and(|said| said.contains("1 h")), "{late:?}");
    assert!(office.automagik.rows(&["worker", "list"]).await.is_empty(), "nobody came");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let mut automagik = Automagik::new();
    let worker = automagik.worker("w");
    worker.says("no server is running", 1).await;
    automagik.up_with(&["--no-worker"]).await;
    worker.says("registered", 1).await;
    assert_eq!(worker.log().matches("trying until it answers").count(), 1, "said once");
}

#[tokio::test]
async fn an_address_where_something_else_listens() {
    let office = Office::open().await;
    let langflow = office.target.url();
    let args = ["worker", "start", "--name", "x", "--server", langflow, "--api-key", "k"];
    let worker = office.automagik.spawn_worker(&office.automagik.elsewhere("x"), &args);
    ends(worker, 1, &["does not answer as this Spark does", "--server URL"]).await;
}
