//! The supervision tree: started from the log, ended leaves first.
//!
//! ```text
//! Root -+- TasksSupervisor ------ TaskActor x n
//!       +- SchedulesSupervisor -- ScheduleActor x n
//!       `- WorkerActor (built in)
//! ```

use std::path::PathBuf;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use spark_events::WorkerId;
use spark_events::domain::labels::Labels;
use spark_events::domain::source::Source;
use spark_events::domain::worker::{BUILT_IN_NAME, Worker, WorkerCommand, WorkerStarted};
use spark_events::limits::{DRAIN_MS_MAX, INDEX_EVENTS_MAX};

use crate::aggregate::{Patience, Shell};
use crate::context::Shared;
use crate::error::DispatchError;
use crate::index::{Index, IndexError, TaskStage};
use crate::requests::Who;
use crate::schedules::{SchedulesArguments, SchedulesMessage, SchedulesSupervisor};
use crate::tasks::{TasksArguments, TasksMessage, TasksSupervisor};
use crate::worker::{WorkerActor, WorkerMessage};

/// How often it is looked whether the start-up index should be brought forward.
const INDEX_EVERY: Duration = Duration::from_secs(60);

/// The living tree.
pub(crate) struct Tree {
    pub(crate) tasks: ActorRef<TasksMessage>,
    pub(crate) schedules: ActorRef<SchedulesMessage>,
    pub(crate) worker: ActorRef<WorkerMessage>,
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

/// What the built-in worker is.
pub(crate) struct BuiltIn {
    pub(crate) hostname: String,
    pub(crate) slots: u32,
}

impl Tree {
    /// Folds the log and starts everything from it: sources and flows into the catalog, schedules
    /// into the timetable, open tasks into the queue. Attempts that were under way get an
    /// incarnation each; fired occurrences without a task are handed over again.
    pub(crate) async fn start(
        context: &Shared,
        built_in: BuiltIn,
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
        let (worker, _) = Actor::spawn_linked(None, WorkerActor, context.clone(), root.get_cell())
            .await
            .map_err(spawned)?;
        let arguments = TasksArguments {
            context: context.clone(),
            worker: worker.clone(),
            slots: built_in.slots,
        };
        let (tasks, _) = Actor::spawn_linked(None, TasksSupervisor, arguments, root.get_cell())
            .await
            .map_err(spawned)?;
        announce(context, built_in).await?;
        for (source, entry) in context.catalog.sources() {
            let _ = tasks.cast(TasksMessage::SetLimit { source, runs_max: entry.runs_max });
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
        Ok(Self { tasks, schedules, worker, root, index_path, index_keeper })
    }

    /// Ends the tree, leaves first: no timer rings, no slot is given, direct calls may finish
    /// within [`DRAIN_MS_MAX`], background jobs are left to be taken up after the next start.
    pub(crate) async fn stop(&self, context: &Shared) {
        let level = Duration::from_millis(DRAIN_MS_MAX);
        self.index_keeper.abort();
        // A level that does not answer in time is ended anyway: killing it is as safe.
        let _ = self.schedules.call(SchedulesMessage::Quiesce, Some(level)).await;
        let _ = self.tasks.call(TasksMessage::Quiesce, Some(level)).await;
        let _ = self.worker.call(WorkerMessage::Quiesce, Some(level)).await;
        for supervisor in [self.schedules.get_cell(), self.tasks.get_cell()] {
            supervisor.drain_children_and_wait(Some(level)).await;
            let _ = supervisor.drain_and_wait(Some(level)).await;
        }
        let _ = self.worker.drain_and_wait(Some(level)).await;
        let stopped = record_worker(context, context.worker_id, WorkerCommand::Stop).await;
        if let Err(error) = stopped {
            tracing::warn!(%error, "the built-in worker could not be recorded as stopped");
        }
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
            (None, TaskStage::Running) => TasksMessage::Boot { id },
            // A held task is an id that waits for a command.
            (None, TaskStage::Held | TaskStage::Pending | TaskStage::Waiting { .. }) => continue,
        };
        let _ = tasks.cast(message);
    }
    Ok(())
}

fn worker_shell(context: &Shared, id: WorkerId) -> Shell<Worker> {
    Shell::new(context.log.clone(), context.clock.clone(), id.stream())
}

/// Executes a command about a worker of which only the id is known.
async fn record_worker(
    context: &Shared,
    id: WorkerId,
    command: WorkerCommand,
) -> Result<(), DispatchError> {
    let mut shell = worker_shell(context, id);
    let failed = |error| DispatchError::of(error, "worker", id);
    shell.recover(Patience::FailFast).await.map_err(failed)?;
    let metadata = Who::system().metadata();
    shell.execute(command, &metadata, Patience::FailFast).await.map_err(failed)?;
    Ok(())
}

/// Records the workers of earlier processes that ended without saying so.
async fn say_goodbye_for_the_lost(context: &Shared, index: &Index) -> Result<(), DispatchError> {
    for id in &index.workers {
        let reason = "its process ended without stopping it (killed, crashed or powered off)";
        let command = WorkerCommand::RecordLost { reason: reason.into() };
        record_worker(context, *id, command).await?;
    }
    Ok(())
}

async fn announce(context: &Shared, built_in: BuiltIn) -> Result<(), DispatchError> {
    let command = WorkerCommand::Start(WorkerStarted {
        hostname: built_in.hostname,
        pid: std::process::id(),
        slots: built_in.slots,
        built_in: true,
        version: env!("CARGO_PKG_VERSION").into(),
        name: Some(BUILT_IN_NAME.into()),
        labels: Labels::default(),
        protocol: None,
        replaces: None,
    });
    record_worker(context, context.worker_id, command).await
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
