//! The deliveries of alerts: each message with its attempts. The newest of each alert are kept here;
//! its stream has them all.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use spark_events::domain::alert::{
    AlertDelivered, AlertDeliveryFailed, AlertKind, AlertRaised, Answer,
};
use spark_events::limits::{ALERT_ATTEMPTS_SHOWN_MAX, ALERT_DELIVERIES_KEPT_MAX};
use spark_events::{AlertId, Revision, Timestamp};
use uuid::Uuid;

use crate::columns::{Columns, blob, json, rfc3339, rfc3339_opt, signed};
use crate::error::{ProjectionError, QueryError};
use crate::find::{Finder, Found};
use crate::projection::{Event, micros};
use crate::store::{List, Listing, Page, Reads, Where};

/// A message of an alert and its way to the receiver.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct DeliveryRow {
    /// The message's id, as the receiver sees it in `webhook-id`.
    pub id: Uuid,
    /// The alert.
    pub alert_id: AlertId,
    /// What the message is about.
    pub kind: AlertKind,
    /// What it says, in one line.
    pub title: String,
    /// How many things it tells of.
    pub count: u64,
    /// `waiting` (for its first or next attempt), `delivered`, `failed` (given up) or `dropped`
    /// (its alert was disabled or deleted before).
    pub status: String,
    /// When it was raised.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub raised_at: Timestamp,
    /// When the next attempt is due.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    /// The newest attempts, oldest first.
    pub attempts: Vec<AttemptOf>,
    /// The revision of the event that raised it, in the alert's stream.
    pub raised_revision: Revision,
}

/// One attempt to deliver a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = DeliveryAttempt)]
pub struct AttemptOf {
    /// Its number, from 1; none for one that was asked for by hand.
    pub attempt: Option<u32>,
    /// When it ended.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Whether the receiver took the message.
    pub delivered: bool,
    /// The status that it answered with.
    pub status: Option<u16>,
    /// How long it took.
    pub duration_ms: u64,
    /// The start of its answer.
    pub answer: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

/// Which deliveries are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Of this alert.
    pub alert_id: Option<AlertId>,
    /// `waiting`, `delivered`, `failed` or `dropped` only.
    pub status: Option<String>,
}

pub(super) fn raised(
    tx: &Connection,
    event: &Event<'_>,
    raised: &AlertRaised,
) -> Result<(), ProjectionError> {
    let title = raised.body.pointer("/data/title").and_then(|title| title.as_str());
    tx.prepare_cached(
        "INSERT INTO alerts_messages (seq, id, alert_id, kind, title, things, status, raised_at,
             next_at, attempts, raised_revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'waiting', ?7, ?7, '[]', ?8)",
    )?
    .execute(params![
        event.place(),
        blob(raised.message_id),
        blob(event.id),
        json(&raised.kind)?,
        title.unwrap_or_default(),
        signed(raised.count),
        event.at(),
        event.revision()
    ])?;
    tx.prepare_cached(
        "DELETE FROM alerts_messages WHERE alert_id = ?1 AND status <> 'waiting' AND seq <=
             (SELECT seq FROM alerts_messages WHERE alert_id = ?1
              ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![blob(event.id), signed(ALERT_DELIVERIES_KEPT_MAX as u64)])?;
    Ok(())
}

pub(super) fn delivered(
    tx: &Connection,
    event: &Event<'_>,
    e: &AlertDelivered,
) -> Result<(), ProjectionError> {
    let attempt = attempt_of(event, e.attempt, &e.answer, None);
    let was = attempted(tx, e.message_id, attempt)?;
    tx.prepare_cached(
        "UPDATE alerts_messages SET status = 'delivered', next_at = NULL WHERE id = ?1",
    )?
    .execute([blob(e.message_id)])?;
    // A test is not counted. One that was delivered before is counted already, and one that had been
    // given up is so no more.
    let (first, again) = match was {
        Some(Before { is_test: true, .. }) => (0, 0),
        Some(before) if before.status == "delivered" => (0, 0),
        Some(before) if before.status == "failed" => (1, 1),
        Some(_) | None => (1, 0),
    };
    tx.prepare_cached(
        "UPDATE alerts SET delivered = delivered + ?2, failed = failed - ?3,
             last_delivered_at = ?4
         WHERE id = ?1",
    )?
    .execute(params![blob(event.id), first, again, event.at()])?;
    Ok(())
}

