//! The only place that asks the read models: rows, lists, and what a person types to an id. Turns
//! their errors into ours.

use serde::Serialize;
use serde_json::json;
use spark_actors::{DispatchError, Rejection};
use spark_events::domain::schedule::{ScheduleRejection, ScheduleSpec, ScheduleStatus};
use spark_events::limits::PAGE_MAX;
use spark_events::{AlertId, FlowId, KeyId, Position, ScheduleId, SourceId, TaskId, WorkerId};
use spark_projections::{
    AlertFilter, AlertRow, DeliveryFilter, DeliveryRow, FlowFilter, FlowRow, Found, KeyFilter,
    KeyRow, Listing, Page, ProjectionHealth, QueryError, ScheduleFilter, ScheduleRow, SourceFilter,
    SourceRow, TaskDetail, TaskFilter, TaskRow, WorkerFilter, WorkerRow,
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::error::{ApiError, Candidate};
use crate::query::invalid;
use crate::reply::Reply;
use crate::routes::history::Kind;

mod deleted;
mod unused;

pub(crate) use deleted::explained;
pub use unused::flow_is_unused;

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Behind { wanted, .. } => Self::behind(wanted),
            QueryError::BadCursor(_) => invalid("cursor", &error),
            QueryError::BadLimit { .. } => invalid("limit", &error),
            QueryError::BadSearch { .. } => invalid("q", &error),
            QueryError::CursorAndOffset => invalid("offset", &error),
            QueryError::Store(_) | QueryError::Stopped => Self::ReadModel(error.to_string()),
        }
    }
}

/// Waits until the read model shows everything that is in the log now, for commands that look up
/// there what they are to do.
pub async fn caught_up(app: &App) -> Result<(), ApiError> {
    let head = app.spark.log().head().await?;
    app.wait_for(head).await
}

/// What a schedule that was not deleted is to do.
pub async fn schedule_spec(app: &App, id: ScheduleId) -> Result<ScheduleSpec, ApiError> {
    if schedule(app, id).await?.status == ScheduleStatus::Deleted.as_str() {
        let deleted = Rejection::Schedule(ScheduleRejection::Deleted);
        return Err(DispatchError::Rejected(deleted).into());
    }
    let spec = app.reads().schedule_spec(id).await?;
    spec.ok_or_else(|| missing("schedule", &id))
}

/// Refuses a name that another schedule than `own` has. Two callers at the same moment may both be told that it is
/// free; then the name is ambiguous, and whoever uses it is told so.
pub async fn schedule_name_is_free(
    app: &App,
    name: &str,
    own: Option<ScheduleId>,
) -> Result<(), ApiError> {
    match app.reads().schedule_named(name).await? {
        None => Ok(()),
        Some(id) if Some(id) == own => Ok(()),
        Some(id) => {
            let taken = format!("schedule {id} has the name {name:?} already; choose another");
            Err(DispatchError::Conflict(taken).into())
        }
    }
}

/// Refuses a name that another alert than `own` has.
pub async fn alert_name_is_free(
    app: &App,
    name: &str,
    own: Option<AlertId>,
) -> Result<(), ApiError> {
    let id = match app.reads().find_alert(name).await? {
        Found::One(id) if Some(id) != own => id,
        _ => return Ok(()),
    };
    // An id, or the start of one, is no name; and what is deleted has none any more.
    let row = app.reads().alert(id).await?;
    if row.is_none_or(|row| !row.name.eq_ignore_ascii_case(name) || row.status == "deleted") {
        return Ok(());
    }
    let taken = format!("alert {id} has the name {name:?} already; choose another");
    Err(DispatchError::Conflict(taken).into())
}

/// A delivery of this alert.
pub async fn delivery_of(app: &App, alert: AlertId, text: &str) -> Result<DeliveryRow, ApiError> {
    let id = delivery_id(app, text).await?;
    let row = delivery(app, id).await?;
    if row.alert_id == alert { Ok(row) } else { Err(missing("delivery", &text)) }
}

/// How the projections are doing, and whether all of them go on.
#[must_use]
pub fn health(app: &App) -> ReadsHealth {
    let trouble = app.projections.trouble();
    let projections = app.projections.health();
    let healthy = trouble.is_none() && projections.iter().all(|one| one.halted.is_none());
    let read_models = ReadModels {
        position: app.projections.position(),
        searchable: app.projections.searchable(),
        trouble,
    };
    ReadsHealth { healthy, read_models, projections }
}

