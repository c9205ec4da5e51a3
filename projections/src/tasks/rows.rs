//! What a reader gets of a task. Owns the row types and how a row becomes one; writes nothing.

use rusqlite::Row;
use serde::Serialize;
use spark_events::domain::failure::Failure;
use spark_events::{FlowId, Payload, Revision, ScheduleId, SourceId, TaskId, Timestamp, WorkerId};

use super::endings;
use super::rare::Rare;
use super::{StoredComponent, status_name};
use crate::columns::{Columns, rfc3339, rfc3339_opt};

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TaskRow {
    /// Its id.
    pub id: TaskId,
    /// The flow it runs.
    pub flow_id: FlowId,
    /// The flow's name.
    pub flow_name: Option<String>,
    /// The source that has the flow.
    pub source_id: SourceId,
    /// The schedule behind it.
    pub schedule_id: Option<ScheduleId>,
    /// The schedule's name, if it has one.
    pub schedule_name: Option<String>,
    /// The due instant that it was started for.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// `manual`, `occurrence`, `schedule_triggered`, `retry_of` or `backfill`.
    pub trigger: &'static str,
    /// The number, within the schedule, of the backfill that made it.
    pub backfill: Option<u32>,
    /// The ended task that it tries again.
    pub retry_of: Option<TaskId>,
    /// `pending`, `running`, `waiting`, `completed`, `failed` or `cancelled`.
    pub status: &'static str,
    /// Whether it is pending until somebody releases it.
    pub held: bool,
    /// When it was released.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub released_at: Option<Timestamp>,
    /// Higher ones start first within a source.
    pub priority: i32,
    /// The longest wait until an attempt starts.
    pub queue_timeout_ms: Option<u64>,
    /// The longest time over all attempts and waits.
    pub total_timeout_ms: Option<u64>,
    /// Hash of the definition to run, where it is not the flow's present one.
    pub definition: Option<String>,
    /// Attempts started.
    pub attempts: u32,
    /// Attempts allowed.
    pub attempts_max: u32,
    /// The input.
    #[schema(value_type = serde_json::Value)]
    pub input: Payload,
    /// The result, once completed.
    #[schema(value_type = Option<serde_json::Value>)]
    pub output: Option<Payload>,
    /// The last failure; null for a completed task, whose earlier failures stand with its attempts.
    pub error: Option<Failure>,
    /// Why a failed task is not tried again: `attempts_exhausted`, `not_retryable`,
    /// `queue_timeout` or `total_timeout`.
    pub why: Option<&'static str>,
    /// When the next attempt may start, while waiting.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    /// Who makes or made the last attempt.
    pub worker_id: Option<WorkerId>,
    /// The background job of the last attempt at the source.
    pub job_id: Option<String>,
    /// Whether somebody asked to stop it.
    pub cancel_requested: bool,
    /// Who asked.
    pub cancelled_by: Option<String>,
    /// Why, as far as that was said.
    pub cancel_reason: Option<String>,
    /// What became of the run at the source: `not_running`, `stopped` or `left_running`.
    pub remote_stop: Option<&'static str>,
    /// When it was made.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its first attempt started.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// From the first attempt's start to the end, with the waiting in between.
    pub duration_ms: Option<u64>,
    /// When something last happened to it.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Who or what asked for it.
    pub created_by: String,
    /// The revision of its stream that this row shows.
    pub revision: Revision,
    /// When it was deleted.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
}

/// A task with its attempts and the components' parts in them.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TaskDetail {
    /// The task.
    #[serde(flatten)]
    pub task: TaskRow,
    /// The tasks that were made to try it again, the first one first.
    pub retried_as: Vec<TaskId>,
    /// Every attempt, the first one first. `attempts` itself is their number.
    pub attempt_rows: Vec<AttemptRow>,
    /// The components' parts in the attempts, in the order they ran.
    pub log: Vec<ComponentRow>,
}

/// One attempt of a task.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AttemptRow {
    /// Its number, from 1.
    pub attempt: u32,
    /// Who made the call.
    pub worker_id: Option<WorkerId>,
    /// `background` or `direct`.
    pub mode: Option<&'static str>,
    /// Its job at the source.
    pub job_id: Option<String>,
    /// Hash of the flow's definition as it was last synced before it.
    pub definition_hash: Option<String>,
    /// When it started.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When its end was recorded.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// `running`, `completed`, `failed` or `cancelled`.
    pub outcome: &'static str,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// How often a new incarnation took up its job.
    pub reattached: u32,
}

/// One component's part in an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ComponentRow {
    /// The attempt.
    pub attempt: u32,
    /// The component's display name.
    pub component: String,
    /// `ok` or `error`.
    pub status: String,
    /// When it started, as far as the source says.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// How long it took.
    pub latency_ms: Option<u64>,
    /// Its error message.
    pub error: Option<String>,
}

/// How many tasks there are in each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TaskCounts {
    /// Made, no attempt started yet.
    pub pending: u64,
    /// An attempt is under way.
    pub running: u64,
    /// An attempt failed, the next one is scheduled.
    pub waiting: u64,
    /// Ended with a result.
    pub completed: u64,
    /// Ended without one.
    pub failed: u64,
    /// Stopped on request.
    pub cancelled: u64,
}

impl TaskCounts {
    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pending + self.running + self.waiting + self.completed + self.failed + self.cancelled
    }

    /// The count of one status, as it stands in a column.
    pub(super) fn of(&mut self, status: i64) -> Option<&mut u64> {
        match status {
            0 => Some(&mut self.pending),
            1 => Some(&mut self.running),
            2 => Some(&mut self.waiting),
            3 => Some(&mut self.completed),
            4 => Some(&mut self.failed),
            5 => Some(&mut self.cancelled),
            _ => None,
        }
    }
}

