//! Flows against a fake LangFlow: syncs that say what changed, drift, flows made and pushed here.

use std::time::Duration;

use serde_json::{Value, json};
use spark_actors::{
    CreateFlow, DiffAsked, DiffSide, DispatchError, EditFlow, NewTask, PushFlow, RunOptions,
    SyncFlow, SyncWhich, VersionRef,
};
use spark_events::FlowId;
use spark_events::domain::component::MASK;
use spark_events::domain::flow::{FlowEvent, RemoteDrift};
use spark_events::domain::task::TaskStatus;
use spark_events::limits::{DRIFT_EVERY_MS_DEFAULT, DRIFT_EVERY_MS_MIN, READ_EVENTS_MAX};
use spark_events::log::Direction;
use spark_tests::eventually;
use spark_tests::fake_langflow::{Options, Profile, SECRET, Trouble};
use spark_tests::world::{PATIENCE, World, who};

fn field<'a>(flow: &'a mut Value, kind: &str, name: &str) -> &'a mut Value {
    let nodes = flow["data"]["nodes"].as_array_mut().unwrap();
    let node = nodes.iter_mut().find(|node| node["data"]["type"] == kind).unwrap();
    &mut node["data"]["node"]["template"][name]["value"]
}

fn rename_sender(world: &World, name: &str) {
    world.langflow.edit_flow("echo", |flow| *field(flow, "ChatInput", "sender_name") = json!(name));
}

fn move_nodes(world: &World) {
    world.langflow.edit_flow("echo", |flow| {
        flow["data"]["nodes"][0]["position"] = json!({ "x": 4_711, "y": 5 });
        flow["data"]["viewport"] = json!({ "x": 3, "y": 3, "zoom": 2 });
    });
}

/// Lets the time to the next look at the sources pass at once; then real time goes on, because
/// the fake answers in real time.
async fn let_time_pass() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(DRIFT_EVERY_MS_DEFAULT + 1)).await;
    tokio::time::resume();
}

async fn count(world: &World, flow: FlowId, event_type: &str) -> usize {
    world.names(&flow.stream()).await.iter().filter(|name| *name == event_type).count()
}

/// Waits for so many events of a type.
async fn drift_events(world: &World, flow: FlowId, event_type: &str, wanted: usize) {
    eventually(PATIENCE, || async {
        (count(world, flow, event_type).await == wanted).then_some(())
    })
    .await;
}

/// How often the fake was asked for a list of its flows.
fn lists(world: &World) -> usize {
    let is_list = |path: &str| path.contains("header_flows");
    world.langflow.requests().iter().filter(|(_, path)| is_list(path)).count()
}

/// Waits until a further look at the source has ended: with the second list from now on.
async fn looked(world: &World) {
    let before = lists(world);
    eventually(PATIENCE, || async { (lists(world) > before + 1).then_some(()) }).await;
}

/// A world whose sources are looked at as often as may be.
async fn watchful(options: Options) -> World {
    let world = World::start(options).await;
    world.spark.set_drift_every(Some(Duration::from_millis(DRIFT_EVERY_MS_MIN)));
    world
}

async fn sync(world: &World, name: &str) -> spark_actors::SyncOutcome {
    let request = SyncFlow { remote: format!("e2e-{name}"), ..SyncFlow::default() };
    let which = SyncWhich::Named(vec![request]);
    let report = world.spark.sync_flows(world.source, which, &who()).await.unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    report.synced.into_iter().next().unwrap()
}

