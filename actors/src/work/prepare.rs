//! From what the log and the catalog know of an attempt to the order that a worker gets. Reads
//! payloads, so it runs in a future of its own and never in an actor's handler.

use std::sync::Arc;

use ractor::ActorRef;
use serde_json::Value;
use spark_events::TaskId;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::flow::FlowSynced;
use spark_events::domain::http_request::HttpRequest;
use spark_events::domain::source::{Capabilities, Probe};
use spark_events::domain::task::{Attempt, TaskSpec, Trigger};
use spark_events::payload::{self, Payload};
use uuid::Uuid;

use super::{Call, CallTarget, HttpCall, TimeLimit, WorkOrder};
use crate::aggregate::waited_out;
use crate::catalog::SourceEntry;
use crate::context::Context;
use crate::definition;
use crate::error::DispatchError;
use crate::langflow::{Definition, RunRequest};
use crate::task::{TaskMessage, stored_input};

/// An attempt that was recorded as started, with what was known of it in that moment.
pub(crate) struct Assignment {
    pub(crate) task_id: TaskId,
    /// The correlation id of the task.
    pub(crate) trace: Uuid,
    pub(crate) attempt: Attempt,
    pub(crate) spec: TaskSpec,
    pub(crate) flow: Arc<FlowSynced>,
    pub(crate) source: SourceEntry,
    pub(crate) time: TimeLimit,
    /// Who hears of it.
    pub(crate) task: ActorRef<TaskMessage>,
}

impl Assignment {
    /// The hash of the definition to run, where it is not the present one.
    fn earlier(&self) -> Option<&str> {
        self.spec.definition.as_deref().filter(|hash| *hash != self.flow.definition_hash)
    }
}

/// Makes the order of an attempt.
///
/// # Errors
/// A failure that names what is missing: a payload, the definition, a usable source.
pub(crate) async fn prepare(
    context: &Context,
    assignment: &Assignment,
) -> Result<WorkOrder, Failure> {
    let Assignment { task_id, trace, attempt, spec, flow, source, time, task: _ } = assignment;
    let client = source.client.as_ref().map_err(|why| {
        Failure::new(FailureClass::Gone, format!("source {}: {why}", spec.source_id))
    })?;
    let earlier = assignment.earlier();
    if let Some(failure) = definition::cannot_run(earlier.is_some(), attempt.mode, source) {
        return Err(failure);
    }
    let input = match load(context, *task_id, &spec.input).await {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(error) => return Err(gone(format!("the input cannot be read: {error}"))),
    };
    // The source knows an attempt that continues another one as that one.
    let number = attempt.known_as();
    let key = format!("spark:{task_id}:{number}");
    let call = if source.source.kind.is_langflow() {
        let mut request = RunRequest {
            remote_flow_id: flow.remote_id.clone(),
            input,
            input_component: flow.input_component.clone(),
            output_component: flow.output_component.clone(),
            tweaks: spec.tweaks.clone(),
            session_id: format!("spark-{task_id}-{number}"),
            idempotency_key: key,
            job_id: attempt.job_id.clone(),
            mode: attempt.mode,
            definition: None,
        };
        let then = match earlier {
            Some(hash) => Some(run_earlier(context, *task_id, spec, hash, &mut request).await?),
            None => None,
        };
        if request.input.is_empty() {
            // A background job that is sent no text would otherwise run with an empty one.
            request.input = stored_input(then.as_ref().unwrap_or(flow)).unwrap_or_default();
        }
        Call::LangFlow(Box::new(request))
    } else {
        let request = http_request(context, *task_id, flow).await?;
        let due_at = due_at(&spec.trigger);
        Call::Http(Box::new(HttpCall { request, input, idempotency_key: key, due_at }))
    };
    Ok(WorkOrder {
        task_id: *task_id,
        attempt: attempt.number,
        trace: Some(*trace),
        source: CallTarget {
            kind: source.source.kind.clone(),
            url: client.url().to_owned(),
            api_key: client.api_key().cloned(),
            capabilities: capabilities_of(source),
        },
        call,
        time: *time,
        cancelled: attempt.cancel_requested,
    })
}

/// Makes a request run the definition with this hash; gives the flow as it was then.
async fn run_earlier(
    context: &Context,
    task: TaskId,
    spec: &TaskSpec,
    hash: &str,
    request: &mut RunRequest,
) -> Result<FlowSynced, Failure> {
    let log = context.log.as_ref();
    let find = || definition::find(log, spec.flow_id, hash);
    let then = waited_out(&task.stream(), find).await.map_err(gone)?;
    let masked = load(context, task, &then.definition).await.map_err(gone)?;
    request.definition = Some(Definition::new(masked));
    request.input_component.clone_from(&then.input_component);
    request.output_component.clone_from(&then.output_component);
    Ok(then)
}

async fn http_request(
    context: &Context,
    task: TaskId,
    flow: &FlowSynced,
) -> Result<HttpRequest, Failure> {
    let unreadable = |why: String| gone(format!("the request cannot be read: {why}"));
    let stored = load(context, task, &flow.definition).await;
    let mut definition = stored.map_err(|error| unreadable(error.to_string()))?;
    let request = definition.get_mut("http").map(Value::take);
    let request = request.ok_or_else(|| unreadable("its definition is that of no request".into()));
    serde_json::from_value(request?).map_err(|error| unreadable(error.to_string()))
}

/// The value behind a payload, however long the log is away.
async fn load(context: &Context, task: TaskId, payload: &Payload) -> Result<Value, DispatchError> {
    let log = context.log.as_ref();
    waited_out(&task.stream(), || async { Ok(payload::load(log, payload).await?) }).await
}

fn gone(why: impl ToString) -> Failure {
    Failure::new(FailureClass::Gone, why.to_string())
}

fn due_at(trigger: &Trigger) -> Option<String> {
    match trigger {
        Trigger::Occurrence { due_at, .. } | Trigger::Backfill { due_at, .. } => {
            Some(due_at.to_rfc3339())
        }
        Trigger::Manual | Trigger::ScheduleTriggered { .. } | Trigger::RetryOf { .. } => None,
    }
}

/// What the source offers as far as is known; of one that is down, the least.
pub(crate) fn capabilities_of(source: &SourceEntry) -> Capabilities {
    match &source.source.probe {
        Probe::Up { capabilities } => capabilities.clone(),
        Probe::Down { .. } => Capabilities::least(),
    }
}
