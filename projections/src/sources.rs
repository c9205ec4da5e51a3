//! The sources: LangFlow servers as they were last added, changed and probed. Never holds a key.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use spark_events::domain::failure::FailureClass;
use spark_events::domain::source::{Capabilities, Probe, SourceEvent};
use spark_events::{Revision, SourceId, Timestamp};

use crate::columns::{Columns, blob, json, json_opt, rfc3339};
use crate::error::{ProjectionError, QueryError};
use crate::find::{Finder, Found};
use crate::projection::{Domain, Event, Projection};
use crate::store::{List, Listing, Page, Reads, Where};

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceRow {
    /// Its id.
    pub id: SourceId,
    /// Its name.
    pub name: String,
    /// Its base URL without a trailing slash.
    pub url: String,
    /// `up` or `down`, as the last probe found.
    pub status: &'static str,
    /// LangFlow's version, as last seen.
    pub version: Option<String>,
    /// What it offers, as last seen.
    pub capabilities: Option<Capabilities>,
    /// In which way it is down.
    pub failure_class: Option<FailureClass>,
    /// What was seen when it was found down.
    pub reason: Option<String>,
    /// Whether a key is stored for it.
    pub has_api_key: bool,
    /// Runs at once.
    pub runs_max: u32,
    /// Whether it was removed.
    pub deleted: bool,
    /// When it was added.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub updated_at: Timestamp,
    /// The revision of its stream that this row shows.
    pub revision: Revision,
}

/// Which sources are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceFilter {
    /// `up` or `down` only.
    pub status: Option<String>,
    /// Removed ones too.
    pub include_deleted: bool,
}

/// Builds the table `sources`.
pub struct Sources;

const SCHEMA: &str = "
CREATE TABLE sources (
    seq INTEGER PRIMARY KEY,        -- position of the first event: the order of creation
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    up INTEGER NOT NULL,
    capabilities TEXT,              -- JSON, kept while down
    failure_class TEXT,             -- JSON
    reason TEXT,
    has_api_key INTEGER NOT NULL,
    runs_max INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    created_at INTEGER NOT NULL,    -- microseconds, as all times
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT";

impl Projection for Sources {
    fn name(&self) -> &'static str {
        "sources"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn categories(&self) -> &'static [&'static str] {
        &[SourceId::CATEGORY]
    }

    fn apply(&mut self, tx: &Connection, event: &Event<'_>) -> Result<(), ProjectionError> {
        let Domain::Source(source) = event.domain else {
            return Ok(());
        };
        let id = blob(event.id);
        match source {
            SourceEvent::Added(e) => {
                tx.prepare_cached(
                    "INSERT INTO sources (seq, id, name, url, up, has_api_key, runs_max, deleted,
                         created_at, updated_at, revision)
                     VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, 0, ?7, ?7, ?8)",
                )?
                .execute(params![
                    event.place(),
                    id,
                    e.name,
                    e.url,
                    e.api_key.is_some(),
                    e.runs_max,
                    event.at(),
                    event.revision()
                ])?;
                probed(tx, id, &e.probe)?;
            }
            SourceEvent::Updated(e) => {
                tx.prepare_cached(
                    "UPDATE sources SET name = coalesce(?2, name), url = coalesce(?3, url),
                         has_api_key = max(has_api_key, ?4), runs_max = coalesce(?5, runs_max)
                     WHERE id = ?1",
                )?
                .execute(params![
                    id,
                    e.name,
                    e.url,
                    e.api_key.is_some(),
                    e.runs_max
                ])?;
            }
            SourceEvent::Probed(e) => probed(tx, id, &e.probe)?,
            SourceEvent::Removed(_) => {
                tx.prepare_cached("UPDATE sources SET deleted = 1 WHERE id = ?1")?.execute([id])?;
            }
        }
        let changed = tx
            .prepare_cached("UPDATE sources SET updated_at = ?2, revision = ?3 WHERE id = ?1")?
            .execute(params![id, event.at(), event.revision()])?;
        if changed == 0 {
            return Err(event.unfit("its source was never added"));
        }
        Ok(())
    }
}

fn probed(tx: &Connection, id: [u8; 16], probe: &Probe) -> Result<(), ProjectionError> {
    let (up, capabilities, class, reason) = match probe {
        Probe::Up { capabilities } => (true, Some(capabilities), None, None),
        Probe::Down { class, message } => (false, None, Some(class), Some(message)),
    };
    tx.prepare_cached(
        "UPDATE sources SET up = ?2, capabilities = coalesce(?3, capabilities),
             failure_class = ?4, reason = ?5
         WHERE id = ?1",
    )?
    .execute(params![
        id,
        up,
        json_opt(capabilities)?,
        class.map(json).transpose()?,
        reason
    ])?;
    Ok(())
}

const SELECT: &str = "SELECT seq, id, name, url, up, capabilities, failure_class, reason,
    has_api_key, runs_max, deleted, created_at, updated_at, revision FROM sources";

fn read(row: &Row<'_>) -> rusqlite::Result<SourceRow> {
    let capabilities: Option<Capabilities> = row.json_opt("capabilities")?;
    Ok(SourceRow {
        id: SourceId(row.id("id")?),
        name: row.get("name")?,
        url: row.get("url")?,
        status: if row.get("up")? { "up" } else { "down" },
        version: capabilities.as_ref().map(|found| found.version.clone()),
        capabilities,
        failure_class: row.json_opt("failure_class")?,
        reason: row.get("reason")?,
        has_api_key: row.get("has_api_key")?,
        runs_max: row.get("runs_max")?,
        deleted: row.get("deleted")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        revision: Revision(row.count("revision")?),
    })
}

const FINDER: Finder = Finder { table: "sources", names: &["name", "url"], keeps_deleted: true };

impl Reads {
    /// Sources, newest first.
    ///
    /// # Errors
    /// A page that cannot be, or a file that cannot be read.
    pub async fn list_sources(
        &self,
        filter: SourceFilter,
        page: Page,
    ) -> Result<Listing<SourceRow>, QueryError> {
        self.read(move |conn| {
            let mut conditions = Where::default();
            conditions.and("up = ?", filter.status.map(|status| i64::from(status == "up")));
            if !filter.include_deleted {
                conditions.and_plain("deleted = 0");
            }
            let list = List { select: SELECT, from: "sources", key: "seq", newest_first: true };
            list.page(conn, conditions, &page, read)
        })
        .await
    }

    /// One source, also a removed one.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn source(&self, id: SourceId) -> Result<Option<SourceRow>, QueryError> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
            Ok(statement.query_row([blob(id.0)], read).optional()?)
        })
        .await
    }

    /// The source that a text stands for: an id, its start, a name or a URL.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_source(&self, text: &str) -> Result<Found<SourceId>, QueryError> {
        let text = text.trim().trim_end_matches('/').to_owned();
        self.read(move |conn| Ok(FINDER.find(conn, &text)?.map(SourceId))).await
    }
}
