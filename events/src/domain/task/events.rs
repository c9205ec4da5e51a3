//! What can happen to a task. Names and schema versions on disk are in `codec.rs`.

use serde::{Deserialize, Serialize};

use super::{CallMode, ComponentLog, RemoteStop, TaskSpec};
use crate::clock::Timestamp;
use crate::domain::failure::Failure;
use crate::domain::retry::GiveUp;
use crate::ids::WorkerId;
use crate::payload::Payload;

/// An event of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEvent {
    /// It was made; the state becomes pending.
    Created(Box<TaskSpec>),
    /// An attempt began; the state becomes running.
    Started(TaskStarted),
    /// The source took the attempt as a background job.
    Submitted(TaskSubmitted),
    /// Another worker, or a new incarnation, took up the attempt.
    Reattached(TaskReattached),
    /// The components' parts in the attempt became known.
    LogRecorded(TaskLogRecorded),
    /// The attempt failed; `RetryScheduled` or `Failed` follows in the same batch.
    AttemptFailed(TaskAttemptFailed),
    /// Another attempt will be made; the state becomes waiting.
    RetryScheduled(TaskRetryScheduled),
    /// An attempt brought a result; the state becomes completed.
    Completed(TaskCompleted),
    /// No further attempt will be made; the state becomes failed.
    Failed(TaskFailed),
    /// Somebody asked to stop the running attempt.
    CancelRequested(TaskCancelRequested),
    /// It was stopped on request; the state becomes cancelled.
    Cancelled(TaskCancelled),
    /// It was made to be held, and may start from now on.
    Released(TaskReleased),
    /// It was put out of sight; its history stays.
    Deleted(TaskDeleted),
}

/// See [`TaskEvent::Started`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskStarted {
    /// The attempt, from 1.
    pub attempt: u32,
    /// Who makes the call.
    pub worker_id: WorkerId,
    /// How the call is made.
    pub mode: CallMode,
    /// Hash of the flow's definition as it was last synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_hash: Option<String>,
    /// The attempt whose background job may live on at the source: the call is made under its key
    /// and session, so that the source answers with that job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<u32>,
    /// When it was decided to start.
    pub at: Timestamp,
}

/// See [`TaskEvent::Submitted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSubmitted {
    /// The attempt.
    pub attempt: u32,
    /// The job's id at the source.
    pub job_id: String,
}

/// See [`TaskEvent::Reattached`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReattached {
    /// The attempt.
    pub attempt: u32,
    /// Who makes or follows it now.
    pub worker_id: WorkerId,
}

/// See [`TaskEvent::LogRecorded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskLogRecorded {
    /// The attempt.
    pub attempt: u32,
    /// The components, in the order they ran; at most
    /// [`crate::limits::ATTEMPT_LOG_ENTRIES_MAX`].
    pub entries: Vec<ComponentLog>,
}

/// See [`TaskEvent::AttemptFailed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskAttemptFailed {
    /// The attempt.
    pub attempt: u32,
    /// Why it failed.
    pub failure: Failure,
    /// From its start to the record of its failure.
    pub duration_ms: u64,
}

/// See [`TaskEvent::RetryScheduled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRetryScheduled {
    /// The attempt to come.
    pub attempt: u32,
    /// When it may start.
    pub not_before: Timestamp,
    /// The delay that led to it.
    pub delay_ms: u64,
}

/// See [`TaskEvent::Completed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskCompleted {
    /// The attempt that brought the result.
    pub attempt: u32,
    /// The result.
    pub output: Payload,
    /// From the attempt's start to the record of its result.
    pub duration_ms: u64,
}

/// See [`TaskEvent::Failed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskFailed {
    /// Attempts made.
    pub attempts: u32,
    /// Why there is no further one.
    pub why: GiveUp,
    /// The last failure.
    pub failure: Failure,
}

/// See [`TaskEvent::CancelRequested`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskCancelRequested {
    /// The attempt that is to stop.
    pub attempt: u32,
}

/// See [`TaskEvent::Released`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReleased {
    /// When; the task's time is counted from here.
    pub at: Timestamp,
}

/// See [`TaskEvent::Deleted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDeleted {}

/// See [`TaskEvent::Cancelled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskCancelled {
    /// Attempts that had started.
    pub attempts: u32,
    /// What became of the run at the source.
    pub remote: RemoteStop,
}
