//! Schedules: when flows are run, with which input.

use serde::Serialize;
use serde_json::value::RawValue;
use spark_events::domain::recurrence::{DstNote, Recurrence, zone_data_version};
use spark_events::domain::schedule::ScheduleStatus;
use spark_events::domain::task::Trigger;
use spark_events::{Position, ScheduleId, Timestamp, limits};
use spark_projections::{ScheduleFilter, ScheduleRow};
use warp::http::Method;

use super::tasks::{self, NewTaskRow};
use super::{Segment, not_allowed, text};
use crate::body;
use crate::call::Call;
use crate::error::ApiError;
use crate::read;
use crate::reply::{Reply, rfc3339};
use crate::shown::{self, Large};

mod create;

pub use create::{Plan, PreviewBody, ScheduleBody, When};

/// How many instants are shown when the caller does not say.
const PREVIEW_DEFAULT: usize = 5;

/// An endpoint of schedules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleRoute<'a> {
    /// All of them.
    List,
    /// Make one.
    Create,
    /// See when one would be due, without making it.
    Preview,
    /// One.
    Get(Segment<'a>),
    /// When it is due next.
    Next(Segment<'a>),
    /// Fire nothing until resumed.
    Pause(Segment<'a>),
    /// Fire again.
    Resume(Segment<'a>),
    /// Start a task now.
    Trigger(Segment<'a>),
    /// Fire nothing any more.
    Delete(Segment<'a>),
}

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<ScheduleRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => ScheduleRoute::List,
        ([], &Method::POST) => ScheduleRoute::Create,
        ([], _) => return not_allowed(method, "GET, HEAD, POST"),
        (["preview"], &Method::POST) => ScheduleRoute::Preview,
        ([id], &Method::GET) => ScheduleRoute::Get(text(id)?),
        ([id], &Method::DELETE) => ScheduleRoute::Delete(text(id)?),
        ([_], _) => return not_allowed(method, "GET, HEAD, DELETE"),
        ([id, "next"], &Method::GET) => ScheduleRoute::Next(text(id)?),
        ([_, "next"], _) => return not_allowed(method, "GET, HEAD"),
        ([id, "pause"], &Method::POST) => ScheduleRoute::Pause(text(id)?),
        ([id, "resume"], &Method::POST) => ScheduleRoute::Resume(text(id)?),
        ([id, "trigger"], &Method::POST) => ScheduleRoute::Trigger(text(id)?),
        ([_, "pause" | "resume" | "trigger"], _) => return not_allowed(method, "POST"),
        _ => return Ok(None),
    }))
}

/// The next due instants of a recurrence.
#[derive(Debug, Serialize)]
struct Preview<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_id: Option<ScheduleId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    recurrence: &'a Recurrence,
    /// Version of the time-zone data.
    zone_data: &'static str,
    items: Vec<Instant>,
}

#[derive(Debug, Serialize)]
struct Instant {
    #[serde(serialize_with = "rfc3339")]
    due_at: Timestamp,
    /// What a clock change has to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    dst: Option<DstNote>,
}

pub(crate) async fn handle(route: ScheduleRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    match route {
        ScheduleRoute::List => list(call).await,
        ScheduleRoute::Create => create(call).await,
        ScheduleRoute::Preview => preview(call),
        ScheduleRoute::Get(id) => {
            call.query.only(&[])?;
            call.ready_to_read().await?;
            let id = read::schedule_id(app, &id).await?;
            Reply::ok(&show(call, read::schedule(app, id).await?).await?)
        }
        ScheduleRoute::Next(id) => next(call, &id).await,
        ScheduleRoute::Pause(id) => {
            let who = call.action()?;
            let id = read::schedule_id(app, &id).await?;
            let done = app.spark.pause_schedule(id, &who).await?;
            let row = row_at(call, id, done.position).await;
            Reply::written(row, read::known(id), done.position)
        }
        ScheduleRoute::Resume(id) => {
            let who = call.action()?;
            let id = read::schedule_id(app, &id).await?;
            let done = app.spark.resume_schedule(id, &who).await?;
            let row = row_at(call, id, done.position).await;
            Reply::written(row, read::known(id), done.position)
        }
        ScheduleRoute::Trigger(id) => {
            let who = call.action()?;
            let schedule_id = read::schedule_id(app, &id).await?;
            let done = app.spark.trigger_schedule(schedule_id, &who).await?;
            let why = Trigger::ScheduleTriggered { schedule_id };
            let known = NewTaskRow::new(done.value, why, call);
            let row = tasks::row_at(call, done.value, done.position).await;
            Ok(Reply::written(row, known, done.position)?.as_created())
        }
        ScheduleRoute::Delete(id) => {
            let who = call.action()?;
            let id = read::schedule_id(app, &id).await?;
            let done = app.spark.delete_schedule(id, &who).await?;
            read::removed(app, id, done.position).await
        }
    }
}

