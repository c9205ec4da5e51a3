//! Which tasks are wanted, and in which order: as callers say it, and as it stands in the columns.

use rusqlite::Connection;
use rusqlite::types::Value;
use spark_events::domain::failure::FailureClass;
use spark_events::domain::task::TaskStatus;
use spark_events::{FlowId, ScheduleId, SourceId, Timestamp, WorkerId};

use super::rows::TRIGGERS;
use super::schema::{DELETED, TIMES_MICROS};
use super::words::search_expression;
use super::{class_number, status_number, stored_ref};
use crate::error::QueryError;
use crate::store::Where;

/// Which tasks are wanted, and in which order. Every part but the order narrows the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// In one of these statuses; empty means any.
    pub statuses: Vec<TaskStatus>,
    /// Of this flow.
    pub flow_id: Option<FlowId>,
    /// Of this source.
    pub source_id: Option<SourceId>,
    /// Of this schedule.
    pub schedule_id: Option<ScheduleId>,
    /// Whose last attempt this worker made, or makes now.
    pub worker_id: Option<WorkerId>,
    /// Made for this reason: `manual`, `occurrence`, `schedule_triggered`, `retry_of` or
    /// `backfill`.
    pub trigger: Option<&'static str>,
    /// Whose last failure is of this class, and that did not complete after it.
    pub class: Option<FailureClass>,
    /// Made at this instant or later.
    pub since: Option<Timestamp>,
    /// Made before this instant.
    pub until: Option<Timestamp>,
    /// Whose texts (input, output, failures) have all of these words.
    pub text: Option<String>,
    /// Deleted ones too.
    pub include_deleted: bool,
    /// The order.
    pub sort: TaskSort,
}

impl TaskFilter {
    /// Every reason for which a task is made, as it is named in a filter and in a row.
    pub const TRIGGERS: [&'static str; 5] = TRIGGERS;
}

/// The order of a list: those that an index serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TaskSort {
    /// The one made last comes first.
    #[default]
    NewestFirst,
    /// The one made first comes first.
    OldestFirst,
}

impl TaskSort {
    /// Every order there is.
    pub const ALL: [Self; 2] = [Self::NewestFirst, Self::OldestFirst];

    /// As it stands in a query: the field, with a minus for the way down.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewestFirst => "-created",
            Self::OldestFirst => "created",
        }
    }
}

/// A filter as it stands in the columns.
pub(super) struct Narrowed {
    /// The values of the column `status`.
    pub(super) shelves: Vec<i64>,
    /// Whether these are all that there are.
    pub(super) any_shelf: bool,
    /// The columns with their values; the first one's index narrows most.
    pub(super) ids: Vec<(&'static str, i64)>,
    /// The failure's class.
    pub(super) class: Option<i64>,
    /// The worker's number.
    pub(super) worker: Option<i64>,
    /// The instants in microseconds, with the range of `seq` outside of which no task has them.
    pub(super) times: Times,
    /// The words, as the index of texts is asked for them.
    pub(super) words: Option<String>,
}

/// A span of time, from `since` to just before `until`, in a range of `seq`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    since: Option<i64>,
    until: Option<i64>,
    /// The lowest `seq`.
    pub(super) first: i64,
    /// The highest `seq`.
    pub(super) last: i64,
}

