//! Stopping tasks by force, deleting them, trying them again with other words or an earlier
//! definition, limits per flow, and requests that are repeated.

use serde_json::{Value, json};
use spark_actors::{
    Creation, DispatchError, IdempotencyKey, NewTask, Rejection, RetryTask, RunOptions, RunVersion,
};
use spark_events::domain::failure::FailureClass;
use spark_events::domain::retry::GiveUp;
use spark_events::domain::task::{RemoteStop, TaskEvent, TaskRejection, TaskStatus};
use spark_events::{FlowId, TaskId};
use spark_tests::eventually;
use spark_tests::fake_langflow::{Options, Profile, SECRET};
use spark_tests::world::{PATIENCE, World, impatient, who};

fn input(text: &str) -> RunOptions {
    RunOptions { input: text.into(), retry: Some(impatient(1)), ..RunOptions::default() }
}

fn slow(seconds: f64) -> RunOptions {
    RunOptions { tweaks: Some(json!({ "SlowEcho-00001": { "seconds": seconds } })), ..input("x") }
}

async fn last(world: &World, task: TaskId) -> TaskEvent {
    world.decoded(&task.stream()).await.pop().expect("a task has events")
}

async fn text(world: &World, task: TaskId) -> Value {
    match last(world, task).await {
        TaskEvent::Completed(e) => {
            serde_json::to_value(&e.output).unwrap()["inline"]["text"].clone()
        }
        other => panic!("no result: {other:?}"),
    }
}

#[tokio::test]
async fn a_forced_stop_ends_the_task_at_once_and_frees_its_slot() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    world.spark.limit_flow(flow, Some(1), &who()).await.unwrap();
    let stuck = world.task(flow, slow(600.0)).await;
    world.has(&stuck.stream(), "task.submitted").await;
    let next = world.task(flow, slow(0.0)).await;
    world.spark.terminate_task(stuck, &who()).await.unwrap();
    let TaskEvent::Cancelled(cancelled) = last(&world, stuck).await else { panic!("still open") };
    assert_eq!(cancelled.remote, RemoteStop::LeftRunning);
    assert_eq!(world.end(next).await.status, TaskStatus::Completed, "the slot is free");
    let jobs = world.langflow.jobs();
    assert!(jobs.iter().any(|(_, status)| status == "in_progress"), "left to itself: {jobs:?}");
}

#[tokio::test]
async fn a_flow_at_its_limit_waits_and_the_others_of_its_source_do_not() {
    let world = World::start(Options::default()).await;
    let (limited, other) = (world.flow("slow").await, world.flow("echo").await);
    world.spark.limit_flow(limited, Some(1), &who()).await.unwrap();
    let first = world.task(limited, slow(600.0)).await;
    world.has(&first.stream(), "task.submitted").await;
    let second = world.task(limited, slow(600.0)).await;
    let free = world.task(other, input("x")).await;
    assert_eq!(world.end(free).await.status, TaskStatus::Completed);
    assert_eq!(world.names(&second.stream()).await, ["task.created"], "it waits");
    world.spark.limit_flow(limited, None, &who()).await.unwrap();
    world.has(&second.stream(), "task.started").await;
}

#[tokio::test]
async fn the_total_timeout_cuts_a_running_attempt_and_no_other_follows() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    let options =
        RunOptions { total_timeout_ms: Some(1_000), retry: Some(impatient(9)), ..slow(600.0) };
    let task = world.task(flow, options).await;
    assert_eq!(world.end(task).await.status, TaskStatus::Failed);
    let TaskEvent::Failed(failed) = last(&world, task).await else { panic!("it has failed") };
    assert_eq!((failed.why, failed.attempts), (GiveUp::TotalTimeout, 1));
    assert_eq!(failed.failure.class, FailureClass::Timeout);
    assert!(failed.failure.message.contains("total timeout"), "{}", failed.failure);
}

