//! The supervision tree against a fake LangFlow: retries, cancels, crashes, outages, schedules.

use std::time::Duration;

use serde_json::json;
use spark_actors::{DispatchError, RunOptions};
use spark_events::domain::failure::FailureClass;
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::Recurrence;
use spark_events::domain::schedule::ScheduleEvent;
use spark_events::domain::task::{RemoteStop, TaskEvent, TaskStatus};
use spark_events::{TaskId, Timestamp};
use spark_tests::eventually;
use spark_tests::fake_langflow::{Options, Profile, Trouble};
use spark_tests::world::{PATIENCE, World, impatient, who};

fn input(text: &str) -> RunOptions {
    RunOptions { input: text.into(), retry: Some(impatient(4)), ..RunOptions::default() }
}

fn slow(seconds: f64) -> RunOptions {
    RunOptions { tweaks: Some(json!({ "SlowEcho-00001": { "seconds": seconds } })), ..input("x") }
}

fn profile(profile: Profile) -> Options {
    Options { profile, ..Options::default() }
}

#[tokio::test]
async fn a_task_runs_once_and_brings_its_result_on_every_generation_of_the_api() {
    for generation in [Profile::V1_13, Profile::V1_7, Profile::V1_0] {
        let world = World::start(profile(generation)).await;
        let echo = world.flow("echo").await;
        let task = world.task(echo, input("hello")).await;
        assert_eq!(world.end(task).await.status, TaskStatus::Completed, "{generation:?}");
        let events: Vec<TaskEvent> = world.decoded(&task.stream()).await;
        let Some(TaskEvent::Completed(completed)) = events.last() else { panic!("{events:?}") };
        let output = serde_json::to_value(&completed.output).unwrap();
        assert_eq!(output["inline"]["text"], "hello", "{generation:?}");
        assert_eq!(world.langflow.runs("echo"), 1);
        world.spark.shutdown().await;
    }
}

#[tokio::test]
async fn a_failing_flow_is_tried_as_often_as_the_policy_says_and_each_attempt_is_kept() {
    let world = World::start(Options::default()).await;
    let fail = world.flow("fail").await;
    let task = world.task(fail, input("x")).await;
    assert_eq!(world.end(task).await.status, TaskStatus::Failed);
    let events: Vec<TaskEvent> = world.decoded(&task.stream()).await;
    let failures: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TaskEvent::AttemptFailed(e) => Some((e.attempt, e.failure.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(failures.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for (_, failure) in failures {
        assert_eq!(failure.class, FailureClass::Component);
        assert!(failure.message.contains("deliberate failure on input 'x'"), "{failure}");
        assert_eq!(failure.component.as_deref(), Some("Always Fails"));
    }
    assert_eq!(world.langflow.runs("fail"), 4);
}

#[tokio::test]
async fn a_refused_key_is_not_tried_again() {
    let options = Options { api_key: Some("sk-right".into()), ..Options::default() };
    let world = World::start(options).await;
    let echo = world.flow("echo").await;
    world.langflow.set_trouble(Trouble::Status(403, None));
    let task = world.task(echo, input("x")).await;
    assert_eq!(world.end(task).await.status, TaskStatus::Failed);
    let names = world.names(&task.stream()).await;
    assert_eq!(names.iter().filter(|name| *name == "task.started").count(), 1, "{names:?}");
}

#[tokio::test]
async fn a_running_task_is_cancelled_for_real() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    let task = world.task(flow, slow(600.0)).await;
    world.has(&task.stream(), "task.submitted").await;
    world.spark.cancel_task(task, &who()).await.unwrap();
    assert_eq!(world.end(task).await.status, TaskStatus::Cancelled);
    let events: Vec<TaskEvent> = world.decoded(&task.stream()).await;
    let Some(TaskEvent::Cancelled(cancelled)) = events.last() else { panic!("{events:?}") };
    assert_eq!(cancelled.remote, RemoteStop::Stopped);
    assert_eq!(world.langflow.completed_runs("slow"), 0);
}

#[tokio::test]
async fn a_task_in_the_queue_is_cancelled_at_once() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    let mut running = vec![];
    for _ in 0..4 {
        running.push(world.task(flow, slow(600.0)).await);
    }
    let queued = world.task(flow, slow(600.0)).await;
    world.spark.cancel_task(queued, &who()).await.unwrap();
    assert_eq!(world.end(queued).await.status, TaskStatus::Cancelled);
    assert_eq!(world.names(&queued.stream()).await, ["task.created", "task.cancelled"]);
    for task in running {
        world.spark.cancel_task(task, &who()).await.unwrap();
        assert_eq!(world.end(task).await.status, TaskStatus::Cancelled);
    }
}

#[tokio::test]
async fn cancelling_what_has_ended_or_never_was_says_so() {
    let world = World::start(Options::default()).await;
    let echo = world.flow("echo").await;
    let task = world.task(echo, input("x")).await;
    world.end(task).await;
    let ended = world.spark.cancel_task(task, &who()).await.unwrap_err();
    assert!(matches!(ended, DispatchError::Rejected(_)), "{ended}");
    let unknown = world.spark.cancel_task(TaskId::random(), &who()).await.unwrap_err();
    assert!(matches!(unknown, DispatchError::NotFound { kind: "task", .. }), "{unknown}");
}

#[tokio::test]
async fn an_attempt_over_its_time_is_stopped_and_tried_again() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    let options = RunOptions { timeout_ms: Some(1_000), retry: Some(impatient(2)), ..slow(600.0) };
    let task = world.task(flow, options).await;
    assert_eq!(world.end(task).await.status, TaskStatus::Failed);
    let events: Vec<TaskEvent> = world.decoded(&task.stream()).await;
    let Some(TaskEvent::Failed(failed)) = events.last() else { panic!("{events:?}") };
    assert_eq!((failed.attempts, failed.failure.class), (2, FailureClass::Timeout));
    assert_eq!(world.langflow.completed_runs("slow"), 0, "the source was told to stop");
}

