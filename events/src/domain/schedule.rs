//! A schedule: when a flow is run, with which input.
//!
//! Every due instant ends in exactly one recorded outcome: `fired`; or it is covered by the span
//! of a `skipped` or of a `resumed` (paused meanwhile); or it is listed as `dropped` by the event
//! that ended its wait. A start that must wait is `buffered` first.
//!
//! - `command.rs`: what can be asked of it. `progress.rs`: what its events move.
//! - `spec.rs`: what it is to do, and how that is patched.
//! - `wake.rs`: what becomes of the instants that are due and of the starts that wait.
//! - `backfill.rs`: instants of the past, made up for on request.
//! - `why.rs`: what became of one instant, from the events alone.

use serde::{Deserialize, Serialize};

use super::Aggregate;
use super::overlap::{self, Admission, Overlap, Stop};
use super::recurrence::{RecurrenceError, zone_data_version};
use super::task::TaskStatus;
use crate::clock::Timestamp;
use crate::ids::{ScheduleId, TaskId};
use crate::limits;

mod backfill;
mod command;
mod edit;
mod events;
mod progress;
mod spec;
#[cfg(test)]
mod tests;
mod wake;
pub mod why;

pub use backfill::{Backfill, BackfillRequest};
pub use command::{Drifted, Open, ScheduleCommand, ScheduleRejection};
pub use events::*;
pub use progress::{Next, Origin, Progress, Stage, Waiting};
pub use spec::{OnDrift, SchedulePatch, ScheduleSpec};

/// The stage of a schedule in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleStatus {
    /// It has a next occurrence.
    Active,
    /// It waits to be resumed.
    Paused,
    /// Nothing comes due any more.
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

/// A schedule that exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// What to do.
    pub spec: ScheduleSpec,
    /// Whether anything comes due.
    pub stage: Stage,
    /// What has come of it so far.
    pub progress: Progress,
}

/// A schedule: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Schedule {
    /// Before its first event.
    #[default]
    Absent,
    /// It exists.
    Live(Box<Live>),
    /// It was deleted.
    Deleted,
}

impl Live {
    fn next(&self) -> Option<Next> {
        match self.stage {
            Stage::Active { next } => Some(next),
            Stage::Paused { .. } | Stage::Completed => None,
        }
    }

    fn is_used_up(&self) -> bool {
        self.spec.runs_max.is_some_and(|max| self.progress.fired >= max)
    }

    /// The due instants that are given up when nothing may start any more: those that wait, and
    /// the one that has come but whose jitter has not passed.
    fn dropped(&self, now: Timestamp) -> Vec<Timestamp> {
        let pending = self.next().map(|next| next.due_at).filter(|due_at| *due_at <= now);
        self.progress.occurrences().into_iter().chain(pending).collect()
    }

    fn resume(
        &self,
        id: ScheduleId,
        now: Timestamp,
    ) -> Result<Vec<ScheduleEvent>, ScheduleRejection> {
        let since = match self.stage {
            Stage::Active { .. } => return Ok(vec![]),
            Stage::Completed => return Err(ScheduleRejection::Completed),
            Stage::Paused { since } => since,
        };
        let next = if self.is_used_up() { None } else { wake::next(&self.spec, id, now) };
        let (next_due_at, next_starts_at) = Next::fields(next);
        let resumed = ScheduleResumed { paused_at: since, at: now, next_due_at, next_starts_at };
        let mut events = vec![ScheduleEvent::Resumed(resumed)];
        if next.is_none() {
            events.push(ScheduleEvent::Completed(ScheduleCompleted::default()));
        }
        Ok(events)
    }

    fn pause(&self, now: Timestamp, note: Option<String>) -> ScheduleEvent {
        ScheduleEvent::Paused(SchedulePaused { at: now, note, dropped: self.dropped(now) })
    }

