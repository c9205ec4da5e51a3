//! The running projections over a log: catch-up, live, halts, rebuilds, restarts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use spark_events::domain::flow::{FlowDeleted, FlowEvent};
use spark_events::domain::source::SourceEvent;
use spark_events::domain::task::{TaskEvent, Trigger};
use spark_events::ids::new_uuid;
use spark_events::log::memory::MemoryLog;
use spark_events::{
    DomainEvent, ExpectedRevision, FlowId, NewEvent, Position, SharedLog, SimClock, StreamName,
};
use tempfile::TempDir;

use super::support::*;
use crate::error::{ProjectionError, QueryError};
use crate::projection::{Event, Projection};
use crate::runner::{ProjectionHealth, Projections};

/// Longer than anything here takes; only a failing test waits it out.
const DEADLINE: Duration = Duration::from_secs(10);

struct World {
    dir: TempDir,
    log: SharedLog,
}

impl World {
    fn new() -> Self {
        let log = Arc::new(MemoryLog::new(Arc::new(SimClock::starting_at(at(0)))));
        Self { dir: TempDir::new().unwrap(), log }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("reads.db")
    }

    fn start(&self) -> Projections {
        Projections::start(self.path(), Arc::clone(&self.log)).unwrap()
    }

    async fn append(&self, stream: StreamName, event: impl DomainEvent) -> Position {
        let (event_type, version, data) = event.encode().unwrap();
        self.append_raw(stream, event_type, version, data.to_vec()).await
    }

    async fn append_raw(
        &self,
        stream: StreamName,
        event_type: &'static str,
        schema_version: u16,
        data: Vec<u8>,
    ) -> Position {
        let event = NewEvent {
            id: new_uuid(),
            event_type,
            schema_version,
            data: data.into(),
            metadata: metadata(),
        };
        let appended = self.log.append(&stream, ExpectedRevision::Any, vec![event]).await;
        appended.unwrap().position
    }

    async fn create_task(&self, n: u128) -> Position {
        let spec = Box::new(task_spec(FLOW, Trigger::Manual));
        self.append(task_id(n).stream(), TaskEvent::Created(spec)).await
    }

    /// A source, a flow and some tasks.
    async fn fill(&self, tasks: u128) -> Position {
        self.append(SOURCE.stream(), SourceEvent::Added(Box::new(source("local")))).await;
        let mut last =
            self.append(FLOW.stream(), FlowEvent::Synced(Box::new(flow("Daily report")))).await;
        for n in 0..tasks {
            last = self.create_task(n).await;
        }
        last
    }
}

fn health_of(projections: &Projections, name: &str) -> ProjectionHealth {
    projections.health().into_iter().find(|health| health.name == name).unwrap()
}

#[tokio::test]
async fn a_write_is_seen_by_the_read_that_waits_for_it() {
    let world = World::new();
    let projections = world.start();
    for n in 0..50 {
        let position = world.create_task(n).await;
        projections.wait_for(position, DEADLINE).await.unwrap();
        assert!(projections.reads().task(task_id(n)).await.unwrap().is_some());
    }
    let head = projections.position();
    let ahead = Position(head.0 + 1);
    let behind = projections.wait_for(ahead, Duration::from_millis(5)).await.unwrap_err();
    let QueryError::Behind { wanted, reached } = behind else { panic!("{behind}") };
    assert_eq!((wanted, reached), (ahead, head));
}

#[tokio::test]
async fn deleting_the_file_loses_nothing() {
    let world = World::new();
    let position = world.fill(20).await;
    let live = world.start();
    live.wait_for(position, DEADLINE).await.unwrap();
    let position = world.create_task(20).await;
    live.wait_for(position, DEADLINE).await.unwrap();
    live.stop().await;
    let before = dump(&world.path());
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", world.path().display()));
    }
    let again = world.start();
    again.wait_for(position, DEADLINE).await.unwrap();
    again.stop().await;
    assert_eq!(dump(&world.path()), before);
}

