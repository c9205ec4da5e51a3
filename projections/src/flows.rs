//! The flows as they are at their sources, and those made here.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde::Serialize;
use spark_events::domain::component::Component;
use spark_events::domain::flow::{Drift, FlowContent, FlowEvent, FlowSynced};
use spark_events::{FlowId, Payload, Revision, SourceId, Timestamp};

use crate::columns::{Columns, blob, json, rfc3339};
use crate::error::{ProjectionError, QueryError};
use crate::find::{Finder, Found};
use crate::projection::{Domain, Event, Projection};
use crate::store::{List, Listing, Page, Reads, Where};

/// A flow.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FlowRow {
    /// Its id.
    pub id: FlowId,
    /// Its name at the source.
    pub name: String,
    /// Its description at the source.
    pub description: String,
    /// The source that has it; `None`: it was made here and not pushed.
    pub source_id: Option<SourceId>,
    /// The source's name.
    pub source_name: Option<String>,
    /// Its id at the source.
    pub remote_id: Option<String>,
    /// The folder or project it lies in.
    pub folder: Option<String>,
    /// The node that takes the input.
    pub input_component: Option<String>,
    /// The node that gives the output.
    pub output_component: Option<String>,
    /// Its components, as far as they can be run or tweaked.
    pub components: Vec<Component>,
    /// SHA-256 (hex) of the masked definition's JSON.
    pub definition_hash: String,
    /// The definition with its secrets masked; a large one is only named here.
    #[schema(value_type = serde_json::Value, required = false)]
    pub definition: Payload,
    /// The number of its newest version.
    pub version: u64,
    /// How many runs of it there may be at once; `None`: as many as its source allows.
    pub runs_max: Option<u32>,
    /// Whether it was edited here and not pushed. What runs is what the source has.
    pub edited: bool,
    /// Whether the source is known to have something else, or nothing.
    pub drifted: bool,
    /// What the source has instead, as far as is known.
    pub drift: Option<Drift>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// When it was first synced.
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

/// Which flows are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Of this source only.
    pub source_id: Option<SourceId>,
    /// With exactly this name only.
    pub name: Option<String>,
    /// In this folder only.
    pub folder: Option<String>,
    /// Only those that are known to have drifted, or those that are not.
    pub drifted: Option<bool>,
    /// Deleted ones too.
    pub include_deleted: bool,
}

/// Builds the table `flows`.
pub struct Flows;

const SCHEMA: &str = "
CREATE TABLE flows (
    seq INTEGER PRIMARY KEY,        -- position of the first event: the order of creation
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    source_id BLOB,                 -- NULL: no source has it yet
    remote_id TEXT,
    folder TEXT,
    input_component TEXT,
    output_component TEXT,
    components TEXT NOT NULL,       -- JSON
    definition_hash TEXT NOT NULL,
    definition TEXT NOT NULL,       -- JSON of the payload
    version INTEGER NOT NULL,       -- how many versions it had
    runs_max INTEGER,
    edited_hash TEXT,               -- of an edit that was not pushed
    drift TEXT,                     -- JSON
    deleted INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT";

impl Projection for Flows {
    fn name(&self) -> &'static str {
        "flows"
    }

    fn version(&self) -> u32 {
        2
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn categories(&self) -> &'static [&'static str] {
        &[FlowId::CATEGORY]
    }

    fn apply(&mut self, tx: &Connection, event: &Event<'_>) -> Result<(), ProjectionError> {
        match event.domain {
            Domain::Flow(flow) => apply(tx, event, flow),
            Domain::Source(_)
            | Domain::Schedule(_)
            | Domain::Task(_)
            | Domain::Worker(_)
            | Domain::Key(_)
            | Domain::Alert(_) => Ok(()),
        }
    }
}

fn apply(tx: &Connection, event: &Event<'_>, flow: &FlowEvent) -> Result<(), ProjectionError> {
    match flow {
        FlowEvent::Synced(flow) => at_source(tx, event, flow),
        FlowEvent::Pushed(pushed) => at_source(tx, event, &pushed.flow),
        FlowEvent::Created(content) => content_of(tx, event, content, None),
        FlowEvent::Edited(content) => edited(tx, event, content),
        FlowEvent::Updated(patch) => match patch.runs_max {
            Some(limit) => set(tx, event, "runs_max = ?4", &limit.number()),
            None => Ok(()),
        },
        FlowEvent::DriftDetected(drift) => set(tx, event, "drift = ?4", &json(drift)?),
        FlowEvent::DriftCleared(_) => set(tx, event, "drift = ?4", &None::<String>),
        // Settings end with the flow.
        FlowEvent::Deleted(_) => {
            set(tx, event, "deleted = 1, drift = NULL, runs_max = ?4", &None::<u32>)
        }
    }
}

/// Sets columns of a row that must be there.
fn set(
    tx: &Connection,
    event: &Event<'_>,
    columns: &str,
    value: &dyn ToSql,
) -> Result<(), ProjectionError> {
    let sql = format!("UPDATE flows SET {columns}, updated_at = ?2, revision = ?3 WHERE id = ?1");
    let changed = tx.prepare_cached(&sql)?.execute(params![
        blob(event.id),
        event.at(),
        event.revision(),
        value
    ])?;
    if changed == 0 {
        return Err(event.unfit("its flow was never synced or made"));
    }
    Ok(())
}

fn at_source(tx: &Connection, event: &Event<'_>, flow: &FlowSynced) -> Result<(), ProjectionError> {
    content_of(tx, event, &FlowContent::from(flow), Some(flow))
}

