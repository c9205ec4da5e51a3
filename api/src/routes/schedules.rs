//! Schedules: when flows are run, with which input.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use spark_actors::Triggered;
use spark_events::domain::overlap::Overlap;
use spark_events::domain::schedule::ScheduleStatus;
use spark_events::domain::task::Trigger;
use spark_events::{Position, ScheduleId, TaskId};
use spark_projections::{ScheduleFilter, ScheduleRow};
use utoipa::ToSchema;
use warp::http::Method;

use super::tasks::{self, NewTaskRow};
use super::{Segment, not_allowed, operation_ids, text};
use crate::body;
use crate::call::Call;
use crate::error::ApiError;
use crate::read;
use crate::reply::Reply;
use crate::shown::{self, Large};

mod backfill;
mod create;
mod fields;
mod patch;
mod preview;
mod when;
mod why;

pub use backfill::{BackfillBody, Span, State};
pub use create::{Plan, Planned};
pub use fields::{CalendarBody, PreviewBody, ScheduleBody, SpecBody, WhenBody};
pub use patch::Edit;
pub use when::When;
pub use why::sentence;

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
    /// Change one.
    Patch(Segment<'a>),
    /// Start a task now.
    Trigger(Segment<'a>),
    /// Run instants of the past.
    Backfill(Segment<'a>),
    /// Let a backfill start nothing more.
    CancelBackfill(Segment<'a>, u32),
    /// What became of a due instant.
    Why(Segment<'a>),
    /// Fire nothing any more.
    Delete(Segment<'a>),
}

pub(super) mod openapi;

operation_ids!(ScheduleRoute<'_> {
    Self::List => "listSchedules",
    Self::Create => "createSchedule",
    Self::Preview => "previewSchedule",
    Self::Get(_) => "getSchedule",
    Self::Next(_) => "listNextInstants",
    Self::Pause(_) => "pauseSchedule",
    Self::Resume(_) => "resumeSchedule",
    Self::Patch(_) => "editSchedule",
    Self::Trigger(_) => "triggerSchedule",
    Self::Backfill(_) => "backfillSchedule",
    Self::CancelBackfill(..) => "cancelBackfill",
    Self::Why(_) => "explainInstant",
    Self::Delete(_) => "deleteSchedule",
});

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<ScheduleRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => ScheduleRoute::List,
        ([], &Method::POST) => ScheduleRoute::Create,
        ([], _) => return not_allowed(method, "GET, HEAD, POST"),
        (["preview"], &Method::POST) => ScheduleRoute::Preview,
        (["preview"], _) => return not_allowed(method, "POST"),
        ([id], &Method::GET) => ScheduleRoute::Get(text(id)?),
        ([id], &Method::DELETE) => ScheduleRoute::Delete(text(id)?),
        ([id], &Method::PATCH) => ScheduleRoute::Patch(text(id)?),
        ([_], _) => return not_allowed(method, "GET, HEAD, PATCH, DELETE"),
        ([id, "why"], &Method::GET) => ScheduleRoute::Why(text(id)?),
        ([id, "next"], &Method::GET) => ScheduleRoute::Next(text(id)?),
        ([_, "next" | "why"], _) => return not_allowed(method, "GET, HEAD"),
        ([id, "pause"], &Method::POST) => ScheduleRoute::Pause(text(id)?),
        ([id, "resume"], &Method::POST) => ScheduleRoute::Resume(text(id)?),
        ([id, "trigger"], &Method::POST) => ScheduleRoute::Trigger(text(id)?),
        ([id, "backfill"], &Method::POST) => ScheduleRoute::Backfill(text(id)?),
        ([id, "backfill", number, "cancel"], method) => {
            let Ok(number) = number.parse() else { return Ok(None) };
            if method != Method::POST {
                return not_allowed(method, "POST");
            }
            ScheduleRoute::CancelBackfill(text(id)?, number)
        }
        ([_, "pause" | "resume" | "trigger" | "backfill"], _) => {
            return not_allowed(method, "POST");
        }
        _ => return Ok(None),
    }))
}

/// Start a task of a schedule now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TriggerNow)]
pub struct TriggerBody {
    /// What happens while another task is open; it starts beside it when absent.
    pub overlap: Option<Overlap>,
    /// Why.
    pub reason: Option<String>,
}

/// A start that waits for its turn.
#[derive(Serialize, ToSchema)]
struct Waits {
    /// The task that will be made.
    task_id: TaskId,
    waits: bool,
}

pub(crate) async fn handle(route: ScheduleRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    match route {
        ScheduleRoute::List => list(call).await,
        ScheduleRoute::Create => create(call).await,
        ScheduleRoute::Preview => preview::preview(call),
        ScheduleRoute::Get(id) => {
            call.query.only(&[])?;
            call.ready_to_read().await?;
            let id = read::schedule_id(app, &id).await?;
            let row = read::schedule(app, id).await?;
            let revision = row.revision;
            Ok(Reply::ok(&show(call, row).await?)?.of(revision))
        }
        ScheduleRoute::Next(id) => preview::next(call, &id).await,
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
        ScheduleRoute::Patch(id) => patch::handle(call, &id).await,
        ScheduleRoute::Trigger(id) => trigger(call, &id).await,
        ScheduleRoute::Backfill(id) => backfill::begin(call, &id).await,
        ScheduleRoute::CancelBackfill(id, number) => cancel_backfill(call, &id, number).await,
        ScheduleRoute::Why(id) => why::handle(call, &id).await,
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
    let who = call.who(body.reason.take().value())?;
    let Planned { flow, plan } = Planned::try_from((body, app.now()))?;
    let request = plan.for_flow(read::flow_id(app, &flow).await?);
    if let Some(name) = &request.name {
        read::schedule_name_is_free(app, name, None).await?;
    }
    let done = app.spark.create_schedule(request, &who).await?;
    let row = row_at(call, done.value, done.position).await;
    Ok(Reply::written(row, read::known(done.value), done.position)?.as_created())
}

async fn trigger(call: &Call<'_>, text: &str) -> Result<Reply, ApiError> {
    let app = call.app;
    call.query.only(&[])?;
    let body: TriggerBody = body::optional(&call.body)?;
    let who = call.who(body.reason)?;
    let schedule_id = read::schedule_id(app, text).await?;
    let done = app.spark.trigger_schedule(schedule_id, body.overlap, &who).await?;
    let Triggered { task_id, waits } = done.value;
    if waits {
        // There is no task yet: it is made when what is open has ended.
        return Ok(Reply::ok(&Waits { task_id, waits })?.at(done.position).as_accepted());
    }
    let known = NewTaskRow::new(task_id, Trigger::ScheduleTriggered { schedule_id }, call);
    let row = tasks::row_at(call, task_id, done.position).await;
    Ok(Reply::written(row, known, done.position)?.as_created())
}

async fn cancel_backfill(call: &Call<'_>, text: &str, number: u32) -> Result<Reply, ApiError> {
    let who = call.action()?;
    let id = read::schedule_id(call.app, text).await?;
    let done = call.app.spark.cancel_backfill(id, number, &who).await?;
    let row = row_at(call, id, done.position).await;
    Reply::written(row, read::known(id), done.position)
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
