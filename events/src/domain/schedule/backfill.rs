//! Instants of the past, made up for on request. A backfill runs although the schedule is paused
//! or completed, ignores the catch-up window, and takes no occurrence: its tasks have ids of
//! their own.

use serde::{Deserialize, Serialize};

use super::{
    BackfillOnly, Live, Open, ScheduleBackfillEnded, ScheduleBackfillStarted, ScheduleBackfilled,
    ScheduleEvent, ScheduleRejection,
};
use crate::clock::Timestamp;
use crate::domain::overlap::Overlap;
use crate::ids::{ScheduleId, TaskId};
use crate::limits;

/// A wish to run instants of the past. Which of them are due, and which of those were not run, is
/// looked up by whoever makes the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillRequest {
    /// The first instant asked for.
    pub from: Timestamp,
    /// The last instant asked for.
    pub to: Timestamp,
    /// Which instants were taken.
    pub only: BackfillOnly,
    /// `BufferAll` (one after another) or `AllowAll`.
    pub overlap: Overlap,
    /// How many of its tasks may be open at once under `AllowAll`.
    pub active_max: u32,
    /// The due instants, in the order in which they are to run.
    pub due: Vec<Timestamp>,
}

/// A backfill under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// Its number within the schedule, from 1.
    pub number: u32,
    /// How its tasks go along with what is open.
    pub overlap: Overlap,
    /// How many of its tasks may be open at once.
    pub active_max: u32,
    /// What is left, in the order in which it is to run.
    pub left: Vec<Timestamp>,
}

impl Backfill {
    pub(super) fn of(started: &ScheduleBackfillStarted) -> Self {
        Self {
            number: started.number,
            overlap: started.overlap,
            active_max: started.active_max,
            left: started.due.clone(),
        }
    }

    /// How many tasks it may start now.
    fn room(&self, open: Open, others_start: bool) -> usize {
        let room = if self.overlap == Overlap::AllowAll {
            self.active_max.saturating_sub(open.backfilled)
        } else {
            u32::from(open.rival.is_none() && !others_start)
        };
        (room as usize).min(limits::BACKFILL_BATCH_MAX)
    }
}

impl Live {
    pub(super) fn backfill(
        &self,
        request: BackfillRequest,
    ) -> Result<Vec<ScheduleEvent>, ScheduleRejection> {
        let BackfillRequest { from, to, only, overlap, active_max, due } = request;
        if !matches!(overlap, Overlap::BufferAll | Overlap::AllowAll) {
            return Err(ScheduleRejection::BackfillOverlap(overlap));
        }
        if !(1..=limits::BACKFILL_ACTIVE_MAX).contains(&active_max) {
            return Err(ScheduleRejection::BackfillActive(active_max));
        }
        if due.is_empty() {
            return Err(ScheduleRejection::NothingToBackfill(only));
        }
        if due.len() > limits::BACKFILL_INSTANTS_MAX {
            return Err(ScheduleRejection::BackfillTooLong(due.len() as u64));
        }
        if self.progress.backfills.len() >= limits::BACKFILLS_MAX {
            return Err(ScheduleRejection::TooManyBackfills);
        }
        let number = self.progress.last_backfill + 1;
        let started = ScheduleBackfillStarted { number, from, to, only, overlap, active_max, due };
        Ok(vec![ScheduleEvent::BackfillStarted(Box::new(started))])
    }

    pub(super) fn cancel_backfill(
        &self,
        number: u32,
    ) -> Result<Vec<ScheduleEvent>, ScheduleRejection> {
        let found = self.progress.backfills.iter().find(|backfill| backfill.number == number);
        let backfill = found.ok_or(ScheduleRejection::NoSuchBackfill(number))?;
        let left = u32::try_from(backfill.left.len()).unwrap_or(u32::MAX);
        Ok(vec![ScheduleEvent::BackfillEnded(ScheduleBackfillEnded { number, left })])
    }

    /// What the oldest backfill starts now. `others_start` says whether this pass starts other
    /// tasks of the schedule.
    pub(super) fn continue_backfill(
        &self,
        id: ScheduleId,
        open: Open,
        others_start: bool,
    ) -> Vec<ScheduleEvent> {
        let Some(backfill) = self.progress.backfills.first() else { return vec![] };
        let number = backfill.number;
        let room = backfill.room(open, others_start);
        let mut events: Vec<ScheduleEvent> = backfill
            .left
            .iter()
            .take(room)
            .map(|due_at| {
                let (due_at, task_id) = (*due_at, TaskId::of_backfill(id, *due_at, number));
                ScheduleEvent::Backfilled(ScheduleBackfilled { number, due_at, task_id })
            })
            .collect();
        if room >= backfill.left.len() {
            let ended = ScheduleBackfillEnded { number, left: 0 };
            events.push(ScheduleEvent::BackfillEnded(ended));
        }
        events
    }
}
