//! Schedules in the start-up index: where each stands, which of its tasks may not have been made,
//! and which ends it has not counted.

use serde::{Deserialize, Serialize};
use spark_events::codec::DomainEvent;
use spark_events::domain::schedule::{Next, Progress, ScheduleEvent, Stage};
use spark_events::domain::task::{TaskStatus, Trigger};
use spark_events::{CodecError, RecordedEvent, Revision, ScheduleId, TaskId, Timestamp};

use super::Index;
use crate::schedule::Dormant;

/// A schedule, as far as the timetable needs it. Instants in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScheduleNote {
    revision: u64,
    /// The event that holds the specification.
    spec_revision: u64,
    stage: NoteStage,
    counts_ends: bool,
    progress: Progress,
}

/// The domain's `Stage` in few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum NoteStage {
    Active { due_us: i64, starts_us: i64 },
    Paused { since_us: i64 },
    Completed,
}

fn at(us: i64) -> Timestamp {
    Timestamp::from_timestamp_micros(us).unwrap_or(Timestamp::MAX_UTC)
}

impl From<Stage> for NoteStage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Active { next } => Self::Active {
                due_us: next.due_at.timestamp_micros(),
                starts_us: next.starts_at.timestamp_micros(),
            },
            Stage::Paused { since } => Self::Paused { since_us: since.timestamp_micros() },
            Stage::Completed => Self::Completed,
        }
    }
}

impl From<NoteStage> for Stage {
    fn from(note: NoteStage) -> Self {
        match note {
            NoteStage::Active { due_us, starts_us } => {
                Self::Active { next: Next { due_at: at(due_us), starts_at: at(starts_us) } }
            }
            NoteStage::Paused { since_us } => Self::Paused { since: at(since_us) },
            NoteStage::Completed => Self::Completed,
        }
    }
}

/// A task that was fired and is not known to have been created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandOver {
    pub(crate) schedule: ScheduleId,
    due_at_us: Option<i64>,
    backfill: Option<u32>,
}

impl HandOver {
    /// What asked for the task.
    pub(crate) fn trigger(&self) -> Trigger {
        let schedule_id = self.schedule;
        match (self.due_at_us.map(at), self.backfill) {
            (Some(due_at), None) => Trigger::Occurrence { schedule_id, due_at },
            (Some(due_at), Some(number)) => Trigger::Backfill { schedule_id, due_at, number },
            (None, _) => Trigger::ScheduleTriggered { schedule_id },
        }
    }
}

/// The end of a task that its schedule is not known to have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Uncounted {
    pub(crate) schedule: ScheduleId,
    pub(crate) status: TaskStatus,
}

impl Index {
    pub(crate) fn schedules(&self) -> impl Iterator<Item = (ScheduleId, Dormant)> + '_ {
        self.schedules.iter().map(move |(id, note)| {
            let dormant = Dormant {
                revision: Revision(note.revision),
                spec_revision: Revision(note.spec_revision),
                stage: note.stage.into(),
                counts_ends: note.counts_ends,
                progress: note.progress.clone(),
            };
            (*id, dormant)
        })
    }

    /// Notes the end of a task that its schedule has to count.
    pub(super) fn task_ended(&mut self, id: TaskId, status: TaskStatus) {
        let owner = self.tasks.remove(&id).and_then(|task| task.owner);
        let Some(schedule) = owner.map(|owner| owner.schedule) else { return };
        if self.schedules.get(&schedule).is_some_and(|note| note.counts_ends) {
            self.uncounted.insert(id, Uncounted { schedule, status });
        }
    }

    pub(super) fn schedule(
        &mut self,
        id: ScheduleId,
        recorded: &RecordedEvent,
    ) -> Result<(), CodecError> {
        let event = ScheduleEvent::from_recorded(recorded)?;
        let revision = recorded.revision.0;
        let fired = match &event {
            ScheduleEvent::Created(e) => {
                let next = event
                    .next()
                    .unwrap_or(Next { due_at: e.next_due_at, starts_at: e.next_due_at });
                let note = ScheduleNote {
                    revision,
                    spec_revision: revision,
                    stage: Stage::Active { next }.into(),
                    counts_ends: e.spec.pause_after.is_some(),
                    progress: Progress::default(),
                };
                self.schedules.insert(id, note);
                return Ok(());
            }
            ScheduleEvent::Deleted(_) => {
                self.schedules.remove(&id);
                self.uncounted.retain(|_, ended| ended.schedule != id);
                return Ok(());
            }
            ScheduleEvent::Fired(e) => Some((e.task_id, Some(e.due_at), None)),
            ScheduleEvent::Triggered(e) => Some((e.task_id, None, None)),
            ScheduleEvent::Backfilled(e) => Some((e.task_id, Some(e.due_at), Some(e.number))),
            ScheduleEvent::TaskEnded(e) => {
                self.uncounted.remove(&e.task_id);
                None
            }
            _ => None,
        };
        if let Some((task_id, due_at, backfill)) = fired {
            let due_at_us = due_at.map(|due_at| due_at.timestamp_micros());
            self.hand_overs.insert(task_id, HandOver { schedule: id, due_at_us, backfill });
        }
        if let Some(note) = self.schedules.get_mut(&id) {
            note.revision = revision;
            if let ScheduleEvent::Edited(e) = &event {
                note.spec_revision = revision;
                note.counts_ends = e.spec.pause_after.is_some();
            }
            note.stage = Stage::from(note.stage).after(&event).into();
            note.progress.take(&event);
        }
        Ok(())
    }
}
