//! What every actor is given: the log, the clock, and the tables they share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use ractor::ActorRef;
use spark_events::{SharedClock, SharedLog, TaskId};

use crate::catalog::Catalog;
use crate::keys::KeyTable;
use crate::open_tasks::OpenTasks;
use crate::requests::{TaskEnd, UnservedSource};
use crate::schedules::SchedulesMessage;
use crate::supervision::CrashCount;
use crate::telemetry::Telemetry;
use crate::workforce::Workforce;

/// Handed to every actor.
pub(crate) struct Context {
    pub(crate) log: SharedLog,
    pub(crate) clock: SharedClock,
    pub(crate) catalog: Catalog,
    pub(crate) keys: KeyTable,
    pub(crate) open_tasks: OpenTasks,
    pub(crate) crashes: CrashCount,
    /// Tasks that hold a slot; kept by the tasks' supervisor.
    pub(crate) running_tasks: AtomicU64,
    /// Schedules with a next instant; kept by the schedules' supervisor.
    pub(crate) active_schedules: AtomicU64,
    /// Who hears of the ends of the tasks of schedules; set once, when the tree starts.
    pub(crate) schedules: OnceLock<ActorRef<SchedulesMessage>>,
    /// What watches and never acts.
    pub(crate) telemetry: Arc<Telemetry>,
    /// The workers that are there.
    pub(crate) workers: Workforce,
}

impl Context {
    /// Sources whose tasks no worker would take now.
    pub(crate) fn unserved_sources(&self) -> Vec<UnservedSource> {
        let sources = self.catalog.sources().into_iter().map(|(_, source)| source);
        let unserved = sources.filter(|source| !self.workers.has(&source.worker_labels));
        let named = unserved.map(|source| UnservedSource {
            name: source.name,
            worker_labels: source.worker_labels,
        });
        named.collect()
    }

    /// Takes a task off the books, and lets its schedule know, which may have waited for that.
    /// Doing it again does nothing.
    pub(crate) fn close_task(&self, task_id: TaskId, end: Option<TaskEnd>) {
        let schedule = self.open_tasks.close(task_id, end);
        if let Some((id, schedules)) = schedule.zip(self.schedules.get()) {
            let status = end.map(|end| end.status);
            let _ = schedules.cast(SchedulesMessage::TaskClosed { id, task_id, status });
        }
    }
}

/// A cheap handle to it.
pub(crate) type Shared = Arc<Context>;

/// A random number below 1,000,000, for the jitter of a retry. Taken from the random part of a
/// new id, so that no second source of randomness is needed.
pub(crate) fn jitter_ppm() -> u32 {
    let random = spark_events::ids::new_uuid().as_u128() & u128::from(u32::MAX);
    u32::try_from(random * 1_000_000 / (u128::from(u32::MAX) + 1)).unwrap_or(0)
}
