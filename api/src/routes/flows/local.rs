//! Flows that are made or changed here, their settings, and pushing them.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use spark_actors::{CreateFlow, EditFlow, PushFlow};

use super::row_at;
use crate::body;
use crate::call::Call;
use crate::error::{ApiError, FieldError};
use crate::options::Wrong;
use crate::read;
use crate::reply::Reply;
use crate::shown;

// No `Debug`, because a definition may hold secrets.
/// Make a flow here.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFlow)]
pub struct CreateBody {
    /// Its name; the export's own when absent.
    pub name: Option<String>,
    /// Its description; the export's own when absent.
    pub description: Option<String>,
    /// LangFlow's export, or its `data` alone.
    pub definition: Value,
    /// The node that takes the input.
    pub input_component: Option<String>,
    /// The node that gives the output.
    pub output_component: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl From<CreateBody> for CreateFlow {
    fn from(body: CreateBody) -> Self {
        Self {
            name: body.name,
            description: body.description,
            definition: body.definition,
            input_component: body.input_component,
            output_component: body.output_component,
        }
    }
}

// No `Debug`, because a definition may hold secrets.
/// Change a flow. What is absent stays.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FlowEdit)]
pub struct UpdateBody {
    /// New name.
    pub name: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New definition: LangFlow's export, or its `data` alone.
    pub definition: Option<Value>,
    /// The node that takes the input.
    pub input_component: Option<String>,
    /// The node that gives the output.
    pub output_component: Option<String>,
    /// How many runs at once; null: as many as the source allows.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    pub runs_max: Option<Option<u32>>,
    /// Why.
    pub reason: Option<String>,
}

/// A setting that is to be changed, to nothing or to a number.
pub(super) type Setting = Option<u32>;

/// A field that is there, also as null.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Setting>, D::Error> {
    Setting::deserialize(from).map(Some)
}

/// What is to be changed about a flow.
pub(super) struct Update {
    /// Its content.
    edit: Option<EditFlow>,
    /// Its limit of runs at once.
    runs_max: Option<Setting>,
}

impl TryFrom<UpdateBody> for Update {
    type Error = Vec<FieldError>;

    fn try_from(body: UpdateBody) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        let edits = body.name.is_some()
            || body.description.is_some()
            || body.definition.is_some()
            || body.input_component.is_some()
            || body.output_component.is_some();
        if !edits && body.runs_max.is_none() {
            wrong.push("body", "changes nothing; give name, description, definition or runs_max");
        }
        let edit = EditFlow {
            name: body.name,
            description: body.description,
            definition: body.definition,
            input_component: body.input_component,
            output_component: body.output_component,
        };
        wrong.finish(Self { edit: edits.then_some(edit), runs_max: body.runs_max })
    }
}

/// Send a flow to a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Push)]
pub struct PushBody {
    /// The source, for a flow that none has yet; not needed where there is only one.
    pub source: Option<String>,
    /// Send it although the source's own was changed, or is gone.
    #[serde(default)]
    pub force: bool,
    /// Why.
    pub reason: Option<String>,
}

pub(super) async fn create(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let mut body: CreateBody = body::object(&call.body)?;
    let who = call.who(body.reason.take())?;
    let done = call.app.spark.create_flow(body.into(), &who).await?;
    let row = row_at(call, done.value, done.position).await;
    Ok(Reply::written(row, read::known(done.value), done.position)?.as_created())
}

pub(super) async fn update(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let mut body: UpdateBody = body::object(&call.body)?;
    let mut who = call.who(body.reason.take())?;
    let update = Update::try_from(body)?;
    let id = read::flow_id(call.app, id).await?;
    let spark = &call.app.spark;
    let mut position = None;
    if let Some(edit) = update.edit {
        position = spark.edit_flow(id, edit, &who).await?.position;
        who = who.without_condition();
    }
    if let Some(runs_max) = update.runs_max {
        position = spark.limit_flow(id, runs_max, &who).await?.position.or(position);
    }
    let row = row_at(call, id, position).await;
    Reply::written(row, read::known(id), position)
}

pub(super) async fn push(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    let app = call.app;
    call.query.only(&[])?;
    let mut body: PushBody = body::optional(&call.body)?;
    let who = call.who(body.reason.take())?;
    let id = read::flow_id(app, id).await?;
    let source = match &body.source {
        Some(text) => Some(read::source_id(app, text).await?),
        // A flow that has a source needs none, so having several is no error yet.
        None => read::only_source(app).await.ok(),
    };
    let known = app.reads().flow(id).await?.and_then(|row| row.source_id);
    let source = if body.source.is_some() { source } else { known.or(source) };
    let done = app.spark.push_flow(id, PushFlow { source, force: body.force }, &who).await?;
    let row = async {
        let row = row_at(call, id, done.position).await?;
        let row = shown::with(&row, "created", &done.value.created)?;
        shown::with(&row, "empty_secrets", &done.value.empty_secrets)
    };
    Reply::written(row.await, read::known(id), done.position)
}
