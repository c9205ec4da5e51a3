//! The supervisor of all tasks: who is alive, who waits for a slot, who gets the next one.
//! Restarts failed incarnations at once, crashed ones after a pause.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use spark_events::clock::ms_between;
use spark_events::domain::labels::Labels;
use spark_events::domain::task::{TaskCommand, TaskSpec, WorkerEnd};
use spark_events::limits::{LIVE_TASK_ACTORS_MAX, TIMER_AHEAD_MS_MAX};
use spark_events::{FlowId, Metadata, SourceId, TaskId, Timestamp, WorkerId};
use tokio::task::AbortHandle;

use crate::context::Shared;
use crate::deadlines::Deadlines;
use crate::dispatch::{Depths, Desk, Dispatcher, Queued};
use crate::requests::{TaskEnd, Terms};
use crate::supervision::Children;
use crate::task::{
    AttemptFailed, Start, TaskActor, TaskArguments, TaskMessage, TaskReply, system_metadata,
};

/// What the supervisor is told.
pub(crate) enum TasksMessage {
    /// Make a task. Without a reply port nobody waits, and an outage of the log is waited out.
    Create { id: TaskId, spec: Box<TaskSpec>, metadata: Metadata, reply: Option<TaskReply> },
    /// Cancel, terminate, release or delete a task. Without a reply port nobody waits.
    Command { id: TaskId, command: TaskCommand, terms: Terms, reply: Option<TaskReply> },
    /// Stop a task, forced or not, for somebody who does not wait for the answer.
    Stop { id: TaskId, force: bool, metadata: Metadata },
    /// An open task wants a slot, unless it expires before.
    Requeue { id: TaskId, queued: Queued, expires_at: Option<Timestamp> },
    /// A task is held: it wants no slot before somebody releases it.
    Parked { id: TaskId },
    /// A task has ended, or never came to be.
    Closed { id: TaskId, end: Option<TaskEnd> },
    /// A task had an attempt under way when the process died; `at` which worker of another process,
    /// where that is there, so that it may be making the call still.
    Boot { id: TaskId, at: Option<(WorkerId, Queued)> },
    /// A crashed task is to be started again.
    Respawn { id: TaskId, what: String },
    /// A source's limit of runs at once, and what a worker must have to make its calls.
    SetSource { source: SourceId, runs_max: u32, labels: Labels },
    /// What is known of a worker.
    SetWorker { id: WorkerId, desk: Desk },
    /// A worker is gone, and this is how it left what it had. `arrived` are the tasks whose attempts
    /// may have reached it; all of its tasks where that is not known.
    DropWorker { id: WorkerId, end: WorkerEnd, arrived: Option<HashSet<TaskId>> },
    /// A flow's limit of runs at once; `None` for no limit of its own.
    SetFlowLimit { flow: FlowId, runs_max: Option<u32> },
    /// The next waiting task is ripe.
    Ripe,
    /// How many tasks wait.
    Depths(RpcReplyPort<Depths>),
    /// Give no more slots.
    Quiesce(RpcReplyPort<()>),
}

pub(crate) struct TasksArguments {
    pub(crate) context: Shared,
}

pub(crate) struct TasksState {
    context: Shared,
    children: Children<TaskId, TaskMessage>,
    queue: Dispatcher,
    deadlines: Deadlines,
    timer: Option<AbortHandle>,
    quiescing: bool,
}

pub(crate) struct TasksSupervisor;

impl Actor for TasksSupervisor {
    type Msg = TasksMessage;
    type State = TasksState;
    type Arguments = TasksArguments;

    async fn pre_start(
        &self,
        _: ActorRef<TasksMessage>,
        arguments: TasksArguments,
    ) -> Result<TasksState, ActorProcessingErr> {
        let TasksArguments { context } = arguments;
        let queue = Dispatcher::new();
        let children = Children::default();
        let deadlines = Deadlines::default();
        let (timer, quiescing) = (None, false);
        Ok(TasksState { context, children, queue, deadlines, timer, quiescing })
    }

