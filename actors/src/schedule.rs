//! A schedule's actor: timers and effects around a `Schedule`. Every rule is in
//! `spark_events::domain::schedule`.
//!
//! It lives while it has something to do soon; otherwise its supervisor keeps a [`Dormant`] note
//! of a few bytes, from which it comes back with one read.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use spark_events::clock::ms_between;
use spark_events::codec::DomainEvent;
use spark_events::domain::overlap::Stop;
use spark_events::domain::schedule::{
    Drifted, Live, OnDrift, Progress, Schedule, ScheduleCommand, ScheduleEvent, ScheduleRejection,
    ScheduleSpec, Stage,
};
use spark_events::domain::task::{TaskEvent, TaskSpec, TaskStatus, Trigger};
use spark_events::limits::{LOG_RETRY_MS_MAX, READ_EVENTS_MAX, WAKE_EVENTS_MAX};
use spark_events::log::Direction;
use spark_events::{
    Aggregate, CodecError, LogError, Metadata, RecordedEvent, Revision, ScheduleId, TaskId,
    Timestamp,
};
use tokio::task::AbortHandle;

use crate::aggregate::{Executed, Patience, Shell, ShellError};
use crate::context::Shared;
use crate::error::DispatchError;
use crate::flows::drift;
use crate::open_tasks::Owner;
use crate::requests::{Done, Terms};
use crate::schedules::SchedulesMessage;
use crate::task::scheduler_metadata;
use crate::tasks::TasksMessage;
use crate::telemetry;

/// An actor whose next instant is further away than this is passivated.
const STAY_MS: u64 = 5_000;
/// Passes of one wake; what is left is dealt with when the timer rings again, at once.
const PASSES_MAX: usize = 50;

/// The answer to a command about a schedule: what happened.
pub(crate) type ScheduleReply = RpcReplyPort<Result<Done<Vec<ScheduleEvent>>, DispatchError>>;

/// What is kept of a schedule without an actor: enough to bring it back with one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dormant {
    /// The revision that this note stands for.
    pub(crate) revision: Revision,
    /// The event that holds the specification in force.
    pub(crate) spec_revision: Revision,
    /// Its stage.
    pub(crate) stage: Stage,
    /// Whether it counts the failures of its tasks.
    pub(crate) counts_ends: bool,
    /// What has come of it so far.
    pub(crate) progress: Progress,
}

/// What a schedule's actor is told.
pub(crate) enum ScheduleMessage {
    /// Do this for somebody who waits.
    Execute { command: ScheduleCommand, terms: Terms, reply: ScheduleReply },
    /// Its instant has come, or may have: the supervisor's timetable says so.
    Wake,
    /// The same, from its own timer.
    Ring,
    /// A task of it is open no more.
    TaskClosed { task_id: TaskId, status: Option<TaskStatus> },
    /// A task that was fired before the process died may not have been created.
    HandOver { task_id: TaskId, trigger: Trigger },
}

pub(crate) struct ScheduleArguments {
    pub(crate) id: ScheduleId,
    pub(crate) dormant: Option<Box<Dormant>>,
    pub(crate) context: Shared,
    pub(crate) schedules: ActorRef<SchedulesMessage>,
    pub(crate) tasks: ActorRef<TasksMessage>,
}

pub(crate) struct ScheduleState {
    id: ScheduleId,
    dormant: Option<Box<Dormant>>,
    context: Shared,
    schedules: ActorRef<SchedulesMessage>,
    tasks: ActorRef<TasksMessage>,
    shell: Shell<Schedule>,
    /// The event that holds the specification in force.
    spec_revision: Revision,
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
        let shell = new_shell(&context, id);
        let (spec_revision, timer, handled) = (Revision(0), None, 0);
        Ok(ScheduleState {
            id,
            dormant,
            context,
            schedules,
            tasks,
            shell,
            spec_revision,
            timer,
            handled,
        })
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
            // Whoever asked was told that it may not have happened, and has left: so it does not.
            ScheduleMessage::Execute { reply, .. } if reply.is_closed() => {}
            ScheduleMessage::Execute { command, terms, reply } => {
                state.execute(command, &terms, reply).await?;
            }
            ScheduleMessage::Wake | ScheduleMessage::Ring => _ = state.wake().await?,
            ScheduleMessage::TaskClosed { task_id, status } => {
                state.task_closed(task_id, status).await?;
            }
            ScheduleMessage::HandOver { task_id, trigger } => {
                state.submit(task_id, trigger, scheduler_metadata());
            }
        }
        state.arm(&myself);
        Ok(())
    }
}

