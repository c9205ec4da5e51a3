//! A worker in a process of its own, with any LangFlow.

use spark_tests::binary::Automagik;
use spark_tests::target::{Marker, Target};

use super::crashes::{completes_once, slow_run};
use super::steps::add_source;

pub(super) async fn a_worker_killed_in_a_run_and_started_again_has_it_made_once(target: &Target) {
    let mut automagik = Automagik::new();
    automagik.up_with(&["--no-worker"]).await;
    add_source(&automagik, target, target.key()).await;
    automagik.ok(&["flow", "sync", "e2e-slow"]).await;
    let marker = Marker::new(automagik.beside(), "worker.txt");
    let worker = automagik.worker("w");
    let task = slow_run(&automagik, &marker).await;
    worker.kill9().await;
    let _again = automagik.worker("w");
    completes_once(&automagik, target, &task, &marker).await;
}