#[tokio::test]
async fn a_second_sync_says_what_changed_and_each_is_a_version() {
    let world = World::start(Options::default()).await;
    let first = sync(&world, "echo").await;
    assert_eq!(first.changes, None, "it is new");
    let nothing = world.spark.flow_version(first.id, &VersionRef::Previous).await.unwrap_err();
    assert!(nothing.to_string().contains("one version so far"), "{nothing}");
    let same = sync(&world, "echo").await;
    assert!(same.changes.unwrap().is_empty() && same.position.is_none());
    rename_sender(&world, "Ana");
    world.langflow.edit_flow("echo", |flow| flow["description"] = json!("New."));
    let changes = sync(&world, "echo").await.changes.unwrap();
    assert_eq!(changes.description.unwrap().new, "New.");
    assert_eq!(changes.definition.lines(), ["ChatInput-00001 changed: sender_name"]);
    assert_eq!(changes.definition.components[0].fields[0].new, "Ana");

    let versions = world.spark.flow_versions(first.id).await.unwrap();
    let told: Vec<_> = versions.iter().map(|v| (v.number, v.how, v.by.as_str())).collect();
    assert_eq!(told, [(1, "synced", "user:test"), (2, "synced", "user:test")]);
    let hash = VersionRef::parse(&versions[0].hash[..8]).unwrap();
    let (version, definition) = world.spark.flow_version(first.id, &hash).await.unwrap();
    assert_eq!((version.number, definition["nodes"].as_array().unwrap().len()), (1, 2));
    let unknown = world.spark.flow_version(first.id, &VersionRef::Number(9)).await.unwrap_err();
    assert!(matches!(unknown, DispatchError::NotFound { .. }), "{unknown}");
}

#[tokio::test]
async fn several_flows_or_a_folder_are_synced_with_one_list() {
    let world = World::start(Options::default()).await;
    let named = |name: &str| SyncFlow { remote: name.into(), ..SyncFlow::default() };
    let which = SyncWhich::Named(vec![named("e2e-echo"), named("nonsense"), named("e2e-slow")]);
    let before = lists(&world);
    let report = world.spark.sync_flows(world.source, which, &who()).await.unwrap();
    assert_eq!((report.synced.len(), report.failed.len()), (2, 1));
    assert_eq!(report.failed[0].name, "nonsense");
    assert_eq!(lists(&world), before + 1);
    let folder = |name: &str| SyncWhich::All { folder: Some(name.into()), force: false };
    let all = world.spark.sync_flows(world.source, folder("Starter Project"), &who()).await;
    assert_eq!(all.unwrap().synced.len(), 10);
    let none = world.spark.sync_flows(world.source, folder("Elsewhere"), &who()).await.unwrap_err();
    assert!(matches!(none, DispatchError::NotFound { .. }), "{none}");
}

#[tokio::test]
async fn drift_is_found_once_and_ends_with_a_sync() {
    let mut world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    rename_sender(&world, "Ana");
    let_time_pass().await;
    drift_events(&world, flow, "flow.drift_detected", 1).await;
    world.spark.check_flow(flow).await.unwrap();
    assert_eq!(count(&world, flow, "flow.drift_detected").await, 1, "once for one state");
    let events: Vec<FlowEvent> = world.decoded(&flow.stream()).await;
    let Some(FlowEvent::DriftDetected(drift)) = events.last() else { panic!("{events:?}") };
    assert_eq!(drift.lines(), ["ChatInput-00001 changed: sender_name"]);
    assert_eq!(world.spark.health().drifted_flows, 1);
    world.kill_and_restart().await;
    assert_eq!(world.spark.health().drifted_flows, 1, "it is known after a start");
    world.flow("echo").await;
    let names = world.names(&flow.stream()).await;
    assert_eq!(names[2..], ["flow.synced", "flow.drift_cleared"]);
    assert_eq!(world.spark.health().drifted_flows, 0);
}

#[tokio::test]
async fn moving_a_node_is_no_drift_and_going_back_ends_it() {
    for profile in [Profile::V1_13, Profile::V1_7] {
        let world = watchful(Options { profile, ..Options::default() }).await;
        let flow = world.flow("echo").await;
        let before = world.langflow.flow("echo");
        move_nodes(&world);
        looked(&world).await;
        assert_eq!(world.names(&flow.stream()).await, ["flow.synced"], "{profile:?}");
        rename_sender(&world, "Ana");
        drift_events(&world, flow, "flow.drift_detected", 1).await;
        world.langflow.edit_flow("echo", |flow| *flow = before);
        drift_events(&world, flow, "flow.drift_cleared", 1).await;
        world.spark.shutdown().await;
    }
}

