//! What can happen to a schedule. Names and schema versions on disk are in `codec.rs`.
//!
//! Events that deal with due instants carry the next one (`next_due_at`, and `next_starts_at` where
//! jitter moves its start), so that nobody who follows the log has to compute a calendar.

use serde::{Deserialize, Serialize};

use super::{Next, Origin, ScheduleSpec};
use crate::clock::Timestamp;
use crate::domain::overlap::Overlap;
use crate::domain::recurrence::DstNote;
use crate::domain::task::TaskStatus;
use crate::ids::TaskId;

/// An event of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum ScheduleEvent {
    /// It was made; the state becomes active.
    Created(Box<ScheduleCreated>),
    /// What it is to do was changed. Starts nothing by itself.
    Edited(Box<ScheduleEdited>),
    /// A due instant started a task.
    Fired(ScheduleFired),
    /// One due instant or several in a row started nothing, for one reason.
    Skipped(ScheduleSkipped),
    /// A start waits for the end of what is open.
    Buffered(ScheduleBuffered),
    /// A person started a task outside the recurrence.
    Triggered(ScheduleTriggered),
    /// A start by hand that had to wait will not happen.
    TriggerDropped(ScheduleTriggerDropped),
    /// Somebody asked for instants of the past.
    BackfillStarted(Box<ScheduleBackfillStarted>),
    /// A backfill started a task.
    Backfilled(ScheduleBackfilled),
    /// A backfill starts nothing more.
    BackfillEnded(ScheduleBackfillEnded),
    /// The end of one of its tasks was counted.
    TaskEnded(ScheduleTaskEnded),
    /// It fires nothing until resumed.
    Paused(SchedulePaused),
    /// It fires again; what came due meanwhile is covered by this event and not made up for.
    Resumed(ScheduleResumed),
    /// Nothing more comes due.
    Completed(ScheduleCompleted),
    /// It was deleted.
    Deleted(ScheduleDeleted),
}

/// See [`ScheduleEvent::Created`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleCreated {
    /// What to do.
    pub spec: ScheduleSpec,
    /// The first due instant.
    pub next_due_at: Timestamp,
    /// When it starts, where jitter moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_starts_at: Option<Timestamp>,
    /// Version of the time-zone data that it was computed with.
    pub zone_data: String,
}

/// See [`ScheduleEvent::Edited`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleEdited {
    /// What to do from now on, all of it.
    pub spec: ScheduleSpec,
    /// Which fields of the specification were changed.
    pub changed: Vec<String>,
    /// When.
    pub at: Timestamp,
    /// A due instant that had not started yet and is given up, because it is due no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Timestamp>,
    /// The next due instant, if there is one; absent while paused.
    pub next_due_at: Option<Timestamp>,
    /// When it starts, where jitter moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_starts_at: Option<Timestamp>,
    /// Version of the time-zone data that it was computed with.
    pub zone_data: String,
}

/// See [`ScheduleEvent::Fired`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleFired {
    /// The due instant.
    pub due_at: Timestamp,
    /// The task of this occurrence; its id follows from the schedule and the instant.
    pub task_id: TaskId,
    /// What a clock change had to do with the instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst: Option<DstNote>,
    /// The next due instant, if there is one.
    pub next_due_at: Option<Timestamp>,
    /// When that one starts, where jitter moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_starts_at: Option<Timestamp>,
}

/// Why a due instant started nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SkipReason {
    /// An earlier task of the schedule was still open, and the policy is to drop.
    Overlap {
        /// The open task.
        task_id: TaskId,
    },
    /// An earlier start waits already, and the policy keeps only one, or drops.
    WaitingAlready,
    /// A newer start took its place before it could start.
    Replaced {
        /// The due instant of the newer one; absent for a start by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        by: Option<Timestamp>,
    },
    /// As many starts wait as may wait.
    BufferFull,
    /// It came too late: Spark was not running, the log was unavailable, or it waited too long.
    CatchUpWindow,
    /// The flow was changed at its source, and the schedule holds then.
    Drift {
        /// What the source has now, if it has the flow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote_hash: Option<String>,
    },
}

/// See [`ScheduleEvent::Skipped`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSkipped {
    /// The first instant of the span.
    pub first_due_at: Timestamp,
    /// The last instant of the span; equal to the first for a single one.
    pub last_due_at: Timestamp,
    /// How many instants the span holds.
    pub count: u64,
    /// Why.
    pub reason: SkipReason,
    /// The next due instant, if there is one.
    pub next_due_at: Option<Timestamp>,
    /// When that one starts, where jitter moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_starts_at: Option<Timestamp>,
}

