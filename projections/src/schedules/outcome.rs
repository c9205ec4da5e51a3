//! What became of due instants: the kinds that are counted, and why each came about.

use serde::{Deserialize, Serialize};
use spark_events::domain::schedule::{ScheduleSkipped, SkipReason};
use spark_events::{TaskId, Timestamp};

use crate::columns::{rfc3339, rfc3339_opt};

/// What became of one due instant, or of several in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Outcome {
    /// What became of it.
    pub outcome: OutcomeKind,
    /// The due instant, or the first of several.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// The last of several; the same for a single one.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub last_due_at: Timestamp,
    /// How many.
    pub count: u64,
    /// The task that it started, or the open task that was in its way.
    pub task_id: Option<TaskId>,
    /// Why it came to this.
    pub reason: OutcomeReason,
    /// The newer due instant that took its place.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub replaced_by: Option<Timestamp>,
    /// What whoever ended its wait gave as the reason.
    pub note: Option<String>,
}

/// What became of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It started a task.
    Fired,
    /// It waits for the end of what is open. Its end takes the place of this.
    Buffered,
    /// Another start was in its way.
    Skipped,
    /// It came too late: Spark was not running, or the log was unavailable.
    Missed,
    /// The flow was changed at its source, and the schedule holds then.
    Drift,
    /// It waited for its start, and somebody ended that.
    GivenUp,
    /// A backfill started a task for it.
    Backfilled,
}

/// Why an instant came to its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeReason {
    /// It was due.
    Due,
    /// A task of the schedule was still open.
    Overlap,
    /// Another start waited already.
    WaitingAlready,
    /// A newer start took its place.
    Replaced,
    /// As many starts waited as may wait.
    BufferFull,
    /// It was later than the catch-up window.
    CatchUpWindow,
    /// The flow was not as it was synced.
    Drift,
    /// A backfill asked for it.
    Backfill,
    /// The schedule was changed.
    Edited,
    /// The schedule was paused.
    Paused,
    /// The schedule had started as often as it may.
    Completed,
    /// The schedule was deleted.
    Deleted,
}

impl Outcome {
    /// A single instant.
    pub(super) fn single(outcome: OutcomeKind, due_at: Timestamp, reason: OutcomeReason) -> Self {
        Self {
            outcome,
            due_at,
            last_due_at: due_at,
            count: 1,
            task_id: None,
            reason,
            replaced_by: None,
            note: None,
        }
    }

    /// A single instant with its task.
    pub(super) fn of_task(self, task_id: TaskId) -> Self {
        Self { task_id: Some(task_id), ..self }
    }

    /// A span that started nothing.
    pub(super) fn skipped(e: &ScheduleSkipped) -> Self {
        use OutcomeReason as R;
        let (kind, reason, task_id, replaced_by) = match &e.reason {
            SkipReason::Overlap { task_id } => {
                (OutcomeKind::Skipped, R::Overlap, Some(*task_id), None)
            }
            SkipReason::WaitingAlready => (OutcomeKind::Skipped, R::WaitingAlready, None, None),
            SkipReason::Replaced { by } => (OutcomeKind::Skipped, R::Replaced, None, *by),
            SkipReason::BufferFull => (OutcomeKind::Skipped, R::BufferFull, None, None),
            SkipReason::CatchUpWindow => (OutcomeKind::Missed, R::CatchUpWindow, None, None),
            SkipReason::Drift { .. } => (OutcomeKind::Drift, R::Drift, None, None),
        };
        Self {
            last_due_at: e.last_due_at,
            count: e.count,
            task_id,
            replaced_by,
            ..Self::single(kind, e.first_due_at, reason)
        }
    }
}

/// How many instants came to which outcome, over the whole life of a schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct OutcomeCounts {
    /// Due instants that started a task.
    pub fired: u64,
    /// Due instants that had to wait for the end of what was open, whatever came of them then.
    pub buffered: u64,
    /// Due instants that started nothing because another start was in their way.
    pub skipped: u64,
    /// Due instants that came too late.
    pub missed: u64,
    /// Due instants that started nothing because the flow was changed at its source.
    pub drift: u64,
    /// Due instants that waited for their start, and an event ended that.
    pub given_up: u64,
    /// Instants of the past that a backfill started a task for.
    pub backfilled: u64,
    /// Tasks that were started by hand.
    pub triggered: u64,
}

impl OutcomeCounts {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        let counter = match outcome.outcome {
            OutcomeKind::Fired => &mut self.fired,
            OutcomeKind::Buffered => &mut self.buffered,
            OutcomeKind::Skipped => &mut self.skipped,
            OutcomeKind::Missed => &mut self.missed,
            OutcomeKind::Drift => &mut self.drift,
            OutcomeKind::GivenUp => &mut self.given_up,
            OutcomeKind::Backfilled => &mut self.backfilled,
        };
        *counter += outcome.count;
    }
}