fn new_shell(context: &Shared, id: ScheduleId) -> Shell<Schedule> {
    Shell::new(context.log.clone(), context.clock.clone(), id.stream())
        .watched(&context.telemetry, telemetry::of_schedule)
}

impl ScheduleState {
    fn fresh_shell(&self) -> Shell<Schedule> {
        new_shell(&self.context, self.id)
    }

    fn live(&self) -> Option<&Live> {
        self.shell.state().live()
    }

    /// Brings the state back: one read of the specification where a note is at hand, else a replay
    /// of the stream.
    async fn recover(&mut self) -> Result<(), ActorProcessingErr> {
        let Some(dormant) = self.dormant.take() else { return self.replay().await };
        let found = self.read(dormant.spec_revision, 1).await?;
        let Some(spec) = found.first().map(spec_of).transpose()?.flatten() else {
            return self.replay().await;
        };
        let Dormant { revision, spec_revision, stage, progress, .. } = *dormant;
        self.spec_revision = spec_revision;
        let live = Live { spec, stage, progress };
        // Events beyond the note's revision are found by the first append's conflict.
        self.shell = self.fresh_shell().known(Schedule::Live(Box::new(live)), revision);
        Ok(())
    }

    /// Reads the whole stream.
    async fn replay(&mut self) -> Result<(), ActorProcessingErr> {
        let (mut state, mut last) = (Schedule::default(), None);
        loop {
            let from = last.map_or(Revision(0), |Revision(last)| Revision(last + 1));
            let events = self.read(from, READ_EVENTS_MAX).await?;
            for recorded in &events {
                let event = ScheduleEvent::from_recorded(recorded)?;
                if matches!(event, ScheduleEvent::Created(_) | ScheduleEvent::Edited(_)) {
                    self.spec_revision = recorded.revision;
                }
                state = state.evolve(&event);
                last = Some(recorded.revision);
            }
            if events.len() < READ_EVENTS_MAX {
                break;
            }
        }
        self.shell = match last {
            Some(revision) => self.fresh_shell().known(state, revision),
            None => self.fresh_shell(),
        };
        Ok(())
    }