#[tokio::test]
async fn only_an_ended_task_is_deleted_and_its_history_stays() {
    let mut world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    let open = world.task(flow, slow(600.0)).await;
    let refused = world.spark.delete_task(open, &who()).await.unwrap_err();
    assert!(matches!(refused, DispatchError::Rejected(_)), "{refused}");
    assert!(refused.to_string().contains("automagik task cancel"), "{refused}");
    world.spark.terminate_task(open, &who()).await.unwrap();
    world.spark.delete_task(open, &who()).await.unwrap();
    world.kill_and_restart().await;
    let names = world.names(&open.stream()).await;
    assert_eq!(names.first().map(String::as_str), Some("task.created"));
    assert_eq!(names.last().map(String::as_str), Some("task.deleted"));
    let again = world.spark.delete_task(open, &who()).await.unwrap();
    assert_eq!(again.position, None, "already true");
    assert_eq!(world.spark.health().open_tasks, 0);
}

fn creation(key: &str) -> Creation {
    Creation { key: Some(IdempotencyKey::new(key).unwrap()), held: false }
}

async fn ask(world: &World, flow_id: FlowId, text: &str) -> Result<TaskId, DispatchError> {
    let request = NewTask { flow_id, options: input(text) };
    let done = world.spark.create_task_with(request, creation("order-1"), &who()).await?;
    Ok(done.value)
}

#[tokio::test]
async fn a_request_that_is_repeated_under_its_key_makes_one_task() {
    let mut world = World::start(Options::default()).await;
    let echo = world.flow("echo").await;
    let both = tokio::join!(ask(&world, echo, "x"), ask(&world, echo, "x"));
    let task = both.0.unwrap();
    assert_eq!(both.1.unwrap(), task, "two at the same time");
    world.end(task).await;
    world.kill_and_restart().await;
    assert_eq!(ask(&world, echo, "x").await.unwrap(), task, "after its end and a restart too");
    assert_eq!(world.langflow.runs("echo"), 1);
    let other = ask(&world, echo, "y").await.unwrap_err();
    let exists = matches!(other, DispatchError::Rejected(Rejection::Task(TaskRejection::Exists)));
    assert!(exists, "{other}");
    assert_eq!(world.spark.health().open_tasks, 0);
}

/// Makes the flow's own input say something else, as a user would in the editor.
fn set_prompt(world: &World, prompt: &str) {
    world.langflow.edit_flow("prompt", |flow| {
        let data = &mut flow["data"];
        for node in data["nodes"].as_array_mut().unwrap() {
            if let Some(field) = node.pointer_mut("/data/node/template/template/value") {
                *field = prompt.into();
            }
        }
    });
}

async fn retry(world: &World, task: TaskId, version: RunVersion) -> Result<TaskId, DispatchError> {
    let request = RetryTask { version, ..RetryTask::default() };
    Ok(world.spark.retry_task_with(task, request, &who()).await?.value)
}

#[tokio::test]
async fn a_retry_runs_the_definition_of_then_or_of_now() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("prompt").await;
    let first = world.task(flow, input("x")).await;
    world.end(first).await;
    let before = text(&world, first).await;
    set_prompt(&world, "Something else altogether.");
    world.flow("prompt").await;

    let now = retry(&world, first, RunVersion::Now).await.unwrap();
    world.end(now).await;
    assert_ne!(text(&world, now).await, before);
    let then = retry(&world, first, RunVersion::Then).await.unwrap();
    world.end(then).await;
    assert_eq!(text(&world, then).await, before);

    let events: Vec<TaskEvent> = world.decoded(&then.stream()).await;
    let TaskEvent::Created(spec) = &events[0] else { panic!("{events:?}") };
    let hash = spec.definition.clone().expect("the definition is named");
    let by_hash = retry(&world, now, RunVersion::Hash(hash[..8].into())).await.unwrap();
    world.end(by_hash).await;
    assert_eq!(text(&world, by_hash).await, before);
    let unknown = retry(&world, now, RunVersion::Hash("0".repeat(64))).await.unwrap_err();
    assert!(matches!(unknown, DispatchError::Invalid(_)), "{unknown}");
}

