//! The schedules: what they are to do, where they stand, and their newest outcomes. The part that
//! an edit changes and the part that moves with each due instant are rows of their own, so that a
//! due instant rewrites little.
//!
//! - `schedules/moving.rs`: how events change where a schedule stands.
//! - `schedules/outcome.rs`: what became of due instants.
//! - `schedules/summary.rs`: a timetable in a few words.
//! - `schedules/query.rs`: how a schedule is read back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, params};
use spark_events::ScheduleId;
use spark_events::domain::schedule::{ScheduleEvent, ScheduleSpec};
use uuid::Uuid;

use crate::columns::{blob, json};
use crate::error::ProjectionError;
use crate::projection::{Domain, Event, Projection};

mod moving;
mod outcome;
mod query;
mod summary;

pub use moving::BackfillRow;
pub use outcome::{Outcome, OutcomeCounts, OutcomeKind, OutcomeReason};
pub use query::{ScheduleFilter, ScheduleRow};
pub use summary::{summary, timezone};

use moving::Moving;

/// Builds the tables `schedules`, `schedules_states` and `schedules_backfills`.
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
    spec TEXT NOT NULL,             -- JSON
    summary TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
CREATE INDEX schedules_flow ON schedules (flow_id);
CREATE INDEX schedules_name ON schedules (name) WHERE name IS NOT NULL AND deleted = 0;
CREATE TABLE schedules_states (
    seq INTEGER PRIMARY KEY,        -- that of the schedule
    status TEXT NOT NULL,
    stage TEXT NOT NULL,            -- JSON; the columns beside it say what of it is shown
    next_due_at INTEGER,
    next_starts_at INTEGER,
    last_due_at INTEGER,
    last_task_id BLOB,
    paused_at INTEGER,
    paused_by TEXT,
    paused_reason TEXT,
    pause_note TEXT,                -- its own, where it paused itself
    failures INTEGER NOT NULL,      -- in a row, where they are counted
    waiting TEXT NOT NULL,          -- JSON: what the starts that wait come from
    waiting_count INTEGER NOT NULL,
    backfills TEXT NOT NULL,        -- JSON: those under way
    counts TEXT NOT NULL,           -- JSON
    outcomes TEXT NOT NULL,         -- JSON, the newest first
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
-- What the backfills under way have still to run.
CREATE TABLE schedules_backfills (
    seq INTEGER NOT NULL,           -- that of the schedule
    number INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    PRIMARY KEY (seq, number, due_at)
) STRICT, WITHOUT ROWID";

impl Projection for Schedules {
    fn name(&self) -> &'static str {
        "schedules"
    }

    fn version(&self) -> u32 {
        2
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
                insert(tx, event, &created.spec)?;
                entry.insert(Moving::new(event, created))
            }
            (Entry::Vacant(entry), None) => {
                let stored = Moving::load(tx, event.id)?;
                entry.insert(stored.ok_or_else(|| event.unfit("its schedule was never created"))?)
            }
        };
        moving.take(event, schedule);
        match schedule {
            ScheduleEvent::Edited(edited) => update(tx, moving.seq, &edited.spec),
            ScheduleEvent::Deleted(_) => {
                let seq = [moving.seq];
                tx.prepare_cached("UPDATE schedules SET deleted = 1 WHERE seq = ?1")?
                    .execute(seq)?;
                tx.prepare_cached("DELETE FROM schedules_backfills WHERE seq = ?1")?
                    .execute(seq)?;
                Ok(())
            }
            event => backfill(tx, moving.seq, event),
        }
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

fn insert(tx: &Connection, event: &Event<'_>, spec: &ScheduleSpec) -> Result<(), ProjectionError> {
    tx.prepare_cached(
        "INSERT INTO schedules (seq, id, name, flow_id, source_id, spec, summary, deleted,
             created_at, created_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9)",
    )?
    .execute(params![
        event.place(),
        blob(event.id),
        spec.name,
        blob(spec.flow_id.0),
        blob(spec.source_id.0),
        json(spec)?,
        summary(&spec.timetable),
        event.at(),
        event.actor(),
    ])?;
    Ok(())
}

/// Keeps what the backfills under way have still to run.
fn backfill(tx: &Connection, seq: i64, event: &ScheduleEvent) -> Result<(), ProjectionError> {
    match event {
        ScheduleEvent::BackfillStarted(e) => {
            let mut statement = tx.prepare_cached(
                "INSERT OR IGNORE INTO schedules_backfills (seq, number, due_at)
                 VALUES (?1, ?2, ?3)",
            )?;
            for due_at in &e.due {
                statement.execute(params![seq, e.number, due_at.timestamp_micros()])?;
            }
        }
        ScheduleEvent::Backfilled(e) => {
            tx.prepare_cached(
                "DELETE FROM schedules_backfills WHERE seq = ?1 AND number = ?2 AND due_at = ?3",
            )?
            .execute(params![seq, e.number, e.due_at.timestamp_micros()])?;
        }
        ScheduleEvent::BackfillEnded(e) => {
            tx.prepare_cached("DELETE FROM schedules_backfills WHERE seq = ?1 AND number = ?2")?
                .execute(params![seq, e.number])?;
        }
        _ => {}
    }
    Ok(())
}

/// An edit changes neither the flow nor its source.
fn update(tx: &Connection, seq: i64, spec: &ScheduleSpec) -> Result<(), ProjectionError> {
    tx.prepare_cached("UPDATE schedules SET name = ?2, spec = ?3, summary = ?4 WHERE seq = ?1")?
        .execute(params![seq, spec.name, json(spec)?, summary(&spec.timetable)])?;
    Ok(())
}
