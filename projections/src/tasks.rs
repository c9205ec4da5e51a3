//! The tasks with their attempts and the components' parts in them: how events change the rows.
//! The tables are in `tasks/schema.rs`, the queries in `tasks/query.rs`, the row types in
//! `tasks/rows.rs`.
//!
//! Texts become searchable behind the lists, by `tasks/search.rs`.
//!
//! The events of one task that come in one batch are folded in memory and written once. Texts
//! (input, output, failures, logs) are written once and never rewritten: a task's own row stays
//! small, and each table grows at its end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, params};
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::task::{
    CallMode, ComponentLog, TaskEvent, TaskLogRecorded, TaskSpec, TaskStarted, TaskStatus, Trigger,
};
use spark_events::limits::PROJECTION_REFS_MAX;
use spark_events::{Payload, TaskId};
use uuid::Uuid;

use crate::columns::{blob, json, signed};
use crate::error::ProjectionError;
use crate::projection::{Domain, Event, Projection, micros};

mod endings;
mod filter;
mod instants;
mod query;
mod rare;
mod record;
mod rows;
mod schema;
pub(crate) mod search;
mod words;

pub use filter::{TaskFilter, TaskSort};
#[cfg(test)]
pub(crate) use query::plan;
pub use rows::{AttemptRow, ComponentRow, TaskCounts, TaskDetail, TaskRow};

use rare::Rare;
use record::Record;
use schema::{DELETED, TIMES_MICROS};

/// The name of the projection.
pub(crate) const TASKS: &str = "tasks";

/// Builds the tables `tasks`, `tasks_texts`, `tasks_attempts`, `tasks_logs` and `tasks_counts`.
#[derive(Default)]
pub struct Tasks {
    /// Tasks of this batch that are not written yet.
    dirty: HashMap<Uuid, Record>,
    refs: Refs,
    definitions: Definitions,
}

/// Short numbers for the hashes of definitions.
#[derive(Default)]
struct Definitions(HashMap<String, i64>);

impl Definitions {
    fn of(&mut self, tx: &Connection, hash: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.0.get(hash) {
            return Ok(*number);
        }
        let sql = "INSERT INTO tasks_definitions (hash) VALUES (?1)
             ON CONFLICT DO UPDATE SET hash = hash RETURNING ref";
        let number = tx.prepare_cached(sql)?.query_row([hash], |row| row.get(0))?;
        if self.0.len() >= PROJECTION_REFS_MAX {
            self.0.clear();
        }
        self.0.insert(hash.to_owned(), number);
        Ok(number)
    }
}

/// Short numbers for ids, from `tasks_refs`; remembered, because most events name the same few.
#[derive(Default)]
struct Refs(HashMap<Uuid, i64>);

impl Refs {
    /// The number of an id, a new one where it has none.
    fn of(&mut self, tx: &Connection, id: Uuid) -> rusqlite::Result<i64> {
        if let Some(number) = self.0.get(&id) {
            return Ok(*number);
        }
        let stored = stored_ref(tx, id)?;
        let number = match stored {
            Some(number) => number,
            None => {
                tx.prepare_cached("INSERT INTO tasks_refs (id) VALUES (?1)")?.insert([blob(id)])?
            }
        };
        if self.0.len() >= PROJECTION_REFS_MAX {
            self.0.clear();
        }
        self.0.insert(id, number);
        Ok(number)
    }
}

/// The number of an id that a task has named.
fn stored_ref(conn: &Connection, id: Uuid) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT ref FROM tasks_refs WHERE id = ?1")?
        .query_row([blob(id)], |row| row.get(0))
        .optional()
}

/// Which tasks are counted together: schedule (0 for none), flow, source, trigger, shelf.
type CountKey = (i64, i64, i64, i64, i64);
/// The lowest and the highest `seq` of the tasks made in a span of time.
type Span = (i64, i64);

