//! An empty server: how soon it is ready, and what it holds while it has nothing to do.

use std::time::Duration;

use tokio::time::sleep;

use super::figures::{Target, figure, ms, percentile};
use super::process::{Spark, home};

/// Starts that are measured.
const STARTS: usize = 5;
/// How long the server idles before its memory is looked at.
const IDLE: Duration = Duration::from_secs(2);

pub(crate) async fn run() {
    let mut starts = Vec::with_capacity(STARTS);
    let mut resident = f64::NAN;
    for _ in 0..STARTS {
        let spark = Spark::start(&home("start"), 64).await;
        starts.push(ms(spark.ready_after));
        if starts.len() == STARTS {
            sleep(IDLE).await;
            resident = spark.resident_mb();
        }
        spark.stop().await;
    }
    let median = percentile(&mut starts, 0.5);
    figure("empty start to ready, median of 5", median, "ms", &Target::Most(300.0));
    figure("resident memory, idle", resident, "MiB", &Target::Most(40.0));
}
