//! The workers: the transitions of their lives, and what they did and are doing.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use spark_events::domain::labels::Labels;
use spark_events::domain::task::TaskEvent;
use spark_events::domain::worker::{BUILT_IN_NAME, WorkerEvent, WorkerStage, WorkerStarted};
use spark_events::{Revision, TaskId, Timestamp, WorkerId};

use crate::columns::{Columns, blob, json, rfc3339, rfc3339_opt};
use crate::error::{ProjectionError, QueryError};
use crate::find::{Finder, Found};
use crate::projection::{Domain, Event, Projection};
use crate::store::{List, Listing, Page, Reads, Where};

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerRow {
    /// Its id.
    pub id: WorkerId,
    /// Its name; `None` for one of an earlier version.
    pub name: Option<String>,
    /// `active`, `paused`, `draining`, `stopping`, `stopped` or `lost`.
    pub status: String,
    /// The host it runs on.
    pub hostname: String,
    /// Its process.
    pub pid: u32,
    /// Runs at once.
    pub slots: u32,
    /// What it can do.
    pub labels: Labels,
    /// Whether it lives in the server's own process.
    pub built_in: bool,
    /// The version of its program.
    pub version: String,
    /// The version of the protocol that it speaks; `None` for the built-in one.
    pub protocol: Option<u32>,
    /// The worker that its process was before it started anew.
    pub replaces: Option<WorkerId>,
    /// When it came.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub started_at: Timestamp,
    /// When it left or was found lost.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    pub ended_at: Option<Timestamp>,
    /// How it became known that it is lost, or why it was last paused, drained or stopped.
    pub reason: Option<String>,
    /// Attempts that it is making now.
    pub current_tasks: u64,
    /// Attempts that it began.
    pub attempts: u64,
    /// Attempts of it that brought a result.
    pub completed: u64,
    /// Attempts of it that failed.
    pub failed: u64,
    /// The revision of its stream that this row shows.
    pub revision: Revision,
}

/// Which workers are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerFilter {
    /// Of this status only; see [`WorkerRow::status`].
    pub status: Option<String>,
    /// Only those that are there.
    pub living: bool,
}

/// Attempts that are not in the file yet.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    attempts: i64,
    completed: i64,
    failed: i64,
}

/// Builds the table `workers`.
#[derive(Debug, Default)]
pub struct Workers {
    counts: HashMap<WorkerId, Counts>,
}

const SCHEMA: &str = "
CREATE TABLE workers (
    seq INTEGER PRIMARY KEY,        -- position of the first event: the order of creation
    id BLOB NOT NULL UNIQUE,
    name TEXT,
    status TEXT NOT NULL,
    hostname TEXT NOT NULL,
    pid INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    labels TEXT NOT NULL,           -- JSON
    built_in INTEGER NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER,
    replaces BLOB,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,     -- whether it is gone: names are those of the living
    revision INTEGER NOT NULL
) STRICT";

impl Projection for Workers {
    fn name(&self) -> &'static str {
        "workers"
    }

    fn version(&self) -> u32 {
        2
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn categories(&self) -> &'static [&'static str] {
        &[WorkerId::CATEGORY, TaskId::CATEGORY]
    }

    fn apply(&mut self, tx: &Connection, event: &Event<'_>) -> Result<(), ProjectionError> {
        match event.domain {
            Domain::Task(task) => {
                self.count(task, event.actor());
                Ok(())
            }
            Domain::Worker(WorkerEvent::Started(started)) => came(tx, event, started),
            Domain::Worker(WorkerEvent::Stopped(_)) => ended(tx, event, "stopped", event.reason()),
            Domain::Worker(WorkerEvent::Lost(e)) => ended(tx, event, "lost", Some(&e.reason)),
            Domain::Worker(moved) => {
                let stage = WorkerStage::of(moved).map_or("active", WorkerStage::as_str);
                let sql =
                    "UPDATE workers SET status = ?2, reason = ?3, revision = ?4 WHERE id = ?1";
                let changed = tx.prepare_cached(sql)?.execute(params![
                    blob(event.id),
                    stage,
                    event.reason(),
                    event.revision()
                ])?;
                known(changed, event)
            }
            Domain::Source(_) | Domain::Flow(_) | Domain::Schedule(_) => Ok(()),
        }
    }

    fn flush(&mut self, tx: &Connection) -> Result<(), ProjectionError> {
        let mut statement = tx.prepare_cached(
            "UPDATE workers SET attempts = attempts + ?2, completed = completed + ?3,
                 failed = failed + ?4 WHERE id = ?1",
        )?;
        for (id, counts) in self.counts.drain() {
            let Counts { attempts, completed, failed } = counts;
            statement.execute(params![blob(id.0), attempts, completed, failed])?;
        }
        Ok(())
    }

    fn discard(&mut self) {
        self.counts.clear();
    }
}

