//! What callers ask of [`crate::Spark`], in their own words: shapes are checked by whoever
//! builds these, rules by the domain.

use std::sync::Arc;

use serde_json::Value;
use spark_events::domain::alert::{AlertKind, Attempted, Only};
use spark_events::domain::http_request::HttpRequest;
use spark_events::domain::labels::Labels;
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::Timetable;
use spark_events::domain::retry::RetryPolicy;
use spark_events::domain::schedule::{OnDrift, SchedulePatch};
use spark_events::domain::source::SourceKind;
use spark_events::domain::task::TaskStatus;
use spark_events::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use spark_events::{
    AlertId, FlowId, Metadata, Position, RequestId, Revision, ScheduleId, SourceId, TaskId,
};
use uuid::Uuid;

use crate::alerts::AlertsHealth;
use crate::langflow::Secret;

/// Who asks, why, and under which request.
#[derive(Debug, Clone)]
pub struct Who {
    /// `user:<key name>`, `scheduler`, `worker:<id>` or `system`.
    pub actor: Arc<str>,
    /// What they gave as the reason.
    pub reason: Option<Arc<str>>,
    /// The request's id: the causation of what follows at once.
    pub request_id: Uuid,
    /// The trace that the request is a part of, where its caller named one: the correlation of
    /// everything that follows; else that is the request's id.
    pub trace: Option<Uuid>,
    /// The revision that the one thing which the request is about must have; any when absent.
    pub expects: Option<Revision>,
}

impl Who {
    /// Spark itself, on its own account.
    #[must_use]
    pub fn system() -> Self {
        Self {
            actor: "system".into(),
            reason: None,
            request_id: spark_events::ids::new_uuid(),
            trace: None,
            expects: None,
        }
    }

    /// The same for what follows once the condition was met.
    #[must_use]
    pub fn without_condition(&self) -> Self {
        Self { expects: None, ..self.clone() }
    }

    /// What goes along with the command of this request.
    pub(crate) fn terms(&self) -> Terms {
        Terms { metadata: self.metadata(), expects: self.expects }
    }

    /// The metadata of events that this request leads to.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        Metadata {
            correlation_id: self.trace.unwrap_or(self.request_id),
            causation_id: self.request_id,
            actor: self.actor.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// What goes along with a command on its way to the shell: who and why, and on which condition.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) metadata: Metadata,
    /// The revision that the stream must have when the command is decided; any when absent.
    pub(crate) expects: Option<Revision>,
}

impl From<Metadata> for Terms {
    fn from(metadata: Metadata) -> Self {
        Self { metadata, expects: None }
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

impl<T> Done<T> {
    /// The same with another value.
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Done<U> {
        Done { value: f(self.value), position: self.position }
    }
}

/// Connect a source.
#[derive(Debug, Clone, Default)]
pub struct AddSource {
    /// Its name; the URL's host and port when absent.
    pub name: Option<String>,
    /// Base URL.
    pub url: String,
    /// What kind of server it is.
    pub kind: SourceKind,
    /// A first request of a source of the kind `http`: a flow with the source's name.
    pub request: Option<HttpRequest>,
    /// API key.
    pub api_key: Option<Secret>,
    /// Runs at once; [`spark_events::limits::SOURCE_RUNS_DEFAULT`] when absent.
    pub runs_max: Option<u32>,
    /// What a worker must have to make its calls; nothing unless it is said.
    pub worker_labels: Option<Labels>,
}

/// Change a source. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct UpdateSource {
    /// New name.
    pub name: Option<String>,
    /// New base URL.
    pub url: Option<String>,
    /// What becomes of the API key.
    pub api_key: KeyChange,
    /// New limit of runs at once.
    pub runs_max: Option<u32>,
    /// What a worker must have from now on to make its calls.
    pub worker_labels: Option<Labels>,
}

/// What becomes of a source's key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeyChange {
    /// It stays.
    #[default]
    Keep,
    /// This one is sent from now on.
    Set(Secret),
    /// None is sent from now on.
    Remove,
}

/// What sealing all keys anew came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Resealed {
    /// How many keys were sealed anew.
    pub resealed: u64,
    /// Names of sources whose key could not be opened; they must be given theirs again.
    pub unreadable: Vec<String>,
}

/// Save a request of a source of the kind `http` as a flow.
#[derive(Debug, Clone, Default)]
pub struct AddRequest {
    /// The flow's name, which is also its id at the source.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The request.
    pub request: HttpRequest,
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
    /// Give up an edit that was not pushed.
    pub force: bool,
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

