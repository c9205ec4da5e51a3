//! The sources: servers as they were last added, changed and probed. Never holds a key.

use rusqlite::{Connection, Row, params};
use serde::Serialize;
use spark_events::domain::failure::FailureClass;
use spark_events::domain::labels::Labels;
use spark_events::domain::source::{
    Capabilities, HttpSettings, Probe, SourceEvent, SourceKind, SourceUpdated,
};
use spark_events::{Revision, SourceId, Timestamp};

use crate::columns::{Columns, blob, json, json_opt, rfc3339};
use crate::error::{ProjectionError, QueryError};
use crate::find::{Finder, Found};
use crate::projection::{Domain, Event, Projection};
use crate::store::{List, Listing, Page, Reads, Where};

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct SourceRow {
    /// Its id.
    pub id: SourceId,
    /// Its name.
    pub name: String,
    /// Its base URL without a trailing slash.
    pub url: String,
    /// `langflow` or `http`.
    pub kind: &'static str,
    /// How a source of the kind `http` is spoken to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSettings>,
    /// `up` or `down`, as the last probe found.
    pub status: &'static str,
    /// Since when probes find it so.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub status_since: Timestamp,
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
    /// What a worker must have to make its calls.
    pub worker_labels: Labels,
    /// How many flows it has here.
    pub flows: u64,
    /// Whether it was removed.
    pub deleted: bool,
    /// When it was added.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
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
    http TEXT,                      -- JSON; NULL for LangFlow
    up INTEGER NOT NULL,
    status_since INTEGER NOT NULL,
    capabilities TEXT,              -- JSON, kept while down
    failure_class TEXT,             -- JSON
    reason TEXT,
    has_api_key INTEGER NOT NULL,
    runs_max INTEGER NOT NULL,
    worker_labels TEXT NOT NULL,    -- JSON
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
        3
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
                    "INSERT INTO sources (seq, id, name, url, http, up, status_since, has_api_key,
                         runs_max, worker_labels, deleted, created_at, updated_at, revision)
                     VALUES (?1, ?2, ?3, ?4, ?9, 0, ?7, ?5, ?6, ?10, 0, ?7, ?7, ?8)",
                )?
                .execute(params![
                    event.place(),
                    id,
                    e.name,
                    e.url,
                    e.api_key.is_some(),
                    e.runs_max,
                    event.at(),
                    event.revision(),
                    json_opt(http_of(&e.kind))?,
                    json(&e.worker_labels)?
                ])?;
                probed(tx, id, &e.probe, event.at())?;
            }
            SourceEvent::Updated(e) => {
                tx.prepare_cached(
                    "UPDATE sources SET name = coalesce(?2, name), url = coalesce(?3, url),
                         has_api_key = coalesce(?4, has_api_key), runs_max = coalesce(?5, runs_max),
                         worker_labels = coalesce(?6, worker_labels)
                     WHERE id = ?1",
                )?
                .execute(params![
                    id,
                    e.name,
                    e.url,
                    has_key_after(e),
                    e.runs_max,
                    json_opt(e.worker_labels.as_ref())?
                ])?;
            }
            SourceEvent::Probed(e) => probed(tx, id, &e.probe, event.at())?,
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

fn http_of(kind: &SourceKind) -> Option<&HttpSettings> {
    match kind {
        SourceKind::Langflow => None,
        SourceKind::Http(settings) => Some(settings),
    }
}

/// Whether there is a key after a change; `None` where it said nothing about one.
fn has_key_after(change: &SourceUpdated) -> Option<bool> {
    if change.api_key.is_some() {
        return Some(true);
    }
    change.api_key_removed.then_some(false)
}

fn probed(
    tx: &Connection,
    id: [u8; 16],
    probe: &Probe,
    at: impl rusqlite::ToSql,
) -> Result<(), ProjectionError> {
    let (up, capabilities, class, reason) = match probe {
        Probe::Up { capabilities } => (true, Some(capabilities), None, None),
        Probe::Down { class, message } => (false, None, Some(class), Some(message)),
    };
    tx.prepare_cached(
        "UPDATE sources SET status_since = CASE WHEN up = ?2 THEN status_since ELSE ?6 END,
             up = ?2, capabilities = coalesce(?3, capabilities),
             failure_class = ?4, reason = ?5
         WHERE id = ?1",
    )?
    .execute(params![
        id,
        up,
        json_opt(capabilities)?,
        class.map(json).transpose()?,
        reason,
        at
    ])?;
    Ok(())
}

const SELECT: &str = "SELECT seq, id, name, url, http, up, status_since, capabilities,
    failure_class, reason, has_api_key, runs_max, worker_labels, deleted, created_at, updated_at,
    revision,
    (SELECT count(*) FROM flows WHERE flows.source_id = sources.id AND flows.deleted = 0) AS flows
    FROM sources";

fn read(row: &Row<'_>) -> rusqlite::Result<SourceRow> {
    let capabilities: Option<Capabilities> = row.json_opt("capabilities")?;
    let version = capabilities.as_ref().map(|found| found.version.clone());
    let http: Option<HttpSettings> = row.json_opt("http")?;
    Ok(SourceRow {
        id: SourceId(row.id("id")?),
        name: row.get("name")?,
        url: row.get("url")?,
        kind: if http.is_some() { "http" } else { "langflow" },
        http,
        status: if row.get("up")? { "up" } else { "down" },
        status_since: row.time("status_since")?,
        version: version.filter(|version| !version.is_empty()),
        capabilities,
        failure_class: row.json_opt("failure_class")?,
        reason: row.get("reason")?,
        has_api_key: row.get("has_api_key")?,
        runs_max: row.get("runs_max")?,
        worker_labels: row.json("worker_labels")?,
        flows: row.count("flows")?,
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
        self.one(format!("{SELECT} WHERE id = ?1"), id.0, read).await
    }

    /// The source that a text stands for: an id, its start, a name or a URL.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_source(&self, text: &str) -> Result<Found<SourceId>, QueryError> {
        self.found(&FINDER, text.trim().trim_end_matches('/'), SourceId).await
    }
}
