//! What can be asked of a task, why it may refuse, and its stage in one word.

use serde::{Deserialize, Serialize};

use super::{CallMode, ComponentLog, RemoteStop, TaskSpec};
use crate::domain::failure::Failure;
use crate::domain::retry::BadRetryPolicy;
use crate::ids::WorkerId;
use crate::limits;
use crate::payload::Payload;

/// What can be asked of a task.
#[derive(Debug, Clone)]
pub enum TaskCommand {
    /// Make it.
    Create(Box<TaskSpec>),
    /// Begin an attempt. Recorded before anything leaves the process.
    Start {
        /// The attempt's number: one more than there were.
        attempt: u32,
        /// Who makes the call.
        worker_id: WorkerId,
        /// How the call is made.
        mode: CallMode,
        /// Hash of the flow's definition that this attempt runs, as it was last synced.
        definition_hash: Option<String>,
    },
    /// The source took the attempt as a background job.
    RecordJob {
        /// The attempt.
        attempt: u32,
        /// The job's id at the source.
        job_id: String,
    },
    /// Another worker takes up the attempt: a background job that outlived its worker, or a call
    /// that never reached one. Which of these it is only its actor knows, so any mode is taken.
    Reattach {
        /// The attempt.
        attempt: u32,
        /// Who makes or follows it now.
        worker_id: WorkerId,
    },
    /// The attempt brought a result.
    Complete {
        /// The attempt.
        attempt: u32,
        /// The result.
        output: Payload,
        /// Its components' parts.
        log: Vec<ComponentLog>,
    },
    /// The attempt failed.
    Fail {
        /// The attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// Its components' parts.
        log: Vec<ComponentLog>,
        /// A random number below 1,000,000 for the retry's jitter.
        jitter_ppm: u32,
    },
    /// Stop it, whatever it is doing.
    Cancel,
    /// Record its end now and leave a run at the source to itself.
    Terminate,
    /// Let a held task start.
    Release,
    /// Record that one of its limits of time is over, if that is so.
    Expire,
    /// Put an ended task out of sight.
    Delete,
    /// The running attempt was stopped because of an earlier `Cancel`.
    RecordStopped {
        /// The attempt.
        attempt: u32,
        /// What became of the run at the source.
        remote: RemoteStop,
    },
}

/// Why a task refused a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskRejection {
    /// There is no such task.
    #[error("there is no such task")]
    Absent,
    /// There is one with other contents.
    #[error("a task with this id exists already, with other contents")]
    Exists,
    /// It ended before.
    #[error("the task is {0} already")]
    Ended(TaskStatus),
    /// The command is about an attempt that is not the current one (a late answer).
    #[error("attempt {got} is not the current one ({current})")]
    StaleAttempt {
        /// The command's attempt.
        got: u32,
        /// The current one; 0 before the first.
        current: u32,
    },
    /// The command does not fit the stage.
    #[error("a {0} task cannot do that")]
    WrongStage(TaskStatus),
    /// The retry policy cannot work.
    #[error(transparent)]
    BadRetryPolicy(#[from] BadRetryPolicy),
    /// It was deleted.
    #[error("the task was deleted; its history stays: automagik history task ID")]
    Deleted,
    /// Only an ended task can be deleted.
    #[error("the task is still {0}; wait for its end or cancel it first: automagik task cancel ID")]
    StillOpen(TaskStatus),
    /// The priority is out of bounds.
    #[error(
        "the priority must be from -{max} to {max}, got {0}; higher ones start first",
        max = limits::PRIORITY_MAX
    )]
    BadPriority(i32),
    /// The queue timeout is out of bounds.
    #[error("the queue timeout must be from 1 s to 30 days, got {}", crate::spoken::duration(*.0))]
    BadQueueTimeout(u64),
    /// The total timeout is out of bounds.
    #[error("the total timeout must be from 1 s to 30 days, got {}", crate::spoken::duration(*.0))]
    BadTotalTimeout(u64),
    /// The time of one attempt is out of bounds.
    #[error("the timeout of an attempt must be from 1 s to 24 h, got {}", crate::spoken::duration(*.0))]
    BadTimeout(u64),
}

/// The stage of a task in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Made, no attempt started yet.
    Pending,
    /// An attempt is under way.
    Running,
    /// An attempt failed, the next one is scheduled.
    Waiting,
    /// Ended with a result.
    Completed,
    /// Ended without one.
    Failed,
    /// Stopped on request.
    Cancelled,
}

impl TaskStatus {
    /// All of them, in the order of life.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// As it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl std::fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
