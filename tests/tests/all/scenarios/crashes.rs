//! The end of the server's process, by force and by request, and what the next one makes of it.

use spark_tests::binary::{Automagik, PATIENCE};
use spark_tests::eventually;
use spark_tests::target::{Marker, Target};

use super::steps::{connected, history, job_of, shown, text, until};

/// An address where nothing listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// Starts a `slow` run, and waits until LangFlow has it; gives the task's id.
pub(super) async fn slow_run(automagik: &Automagik, marker: &Marker) -> String {
    let tweak = marker.tweak();
    let run = ["flow", "run", "e2e-slow", "--input", "once", "--tweak", "SlowEcho-00001.seconds=4"];
    let task = automagik.ok(&[&run[..], &["--tweak", &tweak]].concat()).await;
    job_of(automagik, &task).await;
    task
}

/// The task completes, and LangFlow made its run once.
pub(super) async fn completes_once(
    automagik: &Automagik,
    target: &Target,
    task: &str,
    marker: &Marker,
) {
    assert_eq!(automagik.ok(&["task", "wait", task]).await, "waited 4.0 s: once");
    let row = shown(automagik, task).await;
    assert_eq!((text(&row, "status"), row["attempts"].as_u64()), ("completed".into(), Some(1)));
    let events = history(automagik, "task", task).await;
    assert!(events.iter().any(|event| event == "task.reattached"), "{events:?}");
    assert_eq!(marker.lines(), ["once"], "it ran once to its end");
    if let Some(fake) = target.fake() {
        assert_eq!(fake.runs("slow"), 1, "it began once");
    }
}

pub(super) async fn after_kill_9_the_run_is_taken_up_again_and_was_made_once(target: &Target) {
    let mut automagik = connected(target, &["e2e-slow"]).await;
    let marker = Marker::new(automagik.beside(), "kill.txt");
    let task = slow_run(&automagik, &marker).await;
    automagik.kill9().await;
    // Named, because without a server of its own the command line asks the default address, where
    // whoever runs this test may have a Spark in use.
    let alone = automagik.ends(1, &["--server", NOBODY, "task", "list"]).await;
    alone.says(&["automagik up"]);
    automagik.up().await;
    completes_once(&automagik, target, &task, &marker).await;
}

pub(super) async fn sigterm_ends_in_order_and_the_run_goes_on(target: &Target) {
    let mut automagik = connected(target, &["e2e-slow"]).await;
    let marker = Marker::new(automagik.beside(), "term.txt");
    let task = slow_run(&automagik, &marker).await;
    assert_eq!(automagik.sigterm().await, 0);
    let log = automagik.server_log();
    let steps =
        ["stopping", "no new requests", "read models catch up", "the event log closes", "stopped"];
    let places: Vec<_> = steps.iter().map(|step| log.rfind(step)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {log}");
    assert!(!automagik.home().join("server.json").exists(), "its address is taken away");
    automagik.up().await;
    completes_once(&automagik, target, &task, &marker).await;
}

pub(super) async fn without_its_read_models_it_shows_the_same_lists(target: &Target) {
    let mut automagik = connected(target, &["e2e-echo", "e2e-prompt", "e2e-fail"]).await;
    for input in ["a", "b", "c"] {
        automagik.ok(&["flow", "run", "e2e-echo", "--input", input, "--wait"]).await;
    }
    automagik.ends(5, &["flow", "run", "e2e-fail", "--max-retries", "0", "--wait"]).await;
    automagik.ok(&["schedule", "create", "e2e-prompt", "@yearly", "--name", "yearly"]).await;
    automagik.ok(&["schedule", "create", "e2e-echo", "--every", "1d", "--name", "daily"]).await;
    automagik.ok(&["schedule", "create", "e2e-echo", "--at", "now", "--name", "once"]).await;
    automagik.ok(&["schedule", "pause", "daily", "--reason", "not yet"]).await;
    until(&automagik, &["task", "list", "--schedule", "once", "--status", "completed"], |tasks| {
        tasks.len() == 1
    })
    .await;
    let before = everything(&automagik).await;
    automagik.kill9().await;
    for end in ["", "-wal", "-shm"] {
        let file = automagik.home().join(format!("reads.db{end}"));
        if file.exists() {
            std::fs::remove_file(file).expect("a file of ours");
        }
    }
    automagik.up().await;
    // The read models are built while the server answers already.
    eventually(PATIENCE, || async { (everything(&automagik).await == before).then_some(()) }).await;
}

/// What every list shows.
async fn everything(automagik: &Automagik) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    for list in ["source", "flow", "schedule", "task"] {
        all.push(automagik.json(&[list, "list"]).await);
    }
    all.push(automagik.json(&["schedule", "list", "--status", "completed"]).await);
    all
}

pub(super) async fn a_second_server_is_told_who_holds_the_directory(_target: &Target) {
    let mut automagik = Automagik::started().await;
    let second = automagik.ends(7, &["up", "--port", "0"]).await;
    second.says(&[&format!("process {}", automagik.pid()), "automagik status", "--data-dir"]);
    automagik.ok(&["status"]).await;
    // A lock that a killed process leaves behind is in nobody's way.
    automagik.kill9().await;
    automagik.up().await;
    automagik.ok(&["status"]).await;
}