pub(super) fn failed(
    tx: &Connection,
    event: &Event<'_>,
    e: &AlertDeliveryFailed,
) -> Result<(), ProjectionError> {
    let attempt = attempt_of(event, e.attempt, &e.answer, Some(&e.error));
    let was = attempted(tx, e.message_id, attempt)?;
    let given_up = e.next_at.is_none() && was.as_ref().is_some_and(|was| was.status == "waiting");
    let counts = given_up && was.is_some_and(|was| !was.is_test);
    tx.prepare_cached(
        "UPDATE alerts_messages SET next_at = ?2,
             status = CASE WHEN ?3 THEN 'failed' ELSE status END
         WHERE id = ?1",
    )?
    .execute(params![blob(e.message_id), micros(e.next_at), given_up])?;
    tx.prepare_cached(
        "UPDATE alerts SET failed = failed + ?2, last_failed_at = ?3, last_error = ?4
         WHERE id = ?1",
    )?
    .execute(params![blob(event.id), counts, event.at(), e.error])?;
    Ok(())
}

/// The alert tells of nothing any more.
pub(super) fn dropped(tx: &Connection, alert: [u8; 16]) -> Result<(), ProjectionError> {
    tx.prepare_cached(
        "UPDATE alerts_messages SET status = 'dropped', next_at = NULL
         WHERE alert_id = ?1 AND status = 'waiting'",
    )?
    .execute([alert])?;
    Ok(())
}

fn attempt_of(
    event: &Event<'_>,
    attempt: Option<u32>,
    answer: &Answer,
    error: Option<&str>,
) -> AttemptOf {
    AttemptOf {
        attempt,
        at: event.recorded.recorded_at,
        delivered: error.is_none(),
        status: answer.status,
        duration_ms: answer.duration_ms,
        answer: answer.body.clone(),
        error: error.map(str::to_owned),
    }
}

/// A message before an attempt.
struct Before {
    status: String,
    is_test: bool,
}

/// Adds an attempt; the message before it, `None` where it is not kept any more.
fn attempted(
    tx: &Connection,
    message: Uuid,
    attempt: AttemptOf,
) -> Result<Option<Before>, ProjectionError> {
    let found = tx
        .prepare_cached("SELECT status, kind, attempts FROM alerts_messages WHERE id = ?1")?
        .query_row([blob(message)], |row| {
            let is_test = row.json::<AlertKind, _>(1)? == AlertKind::Test;
            let before = Before { status: row.get(0)?, is_test };
            Ok((before, row.json::<Vec<AttemptOf>, _>(2)?))
        })
        .optional()?;
    let Some((before, mut attempts)) = found else { return Ok(None) };
    attempts.push(attempt);
    let beyond = attempts.len().saturating_sub(ALERT_ATTEMPTS_SHOWN_MAX);
    attempts.drain(..beyond);
    tx.prepare_cached("UPDATE alerts_messages SET attempts = ?2 WHERE id = ?1")?
        .execute(params![blob(message), json(&attempts)?])?;
    Ok(Some(before))
}

const SELECT: &str = "SELECT seq, id, alert_id, kind, title, things, status, raised_at, next_at,
    attempts, raised_revision FROM alerts_messages";

fn read(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
    Ok(DeliveryRow {
        id: row.id("id")?,
        alert_id: AlertId(row.id("alert_id")?),
        kind: row.json("kind")?,
        title: row.get("title")?,
        count: row.count("things")?,
        status: row.get("status")?,
        raised_at: row.time("raised_at")?,
        next_attempt_at: row.time_opt("next_at")?,
        attempts: row.json("attempts")?,
        raised_revision: Revision(row.count("raised_revision")?),
    })
}

const FINDER: Finder = Finder { table: "alerts_messages", names: &[], keeps_deleted: false };

impl Reads {
    /// Deliveries, newest first.
    ///
    /// # Errors
    /// A page that cannot be, or a file that cannot be read.
    pub async fn list_deliveries(
        &self,
        filter: DeliveryFilter,
        page: Page,
    ) -> Result<Listing<DeliveryRow>, QueryError> {
        self.read(move |conn| {
            let mut conditions = Where::default();
            conditions.and("alert_id = ?", filter.alert_id.map(|id| blob(id.0).to_vec()));
            conditions.and("status = ?", filter.status);
            let list =
                List { select: SELECT, from: "alerts_messages", key: "seq", newest_first: true };
            list.page(conn, conditions, &page, read)
        })
        .await
    }

    /// One delivery, by the id of its message.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn delivery(&self, id: Uuid) -> Result<Option<DeliveryRow>, QueryError> {
        self.one(format!("{SELECT} WHERE id = ?1"), id, read).await
    }

    /// The delivery that a text stands for: the id of its message, or the start of that.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_delivery(&self, text: &str) -> Result<Found<Uuid>, QueryError> {
        self.found(&FINDER, text, std::convert::identity).await
    }
}
