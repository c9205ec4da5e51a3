//! The schedules: what they are to do, where they stand, and their newest outcomes. The fixed part
//! and the part that moves with each due instant are rows of their own, so that a due instant
//! rewrites little. How a schedule is read back is in `schedules/query.rs`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use spark_events::domain::recurrence::Recurrence;
use spark_events::domain::schedule::{
    ScheduleCreated, ScheduleEvent, ScheduleSkipped, ScheduleStatus, SkipReason,
};
use spark_events::limits::OUTCOMES_KEPT_MAX;
use spark_events::{ScheduleId, TaskId, Timestamp};
use uuid::Uuid;

use crate::columns::{Columns, blob, json, json_opt, rfc3339, signed};
use crate::error::ProjectionError;
use crate::projection::{Domain, Event, Projection, micros};

mod query;

pub use query::{ScheduleFilter, ScheduleRow};

/// What became of one due instant, or of several in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What became of it.
    pub outcome: OutcomeKind,
    /// The due instant, or the first of several.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub due_at: Timestamp,
    /// The last of several; the same for a single one.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub last_due_at: Timestamp,
    /// How many.
    pub count: u64,
    /// The task that it started, or the open task that was in its way.
    #[serde(default)]
    pub task_id: Option<TaskId>,
}

/// See [`Outcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It started a task.
    Fired,
    /// An earlier task was still open.
    Skipped,
    /// It came too late: Spark was not running, or the log was unavailable.
    Missed,
}

/// Builds the tables `schedules` and `schedules_states`.
#[derive(Default)]
pub struct Schedules {
    /// States of this batch that are not written yet.
    dirty: HashMap<Uuid, Moving>,
}

const SCHEMA: &str = "
CREATE TABLE schedules (
    seq INTEGER PRIMARY KEY,        -- position of the first event: the order of creation
    id BLOB NOT NULL UNIQUE,
    name TEXT,
    flow_id BLOB NOT NULL,
    source_id BLOB NOT NULL,
    recurrence TEXT NOT NULL,       -- JSON
    timezone TEXT,
    summary TEXT NOT NULL,
    input TEXT NOT NULL,            -- JSON of the payload
    tweaks TEXT,                    -- JSON
    overlap TEXT NOT NULL,          -- JSON
    catch_up_ms INTEGER NOT NULL,
    retry TEXT NOT NULL,            -- JSON
    timeout_ms INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
CREATE INDEX schedules_flow ON schedules (flow_id);
CREATE INDEX schedules_name ON schedules (name) WHERE name IS NOT NULL AND deleted = 0;
CREATE TABLE schedules_states (
    seq INTEGER PRIMARY KEY,        -- that of the schedule
    status TEXT NOT NULL,
    next_due_at INTEGER,
    last_due_at INTEGER,
    last_task_id BLOB,
    paused_at INTEGER,
    paused_by TEXT,
    paused_reason TEXT,
    fired INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    triggered INTEGER NOT NULL,
    outcomes TEXT NOT NULL,         -- JSON, the newest first
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT";

/// The row of `schedules_states`.
#[derive(Debug, Clone, PartialEq, Default)]
struct Moving {
    seq: i64,
    status: String,
    next_due_at: Option<i64>,
    last_due_at: Option<i64>,
    last_task_id: Option<[u8; 16]>,
    paused_at: Option<i64>,
    paused_by: Option<String>,
    paused_reason: Option<String>,
    fired: i64,
    skipped: i64,
    missed: i64,
    triggered: i64,
    outcomes: Vec<Outcome>,
    updated_at: i64,
    revision: i64,
}

impl Projection for Schedules {
    fn name(&self) -> &'static str {
        "schedules"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn categories(&self) -> &'static [&'static str] {
        &[ScheduleId::CATEGORY]
    }

    fn apply(&mut self, tx: &Connection, event: &Event<'_>) -> Result<(), ProjectionError> {
        let Domain::Schedule(schedule) = event.domain else {
            return Ok(());
        };
        let created = match schedule {
            ScheduleEvent::Created(created) => Some(created),
            _ => None,
        };
        let moving = match (self.dirty.entry(event.id), created) {
            (Entry::Occupied(_), Some(_)) => {
                return Err(event.unfit("its schedule was created before"));
            }
            (Entry::Occupied(entry), None) => entry.into_mut(),
            (Entry::Vacant(entry), Some(created)) => {
                insert(tx, event, created)?;
                entry.insert(Moving { seq: event.place(), ..Moving::default() })
            }
            (Entry::Vacant(entry), None) => {
                let stored = load(tx, event.id)?;
                entry.insert(stored.ok_or_else(|| event.unfit("its schedule was never created"))?)
            }
        };
        moving.take(event, schedule);
        if matches!(schedule, ScheduleEvent::Deleted(_)) {
            tx.prepare_cached("UPDATE schedules SET deleted = 1 WHERE seq = ?1")?
                .execute([moving.seq])?;
        }
        Ok(())
    }

    fn flush(&mut self, tx: &Connection) -> Result<(), ProjectionError> {
        for (_, moving) in self.dirty.drain() {
            moving.save(tx)?;
        }
        Ok(())
    }

    fn discard(&mut self) {
        self.dirty.clear();
    }
}

fn insert(
    tx: &Connection,
    event: &Event<'_>,
    created: &ScheduleCreated,
) -> Result<(), ProjectionError> {
    let spec = &created.spec;
    let (timezone, summary) = described(&spec.recurrence);
    tx.prepare_cached(
        "INSERT INTO schedules (seq, id, name, flow_id, source_id, recurrence, timezone, summary,
             input, tweaks, overlap, catch_up_ms, retry, timeout_ms, deleted, created_at, created_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0, ?15, ?16)",
    )?
    .execute(params![
        event.place(),
        blob(event.id),
        spec.name,
        blob(spec.flow_id.0),
        blob(spec.source_id.0),
        json(&spec.recurrence)?,
        timezone,
        summary,
        json(&spec.input)?,
        json_opt(spec.tweaks.as_ref())?,
        json(&spec.overlap)?,
        signed(spec.catch_up_ms),
        json(&spec.retry)?,
        signed(spec.timeout_ms),
        event.at(),
        event.actor(),
    ])?;
    Ok(())
}

