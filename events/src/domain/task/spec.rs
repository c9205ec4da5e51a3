//! What a task is to do, fixed at its creation, and the small words of its attempts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TaskRejection;
use crate::clock::Timestamp;
use crate::domain::retry::RetryPolicy;
use crate::ids::{FlowId, ScheduleId, SourceId, TaskId};
use crate::limits;
use crate::payload::Payload;

/// What a task is to do. Fixed at creation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The flow to run.
    pub flow_id: FlowId,
    /// The source that has the flow.
    pub source_id: SourceId,
    /// The input text, as a JSON string.
    pub input: Payload,
    /// Values set over the flow's own, by component and field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tweaks: Option<Value>,
    /// Who or what asked for it.
    pub trigger: Trigger,
    /// How often and how patiently it is tried.
    pub retry: RetryPolicy,
    /// The longest time of one attempt.
    pub timeout_ms: u64,
    /// Who comes first within a source: higher ones start first. From
    /// -[`limits::PRIORITY_MAX`] to [`limits::PRIORITY_MAX`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i32,
    /// The longest wait until an attempt starts; a task that waits longer is not tried (again).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout_ms: Option<u64>,
    /// The longest time from the beginning to the end, over all attempts and waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout_ms: Option<u64>,
    /// Hash of the definition to run, where it is not the flow's present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Whether it waits to be released before it may start.
    #[serde(default, skip_serializing_if = "is_default")]
    pub held: bool,
    /// When it was made; filled in by the task itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl TaskSpec {
    /// Whether both ask for the same thing. When it was asked for makes no difference.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let other = Self { created_at: self.created_at, ..other.clone() };
        *self == other
    }

    pub(super) fn validate(&self) -> Result<(), TaskRejection> {
        self.retry.validate()?;
        if !(1_000..=limits::ATTEMPT_TIMEOUT_MS_MAX).contains(&self.timeout_ms) {
            return Err(TaskRejection::BadTimeout(self.timeout_ms));
        }
        if !(-limits::PRIORITY_MAX..=limits::PRIORITY_MAX).contains(&self.priority) {
            return Err(TaskRejection::BadPriority(self.priority));
        }
        let legal = limits::TASK_TIMEOUT_MS_MIN..=limits::TASK_TIMEOUT_MS_MAX;
        match (self.queue_timeout_ms, self.total_timeout_ms) {
            (Some(ms), _) if !legal.contains(&ms) => Err(TaskRejection::BadQueueTimeout(ms)),
            (_, Some(ms)) if !legal.contains(&ms) => Err(TaskRejection::BadTotalTimeout(ms)),
            (None | Some(_), None | Some(_)) => Ok(()),
        }
    }
}

/// Who or what asked for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Trigger {
    /// A person or a program, through the API.
    Manual,
    /// A due instant of a schedule.
    Occurrence {
        /// The schedule.
        schedule_id: ScheduleId,
        /// The due instant.
        #[schema(value_type = String, format = DateTime)]
        due_at: Timestamp,
    },
    /// A person, through a schedule; takes no occurrence.
    ScheduleTriggered {
        /// The schedule.
        schedule_id: ScheduleId,
    },
    /// A due instant of the past, made up for by a backfill of a schedule.
    Backfill {
        /// The schedule.
        schedule_id: ScheduleId,
        /// The due instant.
        #[schema(value_type = String, format = DateTime)]
        due_at: Timestamp,
        /// The backfill's number within the schedule.
        number: u32,
    },
    /// A person, to try an ended task again.
    RetryOf {
        /// The ended task.
        task_id: TaskId,
    },
}

impl Trigger {
    /// The schedule behind the task, if there is one.
    #[must_use]
    pub fn schedule_id(&self) -> Option<ScheduleId> {
        match self {
            Self::Occurrence { schedule_id, .. }
            | Self::ScheduleTriggered { schedule_id }
            | Self::Backfill { schedule_id, .. } => Some(*schedule_id),
            Self::Manual | Self::RetryOf { .. } => None,
        }
    }
}

/// How an attempt is made, which decides whether it can be taken up again after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallMode {
    /// LangFlow's background job API, with an idempotency key: can be re-attached.
    Background,
    /// One request that lasts as long as the run.
    Direct,
}

/// What became of the run at the source when its attempt was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemoteStop {
    /// No attempt was running.
    NotRunning,
    /// The source confirmed that it stopped the run.
    Stopped,
    /// The source offers no way to stop it, or did not confirm; it may run to its end.
    LeftRunning,
}

/// One component's part in an attempt, from the source's trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ComponentLog {
    /// The component's display name.
    pub component: String,
    /// `ok` or `error`.
    pub status: String,
    /// When it started, as far as the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Its error message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
