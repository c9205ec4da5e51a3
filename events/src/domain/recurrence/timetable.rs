//! All that says when a schedule is due: several recurrences at once, less what is excluded,
//! within a first and a last instant, each start moved by jitter.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::exclusion::{Excluded, Exclusion};
use super::{DstNote, Due, Planner, Recurrence, RecurrenceError};
use crate::clock::Timestamp;
use crate::ids::ScheduleId;
use crate::limits;

// Stored in events as it is; parse it once with `Timetable::planner`.
/// When a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Timetable {
    /// Due is every instant of any of these; at least one.
    pub specs: Vec<Recurrence>,
    /// Except those that one of these covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<Exclusion>,
    /// How far a start may be moved behind its due instant. Always less than the distance to the
    /// next due instant, and the same for an instant however often it is asked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jitter_ms: u64,
    /// The first instant that may be due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_at: Option<Timestamp>,
    /// The last instant that may be due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end_at: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

/// One due instant of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Occurrence {
    /// The nominal instant, by which the occurrence is known.
    pub due_at: Timestamp,
    /// When it is to start: `due_at` and its jitter.
    pub starts_at: Timestamp,
    /// What a clock change had to do with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst: Option<DstNote>,
}

impl From<Recurrence> for Timetable {
    fn from(recurrence: Recurrence) -> Self {
        Self {
            specs: vec![recurrence],
            exclusions: vec![],
            jitter_ms: 0,
            start_at: None,
            end_at: None,
        }
    }
}

impl Timetable {
    /// Checks everything that must hold before a schedule is saved. A single instant may be over if
    /// the timetable has other recurrences: a schedule that ran it must still be changeable.
    ///
    /// # Errors
    /// What [`Recurrence::validate`] and [`Timetable::planner`] refuse, a bound that is passed, an
    /// end that is not after the start, or that no instant is left at or after `now`.
    pub fn validate(&self, now: Timestamp) -> Result<(), RecurrenceError> {
        self.check_bounds()?;
        for spec in &self.specs {
            let is_over = matches!(spec, Recurrence::Once { at } if *at < now);
            if !is_over || self.specs.len() == 1 {
                spec.validate(now)?;
            }
        }
        // The schedule's id moves starts only, so any will do.
        let mut planner = self.planner(ScheduleId(uuid::Uuid::nil()))?;
        let before = now - TimeDelta::microseconds(1);
        if planner.next_after(before).is_some() {
            return Ok(());
        }
        planner.exclusions.clear();
        Err(match (planner.next_after(before), self.end_at) {
            (Some(_), _) => RecurrenceError::AllExcluded,
            (None, Some(end_at)) => RecurrenceError::NothingBeforeEnd { end_at },
            (None, None) => RecurrenceError::NeverMatches,
        })
    }

    fn check_bounds(&self) -> Result<(), RecurrenceError> {
        let (specs, exclusions) = (self.specs.len(), self.exclusions.len());
        if specs == 0 {
            return Err(RecurrenceError::NoSpecs);
        }
        if specs > limits::TIMETABLE_SPECS_MAX {
            return Err(RecurrenceError::TooManySpecs { count: specs });
        }
        if exclusions > limits::TIMETABLE_EXCLUSIONS_MAX {
            return Err(RecurrenceError::TooManyExclusions { count: exclusions });
        }
        if self.jitter_ms > limits::JITTER_MS_MAX {
            return Err(RecurrenceError::JitterTooLong { jitter_ms: self.jitter_ms });
        }
        match (self.start_at, self.end_at) {
            (Some(start_at), Some(end_at)) if start_at >= end_at => {
                Err(RecurrenceError::EndsBeforeStart { start_at, end_at })
            }
            _ => Ok(()),
        }
    }

    /// The parsed form, for repeated use.
    ///
    /// # Errors
    /// An unreadable expression, an unknown zone, or an empty span.
    pub fn planner(&self, id: ScheduleId) -> Result<TimetablePlanner, RecurrenceError> {
        let specs = self.specs.iter().map(Recurrence::planner).collect::<Result<_, _>>()?;
        let exclusions = self.exclusions.iter().zip(1..).map(|(exclusion, number)| {
            exclusion.planner().map_err(|problem| {
                let problem = Box::new(problem);
                RecurrenceError::Exclusion { number, problem }
            })
        });
        Ok(TimetablePlanner {
            id,
            specs,
            exclusions: exclusions.collect::<Result<_, _>>()?,
            jitter_us: self.jitter_ms.saturating_mul(1_000),
            start_at: self.start_at,
            end_at: self.end_at,
        })
    }
}

/// A parsed [`Timetable`] of one schedule.
#[derive(Debug, Clone)]
pub struct TimetablePlanner {
    id: ScheduleId,
    specs: Vec<Planner>,
    exclusions: Vec<Excluded>,
    jitter_us: u64,
    start_at: Option<Timestamp>,
    end_at: Option<Timestamp>,
}