async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    const STATUSES: [ScheduleStatus; 4] = [
        ScheduleStatus::Active,
        ScheduleStatus::Paused,
        ScheduleStatus::Completed,
        ScheduleStatus::Deleted,
    ];
    let (app, query) = (call.app, &call.query);
    query.only(&["flow", "source", "status", "deleted", "limit", "offset", "cursor"])?;
    let paging = query.paging()?;
    let statuses = query.choices("status", &STATUSES, ScheduleStatus::as_str)?;
    let include_deleted = query.flag("deleted")?;
    call.ready_to_read().await?;
    let filter = ScheduleFilter {
        flow_id: read::given(query.text("flow").map(|text| read::flow_id(app, text))).await?,
        source_id: read::given(query.text("source").map(|text| read::source_id(app, text))).await?,
        statuses,
        include_deleted,
    };
    let schedules = read::schedules(app, filter, paging).await?;
    Reply::ok(&shown::page(app, schedules, None).await?)
}

async fn create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    call.query.only(&[])?;
    let mut body: ScheduleBody = body::object(&call.body)?;
    let who = call.who(body.reason.take())?;
    let flow = body.flow.clone();
    let plan = Plan::try_from((body, app.now()))?;
    let request = plan.for_flow(read::flow_id(app, &flow).await?);
    if let Some(name) = &request.name {
        read::schedule_name_is_free(app, name).await?;
    }
    let done = app.spark.create_schedule(request, &who).await?;
    let row = row_at(call, done.value, done.position).await;
    Ok(Reply::written(row, read::known(done.value), done.position)?.as_created())
}

fn preview(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let now = call.app.now();
    let body: PreviewBody = body::object(&call.body)?;
    let n = body.n.unwrap_or(PREVIEW_DEFAULT);
    if !(1..=limits::PREVIEW_MAX).contains(&n) {
        let message = format!("must be from 1 to {}", limits::PREVIEW_MAX);
        return Err(ApiError::field("n", message));
    }
    let after = body.after.unwrap_or(now);
    let recurrence = Recurrence::try_from(body.when(now))?;
    Reply::ok(&Preview {
        schedule_id: None,
        status: None,
        recurrence: &recurrence,
        zone_data: zone_data_version(),
        items: instants(&recurrence, after, n),
    })
}

async fn next(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    call.query.only(&["n"])?;
    let n = call.query.number("n", 1..=limits::PREVIEW_MAX as u64)?;
    let n = n.and_then(|n| usize::try_from(n).ok()).unwrap_or(PREVIEW_DEFAULT);
    call.ready_to_read().await?;
    let id = read::schedule_id(call.app, id).await?;
    let row = read::schedule(call.app, id).await?;
    // A paused schedule shows what would come if it were resumed now; an ended one shows nothing.
    let over = ["completed", "deleted"].contains(&row.status.as_str());
    let items = if over { Vec::new() } else { instants(&row.recurrence, call.app.now(), n) };
    Reply::ok(&Preview {
        schedule_id: Some(id),
        status: Some(&row.status),
        recurrence: &row.recurrence,
        zone_data: zone_data_version(),
        items,
    })
}

async fn row_at(
    call: &Call<'_>,
    id: ScheduleId,
    position: Option<Position>,
) -> Result<Box<RawValue>, ApiError> {
    show(call, read::schedule_at(call.app, id, position).await?).await
}

async fn show(call: &Call<'_>, schedule: ScheduleRow) -> Result<Box<RawValue>, ApiError> {
    shown::row(call.app, &schedule, Large::Loaded, None).await
}

fn instants(recurrence: &Recurrence, after: Timestamp, n: usize) -> Vec<Instant> {
    let planner = recurrence.planner().ok();
    let dues = planner.map(|planner| planner.preview(after, n)).unwrap_or_default();
    dues.into_iter().map(|due| Instant { due_at: due.at, dst: due.dst }).collect()
}
