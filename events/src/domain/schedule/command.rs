//! What can be asked of a schedule, and why it refuses.

use super::{BackfillOnly, BackfillRequest, SchedulePatch, ScheduleSpec};
use crate::domain::overlap::Overlap;
use crate::domain::recurrence::RecurrenceError;
use crate::domain::retry::BadRetryPolicy;
use crate::domain::task::TaskStatus;
use crate::ids::{ScheduleId, TaskId};
use crate::limits;

/// What can be asked of a schedule.
#[derive(Debug, Clone)]
pub enum ScheduleCommand {
    /// Make it.
    Create {
        /// The schedule's own id, from which its jitter follows.
        id: ScheduleId,
        /// What it is to do.
        spec: Box<ScheduleSpec>,
    },
    /// Change what the patch names. Starts nothing: what is due already must be dealt with first
    /// (a `Wake`), and what the old timetable had not started yet is given up.
    Edit {
        /// The schedule's own id.
        id: ScheduleId,
        /// What to change.
        patch: Box<SchedulePatch>,
    },
    /// Its timer rang, or a task of it has ended: deal with every instant that is due by now, and
    /// with every start that waits.
    Wake {
        /// The schedule's own id, from which the ids of its tasks follow.
        id: ScheduleId,
        /// Its open tasks.
        open: Open,
        /// Set where the schedule holds because its flow was changed at the source.
        drift: Option<Drifted>,
    },
    /// Start a task now, outside the recurrence.
    Trigger {
        /// The id that the task gets.
        task_id: TaskId,
        /// What happens while another task is open; `AllowAll` when absent.
        overlap: Option<Overlap>,
        /// Its open tasks.
        open: Open,
    },
    /// Run instants of the past.
    Backfill(Box<BackfillRequest>),
    /// Start nothing more of a backfill.
    CancelBackfill {
        /// Its number.
        number: u32,
    },
    /// One of its tasks has ended.
    CountEnd {
        /// The task.
        task_id: TaskId,
        /// How.
        status: TaskStatus,
        /// What its last failure said.
        message: Option<String>,
    },
    /// Fire nothing until resumed.
    Pause,
    /// Fire again, from now on.
    Resume {
        /// The schedule's own id, from which its jitter follows.
        id: ScheduleId,
    },
    /// Fire nothing any more, keep the history.
    Delete,
}

/// The open tasks of a schedule, as far as its rules look at them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Open {
    /// One of them, if there is any: the one that is in the way.
    pub rival: Option<TaskId>,
    /// How many of them a backfill started.
    pub backfilled: u32,
}

/// The flow is not at its source as it was synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// What the source has; `None` where it has the flow no more.
    pub remote_hash: Option<String>,
}

/// Why a schedule refused a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleRejection {
    /// There is no such schedule.
    #[error("there is no such schedule")]
    Absent,
    /// There is one with this id.
    #[error("a schedule with this id exists already")]
    Exists,
    /// It was deleted.
    #[error("the schedule was deleted; create a new one")]
    Deleted,
    /// Nothing is left to pause or resume.
    #[error(
        "nothing of the schedule comes due any more; give it a new time \
         (automagik schedule update), or trigger it by hand"
    )]
    Completed,
    /// The recurrence cannot work.
    #[error(transparent)]
    Recurrence(#[from] RecurrenceError),
    /// The retry policy cannot work.
    #[error(transparent)]
    BadRetryPolicy(#[from] BadRetryPolicy),
    /// The catch-up window is out of bounds.
    #[error("the catch-up window must be from 10 s to 365 days, got {}", crate::spoken::duration(*.0))]
    BadCatchUp(u64),
    /// The time of one attempt is out of bounds.
    #[error("the timeout of an attempt must be from 1 s to 24 h, got {}", crate::spoken::duration(*.0))]
    BadTimeout(u64),
    /// A schedule that may never start.
    #[error("a schedule must be allowed at least one run; leave the limit out for no end")]
    BadRunsMax,
    /// A schedule that would pause itself for nothing.
    #[error("a schedule can pause itself after one failure or more; leave it out for never")]
    BadPauseAfter,
    /// The note is too long.
    #[error("a note may have {max} bytes", max = limits::REASON_BYTES_MAX)]
    NoteTooLong,
    /// A start by hand that must not overlap, while a task is open.
    #[error(
        "task {0} of the schedule is still open; wait for it, cancel it, or trigger with the \
         overlap policy BufferOne, CancelOther or AllowAll"
    )]
    StillOpen(TaskId),
    /// A start by hand that must not wait, while others wait already.
    #[error("another start of the schedule waits already; trigger with the policy AllowAll")]
    WaitingAlready,
    /// As many starts wait as may wait.
    #[error(
        "{max} starts of the schedule wait already, and no more may; cancel the open task or the \
         backfill first",
        max = limits::BUFFERED_STARTS_MAX
    )]
    BufferFull,
    /// A backfill of nothing.
    #[error("no due instant of this span {}", nothing_left(*.0))]
    NothingToBackfill(BackfillOnly),
    /// A backfill of too much.
    #[error(
        "the span has {0} instants to run, over the bound of {max} for one backfill; choose a \
         shorter span, or --only missing",
        max = limits::BACKFILL_INSTANTS_MAX
    )]
    BackfillTooLong(u64),
    /// A backfill that would drop what it is for.
    #[error("a backfill runs its tasks one after another (BufferAll) or at once (AllowAll), not {}", .0.as_str())]
    BackfillOverlap(Overlap),
    /// A backfill of too many tasks at once, or of none.
    #[error("a backfill may have from 1 to {max} tasks open at once, got {0}", max = limits::BACKFILL_ACTIVE_MAX)]
    BackfillActive(u32),
    /// Too many backfills of one schedule.
    #[error("{max} backfills of the schedule are under way already; wait or cancel one", max = limits::BACKFILLS_MAX)]
    TooManyBackfills,
    /// There is no such backfill under way.
    #[error("no backfill {0} of the schedule is under way")]
    NoSuchBackfill(u32),
}

/// Why a backfill of these instants has nothing to run.
fn nothing_left(only: BackfillOnly) -> &'static str {
    match only {
        BackfillOnly::Missing => {
            "lacks a task; those that failed are run again with --only failed, all but the open \
             ones with --only all"
        }
        BackfillOnly::Failed => {
            "failed or lacks a task; those that completed are run again with --only all"
        }
        BackfillOnly::All => "can be run: there is none, or its task is open",
    }
}
