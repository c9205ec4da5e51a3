//! The alerts: where messages go, about what, and how that went. Never holds a secret. Their
//! deliveries are in `deliveries.rs`.

use rusqlite::{Connection, Row, params};
use serde::Serialize;
use spark_events::domain::alert::{AlertEvent, AlertKind, AlertUpdated, Only, shown_url};
use spark_events::{AlertId, FlowId, Revision, ScheduleId, SourceId, Timestamp};
use uuid::Uuid;

use crate::columns::{Columns, blob, json, rfc3339, rfc3339_opt};
use crate::error::{ProjectionError, QueryError};
use crate::find::{Finder, Found};
use crate::projection::{Domain, Event, Projection, micros};
use crate::store::{List, Listing, Page, Reads, Where};

mod deliveries;

pub use deliveries::{AttemptOf, DeliveryFilter, DeliveryRow};

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AlertRow {
    /// Its id.
    pub id: AlertId,
    /// Its name.
    pub name: String,
    /// Where messages are sent; path and query, which may hold a token, are not shown.
    pub url: String,
    /// About what.
    pub kinds: Vec<AlertKind>,
    /// About this flow only.
    pub flow_id: Option<FlowId>,
    /// Its name.
    pub flow_name: Option<String>,
    /// About this schedule only.
    pub schedule_id: Option<ScheduleId>,
    /// Its name.
    pub schedule_name: Option<String>,
    /// About this source only.
    pub source_id: Option<SourceId>,
    /// Its name.
    pub source_name: Option<String>,
    /// `enabled`, `disabled` or `deleted`.
    pub status: &'static str,
    /// Why it is disabled, where no person did it.
    pub reason: Option<String>,
    /// Until when messages are signed with the secret before the current one too.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub previous_secret_until: Option<Timestamp>,
    /// Messages that wait to be delivered.
    pub waiting: u64,
    /// Messages that were delivered, tests left out.
    pub delivered: u64,
    /// Messages that were given up, tests left out.
    pub failed: u64,
    /// When a message was delivered last.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_delivered_at: Option<Timestamp>,
    /// When an attempt failed last.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_failed_at: Option<Timestamp>,
    /// What went wrong then.
    pub last_error: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last changed; deliveries are no change.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The revision of its stream that this row shows.
    pub revision: Revision,
}

/// Which alerts are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Enabled or disabled ones only.
    pub enabled: Option<bool>,
    /// Deleted ones too.
    pub include_deleted: bool,
}

/// Builds the tables `alerts` and `alerts_messages`.
pub struct Alerts;

const SCHEMA: &str = "
CREATE TABLE alerts (
    seq INTEGER PRIMARY KEY,        -- position of the first event: the order of creation
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    url TEXT NOT NULL,              -- scheme and host, as it is shown
    kinds TEXT NOT NULL,            -- JSON
    flow_id BLOB,
    schedule_id BLOB,
    source_id BLOB,
    enabled INTEGER NOT NULL,
    reason TEXT,
    previous_until INTEGER,         -- microseconds, as all times
    delivered INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    last_delivered_at INTEGER,
    last_failed_at INTEGER,
    last_error TEXT,
    deleted INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
CREATE TABLE alerts_messages (
    seq INTEGER PRIMARY KEY,        -- position of the event that raised it
    id BLOB NOT NULL UNIQUE,
    alert_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    things INTEGER NOT NULL,
    status TEXT NOT NULL,
    raised_at INTEGER NOT NULL,
    next_at INTEGER,
    attempts TEXT NOT NULL,         -- JSON
    raised_revision INTEGER NOT NULL
) STRICT;
CREATE INDEX alerts_messages_of ON alerts_messages (alert_id, seq);";

impl Projection for Alerts {
    fn name(&self) -> &'static str {
        "alerts"
    }

    fn version(&self) -> u32 {
        2
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn categories(&self) -> &'static [&'static str] {
        &[AlertId::CATEGORY]
    }

    fn apply(&mut self, tx: &Connection, event: &Event<'_>) -> Result<(), ProjectionError> {
        let Domain::Alert(alert) = event.domain else {
            return Ok(());
        };
        let id = blob(event.id);
        let changes = match alert {
            AlertEvent::Created(e) => {
                let spec = &e.spec;
                tx.prepare_cached(
                    "INSERT INTO alerts (seq, id, name, url, kinds, flow_id, schedule_id,
                         source_id, enabled, delivered, failed, deleted, created_at, updated_at,
                         revision)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, 0, 0, 0, ?9, ?9, ?10)",
                )?
                .execute(params![
                    event.place(),
                    id,
                    spec.name,
                    shown_url(&spec.url),
                    json(&spec.kinds)?,
                    spec.flow_id.map(|id| blob(id.0)),
                    spec.schedule_id.map(|id| blob(id.0)),
                    spec.source_id.map(|id| blob(id.0)),
                    event.at(),
                    event.revision()
                ])?;
                true
            }
            AlertEvent::Updated(e) => {
                updated(tx, id, e)?;
                true
            }
            AlertEvent::Enabled(_) => {
                tx.prepare_cached("UPDATE alerts SET enabled = 1, reason = NULL WHERE id = ?1")?
                    .execute([id])?;
                true
            }
            AlertEvent::Disabled(e) => {
                tx.prepare_cached("UPDATE alerts SET enabled = 0, reason = ?2 WHERE id = ?1")?
                    .execute(params![id, e.why])?;
                deliveries::dropped(tx, id)?;
                true
            }
            AlertEvent::SecretRotated(e) => {
                tx.prepare_cached("UPDATE alerts SET previous_until = ?2 WHERE id = ?1")?
                    .execute(params![id, micros(e.previous_until)])?;
                true
            }
            AlertEvent::Deleted(_) => {
                tx.prepare_cached("UPDATE alerts SET deleted = 1 WHERE id = ?1")?.execute([id])?;
                deliveries::dropped(tx, id)?;
                true
            }
            AlertEvent::Resealed(_) => false,
            AlertEvent::Raised(e) => {
                deliveries::raised(tx, event, e)?;
                false
            }
            AlertEvent::Delivered(e) => {
                deliveries::delivered(tx, event, e)?;
                false
            }
            AlertEvent::DeliveryFailed(e) => {
                deliveries::failed(tx, event, e)?;
                false
            }
        };
        let changed = tx
            .prepare_cached(
                "UPDATE alerts SET updated_at = coalesce(?2, updated_at), revision = ?3
                 WHERE id = ?1",
            )?
            .execute(params![id, changes.then(|| event.at()), event.revision()])?;
        if changed == 0 {
            return Err(event.unfit("its alert was never made"));
        }
        Ok(())
    }
}

