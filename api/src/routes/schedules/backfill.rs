//! Running instants of the past: which of them are due, what became of each, and which are taken.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use spark_actors::DispatchError;
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::{Count, TimetablePlanner};
use spark_events::domain::schedule::{BackfillOnly, BackfillRequest};
use spark_events::domain::task::TaskStatus;
use spark_events::{ScheduleId, TaskId, Timestamp, limits, spoken};

use super::when::instant;
use crate::app::App;
use crate::body::{self, Field};
use crate::call::Call;
use crate::error::{ApiError, FieldError};
use crate::options::Wrong;
use crate::read;
use crate::reply::{Reply, rfc3339};

/// Run instants of the past.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBackfill)]
pub struct BackfillBody {
    /// The first instant: RFC 3339.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub from: Field<String>,
    /// The last instant: RFC 3339 or `now`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub to: Field<String>,
    /// Which instants are taken; those without a task when absent.
    pub only: Option<BackfillOnly>,
    /// One after another (`BufferAll`, when absent) or at once (`AllowAll`).
    pub overlap: Option<Overlap>,
    /// How many tasks may be open at once under `AllowAll`.
    pub active_max: Option<u32>,
    /// The newest instant first.
    #[serde(default)]
    pub reverse: bool,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// Why.
    pub reason: Option<String>,
}

/// Tasks open at once under `AllowAll`, when the caller does not say.
const ACTIVE_DEFAULT: u32 = 10;

/// A checked wish, whose instants have still to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// All but the instants.
    request: BackfillRequest,
    reverse: bool,
}

/// A body, at the instant that must not be passed.
impl TryFrom<(BackfillBody, Timestamp)> for Span {
    type Error = Vec<FieldError>;

    fn try_from((body, now): (BackfillBody, Timestamp)) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        let mut read = |field: &str, value| {
            let read = wrong.take(instant(field, value, now))?.flatten();
            if read.is_none() {
                wrong.push(field, "is missing: give an RFC 3339 instant");
            }
            read
        };
        let (from, to) = (read("from", body.from), read("to", body.to));
        if let (Some(from), Some(to)) = (from, to) {
            if to > now {
                let remedy =
                    "the schedule itself runs what lies ahead; give an earlier instant, or `now`";
                wrong.push(
                    "to",
                    format!("is in the future (it is {}): {remedy}", spoken::instant(now)),
                );
            }
            if from > to {
                wrong.push("from", format!("is after to ({}): swap them", spoken::instant(to)));
            }
        }
        let overlap = body.overlap.unwrap_or(Overlap::BufferAll);
        if !matches!(overlap, Overlap::BufferAll | Overlap::AllowAll) {
            wrong.push("overlap", "must be BufferAll (one after another) or AllowAll (at once)");
        }
        let at_once = overlap == Overlap::AllowAll;
        let active_max = body.active_max.unwrap_or(if at_once { ACTIVE_DEFAULT } else { 1 });
        if !(1..=limits::BACKFILL_ACTIVE_MAX).contains(&active_max) {
            wrong.push("active_max", format!("must be from 1 to {}", limits::BACKFILL_ACTIVE_MAX));
        }
        let (Some(from), Some(to)) = (from, to) else { return Err(wrong.into()) };
        let (only, due) = (body.only.unwrap_or_default(), Vec::new());
        let request = BackfillRequest { from, to, only, overlap, active_max, due };
        wrong.finish(Self { request, reverse: body.reverse })
    }
}

/// What became of a due instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InstantState)]
pub enum State {
    /// It has no task.
    Missing,
    /// Its last task failed or was cancelled.
    Failed,
    /// Its last task completed.
    Completed,
    /// Its task is open, or it waits for its start. Never touched.
    Open,
}

impl State {
    /// The state by the last task of an instant.
    #[must_use]
    pub fn of(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Completed => Self::Completed,
            TaskStatus::Failed | TaskStatus::Cancelled => Self::Failed,
            _ => Self::Open,
        }
    }

    /// Whether a backfill takes an instant of this state.
    #[must_use]
    pub fn is_taken(self, only: BackfillOnly) -> bool {
        match self {
            Self::Missing => true,
            Self::Failed => matches!(only, BackfillOnly::Failed | BackfillOnly::All),
            Self::Completed => only == BackfillOnly::All,
            Self::Open => false,
        }
    }
}

