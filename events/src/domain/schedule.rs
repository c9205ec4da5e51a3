//! A schedule: when a flow is run, with which input.
//!
//! Every due instant ends in exactly one recorded outcome: `Fired`, or covered by the span of a
//! `Skipped` or of a `Resumed` (paused meanwhile). `next_due_at` travels in the events, so nobody
//! who follows the log has to compute a recurrence.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Aggregate;
use super::overlap::{Admission, Overlap};
use super::recurrence::{Recurrence, RecurrenceError, zone_data_version};
use super::retry::{BadRetryPolicy, RetryPolicy};
use crate::clock::{Timestamp, ms_between};
use crate::ids::{FlowId, ScheduleId, SourceId, TaskId};
use crate::limits;
use crate::payload::Payload;

mod events;
#[cfg(test)]
mod tests;

pub use events::*;

/// How long after its instant "now" a one-time schedule may still be created.
const PAST_GRACE_MS: i64 = 60_000;

/// What a schedule is to do. Fixed at creation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// A name for people, unique among schedules when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The flow to run.
    pub flow_id: FlowId,
    /// The source that has the flow.
    pub source_id: SourceId,
    /// When.
    pub recurrence: Recurrence,
    /// The input text, as a JSON string.
    pub input: Payload,
    /// Values set over the flow's own, by component and field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tweaks: Option<Value>,
    /// What happens while an earlier task is still open.
    #[serde(default)]
    pub overlap: Overlap,
    /// How late an occurrence may still start.
    pub catch_up_ms: u64,
    /// How often and how patiently its tasks are tried.
    pub retry: RetryPolicy,
    /// The longest time of one attempt.
    pub timeout_ms: u64,
}

impl ScheduleSpec {
    /// Our default catch-up window: one hour or one interval, whichever is longer.
    #[must_use]
    pub fn default_catch_up_ms(recurrence: &Recurrence) -> u64 {
        let interval_ms = match recurrence {
            Recurrence::Interval { every_ms, .. } => *every_ms,
            Recurrence::Cron { .. } | Recurrence::Calendar { .. } | Recurrence::Once { .. } => 0,
        };
        limits::CATCH_UP_MS_DEFAULT.max(interval_ms).min(limits::CATCH_UP_MS_MAX)
    }
}

/// What can be asked of a schedule.
#[derive(Debug, Clone)]
pub enum ScheduleCommand {
    /// Make it.
    Create(Box<ScheduleSpec>),
    /// Its timer rang: deal with every instant that is due by now.
    Wake {
        /// The schedule's own id, from which the ids of its tasks follow.
        id: ScheduleId,
        /// An open task of this schedule, if there is one.
        open: Option<TaskId>,
    },
    /// Start a task now, outside the recurrence.
    Trigger {
        /// The id that the task gets.
        task_id: TaskId,
    },
    /// Fire nothing until resumed.
    Pause,
    /// Fire again, from now on.
    Resume,
    /// Fire nothing any more, keep the history.
    Delete,
}

/// Why a schedule refused a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleRejection {
    /// There is no such schedule.
    #[error("there is no such schedule")]
    Absent,
    /// There is one with this id.
    #[error("a schedule with this id exists already")]
    Exists,
    /// It was deleted.
    #[error("the schedule was deleted; create a new one")]
    Deleted,
    /// Nothing is left to pause or resume.
    #[error("the schedule has fired its last occurrence; create a new one, or trigger it by hand")]
    Completed,
    /// The recurrence cannot work.
    #[error(transparent)]
    Recurrence(#[from] RecurrenceError),
    /// The retry policy cannot work.
    #[error(transparent)]
    BadRetryPolicy(#[from] BadRetryPolicy),
    /// The catch-up window is out of bounds.
    #[error("the catch-up window must be from 10 s to 365 days, got {0} ms")]
    BadCatchUp(u64),
    /// The time of one attempt is out of bounds.
    #[error("the timeout of an attempt must be from 1 s to 24 h, got {0} ms")]
    BadTimeout(u64),
}

/// The stage of a schedule in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleStatus {
    /// It has a next occurrence.
    Active,
    /// It waits to be resumed.
    Paused,
    /// It has fired its last occurrence.
    Completed,
    /// It was deleted.
    Deleted,
}

impl ScheduleStatus {
    /// As it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Deleted => "deleted",
        }
    }
}

/// A schedule: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Schedule {
    /// Before its first event.
    #[default]
    Absent,
    /// It has a next occurrence.
    Active {
        /// What to do.
        spec: Box<ScheduleSpec>,
        /// The first instant that has no recorded outcome yet.
        next_due_at: Timestamp,
    },
    /// It waits to be resumed.
    Paused {
        /// What to do.
        spec: Box<ScheduleSpec>,
        /// Since when.
        since: Timestamp,
    },
    /// It has fired its last occurrence.
    Completed {
        /// What was to do.
        spec: Box<ScheduleSpec>,
    },
    /// It was deleted.
    Deleted,
}