impl Projection for Tasks {
    fn name(&self) -> &'static str {
        TASKS
    }

    fn version(&self) -> u32 {
        5
    }

    fn schema(&self) -> &'static str {
        schema::SCHEMA
    }

    fn categories(&self) -> &'static [&'static str] {
        &[TaskId::CATEGORY]
    }

    fn apply(&mut self, tx: &Connection, event: &Event<'_>) -> Result<(), ProjectionError> {
        let Domain::Task(task) = event.domain else {
            return Ok(());
        };
        let created = match task {
            TaskEvent::Created(spec) => Some(spec),
            _ => None,
        };
        let record = match (self.dirty.entry(event.id), created) {
            (Entry::Occupied(_), Some(_)) => {
                return Err(event.unfit("its task was created before"));
            }
            (Entry::Occupied(entry), None) => entry.into_mut(),
            (Entry::Vacant(entry), Some(spec)) => {
                entry.insert(created_by(tx, &mut self.refs, event, spec)?)
            }
            (Entry::Vacant(entry), None) => {
                let stored = Record::load(tx, event.id)?;
                entry.insert(stored.ok_or_else(|| event.unfit("its task was never created"))?)
            }
        };
        take(tx, (&mut self.refs, &mut self.definitions), record, event, task)
    }

    fn flush(&mut self, tx: &Connection) -> Result<(), ProjectionError> {
        let mut records: Vec<(Uuid, Record)> = self.dirty.drain().collect();
        records.sort_unstable_by_key(|(_, record)| record.seq);
        let mut counts: HashMap<CountKey, i64> = HashMap::new();
        let mut spans: HashMap<i64, Span> = HashMap::new();
        for (id, record) in &records {
            let shelf = record.shelf();
            if record.stored_shelf != Some(shelf) {
                let mut add = |shelf, n| *counts.entry(record.count_key(shelf)).or_default() += n;
                add(shelf, 1);
                if let Some(before) = record.stored_shelf {
                    add(before, -1);
                }
            }
            if record.stored_shelf.is_none() {
                let span = record.created_at.div_euclid(TIMES_MICROS);
                let (first, last) = spans.entry(span).or_insert((record.seq, record.seq));
                (*first, *last) = ((*first).min(record.seq), (*last).max(record.seq));
            }
            record.save(tx, *id)?;
        }
        for ((schedule, flow, source, trigger, shelf), n) in counts {
            tx.prepare_cached(
                "INSERT INTO tasks_counts (schedule, flow, source, trigger, status, n)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET n = n + excluded.n",
            )?
            .execute([schedule, flow, source, trigger, shelf, n])?;
        }
        for (span, (first, last)) in spans {
            tx.prepare_cached(
                "INSERT INTO tasks_times (span, first, last) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET first = min(first, excluded.first),
                     last = max(last, excluded.last)",
            )?
            .execute([span, first, last])?;
        }
        Ok(())
    }

    fn discard(&mut self) {
        self.dirty.clear();
        (self.refs, self.definitions) = (Refs::default(), Definitions::default());
    }
}

/// The row of a new task; its input is stored at once.
fn created_by(
    tx: &Connection,
    refs: &mut Refs,
    event: &Event<'_>,
    spec: &TaskSpec,
) -> Result<Record, ProjectionError> {
    let (trigger, due_at, retry_of) = match spec.trigger {
        Trigger::Manual => (0, None, None),
        Trigger::Occurrence { due_at, .. } => (1, Some(due_at), None),
        Trigger::ScheduleTriggered { .. } => (2, None, None),
        Trigger::RetryOf { task_id } => (3, None, Some(blob(task_id.0))),
        Trigger::Backfill { due_at, .. } => (4, Some(due_at), None),
    };
    store_text(tx, event.place(), None, &spec.input)?;
    Ok(Record {
        seq: event.place(),
        flow: refs.of(tx, spec.flow_id.0)?,
        source: refs.of(tx, spec.source_id.0)?,
        schedule: spec.trigger.schedule_id().map(|id| refs.of(tx, id.0)).transpose()?,
        trigger,
        due_at: micros(due_at),
        retry_of,
        status: status_number(TaskStatus::Pending),
        attempts_max: spec.retry.attempts_max,
        created_at: event.at(),
        created_by: event.actor().into(),
        rare: Rare::of(spec),
        ..Record::default()
    })
}

