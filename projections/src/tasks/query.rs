//! How tasks are read back: lists, one task with its attempts, counts.
//!
//! A list is merged from ranges of one index, one range for each status: whatever the filter, a
//! page costs about as many index entries as it has rows (and those that an offset passes over),
//! never a scan of the table. Its total comes from the kept counts, or where these do not know it,
//! from a bounded count.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use spark_events::TaskId;
use spark_events::limits::{RETRIES_SHOWN_MAX, TASKS_COUNTED_MAX};

use super::filter::{Narrowed, TaskFilter, TaskSort};
use super::rows::{self, TaskCounts, TaskDetail, TaskRow};
use crate::columns::{Columns, blob, signed, unsigned};
use crate::error::QueryError;
use crate::find::{Finder, Found};
use crate::store::{Listing, Page, Reads};

/// A task's row with everything that [`rows::task`] wants.
pub(super) const SELECT: &str = "SELECT t.seq AS seq, t.id AS id, fr.id AS flow_id,
    f.name AS flow_name, sr.id AS source_id, cr.id AS schedule_id, sc.name AS schedule_name, t.due_at,
    t.trigger, t.retry_of, t.status AS status, t.attempts, t.attempts_max, t.failed_attempt,
    i.payload AS input, o.payload AS output, a.failure AS failure, t.next_attempt_at,
    wr.id AS worker_id, t.mode AS mode, t.job_id AS job_id, t.attempt_started_at,
    t.attempt_ms AS attempt_ms, t.reattached AS reattached, t.cancel_requested, t.cancelled_by,
    t.cancel_reason, t.ending, t.rare AS rare, t.created_at AS created_at, t.started_at AS started_at,
    t.finished_at AS finished_at, t.updated_at AS updated_at, t.created_by AS created_by,
    t.revision AS revision, t.deleted_at AS deleted_at, d.hash AS definition_hash
    FROM tasks t
    JOIN tasks_refs fr ON fr.ref = t.flow
    JOIN tasks_refs sr ON sr.ref = t.source
    LEFT JOIN tasks_refs cr ON cr.ref = t.schedule
    LEFT JOIN tasks_refs wr ON wr.ref = t.worker
    LEFT JOIN tasks_definitions d ON d.ref = t.definition
    LEFT JOIN flows f ON f.id = fr.id
    LEFT JOIN schedules sc ON sc.id = cr.id
    JOIN tasks_texts i ON i.seq = t.seq
    LEFT JOIN tasks_texts o ON o.seq = t.output_seq
    LEFT JOIN tasks_attempts a ON a.seq = t.seq AND a.attempt = t.failed_attempt";

const ATTEMPTS: &str = "SELECT a.*, wr.id AS worker_id, d.hash AS definition_hash
    FROM tasks_attempts a LEFT JOIN tasks_definitions d ON d.ref = a.definition
    LEFT JOIN tasks_refs wr ON wr.ref = a.worker WHERE a.seq = ?1 AND a.attempt > 0
    ORDER BY a.attempt";

fn list(
    conn: &Connection,
    filter: &TaskFilter,
    page: &Page,
) -> Result<Listing<TaskRow>, QueryError> {
    let start = page.start()?;
    let (sort, filter) = (filter.sort, filter.narrow(conn)?);
    let (sql, values) = keys(&filter, sort, page, start);
    let mut statement = conn.prepare_cached(&sql)?;
    let keys = statement.query_map(params_from_iter(values), |row| row.get::<_, i64>(0))?;
    let mut read = conn.prepare_cached(&format!("{SELECT} WHERE t.seq = ?1"))?;
    let mut rows = Vec::with_capacity(page.limit + 1);
    for key in keys {
        let key = key?;
        rows.push((key, read.query_row([key], rows::task)?));
    }
    if filter.is_counted() {
        return Ok(page.listing(rows, counted(conn, &filter)?));
    }
    // The last page says by itself how many rows there are.
    let seen = rows.len() + page.offset;
    if start.is_none() && rows.len() <= page.limit && (!rows.is_empty() || page.offset == 0) {
        return Ok(page.listing(rows, seen as u64));
    }
    let total = count_capped(conn, &filter)?;
    let total_is_capped = total >= TASKS_COUNTED_MAX;
    Ok(Listing { total_is_capped, ..page.listing(rows, total) })
}