    /// Reads events of the stream, and waits while the log is away. A missing stream is empty.
    async fn read(
        &self,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ActorProcessingErr> {
        let stream = self.id.stream();
        loop {
            let log = &self.context.log;
            match log.read_stream(&stream, Some(from), Direction::Forward, limit).await {
                Ok(events) => return Ok(events),
                Err(LogError::StreamNotFound(_)) => return Ok(vec![]),
                Err(error) if error.is_retryable() => {
                    tracing::warn!(schedule = %self.id, %error, "waiting for the event log");
                    tokio::time::sleep(Duration::from_millis(LOG_RETRY_MS_MAX)).await;
                }
                Err(error) => return Err(Box::new(error)),
            }
        }
    }

    /// Where the specification in force is, looked for from the end of the stream.
    async fn find_spec(&self) -> Result<Revision, ScheduleError> {
        let (stream, log) = (self.id.stream(), &self.context.log);
        let mut from = None;
        loop {
            let events =
                log.read_stream(&stream, from, Direction::Backward, READ_EVENTS_MAX).await?;
            for event in &events {
                if spec_of(event)?.is_some() {
                    return Ok(event.revision);
                }
            }
            match events.last() {
                Some(last) if last.revision.0 > 0 => from = Some(Revision(last.revision.0 - 1)),
                _ => return Ok(Revision(0)),
            }
        }
    }

    async fn execute(
        &mut self,
        command: ScheduleCommand,
        terms: &Terms,
        reply: ScheduleReply,
    ) -> Result<(), ActorProcessingErr> {
        // Looked at before the due instants, which move the revision and are nobody's change.
        // Nobody else writes to the stream meanwhile: this actor does one thing at a time.
        if let Err(moved) = self.shell.check(terms.expects) {
            let _ = reply.send(Err(DispatchError::of(moved, "schedule", self.id)));
            return Ok(());
        }
        // What is due already is dealt with by the rules that were in force when it came due.
        // Not what comes due meanwhile: each wake may ask the source first, which takes its time.
        let now = self.context.clock.now();
        while self.is_due(now) && self.wake().await? {}
        let result = self.run(command, &terms.metadata, Patience::FailFast).await;
        let unsure = matches!(&result, Err(ScheduleError::Log(error)) if error.is_retryable());
        let result = result
            .map(|executed| Done { value: executed.events, position: executed.position })
            .map_err(|error| DispatchError::of(error, "schedule", self.id));
        let happened = result.is_ok();
        let _ = reply.send(result);
        if unsure {
            self.replay().await?;
        }
        if happened && self.live().is_some_and(|live| live.progress.waits()) {
            self.wake().await?;
        }
        Ok(())
    }

    /// Executes a command, keeps track of the specification, and does what follows.
    async fn run(
        &mut self,
        command: ScheduleCommand,
        metadata: &Metadata,
        patience: Patience,
    ) -> Result<Executed<ScheduleEvent>, ScheduleError> {
        let before = self.shell.revision();
        let executed = self.shell.execute(command, metadata, patience).await?;
        if let Some(Revision(last)) = self.shell.revision() {
            let count = executed.events.len() as u64;
            let first = (last + 1).saturating_sub(count);
            let is_spec = |event: &ScheduleEvent| {
                matches!(event, ScheduleEvent::Created(_) | ScheduleEvent::Edited(_))
            };
            if let Some(place) = executed.events.iter().position(is_spec) {
                self.spec_revision = Revision(first + place as u64);
            } else if before.is_some_and(|Revision(before)| before + 1 != first) && count > 0 {
                // Somebody else has written to the stream; the specification may be another one.
                self.spec_revision = self.find_spec().await?;
            }
        }
        self.effects(&executed, metadata);
        Ok(executed)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.shell.state().next().is_some_and(|next| next.starts_at <= now)
    }

    /// Deals with the instants that are due and the starts that wait, a bounded number of them;
    /// where more are, the timer rings again at once. Says whether anything was recorded.
    async fn wake(&mut self) -> Result<bool, ActorProcessingErr> {
        let metadata = scheduler_metadata();
        let drift = self.drift().await;
        let mut recorded = false;
        for _ in 0..PASSES_MAX {
            let open = self.context.open_tasks.of_schedule(self.id);
            let command = ScheduleCommand::Wake { id: self.id, open, drift: drift.clone() };
            let executed = self.run(command, &metadata, Patience::WaitOut).await?;
            recorded |= !executed.events.is_empty();
            if executed.events.len() < WAKE_EVENTS_MAX {
                break;
            }
        }
        self.make_room(&metadata);
        Ok(recorded)
    }

    /// What the source has in place of the flow, where the schedule holds in that case and has
    /// something to start.
    async fn drift(&self) -> Option<Drifted> {
        let live = self.live().filter(|live| live.spec.on_drift == OnDrift::Hold)?;
        if !self.is_due(self.context.clock.now()) && live.progress.waiting.is_empty() {
            return None;
        }
        let flow = live.spec.flow_id;
        // Where the source cannot be asked, what is known from before counts.
        let drift = match drift::check_drift(&self.context, flow).await {
            Ok(drift) => drift,
            Err(error) => {
                tracing::debug!(schedule = %self.id, %error, "the flow could not be compared");
                self.context.catalog.drift(flow)
            }
        };
        drift.map(|drift| Drifted { remote_hash: drift.remote.hash().map(str::to_owned) })
    }

    /// Stops what is open where a start waits for that.
    fn make_room(&self, metadata: &Metadata) {
        let Some(stop) = self.shell.state().stop() else { return };
        let reason = match stop {
            Stop::Cancel => "its schedule starts the next one (CancelOther)",
            Stop::Terminate => "its schedule starts the next one (TerminateOther)",
        };
        for id in self.context.open_tasks.ids_of_schedule(self.id) {
            let metadata = Metadata { reason: Some(reason.into()), ..metadata.clone() };
            let force = stop == Stop::Terminate;
            let _ = self.tasks.cast(TasksMessage::Stop { id, force, metadata });
        }
    }

    /// Counts the end of a task where that is asked for, and starts what waited for it.
    async fn task_closed(
        &mut self,
        task_id: TaskId,
        status: Option<TaskStatus>,
    ) -> Result<(), ActorProcessingErr> {
        let counts = self.live().is_some_and(|live| live.spec.pause_after.is_some());
        if let Some(status) = status.filter(|_| counts) {
            let message = match status {
                TaskStatus::Failed => self.last_failure(task_id).await,
                _ => None,
            };
            let command = ScheduleCommand::CountEnd { task_id, status, message };
            self.run(command, &scheduler_metadata(), Patience::WaitOut).await?;
        }
        if self.live().is_some_and(|live| live.progress.waits()) {
            self.wake().await?;
        }
        Ok(())
    }

    /// What a failed task said last; nothing where it cannot be read just now.
    async fn last_failure(&self, task_id: TaskId) -> Option<String> {
        let stream = task_id.stream();
        let read = self.context.log.read_stream(&stream, None, Direction::Backward, 1).await;
        match TaskEvent::from_recorded(read.ok()?.first()?).ok()? {
            TaskEvent::Failed(failed) => Some(failed.failure.to_string()),
            _ => None,
        }
    }

    /// What follows from new events: tasks. Runs only after they are durable.
    fn effects(&self, executed: &Executed<ScheduleEvent>, metadata: &Metadata) {
        let schedule_id = self.id;
        for event in &executed.events {
            let (task_id, trigger) = match event {
                ScheduleEvent::Fired(e) => {
                    (e.task_id, Trigger::Occurrence { schedule_id, due_at: e.due_at })
                }
                ScheduleEvent::Triggered(e) => {
                    (e.task_id, Trigger::ScheduleTriggered { schedule_id })
                }
                ScheduleEvent::Backfilled(e) => {
                    let (due_at, number) = (e.due_at, e.number);
                    (e.task_id, Trigger::Backfill { schedule_id, due_at, number })
                }
                _ => continue,
            };
            self.submit(task_id, trigger, metadata.clone());
        }
    }

    /// Hands a fired task over. A repeat is harmless: its id follows from schedule and instant.
    fn submit(&self, task_id: TaskId, trigger: Trigger, metadata: Metadata) {
        let Some(spec) = self.shell.state().spec() else { return };
        if let Err(error) = self.context.open_tasks.open(task_id, Owner::of(&trigger)) {
            // The fired event is durable; the next start of the process hands it over again.
            tracing::error!(schedule = %self.id, task = %task_id, %error, "a fired task must wait");
            return;
        }
        let spec = Box::new(task_spec(spec, trigger));
        let message = TasksMessage::Create { id: task_id, spec, metadata, reply: None };
        let _ = self.tasks.cast(message);
    }

    /// Arms the one-shot timer for an instant that is near, or offers to be passivated.
    fn arm(&mut self, myself: &ActorRef<ScheduleMessage>) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        let starts_at = self.shell.state().next().map(|next| next.starts_at);
        let wait_ms = starts_at.map(|at| ms_until(self.context.clock.now(), at));
        match wait_ms {
            Some(wait_ms) if wait_ms <= STAY_MS => {
                let wait = Duration::from_millis(wait_ms);
                self.timer = Some(myself.send_after(wait, || ScheduleMessage::Ring).abort_handle());
            }
            Some(_) | None => {
                let (id, handled) = (self.id, self.handled);
                let dormant = self.dormant();
                let _ = self.schedules.cast(SchedulesMessage::Idle { id, dormant, handled });
            }
        }
    }

