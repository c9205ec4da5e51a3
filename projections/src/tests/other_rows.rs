//! Sources, flows and workers in their rows.

use spark_events::domain::failure::FailureClass;
use spark_events::domain::flow::{
    Drift, DriftCleared, FlowContent, FlowDeleted, FlowEvent, FlowPushed, FlowUpdated, RemoteDrift,
    RunsLimit,
};
use spark_events::domain::labels::Labels;
use spark_events::domain::source::{
    Capabilities, HttpSettings, KeyHeader, Probe, SealedKey, SourceAdded, SourceEvent, SourceKind,
    SourceProbed, SourceRemoved, SourceUpdated,
};
use spark_events::domain::task::{TaskStatus, Trigger};
use spark_events::domain::worker::{WorkerDraining, WorkerEvent, WorkerLost, WorkerStarted};

use super::support::*;
use crate::find::Found;
use crate::flows::FlowFilter;
use crate::sources::SourceFilter;
use crate::store::Page;
use crate::tasks::TaskFilter;
use crate::workers::{WorkerFilter, WorkerRow};

#[tokio::test]
async fn a_source_keeps_what_an_update_does_not_name() {
    let mut story = Story::with_flow();
    let sealed = SealedKey("sealed".into());
    let patch = SourceUpdated { api_key: Some(sealed), runs_max: Some(9), ..Default::default() };
    story.add(SOURCE.stream(), SourceEvent::Updated(patch));
    let down = Probe::Down { class: FailureClass::Unreachable, message: "refused".into() };
    story.add(SOURCE.stream(), SourceEvent::Probed(SourceProbed { probe: down }));
    let row = Model::of(&story).reads().source(SOURCE).await.unwrap().unwrap();
    assert_eq!((row.name.as_str(), row.runs_max, row.has_api_key), ("local", 9, true));
    assert_eq!((row.status, row.reason.as_deref()), ("down", Some("refused")));
    assert_eq!(row.failure_class, Some(FailureClass::Unreachable));
    // What it offered is still worth showing.
    assert_eq!(row.version.as_deref(), Some("1.13.0"));
    assert_eq!((row.created_at, row.updated_at, row.revision.0), (at(1), at(4), 2));
    assert!(!serde_json::to_string(&row).unwrap().contains("sealed"));
}

#[tokio::test]
async fn a_row_tells_the_kind_the_flows_and_since_when_it_is_so() {
    let mut story = Story::with_flow();
    let patch = SourceUpdated { api_key_removed: true, ..Default::default() };
    let sealed = SealedKey("sealed".into());
    let keyed = SourceUpdated { api_key: Some(sealed), ..Default::default() };
    story.add(SOURCE.stream(), SourceEvent::Updated(keyed));
    story.add(SOURCE.stream(), SourceEvent::Updated(patch));
    let row = Model::of(&story).reads().source(SOURCE).await.unwrap().unwrap();
    assert_eq!((row.kind, row.http, row.flows), ("langflow", None, 1));
    assert_eq!((row.has_api_key, row.status_since), (false, at(1)));
    let down = |message: &str| {
        let probe = Probe::Down { class: FailureClass::Unreachable, message: message.into() };
        SourceEvent::Probed(SourceProbed { probe })
    };
    story.add(SOURCE.stream(), down("refused"));
    story.add(SOURCE.stream(), down("silent"));
    story.add(FLOW.stream(), FlowEvent::Deleted(FlowDeleted {}));
    let row = Model::of(&story).reads().source(SOURCE).await.unwrap().unwrap();
    assert_eq!((row.status, row.status_since, row.flows), ("down", at(5), 0));
}

#[tokio::test]
async fn a_source_of_another_kind_has_its_settings_and_no_version() {
    let mut story = Story::default();
    let http = HttpSettings { auth: KeyHeader::Bearer, health_path: None };
    let probe = Probe::Up { capabilities: Capabilities::least() };
    let added = SourceAdded { kind: SourceKind::Http(http.clone()), probe, ..source("hooks") };
    story.add(SOURCE.stream(), SourceEvent::Added(Box::new(added)));
    let row = Model::of(&story).reads().source(SOURCE).await.unwrap().unwrap();
    assert_eq!((row.kind, row.http, row.version), ("http", Some(http), None));
}

#[tokio::test]
async fn a_removed_source_still_names_its_flows() {
    let mut story = Story::with_flow();
    story.add(SOURCE.stream(), SourceEvent::Removed(SourceRemoved {}));
    let model = Model::of(&story);
    let reads = model.reads();
    let listed = reads.list_sources(SourceFilter::default(), Page::default()).await.unwrap();
    assert_eq!((listed.total, listed.items.len()), (0, 0));
    let flow = reads.flow(FLOW).await.unwrap().unwrap();
    assert_eq!(flow.source_name.as_deref(), Some("local"));
}

#[tokio::test]
async fn a_deleted_flow_comes_back_when_synced_again() {
    let mut story = Story::with_flow();
    story.add(FLOW.stream(), FlowEvent::Deleted(FlowDeleted {}));
    let of_source = || FlowFilter { source_id: Some(SOURCE), ..FlowFilter::default() };
    let mut model = Model::of(&story);
    let gone = model.reads().list_flows(of_source(), Page::default()).await.unwrap();
    assert_eq!(gone.total, 0);
    story.add(FLOW.stream(), FlowEvent::Synced(Box::new(flow("Weekly report"))));
    model.feed(&story, story.events.len());
    let back = model.reads().list_flows(of_source(), Page::default()).await.unwrap();
    assert_eq!((back.items[0].name.as_str(), back.items[0].created_at), ("Weekly report", at(2)));
    assert_eq!((back.items[0].deleted, back.items[0].revision.0), (false, 2));
}