#[tokio::test]
async fn what_cannot_have_changed_is_not_fetched_again() {
    let world = watchful(Options::default()).await;
    let flow = world.flow("echo").await;
    let remote = spark_tests::fake_langflow::FakeLangFlow::flow_id("echo");
    let fetched = || world.langflow.requests().iter().filter(|(_, p)| p.contains(&remote)).count();
    // The sync, and two looks because the source's times have whole seconds.
    looked(&world).await;
    looked(&world).await;
    assert_eq!(fetched(), 3);
    looked(&world).await;
    assert_eq!(fetched(), 3);
    assert_eq!(count(&world, flow, "flow.drift_detected").await, 0);
}

#[tokio::test]
async fn a_flow_that_is_gone_at_the_source_has_drifted() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    world.langflow.remove_flow("echo");
    let_time_pass().await;
    drift_events(&world, flow, "flow.drift_detected", 1).await;
    let drift = world.spark.check_flow(flow).await.unwrap().unwrap();
    assert_eq!(drift.remote, RemoteDrift::Missing);
    assert_eq!(count(&world, flow, "flow.drift_detected").await, 1);
}

#[tokio::test]
async fn a_check_before_a_run_is_made_at_once_and_says_when_it_cannot_be() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    assert_eq!(world.spark.check_flow(flow).await.unwrap(), None);
    rename_sender(&world, "Ana");
    assert!(world.spark.check_flow(flow).await.unwrap().is_some());
    assert_eq!(count(&world, flow, "flow.drift_detected").await, 1);
    world.langflow.set_trouble(Trouble::Status(503, None));
    let failed = world.spark.check_flow(flow).await.unwrap_err();
    assert!(matches!(failed, DispatchError::Source { .. }), "{failed}");
    assert_eq!(world.spark.health().drifted_flows, 1, "what is not known does not change");
}

/// A flow of the fake as LangFlow exports it, under another name.
fn export(world: &World, flow: &str, name: &str) -> CreateFlow {
    let mut definition = world.langflow.flow(flow);
    definition["name"] = json!(name);
    CreateFlow { definition, ..CreateFlow::default() }
}

fn push_to(world: &World) -> PushFlow {
    PushFlow { source: Some(world.source), force: false }
}

#[tokio::test]
async fn a_flow_made_here_runs_once_it_is_pushed_and_is_changed_by_the_next_push() {
    let mut world = World::start(Options::default()).await;
    let request = export(&world, "echo", "e2e-mine");
    let flow = world.spark.create_flow(request, &who()).await.unwrap().value;
    let run = || NewTask { flow_id: flow, options: RunOptions::default() };
    let refused = world.spark.create_task(run(), &who()).await.unwrap_err();
    assert!(refused.to_string().contains("automagik flow push"), "{refused}");
    world.kill_and_restart().await;
    let pushed = world.spark.push_flow(flow, push_to(&world), &who()).await.unwrap().value;
    assert!(pushed.created && pushed.empty_secrets.is_empty());
    let task = world.task(flow, RunOptions { input: "hi".into(), ..RunOptions::default() }).await;
    assert_eq!(world.end(task).await.status, TaskStatus::Completed);
    assert_eq!(world.langflow.runs("mine"), 1);

    assert_eq!(sync(&world, "mine").await.id, flow, "a sync finds the flow that was pushed");
    let mut definition = world.langflow.flow("mine");
    *field(&mut definition, "ChatInput", "sender_name") = json!("Ana");
    let edit = EditFlow { definition: Some(definition), ..EditFlow::default() };
    world.spark.edit_flow(flow, edit, &who()).await.unwrap();
    let lost = world.flow_again("e2e-mine").await.unwrap_err();
    assert!(lost.to_string().contains("--force"), "{lost}");
    let again = world.spark.push_flow(flow, PushFlow::default(), &who()).await.unwrap().value;
    assert!(!again.created);
    assert_eq!(*field(&mut world.langflow.flow("mine"), "ChatInput", "sender_name"), "Ana");
    let how: Vec<_> =
        world.spark.flow_versions(flow).await.unwrap().iter().map(|version| version.how).collect();
    assert_eq!(how, ["created", "pushed", "edited", "pushed"]);
    let asked = DiffAsked {
        from: DiffSide::Version(flow, VersionRef::Current),
        to: DiffSide::Remote(flow),
    };
    assert!(world.spark.diff_flows(&asked).await.unwrap().2.is_empty());
}

