//! Changing a task that exists: stopping it, trying it again.

use serde::Deserialize;
use serde_json::Value;
use spark_actors::{DispatchError, IdempotencyKey, Rejection, RetryTask, RunVersion, Who};
use spark_events::TaskId;
use spark_events::domain::task::{TaskRejection, Trigger};

use super::{NewTaskRow, row_at};
use crate::body;
use crate::call::Call;
use crate::error::ApiError;
use crate::read;
use crate::reply::Reply;

/// Stop a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Cancel)]
pub(super) struct CancelBody {
    /// Record the end now, and leave a run at the source to itself.
    #[serde(default)]
    force: bool,
    /// Why.
    reason: Option<String>,
}

/// Try a task again. What is absent is as it was.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Retry)]
pub(super) struct RetryTaskBody {
    /// Another input text.
    #[serde(alias = "input_value")]
    input: Option<String>,
    /// Other tweaks; `{}` for none.
    tweaks: Option<Value>,
    /// `now`, `then`, or the hash of a definition or the start of one.
    flow_version: Option<String>,
    /// Another priority.
    priority: Option<i32>,
    /// Why.
    reason: Option<String>,
}

impl RetryTaskBody {
    fn request(self, key: Option<IdempotencyKey>) -> Result<RetryTask, ApiError> {
        let Self { input, tweaks, flow_version, priority, .. } = self;
        let version = version(flow_version.as_deref())?;
        if tweaks.as_ref().is_some_and(|tweaks| !tweaks.is_object()) {
            let message = "must be an object: {\"component id\": {\"field\": value}}";
            return Err(ApiError::field("tweaks", message));
        }
        Ok(RetryTask { input, tweaks, version, priority, key })
    }
}

fn version(text: Option<&str>) -> Result<RunVersion, ApiError> {
    let is_hash = |text: &str| {
        (4..=64).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match text {
        None | Some("now") => Ok(RunVersion::Now),
        Some("then") => Ok(RunVersion::Then),
        Some(hash) if is_hash(hash) => Ok(RunVersion::Hash(hash.to_owned())),
        Some(_) => Err(ApiError::field(
            "flow_version",
            "is none of now, then, or a definition's hash (at least 4 digits of it)",
        )),
    }
}

pub(super) async fn cancel(call: &Call<'_>, id: TaskId) -> Result<Reply, ApiError> {
    let body: CancelBody = body::optional(&call.body)?;
    call.query.only(&[])?;
    let (spark, who) = (&call.app.spark, call.who(body.reason)?);
    let done = match body.force {
        true => spark.terminate_task(id, &who).await?,
        false => spark.cancel_task(id, &who).await?,
    };
    let row = row_at(call, id, done.position).await;
    Reply::written(row, read::known(id), done.position)
}

pub(super) async fn retry(call: &Call<'_>, id: TaskId) -> Result<Reply, ApiError> {
    let mut body: RetryTaskBody = body::optional(&call.body)?;
    call.query.only(&[])?;
    let who = call.who(body.reason.take())?;
    let key = call.idempotency_key()?;
    let request = body.request(key.clone())?;
    let done = call.app.spark.retry_task_with(id, request, &who).await;
    let done = done.map_err(|error| reused(error, key.as_ref(), &who))?;
    let known = NewTaskRow::new(done.value, Trigger::RetryOf { task_id: id }, call);
    let row = row_at(call, done.value, done.position).await;
    let reply = Reply::written(row, known, done.position)?;
    Ok(if done.position.is_some() { reply.as_created() } else { reply })
}

/// Under a key, a task that exists with other contents means that the key was used before.
pub(super) fn reused(error: DispatchError, key: Option<&IdempotencyKey>, who: &Who) -> ApiError {
    match (error, key) {
        (DispatchError::Rejected(Rejection::Task(TaskRejection::Exists)), Some(key)) => {
            ApiError::KeyReused { id: key.task_id(&who.actor) }
        }
        (error, _) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_word_or_a_hash() {
        assert_eq!(version(None).unwrap(), RunVersion::Now);
        assert_eq!(version(Some("then")).unwrap(), RunVersion::Then);
        assert_eq!(version(Some("00ff")).unwrap(), RunVersion::Hash("00ff".into()));
        for bad in ["", "latest", "0ff", "00FF", &"0".repeat(65)] {
            assert!(version(Some(bad)).is_err(), "{bad}");
        }
    }
}
