//! Workers: the processes that make the calls, and what can be asked of them. What they say
//! themselves is in `workers/protocol.rs`.

use serde::{Serialize, Serializer};
use spark_actors::WorkerWish;
use spark_events::domain::task::TaskStatus;
use spark_events::{TaskId, Timestamp, WorkerId, limits};
use spark_projections::{Page, TaskFilter, WorkerFilter, WorkerRow};
use utoipa::ToSchema;
use warp::http::Method;

use super::{Segment, not_allowed, operation_ids, text};
use crate::app::App;
use crate::call::Call;
use crate::error::ApiError;
use crate::query::invalid;
use crate::read;
use crate::reply::{Reply, rfc3339};

mod protocol;

/// An endpoint of workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerRoute<'a> {
    /// All of them.
    List,
    /// One.
    Get(Segment<'a>),
    /// Let one take no new work.
    Pause(Segment<'a>),
    /// Let one take work again.
    Resume(Segment<'a>),
    /// Let one leave when its last run has ended.
    Drain(Segment<'a>),
    /// Let one give back what it runs, and leave.
    Stop(Segment<'a>),
    /// A worker says that it is there.
    Register,
    /// A worker asks for work.
    Poll(Segment<'a>),
    /// A worker says what became of its attempts.
    Reports(Segment<'a>),
    /// A worker leaves.
    Leave(Segment<'a>),
}

pub(super) mod openapi;

/// The statuses of workers.
const STATUSES: [&str; 6] = ["active", "paused", "draining", "stopping", "stopped", "lost"];

operation_ids!(WorkerRoute<'_> {
    Self::List => "listWorkers",
    Self::Get(_) => "getWorker",
    Self::Pause(_) => "pauseWorker",
    Self::Resume(_) => "resumeWorker",
    Self::Drain(_) => "drainWorker",
    Self::Stop(_) => "stopWorker",
    Self::Register => "registerWorker",
    Self::Poll(_) => "pollWorker",
    Self::Reports(_) => "reportWorker",
    Self::Leave(_) => "leaveWorker",
});

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<WorkerRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => WorkerRoute::List,
        ([], &Method::POST) => WorkerRoute::Register,
        ([], _) => return not_allowed(method, "GET, HEAD, POST"),
        ([id], &Method::GET) => WorkerRoute::Get(text(id)?),
        ([_], _) => return not_allowed(method, "GET, HEAD"),
        ([id, verb], &Method::POST) => match *verb {
            "pause" => WorkerRoute::Pause(text(id)?),
            "resume" => WorkerRoute::Resume(text(id)?),
            "drain" => WorkerRoute::Drain(text(id)?),
            "stop" => WorkerRoute::Stop(text(id)?),
            "poll" => WorkerRoute::Poll(text(id)?),
            "reports" => WorkerRoute::Reports(text(id)?),
            "leave" => WorkerRoute::Leave(text(id)?),
            _ => return Ok(None),
        },
        ([_, "pause" | "resume" | "drain" | "stop" | "poll" | "reports" | "leave"], _) => {
            return not_allowed(method, "POST");
        }
        _ => return Ok(None),
    }))
}

/// A worker, with what memory knows of it while it is there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
struct Shown {
    /// The row.
    #[schema(inline)]
    #[serde(flatten)]
    row: WorkerRow,
    /// Whether it would be given a task now.
    accepting: bool,
    /// When it was last heard; `null` for one that is gone.
    #[serde(serialize_with = "rfc3339_opt")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Timestamp>,
    /// For how long it has not been heard; `null` for one that is gone.
    silent_ms: Option<i64>,
    /// The tasks whose attempts it is making, at most a page of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    tasks: Option<Vec<TaskId>>,
}

fn rfc3339_opt<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => rfc3339(at, to),
        None => to.serialize_none(),
    }
}

fn shown(app: &App, row: WorkerRow) -> Shown {
    let pulse = app.spark.worker_pulse(row.id);
    let last_seen_at = pulse.map(|pulse| pulse.seen_at);
    let silence = |at: Timestamp| (app.now() - at).num_milliseconds().max(0);
    Shown {
        row,
        accepting: pulse.is_some_and(|pulse| pulse.accepting),
        last_seen_at,
        silent_ms: last_seen_at.map(silence),
        tasks: None,
    }
}

pub(crate) async fn handle(route: WorkerRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    match route {
        WorkerRoute::List => list(call).await,
        WorkerRoute::Get(id) => {
            call.query.only(&[])?;
            call.ready_to_read().await?;
            let id = read::worker_id(call.app, &id).await?;
            let mut worker = shown(call.app, read::worker(call.app, id).await?);
            worker.tasks = Some(tasks_of(call.app, id).await?);
            let revision = worker.row.revision;
            let answer = Reply::ok(&worker)?;
            // When it was heard is another instant at each look, and no change of the worker.
            (worker.last_seen_at, worker.silent_ms) = (None, None);
            Ok(answer.of_lasting(revision, &worker))
        }
        WorkerRoute::Pause(id) => change(call, &id, WorkerWish::Pause).await,
        WorkerRoute::Resume(id) => change(call, &id, WorkerWish::Resume).await,
        WorkerRoute::Drain(id) => change(call, &id, WorkerWish::Drain).await,
        WorkerRoute::Stop(id) => change(call, &id, WorkerWish::Stop).await,
        WorkerRoute::Register => protocol::register(call).await,
        WorkerRoute::Poll(id) => protocol::poll(call, &id).await,
        WorkerRoute::Reports(id) => protocol::reports(call, &id).await,
        WorkerRoute::Leave(id) => protocol::leave(call, &id).await,
    }
}

async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&["status", "living", "limit", "offset", "cursor"])?;
    let paging = call.query.paging()?;
    let status = call.query.text("status").map(|text| {
        let message = format!("{text:?} is not one of {}", STATUSES.join(", "));
        if STATUSES.contains(&text) {
            Ok(text.to_owned())
        } else {
            Err(invalid("status", &message))
        }
    });
    let filter = WorkerFilter { status: status.transpose()?, living: call.query.flag("living")? };
    call.ready_to_read().await?;
    let list = read::workers(call.app, filter, paging).await?;
    Reply::ok(&list.map(|row| shown(call.app, row)))
}

/// The tasks whose attempts a worker is making.
async fn tasks_of(app: &App, id: WorkerId) -> Result<Vec<TaskId>, ApiError> {
    let statuses = vec![TaskStatus::Running];
    let filter = TaskFilter { worker_id: Some(id), statuses, ..TaskFilter::default() };
    let page = Page { limit: limits::PAGE_MAX, ..Page::default() };
    let list = read::tasks(app, filter, page).await?;
    Ok(list.items.into_iter().map(|row| row.id).collect())
}

async fn change(call: &Call<'_>, id: &str, wish: WorkerWish) -> Result<Reply, ApiError> {
    let who = call.action()?;
    let id = read::worker_id(call.app, id).await?;
    let done = call.app.spark.command_worker(id, wish, &who).await?;
    let row = read::worker_at(call.app, id, done.position).await;
    Reply::written(row.map(|row| shown(call.app, row)), read::known(id), done.position)
}
