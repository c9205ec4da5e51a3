//! What became of one instant, and why, from the events of a schedule alone.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an event that says nothing about an instant is passed over, also a future one"
)]

use serde::Serialize;

use super::{Origin, ScheduleEvent, ScheduleSpec, SkipReason};
use crate::clock::Timestamp;
use crate::domain::overlap::Overlap;
use crate::domain::recurrence::TimetablePlanner;
use crate::ids::{ScheduleId, TaskId};
use crate::log::RecordedEvent;

/// The event that settles a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Witness {
    /// Its place in the log.
    pub position: u64,
    /// Its name.
    pub event: String,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    pub recorded_at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What they gave as the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&RecordedEvent> for Witness {
    fn from(event: &RecordedEvent) -> Self {
        Self {
            position: event.position.0,
            event: event.event_type.to_string(),
            recorded_at: event.recorded_at,
            actor: event.metadata.actor.to_string(),
            reason: event.metadata.reason.as_ref().map(ToString::to_string),
        }
    }
}

/// What became of an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It started a task.
    Fired {
        /// The task.
        task_id: TaskId,
    },
    /// It waits for the end of what is open.
    Waits,
    /// It started nothing.
    Skipped {
        /// Why.
        why: SkipReason,
        /// The policy in force.
        overlap: Overlap,
    },
    /// It waited for its start, and an event ended that.
    GivenUp,
    /// The schedule was paused.
    Paused {
        /// Since when.
        #[schema(value_type = String, format = DateTime)]
        since: Timestamp,
        /// Until when, if it has ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        until: Option<Timestamp>,
    },
    /// By the timetable then in force it was no due instant.
    NotDue {
        /// The last one before it that the log knows.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        previous: Option<Timestamp>,
        /// The next one after it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        next: Option<Timestamp>,
    },
    /// It is due, and lies ahead.
    Ahead,
    /// It is due and has passed, and nothing is recorded yet: Spark was not running, or is about
    /// to deal with it.
    Unsettled,
    /// The schedule did not exist yet.
    BeforeCreation,
    /// Nothing came due any more.
    AfterCompletion,
    /// The schedule did not exist any more.
    AfterDeletion,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Why {
    /// The instant asked about.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The event that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// Who made or last changed the schedule before the instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_by: Option<Witness>,
    /// Tasks that backfills made for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backfilled: Vec<TaskId>,
    /// Whether a backfill could run it now: the schedule is there, and the instant has passed and
    /// is due by the timetable of now.
    pub can_backfill: bool,
}

/// What applies at the instant, as far as the events read so far say.
#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Active,
    Paused { since: Timestamp },
    Completed,
    Deleted,
}

/// A question about one instant, answered by giving it all events of the schedule in order.
#[derive(Debug)]
pub struct Inquiry {
    id: ScheduleId,
    at: Timestamp,
    spec: Option<(ScheduleSpec, Witness)>,
    /// What holds now; none where the schedule is deleted.
    present: Option<ScheduleSpec>,
    stage: Stage,
    stage_witness: Option<Witness>,
    /// When a pause that covers the instant ended.
    resumed_at: Option<Timestamp>,
    previous: Option<Timestamp>,
    settled: Option<(Verdict, Witness)>,
    backfilled: Vec<TaskId>,
}

impl Inquiry {
    /// Asks about an instant.
    #[must_use]
    pub fn new(id: ScheduleId, at: Timestamp) -> Self {
        Self {
            id,
            at,
            spec: None,
            present: None,
            stage: Stage::Active,
            stage_witness: None,
            resumed_at: None,
            previous: None,
            settled: None,
            backfilled: vec![],
        }
    }

    /// Takes the next event of the schedule into account.
    pub fn take(&mut self, event: &ScheduleEvent, witness: Witness) {
        self.evidence(event, &witness);
        match event {
            ScheduleEvent::Created(e) => self.present = Some(e.spec.clone()),
            ScheduleEvent::Edited(e) => self.present = Some(e.spec.clone()),
            ScheduleEvent::Deleted(_) => self.present = None,
            _ => {}
        }
        if witness.recorded_at > self.at {
            if let (Stage::Paused { .. }, ScheduleEvent::Resumed(e)) = (&self.stage, event) {
                self.resumed_at.get_or_insert(e.at);
            }
            return;
        }
        let stage = match event {
            ScheduleEvent::Created(e) => {
                self.spec = Some((e.spec.clone(), witness));
                return;
            }
            ScheduleEvent::Edited(e) => {
                self.spec = Some((e.spec.clone(), witness.clone()));
                match (&self.stage, e.next_due_at) {
                    (Stage::Completed, Some(_)) => Stage::Active,
                    _ => return,
                }
            }
            ScheduleEvent::Paused(e) => Stage::Paused { since: e.at },
            ScheduleEvent::Resumed(_) => Stage::Active,
            ScheduleEvent::Completed(_) => Stage::Completed,
            ScheduleEvent::Deleted(_) => Stage::Deleted,
            _ => return,
        };
        self.stage = stage;
        self.stage_witness = Some(witness);
    }

