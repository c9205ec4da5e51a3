//! A worker in a process of its own, over loopback, against the built-in one: how many tasks per second
//! each brings from their request to their recorded end, in the same run on the same machine.

use super::figures::{Target, figure, note};
use super::process::{Worker, home};
use super::throughput::{MEASURED, load};
use super::world::{RUNS_MAX, World};

/// The share of the built-in worker's tasks per second that a remote one should bring.
const SHARE_LEAST: f64 = 60.0;

pub(crate) async fn run() {
    let at_once = RUNS_MAX as usize;
    note("the built-in worker:");
    let world = World::start(&home("remote-built-in")).await;
    let built_in = load(&world, at_once, MEASURED).await;
    world.spark.stop().await;
    note("one worker in a process of its own:");
    let dir = home("remote");
    let world = World::without_worker(&dir).await;
    let worker = Worker::start(&dir.join("worker"), world.spark.address, RUNS_MAX);
    world.has_worker().await;
    let before_s = worker.cpu_s();
    let remote = load(&world, at_once, MEASURED).await;
    let used_s = worker.cpu_s() - before_s;
    #[expect(clippy::cast_precision_loss, reason = "counts far below the bound of exact floats")]
    let per_task_us = used_s * 1e6 / remote.submitted as f64;
    note(format_args!("  and {per_task_us:.0} us of the worker's processor time for each"));
    assert_eq!(
        world.total("/api/v1/tasks?status=completed&limit=1").await,
        remote.submitted,
        "completed tasks of those submitted"
    );
    let share = 100.0 * remote.rate / built_in.rate;
    figure("remote worker's share of the built-in's rate", share, "%", &Target::Least(SHARE_LEAST));
    drop(worker);
    world.spark.stop().await;
}