#[tokio::test]
async fn after_a_kill_a_background_run_is_taken_up_again_and_not_paid_for_twice() {
    let mut world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    let task = world.task(flow, slow(2.0)).await;
    world.has(&task.stream(), "task.submitted").await;
    world.kill_and_restart().await;
    assert_eq!(world.end(task).await.status, TaskStatus::Completed);
    let names = world.names(&task.stream()).await;
    assert!(names.contains(&"task.reattached".to_owned()), "{names:?}");
    assert_eq!(world.langflow.runs("slow"), 1, "it ran once");
}

#[tokio::test]
async fn after_a_kill_a_direct_run_is_recorded_as_interrupted_and_tried_again() {
    let mut world = World::start(profile(Profile::V1_0)).await;
    let flow = world.flow("slow").await;
    let task = world.task(flow, slow(0.5)).await;
    world.has(&task.stream(), "task.started").await;
    world.kill_and_restart().await;
    assert_eq!(world.end(task).await.status, TaskStatus::Completed);
    let events: Vec<TaskEvent> = world.decoded(&task.stream()).await;
    let interrupted = events.iter().any(|event| {
        matches!(event, TaskEvent::AttemptFailed(e) if e.failure.class == FailureClass::Interrupted)
    });
    assert!(interrupted, "{events:?}");
}