/// Takes one event of a task.
fn take(
    tx: &Connection,
    (refs, definitions): (&mut Refs, &mut Definitions),
    record: &mut Record,
    event: &Event<'_>,
    task: &TaskEvent,
) -> Result<(), ProjectionError> {
    record.updated_at = event.at();
    record.revision = event.revision();
    match task {
        TaskEvent::Created(_) => {}
        TaskEvent::Started(e) => {
            record.start(e, refs.of(tx, e.worker_id.0)?);
            let hash = e.definition_hash.as_deref();
            record.definition = hash.map(|hash| definitions.of(tx, hash)).transpose()?;
        }
        TaskEvent::Submitted(e) => record.job_id = Some(e.job_id.clone()),
        TaskEvent::Reattached(e) => {
            record.worker = Some(refs.of(tx, e.worker_id.0)?);
            record.reattached += 1;
        }
        TaskEvent::LogRecorded(e) => store_log(tx, record.seq, e)?,
        TaskEvent::AttemptFailed(e) => {
            record.attempt_ms = Some(signed(e.duration_ms));
            store_failed_attempt(tx, record, event, e.attempt, &e.failure)?;
        }
        TaskEvent::RetryScheduled(e) => {
            record.status = status_number(TaskStatus::Waiting);
            record.next_attempt_at = micros(Some(e.not_before));
        }
        TaskEvent::Completed(e) => {
            store_text(tx, event.place(), Some(record.seq), &e.output)?;
            record.class = None;
            record.output_seq = Some(event.place());
            record.attempt_ms = Some(signed(e.duration_ms));
            record.end(TaskStatus::Completed, event.at());
        }
        TaskEvent::Failed(e) => {
            if record.status != status_number(TaskStatus::Running) {
                store_failed_wait(tx, record, event, &e.failure)?;
            } else if record.failed_attempt != Some(e.attempts) {
                store_failed_attempt(tx, record, event, e.attempts, &e.failure)?;
            }
            record.ending = Some(endings::of_why(e.why));
            record.end(TaskStatus::Failed, event.at());
        }
        TaskEvent::CancelRequested(_) => record.ask_to_cancel(event),
        TaskEvent::Cancelled(e) => {
            if record.cancelled_by.is_none() {
                record.ask_to_cancel(event);
            }
            record.ending = Some(endings::of_stop(e.remote));
            record.end(TaskStatus::Cancelled, event.at());
        }
        TaskEvent::Released(e) => record.rare.released_at = micros(Some(e.at)),
        TaskEvent::Deleted(_) => record.delete(event.at()),
    }
    Ok(())
}

impl Record {
    fn start(&mut self, e: &TaskStarted, worker: i64) {
        let at = e.at.timestamp_micros();
        self.status = status_number(TaskStatus::Running);
        self.attempts = e.attempt;
        self.worker = Some(worker);
        self.mode = Some(mode_number(e.mode));
        self.started_at = self.started_at.or(Some(at));
        self.attempt_started_at = Some(at);
        (self.job_id, self.attempt_ms, self.next_attempt_at) = (None, None, None);
        self.reattached = 0;
    }

    fn ask_to_cancel(&mut self, event: &Event<'_>) {
        self.cancelled_by = Some(event.actor().into());
        self.cancel_reason = event.reason().map(Into::into);
    }

    fn end(&mut self, status: TaskStatus, at: i64) {
        self.status = status_number(status);
        self.finished_at = Some(at);
        self.next_attempt_at = None;
    }

    fn count_key(&self, shelf: i64) -> CountKey {
        (self.schedule.unwrap_or(0), self.flow, self.source, self.trigger, shelf)
    }
}

