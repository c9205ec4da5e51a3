//! The supervisor of all schedules: a timetable of those without an actor, and the actors of
//! those that have something to do soon.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use spark_events::domain::schedule::{ScheduleCommand, Stage};
use spark_events::domain::task::{TaskStatus, Trigger};
use spark_events::limits::TIMER_AHEAD_MS_MAX;
use spark_events::{ScheduleId, TaskId, Timestamp};
use tokio::task::AbortHandle;

use crate::context::Shared;
use crate::requests::Terms;
use crate::schedule::{
    Dormant, ScheduleActor, ScheduleArguments, ScheduleMessage, ScheduleReply, ms_until,
};
use crate::supervision::Children;
use crate::tasks::TasksMessage;

/// What the supervisor is told.
pub(crate) enum SchedulesMessage {
    /// Do this for somebody who waits.
    Execute { id: ScheduleId, command: ScheduleCommand, terms: Terms, reply: ScheduleReply },
    /// A fired task may not have been created before the process died.
    HandOver { id: ScheduleId, task_id: TaskId, trigger: Trigger },
    /// A task of a schedule is open no more; `status` is `None` where it never came to be.
    TaskClosed { id: ScheduleId, task_id: TaskId, status: Option<TaskStatus> },
    /// An actor has nothing to do soon, after having handled so many of our messages. `dormant`
    /// is `None` when the schedule is gone.
    Idle { id: ScheduleId, dormant: Option<Box<Dormant>>, handled: u64 },
    /// The next instant of the timetable has come, or may have.
    Ring,
    /// A crashed schedule is to be started again.
    Respawn { id: ScheduleId },
    /// Ring no more; work off what has begun.
    Quiesce(RpcReplyPort<()>),
}

pub(crate) struct SchedulesArguments {
    pub(crate) context: Shared,
    pub(crate) tasks: ActorRef<TasksMessage>,
    pub(crate) dormant: Vec<(ScheduleId, Dormant)>,
}

pub(crate) struct SchedulesState {
    context: Shared,
    tasks: ActorRef<TasksMessage>,
    children: Children<ScheduleId, ScheduleMessage>,
    dormant: HashMap<ScheduleId, Dormant>,
    /// Dormant schedules by their next instant.
    timetable: BTreeSet<(Timestamp, ScheduleId)>,
    /// Messages handed to each actor: it must not be passivated on the word of an `Idle` that it
    /// sent before it handled the last of them.
    handed: HashMap<ScheduleId, u64>,
    timer: Option<AbortHandle>,
    quiescing: bool,
}

pub(crate) struct SchedulesSupervisor;

