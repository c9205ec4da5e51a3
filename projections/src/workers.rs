//! The workers: the transitions of their lives, and what they are doing now.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use spark_events::domain::worker::WorkerEvent;
use spark_events::{Revision, Timestamp, WorkerId};

use crate::columns::{Columns, blob, rfc3339, rfc3339_opt};
use crate::error::{ProjectionError, QueryError};
use crate::find::{Finder, Found};
use crate::projection::{Domain, Event, Projection};
use crate::store::{List, Listing, Page, Reads, Where};

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct WorkerRow {
    /// Its id.
    pub id: WorkerId,
    /// `active`, `stopped` or `lost`.
    pub status: String,
    /// The host it runs on.
    pub hostname: String,
    /// Its process.
    pub pid: u32,
    /// Runs at once.
    pub slots: u32,
    /// Whether it lives in the server's own process.
    pub built_in: bool,
    /// The version of its program.
    pub version: String,
    /// When it came.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it left or was found lost.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// How it became known that it is lost, or why it was stopped.
    pub reason: Option<String>,
    /// Attempts that it is making now.
    pub current_tasks: u64,
    /// The revision of its stream that this row shows.
    pub revision: Revision,
}

/// Which workers are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerFilter {
    /// `active`, `stopped` or `lost` only.
    pub status: Option<String>,
}

/// Builds the table `workers`.
pub struct Workers;

const SCHEMA: &str = "
CREATE TABLE workers (
    seq INTEGER PRIMARY KEY,        -- position of the first event: the order of creation
    id BLOB NOT NULL UNIQUE,
    status TEXT NOT NULL,
    hostname TEXT NOT NULL,
    pid INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    built_in INTEGER NOT NULL,
    version TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    reason TEXT,
    revision INTEGER NOT NULL
) STRICT";

impl Projection for Workers {
    fn name(&self) -> &'static str {
        "workers"
    }

    fn version(&self) -> u32 {
        1
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
            WorkerEvent::Started(e) => {
                tx.prepare_cached(
                    "INSERT INTO workers (seq, id, status, hostname, pid, slots, built_in, version,
                         started_at, revision)
                     VALUES (?1, ?2, 'active', ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?
                .execute(params![
                    event.place(),
                    blob(event.id),
                    e.hostname,
                    e.pid,
                    e.slots,
                    e.built_in,
                    e.version,
                    event.at(),
                    event.revision()
                ])?;
                Ok(())
            }
            WorkerEvent::Stopped(_) => ended(tx, event, "stopped", event.reason()),
            WorkerEvent::Lost(e) => ended(tx, event, "lost", Some(&e.reason)),
        }
    }
}

fn ended(
    tx: &Connection,
    event: &Event<'_>,
    status: &str,
    reason: Option<&str>,
) -> Result<(), ProjectionError> {
    let changed = tx
        .prepare_cached(
            "UPDATE workers SET status = ?2, ended_at = ?3, reason = ?4, revision = ?5
             WHERE id = ?1",
        )?
        .execute(params![blob(event.id), status, event.at(), reason, event.revision()])?;
    if changed == 0 {
        return Err(event.unfit("its worker never started"));
    }
    Ok(())
}

// The condition is the one of the partial index `tasks_running`.
const SELECT: &str = "SELECT w.seq AS seq, w.id AS id, w.status AS status, hostname, pid, slots,
    built_in, version, w.started_at AS started_at, ended_at, reason, w.revision AS revision,
    (SELECT count(*) FROM tasks_refs r JOIN tasks t ON t.worker = r.ref
     WHERE r.id = w.id AND t.status = 1) AS current_tasks
    FROM workers w";

fn read(row: &Row<'_>) -> rusqlite::Result<WorkerRow> {
    Ok(WorkerRow {
        id: WorkerId(row.id("id")?),
        status: row.get("status")?,
        hostname: row.get("hostname")?,
        pid: row.get("pid")?,
        slots: row.get("slots")?,
        built_in: row.get("built_in")?,
        version: row.get("version")?,
        started_at: row.time("started_at")?,
        ended_at: row.time_opt("ended_at")?,
        reason: row.get("reason")?,
        current_tasks: row.count("current_tasks")?,
        revision: Revision(row.count("revision")?),
    })
}

const FINDER: Finder = Finder { table: "workers", names: &[], keeps_deleted: false };

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

    /// The worker that a text stands for: an id or its start.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_worker(&self, text: &str) -> Result<Found<WorkerId>, QueryError> {
        let text = text.to_owned();
        self.read(move |conn| Ok(FINDER.find(conn, &text)?.map(WorkerId))).await
    }
}
