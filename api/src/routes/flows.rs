//! Flows: what can be run, as it was last synced from its source.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use spark_actors::SyncFlow;
use spark_events::{FlowId, Position, SourceId};
use spark_projections::FlowFilter;
use warp::http::Method;

use super::{Segment, not_allowed, tasks, text};
use crate::body;
use crate::call::Call;
use crate::error::{ApiError, FieldError};
use crate::options::Wrong;
use crate::read;
use crate::reply::Reply;
use crate::shown::{self, Large};

/// The field that is left out unless asked for: it may have megabytes.
const DEFINITION: &str = "definition";

/// An endpoint of flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlowRoute<'a> {
    /// All of them.
    List,
    /// Take one or all from a source.
    Sync,
    /// One.
    Get(Segment<'a>),
    /// Forget one.
    Delete(Segment<'a>),
    /// Run one.
    Run(Segment<'a>),
}

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<FlowRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => FlowRoute::List,
        ([], _) => return not_allowed(method, "GET, HEAD"),
        (["sync"], &Method::POST) => FlowRoute::Sync,
        ([id], &Method::GET) => FlowRoute::Get(text(id)?),
        ([id], &Method::DELETE) => FlowRoute::Delete(text(id)?),
        ([_], _) => return not_allowed(method, "GET, HEAD, DELETE"),
        ([id, "run"], &Method::POST) => FlowRoute::Run(text(id)?),
        ([_, "run"], _) => return not_allowed(method, "POST"),
        _ => return Ok(None),
    }))
}

/// Sync one flow of a source, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncBody {
    /// The source; not needed where there is only one.
    pub source: Option<String>,
    /// The flow's id or name at the source.
    pub flow: Option<String>,
    /// The node that takes the input.
    pub input_component: Option<String>,
    /// The node that gives the output.
    pub output_component: Option<String>,
    /// Every flow of the source.
    #[serde(default)]
    pub all: bool,
    /// Why.
    pub reason: Option<String>,
}

/// What is to be synced.
#[derive(Debug)]
pub enum SyncWhat {
    /// One flow.
    One(SyncFlow),
    /// Every flow of the source.
    All,
}

impl TryFrom<SyncBody> for SyncWhat {
    type Error = Vec<FieldError>;

    fn try_from(body: SyncBody) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        let named = [
            ("flow", body.flow.is_some()),
            ("input_component", body.input_component.is_some()),
            ("output_component", body.output_component.is_some()),
        ];
        if body.all {
            for (field, _) in named.iter().filter(|(_, given)| *given) {
                wrong.push(field, "cannot be combined with all");
            }
            return wrong.finish(Self::All);
        }
        let remote = body.flow.filter(|flow| !flow.trim().is_empty());
        if remote.is_none() {
            wrong.push("flow", "is missing: give the flow's id or name at the source, or all");
        }
        wrong.finish(Self::One(SyncFlow {
            remote: remote.unwrap_or_default(),
            input_component: body.input_component,
            output_component: body.output_component,
        }))
    }
}

pub(crate) async fn handle(route: FlowRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    match route {
        FlowRoute::List => list(call).await,
        FlowRoute::Sync => sync(call).await,
        FlowRoute::Get(id) => {
            call.query.only(&["definition"])?;
            let whole = call.query.flag("definition")?;
            call.ready_to_read().await?;
            let id = read::flow_id(app, &id).await?;
            let without = (!whole).then_some(DEFINITION);
            let flow = read::flow(app, id).await?;
            Reply::ok(&shown::row(app, &flow, Large::Loaded, without).await?)
        }
        FlowRoute::Delete(id) => {
            let who = call.action()?;
            let id = read::flow_id(app, &id).await?;
            read::flow_is_unused(app, id).await?;
            let done = app.spark.delete_flow(id, &who).await?;
            read::removed(app, id, done.position).await
        }
        FlowRoute::Run(id) => tasks::run(call, Some(&id)).await,
    }
}

async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (app, query) = (call.app, &call.query);
    query.only(&["source", "name", "folder", "deleted", "limit", "offset", "cursor"])?;
    let paging = query.paging()?;
    let include_deleted = query.flag("deleted")?;
    call.ready_to_read().await?;
    let source = read::given(query.text("source").map(|text| read::source_id(app, text)));
    let filter = FlowFilter {
        source_id: source.await?,
        name: query.text("name").map(str::to_owned),
        folder: query.text("folder").map(str::to_owned),
        include_deleted,
    };
    let flows = read::flows(app, filter, paging).await?;
    Reply::ok(&shown::page(app, flows, Some(DEFINITION)).await?)
}

async fn sync(call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    call.query.only(&[])?;
    let mut body: SyncBody = body::object(&call.body)?;
    let who = call.who(body.reason.take())?;
    let source = body.source.take();
    let what = SyncWhat::try_from(body)?;
    let source = match source {
        Some(text) => read::source_id(app, &text).await?,
        None => read::only_source(app).await?,
    };
    match what {
        SyncWhat::One(request) => {
            let done = app.spark.sync_flow(source, request, &who).await?;
            let row = row_at(call, done.value, done.position).await;
            Reply::written(row, read::known(done.value), done.position)
        }
        SyncWhat::All => sync_all(call, source, &who).await,
    }
}

/// Syncs one flow after the other. One that fails is listed and does not stop the others.
async fn sync_all(
    call: &Call<'_>,
    source: SourceId,
    who: &spark_actors::Who,
) -> Result<Reply, ApiError> {
    let app = call.app;
    let (mut synced, mut failed, mut position) = (Vec::new(), Vec::new(), None);
    for listing in app.spark.remote_flows(source).await? {
        let request = SyncFlow { remote: listing.id.clone(), ..SyncFlow::default() };
        match app.spark.sync_flow(source, request, who).await {
            Ok(done) => {
                position = position.max(done.position);
                synced.push(done.value);
            }
            Err(error) => failed.push(failure(&listing.name, &listing.id, &error.into())),
        }
    }
    let mut items = Vec::with_capacity(synced.len());
    for id in synced {
        items.push(match row_at(call, id, position).await {
            Ok(row) => row,
            Err(_) => to_raw_value(&read::known(id)).unwrap_or_default(),
        });
    }
    Ok(Reply::ok(&Synced { total: items.len(), items, failed })?.at(position))
}

/// What came of syncing every flow of a source.
#[derive(Serialize)]
struct Synced {
    items: Vec<Box<RawValue>>,
    total: usize,
    failed: Vec<Value>,
}

async fn row_at(
    call: &Call<'_>,
    id: FlowId,
    position: Option<Position>,
) -> Result<Box<RawValue>, ApiError> {
    let flow = read::flow_at(call.app, id, position).await?;
    shown::row(call.app, &flow, Large::Referenced, Some(DEFINITION)).await
}

fn failure(name: &str, remote_id: &str, error: &ApiError) -> Value {
    json!({
        "name": name,
        "remote_id": remote_id,
        "code": error.row().code,
        "detail": error.to_string(),
    })
}