#[tokio::test]
async fn open_tasks_and_schedules_survive_a_kill_with_and_without_the_index() {
    let mut world = World::start(Options::default()).await;
    let slow_flow = world.flow("slow").await;
    let echo = world.flow("echo").await;
    let mut tasks = vec![];
    for _ in 0..8 {
        tasks.push(world.task(slow_flow, slow(0.3)).await);
    }
    let every = Recurrence::interval(1_000, Timestamp::UNIX_EPOCH);
    let schedule = world.schedule(echo, every, Overlap::Skip, input("tick")).await;
    for _ in 0..2 {
        world.kill_and_restart().await;
    }
    for task in tasks {
        assert_eq!(world.end(task).await.status, TaskStatus::Completed);
    }
    assert_eq!(world.langflow.completed_runs("slow"), 8);
    world.has(&schedule.stream(), "schedule.fired").await;
    world.spark.shutdown().await;
    world.kill_and_restart().await;
    let before = world.events(&schedule.stream()).await.len();
    eventually(PATIENCE, || async {
        (world.events(&schedule.stream()).await.len() > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_instant_of_a_schedule_has_one_outcome_and_fired_ones_have_their_task() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    let every = Recurrence::interval(1_000, Timestamp::UNIX_EPOCH);
    let schedule = world.schedule(flow, every, Overlap::Skip, slow(1.5)).await;
    eventually(PATIENCE, || async {
        (world.events(&schedule.stream()).await.len() >= 6).then_some(())
    })
    .await;
    world.spark.pause_schedule(schedule, &who()).await.unwrap();
    let events: Vec<ScheduleEvent> = world.decoded(&schedule.stream()).await;
    let mut instants = vec![];
    let mut fired = vec![];
    for event in &events {
        match event {
            ScheduleEvent::Fired(e) => {
                instants.push(e.due_at);
                fired.push(e.task_id);
            }
            ScheduleEvent::Skipped(e) => {
                let span = (e.last_due_at - e.first_due_at).num_seconds();
                instants.extend((0..=span).map(|n| e.first_due_at + chrono::TimeDelta::seconds(n)));
            }
            _ => {}
        }
    }
    assert!(
        instants.windows(2).all(|pair| pair[1] - pair[0] == chrono::TimeDelta::seconds(1)),
        "{instants:?}"
    );
    assert!(fired.len() < instants.len(), "a slow flow makes Skip skip");
    for task in fired {
        assert_eq!(world.end(task).await.status, TaskStatus::Completed);
    }
}

#[tokio::test]
async fn a_fired_occurrence_whose_task_was_not_created_is_handed_over_after_a_kill() {
    let mut world = World::start(Options::default()).await;
    let echo = world.flow("echo").await;
    let at = spark_events::Clock::now(&spark_events::SystemClock);
    // The schedule's event is stored; the task's is refused until the kill.
    let schedule = world
        .schedule(
            echo,
            Recurrence::Once { at: at + chrono::TimeDelta::seconds(1) },
            Overlap::Skip,
            input("x"),
        )
        .await;
    eventually(PATIENCE, || async {
        if world.names(&schedule.stream()).await.iter().any(|name| name == "schedule.fired") {
            world.faults.set_down(true);
            return Some(());
        }
        None
    })
    .await;
    world.kill_and_restart().await;
    let events: Vec<ScheduleEvent> = world.decoded(&schedule.stream()).await;
    let fired = events.iter().find_map(|event| match event {
        ScheduleEvent::Fired(e) => Some(e.task_id),
        _ => None,
    });
    let task = fired.expect("it fired");
    world.has(&task.stream(), "task.completed").await;
    assert_eq!(world.langflow.completed_runs("echo"), 1);
}

#[tokio::test]
async fn while_the_log_is_away_commands_are_refused_and_schedules_make_up_for_it() {
    let world = World::start(Options::default()).await;
    let echo = world.flow("echo").await;
    let every = Recurrence::interval(1_000, Timestamp::UNIX_EPOCH);
    let schedule = world.schedule(echo, every, Overlap::AllowAll, input("tick")).await;
    world.has(&schedule.stream(), "schedule.fired").await;
    world.faults.set_down(true);
    let request = spark_actors::NewTask { flow_id: echo, options: input("x") };
    let refused = world.spark.create_task(request, &who()).await.unwrap_err();
    assert!(matches!(refused, DispatchError::Unavailable { .. }), "{refused}");
    let stored = world.events(&schedule.stream()).await.len();
    eventually(PATIENCE, || async { world.spark.health().log_trouble.is_some().then_some(()) })
        .await;
    tokio::time::timeout(Duration::from_secs(3), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(world.events(&schedule.stream()).await.len(), stored, "nothing can be stored");
    world.faults.heal();
    eventually(PATIENCE, || async {
        (world.events(&schedule.stream()).await.len() >= stored + 3).then_some(())
    })
    .await;
    let events: Vec<ScheduleEvent> = world.decoded(&schedule.stream()).await;
    let due: Vec<Timestamp> = events
        .iter()
        .filter_map(|event| match event {
            ScheduleEvent::Fired(e) => Some(e.due_at),
            _ => None,
        })
        .collect();
    assert!(
        due.windows(2).all(|pair| pair[1] - pair[0] == chrono::TimeDelta::seconds(1)),
        "{due:?}"
    );
    assert_eq!(world.spark.health().crashes, 0, "an outage is no crash");
}

#[tokio::test]
async fn an_answer_lost_after_the_write_stores_nothing_twice() {
    let world = World::start(Options::default()).await;
    let echo = world.flow("echo").await;
    world.faults.lose_acks(1);
    let request = spark_actors::NewTask { flow_id: echo, options: input("x") };
    let unsure = world.spark.create_task(request, &who()).await.unwrap_err();
    assert!(matches!(unsure, DispatchError::Unavailable { .. }), "{unsure}");
    // It was stored all the same, and so it runs: nothing that is in the log is forgotten.
    eventually(PATIENCE, || async { (world.langflow.completed_runs("echo") == 1).then_some(()) })
        .await;
}

#[tokio::test]
async fn a_retried_task_is_a_new_one_that_names_the_old_one() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    let task = world.task(flow, slow(600.0)).await;
    let open = world.spark.retry_task(task, &who()).await.unwrap_err();
    assert!(matches!(open, DispatchError::Conflict(_)), "{open}");
    world.spark.cancel_task(task, &who()).await.unwrap();
    world.end(task).await;
    let again = world.spark.retry_task(task, &who()).await.unwrap().value;
    let events: Vec<TaskEvent> = world.decoded(&again.stream()).await;
    let Some(TaskEvent::Created(spec)) = events.first() else { panic!("{events:?}") };
    let trigger = serde_json::to_value(spec.trigger).unwrap();
    assert_eq!(trigger, json!({ "kind": "retry_of", "task_id": task }));
    world.spark.cancel_task(again, &who()).await.unwrap();
}

#[tokio::test]
async fn a_source_that_cannot_be_used_is_refused_with_the_reason() {
    let world =
        World::start(Options { api_key: Some("sk-right".into()), ..Options::default() }).await;
    let add = |name: &str, url: String, key: &str| {
        let api_key = Some(spark_actors::langflow::Secret::new(key.into()));
        let name = Some(name.into());
        spark_actors::AddSource { name, url, api_key, ..Default::default() }
    };
    let taken = world.spark.add_source(add("b", world.langflow.url(), "sk-right"), &who()).await;
    assert!(matches!(taken, Err(DispatchError::Conflict(_))), "{taken:?}");
    let other = spark_tests::fake_langflow::FakeLangFlow::start(Options {
        api_key: Some("sk-right".into()),
        ..Options::default()
    })
    .await;
    let wrong =
        world.spark.add_source(add("b", other.url(), "sk-wrong"), &who()).await.unwrap_err();
    let DispatchError::Source { failure, .. } = &wrong else { panic!("{wrong}") };
    assert_eq!(failure.class, FailureClass::Auth);
    assert!(!wrong.to_string().contains("sk-wrong"), "{wrong}");
    let bad = world.spark.add_source(add("b", "ftp://x".into(), "k"), &who()).await;
    assert!(matches!(bad, Err(DispatchError::Invalid(_))), "{bad:?}");
}

#[tokio::test]
async fn no_key_and_no_secret_of_a_flow_reaches_the_log() {
    let options = Options { api_key: Some("sk-very-secret".into()), ..Options::default() };
    let world = World::start(options).await;
    let flow = world.flow("llm-no-key").await;
    let task = world.task(flow, input("x")).await;
    world.end(task).await;
    let all = world.spark.log().read_all(spark_events::Position::START, 1_000).await.unwrap();
    assert!(all.len() > 3);
    for event in all {
        let text = String::from_utf8_lossy(&event.data);
        assert!(!text.contains("sk-very-secret"), "{} holds the key", event.event_type);
        assert!(
            !text.contains(spark_tests::fake_langflow::SECRET),
            "{} holds a secret",
            event.event_type
        );
    }
}
