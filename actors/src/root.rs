//! The supervision tree: started from the log, ended leaves first.
//!
//! ```text
//! Root -+- TasksSupervisor ------ TaskActor x n
//!       +- SchedulesSupervisor -- ScheduleActor x n
//!       +- WorkersSupervisor ---- RemoteWorker x n
//!       `- WorkerActor (built in, unless it was not wanted)
//! ```

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use spark_events::domain::labels::Labels;
use spark_events::domain::source::Source;
use spark_events::domain::worker::{BUILT_IN_NAME, WorkerCommand, WorkerStarted};
use spark_events::limits::{DRAIN_MS_MAX, INDEX_EVENTS_MAX};
use spark_events::{TaskId, WorkerId};

use crate::context::Shared;
use crate::dispatch::Desk;
use crate::error::DispatchError;
use crate::index::{Index, IndexError, TaskStage};
use crate::remote_worker::RemoteMessage;
use crate::requests::Who;
use crate::schedules::{SchedulesArguments, SchedulesMessage, SchedulesSupervisor};
use crate::tasks::{TasksArguments, TasksMessage, TasksSupervisor};
use crate::worker::{WorkerActor, WorkerMessage};
use crate::workers::{Known, WorkersArguments, WorkersMessage, WorkersSupervisor, record};
use crate::workforce::{Member, Pulse, Reach};

/// How often it is looked whether the start-up index should be brought forward.
const INDEX_EVERY: Duration = Duration::from_secs(60);

/// The living tree.
pub(crate) struct Tree {
    pub(crate) tasks: ActorRef<TasksMessage>,
    pub(crate) schedules: ActorRef<SchedulesMessage>,
    pub(crate) workers: ActorRef<WorkersMessage>,
    built_in: Option<(WorkerId, ActorRef<WorkerMessage>)>,
    root: ActorRef<()>,
    index_path: PathBuf,
    index_keeper: tokio::task::AbortHandle,
}

/// The top of the tree. Its children hold the queue, the timetable and the calls; one of them
/// failing is a defect that no restart of that child alone would mend, so it is logged and the
/// next start of the process recovers from the log.
struct Root;

impl Actor for Root {
    type Msg = ();
    type State = Shared;
    type Arguments = Shared;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        context: Shared,
    ) -> Result<Shared, ActorProcessingErr> {
        Ok(context)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        context: &mut Shared,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, error) = event {
            context.crashes.record(format!("supervisor: {error}"));
        }
        Ok(())
    }
}

/// Who makes the calls.
pub(crate) struct Staff {
    /// This host.
    pub(crate) hostname: String,
    /// Slots of the built-in worker; 0 for none.
    pub(crate) slots: u32,
    /// The silence after which a worker in another process is lost.
    pub(crate) lost_after: Duration,
}