fn load(tx: &Connection, id: Uuid) -> Result<Option<Moving>, ProjectionError> {
    let mut statement = tx.prepare_cached(
        "SELECT st.* FROM schedules s JOIN schedules_states st ON st.seq = s.seq WHERE s.id = ?1",
    )?;
    Ok(statement.query_row([blob(id)], Moving::read).optional()?)
}

impl Moving {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get("seq")?,
            status: row.get("status")?,
            next_due_at: row.get("next_due_at")?,
            last_due_at: row.get("last_due_at")?,
            last_task_id: row.get("last_task_id")?,
            paused_at: row.get("paused_at")?,
            paused_by: row.get("paused_by")?,
            paused_reason: row.get("paused_reason")?,
            fired: row.get("fired")?,
            skipped: row.get("skipped")?,
            missed: row.get("missed")?,
            triggered: row.get("triggered")?,
            outcomes: row.json("outcomes")?,
            updated_at: row.get("updated_at")?,
            revision: row.get("revision")?,
        })
    }

    fn save(&self, tx: &Connection) -> Result<(), ProjectionError> {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO schedules_states (seq, status, next_due_at, last_due_at,
                 last_task_id, paused_at, paused_by, paused_reason, fired, skipped, missed,
                 triggered, outcomes, updated_at, revision)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            self.seq,
            self.status,
            self.next_due_at,
            self.last_due_at,
            self.last_task_id,
            self.paused_at,
            self.paused_by,
            self.paused_reason,
            self.fired,
            self.skipped,
            self.missed,
            self.triggered,
            json(&self.outcomes)?,
            self.updated_at,
            self.revision,
        ])?;
        Ok(())
    }

    /// Takes one event of the schedule.
    fn take(&mut self, event: &Event<'_>, schedule: &ScheduleEvent) {
        self.updated_at = event.at();
        self.revision = event.revision();
        match schedule {
            ScheduleEvent::Created(e) => {
                self.status = ScheduleStatus::Active.as_str().into();
                self.next_due_at = micros(Some(e.next_due_at));
            }
            ScheduleEvent::Fired(e) => {
                self.fired += 1;
                self.next_due_at = micros(e.next_due_at);
                self.last_due_at = micros(Some(e.due_at));
                self.last_task_id = Some(blob(e.task_id.0));
                self.push(Outcome {
                    outcome: OutcomeKind::Fired,
                    due_at: e.due_at,
                    last_due_at: e.due_at,
                    count: 1,
                    task_id: Some(e.task_id),
                });
            }
            ScheduleEvent::Skipped(e) => self.skip(e),
            ScheduleEvent::Triggered(e) => {
                self.triggered += 1;
                self.last_task_id = Some(blob(e.task_id.0));
            }
            ScheduleEvent::Paused(e) => {
                self.status = ScheduleStatus::Paused.as_str().into();
                self.next_due_at = None;
                self.paused_at = micros(Some(e.at));
                self.paused_by = Some(event.actor().into());
                self.paused_reason = event.reason().map(Into::into);
            }
            ScheduleEvent::Resumed(e) => {
                // Without a further instant the schedule's end follows in the same batch.
                if e.next_due_at.is_some() {
                    self.status = ScheduleStatus::Active.as_str().into();
                }
                self.next_due_at = micros(e.next_due_at);
                self.unpause();
            }
            ScheduleEvent::Completed(_) => self.end(ScheduleStatus::Completed),
            ScheduleEvent::Deleted(_) => self.end(ScheduleStatus::Deleted),
        }
    }

    fn skip(&mut self, e: &ScheduleSkipped) {
        let (outcome, counter, task_id) = match e.reason {
            SkipReason::Overlap { task_id } => {
                (OutcomeKind::Skipped, &mut self.skipped, Some(task_id))
            }
            SkipReason::CatchUpWindow => (OutcomeKind::Missed, &mut self.missed, None),
        };
        *counter += signed(e.count);
        self.next_due_at = micros(e.next_due_at);
        self.last_due_at = micros(Some(e.last_due_at));
        let (due_at, last_due_at) = (e.first_due_at, e.last_due_at);
        self.push(Outcome { outcome, due_at, last_due_at, count: e.count, task_id });
    }

    fn push(&mut self, outcome: Outcome) {
        self.outcomes.insert(0, outcome);
        self.outcomes.truncate(OUTCOMES_KEPT_MAX);
    }

    fn unpause(&mut self) {
        (self.paused_at, self.paused_by, self.paused_reason) = (None, None, None);
    }

    fn end(&mut self, status: ScheduleStatus) {
        self.status = status.as_str().into();
        self.next_due_at = None;
    }
}

