//! How schedules are read back.

use rusqlite::{OptionalExtension, Row};
use serde::Serialize;
use serde_json::Value;
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::{Recurrence, Timetable};
use spark_events::domain::retry::RetryPolicy;
use spark_events::domain::schedule::{OnDrift, Origin, ScheduleSpec, ScheduleStatus};
use spark_events::{FlowId, Payload, Revision, ScheduleId, SourceId, TaskId, Timestamp};

use super::summary::timezone;
use super::{BackfillRow, Outcome, OutcomeCounts};
use crate::columns::{Columns, blob, rfc3339, rfc3339_opt};
use crate::error::QueryError;
use crate::find::{Finder, Found};
use crate::store::{List, Listing, Page, Reads, Where};
use crate::tasks::status_name;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ScheduleRow {
    /// Its id.
    pub id: ScheduleId,
    /// Its name, when it was given one.
    pub name: Option<String>,
    /// What people should know about it.
    pub note: Option<String>,
    /// The flow it runs.
    pub flow_id: FlowId,
    /// The flow's name.
    pub flow_name: Option<String>,
    /// The source that has the flow.
    pub source_id: SourceId,
    /// `active`, `paused`, `completed` or `deleted`.
    pub status: String,
    /// When it is due, where exactly one recurrence says so.
    pub recurrence: Option<Recurrence>,
    /// When it is due: everything that says so.
    pub timetable: Timetable,
    /// The time zone of the first recurrence that has one.
    pub timezone: Option<String>,
    /// The timetable in a few words.
    pub summary: String,
    /// The input of its tasks.
    #[schema(value_type = serde_json::Value)]
    pub input: Payload,
    /// Values set over the flow's own.
    pub tweaks: Option<Value>,
    /// What happens while an earlier task is still open.
    pub overlap: Overlap,
    /// How late an occurrence may still start.
    pub catch_up_ms: u64,
    /// How often and how patiently its tasks are tried.
    pub retry: RetryPolicy,
    /// The longest time of one attempt.
    pub timeout_ms: u64,
    /// How long its tasks may wait for their first attempt.
    pub queue_timeout_ms: Option<u64>,
    /// How long its tasks may take over all attempts.
    pub total_timeout_ms: Option<u64>,
    /// Which of its source's waiting tasks go first: higher ones.
    pub priority: Option<i32>,
    /// After how many starts of its own it is completed.
    pub runs_max: Option<u64>,
    /// How many of these are left.
    pub runs_left: Option<u64>,
    /// After how many failed tasks in a row it pauses itself.
    pub pause_after: Option<u32>,
    /// What happens when the flow was changed at its source.
    pub on_drift: OnDrift,
    /// The first due instant without an outcome; null while it is not active.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_due_at: Option<Timestamp>,
    /// When that one starts: later than it is due where jitter moves it.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_starts_at: Option<Timestamp>,
    /// The last due instant with an outcome.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_due_at: Option<Timestamp>,
    /// The last task that it started: by a due instant, by hand, or by a backfill.
    pub last_task_id: Option<TaskId>,
    /// How that task stands.
    pub last_task_status: Option<&'static str>,
    /// Since when it is paused.
    #[serde(serialize_with = "rfc3339_opt::serialize")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paused_at: Option<Timestamp>,
    /// Who paused it.
    pub paused_by: Option<String>,
    /// Why it is paused, as far as that was said.
    pub paused_reason: Option<String>,
    /// Why it is paused, where it paused itself.
    pub pause_note: Option<String>,
    /// Failed tasks in a row, where they are counted.
    pub failures: u32,
    /// How many starts wait for the end of what is open.
    pub waiting: u64,
    /// Backfills under way, oldest first.
    pub backfills: Vec<BackfillRow>,
    /// How many instants came to which outcome.
    #[serde(flatten)]
    pub counts: OutcomeCounts,
    /// Its tasks that failed.
    pub failed: u64,
    /// What became of the last due instants, the newest first.
    pub outcomes: Vec<Outcome>,
    /// When it was created.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When something last happened to it.
    #[serde(serialize_with = "rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Who created it.
    pub created_by: String,
    /// The revision of its stream that this row shows.
    pub revision: Revision,
}

