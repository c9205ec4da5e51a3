//! Flows: what can be run, as it was last synced from its source or made here. `flows/sync.rs`:
//! taking them from a source. `flows/local.rs`: making, changing, pushing. `flows/versions.rs`:
//! what they were, what differs, what they are made of.

use serde::Serialize;
use serde_json::value::RawValue;
use spark_events::domain::flow::Drift;
use spark_events::{FlowId, Position};
use spark_projections::FlowFilter;
use utoipa::ToSchema;
use warp::http::Method;

use super::{Segment, not_allowed, operation_ids, tasks, text};
use crate::call::Call;
use crate::error::ApiError;
use crate::read;
use crate::reply::Reply;
use crate::shown::{self, Large};

mod local;
mod sync;
mod versions;

pub use local::{CreateBody, PushBody, UpdateBody};
pub use sync::{SyncBody, SyncWhat};

/// The field that is left out unless asked for: it may have megabytes.
const DEFINITION: &str = "definition";

/// An endpoint of flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlowRoute<'a> {
    /// All of them.
    List,
    /// Make one here.
    Create,
    /// Take some or all from a source.
    Sync,
    /// One.
    Get(Segment<'a>),
    /// Change one.
    Update(Segment<'a>),
    /// Forget one.
    Delete(Segment<'a>),
    /// Run one.
    Run(Segment<'a>),
    /// Send one to a source.
    Push(Segment<'a>),
    /// Compare one with what its source has.
    Check(Segment<'a>),
    /// Its components with their fields.
    Components(Segment<'a>),
    /// What it was.
    Versions(Segment<'a>),
    /// What it was at one time.
    Version(Segment<'a>, Segment<'a>),
    /// What differs between two versions.
    Diff(Segment<'a>),
}

pub(super) mod openapi;

operation_ids!(FlowRoute<'_> {
    Self::List => "listFlows",
    Self::Create => "createFlow",
    Self::Sync => "syncFlows",
    Self::Get(_) => "getFlow",
    Self::Update(_) => "updateFlow",
    Self::Delete(_) => "deleteFlow",
    Self::Run(_) => "runFlow",
    Self::Push(_) => "pushFlow",
    Self::Check(_) => "checkFlow",
    Self::Components(_) => "listComponents",
    Self::Versions(_) => "listVersions",
    Self::Version(..) => "getVersion",
    Self::Diff(_) => "diffFlows",
});

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<FlowRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => FlowRoute::List,
        ([], &Method::POST) => FlowRoute::Create,
        ([], _) => return not_allowed(method, "GET, HEAD, POST"),
        (["sync"], &Method::POST) => FlowRoute::Sync,
        // What is a word of ours in a path names no flow; such a flow has its id.
        (["sync"], _) => return not_allowed(method, "POST"),
        ([id], &Method::GET) => FlowRoute::Get(text(id)?),
        ([id], &Method::PATCH | &Method::PUT) => FlowRoute::Update(text(id)?),
        ([id], &Method::DELETE) => FlowRoute::Delete(text(id)?),
        ([_], _) => return not_allowed(method, "GET, HEAD, PATCH, PUT, DELETE"),
        ([id, "run"], &Method::POST) => FlowRoute::Run(text(id)?),
        ([id, "push"], &Method::POST) => FlowRoute::Push(text(id)?),
        ([id, "check"], &Method::POST) => FlowRoute::Check(text(id)?),
        ([_, "run" | "push" | "check"], _) => return not_allowed(method, "POST"),
        ([id, "components"], &Method::GET) => FlowRoute::Components(text(id)?),
        ([id, "versions"], &Method::GET) => FlowRoute::Versions(text(id)?),
        ([id, "diff"], &Method::GET) => FlowRoute::Diff(text(id)?),
        ([_, "components" | "versions" | "diff"], _) => return not_allowed(method, "GET, HEAD"),
        ([id, "versions", which], &Method::GET) => FlowRoute::Version(text(id)?, text(which)?),
        ([_, "versions", _], _) => return not_allowed(method, "GET, HEAD"),
        _ => return Ok(None),
    }))
}

pub(crate) async fn handle(route: FlowRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    match route {
        FlowRoute::List => list(call).await,
        FlowRoute::Create => local::create(call).await,
        FlowRoute::Sync => sync::sync(call).await,
        FlowRoute::Update(id) => local::update(call, &id).await,
        FlowRoute::Push(id) => local::push(call, &id).await,
        FlowRoute::Check(id) => check(call, &id).await,
        FlowRoute::Components(id) => versions::components(call, &id).await,
        FlowRoute::Versions(id) => versions::list(call, &id).await,
        FlowRoute::Version(id, which) => versions::one(call, &id, &which).await,
        FlowRoute::Diff(id) => versions::diff(call, &id).await,
        FlowRoute::Get(id) => {
            call.query.only(&["definition"])?;
            let whole = call.query.flag("definition")?;
            call.ready_to_read().await?;
            let id = read::flow_id(app, &id).await?;
            let without = (!whole).then_some(DEFINITION);
            let flow = read::flow(app, id).await?;
            let row = shown::row(app, &flow, Large::Loaded, without).await?;
            Ok(Reply::ok(&row)?.of(flow.revision))
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

/// A flow compared with what its source has now.
#[derive(Serialize, ToSchema)]
struct Checked {
    id: FlowId,
    drifted: bool,
    /// What differs, since when.
    drift: Option<Drift>,
}

/// Compares a flow with what its source has now. Drift is an answer, not an error.
async fn check(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    call.action()?;
    let id = read::flow_id(call.app, id).await?;
    let drift = call.app.spark.check_flow(id).await?;
    Reply::ok(&Checked { id, drifted: drift.is_some(), drift })
}

async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    const KEYS: [&str; 8] =
        ["source", "name", "folder", "drifted", "deleted", "limit", "offset", "cursor"];
    let (app, query) = (call.app, &call.query);
    query.only(&KEYS)?;
    let paging = query.paging()?;
    let include_deleted = query.flag("deleted")?;
    call.ready_to_read().await?;
    let source = read::given(query.text("source").map(|text| read::source_id(app, text)));
    let filter = FlowFilter {
        source_id: source.await?,
        name: query.text("name").map(str::to_owned),
        folder: query.text("folder").map(str::to_owned),
        drifted: query.read("drifted", "true or false")?,
        include_deleted,
    };
    let flows = read::flows(app, filter, paging).await?;
    Reply::ok(&shown::page(app, flows, Some(DEFINITION)).await?)
}

async fn row_at(
    call: &Call<'_>,
    id: FlowId,
    position: Option<Position>,
) -> Result<Box<RawValue>, ApiError> {
    let flow = read::flow_at(call.app, id, position).await?;
    shown::row(call.app, &flow, Large::Referenced, Some(DEFINITION)).await
}
