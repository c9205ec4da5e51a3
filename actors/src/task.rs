//! A task's actor: one attempt is one incarnation. It owns the task's stream in memory and its
//! effects; every rule is in `spark_events::domain::task`.
//!
//! An attempt that fails makes this actor fail with [`AttemptFailed`]; its supervisor starts a new
//! incarnation at once, which replays the stream, records the failure and settles what follows.
//! After the death of the process the same path runs with [`Start::Boot`].

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use spark_events::clock::ms_between;
use spark_events::domain::component;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::flow::FlowSynced;
use spark_events::domain::task::{
    CallMode, ComponentLog, Task, TaskCommand, TaskRejection, TaskSpec,
};
use spark_events::payload::{self, Payload};
use spark_events::{Metadata, Position, TaskId, Timestamp, ids};

use crate::aggregate::{Executed, Patience, Shell, ShellError};
use crate::catalog::SourceEntry;
use crate::context::{Shared, jitter_ppm};
use crate::dispatch::Queued;
use crate::error::DispatchError;
use crate::langflow::{self, RunEnd};
use crate::requests::{Done, TaskEnd, Terms};
use crate::tasks::TasksMessage;
use crate::telemetry;
use crate::work::{Assignment, LimitOf, TimeLimit, capabilities_of};
use crate::worker::WorkerMessage;

/// The answer to a command about a task.
pub(crate) type TaskReply = RpcReplyPort<Result<Done<()>, DispatchError>>;

/// Why an incarnation was started.
pub(crate) enum Start {
    /// The task is to be made.
    Create { spec: Box<TaskSpec>, metadata: Metadata, reply: Option<TaskReply> },
    /// It was given a slot.
    Granted,
    /// Somebody wants something of it.
    Command { command: TaskCommand, terms: Terms, reply: Option<TaskReply> },
    /// The incarnation before this one ended with its attempt.
    AttemptFailed(AttemptFailed),
    /// The incarnation before this one crashed.
    Crashed(String),
    /// The process started and found the task with an attempt under way.
    Boot,
}

/// What an incarnation fails with when its attempt did.
#[derive(Debug, Clone, thiserror::Error)]
#[error("attempt {attempt} failed: {failure}")]
pub(crate) struct AttemptFailed {
    pub(crate) attempt: u32,
    pub(crate) failure: Failure,
    pub(crate) log: Vec<ComponentLog>,
}

/// What a task's actor is told.
pub(crate) enum TaskMessage {
    /// It was given a slot.
    Granted,
    /// It is to be made, although it may exist.
    Create { spec: Box<TaskSpec>, metadata: Metadata, reply: Option<TaskReply> },
    /// Somebody wants something of it.
    Command { command: TaskCommand, terms: Terms, reply: Option<TaskReply> },
    /// The source took the attempt as a background job.
    Submitted { attempt: u32, job_id: String, reply: RpcReplyPort<()> },
    /// The attempt has ended.
    Ended { attempt: u32, end: Box<RunEnd> },
}

pub(crate) struct TaskArguments {
    pub(crate) id: TaskId,
    pub(crate) start: Start,
    pub(crate) context: Shared,
    pub(crate) tasks: ActorRef<TasksMessage>,
    pub(crate) worker: ActorRef<WorkerMessage>,
}

pub(crate) struct TaskState {
    id: TaskId,
    start: Option<Start>,
    context: Shared,
    tasks: ActorRef<TasksMessage>,
    worker: ActorRef<WorkerMessage>,
    shell: Shell<Task>,
    /// Chain of causes for what this incarnation does on its own account.
    metadata: Metadata,
    position: Position,
}

pub(crate) struct TaskActor;

type TaskError = ShellError<TaskRejection>;

impl Actor for TaskActor {
    type Msg = TaskMessage;
    type State = TaskState;
    type Arguments = TaskArguments;

    async fn pre_start(
        &self,
        _: ActorRef<TaskMessage>,
        arguments: TaskArguments,
    ) -> Result<TaskState, ActorProcessingErr> {
        let TaskArguments { id, start, context, tasks, worker } = arguments;
        let shell = Shell::new(context.log.clone(), context.clock.clone(), id.stream())
            .watched(&context.telemetry, telemetry::of_task);
        let metadata = Metadata {
            correlation_id: id.0,
            causation_id: id.0,
            actor: format!("worker:{}", context.worker_id).into(),
            reason: None,
        };
        let position = Position::START;
        let start = Some(start);
        Ok(TaskState { id, start, context, tasks, worker, shell, metadata, position })
    }

