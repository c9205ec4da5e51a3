//! Schedules and the flow behind them: one that holds starts nothing while its flow is not at the
//! source as it was synced; and a rival is stopped at the source for the one that comes after it.

use serde_json::json;
use spark_actors::{NewSchedule, RunOptions};
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::Recurrence;
use spark_events::domain::schedule::{OnDrift, ScheduleEvent, SkipReason};
use spark_events::domain::task::{RemoteStop, TaskEvent, TaskStatus};
use spark_events::{Clock, FlowId, ScheduleId, SystemClock};
use spark_tests::eventually;
use spark_tests::fake_langflow::Options;
use spark_tests::world::{PATIENCE, World, impatient, who};

async fn every_second(world: &World, flow: FlowId, overlap: Overlap, seconds: f64) -> ScheduleId {
    let interval = Recurrence::interval(1_000, SystemClock.now());
    let options = RunOptions {
        input: "x".into(),
        retry: Some(impatient(1)),
        tweaks: (seconds > 0.0).then(|| json!({ "SlowEcho-00001": { "seconds": seconds } })),
        ..RunOptions::default()
    };
    let on_drift = OnDrift::Hold;
    let request = NewSchedule { overlap, on_drift, ..NewSchedule::new(flow, interval, options) };
    world.spark.create_schedule(request, &who()).await.unwrap().value
}

async fn events(world: &World, id: ScheduleId) -> Vec<ScheduleEvent> {
    world.decoded(&id.stream()).await
}

async fn until(world: &World, id: ScheduleId, what: impl Fn(&ScheduleEvent) -> bool) {
    let before = events(world, id).await.len();
    eventually(PATIENCE, || async {
        events(world, id).await[before..].iter().any(&what).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_schedule_that_holds_waits_for_its_flow_to_be_synced_again() {
    let world = World::start(Options::default()).await;
    let echo = world.flow("echo").await;
    let id = every_second(&world, echo, Overlap::AllowAll, 0.0).await;
    let fired = |event: &ScheduleEvent| matches!(event, ScheduleEvent::Fired(_));
    until(&world, id, fired).await;
    world.langflow.edit_flow("echo", |flow| {
        let nodes = flow["data"]["nodes"].as_array_mut().unwrap();
        let input = nodes.iter_mut().find(|node| node["data"]["type"] == "ChatInput").unwrap();
        input["data"]["node"]["template"]["sender_name"]["value"] = json!("Somebody else");
    });
    let held = |event: &ScheduleEvent| {
        matches!(event, ScheduleEvent::Skipped(e)
            if matches!(&e.reason, SkipReason::Drift { remote_hash: Some(_) }))
    };
    until(&world, id, held).await;
    world.has(&echo.stream(), "flow.drift_detected").await;
    let runs = world.langflow.runs("echo");
    until(&world, id, held).await;
    assert_eq!(world.langflow.runs("echo"), runs, "nothing runs meanwhile");
    world.flow("echo").await;
    until(&world, id, fired).await;
}

#[tokio::test]
async fn the_rival_is_stopped_at_the_source_for_the_one_that_comes_after_it() {
    let world = World::start(Options::default()).await;
    let slow = world.flow("slow").await;
    let id = every_second(&world, slow, Overlap::CancelOther, 600.0).await;
    let first = eventually(PATIENCE, || async {
        events(&world, id).await.into_iter().find_map(|event| match event {
            ScheduleEvent::Fired(e) => Some(e.task_id),
            _ => None,
        })
    })
    .await;
    assert_eq!(world.end(first).await.status, TaskStatus::Cancelled);
    let told: Vec<TaskEvent> = world.decoded(&first.stream()).await;
    let Some(TaskEvent::Cancelled(cancelled)) = told.last() else { panic!("{told:?}") };
    assert_eq!(cancelled.remote, RemoteStop::Stopped);
    let asked = world.events(&first.stream()).await;
    let asked = asked.iter().find(|event| &*event.event_type == "task.cancel_requested").unwrap();
    let reason = asked.metadata.reason.as_deref().unwrap();
    assert!(reason.contains("CancelOther"), "{reason}");
    world.spark.pause_schedule(id, &who()).await.unwrap();
}