    /// What else this actor asks for under the key.
    pub(crate) fn request_id(&self, actor: &str) -> RequestId {
        RequestId::of_key(actor, &self.0)
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
pub enum RunVersion {
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
    pub version: RunVersion,
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
    /// What people should know about it.
    pub note: Option<String>,
    /// The flow.
    pub flow_id: FlowId,
    /// When.
    pub timetable: Timetable,
    /// Input and policies.
    pub options: RunOptions,
    /// What happens while an earlier task is still open.
    pub overlap: Overlap,
    /// How late an occurrence may still start; our default when absent.
    pub catch_up_ms: Option<u64>,
    /// After how many starts of its own it is completed; without end when absent.
    pub runs_max: Option<u64>,
    /// After how many failed tasks in a row it pauses itself; never when absent.
    pub pause_after: Option<u32>,
    /// What happens when the flow was changed at its source.
    pub on_drift: OnDrift,
}

impl NewSchedule {
    /// A schedule without a name, with our defaults.
    #[must_use]
    pub fn new(flow_id: FlowId, timetable: impl Into<Timetable>, options: RunOptions) -> Self {
        Self {
            name: None,
            note: None,
            flow_id,
            timetable: timetable.into(),
            options,
            overlap: Overlap::default(),
            catch_up_ms: None,
            runs_max: None,
            pause_after: None,
            on_drift: OnDrift::default(),
        }
    }
}

/// Change a schedule.
#[derive(Debug, Clone)]
pub struct EditSchedule {
    /// The schedule's flow, against which tweaks are checked.
    pub flow_id: FlowId,
    /// What to change. Its input is filled in from `input`.
    pub patch: SchedulePatch,
    /// The new input text.
    pub input: Option<String>,
}

/// A start by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Triggered {
    /// The task.
    pub task_id: TaskId,
    /// Whether it is made only when what is open has ended.
    pub waits: bool,
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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
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
    /// Whether it is synced and known to have changed at the source since.
    pub drifted: bool,
}

/// A source whose tasks wait for a worker.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct UnservedSource {
    /// Its name.
    pub name: String,
    /// What a worker must have to make its calls; empty where no worker takes work at all.
    pub worker_labels: Labels,
}

/// How Spark itself is doing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct SparkHealth {
    /// Why the log takes no writes, while that lasts.
    pub log_trouble: Option<String>,
    /// Open tasks: pending, running and waiting.
    pub open_tasks: u64,
    /// Tasks with an attempt under way.
    pub running_tasks: u64,
    /// Schedules that have a next occurrence.
    pub active_schedules: u64,
    /// Flows whose source is known to have something else than was synced.
    pub drifted_flows: u64,
    /// Workers that are there.
    pub workers: u64,
    /// Those of them that take work now.
    pub accepting_workers: u64,
    /// How many sources have tasks that no worker would take now.
    pub unserved: u64,
    /// Which these are; absent for whoever may not see sources, and where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unserved_sources: Vec<UnservedSource>,
    /// Actors that crashed (panicked) since the start.
    pub crashes: u64,
    /// What the last crash said.
    pub last_crash: Option<String>,
    /// How alerts are doing.
    pub alerts: AlertsHealth,
}

/// Make an alert.
#[derive(Debug, Clone, Default)]
pub struct NewAlert {
    /// Its name; the URL's host when absent.
    pub name: Option<String>,
    /// Where messages are sent.
    pub url: String,
    /// About what; [`AlertKind::usual`] when absent.
    pub kinds: Option<Vec<AlertKind>>,
    /// About this flow only.
    pub flow_id: Option<FlowId>,
    /// About this schedule only.
    pub schedule_id: Option<ScheduleId>,
    /// About this source, and what runs there, only.
    pub source_id: Option<SourceId>,
}

/// Change an alert. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct UpdateAlert {
    /// New name.
    pub name: Option<String>,
    /// New URL.
    pub url: Option<String>,
    /// New kinds, all of them.
    pub kinds: Option<Vec<AlertKind>>,
    /// New flow.
    pub flow_id: Option<Only<FlowId>>,
    /// New schedule.
    pub schedule_id: Option<Only<ScheduleId>>,
    /// New source.
    pub source_id: Option<Only<SourceId>>,
    /// Whether it tells of anything.
    pub enabled: Option<bool>,
}

/// An alert with its secret, which is shown once. Has no `Debug`, because of it.
#[derive(Clone)]
pub struct NewAlertSecret {
    /// The alert.
    pub id: AlertId,
    /// The secret that its messages are signed with.
    pub secret: String,
}

/// What came of a message that was sent at once.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
#[schema(as = TestedAlert)]
pub struct Delivery {
    /// The message, as the receiver sees it in `webhook-id`.
    pub message_id: Uuid,
    /// Whether the receiver took it.
    pub delivered: bool,
    /// The status that it answered with.
    pub status: Option<u16>,
    /// How long it took.
    pub duration_ms: u64,
    /// The start of its answer.
    pub answer: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// What can be done about that.
    pub remedy: Option<&'static str>,
}

impl Delivery {
    pub(crate) fn of(attempted: &Attempted) -> Self {
        let Attempted { message_id, answer, error, .. } = attempted;
        Self {
            message_id: *message_id,
            delivered: error.is_none(),
            status: answer.status,
            duration_ms: answer.duration_ms,
            answer: answer.body.clone(),
            error: error.clone(),
            remedy: error.as_ref().map(|_| answer.remedy()),
        }
    }
}
