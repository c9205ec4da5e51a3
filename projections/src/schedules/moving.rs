//! The part of a schedule that moves with its events: where it stands, what waits, what came of
//! its last due instants. The stage follows the domain's own rule.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use spark_events::domain::schedule::{
    Next, Origin, ScheduleCreated, ScheduleEvent, ScheduleStatus, Stage,
};
use spark_events::limits::OUTCOMES_KEPT_MAX;
use spark_events::{TaskId, Timestamp};
use uuid::Uuid;

use super::outcome::{Outcome, OutcomeCounts, OutcomeKind, OutcomeReason};
use crate::columns::{Columns, blob, json, rfc3339, signed};
use crate::error::ProjectionError;
use crate::projection::{Event, micros};

/// A backfill under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BackfillRow {
    /// Its number within the schedule.
    pub number: u32,
    /// Instants that have no task of it yet.
    pub left: u64,
    /// All instants of it.
    pub count: u64,
    /// The first instant that was asked for.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The last instant that was asked for.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
}

/// The row of `schedules_states`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moving {
    pub(super) seq: i64,
    deleted: bool,
    stage: Stage,
    last_due_at: Option<i64>,
    last_task_id: Option<[u8; 16]>,
    paused_by: Option<String>,
    paused_reason: Option<String>,
    pause_note: Option<String>,
    failures: u32,
    waiting: Vec<Origin>,
    backfills: Vec<BackfillRow>,
    counts: OutcomeCounts,
    outcomes: Vec<Outcome>,
    updated_at: i64,
    revision: i64,
}

impl Moving {
    /// That of a new schedule.
    pub(super) fn new(event: &Event<'_>, created: &ScheduleCreated) -> Self {
        let due_at = created.next_due_at;
        let next = Next { due_at, starts_at: created.next_starts_at.unwrap_or(due_at) };
        Self {
            seq: event.place(),
            deleted: false,
            stage: Stage::Active { next },
            last_due_at: None,
            last_task_id: None,
            paused_by: None,
            paused_reason: None,
            pause_note: None,
            failures: 0,
            waiting: vec![],
            backfills: vec![],
            counts: OutcomeCounts::default(),
            outcomes: vec![],
            updated_at: event.at(),
            revision: event.revision(),
        }
    }

    pub(super) fn load(tx: &Connection, id: Uuid) -> Result<Option<Self>, ProjectionError> {
        let mut statement = tx.prepare_cached(
            "SELECT st.* FROM schedules s JOIN schedules_states st ON st.seq = s.seq
             WHERE s.id = ?1",
        )?;
        Ok(statement.query_row([blob(id)], Self::read).optional()?)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let status: String = row.get("status")?;
        Ok(Self {
            seq: row.get("seq")?,
            deleted: status == ScheduleStatus::Deleted.as_str(),
            stage: row.json("stage")?,
            last_due_at: row.get("last_due_at")?,
            last_task_id: row.get("last_task_id")?,
            paused_by: row.get("paused_by")?,
            paused_reason: row.get("paused_reason")?,
            pause_note: row.get("pause_note")?,
            failures: row.get("failures")?,
            waiting: row.json("waiting")?,
            backfills: row.json("backfills")?,
            counts: row.json("counts")?,
            outcomes: row.json("outcomes")?,
            updated_at: row.get("updated_at")?,
            revision: row.get("revision")?,
        })
    }

