//! Changing a schedule in place. An edit starts nothing by itself: the new timetable counts from
//! the instant of the edit on.

use super::spec::changed;
use super::{
    Live, Next, ScheduleCompleted, ScheduleEdited, ScheduleEvent, SchedulePatch, ScheduleRejection,
    Stage, wake,
};
use crate::clock::Timestamp;
use crate::domain::recurrence::zone_data_version;
use crate::ids::ScheduleId;

impl Live {
    pub(super) fn edit(
        &self,
        id: ScheduleId,
        patch: SchedulePatch,
        now: Timestamp,
    ) -> Result<Vec<ScheduleEvent>, ScheduleRejection> {
        let spec = patch.apply(&self.spec);
        let changed = changed(&self.spec, &spec);
        if changed.is_empty() {
            return Ok(vec![]);
        }
        let moved = spec.timetable != self.spec.timetable;
        if moved {
            spec.validate(now)?;
        } else {
            spec.check()?;
        }
        let used_up = spec.runs_max.is_some_and(|max| self.progress.fired >= max);
        let next = match self.stage {
            Stage::Paused { .. } => None,
            _ if used_up => None,
            Stage::Active { next } if !moved => Some(next),
            Stage::Active { .. } | Stage::Completed => wake::next(&spec, id, now),
        };
        // An instant of the old timetable whose jitter has not passed yet is due no more.
        let pending = self.next().filter(|old| old.due_at <= now && next != Some(*old));
        let (next_due_at, next_starts_at) = Next::fields(next);
        let edited = ScheduleEdited {
            spec,
            changed,
            at: now,
            dropped: pending.map(|old| old.due_at).into_iter().collect(),
            next_due_at,
            next_starts_at,
            zone_data: zone_data_version().into(),
        };
        let mut events = vec![ScheduleEvent::Edited(Box::new(edited))];
        if next.is_none() && matches!(self.stage, Stage::Active { .. }) {
            let dropped = if used_up { self.progress.occurrences() } else { vec![] };
            events.push(ScheduleEvent::Completed(ScheduleCompleted { dropped }));
        }
        Ok(events)
    }
}