    async fn post_start(
        &self,
        myself: ActorRef<TaskMessage>,
        state: &mut TaskState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(start) = state.start.take() else { return Ok(()) };
        if let Start::Create { spec, metadata, reply } = start {
            state.create(spec, metadata, reply).await;
            return Ok(());
        }
        state.shell.recover(Patience::WaitOut).await?;
        state.take_correlation();
        match start {
            Start::Granted => state.begin(myself).await?,
            Start::Command { command, terms, reply } => {
                state.command(command, &terms, reply).await;
            }
            Start::AttemptFailed(AttemptFailed { attempt, failure, log }) => {
                state.record_failure(attempt, failure, log).await?;
                state.settle();
            }
            Start::Crashed(what) => {
                let _ = state.worker.cast(WorkerMessage::Abort { task_id: state.id });
                let message = format!("the attempt's actor crashed: {what}");
                state.end_running(Failure::new(FailureClass::Crashed, message)).await?;
            }
            Start::Boot => state.boot().await?,
            Start::Create { .. } => {}
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<TaskMessage>,
        message: TaskMessage,
        state: &mut TaskState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            TaskMessage::Granted => state.begin(myself).await?,
            TaskMessage::Create { spec, metadata, reply } => {
                let command = TaskCommand::Create(spec);
                state.command(command, &metadata.into(), reply).await;
            }
            TaskMessage::Command { command, terms, reply } => {
                state.command(command, &terms, reply).await;
            }
            TaskMessage::Submitted { attempt, job_id, reply } => {
                state.execute(TaskCommand::RecordJob { attempt, job_id }).await?;
                let _ = reply.send(());
            }
            TaskMessage::Ended { attempt, end } => state.ended(attempt, *end).await?,
        }
        Ok(())
    }
}

impl TaskState {
    /// Executes a command that must happen. A rejection means that the world has moved on (a late
    /// answer, a second incarnation): it is logged and changes nothing.
    async fn execute(&mut self, command: TaskCommand) -> Result<(), ActorProcessingErr> {
        match self.shell.execute(command, &self.metadata, Patience::WaitOut).await {
            Ok(executed) => self.note(&executed),
            Err(TaskError::Rejected(why)) => {
                tracing::debug!(task = %self.id, %why, "a task passed over a late command");
            }
            Err(error) => return Err(Box::new(error)),
        }
        Ok(())
    }

    /// Everything that this actor does belongs to what the task was made for.
    fn take_correlation(&mut self) {
        if let Some(correlation_id) = self.shell.correlation() {
            self.metadata.correlation_id = correlation_id;
        }
    }

    fn note<E>(&mut self, executed: &Executed<E>) {
        self.position = executed.position.unwrap_or(self.position);
    }

    async fn create(&mut self, spec: Box<TaskSpec>, metadata: Metadata, reply: Option<TaskReply>) {
        self.metadata.correlation_id = metadata.correlation_id;
        self.metadata.causation_id = metadata.causation_id;
        let patience = if reply.is_some() { Patience::FailFast } else { Patience::WaitOut };
        let command = TaskCommand::Create(spec);
        let created = self.shell.execute(command, &metadata, patience).await;
        if let Ok(executed) = &created {
            self.note(executed);
        }
        // An outage may have lost the answer and not the event: look, once the log is back.
        let unsure = matches!(&created, Err(TaskError::Log(error)) if error.is_retryable());
        // The caller hears of it before the queue does: an answer never waits for a grant.
        self.answer(created, reply);
        if unsure && self.shell.recover(Patience::WaitOut).await.is_err() {
            tracing::error!(task = %self.id, "a task whose creation is in doubt cannot be read");
        }
        self.take_correlation();
        self.settle();
    }

    fn answer<E>(&self, result: Result<Executed<E>, TaskError>, reply: Option<TaskReply>) {
        let result = result
            .map(|executed| Done { value: (), position: executed.position })
            .map_err(|error| DispatchError::of(error, "task", self.id));
        match (reply, result) {
            (Some(reply), result) => {
                let _ = reply.send(result);
            }
            (None, Err(DispatchError::Rejected(why))) => {
                tracing::debug!(task = %self.id, %why, "a command came too late");
            }
            (None, Err(error)) => {
                tracing::error!(task = %self.id, %error, "a command that nobody waits for failed");
            }
            (None, Ok(_)) => {}
        }
    }