/// A due instant of the span.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BackfillInstant)]
struct Item {
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    state: State,
    /// Whether the backfill runs it.
    taken: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
}

/// What a backfill would do.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BackfillDryRun)]
pub(super) struct DryRun {
    /// How many instants it would run.
    count: usize,
    /// The instants of the span, in the order in which they would run; the first ones.
    items: Vec<Item>,
    /// Whether there are more.
    truncated: bool,
}

/// The answer to a backfill that was begun.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BackfillBegun)]
pub(super) struct Begun {
    number: u32,
    count: usize,
}

pub(super) async fn begin(call: &Call<'_>, text: &str) -> Result<Reply, ApiError> {
    let app = call.app;
    call.query.only(&[])?;
    let mut body: BackfillBody = body::object(&call.body)?;
    let who = call.who(body.reason.take())?;
    let dry_run = body.dry_run;
    let Span { mut request, reverse } = Span::try_from((body, app.now()))?;
    // A task that was started a moment ago must be seen, or it would be run twice.
    read::caught_up(app).await?;
    let id = read::schedule_id(app, text).await?;
    let spec = read::schedule_spec(app, id).await?;
    let planner = spec.timetable.planner(id);
    let planner = planner.map_err(|error| DispatchError::Internal(error.to_string()))?;
    let mut due = due_between(planner, request.from, request.to).await?;
    if reverse {
        due.reverse();
    }
    let only = request.only;
    let items = items(app, id, due, only).await?;
    request.due = items.iter().filter(|item| item.taken).map(|item| item.due_at).collect();
    let count = request.due.len();
    if dry_run {
        let truncated = items.len() > limits::BACKFILL_SHOWN_MAX;
        let items = items.into_iter().take(limits::BACKFILL_SHOWN_MAX).collect();
        return Reply::ok(&DryRun { count, items, truncated });
    }
    let done = app.spark.backfill_schedule(id, request, &who).await?;
    Ok(Reply::ok(&Begun { number: done.value, count })?.at(done.position).as_accepted())
}

/// The due instants of a span, both ends included, unless there are too many.
async fn due_between(
    planner: TimetablePlanner,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Timestamp>, ApiError> {
    // Counting ten years of minutes takes a moment, which no other request has to wait for.
    let walk = move || match planner.count(from, to, limits::COUNTED_MAX) {
        Count::Exactly(count) if count <= limits::BACKFILL_INSTANTS_MAX as u64 => {
            let before = from - chrono::TimeDelta::microseconds(1);
            let walk = planner.walk(before).map(|due| due.due_at);
            Ok(walk.take_while(|due_at| *due_at <= to).collect())
        }
        Count::Exactly(count) => Err(count.to_string()),
        Count::About(count) => Err(format!("about {count}")),
    };
    let walked = tokio::task::spawn_blocking(walk).await;
    let walked = walked.map_err(|error| DispatchError::Internal(error.to_string()))?;
    walked.map_err(|count| {
        let max = limits::BACKFILL_INSTANTS_MAX;
        let message = format!(
            "the span has {count} due instants, over the bound of {max} for one backfill: choose \
             a shorter span, or several one after the other"
        );
        ApiError::field("from", message)
    })
}

/// What became of each instant.
async fn items(
    app: &App,
    id: ScheduleId,
    due: Vec<Timestamp>,
    only: BackfillOnly,
) -> Result<Vec<Item>, ApiError> {
    let reads = app.reads();
    let tasks = reads.tasks_of_instants(id, due.clone()).await?;
    let tasks: HashMap<Timestamp, (State, TaskId)> =
        tasks.into_iter().map(|(at, status, task)| (at, (State::of(status), task))).collect();
    let mut waiting: HashSet<Timestamp> = reads.waiting_instants(id).await?.into_iter().collect();
    // Due, but not dealt with yet.
    waiting.extend(read::schedule(app, id).await?.next_due_at);
    let item = |due_at| {
        let (state, task_id) = match tasks.get(&due_at) {
            _ if waiting.contains(&due_at) => (State::Open, None),
            Some((state, task_id)) => (*state, Some(*task_id)),
            None => (State::Missing, None),
        };
        Item { due_at, state, taken: state.is_taken(only), task_id }
    };
    Ok(due.into_iter().map(item).collect())
}

#[cfg(test)]
mod tests;
