//! How tasks are read back: lists, one task with its attempts, counts.
//!
//! A list is merged from ranges of one index, one range for each status: whatever the filter, a
//! page costs about as many index entries as it has rows (and those that an offset passes over),
//! never a scan of the table. Its total comes from the kept counts.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use spark_events::domain::task::TaskStatus;
use spark_events::{FlowId, ScheduleId, SourceId, TaskId};

use super::rows::{self, TaskCounts, TaskDetail, TaskRow};
use super::{status_number, stored_ref};
use crate::columns::{blob, signed, unsigned};
use crate::error::QueryError;
use crate::find::{Finder, Found};
use crate::store::{Listing, Page, Reads, Where};

/// Which tasks are wanted. Every part narrows the list.
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
}

/// A filter with its ids as they stand in the columns.
struct Narrowed {
    statuses: Vec<i64>,
    /// Whether every status is wanted.
    any_status: bool,
    /// The columns with their values; the first one's index narrows most.
    ids: Vec<(&'static str, i64)>,
}

impl TaskFilter {
    /// An id that no task names becomes a number that stands in no row.
    fn narrow(&self, conn: &Connection) -> rusqlite::Result<Narrowed> {
        let wanted =
            |status: &TaskStatus| self.statuses.is_empty() || self.statuses.contains(status);
        let ids = [
            ("schedule", self.schedule_id.map(|id| id.0)),
            ("flow", self.flow_id.map(|id| id.0)),
            ("source", self.source_id.map(|id| id.0)),
        ];
        let mut narrowed = Narrowed {
            statuses: TaskStatus::ALL.into_iter().filter(wanted).map(status_number).collect(),
            any_status: self.statuses.is_empty(),
            ids: Vec::new(),
        };
        for (column, id) in ids {
            if let Some(id) = id {
                // No schedule is counted as schedule 0, so what is unknown must be something else.
                narrowed.ids.push((column, stored_ref(conn, id)?.unwrap_or(-1)));
            }
        }
        Ok(narrowed)
    }
}

impl Narrowed {
    /// The conditions on ids, for the table or for the counts: both name the columns alike.
    fn ids(&self) -> Where {
        let mut conditions = Where::default();
        for (column, number) in &self.ids {
            conditions.and(&format!("{column} = ?"), Some(*number));
        }
        conditions
    }
}

/// A task's row with everything that [`rows::task`] wants.
pub(super) const SELECT: &str = "SELECT t.seq AS seq, t.id AS id, fr.id AS flow_id,
    f.name AS flow_name, sr.id AS source_id, cr.id AS schedule_id, sc.name AS schedule_name, t.due_at,
    t.trigger, t.retry_of, t.status AS status, t.attempts, t.attempts_max, t.failed_attempt,
    i.payload AS input, o.payload AS output, a.failure AS failure, t.next_attempt_at,
    wr.id AS worker_id, t.mode AS mode, t.job_id AS job_id, t.attempt_started_at,
    t.attempt_ms AS attempt_ms, t.reattached AS reattached, t.cancel_requested, t.cancelled_by,
    t.cancel_reason, t.remote_stop, t.created_at AS created_at, t.started_at AS started_at,
    t.finished_at AS finished_at, t.updated_at AS updated_at, t.created_by AS created_by,
    t.revision AS revision
    FROM tasks t
    JOIN tasks_refs fr ON fr.ref = t.flow
    JOIN tasks_refs sr ON sr.ref = t.source
    LEFT JOIN tasks_refs cr ON cr.ref = t.schedule
    LEFT JOIN tasks_refs wr ON wr.ref = t.worker
    LEFT JOIN flows f ON f.id = fr.id
    LEFT JOIN schedules sc ON sc.id = cr.id
    JOIN tasks_texts i ON i.seq = t.seq
    LEFT JOIN tasks_texts o ON o.seq = t.output_seq
    LEFT JOIN tasks_attempts a ON a.seq = t.seq AND a.attempt = t.failed_attempt";

const ATTEMPTS: &str = "SELECT a.*, wr.id AS worker_id FROM tasks_attempts a
    LEFT JOIN tasks_refs wr ON wr.ref = a.worker WHERE a.seq = ?1 ORDER BY a.attempt";

fn list(
    conn: &Connection,
    filter: &TaskFilter,
    page: &Page,
) -> Result<Listing<TaskRow>, QueryError> {
    let start = page.start()?;
    let filter = filter.narrow(conn)?;
    let (sql, values) = keys(&filter, page, start);
    let mut statement = conn.prepare_cached(&sql)?;
    let keys = statement.query_map(params_from_iter(values), |row| row.get::<_, i64>(0))?;
    let mut read = conn.prepare_cached(&format!("{SELECT} WHERE t.seq = ?1"))?;
    let mut rows = Vec::with_capacity(page.limit + 1);
    for key in keys {
        let key = key?;
        rows.push((key, read.query_row([key], rows::task)?));
    }
    let mut counts = counts(conn, &filter)?;
    let total = filter.statuses.iter().filter_map(|status| counts.of(*status).copied());
    Ok(page.listing(rows, total.sum()))
}

/// The query for the keys of a page, newest first, and of one row more.
fn keys(filter: &Narrowed, page: &Page, start: Option<i64>) -> (String, Vec<Value>) {
    let rows = page.limit.saturating_add(1);
    let before = start.unwrap_or(i64::MAX);
    let mut values: Vec<Value> = Vec::new();
    let ranges: Vec<String> = if filter.ids.is_empty() && filter.any_status {
        values.push(before.into());
        vec!["SELECT seq FROM tasks WHERE seq < ?".into()]
    } else {
        let index = filter.ids.first().map_or("status", |(column, _)| column);
        let mut range = |status: &i64| {
            let mut conditions = filter.ids();
            conditions.and("status = ?", Some(*status));
            conditions.and("seq < ?", Some(before));
            values.extend_from_slice(conditions.values());
            format!("SELECT seq FROM tasks INDEXED BY tasks_{index}{}", conditions.sql())
        };
        filter.statuses.iter().map(&mut range).collect()
    };
    let reach = signed(rows.saturating_add(page.offset) as u64);
    let ranges: Vec<String> = ranges
        .into_iter()
        .map(|range| format!("SELECT seq FROM ({range} ORDER BY seq DESC LIMIT {reach})"))
        .collect();
    let sql = format!(
        "SELECT seq FROM ({}) ORDER BY seq DESC LIMIT {rows} OFFSET {}",
        ranges.join(" UNION ALL "),
        signed(page.offset as u64),
    );
    (sql, values)
}

fn counts(conn: &Connection, filter: &Narrowed) -> Result<TaskCounts, QueryError> {
    let conditions = filter.ids();
    let sql =
        format!("SELECT status, sum(n) FROM tasks_counts{} GROUP BY status", conditions.sql());
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(conditions.values()))?;
    let mut counts = TaskCounts::default();
    while let Some(row) = rows.next()? {
        if let Some(count) = counts.of(row.get(0)?) {
            *count = unsigned(row.get(1)?);
        }
    }
    Ok(counts)
}