/// An edit of a flow that no source has changes its row; any other waits for its push, and only
/// the version counts.
fn edited(
    tx: &Connection,
    event: &Event<'_>,
    content: &FlowContent,
) -> Result<(), ProjectionError> {
    let local = "SELECT source_id IS NULL FROM flows WHERE id = ?1";
    let local: Option<bool> =
        tx.prepare_cached(local)?.query_row([blob(event.id)], |row| row.get(0)).optional()?;
    match local {
        Some(true) => content_of(tx, event, content, None),
        Some(false) | None => {
            // Edited back to what the source has, nothing waits any more.
            let columns = "version = version + 1, edited_hash = CASE
                WHEN definition_hash = ?4 AND name = ?5 AND description = ?6 THEN NULL ELSE ?4 END";
            let sql =
                format!("UPDATE flows SET {columns}, updated_at = ?2, revision = ?3 WHERE id = ?1");
            let changed = tx.prepare_cached(&sql)?.execute(params![
                blob(event.id),
                event.at(),
                event.revision(),
                content.definition_hash,
                content.name,
                content.description,
            ])?;
            if changed == 0 {
                return Err(event.unfit("its flow was never synced or made"));
            }
            Ok(())
        }
    }
}

fn content_of(
    tx: &Connection,
    event: &Event<'_>,
    content: &FlowContent,
    source: Option<&FlowSynced>,
) -> Result<(), ProjectionError> {
    tx.prepare_cached(
        "INSERT INTO flows (seq, id, name, description, source_id, remote_id, folder,
             input_component, output_component, components, definition_hash, definition, version,
             deleted, created_at, updated_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, 0, ?13, ?13, ?14)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description,
             source_id = excluded.source_id, remote_id = excluded.remote_id,
             folder = excluded.folder, input_component = excluded.input_component,
             output_component = excluded.output_component, components = excluded.components,
             definition_hash = excluded.definition_hash, definition = excluded.definition,
             version = version + 1, edited_hash = NULL, drift = NULL,
             deleted = 0, updated_at = excluded.updated_at, revision = excluded.revision",
    )?
    .execute(params![
        event.place(),
        blob(event.id),
        content.name,
        content.description,
        source.map(|flow| blob(flow.source_id.0)),
        source.map(|flow| &flow.remote_id),
        source.and_then(|flow| flow.folder.as_ref()),
        content.input_component,
        content.output_component,
        json(&content.components)?,
        content.definition_hash,
        json(&content.definition)?,
        event.at(),
        event.revision(),
    ])?;
    Ok(())
}

const SELECT: &str = "SELECT f.seq AS seq, f.id AS id, f.name AS name, f.description,
    f.source_id, s.name AS source_name, f.remote_id, f.folder, f.input_component,
    f.output_component, f.components, f.definition_hash, f.definition, f.version, f.runs_max,
    f.edited_hash IS NOT NULL AS edited, f.drift, f.deleted AS deleted,
    f.created_at AS created_at, f.updated_at AS updated_at, f.revision AS revision
    FROM flows f LEFT JOIN sources s ON s.id = f.source_id";

fn read(row: &Row<'_>) -> rusqlite::Result<FlowRow> {
    let drift: Option<Drift> = row.json_opt("drift")?;
    Ok(FlowRow {
        id: FlowId(row.id("id")?),
        name: row.get("name")?,
        description: row.get("description")?,
        source_id: row.id_opt("source_id")?.map(SourceId),
        source_name: row.get("source_name")?,
        remote_id: row.get("remote_id")?,
        folder: row.get("folder")?,
        input_component: row.get("input_component")?,
        output_component: row.get("output_component")?,
        components: row.json("components")?,
        definition_hash: row.get("definition_hash")?,
        definition: row.json("definition")?,
        version: row.count("version")?,
        runs_max: row.get("runs_max")?,
        edited: row.get("edited")?,
        drifted: drift.is_some(),
        drift,
        deleted: row.get("deleted")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        revision: Revision(row.count("revision")?),
    })
}

const FINDER: Finder =
    Finder { table: "flows", names: &["name", "remote_id"], keeps_deleted: true };

impl Reads {
    /// Flows, newest first.
    ///
    /// # Errors
    /// A page that cannot be, or a file that cannot be read.
    pub async fn list_flows(
        &self,
        filter: FlowFilter,
        page: Page,
    ) -> Result<Listing<FlowRow>, QueryError> {
        self.read(move |conn| {
            let mut conditions = Where::default();
            conditions.and("f.source_id = ?", filter.source_id.map(|id| blob(id.0).to_vec()));
            conditions.and("f.name = ?", filter.name);
            conditions.and("f.folder = ?", filter.folder);
            match filter.drifted {
                Some(true) => conditions.and_plain("f.drift IS NOT NULL"),
                Some(false) => conditions.and_plain("f.drift IS NULL"),
                None => {}
            }
            if !filter.include_deleted {
                conditions.and_plain("f.deleted = 0");
            }
            let list = List { select: SELECT, from: "flows f", key: "f.seq", newest_first: true };
            list.page(conn, conditions, &page, read)
        })
        .await
    }

    /// One flow, also a deleted one.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn flow(&self, id: FlowId) -> Result<Option<FlowRow>, QueryError> {
        self.one(format!("{SELECT} WHERE f.id = ?1"), id.0, read).await
    }

    /// The flow that a text stands for: an id, its start, a name, or its id at the source.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_flow(&self, text: &str) -> Result<Found<FlowId>, QueryError> {
        self.found(&FINDER, text, FlowId).await
    }
}