/// A task's row with its joins, in the columns of [`super::query::SELECT`].
pub(super) fn task(row: &Row<'_>) -> rusqlite::Result<TaskRow> {
    let status = status_name(row.get("status")?);
    let rare = Rare::read(row)?;
    let ending: Option<i64> = row.get("ending")?;
    let started_at = row.time_opt("started_at")?;
    let finished_at = row.time_opt("finished_at")?;
    let lasted = started_at.zip(finished_at);
    Ok(TaskRow {
        id: TaskId(row.id("id")?),
        flow_id: FlowId(row.id("flow_id")?),
        flow_name: row.get("flow_name")?,
        source_id: SourceId(row.id("source_id")?),
        schedule_id: row.id_opt("schedule_id")?.map(ScheduleId),
        schedule_name: row.get("schedule_name")?,
        due_at: row.time_opt("due_at")?,
        trigger: name_of(&TRIGGERS, row.get("trigger")?),
        backfill: rare.backfill,
        retry_of: row.id_opt("retry_of")?.map(TaskId),
        status,
        held: status == "pending" && rare.is_held(),
        released_at: rare.released(),
        priority: rare.priority,
        queue_timeout_ms: rare.queue_timeout_ms,
        total_timeout_ms: rare.total_timeout_ms,
        definition: rare.definition,
        attempts: row.get("attempts")?,
        attempts_max: row.get("attempts_max")?,
        input: row.json("input")?,
        output: row.json_opt("output")?,
        error: if status == "completed" { None } else { row.json_opt("failure")? },
        why: ending.and_then(endings::why),
        next_attempt_at: row.time_opt("next_attempt_at")?,
        worker_id: row.id_opt("worker_id")?.map(WorkerId),
        job_id: row.get("job_id")?,
        cancel_requested: row.get("cancel_requested")?,
        cancelled_by: row.get("cancelled_by")?,
        cancel_reason: row.get("cancel_reason")?,
        remote_stop: ending.and_then(endings::remote_stop),
        created_at: row.time("created_at")?,
        started_at,
        finished_at,
        duration_ms: lasted.map(|(from, to)| spark_events::clock::ms_between(from, to)),
        updated_at: row.time("updated_at")?,
        created_by: row.get("created_by")?,
        revision: Revision(row.count("revision")?),
        deleted_at: row.time_opt("deleted_at")?,
    })
}

pub(super) const TRIGGERS: [&str; 5] =
    ["manual", "occurrence", "schedule_triggered", "retry_of", "backfill"];
const MODES: [&str; 2] = ["background", "direct"];

fn name_of(names: &[&'static str], number: i64) -> &'static str {
    usize::try_from(number).ok().and_then(|index| names.get(index)).copied().unwrap_or("unknown")
}

/// A row of `tasks_attempts`.
pub(super) fn failed_attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow {
        outcome: "failed",
        failure: row.json_opt("failure")?,
        finished_at: row.time_opt("finished_at")?,
        ..attempt(row, "attempt", "started_at")?
    })
}

/// The last attempt as it stands in a row of `tasks`, unless it failed and so has its own row, or
/// none started. Attempt 0 stands for a task that failed while none was under way.
pub(super) fn last_attempt(row: &Row<'_>) -> rusqlite::Result<Option<AttemptRow>> {
    let number: u32 = row.get("attempts")?;
    let failed: Option<u32> = row.get("failed_attempt")?;
    if number == 0 || failed == Some(0) || failed == Some(number) {
        return Ok(None);
    }
    let outcome = match status_name(row.get("status")?) {
        "completed" => "completed",
        "cancelled" => "cancelled",
        "failed" => "failed",
        _ => "running",
    };
    let finished_at = row.time_opt("finished_at")?;
    let last = attempt(row, "attempts", "attempt_started_at")?;
    let lasted = last.started_at.zip(finished_at);
    let lasted = lasted.map(|(from, to)| spark_events::clock::ms_between(from, to));
    Ok(Some(AttemptRow { outcome, finished_at, duration_ms: last.duration_ms.or(lasted), ..last }))
}

/// The columns that both tables have.
fn attempt(row: &Row<'_>, number: &str, started_at: &str) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow {
        attempt: row.get(number)?,
        worker_id: row.id_opt("worker_id")?.map(WorkerId),
        mode: row.get::<_, Option<i64>>("mode")?.map(|n| name_of(&MODES, n)),
        job_id: row.get("job_id")?,
        definition_hash: row.get("definition_hash")?,
        started_at: row.time_opt(started_at)?,
        finished_at: None,
        duration_ms: row.get::<_, Option<i64>>("attempt_ms")?.map(crate::columns::unsigned),
        outcome: "running",
        failure: None,
        reattached: row.get("reattached")?,
    })
}

/// The entries of a row of `tasks_logs`.
pub(super) fn components(row: &Row<'_>) -> rusqlite::Result<Vec<ComponentRow>> {
    let attempt: u32 = row.get("attempt")?;
    let stored: Vec<StoredComponent> = row.json("entries")?;
    Ok(stored
        .into_iter()
        .map(|(component, status, started_at, latency_ms, error)| ComponentRow {
            attempt,
            component,
            status,
            started_at: started_at.and_then(Timestamp::from_timestamp_micros),
            latency_ms,
            error,
        })
        .collect())
}
