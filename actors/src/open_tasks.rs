//! Which tasks are open, to which schedule they belong, and who waits for their end. Shared by
//! the actors that open and close tasks and by those that need to know.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use spark_events::domain::schedule::Open;
use spark_events::domain::task::Trigger;
use spark_events::limits::OPEN_TASKS_MAX;
use spark_events::{ScheduleId, TaskId};
use tokio::sync::oneshot;

use crate::error::DispatchError;
use crate::requests::TaskEnd;

/// The schedule behind a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) schedule: ScheduleId,
    /// Whether a backfill of the schedule made the task.
    pub(crate) backfilled: bool,
}

impl Owner {
    pub(crate) fn of(trigger: &Trigger) -> Option<Self> {
        let backfilled = matches!(trigger, Trigger::Backfill { .. });
        trigger.schedule_id().map(|schedule| Self { schedule, backfilled })
    }
}

#[derive(Debug, Default)]
struct OfSchedule {
    tasks: BTreeSet<TaskId>,
    backfilled: u32,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<TaskId, Option<Owner>>,
    by_schedule: HashMap<ScheduleId, OfSchedule>,
    waiters: HashMap<TaskId, Vec<oneshot::Sender<TaskEnd>>>,
}

/// The open tasks.
#[derive(Debug, Default)]
pub(crate) struct OpenTasks {
    // A std lock: it is held for map look-ups only, never across an await.
    table: Mutex<Table>,
}

impl OpenTasks {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a task as open. Opening it again changes nothing.
    ///
    /// # Errors
    /// `Overloaded` when [`OPEN_TASKS_MAX`] are open.
    pub(crate) fn open(&self, task: TaskId, owner: Option<Owner>) -> Result<(), DispatchError> {
        let mut table = self.lock();
        if table.open.len() >= OPEN_TASKS_MAX && !table.open.contains_key(&task) {
            return Err(DispatchError::Overloaded { what: "open tasks" });
        }
        if table.open.insert(task, owner).is_none()
            && let Some(owner) = owner
        {
            let of = table.by_schedule.entry(owner.schedule).or_default();
            of.tasks.insert(task);
            of.backfilled += u32::from(owner.backfilled);
        }
        Ok(())
    }

    /// Marks a task as not open, and tells everybody who waits for its end, if it had one. Gives
    /// the schedule behind it.
    pub(crate) fn close(&self, task: TaskId, end: Option<TaskEnd>) -> Option<ScheduleId> {
        let mut table = self.lock();
        for waiter in table.waiters.remove(&task).unwrap_or_default() {
            if let Some(end) = end {
                // A waiter that has gone is no error.
                let _ = waiter.send(end);
            }
        }
        let owner = table.open.remove(&task)??;
        if let Some(of) = table.by_schedule.get_mut(&owner.schedule) {
            of.tasks.remove(&task);
            of.backfilled = of.backfilled.saturating_sub(u32::from(owner.backfilled));
            if of.tasks.is_empty() {
                table.by_schedule.remove(&owner.schedule);
            }
        }
        Some(owner.schedule)
    }

    /// What a schedule's rules look at: the task that is first by id order, and how many a
    /// backfill made.
    pub(crate) fn of_schedule(&self, schedule: ScheduleId) -> Open {
        let table = self.lock();
        let Some(of) = table.by_schedule.get(&schedule) else { return Open::default() };
        Open { rival: of.tasks.first().copied(), backfilled: of.backfilled }
    }

    /// All open tasks of a schedule.
    pub(crate) fn ids_of_schedule(&self, schedule: ScheduleId) -> Vec<TaskId> {
        let table = self.lock();
        table.by_schedule.get(&schedule).map_or(vec![], |of| of.tasks.iter().copied().collect())
    }

    /// Hears of the end of a task; `None` when it is not open.
    pub(crate) fn wait(&self, task: TaskId) -> Option<oneshot::Receiver<TaskEnd>> {
        let mut table = self.lock();
        if !table.open.contains_key(&task) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let waiters = table.waiters.entry(task).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        Some(receiver)
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().open.len()
    }
}
