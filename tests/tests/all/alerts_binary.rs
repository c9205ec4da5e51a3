//! Alerts with the real binary: a failing flow, a receiver, `kill -9`, and the commands around them.

use serde_json::Value;
use spark_tests::binary::Automagik;
use spark_tests::fake_langflow::{FakeLangFlow, Options, Trouble};
use spark_tests::receiver::Receiver;

async fn connected() -> (Automagik, FakeLangFlow, Receiver, String) {
    let langflow = FakeLangFlow::start(Options::default()).await;
    let automagik = Automagik::started().await;
    automagik.ok(&["source", "add", &langflow.url(), "--name", "dev"]).await;
    automagik.ok(&["flow", "sync", "e2e-echo"]).await;
    let receiver = Receiver::start().await;
    let made = automagik.json(&["alert", "create", &receiver.url(), "--name", "on-call"]).await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    (automagik, langflow, receiver, secret)
}

fn data(message: &spark_tests::receiver::Message) -> Value {
    message.json()["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_flow_is_told_and_its_recovery_too_across_a_kill() {
    let (mut automagik, langflow, receiver, secret) = connected().await;
    let run = ["flow", "run", "e2e-echo", "--max-retries", "0", "--wait"];
    receiver.answer(503);
    langflow.set_trouble(Trouble::Status(403, None));
    automagik.ends(5, &run).await;
    let failed = receiver.first("task.failed").await;
    assert_eq!(failed.verify(&secret), Ok(()));
    let look = data(&failed)["look"].as_str().unwrap().to_owned();
    let look: Vec<&str> = look.split(' ').skip(1).collect();
    automagik.ok(&look).await;
    // Not taken, and the server is killed. It is taken after the start.
    automagik.kill9().await;
    receiver.answer(204);
    automagik.up().await;
    let again = receiver.nth("task.failed", 1).await;
    assert_eq!((&again.id, again.verify(&secret)), (&failed.id, Ok(())));
    let lost = receiver.first("worker.lost").await;
    assert!(data(&lost)["title"].as_str().unwrap().contains("runs again"), "{}", data(&lost));
    langflow.set_trouble(Trouble::None);
    automagik.ok(&run).await;
    let recovered = receiver.first("task.recovered").await;
    assert_eq!(recovered.verify(&secret), Ok(()));
    let names = automagik.rows(&["history", "alert", "on-call"]).await;
    assert!(names.iter().any(|event| event["type"] == "alert.delivery_failed"), "{names:?}");
    assert!(!format!("{names:?}").contains("whsec_"));
    assert_eq!(automagik.sigterm().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_say_what_came_back_and_verify_agrees() {
    let (automagik, _langflow, receiver, secret) = connected().await;
    automagik.ok(&["alert", "test", "on-call"]).await;
    let message = receiver.first("alert.test").await;
    let file = automagik.beside().join("body.json");
    std::fs::write(&file, &message.body).unwrap();
    let file = file.display().to_string();
    let (id, at, signature) = (&message.id, &message.timestamp, &message.signature);
    let verify =
        ["alert", "verify", &file, "--id", id, "--timestamp", at, "--signature", signature];
    automagik.ok(&[&verify[..], &["--secret", &secret]].concat()).await;
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let wrong = automagik.ends(3, &[&verify[..], &["--secret", other]].concat()).await;
    wrong.says(&["another secret"]);
    automagik.ends(2, &verify).await.says(&["AUTOMAGIK_WEBHOOK_SECRET"]);
    receiver.answer(404);
    automagik.ends(1, &["alert", "test", "on-call"]).await;
    let rows = automagik.rows(&["alert", "deliveries", "on-call", "--status", "failed"]).await;
    let failed = rows[0]["id"].as_str().unwrap().to_owned();
    receiver.answer(200);
    automagik.ok(&["alert", "retry", "on-call", &failed[..13]]).await;
    assert_eq!(receiver.messages().last().unwrap().id, failed);
    automagik.ok(&["alert", "disable", "on-call", "--reason", "holidays"]).await;
    automagik.ok(&["alert", "enable", "on-call"]).await;
    automagik.ok(&["alert", "rotate-secret", "on-call", "--now"]).await;
    automagik.ok(&["alerts", "list"]).await;
    automagik.ends(2, &["alert", "create", "ftp://example.org"]).await.says(&["http://"]);
    automagik.ends(2, &["alert", "update", "on-call"]).await.says(&["nothing to change"]);
    automagik.ends(2, &["alert", "update", "on-call", "--on", "fire"]).await.says(&["task_failed"]);
    automagik.ends(7, &["alert", "create", &receiver.url(), "--name", "on-call"]).await;
    automagik.ok(&["alert", "delete", "on-call", "--yes"]).await;
    automagik.ends(6, &["alert", "test", "on-call"]).await;
}
