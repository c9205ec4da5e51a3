//! The parts of a schedule's state that its events move: the stage, and what it looks back on.

use serde::{Deserialize, Serialize};

use super::{Backfill, ScheduleEvent};
use crate::clock::Timestamp;
use crate::domain::overlap::Overlap;
use crate::ids::TaskId;

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
    pub(super) fn fields(next: Option<Self>) -> (Option<Timestamp>, Option<Timestamp>) {
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
    pub(super) fn occurrences(&self) -> Vec<Timestamp> {
        let due = self.waiting.iter().filter_map(|waiting| match waiting.origin {
            Origin::Occurrence { due_at } => Some(due_at),
            Origin::Trigger { .. } => None,
        });
        due.collect()
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
