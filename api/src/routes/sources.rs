//! Sources: the servers that Spark talks to.

use serde::{Deserialize, Deserializer};
use spark_actors::langflow::Secret;
use spark_actors::{AddSource, KeyChange, UpdateSource};
use spark_events::SourceId;
use spark_events::domain::http_request::HttpRequest;
use spark_events::domain::labels::Labels;
use spark_events::domain::source::{HttpSettings, SourceKind};
use spark_projections::SourceFilter;
use warp::http::Method;

use super::{Segment, not_allowed, operation_ids, text};
use crate::body;
use crate::call::Call;
use crate::error::{ApiError, FieldError};
use crate::options::Wrong;
use crate::read;
use crate::reply::{Page, Reply};

mod remove;
mod request;

use request::RequestBody;

/// An endpoint of sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRoute<'a> {
    /// All of them.
    List,
    /// Connect one.
    Add,
    /// One.
    Get(Segment<'a>),
    /// Change one.
    Update(Segment<'a>),
    /// Forget one.
    Remove(Segment<'a>),
    /// See how it is doing.
    Probe(Segment<'a>),
    /// What flows it has.
    Flows(Segment<'a>),
    /// Save a request of it as a flow.
    AddRequest(Segment<'a>),
    /// Seal all keys anew.
    Reseal,
}

pub(super) mod openapi;

operation_ids!(SourceRoute<'_> {
    Self::List => "listSources",
    Self::Add => "addSource",
    Self::Get(_) => "getSource",
    Self::Update(_) => "updateSource",
    Self::Remove(_) => "removeSource",
    Self::Probe(_) => "probeSource",
    Self::Flows(_) => "listRemoteFlows",
    Self::AddRequest(_) => "addRequest",
    Self::Reseal => "resealSources",
});

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<SourceRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => SourceRoute::List,
        ([], &Method::POST) => SourceRoute::Add,
        ([], _) => return not_allowed(method, "GET, HEAD, POST"),
        (["reseal"], &Method::POST) => SourceRoute::Reseal,
        (["reseal"], _) => return not_allowed(method, "POST"),
        ([id], &Method::GET) => SourceRoute::Get(text(id)?),
        ([id], &Method::PATCH) => SourceRoute::Update(text(id)?),
        ([id], &Method::DELETE) => SourceRoute::Remove(text(id)?),
        ([_], _) => return not_allowed(method, "GET, HEAD, PATCH, DELETE"),
        ([id, "probe"], &Method::POST) => SourceRoute::Probe(text(id)?),
        ([_, "probe"], _) => return not_allowed(method, "POST"),
        ([id, "flows"], &Method::GET) => SourceRoute::Flows(text(id)?),
        ([_, "flows"], _) => return not_allowed(method, "GET, HEAD"),
        ([id, "requests"], &Method::POST) => SourceRoute::AddRequest(text(id)?),
        ([_, "requests"], _) => return not_allowed(method, "POST"),
        _ => return Ok(None),
    }))
}

// No `Debug`, because of the key.
/// Connect a source.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSource)]
pub struct AddBody {
    /// Its name; host and port when absent.
    pub name: Option<String>,
    /// Base URL.
    pub url: String,
    /// `langflow`, which is the default, or `http`.
    pub kind: Option<String>,
    /// How a source of the kind `http` is spoken to.
    pub http: Option<HttpSettings>,
    /// A first request of such a source, saved as a flow with its name.
    pub request: Option<HttpRequest>,
    /// API key.
    pub api_key: Option<String>,
    /// Runs at once.
    pub runs_max: Option<u32>,
    /// What a worker must have to make its calls.
    pub worker_labels: Option<Vec<String>>,
    /// Why.
    pub reason: Option<String>,
}

// No `Debug`, because of the key.
/// Change a source. What is absent stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SourceChanges)]
pub struct UpdateBody {
    /// New name.
    pub name: Option<String>,
    /// New base URL.
    pub url: Option<String>,
    /// New API key; `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub api_key: Option<Option<String>>,
    /// New limit of runs at once.
    pub runs_max: Option<u32>,
    /// What a worker must have from now on to make its calls; an empty list for nothing.
    pub worker_labels: Option<Vec<String>>,
    /// Why.
    pub reason: Option<String>,
}

/// Tells a field that is `null` from one that is absent.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl TryFrom<AddBody> for AddSource {
    type Error = Vec<FieldError>;

    fn try_from(body: AddBody) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        check_url(&mut wrong, &body.url);
        let api_key = body.api_key.filter(|key| !key.is_empty());
        check_key(&mut wrong, api_key.as_deref());
        let kind = kind_of(&mut wrong, body.kind.as_deref(), body.http);
        if body.request.is_some() && kind.is_langflow() {
            wrong.push("request", "belongs to a source of the kind http");
        }
        let worker_labels = labels_of(&mut wrong, body.worker_labels);
        wrong.finish(Self {
            name: body.name,
            url: body.url,
            kind,
            request: body.request.map(HttpRequest::completed),
            api_key: api_key.map(Secret::new),
            runs_max: body.runs_max,
            worker_labels,
        })
    }
}

impl TryFrom<UpdateBody> for UpdateSource {
    type Error = Vec<FieldError>;

