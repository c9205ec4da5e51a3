//! A LangFlow server as Spark calls it: what a source offers, its flows, and one run of a flow.
//! Knows LangFlow 1.0 to 1.13. Keeps no state between calls, records nothing, retries no run:
//! what a run came to is told to the caller, who decides.
//!
//! - `http.rs`: how it is asked. `refusal.rs`: what an answer other than success means.
//! - `run_v1.rs`, `background_v2.rs`: a run, by the two generations of the API.
//! - `input.rs`: where a task's input and tweaks go. `output.rs`: the result, without repetition.
//! - `catalog.rs`: flows and folders. `hello.rs`: a first flow. `traces.rs`: the log of a run.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::source::{Capabilities, KeyHeader};
use spark_events::domain::task::{CallMode, ComponentLog, RemoteStop};
use spark_events::domain::trace::TraceParent;
use tokio::sync::watch;

use crate::connection::Connection;

mod background_v2;
mod catalog;
mod hello;
mod http;
mod input;
mod output;
mod probe;
mod refusal;
mod run_v1;
#[cfg(test)]
pub(crate) mod stub;
#[cfg(test)]
mod tests;
mod traces;

pub(crate) use catalog::FlowUpload;
pub use catalog::{RemoteDefinition, RemoteFlow};
pub(crate) use http::message_client;
pub use http::{HttpClientError, http_client};

/// A text that is never printed: an API key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody. White space around it is dropped: it comes with pasting.
    #[must_use]
    pub fn new(text: String) -> Self {
        let trimmed = text.trim();
        Self(if trimmed.len() == text.len() { text } else { trimmed.to_owned() })
    }

    /// The text itself, for whoever sends or seals it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a source's address or key cannot be used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It is no URL.
    #[error("{url:?} is not a URL ({reason}); give one such as http://localhost:7860")]
    NotAUrl {
        /// What was given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Neither http nor https.
    #[error("a source's URL begins with http:// or https://, not {0}://")]
    Scheme(String),
    /// User name or password in it.
    #[error("a source's URL must not have a user name or password; give the API key by itself")]
    UserInfo,
    /// A query or a fragment behind it.
    #[error("a source's URL ends before any ? or #; give it up to the port or path")]
    Query,
    /// The key has characters that no HTTP header can carry.
    #[error("the API key has characters that cannot be sent (line breaks?); copy it again")]
    Key,
}

/// One LangFlow server. Cheap to clone.
#[derive(Clone)]
pub struct LangFlow {
    connection: Connection,
}

impl std::fmt::Debug for LangFlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LangFlow").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// A flow's nodes and edges with their secrets, which are never printed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Definition(Value);

impl Definition {
    /// Takes a definition into custody.
    #[must_use]
    pub fn new(definition: Value) -> Self {
        Self(definition)
    }

    /// The definition itself, for whoever sends it or fills it in.
    pub(crate) fn value(&self) -> &Value {
        &self.0
    }
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Definition(..)")
    }
}

/// One run of a flow, which is one attempt of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRequest {
    /// The flow's id at the source.
    pub remote_flow_id: String,
    /// The input text. Empty means none: the text stored in the flow's own input is left alone,
    /// where the API lets it stand (see [`spark_events::domain::component::stored_input`]).
    pub input: String,
    /// The component that takes the input; without one it goes to the chat input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_component: Option<String>,
    /// The component whose output is the result; without one the result has all outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_component: Option<String>,
    /// Values set over the flow's own: `{component id: {field: value}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tweaks: Option<Value>,
    /// Unique to the attempt. Messages and traces at the source carry it.
    pub session_id: String,
    /// Unique to the attempt. A background job submitted twice with it runs once.
    pub idempotency_key: String,
    /// The background job of this attempt, where one is known from before a crash: it is taken
    /// up again instead of submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// How the call is made.
    pub mode: CallMode,
    /// The definition to run instead of the flow's own; only background jobs take one. Holds
    /// secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Definition>,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// It brought a result.
    Completed {
        /// `{"text": ..}`, or `{"text": .., "outputs": [..]}` where there is more than one text.
        output: Value,
        /// The components' parts, as far as the source tells them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log: Vec<ComponentLog>,
    },
    /// It failed.
    Failed {
        /// Why.
        failure: Failure,
        /// The components' parts, as far as the source tells them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log: Vec<ComponentLog>,
    },
    /// It was stopped on request.
    Cancelled {
        /// What became of it at the source.
        remote: RemoteStop,
    },
}

/// How a run is made at a source with these capabilities.
#[must_use]
pub fn mode_for(capabilities: &Capabilities) -> CallMode {
    if capabilities.background_jobs { CallMode::Background } else { CallMode::Direct }
}

impl LangFlow {
    /// A client of the server at `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// The URL is not http or https or has more than host, port and path; the key cannot be sent.
    pub fn new(http: reqwest::Client, url: &str, api_key: Option<Secret>) -> Result<Self, BadUrl> {
        let header = KeyHeader::default();
        Connection::new(http, url, api_key, &header, "LangFlow")
            .map(|connection| Self { connection })
    }

    /// The same server, told with every request which run it is for.
    pub(crate) fn within(mut self, place: Option<TraceParent>) -> Self {
        self.connection.set_place(place);
        self
    }

    /// The base URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        self.connection.url()
    }

    /// The key that goes along.
    pub(crate) fn api_key(&self) -> Option<&Secret> {
        self.connection.api_key()
    }

    /// Runs a flow once and follows it to its end. There is no time limit inside: raise `cancel`
    /// to end a run that takes too long. Dropping the future leaves a background job running.
    ///
    /// `submitted` is awaited once with the id of a background job, before anything depends on
    /// its being remembered.
    pub async fn run<F, Done>(
        &self,
        capabilities: &Capabilities,
        request: &RunRequest,
        cancel: watch::Receiver<bool>,
        submitted: F,
    ) -> RunEnd
    where
        F: FnOnce(String) -> Done + Send,
        Done: Future<Output = ()> + Send,
    {
        // Boxed: the two state machines are large, and one of them is never used.
        let (outcome, run_id) = match request.mode {
            CallMode::Background => {
                Box::pin(background_v2::run(self, request, cancel, submitted)).await
            }
            CallMode::Direct if capabilities.stream => {
                Box::pin(run_v1::run_streamed(self, request, cancel)).await
            }
            CallMode::Direct => (run_v1::run_plain(self, request, cancel).await, None),
        };
        let is_run_of_components = match &outcome {
            Outcome::Completed(_) => true,
            Outcome::Failed(failure) => failure.class == FailureClass::Component,
            Outcome::Cancelled(_) => false,
        };
        let log = if capabilities.traces && is_run_of_components {
            traces::component_log(self, &request.session_id, run_id.as_deref()).await
        } else {
            vec![]
        };
        match outcome {
            Outcome::Completed(output) => RunEnd::Completed { output, log },
            Outcome::Failed(failure) => RunEnd::Failed { failure: *failure, log },
            Outcome::Cancelled(remote) => RunEnd::Cancelled { remote },
        }
    }
}

/// [`RunEnd`] before the log of components is fetched.
#[derive(Debug)]
enum Outcome {
    Completed(Value),
    Failed(Box<Failure>),
    Cancelled(RemoteStop),
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// Ends when somebody asks for it; never, where nobody can ask any more.
pub(crate) async fn cancelled(cancel: &mut watch::Receiver<bool>) {
    if cancel.wait_for(|wish| *wish).await.is_err() {
        std::future::pending::<()>().await;
    }
}
