//! A server that takes HTTP requests and is no LangFlow: an agent server, a webhook. A run there is
//! one request; it has no background, no stream and no log of components.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde_json::Value;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::http_request::{Filled, HttpMethod, HttpRequest, Values};
use spark_events::domain::source::{Capabilities, HttpSettings};
use spark_events::domain::task::RemoteStop;
use spark_events::domain::trace::TraceParent;
use spark_events::limits;
use tokio::sync::watch;

use crate::connection::{Answer, CallError, Connection};
use crate::langflow::{BadUrl, RunEnd, Secret, cancelled};

mod refusal;
#[cfg(test)]
mod tests;

/// One such server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HttpSource {
    connection: Connection,
    health_path: Option<String>,
}

impl HttpSource {
    /// A client of the server at `url`. Nothing is sent yet.
    pub(crate) fn new(
        http: reqwest::Client,
        url: &str,
        api_key: Option<Secret>,
        settings: &HttpSettings,
    ) -> Result<Self, BadUrl> {
        let connection = Connection::new(http, url, api_key, &settings.auth, "the server")?;
        Ok(Self { connection, health_path: settings.health_path.clone() })
    }

    /// The same server, told with every request which run it is for.
    pub(crate) fn within(mut self, place: Option<TraceParent>) -> Self {
        self.connection.set_place(place);
        self
    }

    /// The base URL, without a trailing slash.
    pub(crate) fn url(&self) -> &str {
        self.connection.url()
    }

    /// The key that goes along.
    pub(crate) fn api_key(&self) -> Option<&Secret> {
        self.connection.api_key()
    }

    /// Whether it is up. With a health path that path must answer with a success and take the key;
    /// without one nothing is known about what a GET would mean there, so any answer will do.
    pub(crate) async fn probe(&self) -> Result<Capabilities, Failure> {
        let path = self.health_path.as_deref().unwrap_or_default();
        let timeout = std::time::Duration::from_millis(limits::SOURCE_CALL_MS_MAX);
        let request = self.connection.request(Method::GET, path).timeout(timeout);
        let response = self.connection.open(request).await?;
        if self.health_path.is_some() && !response.status().is_success() {
            let answer = self.connection.read(response).await?;
            return Err(refusal::refusal(self.url(), &answer));
        }
        Ok(Capabilities::least())
    }

    /// Makes one request to its end. Raising `cancel` closes the connection, which is all that can
    /// be done: whether the server then stops is its own business.
    pub(crate) async fn run(
        &self,
        request: &HttpRequest,
        values: &Values<'_>,
        mut cancel: watch::Receiver<bool>,
    ) -> RunEnd {
        if *cancel.borrow() {
            return RunEnd::Cancelled { remote: RemoteStop::NotRunning };
        }
        tokio::select! {
            biased;
            end = self.ask(request, values) => match end {
                Ok(output) => RunEnd::Completed { output, log: vec![] },
                Err(failure) => RunEnd::Failed { failure, log: vec![] },
            },
            () = cancelled(&mut cancel) => RunEnd::Cancelled { remote: RemoteStop::LeftRunning },
        }
    }

    async fn ask(&self, request: &HttpRequest, values: &Values<'_>) -> Result<Value, Failure> {
        let filled = request
            .fill(values)
            .map_err(|why| Failure::new(FailureClass::BadInput, why.to_string()))?;
        let answer = self.send(request, filled, values.idempotency_key).await?;
        if !request.accepts(answer.status) {
            return Err(refusal::refusal(self.url(), &answer));
        }
        request.result(&answer.body).map_err(|unmet| {
            let mut failure = Failure::new(refusal::class_of_unmet(&unmet), unmet.to_string());
            failure.status = Some(answer.status);
            failure.body = refusal::start_of(&answer.body);
            failure
        })
    }

    async fn send(
        &self,
        request: &HttpRequest,
        filled: Filled,
        idempotency_key: &str,
    ) -> Result<Answer, CallError> {
        let mut sent = self.connection.request(method(request.method), &filled.path);
        let own_type = |name: &String| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str());
        if let Some(body) = filled.body {
            if !request.headers.keys().any(own_type) {
                sent = sent.header(CONTENT_TYPE, "application/json");
            }
            sent = sent.body(body);
        }
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        sent = sent.header(HeaderName::from_static("idempotency-key"), idempotency_key);
        let mut answer = self.connection.send(sent).await?;
        // A server that shows its callers what they sent would put the key into the result.
        self.connection.mask_key(&mut answer.body);
        Ok(answer)
    }
}

fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Post => Method::POST,
        HttpMethod::Get => Method::GET,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
    }
}