    async fn handle(
        &self,
        myself: ActorRef<TasksMessage>,
        message: TasksMessage,
        state: &mut TasksState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            TasksMessage::Create { id, spec, metadata, reply } => match state.children.get(id) {
                // Asked for again while it lives: there must not be a second incarnation.
                Some(actor) => {
                    let _ = actor.cast(TaskMessage::Create { spec, metadata, reply });
                }
                None => state.spawn(&myself, id, Start::Create { spec, metadata, reply }).await,
            },
            TasksMessage::Command { id, command, terms, reply } => {
                state.command(&myself, id, command, terms, reply).await;
            }
            TasksMessage::Stop { id, force, metadata } => {
                let command = if force { TaskCommand::Terminate } else { TaskCommand::Cancel };
                state.command(&myself, id, command, metadata.into(), None).await;
            }
            TasksMessage::Requeue { id, queued, expires_at } => {
                let now = state.context.clock.now();
                state.queue.enqueue(id, queued, now);
                state.deadlines.set(id, expires_at);
                // It waits as an id; an actor comes back with the slot.
                if queued.not_before > now || state.children.len() > LIVE_TASK_ACTORS_MAX {
                    state.children.passivate(id);
                }
                state.pump(&myself).await;
            }
            TasksMessage::Parked { id } => state.children.passivate(id),
            TasksMessage::Closed { id, end } => {
                state.context.close_task(id, end);
                state.queue.remove(id);
                state.deadlines.clear(id);
                state.children.passivate(id);
                state.pump(&myself).await;
            }
            TasksMessage::Boot { id, at } => {
                if let Some((worker, queued)) = at {
                    state.queue.adopt(id, queued, worker);
                    state.count_running();
                }
                state.spawn(&myself, id, Start::Boot).await;
            }
            TasksMessage::Respawn { id, what } => {
                if state.children.get(id).is_none() {
                    state.spawn(&myself, id, Start::Crashed(what)).await;
                }
            }
            TasksMessage::SetWorker { id, desk } => {
                // Its actor may say so behind the news that it is gone.
                if !desk.accepting || state.context.workers.reach(id).is_some() {
                    state.queue.set_worker(id, desk);
                    state.pump(&myself).await;
                }
            }
            TasksMessage::DropWorker { id, end, arrived } => {
                state.drop_worker(id, end, arrived.as_ref());
            }
            TasksMessage::SetSource { source, runs_max, labels } => {
                state.queue.set_limit(source, runs_max);
                state.queue.set_labels(source, labels);
                state.pump(&myself).await;
            }
            TasksMessage::SetFlowLimit { flow, runs_max } => {
                state.queue.set_flow_limit(flow, runs_max);
                state.pump(&myself).await;
            }
            TasksMessage::Ripe => state.pump(&myself).await,
            TasksMessage::Depths(reply) => {
                let _ = reply.send(state.queue.depths());
            }
            TasksMessage::Quiesce(reply) => {
                state.quiescing = true;
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<TasksMessage>,
        event: SupervisionEvent,
        state: &mut TasksState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                if let Some(id) = state.children.forget(cell.get_id()) {
                    state.failed(&myself, id, error).await;
                }
            }
            SupervisionEvent::ActorTerminated(cell, ..) => state.ended(&cell),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl TasksState {
    async fn spawn(&mut self, myself: &ActorRef<TasksMessage>, id: TaskId, start: Start) {
        let arguments =
            TaskArguments { id, start, context: self.context.clone(), tasks: myself.clone() };
        // `pre_start` does no I/O, so awaiting the spawn holds nothing up.
        match Actor::spawn_linked(None, TaskActor, arguments, myself.get_cell()).await {
            Ok((actor, _)) => self.children.insert(id, actor),
            Err(error) => self.context.crashes.record(format!("start of task {id}: {error}")),
        }
    }

    async fn failed(
        &mut self,
        myself: &ActorRef<TasksMessage>,
        id: TaskId,
        error: ActorProcessingErr,
    ) {
        match error.downcast::<AttemptFailed>() {
            Ok(failed) => self.spawn(myself, id, Start::AttemptFailed(*failed)).await,
            Err(error) => {
                let what = error.to_string();
                self.context.crashes.record(format!("task {id}: {what}"));
                let pause = self.children.crashed(id);
                myself.send_after(pause, move || TasksMessage::Respawn { id, what });
            }
        }
    }

    /// An incarnation that ended without our asking was killed from outside the tree.
    fn ended(&mut self, cell: &ActorCell) {
        if let Some(id) = self.children.forget(cell.get_id())
            && !self.quiescing
        {
            tracing::warn!(task = %id, "a task's actor ended unasked");
        }
    }

    /// Hands a command to the task's actor, or to a new one.
    async fn command(
        &mut self,
        myself: &ActorRef<TasksMessage>,
        id: TaskId,
        command: TaskCommand,
        terms: Terms,
        reply: Option<TaskReply>,
    ) {
        match self.children.get(id) {
            Some(actor) => {
                let _ = actor.cast(TaskMessage::Command { command, terms, reply });
            }
            None => self.spawn(myself, id, Start::Command { command, terms, reply }).await,
        }
    }

    /// A worker is gone: each of its tasks hears of it and decides what follows.
    fn drop_worker(&mut self, worker: WorkerId, end: WorkerEnd, arrived: Option<&HashSet<TaskId>>) {
        for id in self.queue.tasks_of(worker) {
            if let Some(actor) = self.children.get(id) {
                let arrived = arrived.is_none_or(|arrived| arrived.contains(&id));
                let _ = actor.cast(TaskMessage::WorkerGone { worker, end, arrived });
            }
        }
        self.queue.drop_worker(worker);
    }

    /// Ends the tasks that waited for too long. Each leaves the queue first, so that it cannot be
    /// given a slot meanwhile; should it not have expired after all, it comes back by itself.
    async fn expire(&mut self, myself: &ActorRef<TasksMessage>, now: Timestamp) {
        while let Some(id) = self.deadlines.take_due(now) {
            self.queue.remove(id);
            self.command(myself, id, TaskCommand::Expire, system_metadata().into(), None).await;
        }
    }

    fn count_running(&self) {
        self.context.running_tasks.store(self.queue.running() as u64, Ordering::Relaxed);
    }

    /// Gives free slots to the tasks whose turn it is, and arms the timer for the next ripe one
    /// and the next that expires.
    async fn pump(&mut self, myself: &ActorRef<TasksMessage>) {
        if self.quiescing {
            return;
        }
        let now = self.context.clock.now();
        self.expire(myself, now).await;
        while let Some((id, worker)) = self.queue.grant(now) {
            self.deadlines.clear(id);
            match self.children.get(id) {
                Some(actor) => {
                    let _ = actor.cast(TaskMessage::Granted { worker });
                }
                None => self.spawn(myself, id, Start::Granted { worker }).await,
            }
        }
        self.count_running();
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        let next = [self.queue.next_ripe_at(), self.deadlines.next_at()];
        if let Some(at) = next.into_iter().flatten().min() {
            let ahead_ms = (ms_between(now, at) + 1).min(TIMER_AHEAD_MS_MAX);
            let ahead = Duration::from_millis(ahead_ms);
            self.timer = Some(myself.send_after(ahead, || TasksMessage::Ripe).abort_handle());
        }
    }
}
