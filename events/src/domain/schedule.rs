//! A schedule: when a flow is run, with which input.
//!
//! Every due instant ends in exactly one recorded outcome: `fired`; or it is covered by the span
//! of a `skipped` or of a `resumed` (paused meanwhile); or it is listed as `dropped` by the event
//! that ended its wait. A start that must wait is `buffered` first.
//!
//! - `spec.rs`: what it is to do, and how that is patched.
//! - `wake.rs`: what becomes of the instants that are due and of the starts that wait.
//! - `backfill.rs`: instants of the past, made up for on request.
//! - `why.rs`: what became of one instant, from the events alone.

use serde::{Deserialize, Serialize};

use super::Aggregate;
use super::overlap::{self, Admission, Overlap, Stop};
use super::recurrence::{RecurrenceError, zone_data_version};
use super::retry::BadRetryPolicy;
use super::task::TaskStatus;
use crate::clock::Timestamp;
use crate::ids::{ScheduleId, TaskId};
use crate::limits;

mod backfill;
mod edit;
mod events;
mod spec;
#[cfg(test)]
mod tests;
mod wake;
pub mod why;

pub use backfill::{Backfill, BackfillRequest};
pub use events::*;
pub use spec::{OnDrift, SchedulePatch, ScheduleSpec};

/// What can be asked of a schedule.
#[derive(Debug, Clone)]
pub enum ScheduleCommand {
    /// Make it.
    Create {
        /// The schedule's own id, from which its jitter follows.
        id: ScheduleId,
        /// What it is to do.
        spec: Box<ScheduleSpec>,
    },
    /// Change what the patch names. Starts nothing: what is due already must be dealt with first
    /// (a `Wake`), and what the old timetable had not started yet is given up.
    Edit {
        /// The schedule's own id.
        id: ScheduleId,
        /// What to change.
        patch: Box<SchedulePatch>,
    },
    /// Its timer rang, or a task of it has ended: deal with every instant that is due by now, and
    /// with every start that waits.
    Wake {
        /// The schedule's own id, from which the ids of its tasks follow.
        id: ScheduleId,
        /// Its open tasks.
        open: Open,
        /// Set where the schedule holds because its flow was changed at the source.
        drift: Option<Drifted>,
    },
    /// Start a task now, outside the recurrence.
    Trigger {
        /// The id that the task gets.
        task_id: TaskId,
        /// What happens while another task is open; `AllowAll` when absent.
        overlap: Option<Overlap>,
        /// Its open tasks.
        open: Open,
    },
    /// Run instants of the past.
    Backfill(Box<BackfillRequest>),
    /// Start nothing more of a backfill.
    CancelBackfill {
        /// Its number.
        number: u32,
    },
    /// One of its tasks has ended.
    CountEnd {
        /// The task.
        task_id: TaskId,
        /// How.
        status: TaskStatus,
        /// What its last failure said.
        message: Option<String>,
    },
    /// Fire nothing until resumed.
    Pause,
    /// Fire again, from now on.
    Resume {
        /// The schedule's own id, from which its jitter follows.
        id: ScheduleId,
    },
    /// Fire nothing any more, keep the history.
    Delete,
}

/// The open tasks of a schedule, as far as its rules look at them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Open {
    /// One of them, if there is any: the one that is in the way.
    pub rival: Option<TaskId>,
    /// How many of them a backfill started.
    pub backfilled: u32,
}

/// The flow is not at its source as it was synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// What the source has; `None` where it has the flow no more.
    pub remote_hash: Option<String>,
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
    #[error(
        "nothing of the schedule comes due any more; give it a new time \
         (automagik schedule update), or trigger it by hand"
    )]
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
    /// A schedule that may never start.
    #[error("a schedule must be allowed at least one run; leave the limit out for no end")]
    BadRunsMax,
    /// A schedule that would pause itself for nothing.
    #[error("a schedule can pause itself after one failure or more; leave it out for never")]
    BadPauseAfter,
    /// The note is too long.
    #[error("a note may have {max} bytes", max = limits::REASON_BYTES_MAX)]
    NoteTooLong,
    /// A start by hand that must not overlap, while a task is open.
    #[error(
        "task {0} of the schedule is still open; wait for it, cancel it, or trigger with the \
         overlap policy BufferOne, CancelOther or AllowAll"
    )]
    StillOpen(TaskId),
    /// A start by hand that must not wait, while others wait already.
    #[error("another start of the schedule waits already; trigger with the policy AllowAll")]
    WaitingAlready,
    /// As many starts wait as may wait.
    #[error(
        "{max} starts of the schedule wait already, and no more may; cancel the open task or the \
         backfill first",
        max = limits::BUFFERED_STARTS_MAX
    )]
    BufferFull,
    /// A backfill of nothing.
    #[error("no instant of this span is left to run; see which there are with --dry-run")]
    NothingToBackfill,
    /// A backfill of too much.
    #[error(
        "the span has {0} instants to run, over the bound of {max} for one backfill; choose a \
         shorter span, or --only missing",
        max = limits::BACKFILL_INSTANTS_MAX
    )]
    BackfillTooLong(u64),
    /// A backfill that would drop what it is for.
    #[error("a backfill runs its tasks one after another (BufferAll) or at once (AllowAll), not {}", .0.as_str())]
    BackfillOverlap(Overlap),
    /// A backfill of too many tasks at once, or of none.
    #[error("a backfill may have from 1 to {max} tasks open at once, got {0}", max = limits::BACKFILL_ACTIVE_MAX)]
    BackfillActive(u32),
    /// Too many backfills of one schedule.
    #[error("{max} backfills of the schedule are under way already; wait or cancel one", max = limits::BACKFILLS_MAX)]
    TooManyBackfills,
    /// There is no such backfill under way.
    #[error("no backfill {0} of the schedule is under way")]
    NoSuchBackfill(u32),
}

