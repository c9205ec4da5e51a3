//! All that says when a schedule is due: several recurrences at once, less what is excluded,
//! within a first and a last instant, each start moved by jitter.

use serde::{Deserialize, Serialize};

use super::{DstNote, Recurrence, RecurrenceError};
use crate::clock::Timestamp;
use crate::ids::ScheduleId;

/// When a schedule is due. Stored in events as it is; parse it once with [`Timetable::planner`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub start_at: Option<Timestamp>,
    /// The last instant that may be due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_at: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

/// Instants at which a schedule is not due although its specs say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Exclusion {
    /// All instants whose wall-clock time a cron expression matches. One of five fields covers
    /// whole minutes.
    Cron {
        /// As in [`Recurrence::Cron`].
        expression: String,
        /// The IANA name of the time zone.
        timezone: String,
    },
    /// A span of real time.
    Span {
        /// Its first instant.
        from: Timestamp,
        /// The first instant after it.
        until: Timestamp,
    },
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
    /// Checks everything that must hold before a schedule is saved.
    ///
    /// # Errors
    /// See [`Recurrence::validate`].
    pub fn validate(&self, now: Timestamp) -> Result<(), RecurrenceError> {
        self.specs.iter().try_for_each(|spec| spec.validate(now))
    }

    /// The parsed form, for repeated use.
    ///
    /// # Errors
    /// An unreadable expression or an unknown zone.
    pub fn planner(&self, id: ScheduleId) -> Result<TimetablePlanner, RecurrenceError> {
        let _ = id;
        let specs = self.specs.iter().map(Recurrence::planner).collect::<Result<_, _>>()?;
        Ok(TimetablePlanner { specs })
    }
}

/// A parsed [`Timetable`] of one schedule.
#[derive(Debug, Clone)]
pub struct TimetablePlanner {
    specs: Vec<super::Planner>,
}

impl TimetablePlanner {
    /// The first occurrence that is due strictly after `after`, `None` when nothing more comes.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Occurrence> {
        let next = self.specs.iter().filter_map(|spec| spec.next_after(after));
        next.min_by_key(|due| due.at).map(|due| Occurrence {
            due_at: due.at,
            starts_at: due.at,
            dst: due.dst,
        })
    }
}