impl Schedule {
    /// The stage in one word; `None` before the first event.
    #[must_use]
    pub fn status(&self) -> Option<ScheduleStatus> {
        match self {
            Self::Absent => None,
            Self::Active { .. } => Some(ScheduleStatus::Active),
            Self::Paused { .. } => Some(ScheduleStatus::Paused),
            Self::Completed { .. } => Some(ScheduleStatus::Completed),
            Self::Deleted => Some(ScheduleStatus::Deleted),
        }
    }

    /// What it is to do, unless absent or deleted.
    #[must_use]
    pub fn spec(&self) -> Option<&ScheduleSpec> {
        match self {
            Self::Active { spec, .. } | Self::Paused { spec, .. } | Self::Completed { spec } => {
                Some(spec)
            }
            Self::Absent | Self::Deleted => None,
        }
    }

    /// When its timer should ring.
    #[must_use]
    pub fn next_due_at(&self) -> Option<Timestamp> {
        match self {
            Self::Active { next_due_at, .. } => Some(*next_due_at),
            Self::Absent | Self::Paused { .. } | Self::Completed { .. } | Self::Deleted => None,
        }
    }

    fn living(&self) -> Result<&ScheduleSpec, ScheduleRejection> {
        match self {
            Self::Absent => Err(ScheduleRejection::Absent),
            Self::Deleted => Err(ScheduleRejection::Deleted),
            Self::Active { spec, .. } | Self::Paused { spec, .. } | Self::Completed { spec } => {
                Ok(spec)
            }
        }
    }

    fn create(
        &self,
        spec: Box<ScheduleSpec>,
        now: Timestamp,
    ) -> Result<Vec<ScheduleEvent>, ScheduleRejection> {
        if *self != Self::Absent {
            return Err(ScheduleRejection::Exists);
        }
        // "now" is a legal instant, and was read from the clock a moment before this decision.
        let grace = chrono::TimeDelta::milliseconds(PAST_GRACE_MS);
        spec.recurrence.validate(now - grace)?;
        spec.retry.validate()?;
        if !(limits::CATCH_UP_MS_MIN..=limits::CATCH_UP_MS_MAX).contains(&spec.catch_up_ms) {
            return Err(ScheduleRejection::BadCatchUp(spec.catch_up_ms));
        }
        if !(1_000..=limits::ATTEMPT_TIMEOUT_MS_MAX).contains(&spec.timeout_ms) {
            return Err(ScheduleRejection::BadTimeout(spec.timeout_ms));
        }
        let next_due_at = match &spec.recurrence {
            Recurrence::Once { at } => Some(*at),
            Recurrence::Cron { .. } | Recurrence::Calendar { .. } | Recurrence::Interval { .. } => {
                spec.recurrence.next_after(now).map(|due| due.at)
            }
        };
        let next_due_at = next_due_at.ok_or(RecurrenceError::NeverMatches)?;
        Ok(vec![ScheduleEvent::Created(Box::new(ScheduleCreated {
            spec: *spec,
            next_due_at,
            zone_data: zone_data_version().into(),
        }))])
    }

    fn wake(&self, id: ScheduleId, open: Option<TaskId>, now: Timestamp) -> Vec<ScheduleEvent> {
        match self {
            Self::Active { spec, next_due_at } => walk(id, spec, *next_due_at, open, now),
            Self::Absent | Self::Paused { .. } | Self::Completed { .. } | Self::Deleted => vec![],
        }
    }

    fn pause(&self, now: Timestamp) -> Result<Vec<ScheduleEvent>, ScheduleRejection> {
        self.living()?;
        match self {
            Self::Paused { .. } => Ok(vec![]),
            Self::Active { .. } => Ok(vec![ScheduleEvent::Paused(SchedulePaused { at: now })]),
            Self::Absent | Self::Completed { .. } | Self::Deleted => {
                Err(ScheduleRejection::Completed)
            }
        }
    }

    fn resume(&self, now: Timestamp) -> Result<Vec<ScheduleEvent>, ScheduleRejection> {
        self.living()?;
        match self {
            Self::Active { .. } => Ok(vec![]),
            Self::Paused { spec, since } => {
                let next_due_at = spec.recurrence.next_after(now).map(|due| due.at);
                let mut events = vec![ScheduleEvent::Resumed(ScheduleResumed {
                    paused_at: *since,
                    at: now,
                    next_due_at,
                })];
                if next_due_at.is_none() {
                    events.push(ScheduleEvent::Completed(ScheduleCompleted {}));
                }
                Ok(events)
            }
            Self::Absent | Self::Completed { .. } | Self::Deleted => {
                Err(ScheduleRejection::Completed)
            }
        }
    }
}