#[tokio::test]
async fn a_restart_goes_on_from_the_checkpoint() {
    let world = World::new();
    world.fill(3).await;
    let first = world.start();
    first.stop().await;
    assert!(matches!(first.retry("tasks").await, Err(ProjectionError::Stopped)));
    // Were the events read again, this row would be back.
    let conn = Connection::open(world.path()).unwrap();
    conn.execute("DELETE FROM sources", []).unwrap();
    drop(conn);
    let position = world.create_task(3).await;
    let second = world.start();
    second.wait_for(position, DEADLINE).await.unwrap();
    assert_eq!(second.reads().source(SOURCE).await.unwrap(), None);
    assert_eq!(
        second.reads().list_tasks(Default::default(), Default::default()).await.unwrap().total,
        4
    );
    second.rebuild("sources").await.unwrap();
    second.wait_for(position, DEADLINE).await.unwrap();
    assert!(second.reads().source(SOURCE).await.unwrap().is_some());
}

/// What a projection remembers of its tables does not outlive them.
#[tokio::test]
async fn every_projection_is_whole_after_a_rebuild_while_it_runs() {
    let world = World::new();
    let projections = world.start();
    let position = world.fill(3).await;
    projections.wait_for(position, DEADLINE).await.unwrap();
    for health in projections.health() {
        projections.rebuild(health.name).await.unwrap();
        projections.wait_for(position, DEADLINE).await.unwrap();
        let rebuilt = dump(&world.path());
        let again = World { dir: TempDir::new().unwrap(), log: Arc::clone(&world.log) };
        let fresh = again.start();
        fresh.wait_for(position, DEADLINE).await.unwrap();
        fresh.stop().await;
        assert_eq!(rebuilt, dump(&again.path()), "{}", health.name);
    }
    let tasks = projections.reads().list_tasks(Default::default(), Default::default()).await;
    assert_eq!(tasks.unwrap().items.len(), 3);
}

#[tokio::test]
async fn stopping_reaches_the_end_of_the_log_first() {
    let world = World::new();
    let projections = world.start();
    let head = world.fill(3_000).await;
    projections.stop().await;
    for health in projections.health() {
        assert_eq!((health.position, health.halted), (head, None), "{}", health.name);
    }
    let stopped = projections.reads().task(task_id(1)).await;
    assert!(matches!(stopped, Err(QueryError::Stopped)));
}

#[tokio::test]
async fn a_halted_projection_is_named_and_the_others_go_on() {
    let world = World::new();
    let projections = world.start();
    world.fill(1).await;
    let poison = world.append_raw(task_id(7).stream(), "task.created", 1, b"{}".to_vec()).await;
    let after = world.append(FLOW.stream(), FlowEvent::Deleted(FlowDeleted {})).await;
    projections.wait_for(after, DEADLINE).await.unwrap();
    assert_eq!(health_of(&projections, "tasks").halted.unwrap().position, poison);
    assert!(projections.reads().flow(FLOW).await.unwrap().unwrap().deleted);
    // It is still there after a restart, and trying again finds the same.
    projections.stop().await;
    let projections = world.start();
    assert_eq!(health_of(&projections, "tasks").halted.unwrap().position, poison);
    projections.retry("tasks").await.unwrap();
    projections.wait_for(after, DEADLINE).await.unwrap();
    assert_eq!(health_of(&projections, "tasks").halted.unwrap().position, poison);
    let unknown = projections.retry("task").await.unwrap_err();
    assert!(matches!(unknown, ProjectionError::Unknown { .. }), "{unknown}");
}

/// Counts the events of flows; fails while told to.
struct Flaky {
    fail: Arc<AtomicBool>,
    version: u32,
}

