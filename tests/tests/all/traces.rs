//! Where a run stands in a distributed trace: what its source is told, and that it can be told from
//! the history alone.

use serde_json::json;
use spark_actors::{NewTask, RunOptions, Who};
use spark_events::domain::trace::{SpanId, TraceParent};
use spark_events::{TaskId, ids};
use spark_tests::fake_langflow::{Options, Profile};
use spark_tests::world::{World, impatient, who};
use uuid::Uuid;

/// The trace of a task, from its history.
async fn trace_of(world: &World, task: TaskId) -> Uuid {
    let events = world.events(&task.stream()).await;
    let trace = events[0].metadata.correlation_id;
    for event in &events {
        assert_eq!(event.metadata.correlation_id, trace, "{} stands alone", event.event_type);
    }
    trace
}

#[tokio::test]
async fn a_source_is_told_for_which_run_it_works_in_every_request_of_it() {
    for profile in [Profile::V1_13, Profile::V1_7, Profile::V1_0] {
        let world = World::start(Options { profile, ..Options::default() }).await;
        let fail = world.flow("fail").await;
        assert_eq!(world.langflow.traced(), [], "probes and syncs belong to no run");
        let options =
            RunOptions { input: "x".into(), retry: Some(impatient(2)), ..RunOptions::default() };
        let task = world.task(fail, options).await;
        world.end(task).await;
        let trace = trace_of(&world, task).await;
        let told = world.langflow.traced();
        for attempt in [1, 2] {
            let place = TraceParent { trace, span: SpanId::of_call(task, attempt) }.to_string();
            let of_it = told.iter().filter(|(_, told)| *told == place).count();
            assert!(of_it > 0, "{profile:?}: attempt {attempt} is not in {told:?}");
        }
        let foreign = told.iter().any(|(_, told)| !told.contains(&trace.simple().to_string()));
        assert!(!foreign, "{told:?}");
        world.spark.shutdown().await;
    }
}

#[tokio::test]
async fn a_run_keeps_its_trace_when_spark_dies_in_the_middle_of_it() {
    let mut world = World::start(Options { profile: Profile::V1_13, ..Options::default() }).await;
    let slow = world.flow("slow").await;
    let tweaks = json!({ "SlowEcho-00001": { "seconds": 60.0 } });
    let options = RunOptions { tweaks: Some(tweaks), ..RunOptions::default() };
    let asked = Who { trace: Some(ids::new_uuid()), ..who() };
    let new = NewTask { flow_id: slow, options };
    let task = world.spark.create_task(new, &asked).await.expect("the task is made").value;
    world.has(&task.stream(), "task.submitted").await;
    world.kill_and_restart().await;
    world.has(&task.stream(), "task.reattached").await;
    world.langflow.release();
    world.end(task).await;
    assert_eq!(Some(trace_of(&world, task).await), asked.trace, "the caller's own");
}