fn detail(conn: &Connection, id: TaskId) -> Result<Option<TaskDetail>, QueryError> {
    let found = conn
        .prepare_cached(&format!("{SELECT} WHERE t.id = ?1"))?
        .query_row([blob(id.0)], |row| {
            let seq: i64 = row.get("seq")?;
            Ok((seq, rows::task(row)?, rows::last_attempt(row)?))
        })
        .optional()?;
    let Some((seq, task, last)) = found else {
        return Ok(None);
    };
    let mut statement = conn.prepare_cached(ATTEMPTS)?;
    let mut attempt_rows =
        statement.query_map([seq], rows::failed_attempt)?.collect::<rusqlite::Result<Vec<_>>>()?;
    attempt_rows.extend(last);
    let mut statement =
        conn.prepare_cached("SELECT * FROM tasks_logs WHERE seq = ?1 ORDER BY attempt")?;
    let logs =
        statement.query_map([seq], rows::components)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let log = logs.into_iter().flatten().collect();
    Ok(Some(TaskDetail { task, attempt_rows, log }))
}

/// How the keys of a page are found, as SQLite explains it.
#[cfg(test)]
pub(crate) fn plan(
    conn: &Connection,
    filter: &TaskFilter,
    page: &Page,
) -> Result<Vec<String>, QueryError> {
    let (sql, values) = keys(&filter.narrow(conn)?, page, page.start()?);
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let steps = explain.query_map(params_from_iter(values), |row| row.get("detail"))?;
    Ok(steps.collect::<rusqlite::Result<_>>()?)
}

const FINDER: Finder = Finder { table: "tasks", names: &[], keeps_deleted: false };

impl Reads {
    /// Tasks, newest first.
    ///
    /// # Errors
    /// A page that cannot be, or a file that cannot be read.
    pub async fn list_tasks(
        &self,
        filter: TaskFilter,
        page: Page,
    ) -> Result<Listing<TaskRow>, QueryError> {
        self.read(move |conn| list(conn, &filter, &page)).await
    }

    /// One task with its attempts.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn task(&self, id: TaskId) -> Result<Option<TaskDetail>, QueryError> {
        self.read(move |conn| detail(conn, id)).await
    }

    /// How many tasks there are in each status. The filter's own statuses do not count.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn task_counts(&self, filter: TaskFilter) -> Result<TaskCounts, QueryError> {
        self.read(move |conn| counts(conn, &filter.narrow(conn)?)).await
    }

    /// The task that a text stands for: an id or its start.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_task(&self, text: &str) -> Result<Found<TaskId>, QueryError> {
        let text = text.to_owned();
        self.read(move |conn| Ok(FINDER.find(conn, &text)?.map(TaskId))).await
    }
}