/// How many tasks fit, from the kept counts.
fn counted(conn: &Connection, filter: &Narrowed) -> Result<u64, QueryError> {
    let mut conditions = filter.ids();
    let shelves: Vec<String> = filter.shelves.iter().map(ToString::to_string).collect();
    conditions.and_plain(&format!("status IN ({})", shelves.join(", ")));
    let sql = format!("SELECT coalesce(sum(n), 0) FROM tasks_counts{}", conditions.sql());
    let mut statement = conn.prepare_cached(&sql)?;
    let total: i64 =
        statement.query_row(params_from_iter(conditions.values()), |row| row.get(0))?;
    Ok(unsigned(total))
}

/// How many tasks fit, counted one by one, at most [`TASKS_COUNTED_MAX`].
fn count_capped(conn: &Connection, filter: &Narrowed) -> Result<u64, QueryError> {
    let ranges = filter.ranges(filter.times.first, filter.times.last);
    let mut values = Vec::new();
    let mut parts = Vec::with_capacity(ranges.len());
    for (sql, mut of_range) in ranges {
        values.append(&mut of_range);
        parts.push(format!("SELECT seq FROM ({sql} LIMIT {TASKS_COUNTED_MAX})"));
    }
    let sql = format!(
        "SELECT count(*) FROM (SELECT seq FROM ({}) LIMIT {TASKS_COUNTED_MAX})",
        parts.join(" UNION ALL ")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let total: i64 = statement.query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(unsigned(total))
}

/// The query for the keys of a page in its order, and of one row more.
fn keys(
    filter: &Narrowed,
    sort: TaskSort,
    page: &Page,
    start: Option<i64>,
) -> (String, Vec<Value>) {
    let rows = page.limit.saturating_add(1);
    let (mut first, mut last) = (filter.times.first, filter.times.last);
    let order = match (sort, start) {
        (TaskSort::NewestFirst, start) => {
            last = start.map_or(last, |key| last.min(key.saturating_sub(1)));
            "DESC"
        }
        (TaskSort::OldestFirst, start) => {
            first = start.map_or(first, |key| first.max(key.saturating_add(1)));
            "ASC"
        }
    };
    let reach = signed(rows.saturating_add(page.offset) as u64);
    let mut values: Vec<Value> = Vec::new();
    let mut parts = Vec::new();
    for (sql, mut of_range) in filter.ranges(first, last) {
        values.append(&mut of_range);
        parts.push(format!("SELECT seq FROM ({sql} ORDER BY seq {order} LIMIT {reach})"));
    }
    let sql = format!(
        "SELECT seq FROM ({}) ORDER BY seq {order} LIMIT {rows} OFFSET {}",
        parts.join(" UNION ALL "),
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
    let mut statement =
        conn.prepare_cached("SELECT id FROM tasks WHERE retry_of = ?1 ORDER BY seq LIMIT ?2")?;
    let limit = signed(RETRIES_SHOWN_MAX as u64);
    let retried_as = statement
        .query_map(params![blob(id.0), limit], |row| row.id(0).map(TaskId))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(Some(TaskDetail { task, retried_as, attempt_rows, log }))
}

/// How the keys of a page are found, as SQLite explains it.
#[cfg(test)]
pub(crate) fn plan(
    conn: &Connection,
    filter: &TaskFilter,
    page: &Page,
) -> Result<Vec<String>, QueryError> {
    let (sql, values) = keys(&filter.narrow(conn)?, filter.sort, page, page.start()?);
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let steps = explain.query_map(params_from_iter(values), |row| row.get("detail"))?;
    Ok(steps.collect::<rusqlite::Result<_>>()?)
}

const FINDER: Finder = Finder { table: "tasks", names: &[], keeps_deleted: true };

impl Reads {
    /// Tasks, in the order asked for.
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

    /// The revision of a task that the read model shows, and whether the task has ended: what a
    /// follower asks after each commit.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn task_revision(&self, id: TaskId) -> Result<Option<(u64, bool)>, QueryError> {
        self.read(move |conn| {
            let sql = "SELECT revision, finished_at IS NOT NULL FROM tasks WHERE id = ?1";
            let mut statement = conn.prepare_cached(sql)?;
            let read = |row: &rusqlite::Row<'_>| Ok((row.count(0)?, row.get(1)?));
            Ok(statement.query_row([blob(id.0)], read).optional()?)
        })
        .await
    }

    /// The task that a text stands for: an id or its start.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_task(&self, text: &str) -> Result<Found<TaskId>, QueryError> {
        self.found(&FINDER, text, TaskId).await
    }
}
