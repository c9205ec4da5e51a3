//! How long `/metrics` takes to answer where there are many schedules.

use std::time::Instant;

use serde_json::json;
use tokio::task::JoinSet;

use super::figures::{Target, figure, ms, note, percentile};
use super::http::{Connection, request};
use super::process::home;
use super::world::World;

const SCHEDULES: usize = 10_000;
const CONNECTIONS: usize = 16;
const SAMPLES: usize = 200;

pub(crate) async fn run() {
    let world = World::start(&home("metrics")).await;
    let mut makers = JoinSet::new();
    for part in 0..CONNECTIONS {
        let (address, flow) = (world.spark.address, world.flow.clone());
        makers.spawn(async move {
            let body = json!({ "flow": flow, "every": "30d" }).to_string();
            let make = request("POST", "/api/v1/schedules", &body);
            let mut connection =
                Connection::open(address).await.expect("the server takes connections");
            for _ in (part..SCHEDULES).step_by(CONNECTIONS) {
                let (status, body) = connection.send(&make).await.expect("the server answers");
                assert_eq!(status, 201, "{}", String::from_utf8_lossy(body));
            }
        });
    }
    while let Some(made) = makers.join_next().await {
        made.expect("schedules can be made");
    }
    world.settled().await;
    let asked = request("GET", "/metrics", "");
    let mut connection =
        Connection::open(world.spark.address).await.expect("the server takes connections");
    let (mut samples, mut bytes) = (Vec::with_capacity(SAMPLES), 0);
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        let (status, body) = connection.send(&asked).await.expect("the server answers");
        samples.push(ms(begun.elapsed()));
        assert_eq!(status, 200);
        bytes = body.len();
        let active = format!("spark_schedules_active {SCHEDULES}\n");
        assert!(String::from_utf8_lossy(body).contains(&active), "schedules are missing");
    }
    world.spark.stop().await;
    let p99 = percentile(&mut samples, 0.99);
    figure("/metrics with 10,000 schedules, p99", p99, "ms", &Target::Most(50.0));
    note(format_args!("  median {:.2} ms, {bytes} bytes", percentile(&mut samples, 0.5)));
}
