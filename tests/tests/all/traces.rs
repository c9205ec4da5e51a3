//! Where a run stands in a distributed trace: what its source is told, and that it can be told from
//! the history alone.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::json;
use spark_actors::{NewTask, OtlpConfig, RunOptions, Who};
use spark_events::domain::trace::{SpanId, TraceParent};
use spark_events::{TaskId, ids};
use spark_tests::eventually;
use spark_tests::fake_agent::{FakeAgent, Reply};
use spark_tests::fake_langflow::{Options, Profile};
use spark_tests::world::{PATIENCE, World, impatient, who};
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

fn to(collector: &FakeAgent) -> OtlpConfig {
    let get = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(collector.url().to_owned()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-token=abc".to_owned()),
        _ => None,
    };
    OtlpConfig::from_env(get, "0.0.0").unwrap().unwrap()
}

/// The spans that a collector got.
fn got(collector: &FakeAgent) -> Vec<Span> {
    let asked = collector.asked().into_iter();
    let requests = asked.map(|asked| {
        assert_eq!(asked.line, "POST /v1/traces");
        assert_eq!(asked.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(asked.header("x-token"), Some("abc"));
        ExportTraceServiceRequest::decode(asked.bytes).unwrap()
    });
    let of_all = requests.flat_map(|request| request.resource_spans);
    of_all.flat_map(|of_one| of_one.scope_spans).flat_map(|scope| scope.spans).collect()
}

#[tokio::test]
async fn a_collector_gets_the_task_its_attempts_and_their_calls() {
    let world = World::start(Options::default()).await;
    let collector = FakeAgent::start([Reply::Json(200, None, json!({}))]).await;
    world.spark.export_traces(to(&collector));
    let fail = world.flow("fail").await;
    let options =
        RunOptions { input: "x".into(), retry: Some(impatient(2)), ..RunOptions::default() };
    let task = world.task(fail, options).await;
    world.end(task).await;
    let spans = eventually(PATIENCE, || async {
        let spans = got(&collector);
        spans.iter().any(|span| span.name == "task").then_some(spans)
    })
    .await;
    let trace = trace_of(&world, task).await;
    let find = |id: SpanId| {
        let found = spans.iter().find(|span| span.span_id == id.to_bytes());
        found.unwrap_or_else(|| panic!("{id} is not in {spans:#?}"))
    };
    let whole = find(SpanId::of_task(task));
    assert_eq!((whole.name.as_str(), whole.attributes.len()), ("task", 5));
    for n in [1, 2] {
        let attempt = find(SpanId::of_attempt(task, n));
        assert_eq!(attempt.parent_span_id, whole.span_id);
        let call = find(SpanId::of_call(task, n));
        assert_eq!(call.parent_span_id, attempt.span_id);
        assert!(whole.start_time_unix_nano <= attempt.start_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= whole.end_time_unix_nano);
        assert!(attempt.start_time_unix_nano < attempt.end_time_unix_nano);
    }
    assert_eq!(spans.len(), 5);
    for span in &spans {
        assert_eq!(span.trace_id, trace.as_bytes());
        let status = span.status.clone().unwrap();
        assert_eq!(status.code, i32::from(StatusCode::Error), "{span:?}");
    }
}

#[tokio::test]
async fn a_collector_that_is_silent_holds_up_nobody() {
    let world = World::start(Options::default()).await;
    let collector = FakeAgent::start([Reply::Silence]).await;
    world.spark.export_traces(to(&collector));
    let echo = world.flow("echo").await;
    for _ in 0..3 {
        let task = world.task(echo, RunOptions::default()).await;
        world.end(task).await;
    }
    let stopped = tokio::time::timeout(PATIENCE, world.spark.shutdown()).await;
    assert!(stopped.is_ok(), "the shutdown waits for a collector");
}