/// Which schedules are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleFilter {
    /// Of this flow only.
    pub flow_id: Option<FlowId>,
    /// Of this source only.
    pub source_id: Option<SourceId>,
    /// In one of these statuses; empty means any.
    pub statuses: Vec<ScheduleStatus>,
    /// Deleted ones too. Asking for the status `deleted` includes them anyway.
    pub include_deleted: bool,
}

// Failed tasks count whether or not they were deleted since: 4 and 14, see `tasks/schema.rs`.
const SELECT: &str = "SELECT s.seq AS seq, s.id AS id, f.name AS flow_name, st.status AS status,
    s.spec, s.summary, st.next_due_at, st.next_starts_at, st.last_due_at, st.last_task_id,
    t.status AS last_task_status, st.paused_at, st.paused_by, st.paused_reason, st.pause_note,
    st.failures, st.waiting_count, st.backfills, st.counts, st.outcomes,
    s.created_at AS created_at, st.updated_at AS updated_at, s.created_by AS created_by,
    st.revision AS revision,
    (SELECT coalesce(sum(n), 0) FROM tasks_counts c JOIN tasks_refs r ON r.ref = c.schedule
     WHERE r.id = s.id AND c.status IN (4, 14)) AS failed
    FROM schedules s JOIN schedules_states st ON st.seq = s.seq
    LEFT JOIN flows f ON f.id = s.flow_id LEFT JOIN tasks t ON t.id = st.last_task_id";

fn read(row: &Row<'_>) -> rusqlite::Result<ScheduleRow> {
    let spec: ScheduleSpec = row.json("spec")?;
    let counts: OutcomeCounts = row.json("counts")?;
    let only = match spec.timetable.specs.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    Ok(ScheduleRow {
        id: ScheduleId(row.id("id")?),
        flow_name: row.get("flow_name")?,
        status: row.get("status")?,
        recurrence: only,
        timezone: timezone(&spec.timetable).map(Into::into),
        summary: row.get("summary")?,
        name: spec.name,
        note: spec.note,
        flow_id: spec.flow_id,
        source_id: spec.source_id,
        timetable: spec.timetable,
        input: spec.input,
        tweaks: spec.tweaks,
        overlap: spec.overlap,
        catch_up_ms: spec.catch_up_ms,
        retry: spec.retry,
        timeout_ms: spec.timeout_ms,
        queue_timeout_ms: spec.queue_timeout_ms,
        total_timeout_ms: spec.total_timeout_ms,
        priority: spec.priority,
        runs_max: spec.runs_max,
        runs_left: spec.runs_max.map(|max| max.saturating_sub(counts.fired)),
        pause_after: spec.pause_after,
        on_drift: spec.on_drift,
        next_due_at: row.time_opt("next_due_at")?,
        next_starts_at: row.time_opt("next_starts_at")?,
        last_due_at: row.time_opt("last_due_at")?,
        last_task_id: row.id_opt("last_task_id")?.map(TaskId),
        last_task_status: row.get::<_, Option<i64>>("last_task_status")?.map(status_name),
        paused_at: row.time_opt("paused_at")?,
        paused_by: row.get("paused_by")?,
        paused_reason: row.get("paused_reason")?,
        pause_note: row.get("pause_note")?,
        failures: row.get("failures")?,
        waiting: row.count("waiting_count")?,
        backfills: row.json("backfills")?,
        counts,
        failed: row.count("failed")?,
        outcomes: row.json("outcomes")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        created_by: row.get("created_by")?,
        revision: Revision(row.count("revision")?),
    })
}

const FINDER: Finder = Finder { table: "schedules", names: &["name"], keeps_deleted: true };