impl Tree {
    /// Folds the log and starts everything from it: sources and flows into the catalog, schedules
    /// into the timetable, open tasks into the queue. Attempts that were under way get an
    /// incarnation each; fired occurrences without a task are handed over again.
    pub(crate) async fn start(
        context: &Shared,
        staff: Staff,
        index_path: PathBuf,
    ) -> Result<Self, DispatchError> {
        let index = Index::advance(context.log.as_ref(), &index_path, INDEX_EVENTS_MAX / 10)
            .await
            .map_err(|error| match error {
                IndexError::Log(error) => error.into(),
                IndexError::Codec { .. } => DispatchError::Internal(error.to_string()),
            })?;
        fill_catalog(context, &index);
        index.fill_keys(&context.keys);
        say_goodbye_for_the_lost(context, &index).await?;

        let spawned = |error: ractor::SpawnErr| DispatchError::Internal(error.to_string());
        let (root, _) = Actor::spawn(None, Root, context.clone()).await.map_err(spawned)?;
        let arguments = TasksArguments { context: context.clone() };
        let (tasks, _) = Actor::spawn_linked(None, TasksSupervisor, arguments, root.get_cell())
            .await
            .map_err(spawned)?;
        let arguments = WorkersArguments {
            context: context.clone(),
            tasks: tasks.clone(),
            known: known_workers(&index),
            lost_after: staff.lost_after,
        };
        let (workers, _) = Actor::spawn_linked(None, WorkersSupervisor, arguments, root.get_cell())
            .await
            .map_err(spawned)?;
        let built_in = match staff.slots {
            0 => None,
            _ => Some(hire(context, staff, &root, &tasks).await?),
        };
        for (source, entry) in context.catalog.sources() {
            let (runs_max, labels) = (entry.runs_max, entry.worker_labels.clone());
            let _ = tasks.cast(TasksMessage::SetSource { source, runs_max, labels });
        }
        for (flow, runs_max) in context.catalog.flow_limits() {
            let runs_max = Some(runs_max);
            let _ = tasks.cast(TasksMessage::SetFlowLimit { flow, runs_max });
        }
        reopen(context, &index, &tasks)?;
        let arguments = SchedulesArguments {
            context: context.clone(),
            tasks: tasks.clone(),
            dormant: index.schedules().collect(),
        };
        let (schedules, _) =
            Actor::spawn_linked(None, SchedulesSupervisor, arguments, root.get_cell())
                .await
                .map_err(spawned)?;
        // Set once per tree, so it cannot be set already.
        let _ = context.schedules.set(schedules.clone());
        for (task_id, hand_over) in &index.hand_overs {
            let (id, task_id, trigger) = (hand_over.schedule, *task_id, hand_over.trigger());
            let _ = schedules.cast(SchedulesMessage::HandOver { id, task_id, trigger });
        }
        for (task_id, ended) in &index.uncounted {
            let (id, task_id, status) = (ended.schedule, *task_id, Some(ended.status));
            let _ = schedules.cast(SchedulesMessage::TaskClosed { id, task_id, status });
        }
        let index_keeper = keep_index(context.clone(), index_path.clone(), index.position().0);
        Ok(Self { tasks, schedules, workers, built_in, root, index_path, index_keeper })
    }

    /// Answers the workers that wait for work, so that their connections can end. They are given
    /// nothing from now on.
    async fn dismiss(&self, context: &Shared) {
        let patience = Duration::from_millis(DRAIN_MS_MAX);
        let actors = context.workers.remotes();
        let told = actors.iter().map(|actor| actor.call(RemoteMessage::Quiesce, Some(patience)));
        futures_util::future::join_all(told).await;
    }

    /// Ends the tree, leaves first: no timer rings, no slot is given, direct calls may finish
    /// within [`DRAIN_MS_MAX`], background jobs are left to be taken up after the next start.
    pub(crate) async fn stop(&self, context: &Shared) {
        self.dismiss(context).await;
        let level = Duration::from_millis(DRAIN_MS_MAX);
        self.index_keeper.abort();
        // A level that does not answer in time is ended anyway: killing it is as safe.
        let _ = self.schedules.call(SchedulesMessage::Quiesce, Some(level)).await;
        let _ = self.tasks.call(TasksMessage::Quiesce, Some(level)).await;
        if let Some((_, worker)) = &self.built_in {
            let _ = worker.call(WorkerMessage::Quiesce, Some(level)).await;
        }
        for supervisor in [self.schedules.get_cell(), self.tasks.get_cell()] {
            supervisor.drain_children_and_wait(Some(level)).await;
            let _ = supervisor.drain_and_wait(Some(level)).await;
        }
        if let Some((id, worker)) = &self.built_in {
            let _ = worker.drain_and_wait(Some(level)).await;
            let system = Who::system().terms();
            if let Err(error) = record(context, *id, WorkerCommand::Stop, &system).await {
                tracing::warn!(%error, "the built-in worker could not be recorded as stopped");
            }
        }
        // Those in other processes live on and come back to the next server.
        let _ = self.workers.drain_and_wait(Some(level)).await;
        self.root.stop(None);
        let _ = self.root.wait(Some(level)).await;
        if let Err(error) = Index::advance(context.log.as_ref(), &self.index_path, 1).await {
            tracing::warn!(%error, "the start-up index could not be brought forward");
        }
    }
}

fn fill_catalog(context: &Shared, index: &Index) {
    for (id, source) in index.sources() {
        if let Source::Connected(source) = source {
            context.catalog.put_source(id, *source);
        }
    }
    for (id, flow) in index.flows() {
        context.catalog.put_flow(id, &flow);
    }
}