impl Actor for SchedulesSupervisor {
    type Msg = SchedulesMessage;
    type State = SchedulesState;
    type Arguments = SchedulesArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<SchedulesMessage>,
        arguments: SchedulesArguments,
    ) -> Result<SchedulesState, ActorProcessingErr> {
        let SchedulesArguments { context, tasks, dormant } = arguments;
        let mut state = SchedulesState {
            context,
            tasks,
            children: Children::default(),
            dormant: HashMap::with_capacity(dormant.len()),
            timetable: BTreeSet::new(),
            handed: HashMap::new(),
            timer: None,
            quiescing: false,
        };
        let now = state.context.clock.now();
        for (id, note) in dormant {
            if note.progress.waits() {
                // What waits may have lost its rival while nobody was there to see it.
                state.timetable.insert((now, id));
            }
            state.lay_down(id, note);
        }
        state.arm(&myself);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<SchedulesMessage>,
        message: SchedulesMessage,
        state: &mut SchedulesState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SchedulesMessage::Execute { id, command, terms, reply } => {
                let message = ScheduleMessage::Execute { command, terms, reply };
                state.hand(&myself, id, message).await;
            }
            SchedulesMessage::HandOver { id, task_id, trigger } => {
                state.hand(&myself, id, ScheduleMessage::HandOver { task_id, trigger }).await;
            }
            SchedulesMessage::TaskClosed { id, task_id, status } => {
                if state.listens(id) {
                    let message = ScheduleMessage::TaskClosed { task_id, status };
                    state.hand(&myself, id, message).await;
                }
            }
            SchedulesMessage::Idle { id, dormant, handled } => state.idle(id, dormant, handled),
            SchedulesMessage::Ring => state.ring(&myself).await,
            SchedulesMessage::Respawn { id } => {
                state.hand(&myself, id, ScheduleMessage::Wake).await;
            }
            SchedulesMessage::Quiesce(reply) => {
                state.quiescing = true;
                let _ = reply.send(());
            }
        }
        state.arm(&myself);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SchedulesMessage>,
        event: SupervisionEvent,
        state: &mut SchedulesState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                if let Some(id) = state.children.forget(cell.get_id()) {
                    state.handed.remove(&id);
                    state.context.crashes.record(format!("schedule {id}: {error}"));
                    let pause = state.children.crashed(id);
                    myself.send_after(pause, move || SchedulesMessage::Respawn { id });
                }
            }
            SupervisionEvent::ActorTerminated(cell, ..) => {
                if let Some(id) = state.children.forget(cell.get_id())
                    && !state.quiescing
                {
                    tracing::warn!(schedule = %id, "a schedule's actor ended unasked");
                    let _ = myself.cast(SchedulesMessage::Respawn { id });
                }
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl SchedulesState {
    /// Keeps a schedule as a note and puts its next instant into the timetable.
    fn lay_down(&mut self, id: ScheduleId, note: Dormant) {
        if let Stage::Active { next } = note.stage {
            self.timetable.insert((next.starts_at, id));
        }
        self.dormant.insert(id, note);
    }

    fn take_up(&mut self, id: ScheduleId) -> Option<Box<Dormant>> {
        let note = self.dormant.remove(&id)?;
        if let Stage::Active { next } = note.stage {
            self.timetable.remove(&(next.starts_at, id));
        }
        Some(Box::new(note))
    }

    /// Whether the end of a task means anything to a schedule.
    fn listens(&self, id: ScheduleId) -> bool {
        let dormant = self.dormant.get(&id);
        self.children.get(id).is_some()
            || dormant.is_some_and(|note| note.counts_ends || note.progress.waits())
    }

    /// Gives a message to a schedule's actor, which is started if there is none.
    async fn hand(
        &mut self,
        myself: &ActorRef<SchedulesMessage>,
        id: ScheduleId,
        message: ScheduleMessage,
    ) {
        if self.children.get(id).is_none() {
            let arguments = ScheduleArguments {
                id,
                dormant: self.take_up(id),
                context: self.context.clone(),
                schedules: myself.clone(),
                tasks: self.tasks.clone(),
            };
            // `pre_start` does no I/O, so awaiting the spawn holds nothing up.
            match Actor::spawn_linked(None, ScheduleActor, arguments, myself.get_cell()).await {
                Ok((actor, _)) => self.children.insert(id, actor),
                Err(error) => {
                    self.context.crashes.record(format!("start of schedule {id}: {error}"));
                    return;
                }
            }
        }
        if let Some(actor) = self.children.get(id) {
            *self.handed.entry(id).or_default() += 1;
            let _ = actor.cast(message);
        }
    }

    fn idle(&mut self, id: ScheduleId, dormant: Option<Box<Dormant>>, handled: u64) {
        if self.children.get(id).is_none() || self.handed.get(&id) != Some(&handled) {
            return;
        }
        self.handed.remove(&id);
        self.children.passivate(id);
        if let Some(note) = dormant {
            self.lay_down(id, *note);
        }
    }

    /// Wakes every schedule whose instant has come.
    async fn ring(&mut self, myself: &ActorRef<SchedulesMessage>) {
        let now = self.context.clock.now();
        while let Some((due_at, id)) = self.timetable.first().copied() {
            if due_at > now || self.quiescing {
                return;
            }
            self.hand(myself, id, ScheduleMessage::Wake).await;
            self.timetable.remove(&(due_at, id));
        }
    }

    /// Arms the one timer for the first instant of the timetable, at most 60 s ahead: the wall
    /// clock may be set meanwhile.
    fn arm(&mut self, myself: &ActorRef<SchedulesMessage>) {
        let active = self.timetable.len() + self.children.len();
        self.context.active_schedules.store(active as u64, Ordering::Relaxed);
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        if self.quiescing {
            return;
        }
        if let Some((due_at, _)) = self.timetable.first() {
            let wait_ms = ms_until(self.context.clock.now(), *due_at).min(TIMER_AHEAD_MS_MAX);
            let wait = Duration::from_millis(wait_ms);
            self.timer = Some(myself.send_after(wait, || SchedulesMessage::Ring).abort_handle());
        }
    }
}