impl Reads {
    /// Schedules, oldest first.
    ///
    /// # Errors
    /// A page that cannot be, or a file that cannot be read.
    pub async fn list_schedules(
        &self,
        filter: ScheduleFilter,
        page: Page,
    ) -> Result<Listing<ScheduleRow>, QueryError> {
        self.read(move |conn| {
            let mut conditions = Where::default();
            conditions.and("s.flow_id = ?", filter.flow_id.map(|id| blob(id.0).to_vec()));
            conditions.and("s.source_id = ?", filter.source_id.map(|id| blob(id.0).to_vec()));
            let deleted = filter.statuses.contains(&ScheduleStatus::Deleted);
            if !filter.include_deleted && !deleted {
                conditions.and_plain("s.deleted = 0");
            }
            if !filter.statuses.is_empty() {
                // The names are ours, so they need no place for a value.
                let names: Vec<String> =
                    filter.statuses.iter().map(|status| format!("'{}'", status.as_str())).collect();
                conditions.and_plain(&format!("st.status IN ({})", names.join(", ")));
            }
            let from = "schedules s JOIN schedules_states st ON st.seq = s.seq";
            let list = List { select: SELECT, from, key: "s.seq", newest_first: false };
            list.page(conn, conditions, &page, read)
        })
        .await
    }

    /// One schedule, also a deleted one.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRow>, QueryError> {
        self.one(format!("{SELECT} WHERE s.id = ?1"), id.0, read).await
    }

    /// What a schedule is to do, as its last event says.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn schedule_spec(&self, id: ScheduleId) -> Result<Option<ScheduleSpec>, QueryError> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached("SELECT spec FROM schedules WHERE id = ?1")?;
            Ok(statement.query_row([blob(id.0)], |row| row.json("spec")).optional()?)
        })
        .await
    }

    /// The due instants of a schedule that wait for their start: those whose occurrence waits, and
    /// those that a backfill has still to run.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn waiting_instants(&self, id: ScheduleId) -> Result<Vec<Timestamp>, QueryError> {
        self.read(move |conn| {
            let sql = "SELECT st.seq AS seq, st.waiting FROM schedules s
                 JOIN schedules_states st ON st.seq = s.seq WHERE s.id = ?1";
            let found = conn
                .prepare_cached(sql)?
                .query_row([blob(id.0)], |row| Ok((row.get("seq")?, row.json("waiting")?)))
                .optional()?;
            let Some((seq, waiting)) = found else { return Ok(Vec::new()) };
            let (seq, waiting): (i64, Vec<Origin>) = (seq, waiting);
            let due = waiting.into_iter().filter_map(|origin| match origin {
                Origin::Occurrence { due_at } => Some(due_at),
                Origin::Trigger { .. } => None,
            });
            let mut instants: Vec<Timestamp> = due.collect();
            let sql = "SELECT due_at FROM schedules_backfills WHERE seq = ?1";
            let mut statement = conn.prepare_cached(sql)?;
            let left = statement.query_map([seq], |row| row.time("due_at"))?;
            for due_at in left {
                instants.push(due_at?);
            }
            Ok(instants)
        })
        .await
    }

    /// The living schedule that has exactly this name. One look-up in an index, however many
    /// schedules there are.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn schedule_named(&self, name: &str) -> Result<Option<ScheduleId>, QueryError> {
        let name = name.to_owned();
        self.read(move |conn| {
            let sql = "SELECT id FROM schedules WHERE name = ?1 AND deleted = 0";
            let mut statement = conn.prepare_cached(sql)?;
            let id = statement.query_row([name], |row| row.id(0)).optional()?;
            Ok(id.map(ScheduleId))
        })
        .await
    }

    /// The schedule that a text stands for: an id, its start, or a name.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn find_schedule(&self, text: &str) -> Result<Found<ScheduleId>, QueryError> {
        self.found(&FINDER, text, ScheduleId).await
    }
}
