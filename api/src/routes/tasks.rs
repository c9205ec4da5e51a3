//! Tasks: the executions of flows. Running a flow is here too, whichever path it comes by.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use spark_actors::{Creation, DispatchError, Done, NewTask, RunOptions, Who};
use spark_events::domain::task::{TaskStatus, Trigger};
use spark_events::log::Direction;
use spark_events::{FlowId, Position, ScheduleId, TaskId, Timestamp, limits};
use spark_projections::{TaskDetail, TaskFilter, TaskRow};
use warp::http::Method;

use super::{Segment, not_allowed, operation_ids, text};
use crate::app::App;
use crate::body;
use crate::call::Call;
use crate::error::{ApiError, FieldError};
use crate::options::{OptionsBody, RetryBody};
use crate::read;
use crate::reply::{Page, Reply, rfc3339};
use crate::shown::{self, Large};

pub mod bulk;
mod change;
pub mod filter;

use filter::{FilterBody, Place};

/// An endpoint of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskRoute<'a> {
    /// All of them.
    List,
    /// Run a flow.
    Create,
    /// Retry, cancel or delete all that fit a filter.
    Bulk,
    /// One, with its attempts.
    Get(Segment<'a>),
    /// One, when it has ended.
    Wait(Segment<'a>),
    /// Stop it.
    Cancel(Segment<'a>),
    /// Run it again.
    Retry(Segment<'a>),
    /// Let it start, where it is held.
    Release(Segment<'a>),
    /// Put it out of sight.
    Delete(Segment<'a>),
    /// What its components did.
    Log(Segment<'a>),
}

pub(super) mod openapi;

operation_ids!(TaskRoute<'_> {
    Self::List => "listTasks",
    Self::Create => "createTask",
    Self::Bulk => "changeTasks",
    Self::Get(_) => "getTask",
    Self::Wait(_) => "waitForTask",
    Self::Cancel(_) => "cancelTask",
    Self::Retry(_) => "retryTask",
    Self::Release(_) => "releaseTask",
    Self::Delete(_) => "deleteTask",
    Self::Log(_) => "readTaskLog",
});

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<TaskRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => TaskRoute::List,
        ([], &Method::POST) => TaskRoute::Create,
        ([], _) => return not_allowed(method, "GET, HEAD, POST"),
        (["bulk"], &Method::POST) => TaskRoute::Bulk,
        (["bulk"], _) => return not_allowed(method, "POST"),
        ([id], &Method::GET) => TaskRoute::Get(text(id)?),
        ([id, "wait"], &Method::GET) => TaskRoute::Wait(text(id)?),
        ([id, "log"], &Method::GET) => TaskRoute::Log(text(id)?),
        ([id], &Method::DELETE) => TaskRoute::Delete(text(id)?),
        ([_], _) => return not_allowed(method, "GET, HEAD, DELETE"),
        ([_, "wait" | "log"], _) => return not_allowed(method, "GET, HEAD"),
        ([id, "cancel"], &Method::POST) => TaskRoute::Cancel(text(id)?),
        ([id, "retry"], &Method::POST) => TaskRoute::Retry(text(id)?),
        ([id, "run"], &Method::POST) => TaskRoute::Release(text(id)?),
        ([_, "cancel" | "retry" | "run"], _) => return not_allowed(method, "POST"),
        _ => return Ok(None),
    }))
}

/// Run a flow once.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Run)]
pub struct RunBody {
    /// The flow's id, a prefix of it, or its name; only where the path does not name it.
    pub flow: Option<String>,
    /// The input text.
    #[serde(alias = "input_value")]
    pub input: Option<String>,
    /// `{component id: {field: value}}`.
    pub tweaks: Option<Value>,
    /// The retry policy, as far as it differs from the default.
    pub retry: Option<RetryBody>,
    /// Attempts after the first one.
    pub max_retries: Option<u32>,
    /// The longest time of an attempt, such as `10m`.
    pub timeout: Option<String>,
    /// The same in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Higher ones start first within a source; from -100 to 100.
    pub priority: Option<i32>,
    /// The longest wait until an attempt starts, such as `10m`.
    pub queue_timeout: Option<String>,
    /// The same in milliseconds.
    pub queue_timeout_ms: Option<u64>,
    /// The longest time over all attempts and waits, such as `1h`.
    pub total_timeout: Option<String>,
    /// The same in milliseconds.
    pub total_timeout_ms: Option<u64>,
    /// `false` holds the task until `POST /tasks/{id}/run`.
    pub run: Option<bool>,
    /// How long to wait for the end before answering.
    pub wait_ms: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

impl TryFrom<RunBody> for RunOptions {
    type Error = Vec<FieldError>;

    fn try_from(body: RunBody) -> Result<Self, Self::Error> {
        let RunBody { input, tweaks, retry, max_retries, timeout, timeout_ms, .. } = body;
        let RunBody { priority, queue_timeout, queue_timeout_ms, .. } = body;
        let RunBody { total_timeout, total_timeout_ms, .. } = body;
        OptionsBody {
            input,
            tweaks,
            retry,
            max_retries,
            timeout,
            timeout_ms,
            priority,
            queue_timeout,
            queue_timeout_ms,
            total_timeout,
            total_timeout_ms,
        }
        .try_into()
    }
}

/// A new task as far as it is known without the read model, in the words of its row.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = NewTask)]
pub(crate) struct NewTaskRow {
    /// Its id.
    id: TaskId,
    /// The flow that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_id: Option<FlowId>,
    /// The schedule that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_id: Option<ScheduleId>,
    /// Why it was made.
    trigger: &'static str,
    /// The task that it repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<TaskId>,
    /// How far it is.
    status: TaskStatus,
    /// How many attempts were begun.
    attempts: u32,
    /// When it was made.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl NewTaskRow {
    /// A task that was just made, for this reason.
    pub(crate) fn new(id: TaskId, why: Trigger, call: &Call<'_>) -> Self {
        let (trigger, retry_of) = match why {
            Trigger::Manual => ("manual", None),
            Trigger::Occurrence { .. } => ("occurrence", None),
            Trigger::ScheduleTriggered { .. } => ("schedule_triggered", None),
            Trigger::Backfill { .. } => ("backfill", None),
            Trigger::RetryOf { task_id } => ("retry_of", Some(task_id)),
        };
        Self {
            id,
            flow_id: None,
            schedule_id: why.schedule_id(),
            trigger,
            retry_of,
            status: TaskStatus::Pending,
            attempts: 0,
            created_at: call.app.now(),
        }
    }
}

/// What a task waits for that no time brings: a worker.
fn waits_for(app: &App, task: &TaskRow) -> Option<String> {
    let waiting = [TaskStatus::Pending, TaskStatus::Waiting].map(TaskStatus::as_str);
    let wanted =
        app.spark.worker_wanted(task.source_id).filter(|_| waiting.contains(&task.status))?;
    Some(if wanted.is_empty() {
        "a worker: none takes work now; start one (automagik worker start) or resume one".to_owned()
    } else {
        format!(
            "a worker with the labels {wanted}: start one (automagik worker start --labels {}), or \
             change what the source asks for",
            wanted.iter().collect::<Vec<_>>().join(",")
        )
    })
}

pub(crate) async fn handle(route: TaskRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    match route {
        TaskRoute::List => list(call).await,
        TaskRoute::Create => run(call, None).await,
        TaskRoute::Bulk => bulk::handle(call).await,
        TaskRoute::Get(id) => {
            call.query.only(&[])?;
            call.ready_to_read().await?;
            let id = read::task_id(app, &id).await?;
            let task = read::task(app, id).await?;
            let revision = task.task.revision;
            let waits = waits_for(app, &task.task);
            let row = show(call, task).await?;
            let row = shown::with(&row, "trace_id", &trace_of(call, id).await?)?;
            let row = shown::with(&row, "waits_for", &waits)?;
            Ok(Reply::ok(&row)?.of(revision))
        }
        TaskRoute::Wait(id) => {
            call.query.only(&["timeout_ms", "after_revision"])?;
            let ms = call.query.number("timeout_ms", 0..=u64::MAX)?;
            let ms = ms.unwrap_or(limits::TASK_WAIT_MS_MAX);
            let revision = call.query.number("after_revision", 0..=u64::MAX)?;
            call.ready_to_read().await?;
            let id = read::task_id(app, &id).await?;
            if let Some(revision) = revision {
                wait_for_change(call, id, revision, ms).await?;
                return Reply::ok(&show(call, read::task(app, id).await?).await?);
            }
            let ended = wait(call, id, ms).await?;
            if let Some(position) = ended {
                app.wait_for(position).await?;
            }
            Reply::ok(&show(call, read::task(app, id).await?).await?)
        }
        TaskRoute::Cancel(id) => {
            let id = read::task_id(app, &id).await?;
            change::cancel(call, id).await
        }
        TaskRoute::Retry(id) => {
            let id = read::task_id(app, &id).await?;
            change::retry(call, id).await
        }
        TaskRoute::Release(id) => {
            let who = call.action()?;
            let id = read::task_id(app, &id).await?;
            let done = app.spark.release_task(id, &who).await?;
            let row = row_at(call, id, done.position).await;
            Reply::written(row, read::known(id), done.position)
        }
        TaskRoute::Delete(id) => {
            let who = call.action()?;
            let id = read::task_id(app, &id).await?;
            let done = app.spark.delete_task(id, &who).await?;
            read::removed(app, id, done.position).await
        }
        TaskRoute::Log(id) => {
            call.query.only(&["attempt", "component"])?;
            let attempt = call.query.number("attempt", 1..=u64::from(limits::ATTEMPTS_MAX))?;
            call.ready_to_read().await?;
            let id = read::task_id(app, &id).await?;
            log(call, id, attempt).await
        }
    }
}

async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (app, query) = (call.app, &call.query);
    query.only(&filter::KEYS)?;
    let (paging, sort) = (query.paging()?, filter::sort(query)?);
    let body = FilterBody::of_query(query)?;
    call.ready_to_read().await?;
    let filter = TaskFilter { sort, ..body.resolve(app, Place::Query).await? };
    filter::searchable(app, &filter, call.min_position()?).await?;
    let tasks = read::tasks(app, filter, paging).await?;
    Reply::ok(&shown::page(app, tasks, None).await?)
}

/// A task as it is at a position, or later.
pub(crate) async fn row_at(
    call: &Call<'_>,
    id: TaskId,
    position: Option<Position>,
) -> Result<Box<RawValue>, ApiError> {
    show(call, read::task_at(call.app, id, position).await?).await
}

/// The trace that the runs of a task belong to, in hexadecimal digits: the correlation id of its
/// first event.
async fn trace_of(call: &Call<'_>, id: TaskId) -> Result<Option<String>, ApiError> {
    let log = call.app.spark.log();
    let first = log.read_stream(&id.stream(), None, Direction::Forward, 1).await?;
    Ok(first.first().map(|event| event.metadata.correlation_id.simple().to_string()))
}

async fn show(call: &Call<'_>, task: TaskDetail) -> Result<Box<RawValue>, ApiError> {
    shown::row(call.app, &task, Large::Loaded, None).await
}

/// What the components did, attempt by attempt.
async fn log(call: &Call<'_>, id: TaskId, attempt: Option<u64>) -> Result<Reply, ApiError> {
    let component = call.query.text("component").map(str::to_lowercase);
    let mut items = read::task(call.app, id).await?.log;
    items.retain(|entry| {
        attempt.is_none_or(|number| number == u64::from(entry.attempt))
            && component.as_ref().is_none_or(|name| *name == entry.component.to_lowercase())
    });
    Reply::ok(&Page::whole(items))
}

/// Runs a flow, named by the path or by the body. Answers at once with what is known, unless the
/// caller wants the row or the end: this is the busiest path, and the read model is not on it.
pub(crate) async fn run(call: &Call<'_>, flow: Option<&str>) -> Result<Reply, ApiError> {
    call.query.only(&["return"])?;
    let wants_row = match call.query.text("return") {
        None | Some("minimal") => false,
        Some("row") => true,
        Some(other) => {
            let message = format!("{other:?} is not one of minimal, row");
            return Err(crate::query::invalid("return", &message));
        }
    };
    let mut body = run_body(&call.body)?;
    let who = call.who(body.reason.take())?;
    let wait_ms = body.wait_ms;
    let named = body.flow.take();
    let flow = match (flow, named.as_deref()) {
        (Some(_), Some(_)) => {
            return Err(ApiError::field("flow", "is in the path already; leave it out"));
        }
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => return Err(ApiError::field("flow", "is missing: give its id or name")),
    };
    let how = Creation { key: call.idempotency_key()?, held: body.run == Some(false) };
    let (flow_id, done) = submit(call, flow, body.try_into()?, &how, &who).await?;
    let is_repeat = done.position.is_none();
    let (id, mut position) = (done.value, done.position);
    if let Some(ms) = wait_ms {
        position = position.max(wait(call, id, ms).await?);
    }
    let manual = NewTaskRow::new(id, Trigger::Manual, call);
    let minimal = NewTaskRow { flow_id: Some(flow_id), ..manual };
    if wants_row || wait_ms.is_some() || is_repeat {
        let row = row_at(call, id, position).await;
        let reply = Reply::written(row, minimal, position)?;
        return Ok(if is_repeat { reply } else { reply.as_created() });
    }
    Ok(Reply::ok(&minimal)?.at(position).as_created())
}

/// Makes the task. A full id goes straight to the command; only where no flow has it is it looked
/// up, because it may be the flow's id at the source.
async fn submit(
    call: &Call<'_>,
    flow: &str,
    options: RunOptions,
    how: &Creation,
    who: &Who,
) -> Result<(FlowId, Done<TaskId>), ApiError> {
    let (spark, full) = (&call.app.spark, flow.parse::<FlowId>().ok());
    let flow_id = match full {
        Some(id) => id,
        None => read::flow_id(call.app, flow).await?,
    };
    let create = async |flow_id, options| {
        let request = NewTask { flow_id, options };
        spark.create_task_with(request, how.clone(), who).await
    };
    let refused = match create(flow_id, options).await {
        Ok(done) => return Ok((flow_id, done)),
        Err(refused) => refused,
    };
    if full.is_none() || !matches!(refused, DispatchError::NotFound { kind: "flow", .. }) {
        return Err(change::reused(refused, how.key.as_ref(), who));
    }
    let flow_id = read::flow_id(call.app, flow).await?;
    if full == Some(flow_id) {
        return Err(refused.into());
    }
    let options = run_body(&call.body)?.try_into()?;
    let done = create(flow_id, options).await;
    Ok((flow_id, done.map_err(|error| change::reused(error, how.key.as_ref(), who))?))
}

/// A body of an object, of nothing, or of the bare input text as a JSON string.
fn run_body(body: &[u8]) -> Result<RunBody, ApiError> {
    match body.trim_ascii_start().first() {
        Some(b'"') => Ok(RunBody { input: Some(body::parse(body)?), ..RunBody::default() }),
        _ => body::optional(body),
    }
}

/// Waits for the end of a task, as long as asked but bounded. The position of its last event where
/// it ended.
async fn wait(call: &Call<'_>, id: TaskId, ms: u64) -> Result<Option<Position>, ApiError> {
    let bound = Duration::from_millis(ms.min(limits::TASK_WAIT_MS_MAX));
    Ok(call.app.spark.wait_task(id, bound).await?.map(|end| end.position))
}

/// Waits, bounded, until the read model shows a later revision of a task, or its end.
async fn wait_for_change(
    call: &Call<'_>,
    id: TaskId,
    revision: u64,
    ms: u64,
) -> Result<(), ApiError> {
    let bound = Duration::from_millis(ms.min(limits::TASK_WAIT_MS_MAX));
    let mut positions = call.app.projections.positions();
    let changed = async {
        loop {
            positions.borrow_and_update();
            match call.app.reads().task_revision(id).await? {
                Some((now, ended)) if now > revision || ended => return Ok(()),
                _ => {}
            }
            if positions.changed().await.is_err() {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(bound, changed).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_takes_an_object_nothing_or_a_bare_text() {
        assert_eq!(run_body(b"").unwrap(), RunBody::default());
        assert_eq!(run_body(b" \"hello\" ").unwrap().input.as_deref(), Some("hello"));
        let body = run_body(br#"{"input_value":"hello","wait_ms":5}"#).unwrap();
        assert_eq!((body.input.as_deref(), body.wait_ms), (Some("hello"), Some(5)));
        for bad in [&b"\"hello"[..], b"[]", b"5", br#"{"inputs":""}"#, br#"{"input":{"a":1}}"#] {
            assert!(run_body(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
