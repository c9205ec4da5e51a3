//! Alerts: where messages about failures are sent, and about which ones. A secret is answered once,
//! when it is made.

use spark_events::AlertId;
use spark_projections::{AlertFilter, DeliveryFilter};
use warp::http::Method;

use super::{Segment, not_allowed, operation_ids, text};
use crate::body;
use crate::call::Call;
use crate::error::ApiError;
use crate::query::invalid;
use crate::read;
use crate::reply::Reply;
use crate::shown::{self, Large};

mod bodies;
pub(super) mod openapi;

pub use bodies::{CreateBody, RotateBody, UpdateBody};

/// The statuses of deliveries.
const DELIVERY_STATUSES: [&str; 4] = ["waiting", "delivered", "failed", "dropped"];

/// An endpoint of alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertRoute<'a> {
    /// All of them.
    List,
    /// Make one.
    Create,
    /// One.
    Get(Segment<'a>),
    /// Change one.
    Update(Segment<'a>),
    /// Delete one.
    Delete(Segment<'a>),
    /// Send a test message now.
    Test(Segment<'a>),
    /// Give one a new secret.
    Rotate(Segment<'a>),
    /// What was sent.
    Deliveries(Segment<'a>),
    /// Send a message again now.
    Retry(Segment<'a>, Segment<'a>),
}

operation_ids!(AlertRoute<'_> {
    Self::List => "listAlerts",
    Self::Create => "createAlert",
    Self::Get(_) => "getAlert",
    Self::Update(_) => "updateAlert",
    Self::Delete(_) => "deleteAlert",
    Self::Test(_) => "testAlert",
    Self::Rotate(_) => "rotateAlertSecret",
    Self::Deliveries(_) => "listDeliveries",
    Self::Retry(_, _) => "retryDelivery",
});

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<AlertRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => AlertRoute::List,
        ([], &Method::POST) => AlertRoute::Create,
        ([], _) => return not_allowed(method, "GET, HEAD, POST"),
        ([id], &Method::GET) => AlertRoute::Get(text(id)?),
        ([id], &Method::PATCH) => AlertRoute::Update(text(id)?),
        ([id], &Method::DELETE) => AlertRoute::Delete(text(id)?),
        ([_], _) => return not_allowed(method, "GET, HEAD, PATCH, DELETE"),
        ([id, "test"], &Method::POST) => AlertRoute::Test(text(id)?),
        ([id, "rotate-secret"], &Method::POST) => AlertRoute::Rotate(text(id)?),
        ([id, "deliveries"], &Method::GET) => AlertRoute::Deliveries(text(id)?),
        ([_, "deliveries"], _) => return not_allowed(method, "GET, HEAD"),
        ([id, "deliveries", delivery, "retry"], &Method::POST) => {
            AlertRoute::Retry(text(id)?, text(delivery)?)
        }
        ([_, "test" | "rotate-secret"] | [_, "deliveries", _, "retry"], _) => {
            return not_allowed(method, "POST");
        }
        _ => return Ok(None),
    }))
}

pub(crate) async fn handle(route: AlertRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    match route {
        AlertRoute::List => list(call).await,
        AlertRoute::Create => {
            call.query.only(&[])?;
            let mut body: CreateBody = body::object(&call.body)?;
            let who = call.who(body.reason.take())?;
            let request = body.request(app).await?;
            let done = app.spark.create_alert(request, &who).await?;
            let reply = with_secret(call, done.value.id, &done.value.secret, done.position).await?;
            Ok(reply.as_created().at(done.position))
        }
        AlertRoute::Get(id) => {
            call.query.only(&[])?;
            call.ready_to_read().await?;
            let id = read::alert_id(app, &id).await?;
            let row = read::alert(app, id).await?;
            Ok(Reply::ok(&row)?.of(row.revision))
        }
        AlertRoute::Update(id) => {
            call.query.only(&[])?;
            let mut body: UpdateBody = body::object(&call.body)?;
            let who = call.who(body.reason.take())?;
            let id = read::alert_id(app, &id).await?;
            let request = body.request(app, id).await?;
            let done = app.spark.update_alert(id, request, &who).await?;
            let row = read::alert_at(app, id, done.position).await;
            Reply::written(row, read::known(id), done.position)
        }
        AlertRoute::Delete(id) => {
            let who = call.action()?;
            let id = read::alert_id(app, &id).await?;
            let done = app.spark.delete_alert(id, &who).await?;
            read::removed(app, id, done.position).await
        }
        AlertRoute::Test(id) => {
            let who = call.action()?;
            let id = read::alert_id(app, &id).await?;
            let done = app.spark.test_alert(id, &who).await?;
            Ok(Reply::ok(&done.value)?.at(done.position))
        }
        AlertRoute::Rotate(id) => {
            call.query.only(&[])?;
            let mut body: RotateBody = body::optional(&call.body)?;
            let who = call.who(body.reason.take())?;
            let id = read::alert_id(app, &id).await?;
            let done = app.spark.rotate_alert_secret(id, body.keep_ms()?, &who).await?;
            let reply = with_secret(call, id, &done.value.secret, done.position).await?;
            Ok(reply.at(done.position))
        }
        AlertRoute::Deliveries(id) => deliveries(call, &id).await,
        AlertRoute::Retry(id, delivery) => {
            let who = call.action()?;
            let id = read::alert_id(app, &id).await?;
            let delivery = read::delivery_of(app, id, &delivery).await?;
            let done = app.spark.resend_alert(id, delivery.raised_revision, &who).await?;
            Ok(Reply::ok(&done.value)?.at(done.position))
        }
    }
}

/// The row with the secret, which is told now or never: the alert is there whether the read model
/// shows it or not.
async fn with_secret(
    call: &Call<'_>,
    id: AlertId,
    secret: &str,
    position: Option<spark_events::Position>,
) -> Result<Reply, ApiError> {
    let app = call.app;
    let row = match read::alert_at(app, id, position).await {
        Ok(row) => shown::row(app, &row, Large::Referenced, None).await?,
        Err(_) => shown::row(app, &read::known(id), Large::Referenced, None).await?,
    };
    Reply::ok(&shown::with(&row, "secret", &secret)?)
}

async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&["status", "deleted", "limit", "offset", "cursor"])?;
    let paging = call.query.paging()?;
    let enabled = match call.query.text("status") {
        None => None,
        Some("enabled") => Some(true),
        Some("disabled") => Some(false),
        Some(other) => {
            return Err(invalid("status", &format!("{other:?} is not one of enabled, disabled")));
        }
    };
    let filter = AlertFilter { enabled, include_deleted: call.query.flag("deleted")? };
    call.ready_to_read().await?;
    Reply::ok(&read::alerts(call.app, filter, paging).await?)
}

async fn deliveries(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    call.query.only(&["status", "limit", "offset", "cursor"])?;
    let paging = call.query.paging()?;
    let status = call.query.text("status").map(str::to_owned);
    if let Some(other) = status.as_deref().filter(|status| !DELIVERY_STATUSES.contains(status)) {
        let known = DELIVERY_STATUSES.join(", ");
        return Err(invalid("status", &format!("{other:?} is not one of {known}")));
    }
    call.ready_to_read().await?;
    let alert_id = Some(read::alert_id(call.app, id).await?);
    Reply::ok(&read::deliveries(call.app, DeliveryFilter { alert_id, status }, paging).await?)
}