impl TaskFilter {
    /// An id that no task names becomes a number that stands in no row.
    pub(super) fn narrow(&self, conn: &Connection) -> Result<Narrowed, QueryError> {
        let wanted =
            |status: &TaskStatus| self.statuses.is_empty() || self.statuses.contains(status);
        let mut shelves: Vec<i64> =
            TaskStatus::ALL.into_iter().filter(wanted).map(status_number).collect();
        if self.include_deleted {
            let deleted: Vec<i64> = shelves.iter().map(|status| status + DELETED).collect();
            shelves.extend(deleted);
        }
        let trigger = self.trigger.map(|name| TRIGGERS.iter().position(|each| *each == name));
        let ids = [
            ("schedule", self.schedule_id.map(|id| id.0)),
            ("flow", self.flow_id.map(|id| id.0)),
            ("source", self.source_id.map(|id| id.0)),
        ];
        let mut narrowed = Narrowed {
            shelves,
            any_shelf: self.statuses.is_empty() && self.include_deleted,
            ids: Vec::new(),
            class: self.class.map(class_number),
            worker: None,
            times: Times::of(conn, self.since, self.until)?,
            words: self.text.as_deref().map(search_expression).transpose()?,
        };
        for (column, id) in ids {
            if let Some(id) = id {
                // No schedule is counted as schedule 0, so what is unknown must be something else.
                narrowed.ids.push((column, stored_ref(conn, id)?.unwrap_or(-1)));
            }
        }
        if let Some(worker) = self.worker_id {
            narrowed.worker = Some(stored_ref(conn, worker.0)?.unwrap_or(-1));
        }
        if let Some(number) = trigger {
            let number = number.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1);
            // Of all tasks of a source, few have another source; of all triggers, there are five.
            let before_source = narrowed.ids.iter().position(|(column, _)| *column == "source");
            let at = before_source.unwrap_or(narrowed.ids.len());
            narrowed.ids.insert(at, ("trigger", number));
        }
        Ok(narrowed)
    }
}

impl Times {
    fn of(
        conn: &Connection,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> rusqlite::Result<Self> {
        let (since, until) = (micros(since), micros(until));
        let mut times = Self { since, until, first: 0, last: i64::MAX };
        // However the clock went, these bounds hold; the exact instants are looked at row by row.
        if let Some(since) = since {
            let sql = "SELECT min(first) FROM tasks_times WHERE span >= ?1";
            let first: Option<i64> = conn
                .prepare_cached(sql)?
                .query_row([since.div_euclid(TIMES_MICROS)], |row| row.get(0))?;
            times.first = first.unwrap_or(i64::MAX);
        }
        if let Some(until) = until {
            let sql = "SELECT max(last) FROM tasks_times WHERE span <= ?1";
            let last: Option<i64> = conn
                .prepare_cached(sql)?
                .query_row([until.div_euclid(TIMES_MICROS)], |row| row.get(0))?;
            times.last = last.unwrap_or(0);
        }
        Ok(times)
    }
}

fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(|at| at.timestamp_micros())
}

impl Narrowed {
    /// The conditions on what is counted, for the table or for the counts: both name the columns
    /// alike.
    pub(super) fn ids(&self) -> Where {
        let mut conditions = Where::default();
        for (column, number) in &self.ids {
            conditions.and(&format!("{column} = ?"), Some(*number));
        }
        conditions
    }

    /// Whether the kept counts know how many tasks fit.
    pub(super) fn is_counted(&self) -> bool {
        let Times { since, until, .. } = self.times;
        self.class.is_none()
            && self.worker.is_none()
            && since.is_none()
            && until.is_none()
            && self.words.is_none()
    }

    /// Everything but the status and the words, for the table.
    pub(super) fn conditions(&self) -> Where {
        let mut conditions = self.ids();
        conditions.and("class = ?", self.class);
        conditions.and("worker = ?", self.worker);
        conditions.and("created_at >= ?", self.times.since);
        conditions.and("created_at < ?", self.times.until);
        conditions
    }

