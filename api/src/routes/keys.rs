//! API keys: who else may call, and what they may do. A secret is answered once, when its key is
//! made.

use serde::Deserialize;
use spark_events::domain::api_key::Role;
use spark_projections::{KeyFilter, KeyRow};
use utoipa::ToSchema;
use warp::http::Method;

use super::{Segment, not_allowed, operation_ids, text};
use crate::app::App;
use crate::body;
use crate::call::Call;
use crate::error::ApiError;
use crate::read;
use crate::reply::Reply;
use crate::shown::{self, Large};

/// An endpoint of API keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRoute<'a> {
    /// All of them.
    List,
    /// Make one.
    Create,
    /// One.
    Get(Segment<'a>),
    /// Take one back.
    Revoke(Segment<'a>),
}

pub(super) mod openapi;

operation_ids!(KeyRoute<'_> {
    Self::List => "listKeys",
    Self::Create => "createKey",
    Self::Get(_) => "getKey",
    Self::Revoke(_) => "revokeKey",
});

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<KeyRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => KeyRoute::List,
        ([], &Method::POST) => KeyRoute::Create,
        ([], _) => return not_allowed(method, "GET, HEAD, POST"),
        ([id], &Method::GET) => KeyRoute::Get(text(id)?),
        ([id], &Method::DELETE) => KeyRoute::Revoke(text(id)?),
        ([_], _) => return not_allowed(method, "GET, HEAD, DELETE"),
        _ => return Ok(None),
    }))
}

/// Make a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey)]
pub struct CreateBody {
    /// Its name, which stands in the history of whatever is done with it.
    pub name: String,
    /// `viewer`, `operator`, `worker` or `admin`.
    pub role: String,
    /// Why.
    pub reason: Option<String>,
}

pub(crate) async fn handle(route: KeyRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    match route {
        KeyRoute::List => list(call).await,
        KeyRoute::Create => {
            call.query.only(&[])?;
            let body: CreateBody = body::object(&call.body)?;
            let who = call.who(body.reason)?;
            let role = body.role.parse::<Role>();
            let role = role.map_err(|error| ApiError::field("role", error.to_string()))?;
            let done = app.spark.create_key(body.name, role, &who).await?;
            // The key is there whether the read model shows it or not, and its secret is told now
            // or never.
            let row = match read::key_at(app, done.value.id, done.position).await {
                Ok(row) => shown::row(app, &row, Large::Referenced, None).await?,
                Err(_) => {
                    let known = read::known(done.value.id);
                    shown::row(app, &known, Large::Referenced, None).await?
                }
            };
            let row = shown::with(&row, "secret", &done.value.secret.expose())?;
            Ok(Reply::ok(&row)?.as_created().at(done.position))
        }
        KeyRoute::Get(id) => {
            call.query.only(&[])?;
            call.ready_to_read().await?;
            let id = read::key_id(app, &id).await?;
            let row = fresh(app, read::key(app, id).await?);
            Ok(Reply::ok(&row)?.of(row.revision))
        }
        KeyRoute::Revoke(id) => {
            let who = call.action()?;
            let id = read::key_id(app, &id).await?;
            let done = app.spark.revoke_key(id, &who).await?;
            let row = read::key_at(app, id, done.position).await.map(|row| fresh(app, row));
            Reply::written(row, read::known(id), done.position)
        }
    }
}

async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&["role", "revoked", "limit", "offset", "cursor"])?;
    let paging = call.query.paging()?;
    let role = call.query.read::<Role>("role", "viewer, operator, worker or admin")?;
    let filter = KeyFilter {
        role: role.map(|role| role.as_str().to_owned()),
        include_revoked: call.query.flag("revoked")?,
    };
    call.ready_to_read().await?;
    let mut page = read::keys(call.app, filter, paging).await?;
    page.items = page.items.into_iter().map(|row| fresh(call.app, row)).collect();
    Reply::ok(&page)
}

/// The row with the last use as this process knows it, which is recorded once an hour only.
fn fresh(app: &App, row: KeyRow) -> KeyRow {
    KeyRow { last_used_at: app.spark.key_used_at(row.id).or(row.last_used_at), ..row }
}
