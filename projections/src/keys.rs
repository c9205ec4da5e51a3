//! The API keys: their names and roles, who made them, when they were used, who took them back.
//! Never holds a secret or its hash.

use rusqlite::{Connection, Row, params};
use serde::Serialize;
use spark_events::domain::api_key::ApiKeyEvent;
use spark_events::{KeyId, Revision, Timestamp};

use crate::columns::{Columns, blob, rfc3339, rfc3339_opt};
use crate::error::{ProjectionError, QueryError};
use crate::find::{Finder, Found};
use crate::projection::{Domain, Event, Projection};
use crate::store::{List, Listing, Page, Reads, Where};

/// An API key.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct KeyRow {
    /// Its id.
    pub id: KeyId,
    /// Its name.
    pub name: String,
    /// What its holder may do: `viewer`, `operator`, `worker` or `admin`.
    pub role: String,
    /// `active` or `revoked`.
    pub status: &'static str,
    /// The last characters of its secret.
    pub hint: String,
    /// When it was made.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it was last used, as far as that was recorded.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// When it was taken back.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// Who took it back.
    pub revoked_by: Option<String>,
    /// Why it was taken back.
    pub reason: Option<String>,
    /// The revision of its stream that this row shows.
    pub revision: Revision,
}

/// Which keys are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Of this role only.
    pub role: Option<String>,
    /// Revoked ones too.
    pub include_revoked: bool,
}

/// Builds the table `keys`.
pub struct Keys;

const SCHEMA: &str = "
CREATE TABLE keys (
    seq INTEGER PRIMARY KEY,        -- position of the first event: the order of creation
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    hint TEXT NOT NULL,
    created_at INTEGER NOT NULL,    -- microseconds, as all times
    created_by TEXT NOT NULL,
    last_used_at INTEGER,
    deleted INTEGER NOT NULL,       -- 1 when it was revoked
    revoked_at INTEGER,
    revoked_by TEXT,
    reason TEXT,
    revision INTEGER NOT NULL
) STRICT";

impl Projection for Keys {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn categories(&self) -> &'static [&'static str] {
        &[KeyId::CATEGORY]
    }

    fn apply(&mut self, tx: &Connection, event: &Event<'_>) -> Result<(), ProjectionError> {
        let Domain::Key(key) = event.domain else {
            return Ok(());
        };
        let id = blob(event.id);
        let changed = match key {
            ApiKeyEvent::Created(e) => tx
                .prepare_cached(
                    "INSERT INTO keys (seq, id, name, role, hint, created_at, created_by, deleted,
                         revision)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)",
                )?
                .execute(params![
                    event.place(),
                    id,
                    e.name,
                    e.role.as_str(),
                    e.hint,
                    event.at(),
                    event.actor(),
                    event.revision()
                ])?,
            ApiKeyEvent::Used(e) => tx
                .prepare_cached("UPDATE keys SET last_used_at = ?2, revision = ?3 WHERE id = ?1")?
                .execute(params![id, e.at.timestamp_micros(), event.revision()])?,
            ApiKeyEvent::Revoked(e) => tx
                .prepare_cached(
                    "UPDATE keys SET deleted = 1, revoked_at = ?2, revoked_by = ?3, reason = ?4,
                         revision = ?5
                     WHERE id = ?1",
                )?
                .execute(params![
                    id,
                    e.at.timestamp_micros(),
                    event.actor(),
                    event.reason(),
                    event.revision()
                ])?,
        };
        if changed == 0 {
            return Err(event.unfit("its key was never made"));
        }
        Ok(())
    }
}

const SELECT: &str = "SELECT seq, id, name, role, hint, created_at, created_by, last_used_at,
    deleted, revoked_at, revoked_by, reason, revision FROM keys";

fn read(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        id: KeyId(row.id("id")?),
        name: row.get("name")?,
        role: row.get("role")?,
        status: if row.get("deleted")? { "revoked" } else { "active" },
        hint: row.get("hint")?,
        created_at: row.time("created_at")?,
        created_by: row.get("created_by")?,
        last_used_at: row.time_opt("last_used_at")?,
        revoked_at: row.time_opt("revoked_at")?,
        revoked_by: row.get("revoked_by")?,
        reason: row.get("reason")?,
        revision: Revision(row.count("revision")?),
    })
}

const FINDER: Finder = Finder { table: "keys", names: &["name"], keeps_deleted: true };

impl Reads {
    /// Keys, newest first.
    ///
    /// # Errors
    /// A page that cannot be, or a file that cannot be read.
    pub async fn list_keys(
        &self,
        filter: KeyFilter,
        page: Page,
    ) -> Result<Listing<KeyRow>, QueryError> {
        self.read(move |conn| {
            let mut conditions = Where::default();
            conditions.and("role = ?", filter.role);
            if !filter.include_revoked {
                conditions.and_plain("deleted = 0");
            }
            let list = List { select: SELECT, from: "keys", key: "seq", newest_first: true };
            list.page(conn, conditions, &page, read)
        })
        .await
    }

    /// One key, also a revoked one.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn key(&self, id: KeyId) -> Result<Option<KeyRow>, QueryError> {
        self.one(format!("{SELECT} WHERE id = ?1"), id.0, read).await
    }

    /// The key that a text stands for: an id, its start or a name.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_key(&self, text: &str) -> Result<Found<KeyId>, QueryError> {
        self.found(&FINDER, text, KeyId).await
    }
}