    fn trigger(
        &self,
        task_id: TaskId,
        overlap: Option<Overlap>,
        open: Open,
    ) -> Result<Vec<ScheduleEvent>, ScheduleRejection> {
        let mut pending = self.policies();
        pending.push(overlap.unwrap_or(Overlap::AllowAll));
        let (admissions, _) = overlap::admit(&pending, open.rival.is_some());
        let origin = Origin::Trigger { task_id };
        let (next_due_at, next_starts_at) = Next::fields(self.next());
        match (admissions.last(), open.rival) {
            (Some(Admission::Wait), _)
                if self.progress.waiting.len() >= limits::BUFFERED_STARTS_MAX =>
            {
                Err(ScheduleRejection::BufferFull)
            }
            (Some(Admission::Wait), _) => {
                let buffered = ScheduleBuffered { origin, overlap, next_due_at, next_starts_at };
                Ok(vec![ScheduleEvent::Buffered(buffered)])
            }
            (Some(Admission::Drop | Admission::ReplacedBy(_)), Some(rival)) => {
                Err(ScheduleRejection::StillOpen(rival))
            }
            (Some(Admission::Drop | Admission::ReplacedBy(_)), None) => {
                Err(ScheduleRejection::WaitingAlready)
            }
            (Some(Admission::Start) | None, _) => {
                Ok(vec![ScheduleEvent::Triggered(ScheduleTriggered { task_id })])
            }
        }
    }

    /// The policies of the starts that wait, as they are now.
    fn policies(&self) -> Vec<Overlap> {
        let waiting = self.progress.waiting.iter();
        waiting.map(|waiting| waiting.overlap.unwrap_or(self.spec.overlap)).collect()
    }

    fn count_end(
        &self,
        task_id: TaskId,
        status: TaskStatus,
        message: Option<&str>,
        now: Timestamp,
    ) -> Vec<ScheduleEvent> {
        let Some(pause_after) = self.spec.pause_after else { return vec![] };
        let failures = match status {
            TaskStatus::Failed => self.progress.failures.saturating_add(1),
            TaskStatus::Completed if self.progress.failures > 0 => 0,
            // A cancelled task says nothing about the flow.
            TaskStatus::Pending
            | TaskStatus::Running
            | TaskStatus::Waiting
            | TaskStatus::Completed
            | TaskStatus::Cancelled => return vec![],
        };
        let ended = ScheduleTaskEnded { task_id, status, failures };
        let mut events = vec![ScheduleEvent::TaskEnded(ended)];
        if failures >= pause_after && matches!(self.stage, Stage::Active { .. }) {
            let message = message.unwrap_or("see the task");
            let note = format!(
                "paused itself after {failures} failed task(s) in a row; the last one, {task_id}: \
                 {message}"
            );
            events.push(self.pause(now, Some(note)));
        }
        events
    }
}

impl Schedule {
    /// The stage in one word; `None` before the first event.
    #[must_use]
    pub fn status(&self) -> Option<ScheduleStatus> {
        match self {
            Self::Absent => None,
            Self::Live(live) => Some(match live.stage {
                Stage::Active { .. } => ScheduleStatus::Active,
                Stage::Paused { .. } => ScheduleStatus::Paused,
                Stage::Completed => ScheduleStatus::Completed,
            }),
            Self::Deleted => Some(ScheduleStatus::Deleted),
        }
    }

    /// What it is to do, unless absent or deleted.
    #[must_use]
    pub fn spec(&self) -> Option<&ScheduleSpec> {
        self.live().map(|live| &live.spec)
    }

    /// All that is known of it, unless absent or deleted.
    #[must_use]
    pub fn live(&self) -> Option<&Live> {
        match self {
            Self::Live(live) => Some(live),
            Self::Absent | Self::Deleted => None,
        }
    }

    /// Its next occurrence.
    #[must_use]
    pub fn next(&self) -> Option<Next> {
        self.live().and_then(Live::next)
    }