    async fn command(&mut self, command: TaskCommand, terms: &Terms, reply: Option<TaskReply>) {
        let patience = if reply.is_some() { Patience::FailFast } else { Patience::WaitOut };
        let was_running = matches!(self.shell.state(), Task::Running { .. });
        // One that expires was taken out of the queue to be asked.
        let mut moved = matches!(command, TaskCommand::Expire);
        let Terms { metadata, expects } = terms;
        let done = self.shell.execute_at(*expects, command, metadata, patience).await;
        if let Ok(executed) = &done {
            self.note(executed);
            moved |= !executed.events.is_empty();
        }
        self.answer(done, reply);
        match self.shell.state() {
            Task::Running { attempt, .. } => {
                if attempt.cancel_requested {
                    let _ = self.worker.cast(WorkerMessage::Cancel { task_id: self.id });
                }
            }
            // It stands in the queue already, or was just given its slot.
            Task::Pending { .. } | Task::Waiting { .. } if !moved => {}
            _ => {
                if was_running {
                    let _ = self.worker.cast(WorkerMessage::Abort { task_id: self.id });
                }
                self.settle();
            }
        }
    }

    /// Begins the next attempt, or takes up the running one, in the slot just given.
    async fn begin(&mut self, myself: ActorRef<TaskMessage>) -> Result<(), ActorProcessingErr> {
        let Some(spec) = self.shell.state().spec().cloned() else {
            self.settle();
            return Ok(());
        };
        let target = self.target(&spec);
        let mode = target.as_ref().map_or(CallMode::Direct, |(_, source)| mode_of(source));
        if let Task::Running { attempt, .. } = self.shell.state() {
            let (attempt, worker_id) = (attempt.number, self.context.worker_id);
            self.execute(TaskCommand::Reattach { attempt, worker_id }).await?;
        } else {
            let attempt = self.shell.state().attempts() + 1;
            let present = target.as_ref().ok().map(|(flow, _)| flow.definition_hash.clone());
            let definition_hash = spec.definition.clone().or(present);
            let worker_id = self.context.worker_id;
            self.execute(TaskCommand::Start { attempt, worker_id, mode, definition_hash }).await?;
        }
        let Task::Running { attempt, .. } = self.shell.state() else {
            // It was cancelled, or ran out of time, in the moment it was given the slot.
            self.settle();
            return Ok(());
        };
        match target {
            Ok((flow, source)) => {
                let assignment = Assignment {
                    task_id: self.id,
                    trace: self.metadata.correlation_id,
                    attempt: attempt.clone(),
                    time: self.time_limit(&spec),
                    spec,
                    flow,
                    source,
                    task: myself,
                };
                let _ = self.worker.cast(WorkerMessage::Run(Box::new(assignment)));
                Ok(())
            }
            Err(failure) => self.fail(attempt.number, failure, vec![]),
        }
    }

    fn target(&self, spec: &TaskSpec) -> Result<(Arc<FlowSynced>, SourceEntry), Failure> {
        let gone = |error: DispatchError| {
            Failure::new(FailureClass::Gone, format!("{error}: it was removed here"))
        };
        let flow = self.context.catalog.flow(spec.flow_id).map_err(gone)?;
        let source = self.context.catalog.source(flow.source_id).map_err(gone)?;
        Ok((flow, source))
    }

    /// The attempt's own limit, or what is left of the task's where that is less.
    fn time_limit(&self, spec: &TaskSpec) -> TimeLimit {
        let ends_at = self.shell.state().total_ends_at();
        let left_ms = ends_at.map(|at| ms_between(self.context.clock.now(), at));
        match left_ms.filter(|left_ms| *left_ms < spec.timeout_ms) {
            Some(left_ms) => TimeLimit { ms: left_ms, of: LimitOf::Total },
            None => TimeLimit { ms: spec.timeout_ms, of: LimitOf::Attempt },
        }
    }

