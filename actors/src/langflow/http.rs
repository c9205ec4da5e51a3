//! The one place that sends to a source: adds the key, bounds time and size, and maps what goes
//! wrong on the way to a `Failure`. What an answer means is decided in `refusal.rs`.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, NoProxy, Proxy, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use spark_events::domain::component::MASK;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::limits;

use super::LangFlow;
use super::refusal::refusal;

/// Why no HTTP client could be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be set up: {0}")]
pub struct HttpClientError(#[from] reqwest::Error);

/// The HTTP client that all sources share. It follows redirects only within one server, because
/// the API key goes along, and never uses a proxy for this machine itself.
///
/// # Errors
/// TLS cannot be set up, or a proxy in the environment is no URL.
pub fn http_client() -> Result<reqwest::Client, HttpClientError> {
    // Fails only where a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("automagik-spark/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_millis(limits::SOURCE_CONNECT_MS_MAX))
        .redirect(Policy::custom(within_one_server))
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(15))
        .pool_idle_timeout(Duration::from_millis(limits::SOURCE_IDLE_MS_MAX))
        .pool_max_idle_per_host(limits::SOURCE_RUNS_MAX as usize)
        .no_proxy();
    for proxy in proxies()? {
        builder = builder.proxy(proxy);
    }
    Ok(builder.build()?)
}

/// The proxies of the environment, without effect on loopback addresses.
fn proxies() -> Result<Vec<Proxy>, reqwest::Error> {
    let variable = |names: [&str; 2]| {
        let set = names.iter().find_map(|name| std::env::var(name).ok());
        set.filter(|value| !value.is_empty())
    };
    let direct = variable(["no_proxy", "NO_PROXY"]).unwrap_or_default();
    let direct = NoProxy::from_string(&format!("localhost,127.0.0.0/8,::1,{direct}"));
    let all = variable(["all_proxy", "ALL_PROXY"]);
    let http = variable(["http_proxy", "HTTP_PROXY"]).or_else(|| all.clone());
    let https = variable(["https_proxy", "HTTPS_PROXY"]).or(all);
    let http = http.map(Proxy::http).transpose()?;
    let https = https.map(Proxy::https).transpose()?;
    Ok(http.into_iter().chain(https).map(|proxy| proxy.no_proxy(direct.clone())).collect())
}