/// The stage of a schedule in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// The first occurrence that has no recorded outcome yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Next {
    /// The due instant.
    pub due_at: Timestamp,
    /// When it is to start; later than `due_at` where jitter moves it.
    pub starts_at: Timestamp,
}

impl Next {
    /// As it stands in events: the due instant, and the start where it differs.
    fn fields(next: Option<Self>) -> (Option<Timestamp>, Option<Timestamp>) {
        let moved = next.filter(|next| next.starts_at != next.due_at);
        (next.map(|next| next.due_at), moved.map(|next| next.starts_at))
    }
}

/// What a start comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A due instant.
    Occurrence {
        /// The instant.
        due_at: Timestamp,
    },
    /// A person.
    Trigger {
        /// The id that the task gets.
        task_id: TaskId,
    },
}

/// A start that waits for the end of what is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What it comes from.
    pub origin: Origin,
    /// Its own policy; the schedule's at the time of its start when absent.
    pub overlap: Option<Overlap>,
}

/// Whether anything comes due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It has a next occurrence.
    Active {
        /// Which.
        next: Next,
    },
    /// It waits to be resumed.
    Paused {
        /// Since when.
        since: Timestamp,
    },
    /// Nothing comes due any more.
    Completed,
}

/// What has come of a schedule so far, as far as its rules look back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Starts of its own.
    pub fired: u64,
    /// Failed tasks in a row, where they are counted.
    pub failures: u32,
    /// Starts that wait, in the order in which they came.
    pub waiting: Vec<Waiting>,
    /// Backfills under way, oldest first. Only the first one starts tasks.
    pub backfills: Vec<Backfill>,
    /// The number of the last backfill.
    pub last_backfill: u32,
}

impl Progress {
    /// Whether there is something to do as soon as one of its tasks ends.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty() || !self.backfills.is_empty()
    }

    fn drop_occurrence(&mut self, due_at: Timestamp) {
        self.waiting.retain(|waiting| waiting.origin != Origin::Occurrence { due_at });
    }

    fn drop_trigger(&mut self, task_id: TaskId) {
        self.waiting.retain(|waiting| waiting.origin != Origin::Trigger { task_id });
    }

    /// The due instants that wait.
    fn occurrences(&self) -> Vec<Timestamp> {
        let due = self.waiting.iter().filter_map(|waiting| match waiting.origin {
            Origin::Occurrence { due_at } => Some(due_at),
            Origin::Trigger { .. } => None,
        });
        due.collect()
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
            _ => return vec![],
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

impl Stage {
    /// The stage after an event of a schedule that exists.
    #[must_use]
    pub fn after(self, event: &ScheduleEvent) -> Self {
        match (self, event) {
            (_, ScheduleEvent::Completed(_)) => Self::Completed,
            (_, ScheduleEvent::Paused(e)) => Self::Paused { since: e.at },
            (Self::Paused { .. }, ScheduleEvent::Resumed(_))
            | (Self::Active { .. } | Self::Completed, _) => {
                let next = if matches!(self, Self::Completed) {
                    // Only an edit can make something come due again.
                    matches!(event, ScheduleEvent::Edited(_)).then(|| event.next()).flatten()
                } else {
                    event.next()
                };
                next.map_or(self, |next| Self::Active { next })
            }
            (Self::Paused { .. }, _) => self,
        }
    }
}

impl Progress {
    /// Takes an event of a schedule that exists into account.
    pub fn take(&mut self, event: &ScheduleEvent) {
        match event {
            ScheduleEvent::Fired(e) => {
                self.fired += 1;
                self.drop_occurrence(e.due_at);
            }
            ScheduleEvent::Skipped(e) if e.count == 1 => self.drop_occurrence(e.first_due_at),
            ScheduleEvent::Buffered(e) => {
                self.waiting.push(Waiting { origin: e.origin, overlap: e.overlap });
            }
            ScheduleEvent::Triggered(e) => self.drop_trigger(e.task_id),
            ScheduleEvent::TriggerDropped(e) => self.drop_trigger(e.task_id),
            ScheduleEvent::BackfillStarted(e) => {
                self.last_backfill = e.number;
                self.backfills.push(Backfill::of(e));
            }
            ScheduleEvent::Backfilled(e) => {
                let this = self.backfills.iter_mut().find(|backfill| backfill.number == e.number);
                if let Some(backfill) = this {
                    backfill.left.retain(|due_at| *due_at != e.due_at);
                }
            }
            ScheduleEvent::BackfillEnded(e) => {
                self.backfills.retain(|backfill| backfill.number != e.number);
            }
            ScheduleEvent::TaskEnded(e) => self.failures = e.failures,
            ScheduleEvent::Paused(e) => {
                e.dropped.iter().for_each(|due_at| self.drop_occurrence(*due_at));
                // Whoever resumes it has looked at the failures.
                self.failures = 0;
            }
            ScheduleEvent::Completed(e) => {
                e.dropped.iter().for_each(|due_at| self.drop_occurrence(*due_at));
            }
            ScheduleEvent::Created(_)
            | ScheduleEvent::Edited(_)
            | ScheduleEvent::Skipped(_)
            | ScheduleEvent::Resumed(_)
            | ScheduleEvent::Deleted(_) => {}
        }
    }
}
