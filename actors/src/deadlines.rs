//! When waiting tasks run out of time. One table for all of them, so that one timer serves them.

use std::collections::{BTreeSet, HashMap};

use spark_events::{TaskId, Timestamp};

/// The instants at which waiting tasks expire.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    in_order: BTreeSet<(Timestamp, TaskId)>,
    of_task: HashMap<TaskId, Timestamp>,
}

impl Deadlines {
    /// Sets or clears a task's instant.
    pub(crate) fn set(&mut self, task: TaskId, at: Option<Timestamp>) {
        self.clear(task);
        if let Some(at) = at {
            self.in_order.insert((at, task));
            self.of_task.insert(task, at);
        }
    }

    /// A task waits no longer.
    pub(crate) fn clear(&mut self, task: TaskId) {
        if let Some(at) = self.of_task.remove(&task) {
            self.in_order.remove(&(at, task));
        }
    }

    /// The next instant, if one lies ahead.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Takes out a task whose instant has come.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<TaskId> {
        let (_, task) = *self.in_order.first().filter(|(at, _)| *at <= now)?;
        self.clear(task);
        Some(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    fn task(n: u128) -> TaskId {
        TaskId(Uuid::from_u128(n))
    }

    #[test]
    fn tasks_come_due_in_order_and_only_once() {
        let mut deadlines = Deadlines::default();
        for (n, second) in [(1, 30), (2, 10), (3, 20), (2, 15)] {
            deadlines.set(task(n), Some(at(second)));
        }
        deadlines.clear(task(3));
        assert_eq!(deadlines.next_at(), Some(at(15)), "the second instant of task 2 counts");
        assert_eq!(deadlines.take_due(at(14)), None);
        assert_eq!(deadlines.take_due(at(15)), Some(task(2)));
        assert_eq!(deadlines.take_due(at(29)), None);
        deadlines.set(task(1), None);
        assert_eq!((deadlines.next_at(), deadlines.take_due(at(99))), (None, None));
    }
}