fn within_one_server(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from = attempt.previous().last();
    let same = from.is_some_and(|from| from.origin() == attempt.url().origin());
    if same && attempt.previous().len() <= limits::SOURCE_REDIRECTS_MAX {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) location: Option<String>,
    pub(super) retry_after_ms: Option<u64>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn is_json(&self) -> bool {
        self.content_type.starts_with("application/json")
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct CallError {
    pub(super) failure: Failure,
    /// Whether the request may have reached the server. If not, nothing happened there.
    pub(super) sent: bool,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        error.failure
    }
}

impl LangFlow {
    /// A request with the key and without a time limit. `path` begins with a slash.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.key_header {
            Some(key) => request.header("x-api-key", key.clone()),
            None => request,
        }
    }

    /// A short call: GET.
    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        let timeout = Duration::from_millis(limits::SOURCE_CALL_MS_MAX);
        self.request(Method::GET, path).timeout(timeout)
    }

    /// A short call: POST.
    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        let timeout = Duration::from_millis(limits::SOURCE_CALL_MS_MAX);
        self.request(Method::POST, path).timeout(timeout)
    }

    /// Sends and reads the whole answer, whatever its status.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, CallError> {
        let response = self.open(request).await?;
        self.read(response).await
    }

    /// Sends and returns as soon as the head of the answer is there.
    pub(super) async fn open(&self, request: RequestBuilder) -> Result<Response, CallError> {
        request.send().await.map_err(|error| self.broken(&error))
    }

    /// Reads the rest of an answer, up to the bound.
    pub(super) async fn read(&self, mut response: Response) -> Result<Answer, CallError> {
        let status = response.status().as_u16();
        let headers = response.headers();
        let mut answer = Answer {
            status,
            content_type: header(headers, CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase(),
            location: header(headers, LOCATION).map(str::to_owned),
            retry_after_ms: header(headers, RETRY_AFTER).and_then(retry_after),
            body: Vec::new(),
        };
        let expected = response.content_length().unwrap_or(0);
        if expected > limits::RESPONSE_BYTES_MAX as u64 {
            return Err(self.too_large());
        }
        answer.body.reserve_exact(usize::try_from(expected).unwrap_or(0));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if answer.body.len() + chunk.len() > limits::RESPONSE_BYTES_MAX {
                return Err(self.too_large());
            }
            answer.body.extend_from_slice(&chunk);
        }
        if status >= 400 {
            self.mask_key(&mut answer.body);
        }
        Ok(answer)
    }

    /// Sends, and takes only a successful answer in JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        let answer = self.send(request).await?;
        self.accept(&answer)
    }

    /// The contents of an answer that must be a success in JSON.
    pub(super) fn accept<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Failure> {
        if !answer.is_success() || !answer.is_json() {
            return Err(refusal(&self.url, answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            let message = format!("{} answered with JSON of another shape: {error}", self.url);
            let mut failure = Failure::new(FailureClass::BadAnswer, message);
            failure.status = Some(answer.status);
            failure
        })
    }

    /// Replaces the key in what the server said, should it repeat it.
    pub(super) fn mask_key(&self, body: &mut Vec<u8>) {
        let Some(key) = &self.key else { return };
        let key = key.expose().as_bytes();
        if !body.windows(key.len()).any(|window| window == key) {
            return;
        }
        let mut masked = Vec::with_capacity(body.len());
        let mut rest = body.as_slice();
        while let Some(at) = rest.windows(key.len()).position(|window| window == key) {
            masked.extend_from_slice(&rest[..at]);
            masked.extend_from_slice(MASK.as_bytes());
            rest = &rest[at + key.len()..];
        }
        masked.extend_from_slice(rest);
        *body = masked;
    }

    pub(super) fn too_large(&self) -> CallError {
        let message = format!(
            "{} answered with more than {} MiB",
            self.url,
            limits::RESPONSE_BYTES_MAX / (1024 * 1024)
        );
        CallError { failure: Failure::new(FailureClass::TooLarge, message), sent: true }
    }

    /// What a connection's trouble means. Refused and silent alike mean "not up": a LangFlow that
    /// starts first refuses connections and then accepts them without answering.
    pub(super) fn broken(&self, error: &reqwest::Error) -> CallError {
        let (url, cause) = (&self.url, root_cause(error));
        let message = if error.is_connect() && error.is_timeout() {
            format!("{url} took no connection in time; is LangFlow running there?")
        } else if error.is_connect() {
            format!("{url} cannot be reached: {cause}; is LangFlow running there?")
        } else if error.is_timeout() {
            format!("{url} gave no answer in time; it may be starting or overloaded")
        } else if error.is_builder() {
            let message = format!("the request to {url} could not be made: {cause}");
            return CallError {
                failure: Failure::new(FailureClass::BadInput, message),
                sent: false,
            };
        } else {
            format!("the connection to {url} broke off: {cause}")
        };
        let failure = Failure::new(FailureClass::Unreachable, message);
        CallError { failure, sent: !error.is_connect() }
    }
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn header(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Seconds only: LangFlow sends no dates, and a date would need a clock that agrees.
fn retry_after(value: &str) -> Option<u64> {
    value.trim().parse::<u64>().ok()?.checked_mul(1_000)
}

/// One segment of a path, escaped. `None` for what can be no segment.
pub(super) fn segment(text: &str) -> Option<String> {
    use std::fmt::Write;
    // Dot segments would climb out of the path, escaped or not.
    if text.is_empty() || text.chars().all(|c| c == '.') {
        return None;
    }
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    Some(escaped)
}
