//! A task's actor: one attempt is one incarnation. It owns the task's stream in memory and its
//! effects; every rule is in `spark_events::domain::task`.
//!
//! An attempt that fails makes this actor fail with [`AttemptFailed`]; its supervisor starts a new
//! incarnation at once, which replays the stream, records the failure and settles what follows.
//! After the death of the process the same path runs with [`Start::Boot`].

use ractor::{Actor, ActorProcessingErr, ActorRef};
use spark_events::domain::component;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::flow::FlowSynced;
use spark_events::domain::task::{
    ComponentLog, Task, TaskCommand, TaskRejection, TaskSpec, WorkerEnd,
};
use spark_events::payload::{self, Payload};
use spark_events::{Metadata, Position, TaskId, Timestamp, WorkerId, ids};

use crate::aggregate::{Executed, Patience, Shell, ShellError, waited_out};
use crate::context::{Shared, jitter_ppm};
use crate::dispatch::Queued;
use crate::error::DispatchError;
use crate::langflow::RunEnd;
use crate::remote::Receipt;
use crate::requests::{Done, TaskEnd, Terms};
use crate::tasks::TasksMessage;
use crate::telemetry;
use crate::workforce::Reach;

mod handing;
mod messages;

pub(crate) use messages::{
    AttemptFailed, ReceiptPort, Start, TaskArguments, TaskMessage, TaskReply,
};

pub(crate) struct TaskState {
    id: TaskId,
    start: Option<Start>,
    context: Shared,
    tasks: ActorRef<TasksMessage>,
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
        let TaskArguments { id, start, context, tasks } = arguments;
        let shell = Shell::new(context.log.clone(), context.clock.clone(), id.stream())
            .watched(&context.telemetry, telemetry::of_task);
        let metadata = Metadata {
            correlation_id: id.0,
            causation_id: id.0,
            actor: "system".into(),
            reason: None,
        };
        let position = Position::START;
        let start = Some(start);
        Ok(TaskState { id, start, context, tasks, shell, metadata, position })
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
        if let Task::Running { attempt, .. } = state.shell.state() {
            state.act_as(attempt.worker_id);
        }
        match start {
            Start::Granted { worker } => state.begin(worker, myself).await?,
            Start::Command { command, terms, reply } => {
                state.commanded(command, &terms, reply).await?;
            }
            Start::AttemptFailed(failed) => state.record_failure(failed).await?,
            Start::Crashed(what) => {
                state.with_worker(|reach, id| reach.abort(id));
                let message = format!("the attempt's actor crashed: {what}");
                state.end_running(Failure::new(FailureClass::Crashed, message)).await?;
            }
            Start::Boot => state.boot(myself).await?,
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
            TaskMessage::Granted { worker } => state.begin(worker, myself).await?,
            TaskMessage::Create { spec, metadata, reply } => {
                let command = TaskCommand::Create(spec);
                state.command(command, &metadata.into(), reply).await;
            }
            TaskMessage::Command { command, terms, reply } => {
                state.commanded(command, &terms, reply).await?;
            }
            TaskMessage::Submitted { attempt, job_id, reply } => {
                let recorded = state.execute(TaskCommand::RecordJob { attempt, job_id }).await?;
                reply.give(recorded);
            }
            TaskMessage::Ended { attempt, end, reply } => {
                state.ended(attempt, *end, reply).await?;
            }
            TaskMessage::Released { attempt, reply } => {
                state.hand_over(Some(attempt), WorkerEnd::Left, Some(reply))?;
            }
            TaskMessage::NeverArrived { attempt } => state.hand_again(attempt, myself)?,
            TaskMessage::WorkerGone { worker, end, arrived } => {
                state.worker_gone(worker, end, arrived)?;
            }
        }
        Ok(())
    }
}

impl TaskState {
    /// Executes a command that must happen. A rejection means that the world has moved on (a late
    /// answer, a second incarnation): it is logged and changes nothing.
    async fn execute(&mut self, command: TaskCommand) -> Result<Receipt, ActorProcessingErr> {
        match self.shell.execute(command, &self.metadata, Patience::WaitOut).await {
            Ok(executed) => {
                self.note(&executed);
                Ok(Receipt::Recorded)
            }
            Err(TaskError::Rejected(why)) => {
                tracing::debug!(task = %self.id, %why, "a task passed over a late command");
                Ok(Receipt::Stale)
            }
            Err(error) => Err(Box::new(error)),
        }
    }

    /// What it does on its own account from now on is said to be this worker's doing.
    fn act_as(&mut self, worker: WorkerId) {
        self.metadata.actor = format!("worker:{worker}").into();
    }

