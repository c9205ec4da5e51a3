//! Punctuality: how late occurrences start, a thousand at one instant and one alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use spark_events::SystemClock;
use spark_events::clock::Clock;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::figures::{Target, figure, note, percentile};
use super::http::{Connection, request};
use super::process::home;
use super::world::{FLOW, World};

/// Schedules that are due at one instant.
const CROWD: usize = 1_000;
/// Schedules that are due one after the other.
const LONERS: usize = 50;
/// How far the first instant lies ahead, so that all schedules stand by then.
const CROWD_AHEAD_MS: i64 = 6_000;
const LONERS_AHEAD_MS: i64 = 2_000;
/// Between two that are due alone. No round number, so that they meet no beat of the system.
const APART_MS: i64 = 137;
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run() {
    let world = World::start(&home("due")).await;
    let at = SystemClock.now() + TimeDelta::milliseconds(CROWD_AHEAD_MS);
    create(&world, &vec![at; CROWD]).await;
    assert!(SystemClock.now() < at, "the schedules were not made in time");
    let mut crowd = lateness_ms(&world, CROWD, 0).await;
    let last = percentile(&mut crowd, 1.0);
    figure("1,000 due at one instant: last one started", last, "ms late", &Target::Most(500.0));
    note(format_args!("  median {:.0} ms; none lost, none twice", percentile(&mut crowd, 0.5)));

    let first = SystemClock.now() + TimeDelta::milliseconds(LONERS_AHEAD_MS);
    let instants = (0..).map(|n| first + TimeDelta::milliseconds(APART_MS * n));
    create(&world, &instants.take(LONERS).collect::<Vec<_>>()).await;
    let mut loners = lateness_ms(&world, LONERS, CROWD).await;
    figure("one due alone: p99", percentile(&mut loners, 0.99), "ms late", &Target::Most(20.0));
    note(format_args!("  median {:.1} ms", percentile(&mut loners, 0.5)));
    world.spark.stop().await;
}

/// Makes a one-time schedule for each instant.
async fn create(world: &World, instants: &[DateTime<Utc>]) {
    const CONNECTIONS: usize = 16;
    let mut makers = JoinSet::new();
    for part in instants.chunks(instants.len().div_ceil(CONNECTIONS)) {
        let (part, address, flow) = (part.to_vec(), world.spark.address, world.flow.clone());
        makers.spawn(async move {
            let mut connection =
                Connection::open(address).await.expect("the server takes connections");
            for at in part {
                let body = json!({ "flow": flow, "at": at.to_rfc3339() }).to_string();
                let sent = connection.send(&request("POST", "/api/v1/schedules", &body)).await;
                let (status, body) = sent.expect("the server answers");
                assert_eq!(status, 201, "{}", String::from_utf8_lossy(body));
            }
        });
    }
    while let Some(made) = makers.join_next().await {
        made.expect("schedules can be made");
    }
}

/// From the due instant to the recorded start of the attempt, for the newest `count` tasks; there
/// were `before` tasks already.
async fn lateness_ms(world: &World, count: usize, before: usize) -> Vec<f64> {
    let begun = Instant::now();
    let all = (count + before) as u64;
    while world.total("/api/v1/tasks?status=completed&limit=1").await < all {
        assert!(begun.elapsed() < PATIENCE, "occurrences are lost");
        // Rarely, because the look itself delays what it looks at.
        sleep(Duration::from_millis(500)).await;
    }
    let mut late = BTreeMap::new();
    let mut path = "/api/v1/tasks?limit=100".to_owned();
    while late.len() < count {
        let page = world.get(&path).await;
        for task in page["items"].as_array().expect("a list has items") {
            let ms = (instant(task, "started_at") - instant(task, "due_at")).num_microseconds();
            let ms = ms.map_or(f64::NAN, |us| TimeDelta::microseconds(us).as_seconds_f64() * 1e3);
            let schedule = task["schedule_id"].as_str().expect("it has a schedule").to_owned();
            assert_eq!(late.insert(schedule, ms), None, "a schedule fired twice");
            if late.len() == count {
                break;
            }
        }
        path = match page["next_cursor"].as_str() {
            Some(cursor) => format!("/api/v1/tasks?limit=100&cursor={cursor}"),
            None => break,
        };
    }
    assert_eq!(late.len(), count, "schedules that fired");
    assert_eq!(world.langflow.runs(FLOW), all, "runs at the source");
    late.into_values().collect()
}

fn instant(task: &Value, field: &str) -> DateTime<Utc> {
    let text = task[field].as_str().unwrap_or_default();
    text.parse().unwrap_or_else(|error| panic!("{field} of {task}: {error}"))
}
