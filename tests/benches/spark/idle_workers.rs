//! Many workers that have nothing to do: what their waiting costs the server. The workers are played
//! here: each registers, and always has one request for work open.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spark_events::{Clock, SystemClock};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;

use super::figures::{Target, figure};
use super::http::{Connection, call, request};
use super::process::home;
use super::world::World;

const WORKERS: usize = 200;
/// The first polls are over by then.
const WARM_UP: Duration = Duration::from_secs(12);
/// Two or three rounds of polls.
const MEASURED: Duration = Duration::from_secs(30);
/// Percent of one core.
const MOST: f64 = 5.0;

pub(crate) async fn run() {
    let world = World::without_worker(&home("idle-workers")).await;
    let address = world.spark.address;
    let local = LocalSet::new();
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        workers.spawn_local_on(wait_for_work(address, number), &local);
    }
    local
        .run_until(async {
            sleep(WARM_UP).await;
            let active = world.total("/api/v1/workers?status=active&limit=1").await;
            assert_eq!(active, WORKERS as u64, "active workers");
            let (begun, first_s) = (Instant::now(), world.spark.cpu_s());
            sleep(MEASURED).await;
            let used_s = world.spark.cpu_s() - first_s;
            let share = 100.0 * used_s / begun.elapsed().as_secs_f64();
            let what = format!("server's processor time, {WORKERS} idle workers");
            figure(&what, share, "% of a core", &Target::Most(MOST));
            let active = world.total("/api/v1/workers?status=active&limit=1").await;
            assert_eq!(active, WORKERS as u64, "active workers at the end");
            workers.shutdown().await;
        })
        .await;
    figure("resident memory with them", world.spark.resident_mb(), "MiB", &Target::None);
    world.spark.stop().await;
}

/// A worker without work.
async fn wait_for_work(address: SocketAddr, number: usize) {
    let id = uuid::Uuid::from_u128(1 + number as u128).to_string();
    let registration = json!({
        "id": id, "name": format!("idle-{number}"), "hostname": "bench", "pid": 1, "slots": 4,
        "version": "0", "protocol": spark_actors::remote::PROTOCOL, "clock": SystemClock.now(),
    });
    let registered = call(address, "POST", "/api/v1/workers", Some(&registration)).await;
    let mut session = registered["session"].clone();
    let path = format!("/api/v1/workers/{id}/poll");
    let mut connection = Connection::open(address).await.expect("the server takes connections");
    let mut holding = json!([]);
    loop {
        let mut poll = json!({ "session": session, "after": 0 });
        if !holding.is_null() {
            poll["holding"] = holding.take();
        }
        let sent = request("POST", &path, &poll.to_string());
        let (status, body) = connection.send(&sent).await.expect("the server answers");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
        let polled: Value = serde_json::from_slice(body).expect("an answer is JSON");
        session = polled["session"].clone();
        if polled["resync"] == true {
            holding = json!([]);
        }
    }
}
