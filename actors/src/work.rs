//! One call as data: everything a worker needs for an attempt, and how the call is made from it.
//! The built-in worker and one in another process run the very same code. Nothing here knows the
//! log: what stands there is put into the order before (`work/prepare.rs`).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use spark_events::TaskId;
use spark_events::domain::component;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::http_request::{HttpRequest, Values};
use spark_events::domain::source::{Capabilities, SourceKind};
use spark_events::domain::task::{CallMode, RemoteStop};
use spark_events::domain::trace::{SpanId, TraceParent};
use spark_events::limits::STOP_AFTER_TIMEOUT_MS_MAX;
use tokio::sync::watch;
use uuid::Uuid;

use crate::client::SourceClient;
use crate::http_source::HttpSource;
use crate::langflow::{Definition, LangFlow, RunEnd, RunRequest, Secret};

mod prepare;
#[cfg(test)]
mod tests;

pub(crate) use prepare::{Assignment, capabilities_of, prepare};

/// One attempt, ready to be made by whoever gets it. Holds the source's key and the input, so it is
/// never printed.
#[derive(Clone, Serialize, Deserialize)]
pub struct WorkOrder {
    /// The task.
    pub task_id: TaskId,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The trace that the call belongs to: the correlation id of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Uuid>,
    /// The server that is called.
    pub source: CallTarget,
    /// What it is asked.
    pub call: Call,
    /// How long that may take.
    pub time: TimeLimit,
    /// Whether somebody asked to stop it before it was taken up again.
    #[serde(default)]
    pub cancelled: bool,
}

/// The server that is called.
#[derive(Clone, Serialize, Deserialize)]
pub struct CallTarget {
    /// What kind of server it is.
    pub kind: SourceKind,
    /// Its base URL.
    pub url: String,
    /// Its key. In clear here and nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exposed")]
    pub api_key: Option<Secret>,
    /// What it was found to offer.
    pub capabilities: Capabilities,
}

/// What a source is asked.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// A run of a flow. The secrets of an earlier definition are still masked: they are filled in
    /// from the source by whoever makes the call.
    LangFlow(Box<RunRequest>),
    /// One HTTP request.
    Http(Box<HttpCall>),
}

/// One HTTP request, with what its gaps are filled with.
#[derive(Clone, Serialize, Deserialize)]
pub struct HttpCall {
    /// The request.
    pub request: HttpRequest,
    /// The input text.
    pub input: String,
    /// Unique to the attempt.
    pub idempotency_key: String,
    /// The due instant, where a schedule asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
}

/// How long an attempt may take, and which of the task's limits says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeLimit {
    /// From when the call is made.
    pub ms: u64,
    /// Which limit it is.
    pub of: LimitOf,
}

/// The limits of time that a task has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitOf {
    /// That of each attempt.
    Attempt,
    /// What was left of that for everything.
    Total,
}

impl LimitOf {
    fn as_str(self) -> &'static str {
        match self {
            Self::Attempt => "the timeout of an attempt",
            Self::Total => "what was left of the total timeout",
        }
    }
}