/// A failed attempt gets a row of its own; the last attempt of a task is otherwise part of the
/// task's row.
fn store_failed_attempt(
    tx: &Connection,
    record: &mut Record,
    event: &Event<'_>,
    attempt: u32,
    failure: &Failure,
) -> Result<(), ProjectionError> {
    record.failed_attempt = Some(attempt);
    record.class = Some(class_number(failure.class));
    tx.prepare_cached(
        "INSERT OR REPLACE INTO tasks_attempts (place, seq, attempt, worker, mode, job_id, definition,
             started_at, finished_at, attempt_ms, reattached, failure)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        event.place(),
        record.seq,
        attempt,
        record.worker,
        record.mode,
        record.job_id,
        record.definition,
        record.attempt_started_at,
        event.at(),
        record.attempt_ms,
        record.reattached,
        json(failure)?,
    ])?;
    Ok(())
}

/// The failure of a task that ended while it waited for an attempt: not one of its attempts, which
/// keep their own errors.
fn store_failed_wait(
    tx: &Connection,
    record: &mut Record,
    event: &Event<'_>,
    failure: &Failure,
) -> Result<(), ProjectionError> {
    record.failed_attempt = Some(0);
    record.class = Some(class_number(failure.class));
    tx.prepare_cached(
        "INSERT OR REPLACE INTO tasks_attempts
             (place, seq, attempt, finished_at, reattached, failure)
         VALUES (?1, ?2, 0, ?3, 0, ?4)",
    )?
    .execute(params![event.place(), record.seq, event.at(), json(failure)?])?;
    Ok(())
}

fn store_text(
    tx: &Connection,
    place: i64,
    task: Option<i64>,
    payload: &Payload,
) -> Result<(), ProjectionError> {
    tx.prepare_cached("INSERT INTO tasks_texts (seq, task, payload) VALUES (?1, ?2, ?3)")?
        .execute(params![place, task, json(payload)?])?;
    Ok(())
}

/// A component's part as it is stored: a JSON array instead of an object, without its names.
type StoredComponent = (String, String, Option<i64>, Option<u64>, Option<String>);

fn store_log(tx: &Connection, seq: i64, log: &TaskLogRecorded) -> Result<(), ProjectionError> {
    let stored = |entry: &ComponentLog| -> StoredComponent {
        let ComponentLog { component, status, started_at, latency_ms, error } = entry.clone();
        (component, status, micros(started_at), latency_ms, error)
    };
    let entries: Vec<StoredComponent> = log.entries.iter().map(stored).collect();
    tx.prepare_cached(
        "INSERT OR REPLACE INTO tasks_logs (seq, attempt, entries) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![seq, log.attempt, json(&entries)?])?;
    Ok(())
}

/// A status as it stands in a column: its place in the order of life.
pub(crate) fn status_number(status: TaskStatus) -> i64 {
    match status {
        TaskStatus::Pending => 0,
        TaskStatus::Running => 1,
        TaskStatus::Waiting => 2,
        TaskStatus::Completed => 3,
        TaskStatus::Failed => 4,
        TaskStatus::Cancelled => 5,
    }
}

/// The way back of [`status_number`], as it stands in JSON; also for a deleted task.
pub(crate) fn status_name(number: i64) -> &'static str {
    let same = |status: &TaskStatus| status_number(*status) == number % DELETED;
    TaskStatus::ALL.into_iter().find(same).map_or("unknown", TaskStatus::as_str)
}

/// A failure's class as it stands in a column. A number once given is never given another
/// meaning.
pub(crate) fn class_number(class: FailureClass) -> i64 {
    match class {
        FailureClass::Unreachable => 0,
        FailureClass::Auth => 1,
        FailureClass::RateLimit => 2,
        FailureClass::NotFound => 3,
        FailureClass::BadInput => 4,
        FailureClass::Component => 5,
        FailureClass::Timeout => 6,
        FailureClass::BadAnswer => 7,
        FailureClass::Upstream => 8,
        FailureClass::TooLarge => 9,
        FailureClass::NeedsPerson => 10,
        FailureClass::Interrupted => 11,
        FailureClass::Crashed => 12,
        FailureClass::Gone => 13,
        FailureClass::WorkerLost => 14,
    }
}

fn mode_number(mode: CallMode) -> i64 {
    match mode {
        CallMode::Background => 0,
        CallMode::Direct => 1,
    }
}