    /// The note from which it comes back; `None` for one that is gone.
    fn dormant(&self) -> Option<Box<Dormant>> {
        let (live, revision) = self.live().zip(self.shell.revision())?;
        Some(Box::new(Dormant {
            revision,
            spec_revision: self.spec_revision,
            stage: live.stage,
            counts_ends: live.spec.pause_after.is_some(),
            progress: live.progress.clone(),
        }))
    }
}

/// The specification that an event holds.
fn spec_of(recorded: &RecordedEvent) -> Result<Option<ScheduleSpec>, CodecError> {
    Ok(match ScheduleEvent::from_recorded(recorded)? {
        ScheduleEvent::Created(created) => Some(created.spec),
        ScheduleEvent::Edited(edited) => Some(edited.spec),
        _ => None,
    })
}

/// What a task of a schedule is to do.
fn task_spec(spec: &ScheduleSpec, trigger: Trigger) -> TaskSpec {
    TaskSpec {
        flow_id: spec.flow_id,
        source_id: spec.source_id,
        input: spec.input.clone(),
        tweaks: spec.tweaks.clone(),
        trigger,
        retry: spec.retry.clone(),
        timeout_ms: spec.timeout_ms,
        priority: spec.priority.unwrap_or_default(),
        queue_timeout_ms: spec.queue_timeout_ms,
        total_timeout_ms: spec.total_timeout_ms,
        definition: None,
        held: false,
        created_at: None,
    }
}

/// Whole milliseconds until an instant, rounded up, so that a timer never rings before it.
pub(crate) fn ms_until(now: Timestamp, at: Timestamp) -> u64 {
    if at <= now { 0 } else { ms_between(now, at) + 1 }
}