#[tokio::test]
async fn a_retry_with_the_same_definition_just_runs() {
    let world = World::start(Options { profile: Profile::V1_7, ..Options::default() }).await;
    let flow = world.flow("prompt").await;
    let first = world.task(flow, input("x")).await;
    world.end(first).await;
    let again = retry(&world, first, RunVersion::Then).await.unwrap();
    assert_eq!(world.end(again).await.status, TaskStatus::Completed);
    set_prompt(&world, "Something else altogether.");
    world.flow("prompt").await;
    let refused = retry(&world, first, RunVersion::Then).await.unwrap_err();
    assert!(refused.to_string().contains("LangFlow 1.11"), "{refused}");
}

#[tokio::test]
async fn secrets_of_an_earlier_definition_come_from_the_present_one_and_are_never_stored() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("llm-no-key").await;
    let first = world.task(flow, input("x")).await;
    world.end(first).await;
    world.langflow.edit_flow("llm-no-key", |flow| flow["data"]["viewport"] = json!({ "zoom": 7 }));
    world.flow("llm-no-key").await;

    let then = retry(&world, first, RunVersion::Then).await.unwrap();
    world.end(then).await;
    let TaskEvent::Failed(failed) = last(&world, then).await else { panic!("it lacks its key") };
    assert_eq!(failed.failure.class, FailureClass::Component, "it ran: {}", failed.failure);

    world.langflow.edit_flow("llm-no-key", |flow| flow["data"]["nodes"] = json!([]));
    let gone = retry(&world, first, RunVersion::Then).await.unwrap();
    world.end(gone).await;
    let TaskEvent::Failed(failed) = last(&world, gone).await else { panic!("it cannot run") };
    assert_eq!(failed.failure.class, FailureClass::Gone);
    assert!(failed.failure.message.contains("api_key"), "{}", failed.failure);

    for stream in [then.stream(), gone.stream(), flow.stream()] {
        for event in world.events(&stream).await {
            let data = String::from_utf8_lossy(&event.data);
            assert!(!data.contains(SECRET), "{stream} holds the secret");
        }
    }
}

#[tokio::test]
async fn a_retry_may_have_another_input_and_another_priority() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    let first = world.task(flow, input("one")).await;
    world.end(first).await;
    let request =
        RetryTask { input: Some("two".into()), priority: Some(7), ..RetryTask::default() };
    let second = world.spark.retry_task_with(first, request, &who()).await.unwrap().value;
    world.end(second).await;
    assert_eq!(
        (text(&world, first).await, text(&world, second).await),
        (json!("one"), json!("two"))
    );
    let events: Vec<TaskEvent> = world.decoded(&second.stream()).await;
    let TaskEvent::Created(spec) = &events[0] else { panic!("{events:?}") };
    assert_eq!(spec.priority, 7);
}

#[tokio::test]
async fn a_higher_priority_overtakes_within_its_source() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    world.spark.limit_flow(flow, Some(1), &who()).await.unwrap();
    let blocking = world.task(flow, slow(600.0)).await;
    world.has(&blocking.stream(), "task.submitted").await;
    let low = world.task(flow, RunOptions { input: "low".into(), ..slow(0.0) }).await;
    let high = RunOptions { input: "high".into(), priority: Some(5), ..slow(0.0) };
    let high = world.task(flow, high).await;
    world.spark.terminate_task(blocking, &who()).await.unwrap();
    world.end(low).await;
    world.end(high).await;
    let began = eventually(PATIENCE, || async {
        let began = world.langflow.began("slow");
        (began.len() == 3).then_some(began)
    })
    .await;
    let inputs: Vec<&str> = began.iter().map(|run| run.input.as_str()).collect();
    assert_eq!(inputs[1..], ["high", "low"]);
}
