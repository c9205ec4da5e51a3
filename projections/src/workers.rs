//! The workers: the transitions of their lives, and what they did and are doing.

use rusqlite::{Connection, Row, params};
use serde::Serialize;
use spark_events::domain::labels::Labels;
use spark_events::domain::worker::{BUILT_IN_NAME, WorkerEvent, WorkerStage, WorkerStarted};
use spark_events::{Revision, Timestamp, WorkerId};

use crate::columns::{Columns, blob, json, rfc3339, rfc3339_opt};
use crate::error::{ProjectionError, QueryError};
use crate::find::{Finder, Found};
use crate::projection::{Domain, Event, Projection};
use crate::store::{List, Listing, Page, Reads, Where};

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
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
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it left or was found lost.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
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

/// Builds the table `workers`.
pub struct Workers;

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
        &[WorkerId::CATEGORY]
    }

    fn apply(&mut self, tx: &Connection, event: &Event<'_>) -> Result<(), ProjectionError> {
        let Domain::Worker(worker) = event.domain else {
            return Ok(());
        };
        match worker {
            WorkerEvent::Started(started) => came(tx, event, started),
            WorkerEvent::Stopped(_) => ended(tx, event, "stopped", event.reason()),
            WorkerEvent::Lost(e) => ended(tx, event, "lost", Some(&e.reason)),
            WorkerEvent::Paused(_)
            | WorkerEvent::Resumed(_)
            | WorkerEvent::Draining(_)
            | WorkerEvent::Stopping(_) => {
                let stage = WorkerStage::of(worker).map_or("active", WorkerStage::as_str);
                let changed = tx
                    .prepare_cached(
                        "UPDATE workers SET status = ?2, reason = ?3, revision = ?4 WHERE id = ?1",
                    )?
                    .execute(params![blob(event.id), stage, event.reason(), event.revision()])?;
                known(changed, event)
            }
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

// What a worker runs now is a range of the index `tasks_worker`.
const SELECT: &str = "SELECT w.seq AS seq, w.id AS id, name, w.status AS status, hostname, pid,
    slots, labels, built_in, version, protocol, replaces, w.started_at AS started_at, ended_at,
    reason, coalesce(c.attempts, 0) AS attempts, coalesce(c.completed, 0) AS completed,
    coalesce(c.failed, 0) AS failed, w.revision AS revision,
    (SELECT count(*) FROM tasks_refs r JOIN tasks t ON t.worker = r.ref
     WHERE r.id = w.id AND t.status = 1) AS current_tasks
    FROM workers w LEFT JOIN worker_counts c ON c.id = w.id";

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
        self.one(format!("{SELECT} WHERE w.id = ?1"), id.0, read).await
    }

    /// The worker that a text stands for: an id, its start, or a name.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_worker(&self, text: &str) -> Result<Found<WorkerId>, QueryError> {
        self.found(&FINDER, text, WorkerId).await
    }
}
