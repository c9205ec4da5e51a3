//! The client of a source, whatever kind of server it is, and a run ready to be made with it.

use spark_events::TaskId;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::flow::FlowSynced;
use spark_events::domain::http_request::{HttpRequest, Values};
use spark_events::domain::source::{Capabilities, SourceKind};
use spark_events::domain::task::{TaskSpec, Trigger};
use spark_events::log::EventLog;
use spark_events::payload::{self, Payload};
use tokio::sync::watch;

use crate::http_source::HttpSource;
use crate::langflow::{BadUrl, LangFlow, RunEnd, RunRequest, Secret};

/// One source as it is called. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum SourceClient {
    LangFlow(LangFlow),
    Http(HttpSource),
}

impl SourceClient {
    pub(crate) fn new(
        http: reqwest::Client,
        kind: &SourceKind,
        url: &str,
        key: Option<Secret>,
    ) -> Result<Self, BadUrl> {
        Ok(match kind {
            // The originals' variable and many a note have the API's path in it.
            SourceKind::Langflow => {
                let url = url.trim().trim_end_matches('/').trim_end_matches("/api/v1");
                Self::LangFlow(LangFlow::new(http, url, key)?)
            }
            SourceKind::Http(settings) => Self::Http(HttpSource::new(http, url, key, settings)?),
        })
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::LangFlow(client) => client.url(),
            Self::Http(client) => client.url(),
        }
    }

    pub(crate) async fn probe(&self) -> Result<Capabilities, Failure> {
        match self {
            Self::LangFlow(client) => client.probe().await,
            Self::Http(client) => client.probe().await,
        }
    }
}

/// What makes the call of one attempt.
pub(crate) enum Runner {
    LangFlow(LangFlow),
    Http(Box<HttpRun>),
}

/// One request to be made, with what its gaps are filled with.
pub(crate) struct HttpRun {
    client: HttpSource,
    definition: Payload,
    task_id: String,
    attempt: u32,
    due_at: Option<String>,
}

impl Runner {
    /// The runner of an attempt.
    pub(crate) fn new(
        client: SourceClient,
        flow: &FlowSynced,
        spec: &TaskSpec,
        (task_id, attempt): (TaskId, u32),
    ) -> Self {
        match client {
            SourceClient::LangFlow(client) => Self::LangFlow(client),
            SourceClient::Http(client) => Self::Http(Box::new(HttpRun {
                client,
                definition: flow.definition.clone(),
                task_id: task_id.to_string(),
                attempt,
                due_at: due_at(&spec.trigger),
            })),
        }
    }

    /// Makes the call and follows it to its end. See [`LangFlow::run`].
    pub(crate) async fn run<F, Done>(
        &self,
        log: &dyn EventLog,
        capabilities: &Capabilities,
        request: &RunRequest,
        cancel: watch::Receiver<bool>,
        submitted: F,
    ) -> RunEnd
    where
        F: FnOnce(String) -> Done + Send,
        Done: Future<Output = ()> + Send,
    {
        match self {
            Self::LangFlow(client) => client.run(capabilities, request, cancel, submitted).await,
            Self::Http(run) => run.run(log, request, cancel).await,
        }
    }
}

impl HttpRun {
    async fn run(
        &self,
        log: &dyn EventLog,
        request: &RunRequest,
        cancel: watch::Receiver<bool>,
    ) -> RunEnd {
        let definition = match self.definition(log).await {
            Ok(definition) => definition,
            Err(failure) => return RunEnd::Failed { failure, log: vec![] },
        };
        let values = Values {
            input: &request.input,
            task_id: &self.task_id,
            attempt: self.attempt,
            due_at: self.due_at.as_deref(),
            idempotency_key: &request.idempotency_key,
        };
        self.client.run(&definition, &values, cancel).await
    }

    async fn definition(&self, log: &dyn EventLog) -> Result<HttpRequest, Failure> {
        let gone = |why: String| {
            Failure::new(FailureClass::Gone, format!("the request cannot be read: {why}"))
        };
        let stored = payload::load(log, &self.definition).await;
        of_definition(stored.map_err(|error| gone(error.to_string()))?).map_err(gone)
    }
}

/// The definition of a flow that is a request.
pub(crate) fn definition_of(request: &HttpRequest) -> Result<serde_json::Value, serde_json::Error> {
    Ok(serde_json::json!({ "http": serde_json::to_value(request)? }))
}

fn of_definition(mut definition: serde_json::Value) -> Result<HttpRequest, String> {
    let request = definition.get_mut("http").map(serde_json::Value::take);
    let request = request.ok_or("its definition is that of no request")?;
    serde_json::from_value(request).map_err(|error| error.to_string())
}

fn due_at(trigger: &Trigger) -> Option<String> {
    match trigger {
        Trigger::Occurrence { due_at, .. } | Trigger::Backfill { due_at, .. } => {
            Some(due_at.to_rfc3339())
        }
        Trigger::Manual | Trigger::ScheduleTriggered { .. } | Trigger::RetryOf { .. } => None,
    }
}
