//! The state that each event of a task leads to.

use super::{Attempt, Task, TaskEvent, TaskSpec};
use crate::clock::Timestamp;

pub(super) fn evolve(task: Task, event: &TaskEvent) -> Task {
    match (task, event) {
        (Task::Absent, TaskEvent::Created(spec)) if spec.held => Task::Held { spec: spec.clone() },
        (Task::Absent, TaskEvent::Created(spec)) => {
            Task::Pending { spec: spec.clone(), released_at: None }
        }
        (Task::Held { spec }, TaskEvent::Released(e)) => {
            Task::Pending { spec, released_at: Some(e.at) }
        }
        (
            Task::Pending { spec, released_at } | Task::Waiting { spec, released_at, .. },
            TaskEvent::Started(e),
        ) => {
            let attempt = Attempt {
                number: e.attempt,
                worker_id: e.worker_id,
                mode: e.mode,
                started_at: e.at,
                job_id: None,
                cancel_requested: false,
                continues: e.continues,
                left_a_job: false,
            };
            Task::Running { spec, released_at, attempt }
        }
        (Task::Running { spec, released_at, attempt }, event) => {
            running(spec, released_at, attempt, event)
        }
        (Task::Held { spec } | Task::Pending { spec, .. }, TaskEvent::Cancelled(_)) => {
            Task::Cancelled { spec, attempts: 0 }
        }
        (Task::Waiting { spec, attempts, .. }, TaskEvent::Cancelled(_)) => {
            Task::Cancelled { spec, attempts }
        }
        (Task::Pending { spec, .. }, TaskEvent::Failed(e)) => {
            Task::Failed { spec, attempts: 0, failure: e.failure.clone() }
        }
        (Task::Waiting { spec, attempts, .. }, TaskEvent::Failed(e)) => {
            Task::Failed { spec, attempts, failure: e.failure.clone() }
        }
        (state, TaskEvent::Deleted(_)) => state.out_of_sight(),
        (state, _) => state,
    }
}

impl Task {
    /// The state after the event that deletes it; one that has not ended stays as it is.
    fn out_of_sight(self) -> Self {
        match (self.status(), self.attempts()) {
            (Some(status), attempts) if status.is_ended() => match self {
                Self::Completed { spec, .. }
                | Self::Failed { spec, .. }
                | Self::Cancelled { spec, .. } => Self::Deleted { spec, attempts, status },
                Self::Absent
                | Self::Held { .. }
                | Self::Pending { .. }
                | Self::Running { .. }
                | Self::Waiting { .. }
                | Self::Deleted { .. } => self,
            },
            (None | Some(_), _) => self,
        }
    }
}

/// The state that a running task's next event leads to.
fn running(
    spec: Box<TaskSpec>,
    released_at: Option<Timestamp>,
    mut attempt: Attempt,
    event: &TaskEvent,
) -> Task {
    let attempts = attempt.number;
    match event {
        TaskEvent::Submitted(e) => attempt.job_id = Some(e.job_id.clone()),
        TaskEvent::Reattached(e) => attempt.worker_id = e.worker_id,
        TaskEvent::CancelRequested(_) => attempt.cancel_requested = true,
        TaskEvent::AttemptFailed(e) => attempt.left_a_job = attempt.leaves_a_job(&e.failure),
        TaskEvent::RetryScheduled(e) => {
            let not_before = e.not_before;
            let continues = attempt.left_a_job.then(|| attempt.known_as());
            return Task::Waiting { spec, released_at, attempts, not_before, continues };
        }
        TaskEvent::Completed(_) => return Task::Completed { spec, attempts },
        TaskEvent::Failed(e) => {
            return Task::Failed { spec, attempts, failure: e.failure.clone() };
        }
        TaskEvent::Cancelled(_) => return Task::Cancelled { spec, attempts },
        TaskEvent::Created(_)
        | TaskEvent::Started(_)
        | TaskEvent::LogRecorded(_)
        | TaskEvent::Released(_)
        | TaskEvent::Deleted(_) => {}
    }
    Task::Running { spec, released_at, attempt }
}