impl Projection for Flaky {
    fn name(&self) -> &'static str {
        "flaky"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn schema(&self) -> &'static str {
        if self.version == 1 {
            "CREATE TABLE flaky (position INTEGER PRIMARY KEY)"
        } else {
            "CREATE TABLE flaky_seen (position INTEGER PRIMARY KEY)"
        }
    }

    fn categories(&self) -> &'static [&'static str] {
        &[FlowId::CATEGORY]
    }

    fn apply(&mut self, tx: &Connection, event: &Event<'_>) -> Result<(), ProjectionError> {
        let table = if self.version == 1 { "flaky" } else { "flaky_seen" };
        tx.execute(&format!("INSERT INTO {table} VALUES (?1)"), [event.place()])?;
        assert!(!self.fail.load(Ordering::Relaxed), "told to");
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_halts_and_a_retry_goes_on_where_it_was() {
    let world = World::new();
    let fail = Arc::new(AtomicBool::new(false));
    let start = |version| {
        let flaky = Flaky { fail: Arc::clone(&fail), version };
        Projections::start_with(world.path(), Arc::clone(&world.log), vec![Box::new(flaky)])
            .unwrap()
    };
    let projections = start(1);
    let first = world.fill(0).await;
    projections.wait_for(first, DEADLINE).await.unwrap();
    fail.store(true, Ordering::Relaxed);
    let second = world.append(FLOW.stream(), FlowEvent::Deleted(FlowDeleted {})).await;
    let mut positions = projections.positions();
    let halted = positions.wait_for(|_| health_of(&projections, "flaky").halted.is_some());
    tokio::time::timeout(DEADLINE, halted).await.unwrap().unwrap();
    assert_eq!(health_of(&projections, "flaky").position, first);
    fail.store(false, Ordering::Relaxed);
    projections.retry("flaky").await.unwrap();
    projections.wait_for(second, DEADLINE).await.unwrap();
    projections.stop().await;
    let expected = [first, second].map(|at| format!("flaky: Integer({at})"));
    assert_eq!(dump(&world.path()), expected);

    // A new version forgets the old tables and reads everything again.
    let projections = start(2);
    projections.wait_for(second, DEADLINE).await.unwrap();
    projections.stop().await;
    let expected = [first, second].map(|at| format!("flaky_seen: Integer({at})"));
    assert_eq!(dump(&world.path()), expected);
}

#[tokio::test]
async fn the_rows_of_another_log_are_forgotten() {
    let old = World::new();
    old.fill(30).await;
    let projections = old.start();
    projections.stop().await;
    let new = World::new();
    let position = new.fill(2).await;
    let projections = Projections::start(old.path(), Arc::clone(&new.log)).unwrap();
    // Until the log's end is known the old position stands, so wait for the fall.
    let mut positions = projections.positions();
    let fallen = positions.wait_for(|at| *at == position);
    tokio::time::timeout(DEADLINE, fallen).await.unwrap().unwrap();
    let listed = projections.reads().list_tasks(Default::default(), Default::default()).await;
    assert_eq!(listed.unwrap().total, 2);
}

#[tokio::test]
async fn a_ruined_file_is_built_again() {
    let world = World::new();
    std::fs::write(world.path(), b"this is no database, and long enough to be sure of it").unwrap();
    let position = world.fill(2).await;
    let projections = world.start();
    projections.wait_for(position, DEADLINE).await.unwrap();
    assert!(projections.reads().flow(FLOW).await.unwrap().is_some());
}

#[tokio::test]
async fn an_unavailable_file_is_waited_for() {
    let world = World::new();
    let projections = world.start();
    let conn = Connection::open(world.path()).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let position = world.fill(1).await;
    tokio::time::timeout(DEADLINE, async {
        while projections.trouble().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(projections.trouble().unwrap().contains("locked"));
    conn.execute_batch("ROLLBACK").unwrap();
    projections.wait_for(position, DEADLINE).await.unwrap();
    assert_eq!(projections.trouble(), None);
}

#[tokio::test]
async fn an_outage_of_the_log_is_waited_out() {
    let world = World::new();
    let faulty = Arc::new(spark_events::log::faulty::FaultyLog::new(Arc::clone(&world.log)));
    let log: SharedLog = Arc::clone(&faulty) as SharedLog;
    let projections = Projections::start(world.path(), log).unwrap();
    let first = world.fill(1).await;
    projections.wait_for(first, DEADLINE).await.unwrap();
    faulty.set_down(true);
    let second = world.create_task(1).await;
    let behind = projections.wait_for(second, Duration::from_millis(20)).await;
    assert!(matches!(behind, Err(QueryError::Behind { .. })));
    faulty.set_down(false);
    projections.wait_for(second, DEADLINE).await.unwrap();
}
