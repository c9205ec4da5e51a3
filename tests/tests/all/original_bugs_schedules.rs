//! What went wrong with schedules in the Python originals, one test each.

use spark_actors::RunOptions;
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::Recurrence;
use spark_events::domain::schedule::ScheduleEvent;
use spark_events::domain::task::TaskStatus;
use spark_events::{Clock, ScheduleId, SystemClock, TaskId, Timestamp};
use spark_tests::eventually;
use spark_tests::fake_langflow::Options;
use spark_tests::world::{PATIENCE, World, impatient, who};

fn input() -> RunOptions {
    RunOptions { input: "x".into(), retry: Some(impatient(2)), ..RunOptions::default() }
}

async fn fired(world: &World, id: ScheduleId) -> Vec<(Timestamp, TaskId)> {
    let events: Vec<ScheduleEvent> = world.decoded(&id.stream()).await;
    let fired = events.into_iter().filter_map(|event| match event {
        ScheduleEvent::Fired(e) => Some((e.due_at, e.task_id)),
        _ => None,
    });
    fired.collect()
}

async fn fires(world: &World, id: ScheduleId, times: usize) -> Vec<(Timestamp, TaskId)> {
    eventually(PATIENCE, || async {
        let fired = fired(world, id).await;
        (fired.len() >= times).then_some(fired)
    })
    .await
}

/// Bug 1: a daily cron, once due, ran five times in 47 seconds, with two tasks each.
#[tokio::test]
async fn a_due_instant_makes_one_task_and_only_one_even_over_restarts() {
    let mut world = World::start(Options::default()).await;
    let echo = world.flow("echo").await;
    let once = Recurrence::Once { at: SystemClock.now() };
    let id = world.schedule(echo, once, Overlap::AllowAll, input()).await;
    let task = fires(&world, id, 1).await[0].1;
    assert_eq!(world.end(task).await.status, TaskStatus::Completed);
    for _ in 0..3 {
        world.kill_and_restart().await;
        // Something that is due after everything that could be due again.
        let now = Recurrence::Once { at: SystemClock.now() };
        let other = world.schedule(echo, now, Overlap::AllowAll, input()).await;
        let other = fires(&world, other, 1).await[0].1;
        assert_eq!(world.end(other).await.status, TaskStatus::Completed);
    }
    assert_eq!(fired(&world, id).await.len(), 1);
    let created = world.names(&task.stream()).await;
    assert_eq!(created.iter().filter(|name| *name == "task.created").count(), 1, "{created:?}");
    assert_eq!(world.langflow.runs("echo"), 4, "its own run and the three others'");
}

/// Bug 2: one active one-time schedule, future or "now", never ran and stopped all intervals.
#[tokio::test]
async fn one_time_schedules_run_and_stop_no_other_schedule() {
    let world = World::start(Options::default()).await;
    let echo = world.flow("echo").await;
    let far = Recurrence::Once { at: SystemClock.now() + chrono::TimeDelta::days(1) };
    world.schedule(echo, far, Overlap::Skip, input()).await;
    let now = Recurrence::Once { at: SystemClock.now() };
    let now = world.schedule(echo, now, Overlap::Skip, input()).await;
    let interval = Recurrence::interval(1_000, SystemClock.now());
    let interval = world.schedule(echo, interval, Overlap::AllowAll, input()).await;
    fires(&world, now, 1).await;
    fires(&world, interval, 2).await;
}

/// Bug 3: the next instant of an interval was written anew, as now + interval, again and again.
#[tokio::test]
async fn an_interval_keeps_its_distance_however_long_its_tasks_take() {
    let world = World::start(Options::default()).await;
    let echo = world.flow("echo").await;
    let interval = Recurrence::interval(1_000, SystemClock.now());
    let id = world.schedule(echo, interval, Overlap::AllowAll, input()).await;
    let fired = fires(&world, id, 3).await;
    for pair in fired.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, chrono::TimeDelta::seconds(1));
    }
}

/// Bug 12: a retry of a one-time schedule's task found the schedule completed and did nothing.
#[tokio::test]
async fn the_task_of_a_one_time_schedule_is_tried_again_although_the_schedule_is_completed() {
    let world = World::start(Options::default()).await;
    let fail = world.flow("fail").await;
    let once = Recurrence::Once { at: SystemClock.now() };
    let id = world.schedule(fail, once, Overlap::Skip, input()).await;
    let task = fires(&world, id, 1).await[0].1;
    world.has(&id.stream(), "schedule.completed").await;
    assert_eq!(world.end(task).await.status, TaskStatus::Failed);
    assert_eq!(world.langflow.runs("fail"), 2, "both attempts were made");
    let again = world.spark.retry_task(task, &who()).await.unwrap().value;
    assert_eq!(world.end(again).await.status, TaskStatus::Failed);
    assert_eq!(world.langflow.runs("fail"), 4);
}