    /// The index whose ranges are walked. Where there is one worker, it narrows nothing, so what
    /// names few tasks comes before it; sources and triggers are as few as workers.
    pub(super) fn index(&self) -> &'static str {
        match (self.class, self.ids.first(), self.worker) {
            (Some(_), _, _) => "class",
            (None, Some((column @ ("schedule" | "flow"), _)), _) => column,
            (None, _, Some(_)) => "worker",
            (None, Some((column, _)), None) => column,
            (None, None, None) => "status",
        }
    }

    /// Whether no index narrows the list.
    fn is_everything(&self) -> bool {
        self.any_shelf && self.ids.is_empty() && self.class.is_none() && self.worker.is_none()
    }

    /// Ranges of `seq` in an index, one for each status, whose union is the list: each a query
    /// with its values. A list that is not narrowed is the table itself.
    pub(super) fn ranges(&self, first: i64, last: i64) -> Vec<(String, Vec<Value>)> {
        if let Some(words) = &self.words {
            return vec![self.with_words(words, first, last)];
        }
        let bounded = |mut conditions: Where, shelf: Option<i64>| {
            conditions.and("status = ?", shelf);
            conditions.and("seq >= ?", Some(first));
            conditions.and("seq <= ?", Some(last));
            conditions
        };
        if self.is_everything() {
            let conditions = bounded(self.conditions(), None);
            let sql = format!("SELECT seq FROM tasks{}", conditions.sql());
            return vec![(sql, conditions.values().to_vec())];
        }
        let index = self.index();
        let range = |shelf: &i64| {
            let conditions = bounded(self.conditions(), Some(*shelf));
            let sql = format!("SELECT seq FROM tasks INDEXED BY tasks_{index}{}", conditions.sql());
            (sql, conditions.values().to_vec())
        };
        self.shelves.iter().map(range).collect()
    }

    /// The tasks that have the words, in the order of `seq`, each looked at for the rest.
    fn with_words(&self, words: &str, first: i64, last: i64) -> (String, Vec<Value>) {
        let mut conditions = Where::default();
        conditions.and("tasks_words MATCH ?", Some(words.to_owned()));
        conditions.and("tasks_words.rowid >= ?", Some(first));
        conditions.and("tasks_words.rowid <= ?", Some(last));
        let mut values = conditions.values().to_vec();
        let rest = self.conditions();
        values.extend_from_slice(rest.values());
        let shelves: Vec<String> = self.shelves.iter().map(ToString::to_string).collect();
        let rest = match rest.sql().strip_prefix(" WHERE ") {
            Some(rest) => format!(" AND {rest}"),
            None => String::new(),
        };
        let sql = format!(
            "SELECT tasks_words.rowid AS seq FROM tasks_words
             CROSS JOIN tasks t ON t.seq = tasks_words.rowid{} AND t.status IN ({}){rest}",
            conditions.sql(),
            shelves.join(", "),
        );
        (sql, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(ids: &[&'static str], worker: bool, class: bool) -> Narrowed {
        Narrowed {
            shelves: TaskStatus::ALL.into_iter().map(status_number).collect(),
            any_shelf: true,
            ids: ids.iter().map(|column| (*column, 1)).collect(),
            class: class.then_some(1),
            worker: worker.then_some(1),
            times: Times { since: None, until: None, first: 0, last: i64::MAX },
            words: None,
        }
    }

    /// Whatever narrows a list, a page of it is a range of an index.
    #[test]
    fn the_index_that_is_walked_is_the_one_that_narrows_most() {
        for (ids, worker, class, index) in [
            (&["flow"][..], true, true, "class"),
            (&["schedule", "flow"], true, false, "schedule"),
            (&["flow", "trigger"], true, false, "flow"),
            (&["trigger", "source"], true, false, "worker"),
            (&["source"], true, false, "worker"),
            (&["source"], false, false, "source"),
            (&[], true, false, "worker"),
        ] {
            let narrowed = narrowed(ids, worker, class);
            assert_eq!(narrowed.index(), index, "{ids:?}");
            for (sql, _) in narrowed.ranges(0, i64::MAX) {
                assert!(sql.contains(&format!("INDEXED BY tasks_{index} ")), "{sql}");
            }
        }
        let all = narrowed(&[], false, false).ranges(0, i64::MAX);
        assert!(all.len() == 1 && !all[0].0.contains("INDEXED"), "{all:?}");
    }
}