fn updated(tx: &Connection, id: [u8; 16], e: &AlertUpdated) -> Result<(), ProjectionError> {
    tx.prepare_cached(
        "UPDATE alerts SET name = coalesce(?2, name), url = coalesce(?3, url),
             kinds = coalesce(?4, kinds),
             flow_id = CASE ?5 WHEN 1 THEN ?6 ELSE flow_id END,
             schedule_id = CASE ?7 WHEN 1 THEN ?8 ELSE schedule_id END,
             source_id = CASE ?9 WHEN 1 THEN ?10 ELSE source_id END
         WHERE id = ?1",
    )?
    .execute(params![
        id,
        e.name,
        e.url.as_deref().map(shown_url),
        e.kinds.as_ref().map(json).transpose()?,
        e.flow_id.is_some(),
        e.flow_id.and_then(|only| chosen(only, |id| id.0)),
        e.schedule_id.is_some(),
        e.schedule_id.and_then(|only| chosen(only, |id| id.0)),
        e.source_id.is_some(),
        e.source_id.and_then(|only| chosen(only, |id| id.0)),
    ])?;
    Ok(())
}

fn chosen<I>(only: Only<I>, uuid: impl Fn(I) -> Uuid) -> Option<[u8; 16]> {
    match only {
        Only::Any => None,
        Only::This(id) => Some(blob(uuid(id))),
    }
}

const SELECT: &str = "SELECT a.seq AS seq, a.id AS id, a.name AS name, a.url AS url, kinds,
    a.flow_id AS flow_id, a.schedule_id AS schedule_id, a.source_id AS source_id,
    (SELECT name FROM flows WHERE flows.id = a.flow_id) AS flow_name,
    (SELECT name FROM schedules WHERE schedules.id = a.schedule_id) AS schedule_name,
    (SELECT name FROM sources WHERE sources.id = a.source_id) AS source_name,
    enabled, a.reason AS reason, previous_until, delivered, failed, last_delivered_at,
    last_failed_at, last_error, a.deleted AS deleted, a.created_at AS created_at,
    a.updated_at AS updated_at, a.revision AS revision,
    (SELECT count(*) FROM alerts_messages m WHERE m.alert_id = a.id AND m.status = 'waiting')
        AS waiting
    FROM alerts a";

fn read(row: &Row<'_>) -> rusqlite::Result<AlertRow> {
    let (enabled, deleted): (bool, bool) = (row.get("enabled")?, row.get("deleted")?);
    Ok(AlertRow {
        id: AlertId(row.id("id")?),
        name: row.get("name")?,
        url: row.get("url")?,
        kinds: row.json("kinds")?,
        flow_id: row.id_opt("flow_id")?.map(FlowId),
        flow_name: row.get("flow_name")?,
        schedule_id: row.id_opt("schedule_id")?.map(ScheduleId),
        schedule_name: row.get("schedule_name")?,
        source_id: row.id_opt("source_id")?.map(SourceId),
        source_name: row.get("source_name")?,
        status: match (deleted, enabled) {
            (true, _) => "deleted",
            (false, true) => "enabled",
            (false, false) => "disabled",
        },
        reason: row.get("reason")?,
        previous_secret_until: row.time_opt("previous_until")?,
        waiting: row.count("waiting")?,
        delivered: row.count("delivered")?,
        failed: row.count("failed")?,
        last_delivered_at: row.time_opt("last_delivered_at")?,
        last_failed_at: row.time_opt("last_failed_at")?,
        last_error: row.get("last_error")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        revision: Revision(row.count("revision")?),
    })
}

const FINDER: Finder = Finder { table: "alerts", names: &["name"], keeps_deleted: true };

impl Reads {
    /// Alerts, newest first.
    ///
    /// # Errors
    /// A page that cannot be, or a file that cannot be read.
    pub async fn list_alerts(
        &self,
        filter: AlertFilter,
        page: Page,
    ) -> Result<Listing<AlertRow>, QueryError> {
        self.read(move |conn| {
            let mut conditions = Where::default();
            conditions.and("a.enabled = ?", filter.enabled.map(i64::from));
            if !filter.include_deleted {
                conditions.and_plain("a.deleted = 0");
            }
            let list = List { select: SELECT, from: "alerts a", key: "a.seq", newest_first: true };
            list.page(conn, conditions, &page, read)
        })
        .await
    }

    /// One alert, also a deleted one.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn alert(&self, id: AlertId) -> Result<Option<AlertRow>, QueryError> {
        self.one(format!("{SELECT} WHERE a.id = ?1"), id.0, read).await
    }

    /// The alert that a text stands for: an id, its start, or a name.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_alert(&self, text: &str) -> Result<Found<AlertId>, QueryError> {
        self.found(&FINDER, text, AlertId).await
    }
}