    pub(super) fn save(&self, tx: &Connection) -> Result<(), ProjectionError> {
        let (status, next, paused_at) = self.shown();
        tx.prepare_cached(
            "INSERT OR REPLACE INTO schedules_states (seq, status, stage, next_due_at,
                 next_starts_at, last_due_at, last_task_id, paused_at, paused_by, paused_reason,
                 pause_note, failures, waiting, waiting_count, backfills, counts, outcomes,
                 updated_at, revision)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                 ?18, ?19)",
        )?
        .execute(params![
            self.seq,
            status.as_str(),
            json(&self.stage)?,
            micros(next.map(|next| next.due_at)),
            micros(next.map(|next| next.starts_at)),
            self.last_due_at,
            self.last_task_id,
            micros(paused_at),
            self.paused_by,
            self.paused_reason,
            self.pause_note,
            self.failures,
            json(&self.waiting)?,
            signed(self.waiting.len() as u64),
            json(&self.backfills)?,
            json(&self.counts)?,
            json(&self.outcomes)?,
            self.updated_at,
            self.revision,
        ])?;
        Ok(())
    }

    /// The stage as the row shows it.
    fn shown(&self) -> (ScheduleStatus, Option<Next>, Option<Timestamp>) {
        match self.stage {
            _ if self.deleted => (ScheduleStatus::Deleted, None, None),
            Stage::Active { next } => (ScheduleStatus::Active, Some(next), None),
            Stage::Paused { since } => (ScheduleStatus::Paused, None, Some(since)),
            Stage::Completed => (ScheduleStatus::Completed, None, None),
        }
    }

    /// Takes one event of the schedule.
    pub(super) fn take(&mut self, event: &Event<'_>, schedule: &ScheduleEvent) {
        self.updated_at = event.at();
        self.revision = event.revision();
        self.stage = self.stage.after(schedule);
        match schedule {
            ScheduleEvent::Created(_) => {}
            ScheduleEvent::Edited(e) => {
                self.give_up(&e.dropped, OutcomeReason::Edited, event);
            }
            ScheduleEvent::Fired(e) => {
                self.last_task_id = Some(blob(e.task_id.0));
                let fired = Outcome::single(OutcomeKind::Fired, e.due_at, OutcomeReason::Due);
                self.settle(fired.of_task(e.task_id));
            }
            ScheduleEvent::Skipped(e) => self.settle(Outcome::skipped(e)),
            ScheduleEvent::Buffered(e) => {
                self.waiting.push(e.origin);
                if let Origin::Occurrence { due_at } = e.origin {
                    let reason = OutcomeReason::Overlap;
                    self.push(Outcome::single(OutcomeKind::Buffered, due_at, reason));
                }
            }
            ScheduleEvent::Triggered(e) => {
                self.counts.triggered += 1;
                self.last_task_id = Some(blob(e.task_id.0));
                self.drop_trigger(e.task_id);
            }
            ScheduleEvent::TriggerDropped(e) => self.drop_trigger(e.task_id),
            ScheduleEvent::BackfillStarted(e) => self.backfills.push(BackfillRow {
                number: e.number,
                left: e.due.len() as u64,
                count: e.due.len() as u64,
                from: e.from,
                to: e.to,
            }),
            ScheduleEvent::Backfilled(e) => {
                let this = self.backfills.iter_mut().find(|row| row.number == e.number);
                if let Some(backfill) = this {
                    backfill.left = backfill.left.saturating_sub(1);
                }
                self.last_task_id = Some(blob(e.task_id.0));
                let reason = OutcomeReason::Backfill;
                let made = Outcome::single(OutcomeKind::Backfilled, e.due_at, reason);
                self.push(made.of_task(e.task_id));
            }
            ScheduleEvent::BackfillEnded(e) => self.backfills.retain(|row| row.number != e.number),
            ScheduleEvent::TaskEnded(e) => self.failures = e.failures,
            ScheduleEvent::Paused(e) => {
                self.give_up(&e.dropped, OutcomeReason::Paused, event);
                self.paused_by = Some(event.actor().into());
                self.paused_reason = event.reason().map(Into::into);
                self.pause_note.clone_from(&e.note);
                // Whoever resumes it has looked at the failures.
                self.failures = 0;
            }
            ScheduleEvent::Resumed(_) => self.unpause(),
            ScheduleEvent::Completed(e) => {
                self.give_up(&e.dropped, OutcomeReason::Completed, event);
                self.unpause();
            }
            ScheduleEvent::Deleted(e) => {
                self.give_up(&e.dropped, OutcomeReason::Deleted, event);
                self.deleted = true;
                self.waiting.clear();
                self.backfills.clear();
            }
        }
    }

    /// Records the end of a due instant, in place of the note that it waits.
    fn settle(&mut self, outcome: Outcome) {
        let last_due_at = micros(Some(outcome.last_due_at));
        self.last_due_at = self.last_due_at.max(last_due_at);
        if outcome.count == 1 {
            let due_at = outcome.due_at;
            self.waiting.retain(|origin| *origin != Origin::Occurrence { due_at });
            self.outcomes
                .retain(|old| old.outcome != OutcomeKind::Buffered || old.due_at != due_at);
        }
        self.push(outcome);
    }

    fn give_up(&mut self, dropped: &[Timestamp], reason: OutcomeReason, event: &Event<'_>) {
        for due_at in dropped {
            let given_up = Outcome::single(OutcomeKind::GivenUp, *due_at, reason);
            self.settle(Outcome { note: event.reason().map(Into::into), ..given_up });
        }
    }

    fn push(&mut self, outcome: Outcome) {
        self.counts.add(&outcome);
        self.outcomes.insert(0, outcome);
        self.outcomes.truncate(OUTCOMES_KEPT_MAX);
    }

    fn drop_trigger(&mut self, task_id: TaskId) {
        self.waiting.retain(|origin| *origin != Origin::Trigger { task_id });
    }

    fn unpause(&mut self) {
        (self.paused_by, self.paused_reason, self.pause_note) = (None, None, None);
    }
}