    /// Looks whether the event settles what became of the instant.
    fn evidence(&mut self, event: &ScheduleEvent, witness: &Witness) {
        let at = self.at;
        let dropped = match event {
            ScheduleEvent::Edited(e) => e.dropped.as_slice(),
            ScheduleEvent::Paused(e) => &e.dropped,
            ScheduleEvent::Completed(e) => &e.dropped,
            ScheduleEvent::Deleted(e) => &e.dropped,
            _ => &[],
        };
        let waits = Origin::Occurrence { due_at: at };
        let verdict = match event {
            ScheduleEvent::Fired(e) if e.due_at == at => {
                Some(Verdict::Fired { task_id: e.task_id })
            }
            ScheduleEvent::Buffered(e) if e.origin == waits => Some(Verdict::Waits),
            ScheduleEvent::Skipped(e)
                if (e.first_due_at..=e.last_due_at).contains(&at) && self.is_due() =>
            {
                let overlap = self.spec.as_ref().map_or(Overlap::Skip, |(spec, _)| spec.overlap);
                Some(Verdict::Skipped { why: e.reason.clone(), overlap })
            }
            _ if dropped.contains(&at) => Some(Verdict::GivenUp),
            _ => None,
        };
        if let Some(verdict) = verdict {
            self.settled = Some((verdict, witness.clone()));
        }
        if let ScheduleEvent::Backfilled(e) = event
            && e.due_at == at
        {
            self.backfilled.push(e.task_id);
        }
        let due_at = match event {
            ScheduleEvent::Fired(e) => Some(e.due_at),
            ScheduleEvent::Skipped(e) => Some(e.last_due_at),
            _ => None,
        };
        self.previous = self.previous.max(due_at.filter(|due_at| *due_at < at));
    }

    fn planner(&self) -> Option<TimetablePlanner> {
        let (spec, _) = self.spec.as_ref()?;
        spec.timetable.planner(self.id).ok()
    }

    /// Whether the instant is due by the timetable in force so far.
    fn is_due(&self) -> bool {
        self.planner().is_some_and(|planner| self.is_due_by(&planner))
    }

    fn is_due_by(&self, planner: &TimetablePlanner) -> bool {
        let before = self.at - chrono::TimeDelta::microseconds(1);
        planner.next_after(before).is_some_and(|due| due.due_at == self.at)
    }

    /// Whether the instant is one of those that a backfill finds.
    fn can_backfill(&self, now: Timestamp) -> bool {
        let planner = self.present.as_ref().and_then(|spec| spec.timetable.planner(self.id).ok());
        self.at <= now && planner.is_some_and(|planner| self.is_due_by(&planner))
    }

    /// The answer, as of `now`.
    #[must_use]
    pub fn answer(self, now: Timestamp) -> Why {
        let (verdict, witness) = match self.settled.clone() {
            Some((verdict, witness)) => (verdict, Some(witness)),
            None => self.unsettled(now),
        };
        let can_backfill = self.can_backfill(now);
        let set_by = self.spec.map(|(_, witness)| witness);
        Why { at: self.at, verdict, witness, set_by, backfilled: self.backfilled, can_backfill }
    }

    /// What can be said where no event names the instant.
    fn unsettled(&self, now: Timestamp) -> (Verdict, Option<Witness>) {
        if self.spec.is_none() {
            return (Verdict::BeforeCreation, None);
        }
        let witness = self.stage_witness.clone();
        match self.stage {
            Stage::Deleted => (Verdict::AfterDeletion, witness),
            Stage::Completed => (Verdict::AfterCompletion, witness),
            Stage::Active | Stage::Paused { .. } if !self.is_due() => {
                let next = self.planner().and_then(|planner| planner.next_after(self.at));
                let next = next.map(|due| due.due_at);
                (Verdict::NotDue { previous: self.previous, next }, None)
            }
            Stage::Paused { since } => (Verdict::Paused { since, until: self.resumed_at }, witness),
            Stage::Active if self.at > now => (Verdict::Ahead, None),
            Stage::Active => (Verdict::Unsettled, None),
        }
    }
}