    async fn ended(&mut self, attempt: u32, end: RunEnd) -> Result<(), ActorProcessingErr> {
        match end {
            RunEnd::Completed { output, log } => match self.store(output).await {
                Ok(output) => {
                    self.execute(TaskCommand::Complete { attempt, output, log }).await?;
                }
                Err(failure) => return self.fail(attempt, failure, log),
            },
            RunEnd::Cancelled { remote } => {
                self.execute(TaskCommand::RecordStopped { attempt, remote }).await?;
            }
            RunEnd::Failed { failure, log } => return self.fail(attempt, failure, log),
        }
        self.settle();
        Ok(())
    }

    async fn store(&self, output: serde_json::Value) -> Result<Payload, Failure> {
        let stored = payload::store(self.context.log.as_ref(), output, self.metadata.clone()).await;
        stored.map_err(|error| {
            let message = format!("the result could not be stored: {error}");
            Failure::new(FailureClass::TooLarge, message)
        })
    }

    /// Ends this incarnation with its attempt; the next one records the failure.
    fn fail(
        &self,
        attempt: u32,
        failure: Failure,
        log: Vec<ComponentLog>,
    ) -> Result<(), ActorProcessingErr> {
        Err(Box::new(AttemptFailed { attempt, failure, log }))
    }

    async fn record_failure(
        &mut self,
        attempt: u32,
        failure: Failure,
        log: Vec<ComponentLog>,
    ) -> Result<(), ActorProcessingErr> {
        let jitter_ppm = jitter_ppm();
        self.execute(TaskCommand::Fail { attempt, failure, log, jitter_ppm }).await
    }

    /// Records that the running attempt, if there is one, will bring no result.
    async fn end_running(&mut self, failure: Failure) -> Result<(), ActorProcessingErr> {
        if let Task::Running { attempt, .. } = self.shell.state() {
            let number = attempt.number;
            self.record_failure(number, failure, vec![]).await?;
        }
        self.settle();
        Ok(())
    }

    /// After the death of the process: a background job may still be alive at the source and is
    /// taken up again with the next slot; a direct call died with the process.
    async fn boot(&mut self) -> Result<(), ActorProcessingErr> {
        if let Task::Running { attempt, spec, .. } = self.shell.state()
            && attempt.mode == CallMode::Background
        {
            self.requeue(spec, attempt.started_at, None);
            return Ok(());
        }
        let message = "Spark ended in the middle of the attempt (killed, crashed or restarted)";
        self.end_running(Failure::new(FailureClass::Interrupted, message)).await
    }

    /// Tells the supervisor where the task stands, as far as it is not running.
    fn settle(&self) {
        let message = match self.shell.state() {
            Task::Running { .. } => return,
            task @ (Task::Pending { spec, .. } | Task::Waiting { spec, .. }) => {
                let not_before = task.not_before().unwrap_or_else(|| self.context.clock.now());
                return self.requeue(spec, not_before, task.waiting_ends_at());
            }
            Task::Held { .. } => TasksMessage::Parked { id: self.id },
            Task::Absent => TasksMessage::Closed { id: self.id, end: None },
            ended => {
                let status = ended.status();
                let (task_id, position) = (self.id, self.position);
                let end = status.map(|status| TaskEnd { task_id, status, position });
                TasksMessage::Closed { id: self.id, end }
            }
        };
        // Those who wait hear of it now; the supervisor does its book-keeping afterwards.
        if let TasksMessage::Closed { end, .. } = &message {
            self.context.close_task(self.id, *end);
        }
        let _ = self.tasks.cast(message);
    }

    fn requeue(&self, spec: &TaskSpec, not_before: Timestamp, expires_at: Option<Timestamp>) {
        let (source, flow, priority) = (spec.source_id, spec.flow_id, spec.priority);
        let queued = Queued { source, flow, priority, not_before };
        let _ = self.tasks.cast(TasksMessage::Requeue { id: self.id, queued, expires_at });
    }
}

pub(crate) fn stored_input(flow: &FlowSynced) -> Option<String> {
    component::stored_input(&flow.components, flow.input_component.as_deref()).map(str::to_owned)
}

fn mode_of(source: &SourceEntry) -> CallMode {
    langflow::mode_for(&capabilities_of(source))
}

/// The metadata of what Spark does on its own account.
pub(crate) fn system_metadata() -> Metadata {
    Metadata { actor: "system".into(), ..scheduler_metadata() }
}

/// The metadata of what follows from an occurrence.
pub(crate) fn scheduler_metadata() -> Metadata {
    let id = ids::new_uuid();
    Metadata { correlation_id: id, causation_id: id, actor: "scheduler".into(), reason: None }
}
