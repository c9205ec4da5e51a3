//! The supervisor of all tasks: who is alive, who waits for a slot, who gets the next one.
//! Restarts failed incarnations at once, crashed ones after a pause.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use spark_events::clock::ms_between;
use spark_events::domain::task::TaskSpec;
use spark_events::limits::{LIVE_TASK_ACTORS_MAX, TIMER_AHEAD_MS_MAX};
use spark_events::{Metadata, SourceId, TaskId, Timestamp};
use tokio::task::AbortHandle;

use crate::context::Shared;
use crate::dispatch::Dispatcher;
use crate::requests::TaskEnd;
use crate::supervision::Children;
use crate::task::{AttemptFailed, Start, TaskActor, TaskArguments, TaskMessage, TaskReply};
use crate::worker::WorkerMessage;

/// What the supervisor is told.
pub(crate) enum TasksMessage {
    /// Make a task. Without a reply port nobody waits, and an outage of the log is waited out.
    Create { id: TaskId, spec: Box<TaskSpec>, metadata: Metadata, reply: Option<TaskReply> },
    /// Stop a task.
    Cancel { id: TaskId, metadata: Metadata, reply: TaskReply },
    /// An open task wants a slot, from this instant on.
    Requeue { id: TaskId, source: SourceId, not_before: Timestamp },
    /// A task has ended, or never came to be.
    Closed { id: TaskId, end: Option<TaskEnd> },
    /// A task had an attempt under way when the process died.
    Boot { id: TaskId },
    /// A crashed task is to be started again.
    Respawn { id: TaskId, what: String },
    /// A source's limit of runs at once.
    SetLimit { source: SourceId, runs_max: u32 },
    /// The next waiting task is ripe.
    Ripe,
    /// Give no more slots.
    Quiesce(RpcReplyPort<()>),
}

pub(crate) struct TasksArguments {
    pub(crate) context: Shared,
    pub(crate) worker: ActorRef<WorkerMessage>,
    pub(crate) slots: u32,
}

pub(crate) struct TasksState {
    context: Shared,
    worker: ActorRef<WorkerMessage>,
    children: Children<TaskId, TaskMessage>,
    queue: Dispatcher,
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
        let TasksArguments { context, worker, slots } = arguments;
        let queue = Dispatcher::new(slots);
        let children = Children::default();
        Ok(TasksState { context, worker, children, queue, timer: None, quiescing: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<TasksMessage>,
        message: TasksMessage,
        state: &mut TasksState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            TasksMessage::Create { id, spec, metadata, reply } => {
                state.spawn(&myself, id, Start::Create { spec, metadata, reply }).await;
            }
            TasksMessage::Cancel { id, metadata, reply } => match state.children.get(id) {
                Some(actor) => {
                    let _ = actor.cast(TaskMessage::Cancel { metadata, reply });
                }
                None => state.spawn(&myself, id, Start::Cancel { metadata, reply }).await,
            },
            TasksMessage::Requeue { id, source, not_before } => {
                let now = state.context.clock.now();
                state.queue.enqueue(id, source, not_before, now);
                // It waits as an id; an actor comes back with the slot.
                if not_before > now || state.children.len() > LIVE_TASK_ACTORS_MAX {
                    state.children.passivate(id);
                }
                state.pump(&myself).await;
            }
            TasksMessage::Closed { id, end } => {
                state.context.open_tasks.close(id, end);
                state.queue.remove(id);
                state.children.passivate(id);
                state.pump(&myself).await;
            }
            TasksMessage::Boot { id } => state.spawn(&myself, id, Start::Boot).await,
            TasksMessage::Respawn { id, what } => {
                if state.children.get(id).is_none() {
                    state.spawn(&myself, id, Start::Crashed(what)).await;
                }
            }
            TasksMessage::SetLimit { source, runs_max } => {
                state.queue.set_limit(source, runs_max);
                state.pump(&myself).await;
            }
            TasksMessage::Ripe => state.pump(&myself).await,
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
        let arguments = TaskArguments {
            id,
            start,
            context: self.context.clone(),
            tasks: myself.clone(),
            worker: self.worker.clone(),
        };
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

    /// Gives free slots to the tasks whose turn it is, and arms the timer for the next ripe one.
    async fn pump(&mut self, myself: &ActorRef<TasksMessage>) {
        if self.quiescing {
            return;
        }
        let now = self.context.clock.now();
        while let Some(id) = self.queue.grant(now) {
            match self.children.get(id) {
                Some(actor) => {
                    let _ = actor.cast(TaskMessage::Granted);
                }
                None => self.spawn(myself, id, Start::Granted).await,
            }
        }
        self.context.running_tasks.store(self.queue.running() as u64, Ordering::Relaxed);
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        if let Some(at) = self.queue.next_ripe_at() {
            let ahead_ms = (ms_between(now, at) + 1).min(TIMER_AHEAD_MS_MAX);
            let ahead = Duration::from_millis(ahead_ms);
            self.timer = Some(myself.send_after(ahead, || TasksMessage::Ripe).abort_handle());
        }
    }
}