    fn try_from(body: UpdateBody) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        if let Some(url) = &body.url {
            check_url(&mut wrong, url);
        }
        let api_key = match body.api_key {
            None => KeyChange::Keep,
            Some(None) => KeyChange::Remove,
            Some(Some(key)) => {
                if key.is_empty() {
                    wrong.push("api_key", "must not be empty; leave it out to keep the key, or give null to remove it");
                }
                check_key(&mut wrong, Some(&key));
                KeyChange::Set(Secret::new(key))
            }
        };
        let worker_labels = labels_of(&mut wrong, body.worker_labels);
        let (name, url, runs_max) = (body.name, body.url, body.runs_max);
        wrong.finish(Self { name, url, api_key, runs_max, worker_labels })
    }
}

fn labels_of(wrong: &mut Wrong, labels: Option<Vec<String>>) -> Option<Labels> {
    match labels.map(Labels::new)? {
        Ok(labels) => Some(labels),
        Err(error) => {
            wrong.push("worker_labels", error.to_string());
            None
        }
    }
}

fn kind_of(wrong: &mut Wrong, kind: Option<&str>, http: Option<HttpSettings>) -> SourceKind {
    match (kind, http) {
        (Some("http"), http) => SourceKind::Http(http.unwrap_or_default()),
        (None, Some(http)) => SourceKind::Http(http),
        (None | Some("langflow"), None) => SourceKind::Langflow,
        (Some("langflow"), Some(_)) => {
            wrong.push("http", "belongs to a source of the kind http");
            SourceKind::Langflow
        }
        (Some(other), _) => {
            wrong.push(
                "kind",
                format!(
                    "{other:?} is none; there are langflow and http, which takes any other server: \
                     give its address as url and what to send as request"
                ),
            );
            SourceKind::Langflow
        }
    }
}

fn check_url(wrong: &mut Wrong, url: &str) {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
        wrong.push("url", "must be an absolute URL such as http://localhost:7860");
    }
}

/// A key travels in a header field, which takes no control characters.
fn check_key(wrong: &mut Wrong, key: Option<&str>) {
    if key.is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
        wrong.push("api_key", "must consist of printable ASCII characters without spaces");
    }
}

pub(crate) async fn handle(route: SourceRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    match route {
        SourceRoute::List => list(call).await,
        SourceRoute::Add => {
            call.query.only(&[])?;
            let mut body: AddBody = body::object(&call.body)?;
            let who = call.who(body.reason.take())?;
            let done = app.spark.add_source(body.try_into()?, &who).await?;
            let row = read::source_at(app, done.value, done.position).await;
            Ok(Reply::written(row, read::known(done.value), done.position)?.as_created())
        }
        SourceRoute::Get(id) => {
            call.query.only(&[])?;
            call.ready_to_read().await?;
            let id = read::source_id(app, &id).await?;
            let row = read::source(app, id).await?;
            Ok(Reply::ok(&row)?.of(row.revision))
        }
        SourceRoute::Update(id) => {
            call.query.only(&[])?;
            let mut body: UpdateBody = body::object(&call.body)?;
            let who = call.who(body.reason.take())?;
            let id = read::source_id(app, &id).await?;
            let done = app.spark.update_source(id, body.try_into()?, &who).await?;
            let row = read::source_at(app, id, done.position).await;
            Reply::written(row, read::known(id), done.position)
        }
        SourceRoute::Remove(id) => remove::handle(call, &id).await,
        SourceRoute::Probe(id) => {
            let who = call.action()?;
            let id = read::source_id(app, &id).await?;
            let done = app.spark.probe_source(id, &who).await?;
            let row = read::source_at(app, id, done.position).await;
            Reply::written(row, read::known(id), done.position)
        }
        SourceRoute::AddRequest(id) => {
            call.query.only(&[])?;
            let mut body: RequestBody = body::object(&call.body)?;
            let who = call.who(body.reason.take())?;
            let id = read::source_id(app, &id).await?;
            let done = app.spark.add_request(id, body.into(), &who).await?;
            let row = read::flow_at(app, done.value, done.position).await;
            Ok(Reply::written(row, read::known(done.value), done.position)?.as_created())
        }
        SourceRoute::Reseal => {
            let who = call.action()?;
            let done = app.spark.reseal_sources(&who).await?;
            Ok(Reply::ok(&done.value)?.at(done.position))
        }
        SourceRoute::Flows(id) => {
            call.query.only(&["folder"])?;
            let id = read::source_id(app, &id).await?;
            remote_flows(call, id).await
        }
    }
}

async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&["status", "deleted", "limit", "offset", "cursor"])?;
    let paging = call.query.paging()?;
    let status = call.query.choices("status", &["up", "down"], |status| status)?;
    let filter = SourceFilter {
        // Both is the same as no filter.
        status: Some(status).filter(|one| one.len() == 1).map(|one| one.concat()),
        include_deleted: call.query.flag("deleted")?,
    };
    call.ready_to_read().await?;
    Reply::ok(&read::sources(call.app, filter, paging).await?)
}

/// All flows of the source in one page: LangFlow lists them in one answer too.
async fn remote_flows(call: &Call<'_>, id: SourceId) -> Result<Reply, ApiError> {
    let items = call.app.spark.remote_flows(id, call.query.text("folder")).await?;
    Reply::ok(&Page::whole(items))
}