#[tokio::test]
async fn a_flow_shows_its_versions_its_drift_and_its_limit() {
    let mut story = Story::with_flow();
    let limit = FlowUpdated { runs_max: Some(RunsLimit::AtMost(3)) };
    story.add(FLOW.stream(), FlowEvent::Updated(limit));
    let summary = vec!["ChatInput-1 changed: sender".to_owned()];
    let remote = RemoteDrift::Changed { remote_hash: "ef".into(), summary };
    story.add(FLOW.stream(), FlowEvent::DriftDetected(Drift { remote, at: at(3) }));
    let content =
        FlowContent { definition_hash: "xy".into(), ..FlowContent::from(&flow("Daily report")) };
    story.add(FLOW.stream(), FlowEvent::Edited(Box::new(content)));
    let mut model = Model::of(&story);
    let row = model.reads().flow(FLOW).await.unwrap().unwrap();
    assert_eq!((row.version, row.runs_max, row.edited, row.drifted), (2, Some(3), true, true));
    assert_eq!(row.definition_hash, "cd", "this is what runs");
    let drifted = FlowFilter { drifted: Some(true), ..FlowFilter::default() };
    let listed = model.reads().list_flows(drifted.clone(), Page::default()).await.unwrap();
    assert_eq!(listed.total, 1);
    story.add(FLOW.stream(), FlowEvent::DriftCleared(DriftCleared { at: at(5) }));
    let back = FlowContent::from(&flow("Daily report"));
    story.add(FLOW.stream(), FlowEvent::Edited(Box::new(back)));
    model.feed(&story, story.events.len());
    let row = model.reads().flow(FLOW).await.unwrap().unwrap();
    assert_eq!((row.version, row.edited, row.drift), (3, false, None));
    let listed = model.reads().list_flows(drifted, Page::default()).await.unwrap();
    assert_eq!(listed.total, 0);
}

#[tokio::test]
async fn a_flow_made_here_has_no_source_until_it_is_pushed() {
    let mut story = Story::with_flow();
    let here = spark_events::FlowId(uuid::Uuid::from_u128(77));
    let content = FlowContent::from(&flow("Mine"));
    story.add(here.stream(), FlowEvent::Created(Box::new(content.clone())));
    let content = FlowContent { name: "Mine, better".into(), ..content };
    story.add(here.stream(), FlowEvent::Edited(Box::new(content)));
    let mut model = Model::of(&story);
    let row = model.reads().flow(here).await.unwrap().unwrap();
    assert_eq!((row.name.as_str(), row.source_id, row.edited), ("Mine, better", None, false));
    let pushed = FlowPushed { created: true, flow: flow("Mine, better") };
    story.add(here.stream(), FlowEvent::Pushed(Box::new(pushed)));
    model.feed(&story, story.events.len());
    let row = model.reads().flow(here).await.unwrap().unwrap();
    assert_eq!((row.source_id, row.version), (Some(SOURCE), 3));
}

#[tokio::test]
async fn a_worker_counts_the_attempts_it_is_making() {
    let mut story = Story::with_flow();
    let started = WorkerStarted {
        hostname: "box".into(),
        pid: 7,
        slots: 64,
        built_in: true,
        version: "0.1.0".into(),
        name: Some("gpu-1".into()),
        labels: Labels::new(["gpu".to_owned()]).unwrap(),
        protocol: Some(1),
        replaces: None,
    };
    story.add(WORKER.stream(), WorkerEvent::Started(started));
    for n in 1..=3 {
        story.created(task_id(n), Trigger::Manual);
        story.started(task_id(n), 1);
    }
    story.completed(task_id(2), 1, "done");
    let mut model = Model::of(&story);
    let row = model.reads().worker(WORKER).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.current_tasks, row.ended_at), ("active", 2, None));
    let counts = |row: &WorkerRow| (row.attempts, row.completed, row.failed);
    assert_eq!(counts(&row), (3, 1, 0));
    for (statuses, expected) in [(vec![TaskStatus::Running], 2), (vec![], 3)] {
        let filter = TaskFilter { worker_id: Some(WORKER), statuses, ..TaskFilter::default() };
        let list = model.reads().list_tasks(filter, Page::default()).await.unwrap();
        assert_eq!((list.items.len(), list.total), (expected, expected as u64));
    }
    story.add(WORKER.stream(), WorkerEvent::Draining(WorkerDraining {}));
    model.feed(&story, story.events.len());
    let row = model.reads().worker(WORKER).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.labels.to_string().as_str()), ("draining", "gpu"));
    let named = model.reads().find_worker("GPU-1").await.unwrap();
    assert_eq!(named, Found::One(WORKER));
    let reason = "no heartbeat for 30 s".to_owned();
    story.add(WORKER.stream(), WorkerEvent::Lost(WorkerLost { reason: reason.clone() }));
    model.feed(&story, story.events.len());
    let lost = WorkerFilter { status: Some("lost".into()), living: false };
    let lost = model.reads().list_workers(lost, Page::default()).await.unwrap();
    assert_eq!((lost.total, lost.items[0].reason.clone()), (1, Some(reason)));
}
