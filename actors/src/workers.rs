//! The supervisor of the actors that stand for workers in other processes. Records how each worker
//! comes, what it is told to be, and how it ends; one after the other, so that a name is given once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use spark_events::domain::task::WorkerEnd;
use spark_events::domain::worker::{
    Newcomer, Worker, WorkerCommand, WorkerRejection, WorkerStage, WorkerStarted, check_newcomer,
};
use spark_events::limits::{WORKER_POLL_MS_MAX, WORKERS_MAX};
use spark_events::{Metadata, Position, TaskId, Timestamp, WorkerId, ids};

use crate::aggregate::{Patience, Shell, ShellError};
use crate::context::Shared;
use crate::dispatch::Desk;
use crate::error::{DispatchError, Rejection};
use crate::remote::{PROTOCOL, Registered, Registration};
use crate::remote_worker::{RemoteArguments, RemoteMessage, RemoteWorker, Times};
use crate::requests::{Done, Terms, Who};
use crate::spark::workers::gone;
use crate::supervision::Children;
use crate::tasks::TasksMessage;
use crate::workforce::{Member, Pulse, Reach};

/// The version of the program, as workers are told.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long the actor of a worker that is gone may take to say what has reached that worker.
const RETIRE_PATIENCE: Duration = Duration::from_secs(1);

/// What the supervisor is told.
pub(crate) enum WorkersMessage {
    /// A worker in another process says that it is there.
    Register {
        registration: Box<Registration>,
        metadata: Metadata,
        reply: RpcReplyPort<Result<Taken, DispatchError>>,
    },
    /// Somebody wants a worker to be something else.
    Command {
        id: WorkerId,
        command: WorkerCommand,
        terms: Terms,
        reply: RpcReplyPort<Result<Done<()>, DispatchError>>,
    },
    /// A worker leaves in good order.
    Leave { id: WorkerId, metadata: Metadata, reply: RpcReplyPort<Result<Done<()>, DispatchError>> },
    /// A worker has not been heard for too long; when it was last.
    Silent { id: WorkerId, seen_at: Timestamp },
}

/// A worker that was taken in.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) registered: Registered,
    /// Where that is recorded; `None` where it was there already.
    pub(crate) position: Option<Position>,
}

/// A worker of which the log says that it is there.
pub(crate) struct Known {
    pub(crate) id: WorkerId,
    pub(crate) started: WorkerStarted,
    pub(crate) stage: WorkerStage,
    /// The tasks that it had.
    pub(crate) had: HashSet<TaskId>,
}

pub(crate) struct WorkersArguments {
    pub(crate) context: Shared,
    pub(crate) tasks: ActorRef<TasksMessage>,
    pub(crate) known: Vec<Known>,
    pub(crate) lost_after: Duration,
}

pub(crate) struct WorkersState {
    context: Shared,
    tasks: ActorRef<TasksMessage>,
    children: Children<WorkerId, RemoteMessage>,
    times: Times,
}

pub(crate) struct WorkersSupervisor;