/// How the projections are doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadsHealth {
    /// Whether all of them go on.
    #[serde(skip)]
    pub healthy: bool,
    read_models: ReadModels,
    projections: Vec<ProjectionHealth>,
}

impl ReadsHealth {
    /// The same without saying what is wrong with the event that one cannot get past.
    #[must_use]
    pub fn without_reasons(mut self) -> Self {
        for halt in self.projections.iter_mut().filter_map(|one| one.halted.as_mut()) {
            "told to those who have a key".clone_into(&mut halt.reason);
        }
        self
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ReadModels {
    position: Position,
    /// How far the words of texts are found.
    searchable: Position,
    trouble: Option<String>,
}

/// What a text stands for, an error, or several ids.
fn decide<I>(
    kind: &'static str,
    text: &str,
    found: Result<Found<I>, QueryError>,
) -> Result<Result<I, Vec<I>>, ApiError> {
    match found? {
        Found::One(id) => Ok(Ok(id)),
        Found::Many(ids) => Ok(Err(ids)),
        Found::None { suggestions } => {
            Err(ApiError::NotFound { kind, text: excerpt(text), suggestions })
        }
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(200).collect()
}

macro_rules! resolve {
    ($($(#[$doc:meta])* $kind:literal $name:ident $find:ident $one:ident
        $id:ty, $direct:literal, |$row:ident| $label:expr;)+) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// `NotFound` with near misses, `Ambiguous` with candidates, `ReadModel`.
        pub async fn $name(app: &App, text: &str) -> Result<$id, ApiError> {
            let full = text.parse::<$id>();
            if let (Ok(id), true) = (&full, $direct) {
                return Ok(*id);
            }
            let found = app.reads().$find(text).await;
            if let (Ok(id), Ok(Found::None { .. })) = (full, &found) {
                // A full id may be ahead of the read model; whoever uses it will see.
                return Ok(id);
            }
            let ids = match decide($kind, text, found)? {
                Ok(id) => return Ok(id),
                Err(ids) => ids,
            };
            let mut candidates = Vec::with_capacity(ids.len());
            for id in ids {
                let row = app.reads().$one(id).await.ok().flatten();
                let name = row.and_then(|$row| $label);
                candidates.push(Candidate { id: id.to_string(), name });
            }
            Err(ApiError::Ambiguous { kind: $kind, text: excerpt(text), candidates })
        }
    )+};
}

resolve! {
    /// The source that a text stands for: an id, the start of one, a name or a URL.
    "source" source_id find_source source SourceId, true, |row| Some(row.name);
    /// The flow that a text stands for: an id, the start of one, a name, or its id at the source,
    /// which looks like one of ours.
    "flow" flow_id find_flow flow FlowId, false, |row| Some(row.name);
    /// The schedule that a text stands for: an id, the start of one, or a name.
    "schedule" schedule_id find_schedule schedule ScheduleId, true, |row| row.name;
    /// The task that a text stands for: an id or the start of one.
    "task" task_id find_task task TaskId, true, |row| row.task.flow_name;
    /// The worker that a text stands for: an id or the start of one.
    "worker" worker_id find_worker worker WorkerId, true, |row| Some(row.hostname);
    /// The API key that a text stands for: an id, the start of one, or a name.
    "key" key_id find_key key KeyId, true, |row| Some(row.name);
    /// The alert that a text stands for: an id, the start of one, or a name.
    "alert" alert_id find_alert alert AlertId, true, |row| Some(row.name);
    /// The delivery that a text stands for: the id of its message, or the start of one.
    "delivery" delivery_id find_delivery delivery Uuid, true, |row| Some(row.title);
}

/// What a filter stands for that may be absent.
///
/// # Errors
/// What the look-up says.
pub async fn given<I>(
    look_up: Option<impl Future<Output = Result<I, ApiError>>>,
) -> Result<Option<I>, ApiError> {
    match look_up {
        Some(look_up) => look_up.await.map(Some),
        None => Ok(None),
    }
}

/// The id of a thing of any kind.
///
/// # Errors
/// As [`source_id`].
pub async fn any_id(app: &App, kind: Kind, text: &str) -> Result<Uuid, ApiError> {
    Ok(match kind {
        Kind::Task => task_id(app, text).await?.0,
        Kind::Schedule => schedule_id(app, text).await?.0,
        Kind::Flow => flow_id(app, text).await?.0,
        Kind::Source => source_id(app, text).await?.0,
        Kind::Worker => worker_id(app, text).await?.0,
        Kind::Key => key_id(app, text).await?.0,
        Kind::Alert => alert_id(app, text).await?.0,
    })
}

/// The source whose flows are meant where none is named: the one LangFlow that there is. A source
/// of the type `http` has no flows to take.
///
/// # Errors
/// `Invalid` where there is none, or more than one.
pub async fn only_source(app: &App) -> Result<SourceId, ApiError> {
    let page = Page { limit: PAGE_MAX, ..Page::default() };
    let sources = app.reads().list_sources(SourceFilter::default(), page).await?.items;
    let with_flows = sources.iter().filter(|source| source.kind == "langflow");
    let with_flows: Vec<_> = with_flows.map(|one| (one.id, one.name.as_str())).collect();
    the_only(&with_flows).map_err(|why| ApiError::field("source", why))
}

/// The one of these sources, or why none can be taken for granted.
fn the_only(with_flows: &[(SourceId, &str)]) -> Result<SourceId, String> {
    match with_flows {
        [(only, _)] => Ok(*only),
        [] => Err("there is no LangFlow source yet: add one first".to_owned()),
        several => {
            let names: Vec<&str> = several.iter().map(|(_, name)| *name).collect();
            let names = excerpt(&names.join(", "));
            Err(format!("is missing, and there are several: name one of {names}"))
        }
    }
}

macro_rules! rows {
    ($($kind:literal $one:ident $at:ident $list:ident $query:ident
        ($id:ty, $row:ty, $filter:ty, $item:ty);)+) => {$(
        #[doc = concat!("One ", $kind, ".")]
        ///
        /// # Errors
        /// `NotFound`, `ReadModel`.
        pub async fn $one(app: &App, id: $id) -> Result<$row, ApiError> {
            if let Some(row) = app.reads().$one(id).await? {
                return Ok(row);
            }
            // Whoever has a full id may have it from a write that the read model does not show yet.
            caught_up(app).await?;
            let row = app.reads().$one(id).await?;
            row.ok_or_else(|| missing($kind, &id))
        }

        #[doc = concat!("One ", $kind, " as it is at a position, or later.")]
        ///
        /// # Errors
        /// `NotFound`, `Behind`, `ReadModel`.
        pub async fn $at(
            app: &App,
            id: $id,
            position: Option<Position>,
        ) -> Result<$row, ApiError> {
            if let Some(position) = position {
                app.wait_for(position).await?;
            }
            $one(app, id).await
        }

        #[doc = concat!("A page of the list of every ", $kind, ".")]
        ///
        /// # Errors
        /// `QueryInvalid` for a page that cannot be, `ReadModel`.
        pub async fn $list(
            app: &App,
            filter: $filter,
            page: Page,
        ) -> Result<Listing<$item>, ApiError> {
            Ok(app.reads().$query(filter, page).await?)
        }
    )+};
}

rows! {
    "source" source source_at sources list_sources (SourceId, SourceRow, SourceFilter, SourceRow);
    "flow" flow flow_at flows list_flows (FlowId, FlowRow, FlowFilter, FlowRow);
    "schedule" schedule schedule_at schedules list_schedules
        (ScheduleId, ScheduleRow, ScheduleFilter, ScheduleRow);
    "task" task task_at tasks list_tasks (TaskId, TaskDetail, TaskFilter, TaskRow);
    "worker" worker worker_at workers list_workers (WorkerId, WorkerRow, WorkerFilter, WorkerRow);
    "key" key key_at keys list_keys (KeyId, KeyRow, KeyFilter, KeyRow);
    "alert" alert alert_at alerts list_alerts (AlertId, AlertRow, AlertFilter, AlertRow);
    "delivery" delivery delivery_at deliveries list_deliveries
        (Uuid, DeliveryRow, DeliveryFilter, DeliveryRow);
}

/// What is known of a thing whose row the read model does not show yet.
#[must_use]
pub fn known(id: impl Serialize) -> serde_json::Value {
    json!({ "id": id, "detail": "this happened; the read model does not show it yet" })
}

/// The answer to a removal: it happened, whether the read model shows it already or not.
///
/// # Errors
/// Where the answer has no JSON form.
pub async fn removed(
    app: &App,
    id: impl Serialize,
    position: Option<Position>,
) -> Result<Reply, ApiError> {
    if let Some(position) = position {
        // Only so that a list that follows at once does not show it any more.
        let _ = app.wait_for(position).await;
    }
    Ok(Reply::ok(&json!({ "id": id, "deleted": true }))?.at(position))
}

fn missing(kind: &'static str, id: &impl std::fmt::Display) -> ApiError {
    ApiError::NotFound { kind, text: id.to_string(), suggestions: Vec::new() }
}