impl std::fmt::Debug for WorkOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkOrder")
            .field("task_id", &self.task_id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl WorkOrder {
    /// How the call is made.
    #[must_use]
    pub fn mode(&self) -> CallMode {
        match &self.call {
            Call::LangFlow(request) => request.mode,
            Call::Http(_) => CallMode::Direct,
        }
    }
}

/// Makes the call within its time limit and follows it to its end. Raising `cancelled` stops it for
/// real where the source can do that; dropping the future leaves a background job running.
///
/// `submitted` is awaited once with the id of a background job, before anything depends on its
/// being remembered.
pub async fn execute<F, Done>(
    order: WorkOrder,
    http: &reqwest::Client,
    cancelled: watch::Receiver<bool>,
    submitted: F,
) -> RunEnd
where
    F: FnOnce(String) -> Done + Send,
    Done: Future<Output = ()> + Send,
{
    // Two reasons to stop, one signal for the client: the user's wish or the time limit.
    let (stop, stopped) = watch::channel(order.cancelled || *cancelled.borrow());
    let stop = Arc::new(stop);
    let forward = forward(cancelled, stop.clone());
    let time = order.time;
    let call = call(order, http, stopped, submitted);
    let timed = async {
        tokio::pin!(call);
        match tokio::time::timeout(Duration::from_millis(time.ms), &mut call).await {
            Ok(end) => end,
            Err(_) => {
                stop.send_replace(true);
                let patience = Duration::from_millis(STOP_AFTER_TIMEOUT_MS_MAX);
                timed_out(time, tokio::time::timeout(patience, call).await.ok())
            }
        }
    };
    tokio::select! {
        end = timed => end,
        never = forward => never,
    }
}

async fn call<F, Done>(
    order: WorkOrder,
    http: &reqwest::Client,
    stopped: watch::Receiver<bool>,
    submitted: F,
) -> RunEnd
where
    F: FnOnce(String) -> Done + Send,
    Done: Future<Output = ()> + Send,
{
    let CallTarget { kind, url, api_key, capabilities } = order.source;
    let (task_id, attempt) = (order.task_id, order.attempt);
    let place =
        order.trace.map(|trace| TraceParent { trace, span: SpanId::of_call(task_id, attempt) });
    let client = match SourceClient::new(http.clone(), &kind, &url, api_key) {
        Ok(client) => client.within(place),
        Err(error) => return failed(FailureClass::BadInput, error.to_string()),
    };
    match (client, order.call) {
        (SourceClient::LangFlow(client), Call::LangFlow(mut request)) => {
            if let Some(masked) = request.definition.take() {
                match filled(&client, &request.remote_flow_id, masked).await {
                    Ok(definition) => request.definition = Some(definition),
                    Err(failure) => return RunEnd::Failed { failure, log: vec![] },
                }
            }
            client.run(&capabilities, &request, stopped, submitted).await
        }
        (SourceClient::Http(client), Call::Http(call)) => {
            ask(&client, &call, (task_id, attempt), stopped).await
        }
        (SourceClient::LangFlow(_), Call::Http(_)) | (SourceClient::Http(_), Call::LangFlow(_)) => {
            failed(FailureClass::Gone, "the source is of another kind than its flow".into())
        }
    }
}

async fn ask(
    client: &HttpSource,
    call: &HttpCall,
    (task_id, attempt): (TaskId, u32),
    stopped: watch::Receiver<bool>,
) -> RunEnd {
    let values = Values {
        input: &call.input,
        task_id: &task_id.to_string(),
        attempt,
        due_at: call.due_at.as_deref(),
        idempotency_key: &call.idempotency_key,
    };
    client.run(&call.request, &values, stopped).await
}

/// A definition of earlier with the secrets that were never stored, from the flow at the source.
/// What is filled in stays in memory.
async fn filled(
    client: &LangFlow,
    remote_flow_id: &str,
    masked: Definition,
) -> Result<Definition, Failure> {
    let present = client.fetch_flow(remote_flow_id).await?;
    let filled = component::fill_masked(masked.value(), Some(&present.data));
    if let Some(field) = filled.empty.first() {
        let message = format!(
            "the secret {field} was not stored and is not in the flow at the source any more; run \
             the present definition instead: --flow-version now"
        );
        return Err(Failure::new(FailureClass::Gone, message));
    }
    Ok(Definition::new(filled.definition))
}

/// Hands the user's wish to stop on to the client; never ends.
async fn forward(mut cancelled: watch::Receiver<bool>, stop: Arc<watch::Sender<bool>>) -> RunEnd {
    if cancelled.wait_for(|wish| *wish).await.is_ok() {
        stop.send_replace(true);
    }
    std::future::pending().await
}

/// What a run that reached its time limit is reported as. A result that came in the last moment
/// counts: it was paid for.
fn timed_out(time: TimeLimit, left: Option<RunEnd>) -> RunEnd {
    let remote = match left {
        Some(end @ RunEnd::Completed { .. }) => return end,
        Some(RunEnd::Cancelled { remote: RemoteStop::Stopped }) => "the source stopped the run",
        _ => "the run may go on at the source",
    };
    let seconds = Duration::from_millis(time.ms).as_secs_f64();
    let of = time.of.as_str();
    failed(FailureClass::Timeout, format!("no result within {seconds} s ({of}); {remote}"))
}

/// Follows a run to its end even where it panics: that is an end too, of the class `crashed`.
pub async fn guarded(run: impl Future<Output = RunEnd>) -> RunEnd {
    AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| {
        let what = panic_text(panic.as_ref());
        failed(FailureClass::Crashed, format!("the run crashed: {what}"))
    })
}

fn failed(class: FailureClass, message: String) -> RunEnd {
    RunEnd::Failed { failure: Failure::new(class, message), log: vec![] }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

/// A secret in clear, for the way to the worker that is to send it.
mod exposed {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::langflow::Secret;

    pub(super) fn serialize<S: Serializer>(
        secret: &Option<Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_some(secret.expose()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}
