//! Which tasks are open, to which schedule they belong, and who waits for their end. Shared by
//! the actors that open and close tasks and by those that need to know.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use spark_events::limits::OPEN_TASKS_MAX;
use spark_events::{ScheduleId, TaskId};
use tokio::sync::oneshot;

use crate::error::DispatchError;
use crate::requests::TaskEnd;

#[derive(Debug, Default)]
struct Table {
    open: HashMap<TaskId, Option<ScheduleId>>,
    by_schedule: HashMap<ScheduleId, BTreeSet<TaskId>>,
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
    pub(crate) fn open(
        &self,
        task: TaskId,
        schedule: Option<ScheduleId>,
    ) -> Result<(), DispatchError> {
        let mut table = self.lock();
        if table.open.len() >= OPEN_TASKS_MAX && !table.open.contains_key(&task) {
            return Err(DispatchError::Overloaded { what: "open tasks" });
        }
        if table.open.insert(task, schedule).is_none()
            && let Some(schedule) = schedule
        {
            table.by_schedule.entry(schedule).or_default().insert(task);
        }
        Ok(())
    }

    /// Marks a task as not open, and tells everybody who waits for its end, if it had one.
    pub(crate) fn close(&self, task: TaskId, end: Option<TaskEnd>) {
        let mut table = self.lock();
        if let Some(Some(schedule)) = table.open.remove(&task)
            && let Some(tasks) = table.by_schedule.get_mut(&schedule)
        {
            tasks.remove(&task);
            if tasks.is_empty() {
                table.by_schedule.remove(&schedule);
            }
        }
        for waiter in table.waiters.remove(&task).unwrap_or_default() {
            if let Some(end) = end {
                // A waiter that has gone is no error.
                let _ = waiter.send(end);
            }
        }
    }

    /// An open task of a schedule, if there is one: the one that was opened first by id order.
    pub(crate) fn of_schedule(&self, schedule: ScheduleId) -> Option<TaskId> {
        self.lock().by_schedule.get(&schedule).and_then(|tasks| tasks.first().copied())
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