    /// How its open tasks are to be stopped, to make room for a start that waits. Follows from the
    /// state alone, so that nothing is lost when the process dies before it was done.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        let live = self.live()?;
        let stops = live.policies().into_iter().filter_map(|overlap| match overlap {
            Overlap::CancelOther => Some(Stop::Cancel),
            Overlap::TerminateOther => Some(Stop::Terminate),
            Overlap::Skip | Overlap::BufferOne | Overlap::BufferAll | Overlap::AllowAll => None,
        });
        stops.max()
    }

    fn living(&self) -> Result<&Live, ScheduleRejection> {
        match self {
            Self::Absent => Err(ScheduleRejection::Absent),
            Self::Deleted => Err(ScheduleRejection::Deleted),
            Self::Live(live) => Ok(live),
        }
    }

    fn create(
        &self,
        id: ScheduleId,
        spec: Box<ScheduleSpec>,
        now: Timestamp,
    ) -> Result<Vec<ScheduleEvent>, ScheduleRejection> {
        if *self != Self::Absent {
            return Err(ScheduleRejection::Exists);
        }
        spec.validate(now)?;
        let next = wake::first(&spec, id, now).ok_or(RecurrenceError::NeverMatches)?;
        let (_, next_starts_at) = Next::fields(Some(next));
        Ok(vec![ScheduleEvent::Created(Box::new(ScheduleCreated {
            spec: *spec,
            next_due_at: next.due_at,
            next_starts_at,
            zone_data: zone_data_version().into(),
        }))])
    }
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
            ScheduleCommand::Create { id, spec } => self.create(id, spec, now),
            ScheduleCommand::Edit { id, patch } => self.living()?.edit(id, *patch, now),
            ScheduleCommand::Wake { id, open, drift } => Ok(self
                .live()
                .map(|live| live.wake(id, open, drift.as_ref(), now))
                .unwrap_or_default()),
            ScheduleCommand::Trigger { task_id, overlap, open } => {
                self.living()?.trigger(task_id, overlap, open)
            }
            ScheduleCommand::Backfill(request) => self.living()?.backfill(*request),
            ScheduleCommand::CancelBackfill { number } => self.living()?.cancel_backfill(number),
            ScheduleCommand::CountEnd { task_id, status, message } => {
                let live = self.live();
                Ok(live
                    .map(|live| live.count_end(task_id, status, message.as_deref(), now))
                    .unwrap_or_default())
            }
            ScheduleCommand::Pause => {
                let live = self.living()?;
                match live.stage {
                    Stage::Paused { .. } => Ok(vec![]),
                    Stage::Active { .. } => Ok(vec![live.pause(now, None)]),
                    Stage::Completed => Err(ScheduleRejection::Completed),
                }
            }
            ScheduleCommand::Resume { id } => self.living()?.resume(id, now),
            ScheduleCommand::Delete => match self {
                Self::Absent => Err(ScheduleRejection::Absent),
                Self::Deleted => Ok(vec![]),
                Self::Live(live) => {
                    let dropped = live.dropped(now);
                    Ok(vec![ScheduleEvent::Deleted(ScheduleDeleted { dropped })])
                }
            },
        }
    }

    fn evolve(self, event: &ScheduleEvent) -> Self {
        match (self, event) {
            (Self::Absent, ScheduleEvent::Created(e)) => {
                let starts_at = e.next_starts_at.unwrap_or(e.next_due_at);
                let next = Next { due_at: e.next_due_at, starts_at };
                Self::Live(Box::new(Live {
                    spec: e.spec.clone(),
                    stage: Stage::Active { next },
                    progress: Progress::default(),
                }))
            }
            (Self::Live(_), ScheduleEvent::Deleted(_)) => Self::Deleted,
            (Self::Live(mut live), event) => {
                if let ScheduleEvent::Edited(e) = event {
                    live.spec = e.spec.clone();
                }
                live.stage = live.stage.after(event);
                live.progress.take(event);
                Self::Live(live)
            }
            (state, _) => state,
        }
    }
}