/// Walks the due instants up to `now`, at most [`limits::DUE_WALK_MAX`] of them, and gives each
/// its outcome. Neighbours that are skipped for the same reason share one event.
fn walk(
    id: ScheduleId,
    spec: &ScheduleSpec,
    first: Timestamp,
    mut open: Option<TaskId>,
    now: Timestamp,
) -> Vec<ScheduleEvent> {
    let Ok(planner) = spec.recurrence.planner() else { return vec![] };
    let mut events: Vec<ScheduleEvent> = Vec::new();
    let mut due = Some(first);
    let mut walked = 0;
    while let Some(due_at) = due.filter(|at| *at <= now && walked < limits::DUE_WALK_MAX) {
        walked += 1;
        let next = planner.next_after(due_at);
        let next_due_at = next.as_ref().map(|next| next.at);
        let late = ms_between(due_at, now) > spec.catch_up_ms;
        let reason = if late {
            Some(SkipReason::CatchUpWindow)
        } else {
            match spec.overlap.admit(open) {
                Admission::Start => None,
                Admission::SkipFor(task_id) => Some(SkipReason::Overlap { task_id }),
            }
        };
        match reason {
            Some(reason) => skip(&mut events, due_at, reason, next_due_at),
            None => {
                let task_id = TaskId::of_occurrence(id, due_at);
                events.push(ScheduleEvent::Fired(ScheduleFired { due_at, task_id, next_due_at }));
                open = Some(task_id);
            }
        }
        due = next_due_at;
    }
    if due.is_none() {
        events.push(ScheduleEvent::Completed(ScheduleCompleted {}));
    }
    events
}

/// Adds a skipped instant, to the event before it where the reason is the same.
fn skip(
    events: &mut Vec<ScheduleEvent>,
    due_at: Timestamp,
    reason: SkipReason,
    next_due_at: Option<Timestamp>,
) {
    if let Some(ScheduleEvent::Skipped(last)) = events.last_mut()
        && last.reason == reason
    {
        last.last_due_at = due_at;
        last.count += 1;
        last.next_due_at = next_due_at;
        return;
    }
    events.push(ScheduleEvent::Skipped(ScheduleSkipped {
        first_due_at: due_at,
        last_due_at: due_at,
        count: 1,
        reason,
        next_due_at,
    }));
}

impl Aggregate for Schedule {
    const CATEGORY: &'static str = ScheduleId::CATEGORY;
    type Command = ScheduleCommand;
    type Event = ScheduleEvent;
    type Rejection = ScheduleRejection;

    fn decide(
        &self,
        command: ScheduleCommand,
        now: Timestamp,
    ) -> Result<Vec<ScheduleEvent>, ScheduleRejection> {
        match command {
            ScheduleCommand::Create(spec) => self.create(spec, now),
            ScheduleCommand::Wake { id, open } => Ok(self.wake(id, open, now)),
            ScheduleCommand::Trigger { task_id } => {
                self.living()?;
                Ok(vec![ScheduleEvent::Triggered(ScheduleTriggered { task_id })])
            }
            ScheduleCommand::Pause => self.pause(now),
            ScheduleCommand::Resume => self.resume(now),
            ScheduleCommand::Delete => match self {
                Self::Absent => Err(ScheduleRejection::Absent),
                Self::Deleted => Ok(vec![]),
                Self::Active { .. } | Self::Paused { .. } | Self::Completed { .. } => {
                    Ok(vec![ScheduleEvent::Deleted(ScheduleDeleted {})])
                }
            },
        }
    }

    fn evolve(self, event: &ScheduleEvent) -> Self {
        match (self, event) {
            (Self::Absent, ScheduleEvent::Created(e)) => {
                Self::Active { spec: Box::new(e.spec.clone()), next_due_at: e.next_due_at }
            }
            (Self::Active { spec, next_due_at }, event) => active(spec, next_due_at, event),
            (Self::Paused { spec, since }, ScheduleEvent::Resumed(e)) => match e.next_due_at {
                Some(next_due_at) => Self::Active { spec, next_due_at },
                None => Self::Paused { spec, since },
            },
            (Self::Paused { spec, .. }, ScheduleEvent::Completed(_)) => Self::Completed { spec },
            (Self::Paused { .. } | Self::Completed { .. }, ScheduleEvent::Deleted(_)) => {
                Self::Deleted
            }
            (state, _) => state,
        }
    }
}

/// The state that an active schedule's next event leads to.
fn active(spec: Box<ScheduleSpec>, next_due_at: Timestamp, event: &ScheduleEvent) -> Schedule {
    let next_due_at = match event {
        ScheduleEvent::Fired(e) => e.next_due_at.unwrap_or(next_due_at),
        ScheduleEvent::Skipped(e) => e.next_due_at.unwrap_or(next_due_at),
        ScheduleEvent::Completed(_) => return Schedule::Completed { spec },
        ScheduleEvent::Paused(e) => return Schedule::Paused { spec, since: e.at },
        ScheduleEvent::Deleted(_) => return Schedule::Deleted,
        ScheduleEvent::Created(_) | ScheduleEvent::Triggered(_) | ScheduleEvent::Resumed(_) => {
            next_due_at
        }
    };
    Schedule::Active { spec, next_due_at }
}
