//! Stories of events, and read models that are fed with them by hand.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::json;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::flow::{FlowEvent, FlowSynced};
use spark_events::domain::labels::Labels;
use spark_events::domain::recurrence::Recurrence;
use spark_events::domain::retry::RetryPolicy;
use spark_events::domain::schedule::{ScheduleCreated, ScheduleEvent, ScheduleSpec};
use spark_events::domain::source::{Capabilities, Probe, SourceAdded, SourceEvent, SourceKind};
use spark_events::domain::task::*;
use spark_events::{
    DomainEvent, FlowId, Metadata, Payload, Position, RecordedEvent, Revision, ScheduleId,
    SourceId, StreamName, TaskId, Timestamp, WorkerId,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::database::open_writer;
use crate::projection::{self, decode};
use crate::runner::{ProjectionHealth, Shared};
use crate::store::Reads;
use crate::writer::{Batch, Writer};

pub(super) const SOURCE: SourceId = SourceId(Uuid::from_u128(1 << 96));
pub(super) const FLOW: FlowId = FlowId(Uuid::from_u128(2 << 96));
pub(super) const SCHEDULE: ScheduleId = ScheduleId(Uuid::from_u128(3 << 96));
pub(super) const WORKER: WorkerId = WorkerId(Uuid::from_u128(5 << 96));

pub(super) fn task_id(n: u128) -> TaskId {
    TaskId(Uuid::from_u128((4 << 96) + n))
}

/// The instant of the event at this position: one second after the other.
pub(super) fn at(position: u64) -> Timestamp {
    Timestamp::from_timestamp(1_767_225_600 + position as i64, 0).unwrap()
}

pub(super) fn text(text: &str) -> Payload {
    Payload::Inline(json!(text))
}

pub(super) fn failure(message: &str) -> Failure {
    Failure::new(FailureClass::Component, message)
}

pub(super) fn metadata() -> Metadata {
    Metadata {
        correlation_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        actor: "user:ann".into(),
        reason: Some("because".into()),
    }
}

/// The end of an attempt is told by its worker, everything else by a user.
fn metadata_of(event_type: &str) -> Metadata {
    if ["task.completed", "task.attempt_failed"].contains(&event_type) {
        return Metadata { actor: format!("worker:{WORKER}").into(), ..metadata() };
    }
    metadata()
}

/// Events of a log, in order.
#[derive(Default)]
pub(super) struct Story {
    pub(super) events: Vec<RecordedEvent>,
    revisions: HashMap<StreamName, u64>,
}

impl Story {
    /// The position of the next event.
    pub(super) fn next(&self) -> u64 {
        self.events.len() as u64 + 1
    }

    pub(super) fn add<E: DomainEvent>(&mut self, stream: StreamName, event: E) -> Position {
        let (event_type, version, data) = event.encode().unwrap();
        self.add_raw(stream, event_type, version, &data)
    }

    pub(super) fn add_raw(
        &mut self,
        stream: StreamName,
        event_type: &str,
        schema_version: u16,
        data: &[u8],
    ) -> Position {
        let next = self.revisions.entry(stream.clone()).or_default();
        let revision = Revision(*next);
        *next += 1;
        let position = Position(self.events.len() as u64 + 1);
        self.events.push(RecordedEvent {
            position,
            stream,
            revision,
            id: Uuid::from_u128(u128::from(position.0)),
            event_type: Arc::from(event_type),
            schema_version,
            data: data.to_vec().into(),
            metadata: metadata_of(event_type),
            recorded_at: at(position.0),
        });
        position
    }

    pub(super) fn task(&mut self, id: TaskId, event: TaskEvent) -> Position {
        self.add(id.stream(), event)
    }

    pub(super) fn created(&mut self, id: TaskId, trigger: Trigger) -> Position {
        self.task(id, TaskEvent::Created(Box::new(task_spec(FLOW, trigger))))
    }

    pub(super) fn started(&mut self, id: TaskId, attempt: u32) -> Position {
        self.started_by(id, attempt, WORKER)
    }

    pub(super) fn started_by(&mut self, id: TaskId, attempt: u32, worker_id: WorkerId) -> Position {
        let at = at(self.next());
        self.task(
            id,
            TaskEvent::Started(TaskStarted {
                attempt,
                worker_id,
                mode: CallMode::Background,
                definition_hash: None,
                continues: None,
                at,
            }),
        )
    }

    pub(super) fn completed(&mut self, id: TaskId, attempt: u32, output: &str) -> Position {
        let output = text(output);
        self.task(id, TaskEvent::Completed(TaskCompleted { attempt, output, duration_ms: 900 }))
    }

    /// A source, and a flow of it.
    pub(super) fn with_flow() -> Self {
        let mut story = Self::default();
        story.add(SOURCE.stream(), SourceEvent::Added(Box::new(source("local"))));
        story.add(FLOW.stream(), FlowEvent::Synced(Box::new(flow("Daily report"))));
        story
    }
}

pub(super) fn source(name: &str) -> SourceAdded {
    let capabilities = Capabilities {
        version: "1.13.0".into(),
        background_jobs: true,
        traces: true,
        stream: true,
    };
    SourceAdded {
        name: name.into(),
        url: format!("http://{name}:7860"),
        kind: SourceKind::Langflow,
        api_key: None,
        runs_max: 4,
        worker_labels: Labels::default(),
        probe: Probe::Up { capabilities },
    }
}

pub(super) fn flow(name: &str) -> FlowSynced {
    FlowSynced {
        source_id: SOURCE,
        remote_id: format!("remote-{name}"),
        name: name.into(),
        description: "what it does".into(),
        folder: Some("Starter".into()),
        input_component: Some("ChatInput-1".into()),
        output_component: None,
        components: vec![],
        definition: Payload::Blob { blob: "ab".into(), bytes: 70_000 },
        definition_hash: "cd".into(),
    }
}

pub(super) fn task_spec(flow_id: FlowId, trigger: Trigger) -> TaskSpec {
    TaskSpec {
        flow_id,
        source_id: SOURCE,
        input: text("the question"),
        tweaks: None,
        trigger,
        retry: RetryPolicy::default(),
        timeout_ms: 600_000,
        priority: 0,
        queue_timeout_ms: None,
        total_timeout_ms: None,
        definition: None,
        held: false,
        created_at: None,
    }
}

pub(super) fn schedule(name: &str) -> ScheduleEvent {
    ScheduleEvent::Created(Box::new(ScheduleCreated {
        spec: schedule_spec(name),
        next_due_at: at(1_000),
        next_starts_at: None,
        zone_data: "2026a".into(),
    }))
}

pub(super) fn schedule_spec(name: &str) -> ScheduleSpec {
    ScheduleSpec {
        name: Some(name.into()),
        note: None,
        flow_id: FLOW,
        source_id: SOURCE,
        timetable: Recurrence::Interval { every_ms: 5_000, phase_ms: 0 }.into(),
        input: text("every time"),
        tweaks: Some(json!({ "ChatInput-1": { "x": 1 } })),
        overlap: Default::default(),
        catch_up_ms: 3_600_000,
        retry: RetryPolicy::default(),
        timeout_ms: 600_000,
        queue_timeout_ms: None,
        total_timeout_ms: None,
        priority: None,
        runs_max: None,
        pause_after: None,
        on_drift: Default::default(),
    }
}

/// The product's read models, fed by hand.
pub(super) struct Model {
    dir: TempDir,
    writer: Writer,
    shared: Arc<Shared>,
    fed: usize,
}

impl Model {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let shared = Arc::new(Shared::new());
        let conn = open_writer(&dir.path().join("reads.db")).unwrap();
        let writer = Writer::new(conn, projection::all(), Arc::clone(&shared)).unwrap();
        Self { dir, writer, shared, fed: 0 }
    }

    pub(super) fn of(story: &Story) -> Self {
        let mut model = Self::new();
        model.feed(story, story.events.len());
        model
    }

    /// Feeds a story's events up to `end` as one batch.
    pub(super) fn feed(&mut self, story: &Story, end: usize) {
        let events = &story.events[self.fed..end];
        let after = self.fed.checked_sub(1).map_or(Position::START, |i| story.events[i].position);
        let batch = Batch {
            generation: self.shared.restart.borrow().generation,
            after,
            events: events.iter().cloned().map(decode).collect(),
        };
        assert!(self.writer.take(batch, || None).is_none());
        self.fed = end;
    }

    /// Makes every text searchable that waits for it.
    pub(super) fn index_texts(&mut self) {
        for _ in 0..=self.fed / spark_events::limits::SEARCH_PIECE_TEXTS_MAX {
            self.writer.index_texts();
        }
    }

    pub(super) fn reads(&self) -> Reads {
        Reads::open(&self.dir.path().join("reads.db"))
    }

    pub(super) fn health(&self) -> Vec<ProjectionHealth> {
        self.shared.health()
    }

    pub(super) fn dump(&self) -> Vec<String> {
        dump(&self.dir.path().join("reads.db"))
    }
}

/// All rows of all read models, as text.
pub(super) fn dump(path: &std::path::Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let mut find = conn
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'projection_state'
             AND name NOT GLOB 'tasks_words*' AND name <> 'tasks_search' ORDER BY name",
        )
        .unwrap();
    let tables = find.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let mut lines = Vec::new();
    for table in tables.map(Result::unwrap) {
        // A count that came back to nothing says the same as none.
        let some = if table == "tasks_counts" { "WHERE n <> 0" } else { "" };
        let mut read = conn.prepare(&format!("SELECT * FROM {table} {some}")).unwrap();
        let columns = read.column_count();
        let mut rows = read.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let value = |i| match row.get_ref(i).unwrap() {
                ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                other => format!("{other:?}"),
            };
            let values: Vec<String> = (0..columns).map(value).collect();
            lines.push(format!("{table}: {}", values.join(" | ")));
        }
    }
    lines.sort();
    lines
}
