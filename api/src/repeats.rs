//! What is asked for twice happens once: `Idempotency-Key` on every `POST` but those of workers. A
//! task's id follows from the key, so what makes tasks needs nothing from here; everything else is
//! remembered in the log.

use serde_json::{Value, json};
use spark_actors::IdempotencyKey;
use spark_events::domain::request::RequestAnswered;
use warp::http::Method;

use crate::app::dispatch;
use crate::call::Call;
use crate::error::{ApiError, Row};
use crate::reply::Reply;
use crate::routes::Route;
use crate::routes::flows::FlowRoute as F;
use crate::routes::schedules::ScheduleRoute as S;
use crate::routes::tasks::TaskRoute as T;
use crate::routes::workers::WorkerRoute as W;

/// The field of an answer that is told once and stored nowhere.
const SECRET: &str = "secret";

/// Carries out a request, or answers what it was answered before.
///
/// # Errors
/// What the request leads to; `Rejected` where the key may not be used.
pub(crate) async fn once(
    method: &Method,
    path: &str,
    query: &str,
    route: Route<'_>,
    call: &Call<'_>,
) -> Result<Reply, ApiError> {
    let Some(key) = key(method, &route, call)? else {
        return dispatch(route, call).await;
    };
    let (spark, who) = (&call.app.spark, call.who(None)?.without_condition());
    let parts = [path.as_bytes(), query.as_bytes(), &call.body];
    if let Some(answered) = spark.begin_request(&key, &parts, &who).await? {
        return Reply::again(answered);
    }
    let result = dispatch(route, call).await;
    let end = match &result {
        Ok(reply) => Some(reply.remembered()),
        Err(error) if changed_nothing(error) => None,
        // Nobody knows whether it happened, so it must not happen again.
        Err(_) => return result,
    };
    if let Err(error) = spark.end_request(&key, end, &who).await {
        tracing::warn!(request_id = call.request_id, %error, "the end of a request is not recorded");
    }
    result
}

/// The key, where this mechanism is the one that heeds it.
fn key(
    method: &Method,
    route: &Route<'_>,
    call: &Call<'_>,
) -> Result<Option<IdempotencyKey>, ApiError> {
    if method == Method::POST && is_remembered(route) { call.idempotency_key() } else { Ok(None) }
}

/// Whether a `POST` is remembered here: not what makes a task, not what changes nothing, and not
/// what a worker says of itself: a repeat of that is harmless by itself, and what it is told holds
/// the keys of sources.
pub(crate) fn is_remembered(route: &Route<'_>) -> bool {
    !matches!(
        route,
        Route::Tasks(T::Create | T::Retry(_))
            | Route::Flows(F::Run(_))
            | Route::Schedules(S::Preview)
            | Route::Workers(W::Register | W::Poll(_) | W::Reports(_) | W::Leave(_))
    )
}

fn changed_nothing(error: &ApiError) -> bool {
    let row = error.row();
    row.status.is_client_error()
        || [Row::OVERLOADED, Row::SHUTTING_DOWN, Row::LOG_UNAVAILABLE].contains(&row)
}

/// What is kept of an answer: everything but a secret.
pub(crate) fn kept(json: &[u8]) -> Option<Value> {
    if json.len() > spark_events::limits::ANSWER_REMEMBERED_BYTES_MAX {
        return None;
    }
    let mut answer: Value = serde_json::from_slice(json).ok()?;
    if let Some(fields) = answer.as_object_mut() {
        fields.remove(SECRET);
    }
    Some(answer)
}

/// What is answered again.
pub(crate) fn told(answered: RequestAnswered) -> Value {
    let too_large = "this was done before; its answer was too large to be kept";
    answered.answer.unwrap_or_else(|| json!({ "detail": too_large }))
}

#[cfg(test)]
mod tests {
    use spark_actors::DispatchError as D;

    use super::*;

    #[test]
    fn a_key_is_free_again_only_where_nothing_happened() {
        let text = || "the disk is full".to_owned();
        for (error, is_free) in [
            (D::Unavailable { reason: text() }, true),
            (D::Overloaded { what: "alerts" }, true),
            (D::Conflict(text()), true),
            (D::Unanswered { reason: text() }, false),
            (D::Timeout { ms: 1 }, false),
            (D::Internal(text()), false),
        ] {
            let error = ApiError::from(error);
            assert_eq!(changed_nothing(&error), is_free, "{error}");
        }
    }
}