trait Again {
    async fn flow_again(&self, name: &str) -> Result<FlowId, DispatchError>;
}

impl Again for World {
    async fn flow_again(&self, name: &str) -> Result<FlowId, DispatchError> {
        let request = SyncFlow { remote: name.into(), ..SyncFlow::default() };
        self.spark.sync_flow(self.source, request, &who()).await.map(|done| done.value)
    }
}

#[tokio::test]
async fn a_push_does_not_run_over_a_change_at_the_source() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    let edit = EditFlow { description: Some("Mine.".into()), ..EditFlow::default() };
    world.spark.edit_flow(flow, edit, &who()).await.unwrap();
    rename_sender(&world, "Ana");
    let refused = world.spark.push_flow(flow, PushFlow::default(), &who()).await.unwrap_err();
    assert!(matches!(refused, DispatchError::Conflict(_)), "{refused}");
    assert_eq!(*field(&mut world.langflow.flow("echo"), "ChatInput", "sender_name"), "Ana");
    let force = PushFlow { source: None, force: true };
    world.spark.push_flow(flow, force, &who()).await.unwrap();
    assert_eq!(*field(&mut world.langflow.flow("echo"), "ChatInput", "sender_name"), "User");
    assert_eq!(world.langflow.flow("echo")["description"], "Mine.");

    world.langflow.remove_flow("echo");
    let gone = world.spark.push_flow(flow, PushFlow::default(), &who()).await.unwrap_err();
    assert!(gone.to_string().contains("--force"), "{gone}");
    assert!(world.spark.push_flow(flow, force, &who()).await.unwrap().value.created);
}

#[tokio::test]
async fn a_name_that_is_taken_at_the_source_is_not_pushed_twice() {
    let world = World::start(Options::default()).await;
    let request = export(&world, "echo", "e2e-echo");
    let flow = world.spark.create_flow(request, &who()).await.unwrap().value;
    let refused = world.spark.push_flow(flow, push_to(&world), &who()).await.unwrap_err();
    assert!(refused.to_string().contains("e2e-echo"), "{refused}");
    let nowhere = world.spark.push_flow(flow, PushFlow::default(), &who()).await.unwrap_err();
    assert!(matches!(nowhere, DispatchError::Invalid(_)), "{nowhere}");
}

#[tokio::test]
async fn secrets_stay_at_the_source_and_never_come_into_the_log() {
    let world = World::start(Options::default()).await;
    world.langflow.edit_flow("llm-no-key", |flow| {
        *field(flow, "LanguageModelComponent", "api_key") = json!(SECRET);
    });
    let flow = world.flow("llm-no-key").await;
    let edit = EditFlow { description: Some("Described.".into()), ..EditFlow::default() };
    world.spark.edit_flow(flow, edit, &who()).await.unwrap();
    let pushed = world.spark.push_flow(flow, PushFlow::default(), &who()).await.unwrap().value;
    assert_eq!(pushed.empty_secrets, Vec::<String>::new());
    let mut remote = world.langflow.flow("llm-no-key");
    assert_eq!(*field(&mut remote, "LanguageModelComponent", "api_key"), SECRET, "it is kept");
    assert_eq!(remote["description"], "Described.");

    let request = export(&world, "llm-no-key", "e2e-copy");
    let copy = world.spark.create_flow(request, &who()).await.unwrap().value;
    let pushed = world.spark.push_flow(copy, push_to(&world), &who()).await.unwrap().value;
    assert_eq!(pushed.empty_secrets, ["LanguageModelComponent-00001.api_key"]);
    assert_eq!(*field(&mut world.langflow.flow("copy"), "LanguageModelComponent", "api_key"), "");

    let log = world.spark.log();
    let events = log.read_all(spark_events::Position(0), READ_EVENTS_MAX).await.unwrap();
    assert!(!events.is_empty() && events.len() < READ_EVENTS_MAX);
    for event in events {
        let text = String::from_utf8_lossy(&event.data).into_owned();
        assert!(!text.contains(SECRET), "{}", event.event_type);
    }
    for id in [flow, copy] {
        let (_, definition) = world.spark.flow_version(id, &VersionRef::Number(1)).await.unwrap();
        let text = definition.to_string();
        assert!(text.contains(MASK) && !text.contains(SECRET));
    }
}

