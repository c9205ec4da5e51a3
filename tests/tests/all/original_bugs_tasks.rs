//! What the Python originals got wrong about tasks, and must never come back.

use spark_actors::RunOptions;
use spark_events::domain::task::{TaskEvent, TaskStatus, Trigger};
use spark_tests::fake_langflow::Options;
use spark_tests::world::{World, impatient, who};

fn options(input: &str, attempts_max: u32) -> RunOptions {
    let retry = Some(impatient(attempts_max));
    RunOptions { input: input.into(), retry, ..RunOptions::default() }
}

/// The original sent "Hello World" where a task had no input.
#[tokio::test]
async fn an_empty_input_does_not_become_hello_world() {
    let world = World::start(Options::default()).await;
    let echo = world.flow("echo").await;
    let task = world.task(echo, options("", 1)).await;
    assert_eq!(world.end(task).await.status, TaskStatus::Completed);
    let began = world.langflow.began("echo");
    assert_eq!(began.len(), 1);
    assert_ne!(began[0].input, "Hello World");
    assert_eq!(began[0].input, "", "the flow's own input is empty, and nothing else was given");
}

/// The original kept "500 Internal Server Error" of a failed run and threw the body away, which
/// names the component and its message.
#[tokio::test]
async fn the_error_body_of_langflow_is_not_lost() {
    let world = World::start(Options::default()).await;
    let fail = world.flow("fail").await;
    let task = world.task(fail, options("x", 1)).await;
    assert_eq!(world.end(task).await.status, TaskStatus::Failed);
    let events: Vec<TaskEvent> = world.decoded(&task.stream()).await;
    let Some(TaskEvent::Failed(failed)) = events.last() else { panic!("{events:?}") };
    let failure = &failed.failure;
    assert_eq!(failure.component.as_deref(), Some("Always Fails"), "{failure:?}");
    assert!(!failure.message.is_empty() && !failure.message.contains("500"), "{failure:?}");
}

/// The original's `retry` reset the failed task: its error, its times and its output were gone.
#[tokio::test]
async fn a_retry_does_not_overwrite_the_failed_attempt() {
    let world = World::start(Options::default()).await;
    let fail = world.flow("fail").await;
    let old = world.task(fail, options("x", 2)).await;
    world.end(old).await;
    let before = world.events(&old.stream()).await;
    let new = world.spark.retry_task(old, &who()).await.unwrap().value;
    world.end(new).await;
    assert_ne!(new, old);
    assert_eq!(world.events(&old.stream()).await, before, "the failed task is as it was");
    let events: Vec<TaskEvent> = world.decoded(&new.stream()).await;
    let TaskEvent::Created(spec) = &events[0] else { panic!("{events:?}") };
    assert_eq!(spec.trigger, Trigger::RetryOf { task_id: old });
}