/// A recurrence's time zone, and itself in a few words.
fn described(recurrence: &Recurrence) -> (Option<&str>, String) {
    match recurrence {
        Recurrence::Cron { expression, timezone, .. } => {
            (Some(timezone), format!("cron {expression} ({timezone})"))
        }
        Recurrence::Calendar {
            second,
            minute,
            hour,
            day_of_month,
            month,
            year,
            day_of_week,
            timezone,
            ..
        } => {
            let fields = [second, minute, hour, day_of_month, month, day_of_week, year];
            let fields = fields.map(String::as_str).join(" ");
            (Some(timezone), format!("calendar {fields} ({timezone})"))
        }
        Recurrence::Interval { every_ms, .. } => (None, format!("every {}", span(*every_ms))),
        Recurrence::Once { at } => {
            let at = at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
            (None, format!("once at {at}"))
        }
    }
}

/// A duration as people write it, such as `1h30m`.
fn span(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut text = String::new();
    let mut rest = ms;
    for (unit, length) in units {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recurrence_in_a_few_words() {
        let cron = Recurrence::Cron {
            expression: "*/5 * * * *".into(),
            timezone: "UTC".into(),
            dst: Default::default(),
        };
        assert_eq!(described(&cron), (Some("UTC"), "cron */5 * * * * (UTC)".into()));
        let every = |every_ms| described(&Recurrence::Interval { every_ms, phase_ms: 0 }).1;
        assert_eq!(every(5_000), "every 5s");
        assert_eq!(every(90 * 60_000), "every 1h30m");
        assert_eq!(every(86_400_000 + 1_500), "every 1d1s500ms");
        let at = "2026-03-08T02:30:00Z".parse().unwrap();
        assert_eq!(described(&Recurrence::Once { at }).1, "once at 2026-03-08T02:30:00Z");
    }
}