#[tokio::test]
async fn what_is_no_flow_is_not_stored() {
    let world = World::start(Options::default()).await;
    let before = world.spark.log().head().await.unwrap();
    let request = CreateFlow { definition: json!({ "nodes": [] }), ..CreateFlow::default() };
    let refused = world.spark.create_flow(request, &who()).await.unwrap_err();
    assert!(refused.to_string().contains("data.edges is missing"), "{refused}");
    let mut nameless = export(&world, "echo", "x");
    nameless.definition = nameless.definition["data"].take();
    let refused = world.spark.create_flow(nameless, &who()).await.unwrap_err();
    assert!(refused.to_string().contains("--name"), "{refused}");
    assert_eq!(world.spark.log().head().await.unwrap(), before);
}

#[tokio::test]
async fn tweaks_are_checked_against_types_and_secrets() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("slow").await;
    let run = async |tweaks: Value| {
        let options = RunOptions { tweaks: Some(tweaks), ..RunOptions::default() };
        world.spark.create_task(NewTask { flow_id: flow, options }, &who()).await
    };
    for (tweaks, part) in [
        (json!({ "SlowEcho-00001": { "seconds": "soon" } }), "takes a number"),
        (json!({ "SlowEcho-00001": { "second": 1 } }), "did you mean \"seconds\"?"),
        (json!({ "SlowEcho-00001": { "code": "x" } }), "cannot be set by a tweak"),
        (json!({ "SlowEko-00001": { "seconds": 1 } }), "did you mean \"SlowEcho-00001\"?"),
    ] {
        let refused = run(tweaks.clone()).await.unwrap_err().to_string();
        assert!(refused.contains(part), "{tweaks}: {refused}");
    }
    let task = run(json!({ "SlowEcho-00001": { "seconds": 0.01 } })).await.unwrap().value;
    assert_eq!(world.end(task).await.status, TaskStatus::Completed);
    let components = world.spark.flow_components(flow).await.unwrap();
    let slow = components.iter().find(|component| component.kind == "SlowEcho").unwrap();
    assert!(slow.fields.iter().any(|field| field.name == "seconds"), "{slow:?}");
}

#[tokio::test]
async fn a_limit_of_runs_is_kept_over_a_start() {
    let mut world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    world.spark.limit_flow(flow, Some(2), &who()).await.unwrap();
    let zero = world.spark.limit_flow(flow, Some(0), &who()).await.unwrap_err();
    assert!(zero.to_string().contains("pause its schedules"), "{zero}");
    world.kill_and_restart().await;
    let same = world.spark.limit_flow(flow, Some(2), &who()).await.unwrap();
    assert_eq!(same.position, None, "it is so already");
    let lifted = world.spark.limit_flow(flow, None, &who()).await.unwrap();
    assert!(lifted.position.is_some());
    let read = world.spark.log().read_stream(&flow.stream(), None, Direction::Backward, 1).await;
    assert_eq!(read.unwrap()[0].data, r#"{"runs_max":"none"}"#);
}