impl TimetablePlanner {
    /// The first occurrence that is due strictly after `after`, `None` when nothing more comes. Who
    /// wants several takes [`Self::walk`], which remembers what it found.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Occurrence> {
        self.walk(after).next()
    }

    /// All occurrences that are due strictly after `after`, in order.
    #[must_use]
    pub fn walk(&self, after: Timestamp) -> Walk<'_> {
        let start = self.start_at.and_then(just_before);
        let after = start.map_or(after, |start| after.max(start));
        let upcoming = self.specs.iter().map(|spec| spec.next_after(after)).collect();
        Walk { planner: self, upcoming, ahead: None }
    }

    /// The next `n` occurrences after `after`, at most [`limits::PREVIEW_MAX`].
    #[must_use]
    pub fn preview(&self, after: Timestamp, n: usize) -> Vec<Occurrence> {
        self.walk(after).take(n.min(limits::PREVIEW_MAX)).collect()
    }

    /// How many occurrences are due from `from` to `to`, both included. Counts up to `at_most` (and
    /// [`limits::COUNTED_MAX`]) of them one by one, and takes what follows to be as dense. A single
    /// interval without exclusions is computed and always exact.
    #[must_use]
    pub fn count(&self, from: Timestamp, to: Timestamp, at_most: u64) -> Count {
        let from = self.start_at.map_or(from, |start| start.max(from));
        let to = self.end_at.map_or(to, |end| end.min(to));
        if from > to {
            return Count::Exactly(0);
        }
        if let ([spec], []) = (&self.specs[..], &self.exclusions[..])
            && let Some(count) = spec.count_interval(from, to)
        {
            return Count::Exactly(count);
        }
        let at_most = at_most.min(limits::COUNTED_MAX);
        let mut walk = self.walk(just_before(from).unwrap_or(from));
        let (mut count, mut last) = (0, from);
        while let Some(due) = walk.nominal().filter(|due| due.at <= to) {
            if count == at_most {
                return Count::About(extrapolated(count, last - from, to - from));
            }
            (count, last) = (count + 1, due.at);
        }
        Count::Exactly(count)
    }

    /// Where `at` is excluded: an instant after it, before which all is excluded too.
    fn excluded_until(&self, at: Timestamp) -> Option<Timestamp> {
        self.exclusions.iter().filter_map(|exclusion| exclusion.until(at)).max()
    }

    /// A place in `[due_at, due_at + jitter)` that follows from the schedule and the instant alone,
    /// before `next` in any case.
    fn jittered(&self, due_at: Timestamp, next: Option<Timestamp>) -> Timestamp {
        let gap = next.and_then(|next| (next - due_at).num_microseconds());
        let gap = gap.and_then(|gap| u64::try_from(gap).ok()).unwrap_or(u64::MAX);
        let hash = Sha256::new()
            .chain_update(self.id.0.as_bytes())
            .chain_update(due_at.timestamp_micros().to_be_bytes())
            .finalize();
        // The first eight bytes as a fraction of one: exact on every platform.
        let part = hash.iter().take(8).fold(0, |part, byte| part << 8 | u128::from(*byte));
        let us = (part * u128::from(self.jitter_us.min(gap))) >> 64;
        let us = TimeDelta::microseconds(i64::try_from(us).unwrap_or_default());
        due_at.checked_add_signed(us).unwrap_or(due_at)
    }
}

/// How many occurrences there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "count", rename_all = "snake_case")]
pub enum Count {
    /// They were counted.
    Exactly(u64),
    /// More than were to be counted: an estimate.
    About(u64),
}

/// `count` in `part` of the time, as if it went on like that for `whole`.
fn extrapolated(count: u64, part: TimeDelta, whole: TimeDelta) -> u64 {
    let ms = |span: TimeDelta| u128::try_from(span.num_milliseconds()).unwrap_or(0);
    // At least one more than were counted is known to come.
    let about = (u128::from(count) * ms(whole)).checked_div(ms(part)).unwrap_or(0);
    u64::try_from(about).unwrap_or(u64::MAX).max(count + 1)
}

fn just_before(at: Timestamp) -> Option<Timestamp> {
    at.checked_sub_signed(TimeDelta::microseconds(1))
}

/// The occurrences of a schedule in order; see [`TimetablePlanner::walk`].
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    planner: &'a TimetablePlanner,
    /// What each recurrence has next.
    upcoming: Vec<Option<Due>>,
    /// Found already, to know how much jitter the one before it may have.
    ahead: Option<Due>,
}

impl Walk<'_> {
    /// The next due instant that is not excluded.
    fn nominal(&mut self) -> Option<Due> {
        for _ in 0..limits::EXCLUDED_SKIPS_MAX {
            let at = self.upcoming.iter().flatten().map(|due| due.at).min()?;
            if self.planner.end_at.is_some_and(|end_at| at > end_at) {
                return None;
            }
            match self.planner.excluded_until(at).and_then(just_before) {
                Some(last) => self.pass(last.max(at)),
                None => {
                    let same = self.upcoming.iter().flatten().filter(|due| due.at == at);
                    let dst = same.filter_map(|due| due.dst).next();
                    self.pass(at);
                    return Some(Due { at, dst });
                }
            }
        }
        self.upcoming.clear();
        None
    }

    /// Moves every recurrence behind `last`.
    fn pass(&mut self, last: Timestamp) {
        for (due, spec) in self.upcoming.iter_mut().zip(&self.planner.specs) {
            if due.is_some_and(|due| due.at <= last) {
                *due = spec.next_after(last);
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Occurrence;

    fn next(&mut self) -> Option<Occurrence> {
        let Due { at: due_at, dst } = self.ahead.take().or_else(|| self.nominal())?;
        if self.planner.jitter_us == 0 {
            return Some(Occurrence { due_at, starts_at: due_at, dst });
        }
        self.ahead = self.nominal();
        let starts_at = self.planner.jittered(due_at, self.ahead.map(|due| due.at));
        Some(Occurrence { due_at, starts_at, dst })
    }
}

#[cfg(test)]
mod tests;
