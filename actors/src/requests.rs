//! What callers ask of [`crate::Spark`], in their own words: shapes are checked by whoever
//! builds these, rules by the domain.

use std::sync::Arc;

use serde_json::Value;
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::Recurrence;
use spark_events::domain::retry::RetryPolicy;
use spark_events::domain::task::TaskStatus;
use spark_events::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use spark_events::{FlowId, Metadata, Position, TaskId};
use uuid::Uuid;

use crate::langflow::Secret;

/// Who asks, why, and under which request.
#[derive(Debug, Clone)]
pub struct Who {
    /// `user:<key name>`, `scheduler`, `worker:<id>` or `system`.
    pub actor: Arc<str>,
    /// What they gave as the reason.
    pub reason: Option<Arc<str>>,
    /// The request's id: correlation and causation of everything that follows.
    pub request_id: Uuid,
}

impl Who {
    /// Spark itself, on its own account.
    #[must_use]
    pub fn system() -> Self {
        Self { actor: "system".into(), reason: None, request_id: spark_events::ids::new_uuid() }
    }

    /// The metadata of events that this request leads to.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        Metadata {
            correlation_id: self.request_id,
            causation_id: self.request_id,
            actor: self.actor.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// A command that happened, and how far the log is with it. `position` is `None` where nothing
/// had to be stored because the command was already true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done<T> {
    /// What came of it.
    pub value: T,
    /// A read that waits for this position sees it.
    pub position: Option<Position>,
}

/// Connect a source.
#[derive(Debug, Clone)]
pub struct AddSource {
    /// Its name; the URL's host and port when absent.
    pub name: Option<String>,
    /// Base URL.
    pub url: String,
    /// API key.
    pub api_key: Option<Secret>,
    /// Runs at once; [`spark_events::limits::SOURCE_RUNS_DEFAULT`] when absent.
    pub runs_max: Option<u32>,
}

/// Change a source. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct UpdateSource {
    /// New name.
    pub name: Option<String>,
    /// New base URL.
    pub url: Option<String>,
    /// New API key.
    pub api_key: Option<Secret>,
    /// New limit of runs at once.
    pub runs_max: Option<u32>,
}

/// Sync one flow.
#[derive(Debug, Clone, Default)]
pub struct SyncFlow {
    /// Its id or exact name at the source.
    pub remote: String,
    /// The node that takes the input; detected when absent.
    pub input_component: Option<String>,
    /// The node that gives the output; detected when absent.
    pub output_component: Option<String>,
}

/// What a task and the tasks of a schedule have in common.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The input text.
    pub input: String,
    /// Values set over the flow's own: `{component id: {field: value}}`.
    pub tweaks: Option<Value>,
    /// How often and how patiently to try; our default when absent.
    pub retry: Option<RetryPolicy>,
    /// The longest time of one attempt; our default when absent.
    pub timeout_ms: Option<u64>,
    /// Higher ones start first within a source; 0 when absent.
    pub priority: Option<i32>,
    /// The longest wait until an attempt starts; none when absent.
    pub queue_timeout_ms: Option<u64>,
    /// The longest time over all attempts and waits; none when absent.
    pub total_timeout_ms: Option<u64>,
}

/// What makes a repeated request the same request: a text that the caller chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// Why a text is no idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an idempotency key has 1 to {max} printable ASCII characters; a UUID is a good one",
    max = IDEMPOTENCY_KEY_BYTES_MAX
)]
pub struct BadKey;

impl IdempotencyKey {
    /// Checks and takes a key.
    ///
    /// # Errors
    /// [`BadKey`] when it is empty, too long or not printable ASCII.
    pub fn new(text: &str) -> Result<Self, BadKey> {
        let fits = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len());
        let legal = fits && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if legal { Ok(Self(text.to_owned())) } else { Err(BadKey) }
    }

    /// The task that this actor makes under the key.
    #[must_use]
    pub fn task_id(&self, actor: &str) -> TaskId {
        TaskId::of_key(actor, &self.0)
    }
}

/// How a task is made, beyond what it is to do.
#[derive(Debug, Clone, Default)]
pub struct Creation {
    /// Asking again with the same key means the same task.
    pub key: Option<IdempotencyKey>,
    /// Whether it waits until somebody releases it.
    pub held: bool,
}

/// Which definition of its flow a retry runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FlowVersion {
    /// What the source has now.
    #[default]
    Now,
    /// The one that the old task ran.
    Then,
    /// The one with this hash, or with a hash that begins so.
    Hash(String),
}

/// Try an ended task again. What is absent is as it was.
#[derive(Debug, Clone, Default)]
pub struct RetryTask {
    /// Another input text.
    pub input: Option<String>,
    /// Other tweaks.
    pub tweaks: Option<Value>,
    /// Which definition to run.
    pub version: FlowVersion,
    /// Another priority.
    pub priority: Option<i32>,
    /// Asking again with the same key means the same new task.
    pub key: Option<IdempotencyKey>,
}

/// Run a flow once.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// The flow.
    pub flow_id: FlowId,
    /// Input and policies.
    pub options: RunOptions,
}

/// Run a flow again and again.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// A name for people.
    pub name: Option<String>,
    /// The flow.
    pub flow_id: FlowId,
    /// When.
    pub recurrence: Recurrence,
    /// Input and policies.
    pub options: RunOptions,
    /// What happens while an earlier task is still open.
    pub overlap: Overlap,
    /// How late an occurrence may still start; our default when absent.
    pub catch_up_ms: Option<u64>,
}

/// The end of a task, for whoever waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskEnd {
    /// The task.
    pub task_id: TaskId,
    /// How it ended.
    pub status: TaskStatus,
    /// Where its last event is.
    pub position: Position,
}

/// A flow as the source lists it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RemoteListing {
    /// The flow's id at the source.
    pub id: String,
    /// Its name there.
    pub name: String,
    /// Its description there.
    pub description: String,
    /// Folder or project.
    pub folder: Option<String>,
    /// The flow's id here, when it is synced.
    pub synced_as: Option<FlowId>,
}

/// How Spark itself is doing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SparkHealth {
    /// Why the log takes no writes, while that lasts.
    pub log_trouble: Option<String>,
    /// Open tasks: pending, running and waiting.
    pub open_tasks: u64,
    /// Tasks with an attempt under way.
    pub running_tasks: u64,
    /// Schedules that have a next occurrence.
    pub active_schedules: u64,
    /// Actors that crashed (panicked) since the start.
    pub crashes: u64,
    /// What the last crash said.
    pub last_crash: Option<String>,
}
