//! The limits of a task's time, apart from the limit of one attempt: how long it may wait for an
//! attempt to start, and how long everything together may take. Both are counted from its
//! creation, or from its release where it was held; the wait for a further attempt is counted
//! from the instant at which that one may start.

use serde::{Deserialize, Serialize};

use super::{Task, TaskEvent, TaskFailed, TaskSpec};
use crate::clock::{Timestamp, ms_between, plus_ms};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::retry::GiveUp;

/// The limits that a task was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TimeLimits {
    /// The longest wait until an attempt starts.
    pub queue_ms: Option<u64>,
    /// The longest time from the beginning to the end.
    pub total_ms: Option<u64>,
}

impl TimeLimits {
    /// The earlier end of both, of a task that waits for an attempt. `since`: from when on its
    /// time counts. `not_before`: when that attempt may start.
    #[must_use]
    pub fn waiting_ends_at(self, since: Timestamp, not_before: Timestamp) -> Option<Timestamp> {
        let queue = self.queue_ms.map(|ms| plus_ms(not_before, ms));
        let both = [queue, self.total_ends_at(since)];
        both.into_iter().flatten().min()
    }

    /// When the total timeout is over.
    #[must_use]
    pub fn total_ends_at(self, since: Timestamp) -> Option<Timestamp> {
        self.total_ms.map(|ms| plus_ms(since, ms))
    }
}

impl TaskSpec {
    /// Its limits of time.
    #[must_use]
    pub fn time_limits(&self) -> TimeLimits {
        TimeLimits { queue_ms: self.queue_timeout_ms, total_ms: self.total_timeout_ms }
    }
}

impl Task {
    /// From when on its time counts; `None` before that, after its end, and for a task of an
    /// earlier version, which has no limits that are counted from here.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Pending { spec, released_at }
            | Self::Running { spec, released_at, .. }
            | Self::Waiting { spec, released_at, .. } => released_at.or(spec.created_at),
            Self::Absent
            | Self::Held { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Deleted { .. } => None,
        }
    }

    /// When the attempt that it waits for may start; `None` while it waits for none.
    #[must_use]
    pub fn not_before(&self) -> Option<Timestamp> {
        match self {
            Self::Pending { .. } => self.since(),
            Self::Waiting { not_before, .. } => Some(*not_before),
            Self::Absent
            | Self::Held { .. }
            | Self::Running { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Deleted { .. } => None,
        }
    }

    /// When a task that waits for an attempt ends without one; `None` where no limit ends it.
    #[must_use]
    pub fn waiting_ends_at(&self) -> Option<Timestamp> {
        let (since, not_before) = (self.since()?, self.not_before()?);
        self.spec()?.time_limits().waiting_ends_at(since, not_before)
    }

    /// When the total timeout is over; `None` without one, or while its time does not count.
    #[must_use]
    pub fn total_ends_at(&self) -> Option<Timestamp> {
        self.spec()?.time_limits().total_ends_at(self.since()?)
    }

    /// What is left of the total timeout, where there is one.
    pub(super) fn total_left_ms(&self, now: Timestamp) -> Option<u64> {
        self.total_ends_at().map(|at| ms_between(now, at))
    }

    /// The end of a task that waited for an attempt for too long, if it did.
    pub(super) fn expired(&self, now: Timestamp) -> Option<TaskEvent> {
        let not_before = self.not_before()?;
        let limits = self.spec()?.time_limits();
        let (why, message) = if self.total_ends_at().is_some_and(|at| at <= now) {
            let ms = limits.total_ms.unwrap_or_default();
            let text = format!("the task did not end within its total timeout of {}", seconds(ms));
            (GiveUp::TotalTimeout, text)
        } else {
            let ms = limits.queue_ms.filter(|ms| plus_ms(not_before, *ms) <= now)?;
            let text = format!("no attempt started within the queue timeout of {}", seconds(ms));
            (GiveUp::QueueTimeout, text)
        };
        let failure = Failure::new(FailureClass::Timeout, message);
        Some(TaskEvent::Failed(TaskFailed { attempts: self.attempts(), why, failure }))
    }
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}