impl Workers {
    /// Counts what an event of a task says about the worker that is its actor.
    fn count(&mut self, event: &TaskEvent, actor: &str) {
        let worker = || actor.strip_prefix("worker:").and_then(|id| id.parse().ok());
        match event {
            TaskEvent::Started(e) => self.counts.entry(e.worker_id).or_default().attempts += 1,
            TaskEvent::Completed(_) => {
                if let Some(worker) = worker() {
                    self.counts.entry(worker).or_default().completed += 1;
                }
            }
            TaskEvent::AttemptFailed(_) => {
                if let Some(worker) = worker() {
                    self.counts.entry(worker).or_default().failed += 1;
                }
            }
            TaskEvent::Created(_)
            | TaskEvent::Submitted(_)
            | TaskEvent::Reattached(_)
            | TaskEvent::LogRecorded(_)
            | TaskEvent::RetryScheduled(_)
            | TaskEvent::Failed(_)
            | TaskEvent::CancelRequested(_)
            | TaskEvent::Cancelled(_)
            | TaskEvent::Released(_)
            | TaskEvent::Deleted(_) => {}
        }
    }
}

fn came(
    tx: &Connection,
    event: &Event<'_>,
    started: &WorkerStarted,
) -> Result<(), ProjectionError> {
    let built_in = started.built_in.then_some(BUILT_IN_NAME);
    tx.prepare_cached(
        "INSERT INTO workers (seq, id, name, status, hostname, pid, slots, labels, built_in,
             version, protocol, replaces, started_at, revision)
         VALUES (?1, ?2, ?3, 'active', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        event.place(),
        blob(event.id),
        started.name.as_deref().or(built_in),
        started.hostname,
        started.pid,
        started.slots,
        json(&started.labels)?,
        started.built_in,
        started.version,
        started.protocol,
        started.replaces.map(|id| blob(id.0)),
        event.at(),
        event.revision()
    ])?;
    Ok(())
}

fn ended(
    tx: &Connection,
    event: &Event<'_>,
    status: &str,
    reason: Option<&str>,
) -> Result<(), ProjectionError> {
    let changed = tx
        .prepare_cached(
            "UPDATE workers SET status = ?2, ended_at = ?3, reason = coalesce(?4, reason),
                 revision = ?5, deleted = 1
             WHERE id = ?1",
        )?
        .execute(params![blob(event.id), status, event.at(), reason, event.revision()])?;
    known(changed, event)
}

fn known(changed: usize, event: &Event<'_>) -> Result<(), ProjectionError> {
    if changed == 0 { Err(event.unfit("its worker never started")) } else { Ok(()) }
}

// The condition is the one of the partial index `tasks_running`.
const SELECT: &str = "SELECT w.seq AS seq, w.id AS id, name, w.status AS status, hostname, pid,
    slots, labels, built_in, version, protocol, replaces, w.started_at AS started_at, ended_at,
    reason, w.attempts AS attempts, completed, failed, w.revision AS revision,
    (SELECT count(*) FROM tasks_refs r JOIN tasks t ON t.worker = r.ref
     WHERE r.id = w.id AND t.status = 1) AS current_tasks
    FROM workers w";

fn read(row: &Row<'_>) -> rusqlite::Result<WorkerRow> {
    Ok(WorkerRow {
        id: WorkerId(row.id("id")?),
        name: row.get("name")?,
        status: row.get("status")?,
        hostname: row.get("hostname")?,
        pid: row.get("pid")?,
        slots: row.get("slots")?,
        labels: row.json("labels")?,
        built_in: row.get("built_in")?,
        version: row.get("version")?,
        protocol: row.get("protocol")?,
        replaces: row.id_opt("replaces")?.map(WorkerId),
        started_at: row.time("started_at")?,
        ended_at: row.time_opt("ended_at")?,
        reason: row.get("reason")?,
        current_tasks: row.count("current_tasks")?,
        attempts: row.count("attempts")?,
        completed: row.count("completed")?,
        failed: row.count("failed")?,
        revision: Revision(row.count("revision")?),
    })
}

const FINDER: Finder = Finder { table: "workers", names: &["name"], keeps_deleted: true };

impl Reads {
    /// Workers, newest first.
    ///
    /// # Errors
    /// A page that cannot be, or a file that cannot be read.
    pub async fn list_workers(
        &self,
        filter: WorkerFilter,
        page: Page,
    ) -> Result<Listing<WorkerRow>, QueryError> {
        self.read(move |conn| {
            let mut conditions = Where::default();
            conditions.and("w.status = ?", filter.status);
            if filter.living {
                conditions.and_plain("w.deleted = 0");
            }
            let list = List { select: SELECT, from: "workers w", key: "w.seq", newest_first: true };
            list.page(conn, conditions, &page, read)
        })
        .await
    }

    /// One worker.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn worker(&self, id: WorkerId) -> Result<Option<WorkerRow>, QueryError> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(&format!("{SELECT} WHERE w.id = ?1"))?;
            Ok(statement.query_row([blob(id.0)], read).optional()?)
        })
        .await
    }

    /// The worker that a text stands for: an id, its start, or a name.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_worker(&self, text: &str) -> Result<Found<WorkerId>, QueryError> {
        let text = text.to_owned();
        self.read(move |conn| Ok(FINDER.find(conn, &text)?.map(WorkerId))).await
    }
}
