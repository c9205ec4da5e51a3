//! The handle to a running Spark: admission, and the way of each command to its actor.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ractor::{ActorRef, Message, RpcReplyPort};
use spark_events::codec::DomainEvent;
use spark_events::domain::task::Task;
use spark_events::domain::trace::TraceParent;
use spark_events::limits::{
    ATTEMPT_TIMEOUT_MS_DEFAULT, COMMAND_TIMEOUT_MS, COMMANDS_IN_FLIGHT_MAX, TASK_INPUT_BYTES_MAX,
};
use spark_events::log::Direction;
use spark_events::payload::{self, Payload};
use spark_events::{Aggregate, FlowId, LogError, SharedClock, SharedLog, TaskId, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::alerts::Alerts;
use crate::catalog::Catalog;
use crate::context::{Context, Shared};
use crate::dispatch::Depths;
use crate::error::DispatchError;
use crate::flows::DriftWatch;
use crate::keys::KeyTable;
use crate::langflow::{http_client, message_client};
use crate::open_tasks::OpenTasks;
use crate::requests::{RunOptions, SparkHealth, TaskEnd, Who};
use crate::root::{Staff, Tree};
use crate::seal::Sealer;
use crate::sources::Sources;
use crate::supervision::CrashCount;
use crate::tasks::TasksMessage;
use crate::telemetry::{Meters, OtlpConfig};
use crate::workforce::Workforce;

mod alerts;
mod projections;
mod schedules;
mod tasks;
pub(crate) mod workers;

pub use workers::{WorkerPulse, WorkerWish};

/// How long an actor may be silent before it is asked whether the log is the reason.
pub(crate) const LOOK_AT_LOG_AFTER: Duration = Duration::from_secs(1);

/// What is said where an actor ended before it answered.
pub(crate) const ENDED_FIRST: &str = "the actor ended before it answered";

/// What a Spark is started with.
pub struct SparkConfig {
    /// The event log. The caller closes it after [`Spark::shutdown`].
    pub log: SharedLog,
    /// The clock.
    pub clock: SharedClock,
    /// Where the sealing key and the start-up index are kept.
    pub data_dir: PathBuf,
    /// Runs at once of the built-in worker; 0 for none.
    pub worker_slots: u32,
    /// The silence after which a worker in another process is lost; from
    /// [`spark_events::limits::WORKER_LOST_AFTER_MS_MIN`] to
    /// [`spark_events::limits::WORKER_LOST_AFTER_MS_MAX`].
    pub worker_lost_after: Duration,
    /// How often every source is probed.
    pub probe_every: Duration,
    /// This machine's name, for the worker's record.
    pub hostname: String,
}

/// A running Spark. Clones are cheap and mean the same one.
#[derive(Clone)]
pub struct Spark(Arc<Inner>);

struct Inner {
    context: Shared,
    tree: Tree,
    sources: Sources,
    drift: DriftWatch,
    alerts: Alerts,
    admission: Semaphore,
    stopping: AtomicBool,
}

impl Spark {
    /// Starts everything from what the log holds.
    ///
    /// # Errors
    /// `Unavailable` when the log cannot be read; `Internal` when it holds something unreadable or
    /// the sealing key cannot be used.
    pub async fn start(config: SparkConfig) -> Result<Self, DispatchError> {
        let internal = |error: &dyn std::fmt::Display| DispatchError::Internal(error.to_string());
        let sealer = Sealer::open(&config.data_dir.join("seal.key")).map_err(|e| internal(&e))?;
        let http = http_client().map_err(|e| internal(&e))?;
        let context = Arc::new(Context {
            log: config.log,
            clock: config.clock,
            catalog: Catalog::new(http, sealer),
            keys: KeyTable::default(),
            open_tasks: OpenTasks::default(),
            crashes: CrashCount::default(),
            running_tasks: AtomicU64::new(0),
            active_schedules: AtomicU64::new(0),
            schedules: OnceLock::new(),
            workers: Workforce::default(),
            telemetry: Arc::default(),
        });
        let (hostname, slots) = (config.hostname, config.worker_slots);
        let staff = Staff { hostname, slots, lost_after: config.worker_lost_after };
        let index_path = config.data_dir.join("index.bin");
        let tree = Tree::start(&context, staff, index_path).await?;
        let sources = Sources::start(context.clone(), tree.tasks.clone(), config.probe_every);
        let drift = DriftWatch::start(context.clone());
        let sender = message_client().map_err(|e| internal(&e))?;
        let alerts = Alerts::start(context.clone(), sender, config.data_dir.join("alerts.bin"));
        let admission = Semaphore::new(COMMANDS_IN_FLIGHT_MAX);
        let stopping = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner { context, tree, sources, drift, alerts, admission, stopping })))
    }

    /// The event log.
    #[must_use]
    pub fn log(&self) -> &SharedLog {
        &self.0.context.log
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.0.context.clock
    }

    /// What is counted and measured.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.0.context.telemetry.meters
    }

    /// Sends spans to a collector from now on, until the shutdown.
    pub fn export_traces(&self, config: OtlpConfig) {
        let http = self.0.context.catalog.http().clone();
        self.0.context.telemetry.traces.start(config, http);
    }

    /// Whether somebody collects spans.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.0.context.telemetry.traces.are_wanted()
    }

    /// Tells of a request that asked for a change: its operation, from when to when it took, and
    /// the status of its answer. `parent` is its caller's place, where it named one.
    pub fn trace_request(
        &self,
        operation: &'static str,
        request_id: Uuid,
        parent: Option<TraceParent>,
        times: (Timestamp, Timestamp),
        status: u16,
    ) {
        let ids = (parent.map_or(request_id, |parent| parent.trace), request_id);
        self.0.context.telemetry.request(operation, ids, parent, times, status);
    }

    /// How many tasks wait for a slot. Bounded in time; `None` when the answer did not come.
    pub async fn queue_depths(&self) -> Option<Depths> {
        let answer = self.tasks().call(TasksMessage::Depths, Some(LOOK_AT_LOG_AFTER)).await;
        answer.ok().and_then(|answer| answer.success_or(()).ok())
    }

    /// How Spark itself is doing. Nothing is read from disk.
    #[must_use]
    pub fn health(&self) -> SparkHealth {
        let context = &self.0.context;
        let (workers, accepting) = context.workers.counts();
        let unserved_sources = context.unserved_sources();
        SparkHealth {
            log_trouble: context.log.health().trouble,
            open_tasks: context.open_tasks.count() as u64,
            running_tasks: context.running_tasks.load(Ordering::Relaxed),
            active_schedules: context.active_schedules.load(Ordering::Relaxed),
            drifted_flows: context.catalog.drifted_flows() as u64,
            workers: workers as u64,
            accepting_workers: accepting as u64,
            unserved: unserved_sources.len() as u64,
            unserved_sources,
            crashes: context.crashes.count(),
            last_crash: context.crashes.last(),
            alerts: self.0.alerts.health(),
        }
    }

    /// Ends the tree in order, leaves first. Commands answer `ShuttingDown` from now on. Does not
    /// close the log. Calling it again does nothing.
    pub async fn shutdown(&self) {
        if !self.0.stopping.swap(true, Ordering::SeqCst) {
            self.0.sources.stop();
            self.0.drift.stop();
            self.0.tree.stop(&self.0.context).await;
            self.0.alerts.stop().await;
            self.0.context.telemetry.traces.stop().await;
        }
    }

    /// Waits for the end of a task. `None` when it has not ended within the timeout. Cancel-safe.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `ShuttingDown`.
    pub async fn wait_task(
        &self,
        id: TaskId,
        timeout: Duration,
    ) -> Result<Option<TaskEnd>, DispatchError> {
        if let Some(end) = self.0.context.open_tasks.wait(id) {
            match tokio::time::timeout(timeout, end).await {
                Err(_) => return Ok(None),
                Ok(Ok(end)) => return Ok(Some(end)),
                // It closed without an end of its own: the log knows.
                Ok(Err(_)) => {}
            }
        }
        let stream = id.stream();
        let task = self.read_task(id).await?;
        let last = self.0.context.log.read_stream(&stream, None, Direction::Backward, 1).await?;
        let status = task.status().filter(|status| status.is_ended());
        let position = last.first().map(|event| event.position);
        Ok(status.zip(position).map(|(status, position)| TaskEnd { task_id: id, status, position }))
    }

    pub(crate) fn source_keeper(&self) -> &Sources {
        &self.0.sources
    }

    pub(crate) fn alerts(&self) -> &Alerts {
        &self.0.alerts
    }

    pub(crate) fn drift_watch(&self) -> &DriftWatch {
        &self.0.drift
    }

    pub(crate) fn tasks(&self) -> &ActorRef<TasksMessage> {
        &self.0.tree.tasks
    }

    pub(crate) fn context(&self) -> &Shared {
        &self.0.context
    }

    pub(crate) fn admit(&self) -> Result<SemaphorePermit<'_>, DispatchError> {
        if self.0.stopping.load(Ordering::SeqCst) {
            return Err(DispatchError::ShuttingDown);
        }
        let full = |_| DispatchError::Overloaded { what: "commands" };
        self.0.admission.try_acquire().map_err(full)
    }

    /// Checks input and tweaks against the flow, and fills in our defaults.
    async fn options(
        &self,
        flow_id: FlowId,
        options: RunOptions,
        who: &Who,
    ) -> Result<CheckedOptions, DispatchError> {
        if let Some(tweaks) = &options.tweaks {
            crate::flows::check_tweaks(&self.0.context, flow_id, tweaks).await?;
        }
        let input = self.stored_input(options.input, who).await?;
        Ok(CheckedOptions {
            input,
            tweaks: options.tweaks,
            retry: options.retry.unwrap_or_default(),
            timeout_ms: options.timeout_ms.unwrap_or(ATTEMPT_TIMEOUT_MS_DEFAULT),
            priority: options.priority.unwrap_or_default(),
            queue_timeout_ms: options.queue_timeout_ms,
            total_timeout_ms: options.total_timeout_ms,
        })
    }

    /// Stores an input text within its bound.
    async fn stored_input(&self, input: String, who: &Who) -> Result<Payload, DispatchError> {
        if input.len() > TASK_INPUT_BYTES_MAX {
            return Err(DispatchError::Invalid(format!(
                "the input has {} bytes, over the bound of {TASK_INPUT_BYTES_MAX}; put it into a \
                 file that the flow reads",
                input.len()
            )));
        }
        let log = self.0.context.log.as_ref();
        Ok(payload::store(log, input.into(), who.metadata()).await?)
    }

    /// The state of a task, from its stream.
    async fn read_task(&self, id: TaskId) -> Result<Task, DispatchError> {
        let limit = spark_events::limits::READ_EVENTS_MAX;
        let stream = id.stream();
        let read = self.0.context.log.read_stream(&stream, None, Direction::Forward, limit).await;
        let events = read.map_err(|error| match error {
            LogError::StreamNotFound(_) => {
                DispatchError::NotFound { kind: "task", id: id.to_string() }
            }
            other => other.into(),
        })?;
        let mut task = Task::default();
        for event in &events {
            task = task.evolve(&DomainEvent::from_recorded(event)?);
        }
        Ok(task)
    }

    /// Asks an actor and waits for its answer. Where the answer is late because the log is away,
    /// the caller is told that rather than left waiting.
    async fn ask<M: Message, T: Send + 'static>(
        &self,
        actor: &ActorRef<M>,
        message: impl FnOnce(RpcReplyPort<Result<T, DispatchError>>) -> M,
    ) -> Result<T, DispatchError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        actor.cast(message(sender.into())).map_err(|_| DispatchError::ShuttingDown)?;
        tokio::pin!(receiver);
        let answered = tokio::time::timeout(LOOK_AT_LOG_AFTER, &mut receiver).await;
        let answered = match answered {
            Ok(answered) => answered,
            Err(_) => {
                if let Some(reason) = self.0.context.log.health().trouble {
                    // The actor has the command, and may carry it out when the log is back.
                    return Err(DispatchError::Unanswered { reason });
                }
                let rest = Duration::from_millis(COMMAND_TIMEOUT_MS);
                let late = |_| DispatchError::Timeout { ms: COMMAND_TIMEOUT_MS };
                tokio::time::timeout(rest, receiver).await.map_err(late)?
            }
        };
        answered.unwrap_or_else(|_| Err(DispatchError::Internal(ENDED_FIRST.into())))
    }
}

/// Input and policies that have been checked and filled in.
struct CheckedOptions {
    input: Payload,
    tweaks: Option<serde_json::Value>,
    retry: spark_events::domain::retry::RetryPolicy,
    timeout_ms: u64,
    priority: i32,
    queue_timeout_ms: Option<u64>,
    total_timeout_ms: Option<u64>,
}