    /// Tells the worker of the running attempt something, if both are there.
    fn with_worker(&self, tell: impl FnOnce(Reach, TaskId)) {
        if let Task::Running { attempt, .. } = self.shell.state()
            && let Some(reach) = self.context.workers.reach(attempt.worker_id)
        {
            tell(reach, self.id);
        }
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

    async fn commanded(
        &mut self,
        command: TaskCommand,
        terms: &Terms,
        reply: Option<TaskReply>,
    ) -> Result<(), ActorProcessingErr> {
        if matches!((&command, self.shell.state()), (TaskCommand::Expire, Task::Running { .. })) {
            return self.expire_unfollowed().await;
        }
        self.command(command, terms, reply).await;
        Ok(())
    }

    async fn command(&mut self, command: TaskCommand, terms: &Terms, reply: Option<TaskReply>) {
        let patience = if reply.is_some() { Patience::FailFast } else { Patience::WaitOut };
        let runs_at = match self.shell.state() {
            Task::Running { attempt, .. } => self.context.workers.reach(attempt.worker_id),
            _ => None,
        };
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
                if let Some(reach) = runs_at.filter(|_| attempt.cancel_requested) {
                    reach.cancel(self.id);
                }
            }
            // It stands in the queue already, or was just given its slot.
            Task::Pending { .. } | Task::Waiting { .. } if !moved => {}
            _ => {
                if let Some(reach) = runs_at {
                    reach.abort(self.id);
                }
                self.settle();
            }
        }
    }

    async fn ended(
        &mut self,
        attempt: u32,
        end: RunEnd,
        reply: Option<ReceiptPort>,
    ) -> Result<(), ActorProcessingErr> {
        let is_late = !matches!(
            self.shell.state(),
            Task::Running { attempt: running, .. } if running.number == attempt
        );
        if is_late {
            tracing::debug!(task = %self.id, attempt, "a task passed over a late answer");
            return answer(reply, Receipt::Stale);
        }
        let receipt = match end {
            RunEnd::Completed { output, log } => match self.store(output).await {
                Ok(output) => self.execute(TaskCommand::Complete { attempt, output, log }).await?,
                Err(failure) => return fail(attempt, failure, log, reply),
            },
            RunEnd::Cancelled { remote } => {
                self.execute(TaskCommand::RecordStopped { attempt, remote }).await?
            }
            RunEnd::Failed { failure, log } => return fail(attempt, failure, log, reply),
        };
        self.settle();
        answer(reply, receipt)
    }

    async fn store(&self, output: serde_json::Value) -> Result<Payload, Failure> {
        // Most results are small, and need no copy for another try.
        let output = match Payload::inline(output) {
            Ok(payload) => return Ok(payload),
            Err(output) => output,
        };
        let log = self.context.log.as_ref();
        let stored = waited_out(&self.id.stream(), || async {
            Ok(payload::store(log, output.clone(), self.metadata.clone()).await?)
        })
        .await;
        stored.map_err(|error| {
            let message = format!("the result could not be stored: {error}");
            Failure::new(FailureClass::TooLarge, message)
        })
    }

    async fn record_failure(&mut self, failed: AttemptFailed) -> Result<(), ActorProcessingErr> {
        let AttemptFailed { attempt, failure, log, reply } = failed;
        let jitter_ppm = jitter_ppm();
        let receipt = self.execute(TaskCommand::Fail { attempt, failure, log, jitter_ppm }).await?;
        self.settle();
        answer(reply, receipt)
    }

    /// Records that the running attempt, if there is one, will bring no result.
    async fn end_running(&mut self, failure: Failure) -> Result<(), ActorProcessingErr> {
        let Task::Running { attempt, .. } = self.shell.state() else {
            self.settle();
            return Ok(());
        };
        let attempt = attempt.number;
        self.record_failure(AttemptFailed { attempt, failure, log: vec![], reply: None }).await
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

/// Tells whoever reported something what became of that.
fn answer(reply: Option<ReceiptPort>, receipt: Receipt) -> Result<(), ActorProcessingErr> {
    if let Some(reply) = reply {
        reply.give(receipt);
    }
    Ok(())
}

/// Ends an incarnation with its attempt; the next one records the failure, and then tells whoever
/// reported it.
fn fail(
    attempt: u32,
    failure: Failure,
    log: Vec<ComponentLog>,
    reply: Option<ReceiptPort>,
) -> Result<(), ActorProcessingErr> {
    Err(Box::new(AttemptFailed { attempt, failure, log, reply }))
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
