//! All read models from nothing: their file is deleted, and the whole log is read again.

use std::fs;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::figures::{Target, figure, note};
use super::process::Spark;
use super::throughput::filled;
use super::world::{RUNS_MAX, position};

/// Tasks of three events each, so that there are 300,000 events.
const TASKS_MIN: u64 = 100_000;
const LOOK_EVERY: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(300);

#[expect(clippy::cast_precision_loss, reason = "counts far below the bound of exact floats")]
pub(crate) async fn run() {
    let (home, spark, head) = filled(TASKS_MIN).await;
    spark.stop().await;
    for file in ["reads.db", "reads.db-wal", "reads.db-shm"] {
        // Those that an orderly end has taken away are as good as deleted.
        let _ = fs::remove_file(home.join(file));
    }
    let spark = Spark::start(&home, RUNS_MAX).await;
    let ready = Instant::now();
    while position(&spark).await < head {
        assert!(ready.elapsed() < PATIENCE, "the read models do not reach position {head}");
        sleep(LOOK_EVERY).await;
    }
    let seconds = spark.started.elapsed().as_secs_f64();
    let rate = head as f64 / seconds;
    figure("events through all read models", rate, "/s", &Target::Least(100_000.0));
    note(format_args!(
        "  {head} events in {seconds:.2} s from the start of the process, {:.1} s of processor time",
        spark.cpu_s()
    ));
    spark.stop().await;
}