impl Actor for WorkersSupervisor {
    type Msg = WorkersMessage;
    type State = WorkersState;
    type Arguments = WorkersArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<WorkersMessage>,
        arguments: WorkersArguments,
    ) -> Result<WorkersState, ActorProcessingErr> {
        let WorkersArguments { context, tasks, known, lost_after } = arguments;
        // A worker asks often enough to be heard three times before it would be lost.
        let poll = Duration::from_millis(WORKER_POLL_MS_MAX).min(lost_after / 3);
        let times = Times { lost_after, poll };
        let mut state = WorkersState { context, tasks, children: Children::default(), times };
        for Known { id, started, stage, had } in known {
            state.spawn(&myself, id, started, stage, Some(had)).await?;
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<WorkersMessage>,
        message: WorkersMessage,
        state: &mut WorkersState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            WorkersMessage::Register { registration, metadata, reply } => {
                let _ = reply.send(state.register(&myself, *registration, &metadata).await);
            }
            WorkersMessage::Command { id, command, terms, reply } => {
                let _ = reply.send(state.command(id, command, &terms).await);
            }
            WorkersMessage::Leave { id, metadata, reply } => {
                let command = WorkerCommand::Stop;
                let _ = reply.send(state.end(id, command, WorkerEnd::Left, &metadata).await);
            }
            WorkersMessage::Silent { id, seen_at } => state.silent(id, seen_at).await,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<WorkersMessage>,
        event: SupervisionEvent,
        state: &mut WorkersState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                if let Some(id) = state.children.forget(cell.get_id()) {
                    state.context.crashes.record(format!("worker {id}: {error}"));
                    // What it had handed over is forgotten, so the worker has to come anew.
                    let reason = "a defect of the server: see its log of this time";
                    state.lost(id, reason.into()).await;
                }
            }
            SupervisionEvent::ActorTerminated(cell, ..) => {
                state.children.forget(cell.get_id());
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl WorkersState {
    async fn spawn(
        &mut self,
        myself: &ActorRef<WorkersMessage>,
        id: WorkerId,
        started: WorkerStarted,
        stage: WorkerStage,
        had: Option<HashSet<TaskId>>,
    ) -> Result<Registered, DispatchError> {
        let now = self.context.clock.now();
        let (session, started) = (ids::new_uuid(), Arc::new(started));
        let pulse = Arc::new(Pulse::new(now));
        let arguments = RemoteArguments {
            id,
            started: started.clone(),
            stage,
            session,
            had,
            context: self.context.clone(),
            tasks: self.tasks.clone(),
            workers: myself.clone(),
            pulse: pulse.clone(),
            times: self.times,
        };
        // `pre_start` does no I/O, so awaiting the spawn holds nothing up.
        let spawned = Actor::spawn_linked(None, RemoteWorker, arguments, myself.get_cell()).await;
        let (actor, _) = spawned.map_err(|error| DispatchError::Internal(error.to_string()))?;
        self.children.insert(id, actor.clone());
        let reach = Reach::Remote(actor);
        self.context.workers.insert(id, Member { started, reach, session, pulse });
        Ok(self.registered(id, session))
    }

    fn registered(&self, id: WorkerId, session: uuid::Uuid) -> Registered {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Registered {
            id,
            session,
            poll_ms: ms(self.times.poll),
            lost_after_ms: ms(self.times.lost_after),
            server_version: VERSION.into(),
            server_time: self.context.clock.now(),
        }
    }

    async fn register(
        &mut self,
        myself: &ActorRef<WorkersMessage>,
        registration: Registration,
        metadata: &Metadata,
    ) -> Result<Taken, DispatchError> {
        let Registration { id, replaces, protocol, clock, .. } = registration;
        check_newcomer(
            Newcomer { protocol, clock },
            (PROTOCOL, VERSION),
            self.context.clock.now(),
        )?;
        let started = started(registration)?;
        if let Some(member) = self.context.workers.get(id) {
            if *member.started != started {
                return Err(self.taken("id", &id.to_string(), &member));
            }
            // Its first answer was lost.
            if let Reach::Remote(actor) = &member.reach {
                let _ = actor.cast(RemoteMessage::Seen);
            }
            let registered = self.registered(id, member.session);
            return Ok(Taken { registered, position: None });
        }
        self.make_room(&started, replaces, id).await?;
        if self.context.workers.count_remote() >= WORKERS_MAX {
            return Err(DispatchError::Overloaded { what: "workers" });
        }
        let command = WorkerCommand::Start(started.clone());
        let executed = record(&self.context, id, command, &metadata.clone().into()).await;
        let position = match executed {
            Ok((_, position)) => position,
            // It was here and is gone: its process is to take a new id.
            Err(DispatchError::Rejected(Rejection::Worker(WorkerRejection::Exists))) => {
                return Err(gone(&self.context, id).await);
            }
            Err(error) => return Err(error),
        };
        let registered = self.spawn(myself, id, started, WorkerStage::Active, None).await?;
        tracing::info!(worker = %id, "a worker came");
        Ok(Taken { registered, position })
    }

    /// Ends the worker that a newcomer replaces, and refuses a newcomer whose name is in use.
    async fn make_room(
        &mut self,
        started: &WorkerStarted,
        replaces: Option<WorkerId>,
        by: WorkerId,
    ) -> Result<(), DispatchError> {
        if let Some(old) = replaces
            && let Some(member) = self.context.workers.get(old)
            && !member.started.built_in
        {
            // On the same host the newcomer knows that the old process is dead; from another one
            // it can only say so.
            if member.started.hostname != started.hostname {
                return Err(self.taken("id", &old.to_string(), &member));
            }
            let reason =
                format!("its process ended without stopping it; worker {by} is in its place");
            tracing::warn!(worker = %old, reason, "a worker is lost");
            let (command, metadata) =
                (WorkerCommand::RecordLost { reason }, Who::system().metadata());
            self.end(old, command, WorkerEnd::Replaced, &metadata).await?;
        }
        let name = started.name.as_deref().unwrap_or_default();
        match self.context.workers.named(name) {
            Some((_, member)) => Err(self.taken("name", name, &member)),
            None => Ok(()),
        }
    }

    fn taken(&self, what: &'static str, text: &str, member: &Member) -> DispatchError {
        let silence = self.context.clock.now() - member.pulse.seen_at();
        DispatchError::WorkerTaken {
            what,
            text: text.to_owned(),
            hostname: member.started.hostname.clone(),
            pid: member.started.pid,
            silent_s: u64::try_from(silence.num_seconds()).unwrap_or(0),
        }
    }

    async fn command(
        &mut self,
        id: WorkerId,
        command: WorkerCommand,
        terms: &Terms,
    ) -> Result<Done<()>, DispatchError> {
        let (worker, position) = record(&self.context, id, command, terms).await?;
        if let Worker::Here { started, stage } = worker {
            match self.context.workers.get(id).map(|member| (member.reach, member.pulse)) {
                Some((Reach::Remote(actor), _)) => {
                    let _ = actor.cast(RemoteMessage::Stage(stage));
                }
                Some((Reach::BuiltIn(_), pulse)) => {
                    let accepting = stage == WorkerStage::Active;
                    pulse.set_accepting(accepting);
                    let WorkerStarted { slots, labels, .. } = *started;
                    let desk = Desk { slots, labels, accepting };
                    let _ = self.tasks.cast(TasksMessage::SetWorker { id, desk });
                }
                None => {}
            }
        }
        Ok(Done { value: (), position })
    }

    async fn silent(&mut self, id: WorkerId, seen_at: Timestamp) {
        let Some(member) = self.context.workers.get(id) else { return };
        if member.pulse.seen_at() != seen_at {
            // It was heard while this waited for its turn.
            return;
        }
        let silence = self.context.clock.now() - member.pulse.seen_at();
        let reason = format!("not heard of for {} s", silence.num_seconds());
        self.lost(id, reason).await;
    }

    async fn lost(&mut self, id: WorkerId, reason: String) {
        tracing::warn!(worker = %id, reason, "a worker is lost");
        let command = WorkerCommand::RecordLost { reason };
        let metadata = Who::system().metadata();
        // Where the log is away, the worker stays as it is: its actor, if it lives, says so again.
        if let Err(error) = self.end(id, command, WorkerEnd::Lost, &metadata).await {
            tracing::warn!(worker = %id, %error, "a lost worker could not be recorded yet");
        }
    }

    /// Records the end of a worker; then its tasks hear of it.
    async fn end(
        &mut self,
        id: WorkerId,
        command: WorkerCommand,
        end: WorkerEnd,
        metadata: &Metadata,
    ) -> Result<Done<()>, DispatchError> {
        if self.context.workers.remote(id).is_none() {
            return Err(gone(&self.context, id).await);
        }
        let (_, position) = record(&self.context, id, command, &metadata.clone().into()).await?;
        self.context.workers.remove(id);
        let mut arrived = None;
        if let Some(actor) = self.children.get(id) {
            let told = actor.call(RemoteMessage::Retire, Some(RETIRE_PATIENCE)).await;
            arrived = told.ok().and_then(|told| told.success_or(()).ok());
            actor.stop(None);
        }
        let _ = self.tasks.cast(TasksMessage::DropWorker { id, end, arrived });
        Ok(Done { value: (), position })
    }
}

fn started(registration: Registration) -> Result<WorkerStarted, DispatchError> {
    let Registration { replaces, name, hostname, pid, slots, labels, version, protocol, .. } =
        registration;
    let labels = spark_events::domain::labels::Labels::new(labels)
        .map_err(|error| DispatchError::Invalid(error.to_string()))?;
    Ok(WorkerStarted {
        hostname,
        pid,
        slots,
        built_in: false,
        version,
        name: Some(name),
        labels,
        protocol: Some(protocol),
        replaces,
    })
}

/// Executes a command about a worker of which only the id is known, and gives its state afterwards.
pub(crate) async fn record(
    context: &Shared,
    id: WorkerId,
    command: WorkerCommand,
    terms: &Terms,
) -> Result<(Worker, Option<Position>), DispatchError> {
    let mut shell: Shell<Worker> =
        Shell::new(context.log.clone(), context.clock.clone(), id.stream());
    let failed = |error: ShellError<WorkerRejection>| DispatchError::of(error, "worker", id);
    shell.recover(Patience::FailFast).await.map_err(failed)?;
    let executed =
        shell.execute_at(terms.expects, command, &terms.metadata, Patience::FailFast).await;
    let executed = executed.map_err(failed)?;
    Ok((shell.state().clone(), executed.position))
}
