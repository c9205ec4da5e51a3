//! One task at a time: from the request to the answer that holds its result.

use std::time::Instant;

use serde_json::{Value, json};

use super::figures::{Target, figure, ms, percentile};
use super::http::{Connection, request};
use super::process::home;
use super::world::World;

const WARM_UP: usize = 50;
const SAMPLES: usize = 1_000;

pub(crate) async fn run() {
    let world = World::start(&home("latency")).await;
    let path = format!("/api/v1/flows/{}/run", world.flow);
    let body = json!({ "input": "hello", "wait_ms": 30_000 }).to_string();
    let run = request("POST", &path, &body);
    let mut connection =
        Connection::open(world.spark.address).await.expect("the server takes connections");
    let mut samples = Vec::with_capacity(SAMPLES);
    for round in 0..WARM_UP + SAMPLES {
        let begun = Instant::now();
        let (status, body) = connection.send(&run).await.expect("the server answers");
        let took = ms(begun.elapsed());
        if round == 0 {
            let task: Value = serde_json::from_slice(body).expect("the answer is JSON");
            assert_eq!((status, task["status"].as_str()), (201, Some("completed")), "{task}");
        }
        if round >= WARM_UP {
            samples.push(took);
        }
    }
    drop(connection);
    world.spark.stop().await;
    let median = percentile(&mut samples, 0.5);
    figure("run and wait, p50", median, "ms", &Target::Most(4.0));
    let p99 = percentile(&mut samples, 0.99);
    figure("run and wait, p99", p99, "ms", &Target::Most(15.0));
    figure("run and wait, longest", percentile(&mut samples, 1.0), "ms", &Target::None);
}
