//! A schedule's actor: timers and effects around a `Schedule`. Every rule is in
//! `spark_events::domain::schedule`.
//!
//! It lives while it has something to do soon; otherwise its supervisor keeps a [`Dormant`] note
//! of a few bytes, from which it comes back with one read.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use spark_events::clock::ms_between;
use spark_events::codec::DomainEvent;
use spark_events::domain::schedule::{
    Schedule, ScheduleCommand, ScheduleEvent, ScheduleRejection, ScheduleSpec,
};
use spark_events::domain::task::{TaskSpec, Trigger};
use spark_events::limits::LOG_RETRY_MS_MAX;
use spark_events::log::Direction;
use spark_events::{Metadata, Revision, ScheduleId, TaskId, Timestamp};
use tokio::task::AbortHandle;

use crate::aggregate::{Executed, Patience, Shell, ShellError};
use crate::context::Shared;
use crate::error::DispatchError;
use crate::requests::Done;
use crate::schedules::SchedulesMessage;
use crate::task::scheduler_metadata;
use crate::tasks::TasksMessage;

/// An actor whose next instant is further away than this is passivated.
const STAY_MS: u64 = 5_000;

/// The answer to a command about a schedule.
pub(crate) type ScheduleReply = RpcReplyPort<Result<Done<()>, DispatchError>>;

/// What is kept of a schedule without an actor: enough to bring it back with one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dormant {
    /// The revision that this note stands for.
    pub(crate) revision: Revision,
    /// Its stage.
    pub(crate) stage: Stage,
}

/// The part of a schedule's state that is not in its first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has a next instant.
    Active { next_due_at: Timestamp },
    /// It waits to be resumed.
    Paused { since: Timestamp },
    /// It has fired its last occurrence.
    Completed,
}

impl Stage {
    /// The stage of a state, `None` for one that is absent or deleted.
    pub(crate) fn of(state: &Schedule) -> Option<Self> {
        match state {
            Schedule::Active { next_due_at, .. } => {
                Some(Self::Active { next_due_at: *next_due_at })
            }
            Schedule::Paused { since, .. } => Some(Self::Paused { since: *since }),
            Schedule::Completed { .. } => Some(Self::Completed),
            Schedule::Absent | Schedule::Deleted => None,
        }
    }

    fn with(self, spec: ScheduleSpec) -> Schedule {
        let spec = Box::new(spec);
        match self {
            Self::Active { next_due_at } => Schedule::Active { spec, next_due_at },
            Self::Paused { since } => Schedule::Paused { spec, since },
            Self::Completed => Schedule::Completed { spec },
        }
    }
}

/// What a schedule's actor is told.
pub(crate) enum ScheduleMessage {
    /// Do this for somebody who waits.
    Execute { command: ScheduleCommand, metadata: Metadata, reply: ScheduleReply },
    /// Its instant has come, or may have: the supervisor's timetable says so.
    Wake,
    /// The same, from its own timer.
    Ring,
    /// A task that was fired before the process died may not have been created.
    HandOver { task_id: TaskId, due_at: Option<Timestamp> },
}

pub(crate) struct ScheduleArguments {
    pub(crate) id: ScheduleId,
    pub(crate) dormant: Option<Dormant>,
    pub(crate) context: Shared,
    pub(crate) schedules: ActorRef<SchedulesMessage>,
    pub(crate) tasks: ActorRef<TasksMessage>,
}

pub(crate) struct ScheduleState {
    id: ScheduleId,
    dormant: Option<Dormant>,
    context: Shared,
    schedules: ActorRef<SchedulesMessage>,
    tasks: ActorRef<TasksMessage>,
    shell: Shell<Schedule>,
    timer: Option<AbortHandle>,
    /// Messages of the supervisor handled so far.
    handled: u64,
}

pub(crate) struct ScheduleActor;

type ScheduleError = ShellError<ScheduleRejection>;

impl Actor for ScheduleActor {
    type Msg = ScheduleMessage;
    type State = ScheduleState;
    type Arguments = ScheduleArguments;

    async fn pre_start(
        &self,
        _: ActorRef<ScheduleMessage>,
        arguments: ScheduleArguments,
    ) -> Result<ScheduleState, ActorProcessingErr> {
        let ScheduleArguments { id, dormant, context, schedules, tasks } = arguments;
        let shell = Shell::new(context.log.clone(), context.clock.clone(), id.stream());
        Ok(ScheduleState { id, dormant, context, schedules, tasks, shell, timer: None, handled: 0 })
    }

    async fn post_start(
        &self,
        _: ActorRef<ScheduleMessage>,
        state: &mut ScheduleState,
    ) -> Result<(), ActorProcessingErr> {
        state.recover().await
    }

    async fn handle(
        &self,
        myself: ActorRef<ScheduleMessage>,
        message: ScheduleMessage,
        state: &mut ScheduleState,
    ) -> Result<(), ActorProcessingErr> {
        if !matches!(message, ScheduleMessage::Ring) {
            state.handled += 1;
        }
        match message {
            ScheduleMessage::Execute { command, metadata, reply } => {
                state.execute(command, &metadata, reply).await;
            }
            ScheduleMessage::Wake | ScheduleMessage::Ring => state.wake().await?,
            ScheduleMessage::HandOver { task_id, due_at } => {
                let trigger = match due_at {
                    Some(due_at) => Trigger::Occurrence { schedule_id: state.id, due_at },
                    None => Trigger::ScheduleTriggered { schedule_id: state.id },
                };
                state.submit(task_id, trigger, scheduler_metadata());
            }
        }
        state.arm(&myself);
        Ok(())
    }
}