/// Puts every open task back where it stood.
fn reopen(
    context: &Shared,
    index: &Index,
    tasks: &ActorRef<TasksMessage>,
) -> Result<(), DispatchError> {
    let now = context.clock.now();
    for (&id, task) in &index.tasks {
        context.open_tasks.open(id, task.owner)?;
        let message = match (task.waiting(now), task.stage) {
            (Some((queued, expires_at)), _) => TasksMessage::Requeue { id, queued, expires_at },
            (None, TaskStage::Running { worker }) => {
                let is_there = context.workers.remote(worker).is_some();
                TasksMessage::Boot { id, at: is_there.then(|| (worker, task.queued(now))) }
            }
            // A held task is an id that waits for a command.
            (None, TaskStage::Held | TaskStage::Pending | TaskStage::Waiting { .. }) => continue,
        };
        let _ = tasks.cast(message);
    }
    Ok(())
}

/// The workers in other processes that were there when the server ended, with what they had.
fn known_workers(index: &Index) -> Vec<Known> {
    let mut had: HashMap<WorkerId, HashSet<TaskId>> = HashMap::new();
    for (id, task) in &index.tasks {
        if let TaskStage::Running { worker } = task.stage {
            had.entry(worker).or_default().insert(*id);
        }
    }
    let remote = index.workers().filter(|(_, started, _)| !started.built_in);
    let known = remote.map(|(id, started, stage)| {
        let had = had.remove(&id).unwrap_or_default();
        Known { id, started, stage, had }
    });
    known.collect()
}

/// Records the built-in workers of earlier processes that ended without saying so.
async fn say_goodbye_for_the_lost(context: &Shared, index: &Index) -> Result<(), DispatchError> {
    let system = Who::system().terms();
    for (id, ..) in index.workers().filter(|(_, started, _)| started.built_in) {
        let reason = "its process ended without stopping it (killed, crashed or powered off)";
        let command = WorkerCommand::RecordLost { reason: reason.into() };
        record(context, id, command, &system).await?;
    }
    Ok(())
}

/// Starts and records the built-in worker.
async fn hire(
    context: &Shared,
    staff: Staff,
    root: &ActorRef<()>,
    tasks: &ActorRef<TasksMessage>,
) -> Result<(WorkerId, ActorRef<WorkerMessage>), DispatchError> {
    let spawned = Actor::spawn_linked(None, WorkerActor, context.clone(), root.get_cell()).await;
    let (actor, _) = spawned.map_err(|error| DispatchError::Internal(error.to_string()))?;
    let id = WorkerId::random();
    let started = WorkerStarted {
        hostname: staff.hostname,
        pid: std::process::id(),
        slots: staff.slots,
        built_in: true,
        version: env!("CARGO_PKG_VERSION").into(),
        name: Some(BUILT_IN_NAME.into()),
        labels: Labels::default(),
        protocol: None,
        replaces: None,
    };
    let command = WorkerCommand::Start(started.clone());
    record(context, id, command, &Who::system().terms()).await?;
    let pulse = Arc::new(Pulse::new(context.clock.now()));
    pulse.set_accepting(true);
    let (reach, session) = (Reach::BuiltIn(actor.clone()), id.0);
    context.workers.insert(id, Member { started: Arc::new(started), reach, session, pulse });
    let desk = Desk { slots: staff.slots, labels: Labels::default(), accepting: true };
    let _ = tasks.cast(TasksMessage::SetWorker { id, desk });
    Ok((id, actor))
}

/// Brings the start-up index forward whenever the log has grown enough.
fn keep_index(context: Shared, path: PathBuf, mut position: u64) -> tokio::task::AbortHandle {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tree owns the handle and aborts it at its end"
    )]
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(INDEX_EVERY).await;
            let Ok(head) = context.log.head().await else { continue };
            if head.0.saturating_sub(position) < INDEX_EVENTS_MAX {
                continue;
            }
            match Index::advance(context.log.as_ref(), &path, 1).await {
                Ok(index) => position = index.position().0,
                Err(error) => tracing::warn!(%error, "the start-up index stays behind"),
            }
        }
    })
    .abort_handle()
}
