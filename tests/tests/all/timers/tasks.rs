//! Limits of a task's time, on a paused clock. A worker without slots keeps tasks in the queue.

use spark_actors::{Creation, NewTask, RunOptions};
use spark_events::TaskId;
use spark_events::domain::retry::GiveUp;
use spark_events::domain::task::{TaskEvent, TaskFailed};

use super::*;

impl Paused {
    /// Starts Spark again over the same log, with so many slots.
    pub(super) async fn restart(&mut self, slots: u32) {
        self.spark.shutdown().await;
        self.spark = launch_with(slots, &self.log, &self.clock, &self.dir).await;
    }

    async fn make(&self, options: RunOptions, held: bool) -> TaskId {
        let request = NewTask { flow_id: self.flow, options };
        let how = Creation { held, ..Creation::default() };
        self.spark.create_task_with(request, how, &who()).await.unwrap().value
    }

    /// How the task failed, if it did, and when.
    async fn failed(&self, id: TaskId) -> Option<(TaskFailed, Timestamp)> {
        let read = self.log.read_stream(&id.stream(), None, Direction::Backward, 1).await;
        let last = read.unwrap().remove(0);
        match TaskEvent::from_recorded(&last).unwrap() {
            TaskEvent::Failed(failed) => Some((failed, last.recorded_at)),
            _ => None,
        }
    }
}

fn queue_timeout(ms: u64) -> RunOptions {
    RunOptions { queue_timeout_ms: Some(ms), ..RunOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_gets_no_slot_in_time_fails_with_the_queue_timeout() {
    let mut world = paused("2026-11-20T00:00:00Z").await;
    world.restart(0).await;
    let patient = world.make(RunOptions::default(), false).await;
    let short = world.make(queue_timeout(30_000), false).await;
    let long = world.make(queue_timeout(7_200_000), false).await;
    world.pass(TimeDelta::seconds(29)).await;
    assert_eq!(world.failed(short).await, None);
    world.pass(TimeDelta::seconds(2)).await;
    let (failed, when) = world.failed(short).await.expect("it waited too long");
    assert_eq!((failed.why, failed.attempts), (GiveUp::QueueTimeout, 0));
    assert!(failed.failure.message.contains("queue timeout of 30 s"), "{}", failed.failure);
    let late = when - at("2026-11-20T00:00:30Z");
    assert!(late < TimeDelta::milliseconds(50), "it expired {late} late");
    assert_eq!(world.failed(long).await, None);
    world.pass(TimeDelta::hours(2)).await;
    assert_eq!(world.failed(long).await.expect("it too").0.why, GiveUp::QueueTimeout);
    assert_eq!(world.failed(patient).await, None, "without a limit it waits for ever");
    assert_eq!(world.spark.health().open_tasks, 1);
}

#[tokio::test(start_paused = true)]
async fn limits_of_time_survive_a_restart() {
    let mut world = paused("2026-11-20T00:00:00Z").await;
    world.restart(0).await;
    let options = RunOptions { total_timeout_ms: Some(60_000), ..RunOptions::default() };
    let (soon, later) =
        (world.make(queue_timeout(10_000), false).await, world.make(options, false).await);
    world.pass(TimeDelta::seconds(5)).await;
    world.restart(0).await;
    world.pass(TimeDelta::seconds(6)).await;
    assert_eq!(
        world.failed(soon).await.expect("10 s from its creation").0.why,
        GiveUp::QueueTimeout
    );
    assert_eq!(world.failed(later).await, None);
    world.spark.shutdown().await;
    world.pass(TimeDelta::seconds(60)).await;
    world.spark = launch_with(4, &world.log, &world.clock, &world.dir).await;
    world.pass(TimeDelta::seconds(1)).await;
    let (failed, _) = world.failed(later).await.expect("its time was over at the start");
    assert_eq!((failed.why, failed.attempts), (GiveUp::TotalTimeout, 0), "and no attempt was made");
}

#[tokio::test(start_paused = true)]
async fn a_held_task_survives_restarts_and_its_time_counts_from_its_release() {
    let mut world = paused("2026-11-20T00:00:00Z").await;
    let held = world.make(queue_timeout(10_000), true).await;
    world.pass(TimeDelta::hours(24)).await;
    world.restart(0).await;
    world.pass(TimeDelta::hours(24)).await;
    assert_eq!(world.failed(held).await, None, "a held task does not expire");
    assert_eq!(world.spark.health().open_tasks, 1);
    world.spark.release_task(held, &who()).await.unwrap();
    world.pass(TimeDelta::seconds(9)).await;
    assert_eq!(world.failed(held).await, None);
    world.pass(TimeDelta::seconds(2)).await;
    let (failed, when) = world.failed(held).await.expect("10 s after its release");
    assert_eq!(failed.why, GiveUp::QueueTimeout);
    assert!(when >= at("2026-11-22T00:00:10Z"), "{when}");
}

#[tokio::test(start_paused = true)]
async fn a_held_task_starts_when_it_is_released() {
    let mut world = paused("2026-11-20T00:00:00Z").await;
    let held = world.make(RunOptions::default(), true).await;
    world.restart(4).await;
    world.spark.delete_flow(world.flow, &who()).await.unwrap();
    world.pass(TimeDelta::hours(1)).await;
    assert_eq!(world.failed(held).await, None, "nothing happens to a held task");
    world.spark.release_task(held, &who()).await.unwrap();
    world.pass(TimeDelta::seconds(1)).await;
    let (failed, _) = world.failed(held).await.expect("it ran, and its flow is gone");
    assert_eq!((failed.why, failed.attempts), (GiveUp::NotRetryable, 1));
}
