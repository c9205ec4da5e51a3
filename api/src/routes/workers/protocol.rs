//! What a worker in another process says and is told. The shapes are those of
//! [`spark_actors::remote`]; unknown fields are passed over, so that a newer worker may say more.

use spark_actors::remote::{Poll, Registration, Reports};
use spark_actors::{DispatchError, Who};
use spark_events::WorkerId;

use crate::body;
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

/// A worker names itself by its whole id.
fn id_of(text: &str) -> Result<WorkerId, ApiError> {
    let unknown =
        || ApiError::from(DispatchError::NotFound { kind: "worker", id: text.to_owned() });
    text.parse().map_err(|_| unknown())
}

/// What a worker does is its own doing, under the key that it came with.
fn who(call: &Call<'_>) -> Result<Who, ApiError> {
    call.query.only(&[])?;
    call.who(None)
}

pub(super) async fn register(call: &Call<'_>) -> Result<Reply, ApiError> {
    let who = who(call)?;
    let registration: Registration = body::object(&call.body)?;
    let (registered, position) = call.app.spark.register_worker(registration, &who).await?;
    let reply = Reply::ok(&registered)?.at(position);
    Ok(if position.is_some() { reply.as_created() } else { reply })
}

pub(super) async fn poll(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let poll: Poll = body::object(&call.body)?;
    Ok(Reply::json(call.app.spark.worker_poll(id_of(id)?, poll).await?))
}

pub(super) async fn reports(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let reports: Reports = body::object(&call.body)?;
    Reply::ok(&call.app.spark.worker_reports(id_of(id)?, reports).await?)
}

pub(super) async fn leave(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    let who = who(call)?;
    let id = id_of(id)?;
    let done = call.app.spark.worker_leaves(id, &who).await?;
    Ok(Reply::ok(&serde_json::json!({ "id": id, "status": "stopped" }))?.at(done.position))
}