impl ScheduleState {
    /// Brings the state back: one read of the first event where a note is at hand, else a replay
    /// of the stream.
    async fn recover(&mut self) -> Result<(), ActorProcessingErr> {
        if let Some(dormant) = self.dormant.take()
            && let Some(spec) = self.first_event().await?
        {
            let shell =
                Shell::new(self.context.log.clone(), self.context.clock.clone(), self.id.stream());
            // Events beyond the note's revision are found by the first append's conflict.
            self.shell = shell.known(dormant.stage.with(spec), dormant.revision);
            return Ok(());
        }
        self.shell.recover(Patience::WaitOut).await?;
        Ok(())
    }

    async fn first_event(&self) -> Result<Option<ScheduleSpec>, ActorProcessingErr> {
        let stream = self.id.stream();
        loop {
            let read = self.context.log.read_stream(&stream, None, Direction::Forward, 1).await;
            match read {
                Ok(events) => {
                    let Some(event) = events.first() else { return Ok(None) };
                    return Ok(match ScheduleEvent::from_recorded(event)? {
                        ScheduleEvent::Created(created) => Some(created.spec),
                        _ => None,
                    });
                }
                Err(error) if error.is_retryable() => {
                    tracing::warn!(schedule = %self.id, %error, "waiting for the event log");
                    tokio::time::sleep(Duration::from_millis(LOG_RETRY_MS_MAX)).await;
                }
                Err(error) => return Err(Box::new(error)),
            }
        }
    }

    async fn execute(
        &mut self,
        command: ScheduleCommand,
        metadata: &Metadata,
        reply: ScheduleReply,
    ) {
        let result = self.shell.execute(command, metadata, Patience::FailFast).await;
        let unsure = matches!(&result, Err(ScheduleError::Log(error)) if error.is_retryable());
        if let Ok(executed) = &result {
            self.effects(executed, metadata);
        }
        let result = result
            .map(|executed| Done { value: (), position: executed.position })
            .map_err(|error| DispatchError::of(error, "schedule", self.id));
        let _ = reply.send(result);
        if unsure && self.shell.recover(Patience::WaitOut).await.is_err() {
            tracing::error!(schedule = %self.id, "a schedule in doubt cannot be read");
        }
    }

    /// Deals with the instants that are due, a bounded number of them; where more are, the timer
    /// rings again at once.
    async fn wake(&mut self) -> Result<(), ActorProcessingErr> {
        let metadata = scheduler_metadata();
        let open = self.context.open_tasks.of_schedule(self.id);
        let command = ScheduleCommand::Wake { id: self.id, open };
        let executed = self.shell.execute(command, &metadata, Patience::WaitOut).await?;
        self.effects(&executed, &metadata);
        Ok(())
    }

    /// What follows from new events: tasks. Runs only after they are durable.
    fn effects(&self, executed: &Executed<ScheduleEvent>, metadata: &Metadata) {
        for event in &executed.events {
            let (task_id, trigger) = match event {
                ScheduleEvent::Fired(e) => {
                    let (schedule_id, due_at) = (self.id, e.due_at);
                    (e.task_id, Trigger::Occurrence { schedule_id, due_at })
                }
                ScheduleEvent::Triggered(e) => {
                    (e.task_id, Trigger::ScheduleTriggered { schedule_id: self.id })
                }
                ScheduleEvent::Created(_)
                | ScheduleEvent::Skipped(_)
                | ScheduleEvent::Paused(_)
                | ScheduleEvent::Resumed(_)
                | ScheduleEvent::Completed(_)
                | ScheduleEvent::Deleted(_) => continue,
            };
            self.submit(task_id, trigger, metadata.clone());
        }
    }

    /// Hands a fired task over. A repeat is harmless: its id follows from schedule and instant.
    fn submit(&self, task_id: TaskId, trigger: Trigger, metadata: Metadata) {
        let Some(spec) = self.shell.state().spec() else { return };
        if let Err(error) = self.context.open_tasks.open(task_id, Some(self.id)) {
            // The fired event is durable; the next start of the process hands it over again.
            tracing::error!(schedule = %self.id, task = %task_id, %error, "a fired task must wait");
            return;
        }
        let spec = Box::new(TaskSpec {
            flow_id: spec.flow_id,
            source_id: spec.source_id,
            input: spec.input.clone(),
            tweaks: spec.tweaks.clone(),
            trigger,
            retry: spec.retry.clone(),
            timeout_ms: spec.timeout_ms,
            priority: 0,
            queue_timeout_ms: None,
            total_timeout_ms: None,
            definition: None,
            held: false,
            created_at: None,
        });
        let message = TasksMessage::Create { id: task_id, spec, metadata, reply: None };
        let _ = self.tasks.cast(message);
    }

    /// Arms the one-shot timer for an instant that is near, or offers to be passivated.
    fn arm(&mut self, myself: &ActorRef<ScheduleMessage>) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        let next_due_at = self.shell.state().next_due_at();
        let wait_ms = next_due_at.map(|at| ms_until(self.context.clock.now(), at));
        match wait_ms {
            Some(wait_ms) if wait_ms <= STAY_MS => {
                let wait = Duration::from_millis(wait_ms);
                self.timer = Some(myself.send_after(wait, || ScheduleMessage::Ring).abort_handle());
            }
            Some(_) | None => {
                let dormant = Stage::of(self.shell.state())
                    .zip(self.shell.revision())
                    .map(|(stage, revision)| Dormant { revision, stage });
                let (id, handled) = (self.id, self.handled);
                let _ = self.schedules.cast(SchedulesMessage::Idle { id, dormant, handled });
            }
        }
    }
}

/// Whole milliseconds until an instant, rounded up, so that a timer never rings before it.
pub(crate) fn ms_until(now: Timestamp, at: Timestamp) -> u64 {
    if at <= now { 0 } else { ms_between(now, at) + 1 }
}