/// See [`ScheduleEvent::Buffered`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleBuffered {
    /// What waits.
    pub origin: Origin,
    /// Its own policy; the schedule's, as it is when the start is decided, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// The next due instant, if there is one.
    pub next_due_at: Option<Timestamp>,
    /// When that one starts, where jitter moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_starts_at: Option<Timestamp>,
}

/// See [`ScheduleEvent::Triggered`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleTriggered {
    /// The task that was started.
    pub task_id: TaskId,
}

/// See [`ScheduleEvent::TriggerDropped`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleTriggerDropped {
    /// The task that will not be made.
    pub task_id: TaskId,
    /// Why.
    pub reason: SkipReason,
}

/// Which instants of the past a backfill takes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BackfillOnly {
    /// Those that started no task.
    #[default]
    Missing,
    /// Those too whose last task failed or was cancelled.
    Failed,
    /// Those too whose task completed.
    All,
}

/// See [`ScheduleEvent::BackfillStarted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleBackfillStarted {
    /// Its number within the schedule, from 1.
    pub number: u32,
    /// The first instant asked for.
    pub from: Timestamp,
    /// The last instant asked for.
    pub to: Timestamp,
    /// Which instants were taken.
    pub only: BackfillOnly,
    /// How its tasks go along with what is open: `BufferAll` or `AllowAll`.
    pub overlap: Overlap,
    /// How many of its tasks may be open at once.
    pub active_max: u32,
    /// The due instants, in the order in which they are to run.
    pub due: Vec<Timestamp>,
}

/// See [`ScheduleEvent::Backfilled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleBackfilled {
    /// The backfill.
    pub number: u32,
    /// The due instant.
    pub due_at: Timestamp,
    /// The task; its id follows from schedule, instant and number.
    pub task_id: TaskId,
}

/// See [`ScheduleEvent::BackfillEnded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleBackfillEnded {
    /// The backfill.
    pub number: u32,
    /// How many instants it did not start, because it was cancelled; 0 for one that is through.
    pub left: u32,
}

/// See [`ScheduleEvent::TaskEnded`]. Recorded only where the schedule counts failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleTaskEnded {
    /// The task.
    pub task_id: TaskId,
    /// How it ended.
    pub status: TaskStatus,
    /// Failures in a row, this one included.
    pub failures: u32,
}

/// See [`ScheduleEvent::Paused`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchedulePaused {
    /// Since when.
    pub at: Timestamp,
    /// Why, where it paused itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Due instants that waited for their start and are given up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Timestamp>,
}

/// See [`ScheduleEvent::Resumed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleResumed {
    /// Since when it was paused.
    pub paused_at: Timestamp,
    /// When it was resumed. Instants in between were passed over because of the pause.
    pub at: Timestamp,
    /// The next due instant, if there is one.
    pub next_due_at: Option<Timestamp>,
    /// When that one starts, where jitter moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_starts_at: Option<Timestamp>,
}

/// See [`ScheduleEvent::Completed`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScheduleCompleted {
    /// Due instants that waited for their start and are given up, because the schedule has
    /// started as often as it may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Timestamp>,
}

/// See [`ScheduleEvent::Deleted`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScheduleDeleted {
    /// Due instants that waited for their start and are given up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Timestamp>,
}

impl ScheduleEvent {
    /// The next occurrence that the event names.
    #[must_use]
    pub fn next(&self) -> Option<Next> {
        let (due_at, starts_at) = match self {
            Self::Created(e) => (Some(e.next_due_at), e.next_starts_at),
            Self::Edited(e) => (e.next_due_at, e.next_starts_at),
            Self::Fired(e) => (e.next_due_at, e.next_starts_at),
            Self::Skipped(e) => (e.next_due_at, e.next_starts_at),
            Self::Buffered(e) => (e.next_due_at, e.next_starts_at),
            Self::Resumed(e) => (e.next_due_at, e.next_starts_at),
            Self::Triggered(_)
            | Self::TriggerDropped(_)
            | Self::BackfillStarted(_)
            | Self::Backfilled(_)
            | Self::BackfillEnded(_)
            | Self::TaskEnded(_)
            | Self::Paused(_)
            | Self::Completed(_)
            | Self::Deleted(_) => (None, None),
        };
        due_at.map(|due_at| Next { due_at, starts_at: starts_at.unwrap_or(due_at) })
    }
}
