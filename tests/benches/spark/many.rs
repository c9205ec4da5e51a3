//! A hundred thousand schedules: how fast they are made, what they cost, how soon a restart is
//! ready.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use super::figures::{Target, figure, ms};
use super::http::{Connection, call, request};
use super::process::{Spark, home};
use super::world::{RUNS_MAX, World};

const SCHEDULES: usize = 100_000;
const CONNECTIONS: usize = 64;
/// How long memory may come to rest before it is looked at.
const REST: Duration = Duration::from_secs(2);

#[expect(clippy::cast_precision_loss, reason = "counts far below the bound of exact floats")]
pub(crate) async fn run() {
    let home = home("schedules");
    let world = World::start(&home).await;
    let begun = Instant::now();
    let mut makers = JoinSet::new();
    for maker in 0..CONNECTIONS {
        let (address, flow) = (world.spark.address, world.flow.clone());
        makers.spawn(async move {
            let mut connection =
                Connection::open(address).await.expect("the server takes connections");
            for n in (maker..SCHEDULES).step_by(CONNECTIONS) {
                // New Year's Day, so that none is due while it is measured.
                let cron = format!("{} {} 1 1 *", n % 60, n / 60 % 24);
                let body =
                    json!({ "flow": flow, "name": format!("s{n}"), "cron": cron }).to_string();
                let sent = connection.send(&request("POST", "/api/v1/schedules", &body)).await;
                let (status, body) = sent.expect("the server answers");
                assert_eq!(status, 201, "{}", String::from_utf8_lossy(body));
            }
        });
    }
    while let Some(made) = makers.join_next().await {
        made.expect("schedules can be made");
    }
    let rate = SCHEDULES as f64 / begun.elapsed().as_secs_f64();
    figure("schedules made, 64 at once", rate, "/s", &Target::Least(2_000.0));
    tokio::time::sleep(REST).await;
    figure("resident memory with 100,000", world.spark.resident_mb(), "MiB", &Target::Most(600.0));
    world.spark.stop().await;

    restart(&home, "restart to ready with 100,000").await;
    fs::remove_file(home.join("index.bin")).expect("an orderly end leaves an index");
    restart(&home, "the same without index.bin").await;
}

async fn restart(home: &std::path::Path, what: &str) {
    let spark = Spark::start(home, RUNS_MAX).await;
    figure(what, ms(spark.ready_after), "ms", &Target::Most(10_000.0));
    figure("  resident memory then", spark.resident_mb(), "MiB", &Target::Most(600.0));
    let health = call(spark.address, "GET", "/health", None).await;
    let active = health["actors"]["active_schedules"].as_u64();
    assert_eq!(active, Some(SCHEDULES as u64), "active schedules after the restart");
    spark.stop().await;
}
