//! Sources: the LangFlow servers that Spark talks to.

use serde::Deserialize;
use spark_actors::langflow::Secret;
use spark_actors::{AddSource, UpdateSource};
use spark_events::SourceId;
use spark_projections::SourceFilter;
use warp::http::Method;

use super::{Segment, not_allowed, text};
use crate::body;
use crate::call::Call;
use crate::error::{ApiError, FieldError};
use crate::options::Wrong;
use crate::read;
use crate::reply::{Page, Reply};

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
}

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<SourceRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => SourceRoute::List,
        ([], &Method::POST) => SourceRoute::Add,
        ([], _) => return not_allowed(method, "GET, HEAD, POST"),
        ([id], &Method::GET) => SourceRoute::Get(text(id)?),
        ([id], &Method::PATCH) => SourceRoute::Update(text(id)?),
        ([id], &Method::DELETE) => SourceRoute::Remove(text(id)?),
        ([_], _) => return not_allowed(method, "GET, HEAD, PATCH, DELETE"),
        ([id, "probe"], &Method::POST) => SourceRoute::Probe(text(id)?),
        ([_, "probe"], _) => return not_allowed(method, "POST"),
        ([id, "flows"], &Method::GET) => SourceRoute::Flows(text(id)?),
        ([_, "flows"], _) => return not_allowed(method, "GET, HEAD"),
        _ => return Ok(None),
    }))
}

/// Connect a source. Has no `Debug`, because of the key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddBody {
    /// Its name; host and port when absent.
    pub name: Option<String>,
    /// Base URL.
    pub url: String,
    /// API key.
    pub api_key: Option<String>,
    /// Runs at once.
    pub runs_max: Option<u32>,
    /// Why.
    pub reason: Option<String>,
}

/// Change a source. What is absent stays. Has no `Debug`, because of the key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateBody {
    /// New name.
    pub name: Option<String>,
    /// New base URL.
    pub url: Option<String>,
    /// New API key.
    pub api_key: Option<String>,
    /// New limit of runs at once.
    pub runs_max: Option<u32>,
    /// Why.
    pub reason: Option<String>,
}

impl TryFrom<AddBody> for AddSource {
    type Error = Vec<FieldError>;

    fn try_from(body: AddBody) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        check_url(&mut wrong, &body.url);
        let api_key = body.api_key.filter(|key| !key.is_empty());
        check_key(&mut wrong, api_key.as_deref());
        wrong.finish(Self {
            name: body.name,
            url: body.url,
            api_key: api_key.map(Secret::new),
            runs_max: body.runs_max,
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
        if body.api_key.as_deref() == Some("") {
            wrong.push("api_key", "must not be empty; leave it out to keep the key");
        }
        check_key(&mut wrong, body.api_key.as_deref());
        wrong.finish(Self {
            name: body.name,
            url: body.url,
            api_key: body.api_key.map(Secret::new),
            runs_max: body.runs_max,
        })
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
            Reply::ok(&read::source(app, id).await?)
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
        SourceRoute::Remove(id) => {
            let who = call.action()?;
            let id = read::source_id(app, &id).await?;
            let done = app.spark.remove_source(id, &who).await?;
            read::removed(app, id, done.position).await
        }
        SourceRoute::Probe(id) => {
            let who = call.action()?;
            let id = read::source_id(app, &id).await?;
            let done = app.spark.probe_source(id, &who).await?;
            let row = read::source_at(app, id, done.position).await;
            Reply::written(row, read::known(id), done.position)
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
