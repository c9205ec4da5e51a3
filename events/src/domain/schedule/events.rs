//! What can happen to a schedule. Names and schema versions on disk are in `codec.rs`.

use serde::{Deserialize, Serialize};

use super::ScheduleSpec;
use crate::clock::Timestamp;
use crate::ids::TaskId;

/// An event of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum ScheduleEvent {
    /// It was made; the state becomes active.
    Created(Box<ScheduleCreated>),
    /// A due instant started a task.
    Fired(ScheduleFired),
    /// One due instant or several in a row started nothing, for one reason.
    Skipped(ScheduleSkipped),
    /// A person started a task outside the recurrence.
    Triggered(ScheduleTriggered),
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
    /// The next due instant, if there is one.
    pub next_due_at: Option<Timestamp>,
}

/// Why a due instant started nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SkipReason {
    /// An earlier task of the schedule was still open, and the policy is `Skip`.
    Overlap {
        /// The open task.
        task_id: TaskId,
    },
    /// It came too late: Spark was not running, or the log was unavailable.
    CatchUpWindow,
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
}

/// See [`ScheduleEvent::Triggered`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleTriggered {
    /// The task that was started.
    pub task_id: TaskId,
}

/// See [`ScheduleEvent::Paused`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchedulePaused {
    /// Since when.
    pub at: Timestamp,
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
}

/// See [`ScheduleEvent::Completed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleCompleted {}

/// See [`ScheduleEvent::Deleted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleDeleted {}
